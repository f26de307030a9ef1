"""Swaps under load, processes killed at random, damaged files: no caller may notice.

The slow tests are the same walks with more steps.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import psutil  # type: ignore[import-untyped]  # ships no types
import pytest
from clients import SHIFTS, Notes, Pair, calling, rows
from lengths import steps
from models_for_tests import dumped, logistic, new_logistic
from server import Place, Server, lives, prediccion, propensia_command, running, wait_for

from propensia import files, processes
from propensia.registry import Registry

posix = pytest.mark.skipif(os.name != "posix", reason="needs kill -9")
BACK_S = 60.0  # a worker comes back in about 2 s on a quiet machine


# What must hold whatever happened


def attributed(notes: Notes, pair: Pair) -> None:
    """Every answer is of the version, release and threshold that it names: recomputed with the
    ONNX file of that version, and with the library that made the model."""
    registry, (_, columns) = pair.place.registry, rows()
    expected, original = {}, {}
    for name, version in (("low", pair.low), ("high", pair.high)):
        session = onnxruntime.InferenceSession(registry.model(version))
        expected[version] = [session.run(["p"], {"x": row[None]})[0].item() for row in columns]
        original[version] = logistic(SHIFTS[name]).predict_proba(columns)[:, 1]
    assert np.abs(original[pair.low] - original[pair.high]).min() > 1e-3
    releases = {release.number: release for release in registry.history()}
    last: dict[int, int] = {}
    for told in notes.answers:
        assert told.status == 200, told
        answer = told.answer
        release = releases[answer["publicacion"]]
        assert (answer["version"], answer["modelo"]) == (release.version, release.model)
        assert answer["umbral"] == (0.5 if release.threshold is None else release.threshold)
        assert answer["probabilidad"] == expected[release.version][told.row]
        assert abs(answer["probabilidad"] - original[release.version][told.row]) < 1e-12
        assert answer["pagador"] is (answer["probabilidad"] >= answer["umbral"])
        # One connection talks to one process, and no process goes back to an older release.
        assert answer["publicacion"] >= last.get(told.connection, 0)
        last[told.connection] = answer["publicacion"]
    assert len({told.answer["id"] for told in notes.answers}) == len(notes.answers)


def nothing_half(place: Place) -> None:
    """Every version is whole, every release is of a version that is there."""
    registry = Registry(place.state)
    for folder in (place.state / "versions").iterdir():
        if not folder.name.startswith("."):
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            digest = files.sha256((folder / "model.onnx").read_bytes())
            assert (digest, manifest["version"]) == (manifest["onnx_sha256"], folder.name)
    for release in registry.history():
        assert registry.manifest(release.version)["version"] == release.version
    for verdict in registry.verdicts():
        if verdict["accepted"]:
            registry.manifest(verdict["version"])


def on_last_release(server: Server) -> None:
    """Every worker comes to answer from the release that was published last."""
    number = server.place.registry.current_number()
    wait_for(
        # A dead worker's last note is shown for some seconds more.
        lambda: (
            {
                worker["publicacion"]
                for worker in server.health()["trabajadores"]
                if lives_pid(worker["pid"])
            }
            == {number}
        ),
        f"every worker on release {number}",
        30,
    )


# Swaps under load


def swap_under_load(
    pair: Pair, start: Callable[[int], list[str]], times: int, most_s: float
) -> None:
    chance = random.Random(times)
    with running(pair.place, start) as server, calling(server) as notes:
        for i in range(times):
            pair.place.registry.publish(
                (pair.high, pair.low)[i % 2],
                cause="prueba",
                who="prueba",
                threshold=chance.choice([None, round(chance.uniform(0.05, 0.95), 3)]),
            )
            time.sleep(chance.uniform(0, most_s))
        on_last_release(server)
    assert notes.broken == []
    attributed(notes, pair)
    seen = {told.answer["publicacion"] for told in notes.answers}
    assert len(seen) > times * most_s / 2  # two ticks a second; half of them may come late
    assert {told.answer["version"] for told in notes.answers} == {pair.low, pair.high}


@pytest.mark.slow
def test_swaps_under_load_fail_nobody_and_mix_nothing(pair: Pair) -> None:
    swap_under_load(pair, propensia_command, times=150, most_s=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["granian", "waitress", "gunicorn"])
def test_many_swaps_under_load(pair: Pair, name: str) -> None:
    if name == "gunicorn" and os.name != "posix":
        pytest.skip("gunicorn needs a POSIX system")
    swap_under_load(
        pair, lambda port: propensia_command(port, name), times=steps(50, 200), most_s=0.6
    )


# Workers killed


def kill_workers(pair: Pair, times: int) -> None:
    chance = random.Random(times)
    with running(pair.place) as server:
        wait_for(lambda: len(server.worker_pids()) == 2, "two workers")
        kills = []
        with calling(server) as notes:
            for i in range(times):
                time.sleep(chance.uniform(0.2, 0.8))
                victim = chance.choice([p for p in server.worker_pids() if lives_pid(p)])
                kills.append(kill_and_wait_for_another(server, victim))
                pair.place.registry.publish(
                    (pair.high, pair.low)[i % 2], cause="prueba", who="prueba"
                )
            server.keeper_pid()
    attributed(notes, pair)
    assert len(notes.answers) > 100
    last_of = {told.process: told.asked for told in notes.answers}
    process_of = {told.connection: told.process for told in notes.answers}
    for broken in notes.broken:
        assert any(0 <= broken.at - kill < 2 for kill in kills), broken
        owner = process_of.get(broken.connection)  # None: broken before its first answer
        assert owner is None or last_of[owner] <= broken.at + 0.05, (broken, "of a living worker")


def kill_and_wait_for_another(server: Server, victim: int) -> float:
    """Kill a worker, and return the moment of it once one that was not there before answers."""
    known = set(server.worker_pids())
    moment = time.monotonic()
    os.kill(victim, signal.SIGKILL)

    def look() -> set[int]:
        with contextlib.suppress(OSError, http.client.HTTPException):  # asked of the dead one
            return set(server.worker_pids()) - known
        return set()

    wait_for(look, "a new worker", BACK_S)
    return moment


def lives_pid(pid: int) -> bool:
    """Whether a process of that number runs."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return lives(psutil.Process(pid))
    return False


@posix
def test_a_killed_worker_comes_back_and_only_its_own_callers_notice(pair: Pair) -> None:
    kill_workers(pair, times=2)


@posix
@pytest.mark.slow
def test_many_killed_workers_come_back(pair: Pair) -> None:
    kill_workers(pair, times=steps(8, 30))


# The keeper killed


@contextlib.contextmanager
def keeper(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    """A keeper of its own, started the way a web process starts it."""
    environment = {k: v for k, v in place.environment().items() if k.startswith("PROPENSIA_")}
    child = processes.start("propensia.keeper", environment)
    try:
        yield child
    finally:
        started = [p for p in _children(child.pid) if lives(p)]
        child.kill()
        child.wait()
        assert child.stdin is not None
        child.stdin.close()
        for process in started:  # what a killed keeper leaves ends by itself, but not at once
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _children(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return list(psutil.Process(pid).children(recursive=True))
    return []


def kill_keeper_while_it_admits(place: Place, moments_s: list[float]) -> None:
    for i, moment_s in enumerate(moments_s):
        data = dumped(new_logistic())
        name = f"modelo {i}.pkl"
        with keeper(place) as child:
            # By its number: the note of the one before is still there.
            wait_for(lambda: place.noted_keeper() == child.pid, "a keeper")
            place.drop(name, data)
            time.sleep(moment_s)
        nothing_half(place)
        with keeper(place):
            place.wait_word(name, "ACEPTADO")
            wait_for(
                lambda: place.registry.current().model == f"modelo {i}",  # type: ignore[union-attr]  # noqa: B023
                "it is published",
            )
            wait_for(lambda: not list((place.state / "work").iterdir()), "nothing is left over")
        published = [r for r in place.registry.history() if r.model == f"modelo {i}"]
        assert len(published) == 1, "published twice"
        nothing_half(place)
        assert not list((place.state / "versions").glob(".*"))


@pytest.mark.slow
def test_a_keeper_killed_during_an_admission_leaves_nothing_half(pair: Pair) -> None:
    kill_keeper_while_it_admits(pair.place, [0.7, 1.5, 2.2])


@pytest.mark.slow
def test_keepers_killed_at_random_moments_leave_nothing_half(pair: Pair) -> None:
    chance = random.Random(5)
    # Fewer than ``keep_versions``: a pruned version would look like a missing one.
    kill_keeper_while_it_admits(
        pair.place, [chance.uniform(0.2, 3.5) for _ in range(steps(5, 18))]
    )


@pytest.mark.slow
@posix
def test_a_server_replaces_a_killed_keeper_and_the_file_is_served(pair: Pair) -> None:
    place = pair.place
    with running(place) as server:
        first = server.keeper_pid()
        data = dumped(new_logistic())
        with calling(server, clients=2) as notes:
            place.drop("durante.pkl", data)
            place.wait_word("durante.pkl", "COMPROBANDO")
            os.kill(first, signal.SIGKILL)
            wait_for(lambda: server.active() == files.sha256(data)[:12], "the new model", 40)
        assert server.keeper_pid() != first
    assert notes.broken == []
    assert all(told.status == 200 for told in notes.answers)
    nothing_half(place)


# Damaged files


def flip(path: Path) -> Callable[[], object]:
    """Turn one bit in the middle of a file; returns what mends it."""
    good = path.read_bytes()
    bad = bytearray(good)
    bad[len(bad) // 2] ^= 0x10
    path.write_bytes(bad)
    return lambda: path.write_bytes(good)


def told_of(server: Server, number: int) -> None:
    """The health comes to say that a release cannot be loaded; the answers go on."""
    wait_for(
        lambda: f"publicación {number}" in str(server.health()["problemas"]),
        f"the health names release {number}",
        30,
    )
    assert server.health()["estado"] == "degradado"
    assert server.get("/health").status == 200


@posix
def test_a_damaged_version_is_never_served_and_the_old_one_goes_on(pair: Pair) -> None:
    place = pair.place
    model = place.registry.part(pair.high, "model.onnx")
    with running(place) as server:
        wait_for(lambda: len(server.worker_pids()) == 2, "two workers")
        with calling(server, clients=4) as notes:
            mend = flip(model)
            damaged = place.registry.publish(pair.high, cause="prueba", who="prueba").number
            told_of(server, damaged)
            # One that is born now never held the old version.
            kill_and_wait_for_another(server, server.worker_pids()[0])
            told_of(server, damaged)
            mend()
            place.registry.publish(pair.high, cause="prueba", who="prueba")
            on_last_release(server)
        assert server.active() == pair.high
        wait_for(lambda: server.health()["estado"] == "bien", "a well health")
    assert all(told.status == 200 for told in notes.answers)
    assert damaged not in {told.answer["publicacion"] for told in notes.answers}
    attributed(notes, pair)


def test_a_server_that_starts_on_a_damaged_version_answers_with_the_one_before(
    pair: Pair,
) -> None:
    registry = pair.place.registry
    number = registry.publish(pair.high, cause="prueba", who="prueba").number
    flip(registry.part(pair.high, "model.onnx"))
    with running(pair.place) as server:
        assert server.get(prediccion()).json()["version"] == pair.low
        told_of(server, number)


def test_left_overs_of_an_interrupted_write_are_not_taken_for_versions(pair: Pair) -> None:
    place = pair.place
    half = place.state / "versions" / ".0123456789ab.deadbeef.tmp"
    shutil.copytree(place.state / "versions" / pair.low, half)
    empty = place.state / "versions" / "0123456789ab"
    empty.mkdir()
    (place.state / "releases" / "999999.json.tmp").write_text("{", encoding="utf-8")
    with running(place) as server:
        assert server.active() == pair.low
        assert {m["version"] for m in server.get("/modelos").json()["modelos"]} == {
            pair.low,
            pair.high,
        }
