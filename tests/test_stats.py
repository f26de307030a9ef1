"""Each figure against SciPy, scikit-learn, a definition counted pair by pair, or by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binomtest, spearmanr  # type: ignore[import-untyped]  # SciPy ships no types
from sklearn import metrics

from propensia import stats
from propensia.stats import rank_correlation

Vector = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
LEVELS = (3, 40, 1_000_000)  # many ties, some, nearly none


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


def scored(rows: int, levels: int, seed: int) -> tuple[Labels, Vector]:
    """Labels of about one in four, and chances of so many levels that know something of them."""
    random = np.random.default_rng(seed)
    labels = (random.random(rows) < 0.25).astype(np.int64)
    labels[:2] = 0, 1
    chances = np.floor((0.3 * labels + 0.7 * random.random(rows)) * levels) / levels
    return labels, chances


def calibrated(rows: int, random: np.random.Generator) -> tuple[Labels, Vector]:
    """A model that is right: each label is drawn with the chance that is said of it."""
    chances = 1 / (1 + np.exp(-random.normal(-1.3, 1.0, rows)))
    return (random.random(rows) < chances).astype(np.int64), chances


def wins(labels: Labels, scores: Vector) -> Vector:
    """Of each positive against each negative row: 1 above, a half level, 0 below."""
    mine, theirs = scores[labels == 1][:, None], scores[labels == 0][None, :]
    return (mine > theirs) + 0.5 * (mine == theirs)


@pytest.mark.parametrize("levels", LEVELS)
def test_the_auc_is_the_share_of_pairs_in_the_right_order(levels: int) -> None:
    labels, chances = scored(300, levels, seed=1)
    # Sums of half numbers are exact in double; only the last division rounds.
    assert stats.auc(labels, chances) == pytest.approx(wins(labels, chances).mean(), abs=1e-15)
    wanted = metrics.roc_auc_score(labels, chances)
    assert stats.auc(labels, chances) == pytest.approx(wanted, abs=1e-12)


def test_a_published_auc_and_its_error() -> None:
    """The 109 images that Hanley and McNeil (1982, table I) had rated from 1 to 5; they give
    0.893, and Stata's ``roctab``, which uses DeLong's error, 0.8932 and 0.0307."""
    normal, abnormal = [33, 6, 6, 11, 2], [3, 2, 2, 11, 33]
    labels = np.repeat([0, 1], [sum(normal), sum(abnormal)])
    ratings = np.repeat(np.array([1.0, 2, 3, 4, 5] * 2), normal + abnormal)
    assert round(stats.auc(labels, ratings), 4) == 0.8932
    assert round(stats.auc_error(labels, ratings), 4) == 0.0307


@pytest.mark.parametrize("levels", LEVELS)
def test_the_error_is_the_one_that_delong_defines_by_pairs(levels: int) -> None:
    labels, chances = scored(200, levels, seed=2)
    pairs = wins(labels, chances)
    mine, theirs = pairs.mean(axis=1), pairs.mean(axis=0)
    wanted = mine.var(ddof=1) / len(mine) + theirs.var(ddof=1) / len(theirs)
    # Means of 200 numbers in another order: some units in the last place.
    assert stats.auc_error(labels, chances) == pytest.approx(wanted**0.5, rel=1e-12)


def test_with_groups_it_is_the_one_that_obuchowski_defines() -> None:
    """Her sums over groups, one after the other, from the table of all pairs."""
    labels, chances = scored(200, 40, seed=3)
    groups = np.random.default_rng(3).integers(0, 60, 200) * 7 - 100
    pairs = wins(labels, chances)
    value, (m, n) = pairs.mean(), pairs.shape
    mine, theirs = pairs.mean(axis=1), pairs.mean(axis=0)
    s10 = s01 = s11 = 0.0
    keys = np.unique(groups)
    for key in keys:
        above = (mine[groups[labels == 1] == key] - value).sum()
        below = (theirs[groups[labels == 0] == key] - value).sum()
        s10, s01, s11 = s10 + above**2, s01 + below**2, s11 + above * below
    of_mine, of_theirs = (len(np.unique(groups[labels == one])) for one in (1, 0))
    s10 *= of_mine / ((of_mine - 1) * m)
    s01 *= of_theirs / ((of_theirs - 1) * n)
    s11 *= len(keys) / (len(keys) - 1)
    wanted = s10 / m + s01 / n + 2 * s11 / (m * n)
    assert stats.auc_error(labels, chances, groups) == pytest.approx(wanted**0.5, rel=1e-12)


def test_groups_of_one_row_change_nothing() -> None:
    labels, chances = scored(200, 40, seed=4)
    alone = np.random.default_rng(4).permutation(200)
    assert stats.auc_error(labels, chances, alone) == pytest.approx(
        stats.auc_error(labels, chances), rel=1e-12
    )


def test_the_error_is_the_spread_over_many_tables() -> None:
    random = np.random.default_rng(5)
    drawn = [calibrated(300, random) for _ in range(600)]
    spread = np.std([stats.auc(*table) for table in drawn])
    error = np.mean([stats.auc_error(*table) for table in drawn])
    # A standard deviation of 600 draws is itself known to 3 % (1 / sqrt(1200)); four of these.
    assert error == pytest.approx(spread, rel=0.12)


def test_the_error_with_groups_is_the_spread_where_customers_come_back() -> None:
    """Each customer has four rows alike: without groups the error comes out half as large."""
    random = np.random.default_rng(6)
    groups = np.repeat(np.arange(100), 4)
    values, errors, naive = [], [], []
    for _ in range(400):
        labels, chances = (np.repeat(part, 4) for part in calibrated(100, random))
        values.append(stats.auc(labels, chances))
        errors.append(stats.auc_error(labels, chances, groups))
        naive.append(stats.auc_error(labels, chances))
    # 400 draws: 3.5 %, four times.
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.14)
    assert np.mean(naive) == pytest.approx(np.std(values) / 2, rel=0.14)


def test_one_group_of_a_class_gives_the_largest_error_that_there_can_be() -> None:
    labels, scores = np.array([1, 0, 0, 0, 0]), np.array([0.5, 0.1, 0.2, 0.6, 0.7])
    assert stats.auc_error(labels, scores) == pytest.approx(0.5)  # AUC a half: sqrt(1/4 / 1)


@pytest.mark.parametrize(
    "figure",
    [
        stats.auc,
        stats.auc_error,
        stats.average_precision,
        stats.roc_curve,
        stats.precision_recall_curve,
        stats.gains,
    ],
)
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone_is_an_error_with_a_sentence(
    figure: Callable[[Labels, Vector], object], label: int
) -> None:
    with pytest.raises(stats.OneClass, match="una misma clase"):
        figure(np.full(5, label), np.linspace(0, 1, 5))


@pytest.mark.parametrize("levels", LEVELS)
def test_the_plain_figures_are_those_of_scikit_learn(levels: int) -> None:
    labels, chances = scored(400, levels, seed=7)
    # Sums of 400 numbers in another order.
    assert stats.brier(labels, chances) == pytest.approx(
        metrics.brier_score_loss(labels, chances), abs=1e-13
    )
    assert stats.log_loss(labels, chances) == pytest.approx(
        metrics.log_loss(labels, chances), abs=1e-12
    )
    assert stats.average_precision(labels, chances) == pytest.approx(
        metrics.average_precision_score(labels, chances), abs=1e-12
    )


def test_a_certain_answer_that_is_wrong_costs_36_and_not_infinity() -> None:
    losses = stats.log_losses(np.array([0, 1, 1]), np.array([1.0, 0.0, 1.0]))
    # -ln(2.2e-16) = 36.04; the clip at 1 rounds to a chance of exactly that.
    assert losses == pytest.approx([36.0437, 36.0437, 0.0], abs=1e-4)
    assert np.isfinite(stats.log_loss(np.array([0]), np.array([1.0], dtype=np.float32)))


@pytest.mark.parametrize("levels", LEVELS)
def test_the_curves_are_those_of_scikit_learn(levels: int) -> None:
    labels, chances = scored(400, levels, seed=8)
    wanted = metrics.roc_curve(labels, chances, drop_intermediate=False)
    for ours, theirs in zip(stats.roc_curve(labels, chances), wanted, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-15)
    precision, recall, thresholds = metrics.precision_recall_curve(labels, chances)
    ours = stats.precision_recall_curve(labels, chances)
    assert ours[0] == pytest.approx(precision[-2::-1], abs=1e-15)  # theirs rises and adds (1, 0)
    assert ours[1] == pytest.approx(recall[-2::-1], abs=1e-15)
    assert np.array_equal(ours[2], thresholds[::-1])


@pytest.mark.parametrize("rows", [10, 23, 307])
def test_bins_of_calibration_are_of_equal_mass(rows: int) -> None:
    labels, chances = calibrated(rows, np.random.default_rng(9))
    table = stats.calibration_table(labels, chances, bins=10)
    order = np.argsort(chances)
    assert len(table.count) == 10 and table.count.max() - table.count.min() <= 1
    ends = np.cumsum(table.count).astype(int)[:-1]
    parts = zip(np.split(chances[order], ends), np.split(labels[order], ends), strict=True)
    for place, (said, came) in enumerate(parts):
        assert table.chance[place] == pytest.approx(said.mean(), abs=1e-14)
        assert table.rate[place] == pytest.approx(came.mean(), abs=1e-14)


def test_rows_of_one_chance_share_a_bin() -> None:
    chances = np.repeat([0.1, 0.2, 0.7], [70, 5, 25])
    labels = (np.arange(100) % 4 == 0).astype(np.int64)
    table = stats.calibration_table(labels, chances, bins=10)
    assert table.count.tolist() == [70, 5, 25]
    assert table.chance == pytest.approx([0.1, 0.2, 0.7])


def test_no_figure_depends_on_the_order_of_the_rows() -> None:
    labels, chances = scored(500, 20, seed=10)
    other = np.random.default_rng(10).permutation(500)
    for figure in (stats.auc, stats.auc_error, stats.average_precision, stats.calibration_square):
        before, after = figure(labels, chances), figure(labels[other], chances[other])
        assert after == pytest.approx(before, abs=1e-13)
    before, after = stats.gains(labels, chances), stats.gains(labels[other], chances[other])
    assert after.positives == pytest.approx(before.positives, abs=1e-12)


def test_the_plain_calibration_error_by_hand() -> None:
    """Of ten rows at 0.2 three are positive, of ten at 0.9 seven: gaps 0.1 and 0.2."""
    chances = np.repeat([0.2, 0.9], 10)
    labels = np.repeat([1, 0, 1, 0], [3, 7, 7, 3])
    plain, _ = stats.calibration_error(labels, chances, bins=2)
    assert plain == pytest.approx(0.15, abs=1e-15)


def test_the_square_without_noise_is_the_formula_of_ferro_and_fricker() -> None:
    """Gap squared less rate (1 - rate) / (rows - 1), by hand where a bin has one chance."""
    chances = np.repeat([0.2, 0.9], 10)
    labels = np.repeat([1, 0, 1, 0], [3, 7, 7, 3])
    wanted = ((0.01 - 0.21 / 9) + (0.04 - 0.21 / 9)) / 2
    assert stats.calibration_square(labels, chances, bins=2) == pytest.approx(wanted, abs=1e-15)
    assert stats.calibration_error(labels, chances, bins=2)[1] == pytest.approx(
        max(wanted, 0) ** 0.5, abs=1e-9
    )


@pytest.mark.parametrize("together", [False, True])
def test_the_square_is_the_mean_product_over_pairs_of_different_groups(together: bool) -> None:
    labels, chances = scored(60, 1_000_000, seed=11)
    groups = np.random.default_rng(11).integers(0, 25, 60) if together else np.arange(60)
    off = labels - chances
    wanted = 0.0
    for part in np.array_split(np.argsort(chances), 4):  # 4 bins of 15
        pairs = [(i, j) for i in part for j in part if groups[i] != groups[j]]
        wanted += len(part) / 60 * np.mean([off[i] * off[j] for i, j in pairs])
    found = stats.calibration_square(labels, chances, 4, groups if together else None)
    assert found == pytest.approx(wanted, abs=1e-14)


@pytest.mark.parametrize("rows", [200, 2_000])
def test_the_square_of_a_perfect_model_is_zero_on_average(rows: int) -> None:
    """And the plain error is not: at 200 rows it is three times the limit that it is held to."""
    random = np.random.default_rng(12)
    tables = [calibrated(rows, random) for _ in range(400)]
    squares = np.array([stats.calibration_square(*table) for table in tables])
    assert abs(squares.mean()) < 4 * squares.std() / 400**0.5  # four errors of the mean
    plain = np.mean([stats.calibration_error(*table)[0] for table in tables])
    assert plain > (0.06 if rows == 200 else 0.018)


def test_the_square_of_a_wrong_model_is_the_true_one_on_average() -> None:
    """Ten chances, each 0.05 too high or too low: the true square is 0.0025."""
    random = np.random.default_rng(13)
    said = np.repeat(np.linspace(0.1, 0.9, 10), 20)
    true = said + np.repeat(np.tile([0.05, -0.05], 5), 20)
    squares = np.array(
        [
            stats.calibration_square((random.random(200) < true).astype(np.int64), said)
            for _ in range(800)
        ]
    )
    assert abs(squares.mean() - 0.0025) < 4 * squares.std() / 800**0.5
    assert squares.std() / 800**0.5 < 0.0003  # so the line above could fail


def test_customers_that_come_back_are_not_taken_for_a_wrong_model() -> None:
    """Four rows alike have four times the noise; only who knows of them takes all of it off."""
    random = np.random.default_rng(14)
    groups = np.repeat(np.arange(200), 4)
    known, unknown = [], []
    for _ in range(300):
        labels, chances = (np.repeat(part, 4) for part in calibrated(200, random))
        known.append(stats.calibration_square(labels, chances, groups=groups))
        unknown.append(stats.calibration_square(labels, chances))
    error = np.std(known) / 300**0.5
    assert abs(np.mean(known)) < 4 * error < np.mean(unknown)


def test_gains_by_hand() -> None:
    """Four of ten are positive, at places 1, 2, 4 and 9 from the top."""
    labels = np.array([1, 1, 0, 1, 0, 0, 0, 0, 1, 0])
    found = stats.gains(labels, np.linspace(0.95, 0.05, 10), parts=5)
    assert found.count.tolist() == [2] * 5
    assert found.positives.tolist() == [2, 1, 0, 0, 1]
    assert found.rate.tolist() == [1, 0.5, 0, 0, 0.5]
    assert found.lift == pytest.approx([2.5, 1.25, 0, 0, 1.25])
    assert found.captured == pytest.approx([0.5, 0.75, 0.75, 0.75, 1])
    assert stats.captured(labels, np.linspace(0.95, 0.05, 10), 0.2) == pytest.approx(0.5)


def test_equal_scores_on_both_sides_of_a_border_are_shared_out() -> None:
    labels = np.array([1, 0, 1, 1, 0, 0, 0, 0])
    constant = stats.gains(labels, np.full(8, 0.3), parts=4)
    assert constant.positives == pytest.approx([0.75] * 4)
    assert constant.lift == pytest.approx([1] * 4)
    # The top one is certain; of the next four (two positive) one more fits in the first quarter.
    scores = np.array([0.9, 0.5, 0.5, 0.5, 0.5, 0.1, 0.1, 0.1])
    assert stats.gains(labels, scores, parts=4).positives == pytest.approx([1.5, 1.0, 0.5, 0])


def test_gains_have_no_empty_part() -> None:
    found = stats.gains(np.array([1, 0, 1]), np.array([0.1, 0.2, 0.3]), parts=10)
    assert found.count.tolist() == [1, 1, 1]
    assert stats.gains(np.tile([0, 1], 50), np.arange(100.0)).count.tolist() == [10] * 10
    assert stats.gains(np.tile([0, 1], 52)[:103], np.arange(103.0)).count.sum() == 103


def test_the_stability_index_by_hand() -> None:
    """(0.6 - 0.5) ln(0.6 / 0.5) + (0.4 - 0.5) ln(0.4 / 0.5)."""
    index = stats.population_stability(np.array([0.5, 0.5]), np.array([0.6, 0.4]))
    assert index == pytest.approx(0.1 * 0.1823215568 + 0.1 * 0.2231435513, abs=1e-10)
    assert stats.population_stability(np.array([0.2, 0.8]), np.array([0.2, 0.8])) == 0.0


def test_an_empty_bin_is_a_large_change_and_not_an_infinite_one() -> None:
    index = stats.population_stability(np.array([0.5, 0.5, 0.0]), np.array([0.45, 0.45, 0.1]))
    # 2 · 0.05 · ln(0.5 / 0.45) + (0.1 - 0.0001) · ln(1000)
    assert index == pytest.approx(0.1 * 0.1053605157 + 0.0999 * 6.907755279, abs=1e-9)


@pytest.mark.parametrize(("bins", "before", "now"), [(10, 5_000, 1_000), (4, 500, 20_000)])
def test_the_index_of_two_samples_of_one_population_is_what_chance_gives(
    bins: int, before: int, now: int
) -> None:
    random, even = np.random.default_rng(7), np.full(bins, 1 / bins)
    first = random.multinomial(before, even, 4_000) / before
    second = random.multinomial(now, even, 4_000) / now
    found = [stats.population_stability(e, o) for e, o in zip(first, second, strict=True)]
    expected = stats.stability_by_chance(bins, before, now)
    # Four standard errors of the mean of 4,000, whose deviation is at most 0.82 of the mean
    # (a chi square of three degrees), are 5 %; what the first order leaves out is below 1 %.
    assert np.mean(found) == pytest.approx(expected, rel=0.06)


def test_what_lies_at_or_above_each_score() -> None:
    found = stats.cuts(np.array([1.0, 2.0, 4.0, 8.0]), np.array([0.5, 0.9, 0.5, 0.1]))
    assert found.scores.tolist() == [0.9, 0.5, 0.1]
    assert found.rows.tolist() == [1, 3, 4]
    assert found.sums.tolist() == [2, 7, 15]


@pytest.mark.parametrize(("hits", "count"), [(0, 1), (0, 40), (7, 40), (40, 40), (1, 100_000)])
def test_the_limits_of_a_share_are_those_of_wilson(hits: int, count: int) -> None:
    low, high = stats.wilson(np.array([float(hits)]), np.array([float(count)]))
    expected = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert low[0] <= hits / count <= high[0]
