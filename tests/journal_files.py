"""Journals of tests: records to write, all that can be read of a folder, calls that fail."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from propensia.journal import reader
from propensia.journal.lines import line
from propensia.journal.writer import Journal

Call = Callable[..., Any]
SYSTEM: dict[str, Call] = {
    "write": os.write,
    "fsync": os.fsync,
    "ftruncate": os.ftruncate,
    "open": os.open,
    "mkdir": os.mkdir,
}


def journal(folder: Path, sync_s: float = 60.0, file_bytes: int = 1 << 20) -> Journal:
    """A journal whose files live long."""
    return Journal(folder / "journal", sync_s, file_bytes, 3600.0)


def record(number: int) -> bytes:
    """A record that tells its number; some are longer than others."""
    return json.dumps({"id": f"{number:06d}", "more": "x" * (number * 37 % 300)}).encode()


def numbers(records: Iterable[bytes]) -> list[int]:
    """The numbers of records."""
    return [int(json.loads(one)["id"]) for one in records]


def read_all(folder: Path) -> tuple[list[bytes], int]:
    """Every record of a folder, file by file, and how many damaged lines were passed."""
    found: list[bytes] = []
    damaged = 0
    for one in reader.segments(folder / "journal"):
        place = 0
        while (part := reader.read(one, place)).end != place:
            found += part.records
            damaged += part.damaged
            place = part.end
    return found, damaged


def paths(folder: Path) -> list[Path]:
    """The files of a journal, by name."""
    return sorted((folder / "journal").glob("*.journal"))


def segment(folder: Path, data: bytes, finished: bool = True) -> reader.Segment:
    """A file that holds ``data``."""
    path = folder / f"{'0' * 16}-000001.journal"
    path.write_bytes(data)
    return reader.Segment(path, finished)


def lines(count: int) -> list[bytes]:
    """The first ``count`` records, as they are written."""
    return [line(record(number)) for number in range(count)]


@contextmanager
def failing(
    name: str, when: Callable[[int], bool], how: Call | None = None
) -> Iterator[list[int]]:
    """Let the calls of ``os.NAME`` fail whose number (from 1) is one of ``when``; the numbers of
    those that failed. ``how`` does instead what the call should; otherwise it raises EIO."""
    failed: list[int] = []
    count = 0

    def stand_in(*arguments: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if not when(count):
            return SYSTEM[name](*arguments, **named)
        failed.append(count)
        if how is not None:
            return how(SYSTEM[name], *arguments, **named)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with patch.object(os, name, stand_in):
        yield failed


def half(real: Call, file: int, data: bytes) -> int:
    """A write that stops in the middle, as on a disk that is full."""
    written: int = real(file, data[: len(data) // 2])
    return written
