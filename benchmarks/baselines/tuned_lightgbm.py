"""LightGBM as a careful analyst tunes it: Optuna over the usual space, five folds, AUC, refitted.

It must never see the hold-out, nor learn from a contract: categories go in as LightGBM likes them.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import optuna
import pandas as pd

from benchmarks.tables.contracts import is_category

_FOLDS = 5
_MOST_ROUNDS = 3000
_PATIENCE = 50
_USUAL = {
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_child_samples": 20,
    "feature_fraction": 0.9,
    "bagging_fraction": 0.9,
    "lambda_l1": 1e-3,
    "lambda_l2": 1e-3,
    "cat_smooth": 10.0,
}
"""Tried first, so that a short search is never worse than no search."""

Chances = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tuned:
    """The refitted booster and how it was found; `auc` is the mean over the folds."""

    booster: lgb.Booster
    auc: float
    trials: int
    seconds: float

    def chances(self, inputs: pd.DataFrame) -> Chances:
        """The probability of class 1, `(n,)`, for inputs from `prepared`."""
        return np.asarray(self.booster.predict(_plain(inputs)), dtype=np.float64)


def prepared(parts: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """The parts of one table with their texts as pandas categories, the same codes in each."""
    whole = pd.concat(parts)
    kinds = {
        name: pd.CategoricalDtype(sorted(whole[name].unique()))
        for name in whole
        if is_category(whole[name])
    }
    return [part.astype(kinds) for part in parts]


def tune(
    inputs: pd.DataFrame, labels: npt.NDArray[np.int64], seconds: float, cores: int, seed: int
) -> Tuned:
    """Search for `seconds` and fit the best settings to all rows.

    `inputs` come from `prepared`, `labels` are 0 and 1. The last trial is finished whatever it
    takes, and the refit comes on top: `Tuned.seconds` tells the truth.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    started = time.monotonic()
    fixed = {
        "objective": "binary",
        "metric": "auc",
        "num_threads": cores,
        "seed": seed,
        "bagging_freq": 1,
        "verbosity": -1,
        "feature_pre_filter": False,  # or the smallest leaf could not change between trials
    }
    data = lgb.Dataset(_plain(inputs), labels, params=fixed, free_raw_data=False)

    def objective(trial: optuna.Trial) -> float:
        found = lgb.cv(
            {**fixed, **_settings(trial)},
            data,
            num_boost_round=_MOST_ROUNDS,
            nfold=_FOLDS,
            stratified=True,
            seed=seed,
            callbacks=[lgb.early_stopping(_PATIENCE, verbose=False)],
        )
        curve = np.array(found["valid auc-mean"], dtype=np.float64)
        trial.set_user_attr("rounds", len(curve))
        return float(curve[-1])

    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed)
    )
    study.enqueue_trial(_USUAL)
    study.optimize(objective, timeout=seconds)
    best = study.best_trial
    booster = lgb.train({**fixed, **best.params}, data, best.user_attrs["rounds"])
    taken = time.monotonic() - started
    return Tuned(booster, float(study.best_value), len(study.trials), taken)


def _plain(inputs: pd.DataFrame) -> pd.DataFrame:
    """With names that LightGBM takes; it refuses some letters, and its trees need none."""
    return inputs.set_axis([f"c{place}" for place in range(inputs.shape[1])], axis=1)


def _settings(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 2, 256, log=True),
        "min_child_samples": trial.suggest_int("min_child_samples", 5, 300, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.3, 1.0),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.4, 1.0),
        "lambda_l1": trial.suggest_float("lambda_l1", 1e-3, 30.0, log=True),
        "lambda_l2": trial.suggest_float("lambda_l2", 1e-3, 30.0, log=True),
        "cat_smooth": trial.suggest_float("cat_smooth", 1.0, 100.0, log=True),
    }
