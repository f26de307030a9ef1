"""Every route of the service, once: what it is called, who may use it, and how much it takes.

The door reads it before anything else sees a request; the documentation and the tests are made
from it. A route that is not here cannot be reached.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Body = Literal["none", "row", "rows", "file"]


@dataclass(frozen=True, slots=True, eq=False)  # equal only to itself: a fast key
class Route:
    """One method of one path. ``permission`` ``None``: everybody, without a key.

    ``body`` names the limit of what is sent: nothing, one debtor, many, or a model file.
    ``heavy``: long enough to have places of its own, so that others need not wait for it.
    """

    method: str
    path: str
    permission: str | None
    body: Body = "none"
    heavy: bool = False


ROUTES = (
    Route("GET", "/prediccion", "score"),
    Route("POST", "/predict", "score", "row"),
    Route("POST", "/predict/batch", "score", "rows", heavy=True),
    Route("GET", "/", "look"),
    Route("GET", "/prueba", None),
    Route("GET", "/health", "score"),
    Route("GET", "/health/live", None),
    Route("GET", "/health/ready", None),
    Route("GET", "/metrics", "score"),
    Route("GET", "/modelos", "look"),
    Route("POST", "/modelos", "drop", "file", heavy=True),
    Route("POST", "/modelos/{version}/activar", "publish", "row"),
    Route("POST", "/modelos/rollback", "publish", "row"),
    Route("GET", "/entrar", None),
    Route("POST", "/entrar", None, "row"),
    Route("POST", "/salir", None, "row"),
    Route("GET", "/docs", "score"),
    Route("GET", "/docs/{file}", "score"),
    Route("GET", "/openapi.json", "score"),
    Route("GET", "/static/{filename}", None),
    Route("GET", "/v2", "score"),
    Route("GET", "/v2/health/live", None),
    Route("GET", "/v2/health/ready", None),
    Route("GET", "/v2/models/{name}", "score"),
    Route("GET", "/v2/models/{name}/ready", "score"),
    Route("POST", "/v2/models/{name}/infer", "score", "rows", heavy=True),
    Route("GET", "/v2/models/{name}/versions/{version}", "score"),
    Route("GET", "/v2/models/{name}/versions/{version}/ready", "score"),
    Route("POST", "/v2/models/{name}/versions/{version}/infer", "score", "rows", heavy=True),
)

_EXACT = {(route.method, route.path): route for route in ROUTES if "{" not in route.path}
_PATTERNS = [
    (route, re.compile(re.sub(r"\{\w+\}", "[^/]+", route.path)).fullmatch)
    for route in ROUTES
    if "{" in route.path
]


def pattern(rule: str) -> str:
    """The path of the table for a rule of Flask: ``/modelos/<version>`` is
    ``/modelos/{version}``."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)


def find(method: str, path: str) -> Route | None:
    """The route that a request asks for; ``None`` where there is none. HEAD is like GET."""
    method = "GET" if method == "HEAD" else method
    route = _EXACT.get((method, path))
    if route is not None:
        return route
    return next(
        (route for route, fits in _PATTERNS if route.method == method and fits(path)), None
    )
