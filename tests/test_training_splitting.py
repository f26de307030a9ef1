"""Parts and folds: no customer on both sides, whole days, and classes shared out evenly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensia.training.rows import Rows
from propensia.training.splitting import folds, hold_out

FIRST = np.datetime64("2023-01-01")


def rows(
    labels: npt.ArrayLike, groups: npt.ArrayLike | None = None, days: npt.ArrayLike | None = None
) -> Rows:
    marks = np.asarray(labels, dtype=np.int64)
    own = np.arange(len(marks)) if groups is None else np.asarray(groups)
    return Rows(
        values={},
        labels=marks,
        groups=own.astype(np.int64),
        days=None if days is None else FIRST + np.asarray(days).astype("timedelta64[D]"),
    )


# By time


def test_the_newest_whole_days_are_held_out_whatever_the_order_of_the_rows() -> None:
    random = np.random.default_rng(1)
    days = random.permutation(np.repeat(np.arange(10), 10))
    split = hold_out(rows(np.arange(100) % 2, days=days), 0.2)
    assert split is not None
    assert split.since == np.datetime64("2023-01-09")
    assert set(days[split.test]) == {8, 9}
    assert set(days[split.train]) == set(range(8))
    assert (len(split.train), len(split.test), split.purged) == (80, 20, 0)


def test_the_day_whose_share_is_nearest_is_the_cut() -> None:
    """Newer than each day are 100, 60, 27 and 12 rows of 100: 27 is nearer to 20 than 12."""
    days = np.repeat([0, 1, 2, 3], [40, 33, 15, 12])
    split = hold_out(rows(np.arange(100) % 2, days=days), 0.2)
    assert split is not None
    assert (len(split.test), split.since) == (27, np.datetime64("2023-01-03"))


def test_older_rows_of_a_held_out_customer_are_in_neither_part() -> None:
    days = np.repeat(np.arange(10), 10)
    groups = np.arange(100)
    groups[[0, 11, 55]] = groups[[95, 96, 97]]  # three who come back on the last day
    split = hold_out(rows(np.arange(100) % 2, groups, days), 0.2)
    assert split is not None
    assert split.purged == 3
    assert not set(groups[split.train]) & set(groups[split.test])
    left_out = set(range(100)) - set(split.train) - set(split.test)
    assert left_out == {0, 11, 55}


@pytest.mark.parametrize(
    ("labels", "groups", "days"),
    [
        (np.arange(100) % 2, None, None),
        (np.arange(100) % 2, None, np.zeros(100)),
        (np.arange(100) % 2, None, np.repeat([0, 1], 50)),  # half of the rows is too many
        (np.arange(100) % 2, None, np.repeat([0, 1], [98, 2])),
        (np.arange(100) % 2, np.tile(np.arange(10), 10), np.repeat(np.arange(10), 10)),
        (np.repeat([1, 0], [80, 20]), None, np.repeat(np.arange(10), 10)),
        ([], None, []),
    ],
    ids=["no date", "one day", "two days", "a thin day", "all come back", "one class", "no rows"],
)
def test_without_a_fair_cut_nothing_is_held_out(
    labels: npt.ArrayLike, groups: npt.ArrayLike | None, days: npt.ArrayLike | None
) -> None:
    assert hold_out(rows(labels, groups, days), 0.2) is None


# In folds


def per_fold(values: npt.NDArray[np.int64], found: npt.NDArray[np.int64], count: int) -> list[int]:
    return [int(values[found == fold].sum()) for fold in range(count)]


@given(
    sizes=st.lists(st.integers(1, 6), min_size=12, max_size=80),
    count=st.integers(2, 10),
    seed=st.integers(0, 99),
)
def test_a_customer_is_in_one_fold_and_the_classes_are_shared_out(
    sizes: list[int], count: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    groups = np.repeat(random.permutation(len(sizes)), sizes)
    order = random.permutation(len(groups))
    table = rows((random.random(len(groups)) < 0.3)[order], groups[order])
    found = folds(table, count, seed)
    assert found.shape == (len(table),)
    assert set(found) == set(range(count))
    assert all(len(set(found[table.groups == group])) == 1 for group in set(table.groups))
    positives = per_fold(table.labels, found, count)
    most = max(int(table.labels[table.groups == group].sum()) for group in set(table.groups))
    assert max(positives) - min(positives) <= most


def test_rows_of_their_own_are_shared_out_to_the_row() -> None:
    labels = np.random.default_rng(2).permutation(np.repeat([1, 0], [257, 743]))
    found = folds(rows(labels), 5, 3)
    assert sorted(per_fold(labels, found, 5)) == [51, 51, 51, 52, 52]
    assert sorted(np.bincount(found)) == [200] * 5


def test_folds_depend_on_the_seed_and_on_nothing_else() -> None:
    labels = np.arange(300) % 3 == 0
    first, again, other = (folds(rows(labels), 5, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    # By chance a fifth stays.
    assert 0.1 < np.mean(first == other) < 0.35


def test_folds_do_not_follow_the_order_of_the_table() -> None:
    """Rows come sorted by scenario and day: a fold must not be a stretch or a stride of them."""
    found = folds(rows(np.zeros(5_000)), 5, 1)
    for places in (slice(0, 1_000), slice(0, None, 5)):
        # 1,000 draws at 1/5: the standard deviation is 13, and 60 are more than four of them.
        assert np.all(np.abs(np.bincount(found[places], minlength=5) - 200) < 60)


def test_150_000_customers_are_dealt_out_at_once() -> None:
    """As large as the largest public table; the sizes of folds differ by less than 0.1 %."""
    random = np.random.default_rng(4)
    groups = random.integers(0, 150_000, 200_000)
    table = rows(random.random(200_000) < 0.25, groups)
    found = folds(table, 5, 1)
    assert np.ptp(np.bincount(found)) < 200
    assert np.ptp(per_fold(table.labels, found, 5)) < 50


def test_customers_who_stay_until_they_pay_are_not_cut_by_time() -> None:
    """Without those who are held out, nearly only payers would be left to learn from."""
    random = np.random.default_rng(2)
    groups, days, labels = [], [], []
    for customer in range(900):
        start = int(random.integers(0, 12))
        for month in range(start, 12):
            paid = random.random() < 0.25
            groups.append(customer)
            days.append(np.datetime64("2025-01-01") + 30 * month)
            labels.append(int(paid))
            if paid:
                break
    stay = rows(labels, groups, np.array(days))
    assert hold_out(stay, 0.2) is None
    assert hold_out(rows(labels, None, np.array(days)), 0.2) is not None
