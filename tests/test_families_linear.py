"""Linear classifiers answer as scikit-learn does; those that only decide say what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compiled_models import answers, compiled, node_of
from sklearn.calibration import CalibratedClassifierCV
from sklearn.covariance import OAS
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import (
    LogisticRegression,
    PassiveAggressiveClassifier,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from wrapped_models import (
    FRAME,
    LABELS,
    ROWS,
    TEXTS,
    agrees,
    endures_odd_values,
    made,
    refused,
    second_class,
)

from propensia.admission import parity
from propensia.admission.compiler import compile_on
from propensia.admission.families.parts import Column

SCALED = StandardScaler().fit(ROWS)


def scaled(model: Any) -> Any:
    return make_pipeline(StandardScaler(), model)


ANSWERING: dict[str, Callable[[], Any]] = {
    "descent, logistic": lambda: SGDClassifier(loss="log_loss", random_state=0),
    "descent, modified Huber": lambda: SGDClassifier(loss="modified_huber", random_state=0),
    "descent, averaged": lambda: SGDClassifier(loss="log_loss", average=True, random_state=0),
    "descent, no intercept": lambda: SGDClassifier(
        loss="modified_huber", fit_intercept=False, alpha=0.1, random_state=0
    ),
    "discriminant": LinearDiscriminantAnalysis,
    "discriminant, shrunk": lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    "discriminant, with an estimator": lambda: LinearDiscriminantAnalysis(
        solver="lsqr", covariance_estimator=OAS()
    ),
    "discriminant, by eigenvalues": lambda: LinearDiscriminantAnalysis(
        solver="eigen", priors=[0.2, 0.8]
    ),
}
DECIDING: dict[str, Callable[[], Any]] = {
    "descent, hinge": lambda: SGDClassifier(random_state=0),
    "support vectors": lambda: LinearSVC(random_state=0),
    "support vectors, no intercept": lambda: LinearSVC(fit_intercept=False, random_state=0),
    "ridge": RidgeClassifier,
    "ridge, no intercept": lambda: RidgeClassifier(fit_intercept=False),
    "ridge by cross-validation": RidgeClassifierCV,
    "perceptron": lambda: Perceptron(random_state=0),
}


@pytest.mark.parametrize("name", ANSWERING)
def test_the_probability_is_that_of_the_library(name: str) -> None:
    result = agrees(scaled(ANSWERING[name]()).fit(FRAME, LABELS))
    assert result.facts["parameters"] == 7
    texts = agrees(scaled(ANSWERING[name]()).fit(FRAME, TEXTS))
    assert texts.positive == 1


@pytest.mark.parametrize("name", DECIDING)
def test_a_classifier_that_only_decides_is_refused_alone_and_served_calibrated(name: str) -> None:
    model = scaled(DECIDING[name]()).fit(FRAME, LABELS)
    refusal = refused(node_of(model), "no_es_clasificador_binario")
    assert "CalibratedClassifierCV" in refusal.detail
    calibrated = CalibratedClassifierCV(scaled(DECIDING[name]()), cv=2).fit(FRAME, LABELS)
    agrees(calibrated)


@pytest.mark.filterwarnings("ignore:Class PassiveAggressiveClassifier:FutureWarning")
@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_a_passive_aggressive_classifier_decides_too(loss: str) -> None:
    base = scaled(PassiveAggressiveClassifier(loss=loss, random_state=0))
    agrees(CalibratedClassifierCV(base, cv=2).fit(FRAME, LABELS))


def test_the_modified_huber_probability_reaches_zero_and_one() -> None:
    """Where the decision leaves [-1, 1] there is no doubt left: exactly 0 or 1."""
    model = scaled(SGDClassifier(loss="modified_huber", alpha=1e-3, random_state=0))
    model.fit(FRAME, LABELS)
    found = answers(compiled(node_of(model)), made(2_000, 6))
    assert {0.0, 1.0} <= set(found) and ((found > 0) & (found < 1)).any()


@pytest.mark.parametrize("name", ["descent, logistic", "discriminant"])
def test_weights_of_float32_are_used_in_double(name: str) -> None:
    """A row is double when it is asked, whatever it was in training."""
    rows = SCALED.transform(ROWS).astype(np.float32)
    model = ANSWERING[name]().fit(rows, LABELS)
    agrees(model, rows=SCALED.transform(made(10_000, 7)))
    assert name == "discriminant" or model.coef_.dtype == np.float32


@pytest.mark.parametrize("penalty", [0.005, 1.0])
def test_weights_made_sparse_are_the_same_weights(penalty: float) -> None:
    model = LogisticRegression(C=penalty, l1_ratio=1.0, solver="liblinear")
    rows = SCALED.transform(ROWS)
    dense = second_class(model.fit(rows, LABELS), rows)
    model.sparsify()
    assert model.coef_.nnz == 6 if penalty == 1.0 else model.coef_.nnz < 6
    root = node_of(model)
    result = compiled(root)
    assert np.abs(answers(result, rows) - dense).max() <= 1e-12
    found = parity.reference(root, result)
    assert found.predict is not None
    assert np.abs(found.predict(rows) - dense).max() <= 1e-15


def sparse_root() -> Any:
    model = LogisticRegression(C=0.05, l1_ratio=1.0, solver="liblinear")
    return node_of(model.fit(SCALED.transform(ROWS), LABELS).sparsify())


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("indices", np.array([0, 6], np.int32)),
        ("indices", np.array([-1, 0], np.int32)),
        ("indices", np.array([1, 1], np.int32)),
        ("indices", np.array([1.0, 2.0])),
        ("indptr", np.array([0, 3], np.int32)),
        ("indptr", np.array([0, 1, 2], np.int32)),
        ("data", np.zeros((2, 2))),
        ("data", np.array([1.0, np.nan])),
        ("_shape", (1, 1 << 62)),
        ("_shape", (1, 10**5_000)),
        ("_shape", (6, 1)),
        ("_shape", (np.zeros(3), np.zeros(3))),
        ("_shape", [1, 6]),
    ],
)
def test_sparse_weights_that_lie_are_refused(attribute: str, value: object) -> None:
    root = sparse_root()
    state = root.state["coef_"].state
    state.update(
        data=np.array([1.0, 2.0]),
        indices=np.array([0, 5], np.int32),
        indptr=np.array([0, 2], np.int32),
    )
    compiled(root)
    state[attribute] = value
    refused(root, "pesos_imposibles")


@pytest.mark.parametrize("name", ["descent, logistic", "discriminant"])
def test_a_column_that_may_be_missing_is_refused_as_the_library_refuses_it(name: str) -> None:
    root = node_of(ANSWERING[name]().fit(SCALED.transform(ROWS), LABELS))
    inputs = tuple(Column(letter, missing=letter == "C") for letter in "ABCDEF")
    compile_on(root, tuple(Column(letter) for letter in "ABCDEF"), {"1"}, {"0"})
    with pytest.raises(Exception, match="valores_distintos"):
        compile_on(root, inputs, {"1"}, {"0"})


@pytest.mark.parametrize("wrong", [np.full((1, 6), np.inf), np.ones((2, 6)), np.ones((1, 7))])
@pytest.mark.parametrize("name", [*ANSWERING, *DECIDING])
def test_impossible_weights_are_refused(name: str, wrong: np.ndarray) -> None:
    root = node_of({**ANSWERING, **DECIDING}[name]().fit(SCALED.transform(ROWS), LABELS))
    root.state["coef_"] = wrong
    refused(root, "pesos_imposibles", "columnas_distintas")


@pytest.mark.parametrize(
    "make", [LinearDiscriminantAnalysis, lambda: SGDClassifier(loss="modified_huber")]
)
def test_no_odd_value_is_a_crash(make: Callable[[], Any]) -> None:
    endures_odd_values(lambda: scaled(make()), 60)
