"""Chooses the WSGI server and how many workers it has.

It must never import a server that does not exist on this system.
"""

from __future__ import annotations

import os
import sys

from propensia.web import granian_server
from propensia.web.listen import Listen, ServerError

__all__ = ["SERVERS", "Listen", "ServerError", "default_workers", "run"]

SERVERS = ("granian", "gunicorn", "waitress")

WORKER_BYTES = 256 * 1024 * 1024
"""Memory to plan for one worker, which holds two models during a swap, with room for forests
larger than that of ``python -m benchmarks --only memory-forest``."""

MOST_WORKERS = 8


def run(server: str, target: str, listen: Listen) -> None:
    """Serve the application that ``target`` ("module:factory") makes, until Ctrl-C or SIGTERM.

    ``server`` is one of ``SERVERS``. Raises ``ServerError``, with a sentence for the console, if
    the server does not exist on this system, its address cannot be used, or its workers cannot
    start.
    """
    if server == "granian":
        granian_server.run(target, listen)
    elif server == "waitress":
        from propensia.web import waitress_server  # only who asks for it pays for it

        waitress_server.run(target, listen)
    elif server == "gunicorn" and sys.platform != "win32":
        from propensia.web import gunicorn_server  # gunicorn does not exist on Windows

        gunicorn_server.run(target, listen)
    else:
        raise ServerError(
            f"El servidor {server} no existe en este sistema; use granian o waitress. / "
            f"There is no server {server} on this system; use granian or waitress."
        )


def default_workers(server: str, free_bytes: int | None = None) -> int:
    """How many workers fit this machine: one per core, from 1 to ``MOST_WORKERS``.

    ``free_bytes`` is the memory that workers may take, if known; each is counted as
    ``WORKER_BYTES``.
    Waitress is one process, and so is granian on Windows, where its threads carry the load.
    """
    if server == "waitress" or sys.platform == "win32":
        return 1
    fitting = MOST_WORKERS if free_bytes is None else free_bytes // WORKER_BYTES
    cores = len(os.sched_getaffinity(0))
    return max(1, min(cores, fitting, MOST_WORKERS))
