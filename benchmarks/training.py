"""`python -m benchmarks training`: `propensia train` against a tuned LightGBM on public tables.

It must never let either side see a row of the hold-out, nor ask the trained model for a figure
that the hold-out can give.
"""

import argparse
import csv
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import psutil  # type: ignore[import-untyped]  # ships no types
from sklearn.model_selection import (
    train_test_split,
)

from benchmarks import report, verdicts
from benchmarks.baselines import tuned_lightgbm
from benchmarks.services import ROOT
from benchmarks.tables import public
from benchmarks.tables.public import PublicTable
from benchmarks.verdicts import (
    BASELINE,
    MINUTES,
    REPEATS,
    Chances,
    Labels,
    Run,
    Verdict,
)
from propensia import contract as contracts
from propensia.contract import Contract
from propensia.features import Features
from propensia.training.rows import Rows

NAME = "propensia"
_SLACK_S = 1800.0


class TrainingFailed(RuntimeError):
    """`propensia train` did not make a model; the text ends with its own last lines."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where things lie: packages, contracts, what is trained; and the cores for each side."""

    folder: Path
    cores: int


@dataclass(frozen=True, slots=True)
class Split:
    """A table in two parts, with the labels 0 and 1 of each."""

    table: PublicTable
    train: pd.DataFrame
    hold_out: pd.DataFrame

    def labels(self, part: pd.DataFrame) -> Labels:
        """The labels of a part, `(n,)`."""
        labels: Labels = (part[self.table.label] == self.table.positive).to_numpy(np.int64)
        return labels

    def inputs(self, part: pd.DataFrame) -> pd.DataFrame:
        """A part without its labels, and without its key if it has one."""
        beside = [self.table.label, *([self.table.key] if self.table.key else [])]
        return part.drop(columns=beside)


def split(table: PublicTable, frame: pd.DataFrame, run: Run) -> Split:
    """The table in two, with equal shares of the classes; the same seed gives the same rows."""
    train, hold_out = train_test_split(
        frame, test_size=run.hold_out, random_state=run.seed, stratify=frame[table.label]
    )
    return Split(table, train, hold_out)


def lightgbm(parts: Split, run: Run, desk: Desk) -> Verdict:
    """The baseline on one split."""
    inputs, further = tuned_lightgbm.prepared(
        [parts.inputs(parts.train), parts.inputs(parts.hold_out)]
    )
    tuned = tuned_lightgbm.tune(
        inputs, parts.labels(parts.train), 60 * run.minutes, desk.cores, run.seed
    )
    return verdicts.judge(
        run,
        inputs.shape[1],
        parts.labels(parts.hold_out),
        tuned.chances(further),
        tuned.seconds,
        f"{tuned.trials} trials, {tuned.auc:.4f} over the folds",
    )


def propensia(parts: Split, run: Run, desk: Desk, contract_name: str) -> Verdict:
    """Ours on one split: the command as a person types it, in a process and folders of its own.

    Raises `TrainingFailed`.
    """
    folder = desk.folder / "runs" / run.side / f"{run.table}-{run.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "train.csv"
    parts.train.to_csv(data, index=False, lineterminator="\n")
    made = train(data, contract_name, run.minutes, run.seed, folder)
    stated = made.sidecar["metricas"]["auc"]
    return verdicts.judge(
        run,
        parts.inputs(parts.train).shape[1],
        parts.labels(parts.hold_out),
        score(made.model, contracts.load(contract_name), _texts(parts.inputs(parts.hold_out))),
        made.seconds,
        _told(made.sidecar),
        (stated["desde"], stated["hasta"]),
    )


@dataclass(frozen=True, slots=True)
class Made:
    """What `propensia train` left: the loaded PKL, its sidecar, and the seconds it all took."""

    model: Any
    sidecar: dict[str, Any]
    seconds: float


def train(data: Path, contract_name: str, minutes: float | None, seed: int, folder: Path) -> Made:
    """Run the command on a file and wait; start and card are part of its seconds.

    Without `minutes` it has its default. What it says is kept in `folder`, where its own folders
    are too. Raises `TrainingFailed`.
    """
    command = [sys.executable, "-m", "propensia", "train", str(data), "--contract", contract_name]
    command += ["--out", data.stem, "--seed", str(seed), "--force"]
    command += [] if minutes is None else ["--minutes", f"{minutes:g}"]
    places = {
        "PROPENSIA_MODELS": str(folder / "models"),
        "PROPENSIA_STATE": str(folder / "state"),
    }
    started = time.monotonic()
    finished = subprocess.run(
        command,
        env={**os.environ, **places},
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60 * (minutes or 1) + _SLACK_S,
    )
    seconds = time.monotonic() - started
    told = finished.stdout + finished.stderr
    (folder / "told.txt").write_text(told, encoding="utf-8", newline="\n")
    if finished.returncode != 0:
        last = "\n".join(told.splitlines()[-8:])
        raise TrainingFailed(f"{data.name}, seed {seed}:\n{last}")
    made = folder / "models" / "candidates" / f"{data.stem}.pkl"
    sidecar = json.loads(made.with_suffix(".json").read_text(encoding="utf-8"))
    return Made(joblib.load(made), sidecar, seconds)


def _texts(inputs: pd.DataFrame) -> dict[str, list[str]]:
    """The columns of a frame as they stand in a CSV."""
    text = io.StringIO(inputs.to_csv(index=False, lineterminator="\n"), newline="")
    heading, *lines = csv.reader(text)
    return {name: list(column) for name, *column in zip(heading, *lines, strict=True)}


def score(model: Any, contract: Contract, texts: Mapping[str, Sequence[str | None]]) -> Chances:
    """The probability of class 1, `(n,)`, of rows read as the contract reads texts by feature.

    `model` is what a PKL holds, of the raw view unless it learnt the contract's columns by name.
    """
    values, faults = Features(contract).read_many(
        {parameter.name: texts[parameter.feature] for parameter in contract.parameters}
    )
    if faults:
        raise ValueError(f"the contract cannot read the hold-out: {faults[0]}")
    nobody = np.zeros(len(next(iter(values.values()))), dtype=np.int64)
    names = tuple(getattr(model, "feature_names_in_", ()))
    view = "columns" if names == contract.column_names else "raw"
    table = Rows(values, labels=nobody, groups=nobody).table(contract, view)
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(table)[:, 1], dtype=np.float64)
    return np.asarray(model.predict(table), dtype=np.float64).ravel()


def _told(sidecar: dict[str, Any]) -> str:
    """What the model is made of, and what it said of itself."""
    own, training = sidecar["metricas"]["auc"], sidecar.get("entrenamiento", {})
    parts = ", ".join(
        f"{part['familia']} {part['peso']:.2f}" for part in training.get("modelos", ())
    )
    return (
        f"said {own['valor']:.4f} [{own['desde']:.4f}, {own['hasta']:.4f}]; "
        f"{training.get('probados')} trials; {parts}; {training.get('calibracion')}"
    )


def keep_to(cores: int) -> None:
    """Use so many cores from now on; processes that are started inherit that."""
    mine = psutil.Process()
    mine.cpu_affinity(mine.cpu_affinity()[:cores])


def main(arguments: Sequence[str]) -> int:
    """Measure what is not measured yet, print the table; 1 if a run or a target failed, else 0."""
    asked = _arguments(arguments)
    desk = Desk(asked.folder, asked.cores)
    keep_to(asked.cores)
    failed = sum(not _measured(run, desk) for run in _missing(asked, desk))
    wanted = [
        verdict
        for verdict in _known(desk)
        if verdict.run.table in asked.table
        and (verdict.run.minutes, verdict.run.hold_out) == (asked.minutes, asked.hold_out)
    ]
    rows = verdicts.paired(wanted, asked.name)
    if not rows:
        print("Nothing to compare: no split was measured on both sides.")
        return 1
    text = verdicts.document(rows)
    print(text)
    if asked.out:
        asked.out.write_text(_page(text, asked), encoding="utf-8", newline="\n")
    return 1 if failed or any(met is False for _, met in verdicts.targets(rows)) else 0


def _missing(asked: argparse.Namespace, desk: Desk) -> list[Run]:
    """What is asked for and not known yet; all tables once before any a second time."""
    sides = {"both": (BASELINE, asked.name), "baseline": (BASELINE,), "ours": (asked.name,)}
    known = {verdict.run for verdict in _known(desk)}
    runs = [
        Run(side, table, seed, asked.minutes, asked.hold_out)
        for seed in range(asked.first_seed, asked.first_seed + asked.repeats)
        for table in asked.table
        for side in sides[asked.side]
    ]
    return [run for run in runs if run not in known]


def _measured(run: Run, desk: Desk) -> bool:
    """Measure one run and keep it; whether it succeeded."""
    print(f"{run.side} on {run.table}, seed {run.seed} …", flush=True)
    table = public.TABLES[run.table]
    frame = public.load(table, desk.folder)
    parts = split(table, frame, run)
    try:
        if run.side == BASELINE:
            verdict = lightgbm(parts, run, desk)
        else:
            contract_name = public.described(table, frame, desk.folder)
            verdict = propensia(parts, run, desk, contract_name)
    except (TrainingFailed, subprocess.TimeoutExpired) as error:
        print(f"FAILED: {error}", flush=True)
        return False
    verdicts.append(_file(desk, run.side), verdict)
    covered = {True: ", covered", False: ", NOT covered", None: ""}[verdict.covered]
    print(
        f"  AUC {verdict.auc:.4f}{covered}, log loss {verdict.log_loss:.4f}, "
        f"{verdict.seconds:.0f} s; {verdict.detail}",
        flush=True,
    )
    return True


def _file(desk: Desk, side: str) -> Path:
    return desk.folder / "results" / f"{side}.jsonl"


def _known(desk: Desk) -> list[Verdict]:
    """Everything ever measured in this folder; of equal runs the last."""
    found = {}
    for path in sorted((desk.folder / "results").glob("*.jsonl")):
        found.update({verdict.run: verdict for verdict in verdicts.read(path)})
    return list(found.values())


def _page(text: str, asked: argparse.Namespace) -> str:
    """The results file: what was asked, the table, the machine."""
    return (
        "# Training, against a tuned LightGBM\n\n"
        "Written by `python -m benchmarks training`; how it is taken is in `README.md`.\n\n"
        f"Search time of each side of each split: {asked.minutes:g} min. Cores: {asked.cores}. "
        f"Hold-out: {asked.hold_out:.0%} of the rows.\n\n{text}\n{report.facts()}"
    )


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks training",
        description=__doc__,
        epilog=f"The packages with the tables: {public.fetching()}",
    )
    parser.add_argument(
        "--table", action="append", choices=list(public.TABLES), help="one table; may be repeated"
    )
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for each side of a split")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="splits of each table")
    parser.add_argument("--first-seed", type=int, default=1, help="seed of the first split")
    parser.add_argument("--hold-out", type=float, default=0.2, help="share of the rows")
    parser.add_argument("--cores", type=int, default=2, help="cores for either side")
    parser.add_argument("--side", choices=("both", "ours", "baseline"), default="both")
    parser.add_argument("--name", default=NAME, help="our results are kept under this name")
    parser.add_argument(
        "--folder",
        type=Path,
        default=ROOT / "var" / "benchmarks" / "tables",
        help="holds the packages; results and trained models go there too",
    )
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    asked = parser.parse_args(arguments)
    asked.table = asked.table or list(public.TABLES)
    asked.folder = asked.folder.resolve()
    return asked
