"""Figures against scikit-learn, errors and intervals against worlds whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import norm  # type: ignore[import-untyped]  # SciPy ships no types
from sklearn import metrics
from sklearn.naive_bayes import GaussianNB

from propensia import stats
from propensia.training import evaluation
from propensia.training.evaluation import Combined, cross_fitted, evaluate
from propensia.training.results import Figure

Vector = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

KEYS = {
    *("auc", "precision_media", "brier", "log_loss", "ece", "ece_sin_sesgo", "tasa", "exactitud"),
    *("precision", "sensibilidad", "f1", "seleccion", "lift_10", "captura_20"),
}


def world(
    rows: int, random: np.random.Generator, spread: float = 1.2, centre: float = -1.3
) -> tuple[Labels, Vector, Labels]:
    """Labels drawn with the chances that are said, and a customer for each row."""
    chances = 1 / (1 + np.exp(-random.normal(centre, spread, rows)))
    return (random.random(rows) < chances).astype(np.int64), chances, np.arange(rows)


def customers(rows: int, random: np.random.Generator) -> tuple[Labels, Vector, Labels]:
    """Five rows per customer with one chance, whose labels agree more often than not."""
    groups = np.repeat(np.arange(rows // 5), 5)
    chances = world(rows // 5, random)[1][groups]
    luck = np.where(
        random.random(rows) < 0.7, random.random(rows // 5)[groups], random.random(rows)
    )
    return (luck < chances).astype(np.int64), chances, groups


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer resamples, for tests that repeat an evaluation hundreds of times."""
    monkeypatch.setattr(evaluation, "RESAMPLES", 60)
    monkeypatch.setattr(evaluation, "DRAWS", 300)


@pytest.fixture
def only_auc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Next to no resamples: the AUC needs none."""
    monkeypatch.setattr(evaluation, "RESAMPLES", 2)
    monkeypatch.setattr(evaluation, "DRAWS", 10)


def test_each_figure_is_the_one_of_scikit_learn() -> None:
    labels, chances, groups = world(800, np.random.default_rng(1))
    said = chances >= 0.3
    found = evaluate(labels, chances, 0.3, groups, next_rows=200, seed=1)
    assert set(found) == KEYS
    wanted = {
        "auc": metrics.roc_auc_score(labels, chances),
        "precision_media": metrics.average_precision_score(labels, chances),
        "brier": metrics.brier_score_loss(labels, chances),
        "log_loss": metrics.log_loss(labels, chances),
        "tasa": labels.mean(),
        "exactitud": metrics.accuracy_score(labels, said),
        "precision": metrics.precision_score(labels, said),
        "sensibilidad": metrics.recall_score(labels, said),
        "f1": metrics.f1_score(labels, said),
        "seleccion": said.mean(),
        "lift_10": labels[np.argsort(-chances)[:80]].mean() / labels.mean(),
        "captura_20": labels[np.argsort(-chances)[:160]].sum() / labels.sum(),
    }
    for name, value in wanted.items():
        assert found[name].value == pytest.approx(value, abs=1e-12), name


def test_rows_may_have_a_threshold_each() -> None:
    labels, chances, groups = world(400, np.random.default_rng(2))
    each = np.where(np.arange(400) % 2, 0.2, 0.6)
    found = evaluate(labels, chances, each, groups, next_rows=100, seed=1)
    wanted = metrics.f1_score(labels, chances >= each)
    assert found["f1"].value == pytest.approx(wanted, abs=1e-12)


def test_a_chance_at_the_threshold_is_a_yes() -> None:
    labels, chances = np.array([0, 1, 1, 0]), np.array([0.1, 0.5, 0.7, 0.4])
    found = evaluate(labels, chances, 0.5, np.arange(4), next_rows=4, seed=1)
    assert found["seleccion"].value == 0.5
    assert found["exactitud"].value == 1.0


def test_euros_are_those_of_the_rows_that_are_called_over_all_that_were_judged() -> None:
    """Judged by the threshold that a row was given, not by the best one; a loss is below 0."""
    labels, chances, groups = world(2_000, np.random.default_rng(12))
    each = np.where(np.arange(2_000) % 2, 0.2, 0.6)
    euros = np.random.default_rng(13).exponential(30, 2_000) * labels - 9.0
    for brought in (euros, euros - 50):
        found = evaluate(labels, chances, each, groups, next_rows=500, seed=1, euros=brought)
        assert set(found) == {*KEYS, "euros_por_fila"}
        figure, called = found["euros_por_fila"], chances >= each
        assert figure.value == pytest.approx(brought[called].sum() / 2_000, abs=1e-12)
        # A deviation of 300 resamples is known to 4 %; four times that.
        error = (brought * called).std() / 2_000**0.5
        assert figure.error == pytest.approx(error, rel=0.16)
        half = norm.ppf(0.975) * figure.error * 5**0.5
        assert (figure.low, figure.high) == pytest.approx(
            (figure.value - half, figure.value + half), abs=1e-9
        )
    assert figure.high < 0


def test_errors_of_euros_count_customers() -> None:
    """Each row four times: as rows of their own the error would be half as large."""
    labels, chances, groups = world(1_000, np.random.default_rng(14))
    euros = np.random.default_rng(15).exponential(30, 1_000) * labels - 9.0
    once = evaluate(labels, chances, 0.3, groups, next_rows=1_000, seed=1, euros=euros)
    four = [np.repeat(part, 4) for part in (labels, chances, groups, euros)]
    found = evaluate(four[0], four[1], 0.3, four[2], next_rows=4_000, seed=1, euros=four[3])
    # Two sets of 300 resamples, each known to 4 %.
    assert found["euros_por_fila"].error == pytest.approx(once["euros_por_fila"].error, rel=0.25)


def test_errors_of_shares_and_means_are_those_of_the_textbook() -> None:
    labels, chances, groups = world(2_000, np.random.default_rng(3))
    found = evaluate(labels, chances, 0.3, groups, next_rows=500, seed=1)
    losses = stats.log_losses(labels, chances)
    wanted = {
        "tasa": labels.std() / 2_000**0.5,
        "seleccion": (chances >= 0.3).std() / 2_000**0.5,
        "exactitud": ((chances >= 0.3) == labels).std() / 2_000**0.5,
        "brier": ((chances - labels) ** 2).std() / 2_000**0.5,
        "log_loss": losses.std() / 2_000**0.5,
        "auc": stats.auc_error(labels, chances),
    }
    for name, error in wanted.items():
        # A deviation of 300 resamples is known to 4 %; four times that.
        assert found[name].error == pytest.approx(error, rel=0.16), name


def test_rows_of_one_customer_are_one_observation() -> None:
    """Each row four times: as rows of their own the errors would be half as large."""
    labels, chances, groups = world(1_000, np.random.default_rng(4))
    once = evaluate(labels, chances, 0.3, groups, next_rows=1_000, seed=1)
    repeated = [np.repeat(part, 4) for part in (labels, chances, groups)]
    found = evaluate(repeated[0], repeated[1], 0.3, repeated[2], next_rows=4_000, seed=1)
    for name in KEYS - {"ece_sin_sesgo"}:
        assert found[name].value == pytest.approx(once[name].value, abs=1e-9), name
        # Two sets of 300 resamples, each known to 4 %.
        assert found[name].error == pytest.approx(once[name].error, rel=0.25), name


def test_of_many_rows_a_part_is_resampled_and_the_error_is_that_of_all() -> None:
    labels, chances, groups = world(60_000, np.random.default_rng(5))
    found = evaluate(labels, chances, 0.3, groups, next_rows=60_000, seed=1)
    assert found["brier"].error == pytest.approx(
        ((chances - labels) ** 2).std() / 60_000**0.5, rel=0.16
    )
    together = evaluate(labels, chances, 0.3, groups // 4, next_rows=60_000, seed=1)
    assert together["brier"].error == pytest.approx(found["brier"].error, rel=0.25)


def test_a_rare_class_is_not_lost_in_the_part_that_is_resampled(quick: None) -> None:
    random = np.random.default_rng(6)
    labels = np.zeros(30_000, dtype=np.int64)
    labels[:30] = 1
    chances = np.clip(0.001 + 0.002 * labels + random.normal(0, 0.0005, 30_000), 0, 1)
    found = evaluate(labels, chances, 0.002, np.arange(30_000), next_rows=30_000, seed=1)
    assert all(np.isfinite(figure.error) for figure in found.values())
    assert found["precision_media"].error > 0


def test_the_interval_is_the_wider_the_smaller_the_further_table() -> None:
    """Variance error² · (1 + n / next): by hand for a figure that is far from its limits."""
    labels, chances, groups = world(1_000, np.random.default_rng(7))
    for next_rows in (100, 1_000, 1_000_000):
        found = evaluate(labels, chances, 0.3, groups, next_rows=next_rows, seed=1)["brier"]
        half = norm.ppf(0.975) * found.error * (1 + 1_000 / next_rows) ** 0.5
        assert found.high == pytest.approx(found.value + half, abs=1e-12)
        assert found.low == pytest.approx(found.value - half, abs=1e-12)


def test_the_same_rows_in_another_order_have_the_same_figures() -> None:
    labels, chances, groups = world(500, np.random.default_rng(8))
    chances = np.round(chances, 2)  # with ties
    first = evaluate(labels, chances, 0.3, groups, next_rows=200, seed=5)
    other = np.random.default_rng(8).permutation(500)
    again = evaluate(labels[other], chances[other], 0.3, groups[other], next_rows=200, seed=5)
    for name in KEYS:
        for part in ("value", "low", "high", "error"):
            wanted = getattr(first[name], part)
            # Sums in another order; a root near 0 makes more of the last digit.
            assert getattr(again[name], part) == pytest.approx(wanted, abs=1e-7), (name, part)


def test_intervals_stay_within_what_is_possible() -> None:
    """Twenty rows, and a further table of ten."""
    for seed in range(20):
        labels, chances, groups = world(20, np.random.default_rng(seed), spread=4, centre=0)
        found = evaluate(labels, chances, 0.5, groups, next_rows=10, seed=1)
        for name, figure in found.items():
            most = {"lift_10": 10.0, "log_loss": np.inf}.get(name, 1.0)
            assert 0 <= figure.low <= figure.high <= most, name
            assert all(np.isfinite([figure.value, figure.error])), name


def test_a_perfect_sample_is_no_proof_of_a_perfect_model() -> None:
    """Of 25 positive rows none is misplaced: 3 in 25 could still be (the rule of three), and
    half as many rows again of error are in the further table."""
    labels = np.repeat([0, 1], [75, 25])
    found = evaluate(labels, labels * 0.8 + 0.1, 0.5, np.arange(100), next_rows=100, seed=1)
    assert found["auc"].value == 1.0 == found["auc"].high
    assert found["auc"].low == pytest.approx(1 - 3 / 25 * 2**0.5)
    assert found["auc"].error == pytest.approx(1 / 25)
    assert found["precision"].value == 1.0 and 0.8 < found["precision"].low < 0.92


def test_a_model_that_selects_nobody_has_figures() -> None:
    labels, chances, groups = world(200, np.random.default_rng(9))
    found = evaluate(labels, chances, 1.0, groups, next_rows=200, seed=1)
    assert found["precision"] == Figure(0.0, 0.0, 1.0, found["precision"].error)
    assert found["f1"].value == found["seleccion"].value == found["sensibilidad"].value == 0.0


def test_one_class_cannot_be_judged() -> None:
    with pytest.raises(stats.OneClass, match="una misma clase"):
        evaluate(
            np.ones(9, dtype=np.int64),
            np.linspace(0, 1, 9),
            0.5,
            np.arange(9),
            next_rows=9,
            seed=1,
        )


def measured(table: tuple[Labels, Vector, Labels]) -> dict[str, float]:
    """Every figure of a further table, as plainly as it can be measured there."""
    labels, chances, groups = table
    said = chances >= 0.3
    ece, debiased = stats.calibration_error(labels, chances, groups=groups)
    return {
        "auc": metrics.roc_auc_score(labels, chances),
        "precision_media": metrics.average_precision_score(labels, chances),
        "brier": metrics.brier_score_loss(labels, chances),
        "log_loss": metrics.log_loss(labels, chances),
        "ece": ece,
        "ece_sin_sesgo": debiased,
        "tasa": labels.mean(),
        "exactitud": metrics.accuracy_score(labels, said),
        "precision": metrics.precision_score(labels, said, zero_division=0.0),
        "sensibilidad": metrics.recall_score(labels, said),
        "f1": metrics.f1_score(labels, said, zero_division=0.0),
        "seleccion": said.mean(),
        "lift_10": stats.captured(labels, chances, 0.1) * 10,
        "captura_20": stats.captured(labels, chances, 0.2),
    }


def covers(found: Mapping[str, Figure], name: str, value: float) -> bool:
    return bool(found[name].low <= value <= found[name].high)


@pytest.mark.parametrize(
    ("rows", "next_rows", "spread", "centre"),
    [(400, 400, 1.2, -1.3), (400, 100, 1.2, -1.3), (400, 1_600, 1.2, -1.3), (300, 100, 8, -3)],
)
def test_the_interval_covers_the_auc_of_a_further_table(
    only_auc: None,
    rows: int,
    next_rows: int,
    spread: float,
    centre: float,
) -> None:
    """95 of 100 promised; of 300 repeats 93 % and more are within 1.6 errors of that. The usual
    interval of the AUC alone holds far fewer, so that this could fail."""
    random = np.random.default_rng(rows + next_rows)
    held = usual = 0
    for _ in range(300):
        table = world(rows, random, spread, centre)
        labels, chances, _ = world(next_rows, random, spread, centre)
        further = metrics.roc_auc_score(labels, chances)
        auc = evaluate(table[0], table[1], 0.3, table[2], next_rows=next_rows, seed=1)["auc"]
        held += auc.low <= further <= auc.high
        usual += abs(auc.value - further) <= 1.96 * auc.error
    assert held >= 0.93 * 300
    assert usual < 0.92 * 300


@pytest.mark.slow
def test_the_interval_covers_where_customers_come_back(only_auc: None) -> None:
    """As rows of their own they would promise too much."""
    random = np.random.default_rng(10)
    held = naive = 0
    for _ in range(300):
        further = metrics.roc_auc_score(*customers(500, random)[:2])
        labels, chances, groups = customers(500, random)
        found = evaluate(labels, chances, 0.3, groups, next_rows=500, seed=1)
        held += covers(found, "auc", further)
        found = evaluate(labels, chances, 0.3, np.arange(500), next_rows=500, seed=1)
        naive += covers(found, "auc", further)
    assert held >= 0.93 * 300
    assert naive < 0.93 * 300


@pytest.mark.slow
@pytest.mark.parametrize("next_rows", [250, 1_000])
def test_the_intervals_of_all_figures_cover_a_further_table(quick: None, next_rows: int) -> None:
    random = np.random.default_rng(next_rows)
    held = dict.fromkeys(KEYS, 0)
    for _ in range(300):
        labels, chances, groups = world(1_000, random)
        found = evaluate(labels, chances, 0.3, groups, next_rows=next_rows, seed=1)
        for name, value in measured(world(next_rows, random)).items():
            held[name] += covers(found, name, value)
    # 0.95 promised, less two errors of 300 repeats (0.0126) and the normal approximation's part.
    assert {name: count for name, count in held.items() if count < 0.915 * 300} == {}


def test_the_interval_covers_a_model_fitted_again_on_all_rows(only_auc: None) -> None:
    """The whole protocol: judged by folds, refitted, held against rows from the same world."""
    random = np.random.default_rng(11)
    effects = np.array([1.0, -0.7, 0.4, 0, 0, 0])

    def drawn(rows: int) -> tuple[npt.NDArray[np.float64], Labels]:
        features = random.normal(size=(rows, 6))
        chances = 1 / (1 + np.exp(1.2 - features @ effects))
        return features, (random.random(rows) < chances).astype(np.int64)

    held = 0
    for _ in range(60):
        features, labels = drawn(600)
        folds = np.arange(600) % 5
        out_of_fold = np.empty(600)
        for fold in range(5):
            model = GaussianNB().fit(features[folds != fold], labels[folds != fold])
            out_of_fold[folds == fold] = model.predict_proba(features[folds == fold])[:, 1]
        found = evaluate(labels, out_of_fold, 0.3, np.arange(600), next_rows=300, seed=1)
        final = GaussianNB().fit(features, labels)
        features, labels = drawn(300)
        further = metrics.roc_auc_score(labels, final.predict_proba(features)[:, 1])
        held += covers(found, "auc", further)
    assert held >= 0.9 * 60  # the promise of the benchmark


def test_what_is_chosen_never_sees_the_rows_that_it_is_applied_to() -> None:
    labels = np.tile([0, 1, 1], 20)
    columns = np.stack([np.arange(60) / 60, 1 - np.arange(60) / 60])
    folds = np.arange(60) % 4 * 10
    learnt: list[set[int]] = []

    def combine(others: Vector, theirs: Labels, places: npt.NDArray[np.intp]) -> Combined:
        assert np.array_equal(others, columns[:, places])
        assert np.array_equal(theirs, labels[places])
        number = len(learnt)
        learnt.append(set(places.tolist()))
        return Combined(lambda mine: 0 * mine[0] + number / 4, number / 10)

    found = cross_fitted(columns, labels, folds, combine)
    for row in range(60):
        number = int(4 * found.chances[row])
        assert found.thresholds[row] == number / 10
        assert row not in learnt[number]
        assert learnt[number] == {one for one in range(60) if folds[one] != folds[row]}


def test_choosing_among_guesses_gains_nothing_on_rows_that_the_choice_never_saw() -> None:
    """The best of 200 random guesses looks good on the rows that chose it, and only there."""
    random = np.random.default_rng(12)
    labels = (random.random(400) < 0.4).astype(np.int64)
    guesses = random.random((200, 400))

    def best(columns: Vector, known: Labels, places: npt.NDArray[np.intp]) -> Combined:
        place = int(np.argmax([stats.auc(known, column) for column in columns]))
        return Combined(lambda mine: mine[place], 0.5)

    everywhere = np.arange(400)
    chosen = best(guesses, labels, everywhere).chances(guesses)
    honest = cross_fitted(guesses, labels, everywhere % 5, best).chances
    error = stats.auc_error(labels, honest)
    assert stats.auc(labels, chosen) > 0.5 + 2.3 * error
    assert stats.auc(labels, honest) < 0.5 + 1.7 * error
