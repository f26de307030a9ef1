"""The request log: one line of JSON for every request that was answered, in a file a day.

It must never hold anything that was received, never stop, fail or slow an answer, and never let
who has no key fill the disk.
"""

from __future__ import annotations

import errno
import functools
import json
import logging
import os
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from propensia import files
from propensia.web.door import Seen

log = logging.getLogger(__name__)

FOLDER = "logs"
NAME = "requests-{}.jsonl"
RIGHTS = 0o640
"""Of a file, on Linux: the account of the service, and the group of whoever collects logs."""

LONGEST_NAME = 80

FEW = 10
"""Lines a second, of one process, about requests of nobody knows whom; the others are counted."""

DAY_BYTES = 512 * 1024 * 1024
"""Of one day, all processes together: some three million lines. From half of it on, what nobody
knows of whom it is gets no line, so that a flood leaves room for callers; from the whole on
nothing does, until tomorrow."""

# POSIX: with O_APPEND a write goes to the end, whole, whoever else writes (write(2)). Windows
# keeps only the threads of one process apart, and there every server of ours has one process.
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)

_encoded = json.JSONEncoder().encode


@dataclass(frozen=True, slots=True)
class _Open:
    """A file that is written to."""

    path: Path
    descriptor: int


class RequestLog:
    """The log of one process; others write to the same files. Safe for threads.

    Files change at midnight UTC, by their names. ``tick`` opens and removes them, and writes how
    many lines were left out; one thread calls it, twice a second. ``tell`` only writes.
    """

    def __init__(self, state: Path, days: int) -> None:
        """Today's file is kept in the state folder, and ``days`` before; 0: nothing is written."""
        self._folder = state / FOLDER
        self._days = days
        self._day = ""
        self._is_tidy = False
        self._counting = threading.Lock()
        self._few, self._is_full = FEW, False
        self._second = self._unknown = self._omitted = 0
        self._next_count = 0.0
        self._open: _Open | None = None
        self._before: _Open | None = None
        self._start = b""
        self._failure = ""

    @property
    def problem(self) -> str | None:
        """What is wrong, for people, as long as lines are being lost."""
        if self._failure:
            return f"no se puede escribir el registro de peticiones ({self._failure})"
        if self._is_full:
            size = f"{DAY_BYTES >> 20} MiB"
            return f"el registro de peticiones de hoy tiene {size}: hasta mañana solo las cuenta"
        return None

    def tell(self, seen: Seen) -> None:
        """Write the line of one answer. Raises nothing."""
        current, now = self._open, time.time()
        if current is None:
            return
        if (self._is_full or not seen.caller) and self._is_left_out(seen, int(now)):
            return
        self._write(current, line(seen, now, os.getpid()))

    def _is_left_out(self, seen: Seen, second: int) -> bool:
        """Whether there is no line for that; then it is counted."""
        with self._counting:
            if second != self._second:
                self._second, self._unknown = second, 0
            if not self._is_full and (seen.caller or self._unknown < self._few):
                self._unknown += 1
                return False
            self._omitted += 1
            return True

    def _write(self, current: _Open, text: bytes) -> None:
        data = self._start + text
        try:
            written = os.write(current.descriptor, data)
        except OSError as error:
            self._lost(error)
            return
        if written < len(data):  # the disk is full, in the middle of a line
            self._lost(OSError(errno.ENOSPC, ""))
        elif self._failure:
            self._start, self._failure = b"", ""

    def tick(self) -> None:
        """See to it that today's file is open and not too long, and that old ones go. Raises
        nothing."""
        today = datetime.now(UTC).date().isoformat()
        if today != self._day:
            self._day, self._is_tidy = today, False
        if self._days:
            try:
                self._see_to(self._folder / NAME.format(today))
            except OSError as error:
                self._lost(error)
        if not self._is_tidy:
            self._is_tidy = not self._remove_one()

    def _see_to(self, path: Path) -> None:
        """Have that file open. Raises ``OSError``."""
        current = self._open
        if current is None or current.path != path or not _is_there(current):
            current = self._change(path)
        size = os.fstat(current.descriptor).st_size
        self._few, self._is_full = FEW if size < DAY_BYTES // 2 else 0, size >= DAY_BYTES
        clock = time.monotonic()
        if self._omitted and clock >= self._next_count:
            self._next_count = clock + 1.0
            with self._counting:
                omitted, self._omitted = self._omitted, 0
            self._write(current, count_line(omitted, time.time(), os.getpid()))

    def _change(self, path: Path) -> _Open:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = _Open(path, os.open(path, _FLAGS, RIGHTS))
        self._start, self._failure = b"", ""
        closing, self._before, self._open = self._before, self._open, opened
        # The one before stays open until the next change: a thread may be just about to write to
        # it, and the system gives the number of a closed file to the next connection.
        if closing is not None:
            os.close(closing.descriptor)
        return opened

    def _remove_one(self) -> bool:
        """Remove the oldest file if there are more than may be kept; whether that was done.

        By their number: to a clock that jumps ahead for a moment, every file would be an old one.
        """
        paths = sorted(self._folder.glob(NAME.format("????-??-??")))
        if len(paths) <= (self._days + 1 if self._days else 0):
            return False
        try:
            files.retry(paths[0].unlink)
        except OSError:  # another process is at it; or tomorrow
            return False
        return True

    def _lost(self, error: OSError) -> None:
        """Remember that a line was lost; said once, not with every request."""
        failure = errno.errorcode.get(error.errno or 0, "OSError")
        if failure != self._failure:
            log.error("the request log cannot be written: %s", failure)
        self._start, self._failure = b"\n", failure  # the next line must not continue half a line


def _is_there(opened: _Open) -> bool:
    """Whether what is open is what the name means: somebody may have removed it."""
    try:
        return os.path.samestat(os.fstat(opened.descriptor), opened.path.stat())
    except FileNotFoundError:
        return False


def line(seen: Seen, now: float, pid: int) -> bytes:
    """The line of one answer: what ``json.dumps`` writes without blanks, at half its price.

    ``now``: seconds since 1970. ``ms`` is the time in the application, to the microsecond. Every
    text goes through the encoder of ``json``, which leaves only ASCII and no line end.
    """
    code = f',"codigo":{_known(seen.code)}' if seen.code else ""
    cause = f',"causa":{_known(seen.cause)}' if seen.cause else ""
    return (
        f'{{"time":"{_moment(now)}",'
        f'"id":{_encoded(seen.id)},"method":{_known(seen.method)},"route":{_known(seen.route)},'
        f'"status":{seen.status}{code}{cause},"version":{_known(seen.version)},'
        f'"ms":{round(seen.seconds * 1000, 3)!r},"caller":{_known(seen.caller)},"pid":{pid}}}\n'
    ).encode()


def count_line(omitted: int, now: float, pid: int) -> bytes:
    """The line that stands for requests that got none: how many, since the last such line."""
    return f'{{"time":"{_moment(now)}","omitidas":{omitted},"pid":{pid}}}\n'.encode()


def _moment(now: float) -> str:
    second = int(now)
    return f"{_clock(second)}.{int((now - second) * 1000):03d}Z"


@functools.lru_cache(maxsize=8)
def _clock(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


@functools.lru_cache(maxsize=1024)  # few of each, with every request
def _known(text: str) -> str:
    return _encoded(text[:LONGEST_NAME])
