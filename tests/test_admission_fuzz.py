"""Whatever the bytes, the reader gives a value or a refusal, and imports nothing."""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import math
import os
import pickle
import struct
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from admission_families import family_files
from admission_files import call, good_files, name, names_in, text
from admission_greedy import described_array, number_type
from hostile import archives
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lengths import steps

from propensia import contract as contracts
from propensia.admission import reader
from propensia.admission.calls import UNDERSTOOD
from propensia.admission.compiler import compile_model
from propensia.admission.listing import describe
from propensia.admission.nodes import Global, Node, walk
from propensia.admission.refusal import Refusal
from propensia.contract import Contract

CONTRACT = contracts.load("cobranza")
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


# Whole models: what was read is compiled too

FAMILIES = family_files()


def _compile_calmly(root: object, contract: Contract) -> None:
    """Either a graph or a refusal; no other exception, and no code of the file's choosing."""
    before = set(sys.modules)
    with warnings.catch_warnings():
        # A number that overflows is no fault: what comes of it is checked.
        warnings.simplefilter("ignore")
        try:
            compile_model(root, contract.column_names, contract.positive, contract.negative)
        except Refusal as refusal:
            assert refusal.text("es") and refusal.text("en")
    new = {module.partition(".")[0] for module in set(sys.modules) - before}
    assert new <= {"numpy", "encodings", "h5py"}


@st.composite
def overwritten(draw: st.DrawFn) -> bytes:
    """The file of a family with a few bytes overwritten, so that its lengths stay right."""
    file = bytearray(FAMILIES[draw(st.sampled_from(list(FAMILIES)))])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(2, len(file) - 9))
        with_bytes = draw(st.binary(min_size=1, max_size=8) | st.sampled_from(NUMBERS))
        file[at : at + len(with_bytes)] = with_bytes
    return bytes(file)


NUMBERS = [
    *(struct.pack("<d", value) for value in (math.nan, math.inf, -math.inf, 1e308, 0.0, -1.0)),
    *(struct.pack("<q", value) for value in (-1, 0, 1 << 40, -(1 << 63))),
    *(struct.pack("<i", value) for value in (-1, 1 << 30)),
    bytes(8),
    b"\xff" * 8,
]


def _read_and_compile_calmly(file: bytes, contract: Contract) -> None:
    try:
        root = reader.read(file)
    except Refusal:
        return
    _compile_calmly(root, contract)


@settings(max_examples=400, deadline=None, database=None, derandomize=True)
@given(overwritten())
def test_a_model_with_other_bytes_is_compiled_or_refused(file: bytes) -> None:
    _read_and_compile_calmly(file, CONTRACT)


Slot = tuple[Callable[[object], None], object]


def _slots(root: object) -> list[Slot]:
    """Everything in a value that can be replaced: how, and by what it is there now."""
    slots: list[Slot] = []
    for item in walk(root):
        if isinstance(item, Node):
            if item.state is not None:
                slots.append((functools.partial(setattr, item, "state"), item.state))
            slots.append((lambda value, node=item: setattr(node, "args", (value,)), item.args))
            slots += [(functools.partial(item.items.__setitem__, n), v)
                      for n, v in enumerate(item.items)]  # fmt: skip
        elif isinstance(item, dict):
            slots += [(functools.partial(item.__setitem__, key), v) for key, v in item.items()]
        elif isinstance(item, list):
            slots += [(functools.partial(item.__setitem__, n), v) for n, v in enumerate(item)]
    return slots


def _odd(draw: st.DrawFn, value: object, others: list[Slot]) -> object:
    """Something that the library would not have put there."""
    if isinstance(value, np.ndarray) and value.size and draw(st.booleans()):
        return draw(st.sampled_from(_odd_arrays(value)))
    if isinstance(value, bytes | str) and value and draw(st.booleans()):
        at = draw(st.integers(0, len(value) - 1))
        piece = draw(st.sampled_from(["", "9" * 30, "nan", "-1", "[", "\n", "\x00", "="]))
        put = piece if isinstance(value, str) else piece.encode()
        return value[:at] + put + value[at + draw(st.integers(0, 4)) :]  # type: ignore[operator]
    if draw(st.booleans()):
        return draw(st.sampled_from(others))[1]
    # A copy: what is put into it next must not be there for the next example.
    return copy.deepcopy(draw(st.sampled_from(ODD_VALUES)))


def _odd_arrays(array: np.ndarray[Any, Any]) -> list[object]:
    odd: list[object] = [array.ravel(), array[None], array.ravel()[:1], array.ravel()[:0]]
    if array.dtype.names is not None:
        for field in array.dtype.names:
            for value in (-1, 0, 1, 255):
                changed = array.copy()
                changed[field][len(array) // 2] = value % 256
                odd.append(changed)
    elif array.dtype.kind in "fiu":
        odd += [np.full_like(array, value) for value in (0, 1, 100)]
        odd += [np.full(array.shape, value) for value in (math.nan, math.inf, -1.0, 1e300)]
        odd += [array.astype(kind) for kind in ("f2", "i1", "?", "U9", ">f8")]
        odd += [np.concatenate([array.ravel(), array.ravel()]), array[..., None]]
    return odd


ODD_VALUES: list[object] = [
    None, True, -1, 0, 1, 7, 10**6, 1 << 62, 1 << 70, 0.5, math.nan, math.inf, -0.0, "", "auto",
    "x" * 300, b"", b"\x00" * 40, (), (1, 2), [], [None], {}, {"a": 1}, {1: 2}, set(),
    np.zeros(0), np.zeros((2, 2)), np.array("a"), np.array(["a", None], dtype=object),
    np.zeros(3, "i4"), np.zeros((1, 1, 1)), np.float64(1).dtype, slice(0, 1), range(10**9),
    complex(1, 1), Global("sklearn.tree._tree", "Tree"), Node(Global("numpy", "ndarray"), ((2,),)),
]  # fmt: skip


@st.composite
def odd_model(draw: st.DrawFn) -> object:
    """What a good file of a family says, with one or two things in it replaced."""
    root = reader.read(FAMILIES[draw(st.sampled_from(list(FAMILIES)))])
    for _ in range(draw(st.integers(1, 2))):
        slots = _slots(root)
        replace, value = draw(st.sampled_from(slots))
        # Some arrays cannot be turned into some others, and some lose by it.
        with contextlib.suppress(ValueError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            replace(_odd(draw, value, slots))
    return root


@settings(max_examples=400, deadline=None, database=None, derandomize=True)
@given(odd_model())
def test_a_model_with_something_odd_in_it_is_compiled_or_refused(root: object) -> None:
    _compile_calmly(root, CONTRACT)


@st.composite
def odd_archive(draw: st.DrawFn) -> bytes:
    """A Keras network in a sound archive, one part of which was changed."""
    title = draw(st.sampled_from(list(archives.PARTS)))
    part = bytearray(archives.PARTS[title])
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(part) - 1))
        length = draw(st.integers(0, 6))
        part[at : at + length] = draw(st.binary(max_size=6) | st.sampled_from(NUMBERS))
    return archives.with_part(title, bytes(part))


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(odd_archive())
def test_a_network_with_other_parts_is_compiled_or_refused(file: bytes) -> None:
    _read_and_compile_calmly(file, CONTRACT)


@pytest.mark.slow
# The text of a failed example may be long; the warning about that would hide the failure.
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@pytest.mark.parametrize(
    ("strategy", "check"),
    [
        (st.binary(max_size=400), _stay_calm),
        (mutated(list(GOOD)), _stay_calm),
        (overwritten(), lambda file: _read_and_compile_calmly(file, CONTRACT)),
        (odd_model(), lambda root: _compile_calmly(root, CONTRACT)),
        (odd_archive(), lambda file: _read_and_compile_calmly(file, CONTRACT)),
    ],
    ids=["bytes", "changed files", "changed models", "odd models", "odd networks"],
)
def test_for_longer_nothing_else_happens(
    strategy: st.SearchStrategy[Any], check: Callable[[Any], None]
) -> None:
    """``FUZZ=100000 pytest -m slow`` tries so many others."""
    fuzz = os.environ.get("FUZZ", "")

    @settings(max_examples=int(fuzz or steps(3_000, 10_000)), deadline=None, database=None,
              derandomize=not fuzz, suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(strategy)
    def run(value: Any) -> None:
        check(value)

    run()
