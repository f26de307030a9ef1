"""A Keras network that has been read and checked: layers, their calls, and what goes where.

Plain values only; nothing here reads a file or writes a graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

# The shape of one row's value: (16,) for a plain row, (1, 3) for an embedded column, () for one
# number.
Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """A checked layer, applied to values of known shapes.

    ``kind`` is the class name in ``keras.layers``; ``GetItem`` for a slice, ``Identity`` for what
    does nothing when predicting, ``Sequential`` or ``Functional`` for a model inside, then in
    ``inner``. ``options`` are the arguments that make the same layer in Keras 3: checked plain
    values, number arrays, a ``Layer`` for an activation. ``weights`` are float32, in Keras' own
    order. ``shape`` is that of the output.
    """

    kind: str
    shape: Shape
    options: Mapping[str, object] = field(default_factory=dict)
    weights: tuple[np.ndarray, ...] = ()
    inner: Network | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A layer applied to values: 0 is the input of the network, k the result of its k-th call.

    ``place`` is the layer's place among those of its model; calls with the same place share the
    layer and its weights. Every input comes before the call.
    """

    place: int
    layer: Layer
    inputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Network:
    """A Sequential or Functional model: one input of ``width`` columns, one output.

    ``output`` is the number of the value that it gives. ``age`` is the major version of Keras
    that wrote it, 2 or 3, which decides what some names mean.
    """

    kind: str
    age: int
    width: int
    calls: tuple[Call, ...]
    output: int

    @property
    def shape(self) -> Shape:
        """The shape of the output."""
        return self.calls[self.output - 1].layer.shape if self.output else (self.width,)

    def layers(self) -> Iterator[Layer]:
        """The layers that count when predicting, each once, those of inner models too."""
        seen: set[int] = set()
        for call in self.calls:
            if call.place in seen or call.layer.kind == "Identity":
                continue
            seen.add(call.place)
            if call.layer.inner is None:
                yield call.layer
            else:
                yield from call.layer.inner.layers()

    def ending(self) -> str:
        """What gave the output its range: the last activation, or else the last class."""
        found = ["linear"]
        for call in self.calls:
            found.append(_ending(call.layer, [found[value] for value in call.inputs]))
        return found[self.output]


def _ending(layer: Layer, before: list[str]) -> str:
    if layer.inner is not None:
        return layer.inner.ending()
    if layer.kind in ("Identity", "Flatten", "Reshape"):
        return before[0]
    if layer.kind == "Average" and len(set(before)) == 1:
        # The mean of probabilities is one.
        return before[0]
    activation = layer.options.get("activation", layer.kind.lower())
    if layer.kind == "Activation" and activation == "linear":
        return before[0]
    return activation.kind.lower() if isinstance(activation, Layer) else str(activation)
