"""The part of the OpenAPI document about stored answers and the rights of a person.

No answer of those routes has a key that is not here.
"""

from __future__ import annotations

from propensia import telling
from propensia.journal import references
from propensia.web.asked import LONGEST_WHY
from propensia.web.openapi_parts import (
    JSON,
    MEMORY,
    PREFERRED,
    SHARE,
    Operation,
    Shape,
    Text,
    closed,
    listed,
    reference,
)

ID = "^[0-9a-f]{29}$"
PATH: dict[str, tuple[Shape, Text]] = {
    "id": (
        {"type": "string", "pattern": ID},
        Text("El `id` de una respuesta.", "The `id` of an answer."),
    )
}
"""Name of a placeholder of a path -> its schema, and what it is."""

_TEXT: Shape = {"type": "string"}
_COUNT: Shape = {"type": "integer", "minimum": 0}
_NULLABLE_TEXT: Shape = {"type": ["string", "null"]}
_NOTES = listed(reference("Aviso"))
_FAULTS = listed(closed({"parametro": _TEXT, "codigo": _TEXT}))
_TIME: Shape = {"type": "string", "format": "date-time"}
_STORED = {
    "id": {"type": "string", "pattern": ID},
    "momento": _TIME,
    "version": reference("Version"),
    "publicacion": {"type": "integer", "minimum": 1},
    "modelo": _TEXT,
    "contrato": _TEXT,
    "quien": _TEXT,
    "probabilidad": SHARE,
    "umbral": SHARE,
    "clasificacion": _TEXT,
    "avisos": _NOTES,
    "valores": {
        "type": ["object", "null"],
        "additionalProperties": _NULLABLE_TEXT,
        "description": Text(
            "Los textos que llegaron; null cuando ya no se guardan.",
            "The texts that came; null when they are not kept any more.",
        ),
    },
}
_REFUSED = {
    "id": {"type": "string", "pattern": ID},
    "momento": _TIME,
    "quien": _TEXT,
    "errores": _FAULTS,
}
_OUTCOME = {
    "pagado": {"type": "boolean"},
    "importe": {"type": ["number", "null"]},
    "fecha": _TEXT,
    "quien": _TEXT,
}
_PERSON = {
    "id": {"type": ["string", "null"], "minLength": 1, "maxLength": references.LONGEST},
    "ref": {"type": ["string", "null"], "minLength": 1, "maxLength": references.LONGEST},
}
_ONE = {"oneOf": [{"required": [name], "properties": {name: _TEXT}} for name in _PERSON]}
_WHY = {"type": "string", "minLength": 1, "maxLength": LONGEST_WHY, "pattern": r"\S"}


def _stored(keys: Shape) -> Shape:
    """A stored answer; the one name that a contract decides is that of its class."""
    return closed(keys) | {
        "additionalProperties": {
            "type": "boolean",
            "description": Text(
                "`pagador`, o como lo llame el contrato de entonces: probabilidad ≥ umbral.",
                "`pagador`, or as the contract of then calls it: probabilidad ≥ umbral.",
            ),
        }
    }


FIXED: Shape = {
    "Guardada": _stored(_STORED),
    "Rechazo": closed(_REFUSED),
    "GuardadaORechazo": {"anyOf": [reference("Guardada"), reference("Rechazo")]},
    "Repeticion": closed(
        {
            "respuesta": reference("Guardada"),
            "ahora": closed({"probabilidad": SHARE, "clasificacion": _TEXT, "avisos": _NOTES}),
            "igual": {"type": "boolean"},
            "exacta": {
                "type": "boolean",
                "description": Text(
                    "La probabilidad es la misma, bit a bit.",
                    "The probability is the same, bit for bit.",
                ),
            },
            "diferencias": listed(closed({"codigo": _TEXT, "mensaje": _TEXT})),
            "causa": _NULLABLE_TEXT,
            "motivos": listed(closed({"parametro": _TEXT, "efecto": {"type": "number"}})),
        }
    ),
    "Persona": closed(_PERSON, _PERSON) | _ONE,
    "Supresion": closed(_PERSON | {"motivo": _WHY}, _PERSON) | _ONE,
    "Expediente": closed(
        {
            "exportado": _TIME,
            "respuestas": listed(_stored(_STORED | {"referencia": _NULLABLE_TEXT})),
            "rechazos": listed(reference("Rechazo")),
            "resultados": listed(closed({"respuesta": _TEXT} | _OUTCOME)),
            "comunicaciones": listed(
                closed(
                    {
                        "id": _TEXT,
                        "respuesta": _NULLABLE_TEXT,
                        "referencia": _NULLABLE_TEXT,
                        "estado": {
                            "type": "string",
                            "enum": [*telling.OUTCOME_STATES.values()],
                        },
                    }
                    | _OUTCOME
                )
            ),
        }
    ),
    "Borrado": closed(
        dict.fromkeys(
            ("respuestas", "valores", "rechazos", "resultados", "comunicaciones"), _COUNT
        )
    ),
}
"""Components that are the same for every contract."""

EXAMPLES: Shape = {
    "persona": {
        "summary": Text("Por su referencia", "By its reference"),
        "value": {"ref": "EXP-1"},
    },
    "supresion": {
        "summary": Text("Con su motivo", "With its reason"),
        "value": {"ref": "EXP-1", "motivo": "Lo ha pedido, solicitud 14"},
    },
}

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", "/respuestas/{id}"): Operation(
        "respuestaGuardada",
        MEMORY,
        Text("Una respuesta guardada", "A stored answer"),
        {
            200: (
                Text("La respuesta, o el rechazo.", "The answer, or the refusal."),
                {JSON: "GuardadaORechazo"},
            )
        },
        Text(
            "Tarda unos segundos en estar, y sus valores se guardan menos tiempo que ella. De una "
            "petición que se rechazó hay `errores`, sin ningún valor, y no hay `version`.",
            "It takes some seconds to be there, and its values are kept for less time than it. "
            "Of a request that was refused there are `errores`, without any value, and there is "
            "no `version`.",
        ),
        ("no_encontrado", "registro_no_disponible"),
        takes=(PREFERRED,),
    ),
    ("POST", "/respuestas/{id}/repetir"): Operation(
        "repetir",
        MEMORY,
        Text("Puntuar otra vez una respuesta", "Score an answer again"),
        {
            200: (
                Text("Las dos, y en qué difieren.", "Both, and what differs."),
                {JSON: "Repeticion"},
            )
        },
        Text(
            "Con el modelo, el umbral y el contrato de entonces; no guarda nada.",
            "By the model, the threshold and the contract of then; it keeps nothing.",
        ),
        ("no_encontrado", "conflicto", "registro_no_disponible"),
        takes=(PREFERRED,),
    ),
    ("POST", "/personas/exportar"): Operation(
        "exportar",
        MEMORY,
        Text("Todo lo que se sabe de una persona", "All that is known of a person"),
        {200: (Text("Lo que se sabe.", "What is known."), {JSON: "Expediente"})},
        Text(
            "Por el `id` de una respuesta o por la referencia de todas las suyas, en el cuerpo y "
            "no en la dirección. Queda en la auditoría, sin la referencia.",
            "By the `id` of an answer or the reference of all of theirs, in the body and not in "
            "the address. It stays in the audit log, without the reference.",
        ),
        ("peticion_no_valida", "no_encontrado", "registro_no_disponible"),
        takes=(PREFERRED,),
        sends={JSON: "Persona"},
        examples=("persona",),
    ),
    ("POST", "/personas/borrar"): Operation(
        "borrar",
        MEMORY,
        Text("Borrar lo que se sabe de una persona", "Erase what is known of a person"),
        {200: (Text("Cuánto se ha borrado.", "How much was erased."), {JSON: "Borrado"})},
        Text(
            "Para siempre. Lo que aún está en el diario no llega a la base de datos y desaparece "
            "en un cuarto de hora; las sumas se quedan.",
            "For good. What is in the journal yet does not come into the database and is gone in "
            "a quarter of an hour; sums stay.",
        ),
        ("peticion_no_valida", "no_encontrado", "registro_no_disponible"),
        takes=(PREFERRED,),
        sends={JSON: "Supresion"},
        examples=("supresion",),
    ),
}
