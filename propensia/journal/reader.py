"""What other processes wrote into the journal, from any place on.

It stops where a line is not whole yet, and never changes a file; of those that nobody needs any
more it removes the locks only.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from propensia import files, locks
from propensia.journal.lines import LONGEST, record
from propensia.locks import Lock

_NAME = re.compile(r"([0-9a-f]{16})-([0-9]{6,})\.journal").fullmatch
MOST_BYTES = 4 << 20
YOUNG_S = 300.0


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of the journal; ``finished``: nobody will write it any more. ``wrong``: why nobody
    can know that, for a person."""

    path: Path
    finished: bool
    wrong: str = ""

    @property
    def owner(self) -> str:
        """Which process wrote it."""
        return self.path.name.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Part:
    """Records of a segment, as bytes of JSON; ``end``: the place to go on from.
    ``damaged``: how many lines before ``end`` hold no record, torn or changed: who goes on from
    there has to tell it, for nobody will see them again."""

    records: list[bytes]
    end: int
    damaged: int


def segments(folder: Path) -> list[Segment]:
    """The files of all processes, oldest of each first; one that cannot be read is there, too.
    Raises ``OSError`` where the folder cannot be listed."""
    found: dict[str, list[tuple[int, Path]]] = {}
    try:
        names = os.listdir(folder)  # unlike ``glob``, it tells what it is not allowed
    except FileNotFoundError:
        return []
    for told in names:
        if name := _NAME(told):
            found.setdefault(name[1], []).append((int(name[2]), folder / told))
    listed = []
    for owner, numbered in sorted(found.items()):
        numbered.sort()
        # Asked after the listing: of a process that has ended since, a file may not be in it.
        ended, wrong = _has_ended(_lock(folder, owner), numbered[-1][1])
        for number, path in numbered:
            listed.append(Segment(path, ended or number < numbered[-1][0], wrong))
    return listed


def _has_ended(lock: Path, last: Path) -> tuple[bool, str]:
    """Whether the owner of a lock writes no more, or why nobody can know.

    A lock that is missing says nothing while the ``last`` file is young: somebody may have
    removed it while its owner lives, who finds out at its next tick and leaves that file.
    """
    try:
        if lock.exists():
            return locks.is_free(lock), ""
        return abs(time.time() - last.lstat().st_mtime) > YOUNG_S, ""
    except FileNotFoundError:  # removed this moment
        return False, ""
    except OSError as error:
        return False, f"{lock.name}: {error.strerror or error}"


def read(segment: Segment, start: int, most_bytes: int = MOST_BYTES) -> Part:
    """Whole records from place ``start`` on, of some ``most_bytes``. Raises ``OSError``.

    What is damaged is passed over where a whole record follows, or nothing ever will; until then
    it may be a line that is just being written.
    """
    most_bytes = max(most_bytes, LONGEST)
    with files.open_regular(segment.path) as stream:
        stream.seek(start)
        data = stream.read(most_bytes)
    found: list[bytes] = []
    place = end = damaged = passed = 0
    while (line_end := data.find(b"\n", place) + 1) > 0:
        one = record(data[place:line_end])
        place = line_end
        if one is None:
            damaged += 1
        else:
            found.append(one)
            end, passed = place, damaged
    if len(data) < most_bytes:
        if segment.finished:
            end, passed = len(data), damaged + (place < len(data))
    elif not place:  # too long for any record: its rest will be another damaged line
        end, passed = len(data), 1
    elif not found:
        end, passed = place, damaged
    return Part(found, start + end, passed)


def first(segment: Segment, start: int) -> bytes | None:
    """The first whole record from place ``start`` on, and no more read than it takes; ``None``
    where none begins within the bytes of the longest line. Raises ``OSError``."""
    left = LONGEST
    with files.open_regular(segment.path) as stream:
        stream.seek(start)
        while left > 0 and (found := stream.readline(left)):
            if (one := record(found)) is not None:
                return one
            left -= len(found)
    return None


def forget(folder: Path, owner: str) -> None:
    """Remove the lock of a process that has ended and left no file. Raises ``OSError``.

    One that is just being born under that name finds out, and makes its lock anew (``Lock``).
    """
    path = _lock(folder, owner)
    lock = Lock(path)
    if not lock.acquire():
        return
    try:
        if any(folder.glob(f"{owner}-*.journal")):
            return
        if os.name != "nt":
            path.unlink(missing_ok=True)
    finally:
        lock.release()
    if os.name == "nt":  # it removes no file that is open, neither ours nor another's
        with contextlib.suppress(PermissionError):
            path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """``forget`` all that can be forgotten, and that this account may remove."""
    for path in folder.glob("*.lock"):
        if _NAME(f"{path.stem}-000001.journal") and not any(folder.glob(f"{path.stem}-*.journal")):
            with contextlib.suppress(OSError):
                forget(folder, path.stem)


def _lock(folder: Path, owner: str) -> Path:
    return folder / f"{owner}.lock"
