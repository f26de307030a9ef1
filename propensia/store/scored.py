"""Answers as the monitoring reads them: chances, debtors, texts and what came of them, as arrays.

It reads in small parts, and keeps a text once however many answers have it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, Select, func, select

from propensia.journal import records
from propensia.journal.records import DAY_MS
from propensia.store import outcomes, schema

Vector = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
CHUNK = 1_000  # small ones cost the collector of garbage less: few rows are alive at a time
EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one parameter: each distinct one, and which of them each row has ``(n,)``."""

    distinct: list[str | None]
    places: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Scored:
    """n answers of one version, oldest first.

    ``chances`` ``(n,)`` in [0, 1]; ``positive`` ``(n,)``; ``debtors`` ``(n,)``: equal for answers
    about one reference, one's own without; ``days`` ``(n,)``: on which each was given, since 1970
    in UTC. ``first``: the id of the oldest, empty of none.
    ``texts``: one per parameter, or empty where they were not asked for.
    """

    chances: Vector
    positive: npt.NDArray[np.bool_]
    debtors: Whole
    days: Whole
    first: str = ""
    texts: list[Texts] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.chances)

    def head(self, count: int) -> Scored:
        """The oldest ``count``."""
        return Scored(
            self.chances[:count],
            self.positive[:count],
            self.debtors[:count],
            self.days[:count],
            self.first,
            [Texts(each.distinct, each.places[:count]) for each in self.texts],
        )


@dataclass(frozen=True, slots=True)
class Payments:
    """m payments that nothing later denies, each ``(m,)``: ``debtors`` as in a ``Scored``,
    ``days`` since 1970 on which they were made, ``cents`` that had been paid in all by then, not
    a number where nobody said."""

    debtors: Whole
    days: Whole
    cents: Vector


def versions(connection: Connection, since: int, until: int) -> list[str]:
    """The versions that answered in [since, until), the busiest first."""
    of = schema.answers.c
    rows = connection.execute(
        select(of.version)
        .where(*_between(since, until))
        .group_by(of.version)
        .order_by(func.count().desc())
    )
    return list(rows.scalars())


def scored(
    connection: Connection,
    version: str,
    rules: str,
    parameters: int,
    since: int,
    until: int,
    most: int,
) -> Scored:
    """The last ``most`` answers in [since, until) whose inputs are still kept, with their texts;
    ``rules``: the fingerprint of the contract that reads them."""
    own = schema.answers.c
    wanted = _with_texts(version, rules).where(*_between(since, until)).order_by(own.id.desc())
    return _gathered(connection, wanted.limit(most), parameters).scored()


def first(connection: Connection, version: str, rules: str, parameters: int, most: int) -> Scored:
    """The first ``most`` answers of a version whose inputs are still kept, with their texts."""
    wanted = _with_texts(version, rules).order_by(schema.answers.c.id).limit(most)
    return _gathered(connection, wanted, parameters).scored(newest_first=False)


def _with_texts(version: str, rules: str) -> Select[Any]:
    of, texts = schema.answers.c, schema.inputs.c
    return (
        select(of.id, of.probability, of.positive, of.reference, texts.texts)
        .join(schema.inputs, texts.id == of.id)
        .where(of.version == version, of.rules == rules)
    )


def matured(
    connection: Connection,
    version: str,
    since: int,
    until: int,
    most: int,
    within_days: int,
    first: str = "",
    rules: str | None = None,
) -> tuple[Scored, Payments]:
    """The last ``most`` answers in [since, until), and the payments of their debtors that were
    told of these or of other answers up to ``within_days`` before and after.

    A debtor with a reference who is scored again pays after both answers, though the outcome is
    the later one's. ``first``: of answers from that id on only; ``rules``: of that contract.
    """
    before, after = since - within_days * DAY_MS, until + within_days * DAY_MS
    payments = _payments(connection, before, after)
    of = schema.answers.c
    wanted = (
        select(of.id, of.probability, of.positive, of.reference)
        .where(*_between(since, until), of.version == version, of.id >= first)
        .order_by(of.id.desc())
        .limit(most)
    )
    if rules is not None:
        wanted = wanted.where(of.rules == rules)
    found = _gathered(connection, wanted, 0, payments.alone).scored()
    return found, payments.joined()


def _payments(connection: Connection, since: int, until: int) -> _Paid:
    """What is told to be paid of the answers in [since, until), of every version."""
    of, told, known = schema.answers.c, schema.events.c, schema.outcomes.c
    columns = (of.id, of.reference, told.date, told.cents)
    least, limit = records.first_id(since), records.first_id(until)
    own = (
        select(*columns)
        .join_from(schema.outcomes, schema.answers, known.answer == of.id)
        .join(schema.events, told.matched == known.answer)
        .where(known.answer >= least, known.answer < limit)
        .where(told.paid, told.date >= known.first_paid)
    )
    # Too late for the answer of its id, but in time for a later one about the same debtor.
    late = (
        select(*columns)
        .join_from(schema.events, schema.answers, told.answer == of.id)
        .where(told.answer >= least, told.answer < limit)
        .where(told.paid, told.state == outcomes.LATE, of.reference.is_not(None))
    )
    paid = _Paid()
    for wanted in (own, late):
        for part in _chunks(connection, wanted):
            paid.add(*part)
    return paid


def last_outcome(connection: Connection) -> int | None:
    """The last day of which an outcome was told, in ms since 1970; ``None`` before the first."""
    last = connection.execute(select(func.max(schema.events.c.id))).scalar()
    return None if last is None else records.milliseconds(last)


def _between(since: int, until: int) -> tuple[Any, Any]:
    of = schema.answers.c
    return of.id >= records.first_id(since), of.id < records.first_id(until)


def _gathered(
    connection: Connection,
    wanted: Select[Any],
    parameters: int,
    alone: Mapping[str, int] | None = None,
) -> _Gathered:
    gathered = _Gathered(parameters, alone or {})
    for part in _chunks(connection, wanted):
        gathered.add(*part)
    return gathered


def _chunks(connection: Connection, wanted: Select[Any]) -> Iterator[list[Sequence[Any]]]:
    """The columns of a query, some rows at a time; none of no rows."""
    found = connection.execution_options(yield_per=CHUNK).execute(wanted)
    for part in found.partitions():
        yield list(zip(*part, strict=True))


class _Codes(defaultdict[Any, int]):
    """Gives each new text the next number."""

    def __missing__(self, text: Any) -> int:
        self[text] = number = len(self)
        return number


class _Paid:
    """Chunks of payments on their way into arrays; ``alone``: the debtors of answers without a
    reference, by their id, each below 0."""

    def __init__(self) -> None:
        self.alone: dict[str, int] = {}
        self._debtors: list[Whole] = []
        self._days: list[Whole] = []
        self._cents: list[Vector] = []

    def add(
        self,
        ids: Sequence[str],
        references: Sequence[str | None],
        dates: Sequence[str],
        cents: Sequence[int | None],
    ) -> None:
        debtors = [
            self.alone.setdefault(id, -1 - len(self.alone))
            if reference is None
            else _debtor(reference)
            for id, reference in zip(ids, references, strict=True)
        ]
        self._debtors.append(np.array(debtors, dtype=np.int64))
        self._days.append(np.array([_day(one) for one in dates], dtype=np.int64))
        self._cents.append(
            np.array([np.nan if one is None else one for one in cents], dtype=np.float64)
        )

    def joined(self) -> Payments:
        debtors, days = _joined(self._debtors, np.int64), _joined(self._days, np.int64)
        return Payments(debtors, days, _joined(self._cents))


class _Gathered:
    """Chunks of answers on their way into arrays; ``alone``: as in ``_Paid``."""

    def __init__(self, parameters: int, alone: Mapping[str, int]) -> None:
        self._known = alone
        self._ids: list[str] = []
        self._days: list[Whole] = []
        self._chances: list[Vector] = []
        self._positive: list[npt.NDArray[np.bool_]] = []
        self._debtors: list[Whole] = []
        self._codes = [_Codes() for _ in range(parameters)]
        self._places: list[list[npt.NDArray[np.int32]]] = [[] for _ in range(parameters)]
        self._alone = len(alone)

    def add(
        self,
        ids: Sequence[str],
        chances: Sequence[float],
        positive: Sequence[bool],
        references: Sequence[str | None],
        texts: Sequence[str] = (),
    ) -> None:
        """One chunk; each of ``texts`` a JSON list."""
        self._ids += ids[0], ids[-1]
        days = [records.milliseconds(id) // DAY_MS for id in ids]
        self._days.append(np.array(days, dtype=np.int64))
        self._chances.append(np.array(chances, dtype=np.float64))
        self._positive.append(np.array(positive, dtype=bool))
        debtors = [self._debtor(*one) for one in zip(ids, references, strict=True)]
        self._debtors.append(np.array(debtors, dtype=np.int64))
        if self._codes:
            # One flat list: the collector of garbage looks at lists, and not at their texts.
            flat = json.loads(f"[{','.join(text[1:-1] for text in texts)}]")
            count = len(self._codes)
            for place, (codes, places) in enumerate(zip(self._codes, self._places, strict=True)):
                column = flat[place::count]
                places.append(np.fromiter(map(codes.__getitem__, column), np.int32, len(chances)))

    def scored(self, *, newest_first: bool = True) -> Scored:
        """All of them, oldest first, however they came."""
        turn = slice(None, None, -1 if newest_first else 1)
        texts = [
            Texts(list(codes), _joined(places, np.int32)[turn])
            for codes, places in zip(self._codes, self._places, strict=True)
        ]
        return Scored(
            _joined(self._chances)[turn],
            _joined(self._positive, np.bool_)[turn],
            _joined(self._debtors, np.int64)[turn],
            _joined(self._days, np.int64)[turn],
            min(self._ids, default=""),
            texts,
        )

    def _debtor(self, id: str, reference: str | None) -> int:
        if reference is not None:
            return _debtor(reference)
        if id in self._known:
            return self._known[id]
        self._alone += 1
        return -self._alone  # nobody else's: those of references are not below 0


def _debtor(reference: str) -> int:
    return int(reference[:15], 16)


@lru_cache(maxsize=10_000)
def _day(text: str) -> int:
    """The days from 1970 to a date: there are few dates, and many payments of each."""
    return (date.fromisoformat(text) - EPOCH).days


def _joined(parts: list[npt.NDArray[Any]], kind: Any = np.float64) -> npt.NDArray[Any]:
    return np.concatenate(parts) if parts else np.array([], dtype=kind)
