"""Runs the application under waitress: one process, threads, pure Python.

It must never let a connection live on single bytes: waitress alone closes only silent ones. Nor
may it keep more of a body than its route takes: waitress gathers it before anybody is asked who
sends it.
"""

from __future__ import annotations

import logging
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from functools import partial
from typing import Any

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import ChunkedReceiver
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import BadRequest

from propensia.access.networks import is_loopback
from propensia.web import routes
from propensia.web.door import COOKIE
from propensia.web.listen import (
    HEAD_LIMIT_BYTES,
    THREADS,
    Listen,
    allow_open_files,
    claim,
    load,
)
from propensia.web.problems import trace
from propensia.web.routes import Bodies
from propensia.web.whole_requests import LONGEST_LENGTH

log = logging.getLogger(__name__)

MOST_UNFINISHED = 2
"""Bodies that are on their way may hold so many times the longest one, all together."""

_MEMORY_BYTES = 64 * 1024  # of each body; more goes to a file
_SELECT_LIMIT = 480  # CPython's select() on Windows takes 512 sockets; the server needs a few
_RECV_BYTES = 64 * 1024
_MOST_LEFTOVERS = 8  # reads of what a client sent beyond its request, before closing


def run(target: str, listen: Listen) -> None:
    """Serve ``target`` ("module:factory") until Ctrl-C or SIGTERM.

    Raises ``ServerError`` if nothing can listen there, and whatever the factory raises.
    """
    address = claim(listen)
    allow_open_files(listen.connections)
    server = Server(load(target), address, listen)
    # Services are stopped by SIGTERM; requests under way end as they do after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server.run()
    finally:
        server.close()


def _adjustments(address: str, listen: Listen) -> Any:
    limit = listen.connections
    if sys.platform == "win32":
        limit = min(limit, _SELECT_LIMIT)
    return Adjustments(
        host=address,
        port=listen.port,
        threads=THREADS,
        backlog=listen.backlog,
        connection_limit=limit,
        channel_timeout=max(1, round(listen.body_timeout_s)),
        cleanup_interval=1,
        max_request_header_size=HEAD_LIMIT_BYTES,
        # With all that is between chunks; what a route takes is asked in the parser.
        max_request_body_size=2 * listen.bodies.longest,
        inbuf_overflow=_MEMORY_BYTES,
        # select() cannot watch a file number above 1,023, which 1,000 connections reach.
        asyncore_use_poll=hasattr(select, "poll"),
        ident="",  # no Server header
        # Ours to judge: without them everybody behind a proxy would look like the proxy.
        clear_untrusted_proxy_headers=False,
    )


class _Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """Reads one request, and no more of its body than the application is going to look at.

    A body that is too long is left: the application gets the request without it, refuses it in its
    own words, and the connection is closed, as nobody knows where the next request begins.
    """

    path = ""  # of what cannot be read; waitress expects one
    completed: bool

    def __init__(self, bodies: Bodies, is_near: bool, adj: Any) -> None:
        """``is_near``: sent from this machine, where no key may be needed."""
        super().__init__(adj)
        self._bodies = bodies
        self._is_near = is_near
        self._limit = 0
        self._left = False

    def received(self, data: bytes) -> int:
        """Take in some bytes; how many of them were of this request."""
        count: int = super().received(data)
        body = self.body_rcv
        if isinstance(body, ChunkedReceiver) and not self.completed:
            if len(body.control_line) + len(body.trailer) > HEAD_LIMIT_BYTES:
                self.error = BadRequest("")
                self.completed = True
            elif len(body) > self._limit:
                self._leave()
                self.completed = True
        if self.error:
            self.expect_continue = False  # waitress would ask for the body of what it refuses
        return len(data) if self._left else count

    def parse_header(self, header_plus: bytes) -> None:
        """Read a whole head. Raises ``ParsingError`` and what else waitress answers 4xx to."""
        try:
            super().parse_header(header_plus)
        except ValueError:  # of an address that is none, or of a number with thousands of digits
            raise ParsingError("") from None
        length = self.headers.get("CONTENT_LENGTH", "")
        # Framed in two ways, or in one that HTTP/1.0 does not have (RFC 9112, 6.1 and 6.3).
        if (self.chunked and length) or "TRANSFER_ENCODING" in self.headers:
            raise ParsingError("")
        if len(length) > LONGEST_LENGTH:
            raise ParsingError("")
        if self.body_rcv is not None:
            self._limit = self._allowed()
            if self._limit == 0 or self.content_length > self._limit:
                self._leave()

    def _allowed(self) -> int:
        """How long a body may be here; 0 for a large one of a stranger, who is refused anyway."""
        route = routes.find(self.command, self.path)
        if route is not None and route.body == "file" and not (self._is_near or self._shows_key()):
            return 0
        return self._bodies.limit(route)

    def _shows_key(self) -> bool:
        headers = self.headers
        return (
            "X_API_KEY" in headers
            or "AUTHORIZATION" in headers
            or COOKIE in headers.get("COOKIE", "")
        )

    def _leave(self) -> None:
        """Read no body, and nothing after it."""
        if self.chunked:  # its length, which waitress would have written down at its end
            self.headers["CONTENT_LENGTH"] = str(self._limit + 1)
        self.close()
        self.body_rcv = None
        self.content_length = 0
        self.expect_continue = False
        self.headers["CONNECTION"] = "close"
        self._left = True


class _Answer(WSGITask):  # type: ignore[misc]  # waitress has no types
    """The application's answer."""

    def get_environment(self) -> dict[str, Any]:
        """What the application gets."""
        environ: dict[str, Any] = super().get_environment()
        path = self.request.path
        if path.startswith("//"):  # waitress would take it for another name of the same route
            environ["PATH_INFO"] = path
        self.request.path = ""  # its log lines would name it, and there may be a key in it
        return environ


class _Refusal(ErrorTask):  # type: ignore[misc]  # waitress has no types
    """What waitress itself refuses: its own text would repeat what it was sent."""

    def execute(self) -> None:
        """Answer with the status alone."""
        error = self.request.error
        self.status = f"{error.code} {error.reason}"
        # RFC 9112, 6.1 has 501 for a length in an unknown coding; that is the sender's fault. So
        # is what is between chunks, if that is too long: no route would take less of it.
        if error.code in (413, 501):
            self.status = "400 Bad Request"
        self.set_close_on_finish()
        self.content_length = 0
        self.write(b"")


class _Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """One connection, with a deadline for the request that it is to send."""

    task_class = _Answer
    error_task_class = _Refusal

    def __init__(self, server: Server, sock: Any, address: Any, adj: Any, map: Any = None) -> None:
        self._free_since = time.monotonic()
        self.parser_class = partial(_Parser, server.bodies, is_loopback(address[0]))
        super().__init__(server, sock, address, adj, map=map)

    def __repr__(self) -> str:
        """Without the client's address, since waitress writes this into its log."""
        return "<connection>"

    def service(self) -> None:
        """Answer one request; the time for the next one starts at the end."""
        super().service()
        self._free_since = time.monotonic()

    def handle_close(self) -> None:
        """Close; bytes left unread would make the system throw away the answer too."""
        if self.connected:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
                for _ in range(_MOST_LEFTOVERS):
                    if not self.socket.recv(_RECV_BYTES):
                        break
        if self.request is not None:
            self.request.close()  # its file, which waitress would leave to the collector
        super().handle_close()

    def handle_error(self) -> None:
        """Close after an error of ours; waitress would write down the client's address."""
        error = sys.exc_info()[1]
        log.error("a connection failed: %s", "" if error is None else trace(error))
        self.handle_close()

    @property
    def since(self) -> float:
        """When the time for the request that is on its way began, on the monotonic clock."""
        return self._free_since

    @property
    def held_bytes(self) -> int:
        """How much is here of a body that is on its way."""
        body = None if self.request is None else self.request.body_rcv
        return 0 if body is None else len(body)

    def overdue(self, limits: Listen) -> bool:
        """Whether the client has had its time to send a head, or a body, and did not."""
        if self.requests or self.total_outbufs_len:
            return False  # the client waits for us
        request = self.request
        in_body = request is not None and request.headers_finished
        allowed_s = limits.body_timeout_s if in_body else limits.header_timeout_s
        return time.monotonic() - self._free_since > allowed_s


class Server(TcpWSGIServer):  # type: ignore[misc]  # waitress has no types
    """Waitress with a deadline for whole heads and whole bodies, and a limit to all of them."""

    channel_class = _Channel

    def __init__(self, app: Any, address: str, limits: Listen) -> None:
        """``address``: the numeric one of ``limits.host``."""
        self._limits = limits
        self.bodies = limits.bodies
        super().__init__(app, adj=_adjustments(address, limits))

    def maintenance(self, now: float) -> None:
        """Close what is overdue, and the oldest bodies where all together hold too much: waitress
        calls this every ``cleanup_interval``."""
        super().maintenance(now)
        channels = list(self.active_channels.values())
        for channel in channels:
            if channel.overdue(self._limits):
                channel.will_close = True
        too_much = sum(channel.held_bytes for channel in channels)
        too_much -= MOST_UNFINISHED * self.bodies.longest
        for channel in sorted(channels, key=lambda channel: channel.since):
            if too_much <= 0:
                break
            if channel.held_bytes:
                channel.will_close = True
                too_much -= channel.held_bytes
