"""Answers as they are judged: read as the contract reads them, and each debtor once.

A text is read once however many rows have it, and no text leaves this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propensia.distributions import Values
from propensia.faults import ASSUMED, BadRow
from propensia.features import Features, Value
from propensia.store.scored import Scored, Texts

Vector = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Judged:
    """n answers, the last one about each debtor: ``places`` ``(n,)`` among those that were read,
    ascending; ``chances``, ``positive`` and ``values`` of these; ``missing`` by parameter name:
    the share without data, whatever was used instead."""

    places: Places
    chances: Vector
    positive: npt.NDArray[np.bool_]
    values: Values
    missing: Mapping[str, float]

    def __len__(self) -> int:
        return len(self.places)


def last_of_each(debtors: npt.NDArray[np.int64]) -> Places:
    """The place of the last answer about each debtor, ascending."""
    _, from_end = np.unique(debtors[::-1], return_index=True)
    places: Places = np.sort(len(debtors) - 1 - from_end)
    return places


def judged(features: Features, scored: Scored) -> Judged:
    """The answers to judge, with the values of their texts."""
    places = last_of_each(scored.debtors)
    values, missing = {}, {}
    for parameter, texts in zip(features.contract.parameters, scored.texts, strict=True):
        read, without = _read(features, parameter.name, parameter.is_category, texts)
        of_rows = texts.places[places]
        values[parameter.name] = read[of_rows]
        missing[parameter.name] = float(without[of_rows].mean()) if len(places) else 0.0
    return Judged(places, scored.chances[places], scored.positive[places], values, missing)


def _read(
    features: Features, name: str, is_category: bool, texts: Texts
) -> tuple[npt.NDArray[np.object_] | Vector, npt.NDArray[np.bool_]]:
    """The value of each distinct text, and which of them hold no data."""
    values: list[Value] = []
    without = []
    for text in texts.distinct:
        try:
            value, note = features.read_one(name, text)
        except BadRow:  # kept under the same contract it was read before, so this is no text of it
            value, note = None, None
        values.append(value)
        without.append(value is None or (note is not None and note.code == ASSUMED))
    kind = object if is_category else np.float64
    return np.array(values, dtype=kind), np.array(without, dtype=bool)
