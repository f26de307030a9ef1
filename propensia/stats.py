"""Plain statistics on arrays: how two orders agree, and how far chances told the truth.

Nothing here knows what the numbers mean. Labels are ``(n,)`` of 0 and 1, scores and chances
``(n,) float64`` without NaN; n is at least 1. Equal scores are one: no figure depends on the
order of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
BINS = 10
# A share below this counts as this much in a stability index, which is infinite for none.
LEAST_SHARE = 1e-4
# The nearest to a certain answer that a log loss can take: a wrong one costs 36.
LEAST_CHANCE = float(np.finfo(np.float64).eps)
# The 97.5 % point of the normal distribution: what a 95 % interval has to each side.
SURE = 1.959963984540054


class OneClass(ValueError):
    """The rows are all of one class, so nothing can be said of how the two are told apart."""

    def __init__(self) -> None:
        super().__init__("todas las filas son de una misma clase: hacen falta filas de las dos")


def rank_correlation(first: Vector, second: Vector) -> float:
    """Spearman's rank correlation of two arrays of n, ties sharing their mean rank; 0.0 where
    one of them is constant. Source: Spearman (1904), as Pearson's r of the ranks."""
    a, b = _ranks(first), _ranks(second)
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0


def _ranks(values: Vector) -> Vector:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_ranks = last - (counts - 1) / 2
    ranks: Vector = mean_ranks[inverse].astype(np.float64)
    return ranks


def auc(labels: Labels, scores: Vector) -> float:
    """The area under the ROC curve, in [0, 1]: how often a positive row scores above a negative
    one, a tie counting half. Raises ``OneClass``.

    Source: Mann and Whitney (1947), U from the sum of the ranks.
    """
    positive = _both(labels)
    count = int(positive.sum())
    above = float(_ranks(scores)[positive].sum()) - count * (count + 1) / 2
    return above / (count * (len(labels) - count))


def auc_error(
    labels: Labels, scores: Vector, groups: npt.NDArray[np.int64] | None = None
) -> float:
    """The standard error of ``auc``, in [0, 0.5]. Raises ``OneClass``.

    ``groups`` ``(n,)`` are equal for rows that belong together (a customer's) and are not
    independent; without them each row stands alone. Zero where the classes do not overlap at
    all, which no sample of rows can prove.

    Sources: DeLong, DeLong and Clarke-Pearson (1988), with placements from ranks as in Sun and
    Xu (2014), eq. 10; with groups Obuchowski (1997), "Nonparametric analysis of clustered ROC
    curve data". With a single group on a side neither exists: then the largest error that there
    can be, of variance AUC · (1 - AUC) / the smaller number of groups (van Dantzig 1951).
    """
    positive = _both(labels)
    count, others = int(positive.sum()), int((~positive).sum())
    ranks = _ranks(scores)
    placement = np.empty(len(scores))  # of a row: the share of the other class that it beats
    placement[positive] = (ranks[positive] - _ranks(scores[positive])) / others
    placement[~positive] = 1 - (ranks[~positive] - _ranks(scores[~positive])) / count
    value = float(np.mean(placement[positive]))
    off = placement - value
    keys = np.arange(len(labels)) if groups is None else groups
    _, cluster = np.unique(keys, return_inverse=True)
    size = int(cluster.max()) + 1
    mine = np.bincount(cluster[positive], off[positive], size) / count
    theirs = np.bincount(cluster[~positive], off[~positive], size) / others
    with_mine = len(np.unique(cluster[positive]))
    with_theirs = len(np.unique(cluster[~positive]))
    if min(with_mine, with_theirs) < 2:
        return float(np.sqrt(value * (1 - value) / min(with_mine, with_theirs)))
    variance = with_mine / (with_mine - 1) * (mine @ mine)
    variance += with_theirs / (with_theirs - 1) * (theirs @ theirs)
    variance += 2 * size / (size - 1) * (mine @ theirs)
    return float(np.sqrt(np.maximum(variance, 0.0)))


def _both(labels: Labels) -> npt.NDArray[np.bool_]:
    positive: npt.NDArray[np.bool_] = labels == 1
    if positive.all() or not positive.any():
        raise OneClass()
    return positive


def mean_error(values: Vector, groups: Labels) -> float:
    """The standard error of the mean of ``values`` ``(n,)`` where rows of one of the ``groups``
    ``(n,)`` are not independent: from the sums of the groups."""
    _, places = np.unique(groups, return_inverse=True)
    sums = np.bincount(places, weights=values - values.mean())
    return float(np.sqrt((sums**2).sum()) / len(values))


def brier(labels: Labels, chances: Vector) -> float:
    """The mean squared distance of chances and labels, in [0, 1]. Source: Brier (1950)."""
    return float(np.mean((chances - labels) ** 2))


def log_losses(labels: Labels, chances: Vector) -> Vector:
    """Of each row minus the logarithm of the chance that its label had, in [0, 36.05]."""
    sure = np.clip(np.asarray(chances, np.float64), LEAST_CHANCE, 1 - LEAST_CHANCE)
    losses: Vector = -np.log(np.where(labels == 1, sure, 1 - sure))
    return losses


def log_loss(labels: Labels, chances: Vector) -> float:
    """The mean of ``log_losses``."""
    return float(log_losses(labels, chances).mean())


@dataclass(frozen=True, slots=True)
class Cuts:
    """What lies at or above each distinct score, highest score first.

    ``scores`` ``(k,)``; ``rows`` ``(k,)``: how many rows; ``sums`` ``(k,)``: of their values.
    """

    scores: Vector
    rows: Vector
    sums: Vector


def cuts(values: npt.NDArray[np.int64] | Vector, scores: Vector) -> Cuts:
    """The number of rows, and the sum of their ``values`` ``(n,)``, at or above each score."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    sums = np.cumsum(values[order], dtype=np.float64)[last]
    return Cuts(ordered[last], (last + 1).astype(np.float64), sums)


def roc_curve(labels: Labels, scores: Vector) -> tuple[Vector, Vector, Vector]:
    """Shares of the negative and of the positive rows at or above a threshold, and the
    threshold: three ``(k + 1,)`` for k distinct scores, from (0, 0, infinity) to (1, 1, lowest
    score). Raises ``OneClass``."""
    _both(labels)
    found = cuts(labels, scores)
    false, true = found.rows - found.sums, found.sums
    return (
        np.append(0.0, false / false[-1]),
        np.append(0.0, true / true[-1]),
        np.append(np.inf, found.scores),
    )


def precision_recall_curve(labels: Labels, scores: Vector) -> tuple[Vector, Vector, Vector]:
    """Precision, recall and the threshold, ``(k,)`` for k distinct scores, highest first.
    Raises ``OneClass``."""
    _both(labels)
    found = cuts(labels, scores)
    return found.sums / found.rows, found.sums / found.sums[-1], found.scores


def average_precision(labels: Labels, scores: Vector) -> float:
    """The mean precision over the steps of recall, in (0, 1]; its chance level is the base rate.
    Raises ``OneClass``.

    Without interpolation, which flatters: Davis and Goadrich (2006).
    """
    precision, recall, _ = precision_recall_curve(labels, scores)
    return float(np.diff(recall, prepend=0.0) @ precision)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Bins of about equal mass, lowest chances first, each array ``(b,)``.

    ``chance``: the mean one said; ``rate``: the share that was positive; ``count``: the rows.
    """

    chance: Vector
    rate: Vector
    count: Vector


def calibration_table(labels: Labels, chances: Vector, bins: int = BINS) -> Calibration:
    """What was said and what came, in at most ``bins`` parts of the rows sorted by chance.

    Rows of one chance are never split, so there are fewer parts where chances repeat.
    """
    place, count = _binned(chances, bins)
    return Calibration(
        np.bincount(place, chances) / count, np.bincount(place, labels) / count, count
    )


def _binned(chances: Vector, bins: int) -> tuple[npt.NDArray[np.intp], Vector]:
    """The part of each row, by its mean rank, and the rows of each part; none is empty."""
    part = np.floor((_ranks(chances) - 0.5) * bins / len(chances)).astype(np.intp)
    _, place, count = np.unique(part, return_inverse=True, return_counts=True)
    return place, count.astype(np.float64)


def calibration_error(
    labels: Labels,
    chances: Vector,
    bins: int = BINS,
    groups: npt.NDArray[np.int64] | None = None,
) -> tuple[float, float]:
    """How far chances are from the rates that came: the plain error, and without noise.

    The first is the usual expected calibration error: the mean over rows of |chance - rate| of
    their bin. Of a perfect model it is above zero, as each rate is that of a sample: about 0.07
    with 200 rows, 0.03 with 1,000 and 0.006 with 30,000, for a base rate of 0.25 and ten bins.
    It can only be held against a limit such as 0.02 where rows are many.

    The second is the root of ``calibration_square``, or 0 where that is negative. As a root mean
    square it aims no lower than the mean absolute error that the bins truly have (Jensen), so
    who finds it under a limit may say so of the expected calibration error. It is not sharp
    either where rows are few: of a perfect model it is above 0.02 once in four tables of 1,000
    rows. To subtract from the plain error what a perfect model has would flatter instead: noise
    adds much less to an error that is there than to none.
    """
    table = calibration_table(labels, chances, bins)
    plain = float(table.count @ np.abs(table.chance - table.rate) / len(labels))
    return plain, float(np.sqrt(max(calibration_square(labels, chances, bins, groups), 0.0)))


def calibration_square(
    labels: Labels,
    chances: Vector,
    bins: int = BINS,
    groups: npt.NDArray[np.int64] | None = None,
) -> float:
    """The mean squared gap of chance and rate over bins, free of the noise of the labels.

    In [-1, 1], right on average for any number of rows, and so negative about half the time for
    a perfect model. Squares of several tables may be averaged before a root is taken. A bin of
    a single group of rows (``groups`` as in ``auc_error``) says nothing, and counts as no gap.

    A squared mean of deviations is in part each one times itself; what is left is the mean
    product of two deviations from different groups. Sources: Bröcker (2012) and Ferro and
    Fricker (2012), on the bias of the reliability of the Brier score; Kumar, Liang and Ma
    (2019), "Verified uncertainty calibration", section 5.
    """
    place, count = _binned(chances, bins)
    keys = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    pairs, pair = np.unique(place * len(labels) + keys, return_inverse=True)
    bin_of_pair, deviation = pairs // len(labels), np.bincount(pair, labels - chances)
    own = np.bincount(bin_of_pair, deviation**2)
    products = np.bincount(bin_of_pair, deviation) ** 2 - own
    number = count**2 - np.bincount(bin_of_pair, np.bincount(pair) ** 2.0)
    square = np.where(number > 0, products / np.maximum(number, 1), 0.0)
    return float(count @ square / len(labels))


@dataclass(frozen=True, slots=True)
class Gains:
    """Equal parts of the rows, highest scores first, each array ``(parts,)``.

    ``positives`` of ``count`` rows, as ``rate``; ``lift``: that rate over the one of all rows;
    ``captured``: the share of all positives in this part and those before.
    """

    count: Vector
    positives: Vector
    rate: Vector
    lift: Vector
    captured: Vector


def gains(labels: Labels, scores: Vector, parts: int = 10) -> Gains:
    """What choosing by score gains, part by part; fewer parts where there are fewer rows.

    Rows of one score that lie on both sides of a border are shared out at their common rate, so
    positives need not be whole. Raises ``OneClass``.
    """
    _both(labels)
    rows = len(labels)
    parts = min(parts, rows)
    borders = np.arange(parts + 1) * rows // parts
    reached = _reached(labels, scores, borders.astype(np.float64))
    count, positives = np.diff(borders).astype(np.float64), np.diff(reached)
    rate = positives / count
    return Gains(count, positives, rate, rate * rows / reached[-1], reached[1:] / reached[-1])


def captured(labels: Labels, scores: Vector, share: float) -> float:
    """The share of the positives among that ``share`` of the rows with the highest scores; rows
    of the last score count in part. Raises ``OneClass``."""
    _both(labels)
    first = _reached(labels, scores, np.array([share * len(labels)]))
    return float(first[0]) / float(labels.sum())


def _reached(labels: Labels, scores: Vector, rows: Vector) -> Vector:
    """How many positives are among so many rows of the highest scores."""
    found = cuts(labels, scores)
    reached: Vector = np.interp(rows, np.append(0.0, found.rows), np.append(0.0, found.sums))
    return reached


def wilson(positives: Vector, counts: Vector) -> tuple[Vector, Vector]:
    """The 95 % limits, in [0, 1], of shares ``positives / counts`` of at least one row each.

    Source: Wilson (1927), "Probable inference, the law of succession, and statistical
    inference".
    """
    share = positives / counts
    middle = share + SURE**2 / (2 * counts)
    half = SURE * np.sqrt(share * (1 - share) / counts + (SURE / (2 * counts)) ** 2)
    scale = 1 + SURE**2 / counts
    # Of none and of all, one limit is the share itself; rounding may put it on the other side.
    return np.clip((middle - half) / scale, 0, share), np.clip((middle + half) / scale, share, 1)


def population_stability(expected: Vector, observed: Vector) -> float:
    """How far shares ``(b,)`` moved from the expected ones, at least 0; each array sums to 1.

    The population stability index, the sum of (o - e) · ln(o / e): Jeffreys' divergence (1946).
    By habit called calm below 0.1 and a change from 0.25 on, which holds only where rows are
    many: it is never 0, and ``stability_by_chance`` is what it is where nothing moved. A share
    below ``LEAST_SHARE`` counts as that, or one empty bin would make it infinite.
    """
    e, o = np.maximum(expected, LEAST_SHARE), np.maximum(observed, LEAST_SHARE)
    return float((o - e) @ np.log(o / e))


def stability_by_chance(bins: int, before: int, now: int) -> float:
    """The mean ``population_stability`` of two samples of one population, of so many rows each.

    (b - 1) · (1/n + 1/m), to be held against an index, or taken off it: of ten bins 0.004 for
    5,000 rows and 5,000, and 0.099, nearly the 0.1 of habit, for 1,000 and 100. Rows must be
    independent, and a bin should expect a few rows of either sample; with fewer it is more.

    Source: Yurdakul and Naranjo (2020), "Statistical properties of the population stability
    index".
    """
    return (bins - 1) * (1 / before + 1 / now)
