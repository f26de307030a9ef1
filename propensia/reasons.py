"""Which parameters moved a score: Shapley values of rows against the typical row.

It sees a scoring function and two rows of columns, never a model or a request.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Score = Callable[[Matrix], Matrix]

EXACT_UP_TO = 8
ORDERS = 32
MIXED = 16_384


def effects(score: Score, row: Matrix, base: Matrix, groups: Sequence[Sequence[int]]) -> Matrix:
    """The effect of each group of columns on the score, ``(len(groups),)``, same unit as it.

    ``row`` and ``base`` are ``(k,)``; ``groups`` are the column indexes of each parameter. The
    effects add up to ``score(row) - score(base)``. A group that is equal in both has none.

    Shapley values with one reference row (Lundberg and Lee, 2017, eq. 4, with absent groups taken
    from ``base``; the game of Štrumbelj and Kononenko, 2010). Exact over all coalitions for up
    to eight groups that differ; above that, the mean over 32 orders and their reverses, drawn
    with a fixed seed, so the same row always gets the same answer.
    """
    found: Matrix = effects_many(score, row[np.newaxis], base, groups)[0]
    return found


def effects_many(
    score: Score, rows: Matrix, base: Matrix, groups: Sequence[Sequence[int]]
) -> Matrix:
    """The effects of n rows ``(n, k)``, ``(n, len(groups))``: each bit for bit as it is alone.

    Rows with as many differing groups are mixed together, up to ``MIXED`` mixtures at a time.
    """
    unlike = ~((rows == base) | (np.isnan(rows) & np.isnan(base)))
    differing = np.stack([unlike[:, list(group)].any(axis=1) for group in groups], axis=1)
    counts = differing.sum(axis=1)
    owner = np.full(rows.shape[1], -1)
    for number, group in enumerate(groups):
        owner[list(group)] = number
    found = np.zeros((len(rows), len(groups)))
    for count in np.unique(counts[counts > 0]).tolist():
        game = _exact(count) if count <= EXACT_UP_TO else _sampled(count)
        alike = np.flatnonzero(counts == count)
        step = max(1, MIXED // len(game.present))
        for some in (alike[at : at + step] for at in range(0, len(alike), step)):
            worth = score(_mixed(rows[some], base, differing[some], owner, game.present))
            values = _shares(game, worth.reshape(len(game.present), len(some)))
            found[some[:, np.newaxis], np.nonzero(differing[some])[1].reshape(-1, count)] = values
    return found


@dataclass(frozen=True, slots=True)
class _Game:
    """What is looked at for so many players.

    ``present (m, players) bool``: the coalitions. ``after``, ``before`` ``(s, players)``: places
    in it, with and without the player; ``weight (s, 1)`` or ``(s, players)``: of that step.
    """

    present: npt.NDArray[np.bool_]
    after: npt.NDArray[np.intp]
    before: npt.NDArray[np.intp]
    weight: Matrix


@functools.cache
def _exact(count: int) -> _Game:
    """Every coalition, in the order of the bits of its place."""
    places = np.arange(1 << count)
    present = (places[:, np.newaxis] >> np.arange(count) & 1).astype(bool)
    before, weight = [], []
    for player in range(count):
        others = [p for p in range(count) if p != player]
        without = [m for size in range(count) for m in combinations(others, size)]
        before.append([sum(1 << p for p in members) for members in without])
        weight.append(
            [factorial(len(m)) * factorial(count - len(m) - 1) / factorial(count) for m in without]
        )
    start = np.array(before).T
    return _Game(present, start | 1 << np.arange(count), start, np.array(weight).T)


@functools.cache
def _sampled(count: int) -> _Game:
    """The coalitions along the orders; one that is met again is looked at once."""
    random = np.random.default_rng(0)
    orders = [random.permutation(count) for _ in range(ORDERS)]
    orders += [order[::-1] for order in orders]
    present = np.zeros((len(orders), count + 1, count), dtype=bool)
    for o, order in enumerate(orders):
        for place, player in enumerate(order):
            present[o, place + 1 :, player] = True
    different, places = np.unique(present.reshape(-1, count), axis=0, return_inverse=True)
    along = places.reshape(len(orders), count + 1)
    turn = np.argsort(np.array(orders), axis=1)  # when each player comes
    before = np.take_along_axis(along, turn, axis=1)
    after = np.take_along_axis(along, turn + 1, axis=1)
    return _Game(different, after, before, np.ones((len(orders), 1)) / len(orders))


def _shares(game: _Game, worth: Matrix) -> Matrix:
    """What each player adds, ``(n, players)``, from what coalitions are worth, ``(m, n)``.

    Step by step in a fixed order, and not by a product of matrices, whose sums would depend on
    the number of rows.
    """
    found = np.zeros((worth.shape[1], game.present.shape[1]))
    for after, before, weight in zip(game.after, game.before, game.weight, strict=True):
        found += (weight[:, np.newaxis] * (worth[after] - worth[before])).T
    return found


def _mixed(
    rows: Matrix,
    base: Matrix,
    differing: npt.NDArray[np.bool_],
    owner: npt.NDArray[np.intp],
    present: npt.NDArray[np.bool_],
) -> Matrix:
    """A row per coalition and row: the columns of present players from the row, the rest from
    ``base``; coalition by coalition."""
    absent = np.zeros((len(present), 1), dtype=bool)
    players = np.where(differing, np.cumsum(differing, axis=1) - 1, present.shape[1])
    of_column = np.where(owner >= 0, players[:, owner], present.shape[1])
    taken = np.hstack([present, absent])[:, of_column]
    return np.where(taken, rows, base).reshape(-1, len(base))
