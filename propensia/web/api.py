"""``POST /predict`` and ``POST /predict/batch``: scores for programs that send JSON.

A row takes the very path of ``GET /prediccion``, one by one, so that all of them give the same
bits; nothing here computes a score by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from flask import Flask, Response, request

from propensia.faults import Fault
from propensia.serving import Answer, Bundle
from propensia.web.answers import AnswerWriter
from propensia.web.door import CALLER
from propensia.web.prediccion import JSON, Scoring
from propensia.web.problems import SAFE_HEADERS, Problem, answer_of, problem, wanted_language
from propensia.web.query import MOST_NOTES, Query
from propensia.web.rows import BadBody, Json, RowReader, json_content, unknown, unreadable

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PREDICT = "/predict"
ROWS = "filas"


class Reply(NamedTuple):
    """What goes back, whoever sends it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Posted:
    """Answers posted rows. Safe for threads."""

    def __init__(self, scoring: Scoring, most_rows: int) -> None:
        """``most_rows``: the longest batch."""
        self._scoring = scoring
        self._most_rows = most_rows
        self._rows = RowReader(scoring.contract)
        self._writer = AnswerWriter(scoring.contract)

    def one(self, environ: WSGIEnvironment) -> Reply:
        """The answer to one row, or the problem that says why there is none."""
        accept = environ.get("HTTP_ACCEPT_LANGUAGE", "")
        options = self._rows.options(environ.get("QUERY_STRING", ""))
        if options.too_long:
            return self._refuse("peticion_demasiado_larga", wanted_language(options, accept))
        try:
            query = self._rows.row(json_content(environ), options)
        except BadBody as bad:
            return self._refuse(bad.code, wanted_language(options, accept), bad)
        language = wanted_language(query, accept)
        result = self._scoring.score(query, language, environ[CALLER].name)
        if isinstance(result, Problem):
            return _refused(result)
        return self._reply(self._writer.json(result, query, language), result.bundle, result.id)

    def many(self, environ: WSGIEnvironment) -> Reply:
        """The answers to a list of rows, in order, all of one version; a row that cannot be
        scored has its problem in its place."""
        accept = environ.get("HTTP_ACCEPT_LANGUAGE", "")
        options = self._rows.options(environ.get("QUERY_STRING", ""))
        language = wanted_language(options, accept)
        if options.too_long:
            return self._refuse("peticion_demasiado_larga", language)
        if options.faults:
            id, contract = self._scoring.serving.new_id(), self._scoring.contract
            return _refused(problem("peticion_no_valida", id, language, options.faults, contract))
        try:
            rows = self._listed(json_content(environ))
        except BadBody as bad:
            return self._refuse(bad.code, language, bad)
        bundle = self._scoring.serving.bundle
        if bundle is None:
            return self._refuse("sin_modelo", language)
        caller = environ[CALLER].name
        read = [self._read(row, options, accept) for row in rows]
        asked = [one for one in read if not isinstance(one, Problem)]
        scored = zip(asked, self._scoring.score_all(asked, caller, bundle), strict=True)
        parts = [
            one.json() if isinstance(one, Problem) else self._part(*next(scored)) for one in read
        ]
        body = b'{"resultados":[' + b",".join(parts) + b"]}"
        return self._reply(body, bundle, self._scoring.serving.new_id())

    def _listed(self, value: Json) -> list[Json]:
        """The rows of a body: a list, or an object that holds one and nothing else."""
        if isinstance(value, tuple):
            names = [name for name, _ in value]
            if names != [ROWS]:
                raise BadBody("cuerpo_no_valido", *_misnamed(names))
            value = value[0][1]
        if not isinstance(value, list):
            raise unreadable("lista_esperada")
        if len(value) > self._most_rows:
            raise BadBody("demasiadas_filas")
        return value

    def _read(self, row: Json, options: Query, accept: str) -> tuple[Query, str] | Problem:
        """What is asked for, and in which language."""
        try:
            query = self._rows.row(row, options)
        except BadBody as bad:
            id, language = self._scoring.serving.new_id(), wanted_language(options, accept)
            return problem(bad.code, id, language, bad.faults)
        return query, wanted_language(query, accept)

    def _part(self, asked: tuple[Query, str], result: Answer | Problem) -> bytes:
        if isinstance(result, Problem):
            return result.json()
        return self._writer.json(result, *asked)

    def _reply(self, body: bytes, bundle: Bundle, id: str) -> Reply:
        headers = [
            ("Content-Type", JSON),
            ("Content-Length", str(len(body))),
            self._writer.version(bundle),
            ("X-Propensia-Id", id),
            *SAFE_HEADERS,
        ]
        return Reply(200, headers, body)

    def _refuse(self, code: str, language: str, why: BadBody | None = None) -> Reply:
        id = self._scoring.serving.new_id()
        faults, exact = ((), "") if why is None else (why.faults, why.exact)
        return _refused(
            problem(code, id, language, faults, most_rows=self._most_rows, exact=exact)
        )


def _misnamed(names: list[str]) -> Iterable[Fault]:
    """What is wrong with the names of an object that should have one, that of the rows."""
    if ROWS not in names:
        yield Fault(ROWS, "parametro_ausente", "[…]")
    elif names.count(ROWS) > 1:
        yield Fault(ROWS, "parametro_repetido")
    others = dict.fromkeys(name for name in names if name != ROWS)
    yield from (unknown(name, [ROWS]) for name in list(others)[:MOST_NOTES])


def _refused(refused: Problem) -> Reply:
    body, headers = answer_of(refused, "json")
    return Reply(refused.status, headers, body)


class PredictRoute:
    """WSGI in front of Flask's: answers ``POST /predict``, as ``HotRoute`` does the GET."""

    def __init__(self, app: WSGIApplication, posted: Posted) -> None:
        self._app = app
        self._posted = posted

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer that route; hand everything else to Flask."""
        if environ["PATH_INFO"] != PREDICT or environ["REQUEST_METHOD"] != "POST":
            return self._app(environ, start)
        status, headers, body = self._posted.one(environ)
        start(f"{status} {HTTPStatus(status).phrase}", headers)
        return (body,)


def add_routes(app: Flask, posted: Posted) -> None:
    """Give ``app`` the batch, and the name of the route that ``PredictRoute`` answers."""
    # Without a function: Flask only tells which methods there are (405, OPTIONS).
    app.add_url_rule(PREDICT, "predict", methods=["POST"])

    @app.post("/predict/batch")
    def predict_batch() -> Response:
        status, headers, body = posted.many(request.environ)
        return Response(body, status, headers)
