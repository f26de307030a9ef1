"""`python -m benchmarks cluster`: a portfolio on a cluster of Dask, with two workers and with one.

It must never count a run whose result is not, byte by byte, that of this machine's processes.
"""

import argparse
import contextlib
import filecmp
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # psutil ships no types
from distributed import Client

from benchmarks import report
from benchmarks.contenders import Bench
from benchmarks.report import Row, Target
from benchmarks.services import ROOT

REASONS = ("--motivos", "3")
CASES = (("forest", ()), ("network", ()), ("forest", REASONS), ("network", REASONS))
"""Models and options. With scores alone the command and the scheduler, which take their share of
the same cores, need a third of what the workers do; for reasons a cluster is worth having."""
BOUND = 1.5
"""How much faster two workers have to be than one."""
FEWER = 10
"""With reasons, so many times fewer rows."""
MB = 1e6
LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds by the clock, and seconds of a core: of the command, the scheduler, and all the
    workers."""

    took: float
    command: float
    scheduler: float
    workers: float


@dataclass(frozen=True, slots=True)
class Site:
    """Where files are, and the command that is measured."""

    state: Path
    portfolio: Path
    result: Path
    options: tuple[str, ...]

    def score(self, *engine: str) -> tuple[float, float]:
        """Seconds by the clock and of a core."""
        words = ("score", "--force", *engine, *self.options, str(self.portfolio), str(self.result))
        began, core = time.perf_counter(), 0.0
        with subprocess.Popen(
            [sys.executable, "-m", "propensia", *words],
            cwd=ROOT,
            env=os.environ | {"PROPENSIA_STATE": str(self.state)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            while process.poll() is None:
                core = max(core, _core(process.pid))
                time.sleep(LOOK_S)
        if process.returncode != 0:
            raise SystemExit(f"propensia score ended with {process.returncode}")
        return time.perf_counter() - began, core


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; 0 if every target was met, else 1."""
    asked = _arguments(arguments)
    bench = Bench(asked.folder.parent / "models", asked.folder / "scratch", 0, 0)
    rows = []
    for model, options in CASES:
        count = asked.rows // FEWER if options else asked.rows
        portfolio = _portfolio(asked.folder, count)
        site = Site(bench.home(model) / "state", portfolio, asked.folder / "out.csv", options)
        title = f"{' '.join((model, *options))}, {count:,} rows"
        rows.append(_row(title, site, count, asked.rounds))
    text = report.table(rows)
    print(text)
    machine = ", ".join(f"{name} {value}" for name, value in report.machine().items())
    if asked.out:
        asked.out.write_text(
            "# A whole portfolio on a cluster\n\n"
            f"Written by `python -m benchmarks cluster {' '.join(arguments)}`".rstrip()
            + "; scheduler, workers and the command on one machine, over its own network. How it "
            f"is taken is in `README.md`.\n\n{text}\n\nMachine: {machine}.\n",
            encoding="utf-8",
            newline="\n",
        )
    return 0 if all(row.met for row in rows) else 1


def _row(title: str, site: Site, rows: int, rounds: int) -> Row:
    site.score("--workers", "2")
    expected = site.result.with_suffix(".expected")
    site.result.replace(expected)
    gains, ones, twos = [], [], []
    for _ in range(rounds):
        one, two = _measured(site, 1, expected), _measured(site, 2, expected)
        gains.append(one.took / two.took)
        ones.append(one)
        twos.append(two)
    one, two = (min(runs, key=lambda run: run.took) for runs in (ones, twos))
    carried = (site.portfolio.stat().st_size + expected.stat().st_size) / MB
    expected.unlink()
    parent = min(run.command for run in twos)
    most = min(run.workers for run in ones) / max(parent, min(run.scheduler for run in twos))
    return Row(
        f"{title}: two cluster workers ÷ one",
        Target(BOUND, True),
        gains,
        f"{rows / one.took:,.0f} and {rows / two.took:,.0f} rows/s; seconds of a core: command "
        f"{parent:.1f}, scheduler {two.scheduler:.1f}, workers {one.workers:.1f}: the command "
        f"reads and writes {carried / parent:,.0f} MB in a second of its core, enough for "
        f"{most:.1f} workers",
    )


def _measured(site: Site, workers: int, expected: Path) -> Run:
    """One run on a new cluster: what a worker has to do only once is counted too."""
    with _cluster(site.result.parent, workers) as (address, pids):
        before = [_core(pid) for pid in pids]
        took, command = site.score("--engine", "dask", "--scheduler", address)
        spent = [_core(pid) - was for pid, was in zip(pids, before, strict=True)]
    if not filecmp.cmp(site.result, expected, shallow=False):
        raise SystemExit("the result is not that of this machine's processes")
    return Run(took, command, spent[0], sum(spent[1:]))


@contextlib.contextmanager
def _cluster(folder: Path, workers: int) -> Iterator[tuple[str, list[int]]]:
    """The address of a scheduler, and the processes: its own, then the workers'."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    address = f"tcp://127.0.0.1:{port}"
    local = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0")
    one = ("--nthreads", "1", "--no-nanny", "--memory-limit", "0")
    commands = [
        ("distributed.cli.dask_scheduler", *local, "--port", str(port)),
        *[("distributed.cli.dask_worker", address, *local, *one, "--local-directory", f"{folder}")]
        * workers,
    ]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for command in commands
    ]
    try:
        with Client(address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)
        yield address, [process.pid for process in running]
    finally:
        for process in reversed(running):
            process.kill()
            process.wait()


def _core(pid: int) -> float:
    """Seconds of a core that a process has had."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _portfolio(folder: Path, rows: int) -> Path:
    """As ``propensia synth`` makes it; kept from run to run."""
    path = folder / f"cartera_{rows}.csv"
    if not path.exists():
        unfinished = path.with_suffix(".tmp")
        words = ("synth", str(unfinished), "--rows", str(rows))
        subprocess.run([sys.executable, "-m", "propensia", *words], cwd=ROOT, check=True)
        unfinished.replace(path)
    return path


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks cluster", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "benchmarks" / "cluster")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "CLUSTER.md")
    asked = parser.parse_args(arguments)
    asked.folder = asked.folder.absolute()
    asked.folder.mkdir(parents=True, exist_ok=True)
    return asked
