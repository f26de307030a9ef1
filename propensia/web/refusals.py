"""What every refusal looks like, in the form and language that was asked for, and what headers
every answer carries.

It must never say more than the code of a problem does, whoever asks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from flask import Flask, Response, abort, render_template, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect

from propensia.access.roles import OLD_ROUTE
from propensia.web import door, login, pages, routes
from propensia.web.asked import language
from propensia.web.prediccion import Scoring, wanted_form
from propensia.web.problems import (
    SAFE_HEADERS,
    Problem,
    answer_of,
    problem,
    refusal_headers,
    trace,
    with_error,
)
from propensia.web.routes import Route

log = logging.getLogger(__name__)

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HTTPS_ONLY = "max-age=31536000"
"""Where this server ends TLS itself: browsers that were here use nothing but https for a year
(RFC 6797). Behind a proxy, that is for the proxy to say."""

KEPT = {
    "static": "public, max-age=3600",
    "docs_file": "private, max-age=86400",
    "panel_file": "private, max-age=86400",
}
"""Endpoint -> how long browsers keep the files of pages, which are the same for everybody."""


def add_error_shape(app: Flask, scoring: Scoring, https_only: bool) -> None:
    """Give ``app`` one shape for everything that is refused or fails, and the headers that every
    answer carries. ``https_only``: this server ends TLS itself."""

    @app.before_request
    def exact() -> Response | None:
        if (code := request.environ.get(door.REFUSAL)) is not None:
            return refusal(code, scoring)
        # Werkzeug reads //prediccion as /prediccion: a second name, with only the page form.
        # For others it would answer with a redirection, and the query of a debtor in it.
        path, rule = request.environ["PATH_INFO"], request.url_rule
        if isinstance(request.routing_exception, RequestRedirect) or path.startswith("//"):
            abort(404)
        route = request.environ.get(door.ROUTE)
        if route is None and (others := routes.at(path)):
            raise MethodNotAllowed(_methods(others))
        if rule is not None and (route is None or routes.pattern(rule.rule) != route.path):
            abort(404)  # the door and Flask must mean the same route
        return None

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        codes = {404: "no_encontrado", 405: "metodo_no_permitido"}
        response = refusal(codes.get(error.code or 500, "peticion_no_valida"), scoring)
        response.headers.extend([h for h in error.get_headers() if h[0] == "Allow"])
        return response

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        response = refusal("error_interno", scoring)
        log.error("%s failed: %s", response.headers["X-Propensia-Id"], trace(error))
        return response

    _add_headers(app, scoring)
    if https_only:
        app.after_request(_https_only)


def _add_headers(app: Flask, scoring: Scoring) -> None:
    @app.after_request
    def safe(response: Response) -> Response:
        for name, value in SAFE_HEADERS:
            kept = KEPT.get(request.endpoint or "") if response.status_code < 400 else None
            if name == "Cache-Control" and kept is not None:
                response.headers[name] = kept
            else:
                response.headers[name] = value
        if response.mimetype == "text/html":
            # With "no-referrer" browsers would also hide where our own forms come from (Fetch
            # Standard, 3.1), which the door asks; of an address, nobody learns more than the host.
            response.headers["Referrer-Policy"] = "strict-origin"
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers.setdefault("X-Propensia-Id", scoring.serving.new_id())
        return response


def _https_only(response: Response) -> Response:
    if request.is_secure:  # never over plain HTTP: RFC 6797, 7.2
        response.headers["Strict-Transport-Security"] = HTTPS_ONLY
    return response


def refusal(
    code: str, scoring: Scoring, errors: Iterable[Mapping[str, str]] = (), exact: str = ""
) -> Response:
    """The problem of that ``code``, in the form and language that the request asks for; with
    ``errors`` as its ``errores``, where they are no faults of a row, and ``exact`` as its
    detail."""
    told_in = language()
    exact = exact or request.environ.get(door.EXACT, "")
    refused = problem(
        code,
        scoring.serving.new_id(),
        told_in,
        retry_s=request.environ.get(door.RETRY, 0),
        longest=request.environ.get(door.LONGEST, 0),
        exact=exact,
        here=login.this_machine(),
    )
    refused.body["errores"] += errors
    path = request.environ["PATH_INFO"]
    if routes.is_inference(path):
        with_error(refused)
    form = "json" if routes.is_for_programs(path) else _form(path, scoring)
    if form == "html":
        if code == "clave_no_valida":
            keyless = refused.body["detail"] if exact == "sin_claves" else ""
            return login.login_page(refused, told_in, keyless)
        context = pages.form_page((), None, told_in, None, refused.body)
        if code == "sin_permiso" and not exact:
            context["other_key"] = True
        return faults_page(refused, login.placed(context))
    body, headers = answer_of(refused, form)
    return Response(body, refused.status, headers)


def _form(path: str, scoring: Scoring) -> str:
    """The form of a refusal, which is that of the answers of the same route."""
    query = scoring.read(request.environ.get("QUERY_STRING", ""))
    usual = scoring.contract.form if path == OLD_ROUTE else "json"
    return query.form or wanted_form(request.headers.get("Accept", ""), usual)


def _methods(others: Iterable[Route]) -> list[str]:
    """For ``Allow``: what whoever asks for one method is told of the others."""
    named = {route.method for route in others}
    return sorted(named | {"HEAD"} if "GET" in named else named)


def faults_page(refused: Problem, context: dict[str, Any]) -> Response:
    """The page of a refusal."""
    body = render_template("faults.html", **context)
    response = Response(body, refused.status, content_type="text/html; charset=utf-8")
    response.headers.extend(refusal_headers(refused))
    return response
