"""The caller's story: one documented address, asked of real servers, however they were started."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from models_for_tests import GOLDEN_ROW, golden_probability, logistic
from server import Place, Server, ask, lives, prediccion, propensia_command, running, wait_for

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
ANSWER_KEYS = [
    "id",
    "clasificacion",
    "pagador",
    "probabilidad",
    "umbral",
    "modelo",
    "version",
    "publicacion",
    "avisos",
]
SAFE = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
posix = pytest.mark.skipif(os.name != "posix", reason="gunicorn needs a POSIX system")


# The documented address


def test_the_documented_address_answers_with_the_number_of_the_original_library(
    caller_server: Server,
) -> None:
    reply = caller_server.get(prediccion())
    answer = reply.json()
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert list(answer) == ANSWER_KEYS
    expected = golden_probability(logistic())
    assert answer["probabilidad"] == pytest.approx(expected, rel=0, abs=1e-12)
    assert answer["pagador"] is (expected >= 0.5)
    assert answer["clasificacion"] == ("pagador" if expected >= 0.5 else "no pagador")
    assert (answer["umbral"], answer["modelo"], answer["publicacion"]) == (0.5, "base", 1)
    assert answer["avisos"] == [
        {
            "parametro": "ed",
            "codigo": "valor_supuesto",
            "mensaje": "ed venía sin dato: se ha usado 51-65",
            "valor_usado": "51-65",
        }
    ]


# Rows 1, 2, 3 and 7336 of the published data and their published vectors (six decimals), which
# only matter where no clipping hides the digits.
PUBLISHED = [
    (
        {"cp": "8029", "cf": "3", "im": "3.93", "dt": "23.78", "nl": "1", "vt": "N", "fb": "NaN"},
        [3 / 3.5, 3.93 / 314.24, 0, 23.78 / 628.83, 0, 0, 8 / 52, 0.4, 1, 0, 0, 0, 0, 0, 1, 0],
    ),
    (
        {"cp": "43001", "im": "178.74", "dt": "477.83", "nl": "9", "vt": "N"},
        [3 / 3.5, 178.74 / 314.24, 0, 477.83 / 628.83, 0, 0, 43 / 52, 1, 1, 0, 0, 1, 0, 0, 1, 0],
    ),
    (
        {"er": "PER", "cp": "48010", "cf": "2", "im": "55.19", "dt": "131.77", "nl": "2"}
        | {"vt": "N", "fb": "nan", "ed": "40"},
        [2 / 3.5, 55.19 / 314.24, 1, 131.77 / 628.83, 0, 0, 48 / 52, 0.8, 1, 0, 0, 0, 0, 1, 0, 0],
    ),
]


@pytest.mark.parametrize(("changes", "columns"), PUBLISHED)
def test_other_rows_get_the_number_of_the_original_library_too(
    caller_server: Server, changes: dict[str, str], columns: list[float]
) -> None:
    expected = float(logistic().predict_proba([columns])[0, 1])
    found = caller_server.get(prediccion(changes)).json()["probabilidad"]
    assert found == pytest.approx(expected, rel=0, abs=1e-12)


def test_every_answer_has_its_own_id_and_names_its_version(caller_server: Server) -> None:
    replies = [caller_server.get(prediccion()) for _ in range(20)]
    ids = [reply.json()["id"] for reply in replies]
    assert len(set(ids)) == 20
    for reply, id in zip(replies, ids, strict=True):
        assert reply.headers["x-propensia-id"] == id
        assert reply.headers["x-propensia-version"] == reply.json()["version"]
        assert SAFE.items() <= reply.headers.items()


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/plain", "text/plain; charset=utf-8"),
        ("text/html", "text/html; charset=utf-8"),
        (BROWSER, "text/html; charset=utf-8"),
        # old HTTP libraries, which name text/html among others and want no page
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "application/json"),
        ("image/png", "application/json"),
        ("text/plain, application/json;q=0.1", "text/plain; charset=utf-8"),
        ("application/json;q=0, text/plain", "text/plain; charset=utf-8"),
        ("text/*", "text/plain; charset=utf-8"),
    ],
)
def test_the_form_follows_accept(caller_server: Server, accept: str, kind: str) -> None:
    headers = {"accept": accept} if accept else {}
    reply = caller_server.get(prediccion(), **headers)
    assert (reply.status, reply.headers["content-type"]) == (200, kind)


@pytest.mark.parametrize(
    ("form", "kind"),
    [("json", "application/json"), ("texto", "text/plain"), ("html", "text/html")],
)
@pytest.mark.parametrize("accept", ["*/*", BROWSER, "text/plain"])
def test_the_query_wins_over_accept(
    caller_server: Server, form: str, kind: str, accept: str
) -> None:
    reply = caller_server.get(prediccion({"formato": form}), accept=accept)
    assert reply.headers["content-type"].split(";")[0] == kind


def test_the_text_form_is_the_bare_class(caller_server: Server) -> None:
    poor, good = (
        {"cf": "4", "dt": "900"},
        {"cf": "1", "dt": "0", "ec": "B", "fb": "NaN", "vb": "N"},
    )
    answers = [caller_server.get(prediccion(row)).json() for row in (poor, good)]
    texts = [
        caller_server.get(prediccion(row | {"formato": "texto"})).text for row in (poor, good)
    ]
    assert texts == ["1" if answer["pagador"] else "0" for answer in answers]
    assert [answer["probabilidad"] >= 0.5 for answer in answers] == [text == "1" for text in texts]
    assert set(texts) == {"0", "1"}


def test_the_page_shows_the_same_answer_and_carries_the_headers(caller_server: Server) -> None:
    number = caller_server.get(prediccion()).json()["probabilidad"]
    page = caller_server.get(prediccion(), accept=BROWSER)
    assert page.headers["x-propensia-version"] in page.text
    assert page.headers["x-propensia-id"] in page.text
    assert repr(number) in page.text
    assert "script-src 'self'" in page.headers["content-security-policy"]


def test_language_reference_and_reasons_are_as_asked(caller_server: Server) -> None:
    english = caller_server.get(prediccion(), accept_language="en-GB,es;q=0.5").json()
    assert english["avisos"][0]["mensaje"] == "ed came empty: 51-65 was used"
    asked = caller_server.get(prediccion({"ref": "exp 7/ñ", "motivos": "3", "idioma": "en"}))
    answer = asked.json()
    assert answer["ref"] == "exp 7/ñ"
    assert len(answer["motivos"]) == 3
    sizes = [abs(reason["efecto"]) for reason in answer["motivos"]]
    assert sizes == sorted(sizes, reverse=True)
    assert "came empty" in answer["avisos"][0]["mensaje"]


# What is wrong


def test_all_faults_of_a_request_come_at_once(caller_server: Server) -> None:
    wrong = {"er": "XYZ", "vt": None, "cp": "53001", "fb": "202313", "ed": "50-31"}
    wrong |= {"cf": "3.5", "im": "-5", "dt": "inf", "nl": "1000"}
    reply = caller_server.get(prediccion(wrong) + "&po=NO")
    problem = reply.json()
    assert reply.status == problem["status"] == 400
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["x-propensia-id"] == problem["id"]
    assert {error["parametro"]: error["codigo"] for error in problem["errores"]} == {
        "er": "categoria_desconocida",
        "po": "parametro_repetido",
        "vt": "parametro_ausente",
        "cp": "codigo_postal_no_valido",
        "fb": "mes_no_valido",
        "ed": "edad_no_valida",
        "cf": "no_es_entero",
        "im": "numero_negativo",
        "dt": "numero_no_finito",
        "nl": "fuera_de_rango",
    }
    assert all(error["mensaje"] and error["parametro"] for error in problem["errores"])
    assert "EMP, PER, FU" in str(problem["errores"])


def test_faults_are_sentences_for_text_and_a_page_for_a_browser(caller_server: Server) -> None:
    text = caller_server.get(prediccion({"er": "XYZ", "im": "-5"}), accept="text/plain")
    assert (text.status, len(text.text.splitlines())) == (400, 2)
    assert "XYZ" not in text.text
    page = caller_server.get(prediccion({"er": "XYZ", "im": "-5"}), accept=BROWSER)
    assert (page.status, page.headers["content-type"]) == (400, "text/html; charset=utf-8")
    english = caller_server.get(prediccion({"im": "-5"}), accept_language="en")
    assert english.json()["errores"][0]["mensaje"] == "im cannot be negative"


def test_nothing_sent_names_every_parameter_that_is_missing(caller_server: Server) -> None:
    errors = caller_server.get("/prediccion").json()["errores"]
    names = ["er", "po", "vt", "cp", "ec", "vf", "vb", "fb", "ed", "cf", "im", "dt", "nl"]
    assert [error["parametro"] for error in errors] == names
    assert {error["codigo"] for error in errors} == {"parametro_ausente"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_another_method_is_405_and_says_which_are_allowed(
    caller_server: Server, method: str
) -> None:
    reply = caller_server.get(prediccion(), method)
    assert reply.status == 405
    assert "GET" in reply.headers["allow"]
    assert reply.json()["type"].endswith("metodo_no_permitido")


def test_head_is_a_get_without_a_body(caller_server: Server) -> None:
    reply = caller_server.get(prediccion(), "HEAD")
    assert (reply.status, reply.body) == (200, b"")
    got = caller_server.get(prediccion())
    for name in ("content-type", "x-propensia-version", "cache-control"):
        assert reply.headers[name] == got.headers[name]


@pytest.mark.parametrize("path", ["/nada", "/prediccion/", "//prediccion", "/static/../app.py"])
def test_another_address_is_404_in_the_same_shape(caller_server: Server, path: str) -> None:
    reply = caller_server.get(path)
    assert reply.status == 404
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["id"] == reply.headers["x-propensia-id"]


# The other addresses


def test_prueba_modelos_and_health_tell_what_runs(caller_server: Server) -> None:
    prueba = caller_server.get("/prueba")
    assert (prueba.status, prueba.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert prueba.text.startswith("Funcionando. Propensia ")
    models = caller_server.get("/modelos").json()
    active = caller_server.active()
    assert (models["activa"], models["anterior"]) == (active, None)
    row = next(row for row in models["modelos"] if row["version"] == active)
    # The promised shape, and what a decision needs besides.
    assert set(row) >= {"version", "modelo", "sha256", "estado", "publicado", "motivo"}
    assert models["publicacion"] == row["publicacion"] >= 1
    assert (row["modelo"], row["estado"], row["sha256"][:12]) == ("base", "activa", active)
    live, ready = caller_server.get("/health/live"), caller_server.get("/health/ready")
    assert (live.status, ready.status) == (200, 200)
    assert ready.json() == {"estado": "listo", "version": active}
    wait_for(lambda: len(caller_server.health()["trabajadores"]) == 2, "two workers in the health")
    health = wait_for(
        lambda: (h := caller_server.health())["estado"] == "bien" and h, "a well server"
    )
    assert (health["problemas"], health["version"]) == ([], active)


def test_the_form_is_filled_in_with_the_example(caller_server: Server) -> None:
    page = caller_server.get("/", accept=BROWSER)
    assert page.status == 200
    assert 'value="263.68"' in page.text


# Without a model


def test_without_a_model_the_answer_is_503_and_live_goes_on(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with running(place, ready="/health/live", demonstration="no", workers=1) as server:
        reply = server.get(prediccion())
        assert (reply.status, reply.headers["retry-after"]) == (503, "5")
        assert reply.json()["type"].endswith("sin_modelo")
        assert server.get("/health/ready").status == 503
        assert server.get("/prueba").status == 200
        health = server.get("/health")
        assert (health.status, health.json()["estado"]) == (503, "degradado")
        nothing = {"activa": None, "anterior": None, "modelos": []}
        assert server.get("/modelos").json().items() >= nothing.items()
        assert "Todavía no hay ningún modelo" in server.get("/", accept=BROWSER).text


# Every way of starting

BIN = Path(sys.executable).parent
STARTS: dict[str, Callable[[int], list[str]]] = {
    "granian": propensia_command,
    "waitress": lambda port: propensia_command(port, "waitress"),
    "deployment_flask.py": lambda port: [sys.executable, "deployment_flask.py"],
    "waitress-serve": lambda port: [
        str(BIN / "waitress-serve"),
        f"--listen=127.0.0.1:{port}",
        "deployment_flask:app",
    ],
    "flask run": lambda port: [
        *(str(BIN / "flask"), "--app", "deployment_flask", "run"),
        *("--port", str(port)),
    ],
    "gunicorn": lambda port: propensia_command(port, "gunicorn"),
    "gunicorn deployment_flask:app": lambda port: [
        *(str(BIN / "gunicorn"), "--bind", f"127.0.0.1:{port}", "--workers", "2"),
        "deployment_flask:app",
    ],
}
WAYS = [
    pytest.param(way, marks=[posix] if "gunicorn" in name else [], id=name)
    for name, way in STARTS.items()
]
ASKED = [
    (prediccion(), {}),
    (prediccion(), {"accept": "text/plain"}),
    (prediccion({"formato": "html"}), {}),
    (prediccion({"motivos": "2", "ref": "a b", "er": "emp ", "im": "263,68"}), {}),
    (prediccion({"er": "XYZ", "vt": None, "im": "1.234,50"}), {}),
    (prediccion({"er": "XYZ"}), {"accept": "text/plain", "accept_language": "en"}),
    (prediccion() + "&x=%FF", {}),
    (prediccion() + "&_=1700000000000", {}),
    (prediccion({"im": "1" * 3000}), {}),
    ("/prueba", {}),
    ("/health/ready", {}),
    ("/nada", {}),
    ("/nada?formato=texto", {}),
    ("/nada", {"accept": "text/plain"}),
]
MARKED = {"im": "98765.43", "cp": "48123"}
OWN = ("id", "content-length", "x-propensia-id", "date", "server", "connection", "keep-alive")
OWN += ("ratelimit",)  # how many requests are left at this moment


def _comparable(server: Server, path: str, headers: dict[str, str]) -> tuple[object, ...]:
    """An answer without what differs from one answer, or one server, to the next."""
    reply = server.get(path, **headers)
    kind = reply.headers["content-type"]
    kept = {name: value for name, value in reply.headers.items() if name not in OWN}
    if "json" in kind:
        body = {name: value for name, value in reply.json().items() if name not in OWN}
        return reply.status, kept, body
    text = reply.text.replace(str(server.port), "PORT")
    return reply.status, kept, text.replace(reply.headers.get("x-propensia-id", "\0"), "ID")


def _ask_with_marks(server: Server) -> None:
    """Requests, whole and broken ones, whose values must never be seen in the output."""
    assert server.get(prediccion(MARKED)).status == 200
    assert server.get(prediccion(MARKED | {"er": "XYZ"})).status == 400
    assert server.get(prediccion(MARKED), "POST").status == 405
    bare = prediccion(MARKED).encode()
    for line in (bare + b" & HTTP/1.1", bare + b" HTTP/9.9", bare):
        server.raw(b"GET " + line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_starting_gives_the_same_answers(
    way: Callable[[int], list[str]], caller_server: Server, admitted: Place, tmp_path: Path
) -> None:
    own = Place(tmp_path / "copia")
    shutil.rmtree(own.state)
    for folder in ("versions", "releases", "verdicts"):
        shutil.copytree(admitted.state / folder, own.state / folder)
    with running(own, way) as server:
        for path, headers in ASKED:
            expected = _comparable(caller_server, path, headers)
            assert _comparable(server, path, headers) == expected, path
        with contextlib.closing(server.connection()) as connection:
            for _ in range(3):  # the connection stays open
                assert ask(connection, prediccion()).status == 200
        _ask_with_marks(server)
        keeper = server.keeper_pid()
        everyone = server.processes()
        assert keeper in [process.pid for process in everyone]
        server.process.terminate()
        wait_for(
            lambda: not any(map(lives, everyone)), "every process of the server is gone", 15.0
        )
        assert "Traceback" not in server.output()
        assert [mark for mark in MARKED.values() if mark in server.output()] == []


def test_the_golden_row_is_what_the_contract_makes_of_the_example() -> None:
    """The row that this file trusts, against the six decimals that were published."""
    published = [0.857143, 0.839104, 0, 1, 0, 1, 0.153846, 1, 1, 0, 0, 1, 0, 0, 1, 0]
    assert pytest.approx(published, rel=0, abs=5e-7) == GOLDEN_ROW
