"""The columns that a result has after those of its rows: their names, and as typed columns.

It computes nothing: what was found comes from ``scoring``.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from propensia.batch.blocks import Results

# The first six are promised to who reads a result; what comes later stands behind them.
NAMES = ("probabilidad", "clasificacion", "decil", "version", "avisos", "error", "banda")
REASONS = "motivos"
TYPES = {
    "probabilidad": pa.float64(),
    "clasificacion": pa.string(),
    "decil": pa.int8(),
    "version": pa.string(),
    "avisos": pa.string(),
    "error": pa.string(),
    "banda": pa.string(),
    REASONS: pa.string(),
}


@dataclass(frozen=True, slots=True)
class Added:
    """What every row of a run gets alike. ``classes``: the names of negative and positive.

    ``reasons``: whether there is a column of reasons.
    """

    version: str
    classes: tuple[str, str]
    reasons: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The added columns, in order."""
        return (*NAMES, REASONS) if self.reasons else NAMES

    @property
    def schema(self) -> pa.Schema:
        """The same with their types."""
        return pa.schema([(name, TYPES[name]) for name in self.names])

    def columns(self, results: Results) -> list[pa.Array]:
        """The added columns of n rows; null where there is nothing to say."""
        chance = pa.array(results.probability, from_pandas=True)
        known = pc.is_valid(chance)
        negative, positive = (pa.scalar(name, pa.string()) for name in self.classes)
        names = pc.if_else(pa.array(results.positive), positive, negative)
        decile = pa.array(results.decile, pa.int8())
        found = [
            chance,
            pc.if_else(known, names, None),
            pc.if_else(pc.equal(decile, 0), None, decile),
            pa.repeat(pa.scalar(self.version, pa.string()), len(results.probability)),
            *(_told(texts) for texts in (results.notes, results.faults, results.band)),
        ]
        return [*found, _told(results.reasons)] if self.reasons else found


def _told(texts: pa.StringArray) -> pa.StringArray:
    return pc.if_else(pc.equal(texts, ""), None, texts)
