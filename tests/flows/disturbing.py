"""Runs that a test disturbs in the middle, which may be over first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def tries(out: Path) -> Iterator[None]:
    """To disturb a run that writes ``out``, again where it was over first, as a busy machine may
    have it."""
    for _ in range(5):
        yield
        if not out.exists():
            return
        for path in out.parent.glob(f"{out.stem}.*"):
            path.unlink()
