"""Turns what is known of uploaded portfolios into what their pages show.

Never reads a request or a file, and never marks text as safe HTML.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from propensia import jobs
from propensia.contract import Contract
from propensia.jobs import About
from propensia.web import pages
from propensia.web.portfolio_texts import PORTFOLIO

Table = dict[str, Any]
AT_WORK = ("mirando", "en_cola", "puntuando")
MOST_KINDS = 12
REASONS = (0, 3, 5)


def overview(
    mine: Iterable[tuple[str, About, str]], limits: tuple[int, float], language: str
) -> Table:
    """The context of ``portfolio.html``. ``mine``: id, job and state of each; ``limits``: the
    longest file in MB, and for how many hours it is kept."""
    words = _texts(language)
    megabytes, hours = limits
    frame = pages.frame(words["portfolio_title"], language, "cartera", [])
    rows = _count(jobs.MOST_ROWS, language)
    return _shown(frame, words) | {
        "switch": f"./cartera?idioma={frame['other_language']}",
        "open": megabytes > 0,
        "hint": words["portfolio_hint"].format(rows=rows, mb=megabytes),
        "kept": words["portfolio_kept"].format(hours=pages.number(hours, language)),
        "kept_here": words["portfolio_kept_here"].format(hours=pages.number(hours, language)),
        "mine": [
            {
                "id": id,
                "name": pages.visible(about.name),
                "state": words[f"state_{state}"],
            }
            for id, about, state in mine
        ],
    }


def message(ended: Table, language: str) -> str:
    """Why a job was refused or failed; ``ended``: as ``Job.ended`` is. What is wrong with a table
    is told in Spanish alone, and an English page says so."""
    rows = _count(jobs.MOST_ROWS, language)
    told = _texts(language)[f"why_{ended['why']}"]
    return told.format(text=ended.get("text", ""), rows=rows)


def preview(held: Table, language: str) -> Table:
    """What ``vista`` of a job is: ``held`` is what its process left."""
    says = held["says"][language]

    def told(items: Iterable[str]) -> list[Table]:
        parts = [(item, *item.rpartition(":")[::2]) for item in items]
        return [
            {"parametro": name, "codigo": code, "mensaje": says.get(item, item)}
            for item, name, code in parts
        ]

    def shown(rows: Iterable[Table]) -> list[Table]:
        return [
            {
                "fila": row["line"],
                "celdas": row["cells"],
                "errores": told(row["faults"]),
                "avisos": told(row["notes"]),
            }
            for row in rows
        ]

    return {
        "filas": held["rows"],
        "con_errores": held["wrong"],
        "errores": [told([item])[0] | {"filas": count} for item, count in held["faults"]],
        "columnas": [
            {"nombre": one["name"], "parametro": one["parameter"] or None}
            for one in held["columns"]
        ],
        "otras_columnas": held["more_columns"],
        "primeras": shown(held["first"]),
        "siguientes_con_errores": shown(held["faulty"]),
    }


def job(told: Table, contract: Contract, language: str) -> Table:
    """The context of ``portfolio_job.html``; ``told`` is what ``GET /carteras/{cartera}``
    answers."""
    words, state = _texts(language), told["estado"]
    frame = pages.frame(pages.visible(told["fichero"]), language, "cartera", [])
    view = told["vista"]
    return _shown(frame, words) | {
        "switch": f"./carteras/{told['id']}?idioma={frame['other_language']}",
        "id": told["id"],
        "name": pages.visible(told["fichero"]),
        "state": state,
        "word": words[f"state_{state}"],
        "at_work": state in AT_WORK,
        "level": _level(state),
        "message": pages.visible(told["mensaje"] or "", 1000),
        "sheets": [(name, pages.visible(name)) for name in told["hojas"]],
        "sheet": told["hoja"],
        "progress": _progress(told["avance"], words, language),
        "view": None if view is None else _view(view, contract, words, language),
        "can_score": state in ("lista", "fallida") and view is not None and view["filas"] > 0,
        "reasons": [n for n in REASONS if n <= len(contract.parameters)],
        "summary": None if told["resumen"] is None else _summary(told["resumen"], words, language),
        "has_faults": told["hay_errores"],
    }


def _shown(frame: Table, words: dict[str, str]) -> Table:
    return frame | {"t": frame["t"] | words, "here": "portfolio"}


def _texts(language: str) -> dict[str, str]:
    column = ("es", "en").index(language)
    return {key: pair[column] for key, pair in PORTFOLIO.items()}


def _level(state: str) -> str:
    if state in ("rechazada", "fallida"):
        return "bad"
    return "warn" if state == "parada" else "good"


def _count(number: int, language: str) -> str:
    """With thousands apart, as people of the language write them: 12.345 and 12,345."""
    text = f"{number:,}"
    return (
        text.replace(",", ".")
        if language == "es" and number > 9999
        else (text if language == "en" else str(number))
    )


def _progress(behind: Table | None, words: dict[str, str], language: str) -> Table | None:
    if behind is None or not behind["filas"]:
        return None
    share = pages.percent(behind["parte"], language, 0)
    text = words["progress"].format(n=_count(behind["filas"], language), share=share)
    return {"share": f"{behind['parte']:.4f}", "text": text}


def _view(view: Table, contract: Contract, words: dict[str, str], language: str) -> Table:
    labels = {p.name: p.label[language] for p in contract.parameters}
    columns = [
        {
            "name": pages.visible(one["nombre"]),
            "parameter": one["parametro"],
            "label": labels.get(one["parametro"] or "", ""),
        }
        for one in view["columnas"]
    ]
    places = {one["parameter"]: at for at, one in enumerate(columns) if one["parameter"]}
    names = {one["parameter"]: one["name"] for one in columns if one["parameter"]}
    # What is wrong comes first, then what the model reads: a phone shows two columns.
    rows = (*view["primeras"], *view["siguientes_con_errores"])
    wrong = {e["parametro"] for row in rows for e in row["errores"]}
    order = sorted(
        range(len(columns)),
        key=lambda at: (columns[at]["parameter"] not in wrong, not columns[at]["parameter"]),
    )
    more = view["otras_columnas"]
    known = words["of"].format(n=len(places), all=len(contract.parameters))
    return {
        "rows": _count(view["filas"], language),
        "wrong": _count(view["con_errores"], language),
        "any_wrong": view["con_errores"] > 0,
        "known": known,
        "faults": [
            {
                "count": _count(one["filas"], language),
                "says": pages.visible(one["mensaje"], 300),
                "column": names.get(one["parametro"], ""),
            }
            for one in view["errores"][:MOST_KINDS]
        ],
        "columns": [columns[at] for at in order],
        "more": words["more_columns"].format(n=more) if more else "",
        "first": [_row(row, places, order) for row in view["primeras"]],
        "faulty": [_row(row, places, order) for row in view["siguientes_con_errores"]],
        "faulty_title": words["faulty_title"].format(n=len(view["siguientes_con_errores"])),
        "submit": words["score_submit"].format(n=_count(view["filas"], language)),
    }


def _row(row: Table, places: dict[str, int], order: list[int]) -> Table:
    """A row with the sentences of each cell; what is of no cell is said of the row."""
    cells = [{"text": pages.visible(text), "says": ""} for text in row["celdas"]]
    of_row = []
    for one in row["errores"]:
        at = places.get(one["parametro"])
        says = pages.visible(one["mensaje"], 300)
        if at is None or at >= len(cells):
            of_row.append(says)
        else:
            cells[at]["says"] = says
    return {"line": row["fila"], "cells": [cells[at] for at in order], "says": of_row}


def _summary(found: Table, words: dict[str, str], language: str) -> list[tuple[str, str]]:
    """The figures of a run: what, and how much."""
    rows = max(found["filas"], 1)

    def of(count: int) -> str:
        return f"{_count(count, language)} ({pages.percent(count / rows, language, 1)})"

    lines = [
        (words["found_rows"], _count(found["filas"], language)),
        (words["scored_rows"], of(found["puntuadas"])),
        (words["found_wrong"], of(found["con_errores"])),
    ]
    lines += [(pages.visible(name), of(count)) for name, count in found["clases"].items()]
    lines += [
        (words["band"].format(name=pages.visible(name)), of(count))
        for name, count in found["bandas"].items()
    ]
    if found["euros_esperados"] is not None:
        euros = _count(round(found["euros_esperados"]), language)
        lines.append((words["euros_expected"], euros))
    lines.append((words["with_version"], found["version"]))
    lines.append((words["seconds"], f"{pages.number(round(found['segundos'], 1), language)} s"))
    return lines
