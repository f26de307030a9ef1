"""CSV files as both ends of a run: cut into blocks of whole rows, and kept line by line.

It holds no more than a few blocks of a file, however long it is; what rows mean is read elsewhere.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from propensia import files
from propensia.batch.added import Added
from propensia.batch.beside import part_of
from propensia.batch.blocks import Block, Place
from propensia.batch.csv_files import boundaries
from propensia.batch.csv_files.dialect import SAMPLE_BYTES, Dialect, decimal, read_opening
from propensia.batch.csv_files.encoding import WIDE, from_first_letter
from propensia.batch.csv_files.reading import CsvReader
from propensia.batch.csv_files.writing import CsvWriter
from propensia.batch.spool import append, shorten
from propensia.batch.watching import Watched
from propensia.delimited import TableError

BLOCK_BYTES = 4 << 20
LONGEST_ROW = 32 << 20
LINE_END = re.compile(rb"\r\n|\r|\n").search


class CsvSource:
    """A CSV file on disk, as ``Source``.

    Raises ``TableError`` for what is no CSV, and ``OSError``.
    """

    reader: CsvReader
    schema = row_count = None
    goes_on = True

    def __init__(self, path: Path) -> None:
        self._file = Watched(path)
        self.name, self.identity, self.check = path.name, self._file.identity, self._file.check
        with files.open_regular(path) as stream:
            sample = stream.read(SAMPLE_BYTES)
            further = from_first_letter(stream, SAMPLE_BYTES) if sample.isascii() else b""
        self._opening = read_opening(sample, path.name, further)
        self.heading = self._opening.heading
        self._delimiter = self._opening.dialect.delimiter

    def read_columns(self, columns: Mapping[str, int]) -> None:
        """As ``Source.read_columns``."""
        found = self._opening
        self.reader = CsvReader(found.dialect.delimiter, found.encoding, found.heading, columns)

    def dialect(self, numbers: Collection[int]) -> Dialect:
        """How a result of it is to be written; ``numbers``: the places of columns that hold
        some."""
        found = self._opening
        return replace(found.dialect, decimal=decimal(found.sample, self._delimiter, numbers))

    def blocks(self, after: Place | None = None) -> Iterator[Block]:
        """As ``Source.blocks``: the same blocks, wherever it begins."""
        place = after or {"number": 0, "line": self._opening.line, "offset": self._opening.start}
        number, line, offset = place["number"], place["line"], place["offset"]
        letters = self._letters()
        left, size, ended = b"", BLOCK_BYTES, False
        with files.open_regular(self._file.path) as stream:
            stream.seek(offset)
            while left or not ended:
                while len(left) < size and not ended:
                    read = stream.read(size - len(left))
                    left, ended = left + letters(read), not read
                content = left[:size]
                end, lines = self._cut(content, line, ended and len(left) <= size)
                if not end:
                    size += BLOCK_BYTES
                    continue
                content, left, size = left[:end], left[end:], BLOCK_BYTES
                first, line, offset = line, line + lines, offset + self._size(content)
                following = {"number": number + 1, "line": line, "offset": offset}
                yield Block(number, first, content, following, offset / self._file.size)
                number += 1

    def _cut(self, content: bytes, line: int, whole: bool) -> tuple[int, int]:
        """Where a block ends, and how many lines do so in it; 0 where more has to be read.

        ``line`` is the number of its first. Raises ``TableError`` where there are no lines.
        """
        end, lines = boundaries.cut(content, self._delimiter, whole=whole)
        if end or whole or len(content) < LONGEST_ROW:
            return end, lines
        first = LINE_END(content)
        if first is None:
            raise TableError(
                f"{files.shown(self.name)}: la línea {line} pasa de {LONGEST_ROW >> 20} MiB; ¿es "
                "un CSV?"
            )
        # A quote that is open for so long is a mistake: its line is left to itself.
        return first.end(), 1

    def _letters(self) -> Callable[[bytes], bytes]:
        """What turns the bytes of the file, piece by piece, into such as rows are cut from."""
        encoding = self._opening.encoding
        if encoding not in WIDE:
            return bytes
        decoder = codecs.getincrementaldecoder(encoding)("replace")
        return lambda read: decoder.decode(read, final=not read).encode()

    def _size(self, content: bytes) -> int:
        """How many bytes of the file it was made of."""
        encoding = self._opening.encoding
        return len(content.decode().encode(encoding)) if encoding in WIDE else len(content)


class CsvSink:
    """A CSV file to be, as ``Sink``: ``NAME.part`` until it is whole."""

    def __init__(
        self, path: Path, heading: Sequence[str], added: Added, dialect: Dialect | None = None
    ) -> None:
        self.name = path.name
        self.writer = CsvWriter(added, dialect or Dialect())
        self._path, self._heading = path, heading
        self._part = part_of(path)

    def start(self, place: Place | None) -> None:
        """As ``Sink.start``."""
        if place is not None:
            shorten(self._part, place["offset"])
            return
        self._part.write_bytes(self.writer.heading(self._heading))

    def keep(self, content: bytes) -> Place:
        """As ``Sink.keep``."""
        return {"offset": append(self._part, content)}

    def abandon(self, place: Place | None) -> None:
        """As ``Sink.abandon``: there is no more than the part."""

    def finish(self) -> None:
        """As ``Sink.finish``."""
        files.retry(lambda: os.replace(self._part, self._path))
        files.sync_folder(self._path.parent)
