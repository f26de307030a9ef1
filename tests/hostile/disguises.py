"""The same calls in disguise: look-alike names, odd places, several formats in one file."""

from __future__ import annotations

import gzip
import io
import lzma
import marshal
import pickle
import tarfile
import zipfile
import zlib
from collections.abc import Callable

import lz4.frame
import models_for_tests
import numpy as np
from admission_files import call, name, stream, text
from admission_greedy import number_type, stored_array

from hostile.case import Case, Trap
from hostile.host import around

_ANY = "contenido_no_permitido"
_FOREIGN = ("no_es_un_modelo",)
_LOGISTIC = ("sklearn.linear_model._logistic", "LogisticRegression")
_RECONSTRUCT = "numpy.core.multiarray", "_reconstruct"


def _system(trap: Trap) -> bytes:
    return call("os", "system", text(trap.shell))


def _wide(word: str) -> str:
    """The letters as wide as Chinese ones, which Python's own names take for the usual ones."""
    return "".join(chr(ord(letter) + 0xFEE0) for letter in word)


# A name that is, or looks like, one that a model has: (title, module, name, what must be said)
_LOOK_ALIKES = (
    ("cyrillic_letter_in_the_module", "\N{CYRILLIC SMALL LETTER DZE}klearn.linear_model._logistic",
     "LogisticRegression", "\N{CYRILLIC SMALL LETTER DZE}klearn"),
    ("greek_letter_in_the_class", "sklearn.linear_model._logistic",
     "L\N{GREEK SMALL LETTER OMICRON}gisticRegression", "gisticRegression"),
    ("full_width_letters", _wide("os"), _wide("system"), _wide("system")),
    ("invisible_space", "o\N{ZERO WIDTH SPACE}s", "system", "system"),
    ("invisible_joiner_in_the_class", "sklearn.linear_model._logistic",
     "Logistic\N{ZERO WIDTH JOINER}Regression", "Logistic"),
    ("combining_accent", "os", "syste\N{COMBINING ACUTE ACCENT}m", "syste"),
    ("other_case", "sklearn.linear_model._Logistic", "LogisticRegression", "_Logistic"),
    ("space_behind", "sklearn.linear_model._logistic ", "LogisticRegression", "_logistic "),
    ("line_feed_within", "os\n", "system", "system"),
    ("null_byte_within", "os\0", "system", "system"),
    ("half_of_a_surrogate_pair", "os\ud800", "system", "system"),
    ("no_module", "", "system", "system"),
    ("module_that_begins_with_a_point", ".os", "system", "system"),
    ("module_that_ends_with_a_point", "os.", "system", "system"),
    ("module_with_a_hole", "sklearn..os", "system", "system"),
    ("module_reached_through_a_good_one", "sklearn.utils.os", "system", "system"),
    ("module_reached_through_joblib", "joblib.memory.os", "system", "system"),
    ("name_reached_through_a_good_class", *_LOGISTIC, "__init__"),
    ("name_that_is_no_word", "os", "system()", "system()"),
    ("name_that_is_a_path", "../../evil", "run", "evil"),
    ("name_under_the_main_module", "__main__", "LogisticRegression", "__main__"),
    ("private_helper_of_a_known_module", "sklearn.linear_model._logistic", "Parallel", "Parallel"),
)  # fmt: skip


def _look_alike(title: str, module: str, attribute: str, says: str) -> Case:
    if title == "name_reached_through_a_good_class":
        attribute = f"{attribute}.__init__"
    return Case(title, lambda trap: around(call(module, attribute)), says=says)


# Where in a good model a call may hide: (title, opcodes around it)
_PLACES: dict[str, Callable[[bytes], bytes]] = {
    "in_a_list_in_a_tuple": lambda bad: b"](K\x01" + bad + b"\x85e",
    "as_a_key": lambda bad: b"}" + bad + b"Ns",
    "as_a_member_of_a_set": lambda bad: b"\x8f(" + bad + b"\x90",
    "as_a_member_of_a_frozen_set": lambda bad: b"(" + bad + b"\x91",
    "in_a_key_that_is_a_tuple": lambda bad: b"}" + bad + b"\x85Ns",
    "as_an_argument_of_a_known_class": lambda bad: name(*_LOGISTIC) + bad + b"\x85\x81",
    "as_a_keyword_of_a_known_class": lambda bad: (
        name(*_LOGISTIC) + b")}" + text("C") + bad + b"s\x92"
    ),
    "as_an_attribute_of_a_part": lambda bad: (
        name(*_LOGISTIC) + b")\x81}" + text("C") + bad + b"sb"
    ),
    "as_a_state_of_two_halves": lambda bad: (
        name(*_LOGISTIC) + b")\x81N}" + text("C") + bad + b"s\x86b"
    ),
    "appended_to_a_part": lambda bad: name(*_LOGISTIC) + b")\x81" + bad + b"a",
    "set_by_key_on_a_part": lambda bad: name(*_LOGISTIC) + b")\x81" + text("a") + bad + b"s",
    "as_a_pair_of_an_ordered_dictionary": lambda bad: call(
        "collections", "OrderedDict", b"](" + text("a") + bad + b"\x86e"
    ),
    "in_a_masked_array": lambda bad: call("numpy.ma.core", "_mareconstruct", bad),
    "as_the_name_of_an_index": lambda bad: call(
        "pandas.core.indexes.base",
        "_new_Index",
        name("pandas", "Index"),
        b"}(" + text("name") + bad + text("data") + stored_list() + b"u",
    ),
    "as_what_getattr_looks_into": lambda bad: call(
        "builtins", "getattr", bad, text("_unpickle_model")
    ),
}
# Where the reader refuses whatever is not plain data, before it looks for names.
_STRICT: dict[str, Callable[[bytes], bytes]] = {
    "as_the_end_of_a_slice": lambda bad: call("builtins", "slice", b"N", bad, b"N"),
    "as_the_end_of_a_range": lambda bad: call("builtins", "range", b"K\x00", bad, b"K\x01"),
    "as_part_of_a_complex_number": lambda bad: call("builtins", "complex", bad, bad),
    "as_bytes_to_encode": lambda bad: call("_codecs", "encode", bad, text("latin1")),
    "as_a_number_type": lambda bad: call("numpy", "dtype", bad, b"\x89", b"\x88"),
    "as_the_bytes_of_a_number": lambda bad: call(
        "numpy.core.multiarray", "scalar", number_type("f8"), bad
    ),
    "as_the_bytes_of_an_array": lambda bad: (
        call(*_RECONSTRUCT, name("numpy", "ndarray"), b"K\x00\x85", b"C\x01b")
        + b"(K\x01K\x01\x85" + number_type("f8") + b"\x89" + bad + b"tb"
    ),
    "as_the_shape_of_an_array": lambda bad: (
        call(*_RECONSTRUCT, name("numpy", "ndarray"), b"K\x00\x85", b"C\x01b")
        + b"(K\x01" + bad + number_type("f8") + b"\x89C\x08" + bytes(8) + b"tb"
    ),
    "as_the_factory_of_a_default_dictionary": lambda bad: call(
        "collections", "defaultdict", bad
    ),
    "as_the_elements_of_a_set": lambda bad: call("builtins", "set", bad),
    "as_the_class_of_an_object": lambda bad: bad + b")\x81",
    "as_the_base_of_an_object": lambda bad: call(
        "copyreg", "_reconstructor", name(*_LOGISTIC), bad, b"N"
    ),
}  # fmt: skip


def stored_list() -> bytes:
    """An object array of one text, as numpy pickles it."""
    return (
        call(*_RECONSTRUCT, name("numpy", "ndarray"), b"K\x00\x85", b"C\x01b")
        + b"(K\x01K\x01\x85" + number_type("O8", "|") + b"\x89](" + text("a") + b"etb"
    )  # fmt: skip


def _placed(title: str, wrap: Callable[[bytes], bytes]) -> Case:
    return Case(title, lambda trap: around(wrap(_system(trap))), says="system")


def _strict(title: str, wrap: Callable[[bytes], bytes]) -> Case:
    codes = (_ANY, "no_es_un_modelo", "matriz_imposible")
    return Case(title, lambda trap: around(wrap(_system(trap))), codes)


# Several formats in one file, and files of another kind


def _good() -> bytes:
    return pickle.dumps(models_for_tests.logistic(), 4)


def _zip(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("__main__.py", content)
    return file.getvalue()


def _tar(content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("../../evil.pkl")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def _npy(value: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([value], dtype=object), allow_pickle=True)
    return file.getvalue()


def _hostile(trap: Trap) -> bytes:
    return stream(_system(trap))


_OTHER_FILES: dict[str, Callable[[Trap], bytes]] = {
    "good_model_and_a_call_behind_it": lambda trap: _good() + _hostile(trap),
    "call_and_a_good_model_behind_it": lambda trap: _hostile(trap) + _good(),
    "good_model_and_a_program_in_a_zip": lambda trap: _good() + _zip(trap.python.encode()),
    "program_in_a_zip": lambda trap: _zip(trap.python.encode()),
    "two_gzip_members": lambda trap: gzip.compress(_good()) + gzip.compress(_hostile(trap)),
    "two_xz_streams": lambda trap: lzma.compress(_good()) + lzma.compress(_hostile(trap)),
    "two_lz4_frames": lambda trap: (
        lz4.frame.compress(_good()) + lz4.frame.compress(_hostile(trap))
    ),
    "zlib_and_a_call_behind_it": lambda trap: zlib.compress(_good()) + _hostile(trap),
    "zlib_within_zlib": lambda trap: zlib.compress(zlib.compress(_hostile(trap))),
    "shell_script": lambda trap: b"#!/bin/sh\n" + trap.shell.encode(),
    "python_program": lambda trap: trap.python.encode(),
    "compiled_python": lambda trap: bytes(16) + marshal.dumps(compile(trap.python, "x", "eval")),
    "windows_program": lambda trap: b"MZ\x90\x00" + bytes(60),
    "linux_program": lambda trap: b"\x7fELF\x02\x01\x01" + bytes(60),
    "web_page": lambda trap: b"<script>fetch('" + trap.url.encode() + b"')</script>",
    "xml_with_entities": lambda trap: (
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "' + trap.url.encode() + b'">]>'
    ),
    "yaml_with_a_call": lambda trap: b"!!python/object/apply:os.system ['" + trap.shell.encode(),
    "json": lambda trap: b'{"py/reduce": [{"py/function": "os.system"}]}',
    "numpy_file_of_objects": lambda trap: _npy(trap.shell),
    "tar_archive": lambda trap: _tar(_hostile(trap)),
    "hdf5_file": lambda trap: b"\x89HDF\r\n\x1a\n" + bytes(64),
    "picture": lambda trap: b"\x89PNG\r\n\x1a\n" + bytes(16) + _hostile(trap),
    "portable_document": lambda trap: b"%PDF-1.7 /JavaScript (app.launchURL)",
    "spreadsheet": lambda trap: b"er;po;vt\n=cmd|' /C calc'!A0;NO;S\n",
    "sqlite_database": lambda trap: b"SQLite format 3\0" + bytes(84),
    "protocol_announced_twice": lambda trap: b"\x80\x04\x80\x04" + _system(trap) + b".",
}  # fmt: skip


def _foreign(title: str, build: Callable[[Trap], bytes]) -> Case:
    # Zeros at the end may be the rest of a copy under way.
    return Case(title, build, (*_FOREIGN, "fichero_incompleto", "contenido_no_permitido"))


_ODD: tuple[Case, ...] = (
    Case("module_written_as_bytes", lambda trap: around(b"C\x02os" + text("system") + b"\x93")),
    Case(
        "name_written_by_python_2",
        lambda trap: around(b"U\x02osU\x06system\x93" + text(trap.shell) + b"\x85R"),
        says="system",
    ),
    Case(
        "names_that_protocol_2_renames",
        lambda trap: around(b"c__builtin__\neval\n" + text(trap.python) + b"\x85R"),
        says="builtins.eval",
    ),
    Case(
        "call_kept_in_a_far_memo",
        lambda trap: around(_system(trap) + b"r\xff\xff\xff\x7f0N"),
        says="system",
    ),
    Case(
        "call_of_what_a_call_of_a_call_gave",
        lambda trap: around(
            call("builtins", "getattr", name("os", "path"), text("x")) + b")R)R)R"
        ),
    ),
    Case(
        "method_of_a_network_that_is_not_its_loader",
        lambda trap: stream(
            call("builtins", "getattr", name("keras.src.models.model", "Model"), text("load"))
            + text(str(trap.marker)) + b"\x85R"
        ),
        says="load",
    ),
    Case(
        "default_dictionary_of_calls",
        lambda trap: around(call("collections", "defaultdict", name("os", "system"))),
        says="system",
    ),
    Case(
        "index_of_another_class",
        lambda trap: around(
            call("pandas.core.indexes.base", "_new_Index", name("os", "system"), b"}")
        ),
        says="_new_Index",
    ),
    Case(
        "call_as_labels_of_an_index",
        lambda trap: around(
            call(
                "pandas.core.indexes.base",
                "_new_Index",
                name("pandas", "Index"),
                b"}(" + text("name") + b"N" + text("data") + _system(trap) + b"u",
            )
        ),
        says="_new_Index",
    ),
    Case(
        "class_of_the_model_changed_by_its_state",
        lambda trap: around(name(*_LOGISTIC) + b"}" + text("predict") + b"Nsb"),
        says="LogisticRegression",
    ),
    Case(
        "class_of_a_stored_array",
        lambda trap: stored_array(subclass=name("subprocess", "Popen")),
        says="Popen",
    ),
    Case(
        "array_in_files_beside_it",
        lambda trap: stream(
            name("joblib.numpy_pickle_compat", "ZNDArrayWrapper")
            + b")\x81}" + text("filename") + text("/etc/passwd") + b"sb"
        ),
        ("formato_no_admitido",),
        ".npy",
    ),
)  # fmt: skip

CASES: tuple[Case, ...] = (
    *(_look_alike(*row) for row in _LOOK_ALIKES),
    *(_placed(title, wrap) for title, wrap in _PLACES.items()),
    *(_strict(title, wrap) for title, wrap in _STRICT.items()),
    *(_foreign(title, build) for title, build in _OTHER_FILES.items()),
    *_ODD,
)
