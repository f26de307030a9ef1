"""The other routes: pages for people, ``/prueba`` and the health answers.

Nothing here scores by itself; pages show what ``Scoring`` answered.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask import Flask, Response, abort, render_template, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect

from propensia import __version__, heartbeat
from propensia.contract import Contract, Parameter
from propensia.settings import Settings
from propensia.web import door, open_inference, pages, routes, sessions
from propensia.web.answers import answer_shape
from propensia.web.prediccion import ROUTE, Scoring, wanted_form
from propensia.web.problems import (
    KINDS,
    SAFE_HEADERS,
    TEXT,
    Problem,
    answer_of,
    problem,
    refusal_headers,
    trace,
    wanted_language,
)
from propensia.web.query import Query
from propensia.web.routes import Route

log = logging.getLogger(__name__)

NO_MODEL_S = KINDS["sin_modelo"][3]

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HTTPS_ONLY = "max-age=31536000"
"""Where this server ends TLS itself: browsers that were here use nothing but https for a year
(RFC 6797). Behind a proxy, that is for the proxy to say."""

KEPT = {"static": "public, max-age=3600", "docs_file": "private, max-age=86400"}
"""Endpoint -> how long browsers keep the files of pages, which are the same for everybody."""


def add_routes(
    app: Flask, scoring: Scoring, chosen: Settings, troubles: Callable[[], Iterable[str | None]]
) -> None:
    """Give ``app`` every route but the hot one's JSON and text forms, and one error shape.

    ``troubles``: what else is wrong in this process at the moment, for ``/health``.
    """
    contract = scoring.contract

    @app.get("/")
    def form() -> Response:
        query, language = _asked(scoring)
        if query.too_long:
            return refusal("peticion_demasiado_larga", scoring)
        fields, values = _fields(contract, language), query.texts or None
        return _page("form.html", pages.form_page(fields, _model(scoring), language, values))

    @app.get(ROUTE)
    def prediccion() -> Response:
        query, language = _asked(scoring)
        result = scoring.score(query, language)
        values = query.texts | {k: v for k, v in query.options.items() if k == "motivos"}
        fields = _fields(contract, language)
        if isinstance(result, Problem):
            context = pages.form_page(fields, _model(scoring), language, values, result.body)
            return _faults_page(result, context)
        shape = answer_shape(result, query, contract, language)
        words = contract.positive_name if result.positive else contract.negative_name
        context = pages.result_page(
            shape | {"pagador": result.positive, "clasificacion": words[language]},
            fields,
            values,
            request.base_url,
            language,
            demonstration=result.bundle.demonstration,
            guarded=request.environ[door.CALLER].means in ("key", "token", "session"),
        )
        response = _page("result.html", context)
        response.headers["X-Propensia-Version"] = result.bundle.release.version
        response.headers["X-Propensia-Id"] = result.id
        return response

    @app.get("/prueba")
    def prueba() -> Response:
        return Response(f"Funcionando. Propensia {__version__}", content_type=TEXT)

    @app.get("/health")
    def health() -> tuple[Any, ...]:
        shape = health_shape(scoring, chosen, troubles())
        return (shape, 200) if shape["version"] else (shape, 503, {"Retry-After": NO_MODEL_S})

    @app.get("/health/live")
    def live() -> dict[str, str]:
        return {"estado": "vivo"}

    @app.get("/health/ready")
    def ready() -> Response | dict[str, str]:
        bundle = scoring.serving.bundle
        if bundle is None:
            return refusal("sin_modelo", scoring)
        return {"estado": "listo", "version": bundle.release.version}

    _add_error_shape(app, scoring)
    if chosen.tls_certificate:
        app.after_request(_https_only)


def _add_error_shape(app: Flask, scoring: Scoring) -> None:
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
    query, language = _asked(scoring)
    exact = exact or request.environ.get(door.EXACT, "")
    refused = problem(
        code,
        scoring.serving.new_id(),
        language,
        retry_s=request.environ.get(door.RETRY, 0),
        longest=request.environ.get(door.LONGEST, 0),
        exact=exact,
        here=sessions.this_machine(),
    )
    refused.body["errores"] += errors
    path = request.environ["PATH_INFO"]
    if routes.is_inference(path):
        open_inference.with_error(refused)
    form = "json" if routes.is_for_programs(path) else _form(path, query, scoring)
    if form == "html":
        if code == "clave_no_valida":
            keyless = refused.body["detail"] if exact == "sin_claves" else ""
            return sessions.login_page(refused, language, keyless)
        context = pages.form_page((), None, language, None, refused.body)
        if code == "sin_permiso" and not exact:
            context["other_key"] = True
        return _faults_page(refused, sessions.placed(context))
    body, headers = answer_of(refused, form)
    return Response(body, refused.status, headers)


def _form(path: str, query: Query, scoring: Scoring) -> str:
    """The form of a refusal, which is that of the answers of the same route."""
    usual = scoring.contract.form if path == ROUTE else "json"
    return query.form or wanted_form(request.headers.get("Accept", ""), usual)


def _methods(others: Iterable[Route]) -> list[str]:
    """For ``Allow``: what whoever asks for one method is told of the others."""
    named = {route.method for route in others}
    return sorted(named | {"HEAD"} if "GET" in named else named)


def _faults_page(refused: Problem, context: dict[str, Any]) -> Response:
    response = _page("faults.html", context, refused.status)
    response.headers.extend(refusal_headers(refused))
    return response


def _asked(scoring: Scoring) -> tuple[Query, str]:
    query = scoring.read(request.environ.get("QUERY_STRING", ""))
    return query, wanted_language(query, request.headers.get("Accept-Language", ""))


def _page(template: str, context: dict[str, Any], status: int = 200) -> Response:
    return Response(
        render_template(template, **context), status, content_type="text/html; charset=utf-8"
    )


def _fields(contract: Contract, language: str) -> list[dict[str, Any]]:
    return [_field(parameter, language) for parameter in contract.parameters]


def _field(parameter: Parameter, language: str) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "feature": parameter.feature,
        "label": parameter.label[language],
        "help": parameter.help.get(language) or parameter.admits(),
        "kind": parameter.kind,
        "choices": list(parameter.values),
        "example": parameter.example,
        "optional": parameter.optional or parameter.fill is not None,
    }


def _model(scoring: Scoring) -> dict[str, Any] | None:
    bundle = scoring.serving.bundle
    if bundle is None:
        return None
    return {
        "name": bundle.release.model,
        "version": bundle.release.version,
        "threshold": bundle.decision.threshold,
        "demonstration": bundle.demonstration,
    }


def health_shape(
    scoring: Scoring, chosen: Settings, troubles: Iterable[str | None]
) -> dict[str, Any]:
    """``GET /health``: what answers, what is wrong, and which worker is on which version."""
    serving, state = scoring.serving, chosen.state
    bundle = serving.bundle
    workers = heartbeat.look_all(state / "workers")
    problems = [p for p in (serving.problem, serving.folder_problem, *troubles) if p]
    if bundle is None:
        problems.append("aún no hay modelo publicado")
    problems += [w["problema"] for w in workers if w["problema"] and w["pid"] != os.getpid()]
    keeper = heartbeat.look(state / "keeper.json", fresh_s=30.0)
    problems += keeper["problemas"] if keeper else ["el vigilante de la carpeta no da señales"]
    shape: dict[str, Any] = {
        "estado": "degradado" if problems else "bien",
        "problemas": sorted(set(problems)),
        "version": bundle.release.version if bundle else None,
        "trabajadores": [
            {name: worker[name] for name in ("pid", "version", "publicacion")}
            for worker in workers
        ],
    }
    return shape
