"""The rows of a block of CSV as texts by parameter, all at once; unusual rows are repaired first.

It never drops a row that says anything, and a bad row spoils no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from propensia.batch.blocks import Block, Rows
from propensia.batch.csv_files.boundaries import Mask, Places, Spans, doubtful, split, split_meant
from propensia.batch.csv_files.encoding import WIDE, as_utf8
from propensia.batch.csv_files.repair import empty, repaired
from propensia.batch.row_faults import LOST_LETTERS, OTHER_ENCODING

NO_LETTER = "\N{REPLACEMENT CHARACTER}".encode()


@dataclass(frozen=True, slots=True)
class CsvLines:
    """n rows as a CSV has them, in UTF-8, all as wide as the heading ``names``.

    Row i is ``content[starts[i]:ends[i]]``, without its line end.
    """

    content: bytes
    starts: Places
    ends: Places
    names: tuple[str, ...]
    delimiter: str

    def columns(self) -> pa.RecordBatch:
        """As ``Rows.columns``: texts."""
        found = self.texts(range(len(self.names)))
        return pa.RecordBatch.from_arrays(found, list(self.names))

    def texts(self, places: Sequence[int]) -> list[pa.Array]:
        """The texts of the columns at these places. Raises ``pa.ArrowInvalid`` if the rows are not
        what is said here."""
        if not len(self.ends) or not places:
            return [pa.array([], pa.string()) for _ in places]
        names = [str(place) for place in range(len(self.names))]
        wanted = [names[place] for place in places]
        quoted = b'"' in self.content
        table = pyarrow.csv.read_csv(
            pa.py_buffer(self.content),
            pyarrow.csv.ReadOptions(
                use_threads=False, block_size=len(self.content) + 1, column_names=names
            ),
            pyarrow.csv.ParseOptions(
                delimiter=self.delimiter,
                quote_char='"' if quoted else False,
                newlines_in_values=quoted,
            ),
            pyarrow.csv.ConvertOptions(
                check_utf8=False,
                column_types={name: pa.string() for name in wanted},
                include_columns=wanted,
            ),
        )
        if table.num_rows != len(self.ends):
            raise pa.ArrowInvalid("another number of rows")
        return [table.column(name).combine_chunks() for name in wanted]


@dataclass(frozen=True, slots=True)
class CsvReader:
    """Reads the blocks of a CSV. ``encoding``: of most rows. ``names``: its heading.

    ``columns``: the place there of each parameter's column, by short name; one that has none was
    not sent.
    """

    delimiter: str
    encoding: str
    names: tuple[str, ...]
    columns: Mapping[str, int]

    def read(self, block: Block) -> Rows:
        """As ``Reader.read``."""
        delimiter, width = self.delimiter, len(self.names)
        content, spans, other = self._decoded(block.content, lambda c: split(c, delimiter))
        lines, below = self._lines(content, spans), spans.lines
        broken: dict[int, str] = {}
        nothing = 0
        texts = None if self._unusual(content, spans) else self._texts(lines)
        if texts is None:
            content, spans, other = self._decoded(
                block.content, lambda c: split_meant(c, delimiter, width)
            )
            fixed = repaired(content, spans, self.names, delimiter)
            lines = self._lines(fixed.content, split(fixed.content, delimiter))
            nothing = len(spans.lines) - len(fixed.kept)
            below, other, broken = spans.lines[fixed.kept], other[fixed.kept], fixed.broken
            texts = lines.texts(list(self.columns.values()))
        broken = {**self._lost(lines), **broken}
        if broken:
            none = np.zeros(len(below), dtype=bool)
            none[list(broken)] = True
            texts = [pc.if_else(pa.array(none), None, column) for column in texts]
        found = dict(zip(self.columns, texts, strict=True))
        notes = dict.fromkeys(np.flatnonzero(other).tolist(), f"fila:{OTHER_ENCODING}")
        return Rows(found, broken, block.first + below, lines, notes, nothing)

    def _lines(self, content: bytes, spans: Spans) -> CsvLines:
        return CsvLines(content, spans.starts, spans.ends, self.names, self.delimiter)

    def _decoded(self, content: bytes, cut: Callable[[bytes], Spans]) -> tuple[bytes, Spans, Mask]:
        """The rows in UTF-8, and which of them were in another encoding than most."""
        spans = cut(content)
        found, other = as_utf8(content, spans, self.encoding)
        return found, spans if found is content else cut(found), other

    def _unusual(self, content: bytes, spans: Spans) -> bool:
        width = len(self.names)
        return doubtful(content, spans, self.delimiter, width) or bool(
            empty(content, spans, self.delimiter, width).any()
        )

    def _texts(self, lines: CsvLines) -> list[pa.Array] | None:
        """The texts of the parameters; ``None`` if a row is of another width."""
        try:
            return lines.texts(list(self.columns.values()))
        except pa.ArrowInvalid:
            return None

    def _lost(self, lines: CsvLines) -> dict[int, str]:
        """The rows of which a letter was lost, as only the wide encodings can."""
        lost: dict[int, str] = {}
        if self.encoding not in WIDE:
            return lost
        at = lines.content.find(NO_LETTER)
        while at >= 0:
            lost[int(np.searchsorted(lines.ends, at))] = LOST_LETTERS
            at = lines.content.find(NO_LETTER, at + 1)
        return lost
