"""Months of answers, in UTC, and when it is known what came of them.

An answer without a payment is a «no» only when its time to pay has passed, and outcomes were told
since.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from propensia.journal.records import DAY_MS

LONGEST = 31
"""Days of a month."""
HORIZONS = (30, 60, 90)
"""Days since the answer at which a maturity curve is looked at."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """The answers of a calendar month: ``name`` YYYY-MM, [since, until) in ms since 1970."""

    name: str
    since: int
    until: int

    def matured(self, days: float, last_outcome: int | None) -> bool:
        """Whether outcomes were told when the last answer was that old."""
        return last_outcome is not None and last_outcome >= self.until + days * DAY_MS


def months(now_ms: int, kept_days: int) -> list[Cohort]:
    """The months that are over and whose answers are all kept still, newest first."""
    end = _month(datetime.fromtimestamp(now_ms / 1000, UTC))
    found: list[Cohort] = []
    while True:
        start = _month(end - timedelta(days=1))
        if _ms(start) < now_ms - kept_days * DAY_MS:
            return found
        found.append(Cohort(f"{start:%Y-%m}", _ms(start), _ms(end)))
        end = start


def _month(day: datetime) -> datetime:
    return day.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000
