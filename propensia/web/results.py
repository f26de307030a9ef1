"""``POST /resultados``: who paid after a score, told by programs, kept before the answer goes out.

It finds no answer and changes none: the keeper does, when it brings the journal into the store.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from flask import Flask, Response, request

from propensia.audit import Audit
from propensia.faults import BadRow, Fault
from propensia.journal.writer import JournalError
from propensia.outcomes import checking
from propensia.outcomes.checking import COLUMNS, Outcome
from propensia.recording import Recorder
from propensia.settings import Settings
from propensia.web.asked import hand, language
from propensia.web.prediccion import Scoring
from propensia.web.problems import Problem, answer_of, problem, trace
from propensia.web.query import MOST_NOTES
from propensia.web.rows import BadBody, Json, json_content, unknown

log = logging.getLogger(__name__)

MOST_OUTCOMES = 1000
"""In one request; for more there is the command."""


def add_routes(app: Flask, scoring: Scoring, recorder: Recorder, chosen: Settings) -> None:
    """Give ``app`` the route."""
    results = Results(scoring, recorder, chosen)

    @app.post("/resultados")
    def resultados() -> Response | dict[str, Any]:
        try:
            told = results.take(json_content(request.environ), hand().name)
        except BadBody as bad:
            told = results.refuse(bad.code, bad.faults, bad.exact)
        if isinstance(told, Problem):
            body, headers = answer_of(told, "json")
            return Response(body, told.status, headers)
        return told


class Results:
    """Takes outcomes in. Safe for threads."""

    def __init__(self, scoring: Scoring, recorder: Recorder, chosen: Settings) -> None:
        self._new_id = scoring.serving.new_id
        self._recorder = recorder
        self._off = chosen.journal == "off"
        self._audit = Audit(chosen.state)

    def take(self, value: Json, caller: str) -> dict[str, Any] | Problem:
        """What became of one outcome or of each of a list; a problem where nothing is kept.

        ``value``: an object, or a list of them.
        """
        rows = value if isinstance(value, list) else [value]
        if len(rows) > MOST_OUTCOMES:
            return self.refuse("demasiadas_filas")
        now_ms, told = time.time_ns() // 1_000_000, language()
        today = checking.day_of(now_ms)
        kept: list[Outcome] = []
        results: list[dict[str, Any]] = []
        for row in rows:
            try:
                kept.append(checking.check(_texts(row), today))
                results.append({"estado": "aceptado"})
            except BadRow as bad:
                bad_row = problem("peticion_no_valida", self._new_id(), told, bad.faults)
                if not isinstance(value, list):
                    return bad_row
                results.append(bad_row.body)
        refused = len(rows) - len(kept)
        why = self._keep(kept, refused, caller, now_ms, audited=isinstance(value, list))
        if why is not None:
            return why
        return {"aceptados": len(kept), "rechazados": refused, "resultados": results}

    def refuse(self, code: str, faults: tuple[Fault, ...] = (), exact: str = "") -> Problem:
        """The problem of that code, in the language that is asked for."""
        return problem(
            code, self._new_id(), language(), faults, most_rows=MOST_OUTCOMES, exact=exact
        )

    def _keep(
        self, kept: list[Outcome], refused: int, caller: str, now_ms: int, *, audited: bool
    ) -> Problem | None:
        """Keep them all, or say why none is. A list goes into the audit log too; of one alone,
        which a program may send all day, its ``source`` tells enough. Where nothing is kept there
        is nothing to tell: whoever may send could fill that log with it."""
        if self._off:
            return self.refuse("registro_no_disponible", exact="diario_apagado")
        try:
            hashed = self._recorder.hashed
            told = [
                checking.record(one, caller, one.reference and hashed(one.reference), now_ms)
                for one in kept
            ]
            if audited and kept:
                self._audit.record(
                    "outcomes.loaded", who=caller, accepted=len(kept), refused=refused
                )
            self._recorder.keep(*told)
        except (JournalError, OSError) as error:
            log.error("outcomes were not kept: %s", trace(error))
            return self.refuse("registro_no_disponible")
        return None


def _texts(row: Json) -> dict[str, str]:
    """The texts of a JSON object by column. Raises ``BadRow`` for what is no object, for names
    that are unknown or come twice, and for values of another type."""
    if not isinstance(row, tuple):
        raise BadRow([Fault("", "objeto_esperado")])
    names = [name for name, _ in row]
    others = [name for name in dict.fromkeys(names) if name not in COLUMNS]
    faults = [unknown(name, COLUMNS) for name in others[:MOST_NOTES]]
    faults += [Fault(name, "parametro_repetido") for name in COLUMNS if names.count(name) > 1]
    texts = {}
    for name, value in row:
        if isinstance(value, bool) and name == "pagado":
            texts[name] = "true" if value else "false"
        elif isinstance(value, str):
            texts[name] = value
        elif value is not None and name in COLUMNS:
            faults.append(Fault(name, "tipo_no_valido", ADMITS[name]))
    if faults:
        raise BadRow(faults)
    return texts


ADMITS = {
    "id": "texto",
    "ref": "texto",
    "pagado": checking.PAID_ADMITS,
    "importe": checking.EUROS_ADMITS,
    "fecha": "AAAA-MM-DD",
}
"""What each key takes, where it is of another type."""
