"""Waitress with our parser: what of a body it keeps, and what it refuses, before the door."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from propensia.web.door import COOKIE
from propensia.web.listen import Listen
from propensia.web.routes import FORM_BYTES, ROW_BYTES, Bodies
from propensia.web.waitress_server import MOST_UNFINISHED, Server

FILE_BYTES = 200_000
BODIES = Bodies(file_bytes=FILE_BYTES, portfolio_bytes=FILE_BYTES)
HERE, AWAY = "127.0.0.1", "203.0.113.77"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"


@dataclass
class Desk:
    """A server whose loop does not run: each step is taken by the test."""

    server: Server = field(init=False)
    seen: list[dict[str, Any]] = field(default_factory=list)
    opened: list[socket.socket] = field(default_factory=list)

    def app(self, environ: dict[str, Any], start: Any) -> list[bytes]:
        body = environ["wsgi.input"].read()
        self.seen.append(environ | {"body": body})
        start("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    def open(self, address: str = AWAY) -> Client:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.settimeout(5)
        self.opened += [ours, theirs]
        server = self.server
        channel = server.channel_class(server, ours, (address, 50000), server.adj, server._map)
        return Client(channel, theirs)


@dataclass
class Client:
    """One end of a connection, and the server's object for the other."""

    channel: Any
    end: socket.socket

    def send(self, data: bytes) -> bytes:
        """Let the server take in these bytes, serve what is whole, and send; what came back."""
        for at in range(0, len(data), 8192):
            if not self.channel.readable():  # it has what it wants, and reads no more
                break
            self.channel.received(data[at : at + 8192])
        if self.channel.requests:
            self.channel.service()
        while self.channel.writable() and self.channel.connected:
            self.channel.handle_write()
        self.end.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            return self.end.recv(65536)
        return b""

    @property
    def is_open(self) -> bool:
        return bool(self.channel.connected)


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    made.server = Server(made.app, HERE, Listen(HERE, 0, bodies=BODIES))
    made.server.task_dispatcher.shutdown()
    made.server.add_task = lambda channel: None  # the test serves
    yield made
    for channel in list(made.server.active_channels.values()):
        channel.handle_close()
    for opened in made.opened:
        opened.close()
    made.server.close()


def head(path: str, *lines: str, method: str = "POST", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: x", *lines, "", ""]).encode()


def test_a_body_is_gathered_and_handed_on(desk: Desk) -> None:
    client = desk.open()
    assert client.send(head("/predict", "Content-Length: 5") + b"he") == b""
    assert client.send(b"llo").startswith(b"HTTP/1.1 200 OK\r\n")
    assert desk.seen[0]["body"] == b"hello" and client.is_open
    chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    assert b" 200 " in client.send(head("/predict", "Transfer-Encoding: chunked") + chunks)
    assert (desk.seen[1]["body"], desk.seen[1]["CONTENT_LENGTH"]) == (b"abcde", "5")


LIMITS = [("/entrar", FORM_BYTES), ("/predict", ROW_BYTES), ("/modelos", FILE_BYTES)]


@pytest.mark.parametrize(("path", "limit"), LIMITS)
@pytest.mark.parametrize("chunked", [False, True])
def test_no_more_of_a_body_is_kept_than_its_route_takes(
    desk: Desk, path: str, limit: int, chunked: bool
) -> None:
    """The application gets the one that is too long without it, and its length: that is for it to
    refuse, in the words of a problem."""
    for size in (limit, limit + 20_000):
        body = b"x" * size
        if chunked:
            parts = [body[at : at + 1000] for at in range(0, size, 1000)]
            body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [*parts, b""])
        framing = CHUNKED if chunked else f"Content-Length: {size}"
        client = desk.open(HERE)
        assert client.send(head(path, framing) + body).startswith(b"HTTP/1.1 200 OK\r\n")
        environ = desk.seen.pop()
        fits = size == limit
        assert len(environ["body"]) == (size if fits else 0)
        assert (int(environ["CONTENT_LENGTH"]) <= limit) is fits
        assert client.is_open is fits


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/prediccion"), ("POST", "/no/such/route"), ("POST", "//predict")]
)
@pytest.mark.parametrize("framing", ["Content-Length: 99999", CHUNKED])
def test_a_body_that_no_route_wants_is_answered_at_once_and_never_kept(
    desk: Desk, method: str, path: str, framing: str
) -> None:
    client = desk.open()
    smuggled = b"POST /predict HTTP/1.1\r\nHost: x\r\n\r\n"
    client.channel.received(head(path, framing, method=method) + smuggled)
    assert len(client.channel.requests) == 1, "what follows is no request"
    told = client.send(b"")
    assert told.startswith(b"HTTP/1.1 200 OK\r\n") and b"Connection: close" in told
    assert [environ["body"] for environ in desk.seen] == [b""]
    assert desk.seen[0]["PATH_INFO"] == path
    assert not client.is_open


SHOWN = ["X-API-Key: k", "Authorization: Bearer k", f"Cookie: {COOKIE}=k", "Cookie: other=k", ""]


@pytest.mark.parametrize("shown", SHOWN)
@pytest.mark.parametrize("address", [HERE, AWAY])
def test_a_large_body_of_a_stranger_who_shows_no_key_is_not_even_begun(
    desk: Desk, shown: str, address: str
) -> None:
    client = desk.open(address)
    lines = [f"Content-Length: {FILE_BYTES}", "Expect: 100-continue", *filter(None, [shown])]
    told = client.send(head("/modelos", *lines))
    if address == HERE or shown in SHOWN[:3]:
        assert told == CONTINUE and desk.seen == []
        return
    assert told.startswith(b"HTTP/1.1 200 OK\r\n")
    assert desk.seen[0]["CONTENT_LENGTH"] == str(FILE_BYTES), "so that the door refuses it"


@pytest.mark.parametrize("length", [ROW_BYTES + 1, 10**17])
def test_nobody_is_asked_for_a_body_that_is_too_long(desk: Desk, length: int) -> None:
    client = desk.open(HERE)
    told = client.send(head("/predict", f"Content-Length: {length}", "Expect: 100-continue"))
    assert told.startswith(b"HTTP/1.1 200 OK\r\n") and not client.is_open
    assert desk.seen[0]["CONTENT_LENGTH"] == str(length)


BAD = {
    "a length and chunks": (["Content-Length: 3", CHUNKED], "1.1"),
    "chunks and a length": ([CHUNKED, "Content-Length: 3"], "1.1"),
    "chunks in HTTP/1.0": ([CHUNKED], "1.0"),
    "19 digits": (["Content-Length: " + "9" * 19], "1.1"),
    "5,000 digits": (["Content-Length: " + "9" * 5000], "1.1"),
    "no number": (["Content-Length: -3"], "1.1"),
    "two lengths": (["Content-Length: 3", "Content-Length: 3"], "1.1"),
    "another coding": (["Transfer-Encoding: gzip, chunked"], "1.1"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_body_whose_end_is_not_known_for_sure_is_refused_and_the_connection_closed(
    desk: Desk, name: str
) -> None:
    """RFC 9112, 6.1 and 6.3: two servers in a row would not agree where the next one begins."""
    lines, version = BAD[name]
    client = desk.open()
    data = head("/predict", *lines, "Expect: 100-continue", version=version)
    told = client.send(data + b"0\r\n\r\nPOST /predict HTTP/1.1\r\nHost: x\r\n\r\n")
    assert told.startswith(f"HTTP/{version} 400 Bad Request\r\n".encode())
    assert b"Content-Length: 0\r\n" in told and told.endswith(b"\r\n\r\n")
    assert desk.seen == [] and not client.is_open


def test_an_address_that_is_none_is_refused(desk: Desk) -> None:
    told = desk.open().send(head("http://[x/predict"))
    assert told.startswith(b"HTTP/1.1 400 Bad Request\r\n") and desk.seen == []


def test_what_follows_the_chunks_has_a_limit(desk: Desk) -> None:
    client = desk.open()
    trailer = b"0\r\n" + b"X: y\r\n" * 20_000
    told = client.send(head("/predict", CHUNKED) + trailer)
    assert told.startswith(b"HTTP/1.1 400 Bad Request\r\n") and desk.seen == []


def test_of_the_bodies_on_their_way_the_oldest_make_way(desk: Desk) -> None:
    clients = [desk.open(HERE) for _ in range(MOST_UNFINISHED + 2)]
    part = b"x" * (FILE_BYTES - 1)
    for number, client in enumerate(clients):
        client.channel._free_since -= 5 - number
        assert client.send(head("/modelos", f"Content-Length: {FILE_BYTES}") + part) == b""
    desk.server.maintenance(0.0)
    assert [client.channel.will_close for client in clients] == [True, True, False, False]
    assert clients[-1].send(b"x").startswith(b"HTTP/1.1 200 OK\r\n")


def test_an_error_of_ours_in_a_connection_tells_no_address(
    desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = desk.open()

    def broken(*ignored: object) -> None:
        raise RuntimeError(f"something about {AWAY}")

    monkeypatch.setattr(client.channel, "received", broken)
    client.end.sendall(b"GET / HTTP/1.1\r\n\r\n")
    with caplog.at_level(logging.DEBUG):
        try:
            client.channel.handle_read()
        except RuntimeError:
            client.channel.handle_error()
    assert "RuntimeError" in caplog.text and AWAY not in caplog.text
    assert not client.is_open
    assert AWAY not in repr(client.channel)


def test_no_log_line_of_waitress_names_what_was_asked_for(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """There may be a key in it."""

    def broken(environ: dict[str, Any], start: Any) -> list[bytes]:
        raise RuntimeError("ours")

    desk.server.application = broken
    with caplog.at_level(logging.DEBUG):
        told = desk.open().send(head("/c/a-key/prediccion", method="GET"))
    assert told.startswith(b"HTTP/1.1 500 ")
    assert caplog.records and "a-key" not in caplog.text
