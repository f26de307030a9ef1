"""One record of the audit log, one line: JSON whose last key is the SHA-256 of all before it.

It knows no file.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

FIRST = "0" * 64
"""What the first record is chained to."""

# event -> what happened, Spanish and English.
EVENTS = {
    "admitted": ("modelo aceptado", "model accepted"),
    "refused": ("modelo rechazado", "model refused"),
    "published": ("publicado", "published"),
    "keys.created": ("clave creada", "key made"),
    "keys.rotated": ("clave cambiada", "key rotated"),
    "keys.revoked": ("clave revocada", "key revoked"),
    "settings.changed": ("ajustes cambiados", "settings changed"),
    "outcomes.loaded": ("resultados cargados", "outcomes loaded"),
    "scored": ("cartera puntuada", "portfolio scored"),
    "uploaded": ("cartera subida", "portfolio uploaded"),
    "downloaded": ("cartera descargada", "portfolio downloaded"),
    "expired": ("cartera subida caducada", "uploaded portfolio expired"),
    "deleted": ("cartera subida borrada", "uploaded portfolio deleted"),
    "listed": ("respuestas listadas", "answers listed"),
    "exported": ("datos exportados", "data exported"),
    "erased": ("datos borrados", "data erased"),
    "purged": ("datos caducados borrados", "expired data purged"),
    "backup": ("copia de seguridad", "backup"),
    "restored": ("copia restaurada", "backup restored"),
    "found": ("hallado sin constar", "found unrecorded"),
    "missing": ("consta y no está", "recorded and not there"),
    "mended": ("registro reparado", "log mended"),
}

_TAIL = re.compile(rb',"hash":"([0-9a-f]{64})"\}\n?$')


@dataclass(frozen=True, slots=True)
class Head:
    """The number and the hash of a record: of the last one, they stand for the whole log."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Record:
    """One event. ``at``: ISO 8601, UTC; ``before``: the hash of the record before this one."""

    number: int
    at: str
    event: str
    who: str
    why: str
    facts: dict[str, Any]
    before: str
    hash: str

    @property
    def head(self) -> Head:
        """What the next record is chained to."""
        return Head(self.number, self.hash)


def written(
    before: Head, event: str, who: str, why: str, facts: dict[str, Any]
) -> tuple[bytes, Head]:
    """The line of a new record that follows ``before``, and its head. Raises ``ValueError`` for
    an event that is not in ``EVENTS``, and for facts that are no JSON."""
    if event not in EVENTS:
        raise ValueError(f"no event of the audit log: {event}")
    number, at = before.number + 1, datetime.now(UTC).isoformat(timespec="milliseconds")
    row = {"number": number, "at": at, "event": event, "who": who, "why": why}
    row |= {"facts": facts, "before": before.hash}
    said = json.dumps(row, ensure_ascii=True, separators=(",", ":"), allow_nan=False)[:-1]
    hash = hashlib.sha256(said.encode("ascii")).hexdigest()
    return f'{said},"hash":"{hash}"}}\n'.encode("ascii"), Head(number, hash)


def read(line: bytes) -> Record | None:
    """The record of a line; ``None`` where it is not, to the last byte, what was written."""
    tail = _TAIL.search(line)
    if tail is None or hashlib.sha256(line[: tail.start()]).hexdigest().encode() != tail[1]:
        return None
    try:
        record = Record(**json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return None
    return record if isinstance(record.number, int) else None
