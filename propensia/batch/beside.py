"""What lies beside a result: its unfinished part, the note of how far it is, faults and summary.

It names, locks and removes these files, and no others.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from propensia import files
from propensia.locks import Lock

FOLDER = "runs"
"""In the state folder: the notes of runs into databases."""


def part_of(result: Path) -> Path:
    """Where a file lies, or a folder of what it is made of, until the result is whole."""
    return result.with_name(f"{result.name}.part")


@dataclass(frozen=True, slots=True)
class Beside:
    """The files of one result. A result that is no file has neither ``result`` nor ``part``, and
    no files of faults and summary: all that is told of its rows is in the database."""

    note: Path
    lock: Path
    result: Path | None = None
    part: Path | None = None
    faults: Path | None = None
    faults_part: Path | None = None
    summary: Path | None = None

    @classmethod
    def of_file(cls, result: Path) -> Beside:
        """Beside a file that is to be."""

        def named(ending: str) -> Path:
            return result.with_name(f"{result.name}.{ending}")

        return cls(
            note=named("part.json"),
            lock=named("part.lock"),
            result=result,
            part=part_of(result),
            faults=named("errores.csv"),
            faults_part=part_of(named("errores.csv")),
            summary=named("resumen.json"),
        )

    @classmethod
    def of_table(cls, state: Path, name: str) -> Beside:
        """In the state folder, for a table of a database; ``name`` tells both, and may be
        secret: only its hash is kept. Raises ``OSError``."""
        folder = state / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        stem = hashlib.sha256(name.encode("utf-8")).hexdigest()[:32]
        return cls(note=folder / f"{stem}.json", lock=folder / f"{stem}.lock")

    def has_result(self) -> bool:
        """Whether there is a result, of this run or an earlier one; in a database nobody knows."""
        return self.result is not None and self.result.exists()

    def is_over(self) -> bool:
        """Whether what was unfinished is in its place: only then it is no longer apart."""
        return self.part is not None and self.has_result() and not self.part.exists()

    def overwritten(self) -> list[Path]:
        """Every file that a run may write."""
        every = (self.result, self.part, self.faults, self.faults_part, self.summary, self.note)
        return [path for path in every if path is not None]

    def discard(self) -> None:
        """Remove what is unfinished, the note last: without it nobody would know of the rest.
        Raises ``OSError``."""
        torn = [files.leftovers(path) for path in (self.note, self.summary) if path is not None]
        for path in (*chain.from_iterable(torn), self.part, self.faults_part, self.note):
            if path is not None and path.is_dir():
                files.remove_tree(path)
            elif path is not None:
                files.retry(partial(path.unlink, missing_ok=True))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else works at this result meanwhile. Raises ``Busy``, and ``OSError`` without a
        folder."""
        with Lock(self.lock):
            try:
                yield
            finally:
                removed = _removed(self.lock)
        # Windows removes no open file: not this one while it was held, nor now the next one's.
        if not removed:
            _removed(self.lock)


def _removed(path: Path) -> bool:
    with contextlib.suppress(OSError):
        path.unlink()
        return True
    return False
