"""The compiled graph answers as scikit-learn does, and what is not a sound model is refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from compiled_models import COLUMNS, NEGATIVE, POSITIVE, answers, beside, compiled, node_of
from scipy import stats
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
)
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from propensia.admission import graph
from propensia.admission.compiler import (
    Compiled,
    allowed_globals,
    compile_model,
    compile_on,
)
from propensia.admission.families.parts import Column
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal

# Sums of a few hundred doubles in another order differ by less than this.
CLOSE = 1e-12


def made(size: int, seed: int) -> np.ndarray:
    """Rows like those of the contract: amounts, small counts, yes and no."""
    random = np.random.default_rng(seed)
    return np.column_stack(
        [
            random.lognormal(4.5, 1.2, size).round(2),
            random.lognormal(5.0, 1.1, size).round(2),
            random.integers(1, 10, size),
            random.integers(1, 53, size),
            random.integers(0, 2, size),
            random.integers(0, 2, size),
        ]
    ).astype(np.float64)


ROWS = made(600, 1)
LABELS = ((np.log(ROWS[:, 0] + 1) + 2 * ROWS[:, 4] + made(600, 2)[:, 2] / 4) > 6.8).astype(int)
FRAME = pd.DataFrame(ROWS, columns=list(COLUMNS))
UNSEEN = made(2000, 3)

TREES: dict[str, Callable[[], Any]] = {
    "forest": lambda: RandomForestClassifier(25, max_depth=6, random_state=0),
    "forest of the seed project": lambda: RandomForestClassifier(
        20, max_depth=11, min_samples_split=5, bootstrap=False, random_state=0
    ),
    "balanced forest grown best first": lambda: RandomForestClassifier(
        10, max_leaf_nodes=12, class_weight="balanced_subsample", random_state=0
    ),
    "pruned forest": lambda: RandomForestClassifier(10, ccp_alpha=0.01, random_state=0),
    "monotonic forest": lambda: RandomForestClassifier(
        10, max_depth=5, monotonic_cst=[1, 0, 0, 0, 1, 0], random_state=0
    ),
    "extra trees": lambda: ExtraTreesClassifier(15, max_depth=7, random_state=0),
    "tree": lambda: DecisionTreeClassifier(random_state=0),
    "extra tree": lambda: ExtraTreeClassifier(max_depth=9, random_state=0),
    "forest of single leaves": lambda: RandomForestClassifier(
        5, min_samples_leaf=500, random_state=0
    ),
    "forest with some single leaves": lambda: RandomForestClassifier(
        40, min_samples_leaf=250, max_features=1, random_state=0
    ),
}
LINEAR: dict[str, Callable[[], Any]] = {
    "logistic": lambda: LogisticRegression(max_iter=9000),
    "logistic, liblinear": lambda: LogisticRegression(solver="liblinear"),
    "logistic, no intercept": lambda: LogisticRegression(fit_intercept=False, max_iter=5000),
    "logistic, liblinear, no intercept": lambda: LogisticRegression(
        solver="liblinear", fit_intercept=False
    ),
    "logistic by cross-validation": lambda: make_pipeline(
        StandardScaler(),
        LogisticRegressionCV(
            Cs=3, cv=2, l1_ratios=(0.0,), use_legacy_attributes=False, scoring="neg_log_loss"
        ),
    ),
}
PIPELINES: dict[str, Callable[[], Any]] = {
    "standard": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=9000)),
    "standard, mean only": lambda: make_pipeline(
        StandardScaler(with_std=False), LogisticRegression(max_iter=9000)
    ),
    "standard, scale only": lambda: make_pipeline(
        StandardScaler(with_mean=False), LogisticRegression(max_iter=9000)
    ),
    "min-max": lambda: make_pipeline(MinMaxScaler((-1, 2)), LogisticRegression()),
    "min-max, clipped": lambda: make_pipeline(MinMaxScaler(clip=True), LogisticRegression()),
    "max-abs": lambda: make_pipeline(MaxAbsScaler(), LogisticRegression()),
    "robust": lambda: make_pipeline(RobustScaler(unit_variance=True), LogisticRegression()),
    "robust, centre only": lambda: make_pipeline(
        RobustScaler(with_scaling=False), LogisticRegression(max_iter=9000)
    ),
    "scaled forest": lambda: make_pipeline(
        StandardScaler(), RandomForestClassifier(10, max_depth=6, random_state=0)
    ),
    "two scalers and a step that does nothing": lambda: Pipeline(
        [
            ("first", RobustScaler()),
            ("nothing", "passthrough"),
            ("second", MinMaxScaler()),
            ("model", RandomForestClassifier(5, max_depth=5, random_state=0)),
        ]
    ),
    "scaler that gives pandas": lambda: make_pipeline(
        StandardScaler().set_output(transform="pandas"), LogisticRegression()
    ),
}
SEARCHES: dict[str, Callable[[], Any]] = {
    "grid": lambda: GridSearchCV(
        RandomForestClassifier(5, random_state=np.random.RandomState(1)),
        {"max_depth": [2, 4], "min_samples_split": [5]},
        cv=StratifiedKFold(2, shuffle=True, random_state=3),
        scoring="roc_auc",
    ),
    "grid over a pipeline": lambda: GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=9000)),
        {
            "logisticregression__C": [0.1, 1.0],
            "standardscaler": [StandardScaler(), RobustScaler()],
        },
        cv=ShuffleSplit(2, random_state=0),
        scoring=make_scorer(f1_score),
    ),
    "grid with several scores": lambda: GridSearchCV(
        DecisionTreeClassifier(random_state=0),
        {"max_depth": [2, 3]},
        cv=RepeatedStratifiedKFold(n_splits=2, n_repeats=1, random_state=0),
        scoring=["accuracy", "neg_log_loss", "average_precision"],
        refit="accuracy",
        return_train_score=True,
    ),
    "random": lambda: RandomizedSearchCV(
        RandomForestClassifier(random_state=0),
        {
            "n_estimators": stats.randint(2, 9),
            "max_depth": [3, 4, None],
            "max_features": stats.uniform(0.2, 0.7),
            "bootstrap": [True, False],
        },
        n_iter=3,
        cv=KFold(2),
        random_state=np.random.RandomState(5),
    ),
    "random over a penalty": lambda: RandomizedSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=9000)),
        {"logisticregression__C": stats.loguniform(0.01, 10)},
        n_iter=2,
        cv=2,
        random_state=0,
    ),
}


def second_class(model: Any, rows: np.ndarray) -> np.ndarray:
    """What the library answers for rows as it was trained on: with names, in a frame."""
    named = hasattr(model, "feature_names_in_")
    given = pd.DataFrame(rows, columns=list(COLUMNS)) if named else rows
    return np.asarray(model.predict_proba(given)[:, 1])


def threshold_rows(model: Any) -> np.ndarray:
    """Rows with one column exactly on a threshold of a tree, and one unit beside it."""
    random = np.random.default_rng(4)
    rows = []
    for estimator in getattr(model, "estimators_", [model]):
        tree = estimator.tree_
        for node in np.flatnonzero(tree.children_left >= 0):
            values = beside(tree.threshold[node : node + 1])
            block = UNSEEN[random.integers(0, len(UNSEEN), len(values))].copy()
            block[:, tree.feature[node]] = values
            rows.append(block)
    return np.concatenate(rows) if rows else UNSEEN[:10]


@pytest.mark.parametrize("name", TREES)
def test_trees_answer_as_the_library_also_on_and_beside_every_threshold(name: str) -> None:
    model = TREES[name]().fit(FRAME, LABELS)
    result = compiled(node_of(model))
    rows = np.concatenate([UNSEEN, threshold_rows(model)])
    expected = second_class(model, rows)
    got = answers(result, rows)
    assert np.abs(got - expected).max() <= CLOSE
    decided = np.abs(expected - 0.5) > CLOSE
    assert ((got >= 0.5) == (expected >= 0.5))[decided].all()
    graph.check(result.onnx, len(COLUMNS))
    trees = getattr(model, "estimators_", [model])
    assert result.facts["trees"] == len(trees)
    assert result.facts["nodes"] == sum(tree.tree_.node_count for tree in trees)
    assert result.facts["depth"] == max(tree.tree_.max_depth for tree in trees)


@pytest.mark.parametrize("name", [*LINEAR, *PIPELINES, *SEARCHES])
def test_linear_models_pipelines_and_searches_answer_as_the_library(name: str) -> None:
    model = {**LINEAR, **PIPELINES, **SEARCHES}[name]().fit(FRAME, LABELS)
    result = compiled(node_of(model))
    wide = UNSEEN * np.array([50.0, -3.0, 1.0, 1.0, 1.0, 1.0])
    rows = np.concatenate([UNSEEN, wide])
    assert np.abs(answers(result, rows) - second_class(model, rows)).max() <= CLOSE
    onnx.checker.check_model(onnx.load_from_string(result.onnx), full_check=True)
    graph.check(result.onnx, len(COLUMNS))


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("standard", "Pipeline(StandardScaler, LogisticRegression)"),
        ("scaled forest", "Pipeline(StandardScaler, RandomForestClassifier)"),
    ],
)
def test_the_report_says_what_the_model_is(name: str, family: str) -> None:
    result = compiled(node_of(PIPELINES[name]().fit(FRAME, LABELS)))
    assert (result.family, result.kind, result.named_columns) == (family, "sklearn", True)
    assert set(result.libraries) == {"scikit-learn"}
    assert result.libraries["scikit-learn"].count(".") >= 1


def test_a_search_is_named_with_its_best_estimator() -> None:
    result = compiled(node_of(SEARCHES["grid over a pipeline"]().fit(FRAME, LABELS)))
    assert result.family.startswith("GridSearchCV(Pipeline(")


@pytest.mark.parametrize("model", [DecisionTreeClassifier, RandomForestClassifier])
def test_a_missing_value_takes_the_side_that_the_tree_learnt(model: Callable[..., Any]) -> None:
    holed = ROWS.copy()
    holed[::3, 0] = np.nan
    holed[::7, 1] = np.nan
    labels = (LABELS | np.isnan(holed[:, 0])).astype(int)
    fitted = model(max_depth=6, random_state=0).fit(holed, labels)
    rows = UNSEEN.copy()
    rows[::2, 0] = np.nan
    rows[::5, 1] = np.nan
    thresholds = [tree.tree_.threshold for tree in getattr(fitted, "estimators_", [fitted])]
    assert np.isinf(np.concatenate(thresholds)).any(), "no split on missing values to test"
    result = with_missing(node_of(fitted))
    assert np.abs(answers(result, rows) - second_class(fitted, rows)).max() <= CLOSE
    graph.check(result.onnx, len(COLUMNS))


def with_missing(node: object) -> Compiled:
    inputs = tuple(Column(name, missing=True) for name in COLUMNS)
    return compile_on(node, inputs, POSITIVE, NEGATIVE)


def test_a_tree_that_met_missing_values_but_never_parted_by_them_sends_them_as_it_learnt() -> None:
    holed = ROWS.copy()
    holed[::9, 0] = np.nan
    model = DecisionTreeClassifier(max_depth=4, random_state=2).fit(holed, LABELS)
    assert np.isfinite(model.tree_.threshold).all() and model.tree_.missing_go_to_left.any()
    rows = UNSEEN.copy()
    rows[::2, 0] = np.nan
    expected = second_class(model, rows)
    assert np.abs(answers(with_missing(node_of(model)), rows) - expected).max() <= CLOSE


def test_the_sides_of_missing_values_are_written_only_where_a_column_may_be_missing() -> None:
    """They cost time on every row, and no row of a contract has a missing value."""
    holed = ROWS.copy()
    holed[::3, 0] = np.nan
    model = DecisionTreeClassifier(max_depth=6, random_state=0).fit(holed, np.isnan(holed[:, 0]))
    assert np.isinf(model.tree_.threshold).any()
    never, sometimes = compiled(node_of(model)), with_missing(node_of(model))
    assert b"missing" not in never.onnx and b"missing" in sometimes.onnx
    assert np.abs(answers(never, UNSEEN) - second_class(model, UNSEEN)).max() <= CLOSE


def test_a_split_at_the_largest_number_sends_every_row_left() -> None:
    root = node_of(DecisionTreeClassifier(max_depth=1).fit(ROWS, LABELS))
    tree = root.state["tree_"].state
    tree["nodes"] = tree["nodes"].copy()
    tree["nodes"]["threshold"][0] = np.finfo(np.float64).max
    # The left child as the one that most rows took: only then is the split turned round.
    tree["nodes"]["n_node_samples"] = [600, 599, 1]
    assert np.abs(answers(compiled(root), UNSEEN) - tree["values"][1, 0, 1]).max() <= CLOSE


def test_leaves_with_counts_as_before_version_1_4_give_the_same_shares() -> None:
    model = RandomForestClassifier(10, max_depth=6, random_state=0).fit(ROWS, LABELS)
    root = node_of(model)
    for estimator in root.state["estimators_"]:
        tree = estimator.state["tree_"]
        weights = tree.state["nodes"]["weighted_n_node_samples"]
        tree.state["values"] = tree.state["values"] * weights[:, None, None]
        estimator.state["_sklearn_version"] = "1.3.2"
    assert np.abs(answers(compiled(root), UNSEEN) - second_class(model, UNSEEN)).max() <= CLOSE


def test_a_share_a_little_above_one_is_answered_as_one() -> None:
    """The service takes a number above one for a fault of the model, and answers 503."""
    root = node_of(DecisionTreeClassifier(max_depth=2).fit(ROWS, LABELS))
    tree = root.state["tree_"].state
    tree["values"] = np.tile([0.0, 1.0000009], (len(tree["values"]), 1, 1))
    assert (answers(compiled(root), UNSEEN) == 1.0).all()


def test_trees_of_several_versions_in_one_forest_are_refused() -> None:
    """A library writes its one version into all of them; it says what their leaves hold."""
    root = node_of(RandomForestClassifier(3, max_depth=4, random_state=0).fit(ROWS, LABELS))
    root.state["estimators_"][2].state["_sklearn_version"] = "1.3.2"
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code == "arbol_imposible"
    assert "versiones" in refusal.value.detail


def test_a_multinomial_model_of_two_classes_is_the_softmax_of_both_decisions() -> None:
    """Source: predict_proba in scikit-learn 1.2 to 1.7, for ``multi_class="multinomial"``."""
    model = LogisticRegression(max_iter=9000).fit(ROWS, LABELS)
    root = node_of(model)
    root.state["multi_class"] = "multinomial"
    decision = model.decision_function(UNSEEN)
    expected = np.exp(decision) / (np.exp(decision) + np.exp(-decision))
    assert np.abs(answers(compiled(root), UNSEEN) - expected).max() <= CLOSE


@pytest.mark.parametrize("name", ["forest", "logistic"])
@pytest.mark.parametrize(
    ("labels", "place"),
    [
        (("NO", "SI"), 1),
        ((False, True), 1),
        ((0.0, 1.0), 1),
        (("1", "NO"), 0),
        (("SI", "no"), None),
    ],
)
def test_the_positive_class_is_found_by_its_label_not_by_its_place(
    name: str, labels: tuple[object, object], place: int | None
) -> None:
    target = np.array([labels[label] for label in LABELS])
    model = {**TREES, **LINEAR}[name]().fit(ROWS, target)
    root = node_of(model)
    if place is None:
        with pytest.raises(Refusal) as refusal:
            compiled(root)
        assert refusal.value.code == "clases_distintas"
        assert refusal.value.detail == "SI, no"
        return
    result = compiled(root)
    expected = model.predict_proba(UNSEEN)[:, place]
    assert result.positive == place
    assert np.abs(answers(result, UNSEEN) - expected).max() <= CLOSE


@pytest.mark.parametrize("name", ["forest", "standard", "grid"])
def test_columns_in_another_order_are_put_in_order(name: str) -> None:
    shuffled = FRAME[list("DBFACE")]
    model = {**TREES, **PIPELINES, **SEARCHES}[name]().fit(shuffled, LABELS)
    result = compiled(node_of(model))
    frame = pd.DataFrame(UNSEEN, columns=list(COLUMNS))[list("DBFACE")]
    expected = model.predict_proba(frame)[:, 1]
    assert result.order == (3, 1, 5, 0, 2, 4)
    assert np.abs(answers(result, UNSEEN) - expected).max() <= CLOSE


def test_other_columns_are_refused_with_the_difference() -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression())
    root = node_of(model.fit(FRAME.rename(columns={"A": "Z", "C": "Y"}), LABELS))
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code == "columnas_distintas"
    assert refusal.value.detail == "faltan A, C; sobran Z, Y"
    assert refusal.value.detail_en == "missing A, C; not expected Z, Y"


@pytest.mark.parametrize("name", ["forest", "logistic", "standard", "tree"])
def test_without_names_another_number_of_columns_is_refused(name: str) -> None:
    model = {**TREES, **LINEAR, **PIPELINES}[name]().fit(ROWS, LABELS)
    assert not compiled(node_of(model)).named_columns
    with pytest.raises(Refusal) as refusal:
        compile_model(node_of(model), COLUMNS[:5], POSITIVE, NEGATIVE)
    assert refusal.value.code == "columnas_distintas"
    assert "6" in refusal.value.detail and "5" in refusal.value.detail


class Mine(LogisticRegression):
    """A class of the analyst's own, whose code no other machine has."""


THREE = np.arange(600) % 3
TWO_OUTPUTS = np.column_stack([LABELS, LABELS])
UNFIT: dict[str, tuple[Callable[[], object], str, str]] = {
    "regressor": (
        lambda: RandomForestRegressor(2).fit(ROWS, LABELS),
        "no_es_clasificador_binario",
        "RandomForestRegressor",
    ),
    "search for a regressor": (
        lambda: GridSearchCV(RandomForestRegressor(2), {"max_depth": [2]}, cv=2).fit(ROWS, LABELS),
        "no_es_clasificador_binario",
        "RandomForestRegressor",
    ),
    "three classes": (
        lambda: RandomForestClassifier(2).fit(ROWS, THREE),
        "no_es_clasificador_binario",
        "3 clases",
    ),
    "three classes, linear": (
        lambda: LogisticRegression(max_iter=9000).fit(ROWS[:60] / 99, THREE[:60]),
        "no_es_clasificador_binario",
        "3 clases",
    ),
    "two outputs": (
        lambda: RandomForestClassifier(2).fit(ROWS, TWO_OUTPUTS),
        "no_es_clasificador_binario",
        "varias salidas",
    ),
    "scaler alone": (
        lambda: StandardScaler().fit(ROWS),
        "no_es_clasificador_binario",
        "StandardScaler",
    ),
    "pipeline without a classifier": (
        lambda: Pipeline([("a", StandardScaler()), ("b", "passthrough")]).fit(ROWS),
        "no_es_clasificador_binario",
        "Pipeline",
    ),
    "forest not fitted": (lambda: RandomForestClassifier(), "no_entrenado", "estimators_"),
    "linear not fitted": (lambda: LogisticRegression(), "no_entrenado", "classes_"),
    "search not refitted": (
        lambda: GridSearchCV(DecisionTreeClassifier(), {"max_depth": [2]}, cv=2, refit=False).fit(
            ROWS, LABELS
        ),
        "no_entrenado",
        "best_estimator_",
    ),
    "unknown family": (
        lambda: NearestCentroid().fit(ROWS, LABELS),
        "familia_desconocida",
        "sklearn.neighbors._nearest_centroid.NearestCentroid",
    ),
    "unknown family inside": (
        lambda: make_pipeline(StandardScaler(), DummyClassifier()).fit(ROWS, LABELS),
        "familia_desconocida",
        "sklearn.dummy.DummyClassifier",
    ),
    "not a model": (lambda: {"model": "none"}, "no_es_un_modelo", "dict"),
    "an array": (lambda: ROWS, "no_es_un_modelo", "ndarray"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_is_no_fitted_binary_classifier_is_refused_by_name(name: str) -> None:
    make, code, detail = UNFIT[name]
    with pytest.raises(Refusal) as refusal:
        compiled(node_of(make()))
    assert refusal.value.code == code
    assert detail in refusal.value.detail


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (Global("posix", "system"), "contenido_no_permitido"),
        (Global("builtins", "eval"), "contenido_no_permitido"),
        (Global("builtins", "getattr"), "contenido_no_permitido"),
        (Global("sklearnx", "RandomForestClassifier"), "contenido_no_permitido"),
        (Global("joblib.memory", "Memory"), "contenido_no_permitido"),
        (Global("__main__", "Mine"), "familia_desconocida"),
        (Global("sklearn.ensemble._forest", "RandomForestClassifier.fit"), "familia_desconocida"),
        (Global("xgboost.sklearn", "XGBRanker"), "familia_desconocida"),
        (Global("sklearn.utils", "RandomForestClassifier"), "familia_desconocida"),
    ],
)
@pytest.mark.parametrize("deep", [False, True])
def test_a_name_that_is_not_in_the_tables_is_refused_wherever_it_is(
    name: Global, code: str, deep: bool
) -> None:
    root = node_of(LogisticRegression(max_iter=9000).fit(ROWS, LABELS))
    stranger = Node(name, (1,))
    root.state["n_iter_"] = [{"a": (stranger,)}] if deep else stranger
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code == code
    assert str(name) in refusal.value.detail


def test_getattr_is_no_way_around_the_tables() -> None:
    root = node_of(LogisticRegression(max_iter=9000).fit(ROWS, LABELS))
    inner = Node(Global("builtins", "getattr"), (Global("os", "environ"), "copy"))
    for stranger in (inner, Node(inner, ()), Node(Global("builtins", "getattr"), (inner, "x"))):
        root.state["n_iter_"] = stranger
        with pytest.raises(Refusal) as refusal:
            compiled(root)
        assert refusal.value.code == "contenido_no_permitido"


def test_no_name_hides_behind_a_method_that_is_allowed() -> None:
    method = (Global("scipy.stats._discrete_distns", "randint_gen"), "_entropy")
    stranger = Node(Global("os", "system"), ("true",))
    getattr_ = Global("builtins", "getattr")
    root = node_of(LogisticRegression(max_iter=9000).fit(ROWS, LABELS))
    root.state["n_iter_"] = Node(getattr_, method)
    compiled(root)
    for hidden in (
        Node(getattr_, method, state={"a": stranger}),
        Node(getattr_, method, items=[stranger]),
        Node(getattr_, method, entries=[("a", Global("os", "system"))]),
    ):
        root.state["n_iter_"] = hidden
        with pytest.raises(Refusal) as refusal:
            compiled(root)
        assert refusal.value.code == "contenido_no_permitido"
        assert "os.system" in refusal.value.detail


def test_a_class_of_the_analysts_own_is_refused_by_name() -> None:
    with pytest.raises(Refusal) as refusal:
        compiled(node_of(Mine(max_iter=5000).fit(ROWS, LABELS)))
    assert refusal.value.code == "contenido_no_permitido"
    assert "Mine" in refusal.value.detail


def test_the_tables_hold_no_name_that_could_do_harm() -> None:
    modules = {module.partition(".")[0] for module, _ in allowed_globals()}
    known = {"sklearn", "imblearn", "keras", "numpy", "scipy", "_io", "_loss", "functools"}
    assert modules <= known | {"builtins", "lightgbm", "xgboost", "scikeras", "tf_keras"}
    types = {name for module, name in allowed_globals() if module == "builtins"}
    assert types <= {"bool", "float", "int", "object", "str"}
    assert not any("getattr" in name or "eval" in name for _, name in allowed_globals())


def test_a_pipeline_that_contains_itself_is_refused() -> None:
    root = node_of(make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, LABELS))
    root.state["steps"][1] = ("self", root)
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code == "familia_desconocida"


def damaged(root: Any, field: str, node: int, value: object) -> None:
    tree = root.state["estimators_"][1].state["tree_"]
    nodes = tree.state["nodes"].copy()
    nodes[field][node] = value
    tree.state["nodes"] = nodes


def longer(root: Any) -> None:
    tree = root.state["estimators_"][0].state["tree_"]
    tree.state["values"] = np.concatenate([tree.state["values"]] * 2)


def negative(root: Any) -> None:
    tree = root.state["estimators_"][0].state["tree_"]
    tree.state["values"] = np.tile([-5.51, 6.51], (len(tree.state["values"]), 1, 1))


def endless(root: Any) -> None:
    """Counts, as before 1.4, whose sum is no number."""
    for estimator in root.state["estimators_"]:
        estimator.state["_sklearn_version"] = "1.3.2"
    tree = root.state["estimators_"][0].state["tree_"]
    tree.state["values"] = np.full_like(tree.state["values"], 1.5e308)


def wide(root: Any) -> None:
    tree = root.state["estimators_"][1].state["tree_"]
    tree.args = (10**5000, *tree.args[1:])


def unnumbered(root: Any) -> None:
    tree = root.state["estimators_"][0].state["tree_"]
    tree.state["values"] = np.full_like(tree.state["values"], np.nan)


def lying(root: Any) -> None:
    root.state["estimators_"][2].state["tree_"].state["node_count"] += 1


HOSTILE: dict[str, Callable[[Any], None]] = {
    "points at itself": lambda root: damaged(root, "left_child", 0, 0),
    "points back": lambda root: damaged(root, "right_child", 1, 0),
    "child out of range": lambda root: damaged(root, "right_child", 0, 1 << 40),
    "child below none": lambda root: damaged(root, "right_child", 0, -7),
    "half a leaf": lambda root: damaged(root, "left_child", 0, -1),
    "two parents": lambda root: damaged(root, "right_child", 0, 2),
    "column out of range": lambda root: damaged(root, "feature", 0, 6),
    "negative column": lambda root: damaged(root, "feature", 0, -2),
    "no number as threshold": lambda root: damaged(root, "threshold", 0, np.nan),
    "minus infinity as threshold": lambda root: damaged(root, "threshold", 0, -np.inf),
    "count lies": lying,
    "more values than nodes": longer,
    "negative shares": negative,
    "more columns than can be written": wide,
    "values are no numbers": unnumbered,
    "values without an end": endless,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_impossible_tree_is_refused(name: str) -> None:
    root = node_of(RandomForestClassifier(3, max_depth=4, random_state=0).fit(ROWS, LABELS))
    HOSTILE[name](root)
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code == "arbol_imposible"


def test_a_tree_too_deep_is_refused() -> None:
    root = node_of(DecisionTreeClassifier(max_depth=1).fit(ROWS, LABELS))
    tree = root.state["tree_"]
    links = 1001
    nodes = np.zeros(2 * links + 1, tree.state["nodes"].dtype)
    nodes["left_child"] = nodes["right_child"] = -1
    nodes["left_child"][: 2 * links : 2] = np.arange(1, 2 * links, 2)
    nodes["right_child"][: 2 * links : 2] = np.arange(2, 2 * links + 1, 2)
    values = np.tile([0.5, 0.5], (len(nodes), 1, 1))
    tree.state.update(nodes=nodes, values=values, node_count=len(nodes))
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code == "arbol_imposible"
    assert "1000" in refusal.value.detail


@pytest.mark.parametrize("wrong", [np.full((1, 6), np.nan), np.ones((1, 6), "U1"), "text"])
def test_impossible_coefficients_are_refused(wrong: object) -> None:
    root = node_of(LogisticRegression(max_iter=9000).fit(ROWS, LABELS))
    root.state["coef_"] = wrong
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code == "pesos_imposibles"


def test_a_scale_of_zero_is_refused() -> None:
    root = node_of(make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, LABELS))
    root.state["steps"][0][1].state["scale_"] = np.zeros(6)
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code == "pesos_imposibles"


DEEP: list[Any] = []
for _ in range(5000):
    DEEP = [DEEP]

ODD = [
    None, True, -1, 1 << 200, 10**5000, 1e308, "text", b"bytes", (), [], {}, [None], [[1, 2], [3]],
    DEEP,
    np.zeros(0), np.zeros((2, 2)), np.array([1, 2]), np.array(["a", "b"]), np.array([None, "a"]),
    np.array(3.0), Node(Global("sklearn.tree._tree", "Tree")), Global("numpy", "ndarray"),
]  # fmt: skip


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomForestClassifier(2, max_depth=2, random_state=0),
        lambda: make_pipeline(MinMaxScaler(clip=True), LogisticRegression()),
        lambda: make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=2)),
    ],
)
def test_an_odd_value_anywhere_is_refused_or_without_effect_never_a_crash(
    make: Callable[[], Any],
) -> None:
    """Every attribute of every node in turn becomes every kind of value that a file may hold."""
    root = node_of(make().fit(FRAME, LABELS))
    nodes, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        steps = [step[1] for step in node.state.get("steps", [])]
        trees = node.state.get("estimators_", [])
        waiting += [*steps, *trees, *([node.state["tree_"]] if "tree_" in node.state else [])]
    refused = 0
    for node in nodes:
        for attribute, good in list(node.state.items()):
            for odd in ODD:
                node.state[attribute] = odd
                try:
                    compiled(root)
                except Refusal:
                    refused += 1
            node.state[attribute] = good
    assert refused > 100
    compiled(root)


def test_a_large_forest_is_compiled_in_a_few_seconds() -> None:
    """Every step is one array operation over all trees; a loop over nodes would take minutes."""
    model = DecisionTreeClassifier(random_state=0).fit(made(3000, 8), np.arange(3000) * 7919 % 2)
    root = node_of(RandomForestClassifier(1, random_state=0).fit(ROWS, LABELS))
    root.state["estimators_"] = [node_of(model)] * 300
    before = time.perf_counter()
    result = compiled(root)
    assert result.facts["nodes"] == 300 * model.tree_.node_count > 300_000
    assert time.perf_counter() - before < 20


def test_a_trillion_classes_are_refused_before_they_are_written_out() -> None:
    root = node_of(RandomForestClassifier(2, max_depth=2, random_state=0).fit(ROWS, LABELS))
    root.state["classes_"] = np.broadcast_to(0.0, 10**12)
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code == "pesos_imposibles"


def node_in(model: onnx.ModelProto, operator: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.op_type == operator)


def attribute_in(model: onnx.ModelProto, name: str) -> onnx.AttributeProto:
    trees = node_in(model, "TreeEnsemble")
    return next(attribute for attribute in trees.attribute if attribute.name == name)


def branch(model: onnx.ModelProto) -> None:
    inner = onnx.helper.make_graph([], "inner", [], [])
    node = onnx.helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)
    model.graph.node.append(node)


def nested(model: onnx.ModelProto) -> None:
    inner = onnx.helper.make_graph([], "inner", [], [])
    node_in(model, "Concat").attribute.append(onnx.helper.make_attribute("axis", inner))
    del node_in(model, "Concat").attribute[0]


def outside(model: onnx.ModelProto) -> None:
    (tensor,) = model.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def negative_size(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    assert list(tensor.dims) == [1]
    tensor.dims[:] = [-1, -1]


def another_comparison(model: onnx.ModelProto) -> None:
    modes = attribute_in(model, "nodes_modes").t
    modes.raw_data = b"\1" * len(modes.raw_data)


def own_function(model: onnx.ModelProto) -> None:
    versions = list(model.opset_import)
    model.functions.append(onnx.helper.make_function("", "Neg", ["a"], ["a"], [], versions))


def changed(name: str, place: int, value: int) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        attribute_in(model, name).ints[place] = value

    return change


NOT_OURS: dict[str, Callable[[onnx.ModelProto], object]] = {
    "a branch": branch,
    "a graph as attribute": nested,
    "a function": own_function,
    "another operator": lambda m: m.graph.node.append(onnx.helper.make_node("Loop", [], ["y"])),
    "a known operator of another domain": lambda m: setattr(m.graph.node[0], "domain", "com.me"),
    "an attribute unknown": lambda m: setattr(node_in(m, "Cast").attribute[0], "name", "saturate"),
    "an attribute of two values": lambda m: setattr(attribute_in(m, "tree_roots"), "f", 1.0),
    "another comparison": another_comparison,
    "an attribute twice": lambda m: node_in(m, "Cast").attribute.append(
        node_in(m, "Cast").attribute[0]
    ),
    "numbers in another file": outside,
    "fewer numbers than said": lambda m: m.graph.initializer[0].dims.append(9),
    "a negative size": negative_size,
    "four dimensions": lambda m: m.graph.initializer[0].dims.extend([1, 1, 1]),
    "text as constant": lambda m: m.graph.initializer[0].string_data.append(b"x"),
    "a second input": lambda m: m.graph.input.append(m.graph.input[0]),
    "a second output": lambda m: m.graph.output.append(m.graph.output[0]),
    "an input of another type": lambda m: setattr(
        m.graph.input[0].type.tensor_type, "elem_type", 1
    ),
    "another opset": lambda m: setattr(m.opset_import[0], "version", 9),
    "too many operators": lambda m: m.graph.node.extend([m.graph.node[0]] * 25_000),
    "a remark": lambda m: m.metadata_props.add(key="a", value="b"),
    "a tree with a way round": changed("nodes_truenodeids", 0, 0),
    "a tree that leads outside": changed("nodes_falsenodeids", 0, 1 << 40),
    "a leaf outside": changed("nodes_truenodeids", -1, 1 << 40),
    "a column outside": changed("nodes_featureids", 0, 1 << 20),
    "a root outside": changed("tree_roots", 0, -1),
    "another target": changed("leaf_targetids", 0, 1),
    "a list too short": lambda m: attribute_in(m, "nodes_trueleafs").ints.pop(),
    "a root twice": lambda m: attribute_in(m, "tree_roots").ints.append(
        attribute_in(m, "tree_roots").ints[0]
    ),
    "a shape that depends on the row": lambda m: m.graph.node.append(
        onnx.helper.make_node("Reshape", ["x", "x"], ["shaped"])
    ),
    "no list": lambda m: attribute_in(m, "nodes_falseleafs").ClearField("ints"),
    "no targets": lambda m: setattr(attribute_in(m, "n_targets"), "i", 0),
}


@pytest.fixture(scope="module")
def forest_onnx() -> bytes:
    """With a constant, since the first of its classes is the positive one."""
    model = RandomForestClassifier(2, max_depth=3, random_state=0)
    return compiled(node_of(model.fit(ROWS, np.where(LABELS == 1, "NO", "1")))).onnx


@pytest.mark.parametrize("name", NOT_OURS)
def test_an_onnx_file_that_the_compiler_could_not_have_written_is_refused(
    forest_onnx: bytes, name: str
) -> None:
    model = onnx.load_from_string(forest_onnx)
    graph.check(model.SerializeToString(), len(COLUMNS))
    NOT_OURS[name](model)
    with pytest.raises(Refusal) as refusal:
        graph.check(model.SerializeToString(), len(COLUMNS))
    too_many = name == "too many operators"
    assert refusal.value.code == ("demasiado_grande" if too_many else "contenido_no_permitido")


def test_bytes_that_are_no_onnx_or_hold_more_are_refused(forest_onnx: bytes) -> None:
    unknown_field, written_twice = b"\xfa\x3e\x00", b"\x08\x0a"
    for data in (
        b"",
        b"text",
        forest_onnx[:-5],
        forest_onnx + unknown_field,
        forest_onnx + written_twice,
        forest_onnx.replace(b"Neg", b"N\xffg"),
    ):
        with pytest.raises(Refusal) as refusal:
            graph.check(data, len(COLUMNS))
        assert refusal.value.code == "contenido_no_permitido"


def test_a_model_of_another_number_of_columns_is_refused(forest_onnx: bytes) -> None:
    with pytest.raises(Refusal):
        graph.check(forest_onnx, len(COLUMNS) + 1)
