"""Models with trees, fast for many rows: compiled loops for the trees, ONNX Runtime for the rest.

It never gives another bit than ``Scorer`` would: what it is not sure of it leaves to that, and
before the first row it has to give the very same answers to rows made for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from propensia import processes, scorer
from propensia.batch.forests import cutting, layout, loops
from propensia.batch.forests.cutting import Cut, Forest
from propensia.batch.forests.layout import Column, Trees
from propensia.batch.forests.loops import GROUP, Code, NotCompiled
from propensia.scorer import INPUT, OUTPUT, Matrix, Scorer, ScorerError, Unreliable, checked

# Cutting costs each block some microseconds; below, there is nothing to win back.
_FEWEST_NODES = 256
# Laying trees out takes some 200 bytes for each node, in each worker.
_MOST_NODES = 4_000_000
# What the ranks, and the answers of trees one by one, may take: both stay in the cache.
_RANKS_BYTES, _ANSWERS_BYTES = 1 << 18, 1 << 20
_MOST_ROWS = 8192
# Rows for the proof, with and without missing values, and where they come from.
_PROOF_ROWS, _SEED = 256, 7
_MISSING = 0.1


@dataclass(frozen=True, slots=True)
class _Source:
    """One of the forest's columns: from which source it comes, and from where in that."""

    name: str
    place: int


@dataclass(frozen=True, slots=True)
class _Grown:
    """Trees, ready to be walked: ``sources`` are those of their columns, ``answer`` their name."""

    trees: Trees
    sources: tuple[_Source, ...]
    answer: str
    code: Code

    def answers(self, sources: dict[str, Matrix], count: int) -> Matrix:
        """What the operator answers for ``count`` rows, (n, 1) or (n, t)."""
        trees, code = self.trees, self.code
        padded = -(-count // GROUP) * GROUP
        many = len(trees.starts) if trees.apart else 1
        ranks = np.empty((padded // GROUP, len(trees.columns), GROUP), f"u{trees.bits // 8}")
        values = np.zeros(padded)
        stride = len(trees.columns) * GROUP
        for number, (column, source) in enumerate(zip(trees.columns, self.sources, strict=True)):
            values[:count] = sources[source.name][:, source.place]
            code.rank(
                values.ctypes.data,
                padded,
                column.cuts.ctypes.data,
                len(column.cuts),
                column.missing,
                ranks.ctypes.data + number * GROUP * ranks.itemsize,
                stride,
            )
        sums = np.zeros((padded, many))
        code.walk(
            ranks.ctypes.data,
            len(ranks),
            stride,
            trees.places.ctypes.data,
            trees.tops.ctypes.data,
            trees.nodes.ctypes.data,
            trees.values.ctypes.data,
            trees.starts.ctypes.data,
            trees.depths.ctypes.data,
            len(trees.starts),
            sums.ctypes.data,
            many,
            int(trees.apart),
        )
        # ONNX Runtime divides the sum, too, and adds its base value, which is 0.
        return sums[:count] / len(trees.starts) if trees.mean else sums[:count]


class Engine:
    """Scores blocks of rows by a model with trees. For one thread; make it with ``fastest``."""

    def __init__(self, columns: int, cut: Cut) -> None:
        self.columns = columns
        self._sources = [name for name in cut.sources if name != INPUT]
        self._needs_rows = cut.needs_rows
        self._head = _session(cut.head)
        self._tail = _session(cut.tail)
        widths = {name: part.shape[1] for name, part in self._made(np.zeros((1, columns))).items()}
        codes: dict[int, Code] = {}
        self._forests = [_grown(one, widths, codes) for one in cut.forests]
        self._rows = min(_most_rows(one.trees) for one in self._forests)

    def many(self, rows: Matrix) -> Matrix:
        """The probabilities of n rows (n, k) double, ``(n,) float64``, each in [0, 1]: bit for
        bit those of ``Scorer.many``.

        Raises ``Unreliable``, or ``ScorerError`` when the model cannot be run.
        """
        matrix = np.ascontiguousarray(rows, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[1] != self.columns:
            raise ScorerError(f"the model takes {self.columns} columns")
        found = np.empty(len(matrix))
        for at in range(0, len(matrix), self._rows):
            part = matrix[at : at + self._rows]
            found[at : at + self._rows] = self._block(part)
        return checked(found)

    def _block(self, rows: Matrix) -> Matrix:
        sources = self._made(rows)
        given = {one.answer: one.answers(sources, len(rows)) for one in self._forests}
        if self._tail is None:
            return given[OUTPUT][:, 0]
        if self._needs_rows:
            given[INPUT] = rows
        takes = {item.name for item in self._tail.get_inputs()}
        answer = _run(self._tail, [OUTPUT], {name: given[name] for name in takes})
        return answer[0][:, 0]

    def _made(self, rows: Matrix) -> dict[str, Matrix]:
        """What trees read, by name."""
        made = {INPUT: rows}
        if self._head is not None:
            parts = _run(self._head, self._sources, {INPUT: rows})
            made.update(zip(self._sources, parts, strict=True))
        return made

    def awkward(self, rows: int, seed: int) -> Matrix:
        """Rows (n, k) whose values lie on thresholds and beside them, as far as columns of the
        model are those of its trees, and else anywhere."""
        random = np.random.default_rng(seed)
        made = random.normal(size=(rows, self.columns)) * 10 ** random.uniform(-3, 3, (rows, 1))
        for one in self._forests:
            for column, source in zip(one.trees.columns, one.sources, strict=True):
                if source.place < self.columns:
                    chosen = random.random(rows) < 0.75
                    beside = _beside(column, random, int(chosen.sum()))
                    made[chosen, source.place] = beside
        return made


def fastest(model: bytes, digest: str) -> Scorer | Engine:
    """The compiled engine where it gives the same bits, else ONNX Runtime alone.

    ``digest`` is the SHA-256 that the bytes must have. Raises ``ScorerError`` as ``Scorer`` does.
    """
    whole = Scorer(model, digest)
    engine = _engine(model, whole.columns)
    if engine is None or not _proven(engine, whole):
        return whole
    # The whole model, which the proof needed, is not kept beside the laid out one.
    del whole
    processes.give_back_memory()
    return engine


def lacks_compiler(model: bytes) -> bool:
    """Whether the compiled engine might score a model several times as fast, were the library
    installed that it needs. The extra for it is called ``fast``."""
    return not loops.available() and _cut(model) is not None


def _cut(model: bytes) -> Cut | None:
    """A model cut at its trees, if these are neither too few nor too many."""
    cut = cutting.cut(model)
    if cut is None or not _FEWEST_NODES <= sum(_size(one) for one in cut.forests) <= _MOST_NODES:
        return None
    return cut


def _engine(model: bytes, columns: int) -> Engine | None:
    cut = _cut(model) if loops.available() else None
    if cut is None:
        return None
    try:
        return Engine(columns, cut)
    except (_Declined, NotCompiled):
        return None


def _proven(engine: Engine, whole: Scorer) -> bool:
    """Whether both answer the same bits to rows on thresholds, whole ones and such with holes."""
    rows = engine.awkward(_PROOF_ROWS, _SEED)
    holed = np.where(np.random.default_rng(_SEED).random(rows.shape) < _MISSING, np.nan, rows)
    return all(_outcome(engine, given) == _outcome(whole, given) for given in (rows, holed))


class _Declined(Exception):
    """Trees that cannot be had exactly."""


def _outcome(engine: Scorer | Engine, rows: Matrix) -> bytes:
    """The bits of the answers, or the name of what was raised."""
    try:
        return engine.many(rows).tobytes()
    except (Unreliable, ScorerError) as error:
        return type(error).__name__.encode()


def _size(forest: Forest) -> int:
    return next(
        len(item.ints) for item in forest.node.attribute if item.name == "nodes_featureids"
    )


def _grown(forest: Forest, widths: dict[str, int], codes: dict[int, Code]) -> _Grown:
    """The trees of a forest in the compiled form. Raises ``_Declined``.

    ``codes``: what is compiled already, by the bits of a rank.
    """
    sources: list[_Source] = []
    negative: dict[int, int] = {}
    for name, turned in forest.parts:
        places = range(widths[name])
        if turned:
            own = {one: place for place, one in enumerate(sources)}
            plain = [own.get(_Source(name, place)) for place in places]
            if None in plain:
                raise _Declined
            begin = len(sources)
            negative |= {begin + at: one for at, one in enumerate(plain) if one is not None}
        sources += [_Source(name, place) for place in places]
    trees = layout.laid_out(forest.node, negative)
    if trees is None:
        raise _Declined
    if trees.bits not in codes:
        codes[trees.bits] = Code(trees.bits)
    return _Grown(
        trees=trees,
        sources=tuple(sources[column.place] for column in trees.columns),
        answer=forest.node.output[0],
        code=codes[trees.bits],
    )


def _most_rows(trees: Trees) -> int:
    """How many rows go through all trees before the next ones, a multiple of a group."""
    by_ranks = _RANKS_BYTES // (len(trees.columns) * trees.bits // 8)
    by_answers = _ANSWERS_BYTES // (8 * len(trees.starts)) if trees.apart else _MOST_ROWS
    return max(GROUP, min(by_ranks, by_answers, _MOST_ROWS) // GROUP * GROUP)


def _beside(column: Column, random: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
    """Thresholds of a column, and their neighbours in double and in float32."""
    chosen = random.choice(column.cuts, count)
    with np.errstate(over="ignore"):
        single = chosen.astype(np.float32)
        steps = [
            chosen,
            np.nextafter(chosen, np.inf),
            np.nextafter(chosen, -np.inf),
            single.astype(np.float64),
            np.nextafter(single, np.float32(np.inf)).astype(np.float64),
            np.nextafter(single, np.float32(-np.inf)).astype(np.float64),
        ]
    return np.array(np.choose(random.integers(len(steps), size=count), steps))


def _session(model: bytes | None) -> Any:
    """ONNX Runtime's session of a piece, on one thread; ``None`` for none."""
    if model is None:
        return None
    try:
        return scorer.session(model)
    except ScorerError as error:
        raise _Declined from error


def _run(session: Any, gives: list[str], given: dict[str, Matrix]) -> list[Matrix]:
    try:
        return list(session.run(gives, given))
    except Exception as error:  # ONNX Runtime has no base class for its own errors
        raise scorer.not_run(error) from error
