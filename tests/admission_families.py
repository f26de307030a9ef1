"""One small fitted model of every family that is admitted, as a file, to be cut and changed."""

from __future__ import annotations

import functools
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import xgboost
from hostile import archives
from sklearn import ensemble, preprocessing
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from propensia import contract as contracts
from propensia.training.demonstration import table


def _line() -> LogisticRegression:
    return LogisticRegression(max_iter=500)


def _stump() -> DecisionTreeClassifier:
    return DecisionTreeClassifier(max_depth=2, random_state=1)


def _behind(*steps: Any) -> Any:
    return make_pipeline(*steps, _line())


def _columns(frame: pd.DataFrame) -> ColumnTransformer:
    parts = [
        ("a", preprocessing.StandardScaler(), frame.columns[:5]),
        ("b", preprocessing.OneHotEncoder(handle_unknown="ignore"), [5, 6]),
        ("c", preprocessing.OrdinalEncoder(), [8]),
    ]
    return ColumnTransformer(parts, remainder="passthrough")


_TWO = [("a", _line()), ("b", GaussianNB())]
_MAKERS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "logistic": lambda _: _line(),
    "tree": lambda _: _stump(),
    "forest": lambda _: ensemble.RandomForestClassifier(2, max_depth=2),
    "extra trees": lambda _: ensemble.ExtraTreesClassifier(2, max_depth=2),
    "gradient boosting": lambda _: ensemble.GradientBoostingClassifier(n_estimators=2),
    "histograms": lambda _: ensemble.HistGradientBoostingClassifier(max_iter=2, max_depth=2),
    "adaboost": lambda _: ensemble.AdaBoostClassifier(n_estimators=2),
    "bagging": lambda _: ensemble.BaggingClassifier(_stump(), n_estimators=2),
    "voting": lambda _: ensemble.VotingClassifier(_TWO, voting="soft"),
    "stacking": lambda _: ensemble.StackingClassifier(_TWO, cv=2),
    "bayes": lambda _: GaussianNB(),
    "perceptron": lambda _: MLPClassifier((3,), max_iter=5),
    "xgboost": lambda _: xgboost.XGBClassifier(n_estimators=2, max_depth=2),
    "lightgbm": lambda _: lightgbm.LGBMClassifier(n_estimators=2, num_leaves=4, verbose=-1),
    "scaled": lambda _: _behind(preprocessing.StandardScaler()),
    "projected": lambda _: _behind(preprocessing.MinMaxScaler(), PCA(3)),
    "imputed": lambda _: _behind(SimpleImputer(add_indicator=True)),
    "binned": lambda _: _behind(
        preprocessing.KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf")
    ),
    "powers": lambda _: _behind(preprocessing.PowerTransformer(), SelectKBest(k=4)),
    "splines": lambda _: _behind(preprocessing.SplineTransformer(4, degree=1)),
    "quantiles": lambda _: _behind(preprocessing.QuantileTransformer(n_quantiles=5)),
    "products": lambda _: _behind(preprocessing.PolynomialFeatures(2)),
    "columns": lambda frame: _behind(_columns(frame)),
    "sigmoid": lambda _: CalibratedClassifierCV(_stump(), cv=2),
    "isotonic": lambda _: CalibratedClassifierCV(_line(), cv=2, method="isotonic"),
    "searched": lambda _: GridSearchCV(_line(), {"C": [0.1, 1]}, cv=2),
    "searched at random": lambda _: RandomizedSearchCV(
        _stump(), {"max_depth": range(2, 4)}, n_iter=2, cv=2, random_state=1
    ),
}


@functools.cache
def family_files() -> dict[str, bytes]:
    """A pickle of each family, protocol 4, and a Keras network; the same from run to run."""
    contract = contracts.load("cobranza")
    rows, labels = table(contract, 120, seed=1)
    frame = pd.DataFrame(rows, columns=list(contract.column_names))
    files = {"network": archives.good()}
    with warnings.catch_warnings():
        # So few rows: some columns are constant, and nothing converges.
        warnings.simplefilter("ignore")
        for title, make in _MAKERS.items():
            np.random.seed(1)
            files[title] = pickle.dumps(make(frame).fit(frame, labels.astype(int)), 4)
    return files
