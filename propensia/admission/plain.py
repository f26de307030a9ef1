"""Calls that stand for plain data: sets, dictionaries, bytes, ranges, the labels of pandas.

It must never call what the file names, nor drop a name that a loader would have imported: those
that leave nothing in the value are in ``HELPERS`` and ``CLASSES``, and mean no more than data.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from propensia.admission import arrow
from propensia.admission.machine import Machine, broken
from propensia.admission.nodes import Global, Node

Args = tuple[object, ...]

# What CPython takes for one member, and for one entry.
_MEMBER_BYTES, _ENTRY_BYTES = 64, 80
_OBJECT_BYTES = 240
_INDEX = frozenset({("pandas", "Index"), ("pandas.core.indexes.base", "Index")})
_RANGE_INDEX = frozenset({("pandas", "RangeIndex"), ("pandas.core.indexes.range", "RangeIndex")})
_TEXTS = ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked")
_TEXT_CLASSES = frozenset(
    {
        ("pandas", "StringDtype"),
        ("pandas.arrays", "StringArray"),
        ("pandas.core.arrays.string_", "StringArray"),
        ("pandas.core.arrays.string_", "StringDtype"),
        ("pandas.core.arrays.string_", "StringArrayNumpySemantics"),
        # The type of such an array says that this stands for what is missing.
        ("pandas", "NA"),
        ("pandas._libs.missing", "NA"),
    }
)
CLASSES = _INDEX | _RANGE_INDEX | _TEXT_CLASSES | {_TEXTS} | arrow.CLASSES


def _elements(machine: Machine, args: Args) -> list[object]:
    """The members of ``set(list)`` and its like, each fit to be one."""
    machine.budget.hold(_OBJECT_BYTES)
    if not args:
        return []
    if len(args) != 1 or not isinstance(args[0], list | tuple | set | frozenset):
        raise broken("un conjunto sin elementos", "a set without elements")
    machine.budget.charge(len(args[0]))
    machine.budget.hold(_MEMBER_BYTES * len(args[0]))
    return [machine.key(item) for item in args[0]]


def _set(machine: Machine, args: Args) -> object:
    return set(_elements(machine, args))


def _frozenset(machine: Machine, args: Args) -> object:
    return frozenset(_elements(machine, args))


def _dict(machine: Machine, args: Args) -> object:
    """``dict()`` and ``OrderedDict()``; Python 2 also gave the entries as a list of pairs."""
    entries: dict[object, object] = {}
    pairs = args[0] if len(args) == 1 else []
    if len(args) > 1 or type(pairs) is not list:
        raise broken("un diccionario sin entradas", "a dictionary without entries")
    machine.budget.charge(len(pairs))
    machine.budget.hold(_OBJECT_BYTES + _ENTRY_BYTES * len(pairs))
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise broken("un diccionario sin entradas", "a dictionary without entries")
        entries[machine.key(pair[0])] = pair[1]
    return entries


def _defaultdict(machine: Machine, args: Args) -> object:
    """``defaultdict(factory)``; the factory, a class of plain data, is of no use to a reader."""
    if len(args) > 1 or not all(arg is None or type(arg) is Global for arg in args):
        raise broken("un diccionario sin entradas", "a dictionary without entries")
    return _dict(machine, ())


def _bytes(machine: Machine, args: Args) -> object:
    """``bytes()``, ``bytearray(b"…")``, ``bytearray("…", "latin-1")``, ``encode(…, "latin1")``."""
    if not args:
        return b""
    if len(args) == 1 and type(args[0]) is bytes:
        return args[0]
    if len(args) == 2 and type(args[0]) is str and _is_latin1(args[1]):
        machine.budget.charge(len(args[0]))
        machine.budget.hold(len(args[0]))
        try:
            return args[0].encode("latin-1")
        except UnicodeEncodeError:
            pass
    raise broken("unos bytes mal escritos", "bytes badly written")


def _is_latin1(encoding: object) -> bool:
    return type(encoding) is str and encoding in ("latin1", "latin-1")


def _complex(machine: Machine, args: Args) -> object:
    if len(args) == 2 and type(args[0]) is float and type(args[1]) is float:
        machine.budget.hold(_MEMBER_BYTES)
        return complex(args[0], args[1])
    raise broken("un número complejo mal escrito", "a complex number badly written")


def _slice(machine: Machine, args: Args) -> object:
    if len(args) == 3 and all(item is None or type(item) in (int, str) for item in args):
        machine.budget.hold(_MEMBER_BYTES)
        return slice(*args)
    raise broken("un tramo mal escrito", "a slice badly written")


def _range(machine: Machine, args: Args) -> object:
    """``range(start, stop, step)``, as a search keeps what it tried; it may be endless."""
    if len(args) == 3:
        start, stop, step = args
        if type(start) is int and type(stop) is int and type(step) is int and step:
            machine.budget.hold(_OBJECT_BYTES)
            return range(start, stop, step)
    raise broken("una sucesión mal escrita", "a range badly written")


def _index(machine: Machine, args: Args) -> object:
    """The labels of a pandas index as an array, or as a range; any other index as a node.

    A ``ColumnTransformer`` holds one when it was given ``frame.columns[:5]`` for columns.
    """
    if len(args) == 2 and type(args[0]) is Global and type(args[1]) is dict:
        kind, parts = (args[0].module, args[0].name), args[1]
        labels = _labels(parts.get("data"))
        if kind in _INDEX and set(parts) == {"data", "name"} and labels is not None:
            return labels
        if kind in _RANGE_INDEX and set(parts) == {"name", "start", "stop", "step"}:
            return _range(machine, (parts["start"], parts["stop"], parts["step"]))
    machine.budget.hold(_OBJECT_BYTES)
    return Node(Global("pandas.core.indexes.base", "_new_Index"), args)


def _labels(data: object) -> object:
    if isinstance(data, Node) and data.made_by == Global(*_TEXTS) and type(data.state) is tuple:
        arrays = [part for part in data.state if isinstance(part, np.ndarray)]
        data = arrays[0] if len(arrays) == 1 else None
    elif isinstance(data, Node):
        data = arrow.labels_of(data)
    return data if isinstance(data, np.ndarray) and data.ndim == 1 else None


HELPERS: dict[tuple[str, str], Callable[[Machine, Args], object]] = {
    ("collections", "OrderedDict"): _dict,
    ("collections", "defaultdict"): _defaultdict,
    ("builtins", "dict"): _dict,
    ("builtins", "set"): _set,
    ("builtins", "frozenset"): _frozenset,
    ("builtins", "bytes"): _bytes,
    ("builtins", "bytearray"): _bytes,
    ("builtins", "complex"): _complex,
    ("builtins", "slice"): _slice,
    ("builtins", "range"): _range,
    # How protocols 0 to 2 write it.
    ("builtins", "xrange"): _range,
    ("_codecs", "encode"): _bytes,
    ("codecs", "encode"): _bytes,
    ("pandas.core.indexes.base", "_new_Index"): _index,
    **arrow.HELPERS,
}
