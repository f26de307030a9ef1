"""Runs the application under gunicorn's threads, on Linux.

It must never be imported on Windows, where gunicorn does not exist, and never give a thread to a
connection whose request head is not complete.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import ssl
import sys
import time
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

from gunicorn.app.base import BaseApplication
from gunicorn.http import get_parser, wsgi
from gunicorn.http.errors import LimitRequestHeaders, ParseException
from gunicorn.sock import ssl_context
from gunicorn.util import write_nonblock
from gunicorn.workers.gthread import ThreadWorker

from propensia.access.networks import is_loopback
from propensia.web.listen import (
    HEAD_LIMIT_BYTES,
    THREADS,
    Listen,
    ServerError,
    allow_open_files,
    claim,
    load,
)

STOP_S = 5
"""How long a stopping worker may take to end its requests before it is killed."""

_RECV_BYTES = 16 * 1024
_MOST_LEFTOVERS = 8  # reads of what a client sent beyond its request, before closing
_DRAIN_S = 0.01
_TOO_LONG = "431 Request Header Fields Too Large"


def run(target: str, listen: Listen) -> None:
    """Serve ``target`` ("module:factory") until Ctrl-C or SIGTERM; each worker makes its own.

    Raises ``ServerError`` if nothing can listen there, or if a worker could not make the
    application.
    """
    address = claim(listen)
    allow_open_files(listen.connections)
    wsgi.SERVER = "Propensia"  # the name in its answers, for which it has no setting
    if not is_loopback(address):
        print(
            "Aviso: gunicorn no se defiende de quien lee o envía contenidos muy despacio; en una "
            "dirección pública ponga delante un proxy (nginx) o use --server granian.",
            file=sys.stderr,
        )
    supervisor = os.getpid()
    try:
        _Application(target, address, listen).run()
    except SystemExit as end:
        if os.getpid() != supervisor:
            _leave(end.code)  # a worker; only the supervisor may go on after this function
        if end.code:
            raise ServerError(
                "gunicorn se detuvo porque un trabajador no pudo arrancar; la causa está en las "
                "líneas anteriores. / A gunicorn worker could not start; see the lines above."
            ) from end


def _leave(code: Any) -> NoReturn:
    """End a worker at once, with its exit code.

    A worker is a fork of a process that may have loaded ONNX Runtime, whose destructors wait for
    threads that only that process has: the ordinary end hangs or aborts.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1 if code else 0)


class _Application(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """Our settings and nothing else: no command line, no gunicorn files, no environment."""

    def __init__(self, target: str, address: str, listen: Listen) -> None:
        self._target, self._address, self._listen = target, address, listen
        super().__init__()

    def load_config(self) -> None:
        listen = self._listen
        host = f"[{self._address}]" if ":" in self._address else self._address
        settings = {
            "bind": f"{host}:{listen.port}",
            "workers": listen.workers,
            "worker_class": _worker_class(listen.header_timeout_s),
            "threads": THREADS,
            "worker_connections": listen.connections,
            "backlog": listen.backlog,
            "keepalive": max(1, round(listen.header_timeout_s)),
            "graceful_timeout": STOP_S,
            "limit_request_line": 0,  # the head as a whole has a limit
            "loglevel": "warning",
            "accesslog": None,  # an address holds personal data
            "control_socket_disable": True,
            # Nobody's word changes the address or the scheme of a request: the door decides.
            "forwarded_allow_ips": "",
            "forwarder_headers": "",
        }
        if listen.certificate is not None:
            certificate, key = map(str, listen.certificate)
            settings |= {"certfile": certificate, "keyfile": key}
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return load(self._target)


def _worker_class(header_timeout_s: float) -> type[ThreadWorker]:
    """The worker with its deadline; gunicorn makes workers itself and passes no more."""
    return type("HeadFirstWorker", (HeadFirstWorker,), {"header_timeout_s": header_timeout_s})


def _answer(sock: Any, status: str) -> None:
    """Send an answer without a body; gunicorn's own has a page in English."""
    with suppress(OSError):
        write_nonblock(
            sock, f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()
        )


class _Head:
    """A request head on its way: the bytes so far, and when it must be whole."""

    __slots__ = ("data", "deadline", "watched")

    def __init__(self, data: bytes, timeout_s: float) -> None:
        self.data = bytearray(data)
        self.deadline = time.monotonic() + timeout_s
        self.watched = False


class HeadFirstWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Gunicorn's thread worker, but its main loop gathers each request head.

    The original hands a connection to a thread at its first byte, and the thread waits for the
    rest for ever: as many slow clients as threads stop the worker. Every path of the original to
    its threads goes through ``enqueue_req``, in the main loop.
    """

    header_timeout_s = 10.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._heads: dict[Any, _Head] = {}
        self._tls = ssl_context(self.cfg) if self.cfg.is_ssl else None

    def enqueue_req(self, conn: Any) -> None:
        """Take a connection that is to send a request; a thread gets it when the head is whole."""
        if conn.parser is None:
            if self._tls is not None and not self._secure(conn, self._tls):
                return
            conn.parser = get_parser(self.cfg, conn.sock, conn.client)
        conn.sock.setblocking(False)
        head = _Head(conn.parser.unreader.take_buffered(), self.header_timeout_s)
        self._heads[conn] = head
        if head.data and self._dispatch(conn, head):
            return  # pipelined, and already here
        self._gather(conn, conn.sock)

    def _secure(self, conn: Any, tls: ssl.SSLContext) -> bool:
        """Speak TLS from now on; the handshake is part of the head, and has its deadline. The
        original would wait for it in a thread."""
        try:
            conn.sock = tls.wrap_socket(conn.sock, server_side=True, do_handshake_on_connect=False)
        except OSError:  # the client is gone already
            self.nr_conns -= 1
            conn.close()
            return False
        return True

    def murder_pending(self) -> None:
        """Close what is overdue; the original calls this about once a second."""
        super().murder_pending()
        now = time.monotonic()
        for conn in [conn for conn, head in self._heads.items() if head.deadline < now]:
            self._drop(conn)

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Take back a connection from a thread; close at once one that is done.

        The original waits in the main loop, up to 2 s, for each client to close first.
        """
        if fs.cancelled() or fs.exception() is not None or fs.result():
            super().finish_request(conn, fs)
            return
        self.nr_conns -= 1
        with suppress(OSError):
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            # Bytes left unread would make the system throw away the answer too.
            for _ in range(_MOST_LEFTOVERS):
                if not conn.sock.recv(_RECV_BYTES):
                    break
        conn.close()

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        # The original keeps the thread up to 5 s for a body that the application left unread.
        return bool(keepalive and conn.parser.finish_body(time.monotonic() + _DRAIN_S))

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer 400, 431 or 500; the original logs and echoes the address, personal data."""
        if isinstance(exc, LimitRequestHeaders):
            _answer(client, _TOO_LONG)
        elif isinstance(exc, ParseException):
            _answer(client, "400 Bad Request")
        else:
            _answer(client, "500 Internal Server Error")
            self.log.error("a request failed: %s", type(exc).__name__)

    def _gather(self, conn: Any, sock: Any) -> None:
        head = self._heads[conn]
        try:
            data = sock.recv(_RECV_BYTES)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError):
            data = None
        except OSError:
            data = b""
        if data == b"":
            self._drop(conn)
            return
        if data:
            head.data += data
            if self._dispatch(conn, head):
                return
        if not head.watched:
            head.watched = True
            self.poller.register(sock, selectors.EVENT_READ, partial(self._gather, conn))

    def _dispatch(self, conn: Any, head: _Head) -> bool:
        """Pass a whole head to a thread, or refuse one that is too long; ``False`` if neither."""
        # Blank lines before a request are allowed, and must not pass for the end of its head.
        data = bytes(head.data).lstrip(b"\r\n")
        if b"\r\n\r\n" in data:
            self._forget(conn, head)
            conn.parser.unreader.unread(data)
            conn.data_ready = True
            super().enqueue_req(conn)
            return True
        if len(data) > HEAD_LIMIT_BYTES:
            _answer(conn.sock, _TOO_LONG)
            self._drop(conn)
            return True
        return False

    def _forget(self, conn: Any, head: _Head) -> None:
        del self._heads[conn]
        if head.watched:
            self.poller.unregister(conn.sock)

    def _drop(self, conn: Any) -> None:
        self._forget(conn, self._heads[conn])
        self.nr_conns -= 1
        conn.close()
