"""How far the answers of a version moved from what it learnt from: parameters, scores, region.

It names only values that the contract declares, and groups of numbers by their whole part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from propensia import distributions, stats
from propensia.contract import Contract, Parameter
from propensia.monitoring import formulas, reasons
from propensia.monitoring.answers import Judged
from propensia.monitoring.reasons import Reason
from propensia.monitoring.reference import Known
from propensia.spanish import number
from propensia.store.measurements import Measurement

Vector = npt.NDArray[np.float64]
SCORE, REGION = "score", "region"
LEAST_ROWS = 200
MOST_NAMED = 8
SAMPLE = 200_000  # rows of the region check: its share is known to a tenth of a point by then
NO_DATA = "sin dato"


@dataclass(frozen=True, slots=True)
class Moved:
    """Shares ``(b,)`` of bins before and now, with their names."""

    subject: str
    names: list[str]
    before: Vector
    now: Vector
    rows_before: int


def measure(
    at: int, version: str, contract: Contract, known: Known, judged: Judged
) -> list[Measurement]:
    """Drift of every parameter and of the scores, and a test of each; new values, no data."""
    count = len(judged)
    common = {"rows": count, "reference": known.source, "reference_rows": known.rows}
    if count < LEAST_ROWS:
        return [refused(at, version, reasons.few_answers(count, LEAST_ROWS), common)]
    moved = list(_moved(contract, known, judged))
    tests = [formulas.two_samples(m.before * m.rows_before, m.now * count) for m in moved]
    chances = np.array([formulas.chi_square_tail(x, free) if free else 1.0 for x, free in tests])
    found = []
    adjusted = formulas.false_discoveries(chances)
    for one, (statistic, free), p, q in zip(moved, tests, chances, adjusted, strict=True):
        index = stats.population_stability(one.before, one.now)
        by_chance = stats.stability_by_chance(free + 1, one.rows_before, count)
        detail = common | {
            "index": round(index, 6),
            "by_chance": round(by_chance, 6),
            "p": float(q),
            "bins": _bins(one),
        }
        value = max(index - by_chance, 0.0)
        found.append(Measurement(at, version, "drift", one.subject, value, detail=detail))
        test = {"test": "chi2", "statistic": round(statistic, 4), "free": free, "p": float(p)}
        found.append(
            Measurement(at, version, "drift_test", one.subject, float(q), detail=common | test)
        )
    return [
        *found,
        *_new(at, version, contract, known, judged),
        *_missing(at, version, contract, known, judged),
    ]


def refused(at: int, version: str, reason: Reason, common: Mapping[str, Any]) -> Measurement:
    """That no drift is told of a version, and why."""
    detail = reason.detail() | dict(common)
    return Measurement(at, version, "drift", SCORE, None, detail=detail)


def region(
    at: int, version: str, contract: Contract, known: Known, judged: Judged
) -> Measurement | None:
    """The share of rows outside the region that training covered, with the pairs of parameters
    that hold most of them out; ``None`` where the region is not known."""
    if known.region is None or not len(judged):
        return None
    every = max(1, len(judged) // SAMPLE)
    values = {name: column[::every] for name, column in judged.values.items()}
    binned = distributions.cells(contract, known.parameters, values)
    out, by_pair = distributions.outside(contract, known.region, binned)
    count = len(out)
    low, high = stats.wilson(np.array([float(out.sum())]), np.array([float(count)]))
    most = sorted(by_pair.items(), key=lambda item: -item[1])[:MOST_NAMED]
    detail = {
        "rows": count,
        "expected": round(known.region.outside, 6),
        "beyond": round(float(distributions.beyond(contract, binned).mean()), 6),
        "pairs": [[*pair, round(share, 6)] for pair, share in most if share > 0],
    }
    return Measurement(
        at, version, REGION, REGION, float(out.mean()), float(low[0]), float(high[0]), detail
    )


def _moved(contract: Contract, known: Known, judged: Judged) -> Iterator[Moved]:
    for parameter in contract.parameters:
        bins = known.parameters[parameter.name]
        before = np.array([*bins["partes"], bins["sin_dato"]], dtype=np.float64)
        now = distributions.shares(judged.values[parameter.name], bins)
        names = _names(parameter, bins)
        if parameter.kind == "month":  # the calendar moves by itself
            before, now = _known(before), _known(now)
            names = ["con dato", NO_DATA]
        yield Moved(parameter.name, names, before / before.sum(), now, known.rows)
    before = np.array(known.scores["partes"], dtype=np.float64)
    now = distributions.shares(judged.chances, known.scores)[:-1]
    names = _spans(known.scores["bordes"])
    yield Moved(SCORE, names, before / before.sum(), now, known.judged)


def _known(shares: Vector) -> Vector:
    """With and without data."""
    return np.array([shares[:-1].sum(), shares[-1]])


def _names(parameter: Parameter, bins: Mapping[str, Any]) -> list[str]:
    if parameter.is_category:
        return [*bins["textos"], NO_DATA]
    return [*_spans(bins["bordes"]), NO_DATA]


def _spans(limits: list[float]) -> list[str]:
    if not limits:
        return ["con dato"]
    texts = [number(limit) for limit in limits]
    between = [f"{low} a {high}" for low, high in pairwise(texts)]
    return [f"hasta {texts[0]}", *between, f"más de {texts[-1]}"]


def _bins(moved: Moved) -> list[list[Any]]:
    """Name, share before and now, of every bin."""
    parts = zip(moved.names, moved.before.tolist(), moved.now.tolist(), strict=True)
    return [[name, round(before, 6), round(now, 6)] for name, before, now in parts]


def _new(
    at: int, version: str, contract: Contract, known: Known, judged: Judged
) -> Iterator[Measurement]:
    """Values that the contract admits and training never had, of parameters that have any."""
    count = len(judged)
    for parameter in contract.parameters:
        bins, column = known.parameters[parameter.name], judged.values[parameter.name]
        if parameter.is_category:
            parts = zip(bins["textos"], bins["partes"], strict=True)
            unseen = {text: int(np.sum(column == text)) for text, part in parts if part == 0}
        else:
            unseen = _new_groups(contract, parameter, bins, column)
        named = {text: rows for text, rows in unseen.items() if rows}
        if named:
            share = sum(named.values()) / count
            detail = {"values": named, "rows": count, "reference": known.source}
            yield Measurement(at, version, "new_category", parameter.name, share, detail=detail)


def _new_groups(
    contract: Contract, parameter: Parameter, bins: Mapping[str, Any], column: Vector
) -> dict[str, int]:
    whole = distributions.divisor(contract, parameter)
    if whole is None or "grupos" not in bins:
        return {}
    found, counts = np.unique(
        np.floor_divide(column[~np.isnan(column)], whole), return_counts=True
    )
    known = set(bins["grupos"])
    pairs = zip(found.tolist(), counts.tolist(), strict=True)
    return {f"{group:.0f}": rows for group, rows in pairs if int(group) not in known}


def _missing(
    at: int, version: str, contract: Contract, known: Known, judged: Judged
) -> Iterator[Measurement]:
    count = np.array([float(len(judged))])
    for parameter in contract.parameters:
        share = judged.missing[parameter.name]
        low, high = stats.wilson(share * count, count)
        detail = {
            "rows": len(judged),
            "before": known.missing.get(parameter.name),
            "reference": known.source,
        }
        yield Measurement(
            at, version, "missing", parameter.name, share, float(low[0]), float(high[0]), detail
        )
