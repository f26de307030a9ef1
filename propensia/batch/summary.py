"""What a run found, as its reader is told: a table of values for programs, sentences for people.

It holds counts and codes, never a value of a row.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from propensia.batch import row_faults
from propensia.batch.notes import Note
from propensia.batch.progress import duration
from propensia.batch.worker.model import Model
from propensia.contract import Contract
from propensia.faults import TEXTS, sentence
from propensia.spanish import number, percent

USED = "\0"
"""In place of the value that was used, where a sentence ends with it."""
MOST_KINDS = 20
"""Kinds of faults or notes that are printed; the file has all of them."""
Lines = list[tuple[str, ...]]


def facts(note: Note, model: Model, source: str) -> dict[str, Any]:
    """What ``SALIDA.resumen.json`` holds. ``source``: the name of the entry, fit to be shown."""
    tally = note.tally
    return {
        "entrada": source,
        "modelo": model.release.model,
        "version": note.about.version,
        "publicacion": note.about.release,
        "contrato": model.contract.name,
        "umbral": model.decision.threshold,
        "empezada": note.began,
        "filas": tally.rows,
        "puntuadas": tally.scored,
        "con_errores": tally.rows - tally.scored,
        "filas_vacias": tally.empty,
        "errores": _sorted(tally.faults),
        "avisos": _sorted(tally.notes),
        "clases": _sorted(tally.classes),
        "bandas": dict(sorted(tally.bands.items())),
        "euros_esperados": round(tally.euros, 2) if tally.valued else None,
        "filas_con_euros": tally.valued,
        "segundos": round(note.seconds, 3),
        "filas_por_segundo": round(rate(note), 1),
        "reanudada": note.starts - 1,
        "opciones": note.about.options,
    }


def rate(note: Note) -> float:
    """Rows a second, of all the time that was spent; 0 where none was."""
    return note.tally.rows / note.seconds if note.seconds > 0 else 0.0


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(counts.most_common())


def said(item: str, contract: Contract, language: str) -> str:
    """The sentence of a ``parameter:code`` in ``es`` or ``en``; empty where the code has none.
    What was used instead is another in each row, so that is left out."""
    name, _, code = item.rpartition(":")
    own = contract.own_faults
    if code in row_faults.TEXTS:
        return row_faults.TEXTS[code][0 if language == "es" else 1].replace("{p}", name)
    if code not in own and code not in TEXTS:
        return ""
    known = {parameter.name: parameter for parameter in contract.parameters}
    admits = known[name].admits() if name in known else ""
    text = sentence(code, name, language, admits=admits, used=USED, own=own)
    return text.rpartition(":")[0] if text.endswith(USED) else text


def overview(note: Note, model: Model) -> Lines:
    """The figures, one a line: what, and how much."""
    tally = note.tally
    whole = max(tally.rows, 1)
    lines: Lines = [
        ("Modelo", f"{model.release.model}, versión {note.about.version}"),
        ("Filas", number(tally.rows, 0)),
        ("Puntuadas", _share(tally.scored, whole)),
        ("Con errores", _share(tally.rows - tally.scored, whole)),
    ]
    if tally.empty:
        lines.append(("Vacías", f"{number(tally.empty, 0)}, que no cuentan ni salen"))
    lines += [(name, _share(count, whole)) for name, count in tally.classes.most_common()]
    lines += [(f"Banda {band}", _share(n, whole)) for band, n in sorted(tally.bands.items())]
    if tally.valued:
        of = f"de {number(tally.valued, 0)} filas: probabilidad por importe"
        lines.append(("Euros esperados", f"{number(tally.euros, 2)} ({of})"))
    spent = f"{duration(note.seconds)}, {number(rate(note), 0)} filas/s"
    if note.starts > 1:
        times = "una vez" if note.starts == 2 else f"{note.starts - 1} veces"
        spent += f" (reanudada {times})"
    lines.append(("Tiempo", spent))
    return lines


def _share(count: int, whole: int) -> str:
    return f"{number(count, 0)} ({percent(count / whole, 1)})"


def kinds(counts: Counter[str], contract: Contract) -> Lines:
    """The most frequent faults or notes: rows, which, and what that is."""
    lines: Lines = [
        (number(count, 0), item, said(item, contract, "es"))
        for item, count in counts.most_common(MOST_KINDS)
    ]
    if len(counts) > MOST_KINDS:
        lines.append(("…", f"y {len(counts) - MOST_KINDS} más", ""))
    return lines
