"""The journal under real servers: whatever dies, every answer that went out is in it once.

The database is away all the time, so that nothing is shipped and removed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest
from guarded import copied
from journal_files import read_all
from server import Place, Server, ask, lives, prediccion, propensia_command, running, wait_for

from propensia import heartbeat
from propensia.journal import reader, writer

AWAY = "postgresql://nobody@127.0.0.1:1/nothing"
SERVERS = ("granian", "gunicorn", "waitress")
by_server = pytest.mark.parametrize("name", SERVERS)


@pytest.fixture
def place(admitted: Place, tmp_path: Path) -> Place:
    """An installation of this test's own."""
    return copied(admitted, tmp_path)


def command(name: str) -> partial[list[str]]:
    if name == "gunicorn" and sys.platform == "win32":
        pytest.skip("gunicorn needs a POSIX system")
    return partial(propensia_command, server=name)


class Calls:
    """What callers were told, one thread each, until the block ends."""

    def __init__(self, server: Server, callers: int = 4) -> None:
        self.answered: list[str] = []
        self.refused: list[dict[str, Any]] = []
        self.lost = 0
        self._server = server
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._call, args=(number,)) for number in range(callers)
        ]

    def __enter__(self) -> Calls:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *ignored: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(20)

    def _call(self, number: int) -> None:
        chance = random.Random(number)
        connection = self._server.connection()
        while not self._end.is_set():
            row = prediccion(
                {"im": f"{chance.randrange(30000) / 100:.2f}", "ref": f"zq7 {number}"}
            )
            try:
                reply = ask(connection, row)
            except (OSError, http.client.HTTPException):
                self.lost += 1
                connection.close()
                connection = self._server.connection()
                time.sleep(0.01)
                continue
            if reply.status == 200:
                self.answered.append(reply.json()["id"])
            else:
                self.refused.append(reply.json())
                time.sleep(0.005)
        connection.close()


def workers(server: Server) -> set[int]:
    """The processes that answer, asked of nobody: a killed one's connections break."""
    notes = heartbeat.look_all(server.place.state / "workers")
    return {note["pid"] for note in notes if psutil.pid_exists(note["pid"])}


def kept(place: Place) -> Counter[str]:
    """How often each answer is in the journal; nothing in it is damaged."""
    found, damaged = read_all(place.state)
    assert not damaged
    rows = [json.loads(one) for one in found]
    return Counter(row["id"] for row in rows if row["kind"] == "answer")


def all_once(place: Place, calls: Calls) -> None:
    """Every answer that a caller got is in the journal, and none is there twice."""
    found = kept(place)
    assert calls.answered and not set(calls.answered) - set(found)
    assert set(found.values()) == {1}
    assert len(found) - len(calls.answered) <= calls.lost, "of those that nobody was told"


@pytest.mark.parametrize("sync_s", [0.0, 1.0])
@by_server
def test_every_answer_is_kept_by_the_process_that_gave_it(
    place: Place, name: str, sync_s: float
) -> None:
    chosen = {"database_url": AWAY, "journal_sync_s": sync_s, "rate_limit": "off"}
    with running(place, command(name), **chosen) as server:
        with Calls(server) as calls:
            wait_for(lambda: len(calls.answered) > 200, "some answers")
        assert not calls.refused
        all_once(place, calls)
        assert server.health()["diario"]["segundos"] == sync_s
        assert not all(one.finished for one in reader.segments(place.state / writer.FOLDER))
        everyone = server.processes()
    assert not [process for process in everyone if lives(process)]
    assert all(one.finished for one in reader.segments(place.state / writer.FOLDER))
    all_once(place, calls)
    for path in (place.state / writer.FOLDER).iterdir():
        assert b"zq7" not in path.read_bytes(), "a reference in clear"


@pytest.mark.slow
@by_server
def test_killed_processes_lose_no_answer_that_went_out(place: Place, name: str) -> None:
    """Every worker, one after the other; of a server that has none, all of it, twice."""
    start = command(name)
    chosen: dict[str, Any] = {"database_url": AWAY, "rate_limit": "off"}
    told: list[Calls] = []
    for _ in range(1 if name != "waitress" else 2):
        with running(place, start, **chosen) as server, Calls(server) as calls:
            # One may have answered nobody yet: who dies has to be all of them.
            victims = {server.process.pid} if name == "waitress" else workers(server)
            for number, victim in enumerate(sorted(victims)):
                enough = 90 * (number + 1)
                wait_for(lambda enough=enough: len(calls.answered) > enough, "answers")  # type: ignore[misc]
                before = workers(server)
                psutil.Process(victim).kill()
                if name != "waitress":
                    wait_for(lambda before=before: workers(server) - before, "a new worker")  # type: ignore[misc]
            if name != "waitress":
                enough = len(calls.answered) + 90
                wait_for(lambda enough=enough: len(calls.answered) > enough, "answers")  # type: ignore[misc]
        told.append(calls)
    everybody = told[0]
    for calls in told[1:]:
        everybody.answered += calls.answered
        everybody.lost += calls.lost
    all_once(place, everybody)
    owners = {one.path.name[:16] for one in reader.segments(place.state / writer.FOLDER)}
    assert len(owners) >= 2


# A disk that takes no more (RELIABILITY D5)


def refuses_and_recovers(server: Server, calls: Calls, end: contextlib.ExitStack) -> None:
    """While the block that ``end`` closes lasts there is no answer; after it there is again."""
    wait_for(lambda: len(calls.refused) > 50, "refusals")
    before = len(calls.answered)
    wait_for(lambda: len(calls.refused) > 200, "more refusals")
    assert len(calls.answered) == before, "it answered all the same"
    assert {one["type"] for one in calls.refused} == {"urn:propensia:registro_no_disponible"}
    assert any("diario (" in problem for problem in server.health()["problemas"])
    end.close()
    wait_for(lambda: len(calls.answered) > before + 50, "answers again, by itself")
    wait_for(
        lambda: not any("diario (" in problem for problem in server.health()["problemas"]),
        "nothing wrong with the journal",
    )


@pytest.mark.skipif(not hasattr(psutil, "RLIMIT_FSIZE"), reason="limits of Linux")
def test_where_no_file_may_grow_there_is_no_answer_until_it_may(place: Place) -> None:
    chosen: dict[str, Any] = {"database_url": AWAY, "rate_limit": "off", "workers": 1}
    with running(place, **chosen) as server, Calls(server) as calls:
        wait_for(lambda: len(calls.answered) > 50, "answers")
        (worker,) = map(psutil.Process, server.worker_pids())
        _, hard = worker.rlimit(psutil.RLIMIT_FSIZE)
        with contextlib.ExitStack() as end:
            end.callback(worker.rlimit, psutil.RLIMIT_FSIZE, (hard, hard))
            worker.rlimit(psutil.RLIMIT_FSIZE, (0, hard))
            refuses_and_recovers(server, calls, end)
    all_once(place, calls)


@pytest.fixture
def small_disk(admitted: Place, tmp_path: Path) -> Iterator[Place]:
    """An installation whose state folder is a disk of 32 MiB."""
    state = tmp_path / "estado"
    state.mkdir()
    mount = shutil.which("mount")
    done = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(state)], check=False
    )
    if not done or done.returncode:
        pytest.skip("this account may not mount a disk")
    try:
        yield copied(admitted, tmp_path)
    finally:
        subprocess.run(["umount", "--lazy", str(state)], check=True)


def test_a_full_disk_gives_503_and_nothing_torn_and_recovers_by_itself(small_disk: Place) -> None:
    ballast = small_disk.state / "ballast"
    chosen: dict[str, Any] = {"database_url": AWAY, "rate_limit": "off", "workers": 1}
    with running(small_disk, **chosen) as server, Calls(server) as calls:
        wait_for(lambda: len(calls.answered) > 50, "answers")
        with contextlib.ExitStack() as end:
            end.callback(ballast.unlink)
            with ballast.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
                while True:
                    stream.write(b"x" * 4096)
            refuses_and_recovers(server, calls, end)
    all_once(small_disk, calls)
