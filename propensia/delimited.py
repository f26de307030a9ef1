"""Delimited text (CSV) as spreadsheets and databases write it: texts in columns, read once.

It never guesses what a text means, and a line of another width is an error, not a short row.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO, TextIO

from propensia.files import read, shown

LONGEST_FIRST_LINE = 1 << 20
DELIMITERS = ";,\t"
# What Excel itself takes as a first line that only names the delimiter.
NAMES_DELIMITER = re.compile(r"(?i)\"?sep=([;,\t])\"?").fullmatch

WINDOWS = "windows-1252"
"""What Excel writes where it does not write Unicode."""
# That code page, with the five bytes that it leaves open as Latin-1 has them: any byte is read.
_WINDOWS = "".join(bytes([code]).decode(WINDOWS, "ignore") or chr(code) for code in range(256))
_ANY_BYTE = "propensia.any_byte"

# What a spreadsheet would run as a formula (OWASP, CSV injection): a cell that begins with one
# of these; it does not run a number.
SIGNS = "=+-@＝＋－＠"  # noqa: RUF001 - the wide ones, which some of them run too
BLANKS = "\t\r\n"
NUMBER = "[+-][0-9]+(?:[.,][0-9]+)?"
_RUNS = (*SIGNS, *BLANKS)
# The same after what another spreadsheet, of other settings, takes for the end of a cell or row:
# quotes that stand at no beginning of a cell, as it sees them, hold nothing together.
_RUNS_INSIDE = {
    own: re.compile(f'([\r\n{DELIMITERS.replace(own, "")}])(?=[ "]*[{re.escape(SIGNS)}])')
    for own in DELIMITERS
}
_NUMBER = re.compile(NUMBER).fullmatch


class TableError(Exception):
    """A file is not a table; the text, in Spanish, names the file and the column or line."""


def read_table(path: Path, limit_bytes: int) -> tuple[list[str], list[list[str]]]:
    """The heading and the rows of a CSV as spreadsheets write it: all texts, one for each column.

    As ``table_encoding``, ``parse_table`` and ``read``.
    """
    data = io.BytesIO(read(path, limit_bytes))
    encoding = table_encoding(data, path.name)
    with as_text(data, encoding) as text:
        heading, rows = parse_table(text, path.name)
        return heading, list(rows)


def table_encoding(data: BinaryIO, name: str) -> str:
    """The encoding of a CSV, for ``as_text``, found by reading it all: UTF-8, UTF-16 with a BOM,
    or else Windows-1252. ``TableError`` for what is no text."""
    data.seek(0)
    head = data.read(4)
    if head == b"PK\x03\x04":
        raise TableError(f"{shown(name)}: es un libro o un zip; en Excel, guárdelo como CSV UTF-8")
    wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "utf-16" if wide else "utf-8-sig"
    decoder = codecs.getincrementaldecoder(encoding)()
    data.seek(0)
    try:
        while chunk := data.read(1 << 20):
            if b"\0" in chunk and not wide:
                raise TableError(f"{shown(name)}: no es un fichero de texto")
            decoder.decode(chunk)
        decoder.decode(b"", True)
    except UnicodeDecodeError as error:
        if wide:
            raise TableError(f"{shown(name)}: no es UTF-16, aunque empieza así") from error
        encoding = WINDOWS
    data.seek(0)
    return encoding


def as_text(data: BinaryIO, encoding: str) -> io.TextIOWrapper:
    """The text of a file in an encoding that ``table_encoding`` gave, with its own line ends."""
    errors = _ANY_BYTE if encoding == WINDOWS else "strict"
    return io.TextIOWrapper(data, encoding=encoding, errors=errors, newline="")


def from_windows(content: bytes) -> str:
    """The text of bytes in Windows-1252; no byte is refused."""
    return codecs.charmap_decode(content, "strict", _WINDOWS)[0]


def _from_open_byte(error: UnicodeError) -> tuple[str, int]:
    """What Python's own code page refuses, and all that is behind it, as ``from_windows``."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return from_windows(error.object[error.start :]), len(error.object)


codecs.register_error(_ANY_BYTE, _from_open_byte)


def parse_table(text: TextIO, name: str) -> tuple[list[str], Iterator[list[str]]]:
    """The heading of an open CSV, and its rows one by one while they are read.

    ``text`` was opened with ``newline=""``; ``name`` is the file's, for messages. ``;``, ``,`` or
    a tab between columns, as a first line ``sep=;`` says or whichever the heading has most of.
    Lines without any text are left out.
    Raises ``TableError`` for a row of another width, two columns of one name and broken quotes.
    """
    delimiter, skipped = opening(text)
    lines = csv.reader(text, delimiter=delimiter, strict=True)

    def checked() -> Iterator[list[str]]:
        try:
            yield from lines
        except csv.Error:
            number = skipped + lines.line_num
            raise TableError(f"{shown(name)}: la línea {number} no es de un CSV") from None

    rows = checked()
    heading = [column.strip() for column in next(rows, [])]
    refuse_twice(heading, name)

    def whole() -> Iterator[list[str]]:
        for row in rows:
            if not any(row):
                continue
            if len(row) != len(heading):
                number = skipped + lines.line_num
                raise TableError(
                    f"{shown(name)}: la línea {number} tiene {len(row)} columnas "
                    f"y la cabecera {len(heading)}"
                )
            yield row

    return heading, whole()


def each_line(text: TextIO, name: str) -> tuple[list[str], Iterator[tuple[int, list[str] | None]]]:
    """As ``parse_table``, but a bad line spoils no other: every line with its number, from 1 on,
    and ``None`` for one that is not of the table. No text goes on in the next line.

    Raises ``TableError`` for two columns of one name.
    """
    delimiter, skipped = opening(text)
    heading = [column.strip() for column in _one(text.readline(), delimiter) or []]
    refuse_twice(heading, name)

    def lines() -> Iterator[tuple[int, list[str] | None]]:
        for number, line in enumerate(text, skipped + 2):
            row = _one(line, delimiter)
            if row is None or any(row):
                whole = row is not None and len(row) == len(heading)
                yield number, row if whole else None

    return heading, lines()


def _one(line: str, delimiter: str) -> list[str] | None:
    """The texts of one line; ``None`` where its quotes are broken."""
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None


def opening(text: TextIO) -> tuple[str, int]:
    """The delimiter, and how many lines come before the heading, where ``text`` then stands."""
    said, skipped = "", 0
    while True:
        place = text.tell()
        line = text.readline(LONGEST_FIRST_LINE)
        named = NAMES_DELIMITER(line.strip("\r\n")) if not said else None
        if not line or (line.strip() and named is None):
            text.seek(place)
            return said or max(DELIMITERS, key=line.count), skipped
        said = named[1] if named else said
        skipped += 1


def refuse_twice(names: list[str], source: str) -> None:
    """Raise ``TableError`` for a name that is there twice, shown only if no name may be data."""
    for name in (name for name in names if name and names.count(name) > 1):
        places = " y ".join(str(n) for n, other in enumerate(names, 1) if other == name)
        told = f"las columnas {places} tienen el mismo nombre; ¿falta la cabecera?"
        if not any(other[0] in "+-.@0123456789" for other in names if other):
            told = f"hay dos columnas con el nombre {shown(name)} ({places})"
        raise TableError(f"{shown(source)}: {told}")


def writing(stream: TextIO) -> Callable[[Iterable[str]], None]:
    """What writes one row of texts into a CSV, with commas, that spreadsheets open.

    ``stream`` was opened with ``newline=""``. A text that a spreadsheet would run, or a part of it
    that one would take for a cell, gets an apostrophe before it: somebody else may have sent it.
    """
    # The writer quotes what its own lines end with: also what ends a cell elsewhere.
    ends = ";\t\r\n"
    lines = SimpleNamespace(write=lambda line: stream.write(f"{line[: -len(ends)]}\n"))
    row = csv.writer(lines, lineterminator=ends).writerow
    return lambda texts: row([still(text) for text in texts])


def still(text: str, delimiter: str = ",") -> str:
    """A text that no spreadsheet runs: with an apostrophe before it, or before a part of it that
    one would take for a cell, in a file with this ``delimiter``."""
    safe = _RUNS_INSIDE[delimiter].sub(r"\1'", text)
    return f"'{safe}" if text.startswith(_RUNS) and not _NUMBER(text) else safe
