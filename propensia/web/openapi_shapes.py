"""The shapes that are the same for every contract, as JSON Schema (2020-12, that of OpenAPI 3.1).

No answer has a key that is not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from propensia import settings
from propensia.journal import references
from propensia.outcomes import checking
from propensia.web import refused
from propensia.web.asked import LONGEST_WHY
from propensia.web.openapi_parts import SHARE, Shape, Text, closed, listed, reference
from propensia.web.results import MOST_OUTCOMES

_CODES = {"type": "string", "enum": [f"urn:propensia:{code}" for code in refused.KINDS]}
_TEXT = {"type": "string"}
_FILE = {"type": "string", "contentMediaType": "application/octet-stream"}
_WHY = {
    "type": "string",
    "minLength": 1,
    "maxLength": LONGEST_WHY,
    "pattern": r"\S",
    "description": Text("Por qué; queda escrito.", "Why; it is kept."),
}
_SEEN = {
    "publicacion": {
        "type": ["integer", "null"],
        "minimum": 1,
        "description": Text(
            "La publicación que se vio al decidir: si ya es otra, 409.",
            "The release that was seen when deciding: if it is another by now, 409.",
        ),
    }
}
_NULLABLE_TEXT = {"type": ["string", "null"]}
_NULLABLE_RELEASE = {"type": ["integer", "null"], "minimum": 1}
_NULLABLE_SHARE = {"anyOf": [SHARE, {"type": "null"}]}


def problem_shape(faults_name: str, more: Mapping[str, Any]) -> Shape:
    """A problem whose ``errores`` have that schema, and which may have ``more`` keys."""
    keys = {
        "type": _CODES,
        "title": _TEXT,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": _TEXT,
        "id": _TEXT,
        "errores": listed(reference(faults_name)),
    }
    return closed({**keys, **more}, more)


def fault_shape(more: Mapping[str, Any]) -> Shape:
    """One of the ``errores`` of a problem, which may have ``more`` keys."""
    keys = dict.fromkeys(("parametro", "codigo", "mensaje", "admite"), _TEXT)
    return closed({**keys, **more}, more)


FIXED: Shape = {
    "Version": {
        "type": "string",
        "pattern": "^[0-9a-f]{12}$",
        "description": Text(
            "Doce cifras hexadecimales que nombran el contenido exacto de un fichero.",
            "Twelve hexadecimal digits that name the exact content of a file.",
        ),
    },
    "Aviso": closed(
        {
            "parametro": {"type": "string"},
            "codigo": reference("Codigo"),
            "mensaje": {"type": "string"},
            "valor_usado": {"type": ["string", "number", "null"]},
        }
    )
    | {"description": Text("Lo que se ha supuesto.", "What was assumed.")},
    "Problema": problem_shape("Fallo", {})
    | {
        "description": Text(
            "RFC 9457. `type` es estable; cada uno está en la página /docs por su nombre.",
            "RFC 9457. `type` is stable; each is on the page /docs by its name.",
        )
    },
    "Fallo": fault_shape({}),
    "Resultados": closed(
        {"resultados": listed({"anyOf": [reference("Respuesta"), reference("Problema")]})}
    ),
    "Cobro": closed(
        {
            "id": {"type": ["string", "null"], "pattern": "^[0-9a-f]{29}$"},
            "ref": {"type": ["string", "integer", "null"], "maxLength": references.LONGEST},
            "pagado": {"anyOf": [{"type": "boolean"}, {"enum": [0, 1, *checking.PAID]}]},
            "importe": {
                "type": ["number", "string", "null"],
                "minimum": 0,
                "maximum": checking.MOST_CENTS // 100,
                "description": Text("Euros pagados en total.", "Euros paid in all."),
            },
            "fecha": {
                "type": "string",
                "pattern": "^([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{1,2}/[0-9]{1,2}/[0-9]{4})$",
                "description": Text("AAAA-MM-DD o DD/MM/AAAA.", "YYYY-MM-DD or DD/MM/YYYY."),
            },
        },
        ("id", "ref", "importe"),
    )
    | {"anyOf": [{"required": ["id"]}, {"required": ["ref"]}]},
    "CobroOCobros": {
        "anyOf": [
            reference("Cobro"),
            listed(reference("Cobro")) | {"maxItems": MOST_OUTCOMES},
        ]
    },
    "ResultadosGuardados": closed(
        {
            "aceptados": {"type": "integer", "minimum": 0},
            "rechazados": {"type": "integer", "minimum": 0},
            "resultados": listed(
                {
                    "anyOf": [
                        closed({"estado": {"type": "string", "const": "aceptado"}}),
                        reference("Problema"),
                    ]
                }
            ),
        }
    ),
    "Salud": closed(
        {
            "estado": {"type": "string", "enum": ["bien", "degradado"]},
            "problemas": listed({"type": "string"}),
            "version": {"anyOf": [reference("Version"), {"type": "null"}]},
            "trabajadores": listed(
                closed(
                    {
                        "pid": {"type": "integer"},
                        "version": _NULLABLE_TEXT,
                        "publicacion": {"type": ["integer", "null"]},
                    }
                )
            ),
            "diario": closed(
                {
                    "modo": {"type": "string", "enum": list(settings.JOURNALS)},
                    "segundos": {
                        "type": "number",
                        "minimum": 0,
                        "description": Text(
                            "Lo que un corte de luz puede perder; 0: nada.",
                            "What a power cut may lose; 0: nothing.",
                        ),
                    },
                    "retraso_segundos": {
                        "type": ["number", "null"],
                        "minimum": 0,
                        "description": Text(
                            "Desde cuándo espera lo que aún no está en la base de datos.",
                            "How long what is not in the database yet has been waiting.",
                        ),
                    },
                    "pendiente_bytes": {"type": ["integer", "null"], "minimum": 0},
                    "apartados": {
                        "type": ["integer", "null"],
                        "minimum": 0,
                        "description": Text(
                            "Registros que la base de datos no admite, en el diario.",
                            "Records that the database does not take, in the journal.",
                        ),
                    },
                    "ilegibles": {"type": ["integer", "null"], "minimum": 0},
                }
            ),
        }
    ),
    "Panel": {"type": "object", "required": ["salud", "ritmo", "datos"]},
    "Vivo": closed({"estado": {"type": "string", "const": "vivo"}}),
    "Listo": closed(
        {"estado": {"type": "string", "const": "listo"}, "version": reference("Version")}
    ),
    "Modelos": closed(
        {
            "activa": _NULLABLE_TEXT,
            "anterior": _NULLABLE_TEXT,
            "publicacion": _NULLABLE_RELEASE,
            "umbral": _NULLABLE_SHARE,
            "modelos": listed(
                closed(
                    {
                        "version": {"type": "string"},
                        "modelo": {"type": "string"},
                        "sha256": {"type": "string"},
                        "estado": {
                            "type": "string",
                            "enum": ["activa", "anterior", "candidata", "rechazada"],
                        },
                        "publicacion": _NULLABLE_RELEASE,
                        "publicado": _NULLABLE_TEXT,
                        "umbral": _NULLABLE_SHARE,
                        "quien": _NULLABLE_TEXT,
                        "motivo": {"type": "string"},
                    }
                )
            ),
        }
    ),
    "Entrega": closed(
        {
            "version": reference("Version"),
            "modelo": {"type": "string"},
            "estado": {"type": "string", "enum": ["activa", "candidata"]},
            "publicacion": {"type": ["integer", "null"]},
            "comprobaciones": listed(
                closed(dict.fromkeys(("nombre", "resultado", "mensaje"), _TEXT))
            ),
            "avisos": listed(closed(dict.fromkeys(("codigo", "mensaje"), _TEXT))),
        }
    ),
    "Fichero": {
        "type": "object",
        "properties": {
            "fichero": _FILE | {"description": Text("El PKL.", "The PKL.")},
            "ficha": _FILE | {"description": Text("Su ficha JSON.", "Its JSON sidecar.")},
            "firma": _FILE | {"description": Text("Su firma.", "Its signature.")},
        },
        "required": ["fichero"],
    },
    "Activar": closed({"motivo": _WHY, "umbral": _NULLABLE_SHARE} | _SEEN, ("umbral", *_SEEN)),
    "Volver": closed({"motivo": _WHY, "version": _NULLABLE_TEXT} | _SEEN, ("version", *_SEEN)),
    "Publicacion": closed(
        {
            "publicacion": {"type": "integer", "minimum": 1},
            "version": reference("Version"),
            "modelo": {"type": "string"},
            "anterior": _NULLABLE_TEXT,
            "umbral": SHARE,
        }
    ),
    "Entrada": {
        "type": "object",
        "properties": {"clave": {"type": "string"}, "volver": {"type": "string"}},
        "required": ["clave"],
    },
    "Salida": {"type": "object", "properties": {"csrf": _TEXT}},
    "Documento": {"type": "object", "required": ["openapi", "info", "paths"]},
    "Pagina": {"type": "string", "description": Text("Una página HTML.", "An HTML page.")},
    "Texto": {"type": "string"},
}
"""Components that are the same for every contract."""


WISHED_LANGUAGE: Shape = {
    "name": "idioma",
    "in": "query",
    "description": Text(
        "Idioma de los mensajes: `es` o `en`. Con otro texto decide `Accept-Language`.",
        "Language of the messages: `es` or `en`. With another text `Accept-Language` decides.",
    ),
    "schema": {"type": "string"},
}
