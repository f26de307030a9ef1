"""`python -m benchmarks monitoring`: `propensia monitor` over a store full of answers.

The answers are generated and put straight into the tables; it must never time that part.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # psutil ships no types
from sqlalchemy import Engine, insert

from benchmarks import report
from benchmarks.report import Row, Target
from benchmarks.services import ROOT
from propensia import contract as contracts
from propensia import distributions, settings, synthetic
from propensia.contract import Contract
from propensia.features import Features
from propensia.journal import records
from propensia.registry import Registry
from propensia.settings import Settings
from propensia.store import database, schema

VERSION = "0123456789ab"
DAY_MS = 86_400_000
LOOK_S = 0.02
TARGETS = (
    ("a whole run by the clock, start of the process included", Target(10.0, False, " s")),
    ("memory of it at its peak", Target(1024.0, False, " MiB")),
)


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; 0 if both targets were met, else 1."""
    asked = _arguments(arguments)
    made = Settings(models=asked.folder / "models", state=asked.folder / "state")
    if not asked.keep or not made.state.is_dir():
        shutil.rmtree(asked.folder, ignore_errors=True)
        made.state.mkdir(parents=True)
        _fill(made, contracts.load("cobranza"), asked.rows)
    runs = [_run(made) for _ in range(asked.repeats)]
    seconds, memory, waited = zip(*runs, strict=True)
    stored = f"{asked.rows:,} answers of 30 days, 13 parameters each, on SQLite"
    busy = f"; {min(seconds):.1f} to {max(seconds):.1f} s of processor time"
    details = (f"{stored}{busy}, the rest is waiting for the disk and for others", stored)
    rows = [
        Row(title, target, values, detail)
        for (title, target), values, detail in zip(TARGETS, (waited, memory), details, strict=True)
    ]
    text = report.table(rows)
    machine = ", ".join(f"{name} {value}" for name, value in report.machine().items())
    print(text)
    if asked.out:
        title = "# What it costs to watch the answers\n\n`python -m benchmarks monitoring`"
        document = f"{title}\n\n{text}\n\n{machine}\n"
        asked.out.write_text(document, encoding="utf-8", newline="\n")
    return 0 if all(row.met for row in rows) else 1


def _run(made: Settings) -> tuple[float, float, float]:
    """Processor seconds, MiB and seconds by the clock of one run of the command."""
    began, peak, used = time.perf_counter(), 0, 0.0
    with subprocess.Popen(
        [sys.executable, "-m", "propensia", "monitor", "--format", "json"],
        env=os.environ | settings.as_environment(made),
        stdout=subprocess.DEVNULL,
    ) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                times = watched.cpu_times()
                peak, used = max(peak, watched.memory_info().rss), times.user + times.system
            except psutil.NoSuchProcess:
                break
            time.sleep(LOOK_S)
    if process.returncode not in (0, 1):  # 1: something drifted
        raise RuntimeError(f"the command ended with {process.returncode}")
    return used, peak / (1 << 20), time.perf_counter() - began


def _fill(made: Settings, contract: Contract, rows: int) -> None:
    registry = Registry(made.state)
    registry.prepare()
    now = time.time_ns() // 1_000_000
    since, until = now - 29 * DAY_MS, now
    engine = database.open_store(made)
    done = 0
    for block in synthetic.blocks(rows, 1):
        columns = {p.name: _texts(block.columns[p.feature].tolist()) for p in contract.parameters}
        if not done:
            _admit(registry, contract, columns, block)
        lines = zip(*(columns[p.name] for p in contract.parameters), strict=True)
        step = (until - since) / rows
        moments = [since + int(step * (done + place)) for place in range(len(block))]
        _insert(engine, contract, moments, block.truth.tolist(), [json.dumps(x) for x in lines])
        done += len(block)
    engine.dispose()


def _insert(
    engine: Engine,
    contract: Contract,
    moments: list[int],
    chances: list[float],
    texts: list[str],
) -> None:
    common = {
        "version": VERSION,
        "publication": 1,
        "model": "generated",
        "rules": contract.fingerprint,
        "caller": "crm",
        "threshold": 0.3,
        "notes": "[]",
    }
    ids = [f"{records.first_id(at)}0000000000{place:06x}" for place, at in enumerate(moments)]
    # Every second answer has a reference, each of another debtor.
    answers = [
        common
        | {
            "id": id,
            "reference": f"{hash(id) & (1 << 128) - 1:032x}" if place % 2 else None,
            "probability": chance,
            "positive": chance >= 0.3,
        }
        for place, (id, chance) in enumerate(zip(ids, chances, strict=True))
    ]
    inputs = [{"id": id, "texts": line} for id, line in zip(ids, texts, strict=True)]
    with engine.begin() as connection:
        connection.execute(insert(schema.answers), answers)
        connection.execute(insert(schema.inputs), inputs)


def _texts(values: list[Any]) -> list[str]:
    return [
        (value.strip() or "NaN")
        if isinstance(value, str)
        else "NaN"
        if value != value
        else f"{value:.0f}"
        if float(value).is_integer()
        else repr(value)
        for value in values
    ]


def _admit(
    registry: Registry, contract: Contract, columns: dict[str, list[str]], block: synthetic.Table
) -> None:
    """A version whose sidecar tells its training: the first block."""
    values, _ = Features(contract).read_many(columns)
    described = distributions.described(contract, values)
    known = distributions.region(contract, described, values)
    told = {
        "referencia": {
            "filas": len(block),
            "parametros": described,
            "puntuacion": distributions.of_scores(block.truth),
            "cobertura": distributions.packed(known),
        },
        "metricas": {"ece_sin_sesgo": {"valor": 0.0, "desde": 0.0, "hasta": 0.01}},
    }
    manifest = {"onnx_sha256": "", "contract_fingerprint": contract.fingerprint, "told": told}
    rates = {"threshold": 0.3, "training_rate": None, "real_rate": None}
    registry.add_version(VERSION, manifest | rates, {"model.onnx": b"none"})


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks monitoring", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "benchmarks" / "monitoring")
    parser.add_argument("--keep", action="store_true", help="use the store of an earlier run")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "MONITORING.md")
    return parser.parse_args(arguments)
