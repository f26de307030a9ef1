"""A real server in real processes: started, asked over real sockets, and ended without a rest.

It must never leave a process behind, whatever a test did to it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil  # type: ignore[import-untyped]  # ships no types
from models_for_tests import EXAMPLE
from ports import free_port
from waiting import PATIENCE_S as PATIENCE_S
from waiting import wait_for as wait_for

from propensia.registry import Registry

ROOT = Path(__file__).resolve().parents[2]
READY_S = 300.0
STOP_S = 8.0
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8")

    def json(self) -> Any:
        """The body as JSON; a NaN or Infinity in it is an error, as it is for other parsers."""
        return json.loads(self.body, parse_constant=_no_constant)


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def query(changes: Mapping[str, str | None] | None = None) -> str:
    """The documented query, with some texts changed; ``None`` leaves a parameter out."""
    texts = EXAMPLE | dict(changes or {})
    return "&".join(f"{quote(k)}={quote(v)}" for k, v in texts.items() if v is not None)


def prediccion(changes: Mapping[str, str | None] | None = None) -> str:
    """The documented address, with some texts changed."""
    return f"/prediccion?{query(changes)}"


def propensia_command(port: int, server: str = "granian") -> list[str]:
    """The command line of ``propensia serve``."""
    return [sys.executable, "-m", "propensia", "serve", "--port", str(port), "--server", server]


class Place:
    """The folders of one installation: state, models, and the output of its servers."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.state = base / "estado"
        self.models = base / "modelos"
        self.output = base / "salida"
        for folder in (self.state, self.models, self.output):
            folder.mkdir(parents=True, exist_ok=True)
        self.registry = Registry(self.state)
        self.registry.prepare()

    def environment(self, **settings: object) -> dict[str, str]:
        """The environment of a server or command here; nothing of the outer settings."""
        kept = {k: v for k, v in os.environ.items() if not k.upper().startswith("PROPENSIA_")}
        chosen = {
            "models": self.models,
            "state": self.state,
            "poll_seconds": POLL_S,
            "workers": 2,
        } | settings
        return (
            kept
            | {f"PROPENSIA_{name.upper()}": str(value) for name, value in chosen.items()}
            | {"PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
        )

    def run(self, *arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
        """Run a command of the program to its end."""
        return subprocess.run(
            [sys.executable, "-m", "propensia", *arguments],
            cwd=ROOT,
            env=self.environment(**settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=READY_S,
            check=False,
        )

    def noted_keeper(self) -> int:
        """The process of the keeper that told last that it lives; -1 where none ever did."""
        with contextlib.suppress(OSError, ValueError):
            note = json.loads((self.state / "keeper.json").read_text(encoding="utf-8"))
            return int(note["pid"])
        return -1

    # The folder, as an analyst sees it

    def drop(self, name: str, data: bytes, sidecar: Mapping[str, Any] | None = None) -> Path:
        """Copy a file into the models folder, its sidecar first."""
        path = self.models / name
        if sidecar is not None:
            path.with_suffix(".json").write_text(json.dumps(sidecar), encoding="utf-8")
        path.write_bytes(data)
        return path

    def state_text(self, name: str) -> str:
        """The text beside a dropped file; empty while there is none."""
        with contextlib.suppress(FileNotFoundError):
            return (self.models / f"{name}.estado.txt").read_bytes().decode("utf-8")
        return ""

    def word(self, name: str) -> str:
        """The first word beside a dropped file."""
        return (self.state_text(name).split() or [""])[0]

    def wait_word(self, name: str, *words: str, seconds: float = PATIENCE_S) -> str:
        """The text beside a file once it starts with one of ``words``."""
        wait_for(
            lambda: self.word(name) in words, f"{name} {words}: {self.state_text(name)}", seconds
        )
        return self.state_text(name)

    def looks(self, count: int = 6) -> None:
        """Let the keeper look at the folder some times more, and change its mind if it would."""
        time.sleep(POLL_S * count)


class Server:
    """A server that runs; ask it with ``get``, end it with ``stop``."""

    def __init__(self, place: Place, command: list[str], port: int, **settings: object) -> None:
        self.place = place
        self.port = port
        self.log = place.output / f"{port}.txt"
        with self.log.open("ab") as out:
            self._popen = subprocess.Popen(
                command,
                cwd=ROOT,
                env=place.environment(port=port, **settings),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.process = psutil.Process(self._popen.pid)
        self._seen: set[psutil.Process] = set()

    def wait_ready(self, path: str = "/health/ready") -> Server:
        """Return once ``path`` answers 200; fail with the server's output if it ends before."""
        deadline = time.monotonic() + READY_S
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.get(path).status == 200:
                    self.processes()
                    return self
            assert self._popen.poll() is None, f"the server ended:\n{self.output()}"
            assert time.monotonic() < deadline, f"not ready:\n{self.output()}"
            time.sleep(0.05)

    def connection(self, timeout_s: float = 15.0) -> http.client.HTTPConnection:
        """A new keep-alive connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)

    def get(self, path: str, method: str = "GET", **headers: str) -> Reply:
        """One request on a connection of its own; ``accept_language=`` becomes a header."""
        with contextlib.closing(self.connection()) as connection:
            return ask(connection, path, method, **headers)

    def raw(self, data: bytes, timeout_s: float = 15.0) -> bytes:
        """What comes back for bytes on a socket, until the other side closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s) as stream:
            stream.settimeout(timeout_s)
            stream.sendall(data)
            parts = []
            with contextlib.suppress(ConnectionError):
                while part := stream.recv(65536):
                    parts.append(part)
            return b"".join(parts)

    def active(self) -> str:
        """The version that the answers name now."""
        return self.get(prediccion()).headers["x-propensia-version"]

    def wait_served(self, version: str, seconds: float = 60.0) -> None:
        """Return once answers name that version (with one worker: then all do)."""
        wait_for(lambda: self.active() == version, f"{version} is served", seconds)

    def settle(self) -> None:
        """Return once answers come from the release that was published last."""
        last = self.place.registry.current_number()
        wait_for(
            lambda: self.get(prediccion()).json()["publicacion"] >= last, f"release {last}", 30
        )

    def health(self) -> Any:
        """``GET /health`` as a dictionary."""
        return self.get("/health").json()

    def worker_pids(self) -> list[int]:
        """The processes that answer, as the server itself tells it."""
        return [worker["pid"] for worker in self.health()["trabajadores"]]

    def keeper_pid(self) -> int:
        """The process that watches the models folder, once it lives."""

        def look() -> int:
            pid = self.place.noted_keeper()
            return pid if psutil.pid_exists(pid) else 0

        return wait_for(look, "a living keeper", 30)

    def output(self) -> str:
        """Everything that the server printed."""
        return self.log.read_bytes().decode("utf-8", "replace")

    def processes(self) -> list[psutil.Process]:
        """The server and everything that it started and that still lives."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._seen.update([self.process, *self.process.children(recursive=True)])
        return [process for process in self._seen if lives(process)]

    def stop(self) -> list[psutil.Process]:
        """End the server as a service manager does, then whatever is left; returns what was."""
        everyone = self.processes()
        with contextlib.suppress(psutil.NoSuchProcess):
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(STOP_S)
        deadline = time.monotonic() + 3.0
        while any(map(lives, everyone)) and time.monotonic() < deadline:
            time.sleep(0.02)
        left = [process for process in everyone if lives(process)]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(STOP_S)
        return left


def lives(process: psutil.Process) -> bool:
    """Whether a process runs; one that ended and waits for its parent to notice does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def ask(
    connection: http.client.HTTPConnection, path: str, method: str = "GET", **headers: str
) -> Reply:
    """One request on a connection that stays open."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers=named)
    response = connection.getresponse()
    body = response.read()
    found = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, found, body)


@contextlib.contextmanager
def running(
    place: Place,
    command: Callable[[int], list[str]] = propensia_command,
    ready: str = "/health/ready",
    **settings: object,
) -> Iterator[Server]:
    """A server that answers ``ready`` with 200; it is ended on the way out, whatever happened."""
    port = free_port()
    server = Server(place, command(port), port, **settings)
    try:
        yield server.wait_ready(ready)
    finally:
        server.stop()
