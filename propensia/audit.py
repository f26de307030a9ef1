"""The audit log: every change of state, who made it and why, each chained to the one before.

It is only added to. It must never hold a value, a key or a reference.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from propensia import files
from propensia.locks import Lock

FOLDER = "audit"
NAME = "audit.jsonl"
FIRST = "0" * 64
"""What the first record is chained to."""

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)


class Audit:
    """The audit log of one installation. Safe for threads and processes."""

    def __init__(self, state: Path) -> None:
        self._folder = state / FOLDER

    def record(self, event: str, *, who: str, why: str = "", **facts: Any) -> None:
        """Add what happened; it is on the disk when this returns. Raises ``OSError``."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with Lock(self._folder / f"{NAME}.lock", patience_s=30.0):
            last = self._last()
            row: dict[str, Any] = {"number": last["number"] + 1, "at": _now(), "event": event}
            row |= {"who": who, "why": why, "facts": facts, "before": last["hash"]}
            row["hash"] = digest(row)
            line = json.dumps(row, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
            handle = os.open(self._folder / NAME, _FLAGS, 0o640)
            try:
                os.write(handle, line.encode("ascii") + b"\n")
                os.fsync(handle)
            finally:
                os.close(handle)

    def _last(self) -> Mapping[str, Any]:
        path = self._folder / NAME
        if not path.exists():
            return {"number": 0, "hash": FIRST}
        lines = files.read(path).splitlines()
        last: Mapping[str, Any] = json.loads(lines[-1]) if lines else {"number": 0, "hash": FIRST}
        return last


def digest(row: Mapping[str, Any]) -> str:
    """The SHA-256 of a record, by all that it says but its own ``hash``."""
    said = {name: value for name, value in row.items() if name != "hash"}
    text = json.dumps(said, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
