"""What the panel reads: sums of hours, findings of the monitoring and open alerts.

It never reads answers, of which there may be millions: what it costs grows with hours alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, select

from propensia.store import schema
from propensia.store.measurements import Measurement

WINDOW = ("drift", "drift_test", "region", "new_category", "missing", "estimated")
"""Kinds of findings about the answers of a version until now: one examination writes them all,
with one ``at``."""

MONTH = ("realised", "calibration", "lift")
"""Kinds of findings about a month of which it is known what came of it."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """The answers of one version in one hour; ``positive`` and ``noted`` (something was assumed)
    of them; ``hour`` in ms since 1970."""

    hour: int
    version: str
    count: int
    positive: int
    noted: int


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


def last(connection: Connection, version: str) -> list[Measurement]:
    """What was found about the answers of a version when they were examined last."""
    of = schema.measurements.c
    own = of.kind.in_(WINDOW) & (of.version == version)
    at = connection.execute(select(func.max(of.at)).where(own)).scalar()
    return [] if at is None else _findings(connection, own & (of.at == at))


def matured(connection: Connection) -> list[Measurement]:
    """What came of the newest month that tells a figure, of whatever version: where models are
    replaced each month, the one that answers now has none. Of several versions of that month, the
    one that answered most. Where a later month was refused, why, comes first."""
    of = schema.measurements.c
    realised = of.kind == "realised"
    told = _newest(connection, realised & of.value.is_not(None))
    later = realised & of.value.is_(None)
    if told is None:
        refused = _newest(connection, later)
        return [] if refused is None else [refused]
    refused = _newest(connection, later & (of.at > told.at))
    same = (of.at == told.at) & (of.version == told.version)
    return [
        *([] if refused is None else [refused]),
        *_findings(connection, of.kind.in_(MONTH) & same),
    ]


def hindsight(connection: Connection) -> list[Measurement]:
    """How right the newest estimate was of which everything is known, of whatever version."""
    of = schema.measurements.c
    kind = of.kind == "hindsight"
    newest = _newest(connection, kind)
    if newest is None:
        return []
    return _findings(connection, kind & (of.at == newest.at) & (of.version == newest.version))


def _newest(connection: Connection, chosen: ColumnElement[bool]) -> Measurement | None:
    """One of the newest findings that are ``chosen``, of the version that has most rows."""
    of = schema.measurements.c
    at = connection.execute(select(func.max(of.at)).where(chosen)).scalar()
    found = [] if at is None else _findings(connection, chosen & (of.at == at))
    return max(found, key=lambda one: one.detail.get("rows", 0), default=None)


def course(
    connection: Connection, kinds: Sequence[str], subject: str | None, since: int, most: int
) -> list[Measurement]:
    """What was found of every version from ``since`` on, the newest ``most`` of it in the order
    of time; of one ``subject``, or of all."""
    of = schema.measurements.c
    chosen = of.kind.in_(kinds) & (of.at >= since)
    if subject is not None:
        chosen = chosen & (of.subject == subject)
    return _findings(connection, chosen, most)


def _findings(
    connection: Connection, chosen: ColumnElement[bool], most: int | None = None
) -> list[Measurement]:
    of = schema.measurements.c
    newest = (of.at.desc(), of.version.desc(), of.kind.desc(), of.subject.desc())
    wanted = select(schema.measurements).where(chosen).order_by(*newest).limit(most)
    rows = [dict(row) for row in connection.execute(wanted).mappings()]
    return [Measurement(**row | {"detail": json.loads(row["detail"])}) for row in reversed(rows)]


def has_outcomes(connection: Connection) -> bool:
    """Whether it is known of any answer what came of it."""
    return connection.execute(select(schema.outcomes.c.answer).limit(1)).first() is not None


def examined_at(connection: Connection, version: str | None = None) -> int | None:
    """When answers were examined last, in ms since 1970; of one ``version``: and enough was there
    to find something."""
    of = schema.measurements.c
    chosen: ColumnElement[bool] = of.kind.in_(("drift", "estimated"))
    if version is not None:
        chosen = (of.kind == "drift") & (of.version == version) & of.value.is_not(None)
    return connection.execute(select(func.max(of.at)).where(chosen)).scalar()


def answered(connection: Connection, version: str, since: int) -> bool:
    """Whether a version gave any answer from ``since`` on."""
    of = schema.windows.c
    own = select(of.hour).where(of.hour >= since, of.version == version).limit(1)
    return connection.execute(own).first() is not None
