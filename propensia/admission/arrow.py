"""Read the texts that pandas keeps in Arrow's own layout, from the buffers that pyarrow pickles.

It must never import pyarrow or pandas, nor believe an offset or a length before it is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from propensia.admission.arrays import Array, objects_from
from propensia.admission.budget import Budget
from propensia.admission.machine import Machine
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal

Args = tuple[object, ...]
_Width = np.dtype[np.signedinteger[Any]]

_RESTORED = ("pyarrow.lib", "_restore_array")
_TYPED = ("pyarrow.lib", "type_for_alias")
_BUFFER = ("pyarrow.lib", "py_buffer")
_ARRAYS = frozenset(
    {
        ("pandas.arrays", "ArrowStringArray"),
        ("pandas.core.arrays.string_arrow", "ArrowStringArray"),
        ("pandas.core.arrays.string_arrow", "ArrowStringArrayNumpySemantics"),
    }
)
CLASSES = _ARRAYS | {_TYPED, _BUFFER}
# What pandas 2.2 to 3.1 put into the state of a text array. An older ``_data`` would be the text.
_STATE = frozenset({"_pa_array", "_dtype", "_cache", "_readonly"})
# The number type of the places where each text begins. Of both byte orders only this one is read:
# pyarrow writes that of the machine, and no machine of today has the other.
_PLACES: dict[str, _Width] = {"string": np.dtype("<i4"), "large_string": np.dtype("<i8")}
# What CPython takes for a text without its letters, and for the numbers that it is cut with.
_TEXT_BYTES, _NODE_BYTES = 160, 260
# One wide letter makes a whole text wide: four bytes a letter, and one while it is still narrow.
_BEYOND_ASCII, _WIDEST_LETTER = 0x80, 5
_MISSING = float("nan")


def labels_of(value: object) -> object:
    """The texts of a pandas text array that keeps Arrow's, as an array; of another thing None."""
    if not isinstance(value, Node) or not isinstance(value.made_by, Global):
        return None
    made_by, state = value.made_by, value.state
    if (made_by.module, made_by.name) not in _ARRAYS or type(state) is not dict:
        return None
    # A text set, or added, afterwards: pandas pickles none so.
    if value.args or value.items or value.entries or not _STATE.issuperset(state):
        return None
    kept = state.get("_pa_array")
    if isinstance(kept, Node) and kept.made_by == Global(*_RESTORED) and len(kept.args) == 1:
        return kept.args[0] if isinstance(kept.args[0], np.ndarray) else None
    return None


def _restored(machine: Machine, args: Args) -> object:
    """A node for ``_restore_array(data)``; where it is of text, its argument is those texts.

    They are read at once, as pyarrow would: the list of buffers could be changed later.
    """
    machine.budget.hold(_NODE_BYTES)
    if len(args) == 1 and type(args[0]) is tuple and len(args[0]) == 7:
        width = _width(args[0][0])
        if width is not None:
            args = (_texts(args[0], width, machine.budget),)
    return Node(Global(*_RESTORED), args)


def _width(kind: object) -> _Width | None:
    """The number type of the offsets of ``type_for_alias(name)``; None unless it is of text."""
    if isinstance(kind, Node) and kind.made_by == Global(*_TYPED) and len(kind.args) == 1:
        name = kind.args[0]
        return _PLACES.get(name) if type(name) is str else None
    return None


def _texts(data: Args, width: _Width, budget: Budget) -> Array | Node:
    """The texts of what ``_reduce_array_data`` wrote (pyarrow's ``array.pxi``); missing are nan.

    The layout is "Variable-size Binary" of Arrow's columnar format: of ``length + 1`` places each
    text ends where the next begins; a bit for each text, the lowest first, is 0 where it is
    missing. All three buffers may begin ``offset`` texts earlier. Errors: ``matriz_imposible``.
    """
    _, length, nulls, offset, buffers, inner, dictionary = data
    if type(length) is not int or type(offset) is not int or type(nulls) is not int:
        raise _strange()
    if length < 0 or offset < 0 or not -1 <= nulls <= length:
        raise _strange()
    if type(buffers) is not list or len(buffers) != 3:
        raise _strange()
    if type(inner) is not list or inner or dictionary is not None:
        raise _strange()
    bits, places, letters = (_raw(buffer) for buffer in buffers)
    if length == 0 and not places:
        # Then even the only place may be left out.
        return objects_from([], (0,), budget)
    if places is None or (offset + length + 1) * width.itemsize > len(places):
        raise _impossible("le faltan posiciones de textos", "it lacks the places of its texts")
    budget.charge((length + 1) * width.itemsize)
    budget.hold(_TEXT_BYTES * length)
    starts = np.frombuffer(places, width, length + 1, offset * width.itemsize)
    present = _present(bits, offset, length, nulls)
    return objects_from(_cut(letters or b"", starts, present, budget), (length,), budget)


def _raw(buffer: object) -> bytes | None:
    """The bytes of ``py_buffer(bytes)``; None, which stands for a buffer left out, is kept."""
    if buffer is None:
        return None
    if isinstance(buffer, Node) and buffer.made_by == Global(*_BUFFER) and len(buffer.args) == 1:
        raw = buffer.args[0]
        if type(raw) is bytes:
            return raw
    raise _strange()


def _present(bits: bytes | None, offset: int, length: int, nulls: int) -> list[bool]:
    """Which texts are not missing; ``nulls`` is how many are, or -1 where nobody counted."""
    if bits is None:
        present = np.ones(length, bool)
    else:
        first, skipped = divmod(offset, 8)
        count = -(-(skipped + length) // 8)
        if first + count > len(bits):
            raise _impossible("no dice qué textos faltan", "it does not say which are missing")
        octets = np.frombuffer(bits, np.uint8, count, first)
        present = np.unpackbits(octets, bitorder="little")[skipped : skipped + length] == 1
    if nulls not in (-1, length - np.count_nonzero(present)):
        raise _impossible("no faltan los textos que dice", "not as many are missing as it says")
    values: list[bool] = present.tolist()
    return values


def _cut(
    letters: bytes,
    starts: np.ndarray[tuple[int], _Width],
    present: list[bool],
    budget: Budget,
) -> list[object]:
    """Each text between two of ``starts``, or nan where it is missing."""
    if starts[0] < 0 or starts[-1] > len(letters) or (starts[1:] < starts[:-1]).any():
        raise _impossible("un texto se sale de sus letras", "a text lies outside its letters")
    first, size = int(starts[0]), int(starts[-1] - starts[0])
    budget.charge(size)
    wide = size and np.frombuffer(letters, np.uint8, size, first).max() >= _BEYOND_ASCII
    budget.hold((_WIDEST_LETTER if wide else 1) * size)
    view, edges = memoryview(letters), starts.tolist()
    try:
        return [
            str(view[edges[place] : edges[place + 1]], "utf-8") if there else _MISSING
            for place, there in enumerate(present)
        ]
    except UnicodeDecodeError:
        raise _impossible("un texto que no es UTF-8", "text that is not UTF-8") from None


def _strange() -> Refusal:
    return _impossible("su estado no es el de pyarrow", "its state is not pyarrow's")


def _impossible(detail: str, detail_en: str) -> Refusal:
    return Refusal("matriz_imposible", detail, detail_en)


HELPERS: dict[tuple[str, str], Callable[[Machine, Args], object]] = {_RESTORED: _restored}
