"""What a saved Keras model says of its layers, read strictly: classes, settings, connections.

A class that is not Keras' own is refused by name; nothing is guessed at, and nothing is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

import numpy as np

from propensia.admission.refusal import Refusal, shown

MOST_LAYERS = 256
_MOST_SETTINGS = 100
_LARGEST = float(np.finfo(np.float32).max)
# Where the versions of Keras keep their models and the operator of ``tensor[:, a:b]``; None where
# Keras 2.12 writes none, as it does for each of its own classes.
_OWN_MODULES: dict[str, frozenset[str | None]] = {
    "Sequential": frozenset({None, "keras"}),
    "Functional": frozenset(
        {
            None,
            "keras.engine.functional",
            "keras.src.engine.functional",
            "keras.src.models.functional",
            "tf_keras.src.engine.functional",
        }
    ),
    "SlicingOpLambda": frozenset(
        {
            None,
            "keras.src.layers.core.tf_op_layer",
            "tf_keras.src.layers.core.tf_op_layer",
        }
    ),
    "GetItem": frozenset({"keras.src.ops.numpy"}),
}
_LAYERS: frozenset[str | None] = frozenset({None, "keras.layers"})
_SILENT = {"name", "trainable", "dtype", "batch_input_shape"}
_SILENT_ENDS = ("_initializer", "_regularizer", "_constraint")


@dataclass(frozen=True, slots=True)
class Described:
    """A layer as the file describes it: Keras' own class, a name, settings, and its calls.

    ``calls`` is what the file says of each call of the layer in a functional model, unread.
    """

    kind: str
    name: str
    settings: Settings
    calls: tuple[object, ...] = ()


class Settings:
    """The settings of one layer; each is read once, and one that nobody read is refused."""

    def __init__(self, kind: str, values: dict[str, object]) -> None:
        self.kind = kind
        self._left = dict(values)

    def raw(self, key: str, default: object = None) -> object:
        """A setting as it is; ``default`` where the file has none."""
        return self._left.pop(key, default)

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number, rounded to float32 as Keras keeps it."""
        value = _unwrapped(self.raw(key, default))
        if not _is_number(value):
            raise self.odd(key)
        return float(value)

    def numbers(self, key: str, shapes: tuple[tuple[int, ...], ...]) -> np.ndarray:
        """A number or a flat list of numbers, float32, of one of those shapes; all finite."""
        value = _unwrapped(self.raw(key))
        while isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
            value = value[0]
        items = value if isinstance(value, list) else [value]
        shape = (len(items),) if isinstance(value, list) else ()
        if shape not in shapes or not all(map(_is_number, items)):
            raise self.odd(key)
        return np.array(items, np.float32).reshape(shape)

    def whole(self, key: str, least: int = 1) -> int:
        """A whole number of at least ``least``, small enough to be a size."""
        value = self.raw(key)
        if type(value) is not int or not least <= value < 1 << 31:
            raise self.odd(key)
        return value

    def flag(self, key: str, default: bool) -> bool:
        """A yes or no."""
        value = self.raw(key, default)
        if not isinstance(value, bool):
            raise self.odd(key)
        return value

    def last_axis(self, key: str, rank: int) -> None:
        """Refuses an axis that is not the last of rows with ``rank`` axes besides the first."""
        value = self.raw(key, -1)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if type(value) is not int or value not in (-1, rank):
            raise self.odd(key)

    def finish(self, *silent: str) -> None:
        """Refuses settings that were not read, but for those that change no answer."""
        for key, value in self._left.items():
            known = key in _SILENT or key in silent or key.endswith(_SILENT_ENDS)
            if not known and value is not None and value is not False:
                raise self.odd(key)

    def odd(self, key: str) -> Refusal:
        """The refusal of a setting that is not kept here."""
        return Refusal("familia_desconocida", f"Keras {self.kind} {shown(key)}")


def described(layer: object, kinds: frozenset[str]) -> Described:
    """One layer, once its class is known to be Keras' own and one of ``kinds``."""
    if not isinstance(layer, dict):
        raise Refusal("familia_desconocida", f"Keras {told(layer)}")
    kind, settings = own_class(layer, kinds), layer.get("config")
    if not isinstance(settings, dict):
        raise Refusal("familia_desconocida", f"Keras {kind}")
    if len(settings) > _MOST_SETTINGS:
        raise Refusal("familia_desconocida", f"Keras {kind}")
    check_number_type(settings)
    name = layer.get("name", settings.get("name", ""))
    calls = layer.get("inbound_nodes") or []
    if not isinstance(name, str) or not isinstance(calls, list) or len(calls) > MOST_LAYERS:
        raise Refusal("familia_desconocida", f"Keras {kind}")
    return Described(kind, name, Settings(kind, settings), tuple(calls))


def own_class(thing: dict[str, object], kinds: frozenset[str]) -> str:
    """The class of a model or layer; refused by name where it is not Keras' own, or unknown."""
    kind, module = thing.get("class_name"), thing.get("module")
    if not isinstance(kind, str) or kind not in kinds:
        raise _unknown(thing)
    modules = _OWN_MODULES.get(kind, _LAYERS)
    if not (module is None or isinstance(module, str)) or module not in modules:
        raise _unknown(thing)
    # Keras registers what is not in its public modules under its own name; scikeras, the model.
    registered = thing.get("registered_name")
    if registered is not None and not (registered in (kind, f">{kind}") and kind in _OWN_MODULES):
        raise _unknown(thing)
    return kind


def layers_of(config: dict[str, object], label: str) -> list[object]:
    """The layers that a model lists, at least one and not too many."""
    listed = config.get("layers")
    if not isinstance(listed, list) or not listed:
        raise Refusal("no_entrenado", f"{label} sin capas", f"{label}, no layers")
    if len(listed) > MOST_LAYERS:
        raise Refusal("demasiado_grande", f"{len(listed)} capas", f"{len(listed)} layers")
    return listed


def check_number_type(settings: dict[str, object]) -> None:
    """Only float32 networks: others round differently."""
    policy = settings.get("dtype", "float32")
    inner = policy.get("config") if isinstance(policy, dict) else None
    name = inner.get("name") if isinstance(inner, dict) else policy
    if name != "float32":
        raise Refusal("familia_desconocida", f"Keras dtype {told(name)}")


def input_shape(value: object) -> tuple[int | None, ...] | None:
    """A shape without its rows, ``(16,)`` for ``[null, 16]``; None where there is none."""
    if not isinstance(value, list) or len(value) != 2 or value[0] is not None:
        return None
    width = value[1]
    if width is not None and (type(width) is not int or width < 1):
        return None
    return (width,)


def told(value: object) -> str:
    """What stands where a name should; only a name is written out, whatever is nested there."""
    return shown(value if isinstance(value, str) else type(value).__name__)


def _unknown(thing: dict[str, object]) -> Refusal:
    parts = [thing.get("module"), thing.get("registered_name") or thing.get("class_name")]
    name = ".".join(part for part in parts if isinstance(part, str))
    return Refusal("familia_desconocida", f"Keras {shown(name)}")


def _is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a finite number in float32; NaN is not."""
    return type(value) in (int, float) and abs(value) <= _LARGEST  # type: ignore[arg-type]


def _unwrapped(value: object) -> object:
    """The number or list inside the table in which Keras 2.12 writes numpy values."""
    if isinstance(value, dict) and value.get("class_name") == "__numpy__":
        inner = value.get("config")
        return inner.get("value") if isinstance(inner, dict) else None
    return value
