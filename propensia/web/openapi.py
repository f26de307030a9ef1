"""The OpenAPI 3.1 document of the service, made from its routes, its contract and its problems.

It must never describe what the code does not do: everything here is read from what the code uses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from propensia import __version__
from propensia.access.roles import PERMISSIONS, ROLES
from propensia.contract import Contract
from propensia.faults import Fault
from propensia.web import openapi_inference as inference
from propensia.web import openapi_memory as memory
from propensia.web import openapi_portfolios as portfolios
from propensia.web import openapi_rows as rows
from propensia.web import openapi_shapes as shapes
from propensia.web import problems, refused, routes
from propensia.web.open_inference import JSON_LENGTH
from propensia.web.openapi_operations import OPERATIONS, PATH
from propensia.web.openapi_parts import (
    HTML,
    JSON,
    PLAIN,
    PREFERRED,
    TAGS,
    Operation,
    Shape,
    Text,
    reference,
)
from propensia.web.routes import Route

VERSION = "3.1.0"
EXAMPLE_ID = "019a7f3c2b1d4e5f60718293a4b5c"
"""An id of the form that answers have, for examples of problems."""

UNLISTED = frozenset({"/docs/{file}", "/panel/{file}", "/static/{filename}"})
"""Files of pages: no program asks for them."""

HEADERS: Shape = {
    "X-Propensia-Id": {
        "description": Text("Identificador de la respuesta.", "Id of the answer."),
        "schema": {"type": "string"},
    },
    problems.CODE_FIELD: {
        "description": Text("Código del error.", "Code of the problem."),
        "schema": {"type": "string"},
    },
    "X-Propensia-Version": {
        "description": Text("Versión que respondió.", "Version that answered."),
        "schema": reference("Version"),
    },
    "Retry-After": {
        "description": Text("Segundos que conviene esperar.", "Seconds to wait."),
        "schema": {"type": "integer", "minimum": 1},
    },
    "RateLimit": {
        "description": Text(
            "Cuántas peticiones quedan (r) y en cuántos segundos hay más (t).",
            "How many requests are left (r), and in how many seconds there are more (t).",
        ),
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": Text(
            "Cuántas peticiones (q) valen en cuántos segundos (w).",
            "How many requests (q) are good in how many seconds (w).",
        ),
        "schema": {"type": "string"},
    },
    JSON_LENGTH: {
        "description": Text(
            "Cuántos bytes mide el JSON, si detrás van tensores en binario.",
            "How many bytes the JSON has, where tensors follow it as bytes.",
        ),
        "schema": {"type": "integer", "minimum": 0},
    },
    "WWW-Authenticate": {
        "description": Text("Cómo identificarse.", "How to say who asks."),
        "schema": {"type": "string"},
    },
}

SCHEMES: Shape = {
    "clave": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": Text("Una clave de Propensia.", "A key of Propensia."),
    },
    "portador": {
        "type": "http",
        "scheme": "bearer",
        "description": Text(
            "La misma clave, o un token (JWT) del proveedor de identidad.",
            "The same key, or a token (JWT) of the identity provider.",
        ),
    },
}

ABOUT = Text(
    "Puntuaciones y su explicación, versiones publicadas y estado del servicio. Mientras no "
    "existe ninguna clave, un programa de la misma máquina no la necesita; desde que existe una, "
    "todas las direcciones la piden, salvo las que dicen lo contrario. Una sesión del navegador "
    "vale como su clave. Los errores son RFC 9457: `type` es `urn:propensia:CODIGO`, y cada "
    "código está en la página /docs.",
    "Scores and their explanation, published versions and the state of the service. While there "
    "is no key, a program of the same machine needs none; as soon as there is one, every address "
    "asks for it but those that say otherwise. A session of the browser counts as its key. Errors "
    "are RFC 9457: `type` is `urn:propensia:CODE`, and each code is on the page /docs.",
)

RATES = ("RateLimit", "RateLimit-Policy")
"""Headers of what is counted, whatever the answer is."""

NO_OPERATION = {"metodo_no_permitido"}
"""Codes of answers to what is no operation of the document."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def document(contract: Contract, most_rows: int, language: str) -> Shape:
    """The whole document in ``es`` or ``en``, ready to be written as JSON.

    ``most_rows`` is the limit of a batch. It names no model: it stays the same from one release to
    the next (OpenAPI Specification 3.1.0).
    """
    listed = [route for route in routes.ROUTES if route.path not in UNLISTED]
    paths: dict[str, Shape] = {}
    needed: dict[str, Shape] = {}
    for route in listed:
        operation = OPERATIONS[route.method, route.path]
        item = paths.setdefault(route.path, {})
        item[route.method.lower()] = _operation(route, operation, contract, needed)
    whole = {
        "openapi": VERSION,
        "info": {
            "title": Text(*(f"Propensia: {contract.title[name]}" for name in Text._fields)),
            "version": __version__,
            "description": ABOUT,
        },
        "servers": [{"url": "./"}],
        "tags": [{"name": tag} for tag in TAGS],
        "paths": paths,
        "components": {
            "schemas": shapes.FIXED
            | rows.schemas(contract, most_rows)
            | memory.FIXED
            | portfolios.FIXED
            | inference.FIXED
            | inference.schemas(contract, most_rows),
            "parameters": _parameters(contract),
            "headers": HEADERS,
            "responses": needed,
            "examples": _problem_examples(contract, most_rows, language)
            | rows.examples(contract)
            | memory.EXAMPLES
            | {"inferencia": inference.example(contract)},
            "securitySchemes": SCHEMES,
        },
    }
    told: Shape = _in(language, whole)
    return told


def _operation(
    route: Route, operation: Operation, contract: Contract, needed: dict[str, Shape]
) -> Shape:
    """One operation; the problems that it answers are added to ``needed``."""
    told: Shape = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": _description(route, operation),
        "security": [] if route.permission is None else [{name: []} for name in SCHEMES],
    }
    fields = [parameter.name for parameter in contract.parameters] if operation.fields else []
    names = [f"path.{name}" for name in _PLACEHOLDER.findall(route.path)]
    names += [f"query.{name}" for name in (*fields, *operation.takes)]
    names += [f"header.{JSON_LENGTH}"] if operation.in_parts else []
    if names:
        told["parameters"] = [reference(name, "parameters") for name in names]
    if operation.sends:
        content = {kind: {"schema": reference(name)} for kind, name in operation.sends.items()}
        # The first is the one that people try: the examples are of that type.
        content[next(iter(content))] |= _examples(operation.examples)
        told["requestBody"] = {"required": not operation.may_be_empty, "content": content}
    answers: Shape = {
        str(status): _answer(text, kinds, operation, route)
        for status, (text, kinds) in operation.answers.items()
    }
    for status, codes in _by_status(codes_of(route, operation)).items():
        name = "-".join([operation.problem, *(["json"] if route.json else []), *codes])
        needed.setdefault(name, _refusal(status, codes, operation.problem, route))
        if status in answers:  # the same status, with another body
            answers[status]["content"] |= needed[name]["content"]
            own = answers[status].get("headers", {})
            answers[status]["headers"] = needed[name]["headers"] | own
        else:
            answers[status] = reference(name, "responses")
    told["responses"] = dict(sorted(answers.items()))
    return told


def codes_of(route: Route, operation: Operation) -> list[str]:
    """The codes of all problems that a route may answer with."""
    codes = ["peticion_incompleta", "error_interno", "ocupado"]
    if route.permission is not None:
        codes += ["clave_no_valida", "sin_permiso", "limite_superado"]
    if route.permission is not None or route.method != "GET":
        codes.append("origen_no_permitido")
    if operation.sends:
        codes.append("fichero_demasiado_grande")
    if JSON in operation.sends:
        codes += ["cuerpo_no_valido", "tipo_no_admitido"]
    codes += operation.codes
    return [code for code in refused.KINDS if code in codes]


def _by_status(codes: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for code in codes:
        found.setdefault(str(refused.KINDS[code][0]), []).append(code)
    return found


def _description(route: Route, operation: Operation) -> Text:
    if route.permission is None:
        right = Text("No pide clave.", "It asks for no key.")
    else:
        roles = ", ".join(role for role in ROLES if role in PERMISSIONS[route.permission])
        right = Text(f"Papeles: {roles}.", f"Roles: {roles}.")
    if operation.text is None:
        return right
    return Text(*(f"{text}\n\n{more}" for text, more in zip(operation.text, right, strict=True)))


def _answer(text: Text, kinds: Any, operation: Operation, route: Route) -> Shape:
    names = ["X-Propensia-Id", "X-Propensia-Version"] if operation.scored else []
    names += [JSON_LENGTH] if operation.in_parts else []
    names += RATES if is_limited(route) else []
    told: Shape = {
        "description": text,
        "content": {kind: {"schema": reference(name)} for kind, name in kinds.items()},
    }
    if names:
        told["headers"] = {name: reference(name, "headers") for name in names}
    return told


def is_limited(route: Route) -> bool:
    """Whether requests for a route are counted, unless a setting says that they are not."""
    return route.permission is not None or route.method != "GET"


def _examples(names: Iterable[str]) -> Shape:
    told = {name: reference(name, "examples") for name in names}
    return {"examples": told} if told else {}


def _refusal(status: str, codes: list[str], schema: str, route: Route) -> Shape:
    """The answer of one status, whose ``type`` is one of ``codes``; other routes of the same
    forms share it."""
    kinds = [f"urn:propensia:{code}" for code in codes]
    exact = {"properties": {"type": {"enum": kinds}, "status": {"const": int(status)}}}
    named = ["X-Propensia-Id", problems.CODE_FIELD]
    if any(refused.KINDS[code][3] for code in codes):
        named.append("Retry-After")
    if status == "401":
        named.append("WWW-Authenticate")
    named += RATES
    titles = [refused.KINDS[code] for code in codes]
    forms = {} if route.json else {PLAIN: "Texto", HTML: "Pagina"}
    return {
        "description": Text(
            ". ".join(spanish[0] for _, spanish, _, _ in titles) + ".",
            ". ".join(english[0] for _, _, english, _ in titles) + ".",
        ),
        "headers": {name: reference(name, "headers") for name in named},
        "content": {
            problems.PROBLEM: {
                "schema": {"allOf": [reference(schema), exact]},
                **_examples(codes),
            },
            **{kind: {"schema": reference(name)} for kind, name in forms.items()},
        },
    }


def _problem_examples(contract: Contract, most_rows: int, language: str) -> Shape:
    """One example per code, in the words that the service uses."""
    shown = {
        "peticion_no_valida": [Fault(contract.parameters[0].name, "parametro_ausente")],
        "cuerpo_no_valido": [Fault("3:14", "json_no_valido")],
    }
    found: Shape = {}
    for code in [code for code in refused.KINDS if code not in NO_OPERATION]:
        faults = shown.get(code, [])
        body = problems.problem(
            code,
            EXAMPLE_ID,
            language,
            faults,
            contract,
            most_rows=most_rows,
            longest=routes.ROW_BYTES,
        ).body
        found[code] = {"summary": body["title"], "value": body}
    return found


def _parameters(contract: Contract) -> Shape:
    found: Shape = {
        f"query.{parameter.name}": {
            "name": parameter.name,
            "in": "query",
            "required": parameter.absent_as is None,
            "description": rows.meaning(parameter),
            "schema": rows.query_value(parameter),
            "example": rows.example(parameter, in_json=False),
        }
        for parameter in contract.parameters
    }
    for name, (shape, what) in rows.options(contract).items():
        option = {"name": name, "in": "query", "description": what, "schema": shape}
        found[f"query.{name}"] = option
    found[f"query.{PREFERRED}"] = shapes.WISHED_LANGUAGE
    for name, (shape, what) in PATH.items():
        place = {"name": name, "in": "path", "required": True, "description": what}
        found[f"path.{name}"] = place | {"schema": shape}
    found["path.name"]["example"] = contract.name
    length = {"name": JSON_LENGTH, "in": "header"} | HEADERS[JSON_LENGTH]
    found[f"header.{JSON_LENGTH}"] = length
    return found


def _in(language: str, told: Any) -> Any:
    """The same with one language instead of each pair of texts."""
    if isinstance(told, Text):
        return getattr(told, language)
    if isinstance(told, dict):
        return {key: _in(language, value) for key, value in told.items()}
    if isinstance(told, list):
        return [_in(language, value) for value in told]
    return told
