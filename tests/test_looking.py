"""An uploaded portfolio is looked at by a process that is shut in and bounded."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import openpyxl  # type: ignore[import-untyped]  # ships no types
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from models_for_tests import EXAMPLE

from propensia import jobs, looking, portfolio, processes, score, settings
from propensia.batch.notes import AGAIN, NoteError
from propensia.batch.run import NothingScored
from propensia.confinement import landlock
from propensia.contract import Contract
from propensia.delimited import TableError
from propensia.jobs import About, Job
from propensia.registry import RegistryError
from propensia.scorer import ScorerError
from propensia.settings import Settings
from propensia.terminal import Exit
from propensia.web import portfolio_page


@pytest.fixture
def chosen(tmp_path: Path) -> Settings:
    return settings.load({}, tmp_path / "none.toml")


def job_of(tmp_path: Path, data: bytes, suffix: str = ".csv") -> tuple[Job, About]:
    job = Job(tmp_path / "cartera")
    job.folder.mkdir()
    about = About(f"Marzo{suffix}", f"entrada{suffix}", "Ana", time.time())
    job.entry(about).write_bytes(data)
    return job, about


def table(rows: int) -> bytes:
    lines = [";".join(EXAMPLE), *[";".join(EXAMPLE.values())] * rows]
    return ("\n".join(lines) + "\n").encode()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_is_looked_at_and_nothing_is_left_of_the_look(
    suffix: str, chosen: Settings, tmp_path: Path
) -> None:
    data = table(30)
    if suffix == ".parquet":
        pq.write_table(pa.table({k: [v] * 30 for k, v in EXAMPLE.items()}), tmp_path / "t")
        data = (tmp_path / "t").read_bytes()
    job, about = job_of(tmp_path, data, suffix)
    seen = portfolio._looked(chosen, job, about)["preview"]
    assert (seen["rows"], seen["wrong"], len(seen["first"])) == (30, 0, looking.SHOWN_ROWS)
    assert [path.name for path in job.folder.iterdir()] == [about.file]


@pytest.mark.slow
def test_a_file_that_pleads_for_all_the_memory_is_refused_in_a_sentence(
    chosen: Settings, tmp_path: Path
) -> None:
    """Some kilobytes; the first rows alone unpack to ten gigabytes."""
    zeros = pa.array([0] * 2_000, pa.int32())
    texts = pa.DictionaryArray.from_arrays(zeros, ["x" * 5_000_000])
    columns = {name: [value] * 2_000 for name, value in EXAMPLE.items()}
    # Without its own schema it is read as plain texts.
    plain = {"compression": "zstd", "store_schema": False}
    pq.write_table(pa.table({**columns, "nota": texts}), tmp_path / "t", **plain)
    job, about = job_of(tmp_path, (tmp_path / "t").read_bytes(), ".parquet")
    assert job.size(about) < 100_000
    with pytest.raises(portfolio.TooMuch):
        portfolio._looked(chosen, job, about)
    assert [path.name for path in job.folder.iterdir()] == [about.file]


def test_a_look_that_takes_too_long_is_ended_and_refused(
    chosen: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, about = job_of(tmp_path, table(3))
    monkeypatch.setattr(portfolio, "LOOK_S", 0.05)
    with pytest.raises(portfolio.TooMuch):
        portfolio._looked(chosen, job, about)


@pytest.mark.skipif(
    sys.platform != "linux" or not landlock.version(), reason="the kernel has no Landlock"
)
def test_who_looks_can_read_the_file_that_was_sent_and_nothing_else(
    chosen: Settings, tmp_path: Path
) -> None:
    job, about = job_of(tmp_path, table(3))
    other = tmp_path / "otra.csv"
    other.write_bytes(table(3))
    folder = tmp_path / "look"
    ends = []
    for asked in (job.entry(about), other):
        folder.mkdir(exist_ok=True)
        request = {
            "limits": {"memory_mb": 4096, "cpu_s": 30, "file_mb": 16},
            "readable": [str(job.entry(about)), *portfolio.mimetypes.knownfiles],
            "file": str(asked),
            "contract": chosen.contract,
            "sheet": "",
        }
        (folder / looking.REQUEST).write_text(json.dumps(request), encoding="utf-8")
        (folder / looking.RESULT).unlink(missing_ok=True)
        run = processes.run(
            "propensia.confinement", "propensia.looking", str(folder), timeout_s=60, folder=folder
        )
        ends.append((run.code, (folder / looking.RESULT).exists()))
    assert ends == [(0, True), (1, False)]


@pytest.mark.parametrize(("rows", "fits"), [(10, True), (11, False)])
def test_so_many_rows_are_taken_and_not_one_more(
    rows: int, fits: bool, contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MOST_ROWS", 10)
    path = tmp_path / "t.csv"
    path.write_bytes(table(rows))
    if fits:
        assert looking.look(path, contract)["rows"] == rows
        return
    with pytest.raises(looking.TooLong):
        looking.look(path, contract)


def test_what_a_person_at_the_page_is_told_names_no_path_and_no_command(
    contract: Contract, tmp_path: Path
) -> None:
    about = About("Marzo.csv", "entrada.csv", "Ana", 0.0)
    path = tmp_path / about.file
    wrong: list[BaseException] = [
        NoteError(f"no se puede seguir{AGAIN}"),
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)),
        PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path)),
        RegistryError("propensia admit --model"),
        ValueError("417.6853"),
        MemoryError(),
        score.NotScored(f"no existe la carpeta {path}", Exit.ENVIRONMENT),
        NothingScored("--force"),
        ScorerError(str(path)),
        portfolio.TooMuch(),
        looking.TooLong(),
    ]
    for text in (b"a;b\n1;2\n", table(1).replace(b"im;", b"importe;"), table(1).upper()):
        path.write_bytes(text)
        try:
            looking.look(path, contract)
        except TableError as error:
            wrong.append(error)
    assert len(wrong) == 14
    for error in wrong:
        why, text = portfolio._why(error, about)
        spanish, english = (
            portfolio_page.message({"why": why, "text": text}, language)
            for language in ("es", "en")
        )
        assert spanish != english
        assert not text or "In Spanish: " in english
        assert not any(
            hidden in spanish for hidden in ("--", "propensia", "entrada", str(tmp_path), "417")
        ), spanish


def test_faults_beyond_the_first_rows_are_shown_where_they_are(
    contract: Contract, tmp_path: Path
) -> None:
    rows = [EXAMPLE | ({"im": "x"} if at in (3, *range(100, 140)) else {}) for at in range(200)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(";".join(row) for row in [[*EXAMPLE], *(r.values() for r in rows)]))
    seen = looking.look(path, contract)
    assert (seen["rows"], seen["wrong"]) == (200, 41)
    assert [row["line"] for row in seen["first"]] == [*range(2, 22)]
    assert [row["line"] for row in seen["faulty"]] == [*range(102, 122)]
    place = [*EXAMPLE].index("im")
    assert {(row["cells"][place], *row["faults"]) for row in seen["faulty"]} == {
        ("x", "im:numero_no_valido")
    }


def test_another_sheet_of_a_workbook_is_looked_at_and_those_that_are_hidden_are_not_offered(
    chosen: Settings, tmp_path: Path
) -> None:
    book = openpyxl.Workbook()
    book.active.title = "Notas"
    for name in ("Oculta", "Enero"):
        sheet = book.create_sheet(name)
        for row in ([*EXAMPLE], [*EXAMPLE.values()]):
            sheet.append(row)
    book["Oculta"].sheet_state = "hidden"
    book.save(tmp_path / "t.xlsx")
    job, about = job_of(tmp_path, (tmp_path / "t.xlsx").read_bytes(), ".xlsx")
    found = portfolio._looked(chosen, job, about)
    assert found["sheets"] == ["Notas", "Enero"] and "vacía" in found["refused"]
    found = portfolio._looked(chosen, job, replace(about, sheet="Enero"))
    assert found["sheets"] == ["Notas", "Enero"] and found["preview"]["rows"] == 1
