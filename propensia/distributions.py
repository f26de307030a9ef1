"""How values are distributed over bins, alone and by pairs: what two tables are compared by.

It keeps no row: what it makes are shares, limits, and which cells have ever been seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from propensia import steps
from propensia.contract import Contract, Parameter

Vector = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]
Values = Mapping[str, npt.NDArray[Any]]
Mask = npt.NDArray[np.bool_]
BINS = 10
HISTOGRAM_BINS = 20
DIGITS = 7
# What a range leaves out at each end: one outlier of a large table would make it endless.
BEYOND = 0.001
# Coarser than what is drawn: of few rows, finer cells are empty by chance alone.
PARTS = 5


def described(contract: Contract, values: Values) -> dict[str, dict[str, Any]]:
    """The distribution of each parameter, by short name, as plain JSON values.

    A category: ``textos`` and as many ``partes``. A number: inner ``bordes`` (quantiles, each
    distinct) and one more of ``partes``; bin i holds what is above edge i - 1 and not above edge
    i. ``sin_dato`` is the share without data; it and ``partes`` add up to 1. A number has its
    ``alcance`` too, the range without outliers, and one that a column divides into whole groups
    the ``grupos`` that occur.
    """
    found = {}
    for parameter in contract.parameters:
        column = values[parameter.name]
        bins: dict[str, Any] = {"textos": list(parameter.texts)}
        if not parameter.is_category:
            known = column[~np.isnan(column)]
            bins = {"bordes": edges(known), "alcance": reach(known)}
            if (whole := divisor(contract, parameter)) is not None:
                bins["grupos"] = groups(known, whole)
        parts = shares(column, bins)
        found[parameter.name] = {
            **bins,
            "partes": _rounded(parts[:-1]),
            "sin_dato": short(parts[-1]),
        }
    return found


def of_scores(chances: Vector) -> dict[str, Any]:
    """The distribution of chances ``(m,)``.

    ``deciles``: the 9 inner limits, ascending, ties included. ``bordes`` and ``partes``: the
    distinct ones among them and the share of each bin, as for a number. ``histograma``: the
    shares of 20 equal steps from 0 to 1.
    """
    counts = np.bincount(steps.places(chances, HISTOGRAM_BINS), minlength=HISTOGRAM_BINS)
    inner = edges(chances)
    return {
        "deciles": quantiles(chances).tolist(),
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
    inner = np.unique(quantiles(values))
    found: list[float] = inner[inner < values.max()].tolist()
    return found


def quantiles(values: Vector) -> Vector:
    """The nine inner tenths of at least one value, each of them a value: one that is between
    two, or rounded, lies beside the ties that it should hold."""
    found: Vector = np.quantile(values, np.arange(1, BINS) / BINS, method="inverted_cdf")
    return found


def shares(values: npt.NDArray[Any], bins: Mapping[str, Any]) -> Vector:
    """The share of ``values`` in each of ``bins`` (``textos`` or ``bordes``), and of no data.

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


def divisor(contract: Contract, parameter: Parameter) -> float | None:
    """By what a column first divides this parameter into whole groups, if one does."""
    first = next((c.steps[:1] for c in contract.columns if c.source == parameter.name), ())
    return next((float(number) for verb, number in first if verb == "floor_divide"), None)


def groups(values: Vector, whole: float) -> list[int]:
    """The whole groups by that divisor that occur among ``values``, ascending."""
    known = values[~np.isnan(values)]
    return sorted({int(group) for group in np.unique(np.floor_divide(known, whole))})


def reach(values: Vector) -> list[float]:
    """The range of known ``values`` but for the ``BEYOND`` of them at each end; empty for none."""
    if len(values) == 0:
        return []
    found: list[float] = np.quantile(values, [BEYOND, 1 - BEYOND], method="inverted_cdf").tolist()
    return found


@dataclass(frozen=True, slots=True)
class Region:
    """Where rows have been: ``seen`` by pair of parameter names, a flag per cell of their bins;
    ``outside``: the share of further rows of the same kind that would lie elsewhere."""

    seen: Mapping[tuple[str, str], Mask]
    outside: float


def cells(
    contract: Contract, described: Mapping[str, Any], values: Values
) -> dict[str, tuple[Places, int]]:
    """The coarse bin of each value by parameter name, ``(n,)``, and how many bins there are.

    ``described``: bins and ranges by parameter, as a sidecar's ``parametros``. No data is a bin,
    and so is what lies beyond either end of the range. Of a month only whether there is one.
    """
    found = {}
    for parameter in contract.parameters:
        bins, column = described[parameter.name], values[parameter.name]
        if parameter.is_category:
            order = {text: place for place, text in enumerate(parameter.texts)}
            places = np.array([order.get(text, len(order)) for text in column], dtype=np.intp)
            found[parameter.name] = places, len(order) + 1
        elif parameter.kind == "month":
            found[parameter.name] = np.isnan(column).astype(np.intp), 2
        else:
            found[parameter.name] = _coarse(column, bins["bordes"], bins["alcance"])
    return found


def _coarse(column: Vector, inner: list[float], ends: list[float]) -> tuple[Places, int]:
    every = max(1, round((len(inner) + 1) / PARTS))
    limits = np.array(inner[every - 1 :: every], dtype=np.float64)
    places = np.searchsorted(limits, column, side="left") + 1
    if ends:
        places[column < ends[0]] = 0
        places[column > ends[1]] = len(limits) + 2
    places[np.isnan(column)] = len(limits) + 3
    return places, len(limits) + 4


def region(contract: Contract, described: Mapping[str, Any], values: Values) -> Region:
    """Where ``values`` of at least one row are.

    ``outside`` is the share of the rows that are alone in one of their cells, or beyond a range:
    what lies outside the region of all other rows (Good and Turing's estimate of the unseen:
    Good 1953, "The population frequencies of species").
    """
    binned = cells(contract, described, values)
    seen: dict[tuple[str, str], Mask] = {}
    alone = beyond(contract, binned)
    for first, second in combinations(binned, 2):
        cell, size = _cell(binned, first, second)
        counts = np.bincount(cell, minlength=size)
        seen[first, second] = counts > 0
        alone |= (counts == 1)[cell]
    return Region(seen, float(alone.mean()))


def beyond(contract: Contract, binned: Mapping[str, tuple[Places, int]]) -> Mask:
    """Which rows have a number beyond the range of its parameter."""
    rows = len(next(iter(binned.values()))[0])
    found = np.zeros(rows, dtype=bool)
    for parameter in contract.parameters:
        if not parameter.is_category and parameter.kind != "month":
            places, size = binned[parameter.name]
            found |= (places == 0) | (places == size - 2)
    return found


def outside(
    contract: Contract, known: Region, binned: Mapping[str, tuple[Places, int]]
) -> tuple[Mask, dict[tuple[str, str], float]]:
    """Which rows lie outside a region, and by pair of parameters the share that it holds out."""
    found = beyond(contract, binned)
    by_pair = {}
    for first, second in known.seen:
        cell, _ = _cell(binned, first, second)
        apart = ~known.seen[first, second][cell]
        by_pair[first, second] = float(apart.mean())
        found |= apart
    return found, by_pair


def _cell(binned: Mapping[str, tuple[Places, int]], first: str, second: str) -> tuple[Places, int]:
    (one, height), (two, width) = binned[first], binned[second]
    cell: Places = one * width + two
    return cell, height * width


def packed(known: Region) -> dict[str, Any]:
    """A region as plain JSON: hexadecimal flags by ``first,second``, far below 100 KB."""
    pairs = {
        f"{a},{b}": np.packbits(flags).tobytes().hex() for (a, b), flags in known.seen.items()
    }
    return {"pares": pairs, "fuera": short(known.outside)}


def unpacked(table: Mapping[str, Any], contract: Contract, described: Mapping[str, Any]) -> Region:
    """The region that ``packed`` wrote under the same contract. Raises ``KeyError``,
    ``TypeError`` or ``ValueError`` for anything else."""
    sizes = {name: size for name, (_, size) in cells(contract, described, _none(contract)).items()}
    seen = {}
    for first, second in combinations(sizes, 2):
        size = sizes[first] * sizes[second]
        flags = np.frombuffer(bytes.fromhex(table["pares"][f"{first},{second}"]), dtype=np.uint8)
        if len(flags) != -(-size // 8):
            raise ValueError("the cells are those of other bins")
        seen[first, second] = np.unpackbits(flags, count=size).astype(bool)
    return Region(seen, float(table["fuera"]))


def _none(contract: Contract) -> Values:
    kinds = {p.name: object if p.is_category else np.float64 for p in contract.parameters}
    return {name: np.array([], dtype=kind) for name, kind in kinds.items()}


def short(value: float) -> float:
    """A number to seven significant digits: what a file keeps."""
    return float(f"{value:.{DIGITS}g}")


def _rounded(values: Vector) -> list[float]:
    return [short(value) for value in values]
