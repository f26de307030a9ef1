"""The file in which the keeper leaves what it found in the database, for those who have none.

It must never need a database to be read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from propensia import files

FILE = "panel.json"
FORMAT = 1


def leave(state: Path, found: dict[str, Any]) -> None:
    """Write what was found. Raises ``OSError``."""
    files.write_json(state / FILE, found | {"formato": FORMAT}, durable=False, private=True)


def read(state: Path) -> dict[str, Any] | None:
    """What was left last; ``None`` where there is nothing, or that of another program."""
    try:
        found = files.read_json(state / FILE)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("formato") == FORMAT else None
