"""The metrics of this installation as Prometheus reads them: what was counted, and how it is now.

No label ever holds anything that was received: only names of ours and of models that were judged.
"""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import Metric, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

from propensia import heartbeat
from propensia.contract import Contract
from propensia.registry import Registry, RegistryError
from propensia.web.tally import BUCKETS_S, FAULTS, REQUESTS, SCORES, SECONDS, Tally

BOUNDS = [*map(repr, BUCKETS_S), "+Inf"]
DENIED, LIMITED = ("401", "403"), "429"
ACCEPTED = "aceptado"

Rows = Iterable[tuple[tuple[str, ...], list[float]]]
"""The labels of something that is counted, and its numbers."""


def exposition(tally: Tally, registry: Registry, contract: Contract) -> bytes:
    """All metrics, in the text format. Raises ``OSError``."""
    return generate_latest(_Collected(tally, registry, contract))


@dataclass(frozen=True, slots=True)
class _Collected:
    """The metrics of one moment, as the library of Prometheus takes them."""

    tally: Tally
    registry: Registry
    contract: Contract

    def collect(self) -> Iterator[Metric]:
        """Every metric, each with its help text."""
        totals = self.tally.totals()

        def rows(kind: str) -> Rows:
            return [(n[1:], numbers) for n, numbers in sorted(totals.items()) if n[0] == kind]

        yield from _requests(rows(REQUESTS))
        yield _seconds(rows(SECONDS))
        yield from _scores(rows(SCORES), rows(FAULTS), self.contract)
        yield from _published(self.registry)
        yield from _living(self.registry)


def _requests(rows: Rows) -> Iterator[Metric]:
    answered = CounterMetricFamily(
        "propensia_requests", "Answers, of every worker.", labels=["route", "method", "status"]
    )
    denied: Counter[str] = Counter(dict.fromkeys(DENIED, 0))
    limited = 0.0
    for labels, (count,) in rows:
        answered.add_metric(labels, count)
        status = labels[2]
        if status in DENIED:
            denied[status] += int(count)
        limited += count if status == LIMITED else 0
    yield answered
    refused = CounterMetricFamily(
        "propensia_denied", "Answers 401 (no key that is good) and 403.", labels=["status"]
    )
    for status, count in denied.items():
        refused.add_metric([status], count)
    yield refused
    yield CounterMetricFamily(
        "propensia_limited", "Answers 429: over the limit of requests.", value=limited
    )


def _seconds(rows: Rows) -> Metric:
    took = HistogramMetricFamily(
        "propensia_request_seconds",
        "Time in the application, body included, network not.",
        labels=["route"],
    )
    for labels, (*counts, total) in rows:
        upto = itertools.accumulate(counts)
        took.add_metric(labels, list(zip(BOUNDS, upto, strict=True)), total)
    return took


def _scores(scores: Rows, faults: Rows, contract: Contract) -> Iterator[Metric]:
    names = {"1": contract.positive_name["es"], "0": contract.negative_name["es"]}
    scored = CounterMetricFamily(
        "propensia_scores", "Rows that were scored.", labels=["model_version", "class"]
    )
    for (version, positive), (count,) in scores:
        scored.add_metric([version, names[positive]], count)
    yield scored
    wrong = CounterMetricFamily(
        "propensia_faults", "What was wrong with rows that were not scored.", labels=["code"]
    )
    for labels, (count,) in faults:
        wrong.add_metric(labels, count)
    yield wrong


def _published(registry: Registry) -> Iterator[Metric]:
    try:
        current = registry.current()
    except (OSError, RegistryError):  # damaged, or gone this moment: /health tells
        current = None
    model = GaugeMetricFamily(
        "propensia_model_info", "The model that is published.", labels=["version", "model"]
    )
    if current is not None:
        model.add_metric([current.version, current.model], 1)
    yield model
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


def _living(registry: Registry) -> Iterator[Metric]:
    sign = heartbeat.look(registry.state / "keeper.json", fresh_s=math.inf)
    age = math.inf if sign is None else max(0.0, time.monotonic() - float(sign["latido"]))
    yield GaugeMetricFamily(
        "propensia_keeper_sign_age_seconds",
        "Since the last sign of the process that watches the models folder; +Inf: none.",
        value=age,
    )
    workers = GaugeMetricFamily(
        "propensia_workers",
        "Workers that live, by the release they answer with.",
        labels=["release"],
    )
    notes = heartbeat.look_all(registry.state / "workers")
    for release, count in sorted(Counter(str(note["publicacion"]) for note in notes).items()):
        workers.add_metric([release], count)
    yield workers
