"""Every route of the service, once: what it is called, who may use it, and how much it takes.

The door reads it before anything else sees a request; the documentation and the tests are made
from it. A route that is not here cannot be reached.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from propensia.access.roles import OLD_ROUTE

Body = Literal["none", "form", "row", "rows", "file", "portfolio"]

FORM_BYTES = 16 * 1024
"""A form of a page: the longest address to come back to, escaped twice, is 10 KiB."""

ROW_BYTES = 64 * 1024
ROWS_BYTES = 4 * 1024 * 1024
ROW_OF_MANY_BYTES = 2 * 1024
"""For each row of the longest batch; one with the names of the columns, indented, takes less than
half of it. No batch is allowed less than ``ROWS_BYTES``."""


@dataclass(frozen=True, slots=True, eq=False)  # equal only to itself: a fast key
class Route:
    """One method of one path. ``permission`` ``None``: everybody, without a key.

    ``body`` names the limit of what is sent: nothing, a form of a page, one debtor, many, a model
    file, or a whole portfolio.
    ``json``: only programs ask for it, and are answered in JSON, refusals too, whatever they say
    that they accept. ``heavy``: long enough to have places of its own, so that others need not
    wait for it.
    """

    method: str
    path: str
    permission: str | None
    body: Body = "none"
    heavy: bool = False
    json: bool = False


ROUTES = (
    Route("GET", OLD_ROUTE, "score"),
    Route("POST", "/predict", "score", "row", json=True),
    Route("POST", "/predict/batch", "score", "rows", heavy=True, json=True),
    Route("POST", "/resultados", "report", "rows", heavy=True, json=True),
    Route("GET", "/", "look"),
    Route("GET", "/prueba", None),
    Route("GET", "/health", "score"),
    Route("GET", "/health/live", None),
    Route("GET", "/health/ready", None),
    Route("GET", "/metrics", "score"),
    Route("GET", "/panel", "look"),
    Route("GET", "/panel/datos", "look", json=True),
    Route("GET", "/panel/{file}", "look"),
    Route("GET", "/cartera", "look"),
    Route("POST", "/carteras", "score", "portfolio", heavy=True),
    Route("GET", "/carteras/{cartera}", "score"),
    Route("POST", "/carteras/{cartera}/revisar", "score", "form"),
    Route("POST", "/carteras/{cartera}/puntuar", "score", "form"),
    Route("GET", "/carteras/{cartera}/resultado", "score"),
    Route("GET", "/carteras/{cartera}/errores", "score"),
    Route("POST", "/carteras/{cartera}/borrar", "score", "form", heavy=True),
    Route("GET", "/modelos", "look"),
    Route("POST", "/modelos", "drop", "file", heavy=True),
    Route("POST", "/modelos/{version}/activar", "publish", "row"),
    Route("POST", "/modelos/rollback", "publish", "row"),
    Route("GET", "/respuestas/{id}", "remember", heavy=True, json=True),
    Route("POST", "/respuestas/{id}/repetir", "remember", heavy=True, json=True),
    Route("POST", "/personas/exportar", "remember", "row", heavy=True, json=True),
    Route("POST", "/personas/borrar", "remember", "row", heavy=True, json=True),
    Route("GET", "/entrar", None),
    Route("POST", "/entrar", None, "form"),
    Route("POST", "/salir", None, "form"),
    Route("GET", "/docs", "score"),
    Route("GET", "/docs/{file}", "score"),
    Route("GET", "/openapi.json", "score"),
    Route("GET", "/static/{filename}", None),
    Route("GET", "/v2", "score", json=True),
    Route("GET", "/v2/health/live", None, json=True),
    Route("GET", "/v2/health/ready", None, json=True),
    Route("GET", "/v2/models/{name}", "score", json=True),
    Route("GET", "/v2/models/{name}/ready", "score", json=True),
    Route("POST", "/v2/models/{name}/infer", "score", "rows", heavy=True, json=True),
    Route("GET", "/v2/models/{name}/versions/{version}", "score", json=True),
    Route("GET", "/v2/models/{name}/versions/{version}/ready", "score", json=True),
    Route(
        "POST",
        "/v2/models/{name}/versions/{version}/infer",
        "score",
        "rows",
        heavy=True,
        json=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Bodies:
    """How long bodies may be. ``most_rows``: the longest batch; ``file_bytes`` and
    ``portfolio_bytes``: the longest form with a model file, and with a portfolio."""

    most_rows: int = 100
    file_bytes: int = 64 * 1024 * 1024
    portfolio_bytes: int = 51 * 1024 * 1024

    @property
    def longest(self) -> int:
        """The longest of all, in bytes."""
        return max(self.file_bytes, self.portfolio_bytes)

    def limit(self, route: Route | None) -> int:
        """The longest body, in bytes, that a request for ``route`` may have; 0 where nobody is
        going to look at it."""
        if route is None or route.body == "none":
            return 0
        if route.body == "rows":
            return max(ROWS_BYTES, self.most_rows * ROW_OF_MANY_BYTES)
        if route.body == "file":
            return self.file_bytes
        if route.body == "portfolio":
            return self.portfolio_bytes
        return FORM_BYTES if route.body == "form" else ROW_BYTES


INFERENCE = "/v2"
"""Below it are the addresses of the Open Inference Protocol."""

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


def at(path: str) -> list[Route]:
    """The routes of a path, one for each method that it has."""
    found = [route for route in _EXACT.values() if route.path == path]
    return found or [route for route, fits in _PATTERNS if fits(path)]


def is_inference(path: str) -> bool:
    """Whether clients of the Open Inference Protocol ask for that path, route or not."""
    return path == INFERENCE or path.startswith(f"{INFERENCE}/")


def is_for_programs(path: str) -> bool:
    """Whether whoever asks for that path is answered in JSON alone, refusals too."""
    return is_inference(path) or any(route.json for route in at(path))
