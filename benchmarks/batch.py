"""`python -m benchmarks batch`: `propensia score` of a whole portfolio against what it is made of.

It must never count a run whose result is not whole, or other than scikit-learn's.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # psutil ships no types

from benchmarks import report
from benchmarks.batch_once import WORKERS
from benchmarks.contenders import Bench
from benchmarks.report import Row, Target
from benchmarks.services import ROOT

MODELS = ("forest", "network", "logistic")
LOOK_S = 0.1
LARGE = 10
"""How many times as many rows the large portfolio has."""
_ALIKE = 1e-9
"""scikit-learn's forest adds its trees up in the order in which its threads end."""


@dataclass(frozen=True, slots=True)
class Took:
    """What a run took, all of its processes: seconds by the clock, seconds of processor, and MiB
    at their peak."""

    seconds: float
    processor: float
    mib: float


@dataclass
class Desk:
    """Where a benchmark's files are, and how it runs a side of it."""

    folder: Path
    rows: int
    states: dict[str, Path] = field(default_factory=dict)

    @property
    def portfolio(self) -> Path:
        """As ``propensia synth`` makes it."""
        return self.folder / f"cartera_{self.rows}.csv"

    @property
    def matrix(self) -> Path:
        """The model columns of the same rows."""
        return self.folder / f"columnas_{self.rows}.npy"

    @property
    def result(self) -> Path:
        """What the command writes, again and again."""
        return self.folder / "puntuada.csv"

    @property
    def other(self) -> Path:
        """What the others write."""
        return self.folder / "otra.csv"

    def score(self, model: str, portfolio: Path | None = None) -> Took:
        """What the command takes, start and end included."""
        return _run(
            [
                *(
                    sys.executable,
                    "-m",
                    "propensia",
                    "score",
                    "--force",
                    "--workers",
                    f"{WORKERS}",
                ),
                *(str(portfolio or self.portfolio), str(self.result)),
            ],
            {"PROPENSIA_STATE": str(self.states[model])},
        )

    def side(self, *words: str | Path) -> Took:
        """What one side takes, start and end included."""
        return _run([sys.executable, "-m", "benchmarks.batch_once", *map(str, words)], {})

    def engine(self, model: str) -> dict[str, float]:
        """Seconds of the engine alone."""
        command = [sys.executable, "-m", "benchmarks.batch_once", "engine"]
        done = subprocess.run(
            [*command, str(self.states[model]), str(self.matrix)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
        )
        found: dict[str, float] = json.loads(done.stdout)
        return found

    def rate(self, seconds: float) -> str:
        """Rows a second, as text."""
        return f"{self.rows / seconds:,.0f} rows/s"

    def cost(self, seconds: float) -> str:
        """Microseconds of processor a row, as text: what hardly depends on who else works."""
        return f"{seconds / self.rows * 1e6:.2f} µs of processor a row"


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; 0 if every target was met, else 1."""
    asked = _arguments(arguments)
    desk = _made(asked)
    rows: list[Row] = []
    for row in _figures(desk, asked):
        rows.append(row)
        print(f"{row.title}: {row.measured}, target {row.target}. {row.detail}", flush=True)
    text = report.table(rows)
    machine = ", ".join(f"{name} {value}" for name, value in report.machine().items())
    if asked.out:
        asked.out.write_text(
            "# A whole portfolio, CSV to CSV\n\n"
            f"Written by `python -m benchmarks batch {' '.join(arguments)}".rstrip()
            + f"`; how it is taken is in `README.md`.\n\n{text}\n\nMachine: {machine}.\n",
            encoding="utf-8",
            newline="\n",
        )
    return 0 if all(row.met for row in rows) else 1


def _figures(desk: Desk, asked: argparse.Namespace) -> Iterator[Row]:
    yield from _against_engine(desk, asked.rounds, "forest", "forest of 500 trees", 0.9)
    yield from _against_engine(desk, asked.rounds, "network", "network 27/352/480/1", 0.6)
    yield _against_file(desk, asked.rounds)
    yield _against_sklearn(desk, asked.rounds)
    if asked.large:
        yield _memory_of_large(desk)


def _against_engine(desk: Desk, rounds: int, model: str, name: str, target: float) -> list[Row]:
    ours, alone = [], []
    for _ in range(rounds):
        ours.append(desk.score(model))
        alone.append(desk.engine(model))
    best = min(ours, key=lambda took: took.seconds)
    ends = f"{desk.rate(best.seconds)}, {desk.cost(best.processor)}"
    both = min(one["processes"] for one in alone)
    threads = min(one["threads"] for one in alone)
    cost = desk.cost(min(one["processor"] for one in alone))
    pairs = list(zip(ours, alone, strict=True))
    return [
        Row(
            f"{name}, rows/s ÷ ONNX Runtime alone on a ready matrix, two threads",
            Target(target, True),
            [one["threads"] / took.seconds for took, one in pairs],
            f"{ends}; alone {desk.rate(threads)}",
        ),
        Row(
            f"{name}, rows/s ÷ the command's own engine alone on it, two processes",
            Target(target, True),
            [one["processes"] / took.seconds for took, one in pairs],
            f"{ends}; alone {desk.rate(both)}, {cost}",
        ),
    ]


def _against_sklearn(desk: Desk, rounds: int) -> Row:
    pairs = []
    for _ in range(rounds):
        took = desk.score("forest")
        theirs = desk.side("sklearn", desk.folder / "forest.pkl", desk.portfolio, desk.other)
        _check_alike(desk.result, desk.other, desk.rows)
        pairs.append((took, theirs))
    ours, other = (min(took.seconds for took in column) for column in zip(*pairs, strict=True))
    return Row(
        "forest of 500 trees, rows/s ÷ pandas and scikit-learn, `n_jobs=2`, with read and write",
        Target(1.8, True),
        [theirs.seconds / took.seconds for took, theirs in pairs],
        f"{desk.rate(ours)}; they {desk.rate(other)}; equal chances",
    )


def _against_file(desk: Desk, rounds: int) -> Row:
    found = []
    for _ in range(rounds):
        took = desk.score("logistic")
        carried = desk.side("carry", desk.states["logistic"], desk.portfolio, desk.other)
        found.append((took, carried, desk.side("arrow", desk.portfolio, desk.other)))
    ours, carried, arrow = (
        min(column, key=lambda took: took.seconds) for column in zip(*found, strict=True)
    )
    return Row(
        "logistic regression, rows/s ÷ reading and writing the same file in the same way",
        Target(0.5, True),
        [other.seconds / took.seconds for took, other, _ in found],
        f"{desk.rate(ours.seconds)}, {desk.cost(ours.processor)}; read and written "
        f"{desk.rate(carried.seconds)}, {desk.cost(carried.processor)}; Arrow, all at once and "
        f"with its threads, {desk.rate(arrow.seconds)}",
    )


def _memory_of_large(desk: Desk) -> Row:
    large = desk.folder / f"cartera_{LARGE}x.csv"
    with desk.portfolio.open("rb") as source, large.open("wb") as target:
        shutil.copyfileobj(source, target)
        for _ in range(LARGE - 1):
            source.seek(0)
            source.readline()
            shutil.copyfileobj(source, target)
    small, much = desk.score("logistic"), desk.score("logistic", large)
    large.unlink()
    desk.result.unlink()
    return Row(
        f"memory of all processes at its peak, {LARGE * desk.rows:,} rows ÷ {desk.rows:,}",
        Target(1.2, False),
        [much.mib / small.mib],
        f"{much.mib:.0f} and {small.mib:.0f} MiB; {LARGE * desk.rows / much.seconds:,.0f} rows/s",
    )


def _run(command: list[str], environment: dict[str, str]) -> Took:
    """Run a command to its end."""
    began, before, peak = time.perf_counter(), os.times(), 0
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.DEVNULL
    ) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, _memory(watched))
            time.sleep(LOOK_S)
    took, after = time.perf_counter() - began, os.times()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command[1:4])} ended with {process.returncode}")
    busy = sum(after[2:4]) - sum(before[2:4])  # of children, user and system
    return Took(took, busy, peak / (1 << 20))


def _memory(process: psutil.Process) -> int:
    """Proportional memory where the system tells it, else unshared memory."""
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            info = one.memory_full_info()
            total += getattr(info, "pss", info.uss)
    except psutil.NoSuchProcess:
        return 0  # one has just ended: the next look tells
    return total


def _check_alike(ours: Path, theirs: Path, count: int) -> None:
    """Both have every row, and the same chances in the first and each hundredth of them."""
    with (
        ours.open(encoding="utf-8-sig", newline="") as first,
        theirs.open(encoding="utf-8", newline="") as second,
    ):
        heading = first.readline()
        first.seek(0)
        delimiter = max(";,", key=heading.count)
        pairs = zip_longest(
            csv.DictReader(first, delimiter=delimiter), csv.DictReader(second, delimiter=";")
        )
        compared = 0
        for mine, other in islice(pairs, 0, None, 100):
            chance = float(mine["probabilidad"].replace(",", "."))
            if abs(chance - float(other["probabilidad"])) > _ALIKE:
                raise SystemExit("the chances are not those of scikit-learn")
            compared += 1
    if compared != -(-count // 100):
        raise SystemExit("the result is not whole")


def _made(asked: argparse.Namespace) -> Desk:
    """The models, admitted, the portfolio and its model columns; kept from run to run."""
    folder: Path = asked.folder
    bench = Bench(folder.parent / "models", folder / "scratch", 0, 0)
    desk = Desk(folder, asked.rows)
    for name in MODELS:
        shutil.copyfile(bench.model(name), folder / f"{name}.pkl")
        desk.states[name] = bench.home(name) / "state"
    if not desk.portfolio.exists():
        unfinished = desk.portfolio.with_suffix(".tmp")
        _run(
            [
                *(sys.executable, "-m", "propensia", "synth", str(unfinished)),
                *("--rows", str(asked.rows)),
            ],
            {},
        )
        unfinished.replace(desk.portfolio)
    desk.side("matrix", desk.portfolio, desk.matrix)
    return desk


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks batch", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--large", action="store_true", help=f"memory too, of {LARGE} times as many rows"
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "benchmarks" / "batch")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "BATCH.md")
    asked = parser.parse_args(arguments)
    asked.folder = asked.folder.absolute()
    return asked
