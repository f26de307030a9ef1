"""`python -m benchmarks journal`: what it costs to keep every answer.

It must never count a round in which an answer was missing from the journal.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from benchmarks import load, report
from benchmarks.contenders import PATHS, Bench
from benchmarks.figures import FigureError, Measured
from benchmarks.report import Row, Target
from benchmarks.services import (
    ROOT,
    Running,
    Service,
    ServiceError,
    client_cores,
    cold_start_s,
    server_cores,
    started,
)
from propensia import contract
from propensia.journal import reader, records, writer
from propensia.journal.lines import line
from propensia.journal.writer import Journal

_MODEL = "forest"
_AWAY = "postgresql://nobody@127.0.0.1:1/nothing"
"""Nothing is shipped and removed, so that every answer can be counted; both sides have it."""

_TEXTS = list(contract.load("cobranza").example().values())
_RECORDS = 20_000
_MANY = 5_000_000


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; 0 if every target was met, else 1."""
    asked = _arguments(arguments)
    work = ROOT / "var" / "benchmarks"
    bench = Bench(work / "models", work / "scratch-journal", asked.seconds, asked.rounds)
    rows = []
    for name in asked.only or FIGURES:
        title, target, measure = FIGURES[name]
        try:
            values, detail = measure(bench)
        except (FigureError, ServiceError, OSError) as no:
            values, detail = [], str(no)
        rows.append(Row(title, target, values, detail))
        verdict = "met" if rows[-1].met else "NOT MET"
        print(f"{name}: {rows[-1].measured}, target {target}, {verdict}. {detail}", flush=True)
    if asked.out:
        asked.out.write_text(_document(rows, asked), encoding="utf-8", newline="\n")
    return 0 if all(row.met for row in rows) else 1


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks journal", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(FIGURES))
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a round")
    parser.add_argument("--rounds", type=int, default=10, help="pairs of rounds for a ratio")
    parser.add_argument("--out", type=Path, help="without --only: benchmarks/JOURNAL.md")
    asked = parser.parse_args(arguments)
    if asked.out is None and not asked.only:
        asked.out = ROOT / "benchmarks" / "JOURNAL.md"
    return asked


def _document(rows: Sequence[Row], asked: argparse.Namespace) -> str:
    machine = ", ".join(f"{name} {text}" for name, text in report.machine().items())
    return "\n".join(
        [
            "# The journal: what it costs to keep every answer",
            "",
            "Written by `python -m benchmarks journal "
            f"--seconds {asked.seconds:g} --rounds {asked.rounds}`.",
            "A ratio is of two servers that took turns in one run; a round in which an answer was "
            "not in the journal counts as a failure.",
            "",
            report.table(rows),
            "",
            f"Machine: {machine}.",
            "",
        ]
    )


def _pair(bench: Bench, one: dict[str, object], other: dict[str, object]) -> list[Service]:
    """Two services on homes of their own, with one worker each."""
    homes = [bench.home(_MODEL, name=name) for name in ("one", "other")]
    return [_service(bench, *each) for each in zip(homes, (one, other), strict=True)]


def _service(bench: Bench, home: Path, chosen: dict[str, object]) -> Service:
    service = bench.propensia(home)
    told = {"rate_limit": "off", "database_url": _AWAY} | chosen
    more = {f"PROPENSIA_{name.upper()}": str(value) for name, value in told.items()}
    return replace(service, environment=dict(service.environment) | more, folder=home)


def _kept(home: Path) -> int:
    """How many answers are in a journal; `FigureError` for a damaged line."""
    found = 0
    for segment in reader.segments(home / "state" / writer.FOLDER):
        place = 0
        while (part := reader.read(segment, place)).end != place:
            place = part.end
            found += sum(b'"kind":"answer"' in record for record in part.records)
            if part.damaged:
                raise FigureError("a damaged line")
    return found


def _seen(bench: Bench, service: Service, running: Running, connections: int) -> load.Load:
    """One round, all of whose answers were kept, if the service keeps any."""
    keeps = service.environment["PROPENSIA_JOURNAL"] != "off"
    before = _kept(service.folder) if keeps else 0
    plan = load.Plan(running.port, PATHS, bench.seconds, 0.3, connections, client_cores())
    seen = load.measure(plan)
    if seen.errors or not seen.answers:
        raise FigureError(f"{seen.errors} errors; first: {seen.first_error}")
    if keeps and (kept := _kept(service.folder) - before) < seen.answers:
        raise FigureError(f"{seen.answers} answers, {kept} kept")
    return seen


def _rounds(
    bench: Bench, one: dict[str, object], other: dict[str, object], connections: int
) -> list[tuple[load.Load, load.Load]]:
    """Pairs of rounds; the first pair warms up. Every other pair begins with the other."""
    first, second = _pair(bench, one, other)
    pairs = []
    with (
        started(first, server_cores()) as runs_first,
        started(second, server_cores()) as runs_second,
    ):
        for turn in range(bench.rounds + 1):
            sides = [(first, runs_first), (second, runs_second)]
            seen = [_seen(bench, *side, connections) for side in sides[:: 1 if turn % 2 else -1]]
            pairs.append((seen[0], seen[1]) if turn % 2 else (seen[1], seen[0]))
    return pairs[1:]


OFF: dict[str, object] = {"journal": "off"}
ON: dict[str, object] = {"journal": "required"}


def _throughput(bench: Bench) -> Measured:
    pairs = _rounds(bench, OFF, ON, connections=8)
    ratios = [kept.per_second / without.per_second for without, kept in pairs]
    rates = [statistics.median(pair[side].per_second for pair in pairs) for side in (0, 1)]
    return ratios, f"{rates[0]:,.0f} and {rates[1]:,.0f} answers a second, one worker"


def _latency(bench: Bench) -> Measured:
    pairs = _rounds(bench, OFF, ON, connections=1)
    ratios = [kept.p50_ms / without.p50_ms for without, kept in pairs]
    times = [statistics.median(pair[side].p50_ms for pair in pairs) for side in (0, 1)]
    return ratios, f"p50 {times[0]:.3f} ms and {times[1]:.3f} ms, one caller"


def _shared(bench: Bench) -> Measured:
    """How many answers one wait for the disk serves, where each must wait."""
    values = []
    for _ in range(bench.rounds):
        with tempfile.TemporaryDirectory(dir=bench.scratch(".")) as folder:
            kept = Journal(Path(folder) / "journal", 0.0, 64 << 20, 900.0)
            with (
                patch.object(os, "fsync", wraps=os.fsync) as sync,
                ThreadPoolExecutor(16) as pool,
            ):
                list(pool.map(kept.append, [_record(number) for number in range(800)]))
            kept.close()
        values.append(800 / sync.call_count)
    return values, "16 threads, `journal_sync_s = 0`"


def _record(number: int) -> bytes:
    rules = records.Rules("0123456789ab", 1, "modelo", "0123456789abcdef", 0.5).written()
    return records.answer(f"{number:029x}", rules, "caller", None, 0.25, False, _TEXTS, [])


def _append(bench: Bench) -> Measured:
    values = []
    for _ in range(bench.rounds):
        with tempfile.TemporaryDirectory(dir=bench.scratch(".")) as folder:
            kept = Journal(Path(folder) / "journal", 60.0, 64 << 20, 900.0)
            record = _record(1)
            began = time.perf_counter()
            for _ in range(_RECORDS):
                kept.append(record)
            values.append((time.perf_counter() - began) / _RECORDS * 1e6)
            kept.close()
    return values, f"{_RECORDS:,} records of {len(_record(1))} bytes, one after the other"


def _start(bench: Bench) -> Measured:
    """With the usual store, into which the keeper brings them meanwhile."""
    home = bench.home(_MODEL, name="full")
    folder = home / "state" / writer.FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    data = b"".join(line(_record(number)) for number in range(100_000))
    for block in range(_MANY // 100_000):
        (folder / f"{block:016x}-000001.journal").write_bytes(data)
    service = _service(bench, home, ON | {"database_url": ""})
    try:
        seconds = cold_start_s(service, PATHS[0])
    finally:
        shutil.rmtree(home)
    return [seconds], f"{_MANY:,} records left by processes that ended"


FIGURES: dict[str, tuple[str, Target, Callable[[Bench], Measured]]] = {
    "throughput": ("answers a second with a journal ÷ without", Target(0.9, True), _throughput),
    "latency": ("median latency with a journal ÷ without", Target(1.1, False), _latency),
    "append": ("time to keep a record", Target(20, False, " µs"), _append),
    "shared": ("answers for one wait for the disk", Target(4, True), _shared),
    "start": ("time to the first answer beside a full journal", Target(5, False, " s"), _start),
}
