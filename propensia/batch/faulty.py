"""The file of faults: every row that has one, with its numbers here and there, block by block.

It tells codes and names of parameters, never a value.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from propensia import files
from propensia.batch.spool import append, shorten

# The line of the entry and the row of the result; with a byte order mark, so that Excel reads it.
HEADING = "linea;fila;error\r\n".encode("utf-8-sig")


class FaultFile:
    """``NAME.part`` until the run is over; there is none as long as no row has a fault.

    ``path`` is ``None`` where nobody asked for one. It holds nothing open.
    """

    def __init__(self, path: Path | None, part: Path | None) -> None:
        self._path, self._part = path, part

    def start(self, place: int) -> None:
        """Go on from a ``place`` that ``keep`` gave, 0 at first: what came after it is gone.
        Raises ``TableError`` or ``OSError``."""
        if self._part is None:
            return
        if place:
            shorten(self._part, place)
        else:
            files.retry(partial(self._part.unlink, missing_ok=True))

    def keep(self, faulty: Sequence[tuple[int, int, str]], before: int, place: int) -> int:
        """Add the rows of a block that has ``before`` rows ahead of it, as in ``Piece``, durably,
        behind ``place``; the place after them. Raises ``OSError``."""
        if self._part is None or not faulty:
            return place
        lines = "".join(f"{line};{before + at};{text}\r\n" for line, at, text in faulty).encode()
        return append(self._part, lines if place else HEADING + lines)

    def finish(self, place: int) -> None:
        """In its place, instead of one of an earlier run; also where that is done already. Raises
        ``OSError``."""
        if self._path is None or self._part is None:
            return
        part, path = self._part, self._path
        if not place:
            files.retry(partial(path.unlink, missing_ok=True))
        elif part.exists():
            files.retry(lambda: os.replace(part, path))
