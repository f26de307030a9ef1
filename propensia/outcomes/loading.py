"""A file of outcomes (CSV), line by line through the check into a journal.

One bad line spoils no other. It must never say a text of the file, only its columns and lines.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from propensia import files
from propensia.delimited import TableError, as_text, each_line, table_encoding
from propensia.faults import BadRow, Fault
from propensia.journal.references import References
from propensia.journal.writer import Journal
from propensia.outcomes import checking

NEEDED = ("pagado", "fecha")
NAMING = ("id", "ref")
TOGETHER = 1000
"""Records in one write."""


@dataclass(slots=True)
class Loaded:
    """How many lines of a file were taken so far, and how many were not."""

    accepted: int = 0
    refused: int = 0


def load(
    path: Path,
    source: str,
    journal: Journal,
    references: References,
    now_ms: int,
    tell: Callable[[int, Fault], None],
    done: Loaded,
) -> None:
    """Put the good lines of a file into the journal, as told at ``now_ms`` (since 1970); ``tell``
    is called with the number of a line and each of its faults, in their order; ``done`` counts
    the lines, and is right also where this raises.

    The same file again adds nothing that was not known. Raises ``TableError`` where the file is
    no table of outcomes or has no row, ``OSError`` where it cannot be read, or ``JournalError``:
    then what came before is kept.
    """
    waiting: list[bytes] = []
    with files.open_regular(path) as data:
        encoding = table_encoding(data, path.name)
        with as_text(data, encoding) as text:
            for number, found in _rows(text, path.name):
                try:
                    waiting.append(_record(found, source, references, now_ms))
                except BadRow as bad:
                    done.refused += 1
                    for fault in bad.faults:
                        tell(number, fault)
                if len(waiting) == TOGETHER:
                    journal.append(*waiting)
                    done.accepted += len(waiting)
                    waiting = []
    if waiting:
        journal.append(*waiting)
        done.accepted += len(waiting)
    if not done.accepted + done.refused:
        raise TableError(
            f"{files.shown(path.name)}: no hay ninguna fila después de la cabecera. / There is no "
            "row after the heading."
        )


def _rows(text: io.TextIOWrapper, name: str) -> Iterator[tuple[int, dict[str, str] | None]]:
    """Each line by the columns that count, ``None`` for one that is not of the table."""
    heading, lines = each_line(text, name)
    names = [column.casefold() for column in heading]
    missing = [column for column in NEEDED if column not in names]
    if not any(column in names for column in NAMING):
        missing.insert(0, " o ".join(NAMING))
    if missing:
        raise TableError(
            f"{files.shown(name)}: en la cabecera falta {', '.join(missing)}; las columnas son "
            f"{', '.join(checking.COLUMNS)}. / These columns are missing in the heading."
        )
    places = [(column, names.index(column)) for column in checking.COLUMNS if column in names]
    for number, row in lines:
        found = None if row is None else {c: row[place].strip() for c, place in places}
        yield number, found


def _record(
    found: dict[str, str] | None, source: str, references: References, now_ms: int
) -> bytes:
    if found is None:
        raise BadRow([Fault("", "linea_no_valida")])
    outcome = checking.check(found, checking.day_of(now_ms))
    reference = outcome.reference
    hashed = None if reference is None else references.hashed(reference)
    return checking.record(outcome, source, hashed, now_ms)
