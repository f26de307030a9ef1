"""The layers of Keras that are known here: from settings and weights to a checked description.

A layer outside the table, a setting that is not kept and weights of another shape are refused.

Source of each rule: the layer's ``build`` and ``call`` in ``keras/src/layers`` (``keras/layers``
in Keras 2.12).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from propensia.admission.families.keras import config as configs
from propensia.admission.families.keras.config import Settings
from propensia.admission.families.keras.model import Layer, Shape
from propensia.admission.families.keras.operators import ACTIVATIONS
from propensia.admission.refusal import Refusal

_WIDEST = 1 << 16
_EMBEDDED_MOST = 1 << 24
# Layers that may stand where an activation is named, as in Dense(8, activation=LeakyReLU()).
_ACTIVATION_LAYERS = frozenset({"LeakyReLU", "ReLU", "ELU", "Softmax"})


@dataclass(frozen=True, slots=True)
class Given:
    """What a layer is made from: its settings, the shapes that come in, its weights.

    ``stored`` gives the weights in the file for this very layer, none where there are none.
    """

    settings: Settings
    shapes: list[Shape]
    stored: Callable[[], list[np.ndarray]]

    @property
    def kind(self) -> str:
        """The class of the layer."""
        return self.settings.kind

    def one(self) -> Shape:
        """The shape of the only input."""
        if len(self.shapes) != 1:
            raise Refusal("familia_desconocida", f"Keras {self.kind} ({len(self.shapes)})")
        return self.shapes[0]

    def last(self) -> int:
        """The width of the last axis of the only input."""
        shape = self.one()
        if not shape:
            raise self.misshapen()
        return shape[-1]

    def weights(self, *shapes: Shape, spare: int = 0) -> tuple[np.ndarray, ...]:
        """The stored weights, float32 and finite, each of its shape.

        ``spare`` tells how many more single numbers may follow that predict nothing.
        """
        stored = self.stored() if shapes else []
        if shapes and not stored:
            text = f"Keras {self.kind}"
            raise Refusal("no_entrenado", f"{text} sin pesos", f"{text} without weights")
        found = [array.shape for array in stored]
        if found != [*shapes, *[()] * spare] or any(array.size == 0 for array in stored):
            raise self.misshapen()
        with np.errstate(over="ignore"):
            arrays = tuple(array.astype(np.float32, copy=False) for array in stored[: len(shapes)])
        if not all(np.isfinite(array).all() for array in arrays):
            text = f"Keras {self.kind}"
            raise Refusal("pesos_imposibles", f"{text}: no finitos", f"{text}: not finite")
        return arrays

    def misshapen(self) -> Refusal:
        """The refusal of shapes that do not fit together."""
        text = f"Keras {self.kind}"
        return Refusal("pesos_imposibles", f"{text}: forma", f"{text}: shape")


def layer(given: Given) -> Layer:
    """The checked layer of a kind in ``KINDS``; every setting has been read, or is silent."""
    made = KINDS[given.kind](given)
    if math.prod(made.shape) > _WIDEST:
        raise Refusal("demasiado_grande", f"Keras {given.kind} {made.shape}"[:80])
    return made


def _dense(given: Given) -> Layer:
    settings, shape = given.settings, given.one()
    inputs, units = given.last(), settings.raw("units")
    activation, use_bias = _activation(settings), settings.flag("use_bias", True)
    if type(units) is not int:
        raise given.misshapen()
    weights = given.weights((inputs, units), *[(units,)] * use_bias)
    settings.finish()
    options = {"units": units, "activation": activation, "use_bias": use_bias}
    return Layer("Dense", (*shape[:-1], units), options, weights)


def _activation(settings: Settings) -> str | Layer:
    value = settings.raw("activation", "linear")
    kind = value.get("class_name") if isinstance(value, dict) else None
    if isinstance(value, dict) and isinstance(kind, str) and kind in _ACTIVATION_LAYERS:
        inner = configs.described(value, _ACTIVATION_LAYERS)
        # The shape is that of whatever it is applied to; only an axis at the end is kept.
        return KINDS[inner.kind](Given(inner.settings, [(1,)], lambda: []))
    if not isinstance(value, str) or value not in ACTIVATIONS:
        raise Refusal("familia_desconocida", f"Keras activation {configs.told(value)}")
    return value


def _only_activation(given: Given) -> Layer:
    activation = _activation(given.settings)
    given.settings.finish()
    return Layer("Activation", given.one(), {"activation": activation})


def _nothing(given: Given) -> Layer:
    """Dropout, noise and penalties count while training only; their settings do not matter."""
    return Layer("Identity", given.one())


def _batch_normalization(given: Given) -> Layer:
    settings, width = given.settings, given.last()
    settings.last_axis("axis", len(given.one()))
    scale, center = settings.flag("scale", True), settings.flag("center", True)
    epsilon = settings.number("epsilon")
    weights = given.weights(*[(width,)] * (2 + scale + center))
    settings.finish("momentum", "synchronized", "renorm_momentum")
    if not (weights[-1] + np.float32(epsilon) > 0).all():
        raise _bad_variance(given)
    options = {"epsilon": epsilon, "scale": scale, "center": center}
    return Layer("BatchNormalization", given.one(), options, weights)


def _layer_normalization(given: Given) -> Layer:
    settings, width = given.settings, given.last()
    settings.last_axis("axis", len(given.one()))
    scale, center = settings.flag("scale", True), settings.flag("center", True)
    epsilon = settings.number("epsilon")
    if epsilon <= 0:
        raise settings.odd("epsilon")
    weights = given.weights(*[(width,)] * (scale + center))
    settings.finish()
    options = {"epsilon": epsilon, "scale": scale, "center": center}
    return Layer("LayerNormalization", given.one(), options, weights)


def _normalization(given: Given) -> Layer:
    settings, width = given.settings, given.last()
    axis, invert = settings.raw("axis", -1), settings.flag("invert", False)
    if len(given.one()) != 1 or axis not in (-1, 1, [-1], [1], [], None):
        raise settings.odd("axis")
    whole = axis in ([], None)
    options: dict[str, object] = {"axis": None if whole else -1, "invert": invert}
    mean = settings.raw("mean")
    weights: tuple[np.ndarray, ...]
    if mean is None:
        shape: Shape = () if whole else (width,)
        settings.raw("variance")
        # The third weight counts the rows that the layer has seen.
        weights = given.weights(shape, shape, spare=1)
        spread = weights[1]
    else:
        again = Settings(given.kind, {"mean": mean, "variance": settings.raw("variance")})
        shapes: tuple[Shape, ...] = ((), (1,)) if whole else ((), (1,), (width,))
        options |= {name: again.numbers(name, shapes) for name in ("mean", "variance")}
        weights, spread = (), np.asarray(options["variance"])
    settings.finish()
    if (spread < 0).any():
        raise _bad_variance(given)
    return Layer("Normalization", given.one(), options, weights)


def _bad_variance(given: Given) -> Refusal:
    text = f"Keras {given.kind}"
    return Refusal("pesos_imposibles", f"{text}: varianza", f"{text}: variance")


def _rescaling(given: Given) -> Layer:
    settings, width = given.settings, given.last()
    shapes: tuple[Shape, ...] = ((), (width,))
    options: dict[str, object] = {
        name: settings.numbers(name, shapes) for name in ("scale", "offset")
    }
    settings.finish()
    return Layer("Rescaling", given.one(), options)


def _relu(given: Given) -> Layer:
    settings = given.settings
    most = settings.raw("max_value")
    options: dict[str, object] = {"negative_slope": _not_negative(settings, "negative_slope", 0.0)}
    if most is not None:
        options["max_value"] = Settings(given.kind, {"max_value": most}).number("max_value")
    threshold = _not_negative(settings, "threshold", 0.0)
    if threshold:
        options["threshold"] = threshold
    settings.finish()
    return Layer("ReLU", given.one(), options)


def _leaky_relu(given: Given) -> Layer:
    # Keras 2 calls it alpha; both start at 0.3, unlike the activation of that name.
    old = given.settings.raw("alpha")
    settings = given.settings if old is None else Settings(given.kind, {"negative_slope": old})
    slope = _not_negative(settings, "negative_slope", 0.3)
    given.settings.finish()
    return Layer("LeakyReLU", given.one(), {"negative_slope": slope})


def _not_negative(settings: Settings, key: str, default: float) -> float:
    number = settings.number(key, default)
    if number < 0:
        raise settings.odd(key)
    return number


def _prelu(given: Given) -> Layer:
    if given.settings.raw("shared_axes") is not None:
        raise given.settings.odd("shared_axes")
    given.settings.finish()
    return Layer("PReLU", given.one(), {}, given.weights(given.one()))


def _elu(given: Given) -> Layer:
    # Some Keras 3 (3.3.3 is one) forget to write alpha, and read such a file as 1 themselves.
    options: dict[str, object] = {"alpha": given.settings.number("alpha", 1.0)}
    given.settings.finish()
    return Layer("ELU", given.one(), options)


def _softmax(given: Given) -> Layer:
    given.settings.last_axis("axis", len(given.one()))
    given.settings.finish()
    given.last()
    return Layer("Softmax", given.one(), {"axis": -1})


def _flatten(given: Given) -> Layer:
    shape = given.one()
    if given.settings.raw("data_format") not in (None, "channels_last") and len(shape) > 1:
        raise given.settings.odd("data_format")
    given.settings.finish()
    return Layer("Flatten", (math.prod(shape),))


def _reshape(given: Given) -> Layer:
    target, size = given.settings.raw("target_shape"), math.prod(given.one())
    if not isinstance(target, list) or not 1 <= len(target) <= 2:
        raise given.settings.odd("target_shape")
    if any(type(side) is not int or not (side == -1 or 1 <= side <= size) for side in target):
        raise given.settings.odd("target_shape")
    known = math.prod(side for side in target if side != -1)
    free = target.count(-1)
    shape = tuple(size // known if side == -1 else side for side in target)
    if free > 1 or math.prod(shape) != size:
        raise given.misshapen()
    given.settings.finish()
    return Layer("Reshape", shape, {"target_shape": shape})


def _embedding(given: Given) -> Layer:
    settings, shape = given.settings, given.one()
    rows, width = settings.whole("input_dim"), settings.whole("output_dim")
    if settings.flag("mask_zero", False):
        raise settings.odd("mask_zero")
    if len(shape) > 1 or rows * width > _EMBEDDED_MOST:
        raise given.misshapen()
    weights = given.weights((rows, width))
    settings.finish("input_length")
    return Layer("Embedding", (*shape, width), {"input_dim": rows, "output_dim": width}, weights)


def _concatenate(given: Given) -> Layer:
    shapes, axis = given.shapes, given.settings.raw("axis", -1)
    given.settings.finish()
    rank = len(shapes[0]) if shapes else 0
    if type(axis) is not int or not (axis == -1 or 1 <= axis <= rank) or rank < 1:
        raise given.settings.odd("axis")
    place = rank - 1 if axis == -1 else axis - 1
    rest = {shape[:place] + shape[place + 1 :] for shape in shapes if len(shape) == rank}
    if len(rest) != 1 or any(len(shape) != rank for shape in shapes):
        raise given.misshapen()
    width = sum(shape[place] for shape in shapes)
    shape = (*shapes[0][:place], width, *shapes[0][place + 1 :])
    return Layer("Concatenate", shape, {"axis": place + 1})


def _merge(given: Given) -> Layer:
    shapes = given.shapes
    given.settings.finish()
    pair = given.kind == "Subtract"
    if len(shapes) < 2 or (pair and len(shapes) != 2) or len({len(s) for s in shapes}) != 1:
        raise given.misshapen()
    sides = [set(side) - {1} for side in zip(*shapes, strict=True)]
    if any(len(side) > 1 for side in sides):
        raise given.misshapen()
    return Layer(given.kind, tuple(max(side, default=1) for side in sides))


_Reader: TypeAlias = Callable[[Given], Layer]
_SILENT_LAYERS = (
    "Dropout",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "SpatialDropout1D",
    "ActivityRegularization",
    "Identity",
)
_MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
KINDS: Mapping[str, _Reader] = {
    "Dense": _dense,
    "Activation": _only_activation,
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "Normalization": _normalization,
    "Rescaling": _rescaling,
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "PReLU": _prelu,
    "ELU": _elu,
    "Softmax": _softmax,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Embedding": _embedding,
    "Concatenate": _concatenate,
    **dict.fromkeys(_SILENT_LAYERS, _nothing),
    **dict.fromkeys(_MERGES, _merge),
}
# Layers that may have weights of their own.
WEIGHTED = frozenset(
    {"Dense", "BatchNormalization", "LayerNormalization", "Normalization", "PReLU", "Embedding"}
)
