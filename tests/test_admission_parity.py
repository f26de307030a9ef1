"""The original library is built from checked nodes, never unpickled, and answers as itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from compiled_models import COLUMNS, answers, compiled, node_of
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from propensia import contract as contracts
from propensia.admission import parity, reading
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal
from propensia.decision import Decision

RANDOM = np.random.default_rng(7)
ROWS = RANDOM.normal(size=(400, 6))
LABELS = (ROWS[:, 0] + ROWS[:, 3] > RANDOM.normal(size=400)).astype(int)
UNSEEN = RANDOM.normal(size=(1000, 6))
# Trained in another order than the contract's, so that the order matters.
SHUFFLED = pd.DataFrame(ROWS, columns=list(COLUMNS))[list("FADBCE")]
MODELS: dict[str, Any] = {
    "forest": RandomForestClassifier(
        9, max_depth=6, n_jobs=2, random_state=np.random.RandomState(0)
    ),
    "extra trees": ExtraTreesClassifier(9, max_depth=6, random_state=0),
    "tree": DecisionTreeClassifier(max_depth=4, class_weight={0: 1, 1: 2}, random_state=0),
    "logistic": LogisticRegression(),
    "pipeline": Pipeline(
        [
            ("a", MinMaxScaler(clip=True)),
            ("nothing", None),
            ("b", RobustScaler()),
            ("c", MaxAbsScaler()),
            ("d", LogisticRegression()),
        ]
    ),
    "pandas inside": make_pipeline(
        StandardScaler().set_output(transform="pandas"), LogisticRegression()
    ),
    "search": GridSearchCV(
        make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)),
        {"randomforestclassifier__max_depth": [2, 3]},
        cv=2,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_library_built_from_nodes_answers_as_the_model_that_was_saved(name: str) -> None:
    model = sklearn.clone(MODELS[name]).fit(SHUFFLED, LABELS)
    root = node_of(model)
    result = compiled(root)
    found = parity.reference(root, result)
    assert found.predict is not None, found.reason
    assert found.library == f"scikit-learn {sklearn.__version__}"
    frame = pd.DataFrame(UNSEEN, columns=list(COLUMNS))[list("FADBCE")]
    expected = model.predict_proba(frame)[:, 1]
    # Threads add the trees of a forest in the order in which they end.
    assert np.abs(found.predict(UNSEEN) - expected).max() <= (1e-15 if name == "forest" else 0.0)
    assert np.abs(found.predict(UNSEEN) - answers(result, UNSEEN)).max() <= 1e-12


def test_the_reference_is_of_the_positive_class_where_that_is_the_first() -> None:
    labels = np.where(LABELS == 1, "NO", "1")
    model = DecisionTreeClassifier(max_depth=4).fit(ROWS, labels)
    root = node_of(model)
    found = parity.reference(root, compiled(root))
    assert found.predict is not None
    assert np.array_equal(found.predict(UNSEEN), model.predict_proba(UNSEEN)[:, 0])


def test_another_version_of_the_library_is_not_asked_and_the_reason_is_told() -> None:
    root = node_of(LogisticRegression().fit(ROWS, LABELS))
    root.state["_sklearn_version"] = "1.2.2"
    found = parity.reference(root, compiled(root))
    assert found.predict is None and found.library == ""
    assert "1.2.2" in found.reason and sklearn.__version__ in found.reason
    assert not found.failed
    with pytest.raises(Refusal):
        parity.materialise(root)


def test_a_part_of_another_version_is_not_built() -> None:
    root = node_of(make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, LABELS))
    root.state["steps"][0][1].state["_sklearn_version"] = "1.2.2"
    found = parity.reference(root, compiled(root))
    assert found.predict is None and found.reason and found.reason_en


def test_only_listed_classes_are_ever_built() -> None:
    version = {"_sklearn_version": sklearn.__version__}
    for name in (
        Global("os", "system"),
        Global("sklearn.linear_model._logistic", "LogisticRegression.fit"),
        Global("sklearn.svm._classes", "SVC"),
    ):
        with pytest.raises(Refusal):
            parity.materialise(Node(name, (), version))
    with pytest.raises(Refusal):
        parity.materialise({"steps": []})


def test_a_forest_that_holds_itself_as_a_tree_is_not_built() -> None:
    """Only its tree_ is compiled; to build it would go round without end."""
    root = node_of(RandomForestClassifier(3, max_depth=3, random_state=0).fit(ROWS, LABELS))
    root.state["tree_"] = root.state["estimators_"][0].state["tree_"]
    root.state["estimators_"][1] = root
    found = parity.reference(root, compiled(root))
    assert found.predict is None and "no admite" in found.reason


def test_what_an_estimator_remembers_beside_numbers_is_not_built() -> None:
    root = node_of(LogisticRegression().fit(ROWS, LABELS))
    root.state["n_iter_"] = Node(Global("os", "system"), ("touch mark",))
    root.state["class_weight"] = {"a": Node(Global("os", "system"), ("touch mark",))}
    model = parity.materialise(root)
    assert model.n_iter_ is None and model.class_weight == {"a": None}


def test_a_library_that_fails_on_an_odd_attribute_is_a_reason_not_a_crash() -> None:
    root = node_of(RandomForestClassifier(3, max_depth=3, random_state=0).fit(ROWS, LABELS))
    for odd in ("text", 1, -1, None, 10**5000):
        root.state["n_classes_"] = odd
        found = parity.reference(root, compiled(root))
        assert found.predict is None
        assert "Error" in found.reason and found.reason_en and found.failed


@pytest.mark.parametrize("odd, outcome", [("n_classes_", "aviso"), ("version", "omitida")])
def test_a_library_that_should_answer_and_does_not_is_a_warning(odd: str, outcome: str) -> None:
    root = node_of(RandomForestClassifier(3, max_depth=3, random_state=0).fit(ROWS, LABELS))
    if odd == "version":
        root.state["_sklearn_version"] = "1.2.2"
    else:
        root.state[odd] = "text"
    case = reading.Case(
        b"",
        contracts.load("cobranza"),
        1 << 20,
        Decision(0.5, None, None),
        root=root,
        compiled=compiled(root),
    )
    remark = reading.same_as_original(case)
    assert remark.outcome == outcome
    assert case.parity["reason"] in remark.sentence


def test_a_library_that_fails_on_some_rows_has_not_reached_parity() -> None:
    root = node_of(RandomForestClassifier(3, max_depth=3, random_state=0).fit(ROWS, LABELS))
    found = parity.reference(root, compiled(root))
    assert found.predict is not None
    with pytest.raises(Refusal) as refusal:
        found.predict(np.full((1, 6), np.inf))
    assert refusal.value.code == "paridad_no_alcanzada"
    assert "ValueError" in refusal.value.detail


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomForestClassifier(2, max_depth=2, random_state=0),
        lambda: LogisticRegression(),
    ],
)
def test_no_odd_attribute_makes_the_comparison_crash(make: Any) -> None:
    root = node_of(make().fit(ROWS, LABELS))
    owners = [root, *root.state.get("estimators_", [])[:1]]
    odds = (None, "text", -1, 10**400, 0.5, [], ["a"], (1, 2), {}, b"x", np.zeros((2, 3)), np.nan)
    asked = 0
    for owner in owners:
        for name, good in list(owner.state.items()):
            for odd in odds:
                owner.state[name] = odd
                try:
                    result = compiled(root)
                except Refusal:
                    continue
                found = parity.reference(root, result)
                if found.predict is not None:
                    asked += 1
                    assert found.predict(UNSEEN[:5]).shape == (5,)
                else:
                    assert found.reason
            owner.state[name] = good
    assert asked > 50


def test_an_impossible_tree_is_never_given_to_the_library() -> None:
    root = node_of(DecisionTreeClassifier(max_depth=3).fit(ROWS, LABELS))
    nodes = root.state["tree_"].state["nodes"].copy()
    nodes["left_child"][0] = 0
    root.state["tree_"].state["nodes"] = nodes
    with pytest.raises(Refusal) as refusal:
        parity.materialise(root)
    assert refusal.value.code == "arbol_imposible"
