"""What is told about rows, as texts that many rows share: their notes and their faults.

It costs by how many different texts there are and never holds one per row before the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Mask = npt.NDArray[np.bool_]
WIDEST = 1 << 62
"""Combinations that a 64-bit number can tell apart."""


@dataclass(frozen=True, slots=True)
class Told:
    """Of n rows: ``texts[codes[i]]`` is told about row i. The first text is empty: nothing."""

    codes: npt.NDArray[np.int64]
    texts: Sequence[str]

    def where(self, rows: Mask) -> Told:
        """The same of these rows, and nothing of the others."""
        return Told(np.where(rows, self.codes, 0), self.texts)

    def of(self) -> Mask:
        """The rows that something is told about, ``(n,)``."""
        rows: Mask = self.codes != 0
        return rows

    def array(self) -> pa.StringArray:
        """The text of each row; no nulls."""
        return pa.array(self.texts, pa.string()).take(pa.array(self.codes))

    def counted(self) -> Counter[str]:
        """How many rows have each ``parameter:code``, which stand with blanks between."""
        found: Counter[str] = Counter()
        rows = np.bincount(self.codes, minlength=len(self.texts)).tolist()
        for text, count in zip(self.texts, rows, strict=True):
            if count:
                found.update(dict.fromkeys(text.split(), count))
        return found


def nothing(count: int) -> Told:
    """Nothing, about ``count`` rows."""
    return Told(np.zeros(count, dtype=np.int64), [""])


def about(rows: Mapping[int, str], count: int) -> Told:
    """The text of some of ``count`` rows, by their places."""
    texts = {"": 0}
    codes = np.zeros(count, dtype=np.int64)
    for place, text in rows.items():
        codes[place] = texts.setdefault(text, len(texts))
    return Told(codes, list(texts))


def joined(parts: Iterable[Told], count: int) -> Told:
    """All that is told about ``count`` rows, in the order of ``parts``, with blanks between."""
    waiting = [part for part in parts if len(part.texts) > 1]
    if not waiting:
        return nothing(count)
    while len(waiting) > 1:
        some, width = 1, len(waiting[0].texts)
        while some < len(waiting) and width * len(waiting[some].texts) < WIDEST:
            width *= len(waiting[some].texts)
            some += 1
        waiting[:some] = [_beside(waiting[:some])]
    return waiting[0]


def _beside(parts: Sequence[Told]) -> Told:
    """All of them, by the combinations that occur: each is one number."""
    numbers = parts[0].codes.copy()
    for part in parts[1:]:
        numbers *= len(part.texts)
        numbers += part.codes
    met = pa.array(numbers).dictionary_encode()
    texts, codes = [""], np.zeros(len(met.dictionary), dtype=np.int64)
    for at, number in enumerate(met.dictionary.to_pylist()):
        found = []
        for part in reversed(parts):
            number, code = divmod(number, len(part.texts))
            found.append(part.texts[code])
        if any(found):
            codes[at] = len(texts)
            texts.append(" ".join(filter(None, reversed(found))))
    return Told(codes.take(met.indices.to_numpy()), texts)
