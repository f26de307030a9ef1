"""How fast a run is, and how long it still takes.

It computes and words; it prints nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from propensia.spanish import number, percent


@dataclass(frozen=True, slots=True)
class Now:
    """How far a run is: the share ``done`` in [0, 1], 0 where nobody knows; its ``rows`` so far;
    how many of them a second since it was started or gone on with; and the seconds that are left,
    where they can be told."""

    done: float
    rows: int
    per_second: float
    left_s: float | None

    def text(self) -> str:
        """All of it but the share, in Spanish: 1.200.000 filas, 95.000 filas/s, quedan 40 s."""
        told = f"{number(self.rows, 0)} filas, {number(self.per_second, 0)} filas/s"
        return told if self.left_s is None else f"{told}, quedan {duration(self.left_s)}"

    def line(self) -> str:
        """The same with the share, where that is known."""
        return f"{percent(self.done)}: {self.text()}" if self.done else self.text()


class Pace:
    """The clock of a run that starts, or goes on, at a share and a number of rows."""

    def __init__(
        self, done: float, rows: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._done, self._rows, self._clock = done, rows, clock
        self._began = clock()

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return self._clock() - self._began

    def now(self, done: float, rows: int) -> Now:
        """How far it is: what is left takes as long, share by share, as what was done."""
        spent = self.seconds
        rate = (rows - self._rows) / spent if spent > 0 else 0.0
        behind = done - self._done
        left = spent * (1 - done) / behind if behind > 0 else None
        return Now(done, rows, rate, left)


def duration(seconds: float) -> str:
    """A time as people say it: 45 s, 12 min, 1 h 20 min."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"{minutes} min" if minutes < 100 else f"{hours} h {rest:02} min"
