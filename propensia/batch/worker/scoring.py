"""One block through the contract and the model: what a worker does, the same in every engine.

It gives each row the very score that the route would give it, and knows neither files nor tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from propensia.batch.blocks import Block, Piece, Reader, Results, Rows, Tally, Vector, Writer
from propensia.batch.row_faults import UNRELIABLE
from propensia.batch.worker.chances import Chances
from propensia.batch.worker.explaining import Explaining
from propensia.batch.worker.model import Model
from propensia.batch.worker.reading import Reading, Values
from propensia.batch.worker.told import Told, about, joined


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run is asked for besides the score.

    ``bands``: the limits between the letters, ascending, each in (0, 1): the highest band is A.
    ``reasons``: how many parameters are explained for each row.
    """

    bands: tuple[float, ...]
    reasons: int = 0


@dataclass(frozen=True, slots=True)
class Task:
    """All that a worker needs, once; can be handed to another process."""

    model: Model
    reader: Reader
    writer: Writer
    wanted: Wanted


class Worker:
    """Turns blocks into pieces. One thread; made once in each process from a ``Task``."""

    def __init__(self, task: Task) -> None:
        self._reader, self._writer = task.reader, task.writer
        self._scoring = Scoring(task.model, task.wanted)

    def piece(self, block: Block) -> Piece:
        """The piece of a block. A row that the model fails for is one with a fault."""
        rows = self._reader.read(block)
        results, tally = self._scoring.score(rows)
        return Piece(
            number=block.number,
            content=self._writer.render(rows, results),
            tally=tally,
            faulty=_faulty(rows, results),
        )


def _faulty(rows: Rows, results: Results) -> tuple[tuple[int, int, str], ...]:
    bad = pc.not_equal(results.faults, "")
    places = np.flatnonzero(bad.to_numpy(zero_copy_only=False))
    texts = results.faults.filter(bad).to_pylist()
    return tuple(zip(rows.lines[places].tolist(), (places + 1).tolist(), texts, strict=True))


class Scoring:
    """Scores the rows of blocks by one model. One thread."""

    def __init__(self, model: Model, wanted: Wanted) -> None:
        self._model, self._wanted = model, wanted
        self._reading = Reading(model.view)
        self._chances = Chances(model)
        self._explaining = Explaining(model, self._chances)
        letters = [chr(ord("A") + place) for place in range(len(wanted.bands) + 1)]
        self._letters = ["", *reversed(letters)]

    def score(self, rows: Rows) -> tuple[Results, Tally]:
        """What was found for n rows, and the figures of it."""
        count = len(rows)
        read = self._reading.read(rows.texts, rows.broken, count)
        probability, faults = self._probability(read, count)
        known = ~np.isnan(probability)
        notes = [about(rows.notes, count), read.notes.where(known)]
        reasons = pa.repeat(pa.scalar("", pa.string()), count)
        if self._wanted.reasons:
            reasons, silent = self._explaining.texts(read.matrix, known, self._wanted.reasons)
            notes.append(silent)
        told = joined(notes, count)
        positive = probability >= self._model.decision.threshold
        band = Told(self._band(probability), self._letters)
        results = Results(
            probability=probability,
            positive=positive,
            decile=deciles(probability, self._model.deciles),
            band=band.array(),
            notes=told.array(),
            faults=faults.array(),
            reasons=reasons,
        )
        tally = Tally(
            rows=count,
            scored=int(known.sum()),
            faults=faults.counted(),
            notes=told.counted(),
            bands=band.counted(),
            classes=self._classes(int(known.sum()), int(positive.sum())),
            empty=rows.empty,
        )
        if read.amount is not None:
            euros = probability * read.amount
            valued = ~np.isnan(euros)
            tally.euros, tally.valued = float(euros[valued].sum()), int(valued.sum())
        return results, tally

    def _probability(self, read: Values, count: int) -> tuple[Vector, Told]:
        """The chances of n rows, NaN where there is none, and every fault."""
        good = ~read.faults.of()
        if good.all():
            probability = self._chances.known(read.matrix)
        else:
            probability = np.full(count, np.nan)
            probability[good] = self._chances.known(read.matrix[good])
        failed = np.flatnonzero(good & np.isnan(probability)).tolist()
        if not failed:
            return probability, read.faults
        return probability, joined(
            [read.faults, about(dict.fromkeys(failed, f"fila:{UNRELIABLE}"), count)], count
        )

    def _band(self, probability: Vector) -> npt.NDArray[np.int64]:
        """The place of each letter among ``_letters``; the first is no letter."""
        reached = _reached(probability, self._wanted.bands, itself=True)
        return np.where(np.isnan(probability), 0, 1 + reached).astype(np.int64)

    def _classes(self, scored: int, positive: int) -> Counter[str]:
        contract = self._model.contract
        return Counter(
            {
                contract.positive_name["es"]: positive,
                contract.negative_name["es"]: scored - positive,
            }
        )


def deciles(chances: Vector, limits: Sequence[float]) -> npt.NDArray[np.int8]:
    """The decile of each chance by the 9 inner limits: 1 is above all of them, 10 above none; 0
    without a chance, or without limits."""
    if not limits:
        return np.zeros(len(chances), dtype=np.int8)
    above = _reached(chances, limits, itself=False)
    return np.where(np.isnan(chances), 0, 10 - above).astype(np.int8)


def _reached(chances: Vector, limits: Sequence[float], *, itself: bool) -> npt.NDArray[np.int64]:
    """How many of a few limits each chance is above; or at, where a limit counts ``itself``.

    One comparison per limit is quicker here than a search, which mispredicts at every row.
    """
    found = np.zeros(len(chances), dtype=np.int64)
    for limit in limits:
        found += chances >= limit if itself else chances > limit
    return found
