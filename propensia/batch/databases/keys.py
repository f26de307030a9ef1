"""The keys that rows are told apart by: as JSON holds them in the place of a run.

A key comes back of the very type that it had, or the database would compare it in another way.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

_KINDS: dict[type, tuple[str, Callable[[str], Any]]] = {
    datetime: ("datetime", datetime.fromisoformat),
    date: ("date", date.fromisoformat),
    Decimal: ("decimal", Decimal),
    UUID: ("uuid", UUID),
}
_READ = dict(_KINDS.values())


class NoKey(ValueError):
    """A value that cannot be a key; the text is the name of its type."""


def noted(key: Any) -> Any:
    """A key as JSON holds it. Raises ``NoKey``."""
    if type(key) in (int, str):
        return key
    if type(key) not in _KINDS:
        raise NoKey(type(key).__name__)
    shown = key.isoformat() if isinstance(key, date) else str(key)
    return {_KINDS[type(key)][0]: shown}


def restored(value: Any) -> Any:
    """The key that ``noted`` made that value of."""
    if not isinstance(value, dict):
        return value
    ((kind, shown),) = value.items()
    return _READ[kind](shown)
