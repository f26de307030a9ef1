"""``/respuestas`` and ``/personas``: what was answered, once more, and what a person may ask for.

It loads no database before somebody asks, and repeats no reference and no id of a person.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flask import Flask

from propensia import heartbeat, replaying, telling
from propensia.audit import Audit
from propensia.journal import references
from propensia.replaying import ReplayError
from propensia.rules import Rules
from propensia.settings import Settings
from propensia.web.asked import (
    Refused,
    Wrong,
    fault,
    hand,
    kept_why,
    language,
    sent_object,
    text_of,
    wrong_why,
)
from propensia.web.prediccion import Scoring
from propensia.web.problems import trace

if TYPE_CHECKING:
    from propensia.store.answers import Refusal, Stored
    from propensia.store.people import Person

log = logging.getLogger(__name__)

CONNECT_S = 3.0
"""Whoever waits for a silent database holds a place that others may need."""


def add_routes(app: Flask, scoring: Scoring, chosen: Settings) -> None:
    """Give ``app`` the routes about stored answers."""
    memory = Memory(scoring, chosen)

    @app.get("/respuestas/<id>")
    def respuesta(id: str) -> dict[str, Any]:
        return memory.answer(id)

    @app.post("/respuestas/<id>/repetir")
    def repetir(id: str) -> dict[str, Any]:
        return memory.repeat(id)

    @app.post("/personas/exportar")
    def exportar() -> dict[str, Any]:
        return memory.export()

    @app.post("/personas/borrar")
    def borrar() -> dict[str, Any]:
        return memory.erase()


class Memory:
    """What the store tells to one request. Safe for threads; every method raises ``Refused``."""

    def __init__(self, scoring: Scoring, chosen: Settings) -> None:
        self._serving = scoring.serving
        self._chosen = chosen
        self._audit = Audit(chosen.state)

    def answer(self, id: str) -> dict[str, Any]:
        """The stored answer, or why there was none."""
        from propensia.store.answers import Refusal  # here, as in ``export``

        found = self._found(id)
        if isinstance(found, Refusal):
            return telling.refusal(found)
        return telling.shape(found, self._rules(), language())

    def repeat(self, id: str) -> dict[str, Any]:
        """The stored answer and the same one given now."""
        from propensia.store.answers import Refusal  # here, as in ``export``

        stored, rules = self._found(id), self._rules()
        if isinstance(stored, Refusal):
            raise Refused("conflicto", exact="peticion_rechazada")
        try:
            found = replaying.replay(stored, rules, self._serving)
        except ReplayError as error:
            raise Refused("conflicto", exact=error.code) from error
        then = telling.shape(stored, rules, language())
        return replaying.shape(found, then, language())

    def export(self) -> dict[str, Any]:
        """All that is known of the person of the body."""
        # Here: nobody may ever ask, and the library takes memory of every process.
        from propensia import rights

        with self._store() as engine:
            asked = self._person(sent_object({"id", "ref"}))
            if asked is None or not any(rights.known(engine, asked).counts().values()):
                raise Refused("no_encontrado", exact="persona_desconocida")
            return rights.export(engine, self._rules(), self._audit, asked, hand().shown)

    def erase(self) -> dict[str, Any]:
        """How much of the person of the body was erased."""
        from propensia import rights  # here, as in ``export``

        with self._store() as engine:
            sent = sent_object({"id", "ref", "motivo"})
            asked = self._person(sent, needs_why=True)
            if asked is None:
                raise Refused("no_encontrado", exact="persona_desconocida")
            why = kept_why(sent["motivo"])
            counts = rights.erase(engine, self._audit, asked, hand().shown, why)
        if not any(counts.values()):
            raise Refused("no_encontrado", exact="persona_desconocida")
        return {
            "respuestas": counts["answers"],
            "valores": counts["inputs"],
            "rechazos": counts["refusals"],
            "resultados": counts["outcomes"],
            "comunicaciones": counts["events"],
        }

    def _found(self, id: str) -> Stored | Refusal:
        from propensia.store import answers  # here, as in ``export``

        with self._store() as engine, engine.connect() as connection:
            found = answers.find(connection, id) or answers.refusal(connection, id)
        if found is None:
            raise Refused("no_encontrado", exact="respuesta_desconocida")
        return found

    def _person(self, sent: dict[str, Any], needs_why: bool = False) -> Person | None:
        """Of whom the body asks; ``None`` for whom nothing can be known."""
        from propensia import rights  # here, as in ``export``

        wrong: dict[str, Wrong | None]
        wrong = {name: _wrong_name(sent[name]) for name in ("id", "ref") if name in sent}
        if len(wrong) != 1:
            wrong = {"ref": ("opcion_no_valida" if wrong else "parametro_ausente", "id | ref")}
        if needs_why:
            wrong["motivo"] = wrong_why(sent.get("motivo"))
        errors = [fault(name, *found) for name, found in wrong.items() if found is not None]
        if errors:
            raise Refused("peticion_no_valida", errors)
        return rights.person(self._chosen, sent.get("id"), sent.get("ref"))

    def _rules(self) -> Rules:
        return Rules(self._chosen.state, self._serving.contract)

    @contextlib.contextmanager
    def _store(self) -> Iterator[Any]:
        """The database, for one request: no process holds it open for the next. Nobody waits
        for one that the keeper found away."""
        from propensia.store import database  # here, as in ``export``

        keeper = heartbeat.look(self._chosen.state / "keeper.json", fresh_s=30.0)
        if keeper is not None and keeper.get("sin_base"):
            raise Refused("registro_no_disponible", exact="base_no_disponible")
        try:
            with database.using(self._chosen, CONNECT_S) as engine:
                yield engine
        except database.StoreError as error:
            log.error("a stored answer cannot be read: %s", trace(error))
            raise Refused("registro_no_disponible", exact="base_no_disponible") from error


def _wrong_name(value: Any) -> Wrong | None:
    admits = text_of(references.LONGEST)
    if not isinstance(value, str):
        return "tipo_no_valido", admits
    if not value:
        return "parametro_ausente", admits
    if len(value) > references.LONGEST:
        return "texto_demasiado_largo", admits
    # As of every reference that is taken in; half a letter could not even be looked for.
    return None if value.isprintable() else ("caracter_de_control", "")
