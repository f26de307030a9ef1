"""UBJSON is read as XGBoost writes it, and nothing else in its place ends but in a refusal."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensia.admission.families import ubjson
from propensia.admission.refusal import Refusal

LONG = b"L" + (2).to_bytes(8, "big")

NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(width=32, allow_nan=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(VALUES)
def test_what_was_written_reads_back(value: ubjson.Value) -> None:
    assert ubjson.parse(ubjson.dump(value)) == value


@pytest.mark.parametrize("kind", [">i1", ">u1", ">i2", ">i4", ">i8", ">f4", ">f8"])
def test_a_list_of_one_number_type_is_an_array(kind: str) -> None:
    numbers = np.array([1, 2, 77, 3], kind)
    read = ubjson.parse(ubjson.dump({"a": numbers}))
    assert isinstance(read, dict)
    array = read["a"]
    assert isinstance(array, np.ndarray)
    assert array.dtype == numbers.dtype and array.tolist() == numbers.tolist()


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"{" + LONG + b"abi\x05}", {"ab": 5}),
        (b"[i\x01i\x02]", [1, 2]),
        (b"[#i\x02Ti\xff", [True, -1]),
        (b"{#i\x01i\x01aZ", {"a": None}),
        (b"D\x3f\xf8" + bytes(6), 1.5),
        (b"Si\x02\xc3\xb1", "\N{LATIN SMALL LETTER N WITH TILDE}"),
        (b"[[]{}]", [[], {}]),
    ],
)
def test_each_form_is_read(data: bytes, value: ubjson.Value) -> None:
    """Written out by hand from the grammar at ubjson.org."""
    assert ubjson.parse(data) == value


BROKEN = {
    "nothing": b"",
    "a type that does not exist": b"q",
    "bytes left over": b"TT",
    "a list without an end": b"[i\x01",
    "a text longer than the file": b"SL" + (1 << 62).to_bytes(8, "big") + b"x",
    "a billion numbers declared": b"[$d#L" + (10**9).to_bytes(8, "big"),
    "a billion values declared": b"[#L" + (10**9).to_bytes(8, "big"),
    "a list of nothings of which each takes no byte": b"[$Z#L" + (10**9).to_bytes(8, "big"),
    "a negative length": b"Si\xff",
    "a length that is a number with a point": b"Sd" + bytes(4),
    "a typed list without a length": b"[$di\x01",
    "a key twice": b"{i\x01aTi\x01aT}",
    "a key that is not UTF-8": b"{i\x01\xffT}",
    "a text that is not UTF-8": b"Si\x01\xff",
    "an end where none is": b"]",
    "an object that ends as a list": b"{]",
    "lists within lists": b"[" * 100_000,
    "objects within objects": b"{i\x01a" * 100_000,
    "counted lists within lists": b"[#i\x01" * 100_000,
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_refused_at_once(name: str) -> None:
    began = time.monotonic()
    with pytest.raises(Refusal) as refusal:
        ubjson.parse(BROKEN[name])
    assert refusal.value.code in ("pesos_imposibles", "fichero_incompleto")
    assert time.monotonic() - began < 1


def test_a_crowd_of_tiny_objects_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(Refusal) as refusal:
        ubjson.parse(b"[" + b"{}" * 2_000_000 + b"]")
    assert "más valores" in refusal.value.detail


@settings(deadline=None, max_examples=300)
@given(
    st.binary(max_size=60) | st.lists(st.sampled_from(list(b"{}[]$#iULSdZT\x01\x02a"))).map(bytes)
)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        ubjson.parse(data)
    except Refusal as refusal:
        assert refusal.code in ("pesos_imposibles", "fichero_incompleto")
