"""Sparse matrices on the way to a classifier: what stores no zero is what the library says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from compiled_models import NEGATIVE, POSITIVE, node_of
from compiled_models import answers as answers_of
from raw_rows import INPUTS, TEXTS, agree, frame, labels
from sklearn import feature_selection, preprocessing
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import RFE, SequentialFeatureSelector
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline, make_union
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    Normalizer,
    OneHotEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from xgboost import XGBClassifier, XGBRFClassifier

from propensia.admission import families, parity
from propensia.admission.compiler import compile_on
from propensia.admission.families.parts import Column, Workshop
from propensia.admission.refusal import Refusal

FLOAT32 = 2e-7  # as test_families_xgboost: the last bit of the logistic function
NUMBERS = ["DEUDA", "PROVINCIA", "FACTURAS"]
ROWS = frame(3_000, 5, gaps=False)
GAPS = frame(3_000, 6)


def boosted(**settings: Any) -> XGBClassifier:
    return XGBClassifier(**{"n_estimators": 10, "max_depth": 4, "n_jobs": 1, **settings})


def one_hot(**settings: Any) -> OneHotEncoder:
    return OneHotEncoder(handle_unknown="ignore", **settings)


def usual(scaler: Any = None, **settings: Any) -> ColumnTransformer:
    """Texts and small numbers encoded, which leaves mostly zeros; the debt scaled."""
    many = [*TEXTS, "PROVINCIA"]
    parts = [("o", one_hot(), many), ("n", scaler or StandardScaler(), ["DEUDA", "FACTURAS"])]
    return ColumnTransformer(parts, **settings)


def binned(**settings: Any) -> KBinsDiscretizer:
    given = {"strategy": "uniform", "quantile_method": "averaged_inverted_cdf", **settings}
    return KBinsDiscretizer(4, **given)


def everything(*steps: Any) -> Any:
    return make_pipeline(one_hot(), *steps)


ON_TEXTS: dict[str, Callable[[], Any]] = {
    "a column transformer": lambda: make_pipeline(usual(), boosted()),
    "a column transformer, DART": lambda: make_pipeline(usual(), boosted(booster="dart")),
    "a column transformer, gblinear": lambda: make_pipeline(
        usual(), XGBClassifier(booster="gblinear", n_estimators=10, n_jobs=1)
    ),
    "a column transformer, forest": lambda: make_pipeline(
        usual(), XGBRFClassifier(n_estimators=10, n_jobs=1)
    ),
    "a missing value of its own": lambda: make_pipeline(usual(), boosted(missing=1.0)),
    "a column transformer made dense": lambda: make_pipeline(usual(sparse_threshold=0), boosted()),
    "weights": lambda: make_pipeline(usual(transformer_weights={"o": 2.0}), boosted()),
    "everything encoded": lambda: everything(boosted()),
    "everything encoded, dense": lambda: make_pipeline(one_hot(sparse_output=False), boosted()),
    "max-abs": lambda: everything(MaxAbsScaler(), boosted()),
    "standard": lambda: everything(StandardScaler(with_mean=False), boosted()),
    "robust": lambda: everything(RobustScaler(with_centering=False), boosted()),
    "selection": lambda: everything(feature_selection.SelectKBest(k=15), boosted()),
    "normalizer": lambda: everything(Normalizer(), boosted()),
    "binarizer": lambda: everything(Binarizer(), boosted()),
    "polynomial": lambda: make_pipeline(
        make_column_transformer((one_hot(), list(TEXTS))),
        PolynomialFeatures(2, interaction_only=True),
        boosted(),
    ),
    "a function and a passthrough": lambda: everything(
        FunctionTransformer(), "passthrough", boosted()
    ),
    "singular values": lambda: everything(TruncatedSVD(4, random_state=0), LogisticRegression()),
    "an inner union": lambda: make_pipeline(
        usual(scaler=make_union(binned(), StandardScaler())), boosted()
    ),
    "stacking with its rows": lambda: make_pipeline(
        usual(),
        StackingClassifier([("a", LogisticRegression())], boosted(), passthrough=True, cv=2),
    ),
    "voting": lambda: make_pipeline(
        usual(),
        VotingClassifier([("a", boosted()), ("b", LogisticRegression())], voting="soft"),
    ),
    "LightGBM": lambda: make_pipeline(
        usual(), lightgbm.LGBMClassifier(n_estimators=10, verbose=-1, n_jobs=1)
    ),
    "trees of scikit-learn": lambda: make_pipeline(
        usual(), RandomForestClassifier(10, random_state=0)
    ),
    "extra trees of scikit-learn": lambda: make_pipeline(
        usual(), ExtraTreesClassifier(10, random_state=0)
    ),
    "gradient boosting": lambda: make_pipeline(
        usual(), GradientBoostingClassifier(n_estimators=10, random_state=0)
    ),
}


@pytest.mark.parametrize("name", ON_TEXTS)
def test_texts_through_a_sparse_matrix_answer_as_the_library(name: str) -> None:
    agree(ON_TEXTS[name](), ROWS, tolerance=FLOAT32)


ON_NUMBERS: dict[str, Callable[[], Any]] = {
    "bins": lambda: make_pipeline(binned(), boosted()),
    "bins and a forest": lambda: make_pipeline(binned(), XGBRFClassifier(n_estimators=10)),
    "dense bins": lambda: make_pipeline(binned(encode="onehot-dense"), boosted()),
    "a union of bins and a scaler": lambda: make_pipeline(
        FeatureUnion([("b", binned()), ("s", StandardScaler())]), boosted()
    ),
    "a union of zeros and bins": lambda: make_pipeline(
        make_union(Binarizer(threshold=200.0), binned()), boosted()
    ),
}


@pytest.mark.parametrize("name", ON_NUMBERS)
def test_numbers_through_a_sparse_matrix_answer_as_the_library(name: str) -> None:
    agree(ON_NUMBERS[name](), ROWS[NUMBERS], tolerance=FLOAT32)


GAPPED: dict[str, Callable[[], Any]] = {
    "a gap beside a category": lambda: make_pipeline(usual(), boosted()),
    "an imputer of a sparse matrix": lambda: make_pipeline(
        usual(), SimpleImputer(strategy="median"), boosted()
    ),
    "an imputer with an indicator": lambda: make_pipeline(
        usual(), SimpleImputer(strategy="median", add_indicator=True), boosted()
    ),
    "a zero written into a gap, and a linear model": lambda: make_pipeline(
        usual(), SimpleImputer(strategy="constant", fill_value=0), LogisticRegression()
    ),
}


@pytest.mark.parametrize("name", GAPPED)
def test_gaps_in_a_sparse_matrix_answer_as_the_library(name: str) -> None:
    agree(GAPPED[name](), GAPS, tolerance=FLOAT32)


def test_a_zero_that_a_sparse_matrix_stores_is_refused_before_xgboost() -> None:
    """XGBoost tells it from one that is not stored; afterwards nothing here could."""
    zero = SimpleImputer(strategy="constant", fill_value=0)
    for model in (
        make_pipeline(usual(), zero, boosted()),
        make_pipeline(usual(transformer_weights={"o": 0.0}), boosted()),
    ):
        model.fit(GAPS, labels(GAPS))
        with pytest.raises(Refusal) as refusal:
            compile_on(node_of(model), INPUTS, POSITIVE, NEGATIVE)
        assert refusal.value.code == "familia_desconocida" and "ceros" in refusal.value.detail


def test_quantiles_of_a_sparse_matrix_are_refused() -> None:
    """The library leaves what is not stored at zero, whatever its quantile."""
    steps = everything(preprocessing.QuantileTransformer(n_quantiles=10), LogisticRegression())
    steps.fit(ROWS, labels(ROWS))
    with pytest.raises(Refusal) as refusal:
        compile_on(node_of(steps), _whole(), POSITIVE, NEGATIVE)
    assert refusal.value.code == "familia_desconocida"


# Every transformer that is read, on numbers that are a dense array and, where the library takes
# one, a sparse matrix.
TRANSFORMERS: dict[str, Callable[[], Any]] = {
    "StandardScaler": lambda: StandardScaler(with_mean=False),
    "RobustScaler": lambda: RobustScaler(with_centering=False),
    "MinMaxScaler": preprocessing.MinMaxScaler,
    "MaxAbsScaler": MaxAbsScaler,
    "ColumnTransformer": lambda: make_column_transformer(("passthrough", [0, 1, 2])),
    "FeatureUnion": lambda: make_union(MaxAbsScaler(), FunctionTransformer()),
    "Pipeline": lambda: make_pipeline(MaxAbsScaler(), FunctionTransformer()),
    "FunctionTransformer": FunctionTransformer,
    "SimpleImputer": SimpleImputer,
    "MissingIndicator": lambda: MissingIndicator(features="all"),
    "OneHotEncoder": one_hot,
    "OrdinalEncoder": lambda: preprocessing.OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1
    ),
    "TargetEncoder": lambda: preprocessing.TargetEncoder(random_state=0),
    "PowerTransformer": preprocessing.PowerTransformer,
    "QuantileTransformer": lambda: preprocessing.QuantileTransformer(n_quantiles=10),
    "Binarizer": Binarizer,
    "Normalizer": Normalizer,
    "KBinsDiscretizer": binned,
    "SplineTransformer": lambda: preprocessing.SplineTransformer(3),
    "PCA": lambda: PCA(2, svd_solver="arpack", random_state=0),
    "TruncatedSVD": lambda: TruncatedSVD(2, random_state=0),
    "PolynomialFeatures": PolynomialFeatures,
    "VarianceThreshold": feature_selection.VarianceThreshold,
    "SelectKBest": lambda: feature_selection.SelectKBest(k=2),
    "SelectPercentile": lambda: feature_selection.SelectPercentile(percentile=70),
    "SelectFpr": lambda: feature_selection.SelectFpr(alpha=1),
    "SelectFdr": lambda: feature_selection.SelectFdr(alpha=1),
    "SelectFwe": lambda: feature_selection.SelectFwe(alpha=1),
    "GenericUnivariateSelect": lambda: feature_selection.GenericUnivariateSelect(
        mode="k_best", param=2
    ),
    "SelectFromModel": lambda: feature_selection.SelectFromModel(LogisticRegression()),
    "RFE": lambda: RFE(LogisticRegression()),
    "RFECV": lambda: feature_selection.RFECV(LogisticRegression(), cv=2),
    "SequentialFeatureSelector": lambda: SequentialFeatureSelector(
        LogisticRegression(), n_features_to_select=2, cv=2
    ),
}
REFUSE_SPARSE = {
    "MinMaxScaler",
    "OneHotEncoder",
    "OrdinalEncoder",
    "TargetEncoder",
    "PowerTransformer",
    "KBinsDiscretizer",
    "SplineTransformer",
}


def test_every_transformer_of_the_tables_is_among_those_tried() -> None:
    assert set(TRANSFORMERS) == {name for _, name in families.TRANSFORMERS}


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_the_graph_knows_where_the_library_has_a_sparse_matrix(name: str, sparse: bool) -> None:
    random = np.random.default_rng(1)
    rows = random.integers(0, 4, (300, 3)).astype(np.float64)
    target = (rows[:, 0] + rows[:, 1] + random.normal(size=300) > 3).astype(int)
    given = scipy.sparse.csr_matrix(rows) if sparse else rows
    transformer = TRANSFORMERS[name]()
    if sparse and name in REFUSE_SPARSE:
        with pytest.raises((TypeError, ValueError), match=r"[Ss]parse|dense"):
            transformer.fit(given, target)
        return
    made = transformer.fit(given, target).transform(given)
    shop = Workshop((Column(),) * 3, families.CLASSIFIERS, families.TRANSFORMERS)
    flow = replace(shop.rows, sparse=sparse)
    if sparse and name == "QuantileTransformer":
        with pytest.raises(Refusal):
            shop.transformer(node_of(transformer), flow)
        return
    assert shop.transformer(node_of(transformer), flow).sparse == scipy.sparse.issparse(made)


@pytest.mark.parametrize("told", [True, False, "auto"])
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_an_indicator_makes_what_its_setting_says(told: bool | str, sparse: bool) -> None:
    rows = np.array([[1.0, np.nan, 0.0], [np.nan, 2.0, 0.0]])
    given = scipy.sparse.csc_matrix(rows) if sparse else rows
    indicator = MissingIndicator(features="all", sparse=told).fit(given)
    shop = Workshop((Column(missing=True),) * 3, families.CLASSIFIERS, families.TRANSFORMERS)
    made = shop.transformer(node_of(indicator), replace(shop.rows, sparse=sparse))
    assert made.sparse == scipy.sparse.issparse(indicator.transform(given))


def _whole() -> tuple[Column, ...]:
    return tuple(Column(column.name, column.texts) for column in INPUTS)


_RANDOM = np.random.default_rng(3)
NUMERIC = pd.DataFrame(_RANDOM.normal(size=(400, 3)), columns=NUMBERS)
TARGET = (NUMERIC.sum(axis=1) + _RANDOM.normal(size=400) > 0).astype(int).to_numpy()


def _search(model: Any) -> Any:
    return GridSearchCV(model, {"max_depth": [2, 3]}, cv=2)


BASES: dict[str, Callable[[], Any]] = {
    "XGBoost": boosted,
    "LightGBM": lambda: lightgbm.LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1),
    "a search": lambda: _search(boosted(n_estimators=4)),
}
WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "fixed threshold": lambda base: FixedThresholdClassifier(base, threshold=0.4),
    "tuned threshold": lambda base: TunedThresholdClassifierCV(base, cv=2, scoring="f1"),
    "one against the rest": OneVsRestClassifier,
    "sequential selection": lambda base: make_pipeline(
        SequentialFeatureSelector(base, n_features_to_select=2, cv=2), LogisticRegression()
    ),
    "sequential selection, gaps": lambda base: make_pipeline(
        SequentialFeatureSelector(base, n_features_to_select=2, cv=2), boosted()
    ),
    "recursive elimination": lambda base: make_pipeline(
        RFE(base, n_features_to_select=2), LogisticRegression()
    ),
}
# The library refuses to fit them: a search has no gains, and does not say that it takes gaps.
NEVER = {("a search", "recursive elimination"), ("a search", "sequential selection, gaps")}
WRAPPED = [(base, wrapper) for base in BASES for wrapper in WRAPPERS]


@pytest.mark.parametrize("base, wrapper", [pair for pair in WRAPPED if pair not in NEVER])
def test_a_wrapper_around_a_booster_is_compared_with_the_library(base: str, wrapper: str) -> None:
    """What it keeps beside its fitted copies is a booster that was never fitted."""
    rows = NUMERIC.copy()
    gaps = wrapper == "sequential selection, gaps"
    if gaps:
        rows.iloc[::7, 1] = np.nan
    model = WRAPPERS[wrapper](BASES[base]()).fit(rows, TARGET)
    node = node_of(model)
    result = compile_on(
        node, tuple(Column(name, missing=gaps) for name in NUMBERS), POSITIVE, NEGATIVE
    )
    asked = parity.reference(node, result)
    assert asked.predict is not None, asked.reason
    expected = model.predict_proba(rows)[:, 1]
    assert np.abs(asked.predict(rows.to_numpy()) - expected).max() <= FLOAT32
    assert np.abs(answers_of(result, rows.to_numpy()) - expected).max() <= FLOAT32
