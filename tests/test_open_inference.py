"""The Open Inference Protocol: what its own client sends, and what nobody should."""

from __future__ import annotations

import itertools
import json
import re
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tiny_models
import tritonclient.http as triton
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.utils import np_to_triton_dtype, serialize_byte_tensor
from werkzeug.test import TestResponse

from propensia import contract as contracts
from propensia import files
from propensia.registry import Registry
from propensia.scorer import Scorer, Unreliable
from propensia.settings import Settings
from propensia.web import open_inference_tensors
from propensia.web.app import create_app
from propensia.web.open_inference_tensors import LENIENT, MOST_INPUTS, Asked, read
from propensia.web.rows import BadBody

CONTRACT = contracts.load("cobranza")
EXAMPLE = CONTRACT.example()
INFER = "/v2/models/cobranza/infer"
LENGTH = "Inference-Header-Content-Length"
OUTPUTS = ("probabilidad", "clasificacion")
WEIGHTS = [0.31 + 0.07 * place for place in range(len(CONTRACT.columns))]
Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    registry = Registry(tmp_path_factory.mktemp("oip"))
    registry.prepare()
    onnx = tiny_models.logistic(WEIGHTS, -5.5)
    zeros = Scorer(onnx, files.sha256(onnx)).one([0.0] * len(WEIGHTS))
    version = tiny_models.add(registry, CONTRACT, onnx, [zeros], model="cobros 2026-09")
    registry.publish(version, cause="prueba", who="yo")
    return registry


def client(registry: Registry, **more: Any) -> FlaskClient:
    chosen = Settings(
        state=registry.state,
        models=registry.state / "models",
        rate_limit="off",
        request_log_days=0,
        **more,
    )
    return create_app(chosen, background=False).test_client()


@pytest.fixture(scope="module")
def asked(place: Registry) -> FlaskClient:
    return client(place)


def version_of(registry: Registry) -> str:
    current = registry.current()
    assert current is not None
    return current.version


def tensor(name: str, values: list[Any], datatype: str = "BYTES", **more: Any) -> dict[str, Any]:
    own: dict[str, Any] = {"name": name, "shape": [len(values)], "datatype": datatype}
    return own | {"data": values} | more


def inputs(count: int = 1, **changes: Any) -> list[dict[str, Any]]:
    """The documented example ``count`` times; ``changes`` replace a tensor, ``None`` drops it."""
    table = {name: tensor(name, [text] * count) for name, text in EXAMPLE.items()} | changes
    return [value for value in table.values() if value is not None]


def post(asked: FlaskClient, body: object, **headers: str) -> TestResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asked.post(INFER, data=data, headers={"Content-Type": "application/json"} | named)


def score(asked: FlaskClient, changes: Mapping[str, str] | None = None) -> float:
    reply = asked.get("/prediccion", query_string=EXAMPLE | dict(changes or {}))
    assert reply.json is not None and reply.status_code == 200, reply.text
    return float(reply.json["probabilidad"])


def outputs(reply: TestResponse) -> dict[str, list[Any]]:
    assert reply.status_code == 200 and reply.json is not None, reply.text
    return {output["name"]: output["data"] for output in reply.json["outputs"]}


# The server and the model


def test_the_server_tells_what_it_is(asked: FlaskClient) -> None:
    server = asked.get("/v2").json
    assert server is not None and set(server) == {"name", "version", "extensions"}
    assert server["extensions"] == ["binary_tensor_data"]
    assert asked.get("/v2/health/live").json == {"live": True}
    assert asked.get("/v2/health/ready").json == {"ready": True}


def test_the_model_goes_by_the_name_of_the_contract_or_of_its_file(
    asked: FlaskClient, place: Registry
) -> None:
    version = version_of(place)
    for name in ("cobranza", "cobros 2026-09"):
        for path in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}"):
            model = asked.get(path).json
            assert model is not None
            assert (model["name"], model["versions"]) == (name, [version])
            assert [one["name"] for one in model["inputs"]] == list(EXAMPLE)
            kinds = {one["name"]: one["datatype"] for one in model["inputs"]}
            assert (kinds["er"], kinds["im"]) == ("BYTES", "FP64")
            assert [one["name"] for one in model["outputs"]] == list(OUTPUTS)
            assert asked.get(f"{path}/ready").json == {"name": name, "ready": True}
            reply = asked.post(f"{path}/infer", json={"inputs": inputs()})
            assert reply.json is not None and reply.json["model_name"] == name


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/otro",
        "/v2/models/otro/ready",
        "/v2/models/COBRANZA",
        "/v2/models/cobranza/versions/0123456789ab",
        "/v2/models/cobranza/versions/0123456789ab/ready",
        "/v2/models/cobranza/stats",
        "/v2/nada",
    ],
)
def test_another_name_or_version_is_404_in_the_words_of_the_protocol(
    asked: FlaskClient, path: str
) -> None:
    for reply in (asked.get(path), asked.post(f"{path}/infer", json={"inputs": inputs()})):
        assert reply.status_code == 404 and reply.json is not None
        assert reply.json["error"] == reply.json["detail"]
        assert "otro" not in reply.text
    told = asked.get(path).json
    assert told is not None
    assert ("nombre" in told["detail"]) == ("otro" in path or "COBRANZA" in path)
    assert ("versión" in told["detail"]) == ("versions" in path)


def test_without_a_model_nothing_is_ready(registry: Registry) -> None:
    empty = client(registry)
    model = empty.get("/v2/models/cobranza").json
    assert model is not None and model["versions"] == []
    assert empty.get("/v2/health/live").status_code == 200
    for path in ("/v2/health/ready", "/v2/models/cobranza/ready"):
        reply = empty.get(path)
        assert (reply.status_code, reply.headers["Retry-After"]) == (503, "5")
    reply = post(empty, {"inputs": inputs()})
    assert reply.status_code == 503 and reply.json is not None and reply.json["error"]


# Inference in JSON


def test_rows_get_the_scores_of_their_addresses_bit_for_bit(asked: FlaskClient) -> None:
    amounts = ["0", "12.5", "0.1", "263.68", "0.30000000000000004"]
    body = {"id": "x", "inputs": inputs(5, im=tensor("im", amounts))}
    reply = post(asked, body)
    wanted = [score(asked, {"im": amount}) for amount in amounts]
    assert outputs(reply)["probabilidad"] == wanted and len(set(wanted)) == 5
    assert reply.json is not None and reply.json["id"] == "x"
    assert reply.json["parameters"] == {"avisos": "ed: valor_supuesto (0, 1, 2, 3, 4)"}
    assert reply.headers["X-Propensia-Version"] == reply.json["model_version"]
    assert reply.headers["X-Propensia-Id"]


def test_the_class_is_that_of_the_address(asked: FlaskClient) -> None:
    rows = [EXAMPLE, EXAMPLE | {"dt": "0", "im": "0", "cf": "1"}]
    wanted = [asked.get("/prediccion", query_string=row).json for row in rows]
    body = {"inputs": [tensor(name, [row[name] for row in rows]) for name in EXAMPLE]}
    found = outputs(post(asked, body))["clasificacion"]
    assert found == [one["clasificacion"] for one in wanted if one is not None]
    assert len(set(found)) == 2


NUMBER_CELLS: list[tuple[str, list[Any], str]] = [
    ("FP64", [263.68], "263.68"),
    ("FP64", [3], "3"),
    ("INT64", [3], "3"),
    ("INT32", [3], "3"),
    ("FP32", [float(np.float32(263.68))], "263.68"),
    ("FP32", [0.1], "0.1"),
    ("BYTES", ["263,68"], "263.68"),
    ("BYTES", [263.68], "263.68"),
    ("FP64", [None], "NaN"),
    ("BYTES", [None], "NaN"),
    ("FP64", [float("nan")], "NaN"),
    ("FP32", [float("nan")], "NaN"),
]


@pytest.mark.parametrize(("datatype", "values", "text"), NUMBER_CELLS)
def test_a_number_is_read_as_its_text(
    asked: FlaskClient, datatype: str, values: list[Any], text: str
) -> None:
    body = {"inputs": inputs(im=tensor("im", values, datatype))}
    assert outputs(post(asked, body))["probabilidad"] == [score(asked, {"im": text})]


def test_shapes_of_one_and_two_dimensions_and_features_are_taken(asked: FlaskClient) -> None:
    column = {"shape": [2, 1], "data": [["EMP"], ["PER"]]}
    named = tensor("DEUDA_TOTAL", [7, 8], "INT64")
    changes = {"er": tensor("er", [1, 2]) | column, "dt": named}
    found = outputs(post(asked, {"inputs": inputs(2, **changes)}))["probabilidad"]
    wanted = [{"er": "EMP", "dt": "7"}, {"er": "PER", "dt": "8"}]
    assert found == [score(asked, row) for row in wanted]


def test_only_the_outputs_that_are_asked_for_come_in_their_order(asked: FlaskClient) -> None:
    for names in (["clasificacion"], ["clasificacion", "probabilidad"], ["probabilidad"]):
        body = {"inputs": inputs(), "outputs": [{"name": name} for name in names]}
        assert list(outputs(post(asked, body))) == names
    assert list(outputs(post(asked, {"inputs": inputs(), "outputs": []}))) == list(OUTPUTS)


def test_the_ids_of_the_answers_come_to_who_names_them(asked: FlaskClient) -> None:
    """They are what a payment is matched with later; who names nothing gets two outputs."""
    wanted = [{"name": "id"}, {"name": "probabilidad"}]
    found = outputs(post(asked, {"inputs": inputs(3), "outputs": wanted}))
    assert list(found) == ["id", "probabilidad"] and len(set(found["id"])) == 3
    assert all(re.fullmatch("[0-9a-f]{29}", id) for id in found["id"])
    as_bytes = {
        "inputs": inputs(2),
        "outputs": [wanted[0] | {"parameters": {"binary_data": True}}],
    }
    reply = post(asked, as_bytes)
    result = triton.InferenceServerClient.parse_response_body(
        reply.data, header_length=int(reply.headers[LENGTH])
    )
    assert all(re.fullmatch(b"[0-9a-f]{29}", id) for id in result.as_numpy("id"))
    model = asked.get("/v2/models/cobranza").json
    assert model is not None and [one["name"] for one in model["outputs"]] == list(OUTPUTS)


def test_no_rows_are_answered_with_none(asked: FlaskClient) -> None:
    reply = post(asked, {"inputs": inputs(0)})
    assert outputs(reply) == {"probabilidad": [], "clasificacion": []}
    assert reply.json is not None and reply.json["outputs"][0]["shape"] == [0]


def test_parameters_that_nobody_knows_are_accepted(asked: FlaskClient) -> None:
    some = {"priority": 1, "x": "y"}
    body = {"parameters": some, "inputs": inputs(er=tensor("er", ["EMP"], parameters=some))}
    assert outputs(post(asked, body))["probabilidad"] == [score(asked)]


def test_an_input_that_the_contract_has_not_is_named_and_not_used(asked: FlaskClient) -> None:
    for name in ("otra", "motivos", "ref", "idioma"):
        reply = post(asked, {"inputs": [*inputs(), tensor(name, ["zq7marca"])]})
        assert outputs(reply)["probabilidad"] == [score(asked)]
        assert reply.json is not None
        assert f"{name}: parametro_desconocido (0)" in reply.json["parameters"]["avisos"]
        assert "zq7marca" not in reply.text


def test_the_longest_batch_is_answered_and_one_row_more_is_413(place: Registry) -> None:
    few = client(place, max_batch_size=3)
    assert len(outputs(post(few, {"inputs": inputs(3)}))["probabilidad"]) == 3
    reply = post(few, {"inputs": inputs(4)})
    assert reply.status_code == 413 and reply.json is not None
    assert "3 filas" in reply.json["error"]


# Faults


def test_bad_rows_are_named_by_number_parameter_and_code_and_by_no_value(
    asked: FlaskClient,
) -> None:
    changes = {
        "im": tensor("im", ["1", "zq7marca", "-417.6853", "zq7marca"]),
        "er": tensor("er", ["EMP", "zq7marca", "EMP", True]),
        "nl": None,
    }
    reply = post(asked, {"inputs": inputs(4, **changes)})
    assert reply.status_code == 400 and reply.json is not None
    told = {(e["parametro"], e["codigo"]): e["filas"] for e in reply.json["errores"]}
    assert told == {
        ("im", "numero_no_valido"): [1, 3],
        ("im", "numero_negativo"): [2],
        ("er", "categoria_desconocida"): [1],
        ("er", "tipo_no_valido"): [3],
        ("nl", "parametro_ausente"): [0, 1, 2, 3],
    }
    for part in ("im: numero_no_valido (1, 3)", "nl: parametro_ausente (0, 1, 2, 3)"):
        assert part in reply.json["error"]
    assert "zq7marca" not in reply.text and "417.6853" not in reply.text


def test_an_input_twice_is_a_fault(asked: FlaskClient) -> None:
    reply = post(asked, {"inputs": [*inputs(), tensor("ESCENARIO_RECOBRO", ["EMP"])]})
    assert reply.status_code == 400 and reply.json is not None
    (error,) = reply.json["errores"]
    assert (error["parametro"], error["codigo"]) == ("er", "parametro_repetido")


def test_the_sentence_about_many_bad_rows_stays_short(place: Registry) -> None:
    many = client(place, max_batch_size=1000)
    reply = post(many, {"inputs": inputs(1000, im=tensor("im", ["x"] * 1000))})
    assert reply.json is not None
    assert len(reply.json["error"]) < 300 and reply.json["error"].endswith("19, …)]")
    assert reply.json["errores"][0]["filas"] == list(range(1000))


def test_a_model_that_fails_is_503(asked: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def one(scorer: Scorer, row: list[float]) -> float:
        raise Unreliable("x")

    monkeypatch.setattr(Scorer, "one", one)
    reply = post(asked, {"inputs": inputs(2)})
    assert reply.status_code == 503 and reply.json is not None
    assert reply.json["type"].endswith("modelo_no_fiable") and reply.json["error"]


ER = {"name": "er", "shape": [1], "datatype": "BYTES", "data": ["EMP"]}
WRONG: list[tuple[Any, str]] = [
    ([], ""),
    ({}, "inputs"),
    ({"inputs": {}}, "inputs"),
    ({"inputs": []}, "inputs"),
    ({"inputs": [ER] * (MOST_INPUTS + 1)}, "inputs"),
    ({"inputs": [ER], "id": True}, "id"),
    ({"inputs": [ER], "parameters": [1]}, "parameters"),
    ({"inputs": [ER], "outputs": {}}, "outputs"),
    ({"inputs": [ER], "outputs": [1]}, "outputs[0]"),
    ({"inputs": [ER], "outputs": [{"name": "zq7marca"}]}, "outputs[0].name"),
    ({"inputs": [ER], "outputs": [{"name": n} for n in [*OUTPUTS, *OUTPUTS]]}, "outputs[2].name"),
    (
        {"inputs": [ER], "outputs": [{"name": OUTPUTS[0], "parameters": {"classification": 1}}]},
        "outputs[0].parameters.classification",
    ),
    ({"inputs": [ER, 3]}, "inputs[1]"),
    ({"inputs": [ER | {"name": 3}]}, None),
    ({"inputs": [ER | {"name": None}]}, "inputs[0].name"),
    ({"inputs": [ER | {"datatype": "zq7marca"}]}, "inputs[0].datatype"),
    ({"inputs": [ER | {"datatype": "BOOL"}]}, "inputs[0].datatype"),
    ({"inputs": [ER | {"datatype": ["FP64"]}]}, "inputs[0].datatype"),
    ({"inputs": [ER | {"shape": 1}]}, "inputs[0].shape"),
    ({"inputs": [ER | {"shape": []}]}, "inputs[0].shape"),
    ({"inputs": [ER | {"shape": [1, 2]}]}, "inputs[0].shape"),
    ({"inputs": [ER | {"shape": [1, 1, 1]}]}, "inputs[0].shape"),
    ({"inputs": [ER | {"shape": [-1]}]}, "inputs[0].shape"),
    ({"inputs": [ER | {"shape": [1.0]}]}, "inputs[0].shape"),
    ({"inputs": [ER | {"shape": [True]}]}, "inputs[0].shape"),
    ({"inputs": [ER | {"shape": [None]}]}, "inputs[0].shape"),
    ({"inputs": [ER | {"shape": [10**30]}]}, "inputs[0].shape"),
    ({"inputs": [ER | {"shape": [2]}]}, "inputs[0].shape"),
    ({"inputs": [ER | {"shape": [0]}]}, "inputs[0].shape"),
    ({"inputs": [ER, ER | {"shape": [2], "data": ["a", "b"]}]}, "inputs[1].shape"),
    ({"inputs": [ER | {"data": "EMP"}]}, "inputs[0].data"),
    ({"inputs": [{k: v for k, v in ER.items() if k != "data"}]}, "inputs[0].data"),
    ({"inputs": [ER | {"parameters": 1}]}, "inputs[0].parameters"),
    (
        {"inputs": [ER | {"parameters": {"shared_memory_region": "x"}}]},
        "inputs[0].parameters.shared_memory_region",
    ),
    ({"inputs": [ER | {"shape": None}]}, "inputs[0].shape"),
    ({"inputs": [ER | {"datatype": None}]}, "inputs[0].datatype"),
    ({"inputs": [ER | {"data": None}]}, "inputs[0].data"),
    ({"inputs": None}, "inputs"),
    (
        {"inputs": [ER | {"parameters": {"binary_data_size": 7}}]},
        "inputs[0].parameters.binary_data_size",
    ),
]


@pytest.mark.parametrize(("body", "where"), WRONG)
def test_a_request_of_another_shape_is_refused_with_the_place(
    asked: FlaskClient, body: Any, where: str | None
) -> None:
    reply = post(asked, body)
    assert reply.status_code == 400 and reply.json is not None
    if where is not None:
        assert reply.json["type"] == "urn:propensia:cuerpo_no_valido"
        (error,) = reply.json["errores"]
        assert error["parametro"] == where
        assert reply.json["error"].endswith(f" [{error['mensaje']}]")
    assert "zq7marca" not in reply.text


@pytest.mark.parametrize(
    "body", [b"", b"[" * 10_000, b'{"inputs": [], "inputs": []}', b"\xff", b"{}{}", b"null"]
)
def test_what_is_not_a_json_object_is_refused(asked: FlaskClient, body: bytes) -> None:
    reply = post(asked, body)
    assert reply.status_code == 400 and reply.json is not None and reply.json["error"]


def test_an_optional_member_that_is_null_is_not_there(asked: FlaskClient) -> None:
    """Clients in typed languages write every member that they know."""
    nulls = dict.fromkeys(("shared_memory_region", "classification", "binary_data_size"))
    for parameters in (None, nulls):
        body = {
            "id": None,
            "parameters": parameters and {"binary_data_output": None},
            "outputs": parameters and [{"name": name, "parameters": nulls} for name in OUTPUTS],
            "inputs": inputs(er=tensor("er", ["EMP"], parameters=parameters)),
        }
        reply = post(asked, body)
        assert outputs(reply)["probabilidad"] == [score(asked)]
        assert reply.json is not None and "id" not in reply.json
    columns_of, length = request_of(columns([EXAMPLE]))
    head = json.loads(columns_of[: int(length)])
    head["inputs"] = [one | {"data": None} for one in head["inputs"]]
    again = json.dumps(head).encode()
    reply = post(asked, again + columns_of[int(length) :], **{LENGTH: str(len(again))})
    assert reply.status_code == 200


def test_the_work_is_that_of_the_shape_not_of_what_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Millions of cells for one row would hold up the others for seconds."""
    made: list[object] = []

    class Counting:
        size = 4

        def unpack_from(self, data: memoryview, at: int) -> tuple[int]:
            made.append(at)
            return (0,)

    monkeypatch.setattr(open_inference_tensors, "_shortest", lambda cell: made.append(cell) or "1")
    monkeypatch.setattr(open_inference_tensors, "_LENGTH", Counting())
    many = 100_000
    bodies = [binary("er", "FP32", 1, 4 * many, bytes(4 * many))]
    short = struct.pack("<I", 0) * many
    bodies.append(binary("er", "BYTES", 1, len(short), short))
    fields = {"name": "er", "shape": [1], "datatype": "FP32", "data": [0.1] * many}
    head = json.dumps({"inputs": [fields]}).encode()
    bodies.append((head, str(len(head))))
    for body, length in bodies:
        with pytest.raises(BadBody):
            read(body, length, 10, OUTPUTS)
    assert made == [0], "the one row of the tensor of texts"


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("", 200),
        ("application/json", 200),
        ("application/octet-stream", 200),
        ("application/json; charset=utf-8", 200),
        ("application/json; charset=utf-16", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
    ],
)
def test_the_types_that_clients_send_are_taken(
    asked: FlaskClient, content_type: str, status: int
) -> None:
    assert post(asked, {"inputs": inputs()}, Content_Type=content_type).status_code == status
    assert post(asked, {"inputs": inputs()}, Content_Encoding="gzip").status_code == 415


# The binary extension, with what the client of Triton makes


def request_of(
    table: Mapping[str, tuple[str, Array]], wanted: list[triton.InferRequestedOutput] | None = None
) -> tuple[bytes, str]:
    """Body and length of its JSON: what ``tritonclient`` sends for these tensors."""
    made = []
    for name, (datatype, values) in table.items():
        one = triton.InferInput(name, list(values.shape), datatype)
        made.append(one.set_data_from_numpy(values, binary_data=True))
    body, length = triton.InferenceServerClient.generate_request_body(made, outputs=wanted)
    return body, str(length)


def columns(rows: list[dict[str, str]], **changes: tuple[str, Array]) -> dict[str, Any]:
    table = {
        name: ("BYTES", np.array([row[name].encode() for row in rows], dtype=object))
        for name in EXAMPLE
    }
    return table | changes


@given(
    st.sampled_from(["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1"]),
    st.lists(st.floats(0, 10**7, width=32) | st.just(float("nan")), min_size=1, max_size=4),
)
def test_binary_numbers_get_the_scores_of_their_texts(
    asked: FlaskClient, dtype: str, amounts: list[float]
) -> None:
    if dtype == "f2":
        amounts = [amount % 60_000 for amount in amounts]
    elif dtype[0] in "iu":
        most = np.iinfo(dtype).max
        amounts = [0.0 if np.isnan(amount) else min(amount, most) for amount in amounts]
    values = np.array(amounts).astype(dtype)
    datatype = np_to_triton_dtype(values.dtype)
    texts = ["NaN" if np.isnan(value) else str(value) for value in values]
    rows = [EXAMPLE | {"im": text} for text in texts]
    body, length = request_of(columns(rows, im=(datatype, values)))
    reply = post(asked, body, **{LENGTH: length, "Content-Type": ""})
    head = json.loads(reply.data[: int(reply.headers[LENGTH])])
    result = triton.InferenceServerClient.parse_response_body(
        reply.data, header_length=int(reply.headers[LENGTH])
    )
    assert reply.mimetype == "application/octet-stream"
    assert result.as_numpy("probabilidad").tolist() == [score(asked, row) for row in rows]
    assert result.as_numpy("clasificacion").shape == (len(rows),)
    assert [output["datatype"] for output in head["outputs"]] == ["FP64", "BYTES"]


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_32_bit_number_is_the_shortest_decimal_that_gives_it_back(number: float) -> None:
    """As many digits as the first of ``%.1g``, ``%.2g``, … that reads back as the same."""
    data = struct.pack("<f", number)
    fields = {"name": "x", "shape": [1], "datatype": "FP32"}
    in_binary = read_one(fields | {"parameters": {"binary_data_size": 4}}, data)
    in_json = read_one(fields | {"data": [number]}, b"")
    assert in_binary == in_json
    (text,) = in_binary
    assert struct.pack("<f", float(text)) == data
    shortest = next(f"{number:.{p}g}" for p in range(1, 18) if same(f"{number:.{p}g}", data))
    assert digits(text) == digits(shortest)


def same(text: str, data: bytes) -> bool:
    try:
        return struct.pack("<f", float(text)) == data
    except OverflowError:  # rounded up beyond the largest of them
        return False


def digits(text: str) -> int:
    bare = text.lower().partition("e")[0].replace(".", "").replace("-", "")
    return len(bare.strip("0"))


def read_one(fields: dict[str, Any], data: bytes) -> list[Any]:
    head = json.dumps({"inputs": [fields]}).encode()
    return read(head + data, str(len(head)), 10, OUTPUTS).cells[0]


def test_numbers_that_are_too_large_are_refused_not_rounded_away(asked: FlaskClient) -> None:
    infinite = float("inf")
    for datatype, value in (("FP32", 1e39), ("FP64", infinite), ("FP32", -infinite)):
        reply = post(asked, {"inputs": inputs(im=tensor("im", [value], datatype))})
        assert reply.json is not None and reply.status_code == 400
        assert [e["codigo"] for e in reply.json["errores"]] == ["numero_no_finito"]
    body, length = request_of(columns([EXAMPLE], im=("FP64", np.array([-np.inf]))))
    assert post(asked, body, **{LENGTH: length}).status_code == 400


def test_a_text_in_a_number_tensor_is_no_number(asked: FlaskClient) -> None:
    """``float()`` of Python takes all of these."""
    for text in ("1_000", "\u0661", " 1 2", "0x10", "1,5e"):
        body = {"inputs": inputs(im=tensor("im", [text], "FP32"))}
        assert post(asked, body).status_code == 400


@pytest.mark.parametrize("as_bytes", list(itertools.product([True, False], repeat=2)))
def test_each_output_comes_as_it_is_asked_for(
    asked: FlaskClient, as_bytes: tuple[bool, bool]
) -> None:
    wanted = [
        triton.InferRequestedOutput(name, binary_data=binary)
        for name, binary in zip(OUTPUTS, as_bytes, strict=True)
    ]
    body, length = request_of(columns([EXAMPLE] * 2), wanted)
    reply = post(asked, body, **{LENGTH: length})
    header = reply.headers.get(LENGTH)
    assert (header is not None) == any(as_bytes)
    result = triton.InferenceServerClient.parse_response_body(
        reply.data, header_length=None if header is None else int(header)
    )
    assert result.as_numpy("probabilidad").tolist() == [score(asked)] * 2
    words = result.as_numpy("clasificacion").tolist()
    said = [word.decode() if isinstance(word, bytes) else word for word in words]
    assert said == ["no pagador"] * 2 or said == ["pagador"] * 2


def binary(name: str, datatype: str, count: int, size: Any, data: bytes) -> tuple[bytes, str]:
    fields = {"name": name, "shape": [count], "datatype": datatype}
    head = json.dumps({"inputs": [fields | {"parameters": {"binary_data_size": size}}]}).encode()
    return head + data, str(len(head))


FOUR = struct.pack("<I", 4) + b"abcd"
LIES: dict[str, tuple[str, int, Any, bytes]] = {
    "longer than what is there": ("BYTES", 1, 9, FOUR),
    "shorter than what is there": ("BYTES", 1, 7, FOUR),
    "nothing": ("BYTES", 1, 0, FOUR),
    "bytes of no element": ("BYTES", 0, 8, FOUR),
    "bytes that belong to no tensor": ("BYTES", 1, 8, FOUR + b"x"),
    "negative": ("BYTES", 1, -1, FOUR),
    "no number": ("BYTES", 1, "x", FOUR),
    "a truth": ("BYTES", 1, True, FOUR),
    "a fraction": ("BYTES", 1, 8.0, FOUR),
    "far too large": ("BYTES", 1, 10**40, FOUR),
    "half a length": ("BYTES", 1, 2, b"\x01\x00"),
    "an element longer than the tensor": ("BYTES", 1, 8, struct.pack("<I", 5) + b"abcd"),
    "an element of four gigabytes": ("BYTES", 1, 8, b"\xff\xff\xff\xffabcd"),
    "more elements than rows": ("BYTES", 1, 16, FOUR * 2),
    "fewer elements than rows": ("BYTES", 2, 8, FOUR),
    "a number cut short": ("FP64", 1, 7, bytes(7)),
    "more numbers than rows": ("FP64", 1, 16, bytes(16)),
    "fewer numbers than rows": ("INT32", 2, 4, bytes(4)),
}


@pytest.mark.parametrize("name", LIES)
def test_a_length_that_lies_is_refused(asked: FlaskClient, name: str) -> None:
    datatype, count, size, data = LIES[name]
    body, length = binary("er", datatype, count, size, data)
    reply = post(asked, body, **{LENGTH: length})
    assert reply.status_code == 400 and reply.json is not None
    assert reply.json["type"] == "urn:propensia:cuerpo_no_valido"
    assert "[inputs[0]." in reply.json["error"] or "[binary_data_size " in reply.json["error"]


@pytest.mark.parametrize("length", ["", "-1", "x", "0x10", "1e2", "9" * 8, "9" * 5000, "0", "5"])
def test_a_header_that_lies_is_refused(asked: FlaskClient, length: str) -> None:
    body, _ = request_of(columns([EXAMPLE]))
    assert post(asked, body, **{LENGTH: length}).status_code == 400


def test_data_twice_is_refused(asked: FlaskClient) -> None:
    fields = ER | {"parameters": {"binary_data_size": 8}}
    head = json.dumps({"inputs": [fields]}).encode()
    reply = post(asked, head + FOUR, **{LENGTH: str(len(head))})
    assert reply.json is not None and "[inputs[0].data " in reply.json["error"]


def test_bytes_that_are_not_utf8_are_a_fault_of_their_row(asked: FlaskClient) -> None:
    values = np.array([b"EMP", b"E\xffP"], dtype=object)
    body, length = request_of(columns([EXAMPLE] * 2, er=("BYTES", values)))
    reply = post(asked, body, **{LENGTH: length})
    assert reply.json is not None and reply.status_code == 400
    assert [(e["parametro"], e["filas"]) for e in reply.json["errores"]] == [("er", [1])]


@given(st.binary(max_size=60), st.integers(0, 60), st.sampled_from(["BYTES", "FP64", "INT32"]))
def test_any_bytes_are_read_or_refused(data: bytes, size: int, datatype: str) -> None:
    body, length = binary("er", datatype, 3, size, data)
    try:
        found = read(body, length, 10, OUTPUTS)
    except BadBody:
        return
    assert isinstance(found, Asked) and found.count == len(found.cells[0]) == 3


@given(st.lists(st.text(max_size=8), min_size=1, max_size=5))
def test_texts_are_packed_as_the_client_packs_them(texts: list[str]) -> None:
    values = np.array([text.encode() for text in texts], dtype=object)
    packed = serialize_byte_tensor(values).item()
    assert isinstance(packed, bytes)
    body, length = binary("er", "BYTES", len(texts), len(packed), packed)
    assert read(body, length, 10, OUTPUTS).cells[0] == texts


def test_the_constants_that_are_not_json_are_read_as_clients_mean_them() -> None:
    assert LENIENT.read(b"[NaN, Infinity, -Infinity]") == [None, "Infinity", "-Infinity"]
