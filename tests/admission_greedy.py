"""Model files written by hand that declare, nest or repeat more than they have a right to."""

from __future__ import annotations

import bz2
import gzip
import lzma
import pickle
import zlib
from collections.abc import Callable

import lz4.frame
import numpy as np
from admission_files import call, frame, name, stream, text
from sklearn.linear_model import LogisticRegression

_CLASS = name("sklearn.linear_model._logistic", "LogisticRegression")
_EXABYTE = (1 << 60).to_bytes(8, "little")
_TRILLION = b"\x8a\x08" + (10**12).to_bytes(8, "little")


def number_type(spec: str, order: str = "<") -> bytes:
    """A numpy dtype, as numpy writes it."""
    state = b"(K\x03" + text(order) + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    return call("numpy", "dtype", text(spec), b"\x89", b"\x88") + state


def described_array(shape: object, spec: str = "f8", raw: bytes = bytes(8)) -> bytes:
    """A pickle of one array as numpy writes it, whatever its shape claims."""
    empty = call(
        "numpy.core.multiarray", "_reconstruct", name("numpy", "ndarray"), b"K\x00\x85", b"C\x01b"
    )
    data = b"B" + len(raw).to_bytes(4, "little") + raw
    shape_opcodes = pickle.dumps(shape, 2)[2:-1]
    return stream(empty + b"(K\x01" + shape_opcodes + number_type(spec) + b"\x89" + data + b"tb")


def stored_array(**changes: bytes) -> bytes:
    """A joblib file of one array, described as joblib does but for ``changes``, in opcodes."""
    parts = {
        "subclass": name("numpy", "ndarray"),
        "shape": b"K\x02\x85",
        "order": text("C"),
        "dtype": number_type("f8"),
        "allow_mmap": b"\x88",
    } | changes
    state = b"}(" + b"".join(text(key) + part for key, part in parts.items()) + b"u"
    wrapper = name("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81" + state + b"b"
    return stream(wrapper + np.arange(2.0).tobytes())


def _bomb() -> bytes:
    return stream(b"B" + (32 << 20).to_bytes(4, "little") + bytes(32 << 20))


def _swapped_many_times() -> bytes:
    raw = b"B" + (240_000).to_bytes(4, "little") + bytes(240_000)
    once = b"h\x00(h\x01h\x02M\x30\x75\x85" + text("C") + b"tR"
    return stream(
        b"".join(
            part + b"\x940"
            for part in (name("numpy.core.numeric", "_frombuffer"), raw, number_type("f8", ">"))
        )
        + b"]("
        + once * 100
        + b"e"
    )


def _many_sets_of_one_list() -> bytes:
    listed = b"](" + b"K\x01" * 9000 + b"e\x940" + name("builtins", "set") + b"\x940"
    return stream(listed + b"](" + b"h\x01h\x00\x85R" * 2000 + b"e")


def _wide_letter() -> bytes:
    """One letter of four bytes makes CPython take four for each of the others."""
    raw = "\N{BEAR FACE}".encode() + b"x" * (120 << 20)
    return stream(b"X" + len(raw).to_bytes(4, "little") + raw)


def _copied_arguments() -> bytes:
    """Keywords make a new tuple of arguments, each time as long as the one in the memo."""
    arguments = b"(" + b"N" * 100_000 + b"t\x940"
    keywords = b"}K\x01Ns\x940"
    return stream(
        _CLASS + b"\x940" + arguments + keywords + b"](" + b"h\0h\1h\2\x92" * 9000 + b"e"
    )


def _cut_arguments() -> bytes:
    arguments = b"(" + _CLASS + b"N" * 100_000 + b"t\x940"
    maker = name("copyreg", "__newobj__") + b"\x940"
    return stream(maker + arguments + b"](" + b"h\0h\1R" * 9000 + b"e")


def _billion_laughs() -> bytes:
    """A list of twice a list of twice a list, 1,000 times over: 2**1000 numbers to who counts."""
    doubled = b"".join(
        b"\x940](" + 2 * (b"j" + level.to_bytes(4, "little")) + b"e" for level in range(1000)
    )
    return stream(b"](K\x01K\x01e" + doubled)


def _compound_keys() -> bytes:
    keys = b"".join(b"M" + number.to_bytes(2, "little") + b"\x85N" for number in range(3000))
    return stream(b"}(" + keys + b"u")


def _records(fields: bytes, names: bytes) -> bytes:
    state = b"(K\x03" + text("|") + b"N" + names + fields + b"K\x08K\x01K\x00tb"
    return stream(call("numpy", "dtype", text("V8"), b"\x89", b"\x88") + state)


# title: how to make it, and the code of the refusal
GREEDY: dict[str, tuple[Callable[[], bytes], str]] = {
    "bytes_of_an_exabyte": (lambda: stream(b"\x8e" + _EXABYTE), "demasiado_grande"),
    "bytearray_of_an_exabyte": (lambda: stream(b"\x96" + _EXABYTE, 5), "demasiado_grande"),
    "text_of_an_exabyte": (lambda: stream(b"\x8d" + _EXABYTE), "demasiado_grande"),
    "frame_of_an_exabyte": (lambda: stream(frame(b"N", 1 << 60)), "demasiado_grande"),
    "bytes_that_may_still_come": (
        lambda: stream(b"B" + (1 << 29).to_bytes(4, "little")),
        "fichero_incompleto",
    ),
    "whole_number_of_a_gigabyte": (
        lambda: stream(b"\x8b" + (1 << 30).to_bytes(4, "little")),
        "demasiado_grande",
    ),
    "whole_number_of_negative_length": (
        lambda: stream(b"\x8b\xff\xff\xff\xff"),
        "demasiado_grande",
    ),
    "million_digits": (lambda: b"L" + b"9" * 1_000_000 + b"L\n.", "no_es_un_modelo"),
    "million_operations_times_five": (
        lambda: stream(b"N0" * 2_500_000 + b"N"),
        "demasiado_grande",
    ),
    "array_of_a_trillion": (lambda: described_array((10**12,)), "matriz_imposible"),
    "array_whose_sides_overflow": (lambda: described_array((2**32, 2**32)), "matriz_imposible"),
    "array_of_a_negative_side": (lambda: described_array((-1,)), "matriz_imposible"),
    "array_of_a_true_side": (lambda: described_array((True,)), "matriz_imposible"),
    "array_empty_and_huge": (
        lambda: described_array((0, 10**12), raw=b""),
        "matriz_imposible",
    ),
    "array_of_100_dimensions": (lambda: described_array((1,) * 100), "matriz_imposible"),
    "array_of_letters_of_no_size": (
        lambda: described_array((10**9,), "U0", b""),
        "contenido_no_permitido",
    ),
    "array_of_impossible_letters": (
        lambda: described_array((2,), "U1", b"\xff" * 8),
        "matriz_imposible",
    ),
    "array_of_impossible_truth": (
        lambda: described_array((8,), "b1", b"\x02" * 8),
        "matriz_imposible",
    ),
    "array_of_dates": (lambda: described_array((1,), "M8"), "contenido_no_permitido"),
    "array_of_complex_numbers": (lambda: described_array((1,), "c8"), "contenido_no_permitido"),
    "array_of_long_doubles": (lambda: described_array((1,), "f16"), "contenido_no_permitido"),
    "array_of_nothing": (lambda: described_array((1,), "V8"), "contenido_no_permitido"),
    "array_left_without_data": (
        lambda: stream(
            call(
                "numpy.core.multiarray", "_reconstruct", name("numpy", "ndarray"), b")", b"C\x01b"
            )
        ),
        "no_es_un_modelo",
    ),
    "number_type_used_before_it_is_given": (
        lambda: stream(b"](" + call("numpy", "dtype", text("f8")) + b"\x94h\x00e"),
        "no_es_un_modelo",
    ),
    "record_whose_field_lies_outside": (
        lambda: _records(
            b"}" + text("a") + number_type("f8") + b"K\x01\x86s", text("a") + b"\x85"
        ),
        "matriz_imposible",
    ),
    "record_of_objects": (
        lambda: _records(
            b"}" + text("a") + number_type("O8", "|") + b"K\x00\x86s", text("a") + b"\x85"
        ),
        "contenido_no_permitido",
    ),
    "record_named_by_lists": (lambda: _records(b"}", b"]\x85"), "contenido_no_permitido"),
    "number_type_whose_byte_order_is_an_array": (
        lambda: stream(number_type("f8").replace(text("<"), described_array((1,))[2:-1])),
        "contenido_no_permitido",
    ),
    "array_whose_order_is_an_array": (
        lambda: stored_array(order=described_array((2,), raw=bytes(16))[2:-1]),
        "matriz_imposible",
    ),
    "array_forged_without_data": (
        lambda: (
            stored_array(dtype=number_type("O8", "|"))[:-17]
            + stream(name("numpy", "ndarray") + b")\x81")
            + b"."
        ),
        "contenido_no_permitido",
    ),
    "array_of_objects_that_grows": (
        lambda: pickle.dumps(np.array([LogisticRegression()], dtype=object), 2)[:-1] + b"Na.",
        "contenido_no_permitido",
    ),
    "stored_array_of_a_trillion": (
        lambda: stored_array(shape=_TRILLION + b"\x85"),
        "demasiado_grande",
    ),
    "stored_array_of_a_million": (
        lambda: stored_array(shape=b"J@B\x0f\x00\x85"),
        "fichero_incompleto",
    ),
    "stored_array_of_odd_order": (lambda: stored_array(order=text("Z")), "matriz_imposible"),
    "stored_array_of_odd_class": (
        lambda: stored_array(subclass=name("os", "system")),
        "contenido_no_permitido",
    ),
    "stored_array_with_an_extra": (lambda: stored_array(extra=b"N"), "no_es_un_modelo"),
    "stored_array_of_damaged_padding": (
        lambda: stored_array(numpy_array_alignment_bytes=b"K\x10")[:-17] + b"\x02\xff\x00.",
        "no_es_un_modelo",
    ),
    "stored_array_in_a_frame": (
        lambda: b"\x80\x04" + frame(stored_array()[2:]),
        "no_es_un_modelo",
    ),
    "zlib_bomb": (lambda: zlib.compress(_bomb()), "demasiado_grande"),
    "gzip_bomb": (lambda: gzip.compress(_bomb()), "demasiado_grande"),
    "bz2_bomb": (lambda: bz2.compress(_bomb()), "demasiado_grande"),
    "xz_bomb": (lambda: lzma.compress(_bomb(), preset=0), "demasiado_grande"),
    "lz4_bomb": (lambda: lz4.frame.compress(_bomb()), "demasiado_grande"),
    "lz4_that_declares_an_exabyte": (
        # As a frame says how much it holds, and holds almost nothing.
        lambda: lz4.frame.compress(stream(b"N")).replace((4).to_bytes(8, "little"), _EXABYTE, 1),
        "no_es_un_modelo",
    ),
    "sets_without_end": (
        lambda: stream(b"](" + b"\x8f" * 1_000_000 + b"e"),
        "demasiado_grande",
    ),
    "marks_without_end": (lambda: stream(b"(" * 2_300_000), "demasiado_grande"),
    "one_wide_letter_in_a_long_text": (_wide_letter, "demasiado_grande"),
    "arguments_copied_many_times": (_copied_arguments, "demasiado_grande"),
    "arguments_cut_many_times": (_cut_arguments, "demasiado_grande"),
    "one_list_as_many_sets": (_many_sets_of_one_list, "demasiado_grande"),
    "one_array_swapped_many_times": (_swapped_many_times, "demasiado_grande"),
    "compound_keys": (_compound_keys, "demasiado_grande"),
    "key_made_to_collide": (
        lambda: stream(b"}\x8a\x0a" + (99 * ((1 << 61) - 1)).to_bytes(10, "little") + b"Ns"),
        "contenido_no_permitido",
    ),
    "key_of_a_deep_tuple": (
        lambda: stream(b"}N" + b"\x85" * 100_000 + b"Ns"),
        "contenido_no_permitido",
    ),
    "set_of_lists": (lambda: stream(b"\x8f(]\x90"), "contenido_no_permitido"),
    "pickle_in_a_pickle_in_a_pickle": (
        lambda: (
            stored_array(dtype=number_type("O8", "|"))[:-17]
            + stored_array(dtype=number_type("O8", "|"))
            + b"."
        ),
        "contenido_no_permitido",
    ),
}

# No fault of theirs: these are read, without recursion, and let go again.
DEEP: dict[str, Callable[[], bytes]] = {
    "billion_laughs": _billion_laughs,
    "lists": lambda: stream(b"]" * 200_000 + b"a" * 199_999),
    "tuples": lambda: stream(b")" + b"\x85" * 200_000),
    "dictionaries": lambda: stream(b"}" + b"K\x01}" * 100_000 + b"s" * 100_000),
    "arguments": lambda: stream(
        _CLASS + b"\x94" + b"h\x00" * 100_000 + b")\x81" + b"\x85\x81" * 100_000
    ),
}
