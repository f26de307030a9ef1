"""Components, products and the choice of columns are scikit-learn's, ties and all."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from compiled_models import NEGATIVE, POSITIVE, answers, node_of
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_selection import (
    RFE,
    RFECV,
    GenericUnivariateSelect,
    SelectFdr,
    SelectFpr,
    SelectFromModel,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
    chi2,
    f_classif,
    mutual_info_classif,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Lasso, LogisticRegression, LogisticRegressionCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from propensia.admission import graph, parity
from propensia.admission.compiler import compile_on
from propensia.admission.families import projections
from propensia.admission.families.importances import importances
from propensia.admission.families.parts import Column
from propensia.admission.refusal import Refusal

# Sums of products of doubles in another order differ by less than this.
CLOSE = 1e-12
NAMES = tuple("ABCDEFG")


def made(size: int, seed: int) -> np.ndarray:
    """Columns of many sizes, two of them equal, one constant."""
    random = np.random.default_rng(seed)
    count = random.integers(0, 9, size)
    return np.column_stack(
        [
            random.lognormal(1, 0.7, size),
            random.uniform(0, 4, size),
            count,
            count,
            random.integers(0, 2, size),
            np.full(size, 2.0),
            random.uniform(0, 0.1, size),
        ]
    ).astype(np.float64)


ROWS = made(700, 1)
FRAME = pd.DataFrame(ROWS, columns=list(NAMES))
NOISE = np.random.default_rng(3).normal(size=700)
LABELS = (np.log(ROWS[:, 0]) + ROWS[:, 2] / 4 + ROWS[:, 4] + NOISE / 2 > 2.4).astype(int)
UNSEEN = made(10_000, 2)


def compiled(node: Any, *, gaps: bool = False) -> Any:
    return compile_on(
        node, tuple(Column(name, missing=gaps) for name in NAMES), POSITIVE, NEGATIVE
    )


def agree(transformer: Any, *, named: bool = True, classifier: Any = None) -> Any:
    """The pipeline answers as the library, and so does what it is built of again."""
    if classifier is None:
        classifier = LogisticRegression(max_iter=3000)
    model = make_pipeline(transformer, classifier)
    model.fit(FRAME if named else ROWS, LABELS)
    node = node_of(model)
    result = compiled(node)
    graph.check(result.onnx, len(NAMES))
    rows = pd.DataFrame(UNSEEN, columns=list(NAMES)) if named else UNSEEN
    expected = model.predict_proba(rows)[:, 1]
    got = answers(result, UNSEEN)
    assert np.abs(got - expected).max() <= CLOSE
    assert len(np.unique(expected)) > 1
    asked = parity.reference(node, result)
    assert asked.predict is not None, asked.reason
    assert np.abs(asked.predict(UNSEEN[:500]) - got[:500]).max() <= CLOSE
    return result


COMPONENTS: dict[str, Callable[[], Any]] = {
    "all": PCA,
    "some, whitened": lambda: PCA(3, whiten=True),
    "by share of the variance": lambda: PCA(0.95),
    "of scaled columns": lambda: make_pipeline(StandardScaler(), PCA(4, svd_solver="randomized")),
    "singular": lambda: TruncatedSVD(3, random_state=0),
    "singular, exact": lambda: TruncatedSVD(2, algorithm="arpack", random_state=0),
}


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("name", COMPONENTS)
def test_components(name: str, named: bool) -> None:
    agree(COMPONENTS[name](), named=named)


def test_components_of_float32_rows_keep_the_rounding_of_float32() -> None:
    rows = ROWS.astype(np.float32)
    axes = PCA(3, whiten=True).fit(rows)
    assert axes.components_.dtype == np.float32
    model = make_pipeline(FrozenEstimator(axes), LogisticRegression()).fit(ROWS, LABELS)
    model = make_pipeline(axes, model[1])
    assert model[1].coef_.dtype == np.float64
    expected = model.predict_proba(UNSEEN)[:, 1]
    assert np.abs(answers(compiled(node_of(model)), UNSEEN) - expected).max() <= CLOSE


def test_whitening_an_axis_without_variance_enlarges_no_difference() -> None:
    """Of a column that is there twice; it is divided by the least step of float32."""
    twice = np.column_stack([ROWS[:, :-1], ROWS[:, 0]])
    model = make_pipeline(PCA(whiten=True), GaussianNB(var_smoothing=1e-3))
    model.fit(twice.astype(np.float32), LABELS)
    unseen = np.column_stack([UNSEEN[:, :-1], UNSEEN[:, 0]])
    expected = model.predict_proba(unseen)[:, 1]
    assert np.ptp(expected) > 0.2
    # Naive Bayes takes logarithms of its variances, which are float32 here too.
    assert np.abs(answers(compiled(node_of(model)), unseen) - expected).max() <= 1e-6


def test_a_mean_that_no_projection_of_float32_holds_is_refused() -> None:
    model = make_pipeline(PCA(2), LogisticRegression()).fit(ROWS.astype(np.float32), LABELS)
    root = node_of(model)
    largest = np.full(len(NAMES), np.finfo(np.float32).max)
    root.state["steps"][0][1].state["mean_"] = largest
    root.state["steps"][0][1].state["components_"] = np.full((2, len(NAMES)), np.float32(9))
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code == "pesos_imposibles"


@pytest.mark.parametrize("version", ["1.1.3", "1.9.1"])
def test_the_mean_is_taken_off_before_or_after_as_the_version_does(version: str) -> None:
    """Far from zero the two differ, by rounding alone."""
    model = make_pipeline(PCA(2), LogisticRegression()).fit(ROWS, LABELS)
    pca, classifier = model[0], model[1]
    root = node_of(model)
    root.state["steps"][0][1].state["_sklearn_version"] = version
    far = UNSEEN[:2000] + 1e3
    if version == "1.1.3":
        made = (far - pca.mean_) @ pca.components_.T
    else:
        made = far @ pca.components_.T - pca.mean_ @ pca.components_.T
    expected = classifier.predict_proba(made)[:, 1]
    assert np.abs(answers(compiled(root), far) - expected).max() <= CLOSE


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"degree": 3, "include_bias": False},
        {"degree": 3, "interaction_only": True},
        {"degree": 2, "interaction_only": True, "include_bias": False},
        {"degree": (2, 3)},
        {"degree": (3, 3), "include_bias": False, "order": "F"},
        {"degree": (2, 4), "interaction_only": True},
        {"degree": 1},
        {"degree": (0, 2)},
        {"degree": 9, "interaction_only": True},
    ],
)
def test_products_of_columns(settings: dict[str, Any]) -> None:
    scaled = make_pipeline(StandardScaler(), PolynomialFeatures(**settings))
    agree(scaled, named=False)


def test_each_product_is_that_of_the_library_to_the_last_digit() -> None:
    """A tree would tell two orders of multiplication apart at its thresholds."""
    forest = RandomForestClassifier(20, max_depth=8, random_state=0)
    agree(PolynomialFeatures(4), classifier=forest)
    agree(PolynomialFeatures(3, interaction_only=True), classifier=forest)


@pytest.fixture(scope="module")
def squares() -> Any:
    model = make_pipeline(PolynomialFeatures(), DecisionTreeClassifier(max_depth=2))
    return model.fit(ROWS, LABELS)


@pytest.mark.parametrize("degree", [30, 100, (0, 100)])
def test_more_products_than_any_model_has_are_refused_before_they_are_made(
    squares: Any, degree: Any
) -> None:
    root = node_of(squares)
    root.state["steps"][0][1].state["degree"] = degree
    before = time.thread_time()
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code == "demasiado_grande"
    assert time.thread_time() - before < 1


HUGE = pytest.param(10**400, id="huge")
DEGREES = [101, 10**9, HUGE, -1, 1.5, "2", None, (2, 1), (1, 2, 3), (1, 1 << 80), True]


@pytest.mark.parametrize("degree", DEGREES)
def test_degrees_that_cannot_be_are_refused(squares: Any, degree: object) -> None:
    root = node_of(squares)
    root.state["steps"][0][1].state["degree"] = degree
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code == "pesos_imposibles"


def test_the_highest_degree_is_that_of_one_column() -> None:
    """What is accepted at most stays small, however it is combined."""
    sizes = projections._sizes(1, 100, False)
    assert sum(sizes) == 100
    with pytest.raises(Refusal):
        projections._sizes(10_000, 2, True)


SELECTED: dict[str, Callable[[], Any]] = {
    "variance": VarianceThreshold,
    "variance above": lambda: VarianceThreshold(0.3),
    "best": lambda: SelectKBest(k=3),
    "best of equals": lambda: SelectKBest(k=1),
    "best by chi2": lambda: SelectKBest(chi2, k=4),
    "best by information": lambda: SelectKBest(mutual_info_classif, k=2),
    "all": lambda: SelectKBest(k="all"),
    "percentile": lambda: SelectPercentile(percentile=40),
    "percentile of equals": lambda: SelectPercentile(percentile=15),
    "percentile, all": lambda: SelectPercentile(percentile=100),
    "false positives": lambda: SelectFpr(alpha=0.01),
    "false discoveries": lambda: SelectFdr(chi2, alpha=0.2),
    "family": lambda: SelectFwe(alpha=0.001),
    "generic, best": lambda: GenericUnivariateSelect(mode="k_best", param=2),
    "generic, percentile": lambda: GenericUnivariateSelect(mode="percentile", param=55),
    "generic, positives": lambda: GenericUnivariateSelect(mode="fpr", param=0.02),
    "generic, discoveries": lambda: GenericUnivariateSelect(f_classif, mode="fdr", param=0.1),
    "generic, family": lambda: GenericUnivariateSelect(mode="fwe", param=0.01),
    "logistic": lambda: SelectFromModel(LogisticRegression(max_iter=3000)),
    "logistic, median": lambda: SelectFromModel(
        LogisticRegression(max_iter=3000), threshold="1.25 * median"
    ),
    "logistic, l1": lambda: SelectFromModel(
        LogisticRegression(l1_ratio=1.0, C=0.02, solver="liblinear")
    ),
    "logistic by validation, l1": lambda: SelectFromModel(
        LogisticRegressionCV(
            Cs=2,
            l1_ratios=(1.0,),
            cv=2,
            solver="saga",
            use_legacy_attributes=False,
            max_iter=50,
            scoring="neg_log_loss",
            tol=1.0,
        )
    ),
    "logistic, most": lambda: SelectFromModel(
        LogisticRegression(max_iter=3000), threshold=-np.inf, max_features=2
    ),
    "logistic, other norm": lambda: SelectFromModel(
        LogisticRegression(max_iter=3000), norm_order=2, threshold=0.1
    ),
    "lasso": lambda: SelectFromModel(Lasso(alpha=0.02)),
    "support vectors": lambda: SelectFromModel(LinearSVC(max_iter=20_000, C=0.01)),
    "tree": lambda: SelectFromModel(DecisionTreeClassifier(max_depth=5, random_state=0)),
    "forest": lambda: SelectFromModel(
        RandomForestClassifier(30, max_depth=5, random_state=0), threshold="median"
    ),
    "extra trees": lambda: SelectFromModel(
        ExtraTreesClassifier(20, random_state=0), threshold="0.9*mean"
    ),
    "forest with single leaves": lambda: SelectFromModel(
        RandomForestClassifier(30, min_samples_leaf=250, max_features=1, random_state=0)
    ),
    "fitted before": lambda: SelectFromModel(
        RandomForestClassifier(10, random_state=0).fit(ROWS, LABELS), prefit=True
    ),
    "elimination": lambda: RFE(LogisticRegression(max_iter=3000), n_features_to_select=3),
    "elimination by a forest": lambda: RFE(RandomForestClassifier(5, random_state=0), step=2),
    "elimination by validation": lambda: RFECV(LogisticRegression(max_iter=3000), cv=2),
    "one after the other": lambda: SequentialFeatureSelector(
        LogisticRegression(max_iter=3000), n_features_to_select=2, cv=2
    ),
    "in pandas": lambda: SelectKBest(k=3).set_output(transform="pandas"),
}


@pytest.mark.filterwarnings("ignore:Features .* are constant")
@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.filterwarnings("ignore:The max_iter was reached")
@pytest.mark.parametrize("name", SELECTED)
def test_the_same_columns_are_kept(name: str) -> None:
    agree(SELECTED[name](), named=name != "fitted before")


@pytest.mark.filterwarnings("ignore:Features .* are constant")
@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("seed", range(20))
def test_scores_that_tie_are_told_apart_as_the_library_does(seed: int) -> None:
    """Against the support of the library itself, for scores with many ties and NaN."""
    random = np.random.default_rng(seed)
    scores = random.choice([1.0, 2.0, 3.0, np.nan], 7)
    scores[0] = 2.0
    values = random.choice([0.001, 0.01, 0.04, 0.2], 7)
    values[0] = 0.001
    for selector in (
        SelectKBest(k=int(random.integers(1, 8))),
        SelectPercentile(percentile=float(random.uniform(20, 99))),
        SelectFpr(alpha=0.04),
        SelectFdr(alpha=0.05),
        SelectFwe(alpha=0.07),
    ):
        selector.fit(ROWS, LABELS)
        selector.scores_, selector.pvalues_ = scores, values
        kept = ROWS[:, selector.get_support()]
        if not kept.size:
            continue
        model = DecisionTreeClassifier(max_depth=3).fit(kept, LABELS)
        root = node_of(make_pipeline(selector, model))
        expected = model.predict_proba(UNSEEN[:500][:, selector.get_support()])[:, 1]
        assert np.abs(answers(compiled(root), UNSEEN[:500]) - expected).max() <= CLOSE


def test_boosted_trees_choose_by_what_they_gained() -> None:
    model = GradientBoostingClassifier(n_estimators=12, random_state=0).fit(ROWS, LABELS)
    expected = model.feature_importances_
    assert np.array_equal(importances(node_of(model), 7, 1.0), expected)


@pytest.mark.parametrize("transformer", [PCA(2), PolynomialFeatures(), SelectKBest(k=2)])
def test_a_gap_where_the_library_fails_is_refused(transformer: Any) -> None:
    with np.errstate(all="ignore"):
        model = make_pipeline(VarianceThreshold(), transformer, DecisionTreeClassifier())
        root = node_of(model.fit(ROWS, LABELS))
    with pytest.raises(Refusal) as refusal:
        compiled(root, gaps=True)
    assert "A puede faltar" in refusal.value.detail


def test_columns_that_are_kept_may_miss_values_where_the_library_allows_it() -> None:
    holed = ROWS.copy()
    holed[::5, 0] = np.nan
    trees = RandomForestClassifier(10, max_depth=5, random_state=0)
    model = make_pipeline(VarianceThreshold(), trees).fit(holed, LABELS)
    unseen = UNSEEN.copy()
    unseen[::3, 0] = np.nan
    got = answers(compiled(node_of(model), gaps=True), unseen)
    assert np.abs(got - model.predict_proba(unseen)[:, 1]).max() <= CLOSE


def put(**changes: object) -> Callable[[Any], None]:
    return lambda node: node.state.update(changes)


def inner(**changes: object) -> Callable[[Any], None]:
    return lambda node: node.state["estimator_"].state.update(changes)


def tree_of(field: str, value: object) -> Callable[[Any], None]:
    def change(node: Any) -> None:
        tree = node.state["estimator_"].state["tree_"].state
        tree["nodes"] = tree["nodes"].copy()
        tree["nodes"][field][0] = value

    return change


def of_model() -> Any:
    return SelectFromModel(LogisticRegression(max_iter=3000))


def of_tree() -> Any:
    return SelectFromModel(DecisionTreeClassifier(max_depth=4, random_state=0))


def of_forest() -> Any:
    return SelectFromModel(RandomForestClassifier(3, max_depth=3, random_state=0))


ODD: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "no components": (PCA, put(components_=np.ones((0, 7)))),
    "components of other columns": (PCA, put(components_=np.ones((2, 8)))),
    "components in a list": (PCA, put(components_=[[1.0]])),
    "an infinite component": (PCA, put(components_=np.full((7, 7), np.inf))),
    "a mean that is NaN": (PCA, put(mean_=np.full(7, np.nan))),
    "a mean of other columns": (PCA, put(mean_=np.ones(6))),
    "no mean": (PCA, put(mean_=None)),
    "a negative variance": (PCA, put(whiten=True, explained_variance_=-np.ones(7))),
    "a whitening that is none": (PCA, put(whiten="yes")),
    "another number of products": (PolynomialFeatures, put(n_output_features_=37)),
    "products that are no number": (PolynomialFeatures, put(n_output_features_="36")),
    "no product": (PolynomialFeatures, put(degree=0, include_bias=False, n_output_features_=0)),
    "variances of other columns": (VarianceThreshold, put(variances_=np.ones(6))),
    "variances that are none": (VarianceThreshold, put(variances_="1")),
    "a threshold that is a text": (VarianceThreshold, put(threshold="mean")),
    "a threshold that is NaN": (VarianceThreshold, put(threshold=np.nan)),
    "nothing kept": (VarianceThreshold, put(threshold=1e300)),
    "scores of other columns": (SelectFpr, put(pvalues_=np.ones(6))),
    "no scores": (SelectFpr, put(pvalues_=None)),
    "a share that is a text": (SelectFpr, put(alpha="0.1")),
    "a huge k": (lambda: SelectKBest(k=2), put(k=2.5)),
    "a negative k": (lambda: SelectKBest(k=2), put(k=-2)),
    "a k that is a text": (lambda: SelectKBest(k=2), put(k="most")),
    "no k": (lambda: SelectKBest(k=2), put(k=None)),
    "a percentile beyond": (lambda: SelectPercentile(percentile=50), put(percentile=101)),
    "a mode that is none": (
        lambda: GenericUnivariateSelect(mode="k_best", param=2),
        put(mode="fun"),
    ),
    "support of other columns": (
        lambda: RFE(LogisticRegression(max_iter=3000)),
        put(support_=np.ones(6, bool)),
    ),
    "support of numbers": (
        lambda: RFE(LogisticRegression(max_iter=3000)),
        put(support_=np.ones(7)),
    ),
    "no estimator": (of_model, put(estimator_=None)),
    "a text as estimator": (of_model, put(estimator_="drop")),
    "weights of other columns": (of_model, inner(coef_=np.ones((1, 6)))),
    "weights in three dimensions": (of_model, inner(coef_=np.ones((1, 1, 7)))),
    "weights that are NaN": (of_model, inner(coef_=np.full((1, 7), np.nan))),
    "weights in a list": (of_model, inner(coef_=[[1.0] * 7])),
    "a billion weights": (of_model, inner(coef_=np.broadcast_to(1.0, (10**9, 7)))),
    "a threshold in words": (of_model, put(threshold="often")),
    "a threshold in odd numbers": (of_model, put(threshold="x*mean")),
    "a threshold of stars": (of_model, put(threshold="1*2*mean")),
    "a long threshold": (of_model, put(threshold="9" * 100_000 + "*mean")),
    "fewer than none": (of_model, put(max_features=-3)),
    "a most in words": (of_model, put(max_features="all")),
    "a norm of zero": (of_model, put(norm_order=0)),
    "a norm in words": (of_model, put(norm_order="fro")),
    "a huge norm": (of_model, put(norm_order=10**400)),
    "another importance": (of_model, put(importance_getter="named_steps.a.coef_")),
    "an importance that is no name": (of_model, put(importance_getter=7)),
    "a tree that leads outside": (of_tree, tree_of("left_child", 999)),
    "a tree that leads back": (of_tree, tree_of("right_child", -7)),
    "a column outside": (of_tree, tree_of("feature", 7)),
    "no rows": (of_tree, tree_of("weighted_n_node_samples", 0.0)),
    "an impurity that is NaN": (of_tree, tree_of("impurity", np.nan)),
    "no tree": (of_tree, inner(tree_=3)),
    "no trees": (of_forest, inner(estimators_=7)),
    "trees that are none": (of_forest, inner(estimators_=[1, 2])),
    "a million trees": (of_forest, inner(estimators_=[None] * 1_000_000)),
    "a forest without a split": (of_forest, inner(estimators_=[])),
}


@pytest.mark.filterwarnings("ignore:Features .* are constant")
@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("name", ODD)
def test_what_no_fitting_leaves_behind_is_refused(name: str) -> None:
    make, change = ODD[name]
    root = node_of(make_pipeline(make(), DecisionTreeClassifier(max_depth=3)).fit(ROWS, LABELS))
    compiled(root)
    change(root.state["steps"][0][1])
    before = time.thread_time()
    with pytest.raises(Refusal):
        compiled(root)
    assert time.thread_time() - before < 2
