"""The other routes: pages for people, ``/modelos``, ``/prueba`` and the health answers.

Nothing here scores by itself; pages show what ``Scoring`` answered.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from flask import Flask, Response, abort, current_app, render_template, request
from werkzeug.exceptions import HTTPException

from propensia import __version__, heartbeat
from propensia.contract import Contract, Parameter
from propensia.registry import Registry
from propensia.settings import Settings
from propensia.web import pages
from propensia.web.prediccion import ROUTE, TEXT, Scoring, answer_shape, wanted_form
from propensia.web.problems import (
    PROBLEM,
    SAFE_HEADERS,
    Problem,
    problem,
    refusal_headers,
    wanted_language,
)
from propensia.web.query import Query

log = logging.getLogger(__name__)

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
INPUT_MODES = {"number": "decimal", "integer": "numeric", "month": "numeric"}


def add_routes(app: Flask, scoring: Scoring, chosen: Settings) -> None:
    """Give ``app`` every route but the hot one's JSON and text forms, and one error shape."""
    registry = scoring.serving.registry
    contract = scoring.contract

    @app.get("/")
    def form() -> Response:
        query, language = _asked(scoring)
        values = query.texts or None
        return _page(
            "form.html",
            pages.form_page(
                _fields(contract, language), _model(scoring, registry), language, values
            ),
        )

    @app.get(ROUTE)
    def prediccion() -> Response:
        query, language = _asked(scoring)
        result = scoring.score(_raw(), query, language)
        values = query.texts | {k: v for k, v in query.options.items() if k == "motivos"}
        fields = _fields(contract, language)
        if isinstance(result, Problem):
            faults = result.body
            context = pages.form_page(fields, _model(scoring, registry), language, values, faults)
            response = _page("faults.html", context, result.status)
            response.headers.extend(refusal_headers(result))
            return response
        shape = answer_shape(result, query, contract, language)
        words = contract.positive_name if result.positive else contract.negative_name
        context = pages.result_page(
            shape | {"pagador": result.positive, "clasificacion": words[language]},
            fields,
            values,
            request.base_url,
            language,
            demonstration=_is_demonstration(registry, result.bundle.release.version),
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
            return _problem("sin_modelo")
        return {"estado": "listo", "version": bundle.release.version}

    _add_error_shape(app, scoring)


def _add_error_shape(app: Flask, scoring: Scoring) -> None:
    @app.before_request
    def exact() -> None:
        # Werkzeug reads //prediccion as /prediccion: a second name, with only the page form.
        if request.environ["PATH_INFO"].startswith("//"):
            abort(404)

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        codes = {404: "no_encontrado", 405: "metodo_no_permitido"}
        response = _problem(codes.get(error.code or 500, "peticion_no_valida"))
        response.headers.extend([h for h in error.get_headers() if h[0] == "Allow"])
        return response

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        # The type only: a message could carry a debtor's value.
        response = _problem("error_interno")
        log.error("%s failed: %s", response.headers["X-Propensia-Id"], type(error).__name__)
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

    def _problem_of(code: str) -> Problem:
        language = wanted_language(None, request.headers.get("Accept-Language", ""))
        return problem(code, scoring.serving.new_id(), language)

    app.extensions["propensia.problem"] = _problem_of


def _problem(code: str) -> Response:
    refused: Problem = current_app.extensions["propensia.problem"](code)
    if wanted_form(request.headers.get("Accept", ""), "json") == "html":
        language = wanted_language(None, request.headers.get("Accept-Language", ""))
        context = pages.form_page((), None, language, None, refused.body)
        response = _page("faults.html", context, refused.status)
    else:
        response = Response(refused.json(), refused.status, content_type=PROBLEM)
    response.headers.extend(refusal_headers(refused))
    return response


def _raw() -> str:
    return str(request.environ.get("QUERY_STRING", ""))


def _asked(scoring: Scoring) -> tuple[Query, str]:
    query = scoring.read(_raw())
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
        "inputmode": INPUT_MODES.get(parameter.kind, "text"),
    }


def _model(scoring: Scoring, registry: Registry) -> dict[str, Any] | None:
    bundle = scoring.serving.bundle
    if bundle is None:
        return None
    return {
        "name": bundle.release.model,
        "version": bundle.release.version,
        "threshold": bundle.decision.threshold,
        "demonstration": _is_demonstration(registry, bundle.release.version),
    }


def _is_demonstration(registry: Registry, version: str) -> bool:
    return bool(registry.manifest(version).get("demonstration", False))


def models_shape(registry: Registry) -> dict[str, Any]:
    """``GET /modelos``: what answers, what answered before, and every file that was judged."""
    current, previous = registry.current(), registry.previous()
    names = {
        current.version if current else None: "activa",
        previous.version if previous else None: "anterior",
    }
    published = {release.version: release.at for release in reversed(registry.history())}
    return {
        "activa": current.version if current else None,
        "anterior": previous.version if previous else None,
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
