"""Which rows a model learns from and which it is judged on: by time, or in folds.

It looks at days, customers and labels only; a customer is never on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propensia.training.rows import Labels, Places, Rows

# The part of the rows that is held out, where there is a date.
HELD_OUT = 0.2
# Days are whole: the held-out part may be so many times smaller or larger than was asked for.
TOLERANCE = 2.0
# Standard errors by which leaving rows out may move the rate of what is left to learn from.
MOST_MOVED = 3.0
# Of each class, in either part; fewer say nothing of a model.
LEAST_CASES = 5


@dataclass(frozen=True, slots=True)
class Split:
    """``train`` and ``test`` are places into the rows, ascending.

    ``since`` is the first day of the held-out part; ``purged`` counts older rows that are in
    neither, because their customer is held out.
    """

    train: Places
    test: Places
    since: np.datetime64
    purged: int


def hold_out(rows: Rows, share: float) -> Split | None:
    """The newest rows, in whole days, about ``share`` of all; the rest is to be learnt from.

    ``None`` where there is no date, where no day cuts off about that share, or where what is left
    to learn from, or to judge on, has too few of a class, is smaller than the held-out part, or
    has another rate than all older rows: where the same customers come back every month until
    they pay, say, who is left is who paid. Then rows are to be judged in folds.
    """
    if rows.days is None or not len(rows):
        return None
    days, counts = np.unique(rows.days, return_counts=True)
    newer = counts[::-1].cumsum()[::-1] / len(rows)
    cut = int(np.argmin(np.abs(newer - share)))
    if not share / TOLERANCE <= newer[cut] <= min(share * TOLERANCE, 0.5):
        return None
    held = rows.days >= days[cut]
    seen = np.isin(rows.groups, rows.groups[held])
    train, test = np.flatnonzero(~held & ~seen), np.flatnonzero(held)
    fewest = min(np.bincount(rows.labels[part], minlength=2).min() for part in (train, test))
    if len(train) < len(test) or fewest < LEAST_CASES:
        return None
    older = rows.labels[~held]
    rate, error = older.mean(), np.sqrt(older.mean() * (1 - older.mean()) / len(older))
    if abs(rows.labels[train].mean() - rate) > MOST_MOVED * error:
        return None
    return Split(train, test, days[cut], len(rows) - len(train) - len(test))


def folds(rows: Rows, count: int, seed: int) -> npt.NDArray[np.int64]:
    """A fold in ``[0, count)`` for each row, ``(n,) int64``, the same for one customer's rows.

    Customers are dealt out in the order of their positives, then of their rows, and by lot among
    equals: two folds differ by no more positives than one customer has. (scikit-learn's
    ``StratifiedGroupKFold`` looks at every fold for every customer: 10 s for 150,000 of them.)
    """
    customers, places = np.unique(rows.groups, return_inverse=True)
    positives = np.bincount(places, weights=rows.labels)
    sizes = np.bincount(places)
    lot = np.random.default_rng(seed).permutation(len(customers))
    dealt: Labels = np.empty(len(customers), dtype=np.int64)
    dealt[np.lexsort((lot, sizes, positives))] = np.arange(len(customers)) % count
    return dealt[places]
