"""From the configuration and the weights of a Keras archive to a checked network.

Layers, calls and numbers are counted before they are used, models inside models included; a graph
that leads round, or to nowhere, is refused.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from propensia.admission.families.keras import layers as kinds
from propensia.admission.families.keras.archive import Archive, Stored
from propensia.admission.families.keras.calls import Called, called, single
from propensia.admission.families.keras.config import (
    Described,
    described,
    input_shape,
    layers_of,
    own_class,
)
from propensia.admission.families.keras.layers import KINDS, WEIGHTED, Given
from propensia.admission.families.keras.model import Call, Layer, Network, Shape
from propensia.admission.refusal import Refusal, shown

_MODELS = frozenset({"Sequential", "Functional"})
_SLICES = {2: "SlicingOpLambda", 3: "GetItem"}
# The names of classes inside the file of weights (``keras/src/utils/naming.py``).
_SNAKES = {
    "Dense": "dense",
    "BatchNormalization": "batch_normalization",
    "LayerNormalization": "layer_normalization",
    "Normalization": "normalization",
    "PReLU": "p_re_lu",
    "Embedding": "embedding",
    "Sequential": "sequential",
    "Functional": "functional",
}
_DEEPEST = 4
# A layer that is called twice counts twice: so do its numbers.
_MOST_CALLS = 512
_MOST_NUMBERS = 20_000_000


def network(archive: Archive, width: int | None = None) -> Network:
    """The checked network of an archive; ``width`` where the file does not tell its columns.

    Every weight in the file belongs to a layer, and has the shape that it must have. Raises
    ``Refusal``.
    """
    age = {"2": 2, "3": 3}.get(archive.version.partition(".")[0])
    if age is None:
        raise Refusal("familia_desconocida", f"Keras {archive.version or '?'}")
    kind = own_class(archive.config, _MODELS)
    build = archive.config.get("build_config")
    built = input_shape(build.get("input_shape")) if isinstance(build, dict) else None
    inner = archive.config.get("config")
    model = _Model(age, inner, archive.weights, _Budget(), 0)
    return model.read(kind, None, (built and built[0]) or width)


@dataclass(slots=True)
class _Budget:
    """What a file may still ask for."""

    calls: int = _MOST_CALLS
    numbers: int = _MOST_NUMBERS

    def charge(self, layer: Layer) -> None:
        self.calls -= 1
        self.numbers -= sum(array.size for array in layer.weights)
        if self.calls < 0 or self.numbers < 0:
            raise _too_many()


class _Model:
    """One Sequential or Functional model: its layers, and the weights stored for them."""

    def __init__(
        self, age: int, config: object, stored: Stored, budget: _Budget, depth: int
    ) -> None:
        if depth > _DEEPEST:
            raise Refusal("demasiado_grande", "modelos en modelos", "models inside models")
        self._age, self._budget, self._depth = age, budget, depth
        self._config = config if isinstance(config, dict) else {}
        self._stored, self._taken = stored, dict[int, Stored]()
        self._raw: list[object] = []
        self._layers: list[Described] = []
        self._calls: list[Call] = []

    def read(self, kind: str, width: int | None, hint: int | None = None) -> Network:
        """The network, for rows of that width where it is known already.

        ``hint`` is the width where neither that nor the model itself tells it.
        """
        self._raw = layers_of(self._config, f"Keras {kind}")
        kinds = frozenset(KINDS) | _MODELS | {"InputLayer"}
        if kind == "Functional":
            kinds |= {_SLICES[self._age]}
        self._layers = [described(layer, kinds) for layer in self._raw]
        self._share_out()
        if kind == "Sequential":
            found, output = self._sequential(width, hint)
        else:
            found, output = self._functional(width, hint)
        return Network(kind, self._age, found, tuple(self._calls), output)

    def _share_out(self) -> None:
        """Gives each layer its weights: per class, in the order of the layers, none left."""
        left = {name: deque(stored) for name, stored in self._stored.layers.items()}
        for place, layer in enumerate(self._layers):
            queue = left.get(_SNAKES.get(layer.kind, ""))
            if queue and _asks(self._raw[place], 0):
                self._taken[place] = queue.popleft()
        if any(left.values()) or any(stored.elsewhere for stored in self._taken.values()):
            raise Refusal("pesos_imposibles", "pesos sin capa", "weights without a layer")

    def _sequential(self, width: int | None, hint: int | None) -> tuple[int, int]:
        first, told = self._layers[0], input_shape(self._config.get("build_input_shape"))
        if first.kind == "InputLayer":
            width = _input_width(first, width)
        width = width or (told and told[0]) or hint
        if width is None:
            raise Refusal("familia_desconocida", "Keras InputLayer")
        shape: Shape = (width,)
        for place, layer in enumerate(self._layers):
            if place or layer.kind != "InputLayer":
                shape = self._called(place, Called(()), (len(self._calls),), [shape])
        if not self._calls:
            raise Refusal(
                "no_entrenado", "Keras Sequential sin capas", "Keras Sequential, no layers"
            )
        return width, len(self._calls)

    def _functional(self, width: int | None, hint: int | None) -> tuple[int, int]:
        places: dict[str, int] = {}
        for place, layer in enumerate(self._layers):
            if places.setdefault(layer.name, place) != place:
                text = shown(layer.name)
                raise Refusal(
                    "familia_desconocida", f"Keras: dos capas {text}", f"Keras: two layers {text}"
                )
        name, _ = single(self._config.get("input_layers"), "input_layers")
        inputs = [layer for layer in self._layers if layer.kind == "InputLayer"]
        if len(inputs) != 1 or inputs[0].name != name:
            count = len(inputs)
            raise Refusal(
                "familia_desconocida",
                f"Keras Functional con {count} entradas",
                f"Keras Functional with {count} inputs",
            )
        width = _input_width(inputs[0], width) or hint
        if width is None:
            raise Refusal("familia_desconocida", "Keras InputLayer")
        # What each call of each layer gives: (name, number of the call) to (value, shape).
        known: dict[tuple[str, int], tuple[int, Shape]] = {(name, 0): (0, (width,))}
        self._connect(known)
        last, number = single(self._config.get("output_layers"), "output_layers")
        if self._age == 3 and last in places and self._kind(places[last]) == "Functional":
            # Keras 3 counts the model's own call here, and only here.
            number -= 1
        if (last, number) not in known:
            raise _no_way(last)
        return width, known[last, number][0]

    def _connect(self, known: dict[tuple[str, int], tuple[int, Shape]]) -> None:
        """Calls every layer as soon as its inputs are there, as Keras does."""
        waiting = [
            (place, number + self._first_call(place), called(layer.kind, node))
            for place, layer in enumerate(self._layers)
            for number, node in enumerate(layer.calls)
        ]
        if len(waiting) > self._budget.calls:
            raise _too_many()
        while waiting:
            later = []
            for place, number, call in waiting:
                given = [known.get(tensor) for tensor in call.tensors]
                ready = [item for item in given if item is not None]
                if len(ready) < len(given):
                    later.append((place, number, call))
                    continue
                values, shapes = zip(*ready, strict=True)
                shape = self._called(place, call, values, list(shapes))
                known[self._layers[place].name, number] = (len(self._calls), shape)
            if len(later) == len(waiting):
                raise _no_way(self._layers[later[0][0]].name)
            waiting = later

    def _first_call(self, place: int) -> int:
        """Keras 2 counts the call in which a model was made before all others."""
        return int(self._age == 2 and self._kind(place) in _MODELS)

    def _kind(self, place: int) -> str:
        return self._layers[place].kind

    def _called(
        self, place: int, call: Called, inputs: tuple[int, ...], shapes: list[Shape]
    ) -> Shape:
        """Notes one call of a layer, and gives the shape of its result."""
        layer = self._layer(place, call, shapes)
        self._budget.charge(layer)
        self._calls.append(Call(place, layer, inputs))
        return layer.shape

    def _layer(self, place: int, call: Called, shapes: list[Shape]) -> Layer:
        layer, stored = self._layers[place], self._taken.get(place, Stored([], {}))
        if layer.kind in _MODELS:
            return self._inner(place, stored, shapes)
        if layer.kind == "InputLayer":
            raise Refusal("familia_desconocida", "Keras InputLayer")
        if layer.kind in _SLICES.values():
            return _slice(layer, call, shapes)
        if stored.layers:
            raise Refusal("pesos_imposibles", "pesos sin capa", "weights without a layer")
        # A layer that is called twice is read twice, each time from all its settings.
        settings = described(self._raw[place], frozenset(KINDS)).settings
        return kinds.layer(Given(settings, shapes, lambda: stored.variables))

    def _inner(self, place: int, stored: Stored, shapes: list[Shape]) -> Layer:
        kind, raw = self._kind(place), self._raw[place]
        if len(shapes) != 1 or len(shapes[0]) != 1 or stored.variables:
            raise Refusal("pesos_imposibles", f"Keras {kind}: forma", f"Keras {kind}: shape")
        config = raw.get("config") if isinstance(raw, dict) else None
        model = _Model(self._age, config, stored, self._budget, self._depth + 1)
        inner = model.read(kind, shapes[0][0])
        return Layer(kind, inner.shape, inner=inner)


def _slice(layer: Described, call: Called, shapes: list[Shape]) -> Layer:
    """``x[:, a:b]`` or ``x[:, a]`` of plain rows."""
    function = layer.settings.raw("function", "__operators__.getitem")
    if layer.kind == "SlicingOpLambda" and function != "__operators__.getitem":
        raise layer.settings.odd("function")
    layer.settings.finish()
    if len(shapes) != 1 or len(shapes[0]) != 1 or call.key is None:
        raise Refusal("familia_desconocida", f"Keras {layer.kind}")
    columns = np.arange(shapes[0][0])
    out_of_range = isinstance(call.key, int) and not -len(columns) <= call.key < len(columns)
    chosen = columns[:0] if out_of_range else columns[call.key]
    if chosen.size == 0:
        raise Refusal("familia_desconocida", f"Keras {layer.kind} (columnas)")
    return Layer("GetItem", chosen.shape, {"key": call.key, "columns": chosen})


def _input_width(layer: Described, width: int | None) -> int | None:
    """The width that an input layer tells, which is that of the rows where it is known."""
    settings = layer.settings
    shape = input_shape(settings.raw("batch_shape", settings.raw("batch_input_shape")))
    if shape is None:
        raise Refusal("familia_desconocida", "Keras InputLayer")
    if any(settings.raw(key) for key in ("sparse", "ragged", "optional")):
        raise Refusal("familia_desconocida", "Keras InputLayer (sparse, ragged)")
    if shape[0] is None:
        return width
    if width is not None and shape[0] != width:
        raise Refusal("pesos_imposibles", "Keras InputLayer: forma", "Keras InputLayer: shape")
    return shape[0]


def _asks(raw: object, depth: int) -> bool:
    """Whether a described layer, or one inside a model, has weights of its own to be found."""
    if depth > _DEEPEST:
        raise Refusal("demasiado_grande", "modelos en modelos", "models inside models")
    if not isinstance(raw, dict) or not isinstance(raw.get("config"), dict):
        return False
    kind, config = raw.get("class_name"), raw["config"]
    if not isinstance(kind, str):
        return False
    if kind in _MODELS:
        layers = config.get("layers")
        return isinstance(layers, list) and any(_asks(layer, depth + 1) for layer in layers)
    if kind == "Normalization":
        return config.get("mean") is None
    if kind == "LayerNormalization":
        return bool(config.get("scale", True) or config.get("center", True))
    return kind in WEIGHTED


def _too_many() -> Refusal:
    return Refusal("demasiado_grande", "llamadas de capas", "calls of layers")


def _no_way(name: str) -> Refusal:
    text = shown(name)
    return Refusal(
        "pesos_imposibles",
        f"las conexiones de la capa {text} no llevan a la entrada",
        f"the connections of the layer {text} do not lead to the input",
    )
