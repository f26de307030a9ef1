"""How a functional Keras model connects its layers, in the words of Keras 2 and of Keras 3.

Only plain calls of one tensor or of a list of them, and slices of constants, are understood.

Source: ``keras/src/models/functional.py`` (``serialize_node``, ``get_config``) in Keras 3,
``keras/src/engine/functional.py`` (``get_network_config``) in Keras 2.
"""

from __future__ import annotations

from dataclasses import dataclass

from propensia.admission.families.keras.config import MOST_LAYERS
from propensia.admission.refusal import Refusal, shown

_QUIET = {"training", "mask", "name"}


@dataclass(frozen=True, slots=True)
class Called:
    """The tensors that a layer was called on, each as (layer name, number of its call).

    ``key`` is what was asked of the columns, ``x[:, key]``, where the layer is a slice.
    """

    tensors: tuple[tuple[str, int], ...]
    key: slice | int | None = None


def called(kind: str, node: object) -> Called:
    """One call of a layer of that kind."""
    if isinstance(node, dict):
        return _of_keras_3(kind, node)
    if isinstance(node, list) and node:
        return _of_keras_2(kind, [node] if isinstance(node[0], str) else node)
    raise _unclear(kind)


def single(listed: object, what: str) -> tuple[str, int]:
    """The one input or output of a model: ``["x", 0, 0]``, or a list of that alone."""
    if isinstance(listed, list) and len(listed) == 1:
        listed = listed[0]
    if not isinstance(listed, list) or len(listed) != 3 or not isinstance(listed[0], str):
        raise Refusal("familia_desconocida", f"Keras Functional {what}")
    return _tensor("Functional", listed)


def _of_keras_2(kind: str, node: list[object]) -> Called:
    tensors, key = [], None
    for item in node:
        if not isinstance(item, list) or not 3 <= len(item) <= 4:
            raise _unclear(kind)
        tensors.append(_tensor(kind, item[:3]))
        settings = item[3] if len(item) == 4 else {}
        if kind == "SlicingOpLambda" and isinstance(settings, dict):
            key = _key(kind, settings.get("slice_spec"))
            settings = {name: value for name, value in settings.items() if name != "slice_spec"}
        _check_quiet(kind, settings)
    if kind == "SlicingOpLambda" and len(tensors) != 1:
        raise _unclear(kind)
    return Called(tuple(tensors), key)


def _of_keras_3(kind: str, node: dict[object, object]) -> Called:
    args = node.get("args")
    _check_quiet(kind, node.get("kwargs") or {})
    if not isinstance(args, list) or len(args) != (2 if kind == "GetItem" else 1):
        raise _unclear(kind)
    given = args[0] if isinstance(args[0], list) else [args[0]]
    key = _key(kind, args[1]) if kind == "GetItem" else None
    if not 1 <= len(given) <= (1 if kind == "GetItem" else MOST_LAYERS):
        raise _unclear(kind)
    tensors = []
    for item in given:
        inner = _inside(item, "__keras_tensor__")
        tensors.append(_tensor(kind, None if inner is None else inner.get("keras_history")))
    return Called(tuple(tensors), key)


def _tensor(kind: str, history: object) -> tuple[str, int]:
    """A layer and which of its calls, from ``[name, call, output]``; it has one output only."""
    if not isinstance(history, list) or len(history) != 3:
        raise _unclear(kind)
    name, number, output = history
    if not isinstance(name, str) or type(number) is not int or type(output) is not int:
        raise _unclear(kind)
    if output != 0 or not 0 <= number <= MOST_LAYERS:
        raise _unclear(kind)
    return name, number


def _check_quiet(kind: str, settings: object) -> None:
    """Refuses arguments of a call that could change its answer, as ``training=True`` would."""
    if not isinstance(settings, dict):
        raise _unclear(kind)
    for name, value in settings.items():
        if isinstance(value, list) and not any(item is not None for item in value):
            continue
        if name not in _QUIET or not (value is None or value is False):
            text = shown(name) if isinstance(name, str) else ""
            raise Refusal("familia_desconocida", f"Keras {kind} ({text})")


def _key(kind: str, spec: object) -> slice | int:
    """``key`` in ``x[:, key]``: a constant column, or a constant slice of them."""
    if not isinstance(spec, list) or len(spec) != 2:
        raise _unclear(kind)
    if _slice(kind, spec[0]) != slice(None, None, None):
        raise _unclear(kind)
    return spec[1] if type(spec[1]) is int else _slice(kind, spec[1])


def _slice(kind: str, value: object) -> slice:
    inner = value if kind == "SlicingOpLambda" else _inside(value, "__slice__")
    if not isinstance(inner, dict) or set(inner) != {"start", "stop", "step"}:
        raise _unclear(kind)
    start, stop, step = inner["start"], inner["stop"], inner["step"]
    for end in (start, stop, step):
        if not (end is None or (type(end) is int and abs(end) < 1 << 31)):
            raise _unclear(kind)
    if step == 0:
        raise _unclear(kind)
    return slice(start, stop, step)


def _inside(value: object, name: str) -> dict[object, object] | None:
    """The configuration of an object of that class, or None."""
    if not isinstance(value, dict) or value.get("class_name") != name:
        return None
    inner = value.get("config")
    return inner if isinstance(inner, dict) else None


def _unclear(kind: str) -> Refusal:
    return Refusal(
        "familia_desconocida",
        f"Keras {kind}: una conexión que aquí no se entiende",
        f"Keras {kind}: a connection that is not understood here",
    )
