"""Programs that send JSON, and standard inference clients, against real servers."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from guarded import copied, key
from lengths import steps
from malformed import MARK, MARKED, nothing_leaked
from malformed_bodies import FAMILIES, ROUTES, Case, cases
from models_for_tests import EXAMPLE
from server import Place, Reply, Server, prediccion, propensia_command, running
from tritonclient.utils import InferenceServerException

KIND = {"Content-Type": "application/json"}
BATCH, INFER = ROUTES[1:]


def send(
    connection: http.client.HTTPConnection,
    path: str,
    body: bytes,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """One POST on a connection that stays open."""
    connection.request("POST", path, body=body, headers=KIND | dict(headers or {}))
    response = connection.getresponse()
    data = response.read()
    found = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, found, data)


def post(server: Server, path: str, body: object, **headers: str) -> Reply:
    """One POST of a JSON value on a connection of its own."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with contextlib.closing(server.connection()) as connection:
        return send(connection, path, json.dumps(body).encode(), named)


@pytest.fixture(scope="module")
def target(admitted: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The default server without a limit of requests, with an output of its own."""
    with running(copied(admitted, tmp_path_factory.mktemp("api")), rate_limit="off") as server:
        yield server


@pytest.mark.parametrize(
    "name",
    [
        "granian",
        pytest.param("waitress", marks=pytest.mark.slow),
        pytest.param("gunicorn", marks=pytest.mark.slow),
    ],
)
def test_every_server_gives_the_score_of_the_address(admitted: Place, name: str) -> None:
    """The object, the batch and the tensors, bit for bit; many at once and one after another."""
    rows = [EXAMPLE | {"im": f"{amount / 7:.4f}", "cf": str(amount % 9)} for amount in range(40)]
    with running(admitted, lambda port: propensia_command(port, name), rate_limit="off") as server:
        wanted = [server.get(prediccion(row)).json()["probabilidad"] for row in rows]
        assert len(set(wanted)) > 30
        with contextlib.closing(server.connection()) as connection:
            single = [send(connection, "/predict", json.dumps(row).encode()) for row in rows]
        assert [reply.json()["probabilidad"] for reply in single] == wanted
        many = post(server, BATCH, rows).json()["resultados"]
        assert [row["probabilidad"] for row in many] == wanted
        tensors = [
            {
                "name": n,
                "shape": [len(rows)],
                "datatype": "BYTES",
                "data": [row[n] for row in rows],
            }
            for n in EXAMPLE
        ]
        outputs = post(server, INFER, {"inputs": tensors}).json()["outputs"]
        assert outputs[0]["data"] == wanted


# The client of Triton, unchanged


def tensors_of(rows: list[dict[str, str]], metadata: Any, binary: bool) -> list[Any]:
    """The rows as the metadata of the model wants them: texts, and numbers as such."""
    made = []
    for column in metadata["inputs"]:
        texts = [row[column["name"]] for row in rows]
        values = (
            np.array([text.encode() for text in texts], dtype=object)
            if column["datatype"] == "BYTES"
            else np.array([float(text) for text in texts])
        )
        one = triton.InferInput(column["name"], [len(rows)], column["datatype"])
        made.append(one.set_data_from_numpy(values, binary_data=binary))
    return made


@pytest.fixture
def client(target: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"127.0.0.1:{target.port}") as made:
        yield made


def test_a_standard_client_finds_the_server_and_the_model(
    client: triton.InferenceServerClient, target: Server
) -> None:
    version = target.active()
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("cobranza") and client.is_model_ready("base", version)
    assert not client.is_model_ready("otro") and not client.is_model_ready("cobranza", "0")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    model = client.get_model_metadata("cobranza")
    assert [one["name"] for one in model["inputs"]] == list(EXAMPLE)
    assert model["versions"] == [version]
    with pytest.raises(InferenceServerException, match="404"):
        client.get_model_metadata("otro")


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
def test_a_standard_client_gets_the_scores_of_the_addresses(
    client: triton.InferenceServerClient, target: Server, binary: bool, binary_out: bool | None
) -> None:
    """EDAD of the example is NaN, which this client writes into its JSON as such."""
    rows = [EXAMPLE | {"im": f"{amount / 3:.2f}", "po": "N/A"} for amount in range(7)]
    answers = [target.get(prediccion(row)).json() for row in rows]
    made = tensors_of(rows, client.get_model_metadata("cobranza"), binary)
    names = ("clasificacion", "probabilidad")
    wanted = (
        None
        if binary_out is None
        else [triton.InferRequestedOutput(name, binary_data=binary_out) for name in names]
    )
    result = client.infer("cobranza", made, request_id="42", outputs=wanted)
    found = result.as_numpy("probabilidad").tolist()
    assert found == [answer["probabilidad"] for answer in answers]
    words = result.as_numpy("clasificacion").tolist()
    said = [word.decode() if isinstance(word, bytes) else word for word in words]
    assert said == [answer["clasificacion"] for answer in answers]
    response = result.get_response()
    assert response["id"] == "42" and response["model_version"] == answers[0]["version"]


def test_a_standard_client_is_told_what_is_wrong(client: triton.InferenceServerClient) -> None:
    rows = [EXAMPLE, EXAMPLE | {"er": MARK}]
    made = tensors_of(rows, client.get_model_metadata("cobranza"), True)
    with pytest.raises(InferenceServerException) as refused:
        client.infer("cobranza", made)
    assert refused.value.status() == "400"
    assert "er: categoria_desconocida (1)" in refused.value.message()
    assert MARK not in refused.value.message()
    many = [EXAMPLE] * 101
    with pytest.raises(InferenceServerException, match="100 filas"):
        client.infer("cobranza", tensors_of(many, client.get_model_metadata("cobranza"), True))


# Who may


def test_with_keys_no_row_is_scored_without_one(admitted: Place, tmp_path: Path) -> None:
    place = copied(admitted, tmp_path)
    shown = key(place, "marcador", "caller")
    body = {"inputs": [{"name": "er", "shape": [1], "datatype": "BYTES", "data": ["EMP"]}]}
    with running(place, workers=1) as server:
        for path, sent in ((ROUTES[0], EXAMPLE), (BATCH, [EXAMPLE]), (INFER, body)):
            refused = post(server, path, sent)
            assert refused.status == 401 and "probabilidad" not in refused.text
            assert post(server, path, sent, X_API_Key=shown[:-1]).status == 401
            allowed = post(server, path, sent, X_API_Key=shown)
            assert allowed.status == (400 if path == INFER else 200)
        assert post(server, INFER, body).json()["error"]


# Malformed bodies


def _judge(case: Case, reply: Reply) -> str | None:
    """What is wrong with an answer, if anything."""
    if MARK in reply.text or any(value in reply.text for value in MARKED.values()):
        return "echoed"
    around = case.path == BATCH and case.of_row
    if reply.status not in ((200,) if around else case.status):
        return f"status {reply.status} instead of {case.status}"
    kind = reply.headers.get("content-type")
    if kind != ("application/json" if reply.status == 200 else "application/problem+json"):
        return f"content type {kind!r}"
    table = reply.json()
    if case.path == BATCH and reply.status == 200:
        rows = table["resultados"]
        if not around:
            return None  # noise: whatever it has become
        (table,) = rows
    status = table.get("status", 200)
    if status not in case.status:
        return f"status {status} of the row instead of {case.status}"
    errors = [(e["parametro"], e["codigo"]) for e in table.get("errores", ())]
    if case.code and (case.parameter, case.code) not in errors:
        return f"no {case.code} of {case.parameter!r} in {errors}"
    if case.parameter and {name for name, _ in errors} != {case.parameter}:
        return f"others than {case.parameter!r} are blamed: {errors}"
    return None


def _run(server: Server, path: str, seed: int, of_each: int) -> None:
    wrong, count = [], Counter[str]()
    with contextlib.closing(server.connection()) as connection:
        for case in cases(seed, of_each, path):
            reply = send(connection, path, case.body, case.headers)
            count[f"{case.family}: {reply.status}"] += 1
            fault = _judge(case, reply)
            if fault is not None:
                wrong.append(f"{case.family}: {fault}: {case.body[:300]!r}")
    assert sum(count.values()) == of_each * FAMILIES
    shown = "\n".join(sorted(set(wrong))[:20])
    assert not wrong, f"{len(wrong)} of {sum(count.values())}:\n{shown}"
    assert server.get(prediccion()).status == 200
    nothing_leaked(server)


@pytest.mark.parametrize("path", ROUTES)
def test_hundreds_of_malformed_bodies_get_the_expected_class_of_answer(
    target: Server, path: str
) -> None:
    _run(target, path, seed=20261, of_each=30)


@pytest.mark.slow
@pytest.mark.parametrize("path", ROUTES)
def test_thousands_of_malformed_bodies(target: Server, path: str) -> None:
    _run(target, path, seed=1, of_each=steps(1_500, 10_000) // FAMILIES + 1)


@pytest.mark.parametrize(("path", "digits"), [(ROUTES[0], 60_000), (BATCH, 10**5), (INFER, 10**5)])
def test_a_number_of_a_hundred_thousand_digits_is_refused(
    target: Server, path: str, digits: int
) -> None:
    """Nearly as long as a row may be; Python itself would stop at 4,300 digits."""
    case = next(case for case in cases(0, 1, path) if case.family == "byte order mark")
    body = case.body.replace(b'"417.6853"', b"9" * digits)
    with contextlib.closing(target.connection()) as connection:
        reply = send(connection, path, body)
    table = reply.json()["resultados"][0] if path == BATCH else reply.json()
    assert [e["codigo"] for e in table["errores"]] == ["texto_demasiado_largo"]
    assert "9" * 50 not in reply.text
