"""Runs the application under waitress: one process, threads, pure Python.

It must never let a connection live on single bytes: waitress alone closes only silent ones.
"""

from __future__ import annotations

import select
import signal
import sys
import time
from typing import Any

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask
from waitress.utilities import BadRequest

from propensia.web.listen import (
    HEAD_LIMIT_BYTES,
    THREADS,
    Listen,
    allow_open_files,
    claim,
    load,
)

_SELECT_LIMIT = 480  # CPython's select() on Windows takes 512 sockets; the server needs a few


def run(target: str, listen: Listen) -> None:
    """Serve ``target`` ("module:factory") until Ctrl-C or SIGTERM.

    Raises ``ServerError`` if nothing can listen there, and whatever the factory raises.
    """
    address = claim(listen)
    allow_open_files(listen.connections)
    server = _Server(load(target), _adjustments(address, listen), listen)
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
        max_request_body_size=listen.body_limit_bytes,
        # select() cannot watch a file number above 1,023, which 1,000 connections reach.
        asyncore_use_poll=hasattr(select, "poll"),
        ident="",  # no Server header
        # Ours to judge: without them everybody behind a proxy would look like the proxy.
        clear_untrusted_proxy_headers=False,
    )


class _Refusal(ErrorTask):  # type: ignore[misc]  # waitress has no types
    """What waitress itself refuses: its own text would repeat what it was sent."""

    def execute(self) -> None:
        """Answer with the status and its name alone."""
        error = self.request.error
        # RFC 9112, 6.1 has 501 for a length in an unknown coding; that is the sender's fault.
        self.request.error = BadRequest("") if error.code == 501 else error
        self.request.error.body = ""
        super().execute()


class _Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """One connection, with a deadline for the request that it is to send."""

    error_task_class = _Refusal

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._free_since = time.monotonic()
        super().__init__(*args, **kwargs)

    def service(self) -> None:
        """Answer one request; the time for the next one starts at the end."""
        super().service()
        self._free_since = time.monotonic()

    def overdue(self, limits: Listen) -> bool:
        """Whether the client has had its time to send a head, or a body, and did not."""
        if self.requests or self.total_outbufs_len:
            return False  # the client waits for us
        request = self.request
        in_body = request is not None and request.headers_finished
        allowed_s = limits.body_timeout_s if in_body else limits.header_timeout_s
        return time.monotonic() - self._free_since > allowed_s


class _Server(TcpWSGIServer):  # type: ignore[misc]  # waitress has no types
    """Waitress with a deadline for whole heads and whole bodies."""

    channel_class = _Channel

    def __init__(self, app: Any, adjustments: Any, limits: Listen) -> None:
        self._limits = limits
        super().__init__(app, adj=adjustments)

    def maintenance(self, now: float) -> None:
        """Close what is overdue; waitress calls this every ``cleanup_interval``."""
        super().maintenance(now)
        for channel in self.active_channels.values():
            if channel.overdue(self._limits):
                channel.will_close = True
