"""The keeper's clerk: each of its jobs at its time, and none stops another."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from journals import answers, holds_exactly, write
from stores import Postgresql

from propensia import clerk as clerks
from propensia import monitoring
from propensia.audit import FOLDER, NAME
from propensia.clerk import Clerk
from propensia.contract import Contract
from propensia.journal.lines import line
from propensia.registry import Registry
from propensia.settings import Settings
from propensia.store import database

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


def test_the_answers_are_examined_once_in_monitor_hours_also_by_the_next_keeper(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clerks, "MONITOR_S", 0.01)
    chosen, runs = Settings(state=tmp_path, monitor_hours=6.0), list[int]()
    now_ms = [time.time_ns() // 1_000_000]
    real = monitoring.run
    monkeypatch.setattr(clerks, "_now_ms", lambda: now_ms[0])

    def counted(*given: Any) -> Any:
        runs.append(given[-1])
        return real(*given)

    monkeypatch.setattr(monitoring, "run", counted)
    write(tmp_path / "journal", recent(40))
    with at_work(replace(chosen, monitor_hours=0.1), contract):
        wait_for(lambda: not list((tmp_path / "journal").glob("*.journal")))
        now_ms[0] += 400_000
        wait_for(lambda: now_ms[0] in runs)
    done = len(runs)
    for hours, more in ((5.9, 0), (0.2, 1), (-48, 2)):  # and the clock set back
        now_ms[0] += round(hours * 3_600_000)
        with at_work(chosen, contract):
            time.sleep(0.3)
            wait_for(lambda: len(runs) >= done + more)  # noqa: B023 - used at once
        assert len(runs) == done + more, hours
