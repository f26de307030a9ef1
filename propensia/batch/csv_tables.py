"""CSV files in and out: cut into blocks, read row by row, given back with what was found.

It never changes a cell of a row that it gives back but for what a spreadsheet would run.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from propensia import delimited, files
from propensia.batch.blocks import Block, Place, Results, Rows
from propensia.contract import Contract

BLOCK_BYTES = 2 << 20
ADDED = ("probabilidad", "clasificacion", "decil", "version", "avisos", "error", "banda")


@dataclass(frozen=True, slots=True)
class CsvReader:
    """Reads blocks of a CSV. ``columns``: the place of each parameter's column by short name."""

    delimiter: str
    encoding: str
    width: int
    columns: Mapping[str, int]

    def read(self, block: Block) -> Rows:
        """As ``Reader.read``."""
        text = block.content.decode(self.encoding)
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter))
        broken = {
            place: "columnas_de_menos" if len(line) < self.width else "columnas_de_mas"
            for place, line in enumerate(lines)
            if len(line) != self.width
        }
        texts = {
            name: pa.array(
                [None if p in broken else line[at] for p, line in enumerate(lines)], pa.string()
            )
            for name, at in self.columns.items()
        }
        numbers = np.arange(block.first, block.first + len(lines))
        return Rows(texts, broken, numbers, lines)


@dataclass(frozen=True, slots=True)
class CsvWriter:
    """Renders the lines of a CSV."""

    version: str
    classes: tuple[str, str]

    def render(self, rows: Rows, results: Results) -> bytes:
        """As ``Writer.render``."""
        out = io.StringIO(newline="")
        write = delimited.writing(out)
        for place, line in enumerate(rows.original):
            chance = float(results.probability[place])
            known = chance == chance
            decile = int(results.decile[place])
            write(
                [
                    *line,
                    repr(chance) if known else "",
                    self.classes[bool(results.positive[place])] if known else "",
                    str(decile) if decile else "",
                    self.version,
                    results.notes[place].as_py(),
                    results.faults[place].as_py(),
                    results.band[place].as_py(),
                ]
            )
        return out.getvalue().encode("utf-8")


class CsvSource:
    """A CSV file on disk, as ``Source``."""

    def __init__(self, path: Path, contract: Contract) -> None:
        self.name = path.name
        self._path = path
        with files.open_regular(path) as stream:
            self._encoding = delimited.table_encoding(stream, path.name)
            first = stream.readline()
            self._start = stream.tell()
            told = os.fstat(stream.fileno())
        self._size = told.st_size
        self.identity: Mapping[str, Any] = {
            "path": str(path.absolute()),
            "size": told.st_size,
            "time": told.st_mtime_ns,
        }
        text = first.decode(self._encoding)
        delimiter = max(delimited.DELIMITERS, key=text.count)
        self.heading = tuple(
            name.strip() for name in next(csv.reader([text], delimiter=delimiter), [])
        )
        columns = {
            p.name: self.heading.index(p.name if p.name in self.heading else p.feature)
            for p in contract.parameters
        }
        encoding = self._encoding.removesuffix("-sig")
        self.reader = CsvReader(delimiter, encoding, len(self.heading), columns)

    def blocks(self, after: Place | None = None) -> Iterator[Block]:
        """As ``Source.blocks``."""
        after = after or {"number": 0, "first": 2, "offset": self._start}
        number, first, offset = after["number"], after["first"], after["offset"]
        with files.open_regular(self._path) as stream:
            stream.seek(offset)
            while content := stream.read(BLOCK_BYTES):
                content += stream.readline()
                offset += len(content)
                following = first + content.count(b"\n")
                end = {"number": number + 1, "first": following, "offset": offset}
                yield Block(number, first, content, end, offset / max(self._size, 1))
                number, first = number + 1, following

    def check(self) -> None:
        """As ``Source.check``."""
        told = self._path.stat()
        if (told.st_size, told.st_mtime_ns) != (self.identity["size"], self.identity["time"]):
            raise delimited.TableError(f"{files.shown(self.name)} ha cambiado mientras se leía")


class CsvSink:
    """A CSV file to be, as ``Sink``: ``NAME.part`` until it is whole."""

    def __init__(self, path: Path, heading: tuple[str, ...], writer: CsvWriter) -> None:
        self.name = path.name
        self.writer = writer
        self._path, self._heading = path, heading
        self._part = path.with_name(path.name + ".part")

    def start(self, place: Place | None) -> None:
        """As ``Sink.start``."""
        self._stream: BinaryIO = self._part.open("wb" if place is None else "r+b")
        if place is not None:
            self._stream.truncate(place["offset"])
            self._stream.seek(place["offset"])
            return
        out = io.StringIO(newline="")
        delimited.writing(out)([*self._heading, *ADDED])
        self._stream.write(out.getvalue().encode("utf-8-sig"))

    def keep(self, content: bytes) -> Place:
        """As ``Sink.keep``."""
        self._stream.write(content)
        self._stream.flush()
        os.fsync(self._stream.fileno())
        return {"offset": self._stream.tell()}

    def finish(self) -> None:
        """As ``Sink.finish``."""
        self._stream.close()
        os.replace(self._part, self._path)
