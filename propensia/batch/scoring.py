"""One block through the contract and the model: what a worker does, the same in every engine.

It gives each row the very score that the route would give it, and knows neither files nor tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from propensia.batch.blocks import Block, Piece, Reader, Results, Rows, Tally, Writer
from propensia.batch.model import Model
from propensia.faults import BadRow
from propensia.features import Features
from propensia.scorer import Scorer


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
        self._task = task
        self._reader, self._writer = task.reader, task.writer
        self._scoring = Scoring(task.model, task.wanted)

    def piece(self, block: Block) -> Piece:
        """The piece of a block. Raises ``ScorerError`` or ``Unreliable``."""
        rows = self._reader.read(block)
        results, values = self._scoring.score(rows)
        return Piece(
            number=block.number,
            content=self._writer.render(rows, results),
            tally=self._tally(results, values),
            faulty=tuple(
                (int(line), text)
                for line, text in zip(rows.lines, results.faults.to_pylist(), strict=True)
                if text
            ),
        )

    def _tally(self, results: Results, values: Mapping[str, npt.NDArray[Any]]) -> Tally:
        contract = self._task.model.contract
        scored = ~np.isnan(results.probability)
        positive = int(results.positive.sum())
        tally = Tally(
            rows=len(scored),
            scored=int(scored.sum()),
            faults=_codes(results.faults),
            notes=_codes(results.notes),
            bands=Counter(band for band in results.band.to_pylist() if band),
            classes=Counter(
                {
                    contract.positive_name["es"]: positive,
                    contract.negative_name["es"]: int(scored.sum()) - positive,
                }
            ),
        )
        if contract.training.amount is not None:
            euros = results.probability * values[contract.training.amount]
            told = ~np.isnan(euros)
            tally.euros, tally.valued = float(euros[told].sum()), int(told.sum())
        return tally


def _codes(texts: pa.StringArray) -> Counter[str]:
    """How many rows have each code, from ``parameter:code`` with blanks between."""
    found: Counter[str] = Counter()
    for text in texts.to_pylist():
        found.update({item.partition(":")[2] for item in text.split()})
    return found


class Scoring:
    """Scores the rows of blocks by one model."""

    def __init__(self, model: Model, wanted: Wanted) -> None:
        self._model, self._wanted = model, wanted
        self._features = Features(model.view)
        self._scorer = Scorer(model.onnx, model.digest)

    def score(self, rows: Rows) -> tuple[Results, dict[str, npt.NDArray[Any]]]:
        """What was found for n rows, and their values by parameter as ``Features.read_many``
        gives them. Raises ``ScorerError`` or ``Unreliable``."""
        texts = {name: column.to_pylist() for name, column in rows.texts.items()}
        values, notes, faults = self._read(texts, rows.broken)
        good = np.array([not fault for fault in faults], dtype=bool)
        probability = np.full(len(rows), np.nan)
        if good.any():
            kept = {name: array[good] for name, array in values.items()}
            decision = self._model.decision
            probability[good] = decision.probabilities(
                self._scorer.many(self._features.matrix(kept))
            )
        results = Results(
            probability=probability,
            positive=probability >= self._model.decision.threshold,
            decile=self._deciles(probability),
            band=pa.array(self._bands(probability), pa.string()),
            notes=pa.array([" ".join(note) for note in notes], pa.string()),
            faults=pa.array([" ".join(fault) for fault in faults], pa.string()),
            reasons=pa.array([""] * len(rows), pa.string()),
        )
        return results, values

    def _read(
        self, texts: Mapping[str, Sequence[str | None]], broken: Mapping[int, str]
    ) -> tuple[dict[str, npt.NDArray[Any]], list[list[str]], list[list[str]]]:
        count = len(next(iter(texts.values())))
        notes: list[list[str]] = [[] for _ in range(count)]
        faults: list[list[str]] = [[] for _ in range(count)]
        values: dict[str, npt.NDArray[Any]] = {}
        for parameter in self._model.contract.parameters:
            name, column = parameter.name, []
            for place, text in enumerate(texts[name]):
                value = None
                if place not in broken:
                    try:
                        value, note = self._features.read_one(name, text)
                        if note is not None:
                            notes[place].append(f"{name}:{note.code}")
                    except BadRow as bad:
                        faults[place] += [f"{name}:{fault.code}" for fault in bad.faults]
                column.append(value)
            kind = object if parameter.is_category else np.float64
            values[name] = np.array(column, dtype=kind)
        for place, code in broken.items():
            faults[place] = [f"fila:{code}"]
        return values, notes, faults

    def _deciles(self, probability: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
        limits = self._model.deciles
        if not limits:
            return np.zeros(len(probability), dtype=np.int8)
        above = 10 - np.searchsorted(np.array(limits), probability, side="left")
        return np.where(np.isnan(probability), 0, above).astype(np.int8)

    def _bands(self, probability: npt.NDArray[np.float64]) -> list[str]:
        limits = self._wanted.bands
        reached = np.searchsorted(np.array(limits), probability, side="right")
        letters = [chr(ord("A") + len(limits) - int(place)) for place in reached]
        return [
            "" if np.isnan(p) else letter for p, letter in zip(probability, letters, strict=True)
        ]
