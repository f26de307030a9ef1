"""Voting and stacking answer as scikit-learn does, and no member that lies is believed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from compiled_models import COLUMNS, NEGATIVE, POSITIVE, answers, compiled, node_of
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier, StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import FixedThresholdClassifier, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from wrapped_models import (
    FRAME,
    LABELS,
    ROWS,
    TEXTS,
    UNSEEN,
    agrees,
    endures_odd_values,
    refused,
)

from propensia.admission.compiler import compile_on
from propensia.admission.families.parts import Column
from propensia.admission.refusal import Refusal


def scaled(model: Any) -> Any:
    return make_pipeline(StandardScaler(), model)


def forest() -> Any:
    return RandomForestClassifier(7, max_depth=4, random_state=0)


TWO = [("forest", forest()), ("linear", scaled(LogisticRegression()))]
RIDGE = ("ridge", scaled(RidgeClassifier()))
TREE = ("tree", DecisionTreeClassifier(max_depth=3, random_state=0))
VOTING: dict[str, Callable[[], Any]] = {
    "equal": lambda: VotingClassifier(TWO, voting="soft"),
    "weighted": lambda: VotingClassifier(
        [*TWO, TREE], voting="soft", weights=np.array([0.5, 2, 1]), flatten_transform=False
    ),
    "with one dropped": lambda: VotingClassifier(
        [TWO[0], ("out", "drop"), TREE], voting="soft", weights=[1, 99, 0]
    ),
    "of votings": lambda: VotingClassifier(
        [("inner", VotingClassifier(TWO, voting="soft", weights=(1, 3))), TREE], voting="soft"
    ),
    "of calibrated": lambda: VotingClassifier(
        [("a", CalibratedClassifierCV(RIDGE[1], cv=2)), TREE], voting="soft"
    ),
}
STACKING: dict[str, Callable[[], Any]] = {
    "usual": lambda: StackingClassifier(TWO, cv=2),
    "with the rows": lambda: StackingClassifier(
        TWO, final_estimator=forest(), passthrough=True, cv=2
    ),
    "with one dropped": lambda: StackingClassifier(
        [TWO[0], ("out", "drop"), RIDGE], final_estimator=scaled(LogisticRegression()), cv=2
    ),
    "of decisions": lambda: StackingClassifier(
        [TWO[1], RIDGE], stack_method="decision_function", passthrough=True, cv=2,
        final_estimator=scaled(LogisticRegression()),
    ),
    "of classes": lambda: StackingClassifier(
        [*TWO, RIDGE], stack_method="predict", final_estimator=GaussianNB(), cv=2
    ),
    "of classes from a threshold on": lambda: StackingClassifier(
        [("fixed", FixedThresholdClassifier(forest(), threshold=0.3, pos_label=1)), TREE],
        stack_method="predict",
        cv=2,
    ),
    "with a final pipeline and folds": lambda: StackingClassifier(
        [*TWO, ("vectors", scaled(LinearSVC(random_state=0)))],
        final_estimator=CalibratedClassifierCV(RIDGE[1], method="isotonic", cv=2),
        cv=StratifiedKFold(2, shuffle=True, random_state=np.random.RandomState(0)),
    ),
    "of a stack and a voting": lambda: StackingClassifier(
        [
            ("stack", StackingClassifier(TWO, final_estimator=LogisticRegression(), cv=2)),
            ("vote", VotingClassifier(TWO, voting="soft")),
        ],
        cv=2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VOTING)
def test_soft_voting_answers_as_the_library(name: str) -> None:
    assert agrees(VOTING[name]().fit(FRAME, LABELS)).family.startswith("VotingClassifier(")


@pytest.mark.parametrize("name", STACKING)
def test_stacking_answers_as_the_library(name: str) -> None:
    assert agrees(STACKING[name]().fit(FRAME, LABELS)).family.startswith("StackingClassifier(")


@pytest.mark.parametrize("labels", [TEXTS, np.where(LABELS == 1, "1", "NO"), LABELS == 1])
def test_the_classes_are_those_of_the_outer_model(labels: np.ndarray) -> None:
    """Members are trained on 0 and 1, whatever the labels are."""
    expected = 0 if "1" in labels else 1
    assert agrees(VOTING["weighted"]().fit(FRAME, labels)).positive == expected
    assert agrees(STACKING["with the rows"]().fit(FRAME, labels)).positive == expected


def test_members_that_were_fitted_before_answer_in_their_own_labels() -> None:
    fitted = forest().fit(FRAME, TEXTS)
    model = StackingClassifier([("forest", fitted)], cv="prefit", passthrough=True)
    agrees(model.set_params(final_estimator=scaled(LogisticRegression())).fit(FRAME, TEXTS))
    said = StackingClassifier(
        [("forest", forest().fit(FRAME, LABELS))], cv="prefit", stack_method="predict"
    ).fit(FRAME, LABELS)
    agrees(said)
    # A label that is no 0 or 1 goes into the sum of the final model as the number it is.
    shifted = forest().fit(FRAME, 2 * LABELS - 1)
    other = StackingClassifier([("a", shifted)], cv="prefit", stack_method="predict")
    refused(node_of(other.fit(FRAME, LABELS)), "pesos_imposibles")


def test_hard_voting_gives_no_probability_and_says_what_to_do() -> None:
    refusal = refused(
        node_of(VotingClassifier(TWO).fit(FRAME, LABELS)), "no_es_clasificador_binario"
    )
    assert "voting='soft'" in refusal.detail and "voting='soft'" in refusal.detail_en


def test_a_text_column_passes_through_to_a_final_model_that_encodes_it() -> None:
    """Behind the one column of the only member, the last of six columns has place 6."""
    words = np.array(["a", "b"])

    def encoded(column: object, model: Any) -> Any:
        encoder = make_column_transformer((OneHotEncoder(), [column]), remainder="passthrough")
        return make_pipeline(encoder, model)

    model = StackingClassifier(
        [("member", encoded("F", DecisionTreeClassifier(max_depth=3, random_state=0)))],
        final_estimator=encoded(6, DecisionTreeClassifier(max_depth=4, random_state=0)),
        passthrough=True,
        cv=2,
    ).fit(FRAME.assign(F=words[ROWS[:, 5].astype(int)]), LABELS)
    inputs = (*(Column(letter) for letter in "ABCDE"), Column("F", texts=("a", "b")))
    result = compile_on(node_of(model), inputs, POSITIVE, NEGATIVE)
    asked = pd.DataFrame(UNSEEN, columns=list(COLUMNS))
    asked["F"] = words[UNSEEN[:, 5].astype(int)]
    assert np.abs(answers(result, UNSEEN) - model.predict_proba(asked)[:, 1]).max() <= 1e-12
    direct = StackingClassifier([TREE], cv=2, passthrough=True, final_estimator=TREE[1])
    with pytest.raises(Refusal) as refusal:
        compile_on(node_of(direct.fit(ROWS, LABELS)), inputs, POSITIVE, NEGATIVE)
    assert refusal.value.code == "valores_distintos"


# Hostile files


def voting_root() -> Any:
    return node_of(VOTING["weighted"]().fit(FRAME, LABELS))


@pytest.mark.parametrize(
    "weights",
    [
        [np.nan, 1, 1],
        [np.inf, 1, 1],
        [-1, 1, 1],
        [0, 0, 0],
        [1, 1],
        [1, 1, 1, 1],
        [1e308, 1e308, 1e308],
        [10**5_000, 1, 1],
        ["1", "1", "1"],
        np.ones((3, 1)),
        np.array(["1", "1", "1"]),
        {"forest": 1},
        5,
    ],
)
def test_weights_that_are_none_are_refused(weights: object) -> None:
    root = voting_root()
    root.state["weights"] = weights
    refused(root, "pesos_imposibles")


def test_a_voting_of_itself_is_refused_at_once_however_often() -> None:
    root = voting_root()
    root.state["estimators_"] = [root] * 3
    begin = time.perf_counter()
    refused(root, "familia_desconocida")
    root.state["estimators_"] = [root.state["estimators_"][0]] * 100_000
    root.state["weights"] = None
    refused(root, "familia_desconocida")
    assert time.perf_counter() - begin < 10


def test_a_member_that_a_file_repeats_without_end_is_written_once() -> None:
    """A forest of any size could else be written thousands of times from one small file."""
    model = VotingClassifier([TWO[0]], voting="soft").fit(FRAME, LABELS)
    root = node_of(model)
    once = compiled(root)
    root.state["estimators_"] = root.state["estimators_"] * 2_000
    often = compiled(root)
    assert often.facts["nodes"] == once.facts["nodes"]
    assert len(often.onnx) < len(once.onnx) + 2_000 * 200
    assert np.abs(answers(often, UNSEEN) - answers(once, UNSEEN)).max() <= 1e-12


def test_a_voting_ten_thousand_deep_is_refused_at_once() -> None:
    leaf = voting_root()
    for _ in range(10_000):
        state = {**leaf.state, "estimators_": [leaf], "weights": None}
        leaf = type(leaf)(leaf.made_by, state=state)
    begin = time.perf_counter()
    refused(leaf, "familia_desconocida")
    assert time.perf_counter() - begin < 10


@pytest.mark.parametrize(
    ("attribute", "value", "code"),
    [
        ("estimators_", [], "no_entrenado"),
        ("estimators_", "drop", "no_entrenado"),
        ("estimators_", [1, 2], "no_es_un_modelo"),
        ("stack_method_", ["predict_proba"], "pesos_imposibles"),
        ("stack_method_", ["predict_proba", "fit"], "pesos_imposibles"),
        ("stack_method_", ["predict_proba", np.zeros(2)], "pesos_imposibles"),
        ("stack_method_", ["decision_function"] * 2, "pesos_imposibles"),
        ("passthrough", True, "columnas_distintas"),
        ("final_estimator_", None, "no_entrenado"),
        ("final_estimator_", "text", "no_es_un_modelo"),
    ],
)
def test_a_stack_that_does_not_fit_is_refused(attribute: str, value: object, code: str) -> None:
    root = node_of(STACKING["usual"]().fit(FRAME, LABELS))
    root.state[attribute] = value
    refused(root, code)


def test_a_stack_that_ends_in_itself_is_refused() -> None:
    root = node_of(STACKING["usual"]().fit(FRAME, LABELS))
    root.state["final_estimator_"] = root
    refused(root, "columnas_distintas", "familia_desconocida")


@pytest.mark.parametrize("kind", [VotingClassifier, StackingClassifier])
def test_no_odd_value_is_a_crash(kind: Any) -> None:
    settings = {"voting": "soft", "weights": [1, 2]} if kind is VotingClassifier else {"cv": 2}
    endures_odd_values(lambda: kind([TREE, ("b", GaussianNB())], **settings), 100)
