"""One fitted model of every family that is served, as analysts make them, by a name.

All learn from the same invented rows of the contract: a frame of its 16 columns, or one of its
13 values as they are before.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import xgboost
from imblearn import ensemble as imblearn_ensemble
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import make_pipeline as imblearn_pipeline
from sklearn import ensemble, feature_selection, linear_model, naive_bayes, neural_network
from sklearn import model_selection as selection
from sklearn import preprocessing as prepared
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - it adds two searches
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from propensia import contract as contracts
from propensia import sampling
from propensia.training.demonstration import table

CONTRACT = contracts.load("cobranza")
ROWS, SEED = 900, 17


@functools.cache
def learnt_from() -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """The columns, the values before them, and the labels 0/1 of the same rows."""
    rows, labels = table(CONTRACT, ROWS, seed=SEED)
    columns = pd.DataFrame(rows, columns=list(CONTRACT.column_names))
    drawn = sampling.draw(CONTRACT, ROWS, SEED)
    raw = pd.DataFrame({p.feature: drawn[p.name] for p in CONTRACT.parameters})
    return columns, raw, labels.astype(np.int64)


def forest(trees: int = 12, depth: int = 5) -> ensemble.RandomForestClassifier:
    return ensemble.RandomForestClassifier(trees, max_depth=depth, random_state=0)


def logistic() -> linear_model.LogisticRegression:
    return linear_model.LogisticRegression(max_iter=500)


def scaled(*steps: Any) -> Any:
    return make_pipeline(*steps, logistic())


def encoded() -> ColumnTransformer:
    """The usual first step on raw values: texts encoded, numbers filled and scaled."""
    texts = [p.feature for p in CONTRACT.parameters if p.is_category]
    numbers = [p.feature for p in CONTRACT.parameters if not p.is_category]
    return ColumnTransformer(
        [
            ("texts", prepared.OneHotEncoder(handle_unknown="ignore"), texts),
            (
                "numbers",
                make_pipeline(
                    SimpleImputer(strategy="median", add_indicator=True),
                    prepared.StandardScaler(),
                ),
                numbers,
            ),
        ]
    )


def ordinal(target: bool = False) -> ColumnTransformer:
    texts = [p.feature for p in CONTRACT.parameters if p.is_category]
    encoder = prepared.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    if target:
        encoder = prepared.TargetEncoder(random_state=0)
    return ColumnTransformer([("texts", encoder, texts)], remainder="passthrough")


def search(kind: Any, model: Any, grid: dict[str, list[Any]], **settings: Any) -> Any:
    return kind(model, grid, cv=3, **settings)


COLUMNS: dict[str, Callable[[], Any]] = {
    "logistic regression": logistic,
    "logistic regression with folds": lambda: linear_model.LogisticRegressionCV(cv=3),
    "stochastic gradient": lambda: linear_model.SGDClassifier(loss="log_loss", random_state=0),
    "decision tree": lambda: DecisionTreeClassifier(max_depth=6, random_state=0),
    "extra tree": lambda: ExtraTreeClassifier(max_depth=6, random_state=0),
    "random forest": forest,
    "extra trees": lambda: ensemble.ExtraTreesClassifier(12, max_depth=5, random_state=0),
    "gradient boosting": lambda: ensemble.GradientBoostingClassifier(
        n_estimators=15, random_state=0
    ),
    "histogram boosting": lambda: ensemble.HistGradientBoostingClassifier(max_iter=15),
    "histogram boosting with categories": lambda: ensemble.HistGradientBoostingClassifier(
        max_iter=15, categorical_features=[2, 4, 5]
    ),
    "AdaBoost": lambda: ensemble.AdaBoostClassifier(n_estimators=12, random_state=0),
    "bagging": lambda: ensemble.BaggingClassifier(logistic(), n_estimators=4, random_state=0),
    "bagged trees": lambda: ensemble.BaggingClassifier(
        DecisionTreeClassifier(max_depth=4), n_estimators=5, max_features=0.7, random_state=0
    ),
    "naive Bayes": lambda: naive_bayes.GaussianNB(var_smoothing=1e-2),
    "multilayer perceptron": lambda: neural_network.MLPClassifier(
        (9, 5), max_iter=400, random_state=0
    ),
    "XGBoost": lambda: xgboost.XGBClassifier(n_estimators=15, max_depth=3),
    "XGBoost forest": lambda: xgboost.XGBRFClassifier(n_estimators=15, max_depth=4),
    "scaler and XGBoost": lambda: make_pipeline(
        prepared.StandardScaler(), xgboost.XGBClassifier(n_estimators=15, max_depth=3)
    ),
    "LightGBM": lambda: lightgbm.LGBMClassifier(n_estimators=15, verbose=-1),
    "LightGBM dart": lambda: lightgbm.LGBMClassifier(
        boosting_type="dart", n_estimators=15, verbose=-1
    ),
    "standard scaler": lambda: scaled(prepared.StandardScaler()),
    "robust scaler": lambda: scaled(prepared.RobustScaler(quantile_range=(1, 99))),
    "min-max scaler": lambda: scaled(prepared.MinMaxScaler()),
    "max-abs scaler": lambda: scaled(prepared.MaxAbsScaler()),
    "power transformer": lambda: scaled(prepared.PowerTransformer()),
    "quantile transformer": lambda: scaled(
        prepared.QuantileTransformer(n_quantiles=80, output_distribution="normal")
    ),
    "bins": lambda: scaled(
        prepared.KBinsDiscretizer(4, strategy="uniform", quantile_method="averaged_inverted_cdf")
    ),
    "splines": lambda: scaled(prepared.SplineTransformer(5, knots="quantile")),
    "polynomial features": lambda: scaled(
        prepared.PolynomialFeatures(2), prepared.StandardScaler()
    ),
    "feature selection": lambda: scaled(feature_selection.SelectKBest(k=6)),
    "selection by a forest": lambda: scaled(feature_selection.SelectFromModel(forest())),
    "PCA": lambda: scaled(PCA(7, random_state=0)),
    "union": lambda: scaled(make_union(PCA(3, random_state=0), prepared.MinMaxScaler())),
    "a transformer without a function": lambda: scaled(prepared.FunctionTransformer()),
    "SMOTE and a forest": lambda: imblearn_pipeline(SMOTE(random_state=0), forest()),
    "balanced forest": lambda: imblearn_ensemble.BalancedRandomForestClassifier(
        10, max_depth=5, random_state=0, sampling_strategy="all", replacement=True, bootstrap=False
    ),
    "grid search": lambda: search(selection.GridSearchCV, forest(), {"max_depth": [3, 5]}),
    "random search": lambda: search(
        selection.RandomizedSearchCV, forest(), {"max_depth": [3, 5]}, n_iter=2, random_state=0
    ),
    "halving search": lambda: search(
        selection.HalvingGridSearchCV, forest(), {"max_depth": [3, 5]}, random_state=0
    ),
    "sigmoid calibration": lambda: CalibratedClassifierCV(LinearSVC(), cv=3),
    "isotonic calibration": lambda: CalibratedClassifierCV(forest(), method="isotonic", cv=3),
    "soft voting": lambda: ensemble.VotingClassifier(
        [("a", forest()), ("b", logistic())], voting="soft", weights=[2, 1]
    ),
    "stacking": lambda: ensemble.StackingClassifier(
        [("a", forest()), ("b", naive_bayes.GaussianNB(var_smoothing=1e-2))],
        logistic(),
        cv=3,
        passthrough=True,
    ),
    "tuned threshold": lambda: selection.TunedThresholdClassifierCV(
        logistic(), scoring="f1", cv=3, random_state=0
    ),
    "frozen": lambda: CalibratedClassifierCV(FrozenEstimator(fitted_forest())),
}
RAW: dict[str, Callable[[], Any]] = {
    "raw values, one-hot, logistic regression": lambda: make_pipeline(encoded(), logistic()),
    "raw values, one-hot, XGBoost": lambda: make_pipeline(
        encoded(), xgboost.XGBClassifier(n_estimators=15, max_depth=3)
    ),
    "raw values, ordinal, histogram boosting": lambda: make_pipeline(
        ordinal(), ensemble.HistGradientBoostingClassifier(max_iter=15)
    ),
    "raw values, target, LightGBM": lambda: make_pipeline(
        ordinal(target=True), lightgbm.LGBMClassifier(n_estimators=15, verbose=-1)
    ),
}
NETWORKS = ("Keras Sequential", "Keras functional")
FAMILIES = (*COLUMNS, *RAW, *NETWORKS)


@functools.cache
def fitted_forest() -> ensemble.RandomForestClassifier:
    columns, _, labels = learnt_from()
    return forest().fit(columns, labels)


@functools.cache
def fitted(family: str) -> Any:
    """The model of that name, fitted."""
    columns, raw, labels = learnt_from()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if family in NETWORKS:
            return _network(functional=family == NETWORKS[1])
        make = COLUMNS.get(family) or RAW[family]
        return make().fit(columns if family in COLUMNS else raw, labels)


def _network(functional: bool) -> Any:
    import keras

    columns, _, labels = learnt_from()
    keras.utils.set_random_seed(3)
    rows = keras.Input((len(CONTRACT.column_names),))
    inner = keras.layers.Dense(12, activation="relu")(rows)
    inner = keras.layers.BatchNormalization()(inner)
    if functional:
        inner = keras.layers.Concatenate()([inner, keras.layers.Dense(4, "tanh")(rows)])
    inner = keras.layers.Dropout(0.2)(inner)
    network = keras.Model(rows, keras.layers.Dense(1, activation="sigmoid")(inner))
    if not functional:
        network = keras.Sequential([keras.Input((16,)), *network.layers[1:]])
    network.compile("adam", "binary_crossentropy")
    network.fit(columns.to_numpy(), labels, epochs=2, verbose=0)
    return network


def expected(family: str, columns: pd.DataFrame, raw: pd.DataFrame) -> np.ndarray:
    """What the library itself says of rows given both ways: probabilities of paying (n,)."""
    model = fitted(family)
    if family in NETWORKS:
        return np.asarray(model.predict(columns.to_numpy(), verbose=0), np.float64)[:, 0]
    return np.asarray(model.predict_proba(columns if family in COLUMNS else raw)[:, 1], np.float64)
