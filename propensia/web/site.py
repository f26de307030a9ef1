"""The other routes: pages for people, ``/prueba`` and the health answers.

Nothing here scores by itself; pages show what ``Scoring`` answered.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Response, render_template, request

from propensia import __version__, heartbeat
from propensia.access.roles import OLD_ROUTE
from propensia.contract import Contract, Parameter
from propensia.settings import Settings
from propensia.web import door, pages
from propensia.web.answers import answer_shape
from propensia.web.prediccion import Scoring
from propensia.web.problems import TEXT, Problem, wanted_language
from propensia.web.query import Query
from propensia.web.refusals import faults_page, refusal
from propensia.web.refused import KINDS

BEHIND = ("retraso_segundos", "pendiente_bytes", "apartados", "ilegibles")
"""What only the keeper knows of the journal: ``null`` while it gives no sign."""
NO_MODEL_S = KINDS["sin_modelo"][3]


def add_routes(
    app: Flask, scoring: Scoring, chosen: Settings, troubles: Callable[[], Iterable[str | None]]
) -> None:
    """Give ``app`` the pages for people and the answers about health.

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

    @app.get(OLD_ROUTE)
    def prediccion() -> Response:
        query, language = _asked(scoring)
        result = scoring.score(query, language, request.environ[door.CALLER].name)
        values = query.texts | {k: v for k, v in query.options.items() if k == "motivos"}
        fields = _fields(contract, language)
        if isinstance(result, Problem):
            context = pages.form_page(fields, _model(scoring), language, values, result.body)
            return faults_page(result, context)
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
        "diario": {"modo": chosen.journal, "segundos": chosen.journal_sync_s}
        | dict.fromkeys(BEHIND)
        | (keeper or {}).get("diario", {}),
    }
    return shape
