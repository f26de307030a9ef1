"""What chances promise of the answers they were given in, and how sure that promise is.

Formulas on plain arrays: nothing here knows a store, a model or a setting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propensia.stats import SURE

Vector = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Promise:
    """A figure that is expected of n answers whose outcomes nobody knows yet.

    ``pull`` ``(n,)``: how much the figure changes with the outcome of each answer, at what is
    expected of all; ``least`` and ``most``: what the figure can be.
    """

    value: float
    pull: Vector
    least: float = 0.0
    most: float = 1.0


@dataclass(frozen=True, slots=True)
class Calibrated:
    """How well chances were calibrated where they were judged: inner ``limits`` ``(b - 1,)`` of
    the bins, and the ``variance`` ``(b,)`` of the rate of each."""

    limits: Vector
    variance: Vector


def auc(chances: Vector) -> Promise:
    """The expected area under the ROC curve of calibrated chances, in O(n log n).

    Of all pairs of a payer and a non-payer that are expected, p_i (1 - p_j) for i other than j,
    the share where the payer's chance is larger; equal chances count half.
    """
    order = np.argsort(chances, kind="stable")
    p = chances[order]
    q = 1 - p
    positive, negative = p.sum(), q.sum()
    first, last = _ties(p)
    below = _sums(q)[first]
    equal = _sums(q)[last] - below
    above = positive - _sums(p)[last]
    equal_positive = _sums(p)[last] - _sums(p)[first]
    won = float(p @ (below + equal / 2)) - float(p @ q) / 2
    pairs = float(positive * negative) - float(p @ q)
    value = won / pairs
    # A row that pays wins over what is expected below it; one that does not loses to what is
    # expected above it. Nobody is compared with himself.
    wins = below + (equal - q) / 2
    losses = above + (equal_positive - p) / 2
    pull = np.empty(len(p))
    pull[order] = (wins - losses - value * ((negative - q) - (positive - p))) / pairs
    return Promise(value, pull)


def _ties(ordered: Vector) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Where the run of equal values begins that each value is in, and where it has ended."""
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    ends = np.append(starts[1:], len(ordered))
    return np.repeat(starts, ends - starts), np.repeat(ends, ends - starts)


def _sums(values: Vector) -> Vector:
    """The sum of the values before each place, and of all: one more than there are values."""
    return np.append(0.0, np.cumsum(values))


def brier(chances: Vector) -> Promise:
    """The expected squared distance of chances and outcomes: the mean of p (1 - p)."""
    return Promise(float(np.mean(chances * (1 - chances))), (1 - 2 * chances) / len(chances))


def precision(chances: Vector, chosen: Mask) -> Promise:
    """The share of the chosen that is expected to pay; at least one is chosen."""
    count = int(chosen.sum())
    pull: Vector = chosen.astype(np.float64) / count
    return Promise(float(chances[chosen].mean()), pull)


def recall(chances: Vector, chosen: Mask) -> Promise:
    """The share of the expected payers that is chosen."""
    total = float(chances.sum())
    value = float(chances[chosen].sum()) / total
    pull: Vector = (chosen.astype(np.float64) - value) / total
    return Promise(value, pull)


def payments(chances: Vector) -> Promise:
    """How many payers are expected."""
    return Promise(float(chances.sum()), np.ones(len(chances)), most=float(len(chances)))


def interval(promise: Promise, chances: Vector, judged: Calibrated | None) -> Figure:
    """The promise with its 95 % interval, by the delta method.

    Two things are uncertain. Which way each answer falls: the sum of p (1 - p) pull². And, where
    it is known how the chances were judged, the rates of the bins they were judged in: a rate
    moves all answers of its bin at once.
    """
    variance = float((chances * (1 - chances)) @ promise.pull**2)
    if judged is not None:
        bins = np.searchsorted(judged.limits, chances, side="left")
        together = np.bincount(bins, promise.pull, len(judged.variance))
        variance += float(together**2 @ judged.variance)
    half = SURE * math.sqrt(variance)
    return Figure(
        promise.value,
        max(promise.value - half, promise.least),
        min(promise.value + half, promise.most),
    )


def chi_square_tail(statistic: float, free: int) -> float:
    """How often a chi square of ``free`` degrees, a whole number from 1 on, is at least that.

    The closed sums for even and odd degrees: Abramowitz and Stegun (1964), 26.4.4 and 26.4.5.
    """
    half = max(statistic, 0.0) / 2
    if half == 0.0:
        return 1.0
    odd = free % 2
    tail = math.erfc(math.sqrt(half)) if odd else math.exp(-half)
    # Logarithms: the power alone is too large for a float where many degrees are far off.
    for step in range(1, (free - odd) // 2 + (1 if odd else 0)):
        power = step - 0.5 if odd else float(step)
        tail += math.exp(power * math.log(half) - half - math.lgamma(power + 1))
    return min(tail, 1.0)


def two_samples(before: Vector, now: Vector) -> tuple[float, int]:
    """Pearson's chi square of two rows of counts ``(b,)``, and its degrees of freedom (0 where
    there is nothing to compare). Bins that are empty in both do not count."""
    table = np.array([before, now])[:, (before + now) > 0]
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    return float(((table - expected) ** 2 / expected).sum()), table.shape[1] - 1


def false_discoveries(chances: Vector) -> Vector:
    """The p values ``(m,)`` of m tests, adjusted so that among those at most 0.05 no more than
    5 % are expected to be false alarms.

    Source: Benjamini and Hochberg (1995), "Controlling the false discovery rate", whose step-up
    is told here as adjusted values.
    """
    count = len(chances)
    order = np.argsort(chances)
    raised = chances[order] * count / np.arange(1, count + 1)
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    return adjusted
