"""The vote and its calibrator, held against the plain arithmetic."""

from __future__ import annotations

import io

import compiled_models
import joblib
import numpy as np
import pytest
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from propensia.training import blending
from propensia.training.blending import Known

SIZE = 6_000


def world(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True log-odds, labels, and a generator's noise for candidates."""
    random = np.random.default_rng(seed)
    odds = random.normal(-1.0, 1.2, SIZE)
    labels = (random.random(SIZE) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    return odds, labels, random.normal(0, 0.8, (4, SIZE))


def known(labels: np.ndarray) -> Known:
    """Five folds, each row a customer of its own."""
    places = np.arange(len(labels))
    return Known(labels, places % 5, places)


def chance(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-odds))


def test_candidates_that_err_in_different_ways_share_the_vote_and_beat_each_alone() -> None:
    odds, labels, noise = world()
    said = np.stack([chance(odds + one) for one in noise])
    made = blending.blend(said, ["a", "b", "c", "d"], known(labels))
    assert (made.weights > 0).all() and made.weights.sum() == pytest.approx(1)
    assert log_loss(labels, made.chances(said)) < min(log_loss(labels, one) for one in said)


def test_the_weights_are_those_of_a_search_by_hand() -> None:
    """The same choice written out: every candidate tried in every turn, the best kept."""
    odds, labels, noise = world(3)
    said = np.stack([chance(odds + one) for one in noise])
    chosen: list[int] = []
    means: list[tuple[float, list[int]]] = []
    for _ in range(blending.VOTES):
        tried = [(log_loss(labels, said[[*chosen, one]].mean(axis=0)), one) for one in range(4)]
        loss, one = min(tried)
        chosen = [*chosen, one]
        means.append((loss, chosen))
    best = min(means)[1]
    expected = [best.count(one) / len(best) for one in range(4)]
    made = blending.blend(said, ["a", "b", "c", "d"], known(labels))
    assert made.weights.tolist() == pytest.approx(expected)


def test_a_candidate_far_behind_has_no_vote() -> None:
    odds, labels, noise = world()
    said = np.stack([chance(odds), chance(-odds), chance(odds + noise[0] / 8)])
    made = blending.blend(said, ["a", "b", "c"], known(labels))
    assert made.weights[1] == 0 and made.weights.sum() == pytest.approx(1)


def test_the_truth_needs_nobody_besides() -> None:
    odds, labels, noise = world()
    said = np.stack([chance(odds + noise[0]), chance(odds), chance(odds + noise[1])])
    assert blending.blend(said, ["a", "b", "c"], known(labels)).weights.tolist() == [0, 1, 0]


def test_only_the_best_settings_of_a_kind_and_few_of_all_have_a_vote() -> None:
    odds, labels, _ = world()
    noise = np.random.default_rng(5).normal(0, 0.8, (12, SIZE))
    said = np.stack([chance(odds + one) for one in noise])
    worse = np.argsort([log_loss(labels, one) for one in said])
    made = blending.blend(said, ["a"] * 12, known(labels))
    voting = set(np.flatnonzero(made.weights).tolist())
    assert voting <= set(worse[: blending.OF_A_KIND].tolist()) and len(voting) > 1
    made = blending.blend(said, [f"{place % 6}" for place in range(12)], known(labels))
    assert np.count_nonzero(made.weights) == blending.MEMBERS


def test_chances_that_are_right_are_left_alone() -> None:
    odds, labels, _ = world()
    made = blending.blend(chance(odds)[None], ["a"], known(labels))
    assert made.calibrator == "ninguna"
    np.testing.assert_array_equal(made.chances(chance(odds)[None]), chance(odds))


def shrunk(odds: np.ndarray) -> np.ndarray:
    """What a model says that is held back too much, and knows neither floor nor ceiling."""
    return chance(0.7 * odds - 0.5)


def with_floor(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds of two kinds of customers, and labels: of those surest not to pay 2 % pay, and of
    those surest to pay 2 % do not."""
    random = np.random.default_rng(seed)
    odds = np.where(random.random(SIZE) < 0.15, 5.0, -6.0) + random.normal(0, 2.0, SIZE)
    true = 0.02 + 0.96 * chance(odds)
    return odds, (random.random(SIZE) < true).astype(np.int64)


def in_steps() -> tuple[np.ndarray, np.ndarray]:
    """Log-odds, and labels whose rate rises in two steps."""
    odds, _, _ = world()
    random = np.random.default_rng(2)
    true = np.select([odds < -2, odds < 0], [0.05, 0.4], 0.5)
    return odds, (random.random(SIZE) < true).astype(np.int64)


def said_and_labels(calibrator: str) -> tuple[np.ndarray, np.ndarray]:
    """Chances, and labels with which that calibrator is taken."""
    if calibrator == "sigmoid":
        odds, labels = with_floor(0)
        return shrunk(odds), labels
    if calibrator == "isotonic":
        odds, labels = in_steps()
        return chance(odds), labels
    odds, labels, _ = world()
    return chance((2.5 if calibrator == "temperature" else 1.0) * odds), labels


CALIBRATORS = ("ninguna", "temperature", "sigmoid", "isotonic")


def test_where_even_the_surest_are_sometimes_wrong_a_sigmoid_is_taken() -> None:
    said, labels = said_and_labels("sigmoid")
    made = blending.blend(said[None], ["a"], known(labels))
    assert made.calibrator == "sigmoid"
    odds, fresh = with_floor(1)
    before = shrunk(odds)
    after = made.chances(before[None])
    # Half and more of what the true chances would gain.
    least = (log_loss(fresh, before) + log_loss(fresh, 0.02 + 0.96 * chance(odds))) / 2
    assert log_loss(fresh, after) < least
    assert roc_auc_score(fresh, after) == roc_auc_score(fresh, before)


def test_no_calibrator_turns_the_ranking_round() -> None:
    """Not even where that would help: what is said is then no more than unhelpful."""
    odds, labels, _ = world()
    made = blending.blend(chance(-odds)[None], ["a"], known(labels))
    assert made.calibrator != "sigmoid"
    rising = np.linspace(0, 1, 101)
    assert (np.diff(made.chances(rising[None])) >= 0).all()


def test_chances_that_are_too_sure_get_a_temperature() -> None:
    said, labels = said_and_labels("temperature")
    made = blending.blend(said[None], ["a"], known(labels))
    assert made.calibrator == "temperature"
    fresh_odds, fresh, _ = world(seed=1)
    before = chance(2.5 * fresh_odds)
    after = made.chances(before[None])
    assert log_loss(fresh, after) < log_loss(fresh, before) - 0.05
    assert abs(log_loss(fresh, after) - log_loss(fresh, chance(fresh_odds))) < 0.01


@pytest.mark.filterwarnings("error")
def test_a_few_cases_of_a_class_are_enough() -> None:
    """Fewer than any number of folds, of each class."""
    odds = np.linspace(-3, 3, 8)
    labels = np.array([0, 0, 0, 1, 0, 1, 1, 1])
    places = np.arange(8)
    rows = Known(labels, places % 2, places)
    assert blending.blend(chance(odds / 9)[None], ["a"], rows).calibrator in CALIBRATORS


@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_the_calibrator_around_a_model_says_what_the_blend_says(calibrator: str) -> None:
    """And it is a plain scikit-learn object that a file brings back, and that admission reads."""
    said, labels = said_and_labels(calibrator)
    made = blending.blend(said[None], ["a"], known(labels))
    assert made.calibrator == calibrator
    rows = np.column_stack([said, said**2])
    lines = [("one", LogisticRegression(C=1e-3)), ("two", LogisticRegression(C=1.0))]
    model = VotingClassifier(lines, voting="soft").fit(rows, labels)
    whole = made.around(model)
    stream = io.BytesIO()
    joblib.dump(whole, stream)
    again = joblib.load(io.BytesIO(stream.getvalue()))
    expected = made.chances(model.predict_proba(rows)[:, 1][None])
    np.testing.assert_allclose(again.predict_proba(rows)[:, 1], expected, rtol=0, atol=1e-15)
    assert type(again).__module__.startswith("sklearn.")
    graph = compiled_models.compiled(compiled_models.node_of(whole), ("A", "B"))
    # Steep steps of an isotonic calibrator multiply the last digit of what they are given.
    served = compiled_models.answers(graph, rows)
    np.testing.assert_allclose(served, expected, rtol=0, atol=1e-12)


def test_ranks_are_kept_by_a_temperature() -> None:
    odds, labels, _ = world()
    said = chance(2.5 * odds)[None]
    made = blending.blend(said, ["a"], known(labels))
    assert made.calibrator == "temperature"
    assert roc_auc_score(labels, made.chances(said)) == pytest.approx(
        roc_auc_score(labels, odds), abs=1e-3
    )


def test_copies_of_a_few_customers_do_not_make_a_calibrator() -> None:
    """Right chances of 300 customers with eight equal rows each: what helps in one fold is noise
    of customers, and tells nothing of others."""
    taken = 0
    for seed in range(12):
        random = np.random.default_rng(seed)
        odds = random.normal(-1.0, 1.0, 300)
        labels = (random.random(300) < chance(odds)).astype(np.int64)
        groups = np.repeat(np.arange(300), 8)
        rows = Known(labels[groups], groups % 5, groups)
        taken += blending.blend(chance(odds)[groups][None], ["a"], rows).calibrator != "ninguna"
    assert taken <= 3
