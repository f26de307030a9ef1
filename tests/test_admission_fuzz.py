"""Whatever the bytes, the reader gives a value or a refusal, and imports nothing."""

from __future__ import annotations

import contextlib
import io
import pickle
import sys
import warnings
from typing import Any

from admission_files import call, good_files, name, names_in, text
from admission_greedy import described_array, number_type
from hypothesis import given, settings
from hypothesis import strategies as st

from propensia.admission import reader
from propensia.admission.calls import UNDERSTOOD
from propensia.admission.listing import describe
from propensia.admission.refusal import Refusal

GOOD = good_files()


def _stay_calm(file: bytes) -> None:
    """Either a value or a refusal; no other exception, no warning, no import."""
    before = set(sys.modules)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            describe(reader.read(file))
        except Refusal as refusal:
            assert refusal.text("es") and refusal.text("en")
    assert set(sys.modules) == before


@settings(max_examples=300, deadline=None, database=None)
@given(st.binary(max_size=200))
def test_random_bytes_give_a_value_or_a_refusal(file: bytes) -> None:
    _stay_calm(file)
    _stay_calm(b"\x80\x04" + file + b".")


OPCODES = [bytes([code]) for code in range(256)]
HELPERS = [
    name("numpy", "dtype"),
    name("numpy", "ndarray"),
    name("numpy.core.multiarray", "_reconstruct"),
    name("numpy._core.multiarray", "scalar"),
    name("numpy._core.numeric", "_frombuffer"),
    name("joblib.numpy_pickle", "NumpyArrayWrapper"),
    name("copyreg", "_reconstructor"),
    name("builtins", "set"),
    name("collections", "OrderedDict"),
    name("_codecs", "encode"),
    call("numpy", "dtype", text("f8")),
]
VALUES = [
    described_array((2,), raw=bytes(16))[2:-1],
    number_type("f4"),
    number_type("O8", "|"),
    *(text(word) for word in ("f8", "V8", "C", "<", "latin1")),
    *(b"N", b")", b"]", b"}", b"(", b"K\x01", b"h\x00", b"\x88", b"C\x08" + bytes(8)),
]
ACTIONS = [bytes([code]) for code in b"Rbtldeuaso012\x81\x85\x86\x87\x90\x91\x92\x93\x94"]
SNIPPETS = [*OPCODES, *HELPERS, *VALUES, b"\xff" * 8, bytes(8)]


@settings(max_examples=600, deadline=None, database=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(HELPERS + VALUES), max_size=5), st.sampled_from(ACTIONS)
        ),
        max_size=8,
    )
)
def test_any_calls_of_any_values_give_a_value_or_a_refusal(
    steps: list[tuple[list[bytes], bytes]],
) -> None:
    body = b"".join(b"".join(values) + action for values, action in steps)
    _stay_calm(b"\x80\x04" + body + b".")
    _stay_calm(b"\x80\x04(" + body + b"t.")


@st.composite
def mutated(draw: st.DrawFn, titles: list[str]) -> bytes:
    """A good file with a few bytes changed, cut out, doubled or put in."""
    file = bytearray(GOOD[draw(st.sampled_from(titles))])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(file) - 1))
        length = draw(st.integers(0, 12))
        with_bytes = draw(
            st.binary(max_size=8) | st.sampled_from(SNIPPETS) | st.just(bytes(file[at : at + 20]))
        )
        file[at : at + length] = with_bytes
    return bytes(file)


@settings(max_examples=500, deadline=None, database=None)
@given(mutated(list(GOOD)))
def test_a_changed_good_file_gives_a_value_or_a_refusal(file: bytes) -> None:
    _stay_calm(file)


class _Anything:
    """Stands for every class and function that CPython's loader would have imported."""

    def __new__(cls, *_args: object, **_options: object) -> _Anything:
        return object.__new__(cls)

    def __init__(self, *_args: object, **_options: object) -> None:
        self.seen = True

    def __setstate__(self, _state: object) -> None:
        pass

    def __setitem__(self, _key: object, _value: object) -> None:
        pass

    def append(self, _value: object) -> None:
        """Accepts as an instance of a list would."""

    def add(self, _value: object) -> None:
        """Accepts as an instance of a set would."""


class _Witness(pickle._Unpickler):  # type: ignore[name-defined, misc]
    """CPython's own loader, that notes every name and imports none."""

    names: set[tuple[str, str]]

    def find_class(self, module: str, name: str) -> type[_Anything]:
        self.names.add((module, name))
        return type("_Made", (_Anything,), {})


def _renamed(pair: tuple[str, str]) -> tuple[str, str]:
    return {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(pair[0], pair[0]), pair[1]


@settings(max_examples=400, deadline=None, database=None)
@given(mutated(["pickle 2", "pickle 4", "pickle 5"]))
def test_what_is_read_names_all_that_cpython_would_import(file: bytes) -> None:
    try:
        ours = names_in(reader.read(file)) | UNDERSTOOD
    except Refusal:
        return
    witness: Any = _Witness(io.BytesIO(file))
    witness.names = set()

    # A stand-in is not everything that a class may be; what was named until then still counts.
    with contextlib.suppress(TypeError, ValueError):
        witness.load()

    assert {_renamed(pair) for pair in witness.names} <= ours
