"""The names of months, as people read them.

It must never depend on the language of the machine.
"""

from __future__ import annotations

from datetime import date

NAMES = {
    "es": (
        *("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto"),
        *("septiembre", "octubre", "noviembre", "diciembre"),
    ),
    "en": (
        *("January", "February", "March", "April", "May", "June", "July", "August"),
        *("September", "October", "November", "December"),
    ),
}


def middle(month: str) -> date | None:
    """The middle of a month, given as YYYY-MM; ``None`` for any other text."""
    try:
        return date.fromisoformat(f"{month}-15")
    except ValueError:
        return None


def named(month: str, language: str) -> str:
    """«julio de 2026» or «July 2026» of 2026-07; any other text as it is."""
    day = middle(month)
    if day is None:
        return month
    name = NAMES[language][day.month - 1]
    return f"{name} de {day.year}" if language == "es" else f"{name} {day.year}"
