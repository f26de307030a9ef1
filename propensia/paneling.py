"""The snapshot that the panel shows: what was answered, how well, with which model, and what is
wrong, as one JSON file in the state folder.

It never holds a row, a reference or a value, and never grows with the number of answers.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine

from propensia import snapshot
from propensia.audit import Audit, Record
from propensia.contract import Contract
from propensia.journal.records import DAY_MS, HOUR_MS, milliseconds
from propensia.registry import Registry, RegistryError, Release, decision
from propensia.settings import Settings
from propensia.store import alerts, callers, overview
from propensia.store.callers import Trouble
from propensia.store.measurements import Measurement

DAYS, HOURS, WEEK = 30, 48, 7
"""How far back the days, the hours and the data of the callers go."""

COURSE_DAYS = 366
MOST_POINTS, MOST_FINDINGS, MOST_CALLERS, MOST_EVENTS, MOST_ALERTS = 400, 300, 20, 12, 20
TROUBLES_EACH = 3
LONGEST, MOST_NAMED = 300, 12

LOOKED_BACK = 500
"""Records of the audit log from which the events are chosen."""

PUBLISHED, MOST_PUBLISHED = "published", 4
"""The event of which some are shown however much came after it."""

ROUTINE = ("outcomes.loaded", "purged", "backup")
"""Events of which there may be many a day: each of them is one line with how often it came."""

Table = dict[str, Any]


def write(engine: Engine, settings: Settings, contract: Contract, registry: Registry) -> None:
    """Leave the snapshot of now in the state folder. Raises ``SQLAlchemyError`` or ``OSError``."""
    now_ms = time.time_ns() // 1_000_000
    snapshot.leave(settings.state, build(engine, settings, contract, registry, now_ms))


def build(
    engine: Engine, settings: Settings, contract: Contract, registry: Registry, now_ms: int
) -> Table:
    """The snapshot of a moment. Times are ms since 1970, shares in [0, 1], money in euros.
    Raises ``SQLAlchemyError``."""
    release, manifest = _current(registry)
    version = release.version if release else ""
    with engine.connect() as connection:
        return {
            "momento": now_ms,
            "modelo": _model(release, manifest, registry, contract),
            **_answers(connection, now_ms),
            "puntuaciones": _scores(connection, version, manifest, settings, now_ms),
            "vigilancia": _findings(_found(connection, version)),
            "evolucion": _course(connection, now_ms),
            "limites": {"deriva": settings.alert_drift, "auc": settings.alert_auc},
            "madura_dias": settings.outcome_days,
            "vigila_horas": settings.monitor_hours,
            "resultados": overview.has_outcomes(connection),
            "llamadores": _callers(connection, now_ms),
            "alertas": _alerts(connection),
            "mensajes": {
                "esperan": alerts.waiting(connection),
                "fallidos": alerts.failed(connection, now_ms - 2 * DAY_MS),
            },
            "sucesos": _events(settings.state),
        }


def _current(registry: Registry) -> tuple[Release | None, Mapping[str, Any]]:
    try:
        release = registry.current()
        return release, registry.manifest(release.version) if release else {}
    except (OSError, RegistryError):  # damaged, or pruned this moment: /health tells
        return None, {}


def _model(
    release: Release | None, manifest: Mapping[str, Any], registry: Registry, contract: Contract
) -> Table | None:
    """What answers: since when it does without a break, and when it was made."""
    if release is None or not manifest:
        return None
    since = _since(release, registry)
    made = manifest.get("told", {}).get("entrenamiento", {}).get("hecho")
    return {
        "nombre": release.model,
        "version": release.version,
        "publicacion": release.number,
        "umbral": decision(manifest, release, contract.threshold).threshold,
        "desde": _moment(since.at),
        "hecho": _moment(made) or _moment(manifest.get("admitted")),
        "demostracion": bool(manifest.get("demonstration", False)),
    }


def _since(release: Release, registry: Registry) -> Release:
    """The first of the releases without a break that have its version."""
    since = release
    with contextlib.suppress(OSError, RegistryError):  # before the first, or a damaged one
        while (before := registry.release(since.number - 1)).version == release.version:
            since = before
    return since


def _moment(text: object) -> int | None:
    """A time as ISO 8601, in ms since 1970; what is none of ours is left out."""
    try:
        told = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return int(told.replace(tzinfo=told.tzinfo or UTC).timestamp() * 1000)


def _answers(connection: Connection, now_ms: int) -> Table:
    """Answers and positive ones by hour (each of the last, also without any) and by day."""
    hours: dict[int, list[int]] = {}
    days: dict[str, list[int]] = {}
    today = _day(now_ms)
    for back in range(DAYS - 1, -1, -1):  # of the calendar: not all have 24 hours
        days[(today - timedelta(days=back)).isoformat()] = [0, 0]
    last = now_ms // HOUR_MS * HOUR_MS
    for hour in range(HOURS - 1, -1, -1):
        hours[last - hour * HOUR_MS] = [0, 0]
    for row in overview.traffic(connection, now_ms - (DAYS + 1) * DAY_MS):
        for sums in (hours.get(row.hour), days.get(_day(row.hour).isoformat())):
            if sums is not None:
                sums[0] += row.count
                sums[1] += row.positive
    return {
        "horas": [[hour, *sums] for hour, sums in hours.items()],
        "dias": [[day, *sums] for day, sums in days.items()],
    }


def _day(at: int) -> date:
    """The day of a moment where this machine stands."""
    return datetime.fromtimestamp(at / 1000, UTC).astimezone().date()


def _scores(
    connection: Connection,
    version: str,
    manifest: Mapping[str, Any],
    settings: Settings,
    now_ms: int,
) -> Table:
    """How the scores of the version lie in equal steps from 0 to 1, and those of its training."""
    counts = overview.scores(connection, version, now_ms - settings.monitor_days * DAY_MS)
    told = manifest.get("told", {}).get("referencia", {})
    trained = told.get("puntuacion", {}).get("histograma") if isinstance(told, dict) else None
    fits = isinstance(trained, list) and len(trained) == len(counts)
    return {
        "dias": settings.monitor_days,
        "cuentas": counts,
        "entrenamiento": [float(share) for share in trained or ()] if fits else None,
    }


def _found(connection: Connection, version: str) -> list[Measurement]:
    """How the version does now, and how the newest month did of which that is known."""
    now = overview.last(connection, version)
    before = [*overview.matured(connection), *overview.hindsight(connection)]
    return [*now[: MOST_FINDINGS - len(before)], *before]


def _findings(found: Iterable[Measurement]) -> list[Table]:
    return [
        {
            "momento": one.at,
            "version": one.version,
            "clase": one.kind,
            "tema": one.subject,
            "valor": one.value,
            "desde": one.low,
            "hasta": one.high,
            "detalle": _bounded(one.detail),
        }
        for one in found
    ]


def _bounded(detail: Mapping[str, Any]) -> Table:
    """What of a detail is short. Of how often which name came, the most frequent names."""
    kept: Table = {}
    for name, value in detail.items():
        if isinstance(value, dict) and all(isinstance(one, int) for one in value.values()):
            names = sorted(value, key=lambda key: (-value[key], key))
            kept[name] = [key[:LONGEST] for key in names[:MOST_NAMED]]
        elif isinstance(value, str):
            kept[name] = value[:LONGEST]
        elif value is None or isinstance(value, bool | int | float):
            kept[name] = value
    return kept


def _course(connection: Connection, now_ms: int) -> list[Table]:
    """The estimated and the realised AUC, and who had paid when: the newest points."""
    since = now_ms - COURSE_DAYS * DAY_MS
    found = overview.course(connection, ("estimated", "realised"), "auc", since, MOST_POINTS)
    found += overview.course(connection, ("maturity",), None, since, MOST_POINTS)
    kept = ("cohort", "rows")
    return [
        one | {"detalle": {name: one["detalle"][name] for name in kept if name in one["detalle"]}}
        for one in _findings(found)
    ]


def _callers(connection: Connection, now_ms: int) -> list[Table]:
    """Who asked within a week, those with the most trouble first."""
    since = now_ms - WEEK * DAY_MS
    found = callers.traffic(connection, since, now_ms)
    worst = sorted(found, key=lambda name: (-found[name].poor_share, name))[:MOST_CALLERS]
    troubles = callers.troubles(connection, since, now_ms, TROUBLES_EACH, worst)
    return [
        {
            "llamador": name,
            "respuestas": found[name].answers,
            "supuestas": found[name].noted,
            "rechazadas": found[name].refused,
            "problemas": _worst([one for one in troubles if one.caller == name]),
        }
        for name in worst
    ]


def _worst(troubles: list[Trouble]) -> list[Table]:
    """What came wrong most often, and of what was refused one at least."""
    shown = troubles[:TROUBLES_EACH]
    refused = [one for one in troubles if one.is_refusal]
    if refused and refused[0] not in shown:
        shown = [*shown[:-1], refused[0]]
    return [
        {
            "clase": _class(one),
            "parametro": one.parameter,
            "codigo": one.code,
            "veces": one.count,
            "desde": one.first,
            "hasta": one.last,
        }
        for one in shown
    ]


def _class(one: Trouble) -> str:
    if one.is_refusal:
        return "rechazado"
    return "supuesto" if one.is_assumption else "aviso"


def _alerts(connection: Connection) -> list[Table]:
    return [
        {
            "clase": one.kind,
            "tema": one.subject,
            "version": one.version,
            "desde": milliseconds(one.id),
            "texto": {"es": one.text[:LONGEST], "en": one.english[:LONGEST]},
        }
        for one in alerts.going_on(connection)[:MOST_ALERTS]
    ]


def _events(state: Path) -> list[Table]:
    """The last changes of state, the newest first: what, who, when, how often."""
    try:
        records = Audit(state).tail(LOOKED_BACK)
    except OSError:  # told by those who write it
        return []
    often: dict[str, int] = {}
    first: list[Record] = []
    others: list[Record] = []
    for record in records:
        often[record.event] = count = often.get(record.event, 0) + 1
        if record.event == PUBLISHED and count <= MOST_PUBLISHED:
            first.append(record)
        elif record.event not in ROUTINE or count == 1:
            others.append(record)
    chosen = (first + others)[:MOST_EVENTS]
    return [
        {
            "momento": _moment(record.at),
            "suceso": record.event,
            "quien": record.who[:LONGEST],
            "version": str(record.facts.get("version") or "")[:12],
            "veces": often[record.event] if record.event in ROUTINE else 1,
        }
        for record in sorted(chosen, key=lambda record: -record.number)
    ]
