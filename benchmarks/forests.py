"""`python -m benchmarks forests`: rows a second of the engines that score many rows by trees.

It must never count a round whose answers are not the bits of ONNX Runtime.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]  # ships no types
import lightgbm  # type: ignore[import-untyped]  # ships no types
import numpy as np
import xgboost
from sklearn.ensemble import (  # type: ignore[import-untyped]  # ships no types
    HistGradientBoostingClassifier,
)

from benchmarks import report
from benchmarks.contenders import Bench
from benchmarks.models import training_rows
from benchmarks.report import Row, Target
from benchmarks.rows import debtors, encode
from benchmarks.services import ROOT, clean_environment
from propensia import contract as contracts
from propensia.admission import compiler, reader

_TREES, _SEED = 500, 99
_BOOSTED: dict[str, Callable[[], Any]] = {
    "LightGBM, 500 trees of 31 leaves": lambda: lightgbm.LGBMClassifier(
        n_estimators=_TREES, verbose=-1, n_jobs=2
    ),
    "XGBoost, 500 trees of depth 6": lambda: xgboost.XGBClassifier(
        n_estimators=_TREES, max_depth=6, n_jobs=2
    ),
    "histogram boosting, 500 trees of 31 leaves": lambda: HistGradientBoostingClassifier(
        max_iter=_TREES, early_stopping=False
    ),
}
_FOREST = "forest, 500 trees of depth 10"


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; 0 if every target was met, else 1."""
    asked = _arguments(arguments)
    with tempfile.TemporaryDirectory(dir=ROOT / "var") as folder:
        rows = _figures(Path(folder), asked)
    if asked.out:
        asked.out.write_text(_document(rows, asked), encoding="utf-8", newline="\n")
    return 0 if all(row.met for row in rows) else 1


def _figures(folder: Path, asked: argparse.Namespace) -> list[Row]:
    work = ROOT / "var" / "benchmarks"
    bench = Bench(work / "models", folder / "scratch", 1.0, asked.rounds)
    matrix = folder / "rows.npy"
    np.save(matrix, np.array([encode(row) for row in islice(debtors(_SEED), asked.rows)]))
    forest = bench.model("forest")
    model = _compiled(forest, folder / "forest.onnx")
    rows = []

    def figure(title: str, target: Target, ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> None:
        pairs = [(_alone(*ours, matrix), _alone(*theirs, matrix)) for _ in range(asked.rounds)]
        if ours[1] == theirs[1] and any(one["bits"] != other["bits"] for one, other in pairs):
            raise SystemExit(f"{title}: the answers are not the same bits")
        rates = [
            statistics.median(one["rate"] for one in side) for side in zip(*pairs, strict=True)
        ]
        last = pairs[-1][0]
        detail = f"{rates[0]:,.0f} and {rates[1]:,.0f} rows a second; ours "
        detail += f"is ready in {last['start_s']:.2f} s and takes {last['mib']:.0f} MiB at most"
        ratios = [one["rate"] / other["rate"] for one, other in pairs]
        rows.append(Row(title, target, ratios, detail))
        print(f"{title}: {rows[-1].measured}, target {target}. {detail}", flush=True)

    better = Target(1.8, True)
    for workers in (1, 2):
        figure(
            f"{_FOREST}: engine ÷ ONNX Runtime, processes: {workers}",
            better,
            ("engine", model, workers),
            ("onnxruntime", model, workers),
        )
        figure(
            f"{_FOREST}: engine, processes: {workers} ÷ scikit-learn, n_jobs={workers}",
            better,
            ("engine", model, workers),
            ("scikit-learn", forest, workers),
        )
    for name, recipe in _BOOSTED.items():
        path = folder / "boosted.pkl"
        frame, labels = training_rows(123)
        joblib.dump(recipe().fit(frame, labels), path)
        boosted = _compiled(path, folder / "boosted.onnx")
        title = f"{name}: engine ÷ ONNX Runtime, processes: 1"
        figure(title, better, ("engine", boosted, 1), ("onnxruntime", boosted, 1))
    return rows


def _compiled(file: Path, out: Path) -> Path:
    contract = contracts.load("cobranza")
    compiled = compiler.compile_model(
        reader.read(file.read_bytes()),
        contract.column_names,
        contract.positive,
        contract.negative,
    )
    out.write_bytes(compiled.onnx)
    return out


def _alone(engine: str, model: Path, workers: int, matrix: Path) -> dict[str, Any]:
    """What ``forests_once`` finds in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.forests_once"]
    done = subprocess.run(
        [*command, engine, str(model), str(workers), str(matrix)],
        cwd=ROOT,
        env=clean_environment() | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks forests", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "FORESTS.md")
    return parser.parse_args(arguments)


def _document(rows: Sequence[Row], asked: argparse.Namespace) -> str:
    machine = ", ".join(f"{name} {text}" for name, text in report.machine().items())
    return "\n".join(
        [
            "# Forests: engines for many rows",
            "",
            f"Written by `python -m benchmarks forests --rows {asked.rows} "
            f"--rounds {asked.rounds}`.",
            "Rows that are encoded already, in blocks of 10,000; no file is read or written. Each "
            "side of a ratio runs in processes of its own, in turn; start and first block do not "
            "count. The engine answers with the bits of ONNX Runtime, or nothing is written.",
            "",
            report.table(rows),
            "",
            f"Machine: {machine}.",
            "",
        ]
    )
