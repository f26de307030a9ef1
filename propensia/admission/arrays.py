"""Make numpy arrays, number types and numbers from the bytes of a model file.

It must never allocate for a shape before the bytes for it are there, nor hold an object.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from propensia.admission.budget import Budget
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal, shown

Dtype = np.dtype[np.generic]
Array = np.ndarray[tuple[int, ...], Dtype]

NDARRAY = Global("numpy", "ndarray")
OBJECTS_LIMIT = 100_000
_FIELDS_LIMIT = 64
# Making a record type costs about as much as reading this many bytes, for each field.
_FIELD_COST = 32
# What an array takes beside its elements, and an object array for each of them.
_ARRAY_BYTES, _PLACE_BYTES = 360, 8
_DIMENSIONS_LIMIT = 32
# An array without elements may still declare a long side; nobody has so many columns.
_EMPTY_SIDE_LIMIT = 10_000_000

_SPEC = re.compile(r"[<>=|]?(?:([biuf][1248])|[SU][0-9]{1,7}|V[0-9]{1,7}|O[48]?)")
_NUMBERS = frozenset({"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"})
_SCALARS = frozenset({str, bytes, type(None), bool, int, float})


@dataclass(slots=True, eq=False)
class Unfilled:
    """An array, or a number type, that the file has announced and not yet described.

    ``spec`` is the number type's spelling, empty for an array; ``places`` the memo entries that
    wait for the finished value. Nothing else may hold one.
    """

    spec: str = ""
    places: list[int] = field(default_factory=list)


def unfilled_dtype(spec: object) -> Unfilled:
    """The number type spelled ``spec``, such as ``f8``, that awaits its byte order."""
    if isinstance(spec, bytes):  # written by Python 2
        spec = spec.decode("latin-1")
    if not isinstance(spec, str):
        raise _not_allowed("?")
    match = _SPEC.fullmatch(spec)
    if match is None or (match[1] is not None and match[1] not in _NUMBERS):
        raise _not_allowed(spec)
    return Unfilled(spec=spec.lstrip("<>=|"))


def dtype_from(spec: str, state: object, budget: Budget) -> Dtype:
    """The number type that ``spec`` and the state written by numpy describe together.

    Number, text, object, or a flat record of numbers and text.
    """
    if type(state) is not tuple or len(state) not in (8, 9):
        raise _not_allowed(spec)
    version, order, base, names, fields, size, *_ = state
    # Types first: a comparison with an array would be an array.
    if type(version) is not int or version not in (3, 4) or base is not None:
        raise _not_allowed(spec)
    if type(order) is not str or order not in ("<", ">", "|", "=") or type(size) is not int:
        raise _not_allowed(spec)
    if spec.startswith("V"):
        return _record(int(spec[1:]), names, fields, size, budget)
    dtype: Dtype = np.dtype("O" if spec.startswith("O") else order + spec)
    if names is not None or fields is not None or size not in (-1, dtype.itemsize):
        raise _not_allowed(spec)
    return dtype


def _record(spec: int, names: object, fields: object, size: int, budget: Budget) -> Dtype:
    """A flat record ``spec`` bytes long."""
    if type(names) is not tuple or type(fields) is not dict or size != spec:
        raise _not_allowed(f"V{spec}")
    if not 0 < len(names) <= _FIELDS_LIMIT or len(names) != len(fields):
        raise _not_allowed(f"V{spec}")
    budget.charge(_FIELD_COST * len(names))
    formats: list[Dtype] = []
    offsets: list[int] = []
    for name in names:
        entry = fields.get(name) if type(name) is str and name else None
        if type(entry) is not tuple or len(entry) != 2 or not isinstance(entry[0], np.dtype):
            raise _not_allowed(f"V{spec}")
        dtype, offset = entry
        if dtype.hasobject or dtype.names is not None:
            raise _not_allowed(f"V{spec}, {dtype.kind}")
        if type(offset) is not int or not 0 <= offset <= spec - dtype.itemsize:
            raise _impossible("un campo se sale de su registro", "a field lies outside its record")
        formats.append(dtype)
        offsets.append(offset)
    if len(set(names)) != len(names):
        raise _not_allowed(f"V{spec}")
    return np.dtype(
        {"names": list(names), "formats": formats, "offsets": offsets, "itemsize": spec}
    )


def size_of(dtype: object, shape: object) -> int:
    """How many bytes an array of this number type and shape must have; refuses odd ones."""
    if not isinstance(dtype, np.dtype):
        raise _impossible("no dice su tipo de número", "it does not say its number type")
    if type(shape) is not tuple or len(shape) > _DIMENSIONS_LIMIT:
        raise _impossible("su forma no es una forma", "its shape is not a shape")
    if any(type(side) is not int or side < 0 for side in shape):
        raise _impossible("su forma no es una forma", "its shape is not a shape")
    if dtype.itemsize == 0:
        raise _not_allowed(dtype.str)
    count = math.prod(shape)
    if count == 0 and any(side > _EMPTY_SIDE_LIMIT for side in shape):
        raise _impossible("está vacía y es enorme", "it is empty and huge")
    return count * dtype.itemsize


def array_from_bytes(
    raw: bytes | memoryview, dtype: object, shape: object, order: object, budget: Budget
) -> Array:
    """An array ``shape`` of ``dtype`` over ``raw``, a view where the byte order permits.

    Read-only. ``order`` is ``C`` or ``F``. Errors: ``matriz_imposible`` where shape and bytes
    disagree, or a truth value or letter is none.
    """
    size = size_of(dtype, shape)
    assert isinstance(dtype, np.dtype) and isinstance(shape, tuple)
    if dtype.hasobject:
        raise _not_allowed("object")
    if type(order) is not str or order not in ("C", "F"):
        raise _impossible("su orden no es C ni F", "its order is neither C nor F")
    if size != len(raw):
        raise _impossible(
            f"declara {size} bytes y tiene {len(raw)}",
            f"it declares {size} bytes and has {len(raw)}",
        )
    budget.hold(_ARRAY_BYTES)
    if size == 0:
        array: Array = np.empty(shape, dtype)
    else:
        array = np.ndarray(shape, dtype, raw, order="F" if order == "F" else "C")
        _check_values(array, budget)
    if not dtype.isnative:
        budget.charge(size)
        budget.hold(size)
        array = array.astype(dtype.newbyteorder("="))
    array.flags.writeable = False
    return array


def _check_values(array: np.ndarray[Any, Any], budget: Budget) -> None:
    """Refuse truth values other than 0 and 1, and letters that Unicode does not have."""
    if array.dtype.names is not None:
        for name in array.dtype.names:
            _check_values(array[name], budget)
    elif array.dtype.kind in "bU":
        budget.charge(array.nbytes)
        wide = array.dtype.kind == "U"
        native = np.ascontiguousarray(array).reshape(-1)
        if wide and not native.dtype.isnative:
            native = native.byteswap().view(native.dtype.newbyteorder("="))
        highest = native.view(np.uint32 if wide else np.uint8).max()
        if highest > (0x10FFFF if wide else 1):
            raise _impossible("tiene valores que no existen", "it has values that do not exist")


def array_from_state(state: object, budget: Budget) -> Array | Node:
    """The array that numpy's own pickle state describes: numbers, text or objects."""
    if type(state) is not tuple or len(state) != 5:
        raise _impossible("su estado no es el de numpy", "its state is not numpy's")
    version, shape, dtype, fortran, raw = state
    if type(version) is not int or version != 1 or type(fortran) not in (bool, int):
        raise _impossible("su estado no es el de numpy", "its state is not numpy's")
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        # numpy lists objects in C order, whatever the array's own order is.
        return objects_from(raw, shape, budget)
    return array_from_bytes(_bytes(raw), dtype, shape, "F" if fortran else "C", budget)


def array_from_buffer(args: tuple[object, ...], budget: Budget) -> Array:
    """The array of ``numpy._frombuffer(buffer, dtype, shape, order[, axes])``, protocol 5."""
    if len(args) not in (4, 5):
        raise _impossible("su estado no es el de numpy", "its state is not numpy's")
    raw, (dtype, shape, order) = _bytes(args[0]), args[1:4]
    axes = args[4] if len(args) == 5 else None
    if type(order) is str and order == "K" and axes is not None:
        array = array_from_bytes(raw, dtype, shape, "C", budget)
        if type(axes) is not tuple or any(type(axis) is not int for axis in axes):
            raise _impossible("sus ejes no son ejes", "its axes are not axes")
        if sorted(axes) != list(range(array.ndim)):
            raise _impossible("sus ejes no son ejes", "its axes are not axes")
        return array.transpose(axes)
    return array_from_bytes(raw, dtype, shape, order, budget)


def scalar_from(args: tuple[object, ...], budget: Budget) -> object:
    """The plain Python value of ``numpy.scalar(dtype, bytes)``."""
    if len(args) != 2:
        raise _impossible("un número sin tipo o sin bytes", "a number without type or bytes")
    dtype, raw = args
    value: object = array_from_bytes(_bytes(raw), dtype, (), "C", budget).item()
    return value


def objects_from(elements: object, shape: object, budget: Budget) -> Array | Node:
    """An array of text and plain numbers; or, where it holds objects, a node that lists them.

    The node is made by ``numpy.ndarray``, has the shape as its argument and the elements, in C
    order, as its items: so ``nodes.walk`` finds what is in it, such as the trees of gradient
    boosting or the tried values of a search. A name or the result of a bare call is refused.
    """
    size = size_of(np.dtype("O"), shape)
    assert isinstance(shape, tuple)
    if type(elements) is not list or size != len(elements) * np.dtype("O").itemsize:
        raise _impossible("su forma y sus objetos no cuadran", "its shape and objects disagree")
    if len(shape) > 2:
        raise _not_allowed("object", f"{len(shape)} dimensiones")
    if len(elements) > OBJECTS_LIMIT:
        raise Refusal(
            "demasiado_grande",
            f"una matriz de {len(elements)} objetos",
            f"an array of {len(elements)} objects",
        )
    budget.charge(len(elements))
    budget.hold(_ARRAY_BYTES + _PLACE_BYTES * len(elements))
    for element in elements:
        bare_call = isinstance(element, Node) and type(element.state) is not dict
        if bare_call or isinstance(element, Global):
            name = element.name if isinstance(element, Node) else str(element)
            raise Refusal("contenido_no_permitido", f"`{shown(name)}` (matriz de objetos)")
    if not all(type(element) in _SCALARS for element in elements):
        return Node(NDARRAY, (shape,), items=list(elements))
    flat = np.empty(len(elements), dtype=object)
    flat[:] = elements
    array = flat.reshape(shape)
    array.flags.writeable = False
    return array


def _bytes(raw: object) -> bytes:
    # Python 2 wrote bytes as text, and the machine reads as text what happens to be ASCII.
    if isinstance(raw, str) and raw.isascii():
        return raw.encode("ascii")
    if not isinstance(raw, bytes):
        raise _impossible("sus datos no son bytes", "its data are not bytes")
    return raw


def _impossible(detail: str, detail_en: str) -> Refusal:
    return Refusal("matriz_imposible", detail, detail_en)


def _not_allowed(spec: str, more: str = "") -> Refusal:
    name = f"numpy.dtype({shown(spec)!r}){' ' if more else ''}{more}"
    return Refusal("contenido_no_permitido", f"`{name}`")
