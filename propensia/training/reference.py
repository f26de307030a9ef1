"""How training data and scores were distributed: what later data are compared with.

Plain tables and arrays only; it never keeps a row, and reads and writes nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from propensia.contract import Contract
from propensia.training.rows import Chances, Rows

Vector = npt.NDArray[np.float64]
BINS = 10
HISTOGRAM_BINS = 20
DIGITS = 7


def parameters(contract: Contract, rows: Rows) -> dict[str, dict[str, Any]]:
    """The distribution of each parameter, by short name, as plain JSON values.

    A category: ``textos`` and as many ``partes``. A number: inner ``bordes`` (quantiles, each
    distinct) and one more of ``partes``; bin i holds what is above edge i - 1 and not above edge
    i. ``sin_dato`` is the share without data; it and ``partes`` add up to 1.
    """
    described = {}
    for parameter in contract.parameters:
        values = rows.values[parameter.name]
        bins = (
            {"textos": list(parameter.texts)}
            if parameter.is_category
            else {"bordes": edges(values[~np.isnan(values)])}
        )
        found = shares(values, bins)
        described[parameter.name] = {
            **bins,
            "partes": _rounded(found[:-1]),
            "sin_dato": short(found[-1]),
        }
    return described


def scores(chances: Chances) -> dict[str, Any]:
    """The distribution of out-of-sample chances ``(m,)``.

    ``deciles``: the 9 inner limits, ascending, ties included. ``bordes`` and ``partes``: the
    distinct ones among them and the share of each bin, as for a number. ``histograma``: the
    shares of 20 equal steps from 0 to 1.
    """
    counts, _ = np.histogram(chances, bins=HISTOGRAM_BINS, range=(0.0, 1.0))
    inner = edges(chances)
    return {
        "deciles": _quantiles(chances).tolist(),
        "bordes": inner,
        "partes": _rounded(shares(chances, {"bordes": inner})[:-1]),
        "histograma": _rounded(counts / len(chances)),
    }


def edges(values: Vector) -> list[float]:
    """The distinct inner quantiles of known ``values`` that divide them into ten like parts.

    No part is empty: each edge is one of the values, to the last digit, and lies in the part
    below it; the largest value is no edge. Empty for no values.
    """
    if len(values) == 0:
        return []
    inner = np.unique(_quantiles(values))
    found: list[float] = inner[inner < values.max()].tolist()
    return found


def shares(values: npt.NDArray[Any], bins: dict[str, Any]) -> Vector:
    """The share of ``values`` in each of ``bins`` (as ``parameters`` gives them), and of no data.

    ``(k + 1,)``, the last without data; adds up to 1 where every text is among the bins' own.
    """
    if "textos" in bins:
        missing = np.array([value is None for value in values], dtype=bool)
        counts = [int(np.sum(values == text)) for text in bins["textos"]]
    else:
        missing = np.isnan(values)
        places = np.searchsorted(np.array(bins["bordes"]), values[~missing], side="left")
        counts = np.bincount(places, minlength=len(bins["bordes"]) + 1).tolist()
    return np.array([*counts, int(missing.sum())], dtype=np.float64) / max(len(values), 1)


def _quantiles(values: Vector) -> Vector:
    """The nine inner tenths of at least one value, each of them a value: one that is between
    two, or rounded, lies beside the ties that it should hold."""
    found: Vector = np.quantile(values, np.arange(1, BINS) / BINS, method="inverted_cdf")
    return found


def short(value: float) -> float:
    """A number to seven significant digits: what a file keeps."""
    return float(f"{value:.{DIGITS}g}")


def _rounded(values: Vector) -> list[float]:
    return [short(value) for value in values]
