"""Names of columns that are nearly the same: for a person who is asked «is it this one?».

It answers with a name, never with a decision: who asks must not take the one for the other.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Collection, Iterable

LIKENESS = 0.8
"""What a column's name has to have of another's for a person to be asked about it."""


def nearest(name: str, names: Iterable[str], least: float) -> str | None:
    """The name most like ``name`` once both are ``folded``, or ``None`` if none is.

    ``least`` in [0, 1] is the ``difflib.SequenceMatcher.ratio`` that it takes; 1 is the same.
    """
    known = {folded(other): other for other in names}
    found = difflib.get_close_matches(folded(name), known, n=1, cutoff=least)
    return known[found[0]] if found else None


def folded(name: str) -> str:
    """A name without case, accents, blanks and signs between its words."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in plain if letter.isalnum())


def unclaimed(wanted: str, names: Iterable[str], claimed: Collection[str]) -> str | None:
    """The column most like ``wanted``, among those that are nobody else's: not ``claimed``."""
    return nearest(wanted, (name for name in names if name not in claimed), LIKENESS)
