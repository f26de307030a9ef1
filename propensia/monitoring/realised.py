"""How good the answers of a month were, once it is known what came of them.

It judges a debtor once, and never takes silence for a «no» before the time to pay is over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from propensia import stats
from propensia.monitoring import formulas, reasons
from propensia.monitoring.answers import last_of_each
from propensia.monitoring.cohorts import HORIZONS, Cohort
from propensia.monitoring.estimation import Live
from propensia.monitoring.formulas import Figure
from propensia.store.measurements import Measurement
from propensia.store.scored import Payments, Scored

Vector = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Whole = npt.NDArray[np.int64]
LEAST_ROWS = 200
LEAST_OF_CLASS = 20
FAR = 1 << 24
"""More days since 1970 than any date has."""


@dataclass(frozen=True, slots=True)
class Told:
    """Payments in the order of debtor and day: ``keys`` ``(m,)``, as ``_key`` makes them, and
    ``cents`` paid in all by then."""

    keys: Whole
    cents: Vector


@dataclass(frozen=True, slots=True)
class Came:
    """What came of n debtors, each ``(n,)``: ``chances`` and ``positive`` of their last answer;
    ``days`` from an answer to the first payment after it, the fewest of all their answers,
    infinite for none; ``first`` and ``last``: the keys in ``amounts`` of the days of their first
    and their last answer."""

    chances: Vector
    positive: npt.NDArray[np.bool_]
    days: Vector
    first: Whole
    last: Whole
    amounts: Told

    def __len__(self) -> int:
        return len(self.chances)

    def paid(self, days: float) -> Labels:
        """Who paid within so many days, ``(n,)`` of 0 and 1."""
        labels: Labels = (self.days <= days).astype(np.int64)
        return labels

    def cents(self, days: int) -> Vector:
        """What those who paid within so many days had paid by then in all, ``(n,)``: the amount
        that was told last; 0 where nobody said."""
        of = self.amounts
        if not len(of.keys):
            return np.zeros(len(self))
        place = np.searchsorted(of.keys, self.last + days, side="right") - 1
        known = (place >= 0) & (of.keys[place] >= self.first) & (self.days <= days)
        cents: Vector = np.where(known, of.cents[place], 0.0)
        return cents


def came(scored: Scored, payments: Payments) -> Came:
    """Each debtor once: the chance of the last answer, and the first payment after any of them,
    whichever answer it was told of."""
    debtors, order = np.unique(scored.debtors, return_inverse=True)
    own = np.isin(payments.debtors, debtors)
    whose = np.searchsorted(debtors, payments.debtors[own])
    keys, cents = _key(whose, payments.days[own]), payments.cents[own]
    answered = _key(order, scored.days)
    days = np.full(len(debtors), np.inf)
    np.minimum.at(days, order, _wait(answered, np.sort(keys)))
    first = np.full(len(debtors), np.iinfo(np.int64).max)
    np.minimum.at(first, order, answered)
    told = np.flatnonzero(~np.isnan(cents))
    ordered = told[np.lexsort((cents[told], keys[told]))]
    places = last_of_each(scored.debtors)
    of_last = order[places]
    return Came(
        scored.chances[places],
        scored.positive[places],
        days[of_last],
        first[of_last],
        answered[places],
        Told(keys[ordered], cents[ordered]),
    )


def _key(whose: npt.NDArray[np.intp], days: Whole) -> Whole:
    """One number for a debtor and a day, in the order of both."""
    keys: Whole = whose.astype(np.int64) * FAR + days
    return keys


def _wait(answered: Whole, paid: Whole) -> Vector:
    """Days from each answer to the first payment of its debtor on its day or later."""
    place = np.searchsorted(paid, answered, side="left")
    following = np.append(paid, np.iinfo(np.int64).max)[place]
    same = following // FAR == answered // FAR
    days: Vector = np.where(same, following - answered, np.inf)
    return days


def maturity(
    version: str, cohort: Cohort, found: Came, last_outcome: int | None
) -> list[Measurement]:
    """The share that had paid 30, 60 and 90 days after its answer, as far as that is known."""
    measured = []
    for days in HORIZONS:
        if not len(found) or not cohort.matured(days, last_outcome):
            continue
        labels = found.paid(days)
        share = _share(float(labels.sum()), len(found))
        euros = float(found.cents(days).sum()) / 100
        detail = {"cohort": cohort.name, "rows": len(found), "euros": round(euros, 2)}
        measured.append(_told(version, cohort, "maturity", str(days), share, detail))
    return measured


def measure(version: str, cohort: Cohort, found: Came, days: int) -> list[Measurement]:
    """Every figure of a month that has matured, its calibration and lift; or why there is none.

    ``days``: the time to pay; a later payment is a «no».
    """
    detail: dict[str, Any] = {"cohort": cohort.name, "rows": len(found), "days": days}
    labels = found.paid(days)
    fewest = min(int(labels.sum()), len(labels) - int(labels.sum()))
    if len(found) < LEAST_ROWS or fewest < LEAST_OF_CLASS:
        few = reasons.few_debtors(len(found), fewest)
        reason = few if fewest or not len(found) else reasons.ONE_CLASS
        refused = detail | reason.detail()
        return [Measurement(cohort.until, version, "realised", "auc", None, detail=refused)]
    measured = [
        _told(version, cohort, "realised", name, figure, detail)
        for name, figure in figures(labels, found.chances, found.positive).items()
    ]
    return [
        *measured,
        *_calibration(version, cohort, labels, found.chances, detail),
        *_lift(version, cohort, labels, found, detail),
    ]


def figures(labels: Labels, chances: Vector, chosen: npt.NDArray[np.bool_]) -> dict[str, Figure]:
    """What came of n answers, of both classes: figures with their 95 % intervals."""
    auc = stats.auc(labels, chances)
    half = stats.SURE * stats.auc_error(labels, chances)
    brier = _mean((chances - labels) ** 2)
    found = {
        "auc": Figure(auc, max(auc - half, 0.0), min(auc + half, 1.0)),
        "brier": brier,
        "rmse": Figure(*(math.sqrt(value) for value in (brier.value, brier.low, brier.high))),
        "mae": _mean(np.abs(chances - labels)),
        "payments": _count(labels),
    }
    hits = float(labels[chosen].sum())
    if chosen.any():
        found["precision"] = _share(hits, int(chosen.sum()))
    return found | {"recall": _share(hits, int(labels.sum()))}


def live(cohort: Cohort, found: Came, days: int) -> Live | None:
    """The calibration of a month that has matured; ``None`` where it is too small to tell.

    Beyond chance: the Hosmer-Lemeshow statistic (1980) of the deciles, whose chances were not
    fitted to these rows, and so with a degree of freedom for each, has a p below 0.05.
    """
    labels = found.paid(days)
    fewest = min(int(labels.sum()), len(labels) - int(labels.sum()))
    if len(found) < LEAST_ROWS or fewest < LEAST_OF_CLASS:
        return None
    table = stats.calibration_table(labels, found.chances)
    spread = table.count * np.maximum(table.chance * (1 - table.chance), 1e-9)
    statistic = float(((table.count * (table.rate - table.chance)) ** 2 / spread).sum())
    error = stats.calibration_error(labels, found.chances)[1]
    return Live(error, formulas.chi_square_tail(statistic, len(table.count)) < 0.05, cohort.name)


def _calibration(
    version: str, cohort: Cohort, labels: Labels, chances: Vector, detail: dict[str, Any]
) -> list[Measurement]:
    table = stats.calibration_table(labels, chances)
    low, high = stats.wilson(table.rate * table.count, table.count)
    parts = zip(table.rate, low, high, table.chance, table.count, strict=True)
    measured = [
        _told(
            version,
            cohort,
            "calibration",
            str(place),
            Figure(float(rate), float(least), float(most)),
            detail | {"chance": round(float(chance), 6), "rows": int(count)},
        )
        # The tenth with the highest chances is the first, as in a lift.
        for place, (rate, least, most, chance, count) in enumerate(reversed(list(parts)), 1)
    ]
    plain, true = stats.calibration_error(labels, chances)
    whole = Measurement(
        cohort.until,
        version,
        "calibration",
        "ece",
        true,
        detail=detail | {"plain": round(plain, 6)},
    )
    return [*measured, whole]


def _lift(
    version: str, cohort: Cohort, labels: Labels, found: Came, detail: dict[str, Any]
) -> list[Measurement]:
    gains = stats.gains(labels, found.chances)
    cuts = stats.cuts(found.cents(detail["days"]), found.chances)
    borders = np.append(0.0, np.cumsum(gains.count))
    euros = np.diff(np.interp(borders, np.append(0.0, cuts.rows), np.append(0.0, cuts.sums))) / 100
    low, high = stats.wilson(gains.positives, gains.count)
    base = float(labels.mean())
    return [
        _told(
            version,
            cohort,
            "lift",
            str(place + 1),
            Figure(float(gains.lift[place]), float(low[place]) / base, float(high[place]) / base),
            detail
            | {
                "rows": int(gains.count[place]),
                "payments": round(float(gains.positives[place]), 2),
                "captured": round(float(gains.captured[place]), 6),
                "euros": round(float(euros[place]), 2),
            },
        )
        for place in range(len(gains.count))
    ]


def _told(
    version: str, cohort: Cohort, kind: str, subject: str, figure: Figure, detail: dict[str, Any]
) -> Measurement:
    return Measurement(
        cohort.until, version, kind, subject, figure.value, figure.low, figure.high, detail
    )


def _mean(values: Vector) -> Figure:
    mean = float(values.mean())
    half = stats.SURE * float(values.std()) / math.sqrt(len(values))
    return Figure(mean, max(mean - half, 0.0), mean + half)


def _share(hits: float, count: int) -> Figure:
    low, high = stats.wilson(np.array([hits]), np.array([float(count)]))
    return Figure(hits / count, float(low[0]), float(high[0]))


def _count(labels: Labels) -> Figure:
    share = _share(float(labels.sum()), len(labels))
    return Figure(*(len(labels) * value for value in (share.value, share.low, share.high)))
