"""Voting and stacking: several classifiers on the same rows, and one answer out of theirs.

A member that was dropped is never read.

Conventions of scikit-learn (``sklearn/ensemble/_voting.py`` and ``_stacking.py``):

- soft voting is the weighted mean of the probabilities; hard voting gives no probability;
- stacking puts one column per member before the final classifier, in the order of the members:
  the probability of the second class, the decision, or the class as 0 or 1; with ``passthrough``
  the columns of the rows follow;
- both encode the labels before they train their members, so only the outer names of the classes
  count.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from propensia.admission.families.attributes import (
    bad_weights,
    binary_classes,
    fitted,
    flag,
    short_name,
    word,
)
from propensia.admission.families.parts import Chance, Column, Flow, Workshop
from propensia.admission.nodes import Node
from propensia.admission.refusal import Refusal


def voting(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """Soft voting: the weighted mean of what the members say."""
    if word(node, "voting") != "soft":
        raise Refusal(
            "no_es_clasificador_binario",
            f"{short_name(node)} vota por clases y no da probabilidades; use voting='soft'",
            f"{short_name(node)} votes by class and gives no probabilities; use voting='soft'",
        )
    classes = binary_classes(node)
    members = _members(node)
    weights = _weights(node, len(members))
    graph = shop.graph
    total, labels = "", []
    for member, weight in zip(members, weights, strict=True):
        chance = shop.classifier(member, flow)
        labels.append(chance.label)
        share = chance.tensor
        if weight != 1:
            share = graph.add("Mul", share, graph.constant(np.array(weight)))
        total = graph.add("Add", total, share) if total else share
    mean = graph.add("Div", total, graph.constant(np.array(sum(weights))))
    return Chance(mean, classes, f"{short_name(node)}({', '.join(labels)})")


def stacking(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """What the final classifier says of what the members say."""
    classes = binary_classes(node)
    members = _members(node)
    methods = fitted(node, "stack_method_")
    if not isinstance(methods, list) or len(methods) != len(members):
        raise bad_weights(node, "stack_method_")
    columns, labels = [], []
    for member, method in zip(members, methods, strict=True):
        chance = shop.classifier(member, flow)
        labels.append(chance.label)
        columns.append(Flow(_response(node, chance, method, shop), (Column(inexact=True),)))
    if flag(node, "passthrough", False):
        columns.append(flow)
    chance = shop.classifier(fitted(node, "final_estimator_"), shop.joined(columns, ""))
    label = f"{short_name(node)}({', '.join(labels)}; {chance.label})"
    return replace(chance, classes=classes, label=label)


def _response(node: Node, chance: Chance, method: object, shop: Workshop) -> str:
    """The one column that a member adds, by the method that the file names for it."""
    if not isinstance(method, str):
        raise bad_weights(node, "stack_method_")
    if method == "predict_proba":
        return chance.tensor
    if method == "decision_function" and chance.decision is not None:
        return chance.decision
    # A member that was trained beforehand (cv="prefit") answers with labels of its own.
    if method == "predict" and chance.classes == ("0", "1"):
        return shop.second(chance)
    raise bad_weights(node, "stack_method_")


def _members(node: Node) -> list[object]:
    """The fitted members, without those that were dropped."""
    members = fitted(node, "estimators_")
    if not isinstance(members, list) or not members:
        raise Refusal(
            "no_entrenado",
            f"{short_name(node)} sin miembros",
            f"{short_name(node)} without members",
        )
    return members


def _weights(node: Node, count: int) -> list[float]:
    """The weights of the members that were not dropped; all equal where none are given."""
    given = node.attributes().get("weights")
    if given is None:
        return [1.0] * count
    if isinstance(given, np.ndarray) and given.ndim == 1 and given.dtype.kind in "iuf":
        given = given.tolist()
    if not isinstance(given, list | tuple) or not all(
        isinstance(weight, int | float) and 0 <= weight <= _LARGEST_WEIGHT for weight in given
    ):
        raise bad_weights(node, "weights")
    named = node.attributes().get("estimators")
    if not isinstance(named, list) or len(named) != len(given):
        raise bad_weights(node, "weights")
    kept = [
        float(weight)
        for member, weight in zip(named, given, strict=True)
        if not (isinstance(member, tuple | list) and len(member) == 2 and _dropped(member[1]))
    ]
    if len(kept) != count or not math.fsum(kept) > 0:
        raise bad_weights(node, "weights")
    return kept


def _dropped(member: object) -> bool:
    return isinstance(member, str) and member == "drop"


_LARGEST_WEIGHT = 1e100
CLASSIFIERS = {
    ("sklearn.ensemble._voting", "VotingClassifier"): voting,
    ("sklearn.ensemble.voting", "VotingClassifier"): voting,
    ("sklearn.ensemble._stacking", "StackingClassifier"): stacking,
}
PARTS = frozenset({("sklearn.preprocessing._label", "LabelEncoder")})
