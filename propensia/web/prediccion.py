"""The hot route, ``GET /prediccion``, taken ahead of Flask's own dispatch.

Flask's dispatch costs more than a score. Every rule of the other routes holds here too, and the
page form is handed on to Flask, which renders it from the same answer.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from propensia.access.roles import OLD_ROUTE
from propensia.contract import Contract
from propensia.faults import BadRow
from propensia.journal.writer import JournalError
from propensia.recording import Answered, Recorder
from propensia.scorer import ScorerError, Unreliable
from propensia.serving import Answer, Bundle, NoModel, Serving
from propensia.web.answers import AnswerWriter, text_body
from propensia.web.door import CALLER
from propensia.web.problems import (
    SAFE_HEADERS,
    TEXT,
    Problem,
    answer_of,
    preferences,
    problem,
    trace,
    wanted_language,
)
from propensia.web.query import Query, QueryReader

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

JSON = "application/json"
KINDS = {JSON: "json", "text/plain": "text", "text/html": "html"}
STATUS = {
    400: "400 BAD REQUEST",
    414: "414 REQUEST URI TOO LONG",
    500: "500 INTERNAL SERVER ERROR",
    503: "503 SERVICE UNAVAILABLE",
}


class Scoring:
    """One query string to one answer or one problem, whatever the form it is shown in."""

    def __init__(
        self,
        serving: Serving,
        recorder: Recorder,
        tell: Callable[[Answer | Problem], None] = lambda result: None,
    ) -> None:
        """``recorder`` keeps every result; ``tell`` is called with it, and must not raise."""
        self.serving = serving
        self._recorder = recorder
        self._tell = tell
        self.contract: Contract = serving.contract
        self._reader = QueryReader(serving.contract)

    def read(self, raw: str) -> Query:
        """The query; nothing is raised here, faults are inside."""
        return self._reader.read(raw)

    def score(
        self, query: Query, language: str, caller: str, bundle: Bundle | None = None
    ) -> Answer | Problem:
        """As ``score_all``, for one row."""
        return self.score_all([(query, language)], caller, bundle)[0]

    def score_all(
        self,
        asked: Sequence[tuple[Query, str]],
        caller: str,
        bundle: Bundle | None = None,
        *,
        all_or_none: bool = False,
    ) -> list[Answer | Problem]:
        """The answer to each query, or the problem, in its language, that says why there is none.
        Raises nothing.

        They are in the journal when this returns, in one write: an answer that cannot be kept is
        none. ``caller``: who asks. ``bundle``: what a batch took at its start; ``None`` for what
        answers now. ``all_or_none``: where there is a problem nobody gets an answer, and so none
        is kept.
        """
        results = [self._score(query, language, bundle) for query, language in asked]
        answered = [
            Answered(result, query.texts, query.options.get("ref"))
            for (query, _), result in zip(asked, results, strict=True)
            if isinstance(result, Answer)
        ]
        if len(answered) < len(results):
            self._recorder.refused(_refused(results), caller)
        if answered and (len(answered) == len(results) or not all_or_none):
            try:
                self._recorder.answered(answered, caller)
            except JournalError:
                results = [
                    problem("registro_no_disponible", result.id, language)
                    if isinstance(result, Answer)
                    else result
                    for (_, language), result in zip(asked, results, strict=True)
                ]
        for result in results:
            self._tell(result)
        return results

    def _score(self, query: Query, language: str, bundle: Bundle | None) -> Answer | Problem:
        serving = self.serving
        try:
            if query.too_long:
                return problem("peticion_demasiado_larga", serving.new_id(), language)
            if query.faults:
                self._with_row_faults(query)
            answer = serving.answer(query.texts, query.reasons, bundle)
            answer.notes.extend(query.notes)
            return answer
        except BadRow as bad:
            code, faults = "peticion_no_valida", bad.faults
            return problem(code, serving.new_id(), language, faults, self.contract)
        except NoModel:
            return problem("sin_modelo", serving.new_id(), language)
        except (Unreliable, ScorerError):
            return problem("modelo_no_fiable", serving.new_id(), language)
        except Exception as error:
            id = serving.new_id()
            log.error("answer %s failed: %s", id, trace(error))
            return problem("error_interno", id, language)

    def _with_row_faults(self, query: Query) -> None:
        """Raise the faults of the query together with those of the row."""
        faults = list(query.faults)
        try:
            self.serving.features.read(query.texts)
        except BadRow as bad:
            told = {fault.parameter for fault in faults}
            faults += [
                fault
                for fault in bad.faults
                if fault.code != "parametro_ausente"
                or not (query.broken or fault.parameter in told)
            ]
        raise BadRow(faults)


def _refused(results: Iterable[Answer | Problem]) -> Iterable[tuple[str, str, str]]:
    """Id, parameter and code of all that is wrong with what could not be scored."""
    for result in results:
        if isinstance(result, Problem):
            id, errors = result.body["id"], result.body["errores"]
            if not errors:
                yield id, "", result.code
            for error in errors:
                yield id, error["parametro"], error["codigo"]


class HotRoute:
    """WSGI in front of Flask's: answers the JSON and text forms of the one hot route."""

    def __init__(self, app: WSGIApplication, scoring: Scoring, start: Callable[[], None]) -> None:
        self._app = app
        self._scoring = scoring
        self._start = start
        self._pid = 0
        self._beginning = threading.Lock()
        self._writer = AnswerWriter(scoring.contract)

    def begin(self) -> None:
        """Start what this process needs in the background, once; who comes meanwhile waits.

        To be called before every question: after a fork the background thread did not come along.
        """
        if os.getpid() == self._pid:
            return
        with self._beginning:
            if os.getpid() != self._pid:
                self._start()
                self._pid = os.getpid()

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer the hot route; hand everything else to Flask."""
        method = environ["REQUEST_METHOD"]
        if environ["PATH_INFO"] != OLD_ROUTE or method not in ("GET", "HEAD"):
            return self._app(environ, start)
        query = self._scoring.read(environ.get("QUERY_STRING", ""))
        form = query.form or wanted_form(
            environ.get("HTTP_ACCEPT", ""), self._scoring.contract.form
        )
        if form == "html":
            return self._app(environ, start)
        language = wanted_language(query, environ.get("HTTP_ACCEPT_LANGUAGE", ""))
        result = self._scoring.score(query, language, environ[CALLER].name)
        if isinstance(result, Problem):
            return _refuse(result, form, method, start)
        if form == "json":
            body, kind = self._writer.json(result, query, language), JSON
        else:
            body, kind = text_body(result, self._scoring.contract), TEXT
        start(
            "200 OK",
            [
                ("Content-Type", kind),
                ("Content-Length", str(len(body))),
                self._writer.version(result.bundle),
                ("X-Propensia-Id", result.id),
                *SAFE_HEADERS,
            ],
        )
        return (body,) if method == "GET" else ()


@functools.lru_cache(maxsize=64)  # a caller sends the same header with every request
def wanted_form(accept: str, default: str) -> str:
    """``json``, ``text`` or ``html`` for an Accept header; the first of these where all weigh
    the same, ``default`` where none is named.

    Old HTTP libraries send ``text/html`` among others without wanting a page; a page is for who
    also names XHTML, as every browser does, who prefers it to another of our forms, or who asks
    for ``text/html`` and nothing else.
    """
    if not accept or accept == "*/*":
        return default
    if accept in KINDS:
        return KINDS[accept]
    shares = dict(preferences(accept))
    if shares.get("application/xhtml+xml"):
        return "html"
    named = {form: shares.get(kind, 0.0) for kind, form in KINDS.items()}
    for kind in (JSON, "text/plain"):  # text/* is the bare class: a page is asked for by name
        if kind not in shares:
            named[KINDS[kind]] = shares.get(kind.partition("/")[0] + "/*", 0.0)
    best = max(named, key=lambda form: named[form])
    page_by_habit = best == "html" and len(shares) > 1 and not (named["json"] or named["text"])
    return default if page_by_habit or not named[best] else best


def _refuse(refused: Problem, form: str, method: str, start: StartResponse) -> Iterable[bytes]:
    body, headers = answer_of(refused, form)
    start(STATUS[refused.status], headers)
    return (body,) if method == "GET" else ()
