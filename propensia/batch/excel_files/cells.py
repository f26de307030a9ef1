"""Cells of a spreadsheet: typed one by one, as they travel in blocks and as texts.

A cell is a text, a number, a yes or no, a date, nothing, an error of the spreadsheet, or a
formula that nobody has computed; it never becomes one of the others on its way.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import TypeAlias

import pyarrow as pa

from propensia import columnar


@dataclass(frozen=True, slots=True)
class Wrong:
    """What a spreadsheet shows where it has no value, as ``#N/A``; ``""``: not computed yet."""

    shown: str


Cell: TypeAlias = str | int | float | bool | datetime | Wrong | None
UNCOMPUTED = Wrong("")


def packed(cells: Sequence[Cell]) -> str:
    """A row of cells as one line of JSON."""
    return json.dumps(cells, default=_plain, separators=(",", ":"))


def _plain(cell: object) -> dict[str, str]:
    if isinstance(cell, datetime):
        return {"d": cell.isoformat()}
    if isinstance(cell, Wrong):
        return {"e": cell.shown}
    raise TypeError("not a cell")


def unpacked(line: str) -> list[Cell]:
    """The row that ``packed`` wrote."""
    found: list[Cell] = json.loads(line, object_hook=_typed)
    return found


def _typed(plain: dict[str, str]) -> Cell:
    return datetime.fromisoformat(plain["d"]) if "d" in plain else Wrong(plain["e"])


def text(cell: Cell) -> str:
    """The text that a client of the service would have sent of a cell; ``""`` is no data."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, Wrong):
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ")
    return columnar.text(cell)


@dataclass(frozen=True, slots=True)
class Cells:
    """Rows of a sheet as they were, each as wide as ``names``."""

    names: tuple[str, ...]
    rows: list[list[Cell]]

    def columns(self, decimal: str = ".") -> pa.RecordBatch:
        """As ``AsColumns.columns``: texts, for in a column of a sheet each cell may be another
        kind; numbers with that ``decimal`` sign. An error is given back as the spreadsheet shows
        it."""
        by_column = zip(*self.rows, strict=True) if self.rows else [()] * len(self.names)
        return pa.RecordBatch.from_arrays(
            [
                pa.array([_shown(cell, decimal) for cell in column], pa.string())
                for column in by_column
            ],
            list(self.names),
        )


def _shown(cell: Cell, decimal: str) -> str | None:
    if isinstance(cell, Wrong):
        return cell.shown or None
    if isinstance(cell, float):
        return text(cell).replace(".", decimal)
    return None if cell is None else text(cell)
