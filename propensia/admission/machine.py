"""One pickle stream being read: its bytes, frames, stack, marks and memo.

It must never read past a frame, a budget or the end, nor look up a name.
"""

from __future__ import annotations

from collections.abc import Callable

from propensia.admission.arrays import Unfilled
from propensia.admission.budget import OPERATIONS_LIMIT, Budget
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal, shown

_NAME_LIMIT = 200
_STOP = ord(".")
# More than a whole file may have: no copy that is still running explains such a length.
_ABSURD_BYTES = 1 << 30
# As many zeros as no genuine instruction begins with: a hole that a copy has yet to fill.
_HOLE = bytes(64)

_NOTHING = object()
# What CPython takes for these, with a place for each in what holds it.
_ODD_ENTRY_BYTES, _MARK_BYTES, _PLACE_BYTES, _WAITING_BYTES = 140, 96, 9, 48

# Keys that cannot be made to collide, or not in numbers that matter.
_EASY_KEYS = frozenset({str, bytes, bool, type(None), float, Global, Node})
_KEY_TUPLE_LIMIT = 64
# From here on Python's hash of a whole number wraps, so that equal hashes are easily made.
_HASH_MODULUS = (1 << 61) - 1

Handler = Callable[["Machine"], None]


class Machine:
    """A stream from ``start`` on, read with ``table``: one handler per opcode.

    ``pos`` is the next byte; ``end`` where the current frame, or the data, ends. ``unfilled``
    counts announced arrays and number types that still await their description.
    """

    __slots__ = (
        "budget",
        "data",
        "end",
        "framed",
        "marks",
        "memo",
        "nested",
        "odd_memo",
        "pos",
        "protocol",
        "stack",
        "start",
        "table",
        "unfilled",
    )

    def __init__(
        self,
        data: bytes,
        table: list[Handler],
        budget: Budget,
        start: int = 0,
        *,
        nested: bool = False,
    ) -> None:
        self.data = data
        self.table = table
        self.budget = budget
        self.start = start
        self.nested = nested
        self.pos = start
        self.end = len(data)
        self.framed = False
        self.protocol = 0
        self.stack: list[object] = []
        self.marks: list[list[object]] = []
        # Picklers number their memo from 0 on: a list. Odd numbers of others are kept apart.
        self.memo: list[object] = []
        self.odd_memo: dict[int, object] = {}
        self.unfilled = 0

    def run(self) -> object:
        """The value of the stream; afterwards ``pos`` is just behind its STOP."""
        data, table, budget = self.data, self.table, self.budget
        while True:
            if self.pos >= self.end:
                self._leave_frame()
            opcode = data[self.pos]
            self.pos += 1
            budget.operations -= 1
            if budget.operations < 0:
                raise Refusal(
                    "demasiado_grande",
                    f"tiene más de {OPERATIONS_LIMIT} instrucciones",
                    f"it has more than {OPERATIONS_LIMIT} instructions",
                )
            if opcode == _STOP:
                return self._finish()
            table[opcode](self)

    def _leave_frame(self) -> None:
        if self.end >= len(self.data):
            raise self.incomplete()
        self.end = len(self.data)
        self.framed = False

    def _finish(self) -> object:
        value = self.pop()
        if self.stack or self.marks:
            raise broken("sobran valores al final", "values are left over at the end")
        if self.framed and self.pos != self.end:
            raise broken("su último marco no acaba", "its last frame does not end")
        if self.unfilled or isinstance(value, Unfilled):
            raise broken("deja una matriz sin datos", "it leaves an array without data")
        return value

    # Bytes

    def take(self, length: int) -> bytes:
        """The next ``length`` bytes, all of them inside the current frame."""
        start = self.pos
        stop = start + length
        if stop > self.end:
            raise self.short(length)
        self.pos = stop
        return self.data[start:stop]

    def number(self, width: int) -> int:
        """The next ``width`` bytes as an unsigned little-endian number."""
        return int.from_bytes(self.take(width), "little")

    def line(self) -> bytes:
        """The bytes up to the next line feed, which is taken and left out."""
        start = self.pos
        stop = self.data.find(b"\n", start, self.end)
        if stop < 0:
            raise self.short(len(self.data) + 1 - start if self.end == len(self.data) else 1)
        self.pos = stop + 1
        return self.data[start:stop]

    def short(self, length: int) -> Refusal:
        """Why ``length`` more bytes cannot be had here."""
        if length > max(_ABSURD_BYTES, len(self.data) + 1):
            return Refusal(
                "demasiado_grande",
                f"declara un dato de {length} bytes",
                f"it declares a value of {length} bytes",
            )
        if self.pos + length > len(self.data):
            return self.incomplete()
        return broken(
            "una instrucción se sale de su marco", "an instruction goes beyond its frame"
        )

    def incomplete(self) -> Refusal:
        """The refusal of a stream that the data end before."""
        return Refusal(
            "fichero_incompleto",
            f"se corta tras {len(self.data)} bytes",
            f"it stops after {len(self.data)} bytes",
        )

    def unknown(self) -> Refusal:
        """The refusal of the byte just read, which is no opcode."""
        at = self.pos - 1
        rest = self.data[at : at + len(_HOLE)]
        if rest == _HOLE[: len(rest)]:
            return Refusal(
                "fichero_incompleto", "tiene un hueco de ceros", "it has a hole of zeros"
            )
        return broken(
            f"el byte {self.data[at]:#04x} de la posición {at} no es una instrucción",
            f"byte {self.data[at]:#04x} at position {at} is not an instruction",
        )

    # Values

    def push(self, value: object, size_bytes: int = 8) -> None:
        """Put a value on the stack; ``size_bytes`` is the memory that it takes, its place too."""
        self.budget.hold(size_bytes)
        self.stack.append(value)

    def mark(self) -> None:
        """Put a mark on the stack."""
        self.budget.hold(_MARK_BYTES)
        self.marks.append(self.stack)
        self.stack = []

    def pop(self) -> object:
        """Take the topmost value since the last mark."""
        if not self.stack:
            raise broken("a la pila le faltan valores", "the stack lacks values")
        return self.stack.pop()

    def top(self) -> object:
        """The topmost value since the last mark, left where it is."""
        if not self.stack:
            raise broken("a la pila le faltan valores", "the stack lacks values")
        return self.stack[-1]

    def pop_mark(self) -> list[object]:
        """Take all values since the last mark, and the mark."""
        if not self.marks:
            raise broken("a la pila le falta una marca", "the stack lacks a mark")
        self.budget.memory += _MARK_BYTES
        values = self.stack
        self.stack = self.marks.pop()
        return values

    def remember(self, place: int) -> None:
        """Put the topmost value into the memo."""
        value = self.top()
        self._put(place, value)
        if type(value) is Unfilled:
            self.budget.hold(_WAITING_BYTES)
            value.places.append(place)

    def memoize(self) -> None:
        """Put the topmost value into the memo, in the place that their number gives."""
        self.remember(len(self.memo) + len(self.odd_memo))

    def _put(self, place: int, value: object) -> None:
        if place < len(self.memo):
            self.memo[place] = value
        elif place > len(self.memo):
            self.budget.hold(_ODD_ENTRY_BYTES)
            self.odd_memo[place] = value
        else:
            self.budget.hold(_PLACE_BYTES)
            self.memo.append(value)
            self.odd_memo.pop(place, None)

    def _held(self, place: int) -> object:
        return self.memo[place] if place < len(self.memo) else self.odd_memo.get(place, _NOTHING)

    def recall(self, place: int) -> None:
        """Push what the memo holds at ``place``."""
        value = self._held(place)
        if value is _NOTHING:
            raise broken("usa un dato que no ha guardado", "it uses a value it has not stored")
        self.again(value)

    def again(self, value: object) -> None:
        """Push a value that is already somewhere else."""
        if type(value) is Unfilled:
            raise broken("usa una matriz antes de darla", "it uses an array before giving it")
        self.stack.append(value)

    def fill(self, value: object) -> None:
        """Replace the announced array or number type on top by what it turned out to be."""
        announced = self.stack[-1]
        assert isinstance(announced, Unfilled)
        self.stack[-1] = value
        for place in announced.places:
            # The file may have put something else there since.
            if self._held(place) is announced:
                self._put(place, value)
        self.unfilled -= 1

    def key(self, value: object) -> object:
        """``value`` if it may be a key or a set's member: hashed at once, whoever chose it."""
        kind = type(value)
        if kind in _EASY_KEYS or (type(value) is int and abs(value) < _HASH_MODULUS):
            return value
        self.budget.hard_key()
        if type(value) is int and value.bit_length() <= 64:
            return value
        if type(value) is tuple and len(value) <= _KEY_TUPLE_LIMIT:
            for item in value:
                if type(item) is tuple:
                    break
                self.key(item)
            else:
                return value
        raise forbidden(f"una clave de tipo {kind.__name__}", f"a key of type {kind.__name__}")

    def name(self, module: object, name: object) -> Global:
        """The pair as a name that is never looked up; one object for equal pairs."""
        if type(module) is not str or type(name) is not str:
            raise forbidden("un nombre que no es texto", "a name that is not text")
        # In protocols 0 to 2 Python 3 writes the names of Python 2 (``_compat_pickle.py``).
        if self.protocol < 3:
            name = _RENAMED_TYPES.get((module, name), name)
            module = _RENAMED.get(module, module)
        known = self.budget.names.get((module, name))
        if known is not None:
            return known
        full = f"{module}.{name}"
        proper = len(full) <= _NAME_LIMIT and full.isprintable()
        # A dotted name would reach through one object to another.
        if not proper or not name.isidentifier() or not all(module.split(".")):
            raise Refusal("contenido_no_permitido", f"`{shown(full)}`")
        made = self.budget.names[module, name] = Global(module, name)
        return made

    def nested_value(self) -> object:
        """The value of the whole stream that begins here, which has a stack of its own."""
        inner = Machine(self.data, self.table, self.budget, self.pos, nested=True)
        value = inner.run()
        self.pos = inner.pos
        return value


_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg", "exceptions": "builtins"}
_RENAMED_TYPES = {("__builtin__", "long"): "int", ("__builtin__", "unicode"): "str"}


def broken(detail: str, detail_en: str) -> Refusal:
    """The refusal of bytes that no pickler writes."""
    return Refusal("no_es_un_modelo", detail, detail_en)


def forbidden(detail: str, detail_en: str) -> Refusal:
    """The refusal of content that no model needs."""
    return Refusal("contenido_no_permitido", detail, detail_en)
