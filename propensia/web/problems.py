"""Problem details (RFC 9457) in the caller's language: one shape for every refusal.

A problem names parameters and codes; it never carries a value that was received.
"""

from __future__ import annotations

import contextlib
import json
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from propensia.contract import Contract
from propensia.faults import Fault, sentence
from propensia.web.query import LONGEST_QUERY, OPTION_ADMITS, Query

PROBLEM, TEXT = "application/problem+json", "text/plain; charset=utf-8"
CODE_FIELD = "X-Propensia-Problem"
"""A header of every refusal: its code, for whoever reads no body."""

FRAMES = 5
# Sent with every answer of every route (OWASP Secure Headers Project): debtors' data stay out of
# caches, referrers, and the pages of other sites.
SAFE_HEADERS = [
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Vary", "Accept, Accept-Language"),
]
# code -> (status, (title, detail) in Spanish, the same in English, seconds to wait or 0)
KINDS: dict[str, tuple[int, tuple[str, str], tuple[str, str], int]] = {
    "peticion_no_valida": (
        400,
        ("Petición no válida", "Corrija lo que se indica en «errores» y repita la petición."),
        ("Invalid request", "Mend what «errores» lists and send the request again."),
        0,
    ),
    "cuerpo_no_valido": (
        400,
        ("Cuerpo no válido", "El cuerpo debe ser JSON en UTF-8 con la forma que dice /docs."),
        ("Invalid body", "The body must be JSON in UTF-8, of the shape that /docs tells."),
        0,
    ),
    "clave_no_valida": (
        401,
        ("Clave no válida", "Envíe una clave que valga aquí en la cabecera X-API-Key."),
        ("Invalid key", "Send a key that is good here in the header X-API-Key."),
        0,
    ),
    "sin_permiso": (
        403,
        ("Sin permiso", "Su clave no puede hacer esto; pida otra a quien administra."),
        ("No permission", "Your key may not do this; ask the administrator for another."),
        0,
    ),
    "origen_no_permitido": (
        403,
        ("Origen no permitido", "Lo envió otra página, u otra sesión: recargue y repita."),
        ("Origin not allowed", "Another page or session sent this: reload and try again."),
        0,
    ),
    "no_encontrado": (
        404,
        ("No encontrado", "Esa dirección no existe; la de puntuar es /prediccion."),
        ("Not found", "There is no such address; the one that scores is /prediccion."),
        0,
    ),
    "metodo_no_permitido": (
        405,
        ("Método no permitido", "Use uno de los métodos de la cabecera Allow."),
        ("Method not allowed", "Use one of the methods in the Allow header."),
        0,
    ),
    "conflicto": (
        409,
        ("Conflicto", "Lo publicado ha cambiado, o no permite esto ahora; mire /modelos."),
        ("Conflict", "What is published has changed, or forbids this now; see /modelos."),
        0,
    ),
    "peticion_incompleta": (
        400,
        ("Petición incompleta", "La petición no es HTTP/1.1 válido o llegó incompleta."),
        ("Incomplete request", "The request is not valid HTTP/1.1, or did not arrive whole."),
        0,
    ),
    "fichero_demasiado_grande": (
        413,
        ("Contenido demasiado grande", "El contenido puede ocupar como mucho {longest}."),
        ("Content too large", "The content may have at most {longest}."),
        0,
    ),
    "demasiadas_filas": (
        413,
        ("Demasiadas filas", "Envíe como mucho {most_rows} filas en cada petición."),
        ("Too many rows", "Send at most {most_rows} rows in each request."),
        0,
    ),
    "peticion_demasiado_larga": (
        414,
        ("Petición demasiado larga", f"La parte tras «?» puede tener {LONGEST_QUERY} caracteres."),
        ("Request too long", f"The part after “?” may have {LONGEST_QUERY} characters."),
        0,
    ),
    "tipo_no_admitido": (
        415,
        ("Tipo no admitido", "Envíe el contenido con el tipo que dice /docs."),
        ("Type not taken", "Send the content with the type that /docs tells."),
        0,
    ),
    "modelo_rechazado": (
        422,
        ("Modelo rechazado", "El fichero no ha pasado las comprobaciones; vea «errores»."),
        ("Model refused", "The file did not pass the checks; see «errores»."),
        0,
    ),
    "limite_superado": (
        429,
        ("Límite superado", "Demasiadas peticiones; espere {retry_s} s y repita la petición."),
        ("Too many requests", "Too many requests; wait {retry_s} s and send it again."),
        1,
    ),
    "error_interno": (
        500,
        ("Error interno", "Error nuestro; indique este id a quien mantiene el servicio."),
        ("Internal error", "Our fault; give this id to whoever keeps the service."),
        0,
    ),
    "ocupado": (
        503,
        ("Ocupado", "Demasiadas peticiones a la vez; repita en un segundo."),
        ("Busy", "Too many requests at once; send it again in a second."),
        1,
    ),
    "sin_modelo": (
        503,
        ("Sin modelo", "Aún no hay modelo publicado; repita la petición en unos segundos."),
        ("No model", "No model is published yet; send the request again in some seconds."),
        5,
    ),
    "modelo_no_fiable": (
        503,
        ("Modelo no fiable", "El modelo falló o dio un resultado imposible; avise a analítica."),
        ("Model not reliable", "The model failed or gave an impossible result; tell analysts."),
        5,
    ),
}

# name of a more exact detail -> (code of its problem, Spanish, English)
DETAILS: dict[str, tuple[str, str, str]] = {
    "sin_claves": (
        "clave_no_valida",
        "Aún no hay claves: llame a {here} desde esta misma máquina, con HTTP/1.1 y sin proxy, o "
        "haga una con «propensia keys create».",
        "There are no keys yet: call {here} on this very machine, by HTTP/1.1 and without a "
        "proxy, or make one with “propensia keys create”.",
    ),
    "permiso_sin_clave": (
        "sin_permiso",
        "Sin clave no se puede hacer esto; haga una con «propensia keys create» y envíela.",
        "Without a key this is not possible; make one with “propensia keys create” and send it.",
    ),
    "modelo_desconocido": (
        "no_encontrado",
        "No hay ningún modelo con ese nombre; use el del contrato o el del fichero activo.",
        "There is no model of that name; use that of the contract or of the active file.",
    ),
    "version_desconocida": (
        "no_encontrado",
        "No hay ninguna versión con ese nombre; /modelos las enumera.",
        "There is no version of that name; /modelos lists them.",
    ),
    "version_no_activa": (
        "no_encontrado",
        "Esa versión no es la que responde; /modelos dice cuál es.",
        "That version is not the one that answers; /modelos tells which is.",
    ),
    "misma_persona": (
        "sin_permiso",
        "Tiene que decidirlo otra persona: con cuatro ojos, nadie publica lo que entregó.",
        "Another person has to decide it: with four eyes, nobody publishes what they handed in.",
    ),
    "contenido_comprimido": (
        "tipo_no_admitido",
        "Envíe el contenido sin comprimir, sin la cabecera Content-Encoding.",
        "Send the content as it is, not compressed, without the header Content-Encoding.",
    ),
    "solo_json": (
        "tipo_no_admitido",
        "Envíe el contenido como application/json, en UTF-8.",
        "Send the content as application/json, in UTF-8.",
    ),
    "solo_tensores": (
        "tipo_no_admitido",
        "Envíe el contenido como application/json, o application/octet-stream si lleva tensores.",
        "Send the content as application/json, or application/octet-stream if it has tensors.",
    ),
    "solo_formulario": (
        "tipo_no_admitido",
        "Envíe el fichero en un formulario, multipart/form-data.",
        "Send the file in a form, multipart/form-data.",
    ),
}
"""Where the place that refuses knows more than its code says."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal, ready to be shown. ``retry_s`` is 0 where waiting does not help."""

    code: str
    status: int
    retry_s: int
    body: dict[str, Any]

    def json(self) -> bytes:
        """The body of ``application/problem+json``."""
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode("utf-8")

    def text(self) -> bytes:
        """The sentences, one a line, for ``text/plain``."""
        lines = [error["mensaje"] for error in self.body["errores"]] or [self.body["detail"]]
        return ("\n".join(lines) + "\n").encode("utf-8")


def problem(
    code: str,
    id: str,
    language: str,
    faults: Iterable[Fault] = (),
    contract: Contract | None = None,
    most_rows: int = 0,
    retry_s: int = 0,
    longest: int = 0,
    exact: str = "",
    here: str = "",
) -> Problem:
    """The problem of that ``code``; ``faults`` become its ``errores``, all at once.

    ``most_rows``: the longest batch, which one of the sentences names. ``retry_s``: when another
    try makes sense, where that is known better than by the table. ``longest``: bytes of the
    longest body. ``exact``: one of ``DETAILS``, whose sentence takes the place of the usual one.
    ``here``: how programs of this machine call.
    """
    status, spanish, english, usual_retry_s = KINDS[code]
    retry_s = retry_s or usual_retry_s
    title, detail = spanish if language == "es" else english
    if exact:
        detail = DETAILS[exact][1 if language == "es" else 2]
    most = {"most_rows": most_rows, "longest": _size(longest)}
    body = {
        "type": f"urn:propensia:{code}",
        "title": title,
        "status": status,
        "detail": detail.format(**most, retry_s=retry_s, here=here),
        "id": id,
        "errores": [_error(fault, language, contract) for fault in faults],
    }
    return Problem(code, status, retry_s, body)


def _size(size: int) -> str:
    """A number of bytes as people write it, never more than it is."""
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


def with_error(refused: Problem, more: str = "") -> Problem:
    """The same problem with the member ``error``, the one that clients of the protocol read."""
    refused.body["error"] = refused.body["detail"] + more
    return refused


def _error(fault: Fault, language: str, contract: Contract | None) -> dict[str, str]:
    admits, own = fault.admits, None
    if contract is not None:
        own = contract.own_faults
        known = {parameter.name: parameter for parameter in contract.parameters}
        if fault.parameter in known:
            admits = known[fault.parameter].admits()
        elif fault.parameter in OPTION_ADMITS:
            admits = OPTION_ADMITS[fault.parameter].format(most=len(known))
    message = sentence(fault.code, fault.parameter, language, admits=admits, own=own)
    return {
        "parametro": fault.parameter,
        "codigo": fault.code,
        "mensaje": message,
        "admite": admits,
    }


def refusal_headers(refused: Problem) -> list[tuple[str, str]]:
    """The headers of a problem besides its type and length."""
    headers = [("X-Propensia-Id", refused.body["id"]), (CODE_FIELD, refused.code), *SAFE_HEADERS]
    if refused.retry_s:
        headers.append(("Retry-After", str(refused.retry_s)))
    if refused.status == 401:  # RFC 9110, 15.5.2
        headers.append(("WWW-Authenticate", "Bearer"))
    return headers


def answer_of(refused: Problem, form: str) -> tuple[bytes, list[tuple[str, str]]]:
    """Body and headers of a problem: sentences for ``text``, problem details for the rest.

    Every route answers with it, but for pages, which only Flask's side can render.
    """
    body, kind = (refused.text(), TEXT) if form == "text" else (refused.json(), PROBLEM)
    own = [("Content-Type", kind), ("Content-Length", str(len(body)))]
    return body, own + refusal_headers(refused)


def trace(error: BaseException) -> str:
    """The type of an error and where it came from, innermost place first, for a log line.

    Never its message, nor that of its cause: they could carry a debtor's value.
    """
    frames = list(traceback.walk_tb(error.__traceback__))[-FRAMES:]
    places = [
        f"{'/'.join(Path(frame.f_code.co_filename).parts[-2:])}:{line}"
        for frame, line in reversed(frames)
    ]
    return f"{type(error).__name__} at {' < '.join(places)}"


def wanted_language(query: Query | None, accept: str) -> str:
    """``es`` or ``en``: what the query says, else what the header prefers, else Spanish."""
    if query is not None and query.options.get("idioma") in ("es", "en"):
        return query.options["idioma"]
    best, weight = "es", 0.0
    for tag, share in preferences(accept) if accept else ():
        language = tag[:2]
        if language in ("es", "en") and share > weight:
            best, weight = language, share
    return best


def preferences(header: str) -> Iterator[tuple[str, float]]:
    """What an Accept header names, in lower case, with its weight (``q``, by default 1).

    An item whose weight is no number is left out.
    """
    for item in "".join(header.lower().split()).split(","):
        name, *parameters = item.split(";")
        quality = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        with contextlib.suppress(ValueError):
            yield name, float(quality)
