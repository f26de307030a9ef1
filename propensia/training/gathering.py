"""What is kept and counted of a table while it streams by: whole customers, and filled gaps.

It holds no customer's name, only keyed hashes, and never more than twice that number of rows.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from propensia.contract import Contract
from propensia.faults import ASSUMED
from propensia.features import Features
from propensia.mixing import mixed
from propensia.training.rows import Labels, Places, Rows, join

# How far the rows kept may pass the limit before they are cut: a cut costs a sort.
SLACK = 1.5
# 1.234 and 1.234.567,89. A number that begins with 0, as 0.125, has a decimal point.
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?", re.ASCII).fullmatch
# Fewer rows, or a smaller share, say nothing of how a column is written.
LEAST_POINTED = 5
LEAST_POINTED_SHARE = 0.005


class Sample:
    """The rows of the customers with the smallest hashes, at most ``most`` rows.

    It depends on the table, ``most`` and the hashes' seed, not on the size of the blocks: each
    cut leaves out only what every later one would.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._below: np.int64 | None = None
        self._parts: list[Rows] = []
        self._count = 0

    def add(self, rows: Rows) -> None:
        """Keep what belongs to the sample; ``rows.groups`` are ``hashes``."""
        if self._below is not None:
            rows = rows.take(np.flatnonzero(rows.groups < self._below))
        self._parts.append(rows)
        self._count += len(rows)
        if self._count > SLACK * self._most:
            self._cut()

    def rows(self) -> tuple[Rows, bool]:
        """The sample in the table's order, groups numbered from 0; and whether rows were left
        out. At least one block was added."""
        if self._count > self._most:
            self._cut()
        rows = join(self._parts)
        # The order of the hashes is as good as random, and so are the numbers.
        groups = np.unique(rows.groups, return_inverse=True)[1].astype(np.int64)
        return replace(rows, groups=groups), self._below is not None

    def _cut(self) -> None:
        rows = join(self._parts)
        below: np.int64 = np.partition(rows.groups, self._most)[self._most]
        kept = np.flatnonzero(rows.groups < below)
        if not len(kept):  # one customer has more rows than may be kept
            kept = np.flatnonzero(rows.groups == below)[: self._most]
        self._parts, self._count, self._below = [rows.take(kept)], len(kept), below


class Fills:
    """How many rows had no data for a parameter, and got the ``fill`` of the contract.

    Only texts that came to that very value are read again, by the reader of a request.
    """

    def __init__(self, contract: Contract) -> None:
        self._readers = {
            p.name: (p, Features(replace(contract, parameters=(p,), columns=())))
            for p in contract.parameters
            if p.fill is not None
        }
        self._counts: Counter[str] = Counter()
        self._rows = 0

    def add(
        self,
        texts: Mapping[str, Sequence[str]],
        values: Mapping[str, npt.NDArray[Any]],
        places: Places,
    ) -> None:
        """Count the rows at ``places`` of a block: its texts, and what they were read as."""
        self._rows += len(places)
        for name, (parameter, features) in self._readers.items():
            like = places[values[name][places] == parameter.fill]
            for text, count in Counter(texts[name][place] for place in like).items():
                notes = features.read({name: text})[1]
                if any(note.code == ASSUMED for note in notes):
                    self._counts[parameter.feature] += count

    def shares(self) -> dict[str, float]:
        """By feature name, the share in (0, 1] of the rows; in the contract's order."""
        names = [parameter.feature for parameter, _ in self._readers.values()]
        return {n: self._counts[n] / self._rows for n in names if self._counts[n]}


class Points:
    """How the points in the numbers of each column are written: of thousands, or not."""

    def __init__(self, contract: Contract) -> None:
        self._names = [p.name for p in contract.parameters if not p.is_category]
        self._thousands: Counter[str] = Counter()
        self._others: set[str] = set()

    def add(self, texts: Mapping[str, Sequence[str]]) -> None:
        """Count the texts of a block, each distinct one looked at once."""
        for name in self._names:
            for text, count in Counter(texts[name]).items():
                if "." not in text:
                    continue
                if THOUSANDS(text.strip()):
                    self._thousands[name] += count
                elif any(letter.isdecimal() for letter in text):
                    self._others.add(name)

    def suspects(self, rows: int) -> dict[str, int]:
        """By parameter name, how many of ``rows`` look like thousands; only where all do."""
        least = max(LEAST_POINTED, LEAST_POINTED_SHARE * rows)
        counts = {name: self._thousands[name] for name in self._names if name not in self._others}
        return {name: count for name, count in counts.items() if count >= least}


def hashes(keys: Sequence[str] | None, first: int, count: int, seed: int) -> Labels:
    """A number ``(count,) int64`` for each row, equal for equal keys and otherwise random.

    A row without a key is a customer of its own, told by its place in the table, from ``first``.
    """
    places = np.arange(first, first + count, dtype=np.int64).view(np.uint64)
    own: Labels = mixed(places + np.int64(_seeded(b"row", seed)).view(np.uint64)).view(np.int64)
    if keys is None:
        return own
    known = {
        key: _seeded(key.strip().encode("utf-8", "backslashreplace"), seed)
        for key in set(keys)
        if key.strip()
    }
    return np.array(
        [known[key] if key in known else int(other) for key, other in zip(keys, own, strict=True)],
        dtype=np.int64,
    )


def _seeded(data: bytes, seed: int) -> int:
    secret = seed.to_bytes(16, "little", signed=True)
    digest = hashlib.blake2b(data, digest_size=8, key=secret).digest()
    return int.from_bytes(digest, "little", signed=True)
