"""What the answers of a version are held against: how its training data were distributed.

An analyst's sidecar is believed only as far as its shape is right; no row of a debtor is in it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from propensia import distributions, files, steps
from propensia.contract import Contract
from propensia.decision import Decision
from propensia.distributions import Region
from propensia.monitoring.formulas import Calibrated, Figure

log = logging.getLogger(__name__)

Vector = npt.NDArray[np.float64]
FOLDER = "monitoring"
FIRST_ANSWERS = 5_000
TRAINING, ANSWERS = "entrenamiento", "primeras respuestas"
WRONG = (KeyError, TypeError, ValueError, AttributeError, IndexError)


@dataclass(frozen=True, slots=True)
class Known:
    """The distributions that a version is held against, as far as they are known.

    ``source``: ``TRAINING`` or ``ANSWERS``. ``parameters``: bins by parameter; ``rows`` they were
    made of. ``scores``: bins of the chances as they are served, of ``judged`` rows; ``steps``:
    which of 20 steps from 0 to 1 held any. ``region``: where training rows were. ``missing``: the
    share without data by parameter. ``error``: the calibration error where it was judged, free of
    noise, and ``calibrated`` its bins; both only of training.
    """

    source: str
    rows: int
    parameters: Mapping[str, Mapping[str, Any]]
    scores: Mapping[str, Any]
    judged: int
    missing: Mapping[str, float | None]
    region: Region | None = None
    steps: npt.NDArray[np.bool_] | None = None
    error: Figure | None = None
    calibrated: Calibrated | None = None


def of_training(
    manifest: Mapping[str, Any], contract: Contract, decision: Decision
) -> Known | None:
    """What the sidecar of a version told of its training, or ``None`` if it told nothing usable.

    Chances are moved as ``decision`` moves them when they are served.
    """
    told = manifest.get("told", {})
    try:
        table = told["referencia"]
        parameters, scores = table["parametros"], table["puntuacion"]
        for parameter in contract.parameters:
            _check(parameters[parameter.name], parameter.texts if parameter.is_category else None)
        limits = _served(decision, scores["bordes"])
        _check({"bordes": limits, "partes": scores["partes"], "sin_dato": 0.0}, None)
        return Known(
            source=TRAINING,
            rows=_count(table["filas"]),
            parameters=parameters,
            scores={"bordes": limits, "partes": scores["partes"]},
            judged=_count(told.get("entrenamiento", {}).get("juzgadas", table["filas"])),
            missing=_missing(contract, parameters, told.get("datos", {}).get("supuestos")),
            region=_region(table, contract),
            steps=_steps(scores, decision),
            error=_error(told),
            calibrated=_calibrated(told, decision),
        )
    except WRONG:
        return None


def of_answers(
    contract: Contract, values: distributions.Values, chances: Vector, missing: Mapping[str, float]
) -> dict[str, Any]:
    """A description of a version's first answers, to be kept: plain JSON values."""
    return {
        "filas": len(chances),
        "parametros": distributions.described(contract, values),
        "puntuacion": distributions.of_scores(chances),
        "supuestos": {name: distributions.short(share) for name, share in missing.items()},
        "huella_contrato": contract.fingerprint,
    }


def keep(state: Path, version: str, described: Mapping[str, Any]) -> None:
    """Keep a description of first answers. Raises ``OSError``."""
    (state / FOLDER).mkdir(exist_ok=True)
    files.write_json(_path(state, version), dict(described))


def kept(state: Path, version: str, contract: Contract) -> Known | None:
    """What was kept of the first answers of a version, if it was and under this contract."""
    try:
        table = files.read_json(_path(state, version))
    except (OSError, ValueError):
        return None
    return from_answers(table, contract)


def from_answers(table: Mapping[str, Any], contract: Contract) -> Known | None:
    """The same from a description that was not kept yet."""
    try:
        if table["huella_contrato"] != contract.fingerprint:
            return None
        rows = _count(table["filas"])
        return Known(
            source=ANSWERS,
            rows=rows,
            parameters=table["parametros"],
            scores=table["puntuacion"],
            judged=rows,
            missing=table["supuestos"],
        )
    except WRONG:
        return None


def _path(state: Path, version: str) -> Path:
    return state / FOLDER / f"{version}.json"


def _check(bins: Mapping[str, Any], texts: tuple[str, ...] | None) -> None:
    """Raises one of ``WRONG`` where bins are not what ``distributions.described`` writes."""
    parts = np.array([*bins["partes"], bins["sin_dato"]], dtype=np.float64)
    if texts is not None:
        good = tuple(bins["textos"]) == texts and len(parts) == len(texts) + 1
    else:
        limits = np.array(bins["bordes"], dtype=np.float64)
        good = len(parts) == len(limits) + 2 and bool((np.diff(limits) > 0).all())
    # Seven digits of each share are kept; a table in which a text was unknown adds up to less.
    if not good or not (parts >= 0).all() or not 0.5 < parts.sum() < 1.001:
        raise ValueError("these are no bins")


def _count(number: Any) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError("this is no number of rows")
    return number


def _served(decision: Decision, chances: list[float]) -> list[float]:
    found: list[float] = decision.probabilities(np.array(chances, dtype=np.float64)).tolist()
    return found


def _missing(
    contract: Contract, parameters: Mapping[str, Any], assumed: Mapping[str, Any] | None
) -> dict[str, float | None]:
    """The share without data of each parameter, by short name; not known where a value is used
    instead and nobody told how often. ``assumed``: how often, by feature name."""
    found: dict[str, float | None] = {}
    for parameter in contract.parameters:
        found[parameter.name] = None
        if parameter.fill is None or assumed is not None:
            without = float(parameters[parameter.name]["sin_dato"])
            found[parameter.name] = without + float((assumed or {}).get(parameter.feature, 0.0))
    return found


def _region(table: Mapping[str, Any], contract: Contract) -> Region | None:
    try:
        return distributions.unpacked(table["cobertura"], contract, table["parametros"])
    except WRONG:
        return None


def _steps(scores: Mapping[str, Any], decision: Decision) -> npt.NDArray[np.bool_]:
    """Which steps of served chances training had: those that a step of its own reaches into."""
    own = np.array(scores["histograma"], dtype=np.float64) > 0
    count = len(own)
    if count != distributions.HISTOGRAM_BINS:
        raise ValueError("these are no steps")
    limits = np.clip(decision.probabilities(np.linspace(0, 1, count + 1)), 0, 1)
    first, last = steps.places(limits[:-1], count), steps.places(limits[1:], count)
    reached = np.zeros(count, dtype=bool)
    for place in np.flatnonzero(own):
        # An end that falls on a limit belongs to the step before it.
        end = last[place] - (
            limits[place + 1] * count == last[place] and last[place] > first[place]
        )
        reached[first[place] : end + 1] = True
    return reached


def _error(told: Mapping[str, Any]) -> Figure | None:
    try:
        figure = told["metricas"]["ece_sin_sesgo"]
        found = Figure(*(float(figure[name]) for name in ("valor", "desde", "hasta")))
    except WRONG:
        return None
    return found if np.isfinite([found.value, found.low, found.high]).all() else None


def _calibrated(told: Mapping[str, Any], decision: Decision) -> Calibrated | None:
    try:
        table = told["calibracion"]
        chances = np.array(_served(decision, [row["probabilidad"] for row in table]))
        rates = np.array([row["tasa"] for row in table], dtype=np.float64)
        counts = np.array([row["filas"] for row in table], dtype=np.float64)
        if not (np.diff(chances) > 0).all() or not (counts > 0).all() or not len(chances):
            return None
    except WRONG:
        return None
    rates = (rates * counts + 1) / (counts + 2)  # not 0: no bin is without noise
    return Calibrated((chances[1:] + chances[:-1]) / 2, rates * (1 - rates) / counts)
