"""What a table looks like: shares by group, missing data, correlations, order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from learnable_rows import rows as learnable
from scipy.stats import binomtest

from propensia.contract import Contract
from propensia.training import exploring
from propensia.training.rows import Rows


@pytest.fixture(scope="module")
def rows(contract: Contract) -> Rows:
    return learnable(contract, 2_000)


def test_the_limits_of_a_share_are_those_of_scipy() -> None:
    found = exploring.rates(["a", "b"], [3, 0], [40, 12])
    for place, (hits, count) in enumerate(((3, 40), (0, 12))):
        wanted = binomtest(hits, count).proportion_ci(method="wilson")
        assert found.low[place] == pytest.approx(wanted.low, abs=1e-12)
        assert found.high[place] == pytest.approx(wanted.high, abs=1e-12)


def test_the_groups_of_a_text_are_those_of_pandas(contract: Contract, rows: Rows) -> None:
    found = exploring.by_group(contract, rows, "er")
    wanted = pd.Series(rows.labels).groupby(rows.values["er"]).agg(["mean", "size"])
    assert list(found.names) == list(contract.parameter("er").values)
    assert dict(zip(found.names, found.shares, strict=True)) == pytest.approx(
        wanted["mean"].to_dict()
    )
    assert dict(zip(found.names, found.counts, strict=True)) == wanted["size"].to_dict()


def test_chances_may_stand_for_the_labels(contract: Contract, rows: Rows) -> None:
    said = np.linspace(0, 1, len(rows))
    found = exploring.by_group(contract, rows, "ec", said)
    wanted = pd.Series(said).groupby(rows.values["ec"]).mean()
    assert dict(zip(found.names, found.shares, strict=True)) == pytest.approx(wanted.to_dict())


def test_of_a_month_counts_whether_there_is_one(contract: Contract, rows: Rows) -> None:
    found = exploring.by_group(contract, rows, "fb")
    without = np.isnan(rows.values["fb"])
    assert found.names == ("con dato", "sin dato")
    assert found.counts.tolist() == [(~without).sum(), without.sum()]


def test_a_number_is_cut_into_parts_of_like_size_in_order() -> None:
    values = np.random.default_rng(1).permutation(np.arange(1_000) / 4)
    labels = (values > 100).astype(np.int64)
    found = exploring.along(values, labels)
    assert len(found.names) == 10 and set(found.counts) == {100}
    assert found.shares.tolist() == [0, 0, 0, 0] + [pytest.approx(0.99)] + [1] * 5
    assert found.names[0].startswith("hasta ") and found.names[-1].startswith("más de ")


def test_whole_numbers_are_named_by_the_values_they_hold() -> None:
    values = np.array([1.0] * 50 + [2.0] * 30 + [3.0] * 15 + [7.0] * 5)
    found = exploring.along(values, (values > 2).astype(np.int64))
    assert found.names == ("1", "2", "3", "4 o más")
    assert found.counts.tolist() == [50, 30, 15, 5]
    wide = exploring.along(np.arange(100.0), np.zeros(100, dtype=np.int64), parts=4)
    assert wide.names == ("0 a 24", "25 a 49", "50 a 74", "75 o más")


def test_rows_without_data_come_last_and_a_constant_is_one_part() -> None:
    found = exploring.along(np.array([5.0, 5.0, np.nan]), np.array([1, 0, 1]))
    assert found.names == ("todas", "sin dato")
    assert found.shares.tolist() == [0.5, 1.0]
    assert exploring.along(np.full(3, np.nan), np.array([1, 0, 0])).names == ("sin dato",)


def test_missing_is_what_the_file_lacks_and_no_label_that_looks_like_it(
    contract: Contract,
) -> None:
    """``N/A`` is a label of one parameter and no data for every other."""
    feature = {name: contract.parameter(name).feature for name in ("po", "vt", "ed")}
    texts = {
        feature["po"]: ["N/A ", "", "SI", "NO"],
        feature["vt"]: ["n/a", "S", "N", " "],
        feature["ed"]: ["NaN", "0-30", "31-50", "MAYOR 65"],
    }
    assert exploring.missing(contract, texts) == {"po": 0.25, "vt": 0.5, "ed": 0.25}


def test_correlations_are_those_of_numpy_with_a_column_for_each_parameter(
    contract: Contract, rows: Rows
) -> None:
    found = exploring.correlations(contract, rows, 30)
    table = rows.table(contract, "columns")
    moving = {c.source for c in contract.columns if table[c.name].nunique() > 1}
    assert found.shape == (len(moving) + 1, len(moving) + 1)
    strength = found.iloc[0, 1:].abs()
    assert list(strength) == sorted(strength, reverse=True)
    name = contract.parameter("cf").label["es"]
    wanted = np.corrcoef(table["CANTIDAD_FACTURAS"], rows.labels)[0, 1]
    assert found.loc[name, contract.positive_name["es"]] == pytest.approx(wanted)
    bands = [c.name for c in contract.columns if c.source == "ed"]
    best = max(bands, key=lambda band: abs(np.corrcoef(table[band], rows.labels)[0, 1]))
    assert [band for band in bands if band in found] == [best]


def test_constant_columns_have_no_correlation_and_are_left_out(
    contract: Contract, rows: Rows
) -> None:
    same = replace(rows, values={**rows.values, "ec": np.full(len(rows), "A", dtype=object)})
    found = exploring.correlations(contract, same, 30)
    assert contract.parameter("ec").label["es"] not in found
    assert not found.isna().to_numpy().any()


@pytest.mark.parametrize(
    ("order", "differs"), [(sorted, True), (lambda texts: texts, False)], ids=["sorted", "random"]
)
def test_a_sorted_column_repeats_the_row_before_more_than_by_chance(
    order: Callable[[list[str]], list[str]], differs: bool
) -> None:
    texts = np.random.default_rng(2).choice(["a", "b", "c"], 2_000, p=[0.5, 0.3, 0.2]).tolist()
    found, by_chance = exploring.alike(order(texts))
    # Of a pair drawn by lot, both alike: the sum of squared shares.
    assert by_chance == pytest.approx(0.25 + 0.09 + 0.04, abs=0.03)
    # Four standard errors of a share of 2,000 rows are below 0.045.
    assert (found - by_chance > 0.045) == differs
