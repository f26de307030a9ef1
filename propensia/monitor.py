"""``propensia monitor``: what the monitoring finds, as a table for a person or as JSON.

It measures and prints; it keeps nothing, for one process alone writes into the store.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby

import click
from sqlalchemy.exc import SQLAlchemyError

from propensia import monitoring
from propensia.contract import Contract
from propensia.monitoring import Findings, Measurement, verdicts
from propensia.spanish import number, percent
from propensia.store import database
from propensia.store.database import StoreError
from propensia.terminal import Exit, Parts, table

PLAIN = {
    "auc": "AUC",
    "brier": "error de Brier",
    "rmse": "error típico (RMSE)",
    "mae": "error medio (MAE)",
    "precision": "precisión",
    "recall": "sensibilidad",
    "payments": "pagos",
    "ece": "error de calibración",
    "score": "puntuaciones",
    "region": "fuera de lo conocido",
}
TITLES = {
    "drift": "Deriva de los datos (PSI sin sesgo)",
    "region": "Lo que el entrenamiento no conoció",
    "new_category": "Valores que no hubo al entrenar",
    "missing": "Sin dato",
    "estimated": "Acierto que se espera, antes de saber quién paga",
    "realised": "Acierto que hubo",
    "maturity": "Parte que había pagado, por días",
    "calibration": "Calibración por decil, de menor a mayor probabilidad",
    "lift": "Ganancia (lift) por decil, de mayor a menor probabilidad",
    "hindsight": "Lo que se esperaba menos lo que hubo",
    "caller": "Respuestas con algún dato supuesto, por sistema",
}
SHARES = ("new_category", "missing", "maturity", "calibration", "caller", "region")
HEADING = ("QUÉ", "VALOR", "INTERVALO 95 %", "VEREDICTO")
WIDEST = 40


def run(parts: Parts, days: int | None, version: str | None, form: str) -> Exit:
    """Measure now and print. Raises ``StoreError``, ``OSError`` or ``RegistryError``."""
    if version is not None:
        version = parts.registry.find(version)
    engine = database.open_store(parts.settings)
    try:
        now_ms = time.time_ns() // 1_000_000
        found = monitoring.examine(
            engine, parts.settings, parts.contract, parts.registry, now_ms, days, version
        )
    except SQLAlchemyError as error:
        raise StoreError(f"la base de datos falla ({type(error).__name__})") from error
    finally:
        engine.dispose()
    wrong = verdicts.wrong(found.measurements, parts.settings)
    if form == "json":
        click.echo(_json(found, wrong))
    else:
        _print(parts, found, len(wrong))
    return Exit.REFUSED if wrong else Exit.DONE


def _json(found: Findings, wrong: list[Measurement]) -> str:
    rows = [asdict(one) | {"wrong": one in wrong} for one in found.measurements]
    return json.dumps({"at": found.at, "measurements": rows}, ensure_ascii=False, indent=1)


def _print(parts: Parts, found: Findings, wrong: int) -> None:
    if not found.measurements:
        click.echo("Aún no hay respuestas que mirar.")
        return
    shown = [one for one in found.measurements if one.kind in TITLES]
    shown.sort(key=lambda one: (one.version, list(TITLES).index(one.kind)))
    for version, of_version in groupby(shown, key=lambda one: one.version):
        click.echo(f"\nVersión {version}" if version else "\nTodas las versiones")
        for kind, group in groupby(of_version, key=lambda one: one.kind):
            rows = list(_rows(parts, kind, list(group)))
            click.echo(f"\n{TITLES[kind]}")
            click.echo(table([HEADING, *rows]))
    click.echo(f"\nMal: {wrong}" if wrong else "\nNada está mal.")


def _rows(parts: Parts, kind: str, found: list[Measurement]) -> Iterator[tuple[str, ...]]:
    """A row per measurement; those that are refused for one reason share a row."""
    if kind == "drift":
        found = sorted(found, key=lambda one: -(one.value or 0.0))
    if kind == "missing":
        found = [one for one in found if one.value or one.detail["before"]]
    refused: dict[str, list[str]] = {}
    for one in found:
        name = _name(parts.contract, one)
        if one.value is None:
            refused.setdefault(str(one.detail.get("reason", "")), []).append(name)
            continue
        low, high = one.low, one.high
        between = (
            "" if low is None or high is None else f"{_number(one, low)} a {_number(one, high)}"
        )
        yield name, _number(one, one.value), between, verdicts.sentence(one, parts.settings)
    for reason, names in refused.items():
        yield ", ".join(names), "no se da", "", reason


def _name(contract: Contract, one: Measurement) -> str:
    cohort = f" ({one.detail['cohort']})" if "cohort" in one.detail else ""
    labels = {p.name: p.label["es"] for p in contract.parameters}
    if one.subject in labels:
        return f"{one.subject} · {labels[one.subject]}"[:WIDEST]
    if one.kind == "maturity":
        return f"{one.subject} días{cohort}"
    if one.subject.isdigit() and one.kind in ("calibration", "lift"):
        return f"decil {one.subject}{cohort}"
    return PLAIN.get(one.subject, one.subject)[:WIDEST] + cohort


def _number(one: Measurement, value: float) -> str:
    if one.subject == "payments":
        return number(value, 0)
    if one.kind in SHARES or one.subject in ("precision", "recall"):
        return percent(value, 1)
    return number(value, 2 if one.kind == "lift" else 3)
