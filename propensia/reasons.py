"""Which parameters moved a score: Shapley values of one row against the typical row.

It sees a scoring function and two rows of columns, never a model or a request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from math import factorial

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Score = Callable[[Matrix], Matrix]

EXACT_UP_TO = 8
ORDERS = 32


def effects(score: Score, row: Matrix, base: Matrix, groups: Sequence[Sequence[int]]) -> Matrix:
    """The effect of each group of columns on the score, ``(len(groups),)``, same unit as it.

    ``row`` and ``base`` are ``(k,)``; ``groups`` are the column indexes of each parameter. The
    effects add up to ``score(row) - score(base)``. A group that is equal in both has none.

    Shapley values with one reference row (Lundberg and Lee, 2017, eq. 4, with absent groups taken
    from ``base``; the game of Štrumbelj and Kononenko, 2010). Exact over all coalitions for up
    to eight groups that differ; above that, the mean over 32 orders and their reverses, drawn
    with a fixed seed, so the same row always gets the same answer.
    """
    differing = [
        i
        for i, group in enumerate(groups)
        if not np.array_equal(row[list(group)], base[list(group)], equal_nan=True)
    ]
    players = [list(groups[i]) for i in differing]
    found = np.zeros(len(groups))
    if not players:
        return found
    exact = len(players) <= EXACT_UP_TO
    found[differing] = (_exact if exact else _sampled)(score, row, base, players)
    return found


def _exact(score: Score, row: Matrix, base: Matrix, players: list[list[int]]) -> Matrix:
    count = len(players)
    worth = score(
        _mixed(
            row,
            base,
            players,
            np.array(
                [[coalition >> p & 1 for p in range(count)] for coalition in range(1 << count)],
                dtype=bool,
            ),
        )
    )
    found = np.zeros(count)
    for player in range(count):
        others = [p for p in range(count) if p != player]
        for size in range(count):
            weight = factorial(size) * factorial(count - size - 1) / factorial(count)
            for members in combinations(others, size):
                coalition = sum(1 << p for p in members)
                found[player] += weight * (worth[coalition | 1 << player] - worth[coalition])
    return found


def _sampled(score: Score, row: Matrix, base: Matrix, players: list[list[int]]) -> Matrix:
    count = len(players)
    random = np.random.default_rng(0)
    orders = [random.permutation(count) for _ in range(ORDERS)]
    orders += [order[::-1] for order in orders]
    present = np.zeros((len(orders), count + 1, count), dtype=bool)
    for o, order in enumerate(orders):
        for place, player in enumerate(order):
            present[o, place + 1 :, player] = True
    worth = score(_mixed(row, base, players, present.reshape(-1, count)))
    steps = np.diff(worth.reshape(len(orders), count + 1), axis=1)
    found = np.zeros(count)
    for o, order in enumerate(orders):
        found[order] += steps[o]
    return found / len(orders)


def _mixed(
    row: Matrix, base: Matrix, players: list[list[int]], present: npt.NDArray[np.bool_]
) -> Matrix:
    """A row per coalition: the columns of present players from ``row``, the rest from ``base``."""
    mixed = np.tile(base, (len(present), 1))
    for player, columns in enumerate(players):
        mixed[np.ix_(np.flatnonzero(present[:, player]), np.array(columns))] = row[columns]
    return mixed
