"""What was kept long enough goes, in steps that let others write; sums stay."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from journals import START_MS, answers, refusals, table, write
from sqlalchemy import Engine, event

from propensia.journal import records
from propensia.settings import Settings
from propensia.store import clock, database, people, retention, schema
from propensia.store.people import Person
from propensia.store.shipping import Shipper

DAY_MS = 86_400_000
TABLES = ("answers", "inputs", "refusals", "outcomes", "outcome_events")


def outcome(number: int, answer: str | None, date: str) -> bytes:
    return records.outcome(f"{number:032x}", "yo", answer, None, True, 100, date, 0)


def filled(engine: Engine, folder: Path) -> list[str]:
    """A store with an answer and a refusal a day for 400 days; the ids of the answers."""
    told = answers(400, apart_ms=DAY_MS)
    ids = [json.loads(record)["id"] for record in told]
    refused = [
        json.dumps(json.loads(record) | {"id": f"{START_MS + n * DAY_MS:011x}fe"}).encode()
        for n, record in enumerate(refusals(400))
    ]
    paid = [outcome(n, ids[n], f"{records.day(ids[n]).isoformat()}") for n in range(0, 400, 4)]
    early = [outcome(1000 + n, "f" * 40, f"2026-{n + 1:02d}-01") for n in range(12)]
    write(folder, told + refused + paid + early)
    assert Shipper(engine, folder, horizon_days=90).turn() == len(told) * 2 + 112
    return ids


def test_inputs_go_before_answers_and_sums_stay(
    engine: Engine, store_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STEP", 7)
    ids = filled(engine, store_settings.state / "journal")
    sums = [table(engine, of) for of in (schema.windows, schema.scores, schema.quality)]
    now = START_MS + 399 * DAY_MS
    chosen = replace(store_settings, keep_inputs_days=30, keep_answers_days=183)
    gone = retention.purge(engine, chosen, now)
    kept = ids[400 - 184 :]  # those of that very day are kept
    assert [row["id"] for row in table(engine, schema.answers)] == kept
    assert [row["id"] for row in table(engine, schema.inputs)] == ids[400 - 31 :]
    assert [row["answer"] for row in table(engine, schema.outcomes)] == ids[0:400:4][-46:]
    assert len(table(engine, schema.refusals)) == 184
    left = table(engine, schema.events)
    assert {row["answer"] for row in left if row["matched"]} == set(ids[0:400:4][-46:])
    assert gone == {
        "answers": 216,
        "inputs": 369,
        "outcomes": 54,
        "refusals": 216,
        "events": 54 + 12 - len([row for row in left if not row["matched"]]),
    }
    assert sums == [table(engine, of) for of in (schema.windows, schema.scores, schema.quality)]
    assert retention.purge(engine, chosen, now) == {}


def test_an_outcome_that_still_waits_goes_by_its_own_day(
    engine: Engine, store_settings: Settings
) -> None:
    folder = store_settings.state / "journal"
    write(folder, [outcome(1, "f" * 40, "2026-01-10"), outcome(2, "f" * 40, "2026-01-12")])
    Shipper(engine, folder, 90).turn()
    noon = 1_768_219_200_000  # 12 January 2026, 12:00 UTC
    chosen = replace(store_settings, keep_answers_days=1)
    assert retention.purge(engine, chosen, noon) == {"events": 1}
    assert [row["date"] for row in table(engine, schema.events)] == ["2026-01-12"]


def alert(number: int, ended: int) -> dict[str, object]:
    begun = {"id": f"{number:029x}", "kind": "drift", "subject": str(number), "version": ""}
    said = {"value": None, "limit": None, "text": "", "english": ""}
    return begun | said | {"told": START_MS, "seen": START_MS, "ended": ended}


def message(at: int, state: str) -> dict[str, object]:
    id = f"{records.first_id(at)}{state:0>18}"
    sent = {"id": id, "channel": "webhook", "payload": "", "state": state}
    return sent | {"attempts": 1, "due": at, "problem": ""}


def test_alerts_that_are_over_go_and_so_do_the_messages_that_told_them(
    engine: Engine, store_settings: Settings
) -> None:
    days = [START_MS + n * DAY_MS for n in range(4)]
    with engine.begin() as connection:
        connection.execute(schema.alerts.insert(), [alert(n, at) for n, at in enumerate(days)])
        connection.execute(schema.alerts.insert(), [alert(9, 0)])
        states = ("sent", "failed", "waiting")
        sent = [message(at, state) for at in days for state in states]
        connection.execute(schema.outbox.insert(), sent)
    chosen = replace(store_settings, keep_answers_days=2)
    assert retention.purge(engine, chosen, days[3]) == {"alerts": 1, "messages": 2}
    left = [(row["subject"], row["ended"]) for row in table(engine, schema.alerts)]
    assert left == [*((str(n), days[n]) for n in (1, 2, 3)), ("9", 0)]
    kept = [row["state"] for row in table(engine, schema.outbox)]
    assert sorted(kept) == sorted([*states * 3, "waiting"])


def test_neither_a_purge_nor_an_erasure_looks_through_all_that_is_kept(tmp_path: Path) -> None:
    """By the plans of SQLite: each statement finds its rows by an index, or others would wait."""
    engine = database.open_store(Settings(state=tmp_path))
    asked: list[tuple[str, object]] = []

    def note(_: object, __: object, statement: str, values: object, *___: object) -> None:
        asked.append((statement, values))

    event.listen(engine, "before_cursor_execute", note)
    retention.purge(engine, Settings(state=tmp_path), START_MS)
    for person in (Person(id="a" * 29), Person(reference="b" * 32)):
        with engine.begin() as connection:
            people.known(connection, person)
            people.erase(connection, person, START_MS)
    event.remove(engine, "before_cursor_execute", note)
    looked, plans = [one for one in asked if one[0].startswith(("SELECT", "DELETE"))], list[str]()
    with engine.connect() as connection:
        for statement, values in looked:
            found = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            plans += [row[3] for row in found]
    engine.dispose()
    assert len([statement for statement, _ in looked if "outcome_events" in statement]) >= 6
    scans = [plan for plan in plans if plan.startswith("SCAN") and plan != "SCAN erased"]
    assert scans == []


def test_shipping_goes_on_while_much_is_purged(
    engine: Engine, store_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STEP", 20)
    folder = store_settings.state / "journal"
    write(folder, answers(600, apart_ms=1))
    Shipper(engine, folder, 90).turn()
    new = answers(12, seed=3, apart_ms=1)
    later = [
        json.dumps(json.loads(r) | {"id": f"{START_MS + 900 * DAY_MS + n:011x}ab"}).encode()
        for n, r in enumerate(new)
    ]
    purging = threading.Thread(
        target=retention.purge, args=(engine, store_settings, START_MS + 900 * DAY_MS)
    )
    purging.start()
    for number, record in enumerate(later):
        write(folder, [record], number=number + 2)
        assert Shipper(engine, folder, 90).turn() == 1
    purging.join()
    found = [row["id"] for row in table(engine, schema.answers)]
    assert found == sorted(json.loads(record)["id"] for record in later)


def test_it_stops_between_two_steps_when_the_keeper_ends(
    engine: Engine, store_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STEP", 10)
    write(store_settings.state / "journal", answers(100))
    Shipper(engine, store_settings.state / "journal", 90).turn()
    asked: list[int] = []

    def ended() -> bool:
        asked.append(1)
        return len(asked) > 3

    gone = retention.purge(engine, store_settings, START_MS + 900 * DAY_MS, ended)
    assert gone == {"inputs": 30}


def test_a_clock_that_jumps_is_believed_after_a_day_without_another_jump(engine: Engine) -> None:
    hour, year = 3_600_000, 365 * DAY_MS
    assert clock.is_steady(engine, START_MS)  # the first time: nothing is old yet
    assert clock.is_steady(engine, START_MS + hour)
    assert clock.is_steady(engine, START_MS + 63 * hour)  # off for a weekend
    ahead = START_MS + year
    assert not clock.is_steady(engine, ahead)
    assert not clock.is_steady(engine, ahead + 23 * hour)
    # Set right before anything went: that is a jump too.
    right = START_MS + 87 * hour
    assert not clock.is_steady(engine, right)
    assert not clock.is_steady(engine, right + hour)
    assert clock.is_steady(engine, right + 24 * hour)


def test_of_two_machines_that_share_a_store_none_believes_a_clock_alone(engine: Engine) -> None:
    """However long the wrong one has gone on."""
    assert clock.is_steady(engine, START_MS)
    for hours in range(1, 60):
        good = START_MS + hours * 3_600_000
        assert not clock.is_steady(engine, good + 365 * DAY_MS)
        assert not clock.is_steady(engine, good)
