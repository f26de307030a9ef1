"""The sums of each hour, kept while records are shipped, so that no page has to read answers.

A record is counted when its row is new, in the same transaction, and so exactly once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np
from sqlalchemy import Connection

from propensia import steps
from propensia.faults import ASSUMED
from propensia.journal import records
from propensia.journal.records import HOUR_MS
from propensia.store import schema
from propensia.store.upserts import Row, upsert

NOTE, FAULT, REFUSAL = "note", "fault", "refusal"
"""The kinds of ``quality_windows``: what was told beside answers, why requests were refused, and
how many were, without parameter and code: one request may have several faults."""

_ASSUMED = f',"{ASSUMED}",'
"""How the JSON of ``rows`` writes the code in the middle of a note; within a text the quotes would
be escaped."""


def hour_of(milliseconds: int) -> int:
    """The first millisecond of that hour."""
    return milliseconds - milliseconds % HOUR_MS


def count_answers(connection: Connection, rows: Sequence[Row]) -> None:
    """Count new answers, rows of ``schema.answers``."""
    windows: dict[tuple[int, str, str], list[int]] = {}
    scores: dict[tuple[int, str, int], int] = {}
    bins = steps.places(np.array([row["probability"] for row in rows]), schema.SCORE_BINS)
    for row, place in zip(rows, bins.tolist(), strict=True):
        hour = hour_of(records.milliseconds(row["id"]))
        sums = windows.setdefault((hour, row["version"], row["caller"]), [0, 0, 0])
        sums[0] += 1
        sums[1] += row["positive"]
        sums[2] += _ASSUMED in row["notes"]
        key = (hour, row["version"], place)
        scores[key] = scores.get(key, 0) + 1
    summed = ("count", "positive", "noted")
    table = [
        {"hour": hour, "version": version, "caller": caller} | dict(zip(summed, sums, strict=True))
        for (hour, version, caller), sums in windows.items()
    ]
    upsert(connection, schema.windows, table, summed, add=True)
    table = [
        {"hour": hour, "version": version, "bin": place, "count": count}
        for (hour, version, place), count in scores.items()
    ]
    upsert(connection, schema.scores, table, ("count",), add=True)
    _count_codes(connection, NOTE, (row for row in rows if row["notes"] != "[]"), "notes")


def count_refusals(connection: Connection, rows: Iterable[Row]) -> None:
    """Count new refusals, rows of ``schema.refusals``."""
    rows = list(rows)
    _count_codes(connection, FAULT, rows, "faults")
    _count_codes(connection, REFUSAL, [row | {"faults": '[["", ""]]'} for row in rows], "faults")


def _count_codes(connection: Connection, kind: str, rows: Iterable[Row], column: str) -> None:
    counted: dict[tuple[int, str, str, str], list[int]] = {}
    for row in rows:
        at = records.milliseconds(row["id"])
        for parameter, code, *_ in json.loads(row[column]):
            key = (hour_of(at), row["caller"], parameter, code)
            sums = counted.setdefault(key, [0, at, at])
            sums[:] = sums[0] + 1, min(sums[1], at), max(sums[2], at)
    table = [
        {
            "hour": hour,
            "caller": caller,
            "kind": kind,
            "parameter": parameter,
            "code": code,
            "count": count,
            "first": first,
            "last": last,
        }
        for (hour, caller, parameter, code), (count, first, last) in counted.items()
    ]
    upsert(
        connection,
        schema.quality,
        table,
        ("count",),
        add=True,
        least=("first",),
        greatest=("last",),
    )
