"""A run from its start, or from where it was stopped, to its end: block by block, noted down.

After each block the note says how far source and sink are; a run that ends badly leaves both so
that ``resume`` goes on with the next block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from propensia.batch.blocks import Block, Piece, Sink, Source, Tally

Pieces = Callable[[Iterable[Block]], Iterator[tuple[Block, Piece]]]


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told of a run: after each block, the share done in [0, 1] and the figures so far."""

    progress: Callable[[float, Tally], None]


def run(source: Source, sink: Sink, pieces: Pieces, listener: Listener) -> Tally:
    """Score a whole source into a sink. Raises ``TableError`` or ``OSError``."""
    tally = Tally()
    sink.start(None)
    for block, piece in pieces(source.blocks()):
        sink.keep(piece.content)
        tally.add(piece.tally)
        listener.progress(block.done, tally)
    source.check()
    sink.finish()
    return tally
