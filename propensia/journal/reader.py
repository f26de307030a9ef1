"""What other processes wrote into the journal, from any place on.

It stops where a line is not whole yet, and never changes a file; of those that nobody needs any
more it removes the locks only.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from propensia import files, locks
from propensia.journal.lines import LONGEST, record
from propensia.locks import Lock

_NAME = re.compile(r"([0-9a-f]{16})-([0-9]{6,})\.journal").fullmatch
MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of the journal; ``finished``: nobody will write it any more."""

    path: Path
    finished: bool


@dataclass(frozen=True, slots=True)
class Part:
    """Records of a segment, as bytes of JSON; ``end``: the place to go on from.
    ``damaged``: how many lines before ``end`` hold no record, torn or changed: who goes on from
    there has to tell it, for nobody will see them again."""

    records: list[bytes]
    end: int
    damaged: int


def segments(folder: Path) -> list[Segment]:
    """The files of all processes, oldest of each first. Raises ``OSError``."""
    found: dict[str, list[tuple[int, Path]]] = {}
    for path in folder.glob("*.journal") if folder.is_dir() else ():
        if name := _NAME(path.name):
            found.setdefault(name[1], []).append((int(name[2]), path))
    listed = []
    for owner, numbered in sorted(found.items()):
        # Asked after the listing: of a process that has ended since, a file may not be in it.
        ended = locks.is_free(_lock(folder, owner))
        numbered.sort()
        for number, path in numbered:
            listed.append(Segment(path, ended or number < numbered[-1][0]))
    return listed


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
    """``forget`` all that can be forgotten. Raises ``OSError``."""
    for path in folder.glob("*.lock"):
        if _NAME(f"{path.stem}-000001.journal") and not any(folder.glob(f"{path.stem}-*.journal")):
            forget(folder, path.stem)


def _lock(folder: Path, owner: str) -> Path:
    return folder / f"{owner}.lock"
