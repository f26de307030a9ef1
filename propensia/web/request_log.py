"""The request log: one line of JSON for every request that was answered, in a file a day.

It must never hold anything that was received, and never stop, fail or slow an answer.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import logging
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from propensia import files
from propensia.web.door import Seen

log = logging.getLogger(__name__)

FOLDER = "logs"
NAME = "requests-{}.jsonl"
RIGHTS = 0o640
"""Of a file, on Linux: the account of the service, and the group of whoever collects logs."""

LONGEST_NAME = 80

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

    Files change at midnight UTC, by their names. ``tick`` opens and removes them, and is called
    by one thread, twice a second; ``tell`` only writes.
    """

    def __init__(self, state: Path, days: int) -> None:
        """``days`` before today are kept in the state folder; 0: nothing is written."""
        self._folder = state / FOLDER
        self._days = days
        self._day = ""
        self._open: _Open | None = None
        self._before: _Open | None = None
        self._start = b""
        self._failure = ""

    @property
    def problem(self) -> str | None:
        """What is wrong, for people, as long as lines are being lost."""
        if not self._failure:
            return None
        return f"no se puede escribir el registro de peticiones ({self._failure})"

    def tell(self, seen: Seen) -> None:
        """Write the line of one answer. Raises nothing."""
        current = self._open
        if current is None:
            return
        data = self._start + line(seen, time.time(), os.getpid())
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
        """See to it that today's file is open, and that old ones are gone. Raises nothing."""
        today = datetime.now(UTC).date()
        if today.isoformat() != self._day:
            self._day = today.isoformat()
            self._remove_before(NAME.format(today - timedelta(days=self._days)))
        if not self._days:
            return
        path = self._folder / NAME.format(self._day)
        try:
            if self._open is None or self._open.path != path or not _is_there(self._open):
                self._change(path)
        except OSError as error:
            self._lost(error)

    def _change(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = _Open(path, os.open(path, _FLAGS, RIGHTS))
        self._start, self._failure = b"", ""
        closing, self._before, self._open = self._before, self._open, opened
        # The one before stays open until the next change: a thread may be just about to write to
        # it, and the system gives the number of a closed file to the next connection.
        if closing is not None:
            os.close(closing.descriptor)

    def _remove_before(self, oldest: str) -> None:
        for path in self._folder.glob(NAME.format("????-??-??")):
            if path.name < oldest:
                with contextlib.suppress(OSError):  # another process removed it, or tomorrow
                    files.retry(path.unlink)

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
    second = int(now)
    return (
        f'{{"time":"{_clock(second)}.{int((now - second) * 1000):03d}Z",'
        f'"id":{_encoded(seen.id)},"method":{_known(seen.method)},"route":{_known(seen.route)},'
        f'"status":{seen.status},"version":{_known(seen.version)},'
        f'"ms":{round(seen.seconds * 1000, 3)!r},"caller":{_known(seen.caller)},"pid":{pid}}}\n'
    ).encode()


@functools.lru_cache(maxsize=8)
def _clock(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


@functools.lru_cache(maxsize=1024)  # few of each, with every request
def _known(text: str) -> str:
    return _encoded(text[:LONGEST_NAME])
