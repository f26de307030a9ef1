"""How it is now, as Prometheus reads it: model, workers, keeper, journal, monitoring and alerts.

From notes that others left in the state folder: it asks no database, and waits for nobody.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from propensia import heartbeat, snapshot
from propensia.ages import made_at
from propensia.registry import Registry, RegistryError

ACCEPTED = "aceptado"
Found = Mapping[str, Any]


def published(registry: Registry) -> Iterator[Metric]:
    """The model that is published, its age, and what became of those that were judged."""
    try:
        current = registry.current()
        manifest = registry.manifest(current.version) if current else {}
    except (OSError, RegistryError):  # damaged, or gone this moment: /health tells
        current, manifest = None, {}
    model = GaugeMetricFamily(
        "propensia_model_info", "The model that is published.", labels=["version", "model"]
    )
    age = GaugeMetricFamily(
        "propensia_model_age_seconds",
        "Since the published model was trained (where nobody told, admitted), and since its "
        "release was published.",
        labels=["since"],
    )
    if current is not None:
        model.add_metric([current.version, current.model], 1)
        for since, moment in (("trained", made_at(manifest)), ("published", _moment(current.at))):
            if moment is not None:
                age.add_metric([since], max(0.0, time.time() - moment.timestamp()))
    yield model
    yield age
    number = current.number if current else 0
    yield GaugeMetricFamily("propensia_release", "The number of the release.", value=number)
    judged = GaugeMetricFamily(
        "propensia_models_judged",
        "Model files on record, by what came of them: «aceptado», or the code of the refusal.",
        labels=["outcome"],
    )
    outcomes = Counter(
        ACCEPTED if verdict["accepted"] else str(verdict.get("code"))
        for verdict in registry.verdicts()
    )
    for outcome, count in sorted(outcomes.items()):
        judged.add_metric([outcome], count)
    yield judged


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:  # of an older program
        return None


def living(registry: Registry) -> Iterator[Metric]:
    """The workers, the keeper, and how far the journal is behind, as the keeper last said."""
    sign = heartbeat.look(registry.state / "keeper.json", fresh_s=math.inf)
    age = math.inf if sign is None else max(0.0, time.monotonic() - float(sign["latido"]))
    yield GaugeMetricFamily(
        "propensia_keeper_sign_age_seconds",
        "Since the last sign of the process that watches the models folder; +Inf: none.",
        value=age,
    )
    notes = heartbeat.look_all(registry.state / "workers")
    workers = GaugeMetricFamily(
        "propensia_workers",
        "Workers that live, by the release they answer with.",
        labels=["release"],
    )
    for release, count in sorted(Counter(str(note["publicacion"]) for note in notes).items()):
        workers.add_metric([release], count)
    yield workers
    each = GaugeMetricFamily(
        "propensia_worker_info",
        "1 for each worker that lives, with the version it answers with.",
        labels=["pid", "version"],
    )
    for note in notes:
        each.add_metric([str(note.get("pid", "")), note.get("version") or ""], 1)
    yield each
    yield from _journal({} if sign is None else sign.get("diario", {}))


JOURNAL = (
    (
        "propensia_journal_lag_seconds",
        "How long the oldest record waits for the database.",
        "retraso_segundos",
    ),
    (
        "propensia_journal_waiting_bytes",
        "What of the journal is not in the database yet.",
        "pendiente_bytes",
    ),
    (
        "propensia_journal_set_aside_records",
        "Records that the database refused, kept in files beside the journal.",
        "apartados",
    ),
    (
        "propensia_journal_damaged_lines",
        "Lines that were torn or changed, seen since the keeper started.",
        "ilegibles",
    ),
)


def _journal(told: Found) -> Iterator[Metric]:
    for name, help, key in JOURNAL:
        gauge = GaugeMetricFamily(name, help, labels=[])
        if isinstance(value := told.get(key), int | float):  # none before the first look
            gauge.add_metric([], value)
        yield gauge


def measured(registry: Registry) -> Iterator[Metric]:
    """What the monitoring found last of the published model, how the newest month went of which
    that is known, whatever model answered in it, and what was told about it."""
    found = snapshot.read(registry.state) or {}
    now_ms = time.time() * 1000
    # Not of a month: what came of it is known long afterwards.
    findings = found.get("vigilancia", ())
    looked = [one["momento"] for one in findings if one["clase"] in ("drift", "estimated")]
    yield _age(
        "propensia_snapshot_age_seconds",
        "Since the keeper last read the database; +Inf: never.",
        now_ms - found.get("momento", -math.inf),
    )
    yield _age(
        "propensia_monitoring_age_seconds",
        "Since the last answers that the monitoring looked at; +Inf: none yet.",
        now_ms - max(looked, default=-math.inf),
    )
    yield _figures(
        found,
        "propensia_drift",
        "Drift (PSI, corrected) of each parameter, and of the scores as «score».",
        "subject",
        lambda one: one["tema"] if one["clase"] == "drift" else None,
    )
    yield _figures(
        found,
        "propensia_auc",
        "AUC: estimated before payments are known; realised, of the newest month that tells it.",
        "kind",
        lambda one: one["clase"] if (one["tema"], one["clase"]) in AUCS else None,
    )
    going_on = GaugeMetricFamily(
        "propensia_alerts", "Alerts that go on, by kind.", labels=["kind"]
    )
    for kind, count in sorted(Counter(one["clase"] for one in found.get("alertas", ())).items()):
        going_on.add_metric([kind], count)
    yield going_on
    messages = GaugeMetricFamily(
        "propensia_alert_messages",
        "Messages of alerts that wait to be delivered, and that were given up within two days.",
        labels=["state"],
    )
    for state, key in (("waiting", "esperan"), ("failed", "fallidos")):
        messages.add_metric([state], found.get("mensajes", {}).get(key, 0))
    yield messages


AUCS = (("auc", "estimated"), ("auc", "realised"))


def _figures(
    found: Found, name: str, help: str, label: str, named: Callable[[Found], str | None]
) -> Metric:
    """A gauge of the findings that ``named`` gives a label; those refused have no value."""
    gauge = GaugeMetricFamily(name, help, labels=["model_version", label])
    for one in found.get("vigilancia", ()):
        text = named(one)
        if text is not None and one["valor"] is not None:
            gauge.add_metric([one["version"], text], one["valor"])
    return gauge


def _age(name: str, help: str, age_ms: float) -> Metric:
    return GaugeMetricFamily(name, help, value=max(0.0, age_ms / 1000))
