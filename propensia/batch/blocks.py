"""What goes through a run: blocks of rows, what was read in them, and what was found.

Only data that can be handed to another process; it opens no file and knows no format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Place = Mapping[str, Any]
"""Where a source or a sink stands, as JSON holds it: what a run goes on from after its end."""
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows as a source cut them.

    ``number`` counts from 0. ``first``: the number of its first row as a person finds it (line of
    the file or row of the table, from 1 on). ``content``: the bytes that the reader of the same
    source understands. ``end``: from where the source goes on after this block. ``done``: the
    share of the whole in [0, 1] that is behind its end; 0 where nobody knows.
    """

    number: int
    first: int
    content: bytes = field(repr=False)
    end: Place
    done: float


class AsColumns(Protocol):
    """Rows as a format keeps them, which other formats can be made of."""

    def columns(self) -> pa.RecordBatch:
        """As ``Rows.columns``; the same types in every block."""


Original: TypeAlias = pa.RecordBatch | AsColumns


@dataclass(frozen=True, slots=True)
class Rows:
    """What a reader found in a block of n rows.

    ``texts``: for each parameter of the contract, by its short name, n texts as a client of the
    route would have sent them; null is a text that was not sent. ``broken``: the code of what is
    wrong with a row as a whole, by its place in the block; its texts are null. ``lines``: the
    number of each row as a person finds it, ``(n,)``. ``original``: what the writer of the same
    format needs of the rows to give them back (the lines of a CSV); writers of other formats ask
    for ``columns``. ``notes``: what to tell of a row in ``avisos`` besides what scoring notes, by
    its place, as ``parameter:code`` with blanks between. ``empty``: how many lines said nothing,
    and are no rows.
    """

    texts: Mapping[str, pa.Array]
    broken: Mapping[int, str]
    lines: npt.NDArray[np.int64]
    original: Original
    notes: Mapping[int, str] = field(default_factory=dict)
    empty: int = 0

    def __len__(self) -> int:
        return len(self.lines)

    def columns(self) -> pa.RecordBatch:
        """The rows as they were, a column for each of the source's heading, typed as there.

        ``columnar.texts`` makes texts of a column. Raises ``TableError``.
        """
        if isinstance(self.original, pa.RecordBatch):
            return self.original
        return self.original.columns()


@dataclass(frozen=True, slots=True)
class Results:
    """What was found for n rows, in their order.

    ``probability`` in [0, 1], NaN where there is none. ``positive``: whether it reaches the
    threshold. ``decile``: 1 holds the highest tenth of the training's scores, 10 the lowest, 0 is
    unknown. ``band``: its letter, empty without a probability. ``notes``: what was assumed and
    ``faults``: what is wrong, as ``parameter:code`` with blanks between. ``reasons``: the
    parameters that moved the score most, largest first, as ``parameter:+0.123``; empty where they
    were not asked for. Arrays of text have no null.
    """

    probability: Vector
    positive: npt.NDArray[np.bool_]
    decile: npt.NDArray[np.int8]
    band: pa.StringArray
    notes: pa.StringArray
    faults: pa.StringArray
    reasons: pa.StringArray


@dataclass(slots=True)
class Tally:
    """What a run can say of itself; tallies of blocks add up.

    ``faults`` and ``notes``: rows by ``parameter:code``; ``bands``: rows by letter; ``classes``:
    rows by class; ``euros``: the sum of probability times euros at stake, of the ``valued`` rows
    that tell them; ``empty``: lines that said nothing, and are no rows.
    """

    rows: int = 0
    scored: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    bands: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    euros: float = 0.0
    valued: int = 0
    empty: int = 0

    def add(self, other: Tally) -> None:
        """Take another block's figures in."""
        self.rows += other.rows
        self.scored += other.scored
        for name in ("faults", "notes", "bands", "classes"):
            getattr(self, name).update(getattr(other, name))
        self.euros += other.euros
        self.valued += other.valued
        self.empty += other.empty


@dataclass(frozen=True, slots=True)
class Piece:
    """What a worker made of a block: ``content`` for the sink, the block's figures, and its rows
    with faults as (line, place in the block from 1 on, faults), all of them."""

    number: int
    content: bytes = field(repr=False)
    tally: Tally
    faulty: tuple[tuple[int, int, str], ...]


class Reader(Protocol):
    """Reads the blocks of one source; can be handed to another process.

    ``columns``: the place in the source's heading of each parameter's column, by short name.
    """

    @property
    def columns(self) -> Mapping[str, int]: ...

    def read(self, block: Block) -> Rows:
        """The rows of a block; a bad row spoils no other."""


class Writer(Protocol):
    """Renders rows and results for one sink; can be handed to another process."""

    def render(self, rows: Rows, results: Results) -> bytes:
        """The bytes that the sink keeps."""


class Source(Protocol):
    """A table, open to be read from a place on.

    ``name`` is fit to be shown. ``heading``: the names of its columns. ``schema``: them with
    their types, where the table itself knows these; ``None`` where they are given back as texts.
    ``row_count``: how many rows it has, ``None`` where nobody knows before they were read.
    ``goes_on``: whether a run over it can go on in the middle. ``identity``: what has to be the
    same when it does (path, size, time, query …). ``reader``: what reads its blocks, there once
    ``read_columns`` was called.
    """

    @property
    def name(self) -> str: ...

    @property
    def heading(self) -> tuple[str, ...]: ...

    @property
    def schema(self) -> pa.Schema | None: ...

    @property
    def row_count(self) -> int | None: ...

    @property
    def goes_on(self) -> bool: ...

    @property
    def identity(self) -> Mapping[str, Any]: ...

    @property
    def reader(self) -> Reader: ...

    def read_columns(self, columns: Mapping[str, int]) -> None:
        """Tell which column is which parameter: the place in ``heading`` by short name. Raises
        ``TableError`` for a column that cannot be one."""

    def blocks(self, after: Place | None = None) -> Iterator[Block]:
        """The blocks in order, from the start or after the ``end`` of one. Raises
        ``TableError``."""

    def check(self) -> None:
        """Raise ``TableError`` if the table changed since it was opened."""


class Sink(Protocol):
    """Where the results go. Nothing is to be seen in its place before ``finish``.

    ``name`` is fit to be shown. ``writer``: what renders for it. It holds nothing open from one
    call to the next, so that a run may end at any moment. One that writes a file keeps all that
    is unfinished in ``NAME.part``, a file or a folder, which ``finish`` leaves nothing of.
    """

    @property
    def name(self) -> str: ...

    @property
    def writer(self) -> Writer: ...

    def start(self, place: Place | None) -> None:
        """Begin, or go on from a ``place`` that ``keep`` gave: what came after it is gone. Raises
        ``TableError`` for rows that cannot be finished."""

    def keep(self, content: bytes) -> Place:
        """Take one block, durably; the place after it."""

    def abandon(self, place: Place | None) -> None:
        """Remove what is kept elsewhere than in ``NAME.part`` of a run that will not go on: one
        that got to ``place``, or, where that is ``None``, the one that was started, if any."""

    def finish(self) -> None:
        """Show the whole result in its place, at once. After a sudden end of it, it is called
        again, behind a ``start`` with the last place."""
