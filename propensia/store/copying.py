"""A copy of the SQLite store while others write it: what it held at one moment.

It never changes the store, and makes none; a PostgreSQL has tools of its own.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from propensia.store.database import BUSY_S, StoreError


def copy(source: Path, target: Path) -> None:
    """Fill the empty file ``target`` with what the store ``source`` holds now, by the online
    backup of SQLite, in one step: whoever writes waits for nothing. Raises ``StoreError``."""
    try:
        address = f"{source.absolute().as_uri()}?mode=rw"  # never a new one
        with (
            closing(sqlite3.connect(address, timeout=BUSY_S, uri=True)) as store,
            closing(sqlite3.connect(target)) as copied,
        ):
            store.backup(copied)
    except sqlite3.Error as error:
        raise StoreError(
            f"{source.name} no se puede copiar ({error.sqlite_errorname}). / It cannot be copied."
        ) from error
