"""Outcomes from both ways in, through real processes, to the answers that they are about."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from guarded import a_key_of_every_role, copied
from server import Place, Reply, Server, prediccion, running, wait_for
from sqlalchemy import select

from propensia.settings import Settings
from propensia.store import database, schema

NOBODY = "0" * 29


def today() -> str:
    """Of this moment: the tests may have been collected the day before."""
    return datetime.now(UTC).date().isoformat()


def post(server: Server, body: object, **headers: str) -> Reply:
    """One ``POST /resultados`` of a JSON value."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with contextlib.closing(server.connection()) as connection:
        kind = {"Content-Type": "application/json"}
        connection.request("POST", "/resultados", body=data, headers=kind | named)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, found, response.read())


def stored(place: Place, table: Any) -> list[Any]:
    """The rows of a table of that place's store."""
    engine = database.open_store(Settings(models=place.models, state=place.state))
    with engine.connect() as connection:
        found = list(connection.execute(select(table)))
    engine.dispose()
    return found


def about(place: Place, *answers: str) -> dict[str, tuple[bool, int | None]]:
    """What is known of these answers, once something is known of all of them."""

    def look() -> dict[str, tuple[bool, int | None]]:
        rows = {row.answer: (row.paid, row.cents) for row in stored(place, schema.outcomes)}
        return {id: rows[id] for id in answers} if rows.keys() >= set(answers) else {}

    return wait_for(look, "outcomes of all answers")


@pytest.fixture(scope="module")
def target(admitted: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The default server, with a state of its own."""
    place = copied(admitted, tmp_path_factory.mktemp("outcomes"))
    with running(place, rate_limit="off") as server:
        yield server


def test_what_is_posted_and_loaded_comes_to_its_answers(target: Server) -> None:
    place = target.place
    by_id = target.get(prediccion()).json()["id"]
    first, last, filed = (
        target.get(f"{prediccion()}&ref={quote(ref)}").json()["id"]
        for ref in ("A/1", "A/1", "B 2")
    )
    one = post(target, {"id": by_id, "pagado": True, "importe": 120.5, "fecha": today()})
    assert one.status == 200, one.text
    assert one.json() == {
        "aceptados": 1,
        "rechazados": 0,
        "resultados": [{"estado": "aceptado"}],
    }
    rows = [
        {"ref": "A/1", "pagado": "sí", "importe": "7,25", "fecha": today()},
        {"ref": "A/1", "pagado": True, "fecha": "mañana"},
        {"id": NOBODY, "pagado": False, "fecha": today()},
    ]
    several = post(target, rows).json()
    assert (several["aceptados"], several["rechazados"]) == (2, 1)
    assert [row.get("estado", row.get("status")) for row in several["resultados"]] == [
        "aceptado",
        400,
        "aceptado",
    ]
    assert several["resultados"][1]["errores"][0]["codigo"] == "fecha_no_valida"
    table = place.base / "pagos.csv"
    table.write_text(f"ref;pagado;importe;fecha\nB 2;no;0;{today()}\nB 2;x;;\n", encoding="utf-8")
    done = place.run("outcomes", str(table), "--faults", str(place.base / "fallos.csv"))
    assert done.returncode == 1, done.stderr
    assert "Aceptados: 1. Rechazados: 1." in done.stdout
    assert "línea 3: pagado admite" in done.stderr
    listed = (place.base / "fallos.csv").read_text(encoding="utf-8-sig").splitlines()
    assert listed[1:] == ["3;pagado;opcion_no_valida", "3;fecha;parametro_ausente"]
    known = about(place, by_id, last, filed)
    assert known == {by_id: (True, 12_050), last: (True, 725), filed: (False, None)}
    assert first not in {row.answer for row in stored(place, schema.outcomes)}
    status = place.run("outcomes", "--status")
    counts = {line.split()[0]: line.split()[1] for line in status.stdout.splitlines()[1:]}
    assert (counts["unido"], counts["pendiente"], counts["repetido"]) == ("3", "1", "0")
    told = place.run("outcomes", "--list", "pendiente")
    assert NOBODY in told.stdout and "pendiente: 1" in told.stdout


def test_what_is_told_twice_changes_nothing(target: Server) -> None:
    place = target.place
    id = target.get(prediccion()).json()["id"]
    body = [{"id": id, "pagado": True, "importe": 3, "fecha": today()}]
    assert post(target, body).status == post(target, body).status == 200
    assert about(place, id) == {id: (True, 300)}
    times = wait_for(
        lambda: [e.times for e in stored(place, schema.events) if e.matched == id and e.times > 1],
        "the second time",
    )
    assert times == [2]
    told = [json.loads(line) for line in _audit(place) if b"outcomes.loaded" in line]
    assert {"accepted": 1, "refused": 0} in [event["facts"] for event in told]
    assert post(target, []).json() == {"aceptados": 0, "rechazados": 0, "resultados": []}
    assert len([line for line in _audit(place) if b"outcomes.loaded" in line]) == len(told)


def _audit(place: Place) -> list[bytes]:
    return (place.state / "audit" / "audit.jsonl").read_bytes().splitlines()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"pagado": True, "fecha": today()}, 400, "falta_id_o_ref"),
        ({"id": NOBODY, "pagado": 2, "fecha": today()}, 400, "opcion_no_valida"),
        ({"id": NOBODY, "pagado": [], "fecha": today()}, 400, "tipo_no_valido"),
        ({"id": NOBODY, "pagado": True, "fecha": today(), "dni": "X"}, 400, "nombre_desconocido"),
        (b'{"id":"a","id":"b","pagado":1,"fecha":"x"}', 400, "parametro_repetido"),
        (b'{"id":', 400, "json_no_valido"),
        ("SECRETO", 400, "objeto_esperado"),
        ([{}] * 1001, 413, None),
    ],
)
def test_a_bad_body_is_a_problem_that_repeats_nothing(
    body: object, status: int, code: str | None, target: Server
) -> None:
    reply = post(target, body)
    assert reply.status == status
    assert code is None or code in [error["codigo"] for error in reply.json()["errores"]]
    assert "SECRETO" not in reply.text
    in_english = post(target, body, accept_language="en").json()
    assert in_english["detail"] != reply.json()["detail"]


def test_only_who_may_tell_outcomes_does(admitted: Place, tmp_path: Path) -> None:
    place = copied(admitted, tmp_path)
    keys = a_key_of_every_role(place)
    body = {"id": NOBODY, "pagado": False, "fecha": today()}
    with running(place) as server:
        found = {role: post(server, body, x_api_key=k).status for role, k in keys.items()}
        assert post(server, body).status == 401
    refused = {"tester": 403, "approver": 403}
    assert found == {"caller": 200, "analyst": 200, "admin": 200} | refused


def test_without_a_journal_nothing_is_taken(admitted: Place, tmp_path: Path) -> None:
    """Neither by setting nor where it cannot be written, and then the caller may try again."""
    place = copied(admitted, tmp_path)
    table = place.base / "pagos.csv"
    table.write_text(f"id;pagado;fecha\n{NOBODY};1;{today()}\n", encoding="utf-8")
    body = {"id": NOBODY, "pagado": False, "fecha": today()}
    with running(place, journal="off") as server:
        reply = post(server, body)
    assert reply.status == 503 and "apagado" in reply.json()["detail"]
    done = place.run("outcomes", str(table), journal="off")
    assert done.returncode == 1 and "apagado" in done.stderr
    with contextlib.suppress(FileNotFoundError):
        for path in (place.state / "journal").iterdir():
            path.unlink()
        (place.state / "journal").rmdir()
    (place.state / "journal").write_bytes(b"in the way")
    with running(place) as server:
        reply = post(server, body)
        assert reply.status == 503 and int(reply.headers["retry-after"]) > 0
        assert reply.headers["x-propensia-problem"] == "registro_no_disponible"
    assert place.run("outcomes", str(table)).returncode == 3


def test_a_file_is_taken_while_nothing_runs(admitted: Place, tmp_path: Path) -> None:
    """The next service ships what was loaded before it."""
    place = copied(admitted, tmp_path)
    with running(place) as server:
        id = server.get(prediccion()).json()["id"]
    table = place.base / "pagos.csv"
    table.write_text(f"id;pagado;fecha\n{id};1;{today()}\n", encoding="utf-8")
    done = place.run("outcomes", str(table))
    assert done.returncode == 0, done.stderr
    with running(place):
        assert about(place, id) == {id: (True, None)}


def test_the_command_says_what_it_needs(admitted: Place, tmp_path: Path) -> None:
    place = copied(admitted, tmp_path)
    table = place.base / "otra.csv"
    table.write_text("nombre;dni\nAna;1\n", encoding="utf-8")
    done = place.run("outcomes", str(table))
    assert done.returncode == 1 and "en la cabecera falta" in done.stderr
    table.write_text("id;pagado;fecha\n", encoding="utf-8")
    done = place.run("outcomes", str(table))
    assert done.returncode == 1 and "no hay ninguna fila" in done.stderr
    assert place.run("outcomes").returncode == 2
    assert place.run("outcomes", str(table), "--status").returncode == 2
