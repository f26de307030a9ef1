"""What Flask's routes ask of a request: who sends it, what, and in which language to refuse it.

It never repeats what was sent.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from flask import request

from propensia.access.roles import Caller
from propensia.faults import sentence
from propensia.publishing import Hand
from propensia.web import door
from propensia.web.problems import wanted_language
from propensia.web.query import LONGEST_QUERY, MOST_NOTES
from propensia.web.rows import BadBody, content, decoded, is_json, no_json, unknown, unreadable

LONGEST_WHY = 200
Errors = list[dict[str, str]]
Wrong = tuple[str, str]
"""The code of what is wrong with a field, and what the field takes."""


class Refused(Exception):
    """A request that is answered with a problem; ``errors`` are its ``errores``, ``exact`` is the
    name of its detail where that says more than the usual one (``refused.DETAILS``)."""

    def __init__(self, code: str, errors: Errors | None = None, exact: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.errors = errors or []
        self.exact = exact


def hand() -> Hand:
    """Who asks, as the door found."""
    caller: Caller = request.environ[door.CALLER]
    return Hand("http", caller.name, caller.key)


def language() -> str:
    """``es`` or ``en``, as ``idioma`` in the address says, else what the header prefers."""
    raw: str = request.environ.get("QUERY_STRING", "")
    # Flask's own reading fails for bytes that are not UTF-8, which some servers let through.
    named = parse_qs(raw, errors="replace").get("idioma") if len(raw) <= LONGEST_QUERY else None
    if named and named[0] in ("es", "en"):
        return named[0]
    return wanted_language(None, request.headers.get("Accept-Language", ""))


def fault(parameter: str, code: str, admits: str = "") -> dict[str, str]:
    message = sentence(code, parameter, language(), admits=admits)
    return error(parameter, code, message, admits)


def error(parameter: str, code: str, message: str, admits: str = "") -> dict[str, str]:
    return {"parametro": parameter, "codigo": code, "mensaje": message, "admite": admits}


def sent_object(known: set[str]) -> dict[str, Any]:
    """The object that a request sends, under the ``known`` names; ``null`` is not sent. Raises
    ``Refused``."""
    try:
        if not is_json(request.environ.get("CONTENT_TYPE", "")):
            raise BadBody("tipo_no_admitido", exact="solo_json")
        sent = decoded(_DECODER, content(request.environ))
        if not isinstance(sent, dict):
            raise unreadable("objeto_esperado")
        others = sorted(sent.keys() - known)[:MOST_NOTES]
        if others:
            raise BadBody("cuerpo_no_valido", *(unknown(name, sorted(known)) for name in others))
    except BadBody as bad:
        errors = [fault(one.parameter, one.code, one.admits) for one in bad.faults]
        raise Refused(bad.code, errors, bad.exact) from None
    return {name: value for name, value in sent.items() if value is not None}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):  # of two, programs take the one or the other (RFC 8259, 4)
        raise unreadable("nombre_repetido")
    return found


# A longer number is none of ours, and Python refuses to read very long ones as integers.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_once,
    parse_int=lambda digits: int(digits) if len(digits) < 20 else float(digits),
    parse_constant=no_json,
)


def text_of(longest: int) -> str:
    """What a field takes that is a text of so many letters at most."""
    if language() == "en":
        return f"a text of 1 to {longest} letters"
    return f"un texto de 1 a {longest} letras"


def wrong_why(value: Any) -> Wrong | None:
    """What is wrong with a reason, which has to be given."""
    admits = text_of(LONGEST_WHY)
    if value is None or (isinstance(value, str) and not value.strip()):
        return "parametro_ausente", admits
    if not isinstance(value, str):
        return "tipo_no_valido", admits
    return ("texto_demasiado_largo", admits) if len(value) > LONGEST_WHY else None


def kept_why(text: str) -> str:
    """A reason as it is kept."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text).strip()
