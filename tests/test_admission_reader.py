"""A model file read as data says what the library that wrote it says."""

from __future__ import annotations

import collections
import io
import pickle
import sys
import tracemalloc
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, StandardScaler

from propensia.admission import reader
from propensia.admission.listing import describe
from propensia.admission.nodes import Global, Node, walk
from propensia.admission.refusal import Refusal

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
COMPRESSIONS: list[Any] = [0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 1), ("lzma", 1)]


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


def test_a_large_file_is_read_in_memory_of_its_own_size() -> None:
    """At most three times the file: here an array in a pickle, copied once into its bytes."""
    for file in (pickle.dumps(np.zeros(1_000_000)), joblib_file(np.zeros(1_000_000))):
        tracemalloc.start()
        reader.read(file)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2 * len(file)


def test_the_listing_is_a_bounded_tree_in_spanish(data: Any) -> None:
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(*data)
    root = reader.read(joblib_file(pipeline))

    listing = describe(root)

    assert listing.startswith("objeto sklearn.pipeline.Pipeline\n  steps: lista de 2\n")
    assert "        feature_names_in_: matriz object (4): uno, dos, tres, cañón\n" in listing
    assert "mean_: matriz float64 (4): " in listing
    assert len(describe(root, lines=5).splitlines()) == 6
    assert describe(root, depth=1).splitlines()[1] == "  steps: lista de 2 …"


def test_the_listing_of_odd_values_stays_on_its_lines() -> None:
    shared = [1]
    value = {"a\n\u202eb": "x\r\ny" * 100, "s": shared, "t": shared, "many": list(range(1000))}

    lines = describe(value).splitlines()

    assert lines[1] == "  a\ufffd\ufffdb: texto " + repr(("x\ufffd\ufffdy" * 20)[:79] + "…") + (
        " (400 letras)"
    )
    assert "  t: lista de 1 (ya mostrado arriba)" in lines
    assert lines[-1] == "    … y 960 más"
    assert all(len(line) < 200 and line.isprintable() for line in lines)


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
