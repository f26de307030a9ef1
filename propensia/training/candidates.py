"""The kinds of models that a search may try: how each is built and which settings it has.

Nothing here is fitted. All of them take the raw view of the rows and give calibrated odds by
design (they minimise log loss), so that they can be averaged.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
import pandas as pd
import sklearn
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import Pipeline as ResamplingPipeline
from imblearn.under_sampling import RandomUnderSampler
from lightgbm import LGBMClassifier
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline
from xgboost import XGBClassifier

from propensia.training.rows import Labels
from propensia.training.shaping import Layout, for_lines, for_trees

Settings = Mapping[str, Any]
# Settings of a forest that scikit-learn does not have by these names.
OURS = ("extra_trees", "leaf_share")
# From so many rows on, larger models are tried first.
MANY = 15_000
# Parts that the rows of a fit are dealt into where classes are evened out.
PARTS = 3
CORES = max(1, min(os.cpu_count() or 1, 8))


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of model.

    ``few`` and ``many`` are guesses tried before any search: good for most tables of few, and
    of ``MANY`` rows or more.
    ``suggest`` draws settings from the search space; ``build`` makes the unfitted estimator from
    settings, the layout, the number of rows that it will learn from, and a seed. ``threaded``:
    it takes a number of threads.
    """

    name: str
    title: str
    few: Settings
    many: Settings
    suggest: Callable[[optuna.Trial], Settings]
    build: Callable[[Settings, Layout, int, int], BaseEstimator]
    threaded: bool = False

    def guesses(self, count: int) -> tuple[Settings, Settings]:
        """Both guesses, the likelier one for a table of ``count`` rows first."""
        return (self.few, self.many) if count < MANY else (self.many, self.few)


def build(
    family: Family,
    settings: Settings,
    layout: Layout,
    count: int,
    seed: int,
    balance: str,
    jobs: int,
) -> BaseEstimator:
    """An unfitted pipeline that takes the raw view.

    ``count`` rows will be learnt from, by ``jobs`` threads where the library has a choice.

    With a ``balance`` the classes are evened out among the rows of each fit alone, and what that
    does to the probabilities is undone by a sigmoid fitted on rows that were left as they are, of
    other customers: then only ``fit`` can fit it.
    """
    pipeline: Pipeline = family.build(settings, layout, count, seed)
    if family.threaded:
        pipeline[-1].set_params(n_jobs=jobs)
    if balance == "none":
        return pipeline
    *before, model = pipeline.steps
    # SMOTE draws rows between two others, and between a number and a gap there is none.
    fill = SimpleImputer(strategy="median", add_indicator=True)
    filled = [("fill", fill)] if balance == "smote" and layout.gaps else []
    steps = [*before, *filled, ("balance", _sampler(balance, seed)), model]
    return CalibratedClassifierCV(
        ResamplingPipeline(steps), method="sigmoid", cv=GroupKFold(PARTS)
    )


def fit(
    model: BaseEstimator, table: pd.DataFrame, labels: Labels, groups: Labels, balance: str
) -> BaseEstimator:
    """``model``, one of ``build`` with that ``balance`` or a vote of such, fitted on the rows;
    ``groups`` ``(n,)`` are equal for rows of one customer."""
    if balance == "none":
        return model.fit(table, labels)
    with sklearn.config_context(enable_metadata_routing=True):  # it hands the groups on inside
        return model.fit(table, labels, groups=groups)


def _sampler(balance: str, seed: int) -> BaseEstimator:
    if balance == "under":
        return RandomUnderSampler(random_state=seed)
    if balance == "over":
        return RandomOverSampler(random_state=seed)
    return SMOTE(random_state=seed)


def _logistic(settings: Settings, layout: Layout, count: int, seed: int) -> Pipeline:
    model = LogisticRegression(C=settings["C"], max_iter=2_000, random_state=seed)
    return Pipeline([("columns", for_lines(layout, settings["knots"])), ("model", model)])


def _suggest_logistic(trial: optuna.Trial) -> Settings:
    return {
        "C": trial.suggest_float("C", 1e-3, 30.0, log=True),
        "knots": trial.suggest_categorical("knots", [0, 3, 5, 8, 13]),
    }


def _forest(settings: Settings, layout: Layout, count: int, seed: int) -> Pipeline:
    rest = {name: value for name, value in settings.items() if name not in OURS}
    kind = ExtraTreesClassifier if settings["extra_trees"] else RandomForestClassifier
    # A share of the rows, so that the size of the file does not grow with the table.
    leaf = max(1, round(settings["leaf_share"] * count))
    model = kind(min_samples_leaf=leaf, criterion="log_loss", random_state=seed, **rest)
    return Pipeline([("columns", for_trees(layout)), ("model", model)])


def _suggest_forest(trial: optuna.Trial) -> Settings:
    return {
        "extra_trees": trial.suggest_categorical("extra_trees", [False, True]),
        "n_estimators": trial.suggest_int("n_estimators", 100, 300, step=50),
        "leaf_share": trial.suggest_float("leaf_share", 2e-4, 2e-2, log=True),
        "max_features": trial.suggest_float("max_features", 0.15, 1.0),
    }


def _histogram(settings: Settings, layout: Layout, count: int, seed: int) -> Pipeline:
    model = HistGradientBoostingClassifier(early_stopping=False, random_state=seed, **settings)
    return Pipeline([("columns", for_trees(layout)), ("model", model)])


def _suggest_histogram(trial: optuna.Trial) -> Settings:
    return {
        "learning_rate": _rate(trial),
        "max_iter": _rounds(trial, "max_iter"),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 2, 48, log=True),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 5, 200, log=True),
        "l2_regularization": trial.suggest_float("l2_regularization", 1e-3, 100.0, log=True),
        "max_features": trial.suggest_float("max_features", 0.2, 1.0),
    }


def _rate(trial: optuna.Trial) -> float:
    return trial.suggest_float("learning_rate", 0.01, 0.2, log=True)


def _rounds(trial: optuna.Trial, name: str = "n_estimators") -> int:
    return trial.suggest_int(name, 40, 800, log=True)


def _lightgbm(settings: Settings, layout: Layout, count: int, seed: int) -> Pipeline:
    model = LGBMClassifier(
        subsample_freq=1,
        random_state=seed,
        deterministic=True,
        force_col_wise=True,
        verbose=-1,
        **settings,
    )
    return Pipeline([("columns", for_trees(layout)), ("model", model)])


def _suggest_lightgbm(trial: optuna.Trial) -> Settings:
    return {
        "learning_rate": _rate(trial),
        "n_estimators": _rounds(trial),
        "num_leaves": trial.suggest_int("num_leaves", 2, 48, log=True),
        "min_child_samples": trial.suggest_int("min_child_samples", 5, 200, log=True),
        **_suggest_shrinking(trial),
    }


def _suggest_shrinking(trial: optuna.Trial) -> Settings:
    """What LightGBM and XGBoost call by the same names."""
    return {
        "reg_lambda": trial.suggest_float("reg_lambda", 1e-3, 100.0, log=True),
        "reg_alpha": trial.suggest_float("reg_alpha", 1e-3, 10.0, log=True),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.2, 1.0),
        "subsample": trial.suggest_float("subsample", 0.4, 1.0),
    }


def _xgboost(settings: Settings, layout: Layout, count: int, seed: int) -> Pipeline:
    model = XGBClassifier(random_state=seed, tree_method="hist", **settings)
    return Pipeline([("columns", for_trees(layout)), ("model", model)])


def _suggest_xgboost(trial: optuna.Trial) -> Settings:
    return {
        "learning_rate": _rate(trial),
        "n_estimators": _rounds(trial),
        "max_depth": trial.suggest_int("max_depth", 1, 7),
        "min_child_weight": trial.suggest_float("min_child_weight", 0.5, 50.0, log=True),
        **_suggest_shrinking(trial),
    }


_SHRINKING = {"reg_lambda": 5.0, "reg_alpha": 0.1, "colsample_bytree": 0.5, "subsample": 0.8}
FAMILIES = (
    Family(
        "logistica",
        "regresión logística",
        {"C": 0.3, "knots": 5},
        {"C": 1.0, "knots": 13},
        _suggest_logistic,
        _logistic,
    ),
    Family(
        "lightgbm",
        "LightGBM",
        {
            "learning_rate": 0.05,
            "n_estimators": 150,
            "num_leaves": 8,
            "min_child_samples": 30,
            **_SHRINKING,
        },
        {
            "learning_rate": 0.05,
            "n_estimators": 400,
            "num_leaves": 28,
            "min_child_samples": 50,
            **_SHRINKING,
        },
        _suggest_lightgbm,
        _lightgbm,
        threaded=True,
    ),
    Family(
        "histograma",
        "potenciación por histogramas",
        {
            "learning_rate": 0.05,
            "max_iter": 150,
            "max_leaf_nodes": 8,
            "min_samples_leaf": 30,
            "l2_regularization": 5.0,
            "max_features": 0.5,
        },
        {
            "learning_rate": 0.05,
            "max_iter": 350,
            "max_leaf_nodes": 24,
            "min_samples_leaf": 50,
            "l2_regularization": 5.0,
            "max_features": 0.5,
        },
        _suggest_histogram,
        _histogram,
    ),
    Family(
        "xgboost",
        "XGBoost",
        {
            "learning_rate": 0.05,
            "n_estimators": 150,
            "max_depth": 3,
            "min_child_weight": 5.0,
            **_SHRINKING,
        },
        {
            "learning_rate": 0.05,
            "n_estimators": 350,
            "max_depth": 6,
            "min_child_weight": 10.0,
            **_SHRINKING,
        },
        _suggest_xgboost,
        _xgboost,
        threaded=True,
    ),
    Family(
        "bosque",
        "bosque aleatorio",
        {"extra_trees": False, "n_estimators": 200, "leaf_share": 0.003, "max_features": 0.4},
        {"extra_trees": False, "n_estimators": 200, "leaf_share": 0.0003, "max_features": 0.4},
        _suggest_forest,
        _forest,
        threaded=True,
    ),
)
