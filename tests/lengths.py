"""How long the slow tests are: a short form in ``.ci/run``, all of it with ``FULL=1``.

The short form takes every path of the full one, with fewer steps, or with a part of its cases.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

Case = TypeVar("Case")
FULL = bool(os.environ.get("FULL"))


def steps(short: int, full: int) -> int:
    """How many steps a test takes."""
    return full if FULL else short


def one_in(count: int, cases: Sequence[Case]) -> list[Case]:
    """The cases of a test: in the short form one of every ``count``."""
    return list(cases if FULL else cases[::count])
