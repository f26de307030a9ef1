"""How far later rows lie from a sidecar's reference, and how far they would by chance."""

from __future__ import annotations

import numpy as np
import pytest
from learnable_rows import rows as learnable
from scipy.stats import chi2

from propensia.contract import Contract
from propensia.training import drift, reference
from propensia.training.rows import Rows


def described(contract: Contract, rows: Rows) -> dict[str, object]:
    return {"filas": len(rows), "parametros": reference.parameters(contract, rows)}


def test_the_rows_themselves_have_not_drifted(contract: Contract) -> None:
    rows = learnable(contract, 1_000)
    found = drift.parameters(described(contract, rows), contract, rows)
    assert {one.name for one in found} == {p.name for p in contract.parameters}
    # What is kept has seven digits.
    assert all(one.index == pytest.approx(0, abs=1e-9) for one in found)


def test_what_moved_comes_first_with_the_index_that_its_shares_give(contract: Contract) -> None:
    rows = learnable(contract, 4_000)
    later = rows.take(np.flatnonzero((rows.values["ec"] == "A") | (rows.labels == 1)))
    first, *_ = drift.parameters(described(contract, rows), contract, later)
    before = np.mean(rows.values["ec"] == "A")
    now = np.mean(later.values["ec"] == "A")
    wanted = (now - before) * np.log(now / before)
    wanted += (before - now) * np.log((1 - now) / (1 - before))
    assert first.name == "ec" and first.index == pytest.approx(wanted, rel=1e-5)


def test_a_month_that_goes_on_has_not_drifted(contract: Contract) -> None:
    rows = learnable(contract, 1_000)
    later = Rows({**rows.values, "fb": rows.values["fb"] + 100}, rows.labels, rows.groups)
    found = {one.name: one for one in drift.parameters(described(contract, rows), contract, later)}
    assert found["fb"].index == pytest.approx(0, abs=1e-9)


def test_chances_are_compared_with_those_that_were_judged() -> None:
    random = np.random.default_rng(3)
    then, now = random.beta(2, 6, 5_000), random.beta(2, 4, 5_000)
    table = {"puntuacion": reference.scores(then)}
    assert drift.scores(table, then, 5_000).index == pytest.approx(0, abs=1e-9)
    edges = [-np.inf, *np.quantile(then, np.arange(1, 10) / 10), np.inf]
    shares = np.histogram(now, edges)[0] / 5_000
    wanted = float(((shares - 0.1) * np.log(shares / 0.1)).sum())
    # Edges are values and not between two: a row or two may lie on the other side.
    assert drift.scores(table, now, 5_000).index == pytest.approx(wanted, abs=0.002)


@pytest.mark.parametrize("bins", [2, 3, 10, 20])
def test_the_limit_of_chance_is_that_of_the_chi_square(bins: int) -> None:
    exact = chi2.ppf(0.95, bins - 1) * (1 / 4_000 + 1 / 1_000)
    # Wilson and Hilferty's approximation is good to 3 % with one degree of freedom.
    assert drift.by_chance(bins, 4_000, 1_000) == pytest.approx(exact, rel=0.03)
    assert drift.by_chance(1, 4_000, 1_000) == 0


def test_a_limit_of_habit_is_passed_by_chance_where_rows_are_few() -> None:
    """0.1 is no sign of anything in a hundred rows, so the limit of chance lies above it."""
    random = np.random.default_rng(5)
    table = {"puntuacion": reference.scores(random.random(1_000))}
    found = [drift.scores(table, random.random(100), 1_000) for _ in range(200)]
    assert sum(one.index > drift.CALM for one in found) > 50
    assert all(one.by_chance > drift.CALM for one in found)


def test_nineteen_samples_of_twenty_stay_below_the_limit_of_chance() -> None:
    random = np.random.default_rng(4)
    limit, above = drift.by_chance(10, 2_000, 1_000), 0
    for _ in range(1_000):
        table = {"puntuacion": reference.scores(random.random(2_000))}
        above += drift.scores(table, random.random(1_000), 2_000).index > limit
    assert abs(above - 50) <= 28  # four standard errors of such a count


def test_a_moved_month_has_more_of_the_large_and_fewer_positives(contract: Contract) -> None:
    rows = learnable(contract, 4_000)
    moved = drift.moved(rows, "dt", 1.0, seed=1)
    assert len(moved) == 2_000
    assert len(np.unique(moved.groups)) == 2_000  # each row is a customer of its own: none twice
    assert np.median(moved.values["dt"]) > np.median(rows.values["dt"])
    assert moved.labels.mean() < rows.labels.mean() - 0.04  # 4 errors of 2,000 rows
    still = drift.moved(rows, "dt", 0.0, seed=1)
    assert still.labels.mean() == pytest.approx(rows.labels.mean(), abs=0.04)
