"""Small notes that living processes leave for each other, and how fresh they are.

Freshness is measured on the clock that only runs forward, never on the wall clock.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from propensia import files

FRESH_S = 8.0


def leave(path: Path, note: dict[str, Any]) -> None:
    """Write ``note`` under ``path`` with the time of now. Raises ``OSError``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(path, note | {"latido": time.monotonic()}, durable=False)


def look(path: Path, fresh_s: float = FRESH_S) -> dict[str, Any] | None:
    """The note under ``path`` while it is fresh; ``None`` if absent, torn, stale or from
    before the machine started (its clock reading then lies in the future)."""
    try:
        note = files.read_json(path)
        age = time.monotonic() - float(note["latido"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(note) if -1.0 <= age <= fresh_s else None


def look_all(folder: Path, fresh_s: float = FRESH_S) -> list[dict[str, Any]]:
    """The fresh notes in a folder, by file name."""
    notes = [look(path, fresh_s) for path in sorted(folder.glob("*.json"))]
    return [note for note in notes if note is not None]


def sweep(folder: Path, fresh_s: float = 10 * FRESH_S) -> None:
    """Remove the notes of processes that are gone."""
    for path in folder.glob("*.json"):
        if look(path, fresh_s) is None:
            with contextlib.suppress(OSError):
                path.unlink()
