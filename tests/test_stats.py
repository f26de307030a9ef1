"""Spearman's correlation against SciPy's, and the cases that have an answer by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr  # type: ignore[import-untyped]  # SciPy ships no types

from propensia.stats import rank_correlation


@pytest.mark.parametrize("levels", [2, 5, 1_000_000])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_one_of_scipy_with_and_without_ties(levels: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    first = random.integers(0, levels, 500).astype(np.float64)
    second = first + random.integers(0, levels, 500)
    # Both sum 500 products in double: a few units in the last place apart.
    wanted = spearmanr(first, second).statistic
    assert rank_correlation(first, second) == pytest.approx(wanted, abs=1e-12)


def test_only_the_order_counts() -> None:
    values = np.array([0.1, 0.5, 0.2, 0.9])
    assert rank_correlation(values, np.exp(9 * values)) == pytest.approx(1.0)
    assert rank_correlation(values, -values) == pytest.approx(-1.0)


def test_a_constant_has_no_order() -> None:
    values = np.array([1.0, 2.0, 3.0])
    assert rank_correlation(values, np.zeros(3)) == 0.0
    assert rank_correlation(np.zeros(3), values) == 0.0
