"""Deciles of the very rows of a run: known when all are scored, so the result is made after that.

A run keeps its blocks with what was found in them; its end finds the limits and only then lets
the sink of the result have the rows. Nothing is scored twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from propensia.batch import order_statistics
from propensia.batch.arrow import packed, unpacked
from propensia.batch.blocks import Block, Place, Reader, Results, Rows, Sink
from propensia.batch.spool import Spool, append, pack, shorten
from propensia.batch.worker.scoring import deciles

CHANCES = "chances"
LENGTH = 8
TEXTS = ("band", "notes", "faults", "reasons")


@dataclass(frozen=True, slots=True)
class FromBlock:
    """Rows that remember the block that they were read from."""

    block: Block
    rows: Rows

    def columns(self) -> pa.RecordBatch:
        """As ``AsColumns.columns``."""
        return self.rows.columns()


@dataclass(frozen=True, slots=True)
class BlockReader:
    """Reads as another reader does, and keeps each block with its rows."""

    reader: Reader

    @property
    def columns(self) -> Mapping[str, int]:
        """As ``Reader.columns``."""
        return self.reader.columns

    def read(self, block: Block) -> Rows:
        """As ``Reader.read``."""
        rows = self.reader.read(block)
        return replace(rows, original=FromBlock(block, rows))


@dataclass(frozen=True, slots=True)
class BlockWriter:
    """Renders blocks with what was found in them, and the chances once more by themselves."""

    def render(self, rows: Rows, results: Results) -> bytes:
        """As ``Writer.render``, of rows that ``BlockReader`` read."""
        if not isinstance(rows.original, FromBlock):
            raise TypeError("rows of another reader")
        block = rows.original.block
        found = pa.record_batch(
            {
                "probability": results.probability,
                "positive": results.positive,
                **{name: getattr(results, name) for name in TEXTS},
            }
        )
        whole = pa.record_batch(
            {
                "number": [block.number],
                "first": [block.first],
                "content": pa.array([block.content], pa.large_binary()),
                "results": pa.array([packed(found)], pa.large_binary()),
            }
        )
        chances = order_statistics.plain(results.probability)
        return len(chances).to_bytes(LENGTH, "little") + chances + pack(packed(whole))


class DecilesSink:
    """The sink of a file whose deciles are those of the run itself.

    ``reader``: of the source; a worker uses this one's own ``reader`` instead. ``make`` gives the
    sink of the result for a path.
    """

    def __init__(self, path: Path, reader: Reader, make: Callable[[Path], Sink]) -> None:
        self.name = path.name
        self.reader, self.writer = BlockReader(reader), BlockWriter()
        self._reader = reader
        self._spool = Spool(path)
        self._chances = self._spool.folder / CHANCES
        self._inner = make(self._spool.unfinished)

    def start(self, place: Place | None) -> None:
        """As ``Sink.start``."""
        self._spool.start(place)
        if place is None:
            self._chances.write_bytes(b"")
        elif not self._spool.is_over:
            shorten(self._chances, place["chances"])

    def keep(self, content: bytes) -> Place:
        """As ``Sink.keep``."""
        end = LENGTH + int.from_bytes(content[:LENGTH], "little")
        size = append(self._chances, content[LENGTH:end])
        return {**self._spool.keep(content[end:]), "chances": size}

    def abandon(self, place: Place | None) -> None:
        """As ``Sink.abandon``: there is no more than the part."""

    def finish(self) -> None:
        """As ``Sink.finish``: the second pass. What it was interrupted in, it does again."""
        if not self._spool.is_over:
            inner = order_statistics.tenths(self._chances)
            self._inner.start(None)
            for frame in self._spool.frames():
                block, results = _restored(frame, inner)
                rows = self._reader.read(block)
                self._inner.keep(self._inner.writer.render(rows, results))
            self._inner.finish()
        self._spool.show()


def _restored(frame: bytes, inner: tuple[float, ...]) -> tuple[Block, Results]:
    """A block and its results, with their deciles."""
    whole = unpacked(frame)
    number, first, content, results = (column[0].as_py() for column in whole.columns)
    found = unpacked(results)
    chances = found["probability"].to_numpy(zero_copy_only=False)
    return Block(number, first, content, {}, 0.0), Results(
        probability=chances,
        positive=found["positive"].to_numpy(zero_copy_only=False),
        decile=deciles(chances, inner),
        **{name: found[name] for name in TEXTS},
    )
