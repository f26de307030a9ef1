"""UBJSON, the binary JSON in which XGBoost keeps a model: bytes to plain values, and back.

It must never allocate for a count before the bytes for it are there, nor recurse.

Grammar: https://ubjson.org, as ``UBJReader`` and ``UBJWriter`` use it in XGBoost's
``src/common/json.cc``; numbers are big-endian.
"""

from __future__ import annotations

import struct
from typing import TypeAlias

import numpy as np

from propensia.admission.refusal import Refusal

# Objects, lists, texts, numbers, truth values, nothing; a list of numbers of one type is an array.
Value: TypeAlias = "dict[str, Value] | list[Value] | np.ndarray | str | int | float | bool | None"
Open: TypeAlias = "dict[str, Value] | list[Value]"

DEEPEST = 32
# Each text, list or object takes far more memory than its few bytes in the file. XGBoost spends
# more than this on the name of one alone.
_BYTES_EACH, _FEW = 16, 10_000

_WHOLE = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8"}
_NUMBERS = {**_WHOLE, b"d": ">f4", b"D": ">f8"}
_UNPACKED = {
    b"i": struct.Struct(">b"),
    b"U": struct.Struct(">B"),
    b"I": struct.Struct(">h"),
    b"l": struct.Struct(">i"),
    b"L": struct.Struct(">q"),
    b"d": struct.Struct(">f"),
    b"D": struct.Struct(">d"),
}
_CONSTANTS: dict[bytes, bool | None] = {b"T": True, b"F": False, b"Z": None}


def parse(data: bytes) -> Value:
    """The one value that ``data`` holds, from its first byte to its last.

    Arrays of one number type are read-only views, big-endian, (n,). Raises ``Refusal``
    (``pesos_imposibles``, or ``fichero_incompleto`` where the bytes end too early).
    """
    reader = _Reader(data)
    value = reader.whole_value()
    if reader.at != len(data):
        raise _broken("sobran bytes al final", "bytes left over at the end")
    return value


def dump(value: Value) -> bytes:
    """The bytes of a value, as XGBoost's own writer would write them but for the widest lengths.

    Numbers of a list are float32 or 64 bits wide; arrays keep their type, which must be one of
    those that ``parse`` knows.
    """
    if isinstance(value, dict):
        members = b"".join(_counted(key.encode("utf-8")) + dump(value[key]) for key in value)
        return b"{" + members + b"}"
    if isinstance(value, list):
        return b"[#" + _long(len(value)) + b"".join(map(dump, value))
    if isinstance(value, np.ndarray):
        kind = next(mark for mark, spec in _NUMBERS.items() if value.dtype.str[1:] == spec[1:])
        return b"[$" + kind + b"#" + _long(value.size) + value.astype(_NUMBERS[kind]).tobytes()
    if isinstance(value, str):
        return b"S" + _counted(value.encode("utf-8"))
    if isinstance(value, bool) or value is None:
        return next(mark for mark, constant in _CONSTANTS.items() if constant is value)
    return _long(value) if isinstance(value, int) else b"d" + _UNPACKED[b"d"].pack(value)


def _long(number: int) -> bytes:
    return b"L" + _UNPACKED[b"L"].pack(number)


def _counted(raw: bytes) -> bytes:
    return _long(len(raw)) + raw


class _Reader:
    """A place in the bytes, and the lists and objects that are open there."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self._left = _FEW + len(data) // _BYTES_EACH

    def whole_value(self) -> Value:
        """The value that begins here, with all that is in it."""
        # An open object or list, and how many values it holds: -1 where a mark ends it.
        open_: list[tuple[Open, int]] = []
        while True:
            while open_ and self._ends(*open_[-1]):
                value: Value = open_.pop()[0]
                if not open_:
                    return value
            inside = open_[-1][0] if open_ else None
            key = self._key(inside) if isinstance(inside, dict) else ""
            value, size = self._value(self._take(1))
            if isinstance(inside, dict):
                inside[key] = value
            elif inside is not None:
                inside.append(value)
            if size is not None and isinstance(value, dict | list):
                if len(open_) == DEEPEST:
                    raise _broken(f"más de {DEEPEST} niveles", f"more than {DEEPEST} levels")
                open_.append((value, size))
            elif not open_:
                return value

    def _ends(self, inside: Open, size: int) -> bool:
        if size >= 0:
            return len(inside) == size
        if self._peek() != (b"}" if isinstance(inside, dict) else b"]"):
            return False
        self.at += 1
        return True

    def _key(self, inside: dict[str, Value]) -> str:
        key = self._text()
        if key in inside:
            raise _broken("una clave repetida", "a key twice")
        return key

    def _value(self, marker: bytes) -> tuple[Value, int | None]:
        """A value; for a list or object also how many values are to come (-1: up to its end)."""
        if marker in _UNPACKED:
            form = _UNPACKED[marker]
            number: int | float = form.unpack(self._take(form.size))[0]
            return number, None
        if marker in _CONSTANTS:
            return _CONSTANTS[marker], None
        self._left -= 1
        if self._left < 0:
            raise _broken("más valores de los que caben", "more values than fit")
        if marker == b"S":
            return self._text(), None
        if marker == b"{":
            return {}, self._count() if self._peek() == b"#" else -1
        if marker != b"[":
            raise _broken("un tipo desconocido", "an unknown type")
        if self._peek() == b"$":
            self.at += 1
            return self._array(self._take(1)), None
        return [], self._count() if self._peek() == b"#" else -1

    def _array(self, kind: bytes) -> np.ndarray:
        if kind not in _NUMBERS:
            raise _broken("una lista de un tipo desconocido", "a list of an unknown type")
        dtype = np.dtype(_NUMBERS[kind])
        raw = self._take(self._count() * dtype.itemsize)
        return np.frombuffer(raw, dtype)

    def _count(self) -> int:
        if self._take(1) != b"#":
            raise _broken("una lista sin longitud", "a list without a length")
        return self._length()

    def _text(self) -> str:
        try:
            return self._take(self._length()).decode("utf-8")
        except UnicodeDecodeError:
            raise _broken("un texto que no es UTF-8", "a text that is not UTF-8") from None

    def _length(self) -> int:
        marker = self._take(1)
        if marker not in _WHOLE:
            raise _broken("una longitud que no es un entero", "a length that is not whole")
        form = _UNPACKED[marker]
        length: int = form.unpack(self._take(form.size))[0]
        # Every counted value takes at least one byte.
        if length < 0:
            raise _broken("una longitud negativa", "a negative length")
        if length > len(self.data) - self.at:
            raise _short()
        return length

    def _peek(self) -> bytes:
        return self.data[self.at : self.at + 1]

    def _take(self, size: int) -> bytes:
        if size > len(self.data) - self.at:
            raise _short()
        self.at += size
        return self.data[self.at - size : self.at]


def _broken(spanish: str, english: str) -> Refusal:
    return Refusal("pesos_imposibles", f"UBJSON: {spanish}", f"UBJSON: {english}")


def _short() -> Refusal:
    return Refusal(
        "fichero_incompleto",
        "el modelo de XGBoost se corta antes de su final",
        "the XGBoost model ends too early",
    )
