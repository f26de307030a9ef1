"""``propensia audit`` as it is typed, and what the doctor says of the memory."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import time
from datetime import datetime
from pathlib import Path

import pytest
from desk import Desk, desk
from sqlalchemy import insert
from test_doctor import findings, mark, note

from propensia import settings
from propensia.audit import Audit
from propensia.journal.references import References
from propensia.store import database, schema
from propensia.terminal import Exit

__all__ = ["desk"]


@pytest.fixture
def full(desk: Desk) -> Desk:
    """An installation with three lines of audit."""
    desk.publish(0.25, "enero", why="el primero", who="ana")
    desk.publish(0.75, "febrero", why="=cmd|' /C calc'!A0", who="eva\x1b[2J")
    Audit(desk.state).record("exported", who="ana", answers=3, events=0, pinned=False)
    return desk


def test_the_list_is_a_table_for_people(full: Desk) -> None:
    heading, first, second, third = full.run("audit", "list").splitlines()
    assert heading.split() == ["NUMERO", "MOMENTO", "SUCESO", "QUIEN", "DATOS", "MOTIVO"]
    assert "publicado" in first and "release=1" in first and first.endswith("el primero")
    assert "\x1b" not in second and "eva\N{REPLACEMENT CHARACTER}[2J" in second
    assert "datos exportados" in third and "answers=3, events=0" in third
    assert "pinned" not in third


def test_the_list_as_csv_is_safe_to_open_in_a_spreadsheet(full: Desk) -> None:
    heading, *rows = csv.reader(io.StringIO(full.run("audit", "list", "--format", "csv")))
    assert heading == ["numero", "momento", "suceso", "quien", "datos", "motivo"]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert rows[1][5] == "'=cmd|' /C calc'!A0"


def test_the_list_as_json_is_one_record_a_line(full: Desk) -> None:
    rows = [
        json.loads(line) for line in full.run("audit", "list", "--format", "json").split("\n")[:-1]
    ]
    assert [row["numero"] for row in rows] == [1, 2, 3]
    first = next(Audit(full.state).all())
    assert datetime.fromisoformat(rows[0]["momento"]) == datetime.fromisoformat(first.at)
    assert rows[0] | {"momento": ""} == {
        "numero": 1,
        "momento": "",
        "suceso": "published",
        "quien": "ana",
        "datos": first.facts,
        "motivo": "el primero",
        "hash": first.hash,
    }


def test_the_list_is_narrowed_by_time_and_event(full: Desk) -> None:
    for said in ("exported", "datos exportados"):
        assert len(full.run("audit", "list", "--event", said).splitlines()) == 2
    assert len(full.run("audit", "list", "--since", "1h").splitlines()) == 4
    assert full.run("audit", "list", "--since", "2999-01-01") == "Nada.\n"
    full.run("audit", "list", "--since", "ayer", code=Exit.WRONG_USE)
    full.run("audit", "list", "--event", "nada", code=Exit.WRONG_USE)


def test_before_anything_happened_the_log_is_whole_and_empty(desk: Desk) -> None:
    assert desk.run("audit", "verify") == "Aún no se ha anotado nada.\n"
    assert desk.run("audit", "list") == "Nada.\n"
    assert not desk.state.exists()


def test_the_head_that_is_printed_can_be_asked_for_later(full: Desk) -> None:
    head = full.run("audit", "verify").split()[-1]
    full.run("pin")
    assert "es el de la línea 3: sigue ahí" in full.run("audit", "verify", "--head", head)
    assert "no está" in full.run("audit", "verify", "--head", "0" * 64, code=Exit.REFUSED)
    full.run("audit", "verify", "--head", head[:15], code=Exit.WRONG_USE)
    full.run("audit", "verify", "--head", head.upper() + "x", code=Exit.WRONG_USE)


def test_a_changed_line_is_named_with_exit_code_1(full: Desk) -> None:
    path = Audit(full.state).path
    path.write_bytes(path.read_bytes().replace(b"ana", b"eva", 1))
    done = full.run("audit", "verify", code=Exit.REFUSED)
    assert "NO está íntegra: la línea 1 no es la que se escribió" in done


# What the doctor says


def test_the_doctor_tells_whether_the_log_is_whole(full: Desk) -> None:
    assert mark(findings(full), "auditoría íntegra: 3 líneas") == "bien"
    path = Audit(full.state).path
    path.write_bytes(path.read_bytes() + b'{"number":4')
    assert mark(findings(full), "auditoría: media línea al final (11 bytes)") == "aviso"
    path.write_bytes(path.read_bytes()[:-400])
    assert mark(findings(full, Exit.REFUSED), "auditoría: faltan líneas") == "fallo"


def test_the_doctor_counts_what_is_not_on_record(full: Desk) -> None:
    (full.state / "releases/000001.json").unlink()
    assert mark(findings(full), "auditoría: no constan 1 cambios") == "aviso"


@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
def test_the_doctor_looks_after_the_key_of_references(full: Desk) -> None:
    References(full.state)
    path = full.state / "reference.key"
    assert mark(findings(full), "la clave de las referencias está") == "bien"
    path.chmod(stat.S_IRUSR | stat.S_IRGRP)
    told = "otras cuentas pueden leer reference.key"
    assert mark(findings(full, Exit.REFUSED), told) == "fallo"
    path.write_text("abcd", encoding="ascii")
    assert mark(findings(full, Exit.REFUSED), "reference.key está dañada") == "fallo"


def test_the_doctor_names_the_database_and_makes_none(full: Desk) -> None:
    assert mark(findings(full), "aún no hay base de datos en sqlite:///") == "aviso"
    assert not (full.state / "store.db").exists()
    database.open_store(settings.load({})).dispose()
    assert mark(findings(full), "base de datos sqlite:///") == "bien"


def test_the_doctor_warns_where_answers_are_forgotten_before_they_can_be_judged(
    full: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "keep_answers_days = 151, menos que outcome_days"
    monkeypatch.setenv("PROPENSIA_KEEP_ANSWERS_DAYS", "152")
    assert "keep_answers_days" not in full.run("doctor"), "90 days and two months"
    monkeypatch.setenv("PROPENSIA_KEEP_ANSWERS_DAYS", "151")
    assert mark(findings(full), said) == "aviso"


def test_the_doctor_never_tells_the_password_of_a_database(
    full: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROPENSIA_DATABASE_URL", "postgresql://yo:secreta@127.0.0.1:1/base")
    found = findings(full, Exit.REFUSED)
    assert mark(found, "base de datos: postgresql") == "fallo"
    assert not any("secreta" in sentence for sentence in found)


def test_a_database_that_is_none_is_a_fault(full: Desk) -> None:
    (full.state / "store.db").write_bytes(b"this is no database, whatever its name says" * 100)
    assert mark(findings(full, Exit.REFUSED), "base de datos: sqlite") == "fallo"


@pytest.mark.parametrize(
    ("told", "beginning", "wanted"),
    [
        ({"retraso_segundos": 0.4}, "diario: al día", "bien"),
        ({"retraso_segundos": 600.0}, "diario: lo último espera 600 s", "aviso"),
        ({"apartados": 3}, "diario: 3 registros apartados", "aviso"),
        ({"ilegibles": 2}, "diario: 2 líneas ilegibles", "aviso"),
    ],
)
def test_the_doctor_tells_how_far_the_journal_is(
    told: dict[str, float], beginning: str, wanted: str, full: Desk
) -> None:
    (full.state / "journal").mkdir()
    note(full, "keeper.json", pid=1, problemas=[], diario=told)
    assert mark(findings(full), beginning) == wanted


def test_a_journal_that_waits_for_the_service_is_told(full: Desk) -> None:
    (full.state / "journal").mkdir()
    (full.state / "journal" / f"{'0' * 16}-000001.journal").write_bytes(b"x" * 2_500_000)
    assert mark(findings(full), "diario: 2,5 MB, que el servicio pasa") == "bien"


@pytest.mark.parametrize("how", ["off", "optional"])
def test_a_journal_that_may_be_missing_is_a_warning(
    how: str, full: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROPENSIA_JOURNAL", how)
    assert any(f"journal = {how}" in sentence for sentence in findings(full))


def test_a_clock_that_went_ahead_is_told(full: Desk) -> None:
    engine = database.open_store(settings.load({}))
    later = int(time.time() * 1000) + 3_600_000
    row = {c.name: 0 if str(c.type) != "TEXT" else "[]" for c in schema.answers.columns}
    row |= {"id": f"{later:011x}" + "0" * 18, "version": "a" * 12, "model": "m", "rules": "r"}
    row |= {"caller": "", "reference": None, "positive": True}
    with engine.begin() as connection:
        connection.execute(insert(schema.answers).values(row))
    engine.dispose()
    assert mark(findings(full), "hay respuestas de dentro de 3.") == "aviso"


def test_the_copy_of_a_store_is_of_one_moment_and_private(full: Desk) -> None:
    database.open_store(settings.load({})).dispose()
    (full.state / "journal").mkdir()
    (full.state / "journal" / f"{'0' * 16}-000001.journal").write_bytes(b"line\n")
    full.run("backup", "copia.zip")
    assert [path for path in full.folder.iterdir() if "copia.zip." in path.name] == []
    full.run("restore", "copia.zip", "--into", "otra")
    other = Path("otra")
    assert (other / "journal" / f"{'0' * 16}-000001.journal").read_bytes() == b"line\n"
    assert stat.S_IMODE((other / "store.db").stat().st_mode) & 0o77 == 0 or os.name != "posix"
    elsewhere = settings.load({"PROPENSIA_STATE": "otra"})
    database.open_store(elsewhere).dispose()


def test_a_store_that_cannot_be_copied_stops_the_copy(full: Desk) -> None:
    (full.state / "store.db").write_bytes(b"this is no database, whatever its name says" * 100)
    assert "no se puede copiar" in full.run("backup", "copia.zip", code=Exit.REFUSED)
    assert [path.name for path in full.folder.glob("*copia*")] == []


def test_a_database_of_its_own_is_left_to_its_own_tools(
    full: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROPENSIA_DATABASE_URL", "postgresql://yo:secreta@host/base")
    done = full.run("backup", "copia.zip")
    assert "pg_dump" in done and "secreta" not in done
