"""The Open Inference Protocol v2, so that standard inference clients work unchanged.

A row of tensors takes the very path of ``GET /prediccion``; nothing here computes a score by
itself, and a value that was sent is in no answer.

Source: KServe, Open Inference Protocol, REST.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Response, request

from propensia import __version__
from propensia.contract import Contract
from propensia.faults import Fault
from propensia.serving import Answer, Bundle
from propensia.web import open_inference_tensors as tensors
from propensia.web.asked import language
from propensia.web.door import CALLER
from propensia.web.open_inference_tensors import Asked
from propensia.web.prediccion import JSON, Scoring
from propensia.web.problems import PROBLEM, Problem, problem, refusal_headers, with_error
from propensia.web.query import Query
from propensia.web.routes import INFERENCE
from propensia.web.rows import BadBody, RowReader, content, is_json

PREFIX = INFERENCE
EXTENSIONS = ["binary_tensor_data"]
PLATFORM = "onnx_onnxv1"
OUTPUTS = {"probabilidad": "FP64", "clasificacion": "BYTES"}
NAMED_OUTPUTS = {"id": "BYTES"}
"""Given to who names them: a client that names none gets no more than a score."""

BINARY = "application/octet-stream"
JSON_LENGTH = "Inference-Header-Content-Length"
MOST_TOLD = 20

# (parameter, code) -> the rows that have it
Told = dict[tuple[str, str], list[int]]


class Refused(Exception):
    """The request is answered with that problem."""

    def __init__(self, refused: Problem) -> None:
        super().__init__(refused.code)
        self.problem = refused


def add_routes(app: Flask, scoring: Scoring, most_rows: int) -> None:
    """Give ``app`` the routes of the protocol; ``most_rows``: the longest batch."""
    inference = Inference(scoring, most_rows)
    model = f"{PREFIX}/models/<name>"
    version = f"{model}/versions/<version>"

    @app.errorhandler(Refused)
    def refused(why: Refused) -> Response:
        return _response_of(why.problem)

    @app.get(PREFIX)
    def oip_server() -> dict[str, Any]:
        return {"name": "propensia", "version": __version__, "extensions": EXTENSIONS}

    @app.get(f"{PREFIX}/health/live")
    def oip_live() -> dict[str, bool]:
        return {"live": True}

    @app.get(f"{PREFIX}/health/ready")
    def oip_ready() -> Response | dict[str, bool]:
        if scoring.serving.bundle is None:
            return inference.refusal("sin_modelo")
        return {"ready": True}

    @app.get(model)
    @app.get(version)
    def oip_model(name: str, version: str | None = None) -> dict[str, Any]:
        return metadata(scoring.contract, name, inference.bundle(name, version))

    @app.get(f"{model}/ready")
    @app.get(f"{version}/ready")
    def oip_model_ready(name: str, version: str | None = None) -> Response | dict[str, str | bool]:
        if inference.bundle(name, version) is None:
            return inference.refusal("sin_modelo")
        return {"name": name, "ready": True}

    @app.post(f"{model}/infer")
    @app.post(f"{version}/infer")
    def oip_infer(name: str, version: str | None = None) -> Response:
        return inference.infer(name, inference.bundle(name, version))


def metadata(contract: Contract, name: str, bundle: Bundle | None) -> dict[str, Any]:
    """What the model takes and gives. Categories are texts; numbers may come as texts too."""
    return {
        "name": name,
        "versions": [] if bundle is None else [bundle.release.version],
        "platform": PLATFORM,
        "inputs": [
            {
                "name": parameter.name,
                "datatype": "BYTES" if parameter.is_category else "FP64",
                "shape": [-1],
            }
            for parameter in contract.parameters
        ],
        "outputs": [
            {"name": output, "datatype": kind, "shape": [-1]} for output, kind in OUTPUTS.items()
        ],
    }


class Inference:
    """Answers inference requests. Safe for threads."""

    def __init__(self, scoring: Scoring, most_rows: int) -> None:
        self._scoring = scoring
        self._most_rows = most_rows
        self._rows = RowReader(scoring.contract, frozenset())

    def bundle(self, name: str, version: str | None) -> Bundle | None:
        """What answers under that name, which is the contract's, or that of the active model;
        ``None`` before the first publication. Raises ``Refused`` for another name or version."""
        bundle = self._scoring.serving.bundle
        release = None if bundle is None else bundle.release
        if name != self._scoring.contract.name and (release is None or name != release.model):
            raise Refused(self._problem("no_encontrado", exact="modelo_desconocido"))
        if version is not None and (release is None or version != release.version):
            raise Refused(self._problem("no_encontrado", exact="version_no_activa"))
        return bundle

    def infer(self, name: str, bundle: Bundle | None) -> Response:
        """The response to the inference request that Flask holds now."""
        kind, length = request.headers.get("Content-Type", ""), request.headers.get(JSON_LENGTH)
        try:
            if kind not in ("", BINARY) and not is_json(kind):
                raise BadBody("tipo_no_admitido", exact="solo_tensores")
            body = content(request.environ)
            asked = tensors.read(body, length, self._most_rows, list(OUTPUTS), list(NAMED_OUTPUTS))
            if bundle is None:
                return self.refusal("sin_modelo")
            answers = self._scored(asked, bundle)
        except BadBody as bad:
            return _response_of(self._unreadable(bad))
        return self._response(name, bundle, asked, answers)

    def refusal(self, code: str) -> Response:
        """The response with the problem of that ``code``."""
        return _response_of(self._problem(code))

    def _scored(self, asked: Asked, bundle: Bundle) -> list[Answer]:
        """The answers to all rows. Raises ``Refused`` where there is one that has none: the
        protocol has no place for the fault of one row."""
        told_in, caller = language(), request.environ[CALLER].name
        answers: list[Answer] = []
        faulty: Told = {}
        errors: dict[tuple[str, str], dict[str, Any]] = {}
        rows = []
        for number in range(asked.count):
            cells = [column[number] for column in asked.cells]
            query = self._rows.row(tuple(zip(asked.names, cells, strict=True)), Query({}, {}))
            rows.append((query, told_in))
        results = self._scoring.score_all(rows, caller, bundle, all_or_none=True)
        for number, result in enumerate(results):
            if isinstance(result, Answer):
                answers.append(result)
                continue
            if result.code != "peticion_no_valida":
                raise Refused(with_error(result))
            for error in result.body["errores"]:
                key = error["parametro"], error["codigo"]
                faulty.setdefault(key, []).append(number)
                errors.setdefault(key, error)
        if faulty:
            refused = with_error(self._problem("peticion_no_valida"), f" [{_told(faulty)}]")
            refused.body["errores"] = [
                error | {"filas": faulty[key]} for key, error in errors.items()
            ]
            raise Refused(refused)
        return answers

    def _response(
        self, name: str, bundle: Bundle, asked: Asked, answers: list[Answer]
    ) -> Response:
        contract, version = self._scoring.contract, bundle.release.version
        classes = [
            (contract.positive_name if a.positive else contract.negative_name)["es"]
            for a in answers
        ]
        columns: dict[str, tuple[list[Any], Callable[[list[Any]], bytes]]] = {
            "probabilidad": ([a.probability for a in answers], tensors.packed_numbers),
            "clasificacion": (classes, tensors.packed_texts),
            "id": ([a.id for a in answers], tensors.packed_texts),
        }
        shape: dict[str, Any] = {"model_name": name, "model_version": version}
        if asked.id is not None:
            shape["id"] = asked.id
        notes = _told(_noted(answers))
        if notes:
            shape["parameters"] = {"avisos": notes}
        shape["outputs"], tail = [], b""
        kinds = OUTPUTS | NAMED_OUTPUTS
        for output, as_bytes in asked.outputs:
            values, pack = columns[output]
            tensor: dict[str, Any] = {"name": output, "datatype": kinds[output]}
            tensor["shape"] = [len(values)]
            if as_bytes:
                packed = pack(values)
                tensor["parameters"] = {"binary_data_size": len(packed)}
                tail += packed
            else:
                tensor["data"] = values
            shape["outputs"].append(tensor)
        head = json.dumps(shape).encode()
        binary = any(as_bytes for _, as_bytes in asked.outputs)
        response = Response(head + tail, content_type=BINARY if binary else JSON)
        if binary:
            response.headers[JSON_LENGTH] = str(len(head))
        response.headers["X-Propensia-Version"] = version
        response.headers["X-Propensia-Id"] = self._scoring.serving.new_id()
        return response

    def _unreadable(self, bad: BadBody) -> Problem:
        """The problem of a body; clients read what is wrong with it in ``error`` too."""
        made = self._problem(bad.code, bad.faults, bad.exact)
        told = "; ".join(error["mensaje"] for error in made.body["errores"])
        return with_error(made, f" [{told}]" if told else "")

    def _problem(self, code: str, faults: Iterable[Fault] = (), exact: str = "") -> Problem:
        id = self._scoring.serving.new_id()
        most = self._most_rows
        return with_error(problem(code, id, language(), faults, most_rows=most, exact=exact))


def _noted(answers: Iterable[Answer]) -> Told:
    found: Told = {}
    for number, answer in enumerate(answers):
        for note in answer.notes:
            found.setdefault((note.parameter, note.code), []).append(number)
    return found


def _told(found: Told) -> str:
    """Parameters, codes and rows (from 0, as in the tensors) in one line that is not too long."""
    parts = []
    for (parameter, code), rows in list(found.items())[:MOST_TOLD]:
        shown = ", ".join(map(str, rows[:MOST_TOLD])) + (", …" if len(rows) > MOST_TOLD else "")
        parts.append(f"{parameter}: {code} ({shown})")
    return "; ".join(parts) + ("; …" if len(found) > MOST_TOLD else "")


def _response_of(refused: Problem) -> Response:
    headers = [("Content-Type", PROBLEM), *refusal_headers(refused)]
    return Response(refused.json(), refused.status, headers)
