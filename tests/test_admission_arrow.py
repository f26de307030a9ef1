"""The texts that pandas keeps in Arrow's layout are read as data, and broken ones are refused."""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from admission_files import call, name, stream, text
from compiled_models import answers, compiled, node_of
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from propensia.admission import reader
from propensia.admission.budget import Budget
from propensia.admission.machine import Machine
from propensia.admission.nodes import Node
from propensia.admission.opcodes import TABLE
from propensia.admission.refusal import Refusal

INDEX = "pandas.core.indexes.base._new_Index"

# A little assembler: the pickle of an index around the pickle of a pyarrow array


def whole(value: int) -> bytes:
    """LONG1."""
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def buffer(raw: bytes | None) -> bytes:
    """A pyarrow buffer, or none."""
    if raw is None:
        return b"N"
    return call("pyarrow.lib", "py_buffer", b"B" + len(raw).to_bytes(4, "little") + raw)


def places(*values: int, width: int = 8) -> bytes:
    """The buffer of the places where texts begin."""
    return b"".join(value.to_bytes(width, "little", signed=True) for value in values)


# Two texts, "uno" and "dós"; every broken array below differs from it in one thing.
GOOD: dict[str, Any] = {
    "kind": call("pyarrow.lib", "type_for_alias", text("large_string")),
    "length": whole(2),
    "nulls": whole(0),
    "offset": whole(0),
    "bits": buffer(None),
    "places": buffer(places(0, 3, 7)),
    "letters": buffer("unodós".encode()),
    "more": b"",
    "inner": b"]",
    "dictionary": b"N",
}


def restored(**changed: bytes) -> bytes:
    """The call that makes a pyarrow array, with some of its parts changed."""
    part = GOOD | changed
    buffers = changed.get(
        "buffers", b"](" + part["bits"] + part["places"] + part["letters"] + part["more"] + b"e"
    )
    data = b"(" + part["kind"] + part["length"] + part["nulls"] + part["offset"] + buffers
    return call("pyarrow.lib", "_restore_array", data + part["inner"] + part["dictionary"] + b"t")


def array(kept: bytes, more: bytes = b"", attribute: str = "_pa_array") -> bytes:
    """A pandas text array that keeps ``kept``."""
    made = name("pandas.arrays", "ArrowStringArray") + b")\x81"
    return made + b"}" + text(attribute) + kept + b"s" + more + b"b"


def index(data: bytes) -> bytes:
    """The file of a pandas index of ``data``."""
    parts = b"}(" + text("data") + data + text("name") + b"Nu"
    return stream(call("pandas.core.indexes.base", "_new_Index", name("pandas", "Index"), parts))


def labels(file: bytes) -> list[object]:
    read = reader.read(file)
    assert isinstance(read, np.ndarray) and read.ndim == 1
    return read.tolist()


def without_nan(values: list[object]) -> list[object]:
    return [None if value != value else value for value in values]


def test_the_assembler_writes_what_pandas_reads() -> None:
    missing = b"G" + struct.pack(">d", np.nan)
    kind = text("_dtype") + call("pandas", "StringDtype", text("pyarrow"), missing) + b"s"
    file = index(array(restored(), kind))

    loaded = pickle.loads(file)
    assert isinstance(loaded, pd.Index) and loaded.tolist() == ["uno", "dós"]
    assert labels(file) == ["uno", "dós"]


# Models


def test_a_column_transformer_given_part_of_an_index_answers_as_the_library() -> None:
    random = np.random.default_rng(0)
    columns = ("importe", "días de mora", "año", "€")
    rows = random.lognormal(2, 1, size=(400, 4))
    frame = pd.DataFrame(rows, columns=pd.Index(columns, dtype="str"))
    target = (rows[:, 1] + random.normal(0, 5, 400) > rows[:, 2]).astype(int)
    parts = ColumnTransformer(
        [
            ("first", StandardScaler(), frame.columns[2:]),
            ("last", MinMaxScaler(), frame.columns[:1]),
        ],
        remainder="passthrough",
    )
    model = make_pipeline(parts, LogisticRegression(max_iter=9000)).fit(frame, target)

    assert b"ArrowStringArray" in pickle.dumps(model)
    node = node_of(model)
    result = compiled(node, columns)

    (_, transformer), _ = node.attributes()["steps"]
    given = [part[2].tolist() for part in transformer.attributes()["transformers"]]
    assert given == [["año", "€"], ["importe"]]
    expected = model.predict_proba(frame)[:, 1]
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(answers(result, rows), expected, rtol=0, atol=1e-12)


def test_neither_pandas_nor_pyarrow_is_imported_to_read_an_index(tmp_path: Any) -> None:
    path = tmp_path / "index.pkl"
    path.write_bytes(pickle.dumps(pd.Index(["uno", "dós"], dtype="str")))
    code = (
        "import pathlib, sys\n"
        "from propensia.admission import reader\n"
        "before = set(sys.modules)\n"
        "read = reader.read(pathlib.Path(sys.argv[1]).read_bytes())\n"
        "assert read.tolist() == ['uno', 'd\\xf3s'], read\n"
        "assert set(sys.modules) == before, set(sys.modules) - before\n"
        "assert not {'pandas', 'pyarrow'} & before\n"
    )

    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60)


# What pyarrow writes: slices keep the buffers of the whole, and say where they begin


VALUES = ["uno", None, "", "año", "€ 💶", None, "x" * 90, *"abcdefghij", None, "fin"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()], ids=str)
@pytest.mark.parametrize("missing", [True, False])
def test_every_part_of_an_array_is_read_where_it_begins(kind: Any, missing: bool) -> None:
    values = VALUES if missing else [value or "" for value in VALUES]
    kept = pa.array(values, type=kind)

    for first in (0, 1, 3, 7, 8, 9, 15, 20):
        for last in (first, first + 1, 8, 12, len(values)):
            part = kept[first:last]
            # Protocol 3 has neither frames nor a memo that counts by itself.
            file = index(array(pickle.dumps(part, 3)[2:-1]))
            assert without_nan(labels(file)) == part.to_pylist(), (first, last)


def test_what_lies_under_a_missing_text_does_not_matter() -> None:
    bits = buffer(b"\x02")
    file = index(array(restored(bits=bits, nulls=whole(1), letters=buffer(b"\xff\xfe\xfdabcd"))))

    assert without_nan(labels(file)) == [None, "abcd"]


def test_places_and_letters_may_be_left_out_where_there_is_no_text() -> None:
    for absent in (None, b""):
        empty = restored(length=whole(0), places=buffer(absent), letters=buffer(absent))
        assert labels(index(array(empty))) == []
        blank = restored(places=buffer(places(0, 0, 0)), letters=buffer(absent))
        assert labels(index(array(blank))) == ["", ""]


@settings(max_examples=400, deadline=None, database=None)
@given(
    kind=st.sampled_from(["string", "large_string"]),
    length=st.integers(-1, 12),
    nulls=st.integers(-2, 3),
    offset=st.integers(-1, 12),
    bits=st.none() | st.binary(max_size=3),
    steps=st.lists(st.integers(-1, 4) | st.sampled_from([0, 1, 2]), max_size=16),
    letters=st.text(st.sampled_from("abñ€💶"), max_size=12).map(str.encode)
    | st.binary(max_size=30),
)
def test_what_is_accepted_is_what_pyarrow_reads(
    kind: str,
    length: int,
    nulls: int,
    offset: int,
    bits: bytes | None,
    steps: list[int],
    letters: bytes,
) -> None:
    width = 4 if kind == "string" else 8
    begins = np.cumsum([0, *steps]).tolist()
    body = restored(
        kind=call("pyarrow.lib", "type_for_alias", text(kind)),
        length=whole(length),
        nulls=whole(nulls),
        offset=whole(offset),
        bits=buffer(bits),
        places=buffer(places(*begins, width=width)),
        letters=buffer(letters),
    )

    try:
        read = labels(index(array(body)))
    except Refusal as refusal:
        assert refusal.code == "matriz_imposible"
        return
    loaded = pickle.loads(stream(body))
    loaded.validate(full=True)
    assert without_nan(read) == loaded.to_pylist()


# What is broken

WIDEST = (1 << 63) - 1
BROKEN: dict[str, dict[str, bytes]] = {
    "a length below zero": {"length": whole(-1)},
    "a length below zero, missing texts not counted": {"length": whole(-1), "nulls": whole(-1)},
    "a length that is a truth value": {"length": b"\x88"},
    "a length that is a fraction": {"length": b"G" + bytes(8)},
    "one text more than places": {"length": whole(3)},
    "as many texts as nobody has": {"length": whole(WIDEST)},
    "a length beyond any machine": {"length": whole(1 << 900)},
    "an offset below zero": {"offset": whole(-1)},
    "an offset behind the places": {"offset": whole(1)},
    "an offset that wraps around": {"offset": whole((1 << 64) - 2)},
    "an offset that is text": {"offset": text("0")},
    "more missing than texts": {"nulls": whole(3)},
    "fewer than no missing texts": {"nulls": whole(-2)},
    "a fraction of missing texts": {"nulls": b"G" + bytes(8)},
    "missing texts of none": {"length": whole(0), "nulls": whole(1), "places": b"N"},
    "fewer than no missing texts of none": {
        "length": whole(0),
        "nulls": whole(-2),
        "places": b"N",
    },
    "missing texts and no bits": {"nulls": whole(1)},
    "bits that disagree with their number": {"bits": buffer(b"\x01")},
    "bits for no text": {"bits": buffer(b"")},
    "no places": {"places": buffer(None)},
    "places cut in the middle": {"places": buffer(places(0, 3, 7)[:-1])},
    "narrow places for wide texts": {"places": buffer(places(0, 3, 7, width=4))},
    "a place before the letters": {"places": buffer(places(-1, 3, 7))},
    "places that go back": {"places": buffer(places(0, 9, 7))},
    "places that go back by more than a number holds": {
        "places": buffer(places(0, WIDEST, -WIDEST - 1))
    },
    "a place behind the letters": {"places": buffer(places(0, 3, 8))},
    "a place far behind the letters": {"places": buffer(places(0, 3, WIDEST))},
    "no letters": {"letters": buffer(None)},
    "letters cut short": {"letters": buffer(b"unodo")},
    "letters that are not UTF-8": {"letters": buffer(b"unod\xc3\xc3s")},
    "letters of another encoding": {"letters": buffer("unodóss".encode("latin-1"))},
    "half a pair of UTF-16": {"letters": buffer(b"uno\xed\xa0\x80s")},
    "a text that ends inside a letter": {"places": buffer(places(0, 5, 7))},
    "a letter written too long": {"letters": buffer(b"unod\xc0\xb3s")},
    "a buffer that is text": {"letters": call("pyarrow.lib", "py_buffer", text("unodosa"))},
    "a buffer that is bytes": {"letters": b"C\x07unod\xc3\xb3s"},
    "a buffer of another call": {"letters": call("os", "system", b"C\x07unod\xc3\xb3s")},
    "a buffer of nothing": {"letters": call("pyarrow.lib", "py_buffer")},
    "a fourth buffer": {"more": buffer(b"")},
    "buffers in a tuple": {"buffers": b"(NNNt"},
    "buffers that are missing": {"buffers": b"N"},
    "an array inside": {"inner": b"](" + restored() + b"e"},
    "no list of what is inside": {"inner": b"N"},
    "a dictionary of texts": {"dictionary": restored()},
}


@pytest.mark.parametrize("title", BROKEN)
def test_a_broken_array_of_texts_is_refused(title: str) -> None:
    # Alone too: not only where a label is wanted.
    for file in (index(array(restored(**BROKEN[title]))), stream(restored(**BROKEN[title]))):
        with pytest.raises(Refusal) as caught:
            reader.read(file)
        assert caught.value.code == "matriz_imposible"
        assert caught.value.text("es") and caught.value.text("en")


LEFT: dict[str, bytes] = {
    "of another type": array(
        restored(kind=call("pyarrow.lib", "type_for_alias", text("large_binary")))
    ),
    "of a type with arguments": array(restored(kind=call("pyarrow.lib", "struct", b"]"))),
    "of a type that is text": array(restored(kind=text("large_string"))),
    "of a type named by another": array(
        restored(kind=call("pandas", "StringDtype", text("large_string")))
    ),
    "of an array that is not pyarrow's": array(
        call("pyarrow.lib", "py_buffer", pickle.dumps(np.array(["uno"], object), 3)[2:-1])
    ),
    "without data": array(call("pyarrow.lib", "_restore_array")),
    "kept as pandas 1 did": array(restored(), attribute="_data"),
    "with two sets of texts": array(restored(), text("_data") + restored() + b"s"),
    "that is no pandas array": restored(),
    "without a state": name("pandas.arrays", "ArrowStringArray") + b")\x81",
    "of a class of somebody's": array(restored()).replace(
        b"ArrowStringArray", b"PandasTextsArray"
    ),
    "with a text set afterwards": array(restored()) + b"K\x00" + text("tres") + b"s",
    "with a text added afterwards": array(restored()) + text("tres") + b"a",
}


@pytest.mark.parametrize("title", LEFT)
def test_an_index_of_what_is_not_quite_an_array_of_texts_is_a_node(title: str) -> None:
    read = reader.read(index(LEFT[title]))

    assert isinstance(read, Node) and read.name == INDEX


def test_an_array_of_texts_outside_an_index_keeps_its_name() -> None:
    read = reader.read(pickle.dumps([pa.array(["uno", None])]))[0]

    assert isinstance(read, Node) and read.name == "pyarrow.lib._restore_array"
    assert without_nan(read.args[0].tolist()) == ["uno", None]


def test_a_name_hidden_in_what_is_left_out_is_found() -> None:
    hidden = text("_cache") + b"}" + text("a") + call("os", "system", text("true")) + b"ss"
    for file in (
        index(array(restored(), hidden)),
        index(array(restored(), text("_dtype") + call("os", "system", text("true")) + b"s")),
        index(array(restored()) + call("os", "system", text("true")) + b"0"),
    ):
        with pytest.raises(Refusal, match=r"os\.system"):
            reader.read(file)


def test_buffers_changed_after_the_call_change_nothing() -> None:
    """The list is remembered, and emptied of sense once the array was made of it."""
    buffers = b"]\x94(" + GOOD["bits"] + GOOD["places"] + GOOD["letters"] + b"e"
    late = b"h\x00" + buffer(b"otro") + b"a0"

    assert labels(index(array(restored(buffers=buffers) + late))) == ["uno", "dós"]


# What costs too much


def remembered(part: bytes) -> bytes:
    """What is put into the memo, and is not in the value."""
    return part + b"\x94" + b"0"


MANY = 20_000
REPEATED: dict[str, tuple[bytes, bytes, int]] = {
    "letters": (
        buffer(b"a" * MANY * 5),
        restored(length=whole(1), places=buffer(places(0, MANY * 5)), letters=b"h\x00"),
        60,
    ),
    "places": (
        buffer(bytes(8 * (MANY + 1))),
        restored(length=whole(MANY), places=b"h\x00"),
        10,
    ),
}


@pytest.mark.parametrize("title", REPEATED)
def test_the_same_buffer_is_not_read_again_and_again(title: str) -> None:
    """Long once, and then arrays of all of it, each a few bytes of the file."""
    shared, one, times = REPEATED[title]

    assert len(reader.read(stream(remembered(shared) + b"](" + one * 2 + b"e"))) == 2
    with pytest.raises(Refusal, match="repeated") as caught:
        reader.read(stream(remembered(shared) + b"](" + one * times + b"e"))
    assert caught.value.code == "demasiado_grande"


def spent_and_taken(file: bytes) -> tuple[int, int]:
    """What the reader has counted for the values of a file, and the memory that they took."""
    budget = Budget.for_file(len(file))
    before = budget.memory
    machine = Machine(file, TABLE, budget)
    tracemalloc.start()
    try:
        _kept = machine.run()
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return before - budget.memory, taken


@pytest.mark.parametrize("letter", ["", "ab", "ñandú", "€uro", "💶 y más"])
@pytest.mark.parametrize("skipped", [0, 1])
def test_texts_are_counted_at_what_they_take(letter: str, skipped: int) -> None:
    size = len(letter.encode())
    begins = places(*range(0, size * (MANY + 1) + 1, size)) if size else bytes(8 * (MANY + 2))
    body = restored(
        length=whole(MANY + 1 - skipped),
        offset=whole(skipped),
        places=buffer(begins),
        letters=buffer(letter.encode() * (MANY + 1)),
    )

    spent, taken = spent_and_taken(stream(body))

    assert MANY * 8 < taken < spent


def test_one_long_text_is_counted_at_what_it_takes() -> None:
    for letters in ("a" * 3_000_000, "a" * 2_999_996 + "💶"):
        body = restored(
            length=whole(1), places=buffer(places(1, 3_000_000)), letters=buffer(letters.encode())
        )

        spent, taken = spent_and_taken(stream(body))

        assert 6_000_000 < taken < spent + 20_000


def test_more_texts_than_an_array_of_objects_may_have_are_refused() -> None:
    for count in (100_001, 2_000_000):
        begins = bytes(8 * (count + 1))
        body = restored(length=whole(count), places=buffer(begins), letters=buffer(None))
        with pytest.raises(Refusal) as caught:
            reader.read(index(array(body)))
        assert caught.value.code == "demasiado_grande"


def test_small_arrays_are_counted_at_what_they_take() -> None:
    """Of no known type and of no text: so their sum is bounded, however few bytes each has."""
    called = remembered(name("pyarrow.lib", "_restore_array"))
    empty = restored(length=whole(0), places=b"N", letters=b"N")
    for file in (
        stream(called + b"](" + b"h\x00)R" * MANY + b"e"),
        stream(b"](" + empty * 2000 + b"e"),
    ):
        spent, taken = spent_and_taken(file)

        assert 2000 * 200 < taken < spent + 500_000
