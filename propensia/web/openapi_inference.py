"""The Open Inference Protocol v2 in the OpenAPI document.

Source: KServe, open-inference-protocol, ``inference_rest.md``. It never says more than that
protocol and the routes of this service do.
"""

from __future__ import annotations

from dataclasses import replace

from propensia.contract import Contract
from propensia.web.open_inference import BINARY, JSON_LENGTH, NAMED_OUTPUTS, OUTPUTS
from propensia.web.open_inference_tensors import NUMBERS, TEXT
from propensia.web.openapi_parts import (
    INFERENCE,
    JSON,
    PREFERRED,
    Operation,
    Shape,
    Text,
    closed,
    listed,
    reference,
)
from propensia.web.openapi_shapes import fault_shape, problem_shape

_TEXT = {"type": "string"}
_BYTES = {"binary_data_size": {"type": "integer", "minimum": 0}}
_DATATYPES = {"type": "string", "enum": [TEXT, *NUMBERS]}
_METADATA = closed(
    {"name": _TEXT, "datatype": _DATATYPES, "shape": listed({"type": "integer", "const": -1})}
)
_OUTPUT_NAME = {"type": "string", "enum": [*OUTPUTS, *NAMED_OUTPUTS]}
_OUTPUT = closed(
    {
        "name": _OUTPUT_NAME,
        "datatype": {"type": "string", "enum": list(OUTPUTS.values())},
        "shape": listed({"type": "integer", "minimum": 0}),
        "data": listed({"type": ["number", "string"]}),
        "parameters": closed(_BYTES),
    },
    ("data", "parameters"),
)

FIXED: Shape = {
    "Servidor": closed({"name": _TEXT, "version": _TEXT, "extensions": listed(_TEXT)}),
    "ServidorVivo": closed({"live": {"type": "boolean"}}),
    "ServidorListo": closed({"ready": {"type": "boolean"}}),
    "ModeloListo": closed({"name": _TEXT, "ready": {"type": "boolean"}}),
    "MetadatosModelo": closed(
        {
            "name": _TEXT,
            "versions": listed(reference("Version")),
            "platform": _TEXT,
            "inputs": listed(_METADATA),
            "outputs": listed(_METADATA),
        }
    ),
    "Inferencia": closed(
        {
            "model_name": _TEXT,
            "model_version": reference("Version"),
            "id": _TEXT,
            "parameters": closed({"avisos": _TEXT}),
            "outputs": listed(_OUTPUT),
        },
        ("id", "parameters"),
    ),
    "TensoresBinarios": _TEXT
    | {
        "contentMediaType": BINARY,
        "description": Text(
            f"JSON y después los tensores en binario; {JSON_LENGTH} dice cuánto mide el JSON.",
            f"JSON, then the tensors as bytes; {JSON_LENGTH} says how long the JSON is.",
        ),
    },
    "ProblemaInferencia": problem_shape("FalloInferencia", {"error": _TEXT}),
    "FalloInferencia": fault_shape({"filas": listed({"type": "integer", "minimum": 0})}),
}


def schemas(contract: Contract, most_rows: int) -> Shape:
    """What ``infer`` takes: one tensor per parameter, of as many rows as a batch may have."""
    names = [name for p in contract.parameters for name in (p.name, p.feature)]
    shape = listed({"type": "integer", "minimum": 0, "maximum": most_rows})
    tensor = {
        "name": {"type": "string", "enum": names},
        "datatype": _DATATYPES,
        "shape": shape | {"minItems": 1, "maxItems": 2},
        "data": _or_null(listed({"type": ["string", "number", "null"]}) | {"maxItems": most_rows}),
        "parameters": _or_null(
            {"type": "object", "properties": {name: _or_null(s) for name, s in _BYTES.items()}}
        ),
    }
    output = {"name": _OUTPUT_NAME, "parameters": {"type": ["object", "null"]}}
    asked = {
        "inputs": listed(_open(tensor, ["name", "datatype", "shape"])) | {"minItems": 1},
        "outputs": _or_null(listed(_open(output, ["name"]))),
        "id": _or_null(_TEXT),
        "parameters": {"type": ["object", "null"]},
    }
    return {"PeticionInferencia": _open(asked, ["inputs"])}


def _or_null(shape: Shape) -> Shape:
    """A member that is not there where it is ``null``."""
    return shape | {"type": [shape["type"], "null"]}


def _open(properties: Shape, required: list[str]) -> Shape:
    """An object that may have other keys too, which the protocol leaves to its clients."""
    return {"type": "object", "properties": properties, "required": required}


def example(contract: Contract) -> Shape:
    """The documented example of the contract, as one row."""
    inputs = [
        {"name": p.name, "datatype": TEXT, "shape": [1], "data": [p.example]}
        for p in contract.parameters
    ]
    return {"summary": Text("Una fila", "One row"), "value": {"id": "1", "inputs": inputs}}


_READY = Text("Listo.", "Ready.")


def _of_model(tail: str, suffix: str) -> dict[tuple[str, str], Operation]:
    """The three operations of a model, with or without its version in the path."""
    path = "/v2/models/{name}" + tail
    return {
        ("GET", path): Operation(
            f"metadatosModelo{suffix}",
            INFERENCE,
            Text("Entradas y salidas", "Inputs and outputs"),
            {200: (Text("Los tensores.", "The tensors."), {JSON: "MetadatosModelo"})},
            codes=("no_encontrado",),
        ),
        ("GET", f"{path}/ready"): Operation(
            f"modeloListo{suffix}",
            INFERENCE,
            Text("El modelo está listo", "The model is ready"),
            {200: (_READY, {JSON: "ModeloListo"})},
            codes=("no_encontrado", "sin_modelo"),
        ),
        ("POST", f"{path}/infer"): Operation(
            f"inferir{suffix}",
            INFERENCE,
            Text("Puntuar filas", "Score rows"),
            {
                200: (
                    Text("Las puntuaciones.", "The scores."),
                    {JSON: "Inferencia", BINARY: "TensoresBinarios"},
                )
            },
            Text(
                "Da las mismas puntuaciones que GET /prediccion, bit a bit. Si una fila es mala "
                "no hay respuesta para ninguna, y `errores` dice qué filas.",
                "It gives the same scores as GET /prediccion, bit for bit. With one bad row there "
                "is an answer to none, and `errores` says which rows.",
            ),
            (
                "peticion_no_valida",
                "no_encontrado",
                "demasiadas_filas",
                "sin_modelo",
                "modelo_no_fiable",
                "registro_no_disponible",
            ),
            sends={JSON: "PeticionInferencia", BINARY: "TensoresBinarios"},
            takes=(PREFERRED,),
            examples=("inferencia",),
            scored=True,
            in_parts=True,
        ),
    }


_ALL = {
    ("GET", "/v2"): Operation(
        "servidor",
        INFERENCE,
        Text("El servidor", "The server"),
        {200: (Text("Nombre y extensiones.", "Name and extensions."), {JSON: "Servidor"})},
    ),
    ("GET", "/v2/health/live"): Operation(
        "servidorVivo",
        INFERENCE,
        Text("El proceso vive", "The process is alive"),
        {200: (Text("Vive.", "It is alive."), {JSON: "ServidorVivo"})},
    ),
    ("GET", "/v2/health/ready"): Operation(
        "servidorListo",
        INFERENCE,
        Text("Hay modelo", "There is a model"),
        {200: (_READY, {JSON: "ServidorListo"})},
        codes=("sin_modelo",),
    ),
    **_of_model("", ""),
    **_of_model("/versions/{version}", "Version"),
}

# Clients of the protocol read ``error``: every problem of its routes has it.
OPERATIONS = {
    place: replace(operation, problem="ProblemaInferencia") for place, operation in _ALL.items()
}
