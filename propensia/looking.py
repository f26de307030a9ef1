"""What a person sees of an uploaded portfolio before it is scored, found in a confined process.

It runs shut in by ``propensia.confinement``, with the file as the one thing from outside that it
may read; it must never write anywhere but in its folder.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from propensia import contract as contracts
from propensia import files, jobs
from propensia.batch import formats, summary
from propensia.batch.blocks import Rows
from propensia.batch.excel_files.reading import sheet_names
from propensia.batch.formats import Selection
from propensia.batch.worker.reading import Reading
from propensia.columnar import NotFlat, texts
from propensia.contract import Contract
from propensia.delimited import TableError

SHOWN_ROWS = 20
"""The first ones, and as many with faults behind them."""
SHOWN_COLUMNS = 60
SHOWN_LETTERS = 60
MOST_SHEETS = 50
REQUEST, RESULT = "request.json", "result.json"


class TooLong(TableError):
    """The table has more than ``jobs.MOST_ROWS`` rows."""


def main(folder: Path) -> None:
    """Look at the ``file`` that the request in the folder names, by its ``contract``, and leave
    the result there: ``preview``, or ``refused`` with what a person is told, or ``too_long``; and
    the ``sheets`` of a workbook that has several."""
    request = files.read_json(folder / REQUEST)
    path, contract = Path(request["file"]), contracts.load(request["contract"])
    sheets = sheet_names(path)[:MOST_SHEETS]
    told: dict[str, Any] = {"sheets": sheets if len(sheets) > 1 else []}
    try:
        told["preview"] = look(path, contract, request["sheet"] or None)
    except TooLong:
        told["too_long"] = True
    except TableError as error:
        told["refused"] = str(error)
    files.write_json(folder / RESULT, told, durable=False)


def look(path: Path, contract: Contract, sheet: str | None = None) -> dict[str, Any]:
    """What a person sees of a portfolio before it is scored: its columns, its first rows, the
    first of the others that have faults, and how many rows have which. Raises ``TableError`` or
    ``OSError``."""
    source = formats.open_source(str(path), contract, Selection(sheet=sheet))
    reading = Reading(contract)
    rows, wrong, counts = 0, 0, dict[str, int]()
    first, faulty = list[dict[str, Any]](), list[dict[str, Any]]()
    for block in source.blocks():
        found = source.reader.read(block)
        values = reading.read(found.texts, found.broken, len(found))
        rows += len(found)
        if rows > jobs.MOST_ROWS:
            raise TooLong
        bad = np.flatnonzero(values.faults.of())
        wrong += len(bad)
        for item, count in values.faults.counted().items():
            counts[item] = counts.get(item, 0) + count
        begun = min(SHOWN_ROWS - len(first), len(found))
        later = [at for at in bad.tolist() if at >= begun][: SHOWN_ROWS - len(faulty)]
        if begun or later:
            faults = values.faults.array().to_pylist()
            notes = values.notes.array().to_pylist()
            first += _shown(found, faults, notes, range(begun))
            faulty += _shown(found, faults, notes, later)
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
        "faulty": faulty,
        "says": {lang: _says(contract, lang, counts, first + faulty) for lang in ("es", "en")},
    }


def _shown(
    found: Rows, faults: list[str], notes: list[str], places: Sequence[int]
) -> list[dict[str, Any]]:
    """The rows at these places as they were, each cell cut to what is shown."""
    table = found.columns().take(np.array(places, dtype=np.int64))
    cells = []
    for column in table.columns[:SHOWN_COLUMNS]:
        try:
            shown = texts(column).to_pylist()
        except NotFlat:
            shown = ["…"] * len(places)
        cells.append([_cut(text) for text in shown])
    return [
        {
            "line": int(found.lines[at]),
            "cells": [column[number] for column in cells],
            "faults": faults[at].split(),
            "notes": notes[at].split(),
        }
        for number, at in enumerate(places)
    ]


def _cut(text: str | None) -> str:
    found = text or ""
    return found if len(found) <= SHOWN_LETTERS else found[:SHOWN_LETTERS] + "…"


def _says(
    contract: Contract, language: str, counts: dict[str, int], shown: list[dict[str, Any]]
) -> dict[str, str]:
    """The sentence of every ``parameter:code`` that is shown."""
    items = {*counts, *(item for row in shown for item in (*row["faults"], *row["notes"]))}
    return {item: summary.said(item, contract, language) or item for item in items}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
