"""What is counted, over processes, their ends and full disks; and how Prometheus reads it."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny_models
from prometheus_client.parser import text_string_to_metric_families

from propensia import files, heartbeat
from propensia.contract import Contract
from propensia.registry import Registry
from propensia.serving import Answer
from propensia.settings import Settings
from propensia.web import tally as tallies
from propensia.web.app import create_app
from propensia.web.door import Seen
from propensia.web.exposition import exposition
from propensia.web.problems import problem
from propensia.web.tally import Tally

Samples = dict[tuple[str, ...], float]


def seen(route: str = "/prediccion", status: int = 200, seconds: float = 0.0003) -> Seen:
    return Seen("GET", route, status, "id", "version", seconds, "ana")


def scored(version: str, positive: bool) -> Answer:
    bundle: Any = SimpleNamespace(release=SimpleNamespace(version=version))
    return Answer("id", bundle, positive, 0.5, [], None)


def opened(folder: Path) -> Tally:
    made = Tally(folder)
    made.open()
    return made


def end(tally: Tally) -> None:
    """What the end of a process does: its lock goes, and what it has not written with it."""
    assert tally._place is not None
    tally._place.release()
    os.close(tally._names_file)
    os.close(tally._values_file)


def requests(tally: Tally) -> float:
    return sum(sum(n) for name, n in tally.totals().items() if name[0] == "requests")


def samples(text: bytes | str) -> Samples:
    """Every sample by its name and the values of its labels, sorted by label."""
    text = text if isinstance(text, str) else text.decode("utf-8")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


# Counting


def test_what_two_processes_count_is_told_together_by_each(tmp_path: Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    for number in range(5):
        first.answer(seen(seconds=0.0004))
        if number:
            second.answer(seen(seconds=0.3))
    first.result(scored("abc", True))
    second.result(scored("abc", True))
    second.result(scored("abc", False))
    for one in (first, second):
        one.tick()
    for one in (first, second):
        totals = one.totals()
        assert totals["requests", "/prediccion", "GET", "200"] == [9]
        assert totals["scores", "abc", "1"] == [2] and totals["scores", "abc", "0"] == [1]
        *counts, total = totals["seconds", "/prediccion"]
        assert (counts[0], counts[9], sum(counts)) == (5, 4, 9)
        assert total == pytest.approx(5 * 0.0004 + 4 * 0.3)


@pytest.mark.parametrize(
    ("seconds", "place"), [(0.0, 0), (0.0005, 0), (0.00051, 1), (10.0, 12), (10.1, 13)]
)
def test_a_time_on_a_bound_belongs_below_it(seconds: float, place: int, tmp_path: Path) -> None:
    """Prometheus: the bucket le="0.0005" holds what took 0.0005 s."""
    tally = Tally(tmp_path)
    tally.answer(seen(seconds=seconds))
    counts = tally.totals()["seconds", "/prediccion"][:-1]
    assert [i for i, count in enumerate(counts) if count] == [place]


def test_a_process_goes_on_with_what_one_that_ended_had_counted(tmp_path: Path) -> None:
    first, other = opened(tmp_path), opened(tmp_path)
    first.answer(seen())
    first.answer(seen("/predict"))
    other.answer(seen())
    first.tick()
    other.tick()
    end(first)
    assert requests(other) == 3, "the dead are counted"
    third = opened(tmp_path)
    third.answer(seen("/modelos"))
    third.answer(seen())
    third.tick()
    assert requests(other) == requests(third) == 5
    assert sorted(path.name for path in tmp_path.glob("*.names")) == ["0.names", "1.names"]


def test_a_sudden_end_takes_nothing_that_was_told(tmp_path: Path) -> None:
    """A count that goes down looks like a restart to Prometheus, and makes up requests."""
    first, other = opened(tmp_path), opened(tmp_path)
    first.answer(seen())
    told = requests(first)
    first.answer(seen())
    end(first)
    assert requests(other) == told == 1
    assert requests(opened(tmp_path)) == 1


@pytest.mark.parametrize("torn", [2, 5, 20, 30])
def test_a_line_that_was_torn_costs_its_own_count_and_no_other(torn: int, tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.answer(seen("/a"))
    first.tick()
    first.answer(seen("/b", seconds=0.2))
    first.tick()
    end(first)
    names = tmp_path / "0.names"
    names.write_bytes(names.read_bytes()[:-torn])
    second = opened(tmp_path)
    for route in ("/a", "/b", "/c"):
        second.answer(seen(route))
    second.tick()
    for one in (second, opened(tmp_path)):
        totals = one.totals()
        assert totals["requests", "/a", "GET", "200"] == [2]
        assert totals["requests", "/c", "GET", "200"] == [1]
        assert sum(totals["seconds", "/b"][:-1]) == 1, "its own count began anew"


@pytest.mark.parametrize("name", ["0.names", "0.values"])
@pytest.mark.parametrize("damage", [b"", b"\0" * 64, b'[1]\n[]\n{}\nnull\n[-5, "x"]\n[9e9]'])
def test_a_damaged_file_stops_neither_answers_nor_the_others(
    name: str, damage: bytes, tmp_path: Path
) -> None:
    first, other = opened(tmp_path), opened(tmp_path)
    first.answer(seen())
    other.answer(seen())
    first.tick()
    end(first)
    (tmp_path / name).write_bytes(damage)
    assert requests(other) >= 1
    second = opened(tmp_path)
    second.answer(seen())
    second.tick()
    assert requests(other) >= 2


def test_a_full_disk_costs_nothing_once_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = opened(tmp_path), opened(tmp_path)
    first.answer(seen())
    first.tick()
    real = os.write
    left = [20]

    def full(descriptor: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(28, "No space left on device")
        written, left[0] = min(left[0], len(data)), 0
        return real(descriptor, bytes(data)[:written])

    monkeypatch.setattr(tallies.os, "write", full)
    for _ in range(3):
        first.answer(seen("/predict", seconds=0.2))
        first.tick()
    monkeypatch.undo()
    first.answer(seen())
    first.tick()
    assert other.totals()["requests", "/predict", "GET", "200"] == [3]
    assert other.totals()["requests", "/prediccion", "GET", "200"] == [2]
    assert sum(other.totals()["seconds", "/predict"][:-1]) == 3


@pytest.mark.parametrize("name", ["0.names", "0.values"])
def test_a_start_that_fails_half_way_counts_nothing_twice(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(tmp_path)
    first.answer(seen())
    first.tick()
    end(first)
    real = os.open

    def failing(path: Any, *rest: Any) -> int:
        if Path(path).name == name and rest[0] & os.O_CREAT:
            raise OSError(24, "Too many open files")
        return real(path, *rest)

    monkeypatch.setattr(tallies.os, "open", failing)
    second = opened(tmp_path)
    second.answer(seen())
    assert requests(second) == 2
    second.tick()
    monkeypatch.undo()
    assert requests(opened(tmp_path)) == 2


@pytest.mark.parametrize("name", ["0.names", "0.values", "0.lock"])
def test_a_place_that_cannot_be_read_is_left_to_itself(name: str, tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.answer(seen())
    first.tick()
    end(first)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    second = opened(tmp_path)
    second.answer(seen("/a"))
    second.tick()
    assert second.totals()["requests", "/a", "GET", "200"] == [1]
    assert opened(tmp_path).totals()["requests", "/a", "GET", "200"] == [1]
    assert (tmp_path / "1.values").stat().st_size > 0, "it has a place of its own"


def test_without_a_folder_a_process_counts_for_itself(tmp_path: Path) -> None:
    (tmp_path / "metrics").write_bytes(b"a file")
    tally = opened(tmp_path / "metrics")
    tally.answer(seen())
    tally.tick()
    assert requests(tally) == 1


def test_no_answer_is_lost_between_threads(tmp_path: Path) -> None:
    tally = opened(tmp_path)
    start = threading.Barrier(5)
    done = threading.Event()

    def answer() -> None:
        start.wait()
        for _ in range(4_000):
            tally.answer(seen())
            tally.result(scored("abc", True))

    def count() -> None:
        start.wait()
        while not done.is_set():
            tally.tick()

    threads = [threading.Thread(target=answer) for _ in range(4)]
    counting = threading.Thread(target=count)
    for thread in (*threads, counting):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    counting.join()
    assert requests(tally) == 16_000
    assert tally.totals()["scores", "abc", "1"] == [16_000]


def test_what_waits_to_be_counted_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tallies, "MOST_WAITING", 10)
    tally = Tally(tmp_path)
    for _ in range(1_000):
        tally.answer(seen())
        assert len(tally._answers) <= 10
    assert requests(tally) == 1_000


def test_processes_that_count_at_once_and_are_killed_leave_every_count(tmp_path: Path) -> None:
    """Real processes: each counts, writes and is killed; the next one takes its place."""
    code = (
        "import sys, os, pathlib; from propensia.web.tally import Tally\n"
        "from propensia.web.door import Seen\n"
        "tally = Tally(pathlib.Path(sys.argv[1])); tally.open()\n"
        "for _ in range(100): tally.answer(Seen('GET', '/a', 200, '', '', 0.1, ''))\n"
        "tally.tick(); os._exit(9)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    for _ in range(2):
        children = [subprocess.Popen(command) for _ in range(3)]
        assert [child.wait(60) for child in children] == [9] * 3
    assert requests(opened(tmp_path)) == 600
    assert len(list(tmp_path.glob("*.values"))) <= 3


# Telling


def told(registry: Registry, contract: Contract, tally: Tally | None = None) -> Samples:
    return samples(exposition(tally or Tally(registry.state / "metrics"), registry, contract))


def test_requests_times_scores_and_faults_are_told(registry: Registry, contract: Contract) -> None:
    tally = Tally(registry.state / "metrics")
    for one in (seen(), seen(seconds=0.7), seen(status=400), seen("", 404), seen("/predict", 429)):
        tally.answer(one)
    tally.answer(seen("/modelos", 403))
    tally.answer(seen("/modelos", 401))
    tally.result(scored("abc", True))
    tally.result(problem("sin_modelo", "id", "es"))
    found = told(registry, contract, tally)
    assert found["propensia_requests_total", "GET", "/prediccion", "200"] == 2
    assert found["propensia_requests_total", "GET", "/prediccion", "400"] == 1
    assert found["propensia_requests_total", "GET", "other", "404"] == 1
    assert found["propensia_denied_total", "401"] == found["propensia_denied_total", "403"] == 1
    assert found["propensia_limited_total",] == 1
    buckets = {
        key[1]: value
        for key, value in found.items()
        if key[0] == "propensia_request_seconds_bucket" and key[2] == "/prediccion"
    }
    assert buckets["0.0005"] == buckets["0.5"] == 2
    assert buckets["1.0"] == buckets["+Inf"] == 3
    assert found["propensia_request_seconds_count", "/prediccion"] == 3
    assert found["propensia_request_seconds_sum", "/prediccion"] == pytest.approx(0.7006)
    name = contract.positive_name["es"]
    assert found["propensia_scores_total", name, "abc"] == 1
    assert found["propensia_faults_total", "sin_modelo"] == 1


def test_what_is_published_and_was_judged_is_told(registry: Registry, contract: Contract) -> None:
    found = told(registry, contract)
    assert found["propensia_release",] == 0
    assert not [key for key in found if key[0] == "propensia_model_info"]
    version = tiny_models.add(registry, contract, tiny_models.constant(0.2), model='m"\\\n_10')
    registry.publish(version, cause="prueba", who="yo")
    for number, code in enumerate((None, None, "no_entrenado")):
        verdict = {"accepted": code is None, "code": code, "at": str(number)}
        registry.record_verdict(str(number) * 64, verdict)
    found = told(registry, contract)
    assert found["propensia_release",] == 1
    assert found["propensia_model_info", 'm"\\\n_10', version] == 1
    assert found["propensia_models_judged", "aceptado"] == 2
    assert found["propensia_models_judged", "no_entrenado"] == 1
    (registry.state / "releases" / "000001.json").write_bytes(b"{")
    assert told(registry, contract)["propensia_release",] == 0


def test_who_lives_is_told(registry: Registry, contract: Contract) -> None:
    assert told(registry, contract)["propensia_keeper_sign_age_seconds",] == math.inf
    heartbeat.leave(registry.state / "keeper.json", {"pid": 1})
    for pid, release in ((1, 7), (2, 7), (3, 6)):
        heartbeat.leave(registry.state / "workers" / f"{pid}.json", {"publicacion": release})
    found = told(registry, contract)
    assert 0 <= found["propensia_keeper_sign_age_seconds",] < 60
    assert found["propensia_workers", "7"] == 2 and found["propensia_workers", "6"] == 1
    note = files.read_json(registry.state / "keeper.json")
    files.write_json(registry.state / "keeper.json", note | {"latido": note["latido"] - 90})
    assert told(registry, contract)["propensia_keeper_sign_age_seconds",] >= 90


# The route


def client(registry: Registry) -> Any:
    chosen = Settings(state=registry.state, models=registry.state / "models")
    return create_app(chosen, background=False).test_client()


def test_the_route_counts_what_every_way_of_scoring_answers(
    registry: Registry, contract: Contract
) -> None:
    onnx = tiny_models.constant(0.8)
    version = tiny_models.add(registry, contract, onnx, [0.8])
    registry.publish(version, cause="prueba", who="yo")
    asked, row = client(registry), contract.example()
    ways: list[Callable[[], Any]] = [
        lambda: asked.get("/prediccion", query_string=row),
        lambda: asked.get("/prediccion", query_string=row, headers={"Accept": "text/html"}),
        lambda: asked.post("/predict", json=row),
        lambda: asked.post("/predict/batch", json=[row, row, {}]),
    ]
    for way in ways:
        assert way().status_code == 200
    assert asked.get("/prediccion?er=x").status_code == 400
    reply = asked.get("/metrics")
    assert (reply.status_code, reply.content_type) == (
        200,
        "text/plain; version=0.0.4; charset=utf-8",
    )
    found = samples(reply.text)
    assert found["propensia_scores_total", contract.positive_name["es"], version] == 5
    assert found["propensia_requests_total", "GET", "/prediccion", "200"] == 2
    assert found["propensia_requests_total", "POST", "/predict/batch", "200"] == 1
    missing = len(contract.parameters) * 2 - 1
    assert found["propensia_faults_total", "parametro_ausente"] == missing
    assert found["propensia_faults_total", "categoria_desconocida"] == 1


def test_no_label_is_what_somebody_made_up(registry: Registry, contract: Contract) -> None:
    asked = client(registry)
    for path in ("/marca1", "/modelos/marca2/activar", "/static/marca3", "/v2/models/marca4"):
        for method in ("GET", "POST", "MARCA5", "DELETE"):
            asked.open(path, method=method, query_string="marca6=1")
    asked.get("/prediccion", query_string=contract.example() | {"marca7": "1", "er": "marca8"})
    asked.get("/health", headers={"X-API-Key": "marca9", "Cookie": "propensia_session=marca10"})
    text = asked.get("/metrics").text
    assert "marca" not in text.lower()
    methods = {key[1] for key in samples(text) if key[0] == "propensia_requests_total"}
    assert methods <= {"GET", "POST", "DELETE", "?"}
