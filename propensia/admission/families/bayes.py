"""Naive Bayes: two logarithms of likelihood, and the share of the second in their sum.

It never fits anything, and no logarithm of a number that is not positive reaches a graph.

Conventions of scikit-learn (``sklearn/naive_bayes.py``), in double:

- the answer is exp(second - logsumexp(both)), the larger one taken out of the sum first;
- Gaussian: the variance is ``var_`` since 1.0 and ``sigma_`` before, smoothing included;
- Bernoulli: rows are 1 above ``binarize`` and 0 elsewhere; ``None`` takes them as they are;
- Complement: its class priors do not count where there are two classes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from propensia.admission.families.attributes import (
    bad_weights,
    binary_classes,
    numbers,
    short_name,
)
from propensia.admission.families.parts import Chance, Classify, Flow, Workshop, check_complete
from propensia.admission.graph import DOUBLE
from propensia.admission.nodes import Node


def gaussian(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """A normal distribution for each column and class."""
    classes = binary_classes(node)
    centre = numbers(node, "theta_", (2, flow.width))
    spread = "var_" if "var_" in node.attributes() else "sigma_"
    variance = numbers(node, spread, (2, flow.width))
    prior = numbers(node, "class_prior_", (2,))
    with np.errstate(over="ignore"):
        around = 2.0 * np.pi * variance
    if not (variance > 0).all() or not np.isfinite(around).all():
        raise bad_weights(node, spread)
    if not (prior > 0).all():
        raise bad_weights(node, "class_prior_")
    check_complete(short_name(node), flow.columns)
    graph = shop.graph
    half, axis = graph.constant(np.array([0.5])), graph.constant(np.array([1], np.int64))
    found = []
    for place in (0, 1):
        apart = graph.add("Sub", flow.tensor, graph.constant(centre[place]))
        square = graph.add("Mul", apart, apart)
        scaled = graph.add("Div", square, graph.constant(variance[place]))
        total = graph.add("Mul", graph.add("ReduceSum", scaled, axis, keepdims=1), half)
        known = -0.5 * np.log(around[place]).sum()
        likely = graph.add("Sub", graph.constant(np.array([known])), total)
        found.append(graph.add("Add", graph.constant(np.log(prior[[place]])), likely))
    shop.count("parameters", centre.size + variance.size + 2)
    return Chance(_share(found, shop), classes, short_name(node))


def bernoulli(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """A chance of yes for each column and class."""
    share = numbers(node, "feature_log_prob_", (2, flow.width))
    if not (share < 0).all():
        raise bad_weights(node, "feature_log_prob_")
    graph, tensor = shop.graph, flow.tensor
    if node.attributes().get("binarize") is not None:
        line = graph.constant(numbers(node, "binarize", ()))
        tensor = graph.cast(graph.add("Greater", tensor, line), DOUBLE)
    with np.errstate(divide="ignore"):
        rest = np.log(1 - np.exp(share))
    if not np.isfinite(rest).all():
        raise bad_weights(node, "feature_log_prob_")
    prior = numbers(node, "class_log_prior_", (2,)) + rest.sum(axis=1)
    return _counted(node, replace(flow, codes=tensor), share - rest, prior, shop)


def multinomial(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """A share of the counts for each column and class."""
    share = numbers(node, "feature_log_prob_", (2, flow.width))
    return _counted(node, flow, share, numbers(node, "class_log_prior_", (2,)), shop)


def complement(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """The weights of what the other class does not hold."""
    share = numbers(node, "feature_log_prob_", (2, flow.width))
    return _counted(node, flow, share, np.zeros(2), shop)


def _counted(
    node: Node, flow: Flow, weights: np.ndarray, prior: np.ndarray, shop: Workshop
) -> Chance:
    classes = binary_classes(node)
    check_complete(short_name(node), flow.columns)
    graph = shop.graph
    product = graph.add("MatMul", flow.tensor, graph.constant(weights.T))
    both = graph.add("Add", product, graph.constant(prior))
    shop.count("parameters", weights.size + 2)
    found = [graph.picked(both, [place]) for place in (0, 1)]
    return Chance(_share(found, shop), classes, short_name(node))


def _share(found: list[str], shop: Workshop) -> str:
    """The share of the second of two likelihoods that are given by their logarithms."""
    graph = shop.graph
    largest = graph.add("Max", *found)
    powers = [graph.add("Exp", graph.add("Sub", tensor, largest)) for tensor in found]
    total = graph.add("Add", graph.add("Log", graph.add("Add", *powers)), largest)
    return graph.add("Exp", graph.add("Sub", found[1], total))


_BY_NAME: dict[str, Classify] = {
    "GaussianNB": gaussian,
    "BernoulliNB": bernoulli,
    "MultinomialNB": multinomial,
    "ComplementNB": complement,
}
CLASSIFIERS = {("sklearn.naive_bayes", name): classify for name, classify in _BY_NAME.items()}
