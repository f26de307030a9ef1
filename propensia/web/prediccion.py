"""The hot route, ``GET /prediccion``, taken ahead of Flask's own dispatch.

Flask's dispatch costs more than a score. Every rule of the other routes holds here too, and the
page form is handed on to Flask, which renders it from the same answer.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from propensia.contract import Contract
from propensia.faults import BadRow, Note, sentence
from propensia.scorer import ScorerError, Unreliable
from propensia.serving import Answer, Bundle, NoModel, Serving
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

ROUTE = "/prediccion"
COMPACT = (",", ":")
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

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        self.contract: Contract = serving.contract
        self._reader = QueryReader(serving.contract)

    def read(self, raw: str) -> Query:
        """The query; nothing is raised here, faults are inside."""
        return self._reader.read(raw)

    def score(self, query: Query, language: str) -> Answer | Problem:
        """The answer, or the problem that says why there is none. Raises nothing."""
        serving = self.serving
        try:
            if query.too_long:
                return problem("peticion_demasiado_larga", serving.new_id(), language)
            if query.faults:
                self._with_row_faults(query)
            answer = serving.answer(query.texts, query.reasons)
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
            missing = "parametro_ausente" if query.broken else None
            faults += [fault for fault in bad.faults if fault.code != missing]
        raise BadRow(faults)


class HotRoute:
    """WSGI in front of Flask's: answers the JSON and text forms of the one hot route."""

    def __init__(self, app: WSGIApplication, scoring: Scoring, start: Callable[[], None]) -> None:
        self._app = app
        self._scoring = scoring
        self._start = start
        self._pid = 0
        self._beginning = threading.Lock()
        self._tail: tuple[Bundle | None, str, tuple[str, str]] = (None, "", ("", ""))

    def begin(self) -> None:
        """Start what this process needs in the background, once; who comes meanwhile waits."""
        with self._beginning:
            if os.getpid() != self._pid:
                self._start()
                self._pid = os.getpid()

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer the hot route; hand everything else to Flask."""
        if os.getpid() != self._pid:  # after a fork the background thread did not come along
            self.begin()
        method = environ["REQUEST_METHOD"]
        if environ["PATH_INFO"] != ROUTE or method not in ("GET", "HEAD"):
            return self._app(environ, start)
        query = self._scoring.read(environ.get("QUERY_STRING", ""))
        form = query.form or wanted_form(
            environ.get("HTTP_ACCEPT", ""), self._scoring.contract.form
        )
        if form == "html":
            return self._app(environ, start)
        language = wanted_language(query, environ.get("HTTP_ACCEPT_LANGUAGE", ""))
        result = self._scoring.score(query, language)
        if isinstance(result, Problem):
            return _refuse(result, form, method, start)
        tail, version = self._of_bundle(result.bundle)
        if form == "json":
            body, kind = self._json(result, query, language, tail), JSON
        else:
            body, kind = text_body(result, self._scoring.contract), TEXT
        start(
            "200 OK",
            [
                ("Content-Type", kind),
                ("Content-Length", str(len(body))),
                version,
                ("X-Propensia-Id", result.id),
                *SAFE_HEADERS,
            ],
        )
        return (body,) if method == "GET" else ()

    def _of_bundle(self, bundle: Bundle) -> tuple[str, tuple[str, str]]:
        """The part of an answer that only changes with the release, made once per release."""
        held, tail, version = self._tail
        if held is not bundle:
            release = bundle.release
            tail = (
                f',"umbral":{bundle.decision.threshold!r},"modelo":{json.dumps(release.model)}'
                f',"version":"{release.version}","publicacion":{release.number},"avisos":'
            )
            version = ("X-Propensia-Version", release.version)
            self._tail = (bundle, tail, version)
        return tail, version

    def _json(self, answer: Answer, query: Query, language: str, tail: str) -> bytes:
        contract = self._scoring.contract
        names = contract.positive_name if answer.positive else contract.negative_name
        rest = ""
        if "ref" in query.options:
            rest += f',"ref":{json.dumps(query.options["ref"])}'
        if answer.effects is not None:
            rest += f',"motivos":{json.dumps(effects_shape(answer), separators=COMPACT)}'
        notes = ",".join([_note_json(note, language) for note in answer.notes])
        return (
            f'{{"id":"{answer.id}","clasificacion":{_quoted(names["es"])},'
            f'"{contract.flag}":{"true" if answer.positive else "false"},'
            f'"probabilidad":{answer.probability!r}{tail}[{notes}]{rest}}}'
        ).encode()


def answer_shape(
    answer: Answer, query: Query, contract: Contract, language: str
) -> dict[str, Any]:
    """The answer as the dictionary that the JSON form writes, for pages and batches."""
    release = answer.bundle.release
    names = contract.positive_name if answer.positive else contract.negative_name
    shape: dict[str, Any] = {
        "id": answer.id,
        "clasificacion": names["es"],
        contract.flag: answer.positive,
        "probabilidad": answer.probability,
        "umbral": answer.bundle.decision.threshold,
        "modelo": release.model,
        "version": release.version,
        "publicacion": release.number,
        "avisos": [_note_shape(note, language) for note in answer.notes],
    }
    if "ref" in query.options:
        shape["ref"] = query.options["ref"]
    if answer.effects is not None:
        shape["motivos"] = effects_shape(answer)
    return shape


def effects_shape(answer: Answer) -> list[dict[str, Any]]:
    """``motivos``: parameter and effect in probability (0.1 = ten points up), largest first."""
    return [{"parametro": name, "efecto": effect} for name, effect in answer.effects or ()]


def text_body(answer: Answer, contract: Contract) -> bytes:
    """The bare class, ``1`` or ``0``; or a network's number in brackets where the contract
    keeps that old habit."""
    if contract.text == "numpy" and answer.bundle.kind == "keras":
        return str(np.array([answer.probability], dtype=np.float32)).encode()
    return b"1" if answer.positive else b"0"


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


def _note_shape(note: Note, language: str) -> dict[str, Any]:
    used = note.used
    if isinstance(used, float) and used.is_integer():  # every number is read as a float: 65.0
        used = int(used)
    return {
        "parametro": note.parameter,
        "codigo": note.code,
        "mensaje": sentence(note.code, note.parameter, language, used=used),
        "valor_usado": used,
    }


def _note_json(note: Note, language: str) -> str:
    if note.code == "valor_supuesto":  # always the same few: what the contract fills in
        return _assumed_json(note, language)
    return _shape_json(note, language)


@functools.lru_cache(maxsize=256)
def _assumed_json(note: Note, language: str) -> str:
    return _shape_json(note, language)


def _shape_json(note: Note, language: str) -> str:
    return json.dumps(_note_shape(note, language), ensure_ascii=False, separators=COMPACT)


@functools.lru_cache(maxsize=16)
def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
