"""The prior correction against Bayes' rule on counted people, and the threshold."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from propensia.decision import Decision

shares = st.fractions(Fraction(1, 1000), Fraction(999, 1000), max_denominator=1000)
chances = st.fractions(0, 1, max_denominator=10_000)


def by_bayes(raw: Fraction, training: Fraction, real: Fraction) -> Fraction:
    """P(payer | x) in the real world, from the likelihood ratio that ``raw`` implies.

    In training, the odds after x are the odds before times the ratio of likelihoods; that ratio
    belongs to x and holds in the real world too. Exact arithmetic.
    """
    if raw == 1:
        return Fraction(1)
    ratio = raw / (1 - raw) / (training / (1 - training))
    odds = ratio * real / (1 - real)
    return odds / (1 + odds)


@given(raw=chances, training=shares, real=shares)
@example(Fraction(9999, 10_000), Fraction(999, 1000), Fraction(1, 1000))
def test_the_correction_is_the_rule_of_bayes(
    raw: Fraction, training: Fraction, real: Fraction
) -> None:
    given = float(raw), float(training), float(real)
    corrected = Decision(0.5, *given[1:]).probability(given[0])
    # A dozen roundings in double, each of at most 1.2e-16 relative; of the very numbers given, as
    # what one nearly 1 lacks of 1 is another number after its rounding.
    expected = float(by_bayes(*map(Fraction, given)))
    assert corrected == pytest.approx(expected, rel=1e-13, abs=1e-300)
    assert 0.0 <= corrected <= 1.0


def test_a_case_that_can_be_counted() -> None:
    """Learned on 100 payers and 100 others: x is seen in 60 and 20 of them, so raw is 0.75. Of
    1000 real debtors 250 pay: x is seen in 150 of these and in 150 others, a half."""
    assert Decision(0.5, 0.5, 0.25).probability(0.75) == pytest.approx(0.5, abs=1e-15)


@given(raw=st.floats(0, 1))
def test_without_both_rates_nothing_is_corrected(raw: float) -> None:
    for decision in (Decision(0.5), Decision(0.5, 0.5, None), Decision(0.5, None, 0.2)):
        assert decision.probability(raw) == raw


@given(raw=st.floats(0, 1), rate=st.floats(1e-6, 1 - 1e-6))
def test_two_equal_rates_correct_nothing_bit_for_bit(raw: float, rate: float) -> None:
    """A model trained on the world as it is says so, and its numbers are not rounded again."""
    decision = Decision(0.5, rate, rate)
    assert decision.probability(raw) == raw
    chances = np.array([raw, raw / 3])
    assert np.array_equal(decision.probabilities(chances), chances)


@given(raw=st.floats(0, 1), other=st.floats(0, 1), training=shares, real=shares)
def test_the_correction_never_changes_the_order(
    raw: float, other: float, training: Fraction, real: Fraction
) -> None:
    decision = Decision(0.5, float(training), float(real))
    low, high = sorted((raw, other))
    # Two neighbouring doubles may round the other way about, by one unit in the last place.
    assert decision.probability(low) <= decision.probability(high) * (1 + 4e-16)


@pytest.mark.parametrize(
    ("probability", "threshold", "positive"),
    [(0.5, 0.5, True), (0.49999999999999994, 0.5, False), (0.0, 0.0, True), (1.0, 1.0, True)],
)
def test_a_probability_at_the_threshold_is_positive(
    probability: float, threshold: float, positive: bool
) -> None:
    assert Decision(threshold).is_positive(probability) is positive
