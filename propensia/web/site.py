"""The other routes: pages for people, ``/modelos``, ``/prueba`` and the health answers.

Nothing here scores by itself; pages show what ``Scoring`` answered.
"""

from __future__ import annotations

import contextlib
import logging
import os
from typing import Any

from flask import Flask, Response, abort, render_template, request
from werkzeug.exceptions import HTTPException

from propensia import __version__, heartbeat
from propensia.contract import Contract, Parameter
from propensia.registry import Registry, RegistryError, Release
from propensia.settings import Settings
from propensia.web import door, pages, routes
from propensia.web.prediccion import ROUTE, Scoring, answer_shape, wanted_form
from propensia.web.problems import (
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

log = logging.getLogger(__name__)

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def add_routes(app: Flask, scoring: Scoring, chosen: Settings) -> None:
    """Give ``app`` every route but the hot one's JSON and text forms, and one error shape."""
    registry = scoring.serving.registry
    contract = scoring.contract

    @app.get("/")
    def form() -> Response:
        query, language = _asked(scoring)
        if query.too_long:
            return _problem("peticion_demasiado_larga", scoring)
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
        )
        response = _page("result.html", context)
        response.headers["X-Propensia-Version"] = result.bundle.release.version
        response.headers["X-Propensia-Id"] = result.id
        return response

    @app.get("/prueba")
    def prueba() -> Response:
        return Response(f"Funcionando. Propensia {__version__}", content_type=TEXT)

    @app.get("/modelos")
    def modelos() -> dict[str, Any]:
        return models_shape(registry)

    @app.get("/health")
    def health() -> tuple[dict[str, Any], int]:
        shape = health_shape(scoring, chosen)
        return shape, 200 if shape["version"] else 503

    @app.get("/health/live")
    def live() -> dict[str, str]:
        return {"estado": "vivo"}

    @app.get("/health/ready")
    def ready() -> Response | dict[str, str]:
        bundle = scoring.serving.bundle
        if bundle is None:
            return _problem("sin_modelo", scoring)
        return {"estado": "listo", "version": bundle.release.version}

    _add_error_shape(app, scoring)


def _add_error_shape(app: Flask, scoring: Scoring) -> None:
    @app.before_request
    def exact() -> Response | None:
        if (code := request.environ.get(door.REFUSAL)) is not None:
            return _problem(code, scoring)
        # Werkzeug reads //prediccion as /prediccion: a second name, with only the page form.
        if request.environ["PATH_INFO"].startswith("//"):
            abort(404)
        route, rule = request.environ.get(door.ROUTE), request.url_rule
        if rule is not None and (route is None or routes.pattern(rule.rule) != route.path):
            abort(404)  # the door and Flask must mean the same route
        return None

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        codes = {404: "no_encontrado", 405: "metodo_no_permitido"}
        response = _problem(codes.get(error.code or 500, "peticion_no_valida"), scoring)
        response.headers.extend([h for h in error.get_headers() if h[0] == "Allow"])
        return response

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        response = _problem("error_interno", scoring)
        log.error("%s failed: %s", response.headers["X-Propensia-Id"], trace(error))
        return response

    @app.after_request
    def safe(response: Response) -> Response:
        for name, value in SAFE_HEADERS:
            if name == "Cache-Control" and request.endpoint == "static":
                response.headers[name] = "public, max-age=3600"
            else:
                response.headers[name] = value
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response


def _problem(code: str, scoring: Scoring) -> Response:
    """The problem of that ``code``, in the form and language that the request asks for."""
    query, language = _asked(scoring)
    refused = problem(code, scoring.serving.new_id(), language)
    form = query.form or wanted_form(request.headers.get("Accept", ""), "json")
    if form == "html":
        context = pages.form_page((), None, language, None, refused.body)
        return _faults_page(refused, context)
    body, headers = answer_of(refused, form)
    return Response(body, refused.status, headers)


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


def models_shape(registry: Registry) -> dict[str, Any]:
    """``GET /modelos``: what answers, what answered before, and every file that was judged."""
    releases = _readable_releases(registry)
    published = {release.version: release.at for release in reversed(releases)}
    active = releases[0].version if releases else None
    before = next((r.version for r in releases if r.version != active), None)
    names = {before: "anterior", active: "activa"}
    return {
        "activa": active,
        "anterior": before,
        "modelos": [
            {
                "version": verdict["version"],
                "modelo": verdict["model"],
                "sha256": verdict["sha256"],
                "estado": names.get(verdict["version"], "candidata")
                if verdict["accepted"]
                else "rechazada",
                "publicado": published.get(verdict["version"]) if verdict["accepted"] else None,
                "motivo": verdict["why"],
            }
            for verdict in registry.verdicts()
        ],
    }


def _readable_releases(registry: Registry) -> list[Release]:
    """Newest first. One that is damaged, or went away meanwhile, does not hide the others."""
    found = []
    for number in range(registry.current_number(), 0, -1):
        with contextlib.suppress(OSError, RegistryError):
            found.append(registry.release(number))
    return found


def health_shape(scoring: Scoring, chosen: Settings) -> dict[str, Any]:
    """``GET /health``: what answers, what is wrong, and which worker is on which version."""
    serving, state = scoring.serving, chosen.state
    bundle = serving.bundle
    workers = heartbeat.look_all(state / "workers")
    problems = [p for p in (serving.problem, serving.folder_problem) if p]
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
