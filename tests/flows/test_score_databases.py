"""``propensia score`` from database to database: real commands, a real server, real endings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from batch_databases import ask, do, sqlite_url
from guarded import copied
from models_for_tests import EXAMPLE
from server import ROOT, Place, wait_for
from stores import Postgresql

from propensia.audit import Audit

KILLED = """
import os
from propensia.batch.beside import Beside
Beside.discard = lambda self: os._exit(9)
from propensia.__main__ import main
main()
"""
NOTED = """
import os
from propensia.batch.progress import Pace
Pace.now = lambda *_: os._exit(9)
from propensia.__main__ import main
main()
"""
"""Killed when its first block is noted down."""
ROWS = 60_000
"""Three blocks."""


@pytest.fixture
def place(admitted: Place, tmp_path: Path) -> Place:
    """An installation of its own with that model."""
    return copied(admitted, tmp_path / "place")


def portfolio(url: str, rows: int) -> None:
    """A table of debtors, whose debts are all different and of whom every thousandth is bad."""
    columns = ", ".join(f'"{name}" TEXT' for name in EXAMPLE)
    do(url, f"CREATE TABLE cartera (cliente TEXT PRIMARY KEY, {columns}, nota TEXT)")
    debt = "CASE WHEN n % 1000 = 7 THEN 'doce' ELSE CAST(n AS TEXT) END"
    texts = ", ".join(debt if name == "dt" else f"'{text}'" for name, text in EXAMPLE.items())
    key = "'C-' || substr(CAST(10000000 + n AS TEXT), 2)"
    do(
        url,
        "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers "
        f"WHERE n < {rows - 1}) INSERT INTO cartera SELECT {key}, {texts}, 'SECRETO' FROM numbers",
    )


def score(
    place: Place, url: str, *arguments: str, source: str = "env:BASE"
) -> subprocess.CompletedProcess[str]:
    """The command, with both ends in a variable that nobody else sees."""
    return subprocess.run(
        [sys.executable, "-m", "propensia", "score", source, "env:BASE", *arguments],
        cwd=ROOT,
        env=place.environment() | {"BASE": url},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


def test_a_table_is_scored_into_a_table_with_its_alert_list(place: Place, tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "crm.db")
    portfolio(url, 300)
    wanted = ("--query", "cartera", "--run", "2026-01", "--alerts", "top=10%", "--motivos", "2")
    done = score(place, url, *wanted, "--deciles", "run")
    assert done.returncode == 0, done.stderr
    assert "Lista de avisos: entran 30, salen 0." in done.stdout
    assert ask(url, "SELECT count(*) FROM scores_latest WHERE row LIKE 'C-%'") == [(300,)]
    assert ask(url, "SELECT row, error FROM scores WHERE error IS NOT NULL") == [
        ("C-0000007", "dt:numero_no_valido")
    ]
    assert ask(url, "SELECT min(decil), max(decil), count(decil) FROM scores") == [(1, 10, 299)]
    assert ask(url, "SELECT count(*) FROM scores WHERE motivos LIKE '%:% %:%'") == [(299,)]
    again = score(place, url, *wanted)
    assert "entran 0, salen 0" in again.stdout
    assert ask(url, "SELECT id, rows, scored FROM scores_runs") == [("2026-01", 300, 299)]


@pytest.mark.slow
def test_a_server_that_dies_in_the_middle_costs_no_row(
    place: Place, own_postgresql: Postgresql
) -> None:
    url = own_postgresql.fresh().replace("postgres@", "postgres:CLAVE@")
    portfolio(url, ROWS)
    command = ["score", "env:BASE", "env:BASE", "--query", "cartera", "--alerts", "0.5"]
    with subprocess.Popen(
        [sys.executable, "-m", "propensia", *command],
        cwd=ROOT,
        env=place.environment() | {"BASE": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as running:
        wait_for(lambda: _rows(url) > 0, "a block")
        own_postgresql.kill()
        out, err = running.communicate(timeout=120)
    assert running.returncode == 3, err
    assert "con --resume" in err
    own_postgresql.start()
    assert 0 < _rows(url) < ROWS
    assert ask(url, "SELECT count(*) FROM scores_latest") == [(0,)]
    refused = score(place, url, *command[3:])
    assert refused.returncode == 1
    resumed = score(place, url, *command[3:], "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert ask(url, "SELECT count(*), count(probabilidad) FROM scores_latest") == [
        (ROWS, ROWS - ROWS // 1000)
    ]
    assert ask(url, "SELECT count(*), count(distinct row) FROM scores") == [(ROWS, ROWS)]
    said = out + err + refused.stderr + resumed.stdout + resumed.stderr
    for secret in ("CLAVE", "SECRETO", "C-0"):
        assert secret not in said


def _rows(url: str) -> int:
    try:
        return int(ask(url, "SELECT count(*) FROM scores")[0][0])
    except Exception:  # not there yet
        return 0


def test_only_what_changed_since_the_last_run_is_scored_once_more(
    place: Place, tmp_path: Path
) -> None:
    url = sqlite_url(tmp_path / "crm.db")
    portfolio(url, 50)
    do(url, "ALTER TABLE cartera ADD COLUMN cambio TEXT")
    do(url, "UPDATE cartera SET cambio = '2020-01-01 00:00:00'")
    wanted = ("--query", "cartera", "--since", "last", "--changed", "cambio")
    assert score(place, url, *wanted).returncode == 0
    do(
        url,
        "UPDATE cartera SET cambio = '2999-01-01 00:00:00', dt = '1' WHERE cliente < 'C-0000003'",
    )
    done = score(place, url, *wanted)
    assert done.returncode == 0, done.stderr
    assert ask(url, "SELECT rows, whole FROM scores_runs ORDER BY started") == [(50, 1), (3, 0)]
    assert ask(url, "SELECT count(*) FROM scores_latest") == [(50,)]
    top = score(place, url, *wanted, "--alerts", "top=5%")
    assert top.returncode == 2
    assert "cartera entera" in top.stderr


@pytest.mark.parametrize(
    "wanted",
    [
        ("--since", "last", "--changed", "cambio"),
        ("--since", "2026-01-31", "--changed", "cambio"),
        ("--alerts", "0.5"),
    ],
)
def test_row_numbers_are_not_taken_for_the_debtors_of_another_run(
    place: Place, tmp_path: Path, wanted: tuple[str, ...]
) -> None:
    """Row 1 of what changed is another debtor than row 1 of the whole portfolio."""
    url = sqlite_url(tmp_path / "crm.db")
    portfolio(url, 50)
    do(url, "ALTER TABLE cartera ADD COLUMN cambio TEXT")
    do(url, "UPDATE cartera SET cambio = '2026-02-01' WHERE cliente > 'C-0000044'")
    query = ("--query", "SELECT * FROM cartera ORDER BY cliente")
    done = score(place, url, *query)
    assert done.returncode == 0, done.stderr
    before = ask(url, "SELECT * FROM scores_latest ORDER BY row")
    refused = score(place, url, *query, *wanted)
    assert refused.returncode == 2, refused.stderr
    assert f"{wanted[0]}: " in refused.stderr
    assert "diga con --key" in refused.stderr
    assert ask(url, "SELECT * FROM scores_latest ORDER BY row") == before
    assert ask(url, "SELECT count(*) FROM scores_alerts") == [(0,)]
    if "last" in wanted:  # with a key, the whole portfolio once more
        keyed = score(place, url, *query, *wanted, "--key", "cliente")
        assert keyed.returncode == 0, keyed.stderr
        assert "se puntúan todas las filas" in keyed.stderr
        assert ask(url, "SELECT count(*) FROM scores_latest WHERE row LIKE 'C-%'") == [(50,)]


def test_whoever_is_on_the_list_has_a_key_also_in_a_file(place: Place, tmp_path: Path) -> None:
    url, source = sqlite_url(tmp_path / "crm.db"), tmp_path / "cartera.csv"
    lines = [",".join(["cliente", *EXAMPLE]), ",".join(["C-1", *EXAMPLE.values()]), ""]
    source.write_text("\n".join(lines), encoding="utf-8")
    refused = score(place, url, "--alerts", "top=100%", source=str(source))
    assert refused.returncode == 2, refused.stderr
    assert "--alerts: cartera.csv no tiene clave" in refused.stderr
    done = score(place, url, "--alerts", "top=100%", "--key", "cliente", source=str(source))
    assert done.returncode == 0, done.stderr
    assert ask(url, "SELECT event, row FROM scores_alerts") == [("entra", "C-1")]


def test_since_last_goes_on_with_what_last_was_as_it_began(place: Place, tmp_path: Path) -> None:
    """Killed behind the last transaction, before its note was removed: «last» would be itself."""
    url = sqlite_url(tmp_path / "crm.db")
    portfolio(url, 50)
    do(url, "ALTER TABLE cartera ADD COLUMN cambio TEXT")
    do(url, "UPDATE cartera SET cambio = '2999-01-01 00:00:00'")
    wanted = ("--query", "cartera", "--since", "last", "--changed", "cambio", "--resume")
    assert score(place, url, *wanted).returncode == 0
    do(url, "UPDATE scores_runs SET started = '2020-01-01 00:00:00.000000'")
    command = [sys.executable, "-c", KILLED, "score", "env:BASE", "env:BASE", *wanted]
    killed = subprocess.run(command, cwd=ROOT, env=place.environment() | {"BASE": url})
    assert killed.returncode == 9
    runs = ask(url, "SELECT id, rows FROM scores_runs WHERE finished IS NOT NULL")
    assert len(runs) == 2
    done = score(place, url, *wanted)
    assert done.returncode == 0, done.stderr
    assert ask(url, "SELECT id, rows FROM scores_runs") == runs


@pytest.mark.slow
def test_a_key_that_comes_twice_costs_neither_the_earlier_run_nor_the_table(
    place: Place, tmp_path: Path
) -> None:
    url = sqlite_url(tmp_path / "crm.db")
    portfolio(url, 20_050)  # two blocks
    once = ("--query", "SELECT * FROM cartera WHERE cliente < 'C-0000050'", "--key", "cliente")
    assert score(place, url, *once, "--run", "enero").returncode == 0
    # Without a key of its own, what is read is not checked beforehand.
    twice = tmp_path / "cartera.csv"
    heading = ",".join(["cliente", *EXAMPLE])
    lines = [",".join([f"C-{n % 20_049}", *EXAMPLE.values()]) for n in range(20_050)]
    twice.write_text("\n".join([heading, *lines, ""]), encoding="utf-8")
    told = len(list(Audit(place.state).all()))
    arguments = ("score", str(twice), "env:BASE", "--key", "cliente", "--run", "enero")
    for _ in range(2):
        refused = subprocess.run(
            [sys.executable, "-m", "propensia", *arguments],
            cwd=ROOT,
            env=place.environment() | {"BASE": url},
            capture_output=True,
            encoding="utf-8",
        )
        assert refused.returncode == 1
        assert "no distingue las filas" in refused.stderr
    assert ask(url, "SELECT count(*) FROM scores_latest") == [(50,)]
    assert ask(url, "SELECT count(*) FROM scores") == [(50,)]
    assert len(list(Audit(place.state).all())) == told, "it was told as if it were scored"
    assert score(place, url, *once, "--run", "febrero").returncode == 0


@pytest.mark.slow
def test_of_a_run_that_cannot_go_on_no_row_of_a_person_is_left(
    place: Place, tmp_path: Path
) -> None:
    url = sqlite_url(tmp_path / "crm.db")
    portfolio(url, 50)
    wanted = ("--query", "cartera")
    command = [sys.executable, "-c", NOTED, "score", "env:BASE", "env:BASE", *wanted]
    killed = subprocess.run(command, cwd=ROOT, env=place.environment() | {"BASE": url})
    assert killed.returncode == 9
    assert ask(url, "SELECT count(*) FROM scores") == [(50,)]
    forced = score(place, url, *wanted, "--force")
    assert forced.returncode == 0, forced.stderr
    runs = ask(url, "SELECT id, rows FROM scores_runs")
    assert [rows for _, rows in runs] == [50]
    do(url, "UPDATE cartera SET dt = 'doce'")
    refused = score(place, url, *wanted, "--run", "enero")
    assert refused.returncode == 1
    assert "ninguna fila" in refused.stderr
    assert ask(url, "SELECT id, rows FROM scores_runs") == runs
    assert ask(url, "SELECT DISTINCT run FROM scores") == [(runs[0][0],)]


def test_a_ragged_row_of_a_file_is_told_in_the_table_and_stops_nothing(
    place: Place, tmp_path: Path
) -> None:
    url, source = sqlite_url(tmp_path / "crm.db"), tmp_path / "cartera.csv"
    good = [",".join([*EXAMPLE.values(), f"C-{n}"]) for n in range(3)]
    lines = [",".join([*EXAMPLE, "cliente"]), *good[:2], "SECRETO", good[2], ""]
    source.write_text("\n".join(lines), encoding="utf-8")
    done = score(place, url, "--key", "cliente", source=str(source))
    assert done.returncode == 0, done.stderr
    assert ask(url, "SELECT row, error FROM scores ORDER BY row") == [
        *((f"C-{n}", None) for n in range(3)),
        ("fila 4", "fila:columnas_de_menos"),
    ]


def test_a_table_of_somebody_elses_is_refused_by_its_column(place: Place, tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "crm.db")
    portfolio(url, 50)
    refused = score(place, url, "--query", "cartera", "--table", "cartera")
    assert refused.returncode == 1
    assert "falta la columna run" in refused.stderr
    assert ask(url, "SELECT count(*) FROM sqlite_master WHERE type = 'table'") == [(1,)]


def test_a_database_that_is_not_there_is_the_environment(place: Place) -> None:
    refused = score(place, "postgresql://ana:CLAVE@127.0.0.1:1/nada", "--query", "cartera")
    assert refused.returncode == 3, refused.stderr
    assert (
        "postgresql+pg8000://***@127.0.0.1:1/nada: la base de datos no responde" in refused.stderr
    )
    assert "CLAVE" not in refused.stderr + refused.stdout
