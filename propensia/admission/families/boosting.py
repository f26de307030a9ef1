"""Gradient boosting and AdaBoost: sums over many small models, one correcting the other.

Nothing is fitted here, and no loss or sampler that a file holds is ever looked at.

Conventions of scikit-learn:

- gradient boosting (``sklearn/ensemble/_gb.py``, ``_gradient_boosting.pyx``): rows are rounded to
  float32; the decision is that of the first model plus the learning rate times each leaf; the
  first model's probability is kept away from 0 and 1 by the least step of float32, since 1.8 by
  that of float64; the loss ``exponential`` answers with the logistic function of twice the
  decision, and begins at half the logit;
- AdaBoost (``sklearn/ensemble/_weight_boosting.py``): the answer is the logistic function of the
  decision. SAMME: each member adds its weight for the class that it says and, since 1.3, takes it
  from the other, so that the decision is twice as large; SAMME.R (up to 1.5): each adds the
  difference of the logarithms of its probabilities, not less than the least step of float64. Both
  are divided by the sum of the weights. Of two equal shares in a leaf the first class is said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from propensia.admission.arrays import NDARRAY
from propensia.admission.families import ensemble, trees
from propensia.admission.families.attributes import (
    bad_weights,
    binary_classes,
    fitted,
    numbers,
    pair_of,
    short_name,
    version_of,
    word,
)
from propensia.admission.families.ensemble import Places
from propensia.admission.families.parts import Chance, Flow, Workshop, check_complete
from propensia.admission.graph import DOUBLE, FLOAT
from propensia.admission.nodes import Node
from propensia.admission.refusal import Refusal

_FINE_START_SINCE = (1, 8)
_BOTH_CLASSES_SINCE, _REAL_UNTIL = (1, 3), (1, 6)
# The conventions of a file that does not say its version.
_NEWEST = (1 << 16, 0)
_DUMMY = ("sklearn.dummy", "DummyClassifier")
_EPSILON = float(np.finfo(np.float64).eps)


def gradient(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """Gradient boosting: the logistic function of a first guess and a sum of trees."""
    classes = binary_classes(node)
    loss = word(node, "loss")
    if loss not in ("log_loss", "deviance", "exponential"):
        raise bad_weights(node, "loss")
    check_complete(short_name(node), flow.columns)
    rate = float(numbers(node, "learning_rate", ()))
    grown = trees.regressors(_stages(node), flow.width, rate)
    total = ensemble.written(grown, flow, shop, rounded=True, mean=False)
    graph = shop.graph
    decision, label = total, short_name(node)
    start = fitted(node, "init_")
    if not (isinstance(start, str) and start == "zero"):
        first, told = _start(node, start, flow, shop, 0.5 if loss == "exponential" else 1.0)
        decision = graph.add("Add", total, first)
        label += f"({told})" if told else ""
    link = graph.add("Add", decision, decision) if loss == "exponential" else decision
    return Chance(graph.add("Sigmoid", link), classes, label, decision)


def _stages(node: Node) -> list[object]:
    """The trees, one per stage."""
    stages = fitted(node, "estimators_")
    if not isinstance(stages, Node) or stages.made_by != NDARRAY or len(stages.args) != 1:
        raise bad_weights(node, "estimators_")
    shape = stages.args[0]
    # Comparing an array gives an array, which is neither true nor false.
    plain = isinstance(shape, tuple) and all(type(size) is int for size in shape)
    if not plain or shape != (len(stages.items), 1) or not stages.items:
        raise Refusal(
            "no_es_clasificador_binario",
            f"{short_name(node)} no tiene un árbol por etapa",
            f"{short_name(node)} does not have one tree per stage",
        )
    return stages.items


def _start(
    node: Node, start: object, flow: Flow, shop: Workshop, factor: float
) -> tuple[str, str]:
    """The decision of the first model, ``factor`` times its logit, and its label if any."""
    fine = (version_of(node) or _NEWEST) >= _FINE_START_SINCE
    least = _EPSILON if fine else float(np.finfo(np.float32).eps)
    graph = shop.graph
    if isinstance(start, Node) and pair_of(start) == _DUMMY:
        if word(start, "strategy") != "prior":
            raise bad_weights(start, "strategy")
        prior = float(numbers(start, "class_prior_", (2,))[1])
        prior = min(max(prior, least), 1 - least)
        return graph.constant(np.array([factor * math.log(prior / (1 - prior))])), ""
    rows = graph.cast(graph.cast(flow.tensor, FLOAT), DOUBLE)
    chance = shop.classifier(start, replace(flow, codes=rows))
    ends = (graph.constant(np.array(end)) for end in (least, 1 - least))
    share = graph.add("Clip", chance.tensor, *ends)
    logit = graph.add("Log", graph.add("Div", share, graph.complement(share)))
    return graph.add("Mul", graph.constant(np.array([factor])), logit), chance.label


def ada(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """AdaBoost: the logistic function of a sum of weighted votes, or of logarithms."""
    classes = binary_classes(node)
    check_complete(short_name(node), flow.columns)
    members = listed(node, "estimators_")
    version = _version(node, members)
    weights = _weights(node, len(members))
    divisor = float(weights.sum())
    own: np.ndarray | None = None
    if word(node, "algorithm") != "SAMME.R" or version >= _REAL_UNTIL:
        own = weights[: len(members)] * (2.0 if version >= _BOTH_CLASSES_SINCE else 1.0)
    label = short_name(node)
    if all(trees.is_tree(member) for member in members):
        check_labels(members, classes)
        trees.tell_version(members, shop)
        leaves = _logarithms if own is None else _votes_of_leaves(own)
        grown = trees.checked(members, flow.width, leaves)
        total = ensemble.written(grown, flow, shop, rounded=True, mean=False)
    else:
        total, told = _of_others(members, own, classes, flow, shop)
        label += f"({told})"
    graph = shop.graph
    decision = graph.add("Div", total, graph.constant(np.array([divisor])))
    return Chance(graph.add("Sigmoid", decision), classes, label, decision)


def listed(node: Node, attribute: str) -> list[object]:
    """The members of an ensemble, one at least."""
    members = fitted(node, attribute)
    if not isinstance(members, list) or not members:
        raise Refusal(
            "no_entrenado",
            f"{short_name(node)} sin miembros",
            f"{short_name(node)} without members",
        )
    return members


def check_labels(members: Sequence[object], classes: tuple[str, str]) -> None:
    """Refuses a member that names the two classes otherwise than the whole does."""
    for member in members:
        if isinstance(member, Node) and binary_classes(member) != classes:
            raise bad_weights(member, "classes_")


def _version(node: Node, members: Sequence[object]) -> tuple[int, int]:
    """The scikit-learn version of a file; imbalanced-learn leaves it to the members to say."""
    told = (version_of(one) for one in (node, *members) if isinstance(one, Node))
    return next((version for version in told if version is not None), _NEWEST)


def _weights(node: Node, count: int) -> np.ndarray:
    """The weights of the members; of those that were not needed, zeros behind them."""
    given = fitted(node, "estimator_weights_")
    size = len(given) if isinstance(given, np.ndarray) and given.ndim == 1 else 0
    weights = numbers(node, "estimator_weights_", (max(size, count),))
    with np.errstate(over="ignore"):
        total = weights.sum()
    if not (np.isfinite(2 * total) and total > 0):
        raise bad_weights(node, "estimator_weights_")
    return weights


def _votes_of_leaves(weights: np.ndarray) -> trees.Leaves:
    """The weight of each tree, for the class that has more in the leaf or against the other."""

    def votes(values: np.ndarray, _ready: bool, places: Places) -> np.ndarray:
        weight = np.repeat(weights, places.sizes)
        return np.where(values[:, 1] > values[:, 0], weight, -weight)

    return votes


def _logarithms(values: np.ndarray, ready: bool, _places: Places) -> np.ndarray:
    """How much more the logarithm of the second share is than that of the first."""
    logs = np.log(np.maximum(trees.shares(values, ready), _EPSILON))
    return np.asarray(logs[:, 1] - logs[:, 0])


def _of_others(
    members: Sequence[object],
    weights: np.ndarray | None,
    classes: tuple[str, str],
    flow: Flow,
    shop: Workshop,
) -> tuple[str, str]:
    """The sum over any classifiers, by votes with weights or by logarithms; and their label."""
    graph = shop.graph
    total, label = "", ""
    for place, member in enumerate(members):
        chance = shop.classifier(member, flow)
        if isinstance(member, Node) and chance.classes != classes:
            raise bad_weights(member, "classes_")
        label = chance.label
        if weights is None:
            part = _log_ratio(chance.tensor, shop)
        else:
            weight = weights[place]
            vote = graph.add("Mul", shop.second(chance), graph.constant(np.array([2 * weight])))
            part = graph.add("Sub", vote, graph.constant(np.array([weight])))
        total = graph.add("Add", total, part) if total else part
    return total, label


def _log_ratio(share: str, shop: Workshop) -> str:
    graph = shop.graph
    least = graph.constant(np.array([_EPSILON]))
    first = graph.add("Log", graph.add("Max", graph.complement(share), least))
    return graph.add("Sub", graph.add("Log", graph.add("Max", share, least)), first)


_GRADIENT = "GradientBoostingClassifier"
_ADA = "AdaBoostClassifier"
CLASSIFIERS = {
    ("sklearn.ensemble._gb", _GRADIENT): gradient,
    ("sklearn.ensemble.gradient_boosting", _GRADIENT): gradient,
    ("sklearn.ensemble._weight_boosting", _ADA): ada,
    ("sklearn.ensemble.weight_boosting", _ADA): ada,
    ("imblearn.ensemble._weight_boosting", "RUSBoostClassifier"): ada,
}
PARTS = frozenset({_DUMMY})
# Which loss it is, is told by a setting; these compute only while something is fitted.
FRESH = frozenset(
    {
        ("sklearn._loss.loss", "HalfBinomialLoss"),
        ("sklearn._loss.loss", "ExponentialLoss"),
    }
)
# Those of several classes are known so that the refusal says how many there are.
_NATIVE = """CyExponentialLoss CyHalfBinomialLoss CyHalfMultinomialLoss
    __pyx_unpickle_CyExponentialLoss __pyx_unpickle_CyHalfBinomialLoss
    __pyx_unpickle_CyHalfMultinomialLoss"""
_LOSSES = {
    "sklearn._loss._loss": _NATIVE,
    "_loss": _NATIVE,  # as some versions call their own module
    "sklearn._loss.link": "HalfLogitLink Interval LogitLink MultinomialLogit",
    "sklearn._loss.loss": "HalfMultinomialLoss",
    "sklearn.ensemble._gb_losses": "BinomialDeviance ExponentialLoss MultinomialDeviance",
}
HELPERS = frozenset(
    {(module, name) for module, names in _LOSSES.items() for name in names.split()}
)
