"""Gradient boosting and AdaBoost answer as scikit-learn does, and damaged ones are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
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
    second_class,
    threshold_rows,
)
from imblearn.ensemble import RUSBoostClassifier
from scipy.special import expit, logit
from sklearn.ensemble import AdaBoostClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier

from propensia.admission import parity
from propensia.admission.compiler import compile_on
from propensia.admission.families.parts import Column
from propensia.admission.refusal import Refusal

EPSILON = np.finfo(np.float64).eps
GRADIENT: dict[str, Callable[[], Any]] = {
    "usual": lambda: GradientBoostingClassifier(n_estimators=40, random_state=0),
    "exponential": lambda: GradientBoostingClassifier(
        loss="exponential", n_estimators=30, learning_rate=0.3, random_state=0
    ),
    "from zero": lambda: GradientBoostingClassifier(n_estimators=25, init="zero", random_state=0),
    "exponential from zero": lambda: GradientBoostingClassifier(
        n_estimators=25, init="zero", loss="exponential", random_state=0
    ),
    "from a forest whose leaves are sure": lambda: GradientBoostingClassifier(
        n_estimators=15, init=RandomForestClassifier(2, random_state=0), random_state=0
    ),
    "exponential from a forest": lambda: GradientBoostingClassifier(
        n_estimators=15,
        init=RandomForestClassifier(5, max_depth=3, random_state=0),
        loss="exponential",
        random_state=0,
    ),
    "some rows and columns": lambda: GradientBoostingClassifier(
        n_estimators=30, subsample=0.5, max_features=2, max_depth=4, random_state=0
    ),
    "best first, stopped early": lambda: GradientBoostingClassifier(
        n_estimators=200, max_leaf_nodes=6, n_iter_no_change=3, random_state=0
    ),
    "pruned": lambda: GradientBoostingClassifier(n_estimators=20, ccp_alpha=0.002, random_state=0),
    "one stump": lambda: GradientBoostingClassifier(
        n_estimators=1, max_depth=1, learning_rate=1.0
    ),
}
ADA: dict[str, Callable[[], Any]] = {
    "stumps": lambda: AdaBoostClassifier(n_estimators=40, random_state=0),
    "deeper trees": lambda: AdaBoostClassifier(
        DecisionTreeClassifier(max_depth=3), n_estimators=20, learning_rate=0.4, random_state=0
    ),
    "extra trees": lambda: AdaBoostClassifier(
        ExtraTreeClassifier(max_depth=4), n_estimators=10, random_state=0
    ),
    "one perfect tree": lambda: AdaBoostClassifier(
        DecisionTreeClassifier(), n_estimators=5, random_state=0
    ),
    "linear members": lambda: AdaBoostClassifier(
        LogisticRegression(solver="liblinear"), n_estimators=5, random_state=0
    ),
    "forests": lambda: AdaBoostClassifier(
        RandomForestClassifier(3, max_depth=3, random_state=0), n_estimators=4, random_state=0
    ),
    "members in boosting": lambda: AdaBoostClassifier(
        GradientBoostingClassifier(n_estimators=5, random_state=0), n_estimators=3, random_state=0
    ),
    "balanced by dropping rows": lambda: RUSBoostClassifier(n_estimators=15, random_state=0),
}
FAMILIES = {**GRADIENT, **ADA}


@pytest.mark.parametrize("name", FAMILIES)
def test_boosting_answers_as_the_library_also_on_and_beside_thresholds(name: str) -> None:
    model = FAMILIES[name]().fit(FRAME, LABELS)
    root = node_of(model)
    result = compiled(root)
    rows = UNSEEN
    if name != "linear members":
        rows = np.concatenate([UNSEEN, threshold_rows(model)])
    assert_equal(model, root, result, rows)
    assert result.named_columns and set(result.libraries) == {"scikit-learn"}


@pytest.mark.parametrize("name", ["usual", "stumps", "linear members"])
def test_weights_and_other_names_of_the_classes_change_nothing_else(name: str) -> None:
    labels = np.where(LABELS == 1, "1", "NO")
    model = FAMILIES[name]().fit(ROWS, labels, sample_weight=WEIGHTS)
    root = node_of(model)
    result = compiled(root)
    expected = model.predict_proba(UNSEEN)[:, 0]
    assert result.positive == 0
    assert np.abs(answers(result, UNSEEN) - expected).max() <= CLOSE
    found = parity.reference(root, result)
    assert found.predict is not None
    assert np.abs(found.predict(UNSEEN) - expected).max() <= 1e-15


def test_going_on_with_the_training_changes_nothing_else() -> None:
    model = GradientBoostingClassifier(n_estimators=10, warm_start=True, random_state=0)
    model.fit(FRAME, LABELS)
    model.set_params(n_estimators=25).fit(FRAME, LABELS)
    result = compiled(node_of(model))
    assert result.facts["trees"] == 25
    assert np.abs(answers(result, UNSEEN) - second_class(model, UNSEEN)).max() <= CLOSE


def test_a_linear_first_model_is_followed_as_closely_as_its_single_precision_permits() -> None:
    """scikit-learn trains and asks it with float32 rows, and so computes in float32."""
    start = LogisticRegression(max_iter=3000)
    model = GradientBoostingClassifier(n_estimators=15, init=start, random_state=0)
    model.fit(FRAME, LABELS)
    result = compiled(node_of(model))
    assert result.family == "GradientBoostingClassifier(LogisticRegression)"
    assert np.abs(answers(result, UNSEEN) - second_class(model, UNSEEN)).max() <= 1e-6


@pytest.mark.parametrize(
    ("version", "least"), [("1.7.2", np.finfo(np.float32).eps), ("1.8.0", EPSILON)]
)
def test_a_first_model_that_is_sure_is_kept_away_from_certainty_as_its_version_did(
    version: str, least: float
) -> None:
    """Source: ``_init_raw_predictions`` in _gb.py of both versions."""
    start = RandomForestClassifier(1, random_state=0)
    model = GradientBoostingClassifier(n_estimators=3, init=start, random_state=0)
    model.fit(ROWS, LABELS)
    root = node_of(model)
    root.state["_sklearn_version"] = version
    share = model.init_.predict_proba(UNSEEN.astype(np.float32))[:, 1]
    assert set(share) == {0.0, 1.0}
    kept = np.clip(share, least, 1 - least)
    raw = logit(kept)
    rows = UNSEEN.astype(np.float32)
    raw += sum(0.1 * tree.predict(rows) for (tree,) in model.estimators_)
    expected = expit(raw)
    assert np.abs(answers(compiled(root), UNSEEN) - expected).max() <= CLOSE


@pytest.mark.parametrize("version", ["1.2.2", "1.3.2"])
def test_votes_count_twice_since_version_1_3(version: str) -> None:
    """Source: ``decision_function`` in _weight_boosting.py of both versions."""
    model = AdaBoostClassifier(n_estimators=30, random_state=0).fit(ROWS, LABELS)
    root = node_of(model)
    # Both before 1.4: their leaves hold counts. No share of a stump here is a tie.
    as_written_by(root, version)
    share = 2.0 if version == "1.3.2" else 1.0
    votes = sum(
        weight * (2 * tree.predict(UNSEEN) - 1)
        for tree, weight in zip(model.estimators_, model.estimator_weights_, strict=True)
    )
    decision = share * votes / model.estimator_weights_.sum()
    expected = expit(decision)
    assert np.abs(answers(compiled(root), UNSEEN) - expected).max() <= CLOSE


@pytest.mark.parametrize("trees", [True, False])
def test_samme_r_adds_the_differences_of_the_logarithms(trees: bool) -> None:
    """Source: ``_samme_proba`` in _weight_boosting.py, up to 1.5; clipped at the float64 step."""
    base = DecisionTreeClassifier(max_depth=4) if trees else LogisticRegression(solver="liblinear")
    model = AdaBoostClassifier(base, n_estimators=4, random_state=0).fit(ROWS, LABELS)
    root = node_of(model)
    root.state["algorithm"] = "SAMME.R"
    root.state["estimator_weights_"] = np.ones(len(model.estimators_))
    as_written_by(root, "1.3.2")
    decision = np.zeros(len(UNSEEN))
    sure = False
    for member in model.estimators_:
        shares = member.predict_proba(UNSEEN)
        sure |= bool((shares == 0).any())
        first, second = np.log(np.clip(shares, EPSILON, None)).T
        decision += second - first
    assert sure or not trees, "a leaf that is sure is what the clipping is for"
    expected = expit(decision / len(model.estimators_))
    assert np.abs(answers(compiled(root), UNSEEN) - expected).max() <= CLOSE


def test_of_two_equal_shares_a_member_says_the_first_class() -> None:
    model = AdaBoostClassifier(n_estimators=1).fit(ROWS, LABELS)
    root = node_of(model)
    tree = root.state["estimators_"][0].state["tree_"].state
    tree["values"] = np.full_like(tree["values"], 0.5)
    expected = expit(-2.0)
    assert np.abs(answers(compiled(root), UNSEEN[:5]) - expected).max() <= CLOSE


def test_a_file_of_imbalanced_learn_is_read_with_the_version_its_members_say() -> None:
    root = node_of(RUSBoostClassifier(n_estimators=3, random_state=0).fit(ROWS, LABELS))
    assert "_sklearn_version" not in root.state
    before = answers(compiled(root), UNSEEN)
    as_written_by(root, "1.2.2")
    assert compiled(root).libraries == {"scikit-learn": "1.2.2"}
    halved = expit(logit(before) / 2)
    assert np.abs(answers(compiled(root), UNSEEN) - halved).max() <= CLOSE


def test_boosting_behind_a_scaler_answers_as_the_pipeline() -> None:
    model = make_pipeline(
        StandardScaler(), GradientBoostingClassifier(n_estimators=10, random_state=0)
    ).fit(FRAME, LABELS)
    root = node_of(model)
    assert_equal(model, root, compiled(root), UNSEEN)


def as_written_by(root: Any, version: str) -> None:
    """Leaves with counts and the version of an older library, as its files have them."""
    if "_sklearn_version" in root.state:
        root.state["_sklearn_version"] = version
    for member in root.state["estimators_"]:
        member.state["_sklearn_version"] = version
        if "tree_" in member.state:
            tree = member.state["tree_"].state
            weights = tree["nodes"]["weighted_n_node_samples"]
            tree["values"] = tree["values"] * weights[:, None, None]


@pytest.mark.parametrize("model", [GradientBoostingClassifier, AdaBoostClassifier])
def test_a_column_that_may_be_missing_is_refused_for_boosting_that_takes_none(
    model: Callable[..., Any],
) -> None:
    root = node_of(model(n_estimators=2).fit(ROWS, LABELS))
    inputs = tuple(Column(name, missing=name == "C") for name in COLUMNS)
    with pytest.raises(Refusal) as refusal:
        compile_on(root, inputs, POSITIVE, NEGATIVE)
    assert refusal.value.code == "valores_distintos"
    assert "puede faltar" in refusal.value.detail


def test_three_classes_are_refused() -> None:
    for model in (GradientBoostingClassifier(n_estimators=2), AdaBoostClassifier(n_estimators=2)):
        with pytest.raises(Refusal) as refusal:
            compiled(node_of(model.fit(ROWS, np.arange(len(ROWS)) % 3)))
        assert refusal.value.code == "no_es_clasificador_binario"


def test_a_tree_of_boosting_alone_is_no_classifier() -> None:
    with pytest.raises(Refusal) as refusal:
        compiled(node_of(DecisionTreeRegressor(max_depth=2).fit(ROWS, LABELS)))
    assert "DecisionTreeRegressor" in refusal.value.detail


def first_tree(root: Any) -> Any:
    stages = root.state["estimators_"]
    return (stages if isinstance(stages, list) else stages.items)[0].state["tree_"]


def in_nodes(field: str, place: int, value: object) -> Callable[[Any], None]:
    def change(root: Any) -> None:
        state = first_tree(root).state
        state["nodes"] = state["nodes"].copy()
        state["nodes"][field][place] = value

    return change


def in_values(place: object, value: object) -> Callable[[Any], None]:
    def change(root: Any) -> None:
        state = first_tree(root).state
        state["values"] = state["values"].copy()
        state["values"][place] = value

    return change


def given(attribute: str, value: object) -> Callable[[Any], None]:
    return lambda root: root.state.update({attribute: value})


def in_tree(key: str, value: object) -> Callable[[Any], None]:
    return lambda root: first_tree(root).state.update({key: value})


def in_stages(*args: object) -> Callable[[Any], None]:
    return lambda root: setattr(root.state["estimators_"], "args", args)


TREE = "arbol_imposible"
BINARY = "no_es_clasificador_binario"
WEIGHTED = "pesos_imposibles"
DAMAGED: dict[str, tuple[str, Callable[[Any], None], str]] = {
    "a tree that points at itself": ("usual", in_nodes("left_child", 0, 0), TREE),
    "a tree that points outside": ("usual", in_nodes("right_child", 0, 1 << 40), TREE),
    "a column outside": ("usual", in_nodes("feature", 0, 6), TREE),
    "no number as threshold": ("usual", in_nodes("threshold", 0, np.nan), TREE),
    "no number in a leaf": ("usual", in_values(-1, np.nan), TREE),
    "infinity in a leaf": ("usual", in_values(-1, np.inf), TREE),
    "a count that lies": ("usual", in_tree("node_count", 3), TREE),
    "values of another shape": ("usual", in_tree("values", np.zeros((15, 1, 2))), TREE),
    "values that are text": ("usual", in_tree("values", np.full((15, 1, 1), "a")), TREE),
    "no rate": ("usual", given("learning_rate", np.nan), WEIGHTED),
    "an endless rate": ("usual", given("learning_rate", 1e308), TREE),
    "another loss": ("usual", given("loss", "quantile"), WEIGHTED),
    "no stages": ("usual", given("estimators_", []), WEIGHTED),
    "stages in two rows": ("usual", in_stages((1, 40)), BINARY),
    "an array as shape of the stages": ("usual", in_stages(np.zeros((2, 2))), BINARY),
    "arrays in the shape of the stages": ("usual", in_stages((np.zeros(2), 1)), BINARY),
    "no first model": ("usual", given("init_", None), "no_entrenado"),
    "a word as first model": ("usual", given("init_", "one"), "no_es_un_modelo"),
    "ada: a tree that points at itself": ("stumps", in_nodes("left_child", 0, 0), TREE),
    "ada: negative shares": ("stumps", in_values(-1, -1.0), TREE),
    "ada: no weights": ("stumps", given("estimator_weights_", np.zeros(40)), WEIGHTED),
    "ada: too few weights": ("stumps", given("estimator_weights_", np.ones(3)), WEIGHTED),
    "ada: endless weights": ("stumps", given("estimator_weights_", np.full(40, 1e308)), WEIGHTED),
    "ada: no number as weight": (
        "stumps",
        given("estimator_weights_", np.full(40, np.nan)),
        WEIGHTED,
    ),
    "ada: no members": ("stumps", given("estimators_", []), "no_entrenado"),
    "ada: members of another kind": (
        "stumps",
        given("estimators_", [None] * 40),
        "no_es_un_modelo",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_impossible_boosting_is_refused(name: str) -> None:
    family, damage, code = DAMAGED[name]
    model = AdaBoostClassifier if family == "stumps" else GradientBoostingClassifier
    root = node_of(model(n_estimators=40, random_state=0).fit(ROWS, LABELS))
    damage(root)
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code == code


def test_members_that_name_their_classes_the_other_way_round_are_refused() -> None:
    root = node_of(AdaBoostClassifier(n_estimators=2, random_state=0).fit(ROWS, LABELS))
    other = node_of(
        AdaBoostClassifier(LogisticRegression(solver="liblinear"), n_estimators=2).fit(
            ROWS, LABELS
        )
    )
    for one in (root, other):
        one.state["estimators_"][1].state["classes_"] = np.array([1, 0])
        with pytest.raises(Refusal) as refusal:
            compiled(one)
        assert refusal.value.code == WEIGHTED


def test_a_damaged_tree_of_boosting_never_reaches_native_code() -> None:
    root = node_of(GradientBoostingClassifier(n_estimators=2, random_state=0).fit(ROWS, LABELS))
    in_nodes("right_child", 0, 1 << 40)(root)
    with pytest.raises(Refusal) as refusal:
        parity.materialise(root)
    assert refusal.value.code == TREE
