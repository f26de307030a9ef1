"""The opcodes that carry a number, text or bytes of their own.

It must never believe a length before the bytes are there, nor read a number of unbounded length.
"""

from __future__ import annotations

import codecs
import re
import struct
import sys

import numpy as np

from propensia.admission.machine import Handler, Machine, broken
from propensia.admission.refusal import Refusal

_LONG_LIMIT_BYTES = 1024
_DIGITS_LIMIT = 2500
_FLOAT_LIMIT = 64
# What CPython takes for them beside what they hold, with a place in what holds them.
_NUMBER_BYTES, _TEXT_BYTES, _BYTES_BYTES = 40, 64, 48
# First bytes of UTF-8: from these on, CPython takes two and four bytes for each letter.
_WIDE, _WIDEST = 0xC4, 0xF0
_WHOLE = re.compile(rb"-?[0-9]{1,%d}" % _DIGITS_LIMIT)
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|[\\'\"abfnrtv])")
_ESCAPED = dict(zip(b"\\'\"abfnrtv", b"\\'\"\a\b\f\n\r\t\v", strict=True))


def _constant(value: object) -> Handler:
    def push(machine: Machine) -> None:
        machine.stack.append(value)

    return push


# Numbers


def _whole(text: bytes) -> int:
    if not _WHOLE.fullmatch(text):
        raise broken("un número mal escrito", "a number badly written")
    return int(text)


def _int(machine: Machine) -> None:
    text = machine.line()
    # How protocols 0 and 1 write False and True.
    if text in (b"00", b"01"):
        machine.push(text == b"01")
    else:
        machine.push(_whole(text), _NUMBER_BYTES + len(text))


def _long(machine: Machine) -> None:
    text = machine.line()
    machine.push(_whole(text[:-1] if text.endswith(b"L") else text), _NUMBER_BYTES + len(text))


def _float(machine: Machine) -> None:
    text = machine.line()
    try:
        machine.push(float(text if len(text) <= _FLOAT_LIMIT else b""), _NUMBER_BYTES)
    except ValueError:
        raise broken("un número mal escrito", "a number badly written") from None


def _binfloat(machine: Machine) -> None:
    machine.push(struct.unpack(">d", machine.take(8))[0], _NUMBER_BYTES)


def _unsigned(width: int) -> Handler:
    return lambda machine: machine.push(machine.number(width), _NUMBER_BYTES)


def _binint(machine: Machine) -> None:
    number = int.from_bytes(machine.take(4), "little", signed=True)
    machine.push(number, _NUMBER_BYTES)


def _binlong(width: int) -> Handler:
    def push(machine: Machine) -> None:
        length = machine.number(width)
        if length > _LONG_LIMIT_BYTES:
            raise Refusal(
                "demasiado_grande",
                f"un número entero de {length} bytes",
                f"a whole number of {length} bytes",
            )
        number = int.from_bytes(machine.take(length), "little", signed=True)
        machine.push(number, _NUMBER_BYTES + 2 * length)

    return push


# Text and bytes


def _text(width: int) -> Handler:
    def push(machine: Machine) -> None:
        raw = machine.take(machine.number(width))
        try:
            # Paid for before it is made: one wide letter makes the whole text wide.
            machine.budget.hold(_letter_bytes(raw) * len(raw))
            machine.push(str(raw, "utf-8", "surrogatepass"), _TEXT_BYTES)
        except UnicodeDecodeError:
            raise broken("un texto que no es UTF-8", "text that is not UTF-8") from None

    return push


def _letter_bytes(raw: bytes) -> int:
    """How many bytes CPython takes at most for each letter of a text in UTF-8."""
    if raw.isascii():
        return 1
    highest = int(np.frombuffer(raw, np.uint8).max())
    return 1 if highest < _WIDE else 2 if highest < _WIDEST else 4


def _unicode(machine: Machine) -> None:
    try:
        # Not str(…, "raw-unicode-escape"): that would import the codec's module on first use.
        text = codecs.raw_unicode_escape_decode(machine.line())[0]
    except UnicodeDecodeError:
        raise broken("un texto mal escrito", "text badly written") from None
    machine.push(text, sys.getsizeof(text))


def _bytes(width: int) -> Handler:
    def push(machine: Machine) -> None:
        raw = machine.take(machine.number(width))
        machine.push(raw, _BYTES_BYTES + len(raw))

    return push


def _python2_text(machine: Machine, raw: bytes) -> None:
    """Python 2 made no difference between text and bytes; what is ASCII is taken for text."""
    machine.push(raw.decode("ascii") if raw.isascii() else raw, _TEXT_BYTES + len(raw))


def _string(machine: Machine) -> None:
    quoted = machine.line()
    if len(quoted) < 2 or quoted[0] != quoted[-1] or quoted[0] not in b"\"'":
        raise broken("un texto sin comillas", "text without quotes")
    _python2_text(machine, _ESCAPE.sub(_unescape, quoted[1:-1]))


def _unescape(match: re.Match[bytes]) -> bytes:
    code = match[1]
    if code[:1] == b"x":
        return bytes([int(code[1:], 16)])
    if code.isdigit():
        return bytes([int(code, 8) & 0xFF])
    return bytes([_ESCAPED[code[0]]])


def _binstring(width: int) -> Handler:
    return lambda machine: _python2_text(machine, machine.take(machine.number(width)))


LITERALS: dict[bytes, Handler] = {
    b"N": _constant(None),
    b"\x88": _constant(True),
    b"\x89": _constant(False),
    b")": _constant(()),
    b"I": _int,
    b"L": _long,
    b"J": _binint,
    b"K": _unsigned(1),
    b"M": _unsigned(2),
    b"\x8a": _binlong(1),
    b"\x8b": _binlong(4),
    b"F": _float,
    b"G": _binfloat,
    b"V": _unicode,
    b"\x8c": _text(1),
    b"X": _text(4),
    b"\x8d": _text(8),
    b"S": _string,
    b"U": _binstring(1),
    # Its length is signed in the format; a negative one is as absurd as a huge one.
    b"T": _binstring(4),
    b"C": _bytes(1),
    b"B": _bytes(4),
    b"\x8e": _bytes(8),
    # A bytearray: the value is data, and nobody changes it.
    b"\x96": _bytes(8),
}
