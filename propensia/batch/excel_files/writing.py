"""An Excel workbook to be: rows kept as they come, one sheet that opens ready to be looked at.

It never writes a formula, whatever a cell of the rows holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.compute as pc
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from propensia import columnar
from propensia.batch import arrow
from propensia.batch.added import Added
from propensia.batch.blocks import Place, Results, Rows
from propensia.batch.excel_files import cells
from propensia.batch.excel_files.cells import Cell, Cells, Wrong
from propensia.batch.spool import Spool, pack
from propensia.delimited import TableError

MOST_ROWS = 1 << 20
MOST_COLUMNS = 1 << 14
MOST_LETTERS = 32_767
"""Of a cell; what Unicode numbers from 65,536 on, as most emoji, counts twice."""
# Excel keeps 15 digits of a number; of one with more only a text keeps all.
WHOLE = 10**15
# Written so, it is a number and nothing else: no zero in front, as codes have.
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:[.,][0-9]{1,14})?").fullmatch
NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
FIRST_DATE = datetime(1900, 3, 1)  # before it Excel has a day that never was
# The first day that Python knows and the last one, as Arrow counts them, and Arrow's in a day.
DAYS = (date.min - date(1970, 1, 1)).days, (date.max - date(1970, 1, 1)).days
PER_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}
SHEET = "Cartera puntuada"
# Built-in formats, which Excel shows as is usual where it is opened.
DAY, MOMENT, SHARE = "mm-dd-yy", "m/d/yy h:mm", "0.00%"
PROBABILITY = "probabilidad"
WIDTHS = (9, 42)
LOOKED_AT = 200
ROWS_TOLD = f"{MOST_ROWS - 1:,}".replace(",", ".")


@dataclass(frozen=True, slots=True)
class ExcelWriter:
    """Renders rows of cells. ``numbers``: the places of the columns that the contract says hold
    numbers; only there a text that is plainly a number becomes one."""

    added: Added
    numbers: frozenset[int] = frozenset()

    def render(self, rows: Rows, results: Results) -> bytes:
        """As ``Writer.render``. Raises ``TableError`` for a column that no cells hold."""
        if isinstance(rows.original, Cells):
            own: Sequence[Sequence[Cell]] = rows.original.rows
        else:
            batch = rows.columns()
            columns = [
                _cells(column, name, at in self.numbers)
                for at, (name, column) in enumerate(zip(batch.schema.names, batch, strict=True))
            ]
            own = list(zip(*columns, strict=True))
        added = zip(*(column.to_pylist() for column in self.added.columns(results)), strict=True)
        lines = [
            cells.packed([_fitting(cell) for cell in [*first, *last]])
            for first, last in zip(own, added, strict=True)
        ]
        return len(lines).to_bytes(8, "little") + pack("\n".join(lines).encode("ascii"))


def _cells(column: pa.Array, name: str, numbers: bool) -> list[Cell]:
    """The values of a column as cells: what Excel has no kind for becomes a text."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _cells(column.dictionary_decode(), name, numbers)
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        found: list[Cell] = column.to_pylist()
        return found
    if pa.types.is_decimal(kind):
        return [_of_decimal(value) for value in column.to_pylist()]
    if pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None):
        return _moments(column)
    texts = arrow.texts(column, name).to_pylist()
    return [_number(text) if numbers else text or None for text in texts]


def _moments(column: pa.Array) -> list[Cell]:
    """Dates; as texts those of a year that Python does not know, which no sheet does either."""
    kind = column.type
    counted = pc.fill_null(column.view(pa.int32() if kind == pa.date32() else pa.int64()), 0)
    a_day = 1 if kind == pa.date32() else PER_DAY[getattr(kind, "unit", "ms")]
    days = counted.to_numpy(zero_copy_only=False) // a_day
    known = pa.array((days >= DAYS[0]) & (days <= DAYS[1]))
    texts = columnar.texts(column.filter(pc.invert(known))).to_pylist()
    plain = pc.if_else(known, column, None).cast(pa.timestamp("us"), safe=False).to_pylist()
    others = iter(texts)
    return [
        value if is_known else next(others)
        for value, is_known in zip(plain, known.to_pylist(), strict=True)
    ]


def _of_decimal(value: Decimal | None) -> Cell:
    if value is None or len(value.as_tuple().digits) <= 15:
        return None if value is None else float(value)
    return str(value)


def _number(text: str) -> Cell:
    if NUMBER(text) is None or sum(map(str.isdigit, text)) > 15:
        return text or None
    return float(text.replace(",", ".")) if "." in text or "," in text else int(text)


def _fitting(cell: Cell) -> Cell:
    """A cell that a workbook can hold."""
    if isinstance(cell, str):
        return _fitting_text(cell)
    if isinstance(cell, bool):
        return cell
    if isinstance(cell, int):
        return cell if abs(cell) < WHOLE else str(cell)
    if isinstance(cell, float):
        finite = cell - cell == 0
        return cell if finite else columnar.text(cell) or None
    if isinstance(cell, datetime) and cell < FIRST_DATE:
        return cells.text(cell)
    return cell


def _fitting_text(text: str) -> str:
    """A text that a cell can hold; one that is too long ends in how long it was."""
    text = NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
    if 2 * len(text) <= MOST_LETTERS:
        return text
    letters = text.encode("utf-16-le")
    if len(letters) <= 2 * MOST_LETTERS:
        return text
    mark = f"… [recortado: eran {len(text)} letras]"
    return letters[: 2 * (MOST_LETTERS - len(mark))].decode("utf-16-le", "ignore") + mark


class ExcelSink:
    """A workbook of one sheet, as ``Sink``. Raises ``TableError`` for what no sheet holds."""

    def __init__(
        self, path: Path, heading: Sequence[str], added: Added, numbers: frozenset[int]
    ) -> None:
        self.name = path.name
        self.writer = ExcelWriter(added, numbers)
        self._heading = (*map(_fitting_text, heading), *added.names)
        if len(self._heading) > MOST_COLUMNS:
            raise TableError(_too_long(f"{MOST_COLUMNS} columnas"))
        self._spool = Spool(path)
        self._rows = 0

    def start(self, place: Place | None) -> None:
        """As ``Sink.start``."""
        self._spool.start(place)
        self._rows = 0 if place is None else place["rows"]

    def keep(self, content: bytes) -> Place:
        """As ``Sink.keep``."""
        rows = self._rows + int.from_bytes(content[:8], "little")
        refuse_long(rows)
        place = self._spool.keep(content[8:])
        self._rows = rows
        return {**place, "rows": rows}

    def abandon(self, place: Place | None) -> None:
        """As ``Sink.abandon``: there is no more than the part."""

    def finish(self) -> None:
        """As ``Sink.finish``."""
        if not self._spool.is_over:
            self._write()
        self._spool.show()

    def _write(self) -> None:
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet(SHEET)
        sheet.freeze_panes = "A2"
        lines = self._lines()
        first = list(islice(lines, LOOKED_AT))
        for at, name in enumerate(self._heading):
            letters = [len(name) + 3, *(len(cells.text(line[at])) + 1 for line in first)]
            width = min(max(*letters, WIDTHS[0]), WIDTHS[1])
            sheet.column_dimensions[get_column_letter(at + 1)].width = width
        sheet.append([_styled(sheet, name, bold=True) for name in self._heading])
        share = self._heading.index(PROBABILITY, len(self._heading) - len(self.writer.added.names))
        for line in chain(first, lines):
            sheet.append([_written(sheet, cell, at == share) for at, cell in enumerate(line)])
        sheet.auto_filter.ref = f"A1:{get_column_letter(len(self._heading))}{self._rows + 1}"
        book.save(self._spool.unfinished)

    def _lines(self) -> Iterator[list[Cell]]:
        for frame in self._spool.frames():
            yield from map(cells.unpacked, frame.decode("ascii").splitlines())


def refuse_long(rows: int) -> None:
    """Raise ``TableError`` if a sheet cannot hold so many rows and a heading."""
    if rows >= MOST_ROWS:
        raise TableError(_too_long(f"{ROWS_TOLD} filas"))


def _too_long(what: str) -> str:
    return f"una hoja de Excel no tiene más de {what}; deje el resultado en un .csv o un .parquet"


def _written(sheet: Any, cell: Cell, share: bool) -> Any:
    """What openpyxl writes as that cell and as nothing else."""
    if cell is None or isinstance(cell, bool):
        return cell
    if isinstance(cell, str):
        plain = cell[:1] not in ("=", "#")  # it would make a formula or an error of some
        return cell if plain else _styled(sheet, cell)
    if isinstance(cell, datetime):
        midnight = cell.time() == datetime.min.time()
        return _styled(sheet, cell, form=DAY if midnight else MOMENT)
    if isinstance(cell, Wrong):
        return cell.shown or None
    if share:
        return _styled(sheet, cell, form=SHARE)
    exact = not isinstance(cell, float) or float(f"{cell:.16g}") == cell
    return cell if exact else _styled(sheet, cell)


def _styled(sheet: Any, value: Any, *, bold: bool = False, form: str | None = None) -> Any:
    # openpyxl writes 16 digits of a number, and some need 17: so it goes as a text, called one.
    cell = WriteOnlyCell(sheet, value=repr(value) if isinstance(value, float) else value)
    if isinstance(value, str | float):
        cell.data_type = "s" if isinstance(value, str) else "n"
    if bold:
        cell.font = Font(bold=True)
    if form is not None:
        cell.number_format = form
    return cell
