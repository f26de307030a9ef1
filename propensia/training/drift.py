"""How far later rows lie from those that a model learnt from, as its sidecar describes them.

It reads no file and knows no model: descriptions, values and chances in, indices out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from propensia import stats
from propensia.contract import Contract
from propensia.distributions import shares
from propensia.training.rows import Chances, Rows

Vector = npt.NDArray[np.float64]
# By habit, and only where rows are many: chance alone passes both with a hundred. Who shows an
# index shows its ``by_chance`` too.
CALM, CHANGED = 0.1, 0.25
Z95 = 1.6448536269514722  # the 95 % point of the normal distribution


@dataclass(frozen=True, slots=True)
class Drift:
    """A population stability index, at least 0, of the parameter ``name`` (short).

    ``by_chance`` is what it stays below 19 times out of 20 where nothing moved at all.
    """

    name: str
    index: float
    by_chance: float


def parameters(described: Mapping[str, Any], contract: Contract, rows: Rows) -> list[Drift]:
    """The drift of each parameter, the largest first; ``described`` is the sidecar's
    ``referencia``.

    Of a month it counts only whether there is one: the calendar moves by itself.
    """
    found = []
    for parameter in contract.parameters:
        bins = described["parametros"][parameter.name]
        expected = np.array([*bins["partes"], bins["sin_dato"]])
        observed = shares(rows.values[parameter.name], bins)
        if parameter.kind == "month":
            expected, observed = _known(expected), _known(observed)
        found.append(_drift(parameter.name, expected, observed, described["filas"], len(rows)))
    return sorted(found, key=lambda one: -one.index)


def scores(described: Mapping[str, Any], chances: Chances, judged: int) -> Drift:
    """The drift of the chances ``(n,)``, against the ``judged`` ones of the sidecar."""
    bins = described["puntuacion"]
    observed = shares(chances, bins)[:-1]
    return _drift("", np.array(bins["partes"]), observed, judged, len(chances))


def _known(shares: Vector) -> Vector:
    """With and without data."""
    return np.array([shares[:-1].sum(), shares[-1]])


def _drift(name: str, expected: Vector, observed: Vector, before: int, now: int) -> Drift:
    index = stats.population_stability(expected, observed)
    return Drift(name, index, by_chance(int((expected > 0).sum()), before, now))


def moved(rows: Rows, name: str, strength: float, seed: int) -> Rows:
    """Half of the rows, none twice, as a month might come in which the world has changed.

    Each is drawn with the weight exp(``strength`` · (2 · rank - label)), where rank in [0, 1) is
    that of the number ``name``: more of the large ones, and fewer positives among equals.
    """
    values = np.nan_to_num(rows.values[name])
    rank = np.argsort(np.argsort(values, kind="stable"), kind="stable") / len(rows)
    weight = np.exp(strength * (2 * rank - rows.labels))
    random = np.random.default_rng(seed)
    drawn = random.choice(len(rows), len(rows) // 2, replace=False, p=weight / weight.sum())
    return rows.take(np.sort(drawn))


def by_chance(bins: int, before: int, now: int) -> float:
    """The 95 % point of the index of two samples of one population, of so many rows each.

    The index is then about (1 / before + 1 / now) times a chi square of ``bins - 1`` degrees,
    whose mean is ``stats.stability_by_chance``; the source is there. Source of the point of the
    chi square: Wilson and Hilferty (1931).
    """
    free = bins - 1
    if free == 0:
        return 0.0
    part = 2 / (9 * free)
    mean = stats.stability_by_chance(bins, before, now)
    return mean * (1 - part + Z95 * math.sqrt(part)) ** 3
