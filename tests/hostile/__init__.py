"""Hostile, broken and greedy model files of every family that one can think of, made on the fly.

``TRAPS`` would run something, or carry what no model needs; ``BROKEN`` hold data that no library
writes. Nothing here is ever kept as a file in the repository.
"""

from __future__ import annotations

from hostile import archives, damage, disguises, names
from hostile.case import Case, Trap

__all__ = ["BROKEN", "TRAPS", "Case", "Trap"]

TRAPS: tuple[Case, ...] = (*names.CASES, *disguises.CASES, *archives.CASES)
BROKEN: tuple[Case, ...] = damage.CASES
