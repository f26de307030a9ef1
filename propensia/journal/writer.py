"""The journal of one process: records go to the disk, whole, one write each.

It never overwrites, never leaves half a record before a whole one, and never says that a record is
kept when it is not.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
import time
from pathlib import Path

from propensia.journal.lines import line
from propensia.locks import Lock

log = logging.getLogger(__name__)

FOLDER = "journal"
RIGHTS = 0o600
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)


class JournalError(Exception):
    """A record could not be kept; whoever waits for an answer must not get one."""


class Journal:
    """The files of one process, ``OWNER-000001.journal`` and on; ``OWNER.lock`` is held while it
    lives. Safe for threads.

    ``sync_s``: at most so long what was written may wait for the disk, should the power fail; 0:
    no answer before it is there. A file is left for the next at ``file_bytes``, or ``file_s``
    after its first record, so that what was shipped can be removed.
    """

    def __init__(self, folder: Path, sync_s: float, file_bytes: int, file_s: float) -> None:
        self._folder = folder
        self._sync_s, self._file_bytes, self._file_s = sync_s, file_bytes, file_s
        self._forget()

    def _forget(self) -> None:
        self._writing = threading.Lock()
        self._owner = ""
        self._lock: Lock | None = None
        self._file = -1
        self._number = 0
        self._size = 0
        self._opened_at = 0.0
        self._unsynced = False

    def open(self) -> None:
        """Begin as a process of its own; to be called again after a fork. Raises nothing: where
        the folder cannot be written, ``append`` tells."""
        self._forget()

    def append(self, *records: bytes) -> None:
        """Keep records, in one write. Raises ``JournalError``, and then none is kept."""
        data = b"".join(map(line, records))
        with self._writing:
            try:
                if self._file < 0 or self._size + len(data) > self._file_bytes:
                    self._next_file()
                written = os.write(self._file, data)
                if written != len(data):
                    raise OSError(f"{written} of {len(data)} bytes were written")
                self._size += written
                self._unsynced = True
                if not self._sync_s:
                    self._sync()
            except OSError as error:
                self._give_up()
                raise JournalError(error.strerror or str(error)) from error

    def tick(self) -> None:
        """Bring to the disk what waits; leave a file that is old enough. One thread calls it, at
        least every ``sync_s``. Raises ``JournalError``."""
        with self._writing:
            try:
                if self._file >= 0 and self._unsynced:
                    self._sync()
                if self._file >= 0 and time.monotonic() - self._opened_at > self._file_s:
                    self._close()
            except OSError as error:
                self._give_up()
                raise JournalError(error.strerror or str(error)) from error

    def close(self) -> None:
        """Bring everything to the disk, and let the files go. Raises ``OSError``."""
        with self._writing:
            self._close()
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def _next_file(self) -> None:
        self._close()
        if self._lock is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            owner = secrets.token_hex(8)
            lock = Lock(self._folder / f"{owner}.lock")
            lock.acquire()
            self._owner, self._lock = owner, lock
        self._number += 1
        path = self._folder / f"{self._owner}-{self._number:06d}.journal"
        self._file = os.open(path, _FLAGS, RIGHTS)
        self._size, self._opened_at = 0, time.monotonic()

    def _sync(self) -> None:
        os.fsync(self._file)
        self._unsynced = False

    def _close(self) -> None:
        if self._file < 0:
            return
        if self._unsynced:
            self._sync()
        file, self._file = self._file, -1
        os.close(file)

    def _give_up(self) -> None:
        """Cut off what is half there, and go on in another file: after a failed fsync nobody
        knows what this one holds."""
        if self._file < 0:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self._size)
        file, self._file, self._unsynced = self._file, -1, False
        with contextlib.suppress(OSError):
            os.close(file)
