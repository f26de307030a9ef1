"""What stands around a classifier: pipelines, searches, and thresholds.

Only the steps and the best estimator count; what a search remembers of its trials is never read,
and what resamples the training rows (imbalanced-learn) does nothing when predicting.

Conventions: ``sklearn/pipeline.py``, ``imblearn/pipeline.py`` (``_iter`` leaves samplers out),
``sklearn/model_selection/_classification_threshold.py``, ``sklearn/multiclass.py``.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from propensia.admission.families.attributes import (
    Pair,
    bad_weights,
    binary_classes,
    fitted,
    pair_of,
    short_name,
    texts,
    word,
)
from propensia.admission.families.parts import Chance, Classify, Flow, Workshop
from propensia.admission.families.remembered import SAMPLERS
from propensia.admission.nodes import Node
from propensia.admission.refusal import Refusal


def pipeline(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """Transformers one after the other, then a classifier."""
    *before, last = steps(node)
    labels = []
    for step in before:
        flow = shop.transformer(step, flow)
        labels.append(flow.label)
    chance = shop.classifier(last, flow)
    label = f"{short_name(node)}({', '.join([*labels, chance.label])})"
    return replace(chance, label=label)


def inside(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """The estimator that stands in an attribute: the best of a search, or a frozen one."""
    chance = shop.classifier(fitted(node, INSIDE.get(pair_of(node), "estimator_")), flow)
    return replace(chance, label=f"{short_name(node)}({chance.label})")


def with_threshold(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """A classifier that says a class from a threshold on, which becomes the model's own."""
    chance = inside(node, flow, shop)
    tuned = short_name(node) == "TunedThresholdClassifierCV"
    says = _tuned_class(node, chance) if tuned else _named_class(node, chance)
    wanted = word(node, "response_method")
    if wanted not in ("auto", "predict_proba", "decision_function"):
        raise bad_weights(node, "response_method")
    by_decision = wanted == "decision_function"
    line = fitted(node, "best_threshold_" if tuned else "threshold")
    if not tuned and isinstance(line, str) and line == "auto":
        line = 0.0 if by_decision else 0.5
    if not isinstance(line, int | float) or not abs(line) <= _LARGEST:
        raise bad_weights(node, "threshold")
    threshold = _of_second(float(line), says, by_decision)
    if by_decision:
        threshold = _as_probability(node, threshold, chance, shop)
    if not 0 <= threshold <= 1:
        raise bad_weights(node, "best_threshold_" if tuned else "threshold")
    return replace(chance, threshold=threshold)


def one_of_two(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """One classifier against the rest where there are but two classes: one classifier."""
    classes = binary_classes(node)
    members = fitted(node, "estimators_")
    if not isinstance(members, list) or len(members) != 1:
        raise bad_weights(node, "estimators_")
    chance = shop.classifier(members[0], flow)
    label = f"{short_name(node)}({chance.label})"
    if chance.probability is None:
        return replace(chance, classes=classes, label=label)
    graph = shop.graph
    both = graph.add("Add", graph.complement(chance.probability), chance.probability)
    share = graph.add("Div", chance.probability, both)
    return Chance(share, classes, label, chance.decision)


def steps(node: Node) -> list[object]:
    """The estimators of a pipeline in order, without the steps that do nothing."""
    listed = fitted(node, "steps")
    if not isinstance(listed, list) or not all(
        isinstance(step, tuple | list) and len(step) == 2 for step in listed
    ):
        raise Refusal(
            "no_entrenado", f"{short_name(node)} sin pasos", f"{short_name(node)} without steps"
        )
    estimators = [step[1] for step in listed]
    kept = [step for step in estimators if not _does_nothing(step)]
    if not kept or kept[-1] is not estimators[-1]:
        raise Refusal(
            "no_es_clasificador_binario",
            f"{short_name(node)} no termina en un clasificador",
            f"{short_name(node)} does not end in a classifier",
        )
    return kept


def _does_nothing(step: object) -> bool:
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return True
    return isinstance(step, Node) and pair_of(step) in SAMPLERS


def _tuned_class(node: Node, chance: Chance) -> int:
    """The place of the class that is said from a tuned threshold on."""
    scorer = node.attributes().get("_curve_scorer")
    settings = scorer.attributes().get("_kwargs") if isinstance(scorer, Node) else None
    if not isinstance(settings, dict):
        raise bad_weights(node, "_curve_scorer")
    if "pos_label" in settings:
        return _place(node, settings["pos_label"], chance)
    # A score that asks for a class takes the label 1, which is the second of all usual pairs.
    if chance.classes is not None and chance.classes[0] == "1":
        raise bad_weights(node, "_curve_scorer")
    return 1


def _named_class(node: Node, chance: Chance) -> int:
    return _place(node, node.attributes().get("pos_label"), chance)


def _place(node: Node, label: object, chance: Chance) -> int:
    if label is None:
        return 1
    named = Node(node.made_by, state={"pos_label": [label]})
    (text,) = texts(named, "pos_label")
    if chance.classes is None or text not in chance.classes:
        raise bad_weights(node, "pos_label")
    return chance.classes.index(text)


def _of_second(line: float, says: int, by_decision: bool) -> float:
    """From which response of the second class on the model says the second class."""
    if says == 1:
        return line
    # It says the first from ``line`` of the first on: the second only beyond the rest.
    return math.nextafter(-line if by_decision else 1 - line, math.inf)


def _as_probability(node: Node, line: float, chance: Chance, shop: Workshop) -> float:
    """The probability that belongs to a decision, where its logistic function is that."""
    made = shop.graph.operator(chance.tensor)
    if chance.decision is None or made != ("Sigmoid", chance.decision):
        raise Refusal(
            "familia_desconocida",
            f"{short_name(node)} con un umbral sobre decision_function; use 'predict_proba'",
            f"{short_name(node)} with a threshold on decision_function; use 'predict_proba'",
        )
    return float(1 / (1 + np.exp(-line)))


# A decision beyond it is a probability of 0 or 1 in double.
_LARGEST = 700.0
_SEARCH = "sklearn.model_selection._search"
_HALVING = "sklearn.model_selection._search_successive_halving"
_SEARCHES = (
    (_SEARCH, "GridSearchCV"),
    (_SEARCH, "RandomizedSearchCV"),
    (_HALVING, "HalvingGridSearchCV"),
    (_HALVING, "HalvingRandomSearchCV"),
)
_THRESHOLDS = tuple(
    ("sklearn.model_selection._classification_threshold", name)
    for name in ("TunedThresholdClassifierCV", "FixedThresholdClassifier")
)
_FROZEN = ("sklearn.frozen._frozen", "FrozenEstimator")
# What stands for an estimator in all it answers, by the attribute that holds it.
INSIDE: dict[Pair, str] = {**dict.fromkeys(_SEARCHES, "best_estimator_"), _FROZEN: "estimator"}
# Attributes that may name a function of the analyst's own, which only training calls.
TRAINING_ONLY: dict[Pair, tuple[str, ...]] = {
    **dict.fromkeys(_SEARCHES, ("scoring", "scorer_", "refit")),
    **dict.fromkeys(_THRESHOLDS, ("scoring",)),
}
CLASSIFIERS: dict[Pair, Classify] = {
    ("sklearn.pipeline", "Pipeline"): pipeline,
    ("imblearn.pipeline", "Pipeline"): pipeline,
    ("sklearn.multiclass", "OneVsRestClassifier"): one_of_two,
    **dict.fromkeys(_SEARCHES, inside),
    **dict.fromkeys(_THRESHOLDS, with_threshold),
    _FROZEN: inside,
}
