"""Searches that come to the same on every machine, however fast it is."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace
from typing import Any

import pytest

from propensia.training import search
from propensia.training.search import Found, Task

TURN_S = 1.5


def count_turns(patch: pytest.MonkeyPatch) -> None:
    """Let a search of families that is told a time take one turn for each ``TURN_S`` of it: its
    clock tells a quarter of that more whenever it is looked at, four times in a turn."""
    timed = search.run

    def counted(task: Task, *more: Any) -> Found:
        clock = functools.partial(next, itertools.count(0, TURN_S / 4))
        return timed(replace(task, clock=clock), *more)

    patch.setattr(search, "run", counted)
