"""The search: its budget, its turns, and going on after it was stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import learnable_rows
import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from propensia.contract import Contract
from propensia.training import search, splitting
from propensia.training.candidates import FAMILIES, Layout
from propensia.training.search import Progress, SearchError, Task, Tried

ALL = {family.name: family for family in FAMILIES}


class Clock:
    """A clock that goes on by ``step`` seconds whenever it is looked at."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def task(
    contract: Contract, folder: Path, *names: str, count: int = 600, step: float = 1.0
) -> Task:
    rows = learnable_rows.rows(contract, count)
    table = rows.table(contract, "raw")
    return Task(
        table,
        rows.labels,
        splitting.folds(rows, 3, seed=1),
        Layout.of(contract, table),
        [ALL[name] for name in names],
        "none",
        1,
        folder,
        Clock(step),
    )


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def silent(_: Progress) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def every(
    contract: Contract, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Task, list[Tried]]:
    made = task(contract, tmp_path_factory.mktemp("search"), *ALL, count=400)
    return made, search.run(made, 20.0, silent)


def test_every_family_gets_its_first_guess_and_predicts_every_row(every) -> None:
    made, tried = every
    assert {one.family.name for one in tried} >= {"logistica", "lightgbm", "xgboost"}
    for one in tried:
        assert one.chances.shape == made.labels.shape
        assert ((one.chances >= 0) & (one.chances <= 1)).all()
        assert one.log_loss == pytest.approx(log_loss(made.labels, one.chances), rel=1e-9)
        assert one.auc == pytest.approx(roc_auc_score(made.labels, one.chances), rel=1e-9)


def test_a_row_is_predicted_by_a_model_that_was_not_fitted_on_it(every) -> None:
    """Fitted again by hand, without the fold."""
    made, tried = every
    one = next(one for one in tried if one.family.name == "logistica")
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
    made = task(contract, tmp_path, "logistica", step=1.0)
    tried = search.run(made, 30.0, heard.append)
    assert 2 <= len(tried) < 30
    trials = [progress.trials for progress in heard]
    assert trials == sorted(trials) and trials[-1] == len(tried)
    # A trial starts only if one like it fits: the last one may end a little late, no more.
    assert heard[-1].spent_s <= 30 + 5
    assert heard[-1].auc == max(one.auc for one in tried)


def test_even_without_any_time_one_candidate_is_finished(
    contract: Contract, tmp_path: Path
) -> None:
    assert len(search.run(task(contract, tmp_path, "logistica", "lightgbm"), 0.0, silent)) == 1


def test_a_stopped_search_goes_on_where_it_was(contract: Contract, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.trials == 2:
            raise Stopped

    made = task(contract, tmp_path, "logistica", count=300)
    with pytest.raises(Stopped):
        search.run(made, 25.0, stop)
    heard: list[Progress] = []
    tried = search.run(replace(made, clock=Clock(1.0)), 25.0, heard.append)
    assert heard[0].trials >= 2, "they were kept"
    assert heard[0].spent_s > 3, "their time counts"
    settings = [tuple(sorted(one.settings.items())) for one in tried]
    assert len(set(settings)) == len(settings), "nothing was tried twice"


def test_a_trial_that_was_cut_in_the_middle_is_no_candidate(
    contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = task(contract, tmp_path, "logistica")
    with monkeypatch.context() as patch:
        patch.setattr(
            search.files, "write", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            search.run(made, 30.0, silent)
    tried = search.run(made, 0.0, silent)
    assert len(tried) == 1


def test_where_no_family_can_be_fitted_the_error_says_why(
    contract: Contract, tmp_path: Path
) -> None:
    made = task(contract, tmp_path, "logistica")
    one_class = replace(made, labels=np.zeros_like(made.labels))
    with pytest.raises(SearchError, match="regresión logística"):
        search.run(one_class, 5.0, silent)


@pytest.mark.parametrize("balance", ["under", "over", "smote"])
def test_balancing_touches_only_what_a_model_learns_from(
    contract: Contract, tmp_path: Path, balance: str
) -> None:
    """Probabilities keep the real rate of payers, which balancing alone would not."""
    made = replace(task(contract, tmp_path, "logistica", count=2_000), balance=balance)
    (one,) = search.run(made, 0.0, silent)
    assert one.chances.mean() == pytest.approx(made.labels.mean(), abs=0.02)
