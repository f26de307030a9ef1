"""The hot route where the model, the request or the process is not as it should be."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tiny_models
from werkzeug.test import Client

from propensia import contract as contracts
from propensia import sampling
from propensia.contract import Contract
from propensia.features import Features
from propensia.registry import Registry
from propensia.scorer import Scorer, ScorerError, Unreliable
from propensia.serving import Serving
from propensia.web.prediccion import HotRoute, wanted_form
from tests.fakes import client_of_onnx, let_in, scoring_of


@pytest.fixture
def client(registry: Registry, contract: Contract) -> Client:
    return client_of_onnx(registry, contract, tiny_models.constant(0.5))


def ask(client: Client, contract: Contract, **more: str) -> Any:
    return client.get("/prediccion", query_string=contract.example() | more)


def nothing_else(environ: Any, start: Any) -> list[bytes]:
    raise AssertionError("the hot route answers this itself")


def raising(error: Exception) -> Callable[..., float]:
    def one(scorer: Scorer, row: list[float]) -> float:
        raise error

    return one


def test_a_long_address_is_414_whatever_it_holds(client: Client) -> None:
    for part in ("er=&", "%&", "formato=texto&"):
        reply = client.get("/prediccion", query_string=part * 20_000)
        assert reply.status_code == 414
        assert reply.json is not None
        assert reply.json["type"] == "urn:propensia:peticion_demasiado_larga"
        assert reply.json["errores"] == []


def test_after_a_broken_escape_no_parameter_is_said_to_be_missing(client: Client) -> None:
    reply = client.get("/prediccion", query_string="er=EMP&%FF=NO&im=-1")
    assert reply.json is not None
    codes = [(error["parametro"], error["codigo"]) for error in reply.json["errores"]]
    assert codes == [("", "codificacion_no_valida"), ("im", "numero_negativo")]


@pytest.mark.parametrize("error", [Unreliable("x"), ScorerError("x")])
def test_a_model_that_fails_is_503(
    error: Exception, client: Client, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scorer, "one", raising(error))
    reply = ask(client, contract)
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "5")
    assert reply.json["type"] == "urn:propensia:modelo_no_fiable"


def test_a_fault_of_ours_is_logged_with_its_place_and_without_its_message(
    client: Client,
    contract: Contract,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(Scorer, "one", raising(LookupError("a debtor's 1931.0747")))
    with caplog.at_level(logging.ERROR):
        reply = ask(client, contract)
    assert reply.status_code == 500
    assert reply.json["id"] in caplog.text
    assert "LookupError at tests/test_web_prediccion.py:" in caplog.text
    assert " < propensia/serving.py:" in caplog.text
    assert "1931." not in caplog.text
    assert all(record.exc_info is None for record in caplog.records)


def test_an_answer_without_its_reasons_says_so(registry: Registry, contract: Contract) -> None:
    """The typical row and this one have probabilities; the mixtures of the two have none."""
    features = Features(contract)
    row = np.array(features.row(features.read(contract.example())[0]))
    moved = row - np.array(features.row(sampling.typical(contract)))
    weights = np.zeros(len(row))
    weights[:2] = 10.0, -10.0 * moved[0] / moved[1]
    onnx = tiny_models.linear(weights.tolist(), 0.5 - float(weights @ row))
    golden = {"rows": [row.tolist()], "probabilities": [0.5]}
    version = tiny_models.add(registry, contract, onnx, golden=golden)
    registry.publish(version, cause="prueba", who="yo")
    serving = Serving(contract, registry)
    hot = HotRoute(nothing_else, scoring_of(serving), serving.tick)
    hot.begin()
    answer = ask(Client(let_in(hot)), contract, motivos="3", idioma="es").json
    assert answer["probabilidad"] == pytest.approx(0.5, abs=1e-12)
    assert answer["motivos"] == []
    assert answer["avisos"][-1] == {
        "parametro": "motivos",
        "codigo": "motivos_no_disponibles",
        "mensaje": "motivos: no se han podido calcular para este caso; la puntuación es válida",
        "valor_usado": None,
    }


def test_two_threads_that_see_a_new_process_start_one_ticker(
    registry: Registry, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a fork the first requests come together; who comes second waits for the model."""
    scoring = scoring_of(Serving(contract, registry))
    started: list[int] = []
    seen: list[int] = []

    def app(environ: Any, start: Any) -> list[bytes]:
        seen.append(len(started))
        start("200 OK", [])
        return []

    hot = HotRoute(app, scoring, lambda: started.append(os.getpid()))
    hot.begin()
    process = os.getpid()

    def slowly() -> int:
        time.sleep(0.05)  # long enough for both to look before either has begun
        return process + 1

    def ask() -> None:
        hot.begin()
        Client(hot).get("/x")

    monkeypatch.setattr(os, "getpid", slowly)
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert started == [process, process + 1]
    assert seen == [2, 2]


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("text/plain, application/json;q=0.1", "text"),
        ("text/plain;q=0.1, application/json", "json"),
        ("application/json;q=0, text/plain", "text"),
        ("application/json; q=0.2, TEXT/Plain; charset=utf-8; q=0.3", "text"),
        ("text/*", "text"),
        ("text/*;q=0.5, application/json;q=0.6", "json"),
        ("text/plain;q=0, text/*", "html by default"),
        ("application/*, text/plain;q=0.5", "json"),
        ("text/html, application/json;q=0.5", "html"),
        ("text/html;q=0.5, application/json", "json"),
        ("text/html;q=0.9", "html"),
        ("application/json, text/plain, */*", "json"),
        ("text/plain, */*", "text"),
        ("text/plain;q=x", "html by default"),
        ("*/*;q=0.8", "html by default"),
        ("image/png, */*;q=0.1", "html by default"),
        # a browser, and old HTTP libraries, which want no page
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "html"),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "html by default"),
        ("text/html, */*", "html by default"),
    ],
)
def test_the_form_is_the_one_that_weighs_most(accept: str, form: str) -> None:
    assert wanted_form(accept, "html by default") == form


def test_whole_numbers_are_told_as_people_write_them(
    registry: Registry, contract: Contract
) -> None:
    client = client_of_onnx(registry, contract, tiny_models.constant(0.5))
    reply = ask(client, contract, cf="NaN", nl="2,0", im="NaN", dt=" 7 ")
    told = {note["parametro"]: note for note in reply.json["avisos"]}
    assert repr(told["cf"]["valor_usado"]) == "2"
    assert repr(told["nl"]["valor_usado"]) == "2"
    assert repr(told["dt"]["valor_usado"]) == "7"
    assert repr(told["im"]["valor_usado"]) == "71.99"
    assert told["dt"]["mensaje"].endswith("se ha leído 7")


def test_the_compatible_contract_tells_a_whole_age_too(registry: Registry) -> None:
    compat = contracts.load("cobranza_compat")
    client = client_of_onnx(registry, compat, tiny_models.constant(0.5))
    reply = ask(client, compat, ed="NaN", formato="json")
    (age,) = [note for note in reply.json["avisos"] if note["parametro"] == "ed"]
    assert repr(age["valor_usado"]) == "65"
