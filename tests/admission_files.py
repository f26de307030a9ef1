"""Hostile model files written by hand, that any test of admission may drop.

Where ``fires`` says so, loading the file really makes its marker: a test holds that too.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import joblib
import lz4.frame
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from propensia.admission.nodes import Global, walk

# A little assembler for protocol 4


def text(value: str) -> bytes:
    """BINUNICODE."""
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + len(raw).to_bytes(4, "little") + raw


def name(module: str, attribute: str) -> bytes:
    """STACK_GLOBAL."""
    return text(module) + text(attribute) + b"\x93"


def call(module: str, attribute: str, *args: bytes) -> bytes:
    """REDUCE of a name."""
    return name(module, attribute) + b"(" + b"".join(args) + b"tR"


def stream(body: bytes, protocol: int = 4) -> bytes:
    """A whole pickle, without frames."""
    return b"\x80" + bytes([protocol]) + body + b"."


def frame(body: bytes, length: int | None = None) -> bytes:
    """FRAME, with the length of the body unless another is given."""
    return b"\x95" + (len(body) if length is None else length).to_bytes(8, "little") + body


def system(marker: Path) -> bytes:
    """The call that every hostile file is about."""
    return call("os", "system", text(f'echo x > "{marker}"'))


def dumped(value: object, **options: object) -> bytes:
    """A joblib file."""
    file = io.BytesIO()
    joblib.dump(value, file, **options)
    return file.getvalue()


def names_in(value: object) -> set[tuple[str, str]]:
    """Every name that a value read as data holds."""
    return {(item.module, item.name) for item in walk(value) if isinstance(item, Global)}


def good_files() -> dict[str, bytes]:
    """Two fitted models in one list, as each writer writes them, to be cut and changed."""
    random = np.random.default_rng(1)
    features = random.normal(size=(60, 3))
    labels = np.where(features[:, 0] > 0, "sí", "no").astype(object)
    model = [
        DecisionTreeClassifier(max_depth=3).fit(features, labels),
        LogisticRegression().fit(features, labels),
    ]
    files = {f"pickle {protocol}": pickle.dumps(model, protocol) for protocol in (0, 2, 4, 5)}
    for how in (0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 1), ("lzma", 1), ("lz4", 3)):
        files[f"joblib {how}"] = dumped(model, compress=how)
    return files


class Bomb:
    """An object that pickles as a call that makes the marker."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f'echo x > "{self.marker}"',)


def _objects(marker: Path) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    array = np.empty(2, dtype=object)
    array[:] = ["text", Bomb(marker)]
    return array


@dataclass(frozen=True, slots=True)
class Hostile:
    """A file that is no model; ``names`` is what a reader must have named.

    ``fires`` is the library, ``pickle`` or ``joblib``, that runs the call when it loads the file.
    """

    title: str
    build: Callable[[Path], bytes]
    names: str = "system"
    fires: str = ""


_CLASS = name("sklearn.linear_model._logistic", "LogisticRegression")
_STATE = b"}" + text("predict") + b"K\x01s"


def _inst(marker: Path) -> bytes:
    return f"(S'echo x > \"{marker}\"'\nios\nsystem\n.".encode().replace(b"\\", b"\\\\")


HOSTILE = (
    Hostile("call_at_the_start", lambda m: stream(system(m)), fires="pickle"),
    Hostile("call_in_a_list", lambda m: stream(b"](K\x01" + system(m) + b"e"), fires="pickle"),
    Hostile("call_thrown_away", lambda m: stream(system(m) + b"0K\x01"), fires="pickle"),
    Hostile("call_under_a_mark", lambda m: stream(b"(" + system(m) + b"1K\x01"), fires="pickle"),
    Hostile("call_only_in_memo", lambda m: stream(system(m) + b"\x940K\x01"), fires="pickle"),
    Hostile(
        "call_under_a_key_given_twice",
        lambda m: stream(b"}(K\x01" + system(m) + b"K\x01K\x02u"),
        fires="pickle",
    ),
    Hostile(
        "call_as_padding_of_a_list_popped_later",
        lambda m: stream(b"]" + system(m) + b"a0K\x01"),
        fires="pickle",
    ),
    Hostile("name_thrown_away", lambda m: stream(name("antigravity", "fly") + b"0K\x01"), "fly"),
    Hostile("inst", _inst, fires="pickle"),
    Hostile(
        "obj",
        lambda m: stream(b"(" + name("os", "system") + text(f'echo x > "{m}"') + b"o"),
        fires="pickle",
    ),
    Hostile("newobj", lambda m: stream(name("os", "system") + b")\x81")),
    Hostile("newobj_ex", lambda m: stream(name("os", "system") + b")}\x92")),
    Hostile(
        "copyreg_newobj", lambda m: stream(call("copyreg", "__newobj__", name("os", "system")))
    ),
    Hostile(
        "reconstructor",
        lambda m: stream(
            call(
                "copyreg", "_reconstructor", name("os", "system"), name("builtins", "object"), b"N"
            )
        ),
    ),
    Hostile(
        "after_the_first_array",
        lambda m: dumped([np.arange(5.0), Bomb(m), np.arange(3)]),
        fires="joblib",
    ),
    Hostile("in_an_object_array_of_joblib", lambda m: dumped([_objects(m)]), fires="joblib"),
    Hostile("in_an_object_array", lambda m: pickle.dumps(_objects(m), 4), fires="pickle"),
    Hostile("in_zlib", lambda m: zlib.compress(stream(system(m))), fires="joblib"),
    Hostile("in_gzip", lambda m: gzip.compress(stream(system(m))), fires="joblib"),
    Hostile("in_bz2", lambda m: bz2.compress(stream(system(m))), fires="joblib"),
    Hostile("in_xz", lambda m: lzma.compress(stream(system(m))), fires="joblib"),
    Hostile(
        "in_lzma",
        lambda m: lzma.compress(stream(system(m)), format=lzma.FORMAT_ALONE),
        fires="joblib",
    ),
    Hostile("in_lz4", lambda m: lz4.frame.compress(stream(system(m))), fires="joblib"),
    Hostile("protocol_0", lambda m: pickle.dumps(Bomb(m), 0), fires="pickle"),
    Hostile("protocol_2", lambda m: pickle.dumps([Bomb(m)], 2), fires="pickle"),
    Hostile("protocol_5", lambda m: pickle.dumps({"a": Bomb(m)}, 5), fires="pickle"),
    Hostile(
        "result_called",
        lambda m: stream(
            call("operator", "attrgetter", text("system"))
            + b"("
            + name("os", "path")
            + b"tR"
            + text("x")
            + b"\x85R"
        ),
        "llamada",
    ),
    Hostile("build_on_a_class", lambda m: stream(_CLASS + _STATE + b"b"), "LogisticRegression"),
    Hostile("setitem_on_a_class", lambda m: stream(_CLASS + b"K\x01K\x02s"), "LogisticRegression"),
    Hostile("append_on_a_class", lambda m: stream(_CLASS + b"K\x01a"), "LogisticRegression"),
    Hostile("additems_on_a_class", lambda m: stream(_CLASS + b"(K\x01\x90"), "LogisticRegression"),
    Hostile(
        "build_on_what_getattr_gave",
        lambda m: stream(call("builtins", "getattr", _CLASS, text("x")) + _STATE + b"b"),
        "getattr",
    ),
    Hostile("build_on_a_dictionary", lambda m: stream(b"}" + _STATE + b"b"), "dict"),
    Hostile("append_on_a_tuple", lambda m: stream(b")K\x01a"), "tuple"),
    Hostile(
        "two_states", lambda m: stream(_CLASS + b")\x81" + _STATE + b"b" + _STATE + b"b"), "dos"
    ),
    Hostile("call_of_a_value", lambda m: stream(text("x") + b")R"), "llamada"),
    Hostile("name_of_a_number", lambda m: stream(b"K\x01" + text("x") + b"\x93"), "nombre"),
    Hostile("dotted_name", lambda m: stream(name("os", "path.os.system")), "path.os.system"),
    Hostile("dotted_name_of_a_line", lambda m: b"cos\npath.join\n.", "path.join"),
    Hostile(
        "name_that_turns_the_text", lambda m: stream(name("os", "sys\u202emetsys")), "sys\ufffd"
    ),
    Hostile("endless_name", lambda m: stream(name("os", "x" * 5000)), "os.xxx"),
    Hostile(
        "array_of_a_class",
        lambda m: stream(
            call("numpy.core.multiarray", "_reconstruct", name("os", "system"), b")", b"C\x01b")
        ),
    ),
    Hostile("extension_1", lambda m: stream(b"\x82\x01"), "EXT1"),
    Hostile("extension_2", lambda m: stream(b"\x83\x01\x00"), "EXT2"),
    Hostile("extension_4", lambda m: stream(b"\x84\x01\x00\x00\x00"), "EXT4"),
    Hostile("persistent_line", lambda m: b"Pwhatever\n.", "PERSID"),
    Hostile("persistent_value", lambda m: stream(b"K\x01Q"), "BINPERSID"),
    Hostile("buffer", lambda m: stream(b"\x97", 5), "NEXT_BUFFER"),
    Hostile("read_only_buffer", lambda m: stream(b"C\x01x\x98", 5), "READONLY_BUFFER"),
)
