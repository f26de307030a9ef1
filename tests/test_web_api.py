"""``POST /predict`` and its batch: the score of the address, bit for bit, row by row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import pytest
import tiny_models
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from test_openapi import document, operations, resolved
from werkzeug.test import TestResponse

from propensia import contract as contracts
from propensia import files
from propensia.access.roles import Caller
from propensia.contract import Contract
from propensia.registry import Registry
from propensia.scorer import Scorer, Unreliable
from propensia.serving import Serving
from propensia.settings import Settings
from propensia.web.api import Posted
from propensia.web.app import create_app
from propensia.web.door import CALLER
from propensia.web.problems import SAFE_HEADERS
from tests.fakes import scoring_of

KIND = {"Content-Type": "application/json"}
CONTRACT = contracts.load("cobranza")
NAMES = {p.name: p.feature for p in CONTRACT.parameters}
# Every column counts, by another weight each: two rows that differ score differently.
WEIGHTS = [0.31 + 0.07 * place for place in range(len(CONTRACT.columns))]


def client(registry: Registry, contract: str = "cobranza", **more: Any) -> FlaskClient:
    usual = {"rate_limit": "off", "request_log_days": 0}
    chosen = Settings(
        state=registry.state, models=registry.state / "models", contract=contract, **usual | more
    )
    return create_app(chosen, background=False).test_client()


def publish(registry: Registry, contract: Contract, onnx: bytes) -> str:
    zeros = Scorer(onnx, files.sha256(onnx)).one([0.0] * len(contract.columns))
    version = tiny_models.add(registry, contract, onnx, [zeros])
    registry.publish(version, cause="prueba", who="yo")
    return version


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    registry = Registry(tmp_path_factory.mktemp("api"))
    registry.prepare()
    publish(registry, CONTRACT, tiny_models.logistic(WEIGHTS, -2.5))
    return client(registry)


def post(asked: FlaskClient, path: str, body: object, **more: Any) -> TestResponse:
    data = body if isinstance(body, bytes | str) else json.dumps(body)
    return asked.post(path, data=data, headers=KIND | more.pop("headers", {}), **more)


def told(table: Any) -> Any:
    """What an answer or a problem says, without what differs from one request to the next."""
    errors = [(e["parametro"], e["codigo"]) for e in table.get("errores", ())]
    kept = {name: value for name, value in table.items() if name not in ("id", "errores")}
    return kept, sorted(errors)


# One row


def test_the_answer_is_that_of_the_address_with_the_same_headers(asked: FlaskClient) -> None:
    example = CONTRACT.example()
    there = asked.get("/prediccion", query_string=example | {"ref": "a", "motivos": "3"})
    here = post(asked, "/predict", example | {"ref": "a", "motivos": 3})
    assert there.json is not None and here.json is not None
    assert there.status_code == here.status_code == 200
    assert list(here.json) == list(there.json)
    assert told(here.json) == told(there.json)
    assert here.json["motivos"] and here.json["avisos"]
    assert here.headers["X-Propensia-Id"] == here.json["id"]
    changing = {"X-Propensia-Id", "Content-Length"}
    assert {n: v for n, v in here.headers.items() if n not in changing} == {
        n: v for n, v in there.headers.items() if n not in changing
    }


TEXTS = st.sampled_from(["", "NaN", "EMP", " emp", "N/A", "1,5", "1,234", "08029", "-1", "x", "S"])
LITERALS = st.one_of(
    st.integers(-5, 10**7).map(str),
    st.floats(0, 10**7).map(repr),
    st.decimals(0, 10**6, places=2).map(str),
    st.sampled_from(["-0", "0.1e1", "1E2", "1e999", "1e-400", "202310.0", "0.30000000000000004"]),
)
# name -> (the text of the address, the value as it stands in JSON)
VALUES = st.one_of(
    LITERALS.map(lambda literal: (literal, literal)),
    TEXTS.map(lambda text: (text, json.dumps(text))),
    st.just(("", "null")),
)


@given(st.dictionaries(st.sampled_from(list(NAMES)), st.tuples(VALUES, st.booleans())))
def test_whatever_is_sent_gets_what_the_address_gets(
    asked: FlaskClient, changed: Mapping[str, tuple[tuple[str, str], bool]]
) -> None:
    """Bit for bit: the probability is compared as it is printed, with all its digits."""
    texts, values = dict(CONTRACT.example()), {}
    for name, text in texts.items():
        values[name] = json.dumps(text)
    for name, ((text, literal), by_feature) in changed.items():
        texts[name] = text
        del values[name]
        values[NAMES[name] if by_feature else name] = literal
    row = "{" + ",".join(f"{json.dumps(n)}:{literal}" for n, literal in values.items()) + "}"
    there = asked.get("/prediccion", query_string=texts)
    here = post(asked, "/predict", row)
    batch = post(asked, "/predict/batch", f"[{row},{row}]")
    assert there.json is not None and here.json is not None and batch.json is not None
    assert here.status_code == there.status_code
    assert told(here.json) == told(there.json)
    assert batch.status_code == 200
    assert [told(one) for one in batch.json["resultados"]] == [told(there.json)] * 2


def test_all_faults_are_told_at_once_and_none_is_told_as_missing_too(asked: FlaskClient) -> None:
    body = CONTRACT.example() | {"er": True, "im": -1, "cf": [3], "DEUDA_TOTAL": 1}
    del body["nl"]
    reply = post(asked, "/predict?motivos=x", body)
    assert reply.json is not None
    assert (reply.status_code, reply.mimetype) == (400, "application/problem+json")
    assert sorted((e["parametro"], e["codigo"]) for e in reply.json["errores"]) == [
        ("cf", "tipo_no_valido"),
        ("dt", "parametro_repetido"),
        ("er", "tipo_no_valido"),
        ("im", "numero_negativo"),
        ("motivos", "opcion_no_valida"),
        ("nl", "parametro_ausente"),
    ]


def test_the_language_is_that_of_the_row_then_of_the_header(asked: FlaskClient) -> None:
    english = {"headers": {"Accept-Language": "en"}}
    for body, query, more, title in (
        ({"idioma": "en"}, "", {}, "Invalid request"),
        ({}, "?idioma=en", {}, "Invalid request"),
        ({}, "", english, "Invalid request"),
        ({"idioma": "es"}, "", english, "Petición no válida"),
        ({}, "", {}, "Petición no válida"),
    ):
        reply = post(asked, f"/predict{query}", body, **more)
        assert reply.json is not None and reply.json["title"] == title


@pytest.mark.parametrize("accept", ["text/html", "text/plain", "*/*"])
def test_the_answer_is_json_whatever_is_accepted(asked: FlaskClient, accept: str) -> None:
    for body in (CONTRACT.example(), {}, "x"):
        reply = post(asked, "/predict?formato=texto", body, headers={"Accept": accept})
        assert reply.mimetype in ("application/json", "application/problem+json")


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_what_cannot_be_read_is_400_and_another_type_is_415(asked: FlaskClient, path: str) -> None:
    for body, headers, status, code in (
        (b"", {}, 400, "cuerpo_no_valido"),
        (b"{", {}, 400, "cuerpo_no_valido"),
        (b"3", {}, 400, "cuerpo_no_valido"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "tipo_no_admitido"),
        (b"{}", {"Content-Type": "application/json; charset=latin1"}, 415, "tipo_no_admitido"),
        (b"\x1f\x8b", {"Content-Encoding": "gzip"}, 415, "tipo_no_admitido"),
    ):
        reply = post(asked, path, body, headers=headers)
        assert reply.json is not None
        assert (reply.status_code, reply.mimetype) == (status, "application/problem+json")
        assert reply.json["type"] == f"urn:propensia:{code}"
        assert reply.headers["X-Propensia-Id"] == reply.json["id"]


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_a_long_query_is_414_and_the_get_of_it_405(asked: FlaskClient, path: str) -> None:
    assert post(asked, f"{path}?{'a' * 2048}", b"x").status_code == 400
    assert post(asked, f"{path}?{'a' * 2049}", b"x").status_code == 414
    reply = asked.get(path)
    assert (reply.status_code, set(reply.headers["Allow"].split(", "))) == (
        405,
        {"POST"},
    )


QUERIES = ["a" * 3000, "motivos=x&idioma=fr&%FF", "ref=a%0Ab", "er=EMP&er=PER", "%", "idioma=en"]
POSTS = [
    (path, operation) for method, path, operation in operations(document()) if method == "POST"
]


@pytest.mark.parametrize(("path", "operation"), POSTS, ids=[path for path, _ in POSTS])
def test_whatever_is_in_the_query_of_a_post_the_answer_is_documented(
    asked: FlaskClient, path: str, operation: dict[str, Any]
) -> None:
    where = path.replace("{name}", "cobranza").replace("{version}", "0" * 12)
    inputs = [
        {"name": name, "shape": [1], "datatype": "BYTES", "data": [text]}
        for name, text in CONTRACT.example().items()
    ]
    bodies = {"/predict": CONTRACT.example(), "/predict/batch": [CONTRACT.example()]}
    body = bodies.get(path, {"inputs": inputs} if path.endswith("/infer") else {})
    codes = {}
    for query in QUERIES:
        reply = post(asked, f"{where}?{query}", body)
        told = resolved(document(), operation["responses"].get(str(reply.status_code), {}))
        assert told, (reply.status_code, query)
        if reply.mimetype == "application/problem+json":
            assert reply.json is not None
            known = told["content"]["application/problem+json"]["examples"]
            codes[query] = reply.json["type"].rpartition(":")[2]
            assert codes[query] in known, query
    if path.startswith("/predict"):
        assert codes == {
            QUERIES[0]: "peticion_demasiado_larga",
            QUERIES[1]: "peticion_no_valida",
            QUERIES[2]: "peticion_no_valida",
            QUERIES[4]: "peticion_no_valida",
        }


def test_every_header_of_ours_is_documented(asked: FlaskClient, registry: Registry) -> None:
    publish(registry, CONTRACT, tiny_models.constant(0.4))
    counted = client(registry, rate_limit="100/s")
    tensor = {"shape": [1], "datatype": "BYTES"}
    inputs = [{"name": n, "data": [t]} | tensor for n, t in CONTRACT.example().items()]
    outputs = [{"name": "probabilidad", "parameters": {"binary_data": True}}]
    sent = {
        "/predict": CONTRACT.example(),
        "/predict/batch": [CONTRACT.example()],
        "/v2/models/{name}/infer": {"inputs": inputs, "outputs": outputs},
    }
    always = {"Content-Type", "Content-Length", *dict(SAFE_HEADERS)}
    always |= {"Content-Security-Policy", "Cross-Origin-Opener-Policy"}
    read = document()
    for path, body in sent.items():
        reply = post(counted, path.replace("{name}", "cobranza"), body)
        told = read["paths"][path]["post"]["responses"][str(reply.status_code)]["headers"]
        assert reply.status_code == 200
        assert set(reply.headers.keys()) - always == set(told) - (
            set() if path.endswith("infer") else {"Inference-Header-Content-Length"}
        )


def problem_of(reply: TestResponse) -> tuple[str, list[tuple[str, str]]]:
    assert reply.json is not None and reply.mimetype == "application/problem+json"
    return reply.json["detail"], [(e["parametro"], e["codigo"]) for e in reply.json["errores"]]


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/predict", b'{\n  "er": "EMP",\n}', ("3:1", "json_no_valido")),
        ("/predict", b'{"im": NaN}', ("NaN", "constante_no_valida")),
        ("/predict", b"[]", ("", "objeto_esperado")),
        ("/predict/batch", b'"zq7marca"', ("", "lista_esperada")),
        ("/predict/batch", b'{"filas": 3}', ("", "lista_esperada")),
        ("/predict/batch", b"{}", ("filas", "parametro_ausente")),
        ("/predict/batch", b'{"filas": [], "rows": []}', ("rows", "nombre_desconocido")),
        ("/predict/batch", b'{"filas": [], "zq7 marca": []}', ("?", "nombre_desconocido")),
        ("/predict/batch", b'{"filas": [], "filas": []}', ("filas", "parametro_repetido")),
    ],
)
def test_why_a_body_cannot_be_read_is_told_without_a_value(
    asked: FlaskClient, path: str, body: bytes, told: tuple[str, str]
) -> None:
    reply = post(asked, path, body)
    assert reply.status_code == 400 and problem_of(reply)[1] == [told]
    assert "marca" not in reply.text
    assert all(error["mensaje"] for error in reply.json["errores"])


def test_a_row_that_is_no_object_says_so_in_its_place(asked: FlaskClient) -> None:
    (bad,) = results(post(asked, "/predict/batch", [3]))
    assert [error["codigo"] for error in bad["errores"]] == ["objeto_esperado"]


def test_what_is_wrong_with_the_type_of_a_content_is_what_is_told(asked: FlaskClient) -> None:
    packed = post(asked, "/predict", b"{}", headers={"Content-Encoding": "gzip"})
    assert "sin comprimir" in problem_of(packed)[0]
    form = post(asked, "/predict", b"er=EMP", headers={"Content-Type": "text/plain"})
    assert "application/json" in problem_of(form)[0]


# Many rows


def results(reply: TestResponse) -> list[Any]:
    assert reply.status_code == 200 and reply.json is not None
    assert list(reply.json) == ["resultados"]
    found: list[Any] = reply.json["resultados"]
    return found


def test_one_bad_row_never_kills_the_others(asked: FlaskClient) -> None:
    good = CONTRACT.example()
    rows: list[Any] = [good | {"ref": "a"}, {}, 3, good | {"im": "x", "idioma": "en"}, None, good]
    found = results(post(asked, "/predict/batch", rows))
    kinds = [one.get("type", "answer").rpartition(":")[2] for one in found]
    assert kinds == [
        "answer",
        "peticion_no_valida",
        "cuerpo_no_valido",
        "peticion_no_valida",
        "cuerpo_no_valido",
        "answer",
    ]
    assert found[0]["ref"] == "a" and "ref" not in found[5]
    assert len(found[1]["errores"]) == 13
    assert found[3]["title"] == "Invalid request"
    assert len({one["id"] for one in found}) == 6, "each has an id of its own"


def test_a_list_may_come_in_an_object(asked: FlaskClient) -> None:
    good = CONTRACT.example()
    plain = results(post(asked, "/predict/batch", [good, {}]))
    wrapped = results(post(asked, "/predict/batch", {"filas": [good, {}]}))
    assert [told(one) for one in plain] == [told(one) for one in wrapped]


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"filas": {}}',
        '{"filas": null}',
        '{"rows": []}',
        '{"filas": [], "x": 1}',
        '{"filas": [], "filas": []}',
        '"x"',
        "null",
    ],
)
def test_any_other_body_is_refused(asked: FlaskClient, body: str) -> None:
    assert post(asked, "/predict/batch", body).status_code == 400


def test_no_rows_are_no_results(asked: FlaskClient) -> None:
    for body in ([], {"filas": []}):
        reply = post(asked, "/predict/batch", body)
        assert results(reply) == []
        assert reply.headers["X-Propensia-Id"] and reply.headers["X-Propensia-Version"]


def test_the_options_of_the_query_hold_for_every_row(asked: FlaskClient) -> None:
    good = CONTRACT.example()
    found = results(post(asked, "/predict/batch?motivos=2&idioma=en", [good, good, {}]))
    assert [len(one["motivos"]) for one in found[:2]] == [2, 2]
    assert found[2]["title"] == "Invalid request"
    reply = post(asked, "/predict/batch?motivos=x", [good])
    assert reply.status_code == 400 and reply.json is not None
    assert [e["parametro"] for e in reply.json["errores"]] == ["motivos"]


def test_the_longest_batch_is_answered_and_one_row_more_is_413(
    registry: Registry, contract: Contract
) -> None:
    publish(registry, contract, tiny_models.constant(0.4))
    few = client(registry, max_batch_size=3)
    good = contract.example()
    assert len(results(post(few, "/predict/batch", [good] * 3))) == 3
    for body, headers, words in (
        ([good] * 4, {}, "Envíe como mucho 3 filas"),
        ({"filas": [1] * 4}, {"Accept-Language": "en"}, "Send at most 3 rows"),
    ):
        reply = post(few, "/predict/batch", body, headers=headers)
        assert reply.status_code == 413 and reply.json is not None
        assert reply.json["type"] == "urn:propensia:demasiadas_filas"
        assert words in reply.json["detail"]


def test_without_a_model_it_is_503(registry: Registry) -> None:
    empty = client(registry)
    for path, body in (("/predict", CONTRACT.example()), ("/predict/batch", [{}])):
        reply = post(empty, path, body)
        assert (reply.status_code, reply.headers["Retry-After"]) == (503, "5")


class Swapping(Serving):
    """Swaps to the next release at every row that it reads, as a tick in the middle would."""

    def __init__(self, contract: Contract, registry: Registry, versions: Sequence[str]) -> None:
        super().__init__(contract, registry)
        self._next = iter(versions)

    def answer(self, *arguments: Any) -> Any:
        answered = super().answer(*arguments)
        self.registry.publish(next(self._next), cause="prueba", who="yo")
        self.tick()
        return answered


def test_a_swap_in_the_middle_does_not_mix_versions(
    registry: Registry, contract: Contract
) -> None:
    first, second = (tiny_models.constant(p) for p in (0.25, 0.75))
    one, two = publish(registry, contract, first), publish(registry, contract, second)
    serving = Swapping(contract, registry, [one, two] * 3)
    serving.tick()
    posted = Posted(scoring_of(serving), 10)
    body = json.dumps([contract.example()] * 5).encode()
    status, headers, answered = posted.many(_environ(body))
    found = json.loads(answered)["resultados"]
    assert status == 200
    assert [(row["probabilidad"], row["version"]) for row in found] == [(0.75, two)] * 5
    assert ("X-Propensia-Version", two) in headers
    assert serving.bundle is not None and serving.bundle.release.number == 7, "it did swap"


def _environ(body: bytes) -> Any:
    return {
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": BytesIO(body),
        CALLER: Caller("prueba", "caller", "key"),
    }


def test_a_row_for_which_the_model_fails_is_a_503_in_its_place(
    registry: Registry, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(registry, contract, tiny_models.logistic(WEIGHTS, -2.5))
    some = client(registry)
    score = Scorer.one

    def one(scorer: Scorer, row: list[float]) -> float:
        if row[1] == 0.0:
            raise Unreliable("x")
        return score(scorer, row)

    monkeypatch.setattr(Scorer, "one", one)
    good = contract.example()
    found = results(post(some, "/predict/batch", [good, good | {"im": 0}, good]))
    assert [row.get("status", 200) for row in found] == [200, 503, 200]
    assert found[1]["type"] == "urn:propensia:modelo_no_fiable"


# Other contracts, and who may


@pytest.mark.parametrize("name", ["cobranza_compat", "telco_churn"])
def test_other_contracts_give_the_score_of_the_address_too(registry: Registry, name: str) -> None:
    contract = contracts.load(name)
    weights = [0.2 + 0.03 * place for place in range(len(contract.columns))]
    publish(registry, contract, tiny_models.logistic(weights, -3.0))
    some = client(registry, name)
    example = contract.example()
    there = some.get("/prediccion", query_string=example | {"formato": "json"})
    assert there.json is not None and there.status_code == 200
    by_feature = {p.feature: p.example for p in contract.parameters}
    for body in (example, by_feature):
        here = post(some, "/predict", body)
        assert here.json is not None and told(here.json) == told(there.json)


def test_who_may_not_ask_gets_no_score(asked: FlaskClient) -> None:
    """Another machine without a key: the refusal comes from Flask, never from the hot route."""
    outside = {"REMOTE_ADDR": "203.0.113.7"}
    for path, body in (("/predict", CONTRACT.example()), ("/predict/batch", [])):
        reply = post(asked, path, body, environ_base=outside)
        assert reply.status_code == 401 and "probabilidad" not in reply.text
        cross = post(asked, path, body, headers={"Origin": "https://otra.example"})
        assert cross.status_code == 403 and "probabilidad" not in cross.text
