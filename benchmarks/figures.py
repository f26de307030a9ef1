"""The figures themselves: what is run against what, and which ratio counts.

None may ever count a run in which something was answered wrongly.
"""

import http.client
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from benchmarks import load, reading, single_row
from benchmarks.contenders import (
    PATHS,
    Bench,
    admission_seconds,
    constant,
    publish_other,
    versions_served,
)
from benchmarks.report import Row, Target
from benchmarks.services import (
    Running,
    Service,
    ServiceError,
    client_cores,
    cold_start_s,
    server_cores,
    started,
)

_REPEATS = 3
"""How often a figure is taken that needs fresh processes each time."""

_WATCHERS = 32
"""Connections that watch a swap: enough that every worker holds some of them."""


class FigureError(RuntimeError):
    """A figure that does not count, because something did not answer as it must."""


Measured = tuple[list[float], str]


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table: `measure` gives a value for each round, and the detail."""

    name: str
    title: str
    target: Target
    measure: Callable[[Bench], Measured]

    def row(self, bench: Bench) -> Row:
        """The measured row; a service that goes wrong makes it fail, and the others go on."""
        try:
            values, detail = self.measure(bench)
        except (FigureError, ServiceError, OSError, LookupError, subprocess.SubprocessError) as no:
            # The whole story is for the console: it may hold paths, which a table must not.
            print(f"{self.name}: {no}", file=sys.stderr)
            first_line = str(no).partition("\n")[0].rstrip(":")
            own_words = isinstance(no, FigureError | ServiceError)
            values, detail = [], first_line if own_words else type(no).__name__
        return Row(self.title, self.target, values, detail)


def client_ceiling(bench: Bench) -> float:
    """Answers a second that the client takes from a server that does nothing."""
    with started(constant(), server_cores()) as running:
        return statistics.median(
            load.measure(_plan(bench, running)).per_second for _ in range(_REPEATS)
        )


def _plan(bench: Bench, running: Running) -> load.Plan:
    warmup_s = min(0.5, bench.seconds)
    return load.Plan(running.port, PATHS, bench.seconds, warmup_s, cores=client_cores())


def _taken(bench: Bench, running: Running, process: subprocess.Popen[str]) -> load.Load:
    """The load of a client that finished without one error; `FigureError` otherwise."""
    seen = load.answer_of(process)
    if seen.errors or not seen.answers:
        total = seen.answers + seen.errors
        raise FigureError(
            f"{running.name}: {seen.errors} errors among {total} answers; "
            f"first: {seen.first_error}"
        )
    bench.busiest = max(bench.busiest, seen.busy)
    return seen


def _load(bench: Bench, running: Running) -> load.Load:
    return _taken(bench, running, load.launch(_plan(bench, running)))


def _middle(values: Sequence[float]) -> float:
    return statistics.median(values)


def _said(name: str, loads: Sequence[load.Load]) -> str:
    return (
        f"{name} {_middle([one.per_second for one in loads]):,.0f}/s, "
        f"p50 {_middle([one.p50_ms for one in loads]):.2f} ms, "
        f"p99 {_middle([one.p99_ms for one in loads]):.2f} ms"
    )


def throughput(ours: Service, baseline: Service, bench: Bench) -> Measured:
    """Answers a second, ours over the baseline's: one worker each on one core, rounds in turn."""
    with started(baseline, server_cores()) as theirs, started(ours, server_cores()) as own:
        pairs = [
            (_load(bench, theirs), _load(bench, own))
            # The round before the first one warms both and is dropped.
            for _ in range(bench.rounds + 1)
        ][1:]
    ratios = [mine.per_second / other.per_second for other, mine in pairs]
    detail = _said(own.name, [pair[1] for pair in pairs])
    return ratios, f"{detail}; {_said(theirs.name, [pair[0] for pair in pairs])}"


def memory(ours: Service, baseline: Service, bench: Bench) -> Measured:
    """Memory of the whole process tree after load, ours over the baseline's."""

    def weigh(service: Service) -> float:
        with started(service) as running:
            _load(bench, running)
            return running.memory_bytes() / 2**20

    pairs = [(weigh(baseline), weigh(ours)) for _ in range(_REPEATS)]
    return [mine / other for other, mine in pairs], _pair_said(ours, baseline, pairs, "MiB", 0)


def cold_start(ours: Service, baseline: Service, bench: Bench) -> Measured:
    """Launch to first scored answer, ours over the baseline's."""
    pairs = [
        (cold_start_s(baseline, PATHS[0]), cold_start_s(ours, PATHS[0]))
        for _ in range(bench.rounds)
    ]
    return [mine / other for other, mine in pairs], _pair_said(ours, baseline, pairs, "s", 2)


def _pair_said(
    ours: Service, baseline: Service, pairs: Sequence[tuple[float, float]], unit: str, digits: int
) -> str:
    theirs, mine = (_middle(values) for values in zip(*pairs, strict=True))
    return f"{ours.name} {mine:.{digits}f} {unit}; {baseline.name} {theirs:.{digits}f} {unit}"


def swapping(bench: Bench) -> Measured:
    """p99 with a new release every second over p99 without: one worker on one core.

    Three versions take turns. A worker keeps the active one and the one before, so with two
    nothing would ever be loaded, and with three every swap loads its model.
    """
    home = bench.home("forest_third", "forest_other", "forest")
    with started(bench.propensia(home), server_cores()) as running:
        _load(bench, running)
        pairs = [
            (_load(bench, running), _load_while_swapping(bench, running, home))
            for _ in range(bench.rounds)
        ]
    quiet, swapped = ([pair[which] for pair in pairs] for which in (0, 1))
    detail = f"{_said('quiet', quiet)}; {_said('swapping', swapped)}"
    return [after.p99_ms / before.p99_ms for before, after in pairs], detail


def _load_while_swapping(bench: Bench, running: Running, home: Path) -> load.Load:
    client = load.launch(_plan(bench, running))
    turns = 0
    while client.poll() is None:
        publish_other(home, turns)
        turns += 1
        time.sleep(1)
    seen = _taken(bench, running, client)
    # The last swap may come too late to be seen, and one version alone proves no swap at all.
    if len(seen.versions) < min(max(turns - 1, 2), 3):
        raise FigureError(f"{turns} swaps, but the answers name {len(seen.versions)} version(s)")
    return seen


@cache
def _drops(bench: Bench) -> list[tuple[float, float]]:
    """Seconds from the end of a copy to served by every worker, and those of its admission."""
    return [_drop(bench, bench.home("logistic", name=f"drop-{n}")) for n in range(_REPEATS)]


def _drop(bench: Bench, home: Path) -> tuple[float, float]:
    source = bench.model("forest")
    with started(bench.propensia(home, workers=2)) as running:
        watchers = [
            http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
            for _ in range(_WATCHERS)
        ]
        try:
            for watcher in watchers:
                watcher.connect()
            before = {_version_seen(watcher) for watcher in watchers}
            shutil.copyfile(source, home / "models" / "forest.pkl")
            copied = time.perf_counter()
            version, seconds = _all_changed(home, watchers, before, copied)
        finally:
            for watcher in watchers:
                watcher.close()
    return seconds, admission_seconds(home, version)


def _all_changed(
    home: Path, watchers: Sequence[http.client.HTTPConnection], before: set[str], since: float
) -> tuple[str, float]:
    """The new version, and the seconds until every connection and every worker names it alone."""
    while (waited := time.perf_counter() - since) < 120:
        seen = {_version_seen(watcher) for watcher in watchers}
        if len(seen) == 1 and not seen & before and versions_served(home) == seen:
            return seen.pop(), waited
        time.sleep(0.1)
    raise FigureError("The dropped forest was not served by every worker within 120 s.")


def _version_seen(watcher: http.client.HTTPConnection) -> str:
    watcher.request("GET", PATHS[0])
    answer = watcher.getresponse()
    answer.read()
    if answer.status != 200:
        raise FigureError(f"An answer with status {answer.status} while a file was dropped.")
    return answer.getheader("X-Propensia-Version", "")


def _against(baseline: Callable[[Bench], Service], model: str, bench: Bench) -> Measured:
    return throughput(bench.propensia(bench.home(model)), baseline(bench), bench)


def _two_workers(
    measure: Callable[[Service, Service, Bench], Measured], model: str, bench: Bench
) -> Measured:
    ours = bench.propensia(bench.home(model), workers=2)
    return measure(ours, bench.fastapi("forest", workers=2), bench)


def _seconds_of_drop(which: int, bench: Bench) -> Measured:
    size_mb = bench.model("forest").stat().st_size / 1e6
    return [drop[which] for drop in _drops(bench)], f"a forest of {size_mb:.0f} MB, two workers"


def _at_least(bound: float) -> Target:
    return Target(bound, at_least=True)


def _at_most(bound: float, unit: str = "") -> Target:
    return Target(bound, at_least=False, unit=unit)


def _throughput_figures() -> list[Figure]:
    flask, gunicorn = Bench.bare_flask, Bench.bare_flask_on_gunicorn
    same, threads = "÷ bare Flask, same server", "÷ bare Flask on gunicorn threads"
    return [
        Figure("forest", f"forest {same}", _at_least(0.5), partial(_against, flask, "forest")),
        Figure("network", f"network {same}", _at_least(0.8), partial(_against, flask, "network")),
        Figure(
            "logistic",
            f"logistic regression {same}",
            _at_least(0.8),
            partial(_against, flask, "logistic"),
        ),
        Figure(
            "forest-gunicorn",
            f"forest {threads}",
            _at_least(1.5),
            partial(_against, gunicorn, "forest"),
        ),
        Figure(
            "network-gunicorn",
            f"network {threads}",
            _at_least(2.0),
            partial(_against, gunicorn, "network"),
        ),
        Figure(
            "fastapi",
            "forest ÷ FastAPI + joblib + DataFrame",
            _at_least(30),
            partial(_against, lambda bench: bench.fastapi("forest"), "forest"),
        ),
        Figure(
            "seed",
            "forest ÷ the seed project's recipe",
            _at_least(30),
            partial(_against, lambda bench: bench.seed_recipe("forest"), "forest"),
        ),
    ]


def _other_figures() -> list[Figure]:
    weighed = "memory, two workers, ÷ FastAPI with the forest"
    dropped = "end of copy to served by every worker"
    return [
        Figure(
            "memory-forest",
            f"forest: {weighed}",
            _at_most(0.9),
            partial(_two_workers, memory, "forest"),
        ),
        Figure(
            "memory-network",
            f"network: {weighed}",
            _at_most(0.35),
            partial(_two_workers, memory, "network"),
        ),
        Figure(
            "start",
            "forest: start to first answer ÷ FastAPI",
            _at_most(0.4),
            partial(_two_workers, cold_start, "forest"),
        ),
        Figure("drop", dropped, _at_most(15, " s"), partial(_seconds_of_drop, 0)),
        Figure("admission", "of which admission", _at_most(8, " s"), partial(_seconds_of_drop, 1)),
        Figure("swap", "forest: p99 swapping once a second ÷ p99 without", _at_most(2), swapping),
    ]


def _reading_figures() -> list[Figure]:
    alone = "in a fresh process on one core"
    converter = "forest: one row ÷ the usual converter's graph"
    return [
        Figure("read", f"read a forest as data, {alone}", _at_most(1, " s"),
               reading.seconds_to_read),
        Figure("compile", f"compile it, {alone}", _at_most(4, " s"), reading.seconds_to_compile),
        Figure("read-memory", "memory of both", _at_most(400, " MB"), reading.memory_of_both),
        Figure("thousand", "read and compile 1,000 trees of depth 12", _at_most(20, " s"),
               reading.seconds_of_a_thousand_trees),
        Figure("reader", "memory of reading ÷ the unpacked file", _at_most(3),
               reading.memory_of_reading),
        Figure("row", converter, _at_most(1), single_row.against_the_usual_converter),
    ]  # fmt: skip


FIGURES = {
    figure.name: figure
    for figure in [*_throughput_figures(), *_other_figures(), *_reading_figures()]
}
"""Every figure of the table, in its order, by name."""
