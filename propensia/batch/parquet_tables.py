"""Parquet files in and out: read by blocks of rows, given back with the types that they had.

It holds no more than a few blocks, and never changes a value of a row that it gives back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from propensia import files
from propensia.batch import arrow
from propensia.batch.added import Added
from propensia.batch.blocks import Block, Place, Results, Rows
from propensia.batch.spool import Spool, pack
from propensia.batch.watching import Watched
from propensia.delimited import TableError, refuse_twice
from propensia.files import shown

BLOCK_ROWS = 20_000
BLOCK_BYTES = 8 << 20
READ_ROWS = 2_000
"""Read at once: a file of few bytes may unpack to any size, and only what is read is measured."""
BUFFER_BYTES = 1 << 20
GROUP_ROWS = 100_000
GROUP_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class ParquetReader:
    """Reads blocks of a Parquet file. ``columns``: the place of each parameter's column by short
    name; a parameter without one was not sent. ``as_texts``: bytes are given back as texts, too,
    for a result that knows no bytes."""

    columns: Mapping[str, int]
    as_texts: bool = False

    def read(self, block: Block) -> Rows:
        """As ``Reader.read``."""
        batch = arrow.unpacked(block.content)
        rows = arrow.rows_of(batch, self.columns, block.first)
        given = [_whole(column, self.as_texts) for column in batch.columns]
        return replace(rows, original=pa.RecordBatch.from_arrays(given, batch.schema.names))


def _whole(column: pa.Array, as_texts: bool) -> pa.Array:
    """A column as it was, but that what is called a text is one: other bytes become signs."""
    kind = column.type
    of_texts = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not of_texts and not (as_texts and arrow.is_bytes(kind)):
        return column
    kind = kind if of_texts else pa.string()
    try:
        found = column.cast(kind)
        found.validate(full=True)
    except pa.ArrowException:
        raw = column.cast(pa.large_binary()).to_pylist()
        return pa.array([None if v is None else v.decode("utf-8", "replace") for v in raw], kind)
    return found


class ParquetSource:
    """A Parquet file on disk, as ``Source``."""

    goes_on = True

    def __init__(self, path: Path) -> None:
        self._file = Watched(path)
        self.name, self.identity, self.check = path.name, self._file.identity, self._file.check
        with self._opened() as file:
            self.schema: pa.Schema = file.schema_arrow.remove_metadata()
            told = file.metadata
            self.row_count: int = told.num_rows
            groups = [told.row_group(number) for number in range(told.num_row_groups)]
            self._ends = np.cumsum([group.num_rows for group in groups], dtype=np.int64)
            size = sum(group.total_byte_size for group in groups)
        self.heading = tuple(name.strip() for name in self.schema.names)
        refuse_twice(list(self.heading), self.name)
        each = size // max(self.row_count, 1)
        self._read_rows = max(1, min(READ_ROWS, BLOCK_ROWS, BLOCK_BYTES // max(each, 1)))

    def read_columns(self, columns: Mapping[str, int]) -> None:
        """As ``Source.read_columns``."""
        self.refuse_nested(columns.values())
        self.reader = ParquetReader(columns)

    def give_texts(self) -> None:
        """The result holds texts, numbers and dates only. Raises ``TableError`` for columns that
        are neither."""
        self.refuse_nested(range(len(self.schema)))
        self.reader = replace(self.reader, as_texts=True)

    def refuse_nested(self, places: Iterable[int]) -> None:
        """Raise ``TableError`` if one of the columns at ``places`` holds no plain values."""
        for at in places:
            kind = self.schema.field(at).type
            if pa.types.is_nested(kind):
                told = arrow.not_flat(self.heading[at], str(kind))
                raise TableError(f"{shown(self.name)}: {told}")

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        try:
            with (
                files.open_regular(self._file.path) as stream,
                pq.ParquetFile(stream, buffer_size=BUFFER_BYTES) as file,
            ):
                yield file
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            # The system's; pyarrow's have no number. A lack of memory says nothing of the file.
            if getattr(error, "errno", None) is not None or isinstance(error, MemoryError):
                raise
            self.check()
            raise TableError(f"{shown(self.name)}: no es un fichero Parquet entero") from error

    def blocks(self, after: Place | None = None) -> Iterator[Block]:
        """As ``Source.blocks``: the same blocks, wherever it begins."""
        number, row = (0, 0) if after is None else (after["number"], after["row"])
        if row >= self.row_count:
            return
        with self._opened() as file:
            waiting: list[pa.RecordBatch] = []
            rows = size = 0
            for part in self._parts(file, row):
                more = _bytes(part)
                if waiting and (rows + len(part) > BLOCK_ROWS or size + more > BLOCK_BYTES):
                    yield self._block(number, row, waiting)
                    number, row = number + 1, row + rows
                    waiting, rows, size = [], 0, 0
                waiting, rows, size = [*waiting, part], rows + len(part), size + more
            if waiting:
                yield self._block(number, row, waiting)

    def _block(self, number: int, row: int, parts: list[pa.RecordBatch]) -> Block:
        batch = pa.concat_batches(parts)
        end = row + len(batch)
        return Block(
            number=number,
            first=row + 1,
            content=arrow.packed(batch),
            end={"number": number + 1, "row": end},
            done=end / self.row_count,
        )

    def _parts(self, file: pq.ParquetFile, row: int) -> Iterator[pa.RecordBatch]:
        """The rows from ``row`` on in parts, none too large that has more than one row; the same
        parts wherever it begins."""
        first = row - row % self._read_rows
        for batch in self._batches(file, first):
            for part in _halved(batch):
                if first >= row:
                    yield part
                first += len(part)

    def _batches(self, file: pq.ParquetFile, row: int) -> Iterator[pa.RecordBatch]:
        """The rows from ``row`` on, as many at a time as are read at once."""
        group = int(np.searchsorted(self._ends, row, side="right"))
        if group == len(self._ends):
            return
        skip = row - (int(self._ends[group - 1]) if group else 0)
        waiting: list[pa.RecordBatch] = []
        held = 0
        for batch in file.iter_batches(self._read_rows, range(group, len(self._ends))):
            piece = batch.slice(skip)
            skip = max(0, skip - len(batch))
            while held + len(piece) >= self._read_rows:
                missing = self._read_rows - held
                yield pa.concat_batches([*waiting, piece.slice(0, missing)])
                waiting, held, piece = [], 0, piece.slice(missing)
            waiting, held = [*waiting, piece], held + len(piece)
        if held:
            yield pa.concat_batches(waiting)


def _halved(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The rows of a batch in parts that fit into a block, as far as a row of them does."""
    half = len(batch) // 2
    if half and _bytes(batch) > BLOCK_BYTES:
        yield from _halved(batch.slice(0, half))
        yield from _halved(batch.slice(half))
    else:
        yield batch


def _bytes(batch: pa.RecordBatch) -> int:
    """What a batch has as the content of a block; ``nbytes`` depends on where it was cut."""
    return int(pa.ipc.get_record_batch_size(batch))


@dataclass(frozen=True, slots=True)
class ParquetWriter:
    """Renders the record batches of a Parquet file. ``names``: of the columns of the rows."""

    names: tuple[str, ...]
    added: Added

    def render(self, rows: Rows, results: Results) -> bytes:
        """As ``Writer.render``."""
        batch = rows.columns()
        whole = pa.RecordBatch.from_arrays(
            [*batch.columns, *self.added.columns(results)], [*self.names, *self.added.names]
        )
        return pack(arrow.packed(whole))


class ParquetSink:
    """A Parquet file to be, as ``Sink``: ``NAME.part`` until it is whole.

    ``schema``: the names of the rows' columns, and their types where there is no row.
    """

    def __init__(self, path: Path, schema: pa.Schema, added: Added) -> None:
        self.name = path.name
        self.writer = ParquetWriter(tuple(schema.names), added)
        self._empty = pa.schema([*schema, *added.schema]).empty_table()
        self._spool = Spool(path)

    def start(self, place: Place | None) -> None:
        """As ``Sink.start``."""
        self._spool.start(place)

    def keep(self, content: bytes) -> Place:
        """As ``Sink.keep``."""
        return self._spool.keep(content)

    def abandon(self, place: Place | None) -> None:
        """As ``Sink.abandon``: there is no more than the part."""

    def finish(self) -> None:
        """As ``Sink.finish``."""
        if not self._spool.is_over:
            self._write()
        self._spool.show()

    def _write(self) -> None:
        groups = self._groups()
        first = next(groups, self._empty)
        with pq.ParquetWriter(self._spool.unfinished, first.schema, compression="zstd") as writer:
            writer.write_table(first)
            for group in groups:
                writer.write_table(group)

    def _groups(self) -> Iterator[pa.Table]:
        """The kept rows, as many at a time as a row group has."""
        waiting: list[pa.RecordBatch] = []
        rows = size = 0
        for frame in self._spool.frames():
            batch = arrow.unpacked(frame)
            waiting, rows, size = [*waiting, batch], rows + len(batch), size + batch.nbytes
            if rows >= GROUP_ROWS or size >= GROUP_BYTES:
                yield pa.Table.from_batches(waiting)
                waiting, rows, size = [], 0, 0
        if waiting:
            yield pa.Table.from_batches(waiting)
