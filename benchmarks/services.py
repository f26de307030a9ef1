"""Starts and stops the measured services and weighs them.

It must never leave a process of theirs behind.
"""

import contextlib
import http.client
import os
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # psutil ships no types

ROOT = Path(__file__).resolve().parents[1]

_MARK = "BENCHMARK_TREE"
"""Set in a service's environment: its processes are found even if they outlive their parent."""


class ServiceError(RuntimeError):
    """A service did not start, or ended early; the message ends with its own last lines."""


@dataclass(frozen=True, slots=True)
class Service:
    """How to start a service.

    `{port}` in the command and the environment stands for the port it must listen on.
    """

    name: str
    command: Sequence[str]
    ready_path: str
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = ROOT


@dataclass(frozen=True, slots=True)
class Running:
    """A started service."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    mark: str

    def tree(self) -> list[psutil.Process]:
        """Every process of the service that lives now."""
        marked = [process for process in psutil.process_iter() if _marked(process, self.mark)]
        found = set(marked)
        for process in marked:  # a child may have been given an environment without the mark
            with contextlib.suppress(psutil.NoSuchProcess):
                found.update(process.children(recursive=True))
        return list(found)

    def memory_bytes(self) -> int:
        """Proportional memory (PSS) of the whole process tree.

        Where the system has no PSS: unshared memory (USS), which is a little less.
        """
        total = 0
        for process in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                info = process.memory_full_info()
                total += getattr(info, "pss", info.uss)
        return total


def _marked(process: psutil.Process, mark: str) -> bool:
    try:
        return bool(process.environ().get(_MARK) == mark)
    except (psutil.Error, OSError):
        return False


def clean_environment() -> dict[str, str]:
    """This process's environment without settings of Propensia: its defaults are measured."""
    return {key: text for key, text in os.environ.items() if not key.startswith("PROPENSIA_")}


def server_cores() -> list[int]:
    """The core for one-worker servers: the first; none where processes cannot be pinned."""
    return sorted(os.sched_getaffinity(0))[:1] if hasattr(os, "sched_getaffinity") else []


def client_cores() -> list[int]:
    """The core for the client: the last; none where processes cannot be pinned."""
    return sorted(os.sched_getaffinity(0))[-1:] if hasattr(os, "sched_getaffinity") else []


@contextlib.contextmanager
def _pinned(cores: Sequence[int]) -> Iterator[None]:
    """What is started inside inherits these cores, from its first instruction.

    No cores means no change.
    """
    if not cores or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def started(
    service: Service, cores: Sequence[int] = (), timeout_s: float = 120.0
) -> Iterator[Running]:
    """The service, answering 200 on its ready path; all its processes are ended on the way out.

    `ServiceError` if it ends or is not ready in time.
    """
    port, mark = _free_port(), uuid.uuid4().hex
    environment = {key: text.format(port=port) for key, text in service.environment.items()}
    with tempfile.TemporaryFile() as log:
        with _pinned(cores):
            process = subprocess.Popen(
                [part.format(port=port) for part in service.command],
                cwd=service.folder,
                env=clean_environment() | environment | {_MARK: mark},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        running = Running(service.name, port, process, mark)
        try:
            if not _answers(running, service.ready_path, timeout_s):
                log.seek(0)
                last = log.read().decode("utf-8", "replace")[-2000:]
                raise ServiceError(f"{service.name} ended, or was not ready in time:\n{last}")
            yield running
        finally:
            _stop(running)


def cold_start_s(service: Service, first_path: str) -> float:
    """Seconds from launching the service to its first 200 on `first_path`, unpinned."""
    since = time.perf_counter()
    with started(replace(service, ready_path=first_path)):
        return time.perf_counter() - since


def status_of(port: int, path: str) -> int:
    """The HTTP status of one GET over a new connection; 0 when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _answers(running: Running, path: str, timeout_s: float) -> bool:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and running.process.poll() is None:
        if status_of(running.port, path) == 200:
            return True
        time.sleep(0.01)
    return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _stop(running: Running) -> None:
    """Ask the parent to end, wait, then end whatever is left of the tree."""
    before = running.tree()
    running.process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.process.wait(10)
    left = {*before, *running.tree()}
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=10)
    running.process.wait(10)
