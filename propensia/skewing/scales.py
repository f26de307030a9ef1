"""Other ways in which a notebook may have made a number: without a step, or on another scale.

Each is tried on every row with data; one that misses a single row is not told.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from propensia.contract import Column, Contract
from propensia.features import Features
from propensia.skewing.conditions import number

Numbers = npt.NDArray[np.float64]
Steps = tuple[tuple[str, Any], ...]
SCALING = ("clip", "divide", "floor_divide")
# Through fewer points, the origin among them, a line always goes.
FEWEST_POINTS = 3
CLOSE = 0.02


def is_scaled(column: Column) -> bool:
    """Whether a column is a number on some scale, not a text, a band or a presence."""
    return all(verb in (*SCALING, "value") for verb, _ in column.steps)


def made(contract: Contract, column: Column, values: npt.NDArray[Any]) -> Numbers:
    """What a column, of the contract or not, makes of the values of its parameter, ``(n,)``."""
    return Features(replace(contract, columns=(column,))).matrix({column.source: values})[:, 0]


def variants(column: Column) -> Iterator[tuple[str, Steps]]:
    """Other steps than the column's, fewest changes first, each with what is other about it."""
    choices = [_choices(verb, argument) for verb, argument in column.steps]
    found = []
    for choice in itertools.product(*choices):
        said = [words for words, _ in choice if words]
        if said:
            steps = tuple(step for _, step in choice if step is not None)
            found.append((len(said), " y ".join(said), steps))
    for _, words, steps in sorted(found, key=lambda item: item[0]):
        yield words, steps


def _choices(verb: str, argument: Any) -> list[tuple[str, tuple[str, Any] | None]]:
    kept: tuple[str, tuple[str, Any] | None] = ("", (verb, argument))
    if verb == "clip":
        low, high = argument
        return [kept, (f"sin recortar entre {number(low)} y {number(high)}", None)]
    if verb == "divide":
        by = number(argument)
        times = f"\N{MULTIPLICATION SIGN}{by}"
        return [kept, (f"sin dividir entre {by} ({times})", None)]
    if verb == "floor_divide":
        by = number(argument)
        return [
            kept,
            (f"sin la división entera entre {by}", None),
            (f"dividido entre {by} con decimales", ("divide", argument)),
        ]
    return [kept]


def rescaled(column: Column, inner: Numbers, got: Numbers, tolerance: float) -> str | None:
    """On which other scale ``got`` is: a line of ``inner``, cut at its ends or not.

    ``inner`` ``(n,)`` is the value before the column's own clipping and division.
    """
    low, high = float(got.min()), float(got.max())
    between = (got > low + tolerance) & (got < high - tolerance)
    if len(np.unique(inner[between])) < FEWEST_POINTS:
        # The ends too, then, but for what was cut down to them: several values in one.
        for end in (low, high):
            there = np.abs(got - end) <= tolerance
            if len(np.unique(inner[there])) == 1:
                between |= there
    points = len(np.unique(inner[between]))
    if points < 2:
        return None
    x, y = inner[between], got[between]
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
    start = float(y.mean() - slope * x.mean())
    line = slope * inner + start
    slack = 3 * tolerance + 1e-6 * max(abs(low), abs(high))
    is_ratio = abs(start) <= slack
    if slope == 0 or (np.abs(np.clip(line, low, high) - got) > slack).any():
        return None
    if points + is_ratio < FEWEST_POINTS:
        return None
    cuts = {0: low / slope} if (line < low - slack).any() else {}
    cuts |= {1: high / slope} if (line > high + slack).any() else {}
    limits = dict(column.steps).get("clip")
    is_whole = limits is not None and 1 not in cuts and bool((inner > limits[1]).any())
    said = _ratio(column, inner, 1 / slope, cuts) if is_ratio else _line(got)
    whole = " y sin recortar por arriba" if 0 in cuts else " y sin recortar"
    return said + (whole if is_whole else "")


def _line(got: Numbers) -> str:
    """No number here: a minimum or a maximum would be somebody's."""
    if abs(got.min()) <= CLOSE and abs(got.max() - 1) <= CLOSE:
        return "normalizado entre el mínimo y el máximo (como MinMaxScaler)"
    if abs(got.mean()) <= 5 * CLOSE and abs(got.std() - 1) <= 5 * CLOSE:
        return "estandarizado con la media y la desviación (como StandardScaler)"
    return "en otra escala: se le resta un número y se divide entre otro"


def _ratio(column: Column, inner: Numbers, divisor: float, cuts: Mapping[int, float]) -> str:
    """``cuts`` are the limits below (0) and above (1) that some value went beyond."""
    own = float(np.prod([argument for verb, argument in column.steps if verb == "divide"]))
    limits = dict(column.steps).get("clip")
    said = []
    if np.isclose(divisor, np.abs(inner).max(), rtol=1e-6):
        said.append("dividido entre el máximo de la tabla")
    elif own == 1 and not np.isclose(divisor, 1, rtol=1e-4):
        said.append(f"multiplicado por {number(1 / divisor)}")
    elif not np.isclose(divisor, own, rtol=1e-4):
        said.append(f"dividido entre {number(divisor)}, no entre {number(own)}")
    for end, cut in cuts.items():
        if limits is None or not np.isclose(cut, limits[end], rtol=1e-4):
            where = "recortado por abajo a" if end == 0 else "recortado a"
            wanted = "" if limits is None else f", no a {number(limits[end])}"
            said.append(f"{where} {number(cut)}{wanted}")
    return ", y ".join(said) or "en otra escala"
