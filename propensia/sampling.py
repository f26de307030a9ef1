"""Rows that a contract describes: typical ones from its shares and quantiles, and edge cases.

Nothing here is data of a person: rows are drawn from the published figures in the contract.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from propensia.contract import Contract, Parameter
from propensia.features import Features, Matrix, Value

Values = dict[str, npt.NDArray[Any]]


def typical(contract: Contract) -> list[Value]:
    """The typical row: the most frequent category, the median number, no data where usual."""
    return [_typical(parameter) for parameter in contract.parameters]


def _typical(parameter: Parameter) -> Value:
    if parameter.is_category:
        if not parameter.shares:
            return parameter.values[0]
        return parameter.values[int(np.argmax(parameter.shares))]
    if parameter.optional and parameter.missing_share > 0.5:
        return None
    if not parameter.quantiles:
        return _low(parameter)
    return float(_numbers(parameter, np.array([0.5]))[0])


def draw(contract: Contract, count: int, seed: int) -> Values:
    """``count`` typical rows, each parameter drawn on its own from its shares or quantiles.

    Arrays as ``Features.read_many`` gives them; the same seed gives the same rows.
    """
    random = np.random.default_rng(seed)
    return {p.name: _drawn(p, count, random) for p in contract.parameters}


def _drawn(parameter: Parameter, count: int, random: np.random.Generator) -> npt.NDArray[Any]:
    if parameter.is_category:
        shares = np.array(parameter.shares or [1.0] * len(parameter.values))
        values = np.array(parameter.values, dtype=object)
        return random.choice(values, size=count, p=shares / shares.sum())
    if not parameter.quantiles:
        return _edges(parameter, count, random)
    values = _numbers(parameter, random.random(count))
    return _with_missing(parameter, values, random)


def _with_missing(
    parameter: Parameter, values: npt.NDArray[np.float64], random: np.random.Generator
) -> npt.NDArray[np.float64]:
    if parameter.optional:
        values[random.random(len(values)) < parameter.missing_share] = np.nan
    return values


def _numbers(parameter: Parameter, shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    points, values = zip(*parameter.quantiles, strict=True)
    if parameter.kind == "month":
        numbers = _as_months(np.floor(np.interp(shares, points, [_counted(v) for v in values])))
    else:
        whole = parameter.kind in ("integer", "python_int")
        numbers = np.round(np.interp(shares, points, values), 0 if whole else 2)
    return np.asarray(numbers, dtype=np.float64)


def _counted(month: float) -> float:
    """A month ``YYYYMM`` as a number that can be counted on: months since the year 0."""
    return 12 * (month // 100) + month % 100 - 1


def _as_months(counted: npt.NDArray[Any]) -> npt.NDArray[Any]:
    months: npt.NDArray[Any] = counted // 12 * 100 + counted % 12 + 1
    return months


def edges(contract: Contract, count: int, seed: int) -> Values:
    """``count`` rows spread over the whole domain of the contract, its limits included."""
    random = np.random.default_rng(seed)
    return {p.name: _edges(p, count, random) for p in contract.parameters}


def _edges(parameter: Parameter, count: int, random: np.random.Generator) -> npt.NDArray[Any]:
    if parameter.is_category:
        values = (*parameter.values, *((parameter.otherwise,) if parameter.otherwise else ()))
        return random.choice(np.array(values, dtype=object), size=count)
    low, high = _low(parameter), _high(parameter)
    # Most of a wide range says nothing: spread by powers of ten, and keep the two ends.
    numbers: npt.NDArray[Any] = low + (high - low + 1) ** random.random(count) - 1
    ends = random.random(count)
    numbers = np.where(ends < 0.02, low, np.where(ends > 0.98, high, np.clip(numbers, low, high)))
    if parameter.kind == "month":
        numbers = _as_months(random.integers(int(_counted(low)), int(_counted(high)) + 1, count))
    elif parameter.kind in ("integer", "python_int"):
        numbers = np.floor(numbers)
    return _with_missing(parameter, numbers.astype(np.float64), random)


def rows(contract: Contract, count: int, seed: int) -> Matrix:
    """Model columns of in-contract rows, ``(count, k)``: half typical, half up to the limits."""
    features, half = Features(contract), count // 2
    typical = features.matrix(draw(contract, half, seed))
    return np.vstack([typical, features.matrix(edges(contract, count - half, seed))])


def _low(parameter: Parameter) -> float:
    return parameter.min if np.isfinite(parameter.min) else 0.0


def _high(parameter: Parameter) -> float:
    return parameter.max if np.isfinite(parameter.max) else 1e6
