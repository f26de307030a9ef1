"""Sessions of browsers: the page that asks for a key, logging in with one, and logging out.

It must never put a query, which is personal data, into an address that had none, nor keep a key.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

from flask import Flask, Response, render_template, request

from propensia.access import Access, Denied, networks
from propensia.access.limits import ENTERING
from propensia.access.sessions import Session
from propensia.web import door, pages, routes
from propensia.web.prediccion import Scoring
from propensia.web.problems import TEXT, Problem, problem, refusal_headers, wanted_language
from propensia.web.query import LONGEST_QUERY
from propensia.web.quotas import FIELDS, Quotas

ENTER, LEAVE = "/entrar", "/salir"
BACK_FIELD, KEY_FIELD = "volver", "clave"
LONGEST_BACK = 4 * LONGEST_QUERY
# What an address may hold as it is; "%", because it is quoted already.
_PLAIN = "/?:@!$&'()*+,;=-._~%"


def add_routes(
    app: Flask,
    access: Access,
    quotas: Quotas,
    scoring: Scoring,
    refusal: Callable[[str], Response],
) -> None:
    """Give ``app`` the routes of sessions, the check of what their forms send, and, for every
    page, ``entered`` where there is a session: its name, its role and its random text.

    ``refusal`` makes the answer to a problem's code.
    """

    def language() -> str:
        query = scoring.read(request.environ.get("QUERY_STRING", ""))
        return wanted_language(query, request.headers.get("Accept-Language", ""))

    @app.before_request
    def own_form() -> Response | None:
        held = _session()
        if door.FIELD_DUE in request.environ and (held is None or not _shows(held)):
            return refusal("origen_no_permitido")
        return None

    @app.get(ENTER)
    def entrance() -> Response:
        if access.is_closed:
            return login_page(None, language())
        id, here = scoring.serving.new_id(), this_machine()
        why = problem("clave_no_valida", id, language(), exact="sin_claves", here=here)
        return login_page(None, language(), why.body["detail"])

    @app.post(ENTER)
    def enter() -> Response:
        environ = request.environ
        shown = request.form.get(KEY_FIELD, "").strip()
        asked = door.asking(environ, access)
        try:
            key = access.entering(asked._replace(key=shown))
        except Denied as denied:  # only wrong keys are counted: nobody can lock others out
            denied = quotas.failed(environ, ENTERING, asked.address) or denied
            environ[door.RETRY], environ[door.EXACT] = denied.retry_s, denied.exact
            environ[door.CAUSES].append(denied.cause)
            response = refusal(denied.code)
            response.headers.extend(environ.get(FIELDS, ()))
            return response
        before = _session()
        if before is not None:  # who logs in again leaves nothing behind
            access.sessions.end(before)
        response = _moved(_local(request.form.get(BACK_FIELD, "")))
        _set_cookie(response, access, access.sessions.begin(key), access.sessions.lasts_s)
        return response

    @app.post(LEAVE)
    def leave() -> Response:
        held = _session()
        if held is not None:
            if not _shows(held):
                return refusal("origen_no_permitido")
            access.sessions.end(held)
        response = _moved(f"{ENTER}?idioma={language()}")
        _set_cookie(response, access, "", 0)
        return response

    @app.context_processor
    def entered() -> dict[str, Any]:
        held = _session()
        key = None if held is None else access.keys.by_id(held.key)
        refused = request.environ.get(door.REFUSAL) == "clave_no_valida"
        if held is None or key is None or refused or not key.is_good(time.time()):
            return {}
        return {"entered": {"name": key.name, "role": key.role, "csrf": held.nonce}}


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


def _session() -> Session | None:
    found: Session | None = request.environ.get(door.SESSION)
    return found


def _shows(held: Session) -> bool:
    """Whether what was sent shows that it is of a page of that session."""
    shown = request.headers.get("X-CSRF-Token")
    return held.is_of(request.form.get(door.CSRF_FIELD, "") if shown is None else shown)


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


def _local(back: str) -> str:
    """``back`` if it is the address of a page of ours, else that of the form.

    The table of routes decides, not the look of the text: browsers read ``//``, ``/\\`` and
    control characters in ways of their own.
    """
    route = routes.find("GET", unquote(back.partition("?")[0]))
    plain = back.isascii() and back.isprintable() and not set(back) & set(' \\"<>')
    known = route is not None and route.permission is not None
    return back if known and plain and len(back) <= LONGEST_BACK else "/"


def _moved(back: str) -> Response:
    """Go to a page of ours by GET; relative, since a proxy may have put us below a path."""
    return Response("", 303, {"Location": f".{back}"}, content_type=TEXT)


def _set_cookie(response: Response, access: Access, text: str, lasts_s: int) -> None:
    """Out of reach of scripts and of other sites; over TLS only, where there is TLS."""
    environ = request.environ
    sender = networks.place(environ.get("REMOTE_ADDR", "")).address
    forwarded = networks.holds(access.trusted_proxies, sender) and (
        environ.get("HTTP_X_FORWARDED_PROTO") == "https"
    )
    response.set_cookie(
        door.COOKIE,
        text,
        max_age=lasts_s,
        path="/",
        secure=environ["wsgi.url_scheme"] == "https" or forwarded,
        httponly=True,
        samesite="Strict",
    )
