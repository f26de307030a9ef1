"""What every WSGI server is told: where to listen, how many at once, and how long to wait.

It must never listen itself, and never load the application in the process that supervises workers.
"""

from __future__ import annotations

import errno
import importlib
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from propensia.web.routes import Bodies

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Any]

HEAD_LIMIT_BYTES = 64 * 1024
"""Longest request head (request line and headers) that is read; granian, which looks only
between two reads, may take up to about twice as much."""

THREADS = 16
"""Threads that run Python, per worker. Requests that wait for a place or for a body hold one each,
so there are more than run at a time (``waiting``); each further one costs everybody time, as they
take turns with one interpreter (``python -m benchmarks surface``)."""

SPARE_FILES = 200
"""Open files that a worker needs besides its connections: models, journal, threads."""


class ServerError(Exception):
    """The server cannot run here; the text tells the person at the console why and what to do."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where and how a server listens. Times in seconds, sizes in bytes.

    ``connections`` is the most that one worker holds open; more wait in ``backlog``, the queue of
    the operating system. ``header_timeout_s`` runs from the opening of a connection (or from its
    last answer) to the end of a request head, whatever arrives in between. ``body_timeout_s`` is
    the same for a body, where the server can keep it (waitress; under the others there is a limit
    to how many slow bodies there are at a time, ``whole_requests``). ``bodies`` is for a server
    that gathers them itself, before anybody knows who sends them (waitress). ``certificate``: the
    files of a certificate and of its key, for TLS; ``None`` for plain HTTP.
    """

    host: str
    port: int
    workers: int = 1
    header_timeout_s: float = 10
    body_timeout_s: float = 60
    bodies: Bodies = field(default_factory=Bodies)
    connections: int = 1000
    backlog: int = 1024
    certificate: tuple[Path, Path] | None = None


def load(target: str) -> WsgiApp:
    """The WSGI application that the factory named by ``target`` ("module:factory") makes."""
    module, _, factory = target.partition(":")
    return cast(WsgiApp, getattr(importlib.import_module(module), factory)())


def claim(listen: Listen) -> str:
    """The numeric address of ``listen.host``, whose port is free at this moment.

    Granian shares its port with any other granian of the same user on Linux (SO_REUSEPORT), so a
    second server would start without an error and take half of the requests: a socket without
    that option tells the truth.

    Raises ``ServerError`` if the address is unknown or not ours, or the port is taken or not
    allowed.
    """
    where = f"{listen.host}:{listen.port}"
    try:
        found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            if sys.platform == "win32":
                # There, SO_REUSEADDR would let the probe steal a port that is in use.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                # Connections of the previous run, still closing, do not count.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise ServerError(_why_not(error, where)) from error
    return str(address[0])


def _why_not(error: OSError, where: str) -> str:
    """In Spanish, then in English: why nobody can listen at ``where``, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"{where} ya está en uso por otro programa: ciérrelo o elija otro puerto "
            f"(PROPENSIA_PORT). / {where} is in use by another program: stop it or choose "
            "another port."
        )
    if error.errno == errno.EACCES:
        return (
            f"No hay permiso para escuchar en {where}: elija un puerto de 1024 o más "
            f"(PROPENSIA_PORT). / No right to listen at {where}: choose a port of 1024 or more."
        )
    return (
        f"No se puede escuchar en {where} ({error.strerror or error}): esa dirección no es de "
        f"esta máquina; revise PROPENSIA_HOST. / Cannot listen at {where}: not an address of "
        "this machine."
    )


def allow_open_files(count: int) -> None:
    """Raise this process's limit of open files to ``count`` plus its own needs, as far as allowed.

    Linux services often start with 1,024, fewer than the connections that we accept; an accept
    that fails for want of a file would stop everybody. Windows has no such limit.
    """
    if sys.platform == "win32":
        return
    import resource  # POSIX only

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + SPARE_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
