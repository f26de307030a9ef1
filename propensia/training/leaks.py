"""How well one parameter alone tells the classes apart: nearly perfectly means it knows too much.

It looks at values as a model would see them, and fits nothing that outlives a call.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

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
# What has so many rows, nearly all of one class, knows the answer of those rows.
ONE_SIDED = 0.995
ONE_SIDED_ROWS = 50
ONE_SIDED_SHARE = 0.01
# Where a class is rarer, whole values without it are nothing odd.
RAREST = 0.05
# So many rows of the missing class were to be expected: none is luck once in exp(15) times.
EXPECTED = 15.0

Vector = npt.NDArray[np.float64]
Part = Literal["data", "no_data", "value"]


@dataclass(frozen=True, slots=True)
class Side:
    """A part of a column that is nearly all of one class, and how many ``rows`` it has."""

    part: Part
    rows: int
    positive: bool


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


def one_sided(rows: Rows) -> dict[str, Side]:
    """By parameter name, the first part of its column that is nearly all of one class: what has
    data, what has none, or a value. A date that is filled in for some payers alone is one."""
    rate = float(rows.labels.mean())
    if not RAREST <= rate <= 1 - RAREST:
        return {}
    least = max(ONE_SIDED_ROWS, ONE_SIDED_SHARE * len(rows))
    found = {}
    for name, values in rows.values.items():
        for part, count, positives in _parts(values, rows.labels):
            positive = positives > count / 2
            enough = count >= least and count * (1 - rate if positive else rate) >= EXPECTED
            if enough and max(positives, count - positives) >= ONE_SIDED * count:
                found[name] = Side(part, count, positive)
                break
    return found


def _parts(values: npt.NDArray[Any], labels: Labels) -> Iterator[tuple[Part, int, int]]:
    """The rows and the positives of each part of a column."""
    if values.dtype == object:
        values = values.astype(str)
    else:
        known = ~np.isnan(values)
        yield "data", int(known.sum()), int(labels[known].sum())
        yield "no_data", int((~known).sum()), int(labels[~known].sum())
        values, labels = values[known], labels[known]
    places = np.unique(values, return_inverse=True)[1]
    counts = np.bincount(places)
    positives = np.bincount(places, labels, minlength=len(counts))
    for count, positive in zip(counts.tolist(), positives.tolist(), strict=True):
        yield "value", count, int(positive)


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
