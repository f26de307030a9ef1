"""How good the answers of a version are before anybody knows what came of them.

From the chances themselves (confidence-based performance estimation), and only where that can be
true: every precondition is checked, and where one fails there is a reason and no number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propensia.monitoring import formulas
from propensia.monitoring.answers import Judged
from propensia.monitoring.formulas import Promise
from propensia.monitoring.reference import TRAINING, Known
from propensia.spanish import number, percent
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
    """What an estimate is of: a version's answers in [since, until), in ms since 1970."""

    version: str
    since: int
    until: int


def refusal(
    known: Known | None, judged: Judged, region: Measurement | None, live: Live | None
) -> str | None:
    """Why no figure would be true, in Spanish; ``None`` where all preconditions hold."""
    if known is None or known.source != TRAINING:
        return (
            "no se sabe con qué datos se entrenó la versión: su ficha no trae referencia "
            "(propensia train la escribe)"
        )
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
    detail = {"rows": len(judged), "since": window.since, "until": window.until}
    if reason is not None or known is None:
        return [
            Measurement(
                window.until,
                window.version,
                "estimated",
                name,
                None,
                detail=detail | {"reason": reason},
            )
            for name in FIGURES
        ]
    found = []
    for name, promise in promises(judged.chances, judged.positive).items():
        if promise is None:
            no_one = detail | {"reason": "nadie llega al umbral"}
            found.append(
                Measurement(window.until, window.version, "estimated", name, None, detail=no_one)
            )
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


def _enough(judged: Judged) -> str | None:
    if len(judged) < LEAST_ROWS:
        return f"hay {len(judged)} respuestas y hacen falta {LEAST_ROWS}"
    expected = float(judged.chances.sum())
    if min(expected, len(judged) - expected) < LEAST_OF_CLASS:
        return f"se esperan menos de {LEAST_OF_CLASS} de una de las dos clases"
    return None


def _calibrated(known: Known, live: Live | None) -> str | None:
    if live is not None:  # what came is worth more than what training thought
        if live.error > MOST_ERROR and live.beyond_chance:
            return (
                f"en {live.cohort} las probabilidades se alejaron {number(100 * live.error, 1)} "
                f"puntos de lo que pasó (límite {number(100 * MOST_ERROR, 0)})"
            )
        return None
    if known.error is None:
        return "la ficha no dice cómo de calibradas están las probabilidades (ece_sin_sesgo)"
    if known.error.value > MOST_ERROR:
        return (
            f"al entrenar, las probabilidades se alejaban {number(100 * known.error.value, 1)} "
            f"puntos de lo que pasó (límite {number(100 * MOST_ERROR, 0)})"
        )
    return None


def _in_range(known: Known, judged: Judged, region: Measurement | None) -> str | None:
    if known.region is None or region is None or region.value is None:
        return (
            "la ficha no trae la cobertura del entrenamiento, y no se sabe si lo que llega cae "
            "dentro"
        )
    limit = known.region.outside + MOST_OUTSIDE
    if region.value > limit:
        pairs = region.detail["pairs"]
        where = f", sobre todo por {' y '.join(pairs[0][:2])}" if pairs else ""
        return (
            f"el {percent(region.value, 1)} cae fuera de lo que el entrenamiento conoció{where} "
            f"(límite {percent(limit, 1)})"
        )
    if known.steps is not None:
        count = len(known.steps)
        steps = np.minimum((judged.chances * count).astype(np.intp), count - 1)
        share = float((~known.steps[steps]).mean())
        if share > MOST_OUTSIDE:
            return f"el {percent(share, 1)} tiene una puntuación que no hubo al entrenar"
    return None
