"""What other processes wrote into the journal, from any place on.

It stops where a line is not whole, and changes nothing; removing a file is another's decision.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from propensia import files, locks
from propensia.journal.lines import record

_NAME = re.compile(r"([0-9a-f]{16})-([0-9]{6,})\.journal").fullmatch
MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of the journal; ``finished``: nobody will write it any more."""

    path: Path
    finished: bool


@dataclass(frozen=True, slots=True)
class Part:
    """Records of a segment, as bytes of JSON; ``end``: the place after the last of them.
    ``damaged``: how many lines before ``end`` were whole once, and are not any more."""

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
        ended = locks.is_free(folder / f"{owner}.lock")
        numbered.sort()
        for number, path in numbered:
            listed.append(Segment(path, ended or number < numbered[-1][0]))
    return listed


def read(segment: Segment, start: int, most_bytes: int = MOST_BYTES) -> Part:
    """Whole records from place ``start`` on, of some ``most_bytes``. Raises ``OSError``."""
    with files.open_regular(segment.path) as stream:
        stream.seek(start)
        data = stream.read(most_bytes)
    records, damaged, place, end = [], 0, 0, 0
    for line in _lines(data):
        place += len(line)
        found = record(line)
        if found is None:
            damaged += 1
            continue
        records.append(found)
        end = place
    return Part(records, start + end, damaged)


def _lines(data: bytes) -> Iterator[bytes]:
    yield from data.splitlines(keepends=True)
