"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

# How patient tests are; what is promised to be quick, they measure. A machine that is busy with
# other things may be many times slower than a quiet one.
PATIENCE_S = 180.0
Found = TypeVar("Found")


def wait_for(
    look: Callable[[], Found], what: str, seconds: float = PATIENCE_S, pause_s: float = 0.05
) -> Found:
    """What ``look`` gives once that is true; fails after ``seconds``, saying for what."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"after {seconds:.0f} s: {what} (last: {found!r})"
        time.sleep(pause_s)
