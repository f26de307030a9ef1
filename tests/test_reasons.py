"""Reasons against Shapley's own definition: the mean over every order of arrival."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from math import factorial

import numpy as np
import numpy.typing as npt
import pytest

from propensia import reasons

Matrix = npt.NDArray[np.float64]
Groups = Sequence[Sequence[int]]

# Seven columns in five groups: one of three columns, one that feeds nothing, one that is equal.
GROUPS: Groups = ([0], [1, 2, 3], [], [4], [5], [6])
ROW = np.array([0.2, 1.0, 0.0, 0.5, 0.9, 0.3, 0.7])
BASE = np.array([0.6, 0.0, 1.0, 0.5, 0.1, 0.3, 0.4])


def curved(rows: Matrix) -> Matrix:
    """Interactions of all orders, and a bend."""
    inner = rows @ np.array([1.0, -2.0, 0.5, 0.3, 1.5, 9.0, -0.7])
    return np.asarray(np.tanh(inner + 3 * rows[:, 0] * rows[:, 1] * rows[:, 4] - rows[:, 6] ** 2))


def by_definition(
    score: Callable[[Matrix], Matrix], row: Matrix, base: Matrix, groups: Groups
) -> Matrix:
    """Each group's mean gain on arrival, over all orders: nothing shared with the module."""
    found: Matrix = np.zeros(len(groups))
    for order in permutations(range(len(groups))):
        now = base.copy()
        before = score(now[None, :])[0]
        for player in order:
            for column in groups[player]:
                now[column] = row[column]
            after = score(now[None, :])[0]
            found[player] += after - before
            before = after
    return np.asarray(found / factorial(len(groups)))


def test_they_are_the_values_of_the_definition() -> None:
    found = reasons.effects(curved, ROW, BASE, GROUPS)
    # 720 orders of a few roundings each.
    assert found == pytest.approx(by_definition(curved, ROW, BASE, GROUPS), abs=1e-14)
    assert np.abs(found[[0, 1, 3, 5]]).min() > 0.001, "the case must tell groups apart"


def test_they_add_up_to_the_difference_of_the_scores() -> None:
    found = reasons.effects(curved, ROW, BASE, GROUPS)
    wanted = (curved(ROW[None, :]) - curved(BASE[None, :]))[0]
    assert found.sum() == pytest.approx(wanted, abs=1e-14)


def test_a_group_without_columns_or_without_a_difference_has_none() -> None:
    found = reasons.effects(curved, ROW, BASE, GROUPS)
    assert found[2] == 0.0
    assert found[4] == 0.0


def test_a_sum_is_taken_apart_into_its_terms() -> None:
    weights = np.arange(1.0, 8.0)
    found = reasons.effects(lambda rows: rows @ weights, ROW, BASE, GROUPS)
    terms = weights * (ROW - BASE)
    wanted = [sum(terms[list(group)]) for group in GROUPS]
    assert found == pytest.approx(np.array(wanted, dtype=float), abs=1e-14)


def test_the_typical_row_itself_has_no_reasons_and_is_not_scored() -> None:
    def never(rows: Matrix) -> Matrix:
        raise AssertionError("nothing to score")

    assert reasons.effects(never, BASE, BASE, GROUPS).tolist() == [0.0] * len(GROUPS)


def ten(rows: Matrix) -> Matrix:
    """Ten columns with pairs that work together, as trees and networks have them."""
    weights = np.linspace(-1.0, 1.0, 10)
    pairs = rows[:, 0] * rows[:, 9] + rows[:, 4] * rows[:, 5] - rows[:, 2] * rows[:, 7]
    return np.asarray(1 / (1 + np.exp(-(rows @ weights + pairs))))


def exact_of_ten(row: Matrix, base: Matrix) -> Matrix:
    """Over all 1024 coalitions, from the definition with weights by size."""
    worth = np.empty(1 << 10)
    for coalition in range(1 << 10):
        present = np.array([coalition >> place & 1 for place in range(10)], dtype=bool)
        worth[coalition] = ten(np.where(present, row, base)[None, :])[0]
    found = np.zeros(10)
    for player in range(10):
        for coalition in range(1 << 10):
            if not coalition >> player & 1:
                size = coalition.bit_count()
                weight = factorial(size) * factorial(9 - size) / factorial(10)
                found[player] += weight * (worth[coalition | 1 << player] - worth[coalition])
    return found


def test_above_eight_groups_they_are_close_and_still_add_up() -> None:
    random = np.random.default_rng(7)
    groups = [[i] for i in range(10)]
    for _ in range(3):
        row, base = random.random(10), random.random(10)
        found = reasons.effects(ten, row, base, groups)
        wanted = exact_of_ten(row, base)
        span = ten(row[None, :])[0] - ten(base[None, :])[0]
        assert found.sum() == pytest.approx(span, abs=1e-14)
        # The mean of 64 orders; pairs of an order and its reverse are exact for two-way effects.
        assert np.abs(found - wanted).max() < 0.03 * np.abs(wanted).max()
        assert np.argmax(np.abs(found)) == np.argmax(np.abs(wanted))


def test_the_same_row_always_has_the_same_reasons() -> None:
    random = np.random.default_rng(8)
    row, base = random.random(10), random.random(10)
    groups = [[i] for i in range(10)]
    first, second = (reasons.effects(ten, row, base, groups) for _ in range(2))
    assert first.tolist() == second.tolist()


@pytest.mark.parametrize("players", [1, reasons.EXACT_UP_TO, reasons.EXACT_UP_TO + 1, 13])
def test_the_work_is_bounded(players: int) -> None:
    asked: list[int] = []

    def count(rows: Matrix) -> Matrix:
        asked.append(len(rows))
        return np.asarray(rows.sum(axis=1))

    row, base = np.ones(players), np.zeros(players)
    found = reasons.effects(count, row, base, [[i] for i in range(players)])
    assert found == pytest.approx(np.ones(players), abs=1e-12)
    assert len(asked) == 1
    assert asked[0] <= 1024
