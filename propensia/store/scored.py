"""Answers as the monitoring reads them: chances, debtors, texts and what came of them, as arrays.

It reads in small parts, and keeps a text once however many answers have it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, Select, func, select

from propensia.journal import records
from propensia.store import schema

Vector = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
CHUNK = 1_000  # small ones cost the collector of garbage less: few rows are alive at a time
DAY_MS = 86_400_000
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
    about one reference, one's own without.
    ``texts``: one per parameter, or empty where they were not asked for.
    """

    chances: Vector
    positive: npt.NDArray[np.bool_]
    debtors: Whole
    texts: list[Texts] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.chances)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What came of the answers of a ``Scored``, in its order, each ``(n,)``.

    ``days`` after the answer that its payment was made, infinite for none that is known; not
    below 0. ``cents``: what was paid, 0 where nobody said.
    """

    days: Vector
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
    of, texts = schema.answers.c, schema.inputs.c
    wanted = (
        select(of.probability, of.positive, of.reference, texts.texts)
        .join(schema.inputs, texts.id == of.id)
        .where(*_between(since, until), of.version == version, of.rules == rules)
        .order_by(of.id.desc())
        .limit(most)
    )
    gathered = _Gathered(parameters)
    for part in _chunks(connection, wanted):
        gathered.add(*part)
    return gathered.scored()


def matured(
    connection: Connection, version: str, since: int, until: int, most: int
) -> tuple[Scored, Outcomes]:
    """The last ``most`` answers in [since, until), and what is known to have come of them."""
    of, came = schema.answers.c, schema.outcomes.c
    wanted = (
        select(of.id, of.probability, of.positive, of.reference, came.paid, came.date, came.cents)
        .join_from(schema.answers, schema.outcomes, came.answer == of.id, isouter=True)
        .where(*_between(since, until), of.version == version)
        .order_by(of.id.desc())
        .limit(most)
    )
    gathered, days, cents = _Gathered(0), [], []
    for ids, chances, positive, references, paid, dates, amounts in _chunks(connection, wanted):
        gathered.add(chances, positive, references)
        days.append(_days(ids, paid, dates))
        cents.append(np.array([amount or 0 for amount in amounts], dtype=np.float64))
    found = gathered.scored()
    return found, Outcomes(_joined(days)[::-1], _joined(cents)[::-1])


def last_outcome(connection: Connection) -> int | None:
    """When the last outcome was told, in ms since 1970; ``None`` before the first."""
    last = connection.execute(select(func.max(schema.events.c.id))).scalar()
    return None if last is None else records.milliseconds(last)


def _between(since: int, until: int) -> tuple[Any, Any]:
    of = schema.answers.c
    return of.id >= records.first_id(since), of.id < records.first_id(until)


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


class _Gathered:
    """Chunks of answers, newest first, on their way into arrays."""

    def __init__(self, parameters: int) -> None:
        self._chances: list[Vector] = []
        self._positive: list[npt.NDArray[np.bool_]] = []
        self._debtors: list[Whole] = []
        self._codes = [_Codes() for _ in range(parameters)]
        self._places: list[list[npt.NDArray[np.int32]]] = [[] for _ in range(parameters)]
        self._alone = 0

    def add(
        self,
        chances: Sequence[float],
        positive: Sequence[bool],
        references: Sequence[str | None],
        texts: Sequence[str] = (),
    ) -> None:
        """One chunk; each of ``texts`` a JSON list."""
        self._chances.append(np.array(chances, dtype=np.float64))
        self._positive.append(np.array(positive, dtype=bool))
        self._debtors.append(np.array([self._debtor(one) for one in references], dtype=np.int64))
        if self._codes:
            # One flat list: the collector of garbage looks at lists, and not at their texts.
            flat = json.loads(f"[{','.join(text[1:-1] for text in texts)}]")
            count = len(self._codes)
            for place, (codes, places) in enumerate(zip(self._codes, self._places, strict=True)):
                column = flat[place::count]
                places.append(np.fromiter(map(codes.__getitem__, column), np.int32, len(chances)))

    def scored(self) -> Scored:
        """All of them, oldest first."""
        texts = [
            Texts(list(codes), _joined(places, np.int32)[::-1])
            for codes, places in zip(self._codes, self._places, strict=True)
        ]
        return Scored(
            _joined(self._chances)[::-1],
            _joined(self._positive, np.bool_)[::-1],
            _joined(self._debtors, np.int64)[::-1],
            texts,
        )

    def _debtor(self, reference: str | None) -> int:
        if reference is None:
            self._alone += 1
            return -self._alone  # nobody else's: those of references are not below 0
        return int(reference[:15], 16)


def _joined(parts: list[npt.NDArray[Any]], kind: Any = np.float64) -> npt.NDArray[Any]:
    return np.concatenate(parts) if parts else np.array([], dtype=kind)


def _days(ids: Sequence[str], paid: Sequence[bool | None], dates: Sequence[str | None]) -> Vector:
    days = np.full(len(ids), np.inf)
    for place, (id, one, day) in enumerate(zip(ids, paid, dates, strict=True)):
        if one and day is not None:
            answered = records.milliseconds(id) // DAY_MS
            days[place] = max(0, (date.fromisoformat(day) - EPOCH).days - answered)
    return days
