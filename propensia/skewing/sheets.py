"""A CSV as named columns of text, and the numbers that a notebook printed into it.

It knows nothing about which columns belong together, and puts no cell into a message.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from propensia import delimited, files

LIMIT_BYTES = 1 << 30
Vector = npt.NDArray[np.float64]

# What pandas calls a column that only counts the rows.
INDEX = re.compile(r"|Unnamed: 0|index|level_0").fullmatch
WHOLE = re.compile(r"(-?)0*([0-9]+)(?:\.0*)?").fullmatch
FRACTION = re.compile(r"[.,]([0-9]*)").search
EXPONENT = re.compile(r"[eE]([+-]?[0-9]{1,3})$").search
TRUTH = {"true": 1.0, "false": 0.0}


class SkewError(Exception):
    """The two files cannot be compared; the text, in Spanish, says why and what to do."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A CSV: ``columns`` by name, each with the ``count`` texts of its rows."""

    name: str
    columns: dict[str, tuple[str, ...]]
    count: int

    def index(self) -> str | None:
        """The column without a meaning of its own that pandas writes first, if it is there."""
        return next((name for name in self.columns if INDEX(name)), None)


def read(path: Path) -> Sheet:
    """A CSV as spreadsheets and pandas write it. Raises ``SkewError`` and ``OSError``."""
    name = files.shown(path.name)
    try:
        heading, rows = delimited.read_table(path, LIMIT_BYTES)
    except delimited.TableError as error:
        raise SkewError(str(error)) from error
    except files.FileTooLarge as error:
        raise SkewError(f"{name} pasa de {LIMIT_BYTES >> 30} GiB; divídalo") from error
    if not rows:
        raise SkewError(f"{name} no tiene filas")
    return Sheet(name, dict(zip(heading, zip(*rows, strict=True), strict=True)), len(rows))


def as_keys(texts: Iterable[str]) -> list[str]:
    """Keys in one spelling: pandas writes ``7.0`` for what a table calls ``007``."""
    bare = (text.strip() for text in texts)
    return ["".join(whole.groups()) if (whole := WHOLE(text)) else text for text in bare]


def as_numbers(texts: Sequence[str]) -> Vector:
    """The numbers of n cells, ``(n,) float64``; NaN for an empty one and for any other text."""
    known = {text: _number(text.strip()) for text in set(texts)}
    return np.array([known[text] for text in texts], dtype=np.float64)


def _number(text: str) -> float:
    if text.lower() in TRUTH:  # what pandas.get_dummies gives
        return TRUTH[text.lower()]
    if "_" in text:  # which Python's float would read over
        return math.nan
    try:
        return float(text if "." in text else text.replace(",", ".", 1))
    except ValueError:
        return math.nan


def decimals(texts: Iterable[str]) -> int:
    """How many decimal places the most exact of some cells shows."""
    most = 0
    for text in set(texts):
        fraction, exponent = FRACTION(text), EXPONENT(text)
        places = len(fraction.group(1).rstrip("eE")) if fraction else 0
        most = max(most, places - (int(exponent.group(1)) if exponent else 0))
    return most
