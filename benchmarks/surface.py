"""`python -m benchmarks surface`: what keys, limits and slow clients cost those who call.

It must never count a run in which somebody who should have been answered was not.
"""

import argparse
import contextlib
import http.client
import json
import socket
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

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
    server_cores,
    started,
)
from propensia import settings
from propensia.access import keys
from propensia.access.limits import Limits, Rate
from propensia.contract import load as contract_of

SLOW = 200
LIMIT = 100
QUEUE_S = 0.5
_MODEL = "forest"
_COUNTS = 20_000


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 0 if every target was met, else 1."""
    asked = _arguments(arguments)
    work = ROOT / "var" / "benchmarks"
    bench = Bench(work / "models", work / "scratch-surface", asked.seconds, asked.rounds)
    figures = FIGURES | ({"door": _door(asked.before)} if asked.before else {})
    met = True
    for name in asked.only or figures:
        title, target, measure = figures[name]
        try:
            values, detail = measure(bench)
        except (FigureError, ServiceError, OSError) as no:
            values, detail = [], str(no)
        row = Row(title, target, values, detail)
        met = met and row.met
        verdict = "met" if row.met else "NOT MET"
        print(f"{name}: {title}: {row.measured}, target {target}, {verdict}. {detail}", flush=True)
    print(", ".join(f"{name} {text}" for name, text in report.machine().items()))
    return 0 if met else 1


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks surface", description=__doc__)
    parser.add_argument("--only", action="append", choices=[*FIGURES, "door"])
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a round")
    parser.add_argument("--rounds", type=int, default=8, help="pairs of rounds for a ratio")
    parser.add_argument("--before", type=Path, help="folder of an older state of the code")
    asked = parser.parse_args(arguments)
    if "door" in (asked.only or ()) and asked.before is None:
        parser.error("door needs --before FOLDER")
    return asked


def _home(bench: Bench, name: str, *holders: str) -> tuple[Path, dict[str, str]]:
    """Folders with the model, and new keys by name (none: no keys are needed there)."""
    home = bench.home(_MODEL, name=name)
    made = {holder: keys.new(holder, "admin", time.time()) for holder in holders}
    if made:
        folder = home / "state" / keys.FOLDER
        keys.change(folder, lambda known: [*known, *(key for _, key in made.values())], anew=True)
    return home, {holder: f"X-API-Key: {shown}" for holder, (shown, _) in made.items()}


def _service(bench: Bench, home: Path, **chosen: object) -> Service:
    service = bench.propensia(home)
    more = {f"PROPENSIA_{name.upper()}": str(value) for name, value in chosen.items()}
    return replace(service, environment=dict(service.environment) | more)


def _seen(bench: Bench, running: Running, header: str = "", connections: int = 8) -> load.Load:
    headers = (header,) if header else ()
    plan = load.Plan(
        *(running.port, PATHS, bench.seconds, 0.5, connections, client_cores(), headers)
    )
    seen = load.measure(plan)
    if seen.errors or not seen.answers:
        raise FigureError(f"{seen.errors} errors; first: {seen.first_error}")
    return seen


def _medians(
    bench: Bench, one: Callable[[], load.Load], other: Callable[[], load.Load], names: str
) -> Measured:
    """The ratios of the median latencies of pairs of rounds, `other` over `one`."""
    pairs = [(one(), other()) for _ in range(bench.rounds + 1)][1:]
    first, second = (statistics.median(pair[which].p50_ms for pair in pairs) for which in (0, 1))
    ratios = [after.p50_ms / before.p50_ms for before, after in pairs]
    return ratios, f"p50 {first:.3f} ms and {second:.3f} ms: {names}"


def _key(bench: Bench) -> Measured:
    open_home, _ = _home(bench, "open")
    closed_home, lines = _home(bench, "closed", "caller")
    with (
        started(_service(bench, open_home), server_cores()) as without,
        started(_service(bench, closed_home), server_cores()) as closed,
    ):
        plain = partial(_seen, bench, without, connections=1)
        keyed = partial(_seen, bench, closed, lines["caller"], connections=1)
        return _medians(bench, plain, keyed, "without and with a key, one caller")


def _door(before: Path) -> tuple[str, Target, Callable[[Bench], Measured]]:
    def measure(bench: Bench) -> Measured:
        home, _ = _home(bench, "open")
        ours = _service(bench, home)
        place = {"PYTHONPATH": str(before.absolute())}
        theirs = replace(ours, environment=dict(ours.environment) | place)
        with started(theirs, server_cores()) as old, started(ours, server_cores()) as new:
            one = partial(_seen, bench, old, connections=1)
            other = partial(_seen, bench, new, connections=1)
            return _medians(bench, one, other, "before and now, without keys, one caller")

    return "median latency ÷ before", Target(1.25, at_least=False), measure


class _SlowClients:
    """A third of the connections drips a head, a third a body, a third reads nothing; those that
    the server closes or refuses come again."""

    def __init__(self, port: int, header: str) -> None:
        lines = f"Host: 127.0.0.1\r\n{header}\r\n"
        row = json.dumps(dict(contract_of("cobranza").example()))
        posted = f"{lines}Content-Type: application/json\r\nContent-Length: {len(row)}\r\n\r\n"
        self._port = port
        self._opening = (
            f"GET {PATHS[0]} HTTP/1.1\r\n{lines}X: ".encode(),
            f"POST /predict HTTP/1.1\r\n{posted}{row[:1]}".encode(),
            f"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\n{lines}\r\n".encode(),
        )
        self._held: list[socket.socket | None] = [None] * SLOW
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._forever)

    def __enter__(self) -> "_SlowClients":
        self._thread.start()
        time.sleep(1.5)
        return self

    def __exit__(self, *ignored: object) -> None:
        self._end.set()
        self._thread.join()
        for held in self._held:
            if held is not None:
                held.close()

    def _forever(self) -> None:
        while not self._end.wait(0.2):
            for at, held in enumerate(self._held):
                kind = at % len(self._opening)
                if held is None or not self._drips(held, kind):
                    self._held[at] = self._open(kind)

    def _drips(self, held: socket.socket, kind: int) -> bool:
        """Whether the connection still stands after one byte more."""
        if kind == 2:
            return True
        try:
            held.send(b" ")
            return bool(held.recv(1, socket.MSG_PEEK)) and self._close(held)
        except BlockingIOError:
            return True
        except OSError:
            return self._close(held)

    def _close(self, held: socket.socket) -> bool:
        held.close()
        return False

    def _open(self, kind: int) -> socket.socket:
        opened = socket.socket()
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opened.connect(("127.0.0.1", self._port))
        opened.sendall(self._opening[kind])
        opened.setblocking(False)
        return opened


def _slow(bench: Bench) -> Measured:
    home, lines = _home(bench, "slow", "slow", "other")
    with started(_service(bench, home, rate_limit="off"), server_cores()) as running:
        pairs = []
        for _ in range(bench.rounds + 1):
            quiet = _seen(bench, running, lines["other"])
            with _SlowClients(running.port, lines["slow"]):
                pairs.append((quiet, _seen(bench, running, lines["other"])))
        pairs = pairs[1:]
    first, second = (statistics.median(pair[which].p99_ms for pair in pairs) for which in (0, 1))
    ratios = [held.p99_ms / quiet.p99_ms for quiet, held in pairs]
    return ratios, f"p99 {first:.2f} ms, and {second:.2f} ms with {SLOW} slow connections"


def _limit(bench: Bench) -> Measured:
    values = []
    for turn in range(3):
        home, lines = _home(bench, f"limit-{turn}", "greedy", "modest")
        with started(_service(bench, home, workers=4, rate_limit_get=f"{LIMIT}/min")) as running:
            told: Counter[int] = Counter()
            ask = partial(_statuses, running.port, lines["greedy"], 50, told)
            threads = [threading.Thread(target=ask) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            other: Counter[int] = Counter()
            _statuses(running.port, lines["modest"], 1, other)
            if set(told) != {200, 429} or set(other) != {200}:
                raise FigureError(f"statuses {dict(told)}, of another caller {dict(other)}")
            values.append(told[200] / LIMIT)
    return values, "four workers, 400 requests on 8 connections"


def _statuses(port: int, header: str, count: int, told: Counter[int]) -> None:
    name, _, text = header.partition(": ")
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        for _ in range(count):
            connection.request("GET", PATHS[0], headers={name: text})
            answer = connection.getresponse()
            answer.read()
            told[answer.status] += 1


def _overload(bench: Bench) -> Measured:
    home, _ = _home(bench, "open")
    chosen = {"queue_seconds": QUEUE_S, "max_batch_size": 10_000, "rate_limit": "off"}
    rows = json.dumps([dict(contract_of("cobranza").example())] * 5000).encode()
    refused: list[float] = []
    answered: list[float] = []

    def send(port: int) -> None:
        began = time.perf_counter()
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
            kind = {"Content-Type": "application/json"}
            connection.request("POST", "/predict/batch", rows, kind)
            status = connection.getresponse().status
        {200: answered, 503: refused}[status].append(time.perf_counter() - began)

    with started(_service(bench, home, **chosen), server_cores()) as running:
        for _ in range(3):
            threads = [threading.Thread(target=send, args=[running.port]) for _ in range(32)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    if not refused or not answered or len(refused) + len(answered) != 96:
        raise FigureError(f"{len(answered)} answered, {len(refused)} refused of 96")
    detail = (
        f"{len(answered)} answered, the last after {max(answered):.1f} s, {len(refused)} refused"
    )
    return [max(refused)], detail


def _count(bench: Bench) -> Measured:
    values = []
    with tempfile.TemporaryDirectory() as folder:
        counted = Limits(replace(settings.load({}), state=Path(folder)))
        rate = Rate("benchmark", 1_000_000, 3600)
        for _ in range(bench.rounds):
            began = time.perf_counter()
            for _ in range(_COUNTS):
                counted.take(rate, "somebody")
            values.append((time.perf_counter() - began) / _COUNTS * 1e6)
        if counted.problem is not None:
            raise FigureError(counted.problem)
    return values, f"{_COUNTS:,} times in a row, one process"


FIGURES: dict[str, tuple[str, Target, Callable[[Bench], Measured]]] = {
    "key": ("median latency with a key ÷ without", Target(1.05, at_least=False), _key),
    "slow": ("p99 beside slow connections ÷ without", Target(2, at_least=False), _slow),
    "limit": ("let in ÷ limit, four workers", Target(1.05, at_least=False), _limit),
    "overload": ("longest wait for a 503", Target(QUEUE_S + 1.5, False, " s"), _overload),
    "count": ("time to count one request", Target(50, at_least=False, unit=" µs"), _count),
}
