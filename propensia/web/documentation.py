"""``/openapi.json``, and ``/docs``: the page that shows it and lets people try it.

It serves no file but the two of its table, and nothing of it reaches the network.
"""

from __future__ import annotations

import functools
import json
from importlib import metadata, resources

from flask import Flask, Response, abort, render_template, request

from propensia.web import openapi, pages
from propensia.web.prediccion import JSON, Scoring
from propensia.web.problems import wanted_language
from propensia.web.site import CONTENT_SECURITY_POLICY

PACKAGE, FOLDER = "flask_swagger_ui", "dist"
"""Where the files come from: a package that only carries those of Swagger UI."""

FILES = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
}


def add_routes(app: Flask, scoring: Scoring, most_rows: int) -> None:
    """Give ``app`` the routes of the documentation; ``most_rows`` is the limit of a batch."""

    @functools.cache
    def written(language: str) -> bytes:
        told = openapi.document(scoring.contract, most_rows, language)
        return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()

    def language() -> str:
        query = scoring.read(request.environ.get("QUERY_STRING", ""))
        return wanted_language(query, request.headers.get("Accept-Language", ""))

    @app.get("/openapi.json")
    def document() -> Response:
        return Response(written(language()), content_type=JSON)

    @app.get("/docs")
    def docs() -> Response:
        page = Response(render_template("docs.html", **pages.docs_page(language(), _version())))
        # The page asks this server what the reader tries.
        policy = f"{CONTENT_SECURITY_POLICY}; connect-src 'self'"
        page.headers["Content-Security-Policy"] = policy
        return page

    @app.get("/docs/<file>")
    def docs_file(file: str) -> Response:
        if file not in FILES:
            abort(404)
        content = (resources.files(PACKAGE) / FOLDER / file).read_bytes()
        return Response(content, content_type=FILES[file])


@functools.cache
def _version() -> str:
    """The version of the files, which is part of their addresses: a new one is fetched again."""
    return metadata.version(PACKAGE.replace("_", "-"))
