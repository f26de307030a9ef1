"""Portfolios in CSV for tests: written in every dialect, and read by Python's own csv module."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from propensia.batch.blocks import Results, Rows
from propensia.batch.csv_files.ends import CsvSource

Table = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Written:
    """How a table is written. ``quoted``: which cells are between quotes that need not be;
    ``ends``: of its lines, in turns."""

    delimiter: str = ";"
    encoding: str = "utf-8"
    bom: bool = False
    quoted: frozenset[int] = frozenset()
    ends: tuple[str, ...] = ("\n",)

    def cell(self, text: str, place: int) -> str:
        if place in self.quoted or any(sign in text for sign in f'"\r\n{self.delimiter}'):
            return '"' + text.replace('"', '""') + '"'
        return text

    def lines(self, table: Table) -> list[str]:
        places = iter(range(10_000))
        return [
            self.delimiter.join(self.cell(text, next(places)) for text in row) for row in table
        ]

    def text(self, table: Table) -> str:
        lines = self.lines(table)
        return "".join(
            line + self.ends[place % len(self.ends)] for place, line in enumerate(lines)
        )

    def content(self, table: Table) -> bytes:
        mark = "\ufeff" if self.bom else ""
        return (mark + self.text(table)).encode(self.encoding)


def opened(path: Path, content: bytes) -> CsvSource:
    """A file of these bytes as a source; every named column is a parameter of that name."""
    path.write_bytes(content)
    source = CsvSource(path)
    source.read_columns({name: at for at, name in enumerate(source.heading) if name})
    return source


def read(source: CsvSource) -> list[Rows]:
    return [source.reader.read(block) for block in source.blocks()]


def texts(rows: Sequence[Rows], names: Sequence[str]) -> list[tuple[str | None, ...]]:
    """The rows' texts, in the order of these names."""
    return [
        found
        for block in rows
        for found in zip(*(block.texts[name].to_pylist() for name in names), strict=True)
    ]


def by_line(rows: Sequence[Rows], what: str) -> dict[int, str]:
    """What is ``broken`` or told in ``notes``, by the number of the line."""
    return {
        int(block.lines[place]): code
        for block in rows
        for place, code in getattr(block, what).items()
    }


def reference(text: str, delimiter: str) -> list[tuple[int, tuple[str, ...]]]:
    """The rows of a text that say anything, with the numbers of their lines, by Python's csv."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    found, line = [], 1
    for row in reader:
        found.append((line, tuple(row)))
        line = reader.line_num + 1
    return [(number, row) for number, row in found if any(row)]


def results(count: int, chances: Sequence[float] | None = None, notes: str = "") -> Results:
    """Results of so many rows: alike, but for the chances."""
    found = np.full(count, 0.25) if chances is None else np.array(chances, dtype=np.float64)
    same = pa.array([""] * count, pa.string())
    return Results(
        probability=found,
        positive=found >= 0.5,
        decile=np.where(np.isnan(found), 0, 3).astype(np.int8),
        band=pa.array(["" if chance != chance else "C" for chance in found], pa.string()),
        notes=pa.array([notes] * count, pa.string()),
        faults=same,
        reasons=same,
    )


def swallows(row: str, delimiter: str, width: int) -> bool:
    """Whether its first and its last line each have all the columns: then it is taken for two
    rows, see ``csv_rows.split_meant``."""
    first, *others = re.split("\r\n|\r|\n", row)
    return bool(others) and {first.count(delimiter), others[-1].count(delimiter)} == {width - 1}
