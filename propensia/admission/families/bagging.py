"""Bagging: the mean over many models, each trained on some of the rows and of the columns.

The sampler that a balanced ensemble keeps in each of them is never looked at.

Conventions of scikit-learn (``sklearn/ensemble/_bagging.py``) and imbalanced-learn
(``imblearn/ensemble``): each member gets its own columns (``estimators_features_``) and labels
numbered from 0; the answer is the mean of their probabilities, or the share of those that say the
class where a member has none; the decision is the mean of their decisions. Members that are
single decision trees become one operator together.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from propensia.admission.families import ensemble, trees
from propensia.admission.families.attributes import (
    bad_weights,
    binary_classes,
    fitted,
    maker,
    short_name,
)
from propensia.admission.families.boosting import check_labels, listed
from propensia.admission.families.parts import Chance, Flow, Workshop
from propensia.admission.families.pipelines import steps
from propensia.admission.nodes import Node

_NUMBERED = ("0", "1")
_PIPELINES = {"sklearn.pipeline", "imblearn.pipeline"}


def bagging(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """The mean of what the members say, each of its own columns."""
    classes = binary_classes(node)
    members = [_bare(member) for member in listed(node, "estimators_")]
    columns = _columns(node, len(members), flow.width)
    if all(trees.is_tree(member) for member in members):
        check_labels(members, _NUMBERED)
        trees.tell_version(members, shop)
        grown = trees.checked(members, flow.width, columns=columns)
        mean = ensemble.written(grown, flow, shop, rounded=True, mean=True)
        return Chance(mean, classes, short_name(node))
    chances = []
    for member, places in zip(members, columns, strict=True):
        chance = shop.classifier(member, shop.picked(_unnamed(flow), places.tolist()))
        if isinstance(member, Node) and chance.classes != _NUMBERED:
            raise bad_weights(member, "classes_")
        chances.append(chance)
    shares = [chance.probability or shop.second(chance) for chance in chances]
    decisions = [chance.decision for chance in chances if chance.decision is not None]
    whole = len(decisions) == len(chances)
    label = f"{short_name(node)}({chances[0].label})"
    decision = _mean(decisions, shop) if whole else None
    return Chance(_mean(shares, shop), classes, label, decision)


def _mean(parts: list[str], shop: Workshop) -> str:
    total = parts[0]
    for part in parts[1:]:
        total = shop.graph.add("Add", total, part)
    return shop.graph.add("Div", total, shop.graph.constant(np.array([float(len(parts))])))


def _bare(member: object) -> object:
    """The classifier of a pipeline that has no other step but samplers."""
    name = maker(member)
    if isinstance(member, Node) and name is not None and name.module in _PIPELINES:
        kept = steps(member)
        return kept[0] if len(kept) == 1 else member
    return member


def _unnamed(flow: Flow) -> Flow:
    """The flow without names: members are trained on bare arrays."""
    return replace(flow, columns=tuple(replace(column, name="") for column in flow.columns))


def _columns(node: Node, count: int, width: int) -> list[np.ndarray]:
    """The places of each member's columns, in its order."""
    given = fitted(node, "estimators_features_")
    if not isinstance(given, list) or len(given) != count:
        raise bad_weights(node, "estimators_features_")
    for places in given:
        if not isinstance(places, np.ndarray) or places.ndim != 1 or places.dtype.kind not in "iu":
            raise bad_weights(node, "estimators_features_")
        if not 0 < len(places) <= width or places.min() < 0:
            raise bad_weights(node, "estimators_features_")
        if places.max() >= width:
            raise bad_weights(node, "estimators_features_")
    return given


CLASSIFIERS = {
    ("sklearn.ensemble._bagging", "BaggingClassifier"): bagging,
    ("sklearn.ensemble.bagging", "BaggingClassifier"): bagging,
    ("imblearn.ensemble._bagging", "BalancedBaggingClassifier"): bagging,
    ("imblearn.ensemble._easy_ensemble", "EasyEnsembleClassifier"): bagging,
}
