"""The keeper's clerk: each of its jobs at its time, and none stops another."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import watched
from journals import answers, holds_exactly, write
from sqlalchemy import Engine, select
from stores import Postgresql

from propensia import clerk as clerks
from propensia import monitoring
from propensia.audit import FOLDER, NAME
from propensia.clerk import Clerk
from propensia.contract import Contract
from propensia.journal.lines import line
from propensia.registry import Registry
from propensia.settings import Settings
from propensia.store import database, schema
from propensia.store.shipping import Shipper

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@contextmanager
def at_work(settings: Settings, contract: Contract) -> Iterator[Clerk]:
    registry = Registry(settings.state)
    registry.prepare()
    clerk, ended = Clerk(settings, contract, registry), threading.Event()
    thread = threading.Thread(target=clerk.work, args=(ended,))
    thread.start()
    try:
        yield clerk
    finally:
        ended.set()
        thread.join()
        if clerk._engine is not None:
            clerk._engine.dispose()


def wait_for(true: Callable[[], Any], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def recent(count: int) -> list[bytes]:
    """Answers of this moment: nothing purges them."""
    now = time.time_ns() // 1_000_000
    return [
        json.dumps(json.loads(told) | {"id": f"{now + n:011x}{n:08x}"}).encode()
        for n, told in enumerate(answers(count))
    ]


def test_the_journal_arrives_and_the_note_says_that_nothing_waits(
    store_settings: Settings, contract: Contract
) -> None:
    told = recent(50)
    write(store_settings.state / "journal", told)
    with at_work(store_settings, contract) as clerk:
        wait_for(lambda: not list((store_settings.state / "journal").glob("*.journal")))
        wait_for(lambda: clerk.journal()["pendiente_bytes"] == 0)
        assert clerk.journal()["retraso_segundos"] == 0
        assert clerk.problems == []
    engine = database.open_store(store_settings)
    holds_exactly(engine, told)
    engine.dispose()


def test_a_job_that_fails_is_told_once_and_stops_no_other(
    tmp_path: Path,
    contract: Contract,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tries: list[int] = []

    def broken(*_: object) -> None:
        tries.append(1)
        raise ZeroDivisionError("secreto-123")

    monkeypatch.setattr(clerks.paneling, "write", broken)
    monkeypatch.setattr(clerks, "PANEL_S", 0.01)
    monkeypatch.setattr(clerks, "LONGEST_PAUSE_S", 0.05)
    folder = tmp_path / "journal"
    with caplog.at_level(logging.ERROR), at_work(Settings(state=tmp_path), contract) as clerk:
        wait_for(lambda: len(tries) > 5)
        write(folder, recent(3))
        wait_for(lambda: not list(folder.glob("*.journal")))
        assert clerk.problems == ["los datos del panel tuvo un fallo (ZeroDivisionError)"]
    assert caplog.text.count("ZeroDivisionError") == 1
    assert "secreto-123" not in caplog.text


@pytest.mark.slow
def test_with_the_database_away_all_waits_and_all_arrives_when_it_is_back(
    own_postgresql: Postgresql,
    tmp_path: Path,
    contract: Contract,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clerks, "SHIP_S", 0.05)
    monkeypatch.setattr(clerks, "LONGEST_PAUSE_S", 0.3)
    chosen = Settings(state=tmp_path, database_url=own_postgresql.fresh())
    told, folder = recent(90), tmp_path / "journal"
    write(folder, told[:30], number=1)
    with at_work(chosen, contract) as clerk:
        wait_for(lambda: not list(folder.glob("*.journal")))
        own_postgresql.kill()
        write(folder, told[30:60], number=2)
        wait_for(lambda: clerk.problems)
        assert all(problem.startswith("la base de datos: ") for problem in clerk.problems)
        wait_for(lambda: clerk.journal()["pendiente_bytes"] > 0)
        wait_for(lambda: clerk.journal()["retraso_segundos"] > 0)
        write(folder, told[60:], number=3)
        own_postgresql.start()
        wait_for(lambda: not list(folder.glob("*.journal")))
        wait_for(lambda: clerk.problems == [])
    engine = database.open_store(chosen)
    holds_exactly(engine, told)
    engine.dispose()


def test_a_database_that_is_away_at_the_start_is_told_with_what_waits(
    own_postgresql: Postgresql,
    tmp_path: Path,
    contract: Contract,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clerks, "LONGEST_PAUSE_S", 0.3)
    chosen = Settings(state=tmp_path, database_url=own_postgresql.fresh())
    own_postgresql.kill()
    told = recent(10)
    write(tmp_path / "journal", told)
    with at_work(chosen, contract) as clerk:
        wait_for(lambda: clerk.problems)
        assert clerk.journal()["pendiente_bytes"] > 0
        own_postgresql.start()
        wait_for(lambda: clerk.problems == [] and clerk.journal()["pendiente_bytes"] == 0)
    engine = database.open_store(chosen)
    holds_exactly(engine, told)
    engine.dispose()


def test_what_is_set_aside_is_told_until_somebody_takes_it_away(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clerks, "SHIP_S", 0.02)
    folder = tmp_path / "journal"
    write(folder, [b'{"kind":"later"}'])
    with at_work(Settings(state=tmp_path), contract) as clerk:
        wait_for(lambda: clerk.problems)
        assert clerk.journal()["apartados"] == 1
        assert clerk.problems == ["1 registros del diario apartados, en journal/*.rejected"]
        (kept,) = folder.glob("*.rejected")
        assert kept.read_bytes() == line(b'{"kind":"later"}')
        kept.unlink()
        wait_for(lambda: clerk.problems == [])


def test_what_was_kept_too_long_goes_and_the_audit_log_says_how_much(
    tmp_path: Path, contract: Contract
) -> None:
    folder, chosen = tmp_path / "journal", Settings(state=tmp_path, keep_inputs_days=9999)
    write(folder, answers(20))
    with at_work(replace(chosen, keep_answers_days=9999), contract):
        wait_for(lambda: not list(folder.glob("*.journal")))
    assert not (tmp_path / FOLDER / NAME).exists()
    with at_work(replace(chosen, keep_inputs_days=0, keep_answers_days=1), contract):
        wait_for(lambda: (tmp_path / FOLDER / NAME).exists())
    (row,) = map(json.loads, (tmp_path / FOLDER / NAME).read_text(encoding="utf-8").splitlines())
    assert (row["event"], row["who"]) == ("purged", "propensia")
    assert row["facts"] == {"inputs": 20, "answers": 20}


def test_a_keeper_that_starts_with_a_clock_far_ahead_removes_nothing_and_says_so(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ms, ahead_ms = time.time_ns() // 1_000_000, [0]
    monkeypatch.setattr(clerks, "_now_ms", lambda: now_ms + ahead_ms[0])
    monkeypatch.setattr(clerks, "PURGE_S", 0.02)
    chosen = Settings(state=tmp_path)
    engine = database.open_store(chosen)
    write(tmp_path / "journal", recent(20))
    Shipper(engine, tmp_path / "journal", 90).turn()
    clerk = Clerk(chosen, contract, Registry(tmp_path))
    assert clerk._purge(engine) is None
    ahead_ms[0] = 365 * 86_400_000
    with at_work(chosen, contract) as working:
        wait_for(lambda: any("reloj" in problem for problem in working.problems))
    with engine.connect() as connection:
        assert len(connection.execute(select(schema.inputs)).all()) == 20
    # Were it the right time after all, a day later they go.
    ahead_ms[0] += 86_400_000
    assert clerk._purge(engine) is None
    with engine.connect() as connection:
        assert connection.execute(select(schema.inputs)).all() == []
    engine.dispose()


def test_the_answers_are_examined_again_once_there_is_more_to_find_but_not_all_the_time(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first time, on a store that was empty, keeps nobody waiting for hours; nor do a new
    release and new outcomes."""
    minute, now_ms, runs = 60_000, [watched.NOW], list[int]()
    real = monitoring.run
    monkeypatch.setattr(clerks, "_now_ms", lambda: now_ms[0])
    monkeypatch.setattr(
        monitoring, "run", lambda *given: (runs.append(now_ms[0]), real(*given))[1]
    )
    chosen = Settings(state=tmp_path)
    engine, registry = database.open_store(chosen), Registry(tmp_path)
    registry.prepare()
    clerk = Clerk(chosen, contract, registry)
    learnt = watched.learnt(contract, 1_000)

    def after(minutes: int) -> bool:
        """Whether it examines after so many minutes."""
        now_ms[0] += minutes * minute
        clerk._monitor(engine)
        return runs[-1:] == [now_ms[0]]

    def answered(score: float) -> None:
        model, told = tiny_models.constant(score), watched.told(contract, learnt)
        version = tiny_models.add(registry, contract, model, told=told)
        registry.publish(version, cause="prueba", who="ana")
        span = (now_ms[0] - 5 * minute, now_ms[0])
        watched.answer(engine, contract, learnt.columns, learnt.chances, *span, version=version)
        row = {"hour": span[1] // 3_600_000 * 3_600_000, "version": version, "caller": "crm"}
        sums = {"count": 1_000, "positive": 300, "noted": 0}
        with engine.begin() as connection:
            connection.execute(schema.windows.insert(), [row | sums])

    assert after(0) and not after(1), "an empty store"
    answered(0.2)
    assert not after(1) and after(9), "the first answers"
    assert not after(11) and not after(300)
    answered(0.3)
    assert after(1) and not after(11), "another release"
    ids = [f"{now_ms[0]:011x}-1-{place:06d}" for place in range(20)]
    watched.pay(engine, ids, np.ones(20, dtype=int), now_ms[0])
    assert after(1) and not after(11), "new outcomes"
    assert not after(300) and after(60), "and after six hours in any case"
    engine.dispose()


def test_a_clock_that_is_set_while_it_examines_makes_it_pause_no_longer(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ms, runs = [watched.NOW], list[int]()
    monkeypatch.setattr(clerks, "_now_ms", lambda: now_ms[0])

    def run(*_given: object) -> None:
        runs.append(now_ms[0])
        now_ms[0] += watched.DAY_MS

    monkeypatch.setattr(monitoring, "run", run)
    chosen = Settings(state=tmp_path)
    engine = database.open_store(chosen)
    clerk = Clerk(chosen, contract, Registry(tmp_path))
    clerk._monitor(engine)
    clerk._monitor(engine)
    assert len(runs) == 2
    engine.dispose()


def test_the_answers_are_examined_once_in_monitor_hours_also_by_the_next_keeper(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clerks, "MONITOR_S", 0.01)
    chosen, runs, turns = Settings(state=tmp_path, monitor_hours=6.0), list[int](), list[int]()
    now_ms = [time.time_ns() // 1_000_000]
    real, real_turn = monitoring.run, Clerk._monitor
    monkeypatch.setattr(clerks, "_now_ms", lambda: now_ms[0])

    def counted(*given: Any) -> Any:
        runs.append(given[-1])
        return real(*given)

    def turn(clerk: Clerk, engine: Engine) -> Any:
        told = real_turn(clerk, engine)
        turns.append(now_ms[0])
        return told

    monkeypatch.setattr(monitoring, "run", counted)
    monkeypatch.setattr(Clerk, "_monitor", turn)
    write(tmp_path / "journal", recent(40))
    with at_work(replace(chosen, monitor_hours=0.1), contract):
        wait_for(lambda: not list((tmp_path / "journal").glob("*.journal")))
        now_ms[0] += 400_000
        wait_for(lambda: now_ms[0] in runs)
    done = len(runs)
    for hours, more in ((5.9, 0), (0.2, 1), (-48, 2)):  # and the clock set back
        now_ms[0] += round(hours * 3_600_000)
        with at_work(chosen, contract):
            wait_for(lambda: turns.count(now_ms[0]) > 5)
        assert len(runs) == done + more, hours


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no file that is open")
def test_a_database_that_is_removed_is_told_and_nothing_later_is_lost(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clerks, "SHIP_S", 0.02)
    monkeypatch.setattr(clerks, "PANEL_S", 0.02)
    told, folder = recent(60), tmp_path / "journal"
    write(folder, told[:20], number=1)
    with at_work(Settings(state=tmp_path), contract) as clerk:
        wait_for(lambda: not list(folder.glob("*.journal")))
        for path in tmp_path.glob("store.db*"):
            path.unlink()
        write(folder, told[20:], number=2)
        wait_for(lambda: not list(folder.glob("*.journal")))
        wait_for(lambda: clerk.problems == [clerks.LOST])
    engine = database.open_store(Settings(state=tmp_path))
    holds_exactly(engine, told[20:])
    engine.dispose()
    assert (tmp_path / "store.db").stat().st_mode & 0o777 == 0o600


def test_a_journal_that_cannot_be_listed_is_told_and_the_keeper_lives(
    tmp_path: Path, contract: Contract
) -> None:
    (tmp_path / "journal").write_text("in the way", encoding="utf-8")
    clerk = Clerk(Settings(state=tmp_path), contract, Registry(tmp_path))
    assert clerk.journal() == {}
    (problem,) = clerk.problems
    assert problem.startswith("no se puede leer el diario (")
    (tmp_path / "journal").unlink()
    assert clerk.journal()["pendiente_bytes"] == 0
    assert clerk.problems == []


def test_a_file_that_cannot_be_shipped_is_a_problem_by_name(
    tmp_path: Path, contract: Contract
) -> None:
    told, folder = recent(5), tmp_path / "journal"
    write(folder, told, owner=3)
    (folder / f"{0:016x}-000001.journal").mkdir()
    with at_work(Settings(state=tmp_path), contract) as clerk:
        wait_for(lambda: not (folder / f"{3:016x}-000001.journal").exists())
        name = f"{0:016x}-000001.journal"
        said = f"ficheros del diario que no se envían: {name}: no es un fichero"
        wait_for(lambda: said in clerk.problems)
        assert clerk.journal()["pendiente_bytes"] == 0
