"""How good a model is on rows that it had not learnt from, and how sure that is.

It never fits anything, and never sees a model: only what was said of each row and what came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from propensia import stats
from propensia.training.results import Figure
from propensia.training.rows import Chances, Labels, Places

Candidates = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Euros = npt.NDArray[np.float64]

RESAMPLES: Final = 300
# Errors are measured on about so many rows at most, and carried over by the root of their number,
MOST_RESAMPLED: Final = 10_000
# unless the rarer class would have fewer rows than this.
FEWEST_RESAMPLED: Final = 20
DRAWS: Final = 2_000
# What a figure can be at most, where that is not 1, and the one that may be below 0.
EUROS: Final = "euros_por_fila"
MOST: Final[Mapping[str, float]] = {"lift_10": 10.0, "log_loss": np.inf, EUROS: np.inf}
LEAST: Final[Mapping[str, float]] = {EUROS: -np.inf}


@dataclass(frozen=True, slots=True)
class Combined:
    """What was chosen on some rows, to be used on others: how c candidates' chances ``(c, k)``
    become one ``(k,)``, and where yes begins."""

    chances: Callable[[Candidates], Chances]
    threshold: float


# Learns from candidates' chances (c, k), the labels of those k rows and their places in the table.
Combine = Callable[[Candidates, Labels, Places], Combined]


@dataclass(frozen=True, slots=True)
class CrossFitted:
    """What n rows are told by choices that never saw them: ``chances`` ``(n,)`` and the
    ``thresholds`` ``(n,)`` that they are held against, both in [0, 1]."""

    chances: Chances
    thresholds: Chances


def cross_fitted(
    columns: Candidates, labels: Labels, folds: Labels, combine: Combine
) -> CrossFitted:
    """Weights, calibration and threshold judged on rows that they were not chosen on.

    ``columns`` ``(c, n)``: out-of-fold chances of c candidates. ``folds`` ``(n,)``: what
    ``combine`` learns from all other folds is applied to the rows of this one.
    """
    chances, thresholds = np.empty(len(labels)), np.empty(len(labels))
    for fold in np.unique(folds):
        inside, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        chosen = combine(columns[:, others], labels[others], others)
        chances[inside] = chosen.chances(columns[:, inside])
        thresholds[inside] = chosen.threshold
    return CrossFitted(chances, thresholds)


def evaluate(
    labels: Labels,
    chances: Chances,
    threshold: float | Chances,
    groups: Labels,
    *,
    next_rows: int,
    seed: int,
    euros: Euros | None = None,
) -> dict[str, Figure]:
    """Every figure of n rows with its error, and its interval for a further table.

    ``chances`` ``(n,)`` in [0, 1] are out of sample; ``threshold`` is one for all rows or one
    for each; ``groups`` ``(n,)`` are equal for rows of one customer, which are not independent.
    ``euros`` ``(n,)``: what calling each row brings, below 0 a loss; with them there is the
    figure ``euros_por_fila``, their sum over what is selected for each row of all n. Raises
    ``stats.OneClass``.

    **The interval** is where the figure of ``next_rows`` further rows of the same kind will lie
    19 times out of 20. Such a figure misses ours for two reasons: ours has an error, and so has
    theirs. Errors of independent rows add as squares and fall with the number of rows, so the
    variance of the difference is ``error² · (1 + n / next_rows)``. The usual confidence interval
    leaves the second part out: it speaks of the true value that nobody measures, and holds the
    figure of a second table of n rows 83 times in 100, not 95. Customers are thought to have as
    many rows there as here. It knows of sampling alone, not of a world that changes.

    **Errors**: of the AUC, DeLong's (``stats.auc_error``). Of the rest, from ``RESAMPLES``
    bootstrap tables of as many customers drawn with replacement (Field and Welsh 2007), but of a
    share never less than ``_least_errors``. Intervals are cut at what is possible. Calibration
    errors have a bias that depends on the number of rows: see ``_further_gaps``.
    """
    order = np.argsort(-chances, kind="stable")  # a sorted table is quickly sorted again
    cluster = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    brought = None if euros is None else np.where(chances >= threshold, euros, 0.0)
    judged = _Judged(labels, chances, chances >= threshold, cluster, brought).take(order)
    wider = float(np.sqrt(1 + len(labels) / next_rows))
    random = np.random.default_rng(seed)
    values = _figures(judged)
    errors = _errors(judged, values, random)
    gaps = _further_gaps(judged, next_rows, random)
    figures = {"auc": _auc(judged, wider)}
    for name, value in values.items():
        half = stats.SURE * wider * errors[name]
        low, high = value - half, value + half
        if name in gaps:
            low, high = gaps[name]
        elif name == "precision_media":
            low, high = _ends(value, half)
        figures[name] = _cut(name, Figure(value, low, high, errors[name]))
    return figures


def _cut(name: str, figure: Figure) -> Figure:
    """With an interval that ends where the figure does."""
    least, most = LEAST.get(name, 0.0), MOST.get(name, 1.0)
    return replace(figure, low=max(figure.low, least), high=min(figure.high, most))


@dataclass(frozen=True, slots=True)
class _Judged:
    """Rows by falling chance; ``cluster`` counts customers from 0 on; ``brought`` are the euros
    of what is selected, 0 for the rest."""

    labels: Labels
    chances: Chances
    yes: Mask
    cluster: Labels
    brought: Euros | None = None

    def take(self, places: Places | Mask) -> _Judged:
        return _Judged(
            self.labels[places],
            self.chances[places],
            self.yes[places],
            self.cluster[places],
            None if self.brought is None else self.brought[places],
        )


def _figures(judged: _Judged) -> dict[str, float]:
    """All figures but the AUC, under the keys that the sidecar has. Raises ``stats.OneClass``."""
    labels, chances, yes = judged.labels, judged.chances, judged.yes
    plain, debiased = stats.calibration_error(labels, chances, groups=judged.cluster)
    positives, selected, right = int(labels.sum()), int(yes.sum()), int(labels[yes].sum())
    figures = {
        "precision_media": stats.average_precision(labels, chances),
        "brier": stats.brier(labels, chances),
        "log_loss": stats.log_loss(labels, chances),
        "ece": plain,
        "ece_sin_sesgo": debiased,
        "tasa": positives / len(labels),
        "exactitud": float(np.mean(yes == (labels == 1))),
        "precision": right / selected if selected else 0.0,
        "sensibilidad": right / positives,
        "f1": 2 * right / (selected + positives),
        "seleccion": selected / len(labels),
        "lift_10": 10 * stats.captured(labels, chances, 0.10),
        "captura_20": stats.captured(labels, chances, 0.20),
    }
    if judged.brought is not None:
        figures[EUROS] = float(judged.brought.mean())
    return figures


def _errors(
    judged: _Judged, values: Mapping[str, float], random: np.random.Generator
) -> dict[str, float]:
    """The standard error of each figure by resampling customers.

    Of a large table those of a random part of the customers are resampled. A resample with a
    single class has no figures and is left out.
    """
    part = _part(judged, random)
    scale = float(np.sqrt(len(part.labels) / len(judged.labels)))
    _, cluster = np.unique(part.cluster, return_inverse=True)
    size = int(cluster.max()) + 1
    drawn = []
    for _ in range(RESAMPLES):
        times = np.bincount(random.integers(0, size, size), minlength=size)
        places = np.repeat(np.arange(len(cluster)), times[cluster])  # still by falling chance
        if 0 < part.labels[places].sum() < len(places):
            drawn.append(_figures(part.take(places)))
    least = _least_errors(judged, values)
    return {
        name: max(
            scale * float(np.std([one[name] for one in drawn])) if drawn else 0.0,
            least.get(name, 0.0),
        )
        for name in values
    }


def _part(judged: _Judged, random: np.random.Generator) -> _Judged:
    rows, positives = len(judged.labels), int(judged.labels.sum())
    rarer = min(positives, rows - positives)
    share = max(MOST_RESAMPLED / rows, FEWEST_RESAMPLED / rarer)
    if share >= 1:
        return judged
    size = int(judged.cluster.max()) + 1
    chosen = np.zeros(size, dtype=np.bool_)
    chosen[random.permutation(size)[: int(np.ceil(share * size))]] = True
    return judged.take(chosen[judged.cluster])


def _least_errors(judged: _Judged, values: Mapping[str, float]) -> dict[str, float]:
    """The error that a share of so many rows has at the least, however alike those rows are.

    Where all of them or none are counted a bootstrap sees no error. As Agresti and Coull (1998)
    do, one row more on either side is counted before the error of the share is taken.
    """
    rows, positives = len(judged.labels), int(judged.labels.sum())
    selected = max(int(judged.yes.sum()), 1)
    counted: dict[str, float] = {
        "tasa": rows,
        "exactitud": rows,
        "seleccion": rows,
        "precision": selected,
    }
    counted["sensibilidad"] = positives
    # F1 = 2 J / (1 + J), where J is a share of the union of selected and positive rows; by the
    # delta method its variance is the one of a share of so many rows.
    counted["f1"] = (selected + positives) / (2 - values["f1"])
    least = {}
    for name, count in counted.items():
        share = (values[name] * count + 1) / (count + 2)
        least[name] = float(np.sqrt(share * (1 - share) / count))
    return least


def _auc(judged: _Judged, wider: float) -> Figure:
    value = stats.auc(judged.labels, judged.chances)
    error = stats.auc_error(judged.labels, judged.chances, judged.cluster)
    if not 0 < value < 1:
        return _unmixed(judged, value, wider)
    low, high = _ends(value, stats.SURE * wider * error)
    return Figure(value, max(low, 0.0), min(high, 1.0), error)


def _ends(value: float, half: float) -> tuple[float, float]:
    """The outer ends of two intervals, one symmetric in the value and one in its log-odds.

    The true value may be much further below a value near 1 than above it, yet a small further
    table often comes to exactly 1.
    """
    if not 0 < value < 1:
        return value - half, value + half
    odds, step = np.log(value / (1 - value)), half / (value * (1 - value))
    low, high = (float(1 / (1 + np.exp(-end))) for end in (odds - step, odds + step))
    return min(low, value - half), max(high, value + half)


def _unmixed(judged: _Judged, value: float, wider: float) -> Figure:
    """Classes that do not overlap have an error that the rows do not show.

    If a share q of one class lay on the wrong side, k customers would hide it with chance
    (1 - q)^k, so 3 / k is possible still (the rule of three: Hanley and Lippman-Hand 1983).
    """
    fewest = min(len(np.unique(judged.cluster[judged.labels == one])) for one in (0, 1))
    far = 3 / fewest * wider
    return Figure(value, max(value - far, 0.0), min(value + far, 1.0), min(1 / fewest, 0.5))


def _further_gaps(
    judged: _Judged, next_rows: int, random: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """Intervals of the two calibration errors on ``next_rows`` further rows.

    Noise in the rates of the bins raises the plain error, of a small table more than of a large
    one, so its interval need not hold our value. Both tables are drawn around the gaps that we
    see, bin by bin with normal noise; what the further one has more than ours, in ``DRAWS``
    pairs, is what it may have more than the value that we measured.
    """
    labels, chances = judged.labels, judged.chances
    table = stats.calibration_table(labels, chances)
    share = table.count / len(labels)
    rate = (table.rate * table.count + 1) / (table.count + 2)  # not 0: no bin is without noise
    off = labels - chances - np.mean(labels - chances)
    together = np.bincount(judged.cluster, off)
    alike = max(float(together @ together) / float(off @ off), 1.0)  # 1 for a row per customer
    noise = alike * rate * (1 - rate) / table.count
    drawn = []
    for variance in (noise, noise * len(labels) / next_rows):
        gaps = random.normal(table.rate - table.chance, np.sqrt(variance), (DRAWS, len(share)))
        square = np.maximum((gaps**2 - variance) @ share, 0.0)
        drawn.append(np.stack([np.abs(gaps) @ share, np.sqrt(square)]))
    more = np.quantile(drawn[1] - drawn[0], [0.025, 0.975], axis=1)
    ours = stats.calibration_error(labels, chances, groups=judged.cluster)
    return {
        name: (float(value + more[0, place]), float(value + more[1, place]))
        for place, (name, value) in enumerate(zip(("ece", "ece_sin_sesgo"), ours, strict=True))
    }
