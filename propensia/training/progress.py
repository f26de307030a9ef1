"""How a search tells the person who waits for it where it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a search is: seconds spent and allowed, trials finished, and the best AUC."""

    spent_s: float
    allowed_s: float
    trials: int
    auc: float


Tell = Callable[[Progress], None]
