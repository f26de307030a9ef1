"""Pipelines, searches and thresholds: what stands around a model changes only what it should."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import imblearn.combine
import imblearn.over_sampling
import imblearn.under_sampling
import numpy as np
import pandas as pd
import pytest
from compiled_models import COLUMNS, answers, compiled, node_of
from imblearn import FunctionSampler
from imblearn.metrics import geometric_mean_score
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import Pipeline as Resampling
from imblearn.pipeline import make_pipeline as resampling
from imblearn.under_sampling import RandomUnderSampler
from scipy import stats
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier, StackingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - makes them importable
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.metrics import fbeta_score, get_scorer, get_scorer_names, make_scorer
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier
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

from propensia.admission.compiler import compile_model
from propensia.admission.families.remembered import SAMPLERS
from propensia.admission.nodes import Global, Node


def scaled(model: Any) -> Any:
    return make_pipeline(StandardScaler(), model)


def forest(trees: int = 5) -> Any:
    return RandomForestClassifier(trees, max_depth=4, random_state=0)


# Searches, and what stands for another estimator

WRAPPED: dict[str, Callable[[], Any]] = {
    "halving": lambda: HalvingGridSearchCV(
        scaled(LogisticRegression()), {"logisticregression__C": [0.1, 1.0]}, cv=2
    ),
    "halving at random": lambda: HalvingRandomSearchCV(
        DecisionTreeClassifier(random_state=0),
        {"max_depth": stats.randint(2, 5)},
        cv=2,
        random_state=np.random.RandomState(0),
    ),
    "search for a resampling": lambda: GridSearchCV(
        resampling(SMOTE(random_state=0), forest()), {"smote__k_neighbors": [3, 5]}, cv=2
    ),
    "search in a search": lambda: RandomizedSearchCV(
        GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [2, 3]}, cv=2),
        {"estimator__min_samples_leaf": [1, 5]},
        n_iter=2,
        cv=2,
        random_state=0,
    ),
    "search over calibrations": lambda: GridSearchCV(
        CalibratedClassifierCV(forest(), cv=2), {"method": ["sigmoid", "isotonic"]}, cv=2
    ),
    "one against the rest": lambda: OneVsRestClassifier(scaled(LogisticRegression())),
    "one against the rest, calibrated": lambda: CalibratedClassifierCV(
        OneVsRestClassifier(LinearSVC(random_state=0, max_iter=100_000)), cv=2
    ),
    "calibration of a pipeline": lambda: CalibratedClassifierCV(
        scaled(LinearSVC(random_state=0)), method="isotonic", cv=2
    ),
    "a scorer of one's own settings": lambda: GridSearchCV(
        forest(3), {"max_depth": [2, 3]}, cv=2, scoring=make_scorer(partial(fbeta_score, beta=2))
    ),
    "a scorer of imbalanced-learn": lambda: GridSearchCV(
        forest(3), {"max_depth": [2, 3]}, cv=2, scoring=make_scorer(geometric_mean_score)
    ),
    "a pipeline in a pipeline": lambda: make_pipeline(
        StandardScaler(), Pipeline([("nothing", "passthrough"), ("model", forest())])
    ),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_what_stands_around_a_model_answers_as_the_library(name: str) -> None:
    agrees(WRAPPED[name]().fit(FRAME, LABELS))


@pytest.mark.parametrize("name", ["halving", "search over calibrations", "one against the rest"])
def test_the_classes_may_be_texts(name: str) -> None:
    assert agrees(WRAPPED[name]().fit(FRAME, TEXTS)).positive == 1


def test_a_frozen_model_is_the_model() -> None:
    frozen = FrozenEstimator(scaled(LogisticRegression()).fit(FRAME, LABELS))
    assert agrees(frozen).family.startswith("FrozenEstimator(Pipeline(")


@pytest.mark.parametrize("scoring", get_scorer_names())
def test_no_scorer_of_the_library_keeps_a_search_from_being_read(scoring: str) -> None:
    model = DecisionTreeClassifier(max_depth=2).fit(ROWS, LABELS)
    search = node_of(GridSearchCV(model, {"max_depth": [2]}, scoring=scoring))
    search.state |= {"best_estimator_": node_of(model), "scorer_": node_of(get_scorer(scoring))}
    compiled(search)


# Resampling


def every_sampler() -> dict[str, Callable[[], Any]]:
    found: dict[str, Callable[[], Any]] = {}
    for module in (imblearn.over_sampling, imblearn.under_sampling, imblearn.combine):
        found |= {name: getattr(module, name) for name in module.__all__}
    found["SMOTENC"] = partial(found["SMOTENC"], categorical_features=[4])
    found["KMeansSMOTE"] = partial(found["KMeansSMOTE"], cluster_balance_threshold=0.01)
    found["SMOTE by another search"] = lambda: SMOTE(
        k_neighbors=NearestNeighbors(n_neighbors=4, algorithm="ball_tree", metric="manhattan")
    )
    found["function"] = FunctionSampler
    return found


@pytest.mark.filterwarnings("ignore:The number of initializations:UserWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", every_sampler())
def test_what_resamples_the_training_rows_does_nothing_later(name: str) -> None:
    step = every_sampler()[name]()
    rows, labels = made(400, 12), made(400, 13)[:, 2] > 7
    rows[labels, 0] += 40
    if name == "SMOTEN":
        rows[:, :2] = np.floor(np.log1p(rows[:, :2]))
    rows[:, 5] += labels  # so that the classes can be told apart
    model = Resampling([("a", step), ("b", DecisionTreeClassifier(max_depth=4, random_state=0))])
    model.fit(rows, labels.astype(int))
    assert (type(step).__module__, type(step).__name__) in SAMPLERS
    result = agrees(model, rows=rows)
    assert result.family == "Pipeline(DecisionTreeClassifier)"


def test_every_sampler_is_listed_and_each_name_is_one() -> None:
    steps = [make() for make in every_sampler().values()]
    assert {(type(step).__module__, type(step).__name__) for step in steps} == SAMPLERS


def test_resampling_between_transformers_changes_nothing_of_them() -> None:
    model = resampling(RandomUnderSampler(random_state=0), StandardScaler(), SMOTE(), forest())
    result = agrees(model.fit(FRAME, LABELS))
    assert result.family == "Pipeline(StandardScaler, RandomForestClassifier)"


def own(rows: Any, labels: Any) -> tuple[Any, Any]:
    return rows, labels


def test_a_sampler_with_a_function_of_ones_own_is_refused_by_the_functions_name() -> None:
    model = resampling(FunctionSampler(func=own), forest()).fit(FRAME, LABELS)
    assert "own" in refused(node_of(model), "contenido_no_permitido", "familia_desconocida").detail


def test_a_sampler_is_no_model_and_no_last_step() -> None:
    sampler = SMOTE().fit(ROWS, LABELS)
    refused(node_of(sampler), "familia_desconocida")
    root = node_of(resampling(SMOTE(), forest()).fit(FRAME, LABELS))
    root.state["steps"] = root.state["steps"][::-1]
    refused(root, "no_es_clasificador_binario")


def test_a_name_that_files_hold_beside_the_model_is_no_model() -> None:
    """Support vectors lie inside a sampler that uses them, and are not read on their own."""
    root = node_of(SVC().fit(ROWS[:50], LABELS[:50]))
    assert "SVC" in refused(root, "familia_desconocida").detail


# Thresholds


def said(model: Any, rows: np.ndarray) -> np.ndarray:
    named = hasattr(model, "feature_names_in_")
    return np.asarray(model.predict(pd.DataFrame(rows, columns=list(COLUMNS)) if named else rows))


def keeps_its_threshold(model: Any, positive: object = 1) -> float:
    """The threshold, once the compiled model says what the model itself says for all rows."""
    result = agrees(model)
    assert result.threshold is not None
    says = answers(result, UNSEEN) >= result.threshold
    assert np.array_equal(says, said(model, UNSEEN) == positive)
    assert 0 < says.mean() < 1
    return result.threshold


@pytest.mark.parametrize("scoring", ["balanced_accuracy", "f1", "matthews_corrcoef", "recall"])
def test_a_tuned_threshold_becomes_the_models_own(scoring: str) -> None:
    model = TunedThresholdClassifierCV(scaled(LogisticRegression()), scoring=scoring, cv=2)
    if scoring != "recall":
        assert keeps_its_threshold(model.fit(FRAME, LABELS)) == model.best_threshold_
    else:  # always yes
        assert compiled(node_of(model.fit(FRAME, LABELS))).threshold == model.best_threshold_


def test_a_threshold_may_stand_around_a_calibration_and_inside_a_search() -> None:
    inner = CalibratedClassifierCV(forest(), method="isotonic", cv=2)
    model = TunedThresholdClassifierCV(inner, cv=2, store_cv_results=True, random_state=0)
    keeps_its_threshold(model.fit(FRAME, LABELS))
    search = GridSearchCV(model, {"estimator__method": ["sigmoid", "isotonic"]}, cv=2)
    keeps_its_threshold(search.fit(FRAME, LABELS))
    keeps_its_threshold(make_pipeline(StandardScaler(), search).fit(FRAME, LABELS))


def test_a_threshold_inside_a_calibration_or_a_stack_is_not_the_models_own() -> None:
    inner = FixedThresholdClassifier(forest(), threshold=0.3)
    assert agrees(CalibratedClassifierCV(inner, cv=2).fit(FRAME, LABELS)).threshold is None
    assert agrees(StackingClassifier([("a", inner)], cv=2).fit(FRAME, LABELS)).threshold is None


@pytest.mark.parametrize("label", [None, 1, 0])
@pytest.mark.parametrize("response", ["auto", "predict_proba", "decision_function"])
def test_a_fixed_threshold_of_either_class_and_response(label: object, response: str) -> None:
    line = 0.7 if response == "decision_function" else 0.35
    base = LogisticRegression(max_iter=9_000)
    model = FixedThresholdClassifier(
        base, threshold=line, pos_label=label, response_method=response
    )
    keeps_its_threshold(model.fit(FRAME, LABELS))
    automatic = FixedThresholdClassifier(base, pos_label=label, response_method=response)
    found = keeps_its_threshold(automatic.fit(FRAME, LABELS))
    assert abs(found - 0.5) < 1e-15


@pytest.mark.parametrize("label", ["SI", "NO"])
@pytest.mark.parametrize("first", ["NO", "Z"])
def test_a_threshold_of_texts_in_either_order(label: str, first: str) -> None:
    """With ``Z`` for no, the positive class comes first."""
    names = {"SI": "SI", "NO": first}
    texts = np.where(LABELS == 1, "SI", first)
    model = FixedThresholdClassifier(forest(), threshold=0.31, pos_label=names[label])
    root = node_of(model.fit(FRAME, texts))
    result = compile_model(root, COLUMNS, frozenset({"SI"}), frozenset({"NO", "Z"}))
    assert result.threshold is not None and result.positive == (1 if first == "NO" else 0)
    assert np.array_equal(answers(result, UNSEEN) >= result.threshold, said(model, UNSEEN) == "SI")


def test_a_tuned_threshold_of_a_named_class_is_turned_round() -> None:
    scoring = make_scorer(fbeta_score, beta=2, pos_label=0)
    model = TunedThresholdClassifierCV(scaled(LogisticRegression()), scoring=scoring, cv=2)
    keeps_its_threshold(model.fit(FRAME, LABELS))


def test_a_threshold_on_decisions_without_their_probability_is_refused_with_the_way_out() -> None:
    base = FixedThresholdClassifier(scaled(RidgeClassifier()), threshold=0.1)
    assert (
        "CalibratedClassifierCV"
        in refused(node_of(base.fit(FRAME, LABELS)), "no_es_clasificador_binario").detail
    )


def test_a_threshold_on_a_decision_that_is_no_logit_is_refused_with_the_way_out() -> None:
    base = scaled(SGDClassifier(loss="modified_huber", random_state=0))
    model = FixedThresholdClassifier(base, threshold=0.1, response_method="decision_function")
    root = node_of(model.fit(FRAME, LABELS))
    assert "predict_proba" in refused(root, "familia_desconocida").detail
    root.state["response_method"] = "predict_proba"
    assert compiled(root).threshold == 0.1


THRESHOLD_LIES: list[tuple[str, object]] = [
    ("best_threshold_", np.nan),
    ("best_threshold_", -0.1),
    ("best_threshold_", 1.1),
    ("best_threshold_", 10**400),
    ("best_threshold_", "auto"),
    ("best_threshold_", np.array([0.5, 0.5])),
    ("best_threshold_", None),
    ("response_method", "predict"),
    ("_curve_scorer", None),
    ("_curve_scorer", Node(Global("sklearn.metrics._scorer", "_CurveScorer"), state=(1,))),
]


@pytest.mark.parametrize(("attribute", "value"), THRESHOLD_LIES)
def test_a_threshold_that_is_none_is_refused(attribute: str, value: object) -> None:
    model = TunedThresholdClassifierCV(scaled(LogisticRegression()), cv=2).fit(FRAME, LABELS)
    root = node_of(model)
    root.state[attribute] = value
    refused(root, "pesos_imposibles", "no_entrenado")


def test_a_class_that_is_none_of_the_two_has_no_threshold() -> None:
    root = node_of(FixedThresholdClassifier(forest(), threshold=0.3).fit(FRAME, LABELS))
    for odd in (2, "SI", np.zeros(2), [0], 10**5_000):
        root.state["pos_label"] = odd
        refused(root, "pesos_imposibles")


# Hostile files


def test_a_wrapper_around_itself_is_refused_at_once() -> None:
    begin = time.perf_counter()
    search = node_of(GridSearchCV(forest(), {"max_depth": [2]}, cv=2).fit(FRAME, LABELS))
    search.state["best_estimator_"] = search
    refused(search, "familia_desconocida")
    frozen = node_of(FrozenEstimator(forest().fit(FRAME, LABELS)))
    frozen.state["estimator"] = frozen
    refused(frozen, "familia_desconocida")
    tuned = node_of(FixedThresholdClassifier(forest()).fit(FRAME, LABELS))
    tuned.state["estimator_"] = tuned
    refused(tuned, "familia_desconocida")
    rest = node_of(OneVsRestClassifier(forest()).fit(FRAME, LABELS))
    rest.state["estimators_"] = [rest]
    refused(rest, "familia_desconocida")
    assert time.perf_counter() - begin < 20


@pytest.mark.parametrize("members", [[], None, "text", [None], [1, 2]])
def test_one_against_the_rest_needs_its_one(members: object) -> None:
    root = node_of(OneVsRestClassifier(forest()).fit(FRAME, LABELS))
    root.state["estimators_"] = members
    refused(root, "pesos_imposibles", "no_entrenado", "no_es_un_modelo")


@pytest.mark.parametrize(
    "make",
    [
        lambda: FixedThresholdClassifier(LogisticRegression(max_iter=9_000), threshold=0.3),
        lambda: OneVsRestClassifier(DecisionTreeClassifier(max_depth=2)),
        lambda: resampling(SMOTE(), DecisionTreeClassifier(max_depth=2)),
    ],
)
def test_no_odd_value_is_a_crash(make: Callable[[], Any]) -> None:
    endures_odd_values(make, 40)
