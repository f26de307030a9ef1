"""Rows and answers in the OpenAPI document: what the contract alone decides.

It never knows the name of a parameter, and refuses nothing that the guide of the API shows: where
JSON Schema cannot tell what the reader of rows tells (a number as a text within its bounds), it
says the more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from propensia import faults
from propensia.contract import Contract, Parameter
from propensia.web.openapi_parts import SHARE, Shape, Text, closed, listed, reference
from propensia.web.query import FORMS, LONGEST_REF

NO_DATA = "NaN"
"""The text that stands for "no data" in schemas, of all those that a contract takes."""

PRINTABLE = "^[ -~¡-¬®-ÿ]*$"
"""Latin letters, digits and signs, without control characters: what a reference surely may have;
the service takes the printable letters of any script."""

NO_CONTROL = "^[^\\x00-\\x1f\\x7f-\\x9f]*$"
DIGITS = "[0-9]{1,15}"
FRACTION = r"(\.[0-9]{1,15}|,[0-9]{1,2})?"
"""Of a number as a text. A comma with three digits after it could be thousands, and is refused."""


def query_value(parameter: Parameter) -> Shape:
    """What a parameter takes in an address, where everything is text."""
    words = [*parameter.labels, *([NO_DATA] if has_no_data(parameter) else [])]
    if parameter.is_category:
        if parameter.otherwise is not None:  # then every text is one
            return {"type": "string"}
        texts = [*parameter.values, *parameter.synonyms, *words]
        return {"type": "string", "enum": list(dict.fromkeys(texts))}
    number = _number(parameter)
    return {"anyOf": [number, {"type": "string", "enum": words}]} if words else number


def json_value(parameter: Parameter) -> Shape:
    """What a parameter takes in JSON, where a number may be one or the text of one, and no data
    is ``null``."""
    shape = query_value(parameter)
    also = []
    if parameter.kind == "month":
        also.append({"type": "integer", "minimum": parameter.min, "maximum": parameter.max})
    elif parameter.is_category:
        numbers = [int(text) for text in shape.get("enum", ()) if text.isdigit()]
        also += [{"type": "integer", "enum": numbers}] if numbers else []
    else:
        sign, whole = "-?" if parameter.min < 0 else "", "int" in parameter.kind
        also.append({"type": "string", "pattern": f"^{sign}{DIGITS}{'' if whole else FRACTION}$"})
    if has_no_data(parameter):
        also.append({"type": "null"})
    return {"anyOf": [*shape.get("anyOf", [shape]), *also]} if also else shape


def example(parameter: Parameter, *, in_json: bool) -> Any:
    """The documented example of a parameter: a number where it is one, ``null`` for no data."""
    text = parameter.example
    if parameter.is_category or text in parameter.labels or parameter.kind == "month":
        return text
    if text == NO_DATA:
        return None if in_json else text
    return int(text) if text.isdigit() else float(text)


def examples(contract: Contract) -> Shape:
    """The documented example as what each POST route takes, by name of the example."""
    short = {p.name: example(p, in_json=True) for p in contract.parameters}
    columns = {p.feature: short[p.name] for p in contract.parameters}
    incomplete = dict(list(short.items())[1:])
    return {
        "porNombre": {"summary": Text("Por nombre corto", "By short name"), "value": short},
        "porColumna": {"summary": Text("Por columna", "By column"), "value": columns},
        "lote": {
            "summary": Text("La segunda fila es mala", "The second row is bad"),
            "value": [short, incomplete],
        },
        "filas": {
            "summary": Text("Dentro de un objeto", "Inside an object"),
            "value": {"filas": [columns]},
        },
        "activar": {
            "summary": Text("Con su motivo", "With its reason"),
            "value": {"motivo": "Mejor en los casos de septiembre"},
        },
        "cobros": {
            "summary": Text("Uno que pagó y otro que no", "One who paid and one who did not"),
            "value": [
                {"ref": "EXP-1", "pagado": True, "importe": 120.5, "fecha": "2024-02-05"},
                {"ref": "EXP-2", "pagado": False, "fecha": "2024-03-01"},
            ],
        },
        "volver": {
            "summary": Text("Con su motivo", "With its reason"),
            "value": {"motivo": "La versión nueva avisa de más"},
        },
    }


def has_no_data(parameter: Parameter) -> bool:
    """Whether a parameter may come without data."""
    return parameter.fill is not None or parameter.optional


def meaning(parameter: Parameter) -> Text:
    """What a parameter is, what it takes, and what is used where there is no data."""
    texts = []
    for language in Text._fields:
        parts = [parameter.label[language], parameter.help.get(language, "")]
        parts.append(("Admite: ", "It takes: ")[language == "en"] + parameter.admits())
        if parameter.fill is not None:
            used = parameter.fill_shown or parameter.fill
            parts.append(("Sin dato se usa ", "Without data it is ")[language == "en"] + str(used))
        texts.append(". ".join(part for part in parts if part) + ".")
    return Text(*texts)


def schemas(contract: Contract, most_rows: int) -> Shape:
    """The components that a contract decides: rows, answers and the codes of what is wrong."""
    names = contract.positive_name["es"], contract.negative_name["es"]
    answer = {
        "id": {"type": "string", "pattern": "^[0-9a-f]{29}$"},
        "clasificacion": {"type": "string", "enum": list(names)},
        contract.flag: {
            "type": "boolean",
            "description": Text("probabilidad ≥ umbral", "probabilidad ≥ umbral (threshold)"),
        },
        "probabilidad": SHARE,
        "umbral": SHARE,
        "modelo": {"type": "string"},
        "version": reference("Version"),
        "publicacion": {"type": "integer", "minimum": 1},
        "avisos": listed(reference("Aviso")),
        "ref": {"type": "string", "maxLength": LONGEST_REF},
        "motivos": listed(closed({"parametro": _names(contract), "efecto": {"type": "number"}})),
    }
    classes = ["1", "0"] if contract.text == "class" else None
    return {
        "Fila": _row(contract, {p.name: p for p in contract.parameters}),
        "FilaPorColumna": _row(contract, {p.feature: p for p in contract.parameters}),
        "FilaMezclada": _mixed(contract),
        "Objeto": {
            "anyOf": [reference(name) for name in ("Fila", "FilaPorColumna", "FilaMezclada")]
        },
        "Filas": listed(reference("Objeto")) | {"maxItems": most_rows},
        "Lote": {"anyOf": [reference("Filas"), closed({"filas": reference("Filas")})]},
        "Respuesta": closed(answer, ("ref", "motivos")),
        "Clase": {"type": "string"} | ({"enum": classes} if classes else {}),
        "Codigo": {"type": "string", "enum": sorted({*faults.TEXTS, *contract.own_faults})},
    }


def options(contract: Contract) -> dict[str, tuple[Shape, Text]]:
    """The options of a request: their shape, and what each does."""
    return {
        "motivos": (
            {"type": "integer", "enum": list(range(len(contract.parameters) + 1))},
            Text("Cuántos parámetros se explican.", "How many parameters are explained."),
        ),
        "idioma": (
            {"type": "string", "enum": list(Text._fields)},
            Text("Idioma de los mensajes.", "Language of the messages."),
        ),
        "ref": (
            {"type": "string", "maxLength": LONGEST_REF, "pattern": PRINTABLE},
            Text("Su referencia; vuelve igual.", "A reference of yours; it comes back as it is."),
        ),
        "formato": (
            {"type": "string", "enum": list(FORMS)},
            Text("Forma de la respuesta; gana a Accept.", "Form of the answer, before Accept."),
        ),
    }


def _row(contract: Contract, parameters: Mapping[str, Parameter]) -> Shape:
    properties = {
        name: json_value(parameter) | {"description": meaning(parameter)}
        for name, parameter in parameters.items()
    }
    for name, (shape, what) in options(contract).items():
        if name != "formato":
            properties[name] = _option_in_json(shape) | {"description": what}
    needed = [name for name, parameter in parameters.items() if parameter.absent_as is None]
    return {"type": "object", "properties": properties, "required": needed}


def _mixed(contract: Contract) -> Shape:
    """A row with some parameters by short name and others by column."""
    names = {name: p for p in contract.parameters for name in (p.name, p.feature)}
    # One of two names of each would be two to the power of their number for those who read it.
    row = _row(contract, names) | {
        "minProperties": sum(p.absent_as is None for p in contract.parameters),
        "description": Text(
            "Cada parámetro una vez, por su nombre corto o por su columna.",
            "Each parameter once, by its short name or by its column.",
        ),
    }
    del row["required"]
    return row


def _option_in_json(shape: Shape) -> Shape:
    """The shape of an option in a row, where a number may be a text, a text a number, and
    ``null`` is not sent."""
    if shape["type"] == "integer":
        texts = {"type": "string", "enum": [str(number) for number in shape["enum"]]}
        return {"anyOf": [shape, texts, {"type": "null"}]}
    if "enum" in shape:
        return {"anyOf": [shape, {"type": "null"}]}
    return shape | {"type": ["string", "integer", "null"], "pattern": NO_CONTROL}


def _names(contract: Contract) -> Shape:
    return {"type": "string", "enum": [parameter.name for parameter in contract.parameters]}


def _number(parameter: Parameter) -> Shape:
    low, high = parameter.min, parameter.max
    if parameter.kind == "month":
        return {
            "type": "string",
            "pattern": f"^{_years(int(low) // 100, int(high) // 100)}{MONTH}",
        }
    shape: Shape = {"type": "integer" if "int" in parameter.kind else "number"}
    if low > float("-inf"):
        shape["minimum"] = low
    if high < float("inf"):
        shape["maximum"] = high
    return shape


MONTH = "(0[1-9]|1[0-2])$"


def _years(first: int, last: int) -> str:
    """A pattern for the years of a span: whole centuries in short, the others one by one."""
    parts = []
    year = first
    while year <= last:
        whole = year % 100 == 0 and year + 99 <= last
        parts.append(f"{year // 100:02d}[0-9][0-9]" if whole else f"{year:04d}")
        year += 100 if whole else 1
    return f"({'|'.join(parts)})"
