"""A sheet of an Excel workbook, read row by row, each cell as the value that was last computed.

It runs nothing that a workbook holds, neither formulas nor macros, and never opens one that could
fill the memory.
"""

from __future__ import annotations

import re
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import numpy as np
import openpyxl
import pyarrow as pa

from propensia import files
from propensia.batch.blocks import Block, Place, Rows
from propensia.batch.excel_files import cells
from propensia.batch.excel_files.cells import UNCOMPUTED, Cell, Cells, Wrong
from propensia.batch.row_faults import CELL_ERROR, MORE_COLUMNS, NOT_COMPUTED
from propensia.batch.watching import Watched
from propensia.delimited import TableError, refuse_twice
from propensia.files import shown

BLOCK_ROWS = 5_000
BLOCK_BYTES = 4 << 20
MOST_ROWS = 1 << 20
"""Of a sheet, with its heading: what Excel has."""
MOST_CELLS = 1 << 28
"""Of a sheet, also empty ones: a row with nothing but its last cell is as wide as a full one."""
# Unpacked, all sheets together. A sheet is read as it comes; the rest is held (most of it: texts).
MOST_SHEET_BYTES = 2 << 30
MOST_HELD_BYTES = 256 << 20
# A row is held as a whole, too; nothing else in a sheet is as long.
MOST_ROW_BYTES = 16 << 20
CHUNK_BYTES = 1 << 20
# More than there is of a tag that is looked for.
OVERLAP_BYTES = 256
SHEETS = re.compile(r"xl/worksheets/[^/]*\.xml", re.IGNORECASE).fullmatch
FORMULA = re.compile(rb"<(?:[^\s<>/:]+:)?f[\s>/]").search
ROW = re.compile(rb"<(?:[^\s<>/:]+:)?row[\s>/]").search
# Where a ``<`` would be no tag (a comment, CDATA), or a tag would have none (an entity).
NOT_PLAIN = re.compile(rb"<!|<\?(?!xml\s)|\0").search
ENCODING = re.compile(rb"<\?xml\s[^>]*?encoding\s*=\s*[\"']([^\"']*)").search
UTF_8 = (b"utf-8", b"utf8", b"us-ascii", b"ascii")
# What zipfile lets through of a file that is damaged or locked.
NO_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
)
# What openpyxl lets through, besides, of a workbook that is damaged or none.
NO_BOOK = (
    *NO_ZIP,
    ParseError,
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    TypeError,
    ValueError,
)
Line = tuple[int, list[Cell]]


@dataclass(frozen=True, slots=True)
class ExcelReader:
    """Reads blocks of a sheet. ``columns``: the place of each parameter's column by short name."""

    names: tuple[str, ...]
    columns: Mapping[str, int]

    def read(self, block: Block) -> Rows:
        """As ``Reader.read``."""
        lines = [cells.unpacked(line) for line in block.content.decode("ascii").splitlines()]
        numbers, width = np.array([line[0] for line in lines], dtype=np.int64), len(self.names)
        rows = [line[1 : width + 1] + [None] * (width + 1 - len(line)) for line in lines]
        broken: dict[int, str] = {}
        notes: dict[int, str] = {}
        for place, (line, row) in enumerate(zip(lines, rows, strict=True)):
            read = {name: row[at] for name, at in self.columns.items()}
            if any(cell is not None for cell in line[width + 1 :]):
                broken[place] = MORE_COLUMNS
            elif UNCOMPUTED in read.values():
                broken[place] = NOT_COMPUTED
            elif wrong := [n for n, cell in read.items() if isinstance(cell, Wrong)]:
                notes[place] = " ".join(f"{name}:{CELL_ERROR}" for name in wrong)
            if UNCOMPUTED in row and broken.get(place) != NOT_COMPUTED:  # empty in the result
                told = (notes.get(place, ""), f"fila:{NOT_COMPUTED}")
                notes[place] = " ".join(filter(None, told))
        texts = {
            name: pa.array(
                [None if p in broken else cells.text(row[at]) for p, row in enumerate(rows)],
                pa.string(),
            )
            for name, at in self.columns.items()
        }
        return Rows(texts, broken, numbers, Cells(self.names, rows), notes)


class ExcelSource:
    """A sheet of a workbook (``.xlsx``, ``.xlsm``) on disk, as ``Source``.

    ``sheet``: its name; the first one that is not hidden otherwise. The first row that is not
    empty is the heading. Raises ``TableError``.
    """

    schema = row_count = None
    goes_on = True

    def __init__(self, path: Path, sheet: str | None = None) -> None:
        self._file = Watched(path)
        self.name = path.name
        self.identity: Mapping[str, Any] = {**self._file.identity, "sheet": sheet}
        self.check = self._file.check
        self._sheet_name = sheet
        with self._damaged(NO_ZIP):
            self._scanned = _looked_at(path)
        with self._lines() as lines:
            self._first, heading = next(lines, (0, []))
        self.heading = tuple(cells.text(cell).strip() for cell in heading)
        if not any(self.heading):
            raise TableError(f"{shown(self.name)}: la hoja está vacía, no tiene ni cabecera")
        refuse_twice(list(self.heading), self.name)

    def read_columns(self, columns: Mapping[str, int]) -> None:
        """As ``Source.read_columns``."""
        self.reader = ExcelReader(self.heading, columns)

    def blocks(self, after: Place | None = None) -> Iterator[Block]:
        """As ``Source.blocks``: the same blocks, wherever it begins."""
        number, row = (0, self._first) if after is None else (after["number"], after["row"])
        with self._lines() as lines:
            waiting: list[str] = []
            size = first = 0
            for row, line in (pair for pair in lines if pair[0] > row):
                first = first if waiting else row
                waiting.append(cells.packed([row, *line]))
                size += len(waiting[-1])
                if len(waiting) == BLOCK_ROWS or size >= BLOCK_BYTES:
                    yield self._block(number, first, waiting, row)
                    waiting, size, number = [], 0, number + 1
            if waiting:
                yield self._block(number, first, waiting, row)

    def _block(self, number: int, first: int, lines: list[str], row: int) -> Block:
        end = {"number": number + 1, "row": row}
        content = "\n".join(lines).encode("ascii")
        return Block(number, first, content, end, min(1.0, row / self._rows) if self._rows else 0)

    @contextmanager
    def _damaged(self, kinds: tuple[type[Exception], ...]) -> Iterator[None]:
        """Around calls of a library, and nothing of our own: these kinds are its ways to say that
        the workbook is none."""
        try:
            yield
        except kinds as error:
            if getattr(error, "errno", None) is not None:  # the system's; theirs have none
                raise
            self.check()
            raise TableError(
                f"{shown(self.name)}: el libro de Excel está dañado o incompleto; ábralo en Excel "
                "y guárdelo de nuevo"
            ) from error

    @contextmanager
    def _lines(self) -> Iterator[Iterator[Line]]:
        """The rows of the sheet that hold anything, with their numbers from 1 on."""
        with ExitStack() as opened:
            sheet = self._sheet(opened, computed=True)
            formulas: Iterable[Any] = ()
            if self._has_formulas(sheet):
                formulas = self._sheet(opened, computed=False).iter_rows()
            yield self._typed(zip_longest(sheet.iter_rows(), formulas, fillvalue=()))

    def _has_formulas(self, sheet: Any) -> bool:
        """Of a sheet, wherever in the workbook it is. Raises ``TableError`` as ``_looked_at``."""
        path: str = sheet._worksheet_path  # openpyxl tells it nowhere else
        if path not in self._scanned:
            with (
                self._damaged(NO_ZIP),
                files.open_regular(self._file.path) as stream,
                zipfile.ZipFile(stream) as book,
                book.open(path) as part,
            ):
                self._scanned[path] = _scanned(part, self._file.path)
        return self._scanned[path]

    def _sheet(self, opened: ExitStack, *, computed: bool) -> Any:
        stream = opened.enter_context(files.open_regular(self._file.path))
        with self._damaged(NO_BOOK), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it leaves out: styles, extensions
            book = openpyxl.load_workbook(
                stream, read_only=True, data_only=computed, keep_links=False
            )
        opened.callback(book.close)
        sheets = {sheet.title: sheet for sheet in book.worksheets}
        if self._sheet_name is not None and self._sheet_name not in sheets:
            told = ", ".join(f"«{shown(name)}»" for name in sheets)
            raise TableError(
                f"{shown(self.name)}: no hay ninguna hoja «{shown(self._sheet_name)}»; "
                f"tiene {told}"
            )
        offered = _offered(sheets.values())
        sheet = offered[0] if self._sheet_name is None else sheets[self._sheet_name]
        self._rows: int = sheet.max_row or 0
        sheet.reset_dimensions()  # what it tells of its size may be wrong, and would cut it
        return sheet

    def _typed(self, pairs: Iterator[tuple[Any, Any]]) -> Iterator[Line]:
        number = seen = 0
        while True:
            with self._damaged(NO_BOOK), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of dates that are none: they are read as errors
                pair = next(pairs, None)
            if pair is None:
                return
            values, formulas = pair
            number, seen = number + 1, seen + len(values)
            if seen > MOST_CELLS:
                raise TableError(f"{shown(self.name)}: la hoja tiene demasiadas celdas")
            if number > MOST_ROWS:
                raise TableError(f"{shown(self.name)}: la hoja tiene más filas de las que caben")
            row = [
                _cell(value, formula)
                for value, formula in zip_longest(values, formulas[: len(values)])
            ]
            while row and row[-1] is None:
                row.pop()
            # One text may stand in many cells of a row, so a short row of a sheet may be long.
            if sum(len(cell) for cell in row if isinstance(cell, str)) > BLOCK_BYTES:
                raise TableError(
                    f"{shown(self.name)}: la fila {number} tiene más de {BLOCK_BYTES >> 20} "
                    "millones de letras; quite las columnas de textos largos"
                )
            if row:
                yield number, row


def sheet_names(path: Path) -> list[str]:
    """The sheets of a workbook that one may choose from, in its order: those that are not hidden,
    or all where all are. None of what is no workbook, or is refused. Raises ``OSError``."""
    try:
        _looked_at(path)
        with files.open_regular(path) as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it leaves out: styles, extensions
            book = openpyxl.load_workbook(stream, read_only=True, keep_links=False)
            found = [sheet.title for sheet in _offered(book.worksheets)]
            book.close()
            return found
    except (*NO_BOOK, TableError) as error:
        if getattr(error, "errno", None) is not None:  # the system's; a library's have none
            raise
        return []


def _offered(sheets: Iterable[Any]) -> list[Any]:
    found = [*sheets]
    return [sheet for sheet in found if sheet.sheet_state == "visible"] or found


def _cell(cell: Any, formula: Any) -> Cell:
    value, kind = cell.value, cell.data_type
    if value is None:
        asked = formula is not None and formula.data_type == "f"
        return UNCOMPUTED if asked and kind != "str" else None  # a formula may give no text
    if kind == "e":
        return Wrong(str(value))
    if isinstance(value, str | int | float | datetime):  # bool is an int
        return value
    return str(value)  # a time of a day, a span


def _looked_at(path: Path) -> dict[str, bool]:
    """Whether each sheet has formulas, by its name in the zip, of those that are where Excel puts
    them; what else there is counts as held, also a sheet.

    Raises ``TableError`` for what no memory is given to.
    """
    formulas: dict[str, bool] = {}
    with files.open_regular(path) as stream, zipfile.ZipFile(stream) as book:
        sheets = [part for part in book.infolist() if SHEETS(part.filename)]
        held = sum(part.file_size for part in book.infolist() if not SHEETS(part.filename))
        if held > MOST_HELD_BYTES or sum(part.file_size for part in sheets) > MOST_SHEET_BYTES:
            raise _too_big(path)
        for part in sheets:
            with book.open(part) as sheet:
                formulas[part.filename] = _scanned(sheet, path)
    return formulas


def _scanned(sheet: Any, path: Path) -> bool:
    """Whether there is a formula in the XML of a sheet. Raises ``TableError`` for XML in which
    one could hide, and for a row that is too long."""
    found, silent, before = False, 0, b""
    while chunk := sheet.read(CHUNK_BYTES):
        joined = before + chunk
        encoding = None if before else ENCODING(joined)
        if NOT_PLAIN(joined) or (encoding and encoding[1].lower() not in UTF_8):
            raise _not_plain(path)
        found = found or FORMULA(joined) is not None
        silent = 0 if ROW(joined) else silent + len(chunk)
        if silent > MOST_ROW_BYTES:
            raise _too_big(path)
        before = joined[-OVERLAP_BYTES:]
    return found


def _not_plain(path: Path) -> TableError:
    return TableError(
        f"{shown(path.name)}: la hoja no está escrita como la escribe Excel (UTF-8, sin DTD, "
        "CDATA ni comentarios); ábrala en Excel y guárdela de nuevo"
    )


def _too_big(path: Path) -> TableError:
    return TableError(
        f"{shown(path.name)}: el libro ocupa demasiado una vez descomprimido; guarde la hoja como "
        "CSV UTF-8 y puntúe ese fichero"
    )
