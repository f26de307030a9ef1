"""The opcodes that carry a number, text or bytes of their own.

It must never believe a length before the bytes are there, nor read a number of unbounded length.
"""

from __future__ import annotations

import codecs
import re
import struct

from propensia.admission.machine import Handler, Machine, broken
from propensia.admission.refusal import Refusal

_LONG_LIMIT_BYTES = 1024
_DIGITS_LIMIT = 2500
_FLOAT_LIMIT = 64
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
    machine.push(text == b"01" if text in (b"00", b"01") else _whole(text))


def _long(machine: Machine) -> None:
    text = machine.line()
    machine.push(_whole(text[:-1] if text.endswith(b"L") else text))


def _float(machine: Machine) -> None:
    text = machine.line()
    try:
        machine.push(float(text if len(text) <= _FLOAT_LIMIT else b""))
    except ValueError:
        raise broken("un número mal escrito", "a number badly written") from None


def _binfloat(machine: Machine) -> None:
    machine.push(struct.unpack(">d", machine.take(8))[0])


def _unsigned(width: int) -> Handler:
    return lambda machine: machine.push(machine.number(width))


def _binint(machine: Machine) -> None:
    machine.push(int.from_bytes(machine.take(4), "little", signed=True))


def _binlong(width: int) -> Handler:
    def push(machine: Machine) -> None:
        length = machine.number(width)
        if length > _LONG_LIMIT_BYTES:
            raise Refusal(
                "demasiado_grande",
                f"un número entero de {length} bytes",
                f"a whole number of {length} bytes",
            )
        machine.push(int.from_bytes(machine.take(length), "little", signed=True))

    return push


# Text and bytes


def _text(width: int) -> Handler:
    def push(machine: Machine) -> None:
        raw = machine.take(machine.number(width))
        try:
            machine.push(str(raw, "utf-8", "surrogatepass"))
        except UnicodeDecodeError:
            raise broken("un texto que no es UTF-8", "text that is not UTF-8") from None

    return push


def _unicode(machine: Machine) -> None:
    try:
        # Not str(…, "raw-unicode-escape"): that would import the codec's module on first use.
        machine.push(codecs.raw_unicode_escape_decode(machine.line())[0])
    except UnicodeDecodeError:
        raise broken("un texto mal escrito", "text badly written") from None


def _bytes(width: int) -> Handler:
    return lambda machine: machine.push(machine.take(machine.number(width)))


def _python2_text(raw: bytes) -> str | bytes:
    """Python 2 made no difference between text and bytes; what is ASCII is taken for text."""
    return raw.decode("ascii") if raw.isascii() else raw


def _string(machine: Machine) -> None:
    quoted = machine.line()
    if len(quoted) < 2 or quoted[0] != quoted[-1] or quoted[0] not in b"\"'":
        raise broken("un texto sin comillas", "text without quotes")
    machine.push(_python2_text(_ESCAPE.sub(_unescape, quoted[1:-1])))


def _unescape(match: re.Match[bytes]) -> bytes:
    code = match[1]
    if code[:1] == b"x":
        return bytes([int(code[1:], 16)])
    if code.isdigit():
        return bytes([int(code, 8) & 0xFF])
    return bytes([_ESCAPED[code[0]]])


def _binstring(width: int) -> Handler:
    return lambda machine: machine.push(_python2_text(machine.take(machine.number(width))))


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
