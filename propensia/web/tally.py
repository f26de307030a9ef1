"""What this installation counts: requests, their times, scores and faults, over all its workers.

It never holds anything that was received, and never stops, fails or slows an answer: a request is
put in a row, and a thread that answers nobody counts it within half a second. Each process keeps
its numbers in a file that the next one goes on with, so that no count ever goes down.

The client library of Prometheus can count too, but while a request waits. For several processes it
maps files into memory, where a full disk ends the process (SIGBUS) on file systems that copy on
write; it takes their folder from the environment, one for all that a process may ever count; and
each worker leaves two files behind.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from array import array
from bisect import bisect_left
from collections import Counter, deque
from pathlib import Path
from typing import TypeVar

from propensia import files
from propensia.locks import Lock
from propensia.serving import Answer
from propensia.web.door import Seen
from propensia.web.problems import Problem

log = logging.getLogger(__name__)

BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
BINS = tuple(step / 20 for step in range(1, 21))
"""Upper ends of the ranges of scores; the last holds 1."""

REQUESTS, SECONDS, SCORES, FAULTS = "requests", "seconds", "scores", "faults"
SPREAD = "spread"
RANGES = {SECONDS: BUCKETS_S, SPREAD: BINS}
"""Of what is counted by ranges, their upper ends; what lies above them all is counted too."""

OTHER = "other"
"""The route of what is no route: an address that somebody makes up is never a label."""

MOST_WAITING = 10_000
"""How many may wait to be counted; who brings one more counts them all."""

MOST_PLACES = 256
LIMIT_BYTES = 1 << 20
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
RIGHTS = 0o640
_DOUBLE = array("d").itemsize

Waiting = TypeVar("Waiting")
Name = tuple[str, ...]
"""What is counted, then its labels: ``("requests", route, method, status)``,
``("seconds", route)``, ``("scores", version, "1" or "0")``, ``("spread", version)``: the scores by
their ranges, ``("faults", code)``."""


class Tally:
    """The counts of one process. Safe for threads.

    A place in the folder belongs to the process that holds its lock. ``N.names`` has a line of
    JSON for each thing that is counted there: where its numbers begin, then its ``Name``;
    ``N.values`` has the numbers, as doubles of this machine.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._forget()

    def _forget(self) -> None:
        self._counting = threading.Lock()
        self._answers: deque[Seen] = deque()
        self._faults: deque[str] = deque()
        self._scores: deque[tuple[str, bool, float]] = deque()
        self._starts: dict[Name, int] = {}
        self._values = array("d")
        self._place: Lock | None = None
        self._own = ""
        self._unwritten = b""
        self._names_file = self._values_file = -1

    def open(self) -> None:
        """Take a place for this process; to be called again after a fork. Raises nothing: without
        a place, a process counts for itself alone."""
        self._forget()
        why = "no place is free"
        with contextlib.suppress(OSError):  # told by the first place
            self._folder.mkdir(parents=True, exist_ok=True)
        for number in range(MOST_PLACES):
            place = Lock(self._folder / f"{number}.lock")
            try:
                if place.acquire():
                    self._go_on(str(number))
                    self._place = place
                    return
            except OSError as error:  # of another account, or damaged: the next one may do
                place.release()
                why = type(error).__name__
        log.error("counts are kept in memory only: %s", why)

    def _go_on(self, own: str) -> None:
        """Count on from what the last process of this place left. Raises ``OSError``, and then
        nothing of it is counted here."""
        starts = _names(self._folder / f"{own}.names")
        values = _values(self._folder / f"{own}.values")
        ends = [start + _width(name) for name, start in starts.items()]
        values.extend([0.0] * (max(ends, default=0) - len(values)))
        names_file = os.open(self._folder / f"{own}.names", _FLAGS | os.O_APPEND, RIGHTS)
        try:
            self._values_file = os.open(self._folder / f"{own}.values", _FLAGS, RIGHTS)
        except OSError:
            os.close(names_file)
            raise
        self._names_file, self._starts, self._values = names_file, starts, values
        self._unwritten = b"\n"  # the last process may have ended in the middle of a line
        self._own = own

    # Counting

    def result(self, result: Answer | Problem) -> None:
        """Note a score, or why there is none. Raises nothing."""
        if isinstance(result, Answer):
            version = result.bundle.release.version
            self._scores.append((version, result.positive, result.probability))
            return
        for code in [error["codigo"] for error in result.body["errores"]] or [result.code]:
            self._faults.append(code)

    def answer(self, seen: Seen) -> None:
        """Note an answer. Raises nothing."""
        self._answers.append(seen)
        if len(self._answers) > MOST_WAITING:
            self.tick()

    def tick(self) -> None:
        """Count what was noted, and write the numbers down; one thread calls it twice a second.
        Raises nothing."""
        with self._counting:
            self._count()
            self._keep()

    def _count(self) -> None:
        answers = _emptied(self._answers)
        for code, count in Counter(_emptied(self._faults)).items():
            self._values[self._start((FAULTS, code))] += count
        for version, positive, score in _emptied(self._scores):
            self._values[self._start((SCORES, version, "1" if positive else "0"))] += 1
            self._count_in_range((SPREAD, version), score)
        for seen in answers:
            route = seen.route or OTHER
            self._values[self._start((REQUESTS, route, seen.method, str(seen.status)))] += 1
            self._count_in_range((SECONDS, route), seen.seconds)

    def _count_in_range(self, name: Name, number: float) -> None:
        ends, start = RANGES[name[0]], self._start(name)
        self._values[start + bisect_left(ends, number)] += 1
        self._values[start + len(ends) + 1] += number

    def _start(self, name: Name) -> int:
        start = self._starts.get(name)
        if start is None:
            start = self._starts[name] = len(self._values)
            self._values.extend([0.0] * _width(name))
            self._unwritten += json.dumps([start, *name]).encode() + b"\n"
        return start

    def _keep(self) -> None:
        """Write all numbers down: they are few, and so the next time makes good for a failure."""
        if self._values_file < 0:
            return
        with contextlib.suppress(OSError):
            if self._unwritten:
                written = os.write(self._names_file, self._unwritten)
                if written < len(self._unwritten):  # the disk is full, in the middle of a line
                    self._unwritten = b"\n" + self._unwritten.lstrip(b"\n")
                    return
                self._unwritten = b""
            files.write_at(self._values_file, self._values, 0)

    # Telling

    def totals(self) -> dict[Name, list[float]]:
        """All counts of this installation: of this process as they are, of the others as they
        last wrote them, at most half a second ago, and of those that ended. What cannot be read is
        left out. Raises nothing."""
        with self._counting:
            self._count()
            self._keep()  # or what is told here could be more than another worker tells next
            found = _cut(self._starts, self._values)
        for path in self._folder.glob("*.names"):
            if path.stem == self._own:
                continue
            try:
                counts = _cut(_names(path), _values(path.with_suffix(".values")))
            except OSError as error:
                log.warning("the counts of %s are left out: %s", path.stem, type(error).__name__)
                continue
            for name, numbers in counts.items():
                before = found.get(name, [0.0] * len(numbers))
                found[name] = [one + other for one, other in zip(before, numbers, strict=True)]
        return found


def _width(name: Name) -> int:
    """How many numbers a name has: one for each range, one for what lies above, and the sum; or
    one."""
    ends = RANGES.get(name[0])
    return 1 if ends is None else len(ends) + 2


def _emptied(waiting: deque[Waiting]) -> list[Waiting]:
    """What waits, taken out. Others may add at the end meanwhile."""
    return [waiting.popleft() for _ in range(len(waiting))]


def _cut(starts: dict[Name, int], values: array[float]) -> dict[Name, list[float]]:
    """The numbers of each name; of one that was written down last, they may not be there yet."""
    found = {name: list(values[start : start + _width(name)]) for name, start in starts.items()}
    return {name: numbers for name, numbers in found.items() if len(numbers) == _width(name)}


def _names(path: Path) -> dict[Name, int]:
    """What is counted in a place, and where; a line that is not whole is left out."""
    found: dict[Name, int] = {}
    for line in _bytes(path).splitlines():
        with contextlib.suppress(ValueError, TypeError):
            start, *name = json.loads(line)
            if name and 0 <= start <= LIMIT_BYTES and all(isinstance(n, str) for n in name):
                found[tuple(name)] = int(start)
    return found


def _values(path: Path) -> array[float]:
    data = _bytes(path)
    return array("d", data[: len(data) // _DOUBLE * _DOUBLE])


def _bytes(path: Path) -> bytes:
    try:
        return files.read(path, LIMIT_BYTES)
    except FileNotFoundError:
        return b""
