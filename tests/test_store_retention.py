"""What was kept long enough goes, in steps that let others write; sums stay."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from journals import START_MS, answers, refusals, table, write
from sqlalchemy import Engine

from propensia.journal import records
from propensia.settings import Settings
from propensia.store import retention, schema
from propensia.store.shipping import Shipper

DAY_MS = 86_400_000
TABLES = ("answers", "inputs", "refusals", "outcomes", "outcome_events")


def outcome(number: int, answer: str | None, date: str) -> bytes:
    return records.outcome(f"{number:032x}", "yo", answer, None, True, 100, date)


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
