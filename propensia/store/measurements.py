"""The measurements that the monitoring writes, and reads again.

No value of a caller is ever in a measurement, but for categories that the contract declares.

The measurements, by ``kind`` and ``subject``. ``at`` is the end of the answers that one is of, so
that measuring a month again replaces what was found before. ``value`` is ``None`` where a number
would not be true; ``detail`` says why: ``reason`` in Spanish, ``reason_en``, and a ``code`` that
stays.

====================== =========================== ==========================================
kind                   subject                     value
====================== =========================== ==========================================
drift                  parameter, ``score``        corrected stability index, at least 0
drift_test             parameter, ``score``        p of Benjamini and Hochberg
region                 ``region``                  share of rows outside the training region
new_category           parameter                   share of rows with values never seen
missing                parameter                   share without data
estimated, realised    ``auc``, ``brier``, …       the figure, with its interval
maturity               days since the answer       share that had paid
calibration            ``1`` … ``10``, ``ece``     rate of the decile, highest chances first
lift                   ``1`` … ``10``              lift of the decile, highest chances first
caller                 caller                      share of answers with something assumed
hindsight              ``auc``, ``brier``, …       estimated minus realised
====================== =========================== ==========================================
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, insert, select, tuple_

from propensia.store import schema

SUBJECT = 64
"""Letters of a subject; a longer name of a caller is cut."""

TOGETHER = (
    frozenset({"drift", "drift_test", "region", "new_category", "missing", "estimated"}),
    frozenset({"realised", "maturity", "calibration", "lift"}),
    frozenset({"hindsight"}),
    frozenset({"caller"}),
)
"""Kinds that are measured together: those of one time and version are all new, or none is."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One finding about the answers of a ``version`` until ``at`` (ms since 1970); ``low`` and
    ``high``: its 95 % interval, where it has one; ``detail``: plain JSON values."""

    at: int
    version: str
    kind: str
    subject: str
    value: float | None
    low: float | None = None
    high: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


def write(connection: Connection, found: Sequence[Measurement]) -> None:
    """Keep measurements; all that was measured ``TOGETHER`` at the same time gives way, also what
    is found no more."""
    if not found:
        return
    if connection.dialect.name == "postgresql":
        # Two machines may have measured the same month: the later one waits, and replaces all.
        connection.exec_driver_sql("LOCK TABLE measurements IN SHARE ROW EXCLUSIVE MODE")
    of = schema.measurements.c
    kinds = {kind: together for together in TOGETHER for kind in together}
    keys = sorted({(one.at, one.version, kind) for one in found for kind in kinds[one.kind]})
    for start in range(0, len(keys), 100):  # a statement takes a limited number of values
        same = tuple_(of.at, of.version, of.kind).in_(keys[start : start + 100])
        connection.execute(delete(schema.measurements).where(same))
    connection.execute(insert(schema.measurements), [_row(one) for one in found])


def versions(connection: Connection, kind: str, since: int, until: int) -> list[str]:
    """The versions with a measurement of a kind with ``at`` in [since, until)."""
    of = schema.measurements.c
    rows = connection.execute(
        select(of.version)
        .where(of.kind == kind, of.at >= since, of.at < until)
        .distinct()
        .order_by(of.version)
    )
    return list(rows.scalars())


def read(
    connection: Connection, kind: str, version: str, since: int, until: int
) -> list[Measurement]:
    """The measurements of a kind and version with ``at`` in [since, until), oldest first."""
    of = schema.measurements.c
    rows = connection.execute(
        select(schema.measurements)
        .where(of.kind == kind, of.version == version, of.at >= since, of.at < until)
        .order_by(of.at, of.subject)
    )
    return [
        Measurement(at, of_version, of_kind, subject, value, low, high, json.loads(detail))
        for at, of_version, of_kind, subject, value, low, high, detail in rows
    ]


def _row(one: Measurement) -> dict[str, Any]:
    return {
        "at": one.at,
        "version": one.version,
        "kind": one.kind,
        "subject": one.subject,
        "value": one.value,
        "low": one.low,
        "high": one.high,
        "detail": json.dumps(dict(one.detail), ensure_ascii=False, allow_nan=False),
    }
