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
from propensia.web.query import OPTION_ADMITS, Query
from propensia.web.refused import DETAILS, KINDS

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
