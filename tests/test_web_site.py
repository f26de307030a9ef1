"""The routes that Flask answers, while files go away or something of ours fails."""

from __future__ import annotations

import logging
import re
import shutil
from typing import Any

import pytest
import tiny_models
from flask.testing import FlaskClient

from propensia.access import keys
from propensia.contract import Contract
from propensia.registry import Registry
from propensia.settings import Settings
from propensia.web import pages
from propensia.web.app import create_app

PAGE = {"Accept": "text/html"}


def client(registry: Registry, **more: Any) -> FlaskClient:
    chosen = Settings(state=registry.state, models=registry.state / "models", **more)
    return create_app(chosen, background=False).test_client()


def publish(registry: Registry, contract: Contract, probability: float, **changes: object) -> str:
    onnx = tiny_models.constant(probability)
    version = tiny_models.add(registry, contract, onnx, [probability], **changes)
    registry.publish(version, cause="prueba", who="yo")
    return version


@pytest.mark.parametrize(
    ("accept", "kind"), [("text/html", "text/html"), ("*/*", "application/problem+json")]
)
def test_the_form_refuses_a_long_address_as_the_scoring_route_does(
    registry: Registry, accept: str, kind: str
) -> None:
    for path in ("/", "/prediccion"):
        asked = client(registry).get(
            path, query_string="er=&%&" * 8_000, headers={"Accept": accept}
        )
        assert (asked.status_code, asked.mimetype) == (414, kind)
        assert "2048" in asked.text


def test_what_the_result_page_copies_has_a_place_for_a_key_where_one_is_asked_for(
    registry: Registry, contract: Contract
) -> None:
    publish(registry, contract, 0.3)
    asked = {"query_string": contract.example(), "headers": dict(PAGE)}
    assert "cabecera.txt" not in client(registry).get("/prediccion", **asked).text
    shown, made = keys.new("ana", "tester", 0.0)
    keys.change(registry.state / keys.FOLDER, lambda known: [*known, made])
    asked["headers"]["X-API-Key"] = shown
    text = client(registry).get("/prediccion", **asked).text
    assert "@cabecera.txt" in text and "/c/" in text and shown not in text
    open_here = client(registry, open_networks="127.0.0.0/8")
    del asked["headers"]["X-API-Key"]
    assert "cabecera.txt" not in open_here.get("/prediccion", **asked).text


def test_keys_are_introduced_without_cutting_off_the_old_callers(
    registry: Registry, contract: Contract
) -> None:
    """The recipe of ``docs/claves.md``: their networks first, then keys, then the end of it."""
    publish(registry, contract, 0.3)
    _, made = keys.new("ana", "admin", 0.0)

    def status(service: FlaskClient, path: str = "/prediccion") -> int:
        return service.get(path, query_string=contract.example()).status_code

    first = client(registry, open_networks="127.0.0.0/8")
    assert (status(first), status(first, "/modelos")) == (200, 200)
    keys.change(registry.state / keys.FOLDER, lambda known: [*known, made])
    second = client(registry, open_networks="127.0.0.0/8")
    assert (status(second), status(second, "/modelos")) == (200, 401)
    assert status(client(registry)) == 401


@pytest.mark.parametrize("demonstration", [True, False])
def test_the_pages_of_a_version_that_was_pruned_meanwhile_are_answered(
    registry: Registry, contract: Contract, demonstration: bool
) -> None:
    version = publish(registry, contract, 0.3, demonstration=demonstration)
    asked = client(registry)
    shutil.rmtree(registry.part(version, "manifest.json").parent)
    good = asked.get("/prediccion", query_string=contract.example(), headers=PAGE)
    wrong = asked.get("/prediccion", query_string={"er": "x"}, headers=PAGE)
    pages_shown = [asked.get("/", headers=PAGE), good, wrong]
    assert [page.status_code for page in pages_shown] == [200, 200, 400]
    for page in pages_shown[:2]:
        assert ("Modelo de demostración." in page.text) is demonstration


@pytest.mark.parametrize(
    ("method", "path", "status", "sentence"),
    [
        ("GET", "/nada", 404, "Esa dirección no existe; la de puntuar es /prediccion.\n"),
        ("POST", "/prediccion", 405, "Use uno de los métodos de la cabecera Allow.\n"),
        ("GET", "/health/ready", 503, "Aún no hay modelo publicado; repita la petición en"),
    ],
)
def test_a_problem_of_any_route_comes_in_the_form_that_was_asked_for(
    method: str, path: str, status: int, sentence: str, registry: Registry
) -> None:
    asked = client(registry)
    texts = [
        asked.open(path, method=method, headers={"Accept": "text/plain"}),
        asked.open(path, method=method, query_string="formato=texto", headers=PAGE),
    ]
    for reply in texts:
        assert (reply.status_code, reply.content_type) == (status, "text/plain; charset=utf-8")
        assert reply.text.startswith(sentence)
        assert reply.text.count("\n") == 1
        assert reply.headers["X-Propensia-Id"]
        assert ("Retry-After" in reply.headers) == (status == 503)
        assert ("Allow" in reply.headers) == (status == 405)
    page = asked.open(path, method=method, query_string="formato=html")
    assert (page.status_code, page.mimetype) == (status, "text/html")
    assert sentence.strip() in page.text
    details = asked.open(path, method=method, query_string="formato=json&idioma=en", headers=PAGE)
    assert (details.status_code, details.mimetype) == (status, "application/problem+json")
    assert details.json is not None
    assert details.json["title"] in ("Not found", "Method not allowed", "No model")


def test_browsers_stay_with_https_where_the_server_ends_tls_itself(registry: Registry) -> None:
    """And are told so over TLS only (RFC 6797, 7.2); a proxy that ends it says so by itself."""
    name = "Strict-Transport-Security"
    own, plain = client(registry, tls_certificate="tls.crt"), client(registry)
    for path in ("/", "/prueba", "/nowhere"):
        secure = own.get(path, base_url="https://localhost")
        assert re.fullmatch(r"max-age=\d{8}", secure.headers[name]), path
        assert name not in own.get(path).headers
        assert name not in plain.get(path, base_url="https://localhost").headers


def test_the_fields_of_the_form_open_the_fitting_keyboard(registry: Registry) -> None:
    page = client(registry).get("/", headers=PAGE).text
    for name, mode in (("im", "decimal"), ("cf", "numeric"), ("fb", "numeric"), ("cp", "numeric")):
        field = page[page.index(f'id="campo-{name}"') :]
        assert field[: field.index(">")].count(f'inputmode="{mode}"') == 1, name


def test_the_models_are_listed_while_versions_and_releases_go_away(
    registry: Registry, contract: Contract
) -> None:
    versions = [publish(registry, contract, share) for share in (0.1, 0.2, 0.3, 0.4)]
    for version in versions:
        verdict = {"version": version, "model": "m", "sha256": version * 5, "accepted": True}
        registry.record_verdict(version * 5, verdict | {"why": "", "at": version})
    asked = client(registry)
    found = asked.get("/modelos").json
    assert (found["activa"], found["anterior"]) == (versions[3], versions[2])
    (registry.state / "releases" / "000002.json").unlink()
    (registry.state / "releases" / "000003.json").write_bytes(b"{")
    shutil.rmtree(registry.part(versions[2], "manifest.json").parent)
    found = asked.get("/modelos").json
    assert (found["activa"], found["anterior"]) == (versions[3], versions[0])
    states = {row["version"]: (row["estado"], bool(row["publicado"])) for row in found["modelos"]}
    assert states == {
        versions[0]: ("anterior", True),
        versions[1]: ("candidata", False),
        versions[2]: ("candidata", False),
        versions[3]: ("activa", True),
    }


def test_a_fault_of_ours_is_logged_with_its_place_and_without_its_message(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*arguments: object) -> None:
        raise LookupError("a debtor's 1931.0747")

    monkeypatch.setattr(pages, "form_page", failing)
    with caplog.at_level(logging.ERROR):
        reply = client(registry).get("/", query_string={"im": "1931.0747"})
    assert reply.status_code == 500
    assert reply.headers["X-Propensia-Id"] in caplog.text
    assert "LookupError at tests/test_web_site.py:" in caplog.text
    assert " < web/site.py:" in caplog.text
    assert "1931." not in caplog.text
    assert all(record.exc_info is None for record in caplog.records)


def test_health_without_a_model_says_when_to_ask_again(registry: Registry) -> None:
    reply = client(registry).get("/health")
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "5")
    assert reply.get_json()["version"] is None


def test_a_query_that_is_not_utf_8_is_refused_as_any_other(registry: Registry) -> None:
    """Waitress lets such bytes through where the path begins with two slashes."""
    environ = {"QUERY_STRING": "M\xaf\xa6&idioma=en&\x89", "PATH_INFO": "//predict"}
    reply = client(registry).open("/", method="POST", environ_overrides=environ)
    assert reply.status_code == 404 and reply.json is not None
    assert reply.json["title"] == "Not found"
