"""The page that asks for a key, shown at whatever address was asked for.

It must never put a query, which is personal data, into an address that had none.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from flask import Response, render_template, request

from propensia.web import door, pages
from propensia.web.problems import Problem, refusal_headers
from propensia.web.query import LONGEST_QUERY

ENTER = "/entrar"
BACK_FIELD, KEY_FIELD = "volver", "clave"
# What an address may hold as it is; "%", because it is quoted already.
_PLAIN = "/?:@!$&'()*+,;=-._~%"


def login_page(refused: Problem | None, language: str, keyless: str = "") -> Response:
    """The page that asks for a key, at the address that was asked for; ``refused`` is why.
    ``keyless``: what to say instead of asking, where nobody has a key."""
    frame = pages.frame(pages.texts(language)["login_title"], language, "", [])
    # Where the door refused, the body was not looked at, and may be of any size.
    let_in = door.REFUSAL not in request.environ
    asked_again = let_in and request.path == ENTER and request.method == "POST"
    context = placed(frame) | {
        "problem": None if refused is None else refused.body,
        "wrong": asked_again,
        "back": request.form.get(BACK_FIELD, "/") if asked_again else _here(language),
        "switch": "?" + _query(f"idioma={frame['other_language']}"),
        "again": _again() if refused is not None and _from_elsewhere() else "",
        "keyless": keyless,
    }
    status = 200 if refused is None else refused.status
    response = Response(render_template("login.html", **context), status)
    response.headers.extend([] if refused is None else refusal_headers(refused))
    return response


def placed(context: dict[str, Any]) -> dict[str, Any]:
    """The context of a page that may be shown at any address, with its links made for this one."""
    root = "../" * (request.path.count("/") - 1) or "./"
    return context | {"root": root, "switch": root + context["switch"].removeprefix("./")}


def this_machine() -> str:
    """How a program of this machine calls."""
    return f"{request.scheme}://127.0.0.1:{request.environ.get('SERVER_PORT', '')}"


def _here(language: str) -> str:
    """The address to come back to; the form where this one cannot be asked for again."""
    if request.method not in ("GET", "HEAD") or request.path == ENTER:
        return f"/?idioma={language}"
    path = quote(request.environ["PATH_INFO"].encode("latin-1"))
    query = _query()
    return f"{path}?{query}" if query else path


def _from_elsewhere() -> bool:
    """Whether a link of another site led here: then a browser leaves the cookie out, as it is
    told to (RFC 6265bis, 5.2, ``SameSite=Strict``), and there may be a session all the same."""
    if request.method != "GET":
        return False
    site, referrer = request.headers.get("Sec-Fetch-Site"), request.headers.get("Referer")
    if site is not None:
        return site in ("cross-site", "same-site")
    return referrer is not None and referrer.split("/")[2:3] != [request.host]


def _again() -> str:
    """This same address, for a link of this page."""
    last = quote(request.environ["PATH_INFO"].rpartition("/")[2].encode("latin-1"))
    query = _query()
    return f"./{last}?{query}" if query else f"./{last}"


def _query(instead: str = "") -> str:
    """The query as it was sent, escaped where it has to be; ``instead`` replaces its language."""
    raw: str = request.environ.get("QUERY_STRING", "")
    items = raw.split("&") if len(raw) <= LONGEST_QUERY else []
    if instead:
        items = [item for item in items if item and not item.startswith("idioma=")] + [instead]
    return quote("&".join(items).encode("latin-1"), safe=_PLAIN)
