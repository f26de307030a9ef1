"""A little room on the disk that is kept for one thing: taking a key out of use when it is full.

It must never hold anything that anybody needs, nor stop what can be written without it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from propensia import files

FILE = "reserve"
LEAST_BYTES = 64 * 1024

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def write(path: Path, data: bytes) -> None:
    """Write a private file, whole or not at all; where the disk is full, in the room that is kept
    beside it. Then keep as much as there is again. Raises ``OSError`` as ``files.write``."""
    kept = path.with_name(FILE)
    try:
        files.write(path, data, private=True)
    except OSError as error:
        if error.errno not in _NO_ROOM or not _give(kept):
            raise
        files.write(path, data, private=True)
    with contextlib.suppress(OSError):  # the next time
        _keep(kept, max(LEAST_BYTES, 2 * len(data)))


def _give(kept: Path) -> bool:
    """Whether there was something to give back to the disk."""
    try:
        with kept.open("r+b") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.truncate(0)
            os.fsync(stream.fileno())  # some file systems count it as free only then
    except OSError:
        return False
    return size > 0


def _keep(kept: Path, size: int) -> None:
    """Make the file that long, as far as there is room. Raises ``OSError``."""
    with kept.open("ab", buffering=0) as stream:
        missing = size - stream.tell()
        if missing > 0:
            # At random: file systems that compress would keep no room for zeros.
            stream.write(os.urandom(missing))
            os.fsync(stream.fileno())
