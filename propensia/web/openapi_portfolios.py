"""The part of the OpenAPI document about uploaded portfolios.

No answer of those routes has a key that is not here.
"""

from __future__ import annotations

from propensia import jobs
from propensia.web.openapi_parts import (
    FORM,
    HTML,
    JSON,
    PAGES,
    PREFERRED,
    SCORING,
    SHARE,
    UPLOAD,
    Operation,
    Shape,
    Text,
    closed,
    listed,
    reference,
)

STATES = (
    *("mirando", "lista", "rechazada", "en_cola"),
    *("puntuando", "hecha", "fallida", "parada"),
)
FILES = "application/octet-stream"
ID = "^[0-9a-f]{32}$"
PATH: dict[str, tuple[Shape, Text]] = {
    "cartera": (
        {"type": "string", "pattern": ID},
        Text("El `id` de una cartera subida.", "The `id` of an uploaded portfolio."),
    )
}
"""Name of a placeholder of a path -> its schema, and what it is."""

_TEXT: Shape = {"type": "string"}
_COUNT: Shape = {"type": "integer", "minimum": 0}
_NULLABLE_TEXT: Shape = {"type": ["string", "null"]}
_ID: Shape = {"type": "string", "pattern": ID}
_TIME: Shape = {"type": "string", "format": "date-time"}
_SAID = {"parametro": _TEXT, "codigo": _TEXT, "mensaje": _TEXT}
_ROW = closed(
    {
        "fila": _COUNT,
        "celdas": listed(_TEXT),
        "errores": listed(closed(_SAID)),
        "avisos": listed(closed(_SAID)),
    }
)
_VIEW = closed(
    {
        "filas": _COUNT,
        "con_errores": _COUNT,
        "errores": listed(closed(_SAID | {"filas": _COUNT})),
        "columnas": listed(closed({"nombre": _TEXT, "parametro": _NULLABLE_TEXT})),
        "otras_columnas": _COUNT,
        "primeras": listed(_ROW),
        "siguientes_con_errores": listed(_ROW),
    }
)


def _or_null(shape: Shape) -> Shape:
    return {"anyOf": [shape, {"type": "null"}]}


FIXED: Shape = {
    "Cartera": closed(
        {
            "id": _ID,
            "estado": {"type": "string", "enum": [*STATES]},
            "fichero": _TEXT,
            "bytes": _COUNT,
            "creada": _TIME,
            "caduca": _TIME,
            "version": _or_null(reference("Version")),
            "mensaje": _NULLABLE_TEXT,
            "hoja": _NULLABLE_TEXT,
            "hojas": listed(_TEXT),
            "vista": _or_null(_VIEW),
            "avance": _or_null(closed({"parte": SHARE, "filas": _COUNT})),
            "resumen": {
                "type": ["object", "null"],
                "description": Text(
                    "El de `propensia score`, cuando ha terminado.",
                    "That of `propensia score`, once it is done.",
                ),
            },
            "hay_errores": {"type": "boolean"},
        }
    ),
    "CarteraBorrada": closed({"id": _ID, "estado": {"const": "borrada"}}),
    "FicheroDeCartera": {
        "type": "object",
        "properties": {
            "fichero": {"type": "string", "contentMediaType": FILES},
            "csrf": _TEXT,
        },
        "required": ["fichero"],
    },
    "Bytes": {"type": "string", "contentMediaType": FILES},
    "HojaDeCartera": {
        "type": "object",
        "properties": {"hoja": _TEXT, "csrf": _TEXT},
        "required": ["hoja"],
    },
    "PedidoDeCartera": {
        "type": "object",
        "properties": {
            "formato_resultado": {"type": "string", "enum": [*jobs.RESULTS]},
            "motivos": {"type": "integer", "minimum": 0, "maximum": 10},
            "csrf": _TEXT,
        },
    },
    "BorradoDeCartera": {"type": "object", "properties": {"csrf": _TEXT}},
}
"""Components that are the same for every contract."""

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_SEEN = Text("Volver a su página.", "Back to its page.")
OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", "/cartera"): Operation(
        "paginaCartera",
        PAGES,
        Text("La página para subir una cartera", "The page to upload a portfolio"),
        {200: (Text("La página.", "The page."), {HTML: "Pagina"})},
        takes=(PREFERRED,),
    ),
    ("POST", "/carteras"): Operation(
        "subirCartera",
        SCORING,
        Text("Subir una cartera", "Upload a portfolio"),
        {
            201: (
                Text("Está subida y se revisa.", "It is here, being checked."),
                {JSON: "Cartera"},
            ),
            303: (_SEEN, {}),
        },
        Text(
            f"Un fichero CSV, Excel o Parquet de hasta {jobs.MOST_ROWS} filas. Es de la clave que "
            "la sube: para las demás no existe. Se borra sola.",
            f"A CSV, Excel or Parquet file of up to {jobs.MOST_ROWS} rows. It belongs to the key "
            "that uploads it: for others there is none. It is deleted by itself.",
        ),
        ("peticion_no_valida", "tipo_no_admitido", "conflicto"),
        takes=(PREFERRED,),
        sends={UPLOAD: "FicheroDeCartera", "text/csv": "Bytes", XLSX: "Bytes"},
    ),
    ("GET", "/carteras/{cartera}"): Operation(
        "cartera",
        SCORING,
        Text("Cómo va una cartera", "How a portfolio does"),
        {
            200: (
                Text("Su estado y sus primeras filas.", "Its state and its first rows."),
                {JSON: "Cartera", HTML: "Pagina"},
            )
        },
        codes=("no_encontrado",),
        takes=(PREFERRED,),
    ),
    ("POST", "/carteras/{cartera}/revisar"): Operation(
        "revisarCartera",
        SCORING,
        Text("Revisar otra hoja del libro", "Check another sheet of the workbook"),
        {
            202: (Text("Se revisa.", "It is being checked."), {JSON: "Cartera"}),
            303: (_SEEN, {}),
        },
        Text(
            "Una de `hojas`, que están mientras no se puntúa; `hoja` nula es la primera.",
            "One of `hojas`, which are there until it is scored; a null `hoja` is the first.",
        ),
        ("peticion_no_valida", "no_encontrado", "conflicto"),
        takes=(PREFERRED,),
        sends={FORM: "HojaDeCartera"},
    ),
    ("POST", "/carteras/{cartera}/puntuar"): Operation(
        "puntuarCartera",
        SCORING,
        Text("Puntuar una cartera, o seguir", "Score a portfolio, or go on"),
        {
            202: (Text("Espera o se puntúa.", "It waits or is scored."), {JSON: "Cartera"}),
            303: (_SEEN, {}),
        },
        Text(
            "Con la versión publicada en este momento, hasta la última fila.",
            "By the version that is published at this moment, to the last row.",
        ),
        ("peticion_no_valida", "no_encontrado", "conflicto", "sin_modelo"),
        takes=(PREFERRED,),
        sends={FORM: "PedidoDeCartera"},
        may_be_empty=True,
    ),
    ("GET", "/carteras/{cartera}/resultado"): Operation(
        "resultadoCartera",
        SCORING,
        Text("Descargar el resultado", "Download the result"),
        {200: (Text("El fichero.", "The file."), {"text/csv": "Bytes", XLSX: "Bytes"})},
        codes=("no_encontrado", "conflicto"),
    ),
    ("GET", "/carteras/{cartera}/errores"): Operation(
        "erroresCartera",
        SCORING,
        Text("Descargar las filas con errores", "Download the rows with faults"),
        {200: (Text("Número y códigos.", "Number and codes."), {"text/csv": "Bytes"})},
        codes=("no_encontrado", "conflicto"),
    ),
    ("POST", "/carteras/{cartera}/borrar"): Operation(
        "borrarCartera",
        SCORING,
        Text("Borrar una cartera", "Delete a portfolio"),
        {
            200: (Text("Ya no está.", "It is gone."), {JSON: "CarteraBorrada"}),
            303: (Text("Volver a /cartera.", "Back to /cartera."), {}),
        },
        codes=("no_encontrado",),
        sends={FORM: "BorradoDeCartera"},
        may_be_empty=True,
    ),
}
