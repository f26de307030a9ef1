"""The door, in one process: who is taken for a program of this machine, and how it refuses."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from propensia import contract as contracts
from propensia.access import keys
from propensia.settings import Settings
from propensia.web.app import create_app
from propensia.web.routes import ROUTES

OLD_PROTOCOLS = ("HTTP/1.0", "HTTP/1")  # the second is how granian writes it
PAGE = "text/html,application/xhtml+xml"
PROBLEM = "application/problem+json"
PROGRAMS = ["/predict", "/predict/batch", "/v2/models/cobranza/infer", "/v2", "/v2/nada"]


def client(state: Path, **settings: Any) -> FlaskClient:
    """Whoever asks an application that was made now."""
    chosen = Settings(
        state=state, models=state / "models", rate_limit="off", request_log_days=0, **settings
    )
    return create_app(chosen, background=False).test_client()


def key(state: Path, role: str = "caller", **more: Any) -> str:
    shown, made = keys.new(f"de {role}", role, time.time(), **more)
    keys.change(state / keys.FOLDER, lambda known: [*known, made])
    return shown


def ask(asked: FlaskClient, path: str, method: str = "GET", **environ: Any) -> TestResponse:
    """One request of this machine; ``environ`` changes what the server tells of it."""
    here = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:5000", "SERVER_PORT": "5000"}
    return asked.open(path, method=method, environ_overrides=here | environ)


def told(reply: TestResponse) -> Any:
    assert reply.mimetype == PROBLEM, reply.mimetype
    return reply.json


# Without keys: what this machine may, as far as it can be known that it asks itself

MAY = {  # what is asked -> the status of who may, without a parameter and without a model
    "GET /prediccion": 400,
    "GET /modelos": 200,
    "GET /health": 503,
    "POST /modelos/rollback": 415,
}


@pytest.mark.parametrize(
    ("environ", "may"),
    [
        ({}, set(MAY)),
        ({"SERVER_SOFTWARE": "gunicorn/27", "RAW_URI": "/x"}, set(MAY)),
        ({"SERVER_SOFTWARE": None, "RAW_URI": None, "REQUEST_URI": "/x"}, set(MAY)),
        ({"SERVER_PROTOCOL": "HTTP/1.0"}, {"GET /prediccion"}),
        ({"SERVER_PROTOCOL": "HTTP/1"}, {"GET /prediccion"}),
        ({"SERVER_PROTOCOL": "HTTP/1.0", "HTTP_HOST": ""}, {"GET /prediccion"}),
        ({"SERVER_PROTOCOL": "HTTP/1.0", "HTTP_HOST": "casa.example"}, set()),
        ({"SERVER_SOFTWARE": "waitress"}, set(MAY) - {"POST /modelos/rollback"}),
        (
            {"SERVER_SOFTWARE": "waitress", "SERVER_PROTOCOL": "HTTP/1.0"},
            {"GET /prediccion"},
        ),
        ({"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, set()),
        ({"HTTP_VIA": "1.1 x", "SERVER_PROTOCOL": "HTTP/1.0"}, set()),
        ({"RAW_URI": "http://127.0.0.1:5000/x"}, set()),
        ({"RAW_URI": None, "REQUEST_URI": "http://casa.example/x"}, set()),
        ({"REMOTE_ADDR": "10.0.0.7"}, set()),
    ],
)
def test_the_less_is_known_of_who_asks_the_less_may_be_had(
    tmp_path: Path, environ: dict[str, Any], may: set[str]
) -> None:
    asked = client(tmp_path)
    for what, status in MAY.items():
        method, path = what.split()
        reply = ask(asked, path, method, **environ)
        if what in may:
            assert reply.status_code == status, what
        else:
            assert reply.status_code in (401, 403), what


def test_a_trusted_proxy_of_this_machine_is_a_proxy_all_the_same(tmp_path: Path) -> None:
    asked = client(tmp_path, trusted_proxies="127.0.0.1")
    for forwarded in ("127.0.0.1", "10.0.0.7, 127.0.0.1", "::1"):
        reply = ask(asked, "/modelos", HTTP_X_FORWARDED_FOR=forwarded)
        assert reply.status_code == 401, forwarded


@pytest.mark.parametrize("protocol", ["HTTP/1.1", *OLD_PROTOCOLS])
def test_a_network_counts_whatever_the_protocol(tmp_path: Path, protocol: str) -> None:
    """Old callers speak HTTP/1.0, also on this machine."""
    here = keys.networks.listed("127.0.0.0/8")
    shown = {
        "X-API-Key": key(tmp_path, networks=here),
        "path": key(tmp_path, "caller", networks=here, in_path=True),
    }
    asked, opened = client(tmp_path), client(tmp_path, open_networks="127.0.0.1, 10.1.0.0/16")
    old = {"SERVER_PROTOCOL": protocol, "HTTP_HOST": "" if protocol != "HTTP/1.1" else "x"}
    head = old | {"HTTP_X_API_KEY": shown["X-API-Key"]}
    assert ask(asked, "/prediccion", **head).status_code == 400
    assert ask(asked, f"/c/{shown['path']}/prediccion", **old).status_code == 400
    assert ask(asked, "/prediccion", **head, REMOTE_ADDR="10.1.0.7").status_code == 401
    assert ask(asked, "/prediccion", **old).status_code == 401
    assert ask(opened, "/prediccion", **old).status_code == 400
    assert ask(opened, "/prediccion", **old, REMOTE_ADDR="10.1.0.7").status_code == 400
    assert ask(opened, "/health", **old).status_code == 401


@pytest.mark.parametrize("name", ["RAW_URI", "REQUEST_URI"])
def test_a_key_in_an_address_is_spelled_in_one_way(tmp_path: Path, name: str) -> None:
    """What keeps ``/c/KEY/`` out of the log of a proxy knows no other."""
    shown = key(tmp_path, in_path=True)
    asked = client(tmp_path)
    plain = f"/c/{shown}/prediccion"
    others = [f"/%63/{shown}/prediccion", f"/c%2f{shown}/prediccion", f"/c/{shown}%2Fprediccion"]
    others += [f"/c/{shown[:-1]}%{ord(shown[-1]):x}/prediccion", f"http://x{plain}"]
    for target, status in ({plain: 400} | dict.fromkeys(others, 401)).items():
        assert ask(asked, plain, **{name: target}).status_code == status, target


# What is said without keys


def test_who_is_refused_before_there_is_a_key_is_told_what_to_do(tmp_path: Path) -> None:
    asked = client(tmp_path)
    outside = {"REMOTE_ADDR": "10.0.0.7"}
    spanish = told(ask(asked, "/modelos", **outside))["detail"]
    assert "Aún no hay claves" in spanish and "propensia keys create" in spanish
    assert "http://127.0.0.1:5000 " in spanish
    assert "no keys yet" in told(ask(asked, "/modelos?idioma=en", **outside))["detail"]
    for path, status in (("/modelos", 401), ("/entrar", 200)):
        page = ask(asked, path, HTTP_ACCEPT=PAGE, **outside)
        assert (page.status_code, "Aún no hay claves" in page.text) == (status, True)
        assert "http://127.0.0.1:5000 " in page.text and "<form" not in page.text
    form = {"content_type": "application/x-www-form-urlencoded", "data": "clave=x"}
    wrong = asked.post("/entrar", headers={"Accept": PAGE}, **form)
    assert (wrong.status_code, "Aún no hay claves" in wrong.text) == (401, True)
    key(tmp_path)
    later = client(tmp_path)
    assert "claves" not in told(ask(later, "/modelos", **outside))["detail"]
    assert 'type="password"' in ask(later, "/entrar", **outside).text


def test_without_keys_nobody_is_told_of_a_key_that_is_not_theirs(tmp_path: Path) -> None:
    asked = client(tmp_path, insecure=True)
    outside = {"REMOTE_ADDR": "10.0.0.7"}
    assert ask(asked, "/modelos", **outside).status_code == 200
    reply = ask(asked, "/modelos/rollback", "POST", **outside)
    assert reply.status_code == 403 and "Sin clave" in told(reply)["detail"]
    page = ask(asked, "/modelos/rollback", "POST", HTTP_ACCEPT=PAGE, **outside).text
    assert "Sin clave" in page and "Su clave" not in page and "otra clave" not in page


# The form and the language of a refusal


@pytest.mark.parametrize("path", PROGRAMS)
def test_programs_are_refused_in_json_whatever_they_accept(tmp_path: Path, path: str) -> None:
    shown = key(tmp_path)
    asked = client(tmp_path)
    for head in ({}, {"HTTP_X_API_KEY": shown}):
        for accept in (PAGE, "text/html", "text/plain", "*/*", ""):
            for method in ("GET", "POST", "PUT"):
                more = {"HTTP_ACCEPT": accept, "CONTENT_TYPE": "application/x-nada", **head}
                for query in ("", "?formato=html", "?formato=texto"):
                    reply = ask(asked, path + query, method, **more)
                    if reply.status_code == 200:
                        continue  # GET /v2
                    body = told(reply)
                    assert body["errores"] == [] and reply.status_code > 400
                    assert ("error" in body) == path.startswith("/v2")


def test_the_old_route_is_refused_in_the_form_of_its_contract(tmp_path: Path) -> None:
    """Its callers may read nothing else: what the door says comes as what the route says."""
    given = (Path(contracts.__file__).parent / "contracts" / "cobranza.toml").read_text("utf-8")
    own = tmp_path / "c.toml"
    own.write_text(re.sub(r'(?m)^form = "\w+"', 'form = "text"', given), encoding="utf-8")
    key(tmp_path)
    asked = client(tmp_path, contract=str(own))
    assert ask(asked, "/prediccion").mimetype == "text/plain"
    assert ask(asked, "/prediccion", "POST").mimetype == "text/plain"
    assert ask(asked, "/prediccion?formato=json").mimetype == PROBLEM
    assert ask(asked, "/prediccion", HTTP_ACCEPT="application/json").mimetype == PROBLEM
    assert ask(asked, "/modelos").mimetype == PROBLEM


@pytest.mark.parametrize("path", ["/prediccion", "/predict", "/modelos", *PROGRAMS])
def test_door_and_route_refuse_in_the_same_language(tmp_path: Path, path: str) -> None:
    shown = key(tmp_path, "admin")
    asked = client(tmp_path)
    for query, accepted, english in (
        ("", "", False),
        ("", "en", True),
        ("?idioma=en", "", True),
        ("?idioma=es", "en", False),
    ):
        for head in ({}, {"HTTP_X_API_KEY": shown}):
            more = {"HTTP_ACCEPT_LANGUAGE": accepted, "CONTENT_TYPE": "x/y", **head}
            for method in ("POST", "DELETE"):
                detail = told(ask(asked, path + query, method, **more))["detail"]
                words = {"the", "a", "is", "as", "no"} & set(detail.lower().split())
                assert bool(words - {"a", "no"}) == english, (query, accepted, detail)


# Methods


@pytest.fixture(scope="module")
def keyless(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    """A program of this machine that needs no key."""
    return client(tmp_path_factory.mktemp("sin"))


@pytest.mark.parametrize("path", sorted({route.path for route in ROUTES}))
def test_every_method_that_is_named_in_allow_is_there_and_no_other(
    keyless: FlaskClient, path: str
) -> None:
    address = re.sub(r"\{\w+\}", "x", path)
    own = {route.method for route in ROUTES if route.path == path}
    own |= {"HEAD"} if "GET" in own else set()
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        reply = ask(keyless, address, method)
        assert (reply.status_code == 405) == (method not in own), method
        if reply.status_code == 405:
            assert set(reply.headers["Allow"].split(", ")) == own
