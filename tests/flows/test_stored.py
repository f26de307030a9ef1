"""What was answered is looked up, repeated, exported and erased, in front of a real server."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from guarded import a_key_of_every_role, copied
from models_for_tests import EXAMPLE
from ports import free_port
from server import Place, Server, prediccion, running, wait_for

from propensia.access.roles import PERMISSIONS, ROLES

REF = "EXPEDIENTE-918273"
PATHS: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/respuestas/{id}", None),
    ("POST", "/respuestas/{id}/repetir", None),
    ("POST", "/personas/exportar", {"ref": "nadie"}),
    ("POST", "/personas/borrar", {"ref": "nadie", "motivo": "solicitud 17"}),
)


@pytest.fixture(scope="module")
def place(admitted: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """An installation of its own: what is erased here is nobody else's."""
    return copied(admitted, tmp_path_factory.mktemp("memoria"))


@pytest.fixture(scope="module")
def server(place: Place) -> Iterator[Server]:
    with running(place) as started:
        yield started


def answered(server: Server, reference: str = "", **changes: str) -> dict[str, Any]:
    """An answer that is in the store."""
    told = f"&ref={reference}" if reference else ""
    given: dict[str, Any] = server.get(prediccion(changes) + told).json()
    path = f"/respuestas/{given['id']}"
    wait_for(lambda: server.get(path).status == 200, "the answer in the store")
    return given


def post(server: Server, path: str, body: Any = None, **headers: str) -> requests.Response:
    url = f"http://127.0.0.1:{server.port}{path}"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(url, json=body, headers=named, timeout=30)


def test_a_stored_answer_is_what_the_caller_got(server: Server) -> None:
    given = answered(server, REF, im="17,5")
    found = server.get(f"/respuestas/{given['id']}").json()
    for name in ("id", "version", "publicacion", "modelo", "probabilidad", "umbral"):
        assert found[name] == given[name]
    assert found["clasificacion"] == given["clasificacion"]
    assert found["valores"] == {**EXAMPLE, "im": "17,5"}
    assert found["avisos"] == given["avisos"] != []
    assert found["pagador"] is given["pagador"]
    assert REF not in json.dumps(found)


def test_a_stored_answer_is_repeated_by_http_and_by_the_command(server: Server) -> None:
    given = answered(server, im="999")
    told = post(server, f"/respuestas/{given['id']}/repetir").json()
    assert told["igual"] is told["exacta"] is True
    assert told["ahora"]["probabilidad"] == given["probabilidad"]
    asked = server.get(prediccion({"im": "999"}) + "&motivos=13").json()
    assert told["motivos"] == asked["motivos"]
    done = server.place.run("replay", given["id"])
    assert done.returncode == 0, done.stderr
    assert "IGUAL" in done.stdout and "bit a bit" in done.stdout
    for effect in asked["motivos"]:
        assert f"\n{effect['parametro']} " in done.stdout


@pytest.mark.slow
def test_the_command_lists_what_was_answered(server: Server, tmp_path: Path) -> None:
    first, second = answered(server, im="1"), answered(server, im="2")
    done = server.place.run("answers", "--since", "1h")
    assert done.returncode == 0, done.stderr
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(done.stdout))}
    assert float(rows[first["id"]]["probabilidad"]) == first["probabilidad"]
    assert rows[second["id"]]["im"] == "2"
    out = tmp_path / "una.json"
    done = server.place.run("answers", "--id", first["id"], "--format", "json", "--out", str(out))
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(out.read_text(encoding="utf-8"))
    assert row == server.get(f"/respuestas/{first['id']}").json()
    done = server.place.run("answers", "--until", "1d", "--format", "ids")
    assert (done.returncode, done.stdout) == (0, "")


def test_a_person_gets_all_and_then_is_forgotten(server: Server) -> None:
    theirs = [answered(server, REF + "-B", im=str(number))["id"] for number in (31, 32)]
    other = answered(server, REF + "-C")["id"]
    told = post(server, "/personas/exportar", {"ref": REF + "-B"}).json()
    assert [row["id"] for row in told["respuestas"]] == theirs
    assert [row["valores"]["im"] for row in told["respuestas"]] == ["31", "32"]
    gone = post(server, "/personas/borrar", {"ref": REF + "-B", "motivo": "solicitud 14"})
    assert gone.json() == {
        "respuestas": 2,
        "valores": 2,
        "rechazos": 0,
        "resultados": 0,
        "comunicaciones": 0,
    }
    again = post(server, "/personas/borrar", {"ref": REF + "-B", "motivo": "solicitud 14"})
    assert again.status_code == 404 and "¿está bien escrito?" in again.json()["detail"]
    for id in theirs:
        assert server.get(f"/respuestas/{id}").status == 404
    assert post(server, "/personas/exportar", {"ref": REF + "-B"}).status_code == 404
    assert server.get(f"/respuestas/{other}").status == 200
    verified = server.place.run("audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.slow
def test_the_commands_export_and_erase_and_ask_before_they_do(
    server: Server, tmp_path: Path
) -> None:
    given = answered(server, REF + "-D", im="41")["id"]
    out = tmp_path / "expediente.json"
    done = server.place.run("export", "--ref", REF + "-D", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert [row["id"] for row in json.loads(out.read_text("utf-8"))["respuestas"]] == [given]
    unsure = server.place.run("erase", "--id", given, "--why", "solicitud 15")
    assert unsure.returncode == 2 and "--yes" in unsure.stderr
    assert server.get(f"/respuestas/{given}").status == 200
    done = server.place.run("erase", "--id", given, "--why", "solicitud 15", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Borrado: 1 respuestas, 1 con sus valores")
    again = server.place.run("erase", "--id", given, "--why", "solicitud 15", "--yes")
    assert again.returncode == 1 and "No se sabía nada" in again.stderr
    assert server.place.run("replay", given).returncode == 1
    assert server.place.run("answers", "--id", given).returncode == 1
    assert server.place.run("export", "--id", given).returncode == 1


def test_a_refused_request_is_found_exported_and_erased_by_its_id(server: Server) -> None:
    refused = server.get(prediccion({"im": "9zq7"}) + f"&ref={REF}-F")
    assert refused.status == 400
    id = refused.json()["id"]
    wait_for(lambda: server.get(f"/respuestas/{id}").status == 200, "the refusal in the store")
    found = server.get(f"/respuestas/{id}").json()
    assert found["errores"] == [{"parametro": "im", "codigo": "numero_no_valido"}]
    assert "9zq7" not in json.dumps(found)
    assert post(server, f"/respuestas/{id}/repetir").status_code == 409
    assert post(server, "/personas/exportar", {"id": id}).json()["rechazos"] == [found]
    gone = post(server, "/personas/borrar", {"id": id, "motivo": "solicitud 18"}).json()
    assert gone["rechazos"] == 1
    assert server.get(f"/respuestas/{id}").status == 404


def test_an_answer_whose_values_are_purged_says_that_it_cannot_be_repeated(
    server: Server,
) -> None:
    given = answered(server, im="51")["id"]
    with contextlib.closing(sqlite3.connect(server.place.state / "store.db")) as database:
        database.execute("DELETE FROM inputs WHERE id = ?", (given,))
        database.commit()
    assert server.get(f"/respuestas/{given}").json()["valores"] is None
    refused = post(server, f"/respuestas/{given}/repetir?idioma=en")
    assert refused.status_code == 409
    assert refused.json()["detail"].startswith("The values that were received are not kept")
    done = server.place.run("replay", given)
    assert done.returncode == 1 and "ya no se guardan" in done.stderr


@pytest.mark.parametrize("path", ["/respuestas/x", "/respuestas/" + "0" * 29])
def test_an_id_that_is_of_no_answer_is_not_found(server: Server, path: str) -> None:
    for reply in (server.get(path), server.get(f"{path}/repetir", "POST")):
        assert reply.status == 404
        assert "identificador" in reply.json()["detail"]


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({}, {"ref": "parametro_ausente", "motivo": "parametro_ausente"}),
        ({"id": "a", "ref": "b", "motivo": "x"}, {"ref": "opcion_no_valida"}),
        ({"ref": 7, "motivo": "x"}, {"ref": "tipo_no_valido"}),
        ({"ref": "", "motivo": "x"}, {"ref": "parametro_ausente"}),
        (
            {"ref": "x" * 65, "motivo": " "},
            {"ref": "texto_demasiado_largo", "motivo": "parametro_ausente"},
        ),
    ],
)
def test_what_is_wrong_with_a_question_about_a_person_is_told_at_once(
    server: Server, body: Any, faults: dict[str, str]
) -> None:
    refused = post(server, "/personas/borrar", body)
    assert refused.status_code == 400
    told = {error["parametro"]: error["codigo"] for error in refused.json()["errores"]}
    assert told == faults


def test_nothing_that_anybody_wrote_down_has_a_reference_or_a_value(server: Server) -> None:
    """But the journal, the store and what was asked for."""
    given = answered(server, REF + "-E", im="61616.25")
    post(server, "/personas/exportar", {"ref": REF + "-E"})
    server.place.run("replay", given["id"])
    post(server, "/personas/borrar", {"ref": REF + "-E", "motivo": "solicitud 16"})
    state = server.place.state
    for path in [*state.rglob("*"), server.log]:
        if path.is_file() and path.parent.name != "journal" and not path.name.endswith(".lock"):
            data = path.read_bytes()
            assert REF.encode() not in data, path
            assert b"61616.25" not in data, path


@pytest.mark.slow
def test_only_who_may_remember_sees_exports_or_erases(place: Place, tmp_path: Path) -> None:
    guarded = copied(place, tmp_path / "guardada")
    keys = a_key_of_every_role(guarded)
    with running(guarded, ready="/health/live") as server:
        nothing, admin = f"/respuestas/{'0' * 29}", keys["admin"]
        wait_for(lambda: server.get(nothing, x_api_key=admin).status == 404, "a store")
        for role in ROLES:
            may = role in PERMISSIONS["remember"]
            for method, path, body in PATHS:
                reply = requests.request(
                    method,
                    f"http://127.0.0.1:{server.port}{path.format(id='0' * 29)}",
                    headers={"X-API-Key": keys[role]},
                    json=body,
                    timeout=30,
                )
                assert (reply.status_code != 403) is may, (role, path)
                assert reply.status_code in ((200, 404) if may else (403,))


@pytest.mark.slow
def test_where_the_database_is_away_it_is_told_and_scoring_goes_on(
    admitted: Place, tmp_path: Path
) -> None:
    away = copied(admitted, tmp_path / "fuera")
    secret = "clave-de-la-base"
    url = f"postgresql://yo:{secret}@127.0.0.1:{free_port()}/nada"
    with running(away, database_url=url) as server:
        given = server.get(prediccion()).json()["id"]
        reply = server.get(f"/respuestas/{given}")
        assert (reply.status, reply.headers["retry-after"]) == (503, "5")
        assert "se sigue puntuando" in reply.json()["detail"]
        assert server.get(prediccion()).status == 200
        for command in (["answers"], ["replay", given], ["export", "--id", given]):
            done = away.run(*command, database_url=url)
            assert done.returncode == 3, done.stderr
            assert secret not in done.stderr + done.stdout
        assert secret not in server.output()
