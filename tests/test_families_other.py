"""Naive Bayes and the multilayer perceptron answer as scikit-learn does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compiled_models import answers, compiled, node_of
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from wrapped_models import (
    FRAME,
    LABELS,
    ROWS,
    TEXTS,
    agrees,
    endures_odd_values,
    made,
    refused,
)

NAIVE: dict[str, Callable[[], Any]] = {
    "normal": GaussianNB,
    "normal, with priors": lambda: GaussianNB(priors=[0.9, 0.1], var_smoothing=1e-3),
    "normal, scaled": lambda: make_pipeline(StandardScaler(), GaussianNB()),
    "yes or no": lambda: BernoulliNB(binarize=3.0),
    "yes or no, ready": lambda: make_pipeline(
        MinMaxScaler(clip=True), BernoulliNB(binarize=None, alpha=0.1)
    ),
    "counts": lambda: make_pipeline(MinMaxScaler(clip=True), MultinomialNB(fit_prior=False)),
    "counts of the rest": lambda: make_pipeline(MinMaxScaler(clip=True), ComplementNB()),
    "counts of the rest, normalised": lambda: make_pipeline(
        MinMaxScaler(clip=True), ComplementNB(norm=True)
    ),
}


@pytest.mark.parametrize("name", NAIVE)
def test_naive_bayes_answers_as_the_library(name: str) -> None:
    # Sums of squares in the millions leave 1e-16 of themselves in the exponent.
    agrees(NAIVE[name]().fit(FRAME, LABELS), close=1e-9 if name == "normal" else 1e-11)
    agrees(NAIVE[name]().fit(FRAME, TEXTS), close=1e-9 if name == "normal" else 1e-11)


def test_the_variance_has_an_older_name_in_older_files() -> None:
    """Source: ``sigma_`` became ``var_`` in scikit-learn 1.0, and was gone in 1.2."""
    model = GaussianNB().fit(ROWS, LABELS)
    root = node_of(model)
    root.state["sigma_"] = root.state.pop("var_")
    rows = made(1_000, 8)
    expected = model.predict_proba(rows)[:, 1]
    assert np.abs(answers(compiled(root), rows) - expected).max() <= 1e-9


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("var_", np.zeros((2, 6))),
        ("var_", np.full((2, 6), -1.0)),
        ("var_", np.ones((2, 5))),
        ("var_", np.full((2, 6), 1e308)),
        ("theta_", np.full((2, 6), np.nan)),
        ("class_prior_", np.array([0.0, 1.0])),
        ("class_prior_", np.ones(3)),
    ],
)
def test_impossible_distributions_are_refused(attribute: str, value: object) -> None:
    root = node_of(GaussianNB().fit(ROWS, LABELS))
    root.state[attribute] = value
    refused(root, "pesos_imposibles")


@pytest.mark.parametrize(
    "value", [np.zeros((2, 6)), np.full((2, 6), 0.3), np.full((2, 6), -1e-20)]
)
def test_a_chance_of_yes_that_is_none_is_refused(value: np.ndarray) -> None:
    root = node_of(BernoulliNB().fit(ROWS, LABELS))
    root.state["feature_log_prob_"] = value
    refused(root, "pesos_imposibles")


# Networks


def network(layers: tuple[int, ...] = (7, 5), **settings: Any) -> Any:
    chosen = {"solver": "lbfgs", "tol": 0.1, "random_state": 0, **settings}
    return make_pipeline(StandardScaler(), MLPClassifier(layers, **chosen))


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
def test_a_network_answers_as_the_library(activation: str) -> None:
    result = agrees(network(activation=activation).fit(FRAME, LABELS))
    assert result.family == "Pipeline(StandardScaler, MLPClassifier 7/5/1)"
    assert result.facts["layers"] == 3 and result.facts["parameters"] == 49 + 40 + 6


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "settings",
    [
        {"solver": "adam", "max_iter": 20},
        {"solver": "sgd", "max_iter": 20, "early_stopping": True, "momentum": 0.5},
        {"solver": "adam", "max_iter": 5, "random_state": np.random.RandomState(3)},
    ],
)
def test_what_an_optimiser_leaves_behind_is_no_obstacle(settings: dict[str, Any]) -> None:
    agrees(network((6,), **settings).fit(FRAME, TEXTS))


def test_a_network_without_hidden_layers_is_a_logistic_regression() -> None:
    assert agrees(network(()).fit(FRAME, LABELS)).facts["layers"] == 1


def test_weights_of_float32_are_used_in_double() -> None:
    scaler = StandardScaler().fit(ROWS)
    model = MLPClassifier((4,), tol=0.1, random_state=0)
    model.fit(scaler.transform(ROWS).astype(np.float32), LABELS)
    assert model.coefs_[0].dtype == np.float32
    agrees(model, rows=scaler.transform(made(10_000, 9)))


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("coefs_", []),
        ("coefs_", [np.zeros((6, 7)), np.zeros((8, 5)), np.zeros((5, 1))]),
        ("coefs_", [np.zeros((6, 7)), np.zeros((7, 5)), np.zeros((5, 2))]),
        ("coefs_", [np.zeros((6, 7)), np.full((7, 5), np.nan), np.zeros((5, 1))]),
        ("coefs_", [np.zeros((6, 1))] * 3),
        ("intercepts_", [np.zeros(7), np.zeros(5)]),
        ("intercepts_", [np.zeros(7), np.zeros(6), np.zeros(1)]),
        ("n_layers_", 5),
        ("n_outputs_", 2),
        ("activation", "softmax"),
        ("out_activation_", "softmax"),
        ("out_activation_", np.array(["logistic"])),
    ],
)
def test_a_network_whose_layers_do_not_fit_is_refused(attribute: str, value: object) -> None:
    root = node_of(network().fit(FRAME, LABELS))
    root.state["steps"][1][1].state[attribute] = value
    refused(root, "pesos_imposibles")


@pytest.mark.parametrize("make", [GaussianNB, lambda: BernoulliNB(), network])
def test_no_odd_value_is_a_crash(make: Callable[[], Any]) -> None:
    endures_odd_values(make, 60)
