"""``/openapi.json``, and ``/docs``: the page that shows it, lets people try it, and lists every
code.

It serves no file but the two of its table, and nothing of it reaches the network.
"""

from __future__ import annotations

import collections
import functools
import json
from importlib import metadata, resources
from typing import Any

from flask import Flask, Response, abort, render_template

from propensia import faults
from propensia.contract import Contract
from propensia.web import openapi, pages, refused
from propensia.web.asked import language
from propensia.web.prediccion import JSON, Scoring
from propensia.web.refusals import CONTENT_SECURITY_POLICY

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

    @app.get("/openapi.json")
    def document() -> Response:
        return Response(written(language()), content_type=JSON)

    @app.get("/docs")
    def docs() -> Response:
        told_in = language()
        context = pages.docs_page(told_in, _version())
        context |= codes(scoring.contract, told_in, most_rows)
        page = Response(render_template("docs.html", **context))
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


def codes(contract: Contract, language: str, most_rows: int) -> dict[str, Any]:
    """Every code with what it says in ``es`` or ``en``, as the page lists them: ``problems`` and
    ``faults``, which are also those of notices. ``…`` stands for what a request decides."""
    place = ("es", "en").index(language)
    unknown = collections.defaultdict(lambda: "…", most_rows=str(most_rows))
    more: dict[str, list[str]] = {code: [] for code in refused.KINDS}
    for code, *exact in refused.DETAILS.values():
        more[code].append(exact[place].format_map(unknown))
    told = []
    for code, (status, *texts, _) in refused.KINDS.items():
        title, detail = texts[place]
        details = [detail.format_map(unknown), *more[code]]
        told.append({"code": code, "status": status, "title": title, "details": details})
    own = {code: texts[language] for code, texts in contract.own_faults.items()}
    says = {code: texts[place] for code, texts in faults.TEXTS.items()} | own
    return {
        "problems": told,
        "faults": [(code, text.format_map(unknown)) for code, text in says.items()],
    }


@functools.cache
def _version() -> str:
    """The version of the files, which is part of their addresses: a new one is fetched again."""
    return metadata.version(PACKAGE.replace("_", "-"))
