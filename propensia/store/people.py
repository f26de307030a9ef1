"""All that the store knows under one id or one reference, and the way to forget it.

What was erased does not come back from the journal; sums, which tell of nobody, stay.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, select, union
from sqlalchemy.sql.dml import Delete

from propensia.journal import records
from propensia.store import schema
from propensia.store.answers import Refusal, Stored, Wanted, listed, refusal
from propensia.store.rows import made
from propensia.store.schema import answers, events, inputs, outcomes, refusals
from propensia.store.upserts import upsert

log = logging.getLogger(__name__)

AHEAD_MS = 15 * 60_000
"""So much newer than the newest that is known of anybody may be what another machine has in its
journal."""


@dataclass(frozen=True, slots=True)
class Person:
    """Of whom: one of the two, the ``id`` of an answer or of a refused request, or the keyed hash
    of a ``reference``."""

    id: str | None = None
    reference: str | None = None

    @property
    def key(self) -> str:
        """What the store remembers of somebody whom it has forgotten."""
        return self.id or self.reference or ""


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known; the rows of ``outcomes`` and ``events`` as their tables have them. Of a
    refused request no reference is kept: it is found by its id only."""

    answers: list[Stored]
    refusals: list[Refusal]
    outcomes: list[dict[str, Any]]
    events: list[dict[str, Any]]

    def counts(self) -> dict[str, int]:
        """How much it is, by kind."""
        return {
            "answers": len(self.answers),
            "inputs": sum(answer.texts is not None for answer in self.answers),
            "refusals": len(self.refusals),
            "outcomes": len(self.outcomes),
            "events": len(self.events),
        }


def known(connection: Connection, person: Person) -> Known:
    """All that is known of somebody, oldest first."""
    own = select(outcomes).where(_theirs(person, outcomes.c.answer)).order_by(outcomes.c.event)
    told = select(events).where(_events(person)).order_by(events.c.id)
    refused = None if person.id is None else refusal(connection, person.id)
    return Known(
        listed(connection, Wanted(id=person.id, reference=person.reference)),
        [] if refused is None else [refused],
        [dict(row._mapping) for row in connection.execute(own)],
        [dict(row._mapping) for row in connection.execute(told)],
    )


def erase(
    connection: Connection, person: Person, now_ms: int, written_ms: int = 0
) -> dict[str, int]:
    """Forget somebody: how many rows of each kind went.

    It holds when the transaction does. What is in the journal and older than ``now_ms`` will not
    be taken up any more; what a reference brings later is new. A clock that is ahead must not
    swallow that: nothing counts as older that is ``AHEAD_MS`` newer than all that the store knows
    and than ``written_ms``, when the journal of this machine was last written.
    """
    newest_ms = max(written_ms, _newest(connection))
    at_ms = min(now_ms, newest_ms + AHEAD_MS) if newest_ms else now_ms
    # First of all: from here on nothing is shipped until this is done, see ``spared``.
    connection.execute(delete(schema.erased).where(schema.erased.c.key == person.key))
    connection.execute(schema.erased.insert(), [{"key": person.key, "at": at_ms}])
    # What else the journal may name them by: an outcome the answer that it is of, without a
    # reference.
    own = union(
        select(answers.c.id).where(_theirs(person, answers.c.id)),
        select(events.c.id).where(_events(person)),
    )
    marks = [{"key": id, "at": at_ms} for id in connection.scalars(own)]
    upsert(connection, schema.erased, marks, ("at",))
    theirs = {
        "events": delete(events).where(_events(person)),
        "outcomes": delete(outcomes).where(_theirs(person, outcomes.c.answer)),
        "inputs": delete(inputs).where(_theirs(person, inputs.c.id)),
        "answers": delete(answers).where(_theirs(person, answers.c.id)),
        # Asked for NULL, SQLite would look through all of them.
        "refusals": delete(refusals).where(refusals.c.id == (person.id or "")),
    }
    return {kind: _gone(connection, statement) for kind, statement in theirs.items()}


def spared(connection: Connection, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records of the journal without those of people who were erased.

    To be called in the transaction that takes them up, before it writes anything: whoever erases
    waits for its end, so that nobody is erased between the look and the writing.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql("LOCK TABLE erased IN SHARE MODE")
    erased = {row.key: row.at for row in connection.execute(select(schema.erased))}
    if not erased:
        return rows
    # An outcome may name an answer that is not taken up, and nothing else: one that comes later,
    # and one that another journal brought before, which would wait for that answer.
    unseen = {
        row["id"]: erased[row["reference"]]
        for row in rows
        if "texts" in row and row["id"] not in erased and _is_erased(row, erased)
    }
    upsert(connection, schema.erased, [{"key": id, "at": at} for id, at in unseen.items()])
    if unseen:
        told = delete(events).where(events.c.answer == bindparam("named"))
        connection.execute(told, [{"named": id} for id in sorted(unseen)])
    erased |= unseen
    left = [row for row in rows if not _is_erased(row, erased)]
    if len(left) < len(rows):
        log.warning("%d records of the journal were of erased people", len(rows) - len(left))
    return left


def _newest(connection: Connection) -> int:
    """When the newest answer or refusal was made, in ms since 1970; 0 where there is none."""
    found = [connection.execute(select(func.max(of.c.id))).scalar() for of in (answers, refusals)]
    return max(records.milliseconds(id) if id else 0 for id in found)


def _is_erased(row: dict[str, Any], erased: dict[str, int]) -> bool:
    answer = row["answer"] if "told" in row else row["id"]
    if answer in erased:
        return True
    names = (row["id"], row.get("reference"))
    return any(made(row) <= erased[name] for name in names if name in erased)


def _theirs(person: Person, column: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a column holds the id of an answer of that person."""
    if person.id is not None:
        return column == person.id
    return column.in_(select(answers.c.id).where(answers.c.reference == person.reference))


def _events(person: Person) -> ColumnElement[bool]:
    """Whether an event is about that person: as it was told, or as it was matched."""
    ways = [_theirs(person, events.c.answer), _theirs(person, events.c.matched)]
    if person.reference is not None:
        ways.append(events.c.reference == person.reference)
    # Each by its index: joined by OR, they would be looked for in all that was ever told.
    return events.c.id.in_(union(*(select(events.c.id).where(way) for way in ways)))


def _gone(connection: Connection, statement: Delete) -> int:
    return connection.execute(statement).rowcount
