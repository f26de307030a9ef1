"""Versions, answers and payments with a known truth, for the tests of the monitoring.

The model is the true probability of the generator, so that it is calibrated by construction.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Engine, insert

from propensia import distributions, stats, synthetic
from propensia.contract import Contract
from propensia.features import Features
from propensia.journal import records
from propensia.registry import Registry
from propensia.store import schema

VERSION = "a1b2c3d4e5f6"
DAY_MS = 86_400_000
CHUNK = 50_000


def ms(*day: int) -> int:
    """The first millisecond of a day, in UTC."""
    return int(datetime(*day, tzinfo=UTC).timestamp()) * 1000


NOW = ms(2026, 7, 20)


def texts(contract: Contract, table: synthetic.Table) -> dict[str, list[str]]:
    """The rows of a generated table as a caller would send them."""
    return {p.name: [_text(v) for v in table.columns[p.feature]] for p in contract.parameters}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip() or "NaN"
    if value != value:
        return "NaN"
    return f"{value:.0f}" if float(value).is_integer() else repr(float(value))


@dataclass(frozen=True)
class Learnt:
    """A training table, its rows as texts and the chances that the model says of them."""

    columns: dict[str, list[str]]
    chances: np.ndarray
    labels: np.ndarray


def learnt(contract: Contract, rows: int = 20_000, seed: int = 1) -> Learnt:
    table = synthetic.generate(rows, seed)
    return Learnt(texts(contract, table), table.truth, table.paid)


def told(contract: Contract, of: Learnt) -> dict[str, Any]:
    """What the sidecar of such a training says."""
    values, faults = Features(contract).read_many(of.columns)
    assert not faults
    described = distributions.described(contract, values)
    error = stats.calibration_error(of.labels, of.chances)[1]
    table = stats.calibration_table(of.labels, of.chances)
    rows = zip(table.chance, table.rate, table.count, strict=True)
    return {
        "referencia": {
            "filas": len(of.chances),
            "parametros": described,
            "puntuacion": distributions.of_scores(of.chances),
            "cobertura": distributions.packed(distributions.region(contract, described, values)),
        },
        "metricas": {"ece_sin_sesgo": {"valor": error, "desde": 0.0, "hasta": error + 0.01}},
        "calibracion": [
            {"probabilidad": float(chance), "tasa": float(rate), "filas": int(count)}
            for chance, rate, count in rows
        ],
        "entrenamiento": {"juzgadas": len(of.chances)},
    }


def admit(
    registry: Registry, contract: Contract, said: dict[str, Any], version: str = VERSION
) -> None:
    """A version with such a sidecar; its model is never asked anything here."""
    manifest = {
        "version": version,
        "onnx_sha256": "0" * 64,
        "contract_fingerprint": contract.fingerprint,
        "threshold": 0.3,
        "training_rate": None,
        "real_rate": None,
        "told": said,
    }
    registry.add_version(version, manifest, {"model.onnx": b"none"})


def answer(
    engine: Engine,
    contract: Contract,
    columns: dict[str, list[str]],
    chances: np.ndarray,
    since: int,
    until: int,
    *,
    version: str = VERSION,
    references: list[str | None] | None = None,
) -> list[str]:
    """Put answers into the store, evenly from ``since`` to ``until``; their ids."""
    count = len(chances)
    moments = np.linspace(since, until - 1, count).astype(np.int64)
    ids = [f"{moment:011x}-1-{place:06d}" for place, moment in enumerate(moments.tolist())]
    rows = list(zip(*(columns[p.name] for p in contract.parameters), strict=True))
    common = {
        "version": version,
        "publication": 1,
        "model": "julio",
        "rules": contract.fingerprint,
        "caller": "crm",
        "threshold": 0.3,
        "notes": "[]",
    }
    with engine.begin() as connection:
        for first in range(0, count, CHUNK):
            places = range(first, min(first + CHUNK, count))
            connection.execute(
                insert(schema.answers),
                [
                    common
                    | {
                        "id": ids[i],
                        "reference": references[i] if references else None,
                        "probability": float(chances[i]),
                        "positive": bool(chances[i] >= 0.3),
                    }
                    for i in places
                ],
            )
            connection.execute(
                insert(schema.inputs),
                [{"id": ids[i], "texts": json.dumps(rows[i])} for i in places],
            )
    return ids


def pay(
    engine: Engine,
    ids: list[str],
    labels: np.ndarray,
    told_at: int,
    *,
    after_days: np.ndarray | int = 10,
    euros: float = 50.0,
) -> None:
    """Tell the payments of those who paid; that of an answer ``after_days`` after it."""
    days = np.broadcast_to(after_days, len(ids))
    paid = [
        {
            "answer": id,
            "paid": True,
            "cents": round(100 * euros),
            "date": str(records.day(id) + timedelta(days=int(day))),
            "first_paid": str(records.day(id) + timedelta(days=int(day))),
            "source": "caja",
            "event": f"{told_at:011x}-2-{place:06d}",
        }
        for place, (id, label, day) in enumerate(zip(ids, labels, days, strict=True))
        if label
    ]
    common = {"until": f"{told_at:011x}", "told": told_at, "times": 1, "state": "matched"}
    names = ("answer", "paid", "cents", "date", "source")
    told = [
        common
        | {name: row[name] for name in names}
        | {"id": row["event"], "matched": row["answer"]}
        for row in paid
    ]
    with engine.begin() as connection:
        for first in range(0, len(paid), CHUNK):
            connection.execute(insert(schema.outcomes), paid[first : first + CHUNK])
            connection.execute(insert(schema.events), told[first : first + CHUNK])
