"""The search: its budget, its turns, its failures, and going on after it was stopped."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import learnable_rows
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import issparse
from sklearn.dummy import DummyClassifier
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from propensia.contract import Contract
from propensia.locks import Lock
from propensia.training import candidates, choices, search, splitting, trials
from propensia.training.candidates import FAMILIES, Family
from propensia.training.progress import Progress
from propensia.training.results import KINDS, Threshold
from propensia.training.search import Found, SearchError, Task
from propensia.training.shaping import Layout
from propensia.training.trials import Ended

ALL = {family.name: family for family in FAMILIES}


class Clock:
    """A clock that goes on by ``step`` seconds whenever it is looked at."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def task(contract: Contract, *names: str, count: int = 600, step: float = 1.0) -> Task:
    rows = learnable_rows.rows(contract, count)
    table = rows.table(contract, "raw")
    return Task(
        table,
        rows.labels,
        splitting.folds(rows, 3, seed=1),
        rows.groups,
        Layout.of(contract, table),
        [ALL[name] for name in names],
        "none",
        1,
        Clock(step),
    )


def silent(_: Progress) -> None:
    """Nobody listens."""


class Stopped(Exception):
    """Somebody pulls the plug."""


@pytest.fixture(scope="module")
def every(contract: Contract, tmp_path_factory: pytest.TempPathFactory) -> tuple[Task, Found]:
    made = task(contract, *ALL, count=400)
    return made, search.run(made, 20.0, tmp_path_factory.mktemp("search"), silent)


def test_every_family_gets_its_first_guess_and_predicts_every_row(
    every: tuple[Task, Found],
) -> None:
    made, found = every
    assert not found.failures
    assert {one.family.name for one in found.tried} >= {"logistica", "lightgbm", "xgboost"}
    for one in found.tried:
        assert one.chances.shape == made.labels.shape
        assert ((one.chances >= 0) & (one.chances <= 1)).all()
        assert one.log_loss == pytest.approx(log_loss(made.labels, one.chances), rel=1e-9)
        assert one.auc == pytest.approx(roc_auc_score(made.labels, one.chances), rel=1e-9)


def test_a_row_is_predicted_by_a_model_that_was_not_fitted_on_it(
    every: tuple[Task, Found],
) -> None:
    """Fitted again by hand, without the fold."""
    made, found = every
    one = next(one for one in found.tried if one.family.name == "logistica")
    inside = made.folds == 2
    model = search.estimator(made, one.family, one.settings, int((~inside).sum()))
    with search.patient():
        model.fit(made.table[~inside], made.labels[~inside])
    again = model.predict_proba(made.table[inside])[:, 1]
    np.testing.assert_allclose(one.chances[inside], again, rtol=0, atol=1e-12)


def test_a_search_ends_with_its_time_and_tells_how_far_it_is(
    contract: Contract, tmp_path: Path
) -> None:
    heard: list[Progress] = []
    tried = search.run(task(contract, "logistica"), 30.0, tmp_path, heard.append).tried
    assert 2 <= len(tried) < 30
    counts = [progress.trials for progress in heard]
    assert counts == sorted(counts) and counts[-1] == len(tried)
    # A trial starts only if one like it fits: the last one may end a little late, no more.
    assert heard[-1].spent_s <= 30 + 5
    assert heard[-1].auc == max(one.auc for one in tried)


def test_even_without_any_time_one_candidate_is_finished(
    contract: Contract, tmp_path: Path
) -> None:
    made = task(contract, "logistica", "lightgbm")
    assert len(search.run(made, 0.0, tmp_path, silent).tried) == 1


def stopped_after(count: int, made: Task, folder: Path) -> None:
    """A search that is stopped as soon as so many trials are finished."""

    def stop(progress: Progress) -> None:
        if progress.trials == count:
            raise Stopped

    with pytest.raises(Stopped):
        search.run(made, 25.0, folder, stop)


def test_a_stopped_search_goes_on_where_it_was(contract: Contract, tmp_path: Path) -> None:
    made = task(contract, "logistica", count=300)
    stopped_after(4, made, tmp_path)  # both guesses, and two that the sampler drew
    heard: list[Progress] = []
    found = search.run(replace(made, clock=Clock(1.0)), 25.0, tmp_path, heard.append)
    assert heard[0].trials >= 4, "they were kept"
    assert heard[0].spent_s > 3, "their time counts"
    settings = [tuple(sorted(one.settings.items())) for one in found.tried]
    assert len(settings) >= 7
    assert len(set(settings)) == len(settings), "nothing was tried twice"


def test_a_lost_guess_is_done_again_and_no_trial_takes_the_place_of_another(
    contract: Contract, tmp_path: Path
) -> None:
    made = task(contract, "logistica", count=300)
    stopped_after(4, made, tmp_path)
    first, *others = sorted(tmp_path.glob("*.npz"))
    kept = {path: path.read_bytes() for path in others}
    first.write_bytes(b"")
    found = search.run(replace(made, clock=Clock(1.0)), 25.0, tmp_path, silent)
    assert {path: path.read_bytes() for path in others} == kept
    assert len(found.tried) > len(kept)
    assert [dict(one.settings) for one in found.tried].count(dict(ALL["logistica"].few)) == 1


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut", None])
def test_a_damaged_trial_is_done_again(
    contract: Contract, tmp_path: Path, damage: bytes | None
) -> None:
    """As a power cut leaves a file: empty, cut, or with its second half gone."""
    made = task(contract, "logistica", count=300)
    stopped_after(2, made, tmp_path)
    last = sorted(tmp_path.glob("*.npz"))[-1]
    content = last.read_bytes()
    last.write_bytes(content[: len(content) // 2] if damage is None else damage)
    kept = len(list(trials.read(tmp_path, "logistica", 300)))
    assert kept == len(list(tmp_path.glob("*.npz"))) - 1
    assert search.run(replace(made, clock=Clock(1.0)), 12.0, tmp_path, silent).tried


@pytest.mark.parametrize(
    "change",
    [
        {"chances": np.full(299, 0.5)},
        {"chances": np.full(300, np.nan)},
        {"chances": np.full(300, np.inf)},
        {"chances": np.full(300, "a")},
        {"told": np.array("[]")},
        {"told": np.array('{"params": {}, "distributions": [], "settings": {}}')},
        {
            "told": np.array(
                '{"params":{},"distributions":[],"settings":{},"seconds":1,"reason":""}'
            )
        },
        {
            "told": np.array(
                '{"params":{},"distributions":{},"settings":{},"seconds":NaN,"reason":""}'
            )
        },
    ],
)
def test_a_trial_of_other_rows_or_of_odd_content_is_passed_over(
    tmp_path: Path, change: dict[str, np.ndarray]
) -> None:
    for number in range(2):
        ended = Ended({}, {}, {}, np.full(300, 0.5), 0.7, 1.0, "")
        trials.write(tmp_path, "logistica", number, ended)
    given_up = replace(ended, chances=None)
    trials.write(tmp_path, "logistica", 2, given_up)
    assert len(list(trials.read(tmp_path, "logistica", 300))) == 3
    path = tmp_path / "logistica-00001.npz"
    with np.load(path) as kept:
        content = dict(kept)
    np.savez(path, **{**content, **change})
    (first, last) = trials.read(tmp_path, "logistica", 300)
    assert first.chances is not None and last.chances is None


def test_no_changed_byte_of_a_trial_breaks_the_reading(tmp_path: Path) -> None:
    """Each byte in turn, as a bad disk would; what still reads is a whole trial."""
    trials.write(tmp_path, "a", 0, Ended({}, {}, {}, np.full(2, 0.5), 0.7, 1.0, ""))
    (path,) = tmp_path.glob("*.npz")
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        for ended in trials.read(tmp_path, "a", 2):
            assert ended.chances is not None and ended.chances.tolist() == [0.5, 0.5]


def test_an_interruption_in_the_first_guess_does_not_lose_it(
    contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = task(contract, "logistica", count=300)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(search.trials, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            search.run(made, 30.0, tmp_path, silent)
    (tried,) = search.run(made, 0.0, tmp_path, silent).tried
    assert dict(tried.settings) == dict(ALL["logistica"].few)


def test_what_trials_depend_on_names_the_task(contract: Contract) -> None:
    made = task(contract, "logistica", count=300)
    others = [
        replace(made, folds=np.roll(made.folds, 1)),
        replace(made, labels=1 - made.labels),
        replace(made, table=made.table.assign(DEUDA_TOTAL=1.0)),
        replace(made, seed=2),
        replace(made, balance="under"),
    ]
    names = {one.identity() for one in (made, *others)}
    assert len(names) == len(others) + 1
    assert task(contract, "lightgbm", count=300).identity() == made.identity()


def test_the_same_seed_and_as_many_trials_give_the_same(
    contract: Contract, tmp_path: Path
) -> None:
    """How many trials fit in a minute is the machine's; what they are is not."""
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        made = task(contract, "logistica", count=300)
        found.append(search.run(made, 20.0, tmp_path / name, silent))
    first, second = found
    assert len(first.tried) == len(second.tried) >= 2
    for one, other in zip(first.tried, second.tried, strict=True):
        assert dict(one.settings) == dict(other.settings)
        np.testing.assert_array_equal(one.chances, other.chances)


def test_the_families_have_the_names_that_the_command_line_knows() -> None:
    assert (*ALL, "red") == KINDS


def test_where_no_family_can_be_fitted_the_error_says_why(
    contract: Contract, tmp_path: Path
) -> None:
    made = task(contract, "logistica")
    one_class = replace(made, labels=np.zeros_like(made.labels))
    with pytest.raises(SearchError, match="regresión logística"):
        search.run(one_class, 5.0, tmp_path, silent)


class Failing(DummyClassifier):
    """Fits only now and then: what some settings of some libraries do on some tables."""

    calls = 0

    def fit(self, rows: pd.DataFrame, labels: np.ndarray) -> Failing:
        """Raise, but in the first trial."""
        type(self).calls += 1
        if type(self).calls > 3:
            raise ValueError("these settings do not go with these rows")
        return super().fit(rows, labels)


def test_a_failing_trial_is_told_and_the_others_go_on(contract: Contract, tmp_path: Path) -> None:
    Failing.calls = 0
    odd = Family(
        "rara",
        "familia rara",
        {"C": 1.0},
        {"C": 2.0},
        lambda trial: {"C": trial.suggest_float("C", 0.1, 10.0)},
        lambda *_: Pipeline([("model", Failing(strategy="prior"))]),
    )
    made = task(contract, "logistica", count=300)
    found = search.run(replace(made, families=[*made.families, odd]), 60.0, tmp_path, silent)
    assert found.failures == {"familia rara": "these settings do not go with these rows"}
    assert sum(one.family is odd for one in found.tried) <= 1
    assert sum(one.family is not odd for one in found.tried) > 3


class Watched(DummyClassifier):
    """Remembers the classes that it was given to learn from."""

    seen: tuple[int, ...] = ()

    def fit(self, rows: pd.DataFrame, labels: np.ndarray) -> Watched:
        """Only takes note."""
        type(self).seen = tuple(np.bincount(labels))
        return super().fit(rows, labels)


@pytest.mark.parametrize("balance", ["under", "over", "smote"])
@pytest.mark.parametrize("name", list(ALL))
def test_balancing_evens_out_what_each_family_learns_from_and_nothing_else(
    contract: Contract, balance: str, name: str
) -> None:
    """The model gets as many of one class as of the other; the answer keeps the real rate."""
    rows = learnable_rows.rows(contract, 1_500)
    table = rows.table(contract, "raw")
    layout = Layout.of(contract, table)
    settings = dict(ALL[name].few) | ({"n_estimators": 20} if name == "bosque" else {})

    def watched(*given: object) -> Pipeline:
        made = ALL[name].build(*given)  # type: ignore[arg-type]
        return Pipeline([*made.steps[:-1], ("model", Watched(strategy="prior"))])

    family = replace(ALL[name], build=watched, threaded=False)
    watching = candidates.build(family, settings, layout, len(rows), 1, balance, 1)
    with search.patient(), threadpool_limits(1):
        candidates.fit(watching, table, rows.labels, rows.groups, balance)
        real = candidates.build(ALL[name], settings, layout, len(rows), 1, balance, 1)
        candidates.fit(real, table, rows.labels, rows.groups, balance)
        said = real.predict_proba(table)[:, 1]
    assert Watched.seen[0] == Watched.seen[1] > 0
    assert said.mean() == pytest.approx(rows.labels.mean(), abs=0.03)


def test_what_a_line_learns_from_is_kept_sparse(contract: Contract) -> None:
    """Most of it are zeros: of a million rows dense, each fold would take a gigabyte."""
    table = learnable_rows.rows(contract, 1_000).table(contract, "raw")
    # As a million rows are learnt from first.
    settings, layout = ALL["logistica"].many, Layout.of(contract, table)
    model = candidates.build(ALL["logistica"], settings, layout, len(table), 1, "none", 1)
    with search.patient():
        made = model[:-1].fit_transform(table)
    assert issparse(made)
    assert made.data.nbytes + made.indices.nbytes < 0.5 * 8 * made.shape[0] * made.shape[1]


def test_what_balancing_does_to_the_chances_is_undone_with_rows_of_other_customers(
    contract: Contract,
) -> None:
    """300 customers with ten equal rows each and labels that are noise: who knew a customer's
    other rows would see that they tell everything, and believe them of the next customers."""
    rows = learnable_rows.rows(contract, 300)
    noise = np.random.default_rng(1).random(300) < 0.3
    rows = replace(rows, labels=noise.astype(np.int64)).take(np.repeat(np.arange(300), 10))
    table = rows.table(contract, "raw")
    settings = {**ALL["lightgbm"].few, "min_child_samples": 2, "n_estimators": 400}
    layout = Layout.of(contract, table)
    model = candidates.build(ALL["lightgbm"], settings, layout, len(rows), 1, "over", 1)
    with search.patient(), threadpool_limits(1):
        candidates.fit(model, table, rows.labels, rows.groups, "over")
    fresh = learnable_rows.rows(contract, 1_000, seed=6).table(contract, "raw")
    assert np.std(model.predict_proba(fresh)[:, 1]) < 0.1


def test_a_balanced_search_and_its_vote_are_fitted(contract: Contract, tmp_path: Path) -> None:
    rows = learnable_rows.rows(contract, 600, customers=200)
    made = replace(
        task(contract, "logistica", "bosque"),
        **{"groups": rows.groups, "folds": splitting.folds(rows, 3, seed=1), "balance": "under"},
    )
    found = search.run(made, 4.0, tmp_path, silent)
    assert not found.failures
    vote = choices.vote(contract, made, rows, found.tried, lambda *_: Threshold(0.5, {}))
    said = vote.chances(vote.fit(rows), rows)
    assert said.mean() == pytest.approx(rows.labels.mean(), abs=0.05)
    # Three folds learnt from two thirds each: together from all rows twice. A line is fitted on
    # one core, and its folds each had one.
    cores = {"regresión logística": min(candidates.CORES, 3), "bosque aleatorio": 1}
    taken = [one.seconds * cores[one.family] for one in vote.candidates if one.weight > 0]
    assert vote.fit_s == pytest.approx(sum(taken) / 2)


def test_a_line_is_fitted_where_all_of_a_column_are_gaps(contract: Contract) -> None:
    table = learnable_rows.rows(contract, 300).table(contract, "raw")
    layout = Layout.of(contract, table)
    assert layout.gaps
    table[list(layout.gaps)] = np.nan
    labels = np.arange(300) % 2
    for settings in (ALL["logistica"].few, ALL["logistica"].many):
        model = candidates.build(ALL["logistica"], settings, layout, 300, 1, "none", 1)
        with search.patient():
            said = model.fit(table, labels).predict_proba(table)
        assert np.isfinite(said).all()


def test_a_search_that_nobody_went_on_with_for_a_month_is_removed(tmp_path: Path) -> None:
    old, recent, held = (trials.place(tmp_path, name) for name in ("a", "b", "c"))
    month_ago = time.time() - 31 * 24 * 3600
    for folder in (old, recent, held):
        (folder / "lock").touch()
        (folder / "logistica-0.npz").write_bytes(b"x")
        os.utime(folder / "lock", (month_ago, month_ago))
        os.utime(folder / "logistica-0.npz", (month_ago, month_ago))
        os.utime(folder, (month_ago, month_ago))
    (recent / "logistica-1.npz").write_bytes(b"x")
    with Lock(held / trials.LOCK):
        trials.place(tmp_path, "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "c", "new"]
