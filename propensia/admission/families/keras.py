"""Keras Sequential models of dense layers, from the archive inside the pickle, in float32.

Neither Keras nor TensorFlow is imported, and no layer or function outside the tables below is
guessed at.

Conventions of Keras (``keras/src/layers/core/dense.py``, ``keras/src/activations``): inputs are
rounded to float32, ``activation(x @ kernel + bias)``, dropout does nothing when predicting. A
network stores no class labels: its one sigmoid unit, or the second of two softmax units, is the
positive class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from propensia.admission.families import keras_archive
from propensia.admission.families.parts import Chance, Flow, Workshop, check_width
from propensia.admission.graph import DOUBLE, FLOAT, Graph
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal, shown

_BYTES_IO = Global("_io", "BytesIO")
_MOST_LAYERS = 256
# What a dense layer may say without changing what it answers.
_SILENT_IN_DENSE = {
    "name",
    "trainable",
    "batch_input_shape",
    "kernel_initializer",
    "bias_initializer",
    "kernel_regularizer",
    "bias_regularizer",
    "activity_regularizer",
    "kernel_constraint",
    "bias_constraint",
}
_READ_IN_DENSE = {"units", "activation", "use_bias", "dtype"}


def _operator(name: str, **settings: Any) -> Callable[[Graph, str], str]:
    return lambda graph, tensor: graph.add(name, tensor, **settings)


def _swish(graph: Graph, tensor: str) -> str:
    return graph.add("Mul", tensor, graph.add("Sigmoid", tensor))


_ACTIVATIONS: dict[str, Callable[[Graph, str], str]] = {
    "linear": lambda graph, tensor: tensor,
    "relu": _operator("Relu"),
    "sigmoid": _operator("Sigmoid"),
    "tanh": _operator("Tanh"),
    "softmax": _operator("Softmax", axis=-1),
    "elu": _operator("Elu", alpha=1.0),
    "selu": _operator("Selu"),
    "softplus": _operator("Softplus"),
    "softsign": _operator("Softsign"),
    "exponential": _operator("Exp"),
    "gelu": _operator("Gelu"),
    "swish": _swish,
    "silu": _swish,
}


@dataclass(frozen=True, slots=True)
class Dense:
    """A dense layer with what follows it: ``kernel`` (inputs, units), ``bias`` (units,), float32.

    ``activation`` is a name of the table above.
    """

    kernel: np.ndarray
    bias: np.ndarray | None
    activation: str


def network(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """A Sequential model of dense layers that ends in one sigmoid or two softmax units."""
    archive = keras_archive.read(archive_bytes(node))
    shop.libraries["keras"] = archive.version
    layers = layers_of(archive)
    check_width("Keras Sequential", layers[0].kernel.shape[0], flow.width)
    tensor = shop.graph.cast(flow.tensor, FLOAT)
    for layer in layers:
        tensor = _dense(layer, tensor, shop.graph)
        sizes = [layer.kernel.size, 0 if layer.bias is None else layer.bias.size]
        shop.count("parameters", sum(sizes))
    shop.count("layers", len(layers))
    chance = _second_class(layers[-1], tensor, shop.graph)
    label = "/".join(str(layer.kernel.shape[1]) for layer in layers)
    return Chance(shop.graph.cast(chance, DOUBLE), None, f"Keras Sequential {label}")


def archive_bytes(node: Node) -> bytes:
    """The bytes of the archive that a pickled model hands to Keras; they must be a zip."""
    value = node.args[0] if len(node.args) == 1 else None
    if isinstance(value, Node) and value.made_by == _BYTES_IO:
        # Pickled as (content, position, attributes), or with the content as first argument.
        held = value.state if isinstance(value.state, tuple) and value.state else value.args
        value = held[0] if held else None
    if not isinstance(value, bytes | bytearray):
        raise Refusal("fichero_incompleto", "falta el archivo de Keras", "no Keras archive in it")
    if not value.startswith(b"PK\x03\x04"):
        raise Refusal("familia_desconocida", "Keras < 2.12 (SavedModel)")
    return bytes(value)


def layers_of(archive: keras_archive.Archive) -> list[Dense]:
    """The dense layers in order, with their weights, each of the shape that it must have.

    At least one; the units of a layer are the inputs of the next. Raises ``Refusal``.
    """
    stored = iter(archive.weights.get("dense", []))
    dense: list[Dense] = []
    width: int | None = None
    for kind, settings in _described(archive.config):
        if kind == "InputLayer" and not dense:
            width = _input_width(settings)
        elif kind == "Activation" and dense:
            name = _activation(settings)
            dense[-1] = _with_activation(dense[-1], name)
        elif kind == "Dense":
            layer = _with_weights(settings, next(stored, []), width)
            width = layer.kernel.shape[1]
            dense.append(layer)
        elif kind != "Dropout":
            raise Refusal("familia_desconocida", f"Keras {kind}")
    if not dense:
        raise Refusal("no_entrenado", "Keras Sequential sin capas", "Keras Sequential, no layers")
    if next(stored, None) is not None or set(archive.weights) - {"dense"}:
        raise Refusal("pesos_imposibles", "pesos sin capa", "weights without a layer")
    return dense


def _described(config: dict[str, object]) -> list[tuple[str, dict[str, object]]]:
    """Class and settings of each layer, once every class is known to be Keras' own."""
    if config.get("class_name") != "Sequential" or config.get("module") != "keras":
        raise _unknown(config)
    inner = config.get("config")
    listed = inner.get("layers") if isinstance(inner, dict) else None
    if not isinstance(listed, list):
        raise Refusal("no_entrenado", "Keras Sequential sin capas", "Keras Sequential, no layers")
    if len(listed) > _MOST_LAYERS:
        raise Refusal("demasiado_grande", f"{len(listed)} capas", f"{len(listed)} layers")
    layers = []
    for layer in listed:
        if not isinstance(layer, dict) or not isinstance(layer.get("config"), dict):
            raise Refusal("familia_desconocida", "Keras Sequential")
        known = layer.get("class_name") in ("InputLayer", "Dense", "Dropout", "Activation")
        # Keras 2 names no module for its own layers, and a registered name for every other.
        own = layer.get("module", "keras.layers") == "keras.layers"
        if not known or not own or layer.get("registered_name") is not None:
            raise _unknown(layer)
        _check_number_type(layer["config"])
        layers.append((str(layer["class_name"]), layer["config"]))
    return layers


def _unknown(described: dict[str, object]) -> Refusal:
    parts = [
        described.get("module"),
        described.get("registered_name") or described.get("class_name"),
    ]
    name = ".".join(part for part in parts if isinstance(part, str))
    return Refusal("familia_desconocida", f"Keras {shown(name)}")


def _check_number_type(settings: dict[str, object]) -> None:
    """Only float32 networks: others round differently."""
    policy = settings.get("dtype", "float32")
    inner = policy.get("config") if isinstance(policy, dict) else None
    name = inner.get("name") if isinstance(inner, dict) else policy
    if name != "float32":
        raise Refusal("familia_desconocida", f"Keras dtype {_told(name)}")


def _input_width(settings: dict[str, object]) -> int:
    shape = settings.get("batch_shape", settings.get("batch_input_shape"))
    if not isinstance(shape, list) or len(shape) != 2 or type(shape[1]) is not int:
        raise Refusal("familia_desconocida", "Keras InputLayer")
    if settings.get("sparse") or settings.get("ragged"):
        raise Refusal("familia_desconocida", "Keras InputLayer (sparse, ragged)")
    return shape[1]


def _activation(settings: dict[str, object]) -> str:
    name = settings.get("activation")
    if not isinstance(name, str) or name not in _ACTIVATIONS:
        raise Refusal("familia_desconocida", f"Keras activation {_told(name)}")
    return name


def _told(value: object) -> str:
    """What stands where a name should; only a name is written out, whatever is nested there."""
    return shown(value if isinstance(value, str) else type(value).__name__)


def _with_weights(
    settings: dict[str, object], stored: list[np.ndarray], width: int | None
) -> Dense:
    for key, value in settings.items():
        if key not in _SILENT_IN_DENSE | _READ_IN_DENSE and value is not None:
            raise Refusal("familia_desconocida", f"Keras Dense {shown(key)}")
    activation, units, use_bias = (
        _activation(settings),
        settings.get("units"),
        settings.get("use_bias", True),
    )
    if not stored:
        raise Refusal("no_entrenado", "Keras Dense sin pesos", "Keras Dense without weights")
    inputs = width or (stored[0].shape or (0,))[0]
    expected = [(inputs, units), (units,)][: 2 if use_bias else 1]
    if [array.shape for array in stored] != expected or stored[0].size == 0:
        raise Refusal("pesos_imposibles", "Keras Dense: forma", "Keras Dense: shape")
    with np.errstate(over="ignore"):
        kernel, *bias = (array.astype(np.float32) for array in stored)
    if not all(np.isfinite(array).all() for array in (kernel, *bias)):
        raise Refusal("pesos_imposibles", "Keras Dense: no finitos", "Keras Dense: not finite")
    return Dense(kernel, bias[0] if bias else None, activation)


def _with_activation(layer: Dense, name: str) -> Dense:
    if layer.activation != "linear":
        raise Refusal("familia_desconocida", "Keras Activation")
    return Dense(layer.kernel, layer.bias, name)


def _dense(layer: Dense, tensor: str, graph: Graph) -> str:
    inputs = [tensor, graph.constant(layer.kernel)]
    if layer.bias is not None:
        inputs.append(graph.constant(layer.bias))
    return _ACTIVATIONS[layer.activation](graph, graph.add("Gemm", *inputs))


def _second_class(layer: Dense, tensor: str, graph: Graph) -> str:
    ending = (layer.kernel.shape[1], layer.activation)
    if ending == (1, "sigmoid"):
        return tensor
    if ending == (2, "softmax"):
        return graph.add("Gather", tensor, graph.constant(np.array([1], np.int64)), axis=1)
    raise Refusal(
        "no_es_clasificador_binario",
        f"la última capa es {ending[0]} {ending[1]}, no 1 sigmoid ni 2 softmax",
        f"the last layer is {ending[0]} {ending[1]}, neither 1 sigmoid nor 2 softmax",
    )


_LOADERS = (
    ("keras.src.models.sequential", "Sequential._unpickle_model"),
    ("keras.saving.pickle_utils", "deserialize_model_from_bytecode"),
    ("keras.src.saving.pickle_utils", "deserialize_model_from_bytecode"),
)
CLASSIFIERS = dict.fromkeys(_LOADERS, network)
HELPERS = frozenset({(_BYTES_IO.module, _BYTES_IO.name)})
