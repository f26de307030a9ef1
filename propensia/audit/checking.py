"""Whether the audit log is what was written: no line changed, moved, taken out or cut off.

It only reads. Whoever can write the file can write another chain: what shows that is a head that
was noted elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from propensia.audit import records
from propensia.audit.log import Audit
from propensia.audit.records import FIRST, Head, Record


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found. ``wrong`` says what is wrong, in Spanish, and ``line`` where it begins,
    counted from 1; ``None`` for a whole log. ``torn``: bytes of half a line at the end, which a
    sudden end leaves. ``noted``: the number of the record whose hash was asked for."""

    count: int = 0
    head: Head = field(default_factory=lambda: Head(0, FIRST))
    since: str = ""
    until: str = ""
    wrong: str | None = None
    line: int | None = None
    torn: int = 0
    noted: int | None = None


def verify(audit: Audit, noted: str | None = None) -> Verdict:
    """Walk through the log. ``noted``: the hash of a head, or its beginning, that has to be in
    it. Reads one line at a time. Raises ``OSError``."""
    head = audit.head()  # first: what is added meanwhile comes after it
    found = Verdict()
    for number, line in enumerate(audit.lines(), 1):
        if not line.endswith(b"\n"):
            found = replace(found, torn=len(line))
            break
        record = records.read(line)
        wrong = _wrong(record, found.head, head)
        if record is None or wrong is not None:
            return replace(found, wrong=f"la línea {number} {wrong}", line=number)
        found = replace(
            found,
            count=number,
            head=record.head,
            since=found.since or record.at,
            until=record.at,
            noted=record.number if _is(record.hash, noted) else found.noted,
        )
    return _end(found, head, noted)


def _is(hash: str, noted: str | None) -> bool:
    return noted is not None and hash.startswith(noted)


def _wrong(record: Record | None, before: Head, noted: Head | None) -> str | None:
    """What is wrong with a line that follows ``before``."""
    if record is None:
        return "no es la que se escribió: alguien la ha cambiado, o el disco la ha dañado"
    if record.number != before.number + 1:
        return (
            f"lleva el número {record.number} y sigue a la {before.number}: falta algo en medio, "
            "o está cambiada de sitio"
        )
    if record.before != before.hash:
        return "no sigue a la que tiene delante: aquella es otra que la que se escribió"
    if noted is not None and record.number == noted.number and record.hash != noted.hash:
        return "no es la que se anotó en head.json: se ha vuelto a escribir"
    return None


def _end(found: Verdict, head: Head | None, noted: str | None) -> Verdict:
    """The verdict once all lines are good: whether the end is there, and the noted head."""
    last = found.head.number
    if head is not None and head.number > last:
        wrong = f"faltan líneas tras la {last}: en head.json se anotó la {head.number}"
        return replace(found, wrong=wrong, line=found.count + 1)
    if head is None and found.count > 1:
        wrong = "falta head.json, o está dañado: no se sabe si están las últimas líneas"
        return replace(found, wrong=wrong, line=found.count + 1)
    if noted is not None and found.noted is None:
        wrong = "el final que se anotó no está en el registro: se ha vuelto a escribir o cortado"
        return replace(found, wrong=wrong)
    return found
