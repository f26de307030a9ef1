"""Tensors of the Open Inference Protocol: from JSON or bytes to cells, and back.

Every length is checked before it is used; nothing of what was sent gets into an error.

Sources: KServe, Open Inference Protocol, "Inference Request JSON Object"; Triton, "Binary tensor
data extension".
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from propensia.web.rows import BadBody, Json, JsonReader, unreadable

NUMBERS = {
    "FP64": "<f8",
    "FP32": "<f4",
    "FP16": "<f2",
    "INT64": "<i8",
    "INT32": "<i4",
    "INT16": "<i2",
    "INT8": "i1",
    "UINT64": "<u8",
    "UINT32": "<u4",
    "UINT16": "<u2",
    "UINT8": "u1",
}
Short = np.float32 | np.float16
ROUNDED: dict[str, type[Short]] = {"FP32": np.float32, "FP16": np.float16}
"""Numbers with fewer digits than the decimals that clients hold."""

TEXT = "BYTES"
# Clients write NaN for no data, although it is not JSON.
LENIENT = JsonReader({"NaN": None, "Infinity": "Infinity", "-Infinity": "-Infinity"})
UNSUPPORTED = ("shared_memory_region", "classification")
"""Parameters of a tensor whose meaning would be lost if they were not looked at."""

MOST_INPUTS = 256
"""Far more than a contract has: the work of a request must stay in proportion to its rows."""

_LENGTH = struct.Struct("<I")
_DIGITS = re.compile(r"[0-9]{1,9}").fullmatch
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?").fullmatch


@dataclass(frozen=True, slots=True)
class Asked:
    """An inference request. ``cells``: n values per input, in the order of ``names``; a number is
    the text of it, ``None`` is no data. ``outputs``: name and whether it is wanted as bytes."""

    id: str | None
    names: list[str]
    cells: list[list[Json]]
    count: int
    outputs: list[tuple[str, bool]]


def read(
    data: bytes,
    json_length: str | None,
    most: int,
    outputs: Sequence[str],
    others: Sequence[str] = (),
) -> Asked:
    """The request that a body is; an optional member that is ``null`` is not there.

    ``json_length``: the header ``Inference-Header-Content-Length``, the length of the JSON before
    the bytes of the tensors, or ``None``; ``most``: rows that are taken; ``outputs``: those that
    are given unless some are named, ``others``: those that have to be. Raises ``BadBody``.
    """
    rest = memoryview(b"")  # of which slices are no copies: there may be many
    if json_length is not None:
        if not _DIGITS(json_length) or int(json_length) > len(data):
            raise _bad("Inference-Header-Content-Length")
        data, rest = data[: int(json_length)], memoryview(data)[int(json_length) :]
    asked = _fields(LENIENT.read(data), "")
    tensors = asked.get("inputs")
    if not isinstance(tensors, list) or not 0 < len(tensors) <= MOST_INPUTS:
        raise _bad("inputs")
    id = asked.get("id")
    if not isinstance(id, str | None):
        raise _bad("id")
    names, cells, counts = [], [], set()
    for place, tensor in enumerate(tensors):
        name, values, rest = _tensor(tensor, f"inputs[{place}]", rest, most)
        names.append(name)
        cells.append(values)
        counts.add(len(values))
        if len(counts) > 1:
            raise _bad(f"inputs[{place}].shape")
    if len(rest):
        raise _bad("binary_data_size")
    parameters = _fields(asked.get("parameters", ()), "parameters")
    as_bytes = parameters.get("binary_data_output") is True
    return Asked(id, names, cells, counts.pop(), _wanted(asked, as_bytes, outputs, others))


def _tensor(
    tensor: Json, place: str, rest: memoryview, most: int
) -> tuple[str, list[Json], memoryview]:
    """Name and cells of an input, and the bytes that come after its own."""
    fields = _fields(tensor, place)
    name, kind = fields.get("name"), fields.get("datatype")
    if not isinstance(name, str):
        raise _bad(f"{place}.name")
    if not isinstance(kind, str) or (kind != TEXT and kind not in NUMBERS):
        raise _bad(f"{place}.datatype")
    count, is_column = _count(fields.get("shape"), place)
    if count > most:
        raise BadBody("demasiadas_filas")
    size = _parameters(fields, place).get("binary_data_size")
    if size is None:
        values = _flat(fields.get("data"), kind, count, is_column, place)
    elif not isinstance(size, str) or not _DIGITS(size) or int(size) > len(rest):
        raise _bad(f"{place}.parameters.binary_data_size")
    elif "data" in fields:
        raise _bad(f"{place}.data")
    else:
        values = _unpacked(kind, rest[: int(size)], count, place)
        rest = rest[int(size) :]
    return name, values, rest


def _fields(value: Json, place: str) -> dict[str, Json]:
    """The members of an object, each there once, without those that are ``null``."""
    if not isinstance(value, tuple):
        raise _bad(place) if place else unreadable("objeto_esperado")
    fields = dict(value)
    if len(fields) != len(value):
        raise unreadable("nombre_repetido", place)
    return {name: member for name, member in fields.items() if member is not None}


def _bad(place: str) -> BadBody:
    return unreadable("forma_no_valida", place)


def _parameters(fields: dict[str, Json], place: str) -> dict[str, Json]:
    """The parameters of a tensor; those that nobody knows are not looked at."""
    found = _fields(fields.get("parameters", ()), f"{place}.parameters")
    for name in UNSUPPORTED:
        if name in found:
            raise _bad(f"{place}.parameters.{name}")
    return found


def _count(shape: Json, place: str) -> tuple[int, bool]:
    """n of a shape ``[n]`` or ``[n, 1]``, and whether it is the second."""
    if not isinstance(shape, list) or len(shape) not in (1, 2) or shape[1:] not in ([], ["1"]):
        raise _bad(f"{place}.shape")
    if not isinstance(shape[0], str) or not _DIGITS(shape[0]):
        raise _bad(f"{place}.shape")
    return int(shape[0]), len(shape) == 2


def _flat(data: Json, kind: str, count: int, is_column: bool, place: str) -> list[Json]:
    """The ``count`` cells of a tensor in JSON, which may be nested where its shape is
    ``[n, 1]``."""
    if not isinstance(data, list):
        raise _bad(f"{place}.data")
    if len(data) != count:  # before any work: what is sent must not choose how much there is
        raise _bad(f"{place}.shape")
    if is_column:
        data = [cell[0] if isinstance(cell, list) and len(cell) == 1 else cell for cell in data]
    return [_rounded(cell, ROUNDED[kind]) for cell in data] if kind in ROUNDED else data


def _unpacked(kind: str, data: memoryview, count: int, place: str) -> list[Json]:
    """The ``count`` cells in the bytes of a tensor."""
    size = f"{place}.parameters.binary_data_size"
    if kind == TEXT:
        return _texts(data, count, size)
    dtype = np.dtype(NUMBERS[kind])
    if len(data) != count * dtype.itemsize:
        raise _bad(size)
    numbers = np.frombuffer(data, dtype)
    if kind in ROUNDED:
        return [None if np.isnan(number) else _shortest(number) for number in numbers]
    return [None if math.isnan(number) else repr(number) for number in numbers.tolist()]


def _texts(data: memoryview, count: int, place: str) -> list[Json]:
    """The ``count`` elements of a BYTES tensor: each its length in four bytes, then itself."""
    found: list[Json] = []
    at = 0
    for _ in range(count):
        start = at + _LENGTH.size
        if start > len(data):
            raise _bad(place)
        at = start + _LENGTH.unpack_from(data, at)[0]
        if at > len(data):
            raise _bad(place)
        # What is not UTF-8 becomes a character that no value may have: a fault of its cell.
        found.append(str(data[start:at], "utf-8", "replace"))
    if at != len(data):
        raise _bad(place)
    return found


def _rounded(cell: Json, kind: type[Short]) -> Json:
    """A number of an FP32 or FP16 tensor as the text of the number of that many bits that it
    stands for: clients that hold 263.68 write 263.67999267578125."""
    if not isinstance(cell, str) or not _NUMBER(cell):
        return cell
    with np.errstate(over="ignore"):  # infinite then, and refused as such
        return _shortest(kind(cell))


def _shortest(number: Short) -> str:
    """The shortest decimal that gives that number of so many bits back."""
    return np.format_float_positional(number, unique=True, trim="-")


def _wanted(
    asked: dict[str, Json], as_bytes: bool, usual: Sequence[str], others: Sequence[str]
) -> list[tuple[str, bool]]:
    """The outputs to answer with: the ``usual`` ones, unless some are named."""
    named = asked.get("outputs", [])
    if not isinstance(named, list):
        raise _bad("outputs")
    found: dict[str, bool] = {}
    for number, output in enumerate(named):
        place = f"outputs[{number}]"
        fields = _fields(output, place)
        name = fields.get("name")
        if not isinstance(name, str) or name not in (*usual, *others) or name in found:
            raise _bad(f"{place}.name")
        own = _parameters(fields, place).get("binary_data", as_bytes)
        found[name] = own is True
    return list(found.items()) or [(name, as_bytes) for name in usual]


def packed_numbers(numbers: Sequence[float]) -> bytes:
    """The bytes of an FP64 tensor."""
    return np.array(numbers, NUMBERS["FP64"]).tobytes()


def packed_texts(texts: Sequence[str]) -> bytes:
    """The bytes of a BYTES tensor."""
    encoded = [text.encode() for text in texts]
    return b"".join(_LENGTH.pack(len(text)) + text for text in encoded)
