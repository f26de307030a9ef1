"""The formulas of the monitoring against brute force, scipy and draws; nannyml in a slow run."""

from __future__ import annotations

import json

import numpy as np
import pytest
from old_environments import files_of
from scipy.stats import chi2, chi2_contingency, false_discovery_control
from sqlalchemy import create_engine, select

from propensia import distributions, stats
from propensia.monitoring import estimation, formulas, realised
from propensia.monitoring.formulas import Calibrated
from propensia.store import schema, sums

NANNYML = ["nannyml==0.13.1", "statsmodels==0.15.0"]
NANNYML_PY = """
import json, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import numpy as np, pandas as pd
from nannyml import CBPE
out = Path(sys.argv[1])
random = np.random.default_rng(7)
def frame(a, b, rows):
    chances = random.beta(a, b, rows)
    paid = (random.random(rows) < chances).astype(int)
    return pd.DataFrame({"p": chances, "yes": (chances >= 0.3).astype(int), "paid": paid})
before, now = frame(1.2, 3.5, 50_000), frame(1.5, 3.0, 30_000)
told = CBPE(y_pred_proba="p", y_pred="yes", y_true="paid", chunk_number=1,
            problem_type="classification_binary", metrics=["roc_auc", "precision", "recall"])
told.fit(before)
told.needs_calibration = False  # the chances are calibrated as they are
row = told.estimate(now).filter(period="analysis").to_df().iloc[0]
figures = {name: float(row[name, "value"]) for name in ("roc_auc", "precision", "recall")}
(out / "figures.json").write_text(json.dumps(figures))
np.save(out / "chances.npy", now["p"].to_numpy())
"""


def chances(rows: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).beta(1.2, 3.5, rows)


def by_pairs(p: np.ndarray) -> float:
    """The expected AUC with every pair written out."""
    won = pairs = 0.0
    for i, mine in enumerate(p):
        for j, theirs in enumerate(p):
            if i != j:
                weight = mine * (1 - theirs)
                pairs += weight
                won += weight * (1.0 if mine > theirs else 0.5 if mine == theirs else 0.0)
    return won / pairs


@pytest.mark.parametrize("decimals", [1, 2, 15])
def test_the_expected_auc_is_that_of_all_pairs_ties_included(decimals: int) -> None:
    p = np.clip(np.round(chances(150), decimals), 0.05, 0.95)
    assert formulas.auc(p).value == pytest.approx(by_pairs(p), abs=1e-12)


def test_the_pull_of_an_answer_is_what_its_outcome_changes() -> None:
    """Moves the chance of one outcome, not of its score, and looks at the figure itself."""
    p = np.sort(chances(60))

    def figure(outcome: np.ndarray) -> float:
        weight = np.outer(outcome, 1 - outcome)
        np.fill_diagonal(weight, 0.0)
        better = (p[:, None] > p[None, :]) + 0.5 * (p[:, None] == p[None, :])
        return float((weight * better).sum() / weight.sum())

    pull, step = formulas.auc(p).pull, 1e-6
    for place in (0, 17, 40, 59):
        more, less = p.copy(), p.copy()
        more[place] += step
        less[place] -= step
        slope = (figure(more) - figure(less)) / (2 * step)
        assert pull[place] == pytest.approx(slope, abs=1e-7)


def test_the_other_figures_are_the_means_of_their_definitions() -> None:
    p = chances(4_000)
    chosen = p >= 0.3
    found = estimation.promises(p, chosen)
    expected = {
        "brier": np.mean(p * (1 - p) ** 2 + (1 - p) * p**2),
        "precision": p[chosen].sum() / chosen.sum(),
        "recall": p[chosen].sum() / p.sum(),
        "payments": p.sum(),
    }
    for name, value in expected.items():
        promise = found[name]
        assert promise is not None and promise.value == pytest.approx(value, rel=1e-12)


def test_nobody_chosen_has_no_precision() -> None:
    p = chances(100)
    assert estimation.promises(p, p > 1)["precision"] is None


def test_rates_that_were_judged_on_few_rows_widen_the_interval() -> None:
    p = chances(5_000)
    promise = formulas.auc(p)
    limits, rates = np.quantile(p, np.arange(1, 10) / 10), np.linspace(0.05, 0.6, 10)
    widths = []
    for rows in (100, 10_000):
        judged = Calibrated(limits, rates * (1 - rates) / rows)
        found = formulas.interval(promise, p, judged)
        widths.append(found.high - found.low)
    plain = formulas.interval(promise, p, None)
    assert widths[0] > widths[1] > plain.high - plain.low


@pytest.mark.parametrize("free", [1, 2, 3, 8, 10, 21])
def test_the_tail_of_the_chi_square_is_scipys(free: int) -> None:
    for statistic in (0.0, 0.3, 4.0, 25.0, 400.0):
        wanted = chi2.sf(statistic, free)
        assert formulas.chi_square_tail(statistic, free) == pytest.approx(wanted, rel=1e-9)


def test_a_statistic_beyond_all_floats_has_no_tail() -> None:
    assert formulas.chi_square_tail(1e7, 9) == 0.0


def test_two_samples_are_compared_as_scipy_does() -> None:
    random = np.random.default_rng(2)
    before, now = random.poisson(40, 9).astype(float), random.poisson(90, 9).astype(float)
    wanted = chi2_contingency(np.array([before, now]), correction=False)
    statistic, free = formulas.two_samples(np.append(before, 0), np.append(now, 0))
    assert (statistic, free) == (pytest.approx(wanted[0]), wanted[2])


def test_false_discoveries_are_held_down_as_scipy_does() -> None:
    p = np.random.default_rng(3).random(30) ** 3
    assert formulas.false_discoveries(p).tolist() == pytest.approx(false_discovery_control(p))


def test_of_tests_where_nothing_moved_few_tables_raise_any_alarm() -> None:
    """Benjamini and Hochberg promise at most 5 % of tables, four standard errors allowed."""
    random = np.random.default_rng(4)
    alarms = sum(formulas.false_discoveries(random.random(13)).min() < 0.05 for _ in range(2_000))
    assert alarms / 2_000 < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 2_000)


def test_what_came_is_measured_as_it_is_defined() -> None:
    p = chances(3_000)
    labels = (np.random.default_rng(5).random(3_000) < p).astype(np.int64)
    found = realised.figures(labels, p, p >= 0.3)
    assert found["rmse"].value == pytest.approx(np.sqrt(np.mean((p - labels) ** 2)))
    assert found["mae"].value == pytest.approx(np.mean(np.abs(p - labels)))
    assert found["precision"].value == pytest.approx(labels[p >= 0.3].mean())
    assert found["auc"].value == pytest.approx(stats.auc(labels, p))
    assert all(figure.low < figure.value < figure.high for figure in found.values())


@pytest.mark.slow
def test_the_interval_holds_what_comes_nineteen_times_of_twenty() -> None:
    """400 months of calibrated answers; 95 % of them, four standard errors allowed."""
    held = dict.fromkeys(estimation.FIGURES, 0)
    for seed in range(400):
        p = chances(2_000, seed)
        labels = (np.random.default_rng([9, seed]).random(2_000) < p).astype(np.int64)
        came = realised.figures(labels, p, p >= 0.3)
        for name, promise in estimation.promises(p, p >= 0.3).items():
            assert promise is not None
            figure = formulas.interval(promise, p, None)
            held[name] += figure.low <= came[name].value <= figure.high
    for name, count in held.items():
        assert abs(count / 400 - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 400), name


@pytest.mark.slow
def test_the_interval_allows_for_a_calibration_judged_on_few_rows() -> None:
    """The chances are calibrated on 500 rows only: what they are off then is in the interval."""
    held = plain = 0
    limits = np.arange(1, 10) / 10
    for seed in range(300):
        random = np.random.default_rng([11, seed])
        score, judged = random.random(20_000), random.random(500)
        rate = np.linspace(0.05, 0.6, 10)
        of_judged = np.searchsorted(limits, judged)
        count = np.bincount(of_judged, minlength=10)
        paid = np.bincount(of_judged, random.random(500) < rate[of_judged], 10)
        learnt = np.clip((paid + 1) / (count + 2), 0.001, 0.999)
        places = np.searchsorted(limits, score)
        p, labels = learnt[places], (random.random(20_000) < rate[places]).astype(np.int64)
        promise = formulas.brier(p)
        # Each level is a bin of its own, whatever the order that chance gave them.
        order = np.argsort(learnt)
        inner = (learnt[order][1:] + learnt[order][:-1]) / 2
        known = Calibrated(inner, (learnt * (1 - learnt) / count)[order])
        came = stats.brier(labels, p)
        for wide, judged_by in ((True, known), (False, None)):
            figure = formulas.interval(promise, p, judged_by)
            inside = figure.low <= came <= figure.high
            held, plain = held + (wide and inside), plain + (not wide and inside)
    assert held / 300 > 0.95 - 4 * np.sqrt(0.95 * 0.05 / 300)
    assert plain / 300 < 0.8


@pytest.mark.slow
def test_nannyml_estimates_the_same() -> None:
    folder = files_of(NANNYML, NANNYML_PY)
    theirs = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    p = np.load(folder / "chances.npy")
    ours = {name: one.value for name, one in estimation.promises(p, p >= 0.3).items() if one}
    assert ours["precision"] == pytest.approx(theirs["precision"], rel=1e-12)
    assert ours["recall"] == pytest.approx(theirs["recall"], rel=1e-12)
    # Theirs compares each row with itself too: one pair in n.
    assert ours["auc"] == pytest.approx(theirs["roc_auc"], abs=1 / len(p))


def test_a_score_at_the_end_of_a_step_is_in_the_same_one_wherever_it_is_counted() -> None:
    """0.15, 0.3 and 0.6 lie beside a limit of 20 steps by rounding alone."""
    scores = np.array([0.0, 0.15, 0.3, 0.35, 0.6, 0.7, 0.85, 0.95, 1.0])
    trained = distributions.of_scores(scores)["histograma"]
    engine = create_engine("sqlite://")
    schema.METADATA.create_all(engine)
    common = {"version": "v", "caller": "c", "positive": False, "notes": "[]"}
    rows = [
        common | {"id": f"{place:011x}", "probability": float(score)}
        for place, score in enumerate(scores)
    ]
    with engine.begin() as connection:
        sums.count_answers(connection, rows)
        of = schema.scores.c
        stored = {place: count for place, count in connection.execute(select(of.bin, of.count))}
    engine.dispose()
    assert stored == {0: 1, 3: 1, 6: 1, 7: 1, 12: 1, 14: 1, 17: 1, 19: 2}
    assert [round(share * len(scores)) for share in trained] == [
        stored.get(place, 0) for place in range(20)
    ]
