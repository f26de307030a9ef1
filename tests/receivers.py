"""Servers that take alerts, over HTTP and SMTP, and misbehave as they are told.

They listen on this machine alone, on ports that are free, and end with the test.
"""

from __future__ import annotations

import contextlib
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

HANG_S = 5.0


@dataclass
class Posted:
    """One request that arrived, whole."""

    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A server and what it got. ``plan``: how it treats the next ones, the last for all that
    follow: a status, or ``hang``, ``close``, ``drip``, ``redirect``."""

    plan: list[str] = field(default_factory=lambda: ["204"])
    posted: list[Posted] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    port: int = 0

    def next(self) -> str:
        """What to do now."""
        return self.plan.pop(0) if len(self.plan) > 1 else self.plan[0]


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, *args: object) -> None:
        """A client that went away is part of the tests."""


@contextlib.contextmanager
def _running(handle: Callable[[Any, Receiver], None], plan: tuple[str, ...]) -> Iterator[Receiver]:
    receiver = Receiver(list(plan) or ["204"])

    class Handler(socketserver.StreamRequestHandler):
        timeout = HANG_S

        def handle(self) -> None:
            handle(self, receiver)

    with _Server(("127.0.0.1", 0), Handler) as server:
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


def web(*plan: str) -> contextlib.AbstractContextManager[Receiver]:
    """An HTTP server that treats requests by ``plan``."""
    return _running(_http, plan)


def _http(handler: Any, receiver: Receiver) -> None:
    lines = []
    while (line := handler.rfile.readline().rstrip(b"\r\n")) != b"":
        lines.append(line.decode("latin-1"))
    if not lines:
        return
    headers = {
        name.strip().lower(): text.strip()
        for name, _, text in (line.partition(":") for line in lines[1:])
    }
    body = handler.rfile.read(int(headers.get("content-length", "0")))
    receiver.posted.append(Posted(lines[0].split()[1], headers, body))
    how = receiver.next()
    if how == "hang":
        time.sleep(HANG_S)
    elif how == "drip":
        with contextlib.suppress(OSError):
            for letter in b"HTTP/1.1 200 OK and so on, letter by letter":
                handler.wfile.write(bytes([letter]))
                time.sleep(0.2)
    elif how == "redirect":
        target = f"http://127.0.0.1:{receiver.port}/otra".encode()
        handler.wfile.write(b"HTTP/1.1 307 x\r\nLocation: " + target + b"\r\n\r\n")
    elif how != "close":
        handler.wfile.write(f"HTTP/1.1 {how} x\r\nContent-Length: 0\r\n\r\n".encode())


def smtp(*plan: str) -> contextlib.AbstractContextManager[Receiver]:
    """An SMTP server (RFC 5321) without TLS that treats whole e-mails by ``plan``: ``250``,
    another code, ``hang``, ``close``, or ``auth``: as ``250``, but it asks for a log-in."""
    return _running(_mail, plan or ("250",))


def _mail(handler: Any, receiver: Receiver) -> None:
    def say(text: str) -> None:
        handler.wfile.write(text.encode() + b"\r\n")

    how = receiver.next()
    if how == "close":
        return
    say("220 receiver")
    recipients: list[str] = []
    while line := handler.rfile.readline():
        command = line.decode().strip()
        verb = command.upper().split(":")[0].split(" ")[0]
        if verb == "EHLO":
            say("250-receiver\r\n250 AUTH PLAIN" if how == "auth" else "250 receiver")
        elif verb == "AUTH":
            receiver.logins.append(command.split()[-1])
            say("235 welcome")
        elif verb == "RCPT":
            recipients.append(command.split("<")[1].split(">")[0])
            say("250 ok")
        elif verb == "DATA":
            say("354 go on")
            lines = []
            while (line := handler.rfile.readline()) not in (b".\r\n", b""):
                lines.append(line[1:] if line.startswith(b"..") else line)
            if how == "hang":
                time.sleep(HANG_S)
                return
            if how in ("250", "auth"):
                made = message_from_bytes(b"".join(lines), policy=policy.default)
                assert isinstance(made, EmailMessage)
                receiver.mails.append(made)
                receiver.recipients.append(recipients)
            say("250 ok" if how == "auth" else f"{how} as told")
        elif verb == "QUIT":
            say("221 bye")
            return
        else:
            say("250 ok")
