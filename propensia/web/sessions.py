"""Sessions of browsers: logging in with a key, and logging out.

It must never keep a key, nor go back to an address that is not a page of ours.
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import unquote

from flask import Flask, Response, request

from propensia.access import Access, Denied, networks
from propensia.access.limits import ENTERING
from propensia.access.sessions import Session
from propensia.web import door, routes
from propensia.web.asked import language
from propensia.web.login import BACK_FIELD, ENTER, KEY_FIELD, login_page, this_machine
from propensia.web.prediccion import Scoring
from propensia.web.problems import TEXT, problem
from propensia.web.query import LONGEST_QUERY
from propensia.web.quotas import FIELDS, Quotas
from propensia.web.refusals import refusal

LEAVE = "/salir"
LONGEST_BACK = 4 * LONGEST_QUERY


def add_routes(app: Flask, access: Access, quotas: Quotas, scoring: Scoring) -> None:
    """Give ``app`` the routes of sessions, the check of what their forms send, and, for every
    page, ``entered`` where there is a session: its name, its role and its random text."""

    @app.before_request
    def own_form() -> Response | None:
        held = _session()
        if door.FIELD_DUE in request.environ and (held is None or not _shows(held)):
            return refusal("origen_no_permitido", scoring)
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
            response = refusal(denied.code, scoring)
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
                return refusal("origen_no_permitido", scoring)
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


def _session() -> Session | None:
    found: Session | None = request.environ.get(door.SESSION)
    return found


def _shows(held: Session) -> bool:
    """Whether what was sent shows that it is of a page of that session."""
    shown = request.headers.get("X-CSRF-Token")
    return held.is_of(request.form.get(door.CSRF_FIELD, "") if shown is None else shown)


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
