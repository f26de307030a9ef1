"""The metrics of this installation as Prometheus reads them: what was counted, and how it is now.

No label ever holds anything that was received: only names of ours and of models that were judged.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

from propensia.contract import Contract
from propensia.registry import Registry
from propensia.web import gauges
from propensia.web.tally import (
    BINS,
    BUCKETS_S,
    FAULTS,
    REQUESTS,
    SCORES,
    SECONDS,
    SPREAD,
    Tally,
)

DENIED, LIMITED = ("401", "403"), "429"

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
        yield _spread(rows(SPREAD))
        yield from gauges.published(self.registry)
        yield from gauges.living(self.registry)
        yield from gauges.measured(self.registry)


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
    return _filled(took, rows, BUCKETS_S)


def _spread(rows: Rows) -> Metric:
    scores = HistogramMetricFamily(
        "propensia_score", "The scores of rows, in [0, 1].", labels=["model_version"]
    )
    return _filled(scores, rows, BINS)


def _filled(
    histogram: HistogramMetricFamily, rows: Rows, ends: Sequence[float]
) -> HistogramMetricFamily:
    bounds = [*map(repr, ends), "+Inf"]
    for labels, (*counts, total) in rows:
        upto = itertools.accumulate(counts)
        histogram.add_metric(labels, list(zip(bounds, upto, strict=True)), total)
    return histogram


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
