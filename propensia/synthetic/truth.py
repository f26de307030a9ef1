"""The true probability of paying, as a function of what a model sees of a row.

It draws nothing: the same row has the same probability, whatever the seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from propensia.synthetic import figures

Vector = npt.NDArray[np.float64]
MEDIAN_DEBT, MOST_DEBT = 125.61, 6000.0
Columns = Mapping[str, npt.NDArray[Any]]


def chances(columns: Columns, drift: float = 0.0) -> Vector:
    """The true probability of each of n rows, ``(n,)`` in (0, 1), with six decimals.

    ``columns`` holds the 13 raw values under the names of the file, as ``generate`` gives them;
    others are not looked at. No data counts as the contract fills it.
    """
    given = figures.load()["truth"]
    moved = figures.load()["drift"]
    active = columns["ESTADO_CLIENTE"] == "A"
    invoices = columns["CANTIDAD_FACTURAS"]
    segment = columns["ESCENARIO_RECOBRO"]
    leaving = ~np.isnan(columns["FECHA_BPI"])
    debt = np.minimum(columns["DEUDA_TOTAL"], MOST_DEBT)
    log_odds = (
        given["base"]
        + moved["log_odds"] * drift
        + np.array(given["invoices"])[np.minimum(invoices, 4) - 1]
        + np.array(given["lines"])[np.minimum(columns["NUM_LINEAS_ACTIVAS"], 3)]
        + np.where(segment == "EMP", 0.0, given["personal"])
        + np.where(segment == "FU", given["family"], 0.0)
        + given["leaving"] * (1 - moved["leaving_effect"] * drift) * leaving
        + given["terminal"] * (columns["VPT"] != "N")
        + given["bank"] * (columns["VAP_OB"] == "S")
        + given["closed_single"] * (~active & (invoices == 1))
        + given["leaving_debt"] * leaving * (np.log1p(debt) - np.log1p(MEDIAN_DEBT))
        + _ported(columns["PORTADO"])
        + _age(columns["EDAD"])
        + given["province"] * (_province(columns["CODIGO_POSTAL"]) - 25)
        + _curve(given["invoice"], _filled(columns["IMPORTE_FACTURA"], 71.99))
        + _curve(given["debt"], debt)
    )
    least = given["least"]
    chances: Vector = np.clip(1 / (1 + np.exp(-log_odds)), least, 1 - least)
    return np.round(chances, 6)


def _filled(values: Vector, fill: float) -> Vector:
    return np.where(np.isnan(values), fill, values)


def _province(postcode: Vector) -> Vector:
    return np.floor(_filled(postcode, 28000.0) / 1000)


def _ported(labels: npt.NDArray[Any]) -> Vector:
    """The effect of portability; labels with their trailing blank, as in the file, or without."""
    given = figures.load()["truth"]
    effect = np.where(labels == "SI", given["ported"], 0.0)
    for label in ("BAJAS_I", "BAJAS_II"):
        effect[(labels == label) | (labels == f"{label} ")] = given["ported_leaving"]
    return effect


def _age(labels: npt.NDArray[Any]) -> Vector:
    """The effect of the age band; no data counts as 51-65, as everywhere in the service."""
    ages = figures.load()["truth"]["ages"]
    effect = np.full(len(labels), float(ages["51-65"]))
    for label, value in ages.items():
        effect[labels == label] = value
    return effect


def _curve(points: list[tuple[float, float]], euros: Vector) -> Vector:
    """Straight lines between ``points`` over the logarithm of 1 + euros, level beyond them."""
    knots, values = np.array(points, dtype=np.float64).T
    curve: Vector = np.interp(np.log1p(euros), np.log1p(knots), values)
    return curve
