"""A file that a run reads: opened as a regular one, and the same at the end as at the start.

It never changes the file, and keeps nothing of it but its size and time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from propensia import files
from propensia.delimited import TableError


class Watched:
    """A file as it was found. Raises ``OSError`` or ``files.NotRegular``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        with files.open_regular(path) as stream:
            told = os.fstat(stream.fileno())
        self.size = told.st_size
        self.identity: Mapping[str, Any] = {
            "path": str(path.absolute()),
            "size": told.st_size,
            "time": told.st_mtime_ns,
        }

    def check(self) -> None:
        """Raise ``TableError`` if it is another now, or gone."""
        try:
            told = self.path.stat()
        except FileNotFoundError:
            told = None
        if told is None or (told.st_size, told.st_mtime_ns) != (
            self.identity["size"],
            self.identity["time"],
        ):
            raise TableError(
                f"{files.shown(self.name)} ha cambiado mientras se leía; espere a que esté "
                "completo y repita"
            )
