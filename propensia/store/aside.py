"""Records that no table can hold: set aside in files, so that the others go on.

They hold values, as the journal does: they stay in its folder, and as long as values are kept.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from propensia import files
from propensia.journal.lines import line

log = logging.getLogger(__name__)

PATTERN = "*.rejected"
RIGHTS = 0o600
TAIL_BYTES = 16 << 20
"""Where a batch that is tried again finds its records: it is smaller by far."""

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)


def keep(folder: Path, unfit: Sequence[bytes]) -> None:
    """Add records to the file of today, in the form of the journal, on the disk when this
    returns. A record that is there already stays once: shipping may be tried again. Raises
    ``OSError``."""
    if not unfit:
        return
    path = folder / f"{datetime.now(UTC):%Y%m%d}.rejected"
    known = set(_tail(path))
    new = [told for told in map(line, unfit) if told not in known]
    if not new:
        return
    handle = os.open(path, _FLAGS, RIGHTS)
    try:
        with os.fdopen(handle, "ab", closefd=False) as stream:
            stream.write(b"".join(new))
        os.fsync(handle)
    finally:
        os.close(handle)
    log.error("%d records of the journal were set aside in %s", len(new), path.name)


def count(folder: Path) -> int:
    """How many records are set aside. Raises ``OSError``."""
    return sum(_counted(path, path.stat().st_size) for path in folder.glob(PATTERN))


def forget(folder: Path, days: int) -> int:
    """Remove the files in which nothing was set aside for so many days; how many records went.
    Raises ``OSError``."""
    gone = 0
    for path in folder.glob(PATTERN):
        found = path.stat()
        if time.time() - found.st_mtime > days * 86_400:
            gone += _counted(path, found.st_size)
            # Windows removes no file that another thread counts at this moment.
            files.retry(lambda: path.unlink(missing_ok=True))  # noqa: B023 - called at once
    return gone


@lru_cache(maxsize=64)
def _counted(path: Path, size: int) -> int:
    """The lines of a file, counted anew when its ``size`` is another."""
    with files.open_regular(path) as stream:
        return sum(1 for _ in stream)


def _tail(path: Path) -> list[bytes]:
    if not path.exists():
        return []
    with files.open_regular(path) as stream:
        stream.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return stream.read().splitlines(keepends=True)
