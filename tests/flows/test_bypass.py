"""Tokens of an identity provider at a real server: who is let in by one, and who is not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from guarded import copied
from server import Place, Reply, Server, ask, prediccion, propensia_command, running, wait_for
from signed_tokens import AUDIENCE, forgeries, jwk, pem, private, token, write_set

from propensia.access.roles import ROLES
from propensia.web.routes import ROUTES, Route

STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})").match
SCORE = "caller tester analyst approver admin"
LOOK = "tester analyst approver admin"
EVERYBODY = "everybody"
# Written by hand, and not made from the table of routes: each says who may, and a route that is
# added there fails until somebody has decided it here too (OWASP API5:2023).
MAY = {
    "GET /prediccion": SCORE,
    "POST /predict": SCORE,
    "POST /predict/batch": SCORE,
    "POST /resultados": "caller analyst admin",
    "GET /": LOOK,
    "GET /prueba": EVERYBODY,
    "GET /health": SCORE,
    "GET /health/live": EVERYBODY,
    "GET /health/ready": EVERYBODY,
    "GET /metrics": SCORE,
    "GET /panel": LOOK,
    "GET /panel/datos": LOOK,
    "GET /panel/{file}": LOOK,
    "GET /respuestas/{id}": "approver admin",
    "POST /respuestas/{id}/repetir": "approver admin",
    "POST /personas/exportar": "approver admin",
    "POST /personas/borrar": "approver admin",
    "GET /cartera": LOOK,
    "POST /carteras": SCORE,
    "GET /carteras/{cartera}": SCORE,
    "POST /carteras/{cartera}/revisar": SCORE,
    "POST /carteras/{cartera}/puntuar": SCORE,
    "GET /carteras/{cartera}/resultado": SCORE,
    "GET /carteras/{cartera}/errores": SCORE,
    "POST /carteras/{cartera}/borrar": SCORE,
    "GET /modelos": LOOK,
    "POST /modelos": "analyst admin",
    "POST /modelos/{version}/activar": "approver admin",
    "POST /modelos/rollback": "approver admin",
    "GET /entrar": EVERYBODY,
    "POST /entrar": EVERYBODY,
    "POST /salir": EVERYBODY,
    "GET /docs": SCORE,
    "GET /docs/{file}": SCORE,
    "GET /openapi.json": SCORE,
    "GET /static/{filename}": EVERYBODY,
    "GET /v2": SCORE,
    "GET /v2/health/live": EVERYBODY,
    "GET /v2/health/ready": EVERYBODY,
    "GET /v2/models/{name}": SCORE,
    "GET /v2/models/{name}/ready": SCORE,
    "POST /v2/models/{name}/infer": SCORE,
    "GET /v2/models/{name}/versions/{version}": SCORE,
    "GET /v2/models/{name}/versions/{version}/ready": SCORE,
    "POST /v2/models/{name}/versions/{version}/infer": SCORE,
}
OWN = private("RS256")


@pytest.fixture(scope="module")
def place(admitted: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """An installation whose identity provider signs with ``OWN``; it has no key at all."""
    made = copied(admitted, tmp_path_factory.mktemp("identidad"))
    write_set(made.base / "jwks.json", jwk(OWN, kid="2026", use="sig", alg="RS256"))
    return made


def settings(place: Place, file: str = "jwks.json") -> dict[str, object]:
    return {"jwt_keys": place.base / file, "jwt_audience": AUDIENCE, "rate_limit": "off"}


@pytest.fixture(scope="module", params=["granian", "waitress"])
def guarded(request: pytest.FixtureRequest, place: Place) -> Iterator[Server]:
    """A server that lets in who has a token."""
    command = partial(propensia_command, server=request.param)
    with running(place, command, **settings(place)) as server:
        yield server


def shown(role: str = "caller", **changes: object) -> str:
    return token(OWN, {"kid": "2026"}, role=role, **changes)


def bearer(server: Server, text: str, path: str = "", method: str = "GET") -> Reply:
    return server.get(path or prediccion(), method, authorization=f"Bearer {text}")


def test_a_good_token_scores_and_nothing_of_it_is_written_down(guarded: Server) -> None:
    text = shown(sub="marcada-4711", correo="ana.marcada@casa.example")
    assert [bearer(guarded, text).status for _ in range(3)] == [200] * 3
    assert guarded.get(prediccion(), x_api_key=text).status == 200
    parts = [*text.split("."), "ana.marcada@casa.example"]
    written = [p.read_bytes() for p in guarded.place.state.rglob("*") if p.is_file()]
    for data in [*written, guarded.output().encode()]:
        assert not any(part.encode() in data for part in parts)


def test_no_forgery_gets_past_the_door(guarded: Server) -> None:
    assert bearer(guarded, shown("admin"), "/modelos").status == 200
    found = {}
    for idea, text in forgeries(OWN, "2026").items():
        for path in (prediccion(), "/modelos"):
            head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            answer = guarded.raw(f"{head}Authorization: Bearer {text}\r\n\r\n".encode())
            status = STATUS(answer)
            assert status, idea
            found[idea, path] = int(status[1])
            assert text not in answer.decode("utf-8", "replace"), idea
    assert set(found.values()) == {401}


def ways_around(good: str) -> dict[str, tuple[str, str]]:
    """Ways to show a good token or to name a route, each with its request line and headers."""
    mine = f"Authorization: Bearer {good}\r\n"
    score = f"GET {prediccion()}"
    return {
        "no token": (score, ""),
        "in the query": (f"{score}&access_token={good}&token={good}", ""),
        "in the address": (f"GET /c/{good}{prediccion()}", ""),
        "in a cookie": (score, f"Cookie: token={good}; propensia_session={good}\r\n"),
        "as a password": (score, f"Authorization: Basic {good}\r\n"),
        "without a scheme": (score, f"Authorization: {good}\r\n"),
        "with two schemes": (score, f"Authorization: Bearer Bearer {good}\r\n"),
        "twice": (score, mine + mine),
        "in two headers": (score, f"{mine}X-API-Key: {good}\r\n"),
        "with a comma": (score, f"Authorization: Bearer {good}, Bearer {good}\r\n"),
        "dots that are escaped": ("GET /prueba/%2e%2e/modelos", ""),
        "a slash that is escaped": ("GET /static/..%2fmodelos", ""),
        "dots in clear": ("GET /health/live/../../modelos", ""),
        "two slashes": ("GET //prediccion", ""),
        "three slashes": ("GET ///modelos", ""),
        "a slash at its end": ("GET /modelos/", ""),
        "a parameter of the path": ("GET /modelos;a=b", ""),
        "capitals": ("GET /MODELOS", ""),
        "a zero": ("GET /modelos%00", ""),
        "a page below static": ("GET /static/propensia.css/../../modelos", ""),
        "HEAD": (f"HEAD {prediccion()}", ""),
        "OPTIONS": (f"OPTIONS {prediccion()}", ""),
        "TRACE": ("TRACE /modelos", ""),
        "a method in small letters": ("get /modelos", ""),
        "another method by a header": ("POST /prueba", "X-HTTP-Method-Override: GET\r\n"),
        "another address by a header": (
            "GET /modelos",
            "X-Original-URL: /prueba\r\nX-Rewrite-URL: /prueba\r\n",
        ),
        "this machine by a header": (score, "X-Forwarded-For: 127.0.0.1\r\n"),
        "this machine by another": (score, "X-Real-IP: ::1\r\nForwarded: for=127.0.0.1\r\n"),
        "a user by a header": (score, "X-Forwarded-User: admin\r\nRemote-User: admin\r\n"),
        "the role by a header": (score, "X-Role: admin\r\nX-Propensia-Role: admin\r\n"),
    }


@pytest.mark.parametrize("idea", ways_around(""))
def test_there_is_no_way_around_a_token(guarded: Server, idea: str) -> None:
    line, head = ways_around(shown("admin"))[idea]
    data = f"{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}\r\n"
    answer = guarded.raw(data.encode())
    status = STATUS(answer)
    assert status and int(status[1]) in (400, 401, 403, 404, 405), answer[:80]
    assert b"probabilidad" not in answer and b'"activa"' not in answer


def test_a_forged_host_is_not_this_machine_nor_a_place_to_be_led_to(guarded: Server) -> None:
    data = b"GET /modelos HTTP/1.1\r\nHost: evil.example\r\nAccept: text/html\r\n"
    answer = guarded.raw(data + b"Connection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 401") and b"evil.example" not in answer


# Who may do what


def test_every_route_is_in_the_table_of_this_test() -> None:
    assert set(MAY) == {f"{route.method} {route.path}" for route in ROUTES}


def path_of(route: Route) -> str:
    return re.sub(r"\{\w+\}", "x", route.path)


def test_a_role_may_do_what_was_decided_and_no_more(guarded: Server) -> None:
    """What is sent is of no use to any route, so that nothing changes where it is let in."""
    texts = {role: shown(role) for role in ROLES}
    wrong = []
    with_body = {"Content-Type": "application/x-nada"}
    for route in ROUTES:
        may = MAY[f"{route.method} {route.path}"]
        for role, text in [("", ""), *texts.items()]:
            connection = guarded.connection()
            head = {"Authorization": f"Bearer {text}"} if role else {}
            body = b"?" if route.method == "POST" else None
            connection.request(route.method, path_of(route), body, head | with_body)
            response = connection.getresponse()
            told = response.read()
            connection.close()
            if may == EVERYBODY:
                expected = route.path == "/entrar" or response.status not in (401, 403)
            elif not role:
                expected = response.status == 401
            else:
                expected = (response.status == 403) == (role not in may.split())
                expected = expected and response.status != 401
            if not expected:
                wrong.append((route.method, route.path, role, response.status, told[:90]))
    assert wrong == []


# Keys of the provider that change


def let_in(server: Server, text: str, count: int = 12) -> set[int]:
    """What several connections are answered, so that every worker is asked."""
    found = set()
    for _ in range(count):
        connection = server.connection()
        found.add(ask(connection, prediccion(), authorization=f"Bearer {text}").status)
        connection.close()
    return found


def test_keys_that_are_replaced_count_in_every_worker(admitted: Place, tmp_path: Path) -> None:
    place, path = copied(admitted, tmp_path), tmp_path / "k.pem"
    old, new = private("ES256"), private("ES256", 2)
    path.write_bytes(pem(old))
    with running(place, **settings(place, "k.pem")) as server:
        first, second = token(old, role="caller"), token(new, role="caller")
        assert (let_in(server, first), let_in(server, second)) == ({200}, {401})
        path.write_bytes(pem(new))
        wait_for(lambda: let_in(server, first) == {401}, "the old key is out", 10)
        assert let_in(server, second) == {200}
        path.write_bytes(b"{")

        def told() -> bool:
            health = json.loads(server.get("/health", authorization=f"Bearer {second}").body)
            return any("k.pem" in problem for problem in health["problemas"])

        wait_for(told, "the damage is told in /health", 10)
        assert let_in(server, second) == {200}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"jwt_keys": "nada.pem"}, "nada.pem: no se puede leer"),
        ({"jwt_audience": ""}, "jwt_audience"),
        ({"jwt_algorithms": "RS256,HS256"}, "jwt_algorithms"),
        ({"jwt_algorithms": "ES256"}, "jwks.json: ninguna clave"),
    ],
    ids=["no file", "no audience", "another algorithm", "no key for it"],
)
def test_a_provider_that_cannot_be_used_stops_the_start_with_a_sentence(
    place: Place, changes: dict[str, object], said: str
) -> None:
    run = place.run("serve", "--port", "0", **settings(place) | changes)
    assert run.returncode == 3
    assert said in run.stderr and "Traceback" not in run.stderr
