"""The journal of one process: records go to the disk, whole, one write each.

It never overwrites, never leaves half a record before a whole one, and never says that a record is
kept when it is not.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from propensia import files, locks
from propensia.journal.lines import HEAD, LONGEST, line
from propensia.locks import Lock

log = logging.getLogger(__name__)

FOLDER = "journal"
RIGHTS = 0o600
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)

ROOM_BYTES = 64 << 20
"""Room that the journal leaves on its disk, so that what the keeper, the audit log and a release
write still fits when nothing else does; of a small disk, a twentieth."""

MOST_WAITING_BYTES = 4 << 20
"""Records that may wait for the disk, whatever ``sync_s`` is; they stay in memory until then."""

AGAIN_S = 1.0
"""After a failure nothing is tried for so long, unless ``tick`` finds out before."""

PROBE = b" " * 4096


class JournalError(Exception):
    """A record could not be kept; whoever waits for an answer must not get one."""


class Journal:
    """The files of one process, ``OWNER-000001.journal`` and on; ``OWNER.lock`` is held as long as
    it may write them. Safe for threads.

    ``sync_s``: at most so long what was written may wait for the disk, should the power fail; 0:
    no answer before it is there. A file is left for the next at ``file_bytes``, or ``file_s``
    after it was begun, so that what was shipped can be removed.

    Whoever writes holds ``_writing``; whoever waits for the disk holds ``_syncing`` (taken before
    ``_writing``, never after), and only that one closes files that have records.
    """

    def __init__(self, folder: Path, sync_s: float, file_bytes: int, file_s: float) -> None:
        self._folder = folder
        self._sync_s, self._file_bytes, self._file_s = sync_s, file_bytes, file_s
        self._lock: Lock | None = None
        self._file = -1
        self._left: list[int] = []
        self._begin()

    def _begin(self) -> None:
        self._writing, self._syncing = threading.Lock(), threading.Lock()
        self._owner, self._path = "", self._folder
        self._number = self._size = 0
        self._opened_at = self._waits_since = self._again_at = 0.0
        self._written = self._synced = 0  # records, or batches of them
        self._is_new = False  # the name of a file is not on the disk yet
        self._waiting: list[bytes] = []  # written, not yet on the disk
        self._waiting_bytes = 0
        self._again: list[bytes] = []  # the disk failed to take them: to be written once more
        self.failure: str | None = None
        self.is_disk_broken = False

    def open(self) -> None:
        """Begin as a process of its own; to be called again after a fork. Raises nothing: where
        the folder cannot be written, ``append`` tells.

        What was inherited is let go, not written; the parent keeps its files and their lock.
        """
        for file in (*self._left, self._file):
            _let_go(file)
        self._left, self._file = [], -1
        self._release()
        self._begin()

    def append(self, *records: bytes) -> None:
        """Keep records, in one write. Raises ``JournalError``; then the caller must not say that
        they are kept, although after a failure of the disk they may turn out to be."""
        data = b"".join(map(line, records))
        if len(data) > LONGEST and max(map(len, records)) + HEAD + 1 > LONGEST:
            raise JournalError("a record is too long")
        with self._writing:
            if self.failure is not None:
                if time.monotonic() < self._again_at:
                    raise JournalError(self.failure)
                self._recover()
            self._keep(data)
            if not self._waiting:
                self._waits_since = time.monotonic()
            self._waiting.append(data)
            self._waiting_bytes += len(data)
            self._written += 1
            mine = self._written
            is_due = not self._sync_s or self._waiting_bytes > MOST_WAITING_BYTES
        if is_due:
            self._sync(mine)

    def tick(self) -> None:
        """Bring to the disk what has waited; leave a file that is old enough; look for room, and
        after a failure whether it is over. One thread calls it, every ``sync_s`` / 2 or more
        often. Raises ``JournalError``."""
        with self._syncing, self._writing:
            self._see_to_names()
        with self._writing:
            if self.failure is not None:
                self._recover()
            else:
                self._look_for_room()
            now = time.monotonic()
            if self._file >= 0 and now - self._opened_at > self._file_s:
                self._leave()
            waited = bool(self._waiting) and now - self._waits_since >= self._sync_s / 2
            is_due, last = waited or bool(self._left), self._written
        if is_due:
            self._sync(last)
        with self._syncing, self._writing:
            if self._file < 0 and not (self._left or self._again):
                self._release()  # idle: so that a reader sees the last file to be finished

    def close(self) -> None:
        """Bring everything to the disk, and let the files go. Raises ``JournalError``."""
        with self._writing:
            if self._file >= 0:
                self._leave()
            last = self._written
        self._sync(last)
        self._release()

    # Writing: ``_writing`` is held

    def _keep(self, data: bytes) -> None:
        """Write to the file of now; where that fails, once more to another. Raises
        ``JournalError``, and then nothing of it is in a file, or the end of one that is left."""
        for is_last in (False, True):
            try:
                self._write(data)
                return
            except OSError as error:
                self._cut()
                if is_last:
                    raise self._failed(error) from error

    def _write(self, data: bytes) -> None:
        if self._file >= 0 and self._size and self._size + len(data) > self._file_bytes:
            self._leave()
        if self._file < 0:
            self._next_file()
        written = os.write(self._file, data)
        if written != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written

    def _next_file(self) -> None:
        if self._lock is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            owner = secrets.token_hex(8)
            lock = Lock(self._folder / f"{owner}.lock", patience_s=1.0)
            if not lock.acquire():  # a reader holds it for moments only
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            self._owner, self._lock, self._number = owner, lock, 0
        self._number += 1
        path = self._folder / f"{self._owner}-{self._number:06d}.journal"
        self._file, self._path = os.open(path, _FLAGS, RIGHTS), path
        lock_path = self._folder / f"{self._owner}.lock"
        files.hand_over(self._folder, lock_path, path, like=self._folder.parent)
        self._size, self._opened_at, self._is_new = 0, time.monotonic(), True

    def _cut(self) -> None:
        """Cut off what is half there, and leave the file: what cannot be cut is at its end."""
        if self._file < 0:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self._size)
        if self._size:
            self._leave()
            return
        _let_go(self._file)  # nobody else has seen a file without records
        self._file = -1
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _leave(self) -> None:
        self._left.append(self._file)
        self._file = -1

    def _failed(self, error: OSError) -> JournalError:
        told = error.strerror or str(error)
        if told != self.failure:
            log.error("the journal cannot be written: %s", told)
        self.failure, self._again_at = told, time.monotonic() + AGAIN_S
        return JournalError(told)

    def _see_to_names(self) -> None:
        """What somebody removes while it is written, nobody would ship: it is written again,
        under another name. Without the name of the lock, others take this process for dead: it
        goes on as another owner, whose files are its own. Raises ``JournalError``."""
        lost = self._file >= 0 and not _has_name(lambda: locks.has_name(self._file, self._path))
        if lost:
            try:
                self._again.append(_whole(self._file))
            except OSError as error:
                raise self._failed(error) from error
            _let_go(self._file)
            self._file = -1
            self._written += 1  # so that it is brought to the disk once more
        if self._lock is not None and not _has_name(self._lock.has_name):
            if self._file >= 0:
                self._leave()
            self._release()
            log.error("the lock of the journal was removed: another one is made")
        if lost:
            log.error("a file of the journal was removed: it is written again")
            self._recover()

    def _look_for_room(self) -> None:
        try:
            disk = shutil.disk_usage(self._folder.parent)
            if disk.free < min(ROOM_BYTES, disk.total // 20):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise self._failed(error) from error

    def _recover(self) -> None:
        """Find out whether writing works again, and write what the disk had failed to take.
        Raises ``JournalError``."""
        self._look_for_room()
        try:
            if self._file < 0:
                self._next_file()
            if os.write(self._file, PROBE) != len(PROBE):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.ftruncate(self._file, self._size)
            if self._again:
                self._write(b"".join(self._again))
        except OSError as error:
            self._cut()
            raise self._failed(error) from error
        if self._again and not self._waiting:
            self._waits_since = time.monotonic()
        self._waiting += self._again
        self._waiting_bytes += sum(map(len, self._again))
        self._again = []
        self.failure = None
        log.warning("the journal is written again")

    # To the disk

    def _sync(self, upto: int) -> None:
        """Return once the first ``upto`` are on the disk: of the threads that wait, one does it
        for all. Raises ``JournalError``.

        After a failed fsync nobody knows what a file holds, and to ask again would answer yes
        (Rebello et al., Can Applications Recover from fsync Failures?, 2020): the files are closed
        for good, and what was not sure is written to another.
        """
        with self._syncing:
            if self._synced >= upto and not self._left:
                return
            for is_last in (False, True):
                with self._writing:
                    if self.failure is not None and self._again:
                        self._recover()
                    last, current, is_new = self._written, self._file, self._is_new
                    left, self._left, self._is_new = self._left, [], False
                    taken, self._waiting, self._waiting_bytes = self._waiting, [], 0
                try:
                    self._to_disk([*left, current], is_new)
                    self._synced = last
                    return
                except OSError as error:
                    with self._writing:
                        refused = self._abandon(taken, error)
                    if is_last:
                        raise refused from error
                finally:
                    for file in left:
                        _let_go(file)

    def _to_disk(self, opened: list[int], is_new: bool) -> None:
        for file in opened:
            if file >= 0:
                os.fsync(file)
        if is_new:
            files.sync_folder(self._folder)
            files.sync_folder(self._folder.parent)

    def _abandon(self, taken: list[bytes], error: OSError) -> JournalError:
        """Close everything for good, and keep in mind what has to be written again."""
        self.is_disk_broken = self.is_disk_broken or error.errno == errno.EIO
        for file in (*self._left, self._file):
            _let_go(file)
        self._left, self._file = [], -1
        self._again = [*self._again, *taken, *self._waiting]
        self._waiting, self._waiting_bytes = [], 0
        return self._failed(error)

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _has_name(asked: Callable[[], bool]) -> bool:
    """Whether a name is there, as far as anybody can know."""
    try:
        return asked()
    except OSError:
        return True


def _whole(file: int) -> bytes:
    """All bytes of an open file. Raises ``OSError``."""
    with open(file, "rb", closefd=False) as stream:
        stream.seek(0)
        return stream.read()


def _let_go(file: int) -> None:
    if file >= 0:
        with contextlib.suppress(OSError):
            os.close(file)
