"""Nothing in a dropped file runs, whatever the file is, and each refusal names its reason."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import pickletools
import sys
import zlib
from pathlib import Path

import joblib
import pytest
from admission_files import (
    HOSTILE,
    Hostile,
    frame,
    good_files,
    name,
    names_in,
    stream,
    system,
    text,
)
from admission_greedy import DEEP, GREEDY
from sklearn.linear_model import LogisticRegression

from propensia.admission import reader
from propensia.admission.container import unpack
from propensia.admission.listing import describe
from propensia.admission.nodes import walk
from propensia.admission.refusal import Refusal


def verdict(file: bytes) -> str:
    """The refusal in Spanish or, where the reader leaves it to the compiler, the names inside."""
    try:
        return str(names_in(reader.read(file)))
    except Refusal as refusal:
        return refusal.text("es")


def refusal_of(file: bytes) -> Refusal:
    with pytest.raises(Refusal) as raised:
        reader.read(file)
    return raised.value


def is_complete(data: bytes) -> bool:
    """Whether the reader finds no part of a file missing; what is no model at all counts."""
    try:
        reader.read(data)
    except Refusal as refusal:
        return refusal.code != "fichero_incompleto"
    return True


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.title)
def test_a_hostile_file_is_named_and_nothing_runs(hostile: Hostile, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    before = set(sys.modules)

    said = verdict(hostile.build(marker))

    assert hostile.names in said
    assert not marker.exists()
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    "hostile", [item for item in HOSTILE if item.fires], ids=lambda hostile: hostile.title
)
def test_the_hostile_file_would_have_run(hostile: Hostile, tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing."""
    marker = tmp_path / "marker"
    file = io.BytesIO(hostile.build(marker))

    if hostile.fires == "joblib":
        joblib.load(file)
    else:
        pickle.load(file)

    assert marker.exists()


@pytest.mark.parametrize("title", GREEDY)
def test_a_greedy_file_is_refused_with_its_code(title: str) -> None:
    build, code = GREEDY[title]

    assert refusal_of(build()).code == code


@pytest.mark.parametrize("title", DEEP)
def test_a_deep_file_is_read_listed_and_let_go_without_recursion(title: str) -> None:
    value = reader.read(DEEP[title]())

    assert len(describe(value, depth=10**6).splitlines()) <= 401
    assert sum(1 for _ in walk(value)) > 1000


def test_a_call_hidden_in_a_good_file_is_named(tmp_path: Path) -> None:
    """Before the model, thrown away: the value would be a model as good as any."""
    good = pickle.dumps(LogisticRegression(), 2)
    marker = tmp_path / "marker"
    file = good[:2] + system(marker) + b"0" + good[2:]

    assert "`os.system`" in refusal_of(file).text("es")
    assert isinstance(pickle.loads(file), LogisticRegression) and marker.exists()


# Frames


def test_an_opcode_across_a_frame_end_is_refused(tmp_path: Path) -> None:
    """CPython's loader in C reads on from the file, and runs what scanners do not see."""
    body = text("a") + b"0" + system(tmp_path / "marker") + b"."
    begins = {position for _, _, position in pickletools.genops(body)}

    for length in range(1, len(body)):
        said = verdict(b"\x80\x04" + frame(body, length))
        assert ("se sale de su marco" in said) == (length not in begins), length
        assert ("system" in said) == (length in begins), length


@pytest.mark.parametrize(
    "file",
    [
        b"\x80\x04" + frame(frame(b"N.")),
        b"\x80\x04" + frame(b"X") + b"\x01\x00\x00\x00a.",
        b"\x80\x04" + frame(b"cos") + b"\nsystem\n.",
        b"\x80\x04" + frame(b"N.N"),
    ],
)
def test_a_frame_that_does_not_hold_whole_opcodes_is_refused(file: bytes) -> None:
    assert refusal_of(file).code == "no_es_un_modelo"


def test_frames_one_after_another_and_bytes_between_them_are_read() -> None:
    file = b"\x80\x04" + frame(b"](") + b"C\x01x" + frame(b"K\x01") + frame(b"e.")

    assert reader.read(file) == [b"x", 1] == pickle.loads(file)


# The end of the file


@pytest.mark.parametrize(
    "file",
    [
        stream(b"N") + b".",
        stream(b"N") + stream(b"N"),
        stream(b"N") + b"x",
        stream(b"NN"),
        stream(b"(N"),
        stream(b""),
        b"not a model",
        b"PK\x03\x04 an archive",
        b"\x89HDF\r\n",
        b"<html>",
        zlib.compress(stream(b"N")) + b"x",
        gzip.compress(stream(b"N")) + gzip.compress(stream(b"N")),
        bz2.compress(stream(b"N")) + b"x",
        lzma.compress(stream(b"N")) + b"x",
        stream(b"\x80\x04N"),
        stream(b"h\x00"),
        b"X\x01\x00\x00\x00\xff.",
    ],
)
def test_what_is_no_single_pickle_is_refused_and_not_waited_for(file: bytes) -> None:
    assert refusal_of(file).code == "no_es_un_modelo"
    assert is_complete(file)


@pytest.mark.parametrize(
    "file",
    [
        b"ZF0x5" + b" " * 16 + zlib.compress(b"N."),
        stream(
            name("joblib.numpy_pickle", "NDArrayWrapper")
            + b")\x81}"
            + text("filename")
            + text("model_01.npy")
            + b"sb"
        ),
        stream(b"N", 6),
    ],
)
def test_an_old_or_future_format_is_refused_with_what_to_do(file: bytes) -> None:
    refusal = refusal_of(file)

    assert refusal.code == "formato_no_admitido"
    assert "compress='zlib'" in refusal.text("es")


def test_lz4_is_read_where_it_is_installed_and_else_says_what_to_do() -> None:
    lz4 = b"\x04\x22\x4d\x18\x60\x40\x82\x04\x00\x00\x80\x80\x04N.\x00\x00\x00\x00"

    said = verdict(lz4)

    assert said == "set()" or "compress='zlib'" in said


GOOD = good_files()


@pytest.mark.parametrize("title", GOOD)
def test_a_file_cut_anywhere_is_incomplete(title: str) -> None:
    file = GOOD[title]
    assert is_complete(file)

    for cut in {0, 1, 2, len(file) - 1, *range(0, len(file), max(1, len(file) // 200))}:
        assert refusal_of(file[:cut]).code == "fichero_incompleto", cut
        assert not is_complete(file[:cut])


@pytest.mark.parametrize("title", GOOD)
def test_a_file_reserved_at_full_size_is_incomplete_until_the_copy_ends(title: str) -> None:
    file = GOOD[title]

    for cut in range(0, len(file) - 9, max(1, len(file) // 100)):
        reserved = file[:cut] + bytes(len(file) - cut)
        assert not is_complete(reserved), cut


def test_the_limit_of_unpacked_bytes_holds_for_every_container() -> None:
    for title, file in GOOD.items():
        size = len(unpack(file))
        assert len(unpack(file, limit_bytes=size)) == size, title
        with pytest.raises(Refusal, match="demasiado_grande"):
            unpack(file, limit_bytes=size - 1)
