"""What Flask's routes about models ask of a request: who sends it, in which language to refuse it.

It never repeats what was sent.
"""

from __future__ import annotations

from flask import request

from propensia.access.roles import Caller
from propensia.faults import sentence
from propensia.publishing import Hand
from propensia.web import door
from propensia.web.problems import wanted_language
from propensia.web.query import LONGEST_QUERY

Errors = list[dict[str, str]]


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
    raw = request.environ.get("QUERY_STRING", "")
    asked = request.args.get("idioma") if len(raw) <= LONGEST_QUERY else None
    if asked in ("es", "en"):
        return asked
    return wanted_language(None, request.headers.get("Accept-Language", ""))


def fault(parameter: str, code: str, admits: str = "") -> dict[str, str]:
    message = sentence(code, parameter, language(), admits=admits)
    return error(parameter, code, message, admits)


def error(parameter: str, code: str, message: str, admits: str = "") -> dict[str, str]:
    return {"parametro": parameter, "codigo": code, "mensaje": message, "admite": admits}
