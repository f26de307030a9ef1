"""``propensia score`` as an analyst runs it: real command lines, files and interruptions."""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl  # type: ignore[import-untyped]  # ships no types
import psutil  # type: ignore[import-untyped]  # ships no types
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from disturbing import tries
from guarded import copied
from models_for_tests import EXAMPLE, dumped, forest
from server import ROOT, Place, wait_for

from propensia.__main__ import cli
from propensia.audit import Audit
from propensia.batch.beside import Beside
from propensia.batch.csv_files.ends import CsvSink
from propensia.batch.engines.wish import EngineWish
from propensia.batch.forests import loops
from propensia.batch.opening import Wish
from propensia.queries import databases
from propensia.score import NotScored, Onlooker, Request, Scored
from propensia.score import score as scores
from propensia.terminal import compose

HEADING = ";".join(EXAMPLE)
GOOD = ";".join(EXAMPLE.values())
BAD = ";".join((EXAMPLE | {"im": "doce"}).values())
POSIX = os.name == "posix"
LARGE = 320_000


@pytest.fixture
def place(admitted: Place, tmp_path: Path) -> Place:
    """An installation of its own with that model."""
    return copied(admitted, tmp_path / "place")


def written(folder: Path, *rows: str, name: str = "cartera.csv") -> Path:
    path = folder / name
    path.write_text("\n".join((HEADING, *rows)) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many blocks: rows with a long text of their own beside the parameters, a few of them bad."""
    path = tmp_path_factory.mktemp("large") / "cartera.csv"
    with path.open("w", encoding="utf-8") as stream:
        stream.write(f"{HEADING};nota\n")
        for number in range(LARGE):
            row = BAD if number % 997 == 0 else GOOD
            stream.write(f"{row};{number:01000d}\n")
    return path


def score(place: Place, *arguments: object) -> subprocess.CompletedProcess[str]:
    return place.run("score", *map(str, arguments))


def told(place: Place, *arguments: object) -> Result:
    """The same command in this process, which is quicker; for what one block of rows can show."""
    runner = CliRunner(env=place.environment())
    return runner.invoke(cli, ["score", *map(str, arguments)])


def read(path: Path) -> list[dict[str, str]]:
    text = path.read_text(encoding="utf-8-sig")
    delimiter = ";" if text.partition("\n")[0].count(";") else ","
    return list(csv.DictReader(text.splitlines(), delimiter=delimiter))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


@contextlib.contextmanager
def running(place: Place, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """The command, in a group of processes of its own, as in a terminal; all of it is ended."""
    with subprocess.Popen(
        [sys.executable, "-m", "propensia", "score", *map(str, arguments)],
        cwd=ROOT,
        env=place.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    ) as popen:
        family = psutil.Process(popen.pid)
        try:
            yield popen
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                for process in (*family.children(recursive=True), family):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()


def kept(out: Path) -> int:
    """Rows that are noted down as done."""
    with contextlib.suppress(FileNotFoundError, PermissionError):
        note = json.loads(out.with_name(f"{out.name}.part.json").read_text(encoding="utf-8"))
        return int(note["tally"]["rows"])
    return 0


def workers(popen: subprocess.Popen[str]) -> list[Any]:
    """The processes that score; not the one that only looks after what they share."""
    found = []
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(popen.pid).children():
            with contextlib.suppress(psutil.Error):
                if "spawn_main" in " ".join(child.cmdline()):
                    found.append(child)
    return found


# What is told


def test_good_rows_are_scored_and_bad_ones_told_everywhere(place: Place, tmp_path: Path) -> None:
    nothing = ";" * HEADING.count(";")
    source = written(tmp_path, GOOD, BAD, GOOD, GOOD, nothing, "", nothing)
    out = tmp_path / "puntuada.csv"
    done = score(place, source, out)
    assert done.returncode == 0, done.stderr
    rows = read(out)
    assert [row["error"] for row in rows] == ["", "im:numero_no_valido", "", ""]
    assert [bool(row["probabilidad"]) for row in rows] == [True, False, True, True]
    faults = out.with_name("puntuada.csv.errores.csv").read_text(encoding="utf-8-sig")
    assert faults.splitlines() == ["linea;fila;error", "3;2;im:numero_no_valido"]
    assert "\n  3: im:numero_no_valido\n" in done.stderr
    assert "1      im:numero_no_valido  im no es un número; use solo cifras" in done.stdout
    assert names(tmp_path) == {
        "cartera.csv",
        "puntuada.csv",
        "puntuada.csv.errores.csv",
        "puntuada.csv.resumen.json",
    }
    summary = json.loads(out.with_name("puntuada.csv.resumen.json").read_text(encoding="utf-8"))
    assert (summary["filas"], summary["puntuadas"], summary["con_errores"]) == (4, 3, 1)
    assert summary["filas_vacias"] == 3 and "3, que no cuentan ni salen" in done.stdout
    assert summary["errores"] == {"im:numero_no_valido": 1}
    assert summary["entrada"] == "cartera.csv" and summary["reanudada"] == 0
    euros = 3 * float(rows[0]["probabilidad"]) * float(EXAMPLE["dt"])
    assert summary["euros_esperados"] == pytest.approx(euros, abs=0.01)
    assert sum(summary["clases"].values()) == sum(summary["bandas"].values()) == 3


def test_no_more_than_ten_bad_rows_are_printed_and_all_are_in_the_file(
    place: Place, tmp_path: Path
) -> None:
    source, out = written(tmp_path, GOOD, *[BAD] * 10_000), tmp_path / "out.csv"
    done = told(place, source, out)
    assert done.exit_code == 0
    assert done.stderr.count("im:numero_no_valido") == 10 and "… y 9.990 más" in done.stderr
    assert len(read(out.with_name("out.csv.errores.csv"))) == 10_000


def test_where_nothing_can_be_scored_there_is_no_result(place: Place, tmp_path: Path) -> None:
    source, out = written(tmp_path, BAD, BAD), tmp_path / "out.csv"
    done = told(place, source, out)
    assert done.exit_code == 1 and "ninguna fila" in done.stderr
    assert names(tmp_path) == {"cartera.csv", "out.csv.errores.csv"}
    assert f"Todas las filas con errores: {out}.errores.csv" in done.stdout


def test_an_order_that_scores_nothing_leaves_the_earlier_result_and_says_so(
    place: Place, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    assert told(place, written(tmp_path, GOOD, BAD), out).exit_code == 0
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    done = told(place, written(tmp_path, BAD, BAD, BAD, name="otra.csv"), out, "--force")
    assert done.exit_code == 1 and "el anterior sigue ahí" in done.stderr
    assert "im:numero_no_valido" in done.stderr and "Todas las filas" not in done.stdout
    (tmp_path / "otra.csv").unlink()
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


def test_an_entry_without_rows_is_told(place: Place, tmp_path: Path) -> None:
    done = told(place, written(tmp_path), tmp_path / "out.csv")
    assert done.exit_code == 0 and "ENTRADA no tiene filas" in done.stderr
    assert "no tiene filas" not in told(place, written(tmp_path, GOOD), tmp_path / "o.csv").stderr


def test_no_value_is_printed_or_kept_beside_the_result(place: Place, tmp_path: Path) -> None:
    secret = ";".join((EXAMPLE | {"im": "SECRETO-1"}).values())
    done = told(place, written(tmp_path, GOOD, secret), tmp_path / "out.csv")
    assert done.exit_code == 0
    assert "SECRETO" not in done.stdout + done.stderr
    for name in ("out.csv.errores.csv", "out.csv.resumen.json"):
        assert "SECRETO" not in (tmp_path / name).read_text(encoding="utf-8-sig")


def test_the_audit_log_tells_who_scored_how_much_with_what(place: Place, tmp_path: Path) -> None:
    assert told(place, written(tmp_path, GOOD, BAD), tmp_path / "out.csv").exit_code == 0
    # The state may be a copy of one where another test has scored already.
    *_, record = [one for one in Audit(place.state).all() if one.event == "scored"]
    release = place.registry.current()
    assert release is not None and record.who
    assert record.facts == {
        "version": release.version,
        "release": release.number,
        "rows": 2,
        "scored": 1,
        "file": "cartera.csv",
    }


def test_who_has_a_portfolio_scored_gets_what_was_found_and_nothing_is_printed(
    place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name, value in place.environment().items():
        monkeypatch.setenv(name, value)
    parts, said, shares = compose(), list[str](), list[float]()
    onlooker = Onlooker(said.append, lambda now: shares.append(now.done))

    def scored(*rows: str) -> Scored:
        wish = Wish(str(written(tmp_path, *rows)), str(tmp_path / "out.csv"))
        request = Request(wish, None, EngineWish(workers=1), resume=False, force=True)
        return scores(parts, request, "Ana", onlooker)

    found = scored(GOOD, BAD, GOOD)
    assert (found.note.tally.rows, found.note.tally.scored) == (3, 2)
    assert found.beside.result == tmp_path / "out.csv" and found.changes is None
    assert shares == [1.0] and said == []
    with pytest.raises(NotScored, match="ninguna fila") as refused:
        scored(BAD, BAD)
    assert refused.value.found is not None and refused.value.found.note.tally.rows == 2
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_where_trees_could_be_quicker_that_is_said_once(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, trees = written(tmp_path, GOOD), tmp_path / "trees.pkl"
    trees.write_bytes(dumped(forest(1, trees=60)))

    def advised(installed: object) -> int:
        monkeypatch.setattr(loops, "llvm", installed)
        done = told(place, source, tmp_path / "out.csv", "--force")
        assert done.exit_code == 0, done.stderr
        return done.stdout.count('pip install "propensia[fast]"')

    installed = loops.llvm
    assert advised(None) == 0, "no model of trees"
    assert place.run("admit", str(trees)).returncode == 0
    assert advised(None) == 1
    assert installed is None or advised(installed) == 0


# What is refused


def test_a_result_that_exists_is_overwritten_only_when_told_to(
    place: Place, tmp_path: Path
) -> None:
    source, out = written(tmp_path, GOOD), tmp_path / "out.csv"
    out.write_text("mío", encoding="utf-8")
    done = told(place, source, out)
    assert (done.exit_code, out.read_text(encoding="utf-8")) == (1, "mío")
    assert "ya existe; con --force se sobrescribe" in done.stderr
    assert told(place, source, out, "--force").exit_code == 0
    assert len(read(out)) == 1


def test_what_was_done_is_not_lost_to_an_order_that_cannot_be_carried_out(
    place: Place, tmp_path: Path
) -> None:
    source, out = written(tmp_path, GOOD), tmp_path / "out.csv"
    sheet, names_of = tmp_path / "libro.xlsx", tmp_path / "nombres.csv"
    openpyxl.Workbook().save(sheet)
    names_of.write_text("contrato;tabla\nim;no está\n", encoding="utf-8")
    nowhere = f"sqlite:///{tmp_path / 'no' / 'x.db'}"
    where = databases.identity(databases.url_of(nowhere))
    beside = Beside.of_table(place.state, f"{where} scores")
    done = [Path(f"{out}.part"), Path(f"{out}.part.json"), beside.note]
    for path in done:
        path.write_bytes(b"hecho")
    for arguments in (
        (source, out, "--model", "zzzz"),
        (source, out, "--columns", names_of),
        (source, out, "--key", "id"),
        (source, out, "--query", "SELECT 1"),
        (sheet, out, "--sheet", "Enero"),
        (source, out, "--engine", "dask", "--scheduler", "donde sea"),
        (nowhere, out, "--query", "t"),
        (source, nowhere),
    ):
        asked = told(place, *arguments, "--force")
        assert asked.exit_code and "Traceback" not in asked.output, asked.output
        assert [path.read_bytes() for path in done] == [b"hecho"] * 3, arguments
    assert told(place, source, out, "--force").exit_code == 0
    assert not done[0].exists() and not done[1].exists()


def test_resume_with_force_goes_on_where_something_is_half_done_and_else_overwrites(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = written(tmp_path, *[GOOD] * 5), tmp_path / "out.csv"
    both = ("--resume", "--force")

    def full(sink: CsvSink) -> None:
        raise OSError(errno.ENOSPC, "no room")

    assert told(place, source, out).exit_code == 0
    whole = out.read_bytes()
    out.write_text("del mes pasado", encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(CsvSink, "finish", full)
        assert told(place, source, out, *both).exit_code == 3
    assert out.read_text(encoding="utf-8") == "del mes pasado" and kept(out) == 5
    done = told(place, source, out, *both)
    assert done.exit_code == 0 and "Sigue donde quedó: 5 filas hechas" in done.stderr
    assert out.read_bytes() == whole
    out.write_text("del mes pasado", encoding="utf-8")
    done = told(place, source, out, *both)
    assert done.exit_code == 0 and "Sigue donde quedó" not in done.stderr
    assert out.read_bytes() == whole and kept(out) == 0


def test_the_entry_is_never_overwritten_under_any_name(place: Place, tmp_path: Path) -> None:
    source = written(tmp_path, GOOD)
    before = source.read_bytes()
    os.link(source, tmp_path / "otra.csv")
    folder = tmp_path / "carpeta"
    folder.mkdir()
    shutil.copy(source, folder / "out.csv.part")
    for entry, out in (
        (source, source),
        (source, folder / ".." / source.name),
        (source, tmp_path / "otra.csv"),
        (folder / "out.csv.part", folder / "out.csv"),
    ):
        done = told(place, entry, out, "--force")
        assert done.exit_code == 1 and "mismo fichero" in done.stderr, out
    assert source.read_bytes() == (folder / "out.csv.part").read_bytes() == before


def test_what_cannot_be_meant_or_written_ends_as_scripts_expect(
    place: Place, tmp_path: Path
) -> None:
    source = written(tmp_path, GOOD)
    for code, arguments in (
        (3, (source, tmp_path / "no" / "out.csv")),
        (2, (tmp_path / "no.csv", tmp_path / "out.csv")),
        (1, (source, tmp_path)),
        (1, (tmp_path, tmp_path / "out.csv")),
        (1, (source, tmp_path / "out.csv", "--model", "abcdef")),
        (2, (source, tmp_path / "out.csv", "--query", "t")),
        (2, (source, tmp_path / "out.csv", "--sheet", "Enero")),
        (2, (source, tmp_path / "out")),
        (2, (source, tmp_path / "out", "--deciles", "run")),
        (2, (f"sqlite:///{tmp_path / 'x.db'}", tmp_path / "out.csv")),
        (2, (source, tmp_path / "out.csv", "--workers", "0")),
        (2, (source,)),
    ):
        done = told(place, *arguments)
        assert done.exit_code == code, done.stderr
        assert isinstance(done.exception, SystemExit) and done.stderr.strip()
        assert "is not" not in done.stderr, "in Spanish"
    assert names(tmp_path) == {"cartera.csv"}


@pytest.mark.skipif(not POSIX, reason="only POSIX has named pipes")
def test_a_pipe_is_refused_as_any_other_thing_that_is_no_file(
    place: Place, tmp_path: Path
) -> None:
    source, out, pipe = written(tmp_path, GOOD), tmp_path / "out.csv", tmp_path / "tubería"
    os.mkfifo(pipe)
    for arguments in ((pipe, out), (source, out, "--columns", pipe), (source, pipe)):
        done = told(place, *arguments)
        assert done.exit_code == 1 and done.stderr.strip().endswith("tubería no es un fichero")
    assert names(tmp_path) == {"cartera.csv"}


# What stops it


@pytest.fixture(scope="session")
def undisturbed(admitted: Place, large: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of ``large`` that nothing disturbed."""
    out = tmp_path_factory.mktemp("undisturbed") / "out.csv"
    done = score(admitted, large, out, "--workers", 1)
    assert done.returncode == 0, done.stderr
    return out


def assert_same(out: Path, undisturbed: Path) -> None:
    for suffix in ("", ".errores.csv"):
        mine, theirs = (path.with_name(path.name + suffix) for path in (out, undisturbed))
        assert mine.read_bytes() == theirs.read_bytes(), suffix
    left = {"out.csv", "out.csv.errores.csv", "out.csv.resumen.json"}
    assert names(out.parent) == left


def test_workers_give_the_same_bytes_as_one_process(
    admitted: Place, large: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    assert score(admitted, large, out, "--workers", 2).returncode == 0
    assert_same(out, undisturbed)


@pytest.mark.skipif(not POSIX, reason="a Ctrl-C of a terminal is a signal here")
def test_an_interrupted_run_says_how_to_go_on_and_goes_on(
    place: Place, large: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """The signal goes to all processes of the terminal, as Ctrl-C does."""
    out = tmp_path / "out.csv"
    for _ in tries(out):
        with running(place, large, out, "--workers", 2) as popen:
            wait_for(lambda: kept(out), "a block is kept", pause_s=0.002)
            os.killpg(popen.pid, signal.SIGINT)
            said, told = popen.communicate(timeout=30)
    assert popen.returncode == 1 and told.strip().endswith(
        "Interrumpido. Lo hecho está guardado: la misma orden con --resume sigue donde quedó."
    )
    assert "Traceback" not in said + told
    again = score(place, large, out)
    assert again.returncode == 1 and "--resume" in again.stderr and "--force" in again.stderr
    done = score(place, large, out, "--resume", "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert "Sigue donde quedó" in done.stderr and "reanudada una vez" in done.stdout
    assert_same(out, undisturbed)


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_run_which_goes_on_with_the_version_it_began_with(
    place: Place, large: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    for _ in tries(out):
        with running(place, large, out, "--workers", 2) as popen:
            wait_for(lambda: kept(out), "a block is kept", pause_s=0.002)
            with contextlib.suppress(IndexError, psutil.NoSuchProcess):
                workers(popen)[0].kill()
            said, told = popen.communicate(timeout=30)
    assert popen.returncode == 3 and "ha terminado de repente" in told and "--resume" in told
    assert "Traceback" not in said + told
    newer = tmp_path / "newer.pkl"
    newer.write_bytes(dumped(forest(1)))
    assert place.run("admit", str(newer)).returncode == 0
    newer.unlink()
    other = score(place, large, out, "--resume", "--model", place.registry.current().version)
    assert other.returncode == 1 and "se empezó con la" in other.stderr
    done = score(place, large, out, "--resume")
    assert done.returncode == 0, done.stderr
    assert_same(out, undisturbed)


@pytest.mark.slow
def test_a_run_does_not_go_on_with_another_entry(
    place: Place, large: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "cartera.csv", tmp_path / "sub" / "out.csv"
    shutil.copy(large, source)
    out.parent.mkdir()
    for _ in tries(out):
        with running(place, source, out, "--workers", 1) as popen:
            wait_for(lambda: kept(out), "a block is kept", pause_s=0.002)
            popen.kill()
    os.utime(source, (1, 1))
    done = score(place, source, out, "--resume")
    assert done.returncode == 1 and "la entrada es otra, o ha cambiado" in done.stderr
    assert kept(out)
    written(tmp_path, GOOD)
    assert score(place, source, out, "--force").returncode == 0
    assert names(out.parent) == {"out.csv", "out.csv.resumen.json"}


def test_an_entry_that_changes_while_it_is_read_gives_no_result(
    place: Place, large: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "cartera.csv", tmp_path / "sub" / "out.csv"
    shutil.copy(large, source)
    out.parent.mkdir()
    for _ in tries(out):
        with running(place, source, out, "--workers", 1) as popen:
            wait_for(lambda: kept(out), "a block is kept", pause_s=0.002)
            with source.open("a", encoding="utf-8") as stream:
                stream.write(GOOD + "\n")
            _, told = popen.communicate(timeout=60)
    assert popen.returncode == 1 and "ha cambiado mientras se leía" in told
    assert names(out.parent) == set()


def test_two_runs_to_one_result_are_refused(place: Place, tmp_path: Path) -> None:
    source, out = written(tmp_path, GOOD), tmp_path / "out.csv"
    with Beside.of_file(out).locked():
        for more in ("--force", "--resume"):
            done = told(place, source, out, more)
            assert done.exit_code == 1 and "otra ejecución" in done.stderr, more
    assert names(tmp_path) == {"cartera.csv"}


@pytest.mark.slow
@pytest.mark.skipif(not POSIX, reason="limits of POSIX stand for a full disk")
def test_a_disk_that_is_full_stops_the_run_which_goes_on_when_there_is_room(
    place: Place, large: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """A file that may not grow is what a full disk is to the program, but for its name."""
    out = tmp_path / "out.csv"
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (5 << 20, 5 << 20)); "
        "from propensia.__main__ import main; main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "score", str(large), str(out), "--workers", "1"],
        cwd=ROOT,
        env=place.environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 3 and "--resume" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
    assert kept(out) and not out.exists()
    assert score(place, large, out, "--resume").returncode == 0
    assert_same(out, undisturbed)


@pytest.mark.slow
@pytest.mark.skipif(not POSIX, reason="a process that is killed takes its group with it there")
def test_when_the_command_is_killed_its_workers_end(
    place: Place, large: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    with running(place, large, out, "--workers", 2) as popen:
        family = wait_for(lambda: workers(popen), "workers")
        wait_for(lambda: kept(out), "a block is kept", pause_s=0.002)
        family = workers(popen)
        popen.kill()
        popen.wait()
        deadline = time.monotonic() + 20
        while any(p.is_running() and p.status() != "zombie" for p in family):
            assert time.monotonic() < deadline
            time.sleep(0.05)


# What is not a CSV


def test_whichever_way_rows_come_and_go_they_have_the_same_scores(
    place: Place, tmp_path: Path
) -> None:
    table = [EXAMPLE, EXAMPLE | {"im": "doce"}, EXAMPLE | {"vt": "2"}]
    entries = {
        "csv": written(tmp_path, *(";".join(row.values()) for row in table)),
        "parquet": tmp_path / "entrada.parquet",
        "xlsx": tmp_path / "entrada.xlsx",
        "db": tmp_path / "entrada.db",
    }
    pq.write_table(pa.Table.from_pylist(table), entries["parquet"])
    book = openpyxl.Workbook()
    for cells in (list(EXAMPLE), *(list(row.values()) for row in table)):
        book.active.append(cells)
    book.save(entries["xlsx"])
    with contextlib.closing(sqlite3.connect(entries["db"])) as database, database:
        columns = ", ".join(f'"{name}" TEXT' for name in EXAMPLE)
        database.execute(f"CREATE TABLE cartera (fila INTEGER PRIMARY KEY, {columns})")
        places = ", ".join("?" * (len(EXAMPLE) + 1))
        for number, row in enumerate(table):
            database.execute(f"INSERT INTO cartera VALUES ({places})", (number, *row.values()))
    base = f"sqlite:///{entries['db'].as_posix()}"
    for arguments in (
        (entries["csv"], tmp_path / "out.parquet"),
        (entries["parquet"], tmp_path / "out.xlsx"),
        (entries["xlsx"], base, "--run", "enero"),
        (entries["xlsx"], base, "--run", "enero"),
        (base, tmp_path / "out.csv", "--query", "cartera", "--deciles", "run"),
    ):
        done = score(place, *arguments, "--motivos", 2)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
    names = ("probabilidad", "error", "motivos")
    cells = list(openpyxl.load_workbook(tmp_path / "out.xlsx").active.iter_rows(values_only=True))
    in_book = [dict(zip(cells[0], line, strict=True)) for line in cells[1:]]
    with contextlib.closing(sqlite3.connect(entries["db"])) as database:
        wanted = f"SELECT {', '.join(names)} FROM scores ORDER BY row"
        in_base = [dict(zip(names, line, strict=True)) for line in database.execute(wanted)]
    in_csv: list[dict[str, Any]] = [
        row | {"probabilidad": float(row["probabilidad"].replace(",", ".") or "nan")}
        for row in read(tmp_path / "out.csv")
    ]
    found = [
        [
            (row["probabilidad"] or math.nan, row["error"] or "", row["motivos"] or "")
            for row in rows
        ]
        for rows in (pq.read_table(tmp_path / "out.parquet").to_pylist(), in_book, in_base, in_csv)
    ]
    assert found[0][0][0] != found[0][2][0] and found[0][1][1] == "im:numero_no_valido"
    for other in found[1:]:
        assert str(other) == str(found[0])


@pytest.mark.slow
def test_a_run_into_a_database_goes_on_after_a_kill(
    place: Place, large: Path, tmp_path: Path
) -> None:
    path = tmp_path / "scores.db"
    sqlite3.connect(path).close()
    base = f"sqlite:///{path.as_posix()}"
    folder = place.state / "runs"

    def noted() -> int:
        with contextlib.suppress(OSError, ValueError):
            (note,) = folder.glob("*.json")
            return int(json.loads(note.read_text(encoding="utf-8"))["tally"]["rows"])
        return 0

    with running(place, large, base, "--workers", 1) as popen:
        wait_for(noted, "a block is kept", 60)
        popen.kill()
    again = score(place, large, base)
    assert again.returncode == 1 and "--resume" in again.stderr
    assert score(place, large, base, "--resume").returncode == 0
    with contextlib.closing(sqlite3.connect(path)) as database:
        (rows,) = database.execute("SELECT count(*) FROM scores_latest").fetchone()
        complete = database.execute('SELECT "rows", scored FROM scores_runs').fetchall()
    assert rows == LARGE and complete == [(LARGE, LARGE - len(range(0, LARGE, 997)))]
    assert not list(folder.iterdir())
