"""The layers of a Keras network as operators of a graph, in float32 and in Keras' own order.

It writes only what has been checked, and a category outside its table never passes as another.

Sources: ``keras/src/activations/activations.py``, ``keras/src/backend/tensorflow/nn.py``,
``keras/src/layers``; for Keras 2, ``keras/src/activations.py`` and ``keras/src/backend.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from propensia.admission.families.keras.model import Layer, Network
from propensia.admission.graph import INT64, Graph

# Keras' ``backend.epsilon()``, below which no spread of a Normalization layer goes.
_EPSILON = np.float32(1e-7)


class Writer:
    """Writes networks into a graph.

    ``faults`` are float tensors (n, 1), 0 for a good row and NaN for one with a category that
    an embedding does not know: Keras fails on such a row, so the answer for it must be none.
    They go past the network, in which a maximum could hide a NaN.
    """

    def __init__(self, graph: Graph, age: int) -> None:
        self._graph, self._age = graph, age
        self.faults: list[str] = []

    def network(self, network: Network, tensor: str) -> str:
        """The output of a network, float (n, …), for float rows (n, columns)."""
        values = [tensor]
        for call in network.calls:
            values.append(self.layer(call.layer, [values[value] for value in call.inputs]))
        return values[network.output]

    def layer(self, layer: Layer, inputs: list[str]) -> str:
        """The output of one layer."""
        if layer.inner is not None:
            return self.network(layer.inner, inputs[0])
        return _LAYERS[layer.kind](self, layer, inputs)

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The output of an operator."""
        return self._graph.add(operator, *inputs, **attributes)

    def number(self, value: object) -> str:
        """A constant in float32."""
        return self._graph.constant(np.asarray(value, np.float32))

    def whole(self, *values: int) -> str:
        """A constant list of whole numbers."""
        return self._graph.constant(np.array(values, np.int64))

    def activation(self, given: object, tensor: str) -> str:
        """The tensor after an activation: a name, or a layer in its place."""
        if isinstance(given, Layer):
            return self.layer(given, [tensor])
        if given == "hard_sigmoid" and self._age == 2:
            return _hard_sigmoid_2(self, tensor)
        return ACTIVATIONS[str(given)](self, tensor)

    def missing(self, rows: str) -> str:
        """A fault for each row with a missing value: Keras answers none, a maximum hides it."""
        zeros = self.add("Mul", rows, self.number(0))
        return self.add("ReduceSum", zeros, self.whole(1), keepdims=1)

    def embedding(self, layer: Layer, tensor: str) -> str:
        """Rows of the table; Keras cuts a number to a whole one, and 3 counts -1 from the end.

        Keras 2 knows no negative category. What lies outside becomes a fault, and the nearest
        row of the table on the way there.
        """
        (table,), width = layer.weights, layer.shape[-1]
        columns = layer.shape[0] if len(layer.shape) == 2 else 1
        least = -len(table) if self._age == 3 else 0
        index = self.add("Reshape", tensor, self.whole(-1, columns))
        index = self.add("Cast", index, to=INT64)
        # Not with Clip: ONNX Runtime 1.31 lets whole numbers from 2^31 to 2^32 pass it.
        near = self.add("Min", index, self.whole(len(table) - 1))
        near = self.add("Max", near, self.whole(least))
        known = self.add("Equal", index, near)
        fault = self.add("Where", known, self.number(0), self.number(np.nan))
        self.faults.append(self.add("ReduceSum", fault, self.whole(1), keepdims=1))
        found = self.add("Gather", self.number(table), near, axis=0)
        if len(layer.shape) == 2:
            return found
        return self.add("Reshape", found, self.whole(-1, width))


def _simple(operator: str, **attributes: Any) -> Callable[[Writer, str], str]:
    return lambda out, x: out.add(operator, x, **attributes)


def _times_sigmoid(out: Writer, x: str) -> str:
    return out.add("Mul", x, out.add("Sigmoid", x))


def _relu_6(out: Writer, x: str) -> str:
    return out.add("Clip", x, out.number(0), out.number(6))


def _hard_sigmoid_3(out: Writer, x: str) -> str:
    """``relu6(x + 3) / 6``."""
    shifted = _relu_6(out, out.add("Add", x, out.number(3)))
    return out.add("Div", shifted, out.number(6))


def _hard_sigmoid_2(out: Writer, x: str) -> str:
    """``0.2 x + 0.5`` between 0 and 1."""
    line = out.add("Add", out.add("Mul", x, out.number(0.2)), out.number(0.5))
    return out.add("Clip", line, out.number(0), out.number(1))


def _hard_silu(out: Writer, x: str) -> str:
    return out.add("Mul", x, _hard_sigmoid_3(out, x))


def _mish(out: Writer, x: str) -> str:
    return out.add("Mul", x, out.add("Tanh", out.add("Softplus", x)))


def _log_sigmoid(out: Writer, x: str) -> str:
    return out.add("Neg", out.add("Softplus", out.add("Neg", x)))


# By name; what a layer may be told to apply to its own output.
ACTIVATIONS: Mapping[str, Callable[[Writer, str], str]] = {
    "linear": lambda out, x: x,
    "relu": _simple("Relu"),
    "sigmoid": _simple("Sigmoid"),
    "tanh": _simple("Tanh"),
    "softmax": _simple("Softmax", axis=-1),
    "elu": _simple("Elu", alpha=1.0),
    "selu": _simple("Selu"),
    "softplus": _simple("Softplus"),
    "softsign": _simple("Softsign"),
    "exponential": _simple("Exp"),
    "gelu": _simple("Gelu"),
    "swish": _times_sigmoid,
    "silu": _times_sigmoid,
    "relu6": _relu_6,
    "leaky_relu": _simple("LeakyRelu", alpha=0.2),
    "hard_sigmoid": _hard_sigmoid_3,
    "hard_silu": _hard_silu,
    "hard_swish": _hard_silu,
    "mish": _mish,
    "log_sigmoid": _log_sigmoid,
}


def _dense(out: Writer, layer: Layer, inputs: list[str]) -> str:
    kernel, *bias = (out.number(array) for array in layer.weights)
    if len(layer.shape) == 1:
        tensor = out.add("Gemm", inputs[0], kernel, *bias)
    else:
        tensor = out.add("MatMul", inputs[0], kernel)
        for shift in bias:
            tensor = out.add("Add", tensor, shift)
    return out.activation(layer.options["activation"], tensor)


def _only_activation(out: Writer, layer: Layer, inputs: list[str]) -> str:
    return out.activation(layer.options["activation"], inputs[0])


def _batch_normalization(out: Writer, layer: Layer, inputs: list[str]) -> str:
    """``x * inv + (beta - mean * inv)``, as ``tf.nn.batch_normalization`` does."""
    weights = list(layer.weights)
    gamma = weights.pop(0) if layer.options["scale"] else np.float32(1)
    beta = weights.pop(0) if layer.options["center"] else np.float32(0)
    mean, variance = weights
    spread = np.sqrt(variance + np.asarray(layer.options["epsilon"], np.float32))
    inverse = np.float32(1) / spread * gamma
    scaled = out.add("Mul", inputs[0], out.number(inverse))
    return out.add("Add", scaled, out.number(beta - mean * inverse))


def _layer_normalization(out: Writer, layer: Layer, inputs: list[str]) -> str:
    """Mean and spread of each row, in two passes as ``tf.nn.moments`` takes them."""
    weights, last = list(layer.weights), out.whole(-1)
    mean = out.add("ReduceMean", inputs[0], last, keepdims=1)
    away = out.add("Sub", inputs[0], mean)
    variance = out.add("ReduceMean", out.add("Mul", away, away), last, keepdims=1)
    spread = out.add("Sqrt", out.add("Add", variance, out.number(layer.options["epsilon"])))
    tensor = out.add("Div", away, spread)
    if layer.options["scale"]:
        tensor = out.add("Mul", tensor, out.number(weights.pop(0)))
    if layer.options["center"]:
        tensor = out.add("Add", tensor, out.number(weights.pop(0)))
    return tensor


def _normalization(out: Writer, layer: Layer, inputs: list[str]) -> str:
    options, held = layer.options, layer.weights
    mean, variance = held or (options["mean"], options["variance"])
    spread = out.number(np.maximum(np.sqrt(np.asarray(variance, np.float32)), _EPSILON))
    if options["invert"]:
        return out.add("Add", out.number(mean), out.add("Mul", inputs[0], spread))
    return out.add("Div", out.add("Sub", inputs[0], out.number(mean)), spread)


def _rescaling(out: Writer, layer: Layer, inputs: list[str]) -> str:
    scaled = out.add("Mul", inputs[0], out.number(layer.options["scale"]))
    return out.add("Add", scaled, out.number(layer.options["offset"]))


def _relu(out: Writer, layer: Layer, inputs: list[str]) -> str:
    slope, most = layer.options["negative_slope"], layer.options.get("max_value")
    if "threshold" in layer.options:
        return _relu_from(out, layer.options, inputs[0])
    tensor = out.add("LeakyRelu", inputs[0], alpha=slope) if slope else out.add("Relu", inputs[0])
    return tensor if most is None else out.add("Min", tensor, out.number(most))


def _relu_from(out: Writer, options: Mapping[str, object], x: str) -> str:
    """x above the threshold, cut to the end; else the slope times its distance to the threshold.

    On the threshold it is 0 (``relu`` in ``activations.py``; Keras 2: ``backend.py``).
    """
    slope, most, start = options["negative_slope"], options.get("max_value"), options["threshold"]
    line = out.number(start)
    tensor = out.add("Where", out.add("Greater", x, line), x, out.number(0))
    if most is not None:
        tensor = out.add("Min", tensor, out.number(most))
    if not slope:
        return tensor
    below = out.add("Relu", out.add("Add", out.add("Neg", x), line))
    return out.add("Sub", tensor, out.add("Mul", out.number(slope), below))


def _prelu(out: Writer, layer: Layer, inputs: list[str]) -> str:
    above = out.add("Relu", inputs[0])
    below = out.add("Relu", out.add("Neg", inputs[0]))
    return out.add("Sub", above, out.add("Mul", out.number(layer.weights[0]), below))


def _in_shape(out: Writer, layer: Layer, inputs: list[str]) -> str:
    return out.add("Reshape", inputs[0], out.whole(-1, *layer.shape))


def _slice(out: Writer, layer: Layer, inputs: list[str]) -> str:
    columns = np.asarray(layer.options["columns"])
    found = out.add("Gather", inputs[0], out.whole(*columns.reshape(-1).tolist()), axis=1)
    return found if columns.ndim else out.add("Reshape", found, out.whole(-1))


def _concatenate(out: Writer, layer: Layer, inputs: list[str]) -> str:
    return out.add("Concat", *inputs, axis=layer.options["axis"])


def _pairwise(operator: str) -> _Emit:
    def merge(out: Writer, layer: Layer, inputs: list[str]) -> str:
        tensor = inputs[0]
        for other in inputs[1:]:
            tensor = out.add(operator, tensor, other)
        return tensor

    return merge


def _average(out: Writer, layer: Layer, inputs: list[str]) -> str:
    return out.add("Div", _pairwise("Add")(out, layer, inputs), out.number(len(inputs)))


_Emit: TypeAlias = Callable[[Writer, Layer, list[str]], str]
_LAYERS: Mapping[str, _Emit] = {
    "Dense": _dense,
    "Activation": _only_activation,
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "Normalization": _normalization,
    "Rescaling": _rescaling,
    "ReLU": _relu,
    "LeakyReLU": lambda out, layer, inputs: out.add(
        "LeakyRelu", inputs[0], alpha=layer.options["negative_slope"]
    ),
    "PReLU": _prelu,
    "ELU": lambda out, layer, inputs: out.add("Elu", inputs[0], alpha=layer.options["alpha"]),
    "Softmax": lambda out, layer, inputs: out.add("Softmax", inputs[0], axis=-1),
    "Identity": lambda out, layer, inputs: inputs[0],
    "Flatten": _in_shape,
    "Reshape": _in_shape,
    "Embedding": lambda out, layer, inputs: out.embedding(layer, inputs[0]),
    "GetItem": _slice,
    "Concatenate": _concatenate,
    "Add": _pairwise("Add"),
    "Subtract": _pairwise("Sub"),
    "Multiply": _pairwise("Mul"),
    "Average": _average,
    "Maximum": _pairwise("Max"),
    "Minimum": _pairwise("Min"),
}
