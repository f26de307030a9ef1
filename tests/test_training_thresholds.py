"""Each rule against a search through every threshold that makes a difference."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from propensia.training import thresholds
from propensia.training.thresholds import Rule, RuleError

Vector = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

# Labels, chances and amounts of a few rows, with many ties and both ends of the range.
tables = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 8), st.integers(0, 40)), min_size=1, max_size=12
).map(
    lambda rows: (
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([row[1] for row in rows]) / 8,
        np.array([row[2] for row in rows]) / 4,
    )
)


def every(chances: Vector) -> list[float]:
    """Thresholds that select each set of rows that any threshold in [0, 1] can."""
    above = min(1.0, chances.max() + 0.01)
    return sorted({0.0, above, *chances.tolist()})


def f1(labels: Labels, chances: Vector, threshold: float) -> float:
    said = (chances >= threshold).astype(np.int64)
    return float(metrics.f1_score(labels, said, zero_division=0.0))


def euros(
    labels: Labels, chances: Vector, amounts: Vector, threshold: float, cost: float
) -> float:
    """Row by row, as a collector would count."""
    total = 0.0
    for label, chance, amount in zip(labels, chances, amounts, strict=True):
        if chance >= threshold:
            total += (amount if label == 1 else 0.0) - cost
    return total


@given(tables)
def test_f1_is_the_greatest_that_any_threshold_reaches(
    table: tuple[Labels, Vector, Vector],
) -> None:
    labels, chances, _ = table
    found = thresholds.choose(Rule("f1"), labels, chances)
    best = max(f1(labels, chances, one) for one in every(chances))
    # The same ratio of small whole numbers, divided once.
    assert f1(labels, chances, found.value) == pytest.approx(best, abs=1e-15)
    assert 0 <= found.value <= 1
    assert f"({best:.3f} en las filas con".replace(".", ",") in found.rule["es"]
    assert f"({best:.3f} on the rows that" in found.rule["en"]


@given(tables, st.integers(0, 12))
def test_cost_brings_the_most_euros_that_any_threshold_brings(
    table: tuple[Labels, Vector, Vector], quarters: int
) -> None:
    labels, chances, amounts = table
    cost = quarters / 4  # quarters of a euro: every sum is exact
    found = thresholds.choose(Rule("cost", cost), labels, chances, amounts)
    best = max(euros(labels, chances, amounts, one, cost) for one in every(chances))
    assert euros(labels, chances, amounts, found.value, cost) == best
    assert 0 <= found.value <= 1


@given(tables, st.integers(1, 20))
def test_top_selects_the_share_nearest_to_the_one_asked_for(
    table: tuple[Labels, Vector, Vector], twentieths: int
) -> None:
    labels, chances, _ = table
    share = twentieths / 20
    found = thresholds.choose(Rule("top", share), labels, chances)
    reached = float(np.mean(chances >= found.value))
    others = [float(np.mean(chances >= one)) for one in chances]
    assert reached > 0
    assert abs(reached - share) == min(abs(other - share) for other in others)


@given(tables, st.sampled_from(["f1", "top=0.3", "cost=0.5"]))
def test_a_threshold_lies_midway_between_two_chances(
    table: tuple[Labels, Vector, Vector], text: str
) -> None:
    labels, chances, amounts = table
    found = thresholds.choose(thresholds.parse(text), labels, chances, amounts)
    ends = np.unique(np.concatenate([[0.0, 1.0], chances]))
    middles = ((ends[1:] + ends[:-1]) / 2).tolist()
    assert found.value in [*middles, 0.0]  # at 0 where a chance of 0 is selected too


@pytest.mark.parametrize("low", [0.3, float(np.nextafter(0.3, 1))])
def test_neighbouring_numbers_have_no_middle_and_are_still_told_apart(low: float) -> None:
    """Half their sum rounds to the even one: up for one of these pairs, down for the other."""
    high = float(np.nextafter(low, 1))
    labels, chances = np.array([1, 0]), np.array([high, low])
    found = thresholds.choose(Rule("f1"), labels, chances)
    assert (chances >= found.value).tolist() == [True, False]


def test_of_equally_good_thresholds_the_one_with_fewest_calls_is_taken() -> None:
    """The last two rows pay just what their calls cost."""
    labels, chances = np.array([1, 1, 0]), np.array([0.9, 0.5, 0.4])
    amounts = np.array([10.0, 2.0, 5.0])
    found = thresholds.choose(Rule("cost", 2.0), labels, chances, amounts)
    assert found.value == pytest.approx(0.7)


def test_where_no_call_pays_nobody_is_called() -> None:
    labels, chances = np.array([1, 0]), np.array([0.8, 0.1])
    found = thresholds.choose(Rule("cost", 50.0), labels, chances, np.array([10.0, 10.0]))
    assert found.value == pytest.approx(0.9)
    assert "ganancia de 0 €" in found.rule["es"]


def test_recovery_is_the_share_that_a_payer_pays() -> None:
    """At all of 10 euros both calls of 3 pay; at a quarter, 2.50, none does."""
    labels, chances = np.array([1, 1]), np.array([0.8, 0.1])
    amounts = np.array([100.0, 10.0])
    whole = thresholds.choose(Rule("cost", 3.0), labels, chances, amounts)
    part = thresholds.choose(Rule("cost", 3.0), labels, chances, amounts, recovery=0.25)
    assert whole.value == pytest.approx(0.05)
    assert part.value == pytest.approx(0.45)
    called = chances >= part.value
    assert thresholds.net_euros(called, labels, amounts, 3.0, 0.25) == pytest.approx(22.0)


def test_an_amount_that_is_not_known_counts_as_nothing() -> None:
    labels, chances = np.array([1, 1]), np.array([0.8, 0.1])
    amounts = np.array([100.0, np.nan])
    found = thresholds.choose(Rule("cost", 3.0), labels, chances, amounts)
    assert (chances >= found.value).tolist() == [True, False]
    assert thresholds.net_euros(chances >= 0, labels, amounts, 3.0) == pytest.approx(94.0)


def test_what_each_call_brings_is_its_share_of_the_amount_less_its_cost() -> None:
    amounts = np.array([100.0, 100.0, np.nan])
    found = thresholds.brought(np.array([1, 0, 1]), amounts, 3.0, recovery=0.25)
    assert found.tolist() == [22.0, -3.0, -3.0]


def test_cost_without_amounts_says_what_to_do() -> None:
    with pytest.raises(RuleError, match=r"\[training\] amount.*use f1, top= o un número"):
        thresholds.choose(Rule("cost", 2.0), np.array([1, 0]), np.array([0.8, 0.1]))


def test_the_sentences_say_the_rule_and_what_it_reaches() -> None:
    labels = np.array([1] * 1_500 + [0] * 6_000)
    chances = np.where(labels == 1, 0.3, 0.06)
    amounts = np.full(7_500, 10.25)
    said = thresholds.choose(thresholds.parse("cost=2.50"), labels, chances, amounts).rule
    assert said["es"] == (
        "llamar cuando p ≥ 0,1800: 2,50 € por llamada, ganancia de 11.625 € en las 7.500 filas "
        "con que se eligió"
    )
    assert said["en"] == (
        "call when p ≥ 0.1800: €2.50 per call, gain of €11,625 on the 7,500 rows that it was "
        "chosen on"
    )
    said = thresholds.choose(thresholds.parse("top=0.25"), labels, chances).rule
    assert said["es"] == (
        "el 25,0\u202f% de mayor probabilidad (20,0\u202f% de las filas con que se eligió)"
    )
    assert said["en"] == (
        "the 25.0% with the highest chances (20.0% of the rows that it was chosen on)"
    )
    said = thresholds.choose(thresholds.parse("0,35"), labels, chances).rule
    assert said == {"es": "umbral fijado en 0,3500", "en": "threshold set to 0.3500"}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("f1", Rule("f1")),
        (" F1 ", Rule("f1")),
        ("top=0.20", Rule("top", 0.2)),
        ("top = 1", Rule("top", 1.0)),
        ("cost=2.50", Rule("cost", 2.5)),
        ("cost=2,50", Rule("cost", 2.5)),
        ("cost=0", Rule("cost", 0.0)),
        ("0.5", Rule("fixed", 0.5)),
        ("0", Rule("fixed", 0.0)),
        ("1", Rule("fixed", 1.0)),
    ],
)
def test_a_rule_is_read(text: str, rule: Rule) -> None:
    assert thresholds.parse(text) == rule


WRONG = (
    *("", "f2", "f1=0.2", "umbral=0.5", "nan", "1.5", "-0.1", "0.5.1", "top", "top=0", "top=1.2"),
    *("top=20%", "top=nan", "cost", "cost=-1", "cost=inf", "cost=1e400", "cost=" + "9" * 400),
)


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_rule_is_an_error_that_quotes_it(text: str) -> None:
    with pytest.raises(RuleError, match="regla de umbral") as raised:
        thresholds.parse(text)
    assert repr(text) in str(raised.value)


def test_a_fixed_threshold_needs_no_rows_and_is_kept_bit_for_bit() -> None:
    none = np.array([], dtype=np.int64)
    found = thresholds.choose(thresholds.parse("0.1"), none, np.array([]))
    assert found.value == 0.1
