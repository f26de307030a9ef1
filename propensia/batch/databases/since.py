"""«Only what changed since»: a moment as a column of a database has it.

Where a column does not tell its time zone, it takes the earlier of what it may mean: a row too
many is scored once more, and none is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

LAST = "last"
MARGIN = timedelta(minutes=5)
"""What the clocks of two machines may differ by."""
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:(?P<between>[ T])\d\d:\d\d(?P<seconds>:\d\d)?.*)?").fullmatch


@dataclass(frozen=True, slots=True)
class Since:
    """Rows whose ``column`` tells that moment or a later one.

    ``moment`` is aware where a person or a run told the time zone; ``None`` are all rows. It is
    ``known`` exactly if a person typed it, and not so if it is the start of a run.
    """

    column: str
    moment: datetime | None
    known: bool


def typed(text: str) -> datetime:
    """A date, or a date and a time, as ISO 8601 has it. Raises ``ValueError``."""
    return datetime.fromisoformat(text.strip())


def aware(moment: datetime) -> datetime:
    """The same in UTC; of one that does not tell its time zone the later of what it may mean, so
    that nothing is taken for scored that was not."""
    if moment.tzinfo is not None:
        return moment.astimezone(UTC)
    return max(moment.astimezone(UTC), moment.replace(tzinfo=UTC))


def limit(since: Since, sample: Any) -> Any:
    """The least value of the column that is wanted, of the type of ``sample``, which is one of
    its values. Raises ``ValueError`` for a type that is no date."""
    assert since.moment is not None
    moment = since.moment if since.known else since.moment - MARGIN
    if isinstance(sample, datetime):
        if sample.tzinfo is not None:
            return moment.astimezone(UTC)
        return _naive(moment)
    if isinstance(sample, date):
        return _naive(moment).date()
    if isinstance(sample, str) and (found := _ISO(sample.strip())):
        naive = _naive(moment)
        if found["between"] is None:
            return naive.date().isoformat()
        # Compared letter by letter: what is left out comes before all that may be there.
        precision = "seconds" if found["seconds"] else "minutes"
        return naive.isoformat(found["between"], precision)
    raise ValueError(type(sample).__name__)


def _naive(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        return moment
    here = moment.astimezone().replace(tzinfo=None)
    return min(here, moment.astimezone(UTC).replace(tzinfo=None))
