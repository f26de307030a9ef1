"""The OpenAPI document against a real server: its examples are run, and its promises are held.

Every request but those that try without has a key, as on a server that others reach.
"""

from __future__ import annotations

import contextlib
import copy
import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import jsonschema_rs
import pytest
import requests
import schemathesis
from guarded import copied, key
from hypothesis import HealthCheck, settings
from lengths import steps
from schemathesis import Case, CheckFunction
from schemathesis.checks import (
    ignored_auth,
    load_all_checks,
    negative_data_rejection,
    positive_data_acceptance,
)
from server import Place, Reply, Server, running, wait_for

from propensia import contract as contracts
from propensia.web import openapi

Json = dict[str, Any]
CONTRACT = contracts.load("cobranza")
DOCUMENT: Json = json.loads(json.dumps(openapi.document(CONTRACT, 100, "es")))
JSON, PROBLEM = "application/json", "application/problem+json"

load_all_checks()

# What schemathesis expects by itself, and these operations do on purpose not.
NOT_CHECKED: dict[str, list[CheckFunction]] = {
    # A text in another case, a decimal comma or an empty text that means "no data" is outside the
    # schema, which shows the plain form, and is read: that is the contract.
    "/prediccion": [negative_data_rejection],
    # And a schema cannot tell within which bounds the text of a number is, which months there are
    # among the numbers, or that an option comes in the address or in the row.
    "/predict": [negative_data_rejection, positive_data_acceptance],
    # What is wrong with one row is told in its place in a 200, and does not stop the others.
    "/predict/batch": [negative_data_rejection],
    # A schema knows neither the calendar nor which day it is; and here too a bad row of a list is
    # told in its place.
    "/resultados": [negative_data_rejection, positive_data_acceptance],
    # Nor does one know which letters print: a name with another is refused.
    "/personas/exportar": [positive_data_acceptance],
    "/personas/borrar": [positive_data_acceptance],
    # That all parameters are among the tensors, and all as long, is no matter of a schema; and a
    # key that the protocol does not know is left alone.
    "/v2/models/{name}/infer": [negative_data_rejection, positive_data_acceptance],
    "/v2/models/{name}/versions/{version}/infer": [
        negative_data_rejection,
        positive_data_acceptance,
    ],
    # No schema says what a model file is: any bytes are one, and are refused for what they hold.
    "/modelos": [positive_data_acceptance],
    # Nor what a table is: an empty one is refused, and any other bytes are looked at later.
    "/carteras": [negative_data_rejection, positive_data_acceptance],
    # To JSON Schema 7.0 is an integer; as the number of a release it is refused.
    "/modelos/{version}/activar": [positive_data_acceptance],
    "/modelos/rollback": [positive_data_acceptance],
    # A form of a browser: what is not a field of it is not looked at.
    "/entrar": [negative_data_rejection],
    # And an empty one in chunks cannot be told from one that broke off, so it is refused.
    "/salir": [negative_data_rejection, positive_data_acceptance],
}

# Examples that cannot succeed on a server with one model: nothing was published before it.
OTHER_STATUS = {"volver": 409}


@dataclass(frozen=True, slots=True)
class Keyed:
    """A server with keys, and one of them, of a role that may do everything."""

    server: Server
    key: str

    def ask(self, method: str, path: str, body: Any = None) -> Reply:
        """One request with the key; ``body`` goes as JSON."""
        headers = {"X-API-Key": self.key}
        data = None
        if body is not None:
            headers["Content-Type"], data = JSON, json.dumps(body).encode()
        with contextlib.closing(self.server.connection()) as connection:
            connection.request(method, path, data, headers)
            return _reply(connection.getresponse())


def _reply(response: http.client.HTTPResponse) -> Reply:
    named = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, named, response.read())


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory, admitted: Place) -> Iterator[Keyed]:
    """Two workers under granian, with one model and one key."""
    place = copied(admitted, tmp_path_factory.mktemp("openapi"))
    shown = key(place, "pruebas", "admin")
    with running(place, rate_limit="off") as server:
        yield Keyed(server, shown)


def test_the_server_gives_the_document_of_the_code_in_both_languages(keyed: Keyed) -> None:
    assert keyed.ask("GET", "/openapi.json").json() == DOCUMENT
    english = keyed.ask("GET", "/openapi.json?idioma=en").json()
    assert english == json.loads(json.dumps(openapi.document(CONTRACT, 100, "en")))


# Examples


def _resolved(part: Json) -> Json:
    found: Any = DOCUMENT
    for step in part["$ref"].removeprefix("#/").split("/") if "$ref" in part else ():
        found = found[step]
    return found if "$ref" in part else part


def _path(path: str, operation: Json, version: str) -> str:
    """The path with its examples in it, and those of the query behind it."""
    pairs = {}
    for parameter in map(_resolved, operation.get("parameters", [])):
        if parameter["in"] == "query" and "example" in parameter:
            pairs[parameter["name"]] = parameter["example"]
    path = path.replace("{name}", CONTRACT.name).replace("{version}", version)
    return f"{path}?{urlencode(pairs)}" if pairs else path


def _active(keyed: Keyed) -> str:
    return str(keyed.ask("GET", "/modelos").json()["activa"])


def _remembered(keyed: Keyed) -> str:
    """The id of an answer about the person of the examples, once it is in the store."""
    person = DOCUMENT["components"]["examples"]["persona"]["value"]
    row = urlencode(CONTRACT.example() | person)
    told: str = keyed.ask("GET", f"/prediccion?{row}").json()["id"]
    wait_for(lambda: keyed.ask("GET", f"/respuestas/{told}").status == 200, "the answer is stored")
    return told


@pytest.fixture(scope="module")
def scored_portfolio(keyed: Keyed) -> str:
    """The id of a portfolio of one good row and one bad one, once it is scored."""
    example = CONTRACT.example()
    lines = [example, dict.fromkeys(example, "?")]
    file = "\n".join([";".join(example), *(";".join(line.values()) for line in lines)])
    address, head = f"http://127.0.0.1:{keyed.server.port}/carteras", {"X-API-Key": keyed.key}
    sent = requests.post(address, headers=head, files={"fichero": ("c.csv", file)}, timeout=30)
    id = str(sent.json()["id"])

    def is_now(state: str) -> bool:
        return bool(keyed.ask("GET", f"/carteras/{id}").json()["estado"] == state)

    wait_for(lambda: is_now("lista"), "it was looked at", 60.0)
    requests.post(f"{address}/{id}/puntuar", headers=head, timeout=30).raise_for_status()
    wait_for(lambda: is_now("hecha"), "it is scored", 60.0)
    return id


EXAMPLES = [
    pytest.param(method, path, name, id=f"{method} {path} {name}".strip())
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    for name in operation.get("requestBody", {"content": {}})["content"]
    .get(JSON, {})
    .get("examples", {"": None} if method == "get" else {})
]


@pytest.mark.parametrize(("method", "path", "name"), EXAMPLES)
def test_an_example_gives_the_answer_that_the_document_shows(
    keyed: Keyed, method: str, path: str, name: str, request: pytest.FixtureRequest
) -> None:
    operation = DOCUMENT["paths"][path][method]
    body = _resolved(DOCUMENT["components"]["examples"][name])["value"] if name else None
    asked = _path(path, operation, _active(keyed))
    if path.startswith(("/respuestas/", "/personas/")):
        asked = asked.replace("{id}", _remembered(keyed))
    if path.startswith("/carteras/"):
        asked = asked.replace("{cartera}", request.getfixturevalue("scored_portfolio"))
    reply = keyed.ask(method.upper(), asked, body)
    assert reply.status == OTHER_STATUS.get(name, 200), reply.text
    content = _resolved(operation["responses"][str(reply.status)])["content"]
    kind = reply.headers["content-type"].partition(";")[0]
    if kind in (JSON, PROBLEM):
        schemas = {"components": {"schemas": DOCUMENT["components"]["schemas"]}}
        jsonschema_rs.validate(schemas | content[kind]["schema"], reply.json())
    else:
        assert kind in content


def test_the_example_of_a_batch_shows_a_bad_row_between_good_ones(keyed: Keyed) -> None:
    rows = DOCUMENT["components"]["examples"]["lote"]["value"]
    first, second = keyed.ask("POST", "/predict/batch", rows).json()["resultados"]
    assert "probabilidad" in first
    assert second["type"] == "urn:propensia:peticion_no_valida"


# Everything, by schemathesis

# A workbook or a Parquet file is bytes to it, of which it makes any.
schemathesis.serializer.alias(
    [
        kind
        for kind in DOCUMENT["paths"]["/carteras"]["post"]["requestBody"]["content"]
        if kind.startswith("application/vnd.")
    ],
    "application/octet-stream",
)
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)


def _held(case: Case, keyed: Keyed) -> None:
    """Send a case, and run every check that schemathesis has on the answer: no 5xx, a status, a
    type, headers and a body that are documented, 405 for other methods. But not what it tries
    without a key: so many tries are answered 429."""
    case.call_and_validate(
        f"http://127.0.0.1:{keyed.server.port}",
        headers={"X-API-Key": keyed.key},
        excluded_checks=[*NOT_CHECKED.get(case.operation.path, []), ignored_auth],
    )


def _test_of(operation: str, most: int) -> Callable[..., None]:
    @SCHEMA.include(operation_id=operation).parametrize()
    @settings(max_examples=most, suppress_health_check=list(HealthCheck))
    def test_an_operation_does_what_the_document_says(case: Case, keyed: Keyed) -> None:
        _held(case, keyed)

    return test_an_operation_does_what_the_document_says


# A test of its own for each operation: those that schemathesis makes of one function have one id,
# and xdist runs one of them.
for _operation in [o["operationId"] for path in DOCUMENT["paths"].values() for o in path.values()]:
    _name = f"test_{_operation}_does_what_the_document_says"
    globals()[_name] = _test_of(_operation, 5)
    globals()[f"{_name}_at_length"] = pytest.mark.slow(_test_of(_operation, steps(20, 100)))


def test_where_a_key_is_asked_for_none_and_a_wrong_one_are_refused_as_documented(
    keyed: Keyed,
) -> None:
    """From an address of its own: the other tests show so many wrong ones that theirs is 429."""
    tried = 0
    own, port = ("127.0.0.2", 0), keyed.server.port
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            if operation["security"]:
                for wrong in ({}, {"X-API-Key": keyed.key[:-1]}):
                    asking = http.client.HTTPConnection("127.0.0.1", port, 30, source_address=own)
                    with contextlib.closing(asking) as connection:
                        connection.request(method.upper(), path, headers=wrong)
                        reply = _reply(connection.getresponse())
                    told = _resolved(operation["responses"]["401"])
                    assert reply.status == 401, path
                    assert reply.headers["content-type"].partition(";")[0] in told["content"]
                    tried += 1
    assert tried > 30


def test_a_status_that_is_not_documented_would_be_noticed(keyed: Keyed) -> None:
    silent = copy.deepcopy(DOCUMENT)
    del silent["paths"]["/prediccion"]["get"]["responses"]["400"]
    case = schemathesis.openapi.from_dict(silent)["/prediccion"]["GET"].Case(query={"er": "X"})
    with pytest.raises(BaseExceptionGroup) as noticed:
        _held(case, keyed)
    assert "Undocumented" in str(noticed.value.exceptions[0])
