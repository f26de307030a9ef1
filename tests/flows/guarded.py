"""Installations with keys, for tests that ask with them."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from server import Place

from propensia.access import keys
from propensia.access.roles import ROLES

LIVING = (
    *("workers", "keeper.json", "metrics", "work", "*.lock", ".*.tmp"),
    *("journal", "store.db*", "panel.json"),
)
"""What the processes of an installation leave while they run, and what was answered: those of
the copy are others."""


def copied(place: Place, base: Path) -> Place:
    """The same installation in folders of its own; a server may run in the first."""
    made = Place(base)
    living = shutil.ignore_patterns(*LIVING)
    shutil.copytree(place.state, made.state, ignore=living, dirs_exist_ok=True)
    return made


def key(place: Place, name: str, role: str, **more: Any) -> str:
    """A new key of an installation, as its holder keeps it."""
    shown, made = keys.new(name, role, time.time(), **more)
    keys.change(place.state / keys.FOLDER, lambda known: [*known, made])
    return shown


def a_key_of_every_role(place: Place) -> dict[str, str]:
    """Role -> key."""
    return {role: key(place, f"de {role}", role) for role in ROLES}
