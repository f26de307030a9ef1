"""Rows and results as lines of a CSV: the rows' own bytes, and the new cells behind them.

It never changes a cell of a row that it gives back but for what a spreadsheet would run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from propensia.batch import arrow
from propensia.batch.added import Added
from propensia.batch.blocks import Results, Rows
from propensia.batch.csv_files.dialect import Dialect
from propensia.batch.csv_files.formulas import quoted, stilled
from propensia.batch.csv_files.reading import CsvLines
from propensia.batch.excel_files.cells import Cells
from propensia.delimited import BLANKS, DELIMITERS, SIGNS, still

# What ``still`` or ``quoted`` may change, or more.
_UNSAFE = f'^[{re.escape(SIGNS)}{BLANKS}]|["\r\n{DELIMITERS}]'


@dataclass(frozen=True, slots=True)
class CsvWriter:
    """Renders the lines of a CSV."""

    added: Added
    dialect: Dialect

    def heading(self, names: Iterable[str]) -> bytes:
        """The first line, of columns of these names and the added ones."""
        cells = [self._cell(name) for name in (*names, *self.added.names)]
        line = f"{self.dialect.delimiter.join(cells)}{self.dialect.end}".encode()
        return b"\xef\xbb\xbf" + line if self.dialect.bom else line

    def render(self, rows: Rows, results: Results) -> bytes:
        """As ``Writer.render``. Raises ``TableError`` for a column that is not of texts."""
        if not len(rows):
            return b""
        reasons, end = self.added.reasons, self.dialect.end
        parts = [
            self._rows(rows),
            self._chances(results),
            self._rest(results, "" if reasons else end),
        ]
        if reasons:
            parts.append(pc.binary_join_element_wise(self._cells(results.reasons), "", end))
        cells = [part.cast(pa.binary()) for part in parts]
        lines = pc.binary_join_element_wise(*cells, self.dialect.delimiter.encode())
        found: bytes = lines.buffers()[2].to_pybytes()
        return found

    def _rows(self, rows: Rows) -> pa.Array:
        original = rows.original
        if isinstance(original, CsvLines) and original.delimiter == self.dialect.delimiter:
            return self._own(original)
        if isinstance(original, Cells):
            batch = original.columns(self.dialect.decimal)
        else:
            batch = rows.columns()
        columns = [
            self._with_decimals(arrow.texts(column, name))
            if _is_number(column.type)
            else self._cells(arrow.texts(column, name))
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        ]
        return pc.binary_join_element_wise(*columns, self.dialect.delimiter)

    def _with_decimals(self, numbers: pa.Array) -> pa.Array:
        if self.dialect.decimal == ".":
            return numbers
        return pc.replace_substring(numbers, ".", self.dialect.decimal)

    def _own(self, lines: CsvLines) -> pa.Array:
        """The lines as they are, but for those with a cell that a spreadsheet would run."""
        count = len(lines.ends)
        bounds = np.empty(2 * count + 1, dtype=np.int32)
        bounds[:-1:2], bounds[1::2], bounds[-1] = lines.starts, lines.ends, len(lines.content)
        buffers = [None, pa.py_buffer(bounds), pa.py_buffer(lines.content)]
        both = pa.Array.from_buffers(pa.binary(), 2 * count, buffers)
        found = both.take(pa.array(np.arange(0, 2 * count, 2)))
        changed = stilled(lines)
        if changed:
            mask = np.zeros(count, dtype=bool)
            mask[list(changed)] = True
            found = pc.replace_with_mask(found, mask, pa.array(changed.values(), pa.binary()))
        return found

    def _chances(self, results: Results) -> pa.Array:
        """The chances, so that they read back exactly; empty where there is none."""
        found = pc.cast(pa.array(results.probability, from_pandas=True), pa.string())
        found = self._with_decimals(found)
        if self.dialect.decimal == self.dialect.delimiter:
            found = pc.binary_join_element_wise('"', found, '"', "")
        return pc.fill_null(found, "")

    def _rest(self, results: Results, end: str) -> pa.Array:
        """What is told besides, with an ``end``: of each combination, which many rows share, the
        text is made once."""
        told = [t.dictionary_encode() for t in (results.notes, results.faults, results.band)]
        known = np.where(np.isnan(results.probability), 0, 1 + results.positive)
        number = known + 3 * results.decile.astype(np.int64)
        for part in told:
            number = number * len(part.dictionary) + np.asarray(part.indices)
        combined = pa.array(number).dictionary_encode()
        texts = [part.dictionary.to_pylist() for part in told]
        cells = [self._combination(n, texts) + end for n in combined.dictionary.to_pylist()]
        return pa.array(cells, pa.string()).take(combined.indices)

    def _combination(self, number: int, texts: list[list[str]]) -> str:
        """The cells from the class to the band, behind a combination's number."""
        found: list[str] = []
        for part in reversed(texts):
            number, place = divmod(number, len(part))
            found.insert(0, part[place])
        decile, known = divmod(number, 3)
        name = ("", *self.added.classes)[known]
        cells = [name, str(decile or ""), self.added.version, *found]
        return self.dialect.delimiter.join(map(self._cell, cells))

    def _cells(self, texts: pa.Array) -> pa.Array:
        """Texts as cells, most of which are the same."""
        unsafe = pc.match_substring_regex(texts, _UNSAFE)
        if not pc.any(unsafe).as_py():
            return texts
        cells = [self._cell(text) for text in texts.filter(unsafe).to_pylist()]
        return pc.replace_with_mask(texts, unsafe, pa.array(cells, pa.string()))

    def _cell(self, text: str) -> str:
        return quoted(still(text, self.dialect.delimiter))


def _is_number(kind: pa.DataType) -> bool:
    kinds = (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal)
    return any(of(kind) for of in kinds)
