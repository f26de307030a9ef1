"""Whether the clock can be believed with what rests on it alone: what is so old that it must go.

It never waits, and removes nothing.
"""

from __future__ import annotations

from sqlalchemy import Engine, select

from propensia.journal.records import HOUR_MS
from propensia.store import schema
from propensia.store.upserts import upsert

JUMP_MS = 72 * HOUR_MS
"""Farther no clock goes between two looks, but where the service was stopped over a weekend."""
BACK_MS = HOUR_MS
"""Two machines that share a database differ by less."""
STEADY_MS = 24 * HOUR_MS
"""A machine that starts with a wrong clock sets it right, or somebody notices."""

_NAME = "purge"


def is_steady(engine: Engine, now_ms: int) -> bool:
    """Whether it is at least a day since the clock jumped: by more than three days ahead, or an
    hour back, between two looks of whichever machine shares this store. To be called every hour;
    the first look of all finds nothing to compare with, and nothing old. Raises
    ``SQLAlchemyError``."""
    table = schema.looks
    with engine.begin() as connection:
        asked = select(table).where(table.c.name == _NAME)
        last = connection.execute(asked).first()
        since = 0 if last is None else last.since
        if last is not None and not -BACK_MS <= now_ms - last.at <= JUMP_MS:
            since = now_ms
        row = {"name": _NAME, "at": now_ms, "since": since}
        upsert(connection, table, [row], ("at", "since"))
    return bool(now_ms - since >= STEADY_MS)
