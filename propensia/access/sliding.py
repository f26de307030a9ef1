"""A window that slides: how many requests the last seconds saw, and when there is room again.

Plain numbers in, plain numbers out; it must never look at a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

PARTS = 33
"""Counts that a window has: 32 parts of equal length, and the one that has just begun.

All 33 together are never less than one window, so no window of any position lets one request too
many through; and never more than 33/32 of one, so at most 3 % too few.
"""


class Taken(NamedTuple):
    """Whether a request may go on. ``left``: how many others may follow at once; ``retry_s``:
    seconds until another try makes sense, 0 where it was allowed."""

    allowed: bool
    limit: int
    window_s: int
    left: int
    retry_s: float


def part_ns(window_s: int) -> int:
    """Length of one part, in nanoseconds."""
    return window_s * 1_000_000_000 // (PARTS - 1)


def advanced(counts: Sequence[int], last: int, now: int, window_s: int) -> tuple[int, ...]:
    """Counts of the parts, newest first, as they are at ``now``, from those of ``last`` (both in
    nanoseconds of one clock).

    A clock that is far behind started again with its machine, and the window with it.
    """
    moved = now // part_ns(window_s) - last // part_ns(window_s)
    if moved < -1 or moved >= PARTS:
        return (0,) * PARTS
    moved = max(moved, 0)  # -1: two processes looked at the clock at the same moment
    return (0,) * moved + tuple(counts[: PARTS - moved])


def taken(counts: Sequence[int], now: int, limit: int, window_s: int) -> Taken:
    """The verdict on one more request, with these counts at ``now``."""
    left = limit - sum(counts) - 1
    if left >= 0:
        return Taken(True, limit, window_s, left, 0.0)
    # Room comes when enough of the oldest parts have left the window.
    oldest, over = PARTS - 1, -left
    while over > counts[oldest]:
        over -= counts[oldest]
        oldest -= 1
    part = part_ns(window_s)
    return Taken(False, limit, window_s, 0, ((PARTS - oldest) * part - now % part) / 1e9)
