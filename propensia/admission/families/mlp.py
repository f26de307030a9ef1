"""The multilayer perceptron of scikit-learn: products, sums and activations, in double.

It never trains anything; what the optimiser remembers is never read.

Conventions (``sklearn/neural_network/_multilayer_perceptron.py``): rows stay double also where
the weights are float32; two classes are one output, the logistic function of the last layer,
which is the probability of the second class; there is no decision.
"""

from __future__ import annotations

import numpy as np

from propensia.admission.families.attributes import (
    bad_weights,
    binary_classes,
    fitted,
    numbers,
    short_name,
    whole,
    word,
)
from propensia.admission.families.parts import Chance, Flow, Workshop, check_complete
from propensia.admission.nodes import Node

_MOST_LAYERS = 100
_ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "logistic": "Sigmoid", "identity": ""}


def perceptron(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """A network of dense layers with one logistic output."""
    classes = binary_classes(node)
    activation = word(node, "activation")
    if activation not in _ACTIVATIONS:
        raise bad_weights(node, "activation")
    if word(node, "out_activation_") != "logistic" or whole(node, "n_outputs_") != 1:
        raise bad_weights(node, "out_activation_")
    check_complete(short_name(node), flow.columns)
    graph, tensor, width, sizes = shop.graph, flow.tensor, flow.width, []
    layers = _layers(node)
    for number, layer in enumerate(layers):
        given = layer.attributes()["coefs_"]
        units = given.shape[1] if isinstance(given, np.ndarray) and given.ndim == 2 else 0
        weights = numbers(layer, "coefs_", (width, units))
        bias = numbers(layer, "intercepts_", (units,))
        product = graph.add("MatMul", tensor, graph.constant(weights))
        tensor = graph.add("Add", product, graph.constant(bias))
        if number < len(layers) - 1 and _ACTIVATIONS[activation]:
            tensor = graph.add(_ACTIVATIONS[activation], tensor)
        shop.count("parameters", weights.size + bias.size)
        sizes.append(str(units))
        width = units
    if width != 1:
        raise bad_weights(node, "coefs_")
    shop.count("layers", len(layers))
    label = f"{short_name(node)} {'/'.join(sizes)}"
    return Chance(graph.add("Sigmoid", tensor), classes, label)


def _layers(node: Node) -> list[Node]:
    """The layers one by one, each with its weights and its bias under the usual names."""
    weights, biases = fitted(node, "coefs_"), fitted(node, "intercepts_")
    if not isinstance(weights, list) or not isinstance(biases, list):
        raise bad_weights(node, "coefs_")
    if not 0 < len(weights) == len(biases) <= _MOST_LAYERS:
        raise bad_weights(node, "coefs_")
    if whole(node, "n_layers_") != len(weights) + 1:
        raise bad_weights(node, "n_layers_")
    return [
        Node(node.made_by, state={"coefs_": weight, "intercepts_": bias})
        for weight, bias in zip(weights, biases, strict=True)
    ]


_MODULE = "sklearn.neural_network._multilayer_perceptron"
CLASSIFIERS = {(_MODULE, "MLPClassifier"): perceptron}
