"""Locks between processes that end with the process that holds them, however it ends.

Written here because the usual library brings an event loop along, into each of the small
processes that do nothing but wait (``python -m benchmarks --only memory-network`` tells).
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
    import msvcrt

PAUSE_S = 0.02


class Busy(Exception):
    """Somebody else held the lock for as long as we were willing to wait."""


class Lock:
    """The lock on one file, whose content does not matter; the file stays when it is released,
    and only who holds the lock may remove it.

    Two objects exclude each other, in two processes or in one. Not to be shared by threads.
    """

    def __init__(self, path: Path, patience_s: float = 0.0) -> None:
        self._path = path
        self._patience_s = patience_s
        self._handle: int | None = None

    def acquire(self) -> bool:
        """Whether the lock was got within the patience. Raises ``OSError`` without a folder."""
        deadline = time.monotonic() + self._patience_s
        while True:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            if _try(handle) and has_name(handle, self._path):
                self._handle = handle
                return True
            os.close(handle)
            if time.monotonic() >= deadline:
                return False
            time.sleep(PAUSE_S)

    def release(self) -> None:
        """Let it go; closing the file does."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def has_name(self) -> bool:
        """Whether others still find the lock that is held. Raises ``OSError`` where nobody can
        know."""
        return self._handle is not None and has_name(self._handle, self._path)

    def __enter__(self) -> Lock:
        """The lock, held. Raises ``Busy``."""
        if self._handle is None and not self.acquire():
            raise Busy(self._path.name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def is_free(path: Path) -> bool:
    """Whether no living process holds that lock at this moment."""
    lock = Lock(path)
    free = lock.acquire()
    lock.release()
    return free


def has_name(handle: int, path: Path) -> bool:
    """Whether an open file still has that name: who removes a lock holds it, so that whoever
    waited for it gets a file that nobody else will ever find. Raises ``OSError``."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _try(handle: int) -> bool:
    """Whether the lock on an open file was free, and is ours now."""
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):
        return False
    return True


def lock_byte(handle: int, offset: int) -> bool:
    """Whether the lock on one byte of an open file was free, and is this process's now.

    It lets go when the process ends, or closes any handle of that file. Threads of one process do
    not exclude each other. On Windows no other process can read a locked byte: take one beyond
    the end.
    """
    try:
        if fcntl is not None:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
        else:
            os.lseek(handle, offset, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):
        return False
    return True


def unlock_byte(handle: int, offset: int) -> None:
    """Let go of a byte that ``lock_byte`` got. Raises ``OSError``."""
    if fcntl is not None:
        fcntl.lockf(handle, fcntl.LOCK_UN, 1, offset)
    else:
        os.lseek(handle, offset, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
