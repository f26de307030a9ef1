"""All that the store knows under one id or one reference, and the way to forget it.

What was erased does not come back from the journal; sums, which tell of nobody, stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, or_, select
from sqlalchemy.sql.dml import Delete

from propensia.journal import records
from propensia.store import schema
from propensia.store.answers import Stored, Wanted, listed
from propensia.store.schema import answers, events, inputs, outcomes


@dataclass(frozen=True, slots=True)
class Person:
    """Of whom: one of the two, the ``id`` of an answer or the keyed hash of a ``reference``."""

    id: str | None = None
    reference: str | None = None

    @property
    def key(self) -> str:
        """What the store remembers of somebody whom it has forgotten."""
        return self.id or self.reference or ""


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known; the rows of ``outcomes`` and ``events`` as their tables have them."""

    answers: list[Stored]
    outcomes: list[dict[str, Any]]
    events: list[dict[str, Any]]

    def counts(self) -> dict[str, int]:
        """How much it is, by kind."""
        return {
            "answers": len(self.answers),
            "inputs": sum(answer.texts is not None for answer in self.answers),
            "outcomes": len(self.outcomes),
            "events": len(self.events),
        }


def known(connection: Connection, person: Person) -> Known:
    """All that is known of somebody, oldest first."""
    own = select(outcomes).where(_theirs(person, outcomes.c.answer)).order_by(outcomes.c.event)
    told = select(events).where(_events(person)).order_by(events.c.id)
    return Known(
        listed(connection, Wanted(id=person.id, reference=person.reference)),
        [dict(row._mapping) for row in connection.execute(own)],
        [dict(row._mapping) for row in connection.execute(told)],
    )


def erase(connection: Connection, person: Person, now_ms: int) -> dict[str, int]:
    """Forget somebody: how many rows of each kind went.

    It holds when the transaction does. What is in the journal and older than ``now_ms`` will not
    be taken up any more; what a reference brings later is new.
    """
    # First of all: from here on nothing is shipped until this is done, see ``spared``.
    connection.execute(delete(schema.erased).where(schema.erased.c.key == person.key))
    connection.execute(schema.erased.insert(), [{"key": person.key, "at": now_ms}])
    theirs = {
        "events": delete(events).where(_events(person)),
        "outcomes": delete(outcomes).where(_theirs(person, outcomes.c.answer)),
        "inputs": delete(inputs).where(_theirs(person, inputs.c.id)),
        "answers": delete(answers).where(_theirs(person, answers.c.id)),
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
    return [row for row in rows if not _is_erased(row, erased)]


def _is_erased(row: dict[str, Any], erased: dict[str, int]) -> bool:
    if row["id"] in erased or row.get("answer") in erased:
        return True
    at = erased.get(row.get("reference") or "")
    return at is not None and records.milliseconds(row["id"]) <= at


def _theirs(person: Person, column: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a column holds the id of an answer of that person."""
    if person.id is not None:
        return column == person.id
    return column.in_(select(answers.c.id).where(answers.c.reference == person.reference))


def _events(person: Person) -> ColumnElement[bool]:
    """Whether an event is about that person: as it was told, or as it was matched."""
    of_answers = or_(_theirs(person, events.c.answer), _theirs(person, events.c.matched))
    if person.id is not None:
        return of_answers
    return or_(of_answers, events.c.reference == person.reference)


def _gone(connection: Connection, statement: Delete) -> int:
    return connection.execute(statement).rowcount
