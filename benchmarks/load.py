"""The one HTTP client of every figure: a closed loop over keep-alive connections.

It runs in a process of its own and must never retry in silence: whatever is not a complete answer
with status 200 is counted as an error.
"""

import json
import math
import os
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_HOPELESS = 200
"""After so many errors the run ends: its figure has failed already."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run sends: the paths in turn, one request in flight on each connection.

    `headers` are whole lines, sent with each request.
    """

    port: int
    paths: Sequence[str]
    seconds: float
    warmup_s: float = 0.5
    connections: int = 8
    cores: Sequence[int] = ()
    headers: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Load:
    """What one run saw after its warm-up (errors: from its first moment).

    `busy` is the client's own share of one core: near 1, the client was the limit.
    `versions` counts the answers by their `X-Propensia-Version`.
    """

    answers: int
    seconds: float
    p50_ms: float
    p99_ms: float
    busy: float
    errors: int
    first_error: str
    versions: dict[str, int]

    @property
    def per_second(self) -> float:
        """Answers in one second."""
        return self.answers / self.seconds


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the smallest value that `share` of them do not exceed.

    The values ascend. NaN when there are no values.
    """
    if not ordered:
        return math.nan
    # Rounded first, since 0.07 * 100 is a little more than 7 in binary.
    return ordered[max(math.ceil(round(share * len(ordered), 9)), 1) - 1]


def measure(plan: Plan) -> Load:
    """Run `plan` in a new process and wait for it."""
    return answer_of(launch(plan))


def launch(plan: Plan) -> subprocess.Popen[str]:
    """Start `plan` in a new process; `answer_of` waits for its result."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(asdict(plan)))
    process.stdin.close()
    return process


def answer_of(process: subprocess.Popen[str]) -> Load:
    """The result of a launched client; `RuntimeError` if it broke off."""
    assert process.stdout is not None
    with process.stdout as output:
        text = output.read()
    if process.wait() != 0:
        raise RuntimeError("The load client broke off; its own message is above.")
    return Load(**json.loads(text))


def drive(plan: Plan) -> Load:
    """Run `plan` in this process."""
    run = _Run(plan)
    try:
        return run.complete()
    finally:
        run.close()


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    sent_at: float = 0.0
    received: bytes = b""


@dataclass(slots=True)
class _Tally:
    """What is counted in one stretch of the loop; an answer counts where it arrives."""

    since: float = field(default_factory=time.perf_counter)
    cpu_since: float = field(default_factory=time.process_time)
    latencies: list[float] = field(default_factory=list)
    versions: Counter[str] = field(default_factory=Counter)


class _Run:
    """The loop of one plan: whichever connection has a whole answer sends the next request."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        lines = "".join(f"{line}\r\n" for line in ("Host: 127.0.0.1", *plan.headers))
        self._requests = cycle(
            [f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode() for path in plan.paths]
        )
        self._selector = selectors.DefaultSelector()
        self._tally = _Tally()
        self._errors = 0
        self._first_error = ""

    def complete(self) -> Load:
        for _ in range(self._plan.connections):
            self._open()
        self._loop_until(time.perf_counter() + self._plan.warmup_s)
        self._tally = _Tally()
        self._loop_until(self._tally.since + self._plan.seconds)
        return self._result(time.perf_counter() - self._tally.since)

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            key.data.socket.close()
        self._selector.close()

    def _result(self, seconds: float) -> Load:
        tally = self._tally
        for key in self._selector.get_map().values():
            if key.data.sent_at < tally.since:
                self._fail(f"a request without an answer for {seconds:.1f} s")
        ordered = sorted(tally.latencies)
        return Load(
            answers=len(ordered),
            seconds=seconds,
            p50_ms=percentile(ordered, 0.50) * 1000,
            p99_ms=percentile(ordered, 0.99) * 1000,
            busy=(time.process_time() - tally.cpu_since) / seconds,
            errors=self._errors,
            first_error=self._first_error,
            versions=dict(tally.versions),
        )

    def _loop_until(self, end: float) -> None:
        while (now := time.perf_counter()) < end and self._errors < _HOPELESS:
            for key, _ in self._selector.select(end - now):
                self._read(key.data)

    def _open(self) -> None:
        try:
            opened = socket.create_connection(("127.0.0.1", self._plan.port), timeout=5)
        except OSError as refused:
            self._fail(f"no connection: {refused.strerror or refused}")
            return
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setblocking(False)
        connection = _Connection(opened)
        self._selector.register(opened, selectors.EVENT_READ, connection)
        self._send(connection)

    def _reopen(self, connection: _Connection) -> None:
        self._selector.unregister(connection.socket)
        connection.socket.close()
        self._open()

    def _fail(self, what: str) -> None:
        self._errors += 1
        self._first_error = self._first_error or what

    def _send(self, connection: _Connection) -> None:
        connection.received = b""
        connection.sent_at = time.perf_counter()
        # With nothing else in flight a few hundred bytes always fit into the socket buffer. A
        # connection that the server has closed meanwhile says so at the next read.
        try:
            connection.socket.send(next(self._requests))
        except ConnectionError:
            return

    def _read(self, connection: _Connection) -> None:
        try:
            received = connection.socket.recv(65536)
        except ConnectionError as broken:
            self._fail(f"connection lost: {broken.strerror}")
            self._reopen(connection)
            return
        if not received:
            self._fail("connection closed in the middle of an exchange")
            self._reopen(connection)
            return
        connection.received = data = connection.received + received
        end = data.find(b"\r\n\r\n")
        if end >= 0:
            self._take(connection, data, data[: end + 2].lower())

    def _take(self, connection: _Connection, data: bytes, head: bytes) -> None:
        """Count the answer if it is whole; `head` is in lower case, its last line end included."""
        length = _header(head, b"content-length")
        if not length.isdigit():
            self._fail("an answer without a length")
            self._reopen(connection)
            return
        missing = len(head) + 2 + int(length) - len(data)
        if missing > 0:
            return
        if head[8:13] != b" 200 " or missing < 0:
            self._fail(data[:300].decode("latin-1"))
        else:
            self._tally.latencies.append(time.perf_counter() - connection.sent_at)
            if version := _header(head, b"x-propensia-version"):
                self._tally.versions[version.decode("latin-1")] += 1
        if b"\r\nconnection: close\r\n" in head:
            self._reopen(connection)
        else:
            self._send(connection)


def _header(head: bytes, name: bytes) -> bytes:
    at = head.find(b"\r\n" + name + b":")
    if at < 0:
        return b""
    at += len(name) + 3
    return head[at : head.index(b"\r\n", at)].strip()


def main() -> None:
    """Read a plan from standard input, run it, write the result to standard output."""
    plan = Plan(**json.load(sys.stdin))
    if plan.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, plan.cores)
    json.dump(asdict(drive(plan)), sys.stdout)


if __name__ == "__main__":
    main()
