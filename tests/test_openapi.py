"""The OpenAPI document says what the routes, the contract and the problems say, and is valid."""

from __future__ import annotations

import ast
import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from propensia import contract as contracts
from propensia.access.roles import PERMISSIONS
from propensia.contract import Contract
from propensia.faults import BadRow
from propensia.features import Features
from propensia.web import openapi, problems, query, refused, routes
from propensia.web.documentation import FILES
from propensia.web.query import Query
from propensia.web.rows import STRICT, RowReader

Json = dict[str, Any]
METHODS = ("get", "post")
by_contract = pytest.mark.parametrize("name", contracts.shipped())


def document(name: str = "cobranza", language: str = "es", most_rows: int = 100) -> Json:
    """The document as a reader of its JSON gets it."""
    made = openapi.document(contracts.load(name), most_rows, language)
    read: Json = json.loads(json.dumps(made))
    return read


def operations(read: Json) -> Iterator[tuple[str, str, Json]]:
    """Method, path and operation of all of them."""
    for path, item in read["paths"].items():
        for method in METHODS:
            if method in item:
                yield method.upper(), path, item[method]


def resolved(read: Json, part: Json) -> Json:
    """What a part is, or what its reference leads to."""
    if "$ref" not in part:
        return part
    for step in part["$ref"].removeprefix("#/").split("/"):
        read = read[step]
    return read


def judge(read: Json, schema: Json) -> Callable[[Any], bool]:
    """Whether a value is valid, as an independent implementation of JSON Schema judges."""
    schemas = {"components": {"schemas": read["components"]["schemas"]}}
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return jsonschema_rs.validator_for(dialect | schemas | schema).is_valid


def fits(read: Json, schema: Json, value: Any) -> bool:
    """Whether one value is."""
    return judge(read, schema)(value)


def told(part: Any) -> Iterator[str]:
    """Every text of a part."""
    if isinstance(part, dict):
        for item in part.values():
            yield from told(item)
    elif isinstance(part, list):
        for item in part:
            yield from told(item)
    elif isinstance(part, str):
        yield part


@by_contract
@pytest.mark.parametrize("language", ["es", "en"])
def test_the_document_is_valid_openapi(name: str, language: str) -> None:
    read = document(name, language)
    assert read["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(read).iter_errors()) == []


def test_a_broken_document_would_be_noticed() -> None:
    read = document()
    del read["info"]
    assert list(OpenAPIV31SpecValidator(read).iter_errors()) != []


def test_every_route_of_the_table_is_described_and_no_other() -> None:
    described = {(method, path) for method, path, _ in operations(document())}
    served = {(r.method, r.path) for r in routes.ROUTES if r.path not in openapi.UNLISTED}
    assert described == served
    assert {r.path for r in routes.ROUTES} >= openapi.UNLISTED


def test_every_operation_has_a_name_and_texts_of_its_own() -> None:
    found = [operation for _, _, operation in operations(document())]
    for key in ("operationId", "summary"):
        texts = [operation[key] for operation in found]
        assert all(texts)
        if key == "operationId":
            assert len(set(texts)) == len(texts)
    assert all(operation["description"] for operation in found)


def test_a_key_is_asked_for_where_the_table_of_routes_asks_for_a_right() -> None:
    read = document()
    rights = {(route.method, route.path): route.permission for route in routes.ROUTES}
    for method, path, operation in operations(read):
        permission = rights[method, path]
        schemes = [name for option in operation["security"] for name in option]
        assert schemes == (
            [] if permission is None else list(read["components"]["securitySchemes"])
        )
        assert ("401" in operation["responses"]) == (
            permission is not None or (method, path) == ("POST", "/entrar")
        )
        if permission is not None:
            roles = re.findall(r"[a-z]+", operation["description"].rpartition(":")[2])
            assert set(roles) == PERMISSIONS[permission]


def test_what_is_sent_is_described_where_a_body_is_taken() -> None:
    bodies = {(route.method, route.path): route.body for route in routes.ROUTES}
    for method, path, operation in operations(document()):
        assert ("requestBody" in operation) == (bodies[method, path] != "none"), path
        assert ("413" in operation["responses"]) == (bodies[method, path] != "none"), path


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    read = document()
    used = {text for text in told(read) if text.startswith("#/components/")}
    for reference in used:
        resolved(read, {"$ref": reference})
    there = {
        f"#/components/{kind}/{name}"
        for kind, parts in read["components"].items()
        for name in parts
        if kind != "securitySchemes"
    }
    assert there == used


def test_every_problem_is_in_the_document() -> None:
    """But 405, which is the answer to what is no operation."""
    read, codes = document(), set()
    for _, _, operation in operations(read):
        for part in operation["responses"].values():
            answer = resolved(read, part)
            content = answer["content"].get(problems.PROBLEM, {})
            codes |= set(content.get("examples", {}))
    assert codes == set(refused.KINDS) - {"metodo_no_permitido"}


def test_a_problem_has_the_status_and_the_type_of_its_place() -> None:
    read = document()
    for _, _, operation in operations(read):
        for status, part in operation["responses"].items():
            content = resolved(read, part)["content"].get(problems.PROBLEM)
            for code, example in (content or {"examples": {}})["examples"].items():
                body = resolved(read, example)["value"]
                assert body["status"] == int(status) == refused.KINDS[code][0]
                assert fits(read, content["schema"], body)
                assert not fits(read, content["schema"], body | {"type": "urn:propensia:otro"})
                assert not fits(read, content["schema"], body | {"status": int(status) + 1})
                assert not fits(read, content["schema"], body | {"trace": "x"})


@by_contract
@pytest.mark.parametrize("language", ["es", "en"])
def test_every_example_fits_its_schema(name: str, language: str) -> None:
    read = document(name, language)
    for _, _, operation in operations(read):
        for part in operation.get("parameters", []):
            parameter = resolved(read, part)
            if "example" in parameter:
                assert fits(read, parameter["schema"], parameter["example"]), parameter["name"]
        for content in operation.get("requestBody", {"content": {}})["content"].values():
            for part in content.get("examples", {}).values():
                body = resolved(read, part)["value"]
                # The second row of this one is bad on purpose; it has its fault in its place.
                rows = body[:1] if isinstance(body, list) else body
                assert fits(read, content["schema"], rows)


@by_contract
def test_the_parameters_are_those_of_the_file_of_the_contract(name: str) -> None:
    file = resources.files("propensia") / "contracts" / f"{name}.toml"
    table = tomllib.loads(file.read_text(encoding="utf-8"))["parameters"]
    read = document(name)
    get = [resolved(read, part) for part in read["paths"]["/prediccion"]["get"]["parameters"]]
    assert [p["name"] for p in get[: len(table)]] == [row["name"] for row in table]
    assert {p["name"] for p in get[len(table) :]} == query.OPTIONS
    schemas = read["components"]["schemas"]
    for row, parameter in zip(table, get, strict=False):
        assert row["label"]["es"] in parameter["description"]
        assert parameter["required"] == ("absent_as" not in row)
        for shape, own in (("Fila", row["name"]), ("FilaPorColumna", row["feature"])):
            assert row["label"]["es"] in schemas[shape]["properties"][own]["description"]
        if row["kind"] == "category" and "otherwise" not in row:
            admitted = {*row["values"], *row.get("synonyms", {})}
            assert admitted <= set(parameter["schema"]["enum"]) <= {*admitted, "NaN"}


def test_texts_come_in_the_language_and_nothing_else_differs() -> None:
    spanish, english = document(language="es"), document(language="en")

    def without_texts(part: Any) -> Any:
        if isinstance(part, dict):
            prose = ("description", "summary", "title", "detail", "mensaje", "tags")
            kept = {k: v for k, v in part.items() if k not in prose or k == "properties"}
            return {key: without_texts(value) for key, value in kept.items()}
        return [without_texts(item) for item in part] if isinstance(part, list) else part

    assert without_texts(spanish) == without_texts(english)
    assert (
        spanish["paths"]["/predict"]["post"]["summary"] == "Puntuar a un deudor con un objeto JSON"
    )
    assert english["paths"]["/predict"]["post"]["summary"] == "Score one debtor with a JSON object"
    same = [
        (es, en)
        for (_, _, es), (_, _, en) in zip(operations(spanish), operations(english), strict=True)
        if es["summary"] == en["summary"] or es["tags"] == en["tags"] != ["Open inference v2"]
    ]
    assert same == []


# The guide of the API

PAGE = (Path(__file__).parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
ROUTES = {
    "/predict": "/predict",
    "/predict/batch": "/predict/batch",
    "/v2/models/cobranza/infer": "/v2/models/{name}/infer",
}


def sent() -> Iterator[tuple[str, Any]]:
    """The route and the body of every request of the page that writes its JSON out."""
    for kind, code in BLOCKS:
        if kind in ("json", "text"):
            continue
        (path,) = set(re.findall(r"127\.0\.0\.1:5000(/[\w/]+)", code)) or {""}
        if kind == "sh":
            words = shlex.split(code)
            yield ROUTES[path], json.loads(words[words.index("-d") + 1])
        elif kind == "powershell":
            yield ROUTES[path], json.loads(code.split("@'\n")[1].split("\n'@")[0])
        elif path:
            rows = [
                ast.literal_eval(line.value)
                for line in ast.parse(code).body
                if isinstance(line, ast.Assign) and isinstance(line.value, ast.Dict)
                if "CLAVE" not in ast.unparse(line)
            ]
            assert rows
            yield ROUTES[path], rows if path.endswith("batch") else rows[0]


def test_what_the_guide_of_the_api_sends_fits_the_schema_of_its_route() -> None:
    read = document()
    bodies = list(sent())
    assert {path for path, _ in bodies} == set(ROUTES.values()) and len(bodies) >= 7
    for path, body in bodies:
        content = read["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        assert fits(read, content["schema"], body), body


TAKEN: list[Json] = [
    {"im": "263.68", "dt": "1000,82", "cf": "3", "cp": "08029", "ed": "40"},
    {"im": 263.68, "fb": 202310, "ed": "51-65", "cf": 3.0},
    {"ed": None, "fb": None, "im": "NaN"},
    {"ref": "EXP-1", "motivos": 3, "idioma": "en"},
    {"ref": 417, "motivos": "3", "idioma": None},
    {"ref": None, "motivos": None},
    {"ref": "Ω ж 語"},
    {"otro": {"x": [1]}},
]


@pytest.mark.parametrize("change", TAKEN)
def test_what_the_service_takes_the_schema_does_not_refuse(
    contract: Contract, change: Json
) -> None:
    """Short names, columns and both; what is taken is asked of the reader itself."""
    read = document()
    admits = judge(read, read["components"]["schemas"]["Objeto"])
    features, reader = Features(contract), RowReader(contract)
    columns = {p.name: p.feature for p in contract.parameters}
    short = contract.example() | change
    long = {columns.get(name, name): value for name, value in short.items()}
    for row in (short, long, _mixed(short, columns)):
        query = reader.row(STRICT.read(json.dumps(row).encode()), Query({}, {}))
        assert query.faults == []
        features.read(query.texts)
        assert admits(row), row
    without = {name: value for name, value in short.items() if name != "er"}
    # Other names count among the properties, of which a mixed row has to have so many.
    assert admits(without) == (not change.keys() <= columns.keys())


def _mixed(row: Json, columns: dict[str, str]) -> Json:
    """Every other parameter by its column."""
    return {
        columns.get(name, name) if place % 2 else name: value
        for place, (name, value) in enumerate(row.items())
    }


def test_the_limit_of_a_batch_is_the_one_that_is_set() -> None:
    assert document(most_rows=7)["components"]["schemas"]["Filas"]["maxItems"] == 7
    assert (
        "7"
        in document(most_rows=7)["components"]["examples"]["demasiadas_filas"]["value"]["detail"]
    )


@by_contract
def test_what_the_schema_of_a_parameter_admits_is_read_without_a_fault(name: str) -> None:
    """The ends of every span, every category, label and month: nothing is promised in vain."""
    contract = contracts.load(name)
    features = Features(contract)
    read = document(name)
    for parameter in contract.parameters:
        schema = read["components"]["parameters"][f"query.{parameter.name}"]["schema"]
        admits = judge(read, schema)
        for value in _admitted(schema):
            assert admits(value)
            features.read(contract.example() | {parameter.name: str(value)})


def _admitted(schema: Json) -> Iterator[Any]:
    for option in schema.get("anyOf", [schema]):
        yield from option.get("enum", [])
        yield from (option[end] for end in ("minimum", "maximum") if end in option)
        if "pattern" in option:
            months = (f"{month:06d}" for month in range(180000, 220000))
            yield from (month for month in months if re.search(option["pattern"], month))


def test_the_pattern_of_a_month_admits_every_month_that_is_read(contract: Contract) -> None:
    features = Features(contract)
    read = document()
    months = [p.name for p in contract.parameters if p.kind == "month"]
    assert months
    for name in months:
        admits = judge(read, read["components"]["parameters"][f"query.{name}"]["schema"])
        for number in range(189900, 210200):
            try:
                features.read(contract.example() | {name: str(number)})
                taken = True
            except BadRow:
                taken = False
            assert admits(str(number)) == taken, number


def test_only_files_that_the_package_has_are_served() -> None:
    folder = Path(str(resources.files("flask_swagger_ui"))) / "dist"
    assert all((folder / name).is_file() for name in FILES)
