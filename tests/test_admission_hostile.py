"""Nothing in a dropped file runs, whatever the file is, and each refusal names its reason."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import pickletools
import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import models_for_tests
import psutil
import pytest
from admission_files import (
    HOSTILE,
    Hostile,
    dumped,
    frame,
    good_files,
    name,
    names_in,
    stream,
    system,
    text,
)
from admission_greedy import DEEP, GREEDY
from hostile import BROKEN, TRAPS, Case, Trap, archives
from hostile.host import around
from lengths import one_in
from sklearn.linear_model import LogisticRegression

from propensia import admission, settings
from propensia.admission import reader
from propensia.admission.compiler import compile_model
from propensia.admission.container import unpack
from propensia.admission.listing import describe
from propensia.admission.nodes import walk
from propensia.admission.refusal import Refusal
from propensia.contract import Contract
from propensia.registry import Registry
from propensia.settings import Settings


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
        2 * gzip.compress(stream(b"N"), mtime=0),
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


# The whole corpus: what has the name of a stranger, and what no library could have written

CORPUS = (*TRAPS, *BROKEN)
# One of each kind, for the real children of an admission; the slow run takes more, or all.
SAMPLE = (
    "subprocess.Popen",
    "builtins.eval",
    "socket.create_connection",
    "pickle.loads",
    "numpy.testing._private.utils.runstring",
    "sklearn.preprocessing._function_transformer.FunctionTransformer",
    "keras.src.layers.core.lambda_layer.Lambda",
    "invisible_space",
    "as_an_attribute_of_a_part",
    "good_model_and_a_call_behind_it",
    "program_in_a_zip",
    "network_with_a_lambda_layer",
    "weights_in_another_file",
    "node_that_points_at_itself",
    "tree_of_five_thousand_levels",
    "weights_that_are_no_numbers",
)


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    """A port that a file which runs could call."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        yield listening


@pytest.fixture
def trap(tmp_path: Path, listener: socket.socket) -> Iterator[Trap]:
    """Where a file would leave its mark; afterwards there must be none."""
    place = tmp_path / "trap"
    place.mkdir()
    before, folder, threads = _environment(), Path.cwd(), threading.active_count()
    children = psutil.Process().children()

    yield Trap(place / "marker", listener.getsockname()[1])

    assert list(place.iterdir()) == []
    assert _environment() ^ before == set()
    assert (Path.cwd(), threading.active_count()) == (folder, threads)
    assert set(psutil.Process().children()) <= set(children)
    with pytest.raises(BlockingIOError):
        listener.accept()


def _environment() -> set[tuple[str, str]]:
    # pytest writes down there which test is running.
    return {pair for pair in os.environ.items() if pair[0] != "PYTEST_CURRENT_TEST"}


def test_the_corpus_has_over_a_hundred_different_files(trap: Trap) -> None:
    files = {case.build(trap) for case in CORPUS}

    assert len({case.title for case in CORPUS}) == len(CORPUS)
    assert len(files) == len(CORPUS) > 300


def whole_refusal(file: bytes, contract: Contract) -> Refusal | None:
    """What reading and compiling say of a file."""
    try:
        compile_model(
            reader.read(file), contract.column_names, contract.positive, contract.negative
        )
    except Refusal as refusal:
        return refusal
    return None


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.title)
def test_every_file_of_the_corpus_is_refused_and_leaves_no_mark(
    case: Case, trap: Trap, contract: Contract
) -> None:
    refusal = whole_refusal(case.build(trap), contract)

    assert refusal is not None
    assert refusal.code in case.codes
    assert case.says in refusal.text("es") and refusal.text("en")


@pytest.mark.parametrize("file", [around(b"N"), archives.good()], ids=["linear", "network"])
def test_what_the_traps_hide_in_is_good_without_them(file: bytes, contract: Contract) -> None:
    """Otherwise they could be refused for a reason of the host's."""
    assert whole_refusal(file, contract) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the calls are those of a Unix shell")
def test_the_traps_would_have_sprung(tmp_path: Path) -> None:
    """In a process of its own, by pickle itself: otherwise no mark would prove nothing."""
    springs = [case for case in TRAPS if case.springs]
    for number, case in enumerate(springs):
        (tmp_path / f"{number}.pkl").write_bytes(case.build(Trap(tmp_path / f"{number}.mark", 9)))

    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOAD_ALL, str(tmp_path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=60,
    )

    asleep = [c.title for n, c in enumerate(springs) if not (tmp_path / f"{n}.mark").exists()]
    assert asleep == [] and len(springs) > 25


LOAD_ALL = """
import pathlib, pickle, sys, time
files = list(pathlib.Path(sys.argv[1]).glob("*.pkl"))
for file in files:
    try:
        pickle.loads(file.read_bytes())
    except Exception as error:
        print(file, error)
until = time.monotonic() + 10
while time.monotonic() < until and not all(f.with_suffix(".mark").exists() for f in files):
    time.sleep(0.05)
"""


# The real thing: two children, a folder of state, a verdict


@pytest.fixture
def office(tmp_path: Path) -> tuple[Settings, Registry]:
    environment = {
        "PROPENSIA_STATE": str(tmp_path / "state"),
        "PROPENSIA_MODELS": str(tmp_path / "models"),
    }
    place = settings.load(environment)
    registry = Registry(place.state)
    registry.prepare()
    return place, registry


def verdict_of(
    file: bytes, office: tuple[Settings, Registry], contract: Contract
) -> tuple[dict[str, Any], set[str]]:
    """The verdict of a whole admission, and what it left in the folder of state."""
    before = _contents(office[0].state)
    verdict, _ = admission.admit(admission.Dropped("modelo", file), *_order(office, contract))
    return verdict, _contents(office[0].state) - before


def _order(
    office: tuple[Settings, Registry], contract: Contract
) -> tuple[Settings, Contract, Registry]:
    return office[0], contract, office[1]


def _contents(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def _judge(case: Case, trap: Trap, office: Any, contract: Contract) -> None:
    file = case.build(trap)

    verdict, left = verdict_of(file, office, contract)

    assert not verdict["accepted"] and verdict["code"] in case.codes
    assert case.says in verdict["why"]
    verdicts = {f"verdicts/{verdict['sha256']}.json"}
    assert {path for path in left if not path.startswith("audit/")} <= verdicts


@pytest.mark.parametrize(
    "case", [case for case in CORPUS if case.title in SAMPLE], ids=lambda case: case.title
)
def test_a_whole_admission_refuses_a_file_and_leaves_a_verdict_alone(
    case: Case, trap: Trap, office: Any, contract: Contract
) -> None:
    _judge(case, trap, office, contract)


@pytest.mark.slow
@pytest.mark.parametrize("case", one_in(8, CORPUS), ids=lambda case: case.title)
def test_a_whole_admission_refuses_more_files_and_leaves_a_verdict_alone(
    case: Case, trap: Trap, office: Any, contract: Contract
) -> None:
    _judge(case, trap, office, contract)


@pytest.mark.parametrize("title", ["array_of_a_trillion", "billion_laughs"])
def test_a_greedy_file_is_refused_by_a_whole_admission(
    title: str, trap: Trap, office: Any, contract: Contract
) -> None:
    build = GREEDY[title][0] if title in GREEDY else DEEP[title]

    verdict, _ = verdict_of(build(), office, contract)

    assert verdict["code"] in {"matriz_imposible", "no_es_un_modelo"}


def test_a_model_that_always_says_the_same_is_refused(
    trap: Trap, office: Any, contract: Contract
) -> None:
    verdict, _ = verdict_of(dumped(models_for_tests.constant()), office, contract)

    assert verdict["code"] == "filas_doradas_constantes"


def test_a_model_that_ranks_the_other_way_round_than_the_active_one_is_refused(
    trap: Trap, office: Any, contract: Contract
) -> None:
    registry: Registry = office[1]
    active, _ = verdict_of(dumped(models_for_tests.logistic()), office, contract)
    registry.publish(active["version"], cause="prueba", who="yo")

    verdict, _ = verdict_of(dumped(models_for_tests.inverted()), office, contract)

    assert active["accepted"] and verdict["code"] == "modelo_invertido"
