"""`python -m benchmarks panel`: how long the panel takes where ten million answers are stored.

The sums of the answers are filled in, not the answers, of which the panel reads none (a test holds
that); it must never measure an installation that anybody uses.
"""

import argparse
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table

from benchmarks import report
from benchmarks.report import Row, Target
from benchmarks.services import ROOT
from propensia import contract as contracts
from propensia import paneling, snapshot
from propensia.journal.records import HOUR_MS
from propensia.registry import Registry
from propensia.settings import Settings
from propensia.store import database, schema
from propensia.web.app import create_app

TARGET_MS = 300.0
ANSWERS = 10_000_000
DAYS, VERSIONS, CALLERS, CODES = 183, 6, 20, 12
RUNS_A_DAY, SUBJECTS = 4, 30
ROUNDS = 20
ABOUT = (
    f"The sums are those of {DAYS} days: {CALLERS} callers in every hour, two versions at a time, "
    f"{CODES} codes of every caller in every hour, {RUNS_A_DAY} runs of the monitoring a day."
)


def main(arguments: Sequence[str]) -> int:
    """Fill, measure, print, write; 0 if every median is within the target, else 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks panel", description=__doc__)
    parser.add_argument("--database", default="", help="URL of a PostgreSQL; default: SQLite")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    asked = parser.parse_args(arguments)
    folder = ROOT / "var" / "benchmarks" / f"panel-{time.time_ns():x}"
    chosen = Settings(
        models=folder / "models",
        state=folder,
        database_url=asked.database,
        demonstration=False,
    )
    registry, contract = Registry(folder), contracts.load("cobranza")
    registry.prepare()
    engine = database.open_store(chosen)
    with engine.begin() as connection:
        stored = fill(connection)
    print(f"{stored:,} answers in the sums", flush=True)
    client = create_app(chosen, background=False).test_client()
    taken: dict[str, Callable[[], None]] = {
        "make the snapshot and write it": lambda: paneling.write(
            engine, chosen, contract, registry
        ),
        "GET /panel": lambda: _get(client, "/panel"),
        "GET /panel/datos": lambda: _get(client, "/panel/datos"),
    }
    detail = f"{stored:,} answers in {engine.dialect.name}"
    rows = [
        Row(title, Target(TARGET_MS, False, " ms"), _took_ms(action), detail)
        for title, action in taken.items()
    ]
    engine.dispose()
    size = (folder / snapshot.FILE).stat().st_size
    text = report.document(rows, f"{ABOUT} The snapshot takes {size / 1024:.0f} KiB.")
    print(text)
    if asked.out:
        asked.out.write_text(text, encoding="utf-8", newline="\n")
    shutil.rmtree(folder, ignore_errors=True)
    return 0 if all(row.met for row in rows) else 1


def fill(connection: Connection) -> int:
    """Half a year of sums: a working day's curve, every caller in every hour, two versions at a
    time; how many answers they stand for."""
    random = np.random.default_rng(1)
    now = time.time_ns() // 1_000_000 // HOUR_MS * HOUR_MS
    hours = [now - back * HOUR_MS for back in range(DAYS * 24)]
    weight = np.array([math.exp(-(((hour // HOUR_MS % 24) - 12) ** 2) / 18) for hour in hours])
    shares = random.dirichlet(np.ones(CALLERS))
    counts = random.poisson(np.outer(weight / weight.sum() * ANSWERS, shares)) + 1
    _insert(connection, schema.windows, _windows(hours, counts))
    _insert(connection, schema.scores, _scores(hours, counts.sum(axis=1)))
    _insert(connection, schema.quality, _quality(hours))
    _insert(connection, schema.measurements, _measurements(now))
    return int(counts.sum())


def _versions(back: int) -> tuple[str, str]:
    """The version of an hour, and the one before, which some workers still have."""
    place = back * VERSIONS // (DAYS * 24)
    return f"{place:012x}", f"{place + 1:012x}"


def _windows(hours: list[int], counts: Any) -> Iterator[dict[str, Any]]:
    for back, hour in enumerate(hours):
        for caller, count in enumerate(counts[back]):
            for version, part in zip(_versions(back), (count, count // 50), strict=True):
                yield {
                    "hour": hour,
                    "version": version,
                    "caller": f"caller {caller}",
                    "count": int(part),
                    "positive": int(part * 0.37),
                    "noted": int(part * 0.1),
                }


def _scores(hours: list[int], counts: Any) -> Iterator[dict[str, Any]]:
    for back, hour in enumerate(hours):
        for version in _versions(back):
            for place in range(schema.SCORE_BINS):
                count = int(counts[back] // schema.SCORE_BINS)
                yield {"hour": hour, "version": version, "bin": place, "count": count}


def _quality(hours: list[int]) -> Iterator[dict[str, Any]]:
    for hour in hours:
        for caller in range(CALLERS):
            for code in range(CODES):
                yield {
                    "hour": hour,
                    "caller": f"caller {caller}",
                    "kind": "note" if code % 2 else "fault",
                    "parameter": f"p{code}",
                    "code": f"code_{code}",
                    "count": 3,
                    "first": hour,
                    "last": hour + 1,
                }
            common = {"parameter": "", "code": "", "count": 9, "first": hour, "last": hour + 1}
            yield common | {"hour": hour, "caller": f"caller {caller}", "kind": "refusal"}


def _measurements(now: int) -> Iterator[dict[str, Any]]:
    detail = json.dumps({"reason": "x" * 80, "bins": [[0.1, 0.2]] * 10})
    for run in range(DAYS * RUNS_A_DAY):
        for kind in ("drift", "drift_test", "missing", "estimated", "realised"):
            for subject in range(5 if kind in ("estimated", "realised") else SUBJECTS):
                yield {
                    "at": now - run * 24 * HOUR_MS // RUNS_A_DAY,
                    "version": _versions(run * 24 // RUNS_A_DAY)[0],
                    "kind": kind,
                    "subject": "auc" if subject == 0 else f"p{subject}",
                    "value": 0.7,
                    "low": 0.6,
                    "high": 0.8,
                    "detail": detail,
                }


def _insert(connection: Connection, table: Table, rows: Iterator[dict[str, Any]]) -> None:
    part = []
    for row in rows:
        part.append(row)
        if len(part) == 10_000:
            connection.execute(table.insert(), part)
            part = []
    connection.execute(table.insert(), part)


def _get(client: Any, path: str) -> None:
    assert client.get(path).status_code == 200


def _took_ms(action: Callable[[], None]) -> list[float]:
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        action()
        took.append(1000 * (time.perf_counter() - began))
    return took
