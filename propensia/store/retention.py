"""What was kept long enough goes: inputs first, then answers with what came of them, and alerts.

Sums and measurements, which tell of nobody, stay. It never holds the database for long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Column, ColumnElement, Engine, delete, select

from propensia.journal import records
from propensia.journal.records import DAY_MS
from propensia.settings import Settings
from propensia.store import database, schema
from propensia.store.alerts import WAITING

STEP = 5_000
"""Rows in one transaction: others write between two of them."""


def purge(
    engine: Engine, settings: Settings, now_ms: int, ended: Callable[[], bool] = lambda: False
) -> dict[str, int]:
    """Remove what is older than ``keep_inputs_days`` and ``keep_answers_days``, or until
    ``ended``; how many rows of each kind went, without those of which none did. Raises
    ``SQLAlchemyError``, and then what went before is gone."""
    inputs = records.first_id(now_ms - settings.keep_inputs_days * DAY_MS)
    oldest_ms = now_ms - settings.keep_answers_days * DAY_MS
    answers = records.first_id(oldest_ms)
    events, outcomes = schema.events.c, schema.outcomes.c
    alerts, messages = schema.alerts.c, schema.outbox.c
    waits, over = events.matched.is_(None), messages.state != WAITING
    # Kind, column whose index tells what is old, and what that is.
    steps: list[tuple[str, Column[Any], ColumnElement[bool]]] = [
        ("inputs", schema.inputs.c.id, schema.inputs.c.id < inputs),
        ("refusals", schema.refusals.c.id, schema.refusals.c.id < answers),
        ("outcomes", outcomes.answer, outcomes.answer < answers),
        # What was told of an answer goes with it; what waits for one, by its own day.
        ("events", events.matched, events.matched < answers),
        ("events", events.matched, waits & (events.until < answers)),
        # Last: what is left of the others can still be found by its answer.
        ("answers", schema.answers.c.id, schema.answers.c.id < answers),
        # What could have come back of them would be removed by now.
        ("erased", schema.erased.c.at, schema.erased.c.at < oldest_ms),
        ("alerts", alerts.ended, (alerts.ended > 0) & (alerts.ended < oldest_ms)),
        ("messages", messages.id, over & (messages.id < answers)),
    ]
    gone: dict[str, int] = {}
    for kind, index, old in steps:
        count = _remove(engine, index, old, ended)
        if count:
            gone[kind] = gone.get(kind, 0) + count
    if gone:
        database.settle(engine)
    return gone


def _remove(
    engine: Engine,
    index: Column[Any],
    old: ColumnElement[bool],
    ended: Callable[[], bool],
) -> int:
    table = index.table
    (key,) = table.primary_key
    # In the order of that index: in another one, all that is kept might be looked through.
    some = select(key).where(old).order_by(index).limit(STEP)
    statement = delete(table).where(key.in_(some))
    removed, went = 0, STEP
    while went == STEP and not ended():
        with engine.begin() as connection:
            went = connection.execute(statement).rowcount
        removed += went
    return removed
