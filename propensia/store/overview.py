"""What the panel reads: sums of hours, findings of the monitoring and open alerts.

It never reads answers, of which there may be millions: what it costs grows with hours alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from propensia.store import schema

ASSUMED, REFUSED = "note", "fault"
"""The kinds of what was wrong with the data of a caller, as ``quality_windows`` has them."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """The answers of one version in one hour; ``positive`` and ``noted`` (something was assumed)
    of them; ``hour`` in ms since 1970."""

    hour: int
    version: str
    count: int
    positive: int
    noted: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """What came wrong from a caller: a ``parameter`` and a ``code``, how often, and when first
    and last, in ms since 1970."""

    caller: str
    kind: str
    parameter: str
    code: str
    count: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the monitoring; ``value`` ``None``: refused, and ``detail`` says why."""

    at: int
    version: str
    kind: str
    subject: str
    value: float | None
    low: float | None
    high: float | None
    detail: dict[str, Any]


def traffic(connection: Connection, since: int) -> list[Traffic]:
    """The answers of each hour and version from ``since`` on, in the order of time."""
    of = schema.windows.c
    rows = connection.execute(
        select(
            of.hour,
            of.version,
            func.sum(of.count),
            func.sum(of.positive),
            func.sum(of.noted),
        )
        .where(of.hour >= since)
        .group_by(of.hour, of.version)
        .order_by(of.hour, of.version)
    )
    return [
        Traffic(hour, version, int(count), int(positive), int(noted))
        for hour, version, count, positive, noted in rows
    ]


def callers(connection: Connection, since: int) -> dict[str, tuple[int, int]]:
    """Caller -> how many answers from ``since`` on, and how many with something assumed."""
    of = schema.windows.c
    rows = connection.execute(
        select(of.caller, func.sum(of.count), func.sum(of.noted))
        .where(of.hour >= since)
        .group_by(of.caller)
    )
    return {caller: (int(count), int(noted)) for caller, count, noted in rows}


def troubles(connection: Connection, since: int, most: int) -> list[Trouble]:
    """What came wrong most often from ``since`` on, ``most`` rows of it, the most frequent first;
    ``first`` is that of those hours."""
    of = schema.quality.c
    key = (of.caller, of.kind, of.parameter, of.code)
    total = func.sum(of.count)
    rows = connection.execute(
        select(*key, total, func.min(of.first), func.max(of.last))
        .where(of.hour >= since)
        .group_by(*key)
        .order_by(total.desc(), *key)
        .limit(most)
    )
    return [
        Trouble(caller, kind, parameter, code, int(count), first, last)
        for caller, kind, parameter, code, count, first, last in rows
    ]


def scores(connection: Connection, version: str, since: int) -> list[int]:
    """How many scores of a version fell in each of the ``SCORE_BINS`` from ``since`` on."""
    of = schema.scores.c
    rows = connection.execute(
        select(of.bin, func.sum(of.count))
        .where(of.hour >= since, of.version == version)
        .group_by(of.bin)
    )
    counts = [0] * schema.SCORE_BINS
    for place, count in rows:
        counts[place] = int(count)
    return counts


def last(connection: Connection, kinds: Sequence[str], version: str) -> list[Finding]:
    """What the monitoring found of a version, of each kind the last time that it looked."""
    of = schema.measurements.c
    found: list[Finding] = []
    for kind in kinds:
        own = (of.kind == kind) & (of.version == version)
        at = connection.execute(select(func.max(of.at)).where(own)).scalar()
        if at is not None:
            found += _findings(connection, own & (of.at == at))
    return found


def course(
    connection: Connection, kinds: Sequence[str], subject: str | None, since: int, most: int
) -> list[Finding]:
    """What was found of every version from ``since`` on, the newest ``most`` of it in the order
    of time; of one ``subject``, or of all."""
    of = schema.measurements.c
    chosen = of.kind.in_(kinds) & (of.at >= since)
    if subject is not None:
        chosen = chosen & (of.subject == subject)
    return _findings(connection, chosen, most)


def _findings(
    connection: Connection, chosen: ColumnElement[bool], most: int | None = None
) -> list[Finding]:
    of = schema.measurements.c
    newest = (of.at.desc(), of.version.desc(), of.kind.desc(), of.subject.desc())
    wanted = select(schema.measurements).where(chosen).order_by(*newest).limit(most)
    rows = [dict(row) for row in connection.execute(wanted).mappings()]
    return [Finding(**row | {"detail": json.loads(row["detail"])}) for row in reversed(rows)]


def has_outcomes(connection: Connection) -> bool:
    """Whether it is known of any answer what came of it."""
    return connection.execute(select(schema.outcomes.c.answer).limit(1)).first() is not None


def examined_at(connection: Connection) -> int | None:
    """When the answers were examined last, in ms since 1970."""
    return connection.execute(select(func.max(schema.measurements.c.at))).scalar()
