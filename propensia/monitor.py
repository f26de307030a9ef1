"""``propensia monitor``: what the monitoring finds, as a table for a person or as JSON.

It measures and prints; it keeps nothing, for one process alone writes into the store.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from typing import Any

import click

from propensia import monitoring
from propensia.contract import Contract
from propensia.monitoring import Findings, Measurement, verdicts
from propensia.spanish import number, percent
from propensia.store import database
from propensia.telling import moment
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
    "calibration": "Calibración por decil, de mayor a menor probabilidad",
    "lift": "Elevación (lift) por decil, de mayor a menor probabilidad",
    "hindsight": "Lo que se esperaba menos lo que hubo",
    "caller": "Respuestas con algún dato supuesto, por sistema",
}
UNJUDGED = {
    "drift": "la deriva",
    "estimated": "el acierto que se espera",
    "realised": "el acierto que hubo",
}
KEYS = {
    "at": "momento",
    "kind": "clase",
    "subject": "tema",
    "value": "valor",
    "low": "desde",
    "high": "hasta",
    "detail": "detalle",
    "code": "codigo",
    "reason": "motivo",
    "reason_en": "motivo_en",
    "rows": "filas",
    "reference": "referencia",
    "reference_rows": "filas_referencia",
    "index": "indice",
    "by_chance": "por_azar",
    "bins": "tramos",
    "test": "prueba",
    "statistic": "estadistico",
    "free": "grados",
    "expected": "esperado",
    "beyond": "mas_alla",
    "pairs": "parejas",
    "values": "valores",
    "before": "antes",
    "since": "desde",
    "until": "hasta",
    "first": "desde",
    "last": "hasta",
    "first_id": "primer_id",
    "rules": "contrato",
    "calibration_noise": "ruido_calibracion",
    "cohort": "mes",
    "days": "dias",
    "chance": "probabilidad",
    "plain": "sin_corregir",
    "payments": "pagos",
    "captured": "acumulado",
    "euros": "euros",
    "estimated": "estimado",
    "realised": "real",
    "within": "acertado",
    "answers": "respuestas",
    "noted": "supuestas",
    "refused": "rechazadas",
    "troubles": "problemas",
    "caller": "quien",
    "parameter": "parametro",
    "count": "veces",
}
"""The names of JSON; those that are missing are the same."""
TIMES = ("at", "since", "until", "first", "last")
SHARES = ("new_category", "missing", "maturity", "calibration", "caller", "region")
HEADING = ("QUÉ", "VALOR", "INTERVALO 95 %", "VEREDICTO")
WIDEST = 40


def run(parts: Parts, days: int | None, version: str | None, form: str) -> Exit:
    """Measure now and print. Raises ``StoreError``, ``OSError`` or ``RegistryError``."""
    if version is not None:
        version = parts.registry.find(version)
    now_ms = time.time_ns() // 1_000_000
    with database.using(parts.settings) as engine:
        found = monitoring.examine(
            engine, parts.settings, parts.contract, parts.registry, now_ms, days, version
        )
    wrong = verdicts.wrong(found.measurements, parts.settings)
    if form == "json":
        click.echo(_json(found, wrong))
    else:
        _print(parts, found, len(wrong))
    return Exit.REFUSED if wrong else Exit.DONE


def _json(found: Findings, wrong: list[Measurement]) -> str:
    rows = [_told(asdict(one)) | {"mal": one in wrong} for one in found.measurements]
    table = {"momento": moment(found.at), "medidas": rows}
    return json.dumps(table, ensure_ascii=False, indent=1)


def _told(value: Any) -> Any:
    """Plain values with the keys in Spanish, and times as texts; the names of values stay."""
    if isinstance(value, list):
        return [_told(item) for item in value]
    if not isinstance(value, dict):
        return value
    told = {}
    for key, inner in value.items():
        if key in TIMES and isinstance(inner, int):
            inner = moment(inner)
        told[KEYS.get(key, key)] = inner if key == "values" else _told(inner)
    return told


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
    click.echo(f"\n{_conclusion(found, wrong)}")


def _conclusion(found: Findings, wrong: int) -> str:
    """What is wrong, and what nobody can tell."""
    missing = verdicts.missing(found.measurements)
    said = [f"Mal: {wrong}."] if wrong else []
    if not wrong and verdicts.any_judged(found.measurements):
        limits = "en lo que se ha podido juzgar" if missing else ""
        said.append(f"Nada está mal {limits}".rstrip() + ".")
    if missing:
        total = sum(missing.values())
        number = "falta una cifra" if total == 1 else f"faltan {total} cifras"
        what = ", ".join(UNJUDGED[kind] for kind in missing)
        said.append(f"No se ha podido juzgar: {what} ({number}; el motivo, en su lugar).")
    return " ".join(said or ["No hay nada que juzgar."])


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
