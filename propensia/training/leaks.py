"""How well one parameter alone tells the classes apart: nearly perfectly means it knows too much.

It looks at values as a model would see them, and fits nothing that outlives a call.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from propensia import stats
from propensia.training.rows import Labels, Rows

MOST_ROWS = 200_000
PARTS = 5
# Values of at least this share of the rows are judged by themselves, the rest in so many bins.
FREQUENT = 0.002
BINS = 50
# A cell's rate is drawn towards the base rate as if so many rows more had been seen.
PRIOR_ROWS = 1.0

Vector = npt.NDArray[np.float64]


def single_auc(rows: Rows) -> dict[str, float]:
    """By parameter name, the best AUC that its values reach alone, in [0.5, 1] but for noise.

    The best of: a number as it is, upwards or downwards; and the payment rate of its value (rare
    numbers in bins of equal mass), learnt from other customers than the rows
    that it is judged on. Of many rows a random part is looked at. Raises ``stats.OneClass``.
    """
    # Groups are numbered at random, so the first of them are a sample of whole customers.
    if len(rows) > MOST_ROWS:
        last = np.partition(rows.groups, MOST_ROWS)[MOST_ROWS]
        rows = rows.take(np.flatnonzero(rows.groups <= last))
    return {name: _best(values, rows) for name, values in rows.values.items()}


def _best(values: npt.NDArray[Any], rows: Rows) -> float:
    aucs = [stats.auc(rows.labels, _rates(_cells(values), rows))]
    if values.dtype != object:
        known = ~np.isnan(values)
        ends = (values[known].min() - 1, values[known].max() + 1) if known.any() else (0.0,)
        for no_data in ends:
            upwards = stats.auc(rows.labels, np.where(known, values, no_data))
            aucs += [upwards, 1 - upwards]
    return max(aucs)


def _cells(values: npt.NDArray[Any]) -> Labels:
    """A small number for each row, ``(n,) int64``, equal where values are to be told together."""
    if values.dtype == object:
        return np.unique(values.astype(str), return_inverse=True)[1].astype(np.int64)
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    frequent = counts >= max(FREQUENT * len(values), 2)
    # Rare values get the bin that holds the middle of their mass.
    mass = np.where(frequent, 0, counts)
    middle = (mass.cumsum() - mass / 2) / max(int(mass.sum()), 1)
    cells = np.minimum((middle * BINS).astype(np.int64), BINS - 1)
    cells[frequent] = BINS + np.arange(int(frequent.sum()))
    return cells[places]


def _rates(cells: Labels, rows: Rows) -> Vector:
    """For each row the rate of positives of its cell among the rows of the other parts."""
    part = rows.groups % PARTS
    kinds = int(cells.max()) + 1
    own = cells * PARTS + part
    counts = np.bincount(own, minlength=kinds * PARTS).reshape(kinds, PARTS)
    positives = np.bincount(own, rows.labels, minlength=kinds * PARTS).reshape(kinds, PARTS)
    others = counts.sum(axis=1, keepdims=True) - counts
    other_positives = positives.sum(axis=1, keepdims=True) - positives
    rate = (other_positives + PRIOR_ROWS * rows.labels.mean()) / (others + PRIOR_ROWS)
    chosen: Vector = rate[cells, part]
    return chosen
