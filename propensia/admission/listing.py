"""Show what is inside a model file as a tree that a person can read.

It must never print more than it was allowed to, nor a character that moves the text about.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from propensia import spanish
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import shown

_CHILDREN_LIMIT = 40
_SHOWN_NUMBERS = 6
_INDENT = "  "
# Bytes; the size of a small array is seen from its shape.
_TOLD_FROM = 1_000


def describe(root: object, depth: int = 6, lines: int = 400) -> str:
    """The value as indented text, one thing a line, in Spanish: classes, attributes, arrays.

    A class comes with its short name first, and with the version of the library that wrote it; an
    array with its number type, shape, size and first values. At most ``lines`` lines and
    ``depth`` levels, and 40 parts of each thing; what is left out is said. A thing that occurs
    twice is shown once, and then by the number of that line. Never recurses.
    """
    written: list[str] = []
    # Where each thing was shown: its line, counted from 1.
    seen: dict[int, int] = {}
    # Each entry: level, label, value; the next one to write is last.
    waiting: list[tuple[int, str, object]] = [(0, "", root)]
    while waiting:
        level, label, value = waiting.pop()
        if len(written) >= lines:
            written.append(f"… y {len(waiting) + 1} cosas más, al menos")
            break
        prefix = _INDENT * level + label
        if isinstance(value, _Omitted):
            written.append(f"{prefix}… y {value.count} más")
            continue
        parts = list(_parts(value))
        shared = bool(parts) or isinstance(value, np.ndarray)
        if shared and id(value) in seen:
            written.append(f"{prefix}{_title(value)} (lo mismo que en la línea {seen[id(value)]})")
            continue
        written.append(prefix + _title(value))
        if shared:
            seen[id(value)] = len(written)
        if parts and level >= depth:
            written[-1] += " …"
            continue
        waiting.extend((level + 1, name, part) for name, part in reversed(parts))
    return "\n".join(written)


class _Omitted:
    """Stands for the parts of a thing that are not shown."""

    def __init__(self, count: int) -> None:
        self.count = count


def _title(value: object) -> str:
    """What a thing is, in one line."""
    if isinstance(value, Node):
        return _object(value)
    if isinstance(value, Global):
        return f"nombre {shown(str(value))}"
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, str):
        return f"texto {shown(value)!r}" + _length(value, "letras")
    if isinstance(value, bytes):
        return f"bytes, {_size(len(value))}"
    if isinstance(value, dict):
        return f"diccionario de {len(value)}"
    if isinstance(value, list):
        return f"lista de {len(value)}"
    if isinstance(value, tuple):
        return f"tupla de {len(value)}"
    if isinstance(value, set | frozenset):
        return f"conjunto de {len(value)}"
    if isinstance(value, np.dtype):
        return f"tipo numérico {shown(str(value))}"
    return shown(str(value))


def _length(value: str, unit: str) -> str:
    return f" ({len(value)} {unit})" if len(value) > 80 else ""


def _object(node: Node) -> str:
    """``Pipeline (sklearn.pipeline), versión 1.9.1``; the result of a call says so."""
    maker, calls = node.made_by, 1
    while isinstance(maker, Node):
        maker, calls = maker.made_by, calls + 1
    title = f"{shown(maker.name)} ({shown(maker.module)})"
    if calls > 1:
        title += f", llamado {calls} veces seguidas"
    version = node.attributes().get("_sklearn_version")
    return title + (f", versión {shown(version)}" if isinstance(version, str) else "")


def _size(count: int) -> str:
    for unit, size in (("MB", 1_000_000), ("kB", 1_000)):
        if count >= size:
            return f"{spanish.number(count / size, 1)} {unit}"
    return f"{count} bytes"


def _array(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
    shape = " x ".join(str(side) for side in array.shape) or "un valor"
    # Of objects only the places have a size, which says nothing.
    size = "" if array.nbytes < _TOLD_FROM or array.dtype.hasobject else f", {_size(array.nbytes)}"
    if array.dtype.names is not None:
        fields = ", ".join(shown(name) for name in array.dtype.names)
        return f"matriz de registros ({shape}){size}: {fields}"
    first = array.flat[:_SHOWN_NUMBERS].tolist()
    examples = ", ".join(shown(str(item)) for item in first)
    more = ", …" if array.size > len(first) else ""
    return f"matriz {array.dtype.name} ({shape}){size}" + (f": {examples}{more}" if first else "")


def _parts(value: object) -> Iterator[tuple[str, object]]:
    """The labelled parts of a thing, the first of them only, and how many are left out."""
    total = 0
    for label, part in _all_parts(value):
        total += 1
        if total <= _CHILDREN_LIMIT:
            yield label, part
    if total > _CHILDREN_LIMIT:
        yield "", _Omitted(total - _CHILDREN_LIMIT)


def _all_parts(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Node):
        if isinstance(value.made_by, Node):
            yield "hecho por: ", value.made_by
        for position, part in enumerate(value.args):
            yield f"argumento {position}: ", part
        if isinstance(value.state, dict):
            yield from _all_parts(value.state)
        elif value.state is not None:
            yield "estado: ", value.state
        for part in value.items:
            yield "- ", part
        yield from _entries(value.entries)
    elif isinstance(value, dict):
        yield from _entries(list(value.items()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield "- ", part
    elif isinstance(value, set | frozenset):
        # Sorted by what is shown: the order of a set changes from run to run.
        for part in sorted(value, key=_title):
            yield "- ", part


def _entries(entries: list[tuple[object, object]]) -> Iterator[tuple[str, object]]:
    for key, part in entries:
        yield f"{shown(key) if isinstance(key, str) else _title(key)}: ", part
