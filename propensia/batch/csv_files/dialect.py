"""How a CSV is written: encoding, delimiter, line ends, decimal sign, and what its heading says.

It is found in the beginning of the file, and in its first letters that are not ASCII; it never
looks at what a column means.
"""

from __future__ import annotations

import io
import re
from collections.abc import Collection
from dataclasses import dataclass, field

from propensia.batch.csv_files import boundaries
from propensia.batch.csv_files.encoding import BOMS, WIDE, letters, usual
from propensia.delimited import WINDOWS, TableError, opening, refuse_twice
from propensia.files import shown

SAMPLE_BYTES = 4 << 20
LONGEST_HEADING = 1 << 20
# Where decimal commas are looked for.
NUMBERS_BYTES = 1 << 18

COMMA = re.compile(rb"[+-]?[0-9]+,[0-9]+").fullmatch
POINT = re.compile(rb"[+-]?[0-9]+\.[0-9]+").fullmatch


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a result is written, always in UTF-8: with ``bom``, so that Excel sees that it is.

    ``end``: of a line. ``decimal``: the sign in numbers that are added.
    """

    delimiter: str = ","
    end: str = "\n"
    decimal: str = "."
    bom: bool = True


OURS = Dialect(delimiter=";", end="\r\n", decimal=",")
"""Where the rows were no CSV: as Excel opens it where the comma is in numbers, as in Spain."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What the beginning of a file tells.

    ``dialect``: all of it but ``decimal``, for which ``sample`` is: some of the first rows.
    ``encoding``: of most rows: ``utf-8``, ``windows-1252`` or one of ``WIDE``. ``heading``: the
    columns' names without blanks around them; nameless ones at its end may be missing in a row.
    ``start``: the byte at which the rows begin, and ``line`` the number of their first line, from
    1 on.
    """

    dialect: Dialect
    encoding: str
    heading: tuple[str, ...]
    start: int
    line: int
    sample: bytes = field(repr=False)


def read_opening(sample: bytes, name: str, further: bytes = b"") -> Opening:
    """What the first bytes of a file tell: all of it, or ``SAMPLE_BYTES``. Where they are ASCII
    alone, ``further`` tells the encoding: some bytes from the first on that is not.

    Raises ``TableError`` for what is no CSV and for two columns of one name; ``name`` is the
    file's, for messages.
    """
    if sample.startswith(b"PK\x03\x04"):
        raise TableError(f"{shown(name)}: es un libro o un zip; en Excel, guárdelo como CSV UTF-8")
    mark = next((bom for bom in BOMS if sample.startswith(bom)), b"")
    content = sample[len(mark) :]
    encoding = BOMS[mark] if mark else usual(further or content)
    if encoding in WIDE:
        content = content.decode(encoding, "replace").encode()
    # As Latin-1 a letter is a byte: what stands before the heading is counted in both alike.
    text = io.StringIO(content.decode("latin-1"), newline="")
    delimiter, skipped = opening(text)
    before = content[: text.tell()]
    rest = content[len(before) :]
    spans = boundaries.split(rest, delimiter, whole=len(sample) < SAMPLE_BYTES)
    names = _names(rest, spans, delimiter, name)
    begun = before + rest[: _end(spans, 0)]
    names = _as_wide(names, rest, spans, delimiter)
    refuse_twice(names, name)
    return Opening(
        dialect=Dialect(
            delimiter=delimiter,
            end=rest[spans.ends[0] : _end(spans, 0)].decode() or "\n",
            bom=bool(mark) or encoding == WINDOWS,
        ),
        encoding=encoding,
        heading=tuple(names),
        sample=_sample(rest[_end(spans, 0) :]),
        start=len(mark)
        + (len(begun.decode().encode(encoding)) if encoding in WIDE else len(begun)),
        line=skipped + 1 + (int(spans.lines[1]) if len(spans.lines) > 1 else spans.count),
    )


def _sample(rows: bytes) -> bytes:
    # The last row of a file may have no line end; what is cut off in its middle has none either.
    found = rows[:NUMBERS_BYTES]
    return found if found.endswith((b"\n", b"\r")) or len(rows) > len(found) else found + b"\n"


def decimal(sample: bytes, delimiter: str, places: Collection[int]) -> str:
    """The sign that most numbers in the columns at these places have, in these rows. Where none
    has any, that of the programs that write such a file: they put ``;`` between cells because the
    comma is in numbers."""
    spans = boundaries.split(sample, delimiter, whole=False)
    commas = points = 0
    for start, end in zip(spans.starts.tolist(), spans.ends.tolist(), strict=True):
        row = boundaries.cells(sample[start:end], delimiter) or []
        found = [row[place] for place in places if place < len(row)]
        commas += sum(COMMA(cell) is not None for cell in found)
        points += sum(POINT(cell) is not None for cell in found)
    return "," if commas > points or (commas == points and delimiter == ";") else "."


def _names(rest: bytes, spans: boundaries.Spans, delimiter: str, name: str) -> list[str]:
    """The names in the first row. Raises ``TableError`` where it is no heading."""
    row = rest[: spans.ends[0]] if len(spans.ends) else rest
    if len(row) > LONGEST_HEADING:
        raise TableError(f"{shown(name)}: la cabecera pasa de 1 MiB; ¿es un CSV?")
    if b"\0" in row:
        raise TableError(f"{shown(name)}: no es un fichero de texto; guárdelo como CSV UTF-8")
    found = None if 0 in spans.broken else boundaries.cells(row, delimiter)
    if found is None:
        raise TableError(f"{shown(name)}: a la cabecera le sobra o le falta una comilla")
    names = [letters(cell).strip() for cell in found]
    if not any(names):
        raise TableError(f"{shown(name)} está vacío: no tiene ni cabecera")
    return names


def _end(spans: boundaries.Spans, place: int) -> int:
    """Where a row ends, with its line end."""
    return int(spans.starts[place + 1]) if place + 1 < len(spans.starts) else spans.end


def _as_wide(names: list[str], rest: bytes, spans: boundaries.Spans, delimiter: str) -> list[str]:
    """The names, with as many nameless ones at their end as the first row has cells for them:
    many programs end rows with a delimiter, and headings not, or the other way."""
    for place in range(1, len(spans.starts)):
        row = rest[spans.starts[place] : spans.ends[place]]
        if not row.strip(f'{delimiter}"'.encode()) or place in spans.broken:
            continue
        found = boundaries.cells(row, delimiter) or []
        spare = found[len(names) :]
        if spare and not any(spare):
            return [*names, *("" for _ in spare)]
        return names[: len(found)] if not any(names[len(found) :]) else names
    return names
