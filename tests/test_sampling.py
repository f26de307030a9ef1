"""Drawn rows have the declared shape, and every one of them is within the contract."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from propensia import sampling
from propensia.contract import Contract, Parameter
from propensia.features import Features

COUNT = 20_000
# Five standard deviations of a share of one half among COUNT rows.
NEAR = 5 * 0.5 / COUNT**0.5


def columns_by_hand(values: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
    """The 16 columns of the published recipe, written from its description alone."""
    age = values["ed"]
    both = {"S": 1.0, "N": 0.0}
    return np.column_stack(
        [
            np.minimum(np.maximum(values["cf"], 1), 3.5) / 3.5,
            np.minimum(values["im"], 314.24) / 314.24,
            [1.0 if text in ("PER", "FU") else 0.0 for text in values["er"]],
            np.minimum(values["dt"], 628.83) / 628.83,
            [1.0 if text == "SI" else 0.0 for text in values["po"]],
            [both[text] for text in values["vt"]],
            (values["cp"].astype(int) // 1000) / 52,
            np.minimum(values["nl"], 2.5) / 2.5,
            [1.0 if text == "A" else 0.0 for text in values["ec"]],
            [both[text] for text in values["vf"]],
            [both[text] for text in values["vb"]],
            1.0 - np.isnan(values["fb"]),
            age <= 30,
            (age >= 31) & (age <= 50),
            (age >= 51) & (age <= 65),
            age >= 66,
        ]
    )


@pytest.mark.parametrize("draw", [sampling.draw, sampling.edges])
def test_every_row_gives_the_columns_of_the_recipe(draw: Any, contract: Contract) -> None:
    values = draw(contract, COUNT, 1)
    matrix = Features(contract).matrix(values)
    assert matrix.tolist() == columns_by_hand(values).tolist()
    assert np.isfinite(matrix).all()
    assert (matrix.min(), matrix.max()) == (0.0, 1.0)
    assert (matrix[:, 12:].sum(axis=1) == 1.0).all()


@pytest.mark.parametrize("draw", [sampling.draw, sampling.edges])
def test_a_caller_could_send_every_row(draw: Any, contract: Contract) -> None:
    """Each value, written as a text, is read back without a note."""
    features = Features(contract)
    values = draw(contract, 300, 2)
    for i in range(300):
        texts = {name: spelled(column[i]) for name, column in values.items()}
        read, notes = features.read(texts)
        assert notes == []
        for value, column in zip(read, values.values(), strict=True):
            assert value == column[i] or (value is None and np.isnan(column[i]))


def spelled(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "NaN" if np.isnan(value) else repr(float(value))


def test_categories_come_as_often_as_declared(contract: Contract) -> None:
    drawn = sampling.draw(contract, COUNT, 3)
    for parameter in contract.parameters:
        for text, share in zip(parameter.values, parameter.shares, strict=False):
            assert np.mean(drawn[parameter.name] == text) == pytest.approx(share, abs=NEAR)


def test_numbers_have_the_declared_quantiles(contract: Contract) -> None:
    drawn = sampling.draw(contract, COUNT, 4)
    for parameter in contract.parameters:
        if parameter.is_category or parameter.kind == "month":
            continue
        column = drawn[parameter.name]
        for share, value in parameter.quantiles:
            # Half a unit for whole numbers, half a cent for the others.
            slack = 0.5 if parameter.kind == "integer" else 0.005
            assert np.mean(column < value - slack) <= share + NEAR, (parameter.name, value)
            assert np.mean(column <= value + slack) >= share - NEAR, (parameter.name, value)


def test_months_are_months_within_their_quantiles(contract: Contract) -> None:
    column = sampling.draw(contract, COUNT, 5)["fb"]
    missing = np.isnan(column)
    assert np.mean(missing) == pytest.approx(0.5683, abs=NEAR)
    months = set(column[~missing])
    assert months == {202300.0 + month for month in range(4, 13)}
    assert np.mean(column[~missing] >= 202312) == pytest.approx(0.5, abs=2 * NEAR)


def test_the_whole_domain_is_reached_with_its_limits(contract: Contract) -> None:
    drawn = sampling.edges(contract, COUNT, 6)
    for parameter in contract.parameters:
        column = drawn[parameter.name]
        if parameter.is_category:
            assert set(column) == set(parameter.values)
            continue
        present = column[~np.isnan(column)]
        assert present.min() >= parameter.min and present.max() <= parameter.max
        if parameter.kind == "month":
            assert set(present % 100) == set(range(1, 13))
            assert len(set(present // 100)) == 200
        else:
            assert (present.min(), present.max()) == (parameter.min, parameter.max)
    amounts = drawn["im"]
    for low, high in ((0, 1), (1, 314.24), (314.24, 10_000), (10_000, 1e7)):
        assert np.mean((amounts > low) & (amounts < high)) > 0.03


def test_months_stay_within_limits_that_cut_a_year(contract: Contract) -> None:
    parameter = Parameter(
        name="m", feature="M", kind="month", label={}, example="", min=202311, max=202402
    )
    column = sampling._edges(parameter, 500, np.random.default_rng(1))
    assert set(column) == {202311.0, 202312.0, 202401.0, 202402.0}


def test_the_same_seed_gives_the_same_rows(contract: Contract) -> None:
    first, again, other = (sampling.draw(contract, 50, seed) for seed in (1, 1, 2))
    same = [np.array_equal(first[name], again[name], equal_nan=name == "fb") for name in first]
    assert all(same)
    assert any(list(first[name]) != list(other[name]) for name in first)


def test_the_typical_row_is_the_commonest_of_everything(contract: Contract) -> None:
    typical = dict(
        zip((p.name for p in contract.parameters), sampling.typical(contract), strict=True)
    )
    assert [typical[name] for name in ("er", "po", "vt", "ec", "vf", "vb")] == [
        *("PER", "NO", "N", "A", "N", "N")
    ]
    assert typical["fb"] is None
    assert (typical["im"], typical["dt"], typical["cf"]) == (71.99, 125.61, 2.0)
    # Between 50 years (41.48 %) and 65 (88.22 %), a straight line: 50 + 15 x 8.52 / 46.74.
    assert typical["ed"] == 53.0
    Features(contract).row(list(typical.values()))
