"""How good the answers of a version are before anybody knows what came of them.

From the chances themselves (confidence-based performance estimation), and only where that can be
true: every precondition is checked, and where one fails there is a reason and no number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from propensia import steps
from propensia.monitoring import formulas, reasons
from propensia.monitoring.answers import Judged
from propensia.monitoring.formulas import Promise
from propensia.monitoring.reasons import Reason
from propensia.monitoring.reference import TRAINING, Known
from propensia.store.measurements import Measurement

Vector = npt.NDArray[np.float64]
LEAST_ROWS = 1_000
LEAST_OF_CLASS = 50
# Calibration errors up to here move an AUC by about a hundredth at most.
MOST_ERROR = 0.03
# Beyond what chance puts there: rows of which training knows nothing.
MOST_OUTSIDE = 0.02
FIGURES = ("auc", "brier", "precision", "recall", "payments")


@dataclass(frozen=True, slots=True)
class Live:
    """The calibration of the last month whose outcomes are known: the error over deciles, free
    of noise, whether it is more than chance, and which month."""

    error: float
    beyond_chance: bool
    cohort: str


@dataclass(frozen=True, slots=True)
class Window:
    """What an estimate is of: a version's answers in [since, until), in ms since 1970, from the id
    ``first`` on, under the contract with the fingerprint ``rules``."""

    version: str
    since: int
    until: int
    first: str
    rules: str


def refusal(
    known: Known | None, judged: Judged, region: Measurement | None, live: Live | None
) -> Reason | None:
    """Why no figure would be true; ``None`` where all preconditions hold."""
    if known is None or known.source != TRAINING:
        return reasons.UNKNOWN_TRAINING
    checks = (_enough(judged), _calibrated(known, live), _in_range(known, judged, region))
    return next((reason for reason in checks if reason is not None), None)


def measure(
    window: Window,
    known: Known | None,
    judged: Judged,
    region: Measurement | None,
    live: Live | None,
) -> list[Measurement]:
    """The expected figures with their intervals, or each refused with the same reason."""
    reason = refusal(known, judged, region, live)
    detail: dict[str, Any] = {"rows": len(judged), "since": window.since, "until": window.until}
    if reason is not None or known is None:
        return [
            _refused(window, name, detail, reason or reasons.UNKNOWN_TRAINING) for name in FIGURES
        ]
    detail |= {"first_id": window.first, "rules": window.rules}
    found = []
    for name, promise in promises(judged.chances, judged.positive).items():
        if promise is None:
            found.append(_refused(window, name, detail, reasons.NOBODY_CHOSEN))
            continue
        figure = formulas.interval(promise, judged.chances, known.calibrated)
        told = detail if known.calibrated else detail | {"calibration_noise": False}
        found.append(
            Measurement(
                window.until,
                window.version,
                "estimated",
                name,
                figure.value,
                figure.low,
                figure.high,
                told,
            )
        )
    return found


def _refused(window: Window, name: str, detail: dict[str, Any], reason: Reason) -> Measurement:
    told = detail | reason.detail()
    return Measurement(window.until, window.version, "estimated", name, None, detail=told)


def promises(chances: Vector, chosen: npt.NDArray[np.bool_]) -> Mapping[str, Promise | None]:
    """Every figure of ``FIGURES`` as its formula gives it; ``None`` where none is chosen."""
    some = bool(chosen.any())
    return {
        "auc": formulas.auc(chances),
        "brier": formulas.brier(chances),
        "precision": formulas.precision(chances, chosen) if some else None,
        "recall": formulas.recall(chances, chosen) if some else None,
        "payments": formulas.payments(chances),
    }


def _enough(judged: Judged) -> Reason | None:
    if len(judged) < LEAST_ROWS:
        return reasons.few_answers(len(judged), LEAST_ROWS)
    expected = float(judged.chances.sum())
    if min(expected, len(judged) - expected) < LEAST_OF_CLASS:
        return reasons.few_of_a_class(LEAST_OF_CLASS)
    return None


def _calibrated(known: Known, live: Live | None) -> Reason | None:
    if live is not None:  # what came is worth more than what training thought
        if live.error > MOST_ERROR and live.beyond_chance:
            return reasons.was_badly_calibrated(live.cohort, 100 * live.error, 100 * MOST_ERROR)
        return None
    if known.error is None:
        return reasons.UNKNOWN_CALIBRATION
    if known.error.value > MOST_ERROR:
        return reasons.badly_calibrated(100 * known.error.value, 100 * MOST_ERROR)
    return None


def _in_range(known: Known, judged: Judged, region: Measurement | None) -> Reason | None:
    if known.region is None or region is None or region.value is None:
        return reasons.UNKNOWN_REGION
    limit = known.region.outside + MOST_OUTSIDE
    if region.value > limit:
        pairs = region.detail["pairs"]
        return reasons.outside(region.value, pairs[0][:2] if pairs else [], limit)
    if known.steps is not None:
        share = float((~known.steps[steps.places(judged.chances, len(known.steps))]).mean())
        if share > MOST_OUTSIDE:
            return reasons.new_scores(share)
    return None
