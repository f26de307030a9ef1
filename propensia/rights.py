"""What a person may ask for: all that is known of them, and that it be erased.

Who did it stays in the audit log, with counts; never what was known, nor the reference itself.
"""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from propensia import telling
from propensia.audit import Audit
from propensia.journal import references
from propensia.journal.references import References
from propensia.journal.writer import FOLDER
from propensia.rules import Rules
from propensia.settings import Settings
from propensia.store import database, people
from propensia.store.database import StoreError
from propensia.store.people import Known, Person

is_id = re.compile(r"[0-9a-f]{29}").fullmatch


def person(settings: Settings, id: str | None, reference: str | None) -> Person | None:
    """Of whom somebody asks, by one of the two; ``None`` for whom nothing can be known. Raises
    ``OSError``, or ``StoreError`` where the key of references is damaged."""
    if id is not None:
        return Person(id=id) if is_id(id) else None
    # Before the first reference there is no key, and a question makes none.
    if reference is None or not (settings.state / references.NAME).exists():
        return None
    try:
        return Person(reference=References(settings.state).hashed(reference))
    except ValueError:  # its text may hold a part of the key
        raise StoreError(
            f"{references.NAME} está dañado: recupérelo de una copia de seguridad. / The key of "
            "the references is damaged: take it from a backup."
        ) from None


def known(engine: Engine, asked: Person) -> Known:
    """All that the store knows of them. Raises ``SQLAlchemyError``."""
    with engine.connect() as connection:
        return people.known(connection, asked)


def export(engine: Engine, rules: Rules, audit: Audit, asked: Person, who: str) -> dict[str, Any]:
    """All that is known of somebody, for JSON; it is in the audit log before anybody sees it.
    Raises ``SQLAlchemyError`` or ``OSError``."""
    found = known(engine, asked)
    audit.record("exported", who=who, **_facts(asked, found.counts()))
    return {
        "exportado": telling.moment(time.time_ns() // 1_000_000),
        "respuestas": [
            telling.shape(stored, rules) | {"referencia": stored.reference}
            for stored in found.answers
        ],
        "rechazos": [telling.refusal(refused) for refused in found.refusals],
        "resultados": [
            {"respuesta": row["answer"]} | telling.outcome(row) for row in found.outcomes
        ],
        "comunicaciones": [
            {
                "id": row["id"],
                "respuesta": row["answer"],
                "referencia": row["reference"],
                "estado": telling.OUTCOME_STATES[row["state"]],
            }
            | telling.outcome(row)
            for row in found.events
        ],
    }


def erase(engine: Engine, audit: Audit, asked: Person, who: str, why: str) -> dict[str, int]:
    """Erase all that is known of somebody, for good: how much of each kind it was.

    What the journal still holds of it goes within the quarter of an hour that its files last, and
    does not come back. Raises ``SQLAlchemyError`` or ``OSError``, and then nothing was erased; the
    log, which is told first, tells that too, as far as it can be known.
    """
    facts: dict[str, Any] | None = None
    try:
        with engine.begin() as connection:
            written_ms = _written_ms(audit.folder.parent / FOLDER)
            now_ms = time.time_ns() // 1_000_000
            counts = people.erase(connection, asked, now_ms, written_ms)
            facts = _facts(asked, counts)
            # Inside: what cannot be told is not done.
            audit.record("erased", who=who, why=why, **facts)
    except SQLAlchemyError:
        if facts is not None:  # told, and then the database did not say that it is done
            with contextlib.suppress(OSError):
                audit.record("erased", who=who, why=why, unsure=True, **facts)
        raise
    database.settle(engine)
    return counts


def _written_ms(folder: Path) -> int:
    """When a journal was last written, in ms since 1970; 0 where it holds nothing."""
    times = [0]
    for path in folder.glob("*.journal"):
        with contextlib.suppress(FileNotFoundError):  # shipped this moment
            times.append(path.stat().st_mtime_ns // 1_000_000)
    return max(times)


def _facts(asked: Person, counts: dict[str, int]) -> dict[str, Any]:
    by = "id" if asked.id is not None else "reference"
    return {by: asked.key, **counts}
