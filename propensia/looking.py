"""What a person sees of an uploaded portfolio before it is scored, found in a confined process.

It runs shut in by ``propensia.confinement``, with the file as the one thing from outside that it
may read; it must never write anywhere but in its folder.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from propensia import contract as contracts
from propensia import files, jobs, spanish
from propensia.batch import formats, summary
from propensia.batch.blocks import Rows
from propensia.batch.formats import Selection
from propensia.batch.reading import Reading
from propensia.columnar import NotFlat, texts
from propensia.contract import Contract
from propensia.delimited import TableError

SHOWN_ROWS = 20
SHOWN_COLUMNS = 60
SHOWN_LETTERS = 60
REQUEST, RESULT = "request.json", "result.json"


def main(folder: Path) -> None:
    """Look at the ``file`` that the request in the folder names, by its ``contract``, and leave
    the result there: ``preview``, or ``refused`` with what a person is told."""
    request = files.read_json(folder / REQUEST)
    told: dict[str, Any]
    try:
        told = {"preview": look(Path(request["file"]), contracts.load(request["contract"]))}
    except TableError as error:
        told = {"refused": str(error)}
    files.write_json(folder / RESULT, told, durable=False)


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
                f"hay más de {spanish.number(jobs.MOST_ROWS, 0)} filas: divida el fichero"
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
    main(Path(sys.argv[1]))
