"""The process of one uploaded portfolio: it looks at the file for its preview, or scores it.

Its only argument is the folder of the job. It must never write a value of a row anywhere but in
that folder, and never outlive the process that started it.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from propensia import files, jobs, logs, processes, score
from propensia.batch import formats, summary
from propensia.batch.blocks import Rows
from propensia.batch.engines import EngineWish
from propensia.batch.formats import Selection
from propensia.batch.opening import Wish
from propensia.batch.reading import Reading
from propensia.columnar import NotFlat, texts
from propensia.contract import Contract
from propensia.delimited import TableError
from propensia.jobs import About, Job
from propensia.locks import Lock
from propensia.registry import RegistryError
from propensia.terminal import Exit, Parts, compose

log = logging.getLogger(__name__)

SHOWN_ROWS = 20
SHOWN_COLUMNS = 60
SHOWN_LETTERS = 60
PAUSE_S = 0.2
HOW = " Lo hecho está guardado"
"""Where the sentences of the command begin to tell how to type it again."""
START_S = 5.0
"""Others who ask whether it lives hold its lock for a moment."""


def main() -> None:
    """Do the step that the job is at, once nobody else of this machine is at one."""
    job = Job(Path(sys.argv[1]))
    logs.to_stderr(logging.WARNING, "portfolio %(levelname)s %(message)s")
    os.umask(0o077)  # all of it is of persons
    processes.give_way()  # people wait for answers; this can
    ended = threading.Event()
    processes.when_parent_ends(ended)
    threading.Thread(target=_leave_when, args=(ended, job), daemon=True).start()
    alive = Lock(job.alive, START_S)
    if not alive.acquire():  # another process is at it
        return
    parts = compose()
    with alive:
        about = job.about()
        own_turn = jobs.turn(parts.settings.state)
        while not own_turn.acquire():
            time.sleep(PAUSE_S)
        with own_turn:
            job.working.touch()
            code, message = _done(parts, job, about)
            told = {"step": about.step, "code": code, "message": message}
            files.write_json(job.ended, told, private=True)


def _leave_when(ended: threading.Event, job: Job) -> None:
    while not ended.wait(PAUSE_S):
        if job.gone.exists() or not job.folder.exists():
            break
    os._exit(1)  # what is noted of a run is durable: it goes on from there


def _done(parts: Parts, job: Job, about: About) -> tuple[int, str]:
    """How it ended: an exit code, and what a person is told where it is not 0."""
    try:
        if about.step == jobs.SCORE:
            _score(parts, job, about)
            return Exit.DONE, ""
        told = look(job.entry(about), parts.contract)
        files.write_json(job.preview, told, private=True)
        return Exit.DONE, ""
    except score.NotScored as error:
        return error.code, str(error).partition(HOW)[0]
    except (TableError, RegistryError) as error:
        return Exit.REFUSED, str(error)
    except (OSError, MemoryError):
        return Exit.ENVIRONMENT, "falla el disco o la memoria de la máquina"
    except Exception as error:  # its text may hold a value, and a job without an end says nothing
        log.error("an uploaded portfolio failed: %s", type(error).__name__)
        return Exit.ENVIRONMENT, "fallo nuestro: avise a quien mantiene el servicio"


def _score(parts: Parts, job: Job, about: About) -> None:
    wish = Wish(str(job.entry(about)), str(job.result(about)), reasons=about.reasons or None)
    # One worker: the other cores are for those who are answered now.
    engine = EngineWish(workers=1)
    request = score.Request(wish, about.version, engine, not about.anew, about.anew)
    score.score(parts, request, about.who)


def look(path: Path, contract: Contract) -> dict[str, Any]:
    """What a person sees of a portfolio before it is scored: its columns, its first rows with
    their faults, and how many rows have which. Raises ``TableError`` or ``OSError``."""
    source = formats.open_source(str(path), contract, Selection())
    reading = Reading(contract)
    rows, wrong, counts, first = 0, 0, dict[str, int](), list[dict[str, Any]]()
    for block in source.blocks():
        found = source.reader.read(block)
        values = reading.read(found.texts, found.broken, len(found))
        rows += len(found)
        if rows > jobs.MOST_ROWS:
            raise TableError(
                f"hay más de {jobs.MOST_ROWS:,} filas: divida el fichero, o puntúelo con la orden "
                "propensia score".replace(",", ".", 1)
            )
        wrong += int(values.faults.of().sum())
        for item, count in values.faults.counted().items():
            counts[item] = counts.get(item, 0) + count
        if len(first) < SHOWN_ROWS:
            faults = values.faults.array().to_pylist()
            notes = values.notes.array().to_pylist()
            first += _first(found, faults, notes, SHOWN_ROWS - len(first))
    source.check()
    columns = source.reader.columns
    named = {at: name for name, at in columns.items()}
    ordered = sorted(counts.items(), key=lambda one: -one[1])
    return {
        "rows": rows,
        "wrong": wrong,
        "faults": ordered,
        "columns": [
            {"name": files.shown(name), "parameter": named.get(at, "")}
            for at, name in enumerate(source.heading)
        ][:SHOWN_COLUMNS],
        "more_columns": max(0, len(source.heading) - SHOWN_COLUMNS),
        "first": first,
        "says": {lang: _says(contract, lang, counts, first) for lang in ("es", "en")},
    }


def _first(found: Rows, faults: list[str], notes: list[str], most: int) -> list[dict[str, Any]]:
    """The first rows as they were, each cell cut to what is shown."""
    count = min(most, len(found))
    table = found.columns().slice(0, count)
    cells = []
    for column in table.columns[:SHOWN_COLUMNS]:
        try:
            shown = texts(column).to_pylist()
        except NotFlat:
            shown = ["…"] * count
        cells.append([_cut(text) for text in shown])
    return [
        {
            "line": int(found.lines[at]),
            "cells": [column[at] for column in cells],
            "faults": faults[at].split(),
            "notes": notes[at].split(),
        }
        for at in range(count)
    ]


def _cut(text: str | None) -> str:
    found = text or ""
    return found if len(found) <= SHOWN_LETTERS else found[:SHOWN_LETTERS] + "…"


def _says(
    contract: Contract, language: str, counts: dict[str, int], first: list[dict[str, Any]]
) -> dict[str, str]:
    """The sentence of every ``parameter:code`` that is shown."""
    items = {*counts, *(item for row in first for item in (*row["faults"], *row["notes"]))}
    return {item: summary.said(item, contract, language) or item for item in items}


if __name__ == "__main__":
    main()
    os._exit(0)  # Python would wait for the thread that reads what never comes
