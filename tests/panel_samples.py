"""A store as it is after a month: sums, findings and alerts, all made up, for tests of the panel.

No answer is in it: the panel reads none.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table

from propensia.contract import Contract
from propensia.store import alerts, schema
from propensia.store.alerts import Alert

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
CALLERS = {"recobros": 0.6, "crm <b>": 0.3, "portal": 0.1}
REASON = "hay 120 respuestas y hacen falta 500"
REASON_EN = "there are 120 answers, and 500 are needed"


def insert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Add rows with one statement: with one for each, tests on PostgreSQL take minutes."""
    columns = list(table.columns.keys())
    names = ",".join(f'"{name}"' for name in columns)
    values = ",".join(f"({','.join(_literal(row[name]) for name in columns)})" for row in rows)
    connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) VALUES {values}")


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    quoted = str(value).replace("'", "''")
    return repr(value) if isinstance(value, int | float) else f"'{quoted}'"


def traffic(connection: Connection, version: str, now: int, days: int = 35) -> None:
    """Answers by hour of three callers, and their scores; the same numbers every time."""
    random = np.random.default_rng(7)
    windows, scores = [], []
    for back in range(days * 24):
        hour = (now // HOUR_MS - back) * HOUR_MS
        daily = 200 * math.exp(-((((hour // HOUR_MS) % 24) - 12) ** 2) / 18)
        for caller, part in CALLERS.items():
            count = int(random.poisson(daily * part)) + 1
            positive, noted = int(count * 0.37), int(count * part / 4)
            row = {"hour": hour, "version": version, "caller": caller, "count": count}
            more = {"positive": positive, "noted": noted}
            windows.append(row | more)
        shares = random.multinomial(100, np.array(_bell(0.38)) / sum(_bell(0.38)))
        scores += [
            {"hour": hour, "version": version, "bin": place, "count": int(count)}
            for place, count in enumerate(shares)
            if count
        ]
    insert(connection, schema.windows, windows)
    insert(connection, schema.scores, scores)


def training() -> dict[str, Any]:
    """What a manifest says of the training."""
    bell = _bell(0.45)
    shares = [value / sum(bell) for value in bell]
    return {
        "referencia": {"puntuacion": {"histograma": shares}},
        "entrenamiento": {"hecho": "2026-01-01T08:00:00+00:00"},
    }


def _bell(middle: float) -> list[float]:
    return [math.exp(-((((place + 0.5) / 20) - middle) ** 2) / 0.045) for place in range(20)]


def troubles(connection: Connection, now: int, parameter: str) -> None:
    """What came wrong from two callers."""
    hour = now // HOUR_MS * HOUR_MS
    rows = [
        ("recobros", "note", parameter, "valor_supuesto", 812),
        ("recobros", "note", parameter, "texto_normalizado", 90),
        ("recobros", "note", parameter, "coma_decimal", 45),
        ("recobros", "fault", parameter, "parametro_ausente", 31),
        ("recobros", "fault", parameter, "valor_no_admitido", 9),
        ("recobros", "refusal", "", "", 35),
        ("crm <b>", "note", parameter, "valor_supuesto", 95),
    ]
    names = ("caller", "kind", "parameter", "code", "count")
    more = {"hour": hour, "first": hour + 1000, "last": hour + 2000}
    told = [dict(zip(names, row, strict=True)) | more for row in rows]
    insert(connection, schema.quality, told)


def findings(connection: Connection, version: str, now: int, contract: Contract) -> None:
    """What a monitoring of some months would have left."""
    rows = [*_drift(version, now, contract), *_course(version, now), *_deciles(version, now)]
    keys = ("at", "version", "kind", "subject", "value", "low", "high", "detail")
    told = [dict(zip(keys, (*row[:7], json.dumps(row[7])), strict=True)) for row in rows]
    insert(connection, schema.measurements, told)


def _drift(version: str, now: int, contract: Contract) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    subjects = ["score", *(parameter.name for parameter in contract.parameters)]
    for place, name in enumerate(subjects):
        value = (0.41, 0.17, 0.06)[place] if place < 3 else 0.2 / (place + 4)
        rows.append((now, version, "drift", name, value, None, None, {"p": 0.001}))
        if name != "score":
            share = 0.012 * place
            rows.append((now, version, "missing", name, share, None, None, {}))
    category = next(p for p in contract.parameters if p.is_category)
    news = {"values": {category.values[0]: 3, category.values[1]: 9}, "rows": 1200}
    rows.append((now, version, "new_category", category.name, 0.01, None, None, news))
    rows.append((now, version, "region", "region", 0.043, 0.04, 0.05, {}))
    return rows


def _course(version: str, now: int) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for week in range(16, -1, -1):
        at = now - week * 7 * DAY_MS
        auc = 0.74 - 0.002 * (16 - week) + 0.008 * math.sin(week)
        rows.append((at, version, "estimated", "auc", auc, auc - 0.012, auc + 0.012, {}))
        if week > 12 and week % 2 == 0:
            told = (auc - 0.01, auc - 0.03, auc + 0.01, _month(at))
            rows.append((at, version, "realised", "auc", *told))
    for name, value in (("brier", 0.171), ("precision", 0.583), ("recall", 0.644)):
        rows.append((now, version, "estimated", name, value, value - 0.01, value + 0.01, {}))
    refused = {"reason": REASON, "reason_en": REASON_EN}
    rows.append((now, version, "estimated", "payments", None, None, None, refused))
    last = now - 14 * 7 * DAY_MS
    rows.append((last, version, "realised", "payments", 419.0, 380.0, 460.0, _month(last)))
    for cohort in range(4):
        at = now - (100 - 30 * cohort) * DAY_MS
        for days, share in ((30, 0.17), (60, 0.27), (90, 0.31)):
            if cohort < 4 - days // 30:
                told = (share + 0.012 * cohort, None, None, _month(at))
                rows.append((at, version, "maturity", str(days), *told))
    return rows


def _deciles(version: str, now: int) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    at = now - 14 * 7 * DAY_MS
    month = _month(at)
    for place in range(1, 11):
        rate, chance = 0.855 - 0.075 * place, 0.878 - 0.078 * place
        known = month | {"chance": chance}
        rows.append((at, version, "calibration", str(place), rate, rate, rate, known))
        euros = month | {"euros": round(48_000 * math.exp(-place / 3), 2)}
        rows.append((at, version, "lift", str(place), 2.4 - 0.2 * place, None, None, euros))
    rows.append((at, version, "calibration", "ece", 0.012, None, None, month))
    return rows


def _month(at: int) -> dict[str, Any]:
    """What the findings of a month that ended then say of it."""
    return {"cohort": f"{datetime.fromtimestamp(at / 1000 - 86_400, UTC):%Y-%m}", "rows": 1000}


def alert(connection: Connection, version: str, now: int) -> None:
    """One alert that goes on."""
    alerts.begin(
        connection,
        Alert(
            id=alerts.new_id(now - 3 * HOUR_MS),
            kind="drift",
            subject="score",
            version=version,
            value=0.41,
            limit=0.25,
            text="La puntuación ha cambiado (PSI 0,41, límite 0,25).",
            english="The score has changed (PSI 0.41, limit 0.25).",
            told=now,
            seen=now,
        ),
    )
