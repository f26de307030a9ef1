"""Runs the application under granian, the default server on both systems.

It must never give up while a worker can still be brought back, and never leave workers behind.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from functools import partial
from typing import Any

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import MPServer

from propensia.web.listen import (
    HEAD_LIMIT_BYTES,
    THREADS,
    Listen,
    ServerError,
    WsgiApp,
    allow_open_files,
    claim,
    load,
)

_log = logging.getLogger(__name__)

STOP_S = 5
"""How long a stopping worker may take to end its requests before it is killed."""

_LOAD_FAILED = 78  # the exit code of a worker whose application cannot be made
_SETTLE_S = 1.0  # a worker that lived less than this is not replaced sooner than after this


def run(target: str, listen: Listen) -> None:
    """Serve ``target`` ("module:factory") until Ctrl-C or SIGTERM.

    Raises ``ServerError`` if nothing can listen there, or if no worker could make the application.
    """
    address = claim(listen)
    allow_open_files(listen.connections)
    multiprocessing.set_start_method(_way_to_start(), force=True)
    server = _Server(address, listen)
    loader = partial(_load_in_worker, target, listen, server.loaded)
    server.serve(target_loader=loader, wrap_loader=False)
    if server.load_failed:
        raise ServerError(
            "La aplicación no pudo arrancar; la causa está en las líneas anteriores. / "
            "The application could not start; the cause is in the lines above."
        )


def _way_to_start() -> str:
    """How workers come about: forked, they share what this small process has loaded; but a child
    of a process that has loaded ONNX Runtime or has threads can hang, and Windows knows no fork.
    """
    alone = "onnxruntime" not in sys.modules and threading.active_count() == 1
    return "fork" if sys.platform == "linux" and alone else "spawn"


class _Server(MPServer):
    """Granian with our rule for dead workers.

    Its own rule ends the whole server when one worker dies twice within 5.5 s, and may miss a
    death that happens while it replaces another worker. Ours compares what should run with what
    runs, and stops only if no worker could ever make the application.
    """

    def __init__(self, address: str, listen: Listen) -> None:
        self.loaded = multiprocessing.Event()
        self.load_failed = False
        self._pid = os.getpid()
        certificate, key = listen.certificate or (None, None)
        super().__init__(
            "",  # the loader knows the target
            address=address,
            port=listen.port,
            interface=Interfaces.WSGI,
            workers=1 if sys.platform == "win32" else listen.workers,
            blocking_threads=THREADS,
            # Only in this mode does the deadline hold for connections that send nothing at all.
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(
                header_read_timeout=round(listen.header_timeout_s * 1000),
                max_buffer_size=HEAD_LIMIT_BYTES,
            ),
            websockets=False,
            backlog=listen.backlog,
            backpressure=listen.connections,
            log_level=LogLevels.error,  # its warnings are about the number of threads
            log_access=False,  # an address holds personal data
            workers_kill_timeout=STOP_S,
            ssl_cert=certificate,
            ssl_key=key,
            ssl_protocol_min=SSLProtocols.tls12,  # what callers of ten years ago speak
        )

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Stop. Ctrl-C reaches the workers too: their end is expected from now on.

        A forked worker has this handler until its application is made. It has nothing to end yet:
        if it only took a note of the signal, it would go on until it is killed.
        """
        if os.getpid() != self._pid:
            os._exit(1)
        for worker in self.wrks:
            worker.interrupt_by_parent = True
        super().signal_handler_interrupt(*args, **kwargs)  # type: ignore[no-untyped-call]

    def _serve_loop(self, spawn_target: Any, target_loader: Any) -> None:
        while not self.interrupt_signal:
            self.main_loop_interrupt.wait(timeout=1)
            self.main_loop_interrupt.clear()
            dead = [worker for worker in self.wrks if not worker.is_alive()]  # type: ignore[no-untyped-call]
            if not dead or self.interrupt_signal:
                continue
            failed = any(worker.inner.exitcode == _LOAD_FAILED for worker in dead)
            if failed and not self.loaded.is_set():
                self.load_failed = True
                break
            if any(time.monotonic() - worker.birth < _SETTLE_S for worker in dead):
                self.main_loop_interrupt.wait(timeout=_SETTLE_S)
            if not self.interrupt_signal:
                self._respawn_workers([w.idx for w in dead], spawn_target, target_loader)
        self.interrupt_children.clear()  # or granian would end this process with code 1


def _load_in_worker(target: str, listen: Listen, loaded: Any) -> WsgiApp:
    """The application, made inside a worker process; ``loaded`` says that it can be made."""
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    try:
        app = load(target)
    except Exception:
        _log.exception("worker could not make the application")
        sys.exit(_LOAD_FAILED)
    loaded.set()
    return _ours(app)


def _ours(app: WsgiApp) -> WsgiApp:
    """``app`` with our name in its answers, not granian's, which has no setting for that.

    Each body is handed over as a list: any other iterable would be handed on part by part, and
    hold its thread for as long as the client takes to read (measured with 2.8.7).
    """

    def named(environ: dict[str, Any], start_response: Any) -> Any:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, [*headers, ("Server", "Propensia")], exc_info)

        body = app(environ, start)
        if isinstance(body, list):
            return body
        try:
            return list(body)
        finally:
            if hasattr(body, "close"):
                body.close()

    return named


def _stop_with_parent() -> None:
    """Wait for the end of the supervising process, however it ends, then end this worker.

    A worker left behind would hold the port, and no new server could start.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)  # a graceful stop on Linux, the end on Windows
    time.sleep(STOP_S)
    os._exit(1)
