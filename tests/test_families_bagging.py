"""Bagging answers as scikit-learn and imbalanced-learn do, and damaged ones are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from compiled_models import COLUMNS, NEGATIVE, POSITIVE, answers, compiled, node_of
from ensemble_rows import (
    CLOSE,
    FRAME,
    LABELS,
    ROWS,
    UNSEEN,
    WEIGHTS,
    assert_equal,
    holed,
    threshold_rows,
)
from imblearn.ensemble import (
    BalancedBaggingClassifier,
    BalancedRandomForestClassifier,
    EasyEnsembleClassifier,
)
from imblearn.under_sampling import NearMiss
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier
from threadpoolctl import threadpool_limits

from propensia.admission.compiler import compile_on
from propensia.admission.families.parts import Column
from propensia.admission.nodes import Global, Node, walk
from propensia.admission.refusal import Refusal


def linear() -> LogisticRegression:
    return LogisticRegression(solver="liblinear")


TREES: dict[str, Callable[[], Any]] = {
    "trees": lambda: BaggingClassifier(n_estimators=12, random_state=0),
    "trees of some rows and columns": lambda: BaggingClassifier(
        DecisionTreeClassifier(max_depth=6),
        n_estimators=12,
        max_samples=0.5,
        max_features=0.5,
        random_state=0,
    ),
    "trees of columns drawn twice": lambda: BaggingClassifier(
        ExtraTreeClassifier(max_depth=6),
        n_estimators=12,
        bootstrap=False,
        bootstrap_features=True,
        random_state=0,
    ),
    "out of bag": lambda: BaggingClassifier(n_estimators=25, oob_score=True, random_state=0),
    "balanced trees": lambda: BalancedBaggingClassifier(n_estimators=5, random_state=0),
    "balanced trees by a sampler": lambda: BalancedBaggingClassifier(
        DecisionTreeClassifier(max_depth=5),
        sampler=NearMiss(),
        n_estimators=5,
        max_features=4,
        random_state=0,
    ),
    "balanced forest": lambda: BalancedRandomForestClassifier(n_estimators=12, random_state=0),
    "balanced forest of single leaves": lambda: BalancedRandomForestClassifier(
        n_estimators=8, min_samples_leaf=120, random_state=0
    ),
}
OTHERS: dict[str, Callable[[], Any]] = {
    "linear": lambda: BaggingClassifier(linear(), n_estimators=5, max_features=4, random_state=0),
    "pipelines": lambda: BaggingClassifier(
        make_pipeline(StandardScaler(), linear()), n_estimators=3, random_state=0
    ),
    "forests": lambda: BaggingClassifier(
        RandomForestClassifier(4, max_depth=4), n_estimators=3, max_features=5, random_state=0
    ),
    "boosting": lambda: BaggingClassifier(
        GradientBoostingClassifier(n_estimators=5), n_estimators=3, random_state=0
    ),
    "votes": lambda: BaggingClassifier(
        LinearSVC(random_state=0), n_estimators=7, max_features=4, random_state=0
    ),
    "balanced linear": lambda: BalancedBaggingClassifier(linear(), n_estimators=3, random_state=0),
    "easy": lambda: EasyEnsembleClassifier(n_estimators=3, random_state=0),
    "easy with its own base": lambda: EasyEnsembleClassifier(
        n_estimators=3, estimator=AdaBoostClassifier(n_estimators=5), random_state=0
    ),
    "bagging of bagging": lambda: BaggingClassifier(
        BaggingClassifier(n_estimators=3, max_features=3), n_estimators=3, max_features=4
    ),
}


@pytest.mark.parametrize("name", TREES)
def test_bags_of_trees_are_one_operator_that_answers_as_the_library(name: str) -> None:
    model = TREES[name]().fit(FRAME, LABELS)
    root = node_of(model)
    result = compiled(root)
    assert_equal(model, root, result, np.concatenate([UNSEEN, threshold_rows(model)]))
    operators = [node.op_type for node in onnx.load_from_string(result.onnx).graph.node]
    assert operators.count("TreeEnsemble") == 1
    assert result.facts["trees"] == len(model.estimators_)
    assert set(result.libraries) == {"scikit-learn"} and result.named_columns


@pytest.mark.parametrize("name", OTHERS)
def test_bags_of_anything_answer_as_the_library(name: str) -> None:
    model = OTHERS[name]().fit(FRAME, LABELS)
    root = node_of(model)
    assert_equal(model, root, compiled(root), UNSEEN)


@pytest.mark.parametrize("name", ["trees", "linear", "balanced trees", "easy"])
def test_either_order_of_the_classes(name: str) -> None:
    model = {**TREES, **OTHERS}[name]().fit(ROWS, np.where(LABELS == 1, "1", "NO"))
    result = compiled(node_of(model))
    expected = model.predict_proba(UNSEEN)[:, 0]
    assert result.positive == 0
    assert np.abs(answers(result, UNSEEN) - expected).max() <= CLOSE


def test_weights_change_nothing_else() -> None:
    model = TREES["trees"]().fit(FRAME, LABELS, sample_weight=WEIGHTS)
    root = node_of(model)
    assert_equal(model, root, compiled(root), UNSEEN)


def test_missing_values_take_the_side_that_each_tree_learnt() -> None:
    gone = holed(ROWS, 8)
    labels = (LABELS | np.isnan(gone[:, 0])).astype(int)
    model = TREES["trees of some rows and columns"]().fit(gone, labels)
    inputs = tuple(Column(name, missing=True) for name in COLUMNS)
    rows = holed(UNSEEN, 9)
    result = compile_on(node_of(model), inputs, POSITIVE, NEGATIVE)
    expected = model.predict_proba(rows)[:, 1]
    assert np.abs(answers(result, rows) - expected).max() <= CLOSE


def test_a_bag_says_a_class_by_its_mean_probability_not_by_its_mean_decision() -> None:
    """AdaBoost asks its members for a class; for some rows here the two means disagree."""
    bag = BaggingClassifier(linear(), n_estimators=3, random_state=0)
    model = AdaBoostClassifier(bag, n_estimators=3, random_state=0).fit(FRAME, LABELS)
    root = node_of(model)
    apart = [
        (member.decision_function(UNSEEN) > 0) != (member.predict_proba(UNSEEN)[:, 1] > 0.5)
        for member in model.estimators_
    ]
    assert np.any(apart)
    assert_equal(model, root, compiled(root), UNSEEN)


def test_the_mean_of_the_decisions_is_what_a_calibration_gets() -> None:
    bag = BaggingClassifier(linear(), n_estimators=3, max_features=4, random_state=0)
    model = CalibratedClassifierCV(bag, cv=2).fit(FRAME, LABELS)
    root = node_of(model)
    assert_equal(model, root, compiled(root), UNSEEN)


def given(attribute: str, value: object) -> Callable[[Any], None]:
    return lambda root: root.state.update({attribute: value})


def places(change: Callable[[np.ndarray], object]) -> Callable[[Any], None]:
    def damage(root: Any) -> None:
        root.state["estimators_features_"][1] = change(root.state["estimators_features_"][1])

    return damage


def swapped(root: Any) -> None:
    root.state["estimators_"][0].state["classes_"] = np.array([1, 0])


def in_nodes(field: str, value: int) -> Callable[[Any], None]:
    def damage(root: Any) -> None:
        state = root.state["estimators_"][1].state["tree_"].state
        state["nodes"] = state["nodes"].copy()
        state["nodes"][field][0] = value

    return damage


TREE, WEIGHTED = "arbol_imposible", "pesos_imposibles"
DAMAGED: dict[str, tuple[Callable[[Any], None], str]] = {
    "a column outside": (places(lambda told: told + 3), WEIGHTED),
    "a negative column": (places(lambda told: told - 6), WEIGHTED),
    "columns with a fraction": (places(lambda told: told / 2), WEIGHTED),
    "a column fewer": (places(lambda told: told[:-1]), "columnas_distintas"),
    "no columns": (places(lambda told: told[:0]), WEIGHTED),
    "more columns than there are": (places(lambda told: np.tile(told, 3)), WEIGHTED),
    "columns in rows": (places(lambda told: told.reshape(1, -1)), WEIGHTED),
    "columns that are none": (places(lambda _: None), WEIGHTED),
    "columns of fewer members": (given("estimators_features_", []), WEIGHTED),
    "no columns at all": (given("estimators_features_", None), "no_entrenado"),
    "no members": (given("estimators_", []), "no_entrenado"),
    "members of another kind": (given("estimators_", [None] * 4), "no_es_un_modelo"),
    "classes the other way round": (swapped, WEIGHTED),
    "three classes": (given("classes_", np.arange(3)), "no_es_clasificador_binario"),
    "a tree that points at itself": (in_nodes("left_child", 0), TREE),
    "a tree that reads what is not its own": (in_nodes("feature", 4), TREE),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_impossible_bagging_is_refused(name: str) -> None:
    damage, code = DAMAGED[name]
    model = BaggingClassifier(n_estimators=4, max_features=4, random_state=0).fit(ROWS, LABELS)
    root = node_of(model)
    damage(root)
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code == code


def test_linear_members_with_classes_the_other_way_round_are_refused() -> None:
    root = node_of(OTHERS["linear"]().fit(ROWS, LABELS))
    swapped(root)
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code == WEIGHTED


DEEP: list[Any] = []
for _ in range(3000):
    DEEP = [DEEP]
ODD = [
    None, True, -1, 1 << 200, 10**5000, 1e308, np.nan, "text", b"bytes", (), [], {}, [None],
    [[1, 2], [3]], DEEP, np.zeros(0), np.zeros((2, 2)), np.array([1, 2]), np.array(["a", "b"]),
    np.array(3.0), np.full((1, 1), np.nan), Node(Global("sklearn.tree._tree", "Tree")),
    Node(Global("numpy", "ndarray"), ((3, 1),), items=[None]), Global("numpy", "ndarray"),
]  # fmt: skip
ODD_PLACES: dict[str, Callable[[], Any]] = {
    "gradient": lambda: GradientBoostingClassifier(n_estimators=2, max_depth=2, random_state=0),
    "histogram": lambda: HistGradientBoostingClassifier(
        max_iter=2, max_leaf_nodes=4, categorical_features=[2, 5], random_state=0
    ),
    "ada": lambda: AdaBoostClassifier(n_estimators=2, random_state=0),
    "bag": lambda: BaggingClassifier(linear(), n_estimators=2, max_features=4, random_state=0),
    "balanced": lambda: BalancedBaggingClassifier(n_estimators=2, random_state=0),
}


@pytest.mark.parametrize("name", ODD_PLACES)
def test_an_odd_value_anywhere_is_refused_or_without_effect_never_a_crash(name: str) -> None:
    """Every attribute of every part in turn becomes every kind of value that a file may hold."""
    with threadpool_limits(1):
        root = node_of(ODD_PLACES[name]().fit(FRAME, LABELS))
    parts = [
        part for part in walk(root) if isinstance(part, Node) and isinstance(part.state, dict)
    ]
    # One of each kind is enough.
    kinds = {part.name: part for part in parts if "random" not in part.name}
    refused = 0
    for part in kinds.values():
        for attribute, good in list(part.state.items()):
            for odd in ODD:
                part.state[attribute] = odd
                try:
                    compiled(root)
                except Refusal:
                    refused += 1
            part.state[attribute] = good
    assert refused > 40
    compiled(root)
