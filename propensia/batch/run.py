"""A run from its start, or from where it was stopped, to its end: block by block, noted down.

However it ends, nothing is to be seen in place of the result but all of it; and what is noted is
kept, so that a run goes on with the next block.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass

from propensia.batch.beside import Beside
from propensia.batch.blocks import Block, Piece, Sink, Source
from propensia.batch.faulty import FaultFile
from propensia.batch.notes import Note
from propensia.batch.progress import Now, Pace
from propensia.delimited import TableError

Pieces = Callable[[Iterable[Block]], Generator[tuple[Block, Piece], None, None]]


class NothingScored(Exception):
    """No row could be scored: there is no result. All its faults are told, unless there is an
    earlier result, which they would be taken for those of."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told of a run: after each block how far it is; and, when every block is kept and
    before the result is seen, what was found. The latter may come twice after a sudden end."""

    progress: Callable[[Now], None]
    over: Callable[[Note], None]


def run(
    source: Source, sink: Sink, beside: Beside, note: Note, pieces: Pieces, listener: Listener
) -> None:
    """Score what is left of a source into a sink; ``note`` is new or that of a run to go on with,
    and tells what was found in the end. ``beside``: what lies beside the result, which is locked.

    Raises ``NothingScored``; ``TableError`` for a source that cannot be read or has changed, or
    rows that a sink refuses, and then the run cannot go on; and whatever else ``pieces`` and a
    sink do, after which it can, unless the source cannot. Of one that cannot go on nothing is
    left.
    """
    faults = FaultFile(beside.faults, beside.faults_part)
    whole = _Run(source, sink, beside, note, faults, listener)
    fresh = note.blocks == 0
    try:
        if not note.whole:
            note.write(beside.note)  # before there is anything that it would tell of
            sink.start(note.sink)
            faults.start(note.faults)
            whole.score(pieces)
        if note.tally.rows and not note.tally.scored:
            whole.tell_faults()
            raise NothingScored
        whole.finish()
    except (TableError, NothingScored):  # the same rows would not come again, or not be taken
        sink.abandon(note.sink)
        beside.discard()
        raise
    except BaseException:
        if not source.goes_on or (fresh and not note.whole and note.blocks == 0):
            with contextlib.suppress(OSError):
                sink.abandon(note.sink)
            with contextlib.suppress(OSError):
                beside.discard()
        raise


@dataclass(frozen=True, slots=True)
class _Run:
    source: Source
    sink: Sink
    beside: Beside
    note: Note
    faults: FaultFile
    listener: Listener

    def score(self, pieces: Pieces) -> None:
        """Every block that is left, and the note after each."""
        note, source = self.note, self.source
        spent, pace = note.seconds, Pace(note.done, note.tally.rows)
        with contextlib.closing(pieces(source.blocks(note.source))) as made:
            for block, piece in made:
                source.check()
                place = self.sink.keep(piece.content)
                faults = self.faults.keep(piece.faulty, note.tally.rows, note.faults)
                note.add(block, piece, place, faults)
                note.seconds = spent + pace.seconds
                note.write(self.beside.note)
                self.listener.progress(pace.now(block.done, note.tally.rows))
        source.check()
        note.whole = True
        note.write(self.beside.note)

    def tell_faults(self) -> None:
        """Those of a run without a result."""
        if self.beside.has_result():
            self.note.faults = 0
        else:
            self.faults.finish(self.note.faults)

    def finish(self) -> None:
        """What was found beside the result first: who waits for the result then finds it all."""
        note, sink = self.note, self.sink
        is_over = self.beside.is_over()
        if not is_over:
            sink.start(note.sink)  # before it is told: what cannot be finished is refused here
        if not note.told:
            self.listener.over(note)
            note.told = True
            note.write(self.beside.note)
        self.faults.finish(note.faults)
        if not is_over:
            sink.finish()
        self.beside.discard()
