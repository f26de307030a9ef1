"""Stored answers: found by id or reference, and read in order, however many there are.

It changes nothing, and holds no transaction while somebody looks at what it gives.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Column, Connection, Engine, Row, Select, func, select

from propensia.faults import Note
from propensia.journal import records
from propensia.store.schema import answers, inputs, refusals

PAGE_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Stored:
    """One answer as it was given. ``rules``: the fingerprint of its contract; ``reference``: the
    keyed hash; ``probability`` and ``threshold`` in [0, 1]; ``notes``: what was told beside it;
    ``texts`` as they were received, in the order of the contract's parameters, ``None`` for one
    that was not sent, and ``None`` for all once they are purged."""

    id: str
    version: str
    publication: int
    model: str
    rules: str
    caller: str
    reference: str | None
    probability: float
    threshold: float
    positive: bool
    notes: list[Note]
    texts: list[str | None] | None

    @property
    def milliseconds(self) -> int:
        """When it was given, in ms since 1970."""
        return records.milliseconds(self.id)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that could not be scored. ``faults``: parameter (of the contract, or empty) and
    code."""

    id: str
    caller: str
    faults: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which answers: from ``since`` on and before ``until`` (ms since 1970), of versions that
    begin with ``version``, of one ``id``, of one ``reference`` (its keyed hash)."""

    since: int | None = None
    until: int | None = None
    version: str = ""
    id: str | None = None
    reference: str | None = None

    def filters(self) -> list[str]:
        """By what it chooses, without the values."""
        return [row.name for row in fields(self) if getattr(self, row.name) not in (None, "")]

    def of(self, statement: Select[Any]) -> Select[Any]:
        """The statement, for these answers only."""
        if self.since is not None:
            statement = statement.where(answers.c.id >= records.first_id(self.since))
        if self.until is not None:
            statement = statement.where(answers.c.id < records.first_id(self.until))
        if self.version:
            statement = statement.where(
                answers.c.version.startswith(self.version, autoescape=True)
            )
        if self.id is not None:
            statement = statement.where(answers.c.id == self.id)
        if self.reference is not None:
            statement = statement.where(answers.c.reference == self.reference)
        return statement


_WITH_TEXTS = select(answers, inputs.c.texts).outerjoin_from(
    answers, inputs, answers.c.id == inputs.c.id
)


def find(connection: Connection, id: str) -> Stored | None:
    """The answer of that id, if there is one."""
    row = connection.execute(_WITH_TEXTS.where(answers.c.id == id)).one_or_none()
    return None if row is None else _stored(row)


def refusal(connection: Connection, id: str) -> Refusal | None:
    """What was refused under that id, if it was."""
    row = connection.execute(select(refusals).where(refusals.c.id == id)).one_or_none()
    if row is None:
        return None
    faults = [(parameter, code) for parameter, code in json.loads(row.faults)]
    return Refusal(row.id, row.caller, faults)


def listed(connection: Connection, wanted: Wanted) -> list[Stored]:
    """All of them, oldest first: for one id or reference, of which there are few."""
    found = connection.execute(wanted.of(_WITH_TEXTS).order_by(answers.c.id))
    return [_stored(row) for row in found]


def iterate(engine: Engine, wanted: Wanted) -> Iterator[Stored]:
    """All of them, oldest first, in constant memory."""
    return map(_stored, _paged(engine, wanted, _WITH_TEXTS))


def ids(engine: Engine, wanted: Wanted) -> Iterator[str]:
    """Their ids alone, oldest first, in constant memory."""
    return (row.id for row in _paged(engine, wanted, select(answers.c.id)))


def count(engine: Engine, wanted: Wanted) -> int:
    """How many they are now."""
    with engine.connect() as connection:
        found: int = connection.execute(
            wanted.of(select(func.count()).select_from(answers))
        ).scalar_one()
    return found


def rules(engine: Engine, wanted: Wanted) -> list[str]:
    """The fingerprints of the contracts under which they were given."""
    return _distinct(engine, wanted, answers.c.rules)


def _distinct(engine: Engine, wanted: Wanted, column: Column[Any]) -> list[str]:
    with engine.connect() as connection:
        return sorted(connection.execute(wanted.of(select(column)).distinct()).scalars())


def _paged(engine: Engine, wanted: Wanted, statement: Select[Any]) -> Iterator[Row[Any]]:
    """Page by page, each a transaction of its own: one that lasts as long as a slow reader would
    keep SQLite from folding its log, and pg8000 reads whatever a statement gives into memory."""
    ordered, last = wanted.of(statement).order_by(answers.c.id).limit(PAGE_ROWS), ""
    while True:
        with engine.connect() as connection:
            page = connection.execute(ordered.where(answers.c.id > last)).all()
        yield from page
        if len(page) < PAGE_ROWS:
            return
        last = page[-1].id


def _stored(row: Row[Any]) -> Stored:
    told = dict(row._mapping)
    told["notes"] = [Note(*note) for note in json.loads(row.notes)]
    told["texts"] = None if row.texts is None else json.loads(row.texts)
    return Stored(**told)
