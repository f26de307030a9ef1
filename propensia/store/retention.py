"""What was kept long enough goes: inputs first, then answers with what came of them.

Sums and measurements, which tell of nobody, stay. It never holds the database for long.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Column, ColumnElement, Engine, Table, delete, select

from propensia.journal import records
from propensia.settings import Settings
from propensia.store import database, schema

STEP = 5_000
"""Rows in one transaction: others write between two of them."""
DAY_MS = 86_400_000


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
    steps: list[tuple[str, Table, Column[str], ColumnElement[bool]]] = [
        ("inputs", schema.inputs, schema.inputs.c.id, schema.inputs.c.id < inputs),
        ("refusals", schema.refusals, schema.refusals.c.id, schema.refusals.c.id < answers),
        ("outcomes", schema.outcomes, outcomes.answer, outcomes.answer < answers),
        # What was told of an answer goes with it; what waits for one, by its own day.
        ("events", schema.events, events.id, events.matched < answers),
        ("events", schema.events, events.id, events.matched.is_(None) & (events.until < answers)),
        # Last: what is left of the others can still be found by its answer.
        ("answers", schema.answers, schema.answers.c.id, schema.answers.c.id < answers),
        # What could have come back of them would be removed by now.
        ("erased", schema.erased, schema.erased.c.key, schema.erased.c.at < oldest_ms),
    ]
    gone: dict[str, int] = {}
    for kind, table, key, old in steps:
        count = _remove(engine, table, key, old, ended)
        if count:
            gone[kind] = gone.get(kind, 0) + count
    if gone:
        database.settle(engine)
    return gone


def _remove(
    engine: Engine,
    table: Table,
    key: Column[str],
    old: ColumnElement[bool],
    ended: Callable[[], bool],
) -> int:
    some = select(key).where(old).order_by(key).limit(STEP)
    statement = delete(table).where(key.in_(some))
    removed, went = 0, STEP
    while went == STEP and not ended():
        with engine.begin() as connection:
            went = connection.execute(statement).rowcount
        removed += went
    return removed
