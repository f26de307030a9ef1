"""A model file read as data says what the library that wrote it says."""

from __future__ import annotations

import collections
import contextlib
import functools
import io
import pickle
import pickletools
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from admission_files import name, text
from admission_greedy import number_type
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, StandardScaler

from propensia.admission import reader
from propensia.admission.budget import Budget
from propensia.admission.container import unpack
from propensia.admission.listing import describe
from propensia.admission.machine import Machine
from propensia.admission.nodes import Global, Node, walk
from propensia.admission.opcodes import TABLE
from propensia.admission.refusal import Refusal

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
COMPRESSIONS: list[Any] = [
    0,
    ("zlib", 3),
    ("gzip", 3),
    ("bz2", 3),
    ("xz", 1),
    ("lzma", 1),
    ("lz4", 3),
]


def joblib_file(value: object, **options: Any) -> bytes:
    file = io.BytesIO()
    joblib.dump(value, file, **options)
    return file.getvalue()


def every_file(value: object) -> dict[str, bytes]:
    """The value as each writer writes it: pickle's in C, and joblib's, which is in Python."""
    files = {f"pickle {protocol}": pickle.dumps(value, protocol) for protocol in PROTOCOLS}
    for protocol in PROTOCOLS:
        files[f"joblib {protocol}"] = joblib_file(value, protocol=protocol)
    files |= {f"joblib {how}": joblib_file(value, compress=how) for how in COMPRESSIONS}
    return files


@pytest.fixture(scope="module")
def data() -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(400, 4)), columns=["uno", "dos", "tres", "cañón"])
    return frame, np.asarray(frame.uno + random.normal(size=400) > 0, dtype=int)


def nodes_named(value: object, name: str) -> list[Node]:
    return [item for item in walk(value) if isinstance(item, Node) and item.name == name]


def test_a_forest_is_the_same_from_every_writer(data: Any) -> None:
    forest = RandomForestClassifier(3, max_depth=5, random_state=1).fit(*data)

    for title, file in every_file(forest).items():
        read = reader.read(file)
        assert isinstance(read, Node), title
        assert read.name == "sklearn.ensemble._forest.RandomForestClassifier"
        assert read.attributes()["feature_names_in_"].tolist() == list(data[0].columns)
        trees = read.attributes()["estimators_"]
        assert isinstance(trees, list) and len(trees) == 3
        for tree, original in zip(trees, forest.estimators_, strict=True):
            inner = tree.attributes()["tree_"]
            state = original.tree_.__getstate__()
            assert inner.name == "sklearn.tree._tree.Tree"
            assert inner.state["nodes"].dtype == state["nodes"].dtype, title
            assert inner.state["nodes"].tobytes() == state["nodes"].tobytes()
            np.testing.assert_array_equal(inner.state["values"], state["values"])


def test_a_pipeline_and_its_coefficients_are_the_same_from_every_writer(data: Any) -> None:
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(*data)

    for title, file in every_file(pipeline).items():
        read = reader.read(file)
        assert isinstance(read, Node) and read.name == "sklearn.pipeline.Pipeline", title
        (_, scaler), (_, logistic) = read.attributes()["steps"]
        np.testing.assert_array_equal(scaler.attributes()["mean_"], pipeline[0].mean_)
        np.testing.assert_array_equal(logistic.attributes()["coef_"], pipeline[1].coef_)
        np.testing.assert_array_equal(logistic.attributes()["classes_"], [0, 1])


def test_the_trees_of_gradient_boosting_are_found_in_their_object_array(data: Any) -> None:
    boosted = GradientBoostingClassifier(n_estimators=3, max_depth=2).fit(*data)

    for title, file in every_file(boosted).items():
        estimators = reader.read(file).attributes()["estimators_"]
        assert isinstance(estimators, Node), title
        assert estimators.name == "numpy.ndarray" and estimators.args == ((3, 1),)
        for tree, original in zip(estimators.items, boosted.estimators_.ravel(), strict=True):
            values = tree.attributes()["tree_"].state["values"]
            np.testing.assert_array_equal(values, original.tree_.value)


def test_a_grid_search_with_its_masked_results_is_read(data: Any) -> None:
    """Its tried values are object arrays, here of dictionaries."""
    tried = {"C": [0.1, 1.0], "class_weight": [None, {0: 1, 1: 2}]}
    search = GridSearchCV(LogisticRegression(), tried, cv=2).fit(*data)

    for title, file in every_file(search).items():
        read = reader.read(file)
        assert read.attributes()["best_params_"] == search.best_params_, title
        best = read.attributes()["best_estimator_"]
        np.testing.assert_array_equal(best.attributes()["coef_"], search.best_estimator_.coef_)


def test_an_object_array_of_arrays_is_a_node_that_lists_them(data: Any) -> None:
    bins = KBinsDiscretizer(n_bins=3, strategy="uniform").fit(data[0])

    for title, file in every_file(bins).items():
        edges = reader.read(file).attributes()["bin_edges_"]
        assert edges.name == "numpy.ndarray" and edges.args == ((4,),), title
        for read, original in zip(edges.items, bins.bin_edges_, strict=True):
            np.testing.assert_array_equal(read, original)


ALIGNED = np.dtype([("left", "i8"), ("go", "u1"), ("at", "f8"), ("word", "U2")], align=True)
ARRAYS = [
    *(
        np.arange(12).reshape(3, 4).astype(kind)
        for kind in ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
    ),
    *(np.linspace(-1, 1, 12).reshape(3, 4).astype(kind) for kind in ("f2", "f4", "f8", ">f4")),
    np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
    np.arange(24)[::2],
    np.array(["a", "ñandú", ""]),
    np.array(["a", "ñandú"]).astype(">U5"),
    np.array([b"a", b"bcd"]),
    np.array(3.5),
    np.empty((0, 4)),
    np.array([np.nan, np.inf, -0.0]),
    np.array([(1, 2, 0.5, "ab"), (3, 4, np.inf, "ñ")], dtype=ALIGNED),
    np.array(["a", None, 1.5, True, 2**70, b"x"], dtype=object),
    np.asfortranarray(np.array([["a", "b", "c"], ["d", "e", "f"]], dtype=object)),
    np.array(None, dtype=object),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype.str}{array.shape}")
def test_an_array_is_the_same_from_every_writer(array: np.ndarray[Any, Any]) -> None:
    for title, file in every_file([array, "behind", array.T, {"once more": array}]).items():
        first, behind, turned, again = reader.read(file)
        assert behind == "behind", title
        for read, original in ((first, array), (turned, array.T), (again["once more"], array)):
            assert read.dtype == original.dtype.newbyteorder("="), title
            np.testing.assert_array_equal(read, original, err_msg=title)
            assert not read.flags.writeable


def test_a_shared_array_stays_shared() -> None:
    array = np.arange(3.0)

    first, second = reader.read(pickle.dumps([array, array]))

    assert first is second


def test_scalars_and_number_types_come_as_plain_values() -> None:
    scalars = [np.float32(0.1), np.float64(0.1), np.int64(-3), np.bool_(True), np.str_("ñ")]
    types = [np.dtype("f4"), np.dtype("U3"), np.dtype("O"), ALIGNED]

    for title, file in every_file([scalars, types]).items():
        read, read_types = reader.read(file)
        assert read == [scalar.item() for scalar in scalars], title
        assert [type(value) for value in read] == [float, float, int, bool, str], title
        assert read_types == types, title


def test_an_array_is_a_view_of_the_file_and_not_a_copy() -> None:
    file = joblib_file(np.arange(1000.0))

    read = reader.read(file)

    assert np.shares_memory(read, np.frombuffer(file, dtype=np.uint8))


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**2100), 2**2100)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=()), max_size=30)
    | st.binary(max_size=300)
    | st.binary(max_size=20).map(bytearray)
    | st.complex_numbers(allow_nan=False)
    | st.builds(slice, st.integers(), st.none(), st.integers()),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.lists(inner, max_size=6).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers(-9, 9), inner, max_size=6)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3).map(collections.OrderedDict)
        | st.sets(st.integers(-9, 99) | st.text(max_size=3) | st.tuples(st.integers(0, 9)))
        | st.frozensets(st.floats(allow_nan=False) | st.binary(max_size=3))
    ),
    max_leaves=25,
)


@settings(max_examples=150, deadline=None, database=None)
@given(PLAIN, st.sampled_from(PROTOCOLS))
def test_plain_data_equal_what_pickle_loads(value: object, protocol: int) -> None:
    for file in (pickle.dumps(value, protocol), pickle._dumps(value, protocol)):  # type: ignore[attr-defined]
        assert reader.read(file) == pickle.loads(file)


def test_what_python_2_wrote_is_read() -> None:
    file = b"(dp0\nS'a\\n\\x41\\'b'\np1\nL5L\nsS'\\xff'\np2\nI01\ns."

    assert reader.read(file) == {"a\nA'b": 5, b"\xff": True}
    assert pickle.loads(file, encoding="latin-1") == {"a\nA'b": 5, "\xff": True}


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_types_under_the_names_of_python_2_are_those_of_python_3(protocol: int) -> None:
    file = pickle.dumps([int, str, Pipeline], protocol)
    assert b"__builtin__\nlong" in file and b"__builtin__\nunicode" in file
    pipeline = Global("sklearn.pipeline", "Pipeline")
    assert reader.read(file) == [Global("builtins", "int"), Global("builtins", "str"), pipeline]


def test_recursive_values_are_what_they_were() -> None:
    loop: list[Any] = [1]
    loop.append((loop, {"self": loop}))

    for protocol in PROTOCOLS:
        read: Any = reader.read(pickle.dumps(loop, protocol))
        assert read[1][0] is read and read[1][1]["self"] is read


def test_names_are_names_and_are_never_looked_up() -> None:
    for protocol in PROTOCOLS:
        read = reader.read(pickle.dumps([Pipeline, np.float64], protocol))
        assert read == [Global("sklearn.pipeline", "Pipeline"), Global("numpy", "float64")]

    assert reader.read(b"cno_such_module\nthing\n.") == Global("no_such_module", "thing")


def test_every_opcode_of_pickle_is_read_and_no_other_byte_is() -> None:
    known = {ord(opcode.code) for opcode in pickletools.opcodes}

    for code in range(256):
        try:
            reader.read(b"\x80\x04" + bytes([code]) + b"x")
            said = ""
        except Refusal as refusal:
            said = refusal.text("es")
        assert (f"{code:#04x} de la posición 2 no es" in said) == (code not in known), code


def test_every_opcode_that_reaches_outside_the_file_is_refused_by_its_name() -> None:
    outside = {"PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"}

    named = set()
    for opcode in pickletools.opcodes:
        with contextlib.suppress(Refusal):
            try:
                reader.read(opcode.code.encode("latin-1") + b"x")
            except Refusal as refusal:
                if opcode.name in refusal.text("es"):
                    assert refusal.code == "contenido_no_permitido"
                    named.add(opcode.name)

    assert named == outside


def test_a_memo_with_holes_and_numbers_used_twice_is_that_of_pickle() -> None:
    """Python 2 began at 1; nobody must begin anywhere, nor go on in order."""
    files = [
        b"(lp1\nI7\np5\nag5\nag1\na.",
        b"\x80\x04](K\x01r\x05\x00\x00\x00K\x02q\x00K\x03q\x01K\x04q\x05h\x00h\x01h\x05e.",
        b"\x80\x04](K\x01q\x05K\x02\x94K\x03\x94K\x04\x94h\x05h\x01h\x02h\x03e.",
        b"\x80\x04](K\x01\x94K\x02q\x00K\x03\x94h\x00h\x01e.",
    ]

    for file in files:
        assert repr(reader.read(file)) == repr(pickle.loads(file))


def test_what_other_libraries_leave_in_a_model_comes_as_plain_values() -> None:
    values = {
        "defaultdict": (collections.defaultdict(list, a=[1]), {"a": [1]}),
        "nested defaultdict": (
            collections.defaultdict(collections.OrderedDict, valid={"auc": [0.5]}),
            {"valid": {"auc": [0.5]}},
        ),
        "range": (range(3, 10, 2), range(3, 10, 2)),
        "positions of pandas": (pd.RangeIndex(4), range(4)),
    }

    for title, (value, expected) in values.items():
        for file in every_file([value]).values():
            assert reader.read(file) == [expected], title


# The texts of pandas, in the memory of Python or of Arrow; "str" is Arrow's where it is installed.
TEXTS: dict[str, Any] = {
    "str": "str",
    "object": "object",
    "python": pd.StringDtype("python", na_value=np.nan),
    "python, NA": pd.StringDtype("python"),
    "arrow": pd.StringDtype("pyarrow", na_value=np.nan),
    "arrow, NA": pd.StringDtype("pyarrow"),
}


@pytest.mark.parametrize("kind", [*TEXTS, "int64", "float64"])
def test_the_labels_of_a_pandas_index_are_an_array(kind: str) -> None:
    values = ["uno", "dos"] if kind in TEXTS else [3, 4]
    index = pd.Index(values, dtype=TEXTS.get(kind, kind))

    for title, file in every_file({"columns": index}).items():
        labels = reader.read(file)["columns"]
        assert isinstance(labels, np.ndarray), title
        assert labels.tolist() == index.tolist()


INDEX = pd.Index(["importe", "días de mora", "", "año", "€ 💶", "x" * 300])


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize(
    "index",
    [INDEX, INDEX[1:4], INDEX[::-2], INDEX[:1].append(INDEX[3:]), INDEX[:0], INDEX[[4]]],
    ids=["whole", "sliced", "backwards", "joined", "empty", "one"],
)
def test_labels_beyond_ascii_and_parts_of_an_index_are_read_as_pandas_reads_them(
    index: pd.Index, kind: str
) -> None:
    index = index.astype(TEXTS[kind])

    for title, file in every_file([index, index]).items():
        first, second = reader.read(file)
        assert isinstance(first, np.ndarray) and first.dtype == object, title
        assert first.tolist() == second.tolist() == index.tolist()
        assert not first.flags.writeable


@pytest.mark.parametrize("kind", ["str", "object", "python", "arrow", "arrow, NA"])
def test_a_missing_label_is_nan(kind: str) -> None:
    index = pd.Index(["uno", np.nan, "tres"], dtype=TEXTS[kind])

    for title, file in every_file([index]).items():
        (labels,) = reader.read(file)
        assert labels[0] == "uno" and labels[2] == "tres", title
        assert type(labels[1]) is float and np.isnan(labels[1])


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (np.random.RandomState(3), "numpy.random._pickle.__randomstate_ctor"),
        (np.random.default_rng(3), "numpy.random._pickle.__generator_ctor"),
        (functools.partial(int, base=2), "functools.partial"),
        (pd.Series([1, 2]), "pandas.Series"),
        (pd.MultiIndex.from_tuples([(1, 2)]), "pandas.core.indexes.base._new_Index"),
        (np.ma.array([1, 2], mask=[0, 1]), "numpy.ma.core._mareconstruct"),
        (np.log1p, "numpy.ufunc"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_object_of_another_library_is_a_node_that_the_compiler_can_name(
    value: object, name: str
) -> None:
    for file in every_file([value]).values():
        (read,) = reader.read(file)
        assert isinstance(read, Node | Global)
        assert str(read if isinstance(read, Global) else read.name) in (name, "numpy.log1p")


@pytest.mark.parametrize(
    "array",
    [
        np.array(["2026-01-01"], dtype="M8[D]"),
        np.array([5], dtype="m8[s]"),
        np.array([1j]),
        np.array([1], dtype=np.longdouble),
        np.array([(1, (2,))], dtype=[("a", "i8"), ("b", "i8", (1,))]),
        np.array([((1,),)], dtype=[("a", [("b", "i8")])]),
    ],
    ids=lambda array: array.dtype.str,
)
def test_a_number_type_that_no_model_has_is_refused_by_name(array: Any) -> None:
    for file in every_file([array]).values():
        with pytest.raises(Refusal) as raised:
            reader.read(file)
        assert raised.value.code == "contenido_no_permitido"
        assert "numpy.dtype(" in raised.value.detail


class Bag(dict[str, int]):
    """A dictionary with an attribute, as sklearn's Bunch."""

    colour = "none"


def test_subclasses_of_containers_keep_entries_items_and_attributes() -> None:
    bag = Bag(a=1)
    bag.colour = "red"
    for protocol in PROTOCOLS:
        read = reader.read(pickle.dumps(bag, protocol))
        assert isinstance(read, Node) and read.made_by.name == "Bag"  # type: ignore[union-attr]
        assert read.entries == [("a", 1)] and read.attributes() == {"colour": "red"}


def memory_of_reading(file: bytes) -> int:
    """The most that reading a file takes at once, beside the file."""
    tracemalloc.start()
    try:
        # Kept until it was measured: what a reader gives is part of what reading takes.
        _kept = reader.read(file)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_forest_is_read_within_three_times_its_unpacked_size() -> None:
    """The file itself is one of the three, unless it is packed."""
    random = np.random.default_rng(2)
    noise = random.normal(size=(4000, 4)), random.integers(0, 2, 4000)
    forest = RandomForestClassifier(40, random_state=1).fit(*noise)
    files = {f"pickle {protocol}": pickle.dumps(forest, protocol) for protocol in (1, 2, 4, 5)}
    files |= {f"joblib {how}": joblib_file(forest, compress=how) for how in COMPRESSIONS}

    for title, file in files.items():
        size = len(unpack(file))
        packed = len(file) if size > len(file) else 0
        # A decompressor has a window of its own, whatever the size of the file.
        assert size > 3_000_000
        assert memory_of_reading(file) + packed < 3 * size + packed_window(title), title


def packed_window(title: str) -> int:
    """What a decompressor holds beside the data: xz at preset 1 declares a megabyte of them."""
    return 5 << 20 if "(" in title else 0


def numbered(opcodes: bytes) -> Callable[[int], bytes]:
    """The same opcodes with a number in them that is different each time."""
    return lambda number: opcodes.replace(b"####", number.to_bytes(4, "little"))


PIECES = {
    "sets": numbered(b"\x8f"),
    "sets of one": numbered(b"\x8f(J####\x90"),
    "frozen sets": numbered(b"(K\x01J####\x91"),
    "lists": numbered(b"]"),
    "lists of one": numbered(b"]Na"),
    "lists of two": numbered(b"](NNe"),
    "tuples": numbered(b"(NNNNt"),
    "pairs": numbered(b"NN\x86"),
    "dictionaries": numbered(b"}"),
    "dictionaries of one": numbered(b"}K\x01Ns"),
    "marks": numbered(b"("),
    "words": numbered(b"\x8c\x02ab"),
    "wide words": numbered(text("ab\N{BEAR FACE}" + "c" * 60)),
    "bytes": numbered(b"C\x02ab"),
    "whole numbers": numbered(b"J####"),
    "long whole numbers": numbered(b"\x8a\x09\xff####\xff\xff\xff\x01"),
    "floats": numbered(b"G\x01\x01\x01\x01####"),
    "objects": numbered(b"h\x00)\x81"),
    "objects with items": numbered(b"h\x00)\x81Na"),
    "objects with entries": numbered(b"h\x00)\x81(K\x01NK\x02Nu"),
    "objects with keywords": numbered(b"h\x00)}K\x01Ns\x92"),
    "calls": numbered(b"h\x00)R"),
    "memo far away": numbered(b"Nr####"),
    "memo in order": numbered(b"N\x94"),
    "ordered dictionaries": numbered(b"h\x02)R"),
    "sets by call": numbered(b"h\x03]K\x01a\x85R"),
    "complex numbers": numbered(b"h\x04G" + bytes(8) + b"G" + bytes(8) + b"\x86R"),
    "ranges": numbered(b"h\x05(K\x00J####K\x01tR"),
    "arrays": numbered(b"h\x06(C\x08" + bytes(8) + b"h\x07K\x01\x85h\x08tR"),
    "scalars": numbered(b"h\x09h\x07C\x08" + bytes(8) + b"\x86R"),
}
HEAD = b"\x940".join(
    [
        name("a", "b"),
        b"N",
        name("collections", "OrderedDict"),
        name("builtins", "set"),
        name("builtins", "complex"),
        name("builtins", "range"),
        name("numpy.core.numeric", "_frombuffer"),
        number_type("f8"),
        text("C"),
        name("numpy.core.multiarray", "scalar"),
        b"",
    ]
)
ONE_CONTAINER = {
    "a list": (b"](", b"e"),
    "a tuple": (b"(", b"t"),
    "a set": (b"\x8f(", b"\x90"),
    "a dictionary": (b"}(", b"u"),
}


def spent_and_taken(file: bytes) -> tuple[int, int]:
    """What the reader has counted for the values of a file, and the memory that they took."""
    budget = Budget.for_file(len(file))
    before = budget.memory
    machine = Machine(file, TABLE, budget)
    tracemalloc.start()
    try:
        with contextlib.suppress(Refusal):
            _kept = machine.run()
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return before - budget.memory, taken


@pytest.mark.parametrize("title", PIECES)
def test_small_values_are_counted_at_what_they_take(title: str) -> None:
    """So their sum is bounded, however few bytes each of them is in the file."""
    piece = PIECES[title]
    file = b"\x80\x04" + HEAD + b"](" + b"".join(piece(n + 300) for n in range(20_000)) + b"e."

    spent, taken = spent_and_taken(file)

    assert 20_000 * 8 < taken < spent + 500_000


@pytest.mark.parametrize("title", ONE_CONTAINER)
def test_a_large_container_is_counted_at_what_it_takes(title: str) -> None:
    opens, closes = ONE_CONTAINER[title]
    members = b"".join(b"J" + (n << 8).to_bytes(4, "little") for n in range(100_000))

    spent, taken = spent_and_taken(b"\x80\x04" + opens + members + closes + b".")

    assert 100_000 * 8 < taken < spent + 500_000


def test_the_listing_is_a_bounded_tree_in_spanish(data: Any) -> None:
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(*data)
    root = reader.read(joblib_file(pipeline))

    listing = describe(root)

    version = sklearn.__version__
    assert listing.startswith(
        f"Pipeline (sklearn.pipeline), versión {version}\n  steps: lista de 2\n"
        "    - tupla de 2\n      - texto 'standardscaler'\n"
        f"      - StandardScaler (sklearn.preprocessing._data), versión {version}\n"
    )
    assert "        feature_names_in_: matriz object (4): uno, dos, tres, cañón\n" in listing
    assert "mean_: matriz float64 (4): " in listing
    assert len(describe(root, lines=5).splitlines()) == 6
    assert describe(root, depth=1).splitlines()[1] == "  steps: lista de 2 …"


def test_the_listing_of_odd_values_stays_on_its_lines() -> None:
    shared = [1]
    value = {"a\n\u202eb": "x\r\ny" * 100, "s": shared, "t": shared, "many": list(range(1000))}

    lines = describe(value).splitlines()

    letters = "x\ufffd\ufffdy" * 10
    assert (
        lines[1]
        == "  a\ufffd\ufffdb: texto " + repr(f"{letters[:39]}…{letters}") + " (400 letras)"
    )
    assert lines[2:5] == [
        "  s: lista de 1",
        "    - 1",
        "  t: lista de 1 (lo mismo que en la línea 3)",
    ]
    assert lines[-1] == "    … y 960 más"
    assert all(len(line) < 200 and line.isprintable() for line in lines)


def test_the_listing_tells_sizes_fields_and_what_is_shared(data: Any) -> None:
    forest = RandomForestClassifier(1, max_depth=5, random_state=1).fit(*data)
    tree = forest.estimators_[0].tree_
    count, size = len(tree.feature), tree.__getstate__()["nodes"].nbytes / 1000
    column = np.arange(1000.0)

    listing = describe(reader.read(pickle.dumps([forest, {"a": column, "b": [column]}])))

    records = f"nodes: matriz de registros ({count}), {size:.1f} kB: left_child, right_child, "
    assert records.replace(".", ",") in listing
    line = listing.splitlines().index(
        "    a: matriz float64 (1000), 8,0 kB: 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, …"
    )
    assert f", … (lo mismo que en la línea {line + 1})" in listing


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_keras_model_is_an_archive_inside_two_calls() -> None:
    """Keras 3 pickles as ``getattr(Model, '_unpickle_model')(BytesIO of a .keras archive)``."""
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, activation="sigmoid")])
    file = joblib_file(model)
    before = set(sys.modules)

    root = reader.read(file)

    assert set(sys.modules) == before
    assert isinstance(root, Node) and root.name == "builtins.getattr"
    assert any(b"config.json" in item for item in walk(root) if isinstance(item, bytes))


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 5))
def test_object_arrays_of_text_may_be_long_but_not_endless(protocol: int) -> None:
    text = np.array(["x"] * 100_000, dtype=object)

    assert reader.read(pickle.dumps(text, protocol)).size == 100_000
    with pytest.raises(Refusal, match="demasiado_grande"):
        reader.read(pickle.dumps(np.append(text, "y"), protocol))
