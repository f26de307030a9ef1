"""The file of the audit log: records are added to its end, and read from there.

It never changes a record, and never says that one is kept before it is on the disk.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from propensia import files
from propensia.audit import records
from propensia.audit.records import FIRST, Head, Record
from propensia.locks import Busy, Lock

log = logging.getLogger(__name__)

FOLDER, NAME, HEAD = "audit", "audit.jsonl", "head.json"
PATIENCE_S = 30.0
RIGHTS = 0o600

_BLOCK_BYTES = 1 << 16
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)


class Audit:
    """The audit log of one installation. Safe for threads and processes.

    One file that is never left for another: some hundred bytes an event, and adding to it costs
    the same however long it is.
    """

    def __init__(self, state: Path) -> None:
        self.folder = state / FOLDER
        self.path = self.folder / NAME

    def record(self, event: str, *, who: str, why: str = "", **facts: Any) -> Head:
        """Add what happened, or is about to: it is on the disk when this returns.

        To be called before a change is made, so that nothing changes untold. ``who`` is a person
        or ``propensia``; ``facts`` are JSON. Raises ``OSError``, and then nothing is recorded.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._writing():
            handle = os.open(self.path, _FLAGS, RIGHTS)
            try:
                before = self._mended(handle)
                line, head = records.written(before, event, who, why, facts)
                self._append(handle, line, head)
            finally:
                os.close(handle)
                files.hand_over(self.folder, *self.folder.iterdir(), like=self.folder.parent)
        return head

    def head(self) -> Head | None:
        """The last head that was noted beside the log; ``None`` where that is lost."""
        try:
            table = files.read_json(self.folder / HEAD)
            return Head(int(table["number"]), str(table["hash"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def tail(self, count: int) -> list[Record]:
        """The last records, newest first, without reading the others; lines that were damaged are
        left out. Raises ``OSError``."""
        try:
            with files.open_regular(self.path) as stream:
                lines, _ = _last_lines(stream, count)
        except FileNotFoundError:
            return []
        found = (records.read(line) for line in reversed(lines))
        return [record for record in found if record is not None]

    def lines(self, start: int = 0) -> Iterator[bytes]:
        """Every line from that place on, oldest first, with its end; the last may be half. Raises
        ``OSError``."""
        try:
            stream = files.open_regular(self.path)
        except FileNotFoundError:
            return
        with stream:
            stream.seek(start)
            yield from stream

    def all(self) -> Iterator[Record]:
        """Every record that can be read, oldest first. Raises ``OSError``."""
        found = (records.read(line) for line in self.lines())
        return (record for record in found if record is not None)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        path = self.folder / f"{NAME}.lock"
        try:
            with Lock(path, PATIENCE_S):
                yield
        except Busy as error:  # what cannot be told must not be done: as with a full disk
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path)) from error

    def _mended(self, handle: int) -> Head:
        """What the next record follows. Half a line that a sudden end left behind is set aside;
        that, and a lost note of the head, is a record of its own: neither may go unseen."""
        with open(handle, "rb", closefd=False) as stream:
            lines, torn = _last_lines(stream, 1)
            size = stream.seek(0, os.SEEK_END)
        last = records.read(lines[0]) if lines else None
        noted = self.head()
        # Where the end was cut off, the chain goes on from what was noted, and shows the gap.
        before = Head(0, FIRST) if last is None else last.head
        if noted is not None and noted.number >= before.number:
            before = noted
        facts: dict[str, Any] = {"head": "missing"} if lines and noted is None else {}
        if torn:
            facts |= {"bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()}
            files.write(self.folder / f"torn-{before.number + 1:06d}", torn, private=True)
            os.ftruncate(handle, size - len(torn))
        if facts:
            log.warning("the audit log is mended after record %s", before.number)
            line, head = records.written(before, "mended", "propensia", "", facts)
            self._append(handle, line, head)
            return head
        return before

    def _append(self, handle: int, line: bytes, head: Head) -> None:
        size = os.fstat(handle).st_size
        try:
            if os.write(handle, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            os.fsync(handle)
        except OSError:
            with contextlib.suppress(OSError):  # else it is set aside the next time
                os.ftruncate(handle, size)
            raise
        if size == 0:
            files.sync_folder(self.folder)
        # A note that is one behind is no harm: whoever cuts the end off needs it not to be there.
        with contextlib.suppress(OSError):
            note = json.dumps({"number": head.number, "hash": head.hash}).encode("ascii")
            files.write(self.folder / HEAD, note + b"\n", private=True)


def _last_lines(stream: BinaryIO, count: int) -> tuple[list[bytes], bytes]:
    """The last whole lines, at most ``count``, without their ends, and what stands after them."""
    place, data = stream.seek(0, os.SEEK_END), b""
    while place > 0 and data.count(b"\n") <= count:
        step = min(_BLOCK_BYTES, place)
        place -= step
        stream.seek(place)
        data = stream.read(step) + data
    *lines, torn = data.split(b"\n")
    return lines[max(0, len(lines) - count) :], torn
