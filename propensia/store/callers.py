"""What comes from each caller: how much was answered, assumed and refused, and since when.

The one count of it, for the monitoring, the panel and the alerts, from the sums of hours: it never
reads answers, of which there may be millions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Column, ColumnElement, Connection, func, literal_column, select, true

from propensia.faults import ASSUMED
from propensia.store import schema, sums


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a caller got: ``answers``, in how many of them a value was assumed (``noted``), and how
    many requests were ``refused``."""

    answers: int = 0
    noted: int = 0
    refused: int = 0

    @property
    def requests(self) -> int:
        """How often the caller asked."""
        return self.answers + self.refused

    @property
    def refused_share(self) -> float:
        """The share of the requests that was refused, in [0, 1]."""
        return self.refused / max(1, self.requests)

    @property
    def poor_share(self) -> float:
        """The share of the requests that was refused or took an assumption, in [0, 1]."""
        return (self.noted + self.refused) / max(1, self.requests)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What came wrong from a caller: ``kind`` ``note`` (told beside answers) or ``fault``
    (refused), of a ``parameter`` with a ``code``; how often; first of all times and last, in ms
    since 1970."""

    caller: str
    kind: str
    parameter: str
    code: str
    count: int
    first: int
    last: int

    @property
    def is_refusal(self) -> bool:
        """Whether there was no answer."""
        return self.kind == sums.FAULT

    @property
    def is_assumption(self) -> bool:
        """Whether a value was taken that did not come: not every note is one."""
        return self.kind == sums.NOTE and self.code == ASSUMED


def traffic(connection: Connection, since: int, until: int) -> dict[str, Traffic]:
    """Caller -> what it got, in the hours that begin in [since, until)."""
    of, wrong = schema.windows.c, schema.quality.c
    counts = connection.execute(
        select(of.caller, func.sum(of.count), func.sum(of.noted))
        .where(of.hour >= since, of.hour < until)
        .group_by(of.caller)
    )
    found = {caller: Traffic(int(count), int(noted)) for caller, count, noted in counts}
    caller = _unindexed(wrong.caller)
    refused = connection.execute(
        select(caller, func.sum(wrong.count))
        .where(wrong.hour >= since, wrong.hour < until, wrong.kind == sums.REFUSAL)
        .group_by(caller)
    )
    for name, count in refused:
        found[name] = replace(found.get(name, Traffic()), refused=int(count))
    return found


def troubles(
    connection: Connection, since: int, until: int, each: int, of_callers: Sequence[str] | None
) -> list[Trouble]:
    """What came wrong most often in the hours that begin in [since, until): of each of those
    callers (``None``: of all) and each kind, ``each`` at most, the most frequent first."""
    of = schema.quality.c
    caller = _unindexed(of.caller)
    total = func.sum(of.count)
    place = func.row_number().over(
        partition_by=(caller, of.kind), order_by=(total.desc(), of.parameter, of.code)
    )
    told = (
        select(caller.label("caller"), of.kind, of.parameter, of.code)
        .add_columns(total.label("count"), func.max(of.last).label("last"), place.label("place"))
        .where(of.hour >= since, of.hour < until, of.kind.in_((sums.NOTE, sums.FAULT)))
        .where(true() if of_callers is None else caller.in_(of_callers))
        .group_by(caller, of.kind, of.parameter, of.code)
        .subquery()
    )
    names = [told.c[name] for name in ("caller", "kind", "parameter", "code")]
    ever = schema.quality.alias().c
    same = [ever[column.name] == column for column in names]
    first = select(func.min(ever.first)).where(*same).scalar_subquery()
    # One statement: between two, the shipping may add what only the second would see.
    rows = connection.execute(
        select(*names, told.c.count, first, told.c.last)
        .where(told.c.place <= each)
        .order_by(told.c.count.desc(), *names)
    )
    return [Trouble(*row[:4], *map(int, row[4:])) for row in rows]


def _unindexed(column: Column[str]) -> ColumnElement[str]:
    """The same value, which no index holds: SQLite does not know how many rows there are, and
    would walk through all hours in the order of callers instead of through the last ones."""
    return column.concat(literal_column("''"))
