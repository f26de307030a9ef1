"""Keys with real servers: what a command does reaches every process; no key is written down."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from guarded import copied
from ports import free_port
from server import (
    Place,
    Server,
    ask,
    prediccion,
    propensia_command,
    running,
    wait_for,
)

WITHIN_S = 2.0
CONNECTIONS = 30
"""New connections that ask at a time: with two workers, the chance that one of them answers none
is below one in five hundred million."""


@pytest.fixture
def place(admitted: Place, tmp_path: Path) -> Place:
    """An installation of its own, with a model."""
    return copied(admitted, tmp_path)


def keys(place: Place, *arguments: str) -> str:
    """What ``propensia keys`` prints to standard output: a key, or an address with one."""
    done = place.run("keys", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def statuses(server: Server, path: str, **headers: str) -> set[int]:
    """The statuses of many requests, each on a connection of its own."""
    return {server.get(path, **headers).status for _ in range(CONNECTIONS)}


@pytest.fixture(params=["granian", pytest.param("waitress", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest, place: Place) -> Iterator[Server]:
    """A server with two workers, or waitress with its one."""
    with running(place, partial(propensia_command, server=request.param)) as made:
        yield made


def test_what_is_done_to_a_key_reaches_every_worker_within_two_seconds(server: Server) -> None:
    place, path = server.place, prediccion()
    wait_for(lambda: len(server.worker_pids()), "a worker has left its note")
    assert "Claves:      no se piden" in server.output()
    assert statuses(server, path) == {200}, "on this machine, while there is no key"
    ana = keys(place, "create", "ana", "--role", "admin")
    assert statuses(server, path) == {401}
    told = place.run("doctor", four_eyes=True).stdout
    assert "arrancó con otros ajustes que los de aquí: four_eyes = False" in told
    assert statuses(server, path, x_api_key=ana) == {200}
    assert statuses(server, "/modelos", authorization=f"Bearer {ana}") == {200}

    crm = keys(place, "create", "crm", "--role", "caller", "--routes", "/prediccion, /health")
    assert statuses(server, path, x_api_key=crm) == {200}
    assert statuses(server, "/modelos", x_api_key=crm) == {403}
    old = keys(place, "create", "viejo", "--role", "caller", "--path", "--networks", "127.0.0.0/8")
    assert statuses(server, old + path.removeprefix("/prediccion")) == {200}

    keys(place, "revoke", "crm")
    began = time.monotonic()
    keys(place, "revoke", "viejo")
    time.sleep(max(0.0, WITHIN_S - (time.monotonic() - began)))
    assert statuses(server, path, x_api_key=crm) == {401}
    assert statuses(server, old + path.removeprefix("/prediccion")) == {401}
    assert statuses(server, path, x_api_key=ana) == {200}
    used = {line.split()[0]: line for line in keys(place, "list").splitlines()}
    assert all(" nunca " not in used[name] for name in ("ana", "crm", "viejo"))
    _is_nowhere(server, ana, crm, old.split("/")[2])


def _is_nowhere(server: Server, *texts: str) -> None:
    """No file of the service holds a key, nor what the server printed, nor any name of a file."""
    held = [path for path in server.place.base.rglob("*") if path.is_file()]
    written = b"\n".join([path.read_bytes() + str(path).encode() for path in held])
    assert server.log in held and len(texts) == 3
    for text in texts:
        assert len(text) == 56 and text[13:].encode() not in written


class Client(threading.Thread):
    """A program that asks without a rest, on a connection that stays open, with the key that it
    holds at the moment."""

    def __init__(self, server: Server, key: str) -> None:
        super().__init__(daemon=True)
        self._server = server
        self.key = key
        self.seen: list[tuple[str, int]] = []
        self._ended = threading.Event()

    def run(self) -> None:
        with contextlib.closing(self._server.connection()) as connection:
            while not self._ended.is_set():
                key = self.key
                status = ask(connection, prediccion(), x_api_key=key).status
                self.seen.append((key, status))
                time.sleep(0.002)

    def end(self) -> None:
        self._ended.set()
        self.join(20.0)
        assert not self.is_alive()


def test_a_client_that_changes_its_key_in_the_overlap_never_fails(server: Server) -> None:
    """The first change is at once, the second in the middle of the overlap; who keeps the old
    key is refused once that is over."""
    place = server.place
    wait_for(lambda: len(server.worker_pids()), "a worker has left its note")
    first = keys(place, "create", "crm", "--role", "caller")
    quick, slow, stubborn = clients = [Client(server, first) for _ in range(3)]
    for client in clients:
        client.start()
    new = keys(place, "rotate", "crm", "--overlap", "10s")
    quick.key = new
    time.sleep(1.0)
    slow.key = new
    wait_for(lambda: stubborn.seen[-1] == (first, 401), "the old key is over")
    for client in clients:
        client.end()
    for client in (quick, slow):
        assert {status for _, status in client.seen} == {200}
        assert {key for key, _ in client.seen} == {first, new}
    refused = [status for _, status in stubborn.seen]
    assert set(refused) == {200, 401} and refused == sorted(refused), "never good again"


def test_a_file_that_is_damaged_or_gone_opens_nothing(place: Place) -> None:
    ana = keys(place, "create", "ana", "--role", "admin")
    path = place.state / "access" / "keys.json"
    whole = path.read_bytes()
    with running(place, workers=1) as server:
        assert "se piden, en la cabecera X-API-Key; 1 vale" in server.output()

        def problems() -> str:
            return " ".join(server.get("/health", x_api_key=ana).json()["problemas"])

        wait_for(lambda: "claves" not in problems(), "all is well")
        for content, word in (
            (whole[: len(whole) // 2], "está dañado"),
            (None, "falta keys.json"),
        ):
            path.unlink() if content is None else path.write_bytes(content)
            wait_for(lambda word=word: word in problems(), f"/health says {word}")
            assert server.get(prediccion()).status == 401
            assert server.get(prediccion(), x_api_key=ana).status == 200
            for host in ("127.0.0.1", "0.0.0.0"):
                port = str(free_port())
                done = place.run("serve", "--host", host, "--port", port, "--insecure")
                assert done.returncode == 3
                assert word in done.stderr and "Traceback" not in done.stderr
        path.write_bytes(whole)
        wait_for(lambda: "claves" not in problems(), "the copy is taken in")
        assert ana[13:] not in server.output()


@pytest.mark.skipif(os.name != "posix", reason="gunicorn needs a POSIX system")
def test_a_worker_that_was_forked_follows_the_keys_even_if_it_refuses_everybody(
    place: Place,
) -> None:
    """The threads of the process that made the application do not come along."""
    keys(place, "create", "ana", "--role", "admin")
    port = free_port()
    bind = ["--bind", f"127.0.0.1:{port}", "--workers", "1", "--threads", "2"]
    command = [sys.executable, "-m", "gunicorn", "--preload", *bind, "deployment_flask:app"]
    server = Server(place, command, port)

    def status(**headers: str) -> int:
        with contextlib.suppress(OSError):  # it does not listen yet
            return server.get(prediccion(), **headers).status
        return 0

    try:
        wait_for(lambda: status() == 401, "it refuses")
        crm = keys(place, "create", "crm", "--role", "caller")
        wait_for(lambda: status(x_api_key=crm) == 200, "the new key is good", 10.0)
    finally:
        server.stop()
