"""Logistic regression: one matrix product and the logistic function, in double.

It never solves or fits anything.

Convention of scikit-learn (``sklearn/linear_model/_logistic.py``): two classes answer with the
logistic function of the decision d; up to 1.7, ``multi_class="multinomial"`` answers with the
softmax of (-d, d), which is the logistic function of 2 d.
"""

from __future__ import annotations

import numpy as np

from propensia.admission.families.attributes import (
    bad_weights,
    binary_classes,
    fitted,
    numbers,
    short_name,
)
from propensia.admission.families.parts import Chance, Flow, Workshop, check_width
from propensia.admission.nodes import Node


def logistic(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """A logistic regression of two classes."""
    classes = binary_classes(node)
    raw = fitted(node, "coef_")
    if not isinstance(raw, np.ndarray) or raw.ndim != 2:
        raise bad_weights(node, "coef_")
    check_width(short_name(node), raw.shape[1], flow.width)
    weights = numbers(node, "coef_", (1, flow.width))
    # An array of one number, or the number itself where no intercept was fitted.
    listed = isinstance(node.attributes().get("intercept_"), np.ndarray)
    bias = numbers(node, "intercept_", (1,) if listed else ())
    graph = shop.graph
    product = graph.add("MatMul", flow.tensor, graph.constant(weights.T))
    decision = graph.add("Add", product, graph.constant(bias.reshape(1)))
    link = decision
    if node.attributes().get("multi_class") == "multinomial":
        link = graph.add("Add", decision, decision)
    shop.count("parameters", weights.size + 1)
    return Chance(graph.add("Sigmoid", link), classes, short_name(node), decision)


CLASSIFIERS = {
    ("sklearn.linear_model._logistic", "LogisticRegression"): logistic,
    ("sklearn.linear_model.logistic", "LogisticRegression"): logistic,
    ("sklearn.linear_model._logistic", "LogisticRegressionCV"): logistic,
    ("sklearn.linear_model.logistic", "LogisticRegressionCV"): logistic,
}
