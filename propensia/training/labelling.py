"""The label, the customer and the day of a row, from their texts.

It knows no column by name, and never takes an unknown text for a known one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import date

import numpy as np

from propensia.contract import Contract
from propensia.training.rows import Days, Labels

NO_LABEL = -1
STRANGE = -2

# 21/12/2022 as it is written in Spain, 2022-12-21 and 20221221, each also with a time after it.
TIME = r"(?:[ T]\d{1,2}:\d{2}.*)?"
SPANISH = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4})" + TIME, re.ASCII).fullmatch
ISO = re.compile(r"(\d{4})([/-])(\d{1,2})\2(\d{1,2})" + TIME, re.ASCII).fullmatch
COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:\.0)?" + TIME, re.ASCII).fullmatch


def labels(texts: Sequence[str], contract: Contract) -> tuple[Labels, Counter[str]]:
    """1, 0, ``NO_LABEL`` or ``STRANGE`` for each text, ``(n,) int64``; the strange ones, counted.

    Blanks around a text are forgiven, and its case where the contract forgives it.
    """
    # A spelling of a class wins over one of no data, as in a category.
    meaning = {_bare(text, contract): NO_LABEL for text in contract.no_data}
    meaning |= {_bare(text, contract): 0 for text in contract.negative}
    meaning |= {_bare(text, contract): 1 for text in contract.positive}
    known = {text: meaning.get(_bare(text, contract), STRANGE) for text in set(texts)}
    found = np.array([known[text] for text in texts], dtype=np.int64)
    return found, Counter(text.strip() for text in texts if known[text] == STRANGE)


def keys(texts: Sequence[str], contract: Contract) -> list[str]:
    """The customer of each text; empty where it is blank or a spelling of no data."""
    nothing = {_bare(text, contract) for text in contract.no_data}
    known = {text: "" if _bare(text, contract) in nothing else text for text in set(texts)}
    return [known[text].strip() for text in texts]


def _bare(text: str, contract: Contract) -> str:
    return text.strip().upper() if contract.forgive_case else text.strip()


def days(texts: Sequence[str]) -> Days:
    """The day of each text, ``(n,) datetime64[D]``; NaT where there is none to be read."""
    known = {text: _day(text.strip()) for text in set(texts)}
    return np.array([known[text] for text in texts], dtype="datetime64[D]")


def _day(text: str) -> date | None:
    if match := SPANISH(text):
        day, _, month, year = match.groups()
    elif match := ISO(text):
        year, _, month, day = match.groups()
    elif match := COMPACT(text):
        year, month, day = match.groups()
    else:
        return None
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None
