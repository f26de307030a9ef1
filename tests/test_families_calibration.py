"""Calibrated classifiers answer as scikit-learn does, also on and beside every threshold."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from compiled_models import answers, beside, compiled, node_of
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import (
    LogisticRegression,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from wrapped_models import (
    FRAME,
    LABELS,
    ROWS,
    TEXTS,
    UNSEEN,
    agrees,
    endures_odd_values,
    made,
    refused,
)
from xgboost import XGBClassifier

from propensia.admission import graph
from propensia.admission.families import calibration
from propensia.admission.families.parts import Workshop, plain
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal


def forest(trees: int = 8) -> RandomForestClassifier:
    return RandomForestClassifier(trees, max_depth=5, random_state=0)


def scaled(model: Any) -> Any:
    return make_pipeline(StandardScaler(), model)


BASES: dict[str, Callable[[], Any]] = {
    "forest": forest,
    "logistic": lambda: scaled(LogisticRegression()),
    "support vectors": lambda: scaled(LinearSVC(random_state=0)),
    "ridge": lambda: scaled(RidgeClassifier()),
    "ridge by cross-validation": lambda: scaled(RidgeClassifierCV()),
    "perceptron": lambda: scaled(Perceptron(random_state=0)),
    "descent": lambda: scaled(SGDClassifier(random_state=0)),
    "Bayes": lambda: scaled(GaussianNB()),
    "network": lambda: scaled(MLPClassifier(4, solver="lbfgs", tol=0.1, random_state=0)),
    "search": lambda: GridSearchCV(forest(3), {"max_depth": [2, 3]}, cv=2),
}


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
@pytest.mark.parametrize("name", BASES)
def test_the_calibrated_probability_is_that_of_the_library(name: str, method: str) -> None:
    model = CalibratedClassifierCV(BASES[name](), method=method, cv=2).fit(FRAME, LABELS)
    # Temperature takes the logarithm of what a probability near one leaves, plus 1e-12: that
    # enlarges the last place ten thousand times.
    result = agrees(model, close=1e-7 if (name, method) == ("Bayes", "temperature") else 1e-12)
    assert result.family.startswith("CalibratedClassifierCV(")


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
def test_one_calibrator_for_all_folds_and_one_on_a_frozen_model_are_read_too(method: str) -> None:
    agrees(CalibratedClassifierCV(forest(), method=method, ensemble=False).fit(FRAME, LABELS))
    frozen = FrozenEstimator(forest().fit(FRAME, LABELS))
    agrees(CalibratedClassifierCV(frozen, method=method).fit(FRAME, LABELS))


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
def test_the_classes_may_be_texts_in_either_order(method: str) -> None:
    model = CalibratedClassifierCV(scaled(LogisticRegression()), method=method, cv=2)
    assert agrees(model.fit(FRAME, TEXTS), close=1e-12).positive == 1
    other = np.where(LABELS == 1, "1", "NO")
    assert agrees(model.fit(FRAME, other), close=1e-12).positive == 0


def test_xgboost_inside_numbers_the_classes_that_are_yes_and_no() -> None:
    booster = XGBClassifier(n_estimators=5, max_depth=3, n_jobs=1)
    model = CalibratedClassifierCV(booster, cv=2).fit(ROWS, LABELS.astype(bool))
    result = compiled(node_of(model))
    assert result.positive == 1
    expected = model.predict_proba(UNSEEN)[:, 1]
    assert np.abs(answers(result, UNSEEN) - expected).max() <= 1e-6


def test_members_that_name_the_classes_the_other_way_round_are_refused() -> None:
    model = CalibratedClassifierCV(forest(3), cv=2).fit(ROWS, LABELS.astype(bool))
    root = node_of(model)
    for member in root.state["calibrated_classifiers_"]:
        member.state["estimator"].state["classes_"] = np.array([1, 0])
    refused(root, "pesos_imposibles")


def test_a_splitter_with_a_random_generator_is_no_obstacle() -> None:
    cv = ShuffleSplit(3, random_state=np.random.RandomState(0))
    agrees(CalibratedClassifierCV(forest(), method="isotonic", cv=cv).fit(ROWS, LABELS))


def test_what_was_trained_on_float32_is_interpolated_in_float32() -> None:
    """Then the thresholds are float32, and so are the responses that they are compared with."""
    base = LogisticRegression(solver="newton-cholesky")
    rows = np.log1p(np.abs(ROWS)).astype(np.float32)
    model = CalibratedClassifierCV(base, method="isotonic", cv=2).fit(rows, LABELS)
    calibrator = model.calibrated_classifiers_[0].calibrators[0]
    assert calibrator.X_thresholds_.dtype == np.float32
    unseen = np.log1p(np.abs(made(10_000, 5)))
    # One last place of a float32 response, enlarged by the slope.
    steepest = (np.diff(calibrator.y_thresholds_) / np.diff(calibrator.X_thresholds_)).max()
    expected = model.predict_proba(unseen)[:, 1]
    difference = np.abs(answers(compiled(node_of(model)), unseen) - expected)
    assert difference.max() <= 1e-6 * max(1.0, steepest)
    assert np.median(difference) == 0


# The interpolation alone


def through(calibrator: IsotonicRegression, values: np.ndarray) -> np.ndarray:
    """What a graph answers that holds nothing but one calibrator."""
    shop = Workshop(plain(("A",)), {}, {})
    chance = calibration.Chance(shop.rows.tensor, None, "", shop.rows.tensor)
    tensor = calibration._isotonic([node_of(calibrator)], [chance], shop)
    model = shop.graph.to_bytes(tensor)
    graph.check(model, 1)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (found,) = session.run(["p"], {"x": values.reshape(-1, 1)})
    return np.asarray(found[:, 0])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8, 9, 1_000, 20_000])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_on_and_beside_every_threshold_it_is_equal_to_the_last_bit(size: int, kind: Any) -> None:
    random = np.random.default_rng(size)
    x = np.sort(random.normal(size=size)).astype(kind)
    # Steps and slopes, as pooling leaves them, from 0 to 1.
    y = np.sort(random.random(size).round(2)).astype(kind)
    calibrator = IsotonicRegression(out_of_bounds="clip")
    calibrator.fit(x, y)
    points = calibrator.X_thresholds_.astype(np.float64)
    assert len(points) >= min(size, 50)
    values = np.concatenate(
        [beside(points), random.normal(size=10_000), [-1e300, 1e300, -1e9, 1e9, 0.0, -0.0]]
    )
    if kind == np.float32:
        values = values[np.abs(values) < 1e30]
    expected = np.minimum(calibrator.predict(values), 1).astype(np.float64)
    assert np.array_equal(through(calibrator, values), expected)


def test_thresholds_one_unit_apart_are_still_told_apart() -> None:
    x = np.cumsum(np.full(50, 2e-15)) + 0.5
    calibrator = IsotonicRegression(out_of_bounds="clip").fit(x, np.linspace(0, 1, 50))
    assert len(calibrator.X_thresholds_) > 10
    values = np.concatenate([beside(x), np.linspace(0.4, 0.6, 100)])
    assert np.array_equal(through(calibrator, values), calibrator.predict(values))


def test_a_row_takes_as_long_with_thousands_of_thresholds_as_with_ten() -> None:
    """No row is compared with every threshold: ten thousand rows of 5,000 take no 400 MB."""
    model = CalibratedClassifierCV(scaled(LogisticRegression()), method="isotonic", cv=2)
    times = []
    for size in (10, 5_000):
        root = node_of(model.fit(ROWS, LABELS))
        for member in root.state["calibrated_classifiers_"]:
            state = member.state["calibrators"][0].state
            state["X_thresholds_"] = np.linspace(-5, 5, size)
            state["y_thresholds_"] = np.linspace(0, 1, size)
        result = compiled(root)
        rows = made(10_000, 1)
        assert len(result.onnx) < 400 * size + 20_000
        begin = time.perf_counter()
        answers(result, rows)
        times.append(time.perf_counter() - begin)
    assert times[1] < 20 * times[0] + 1


# Hostile files


def calibrated_root(method: str = "isotonic") -> Any:
    return node_of(CalibratedClassifierCV(forest(2), method=method, cv=2).fit(FRAME, LABELS))


def calibrator_of(root: Any) -> Any:
    return root.state["calibrated_classifiers_"][1].state["calibrators"][0].state


def unsorted(state: Any) -> None:
    state["X_thresholds_"] = state["X_thresholds_"][::-1].copy()


def repeated(state: Any) -> None:
    state["X_thresholds_"] = np.repeat(state["X_thresholds_"][:1], len(state["X_thresholds_"]))


def endless(state: Any) -> None:
    state["X_thresholds_"] = np.array([0.0, np.inf])
    state["y_thresholds_"] = np.array([0.0, 1.0])


def steep(state: Any) -> None:
    state["X_thresholds_"] = np.array([0.0, 5e-324])
    state["y_thresholds_"] = np.array([0.0, 1.0])


HOSTILE: dict[str, Callable[[Any], None]] = {
    "thresholds not sorted": unsorted,
    "thresholds repeated": repeated,
    "threshold not finite": endless,
    "slope not finite": steep,
    "other lengths": lambda state: state.update(y_thresholds_=state["y_thresholds_"][:-1]),
    "two dimensions": lambda state: state.update(X_thresholds_=np.zeros((2, 2))),
    "no thresholds": lambda state: state.update(
        X_thresholds_=np.zeros(0), y_thresholds_=np.zeros(0)
    ),
    "half precision": lambda state: state.update(
        X_thresholds_=np.array([0, 1], "f2"), y_thresholds_=np.array([0, 1], "f2")
    ),
    "text": lambda state: state.update(
        X_thresholds_=np.array(["a", "b"]), y_thresholds_=np.array(["a", "b"])
    ),
    "above one": lambda state: state.update(y_thresholds_=state["y_thresholds_"] + 0.5),
    "below zero": lambda state: state.update(y_thresholds_=state["y_thresholds_"] - 0.5),
    "no number": lambda state: state.update(y_thresholds_=state["y_thresholds_"] * np.nan),
    "outside is no number": lambda state: state.update(out_of_bounds="nan"),
    "one of float32": lambda state: state.update(
        X_thresholds_=np.array([0, 1], "f4"), y_thresholds_=np.array([0, 1], "f4")
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_impossible_thresholds_are_refused(name: str) -> None:
    root = calibrated_root()
    HOSTILE[name](calibrator_of(root))
    refused(root, "pesos_imposibles")


def test_too_many_thresholds_are_refused_before_anything_is_built_of_them() -> None:
    root = calibrated_root()
    calibrator_of(root).update(
        X_thresholds_=np.arange(300_000.0), y_thresholds_=np.linspace(0, 1, 300_000)
    )
    assert "300" in refused(root, "demasiado_grande").detail


def test_no_list_of_members_or_calibrators_that_lies_is_believed() -> None:
    for attribute, odd in (("calibrated_classifiers_", []), ("calibrated_classifiers_", [1])):
        root = calibrated_root()
        root.state[attribute] = odd
        refused(root, "no_entrenado")
    root = calibrated_root()
    root.state["calibrated_classifiers_"][0].state["calibrators"] *= 2
    refused(root, "pesos_imposibles")
    root = calibrated_root()
    root.state["calibrated_classifiers_"][0].state["method"] = "sigmoid"
    refused(root, "pesos_imposibles")
    root = calibrated_root()
    root.state["calibrated_classifiers_"][0].state["classes"] = np.array([1, 0])
    refused(root, "pesos_imposibles")
    root = calibrated_root()
    other = calibrated_root("sigmoid").state["calibrated_classifiers_"][0]
    root.state["calibrated_classifiers_"].append(other)
    refused(root, "pesos_imposibles")


def test_a_calibrated_classifier_inside_itself_is_refused_at_once() -> None:
    root = calibrated_root()
    for member in root.state["calibrated_classifiers_"]:
        member.state["estimator"] = root
    begin = time.perf_counter()
    refused(root, "familia_desconocida")
    assert time.perf_counter() - begin < 10


def test_a_calibrator_of_another_class_is_refused() -> None:
    root = calibrated_root("sigmoid")
    member = root.state["calibrated_classifiers_"][0]
    state = member.state["calibrators"][0].state
    member.state["calibrators"] = [Node(Global("sklearn.isotonic", "Isotonic"), state=state)]
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code == "familia_desconocida"


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
def test_no_odd_value_in_a_calibrated_classifier_is_a_crash(method: str) -> None:
    base = LogisticRegression(max_iter=9_000)
    endures_odd_values(lambda: CalibratedClassifierCV(base, method=method, ensemble=False), 150)
