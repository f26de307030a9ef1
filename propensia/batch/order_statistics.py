"""Exact order statistics of chances kept in a file, in the same memory for any number of them.

It never rounds: every limit that it gives is one of the chances.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from propensia import files
from propensia.batch.blocks import Vector

TENTHS = 10
AT_ONCE = 1 << 20
DIGIT = 16
SHIFTS = range(64 - DIGIT, -1, -DIGIT)
Bits = npt.NDArray[np.uint64]


def plain(chances: Vector) -> bytes:
    """Chances in [0, 1] as the file holds them: eight bytes each; those that are NaN left out."""
    known = chances[~np.isnan(chances)] + 0.0  # no negative zero, whose bits are the largest
    return known.astype("<f8").tobytes()


def tenths(path: Path) -> tuple[float, ...]:
    """The nine inner limits of a file of chances, ascending, as ``distributions.quantiles`` gives
    them; none of an empty file. Raises ``OSError``."""
    count = path.stat().st_size // 8
    if count == 0:
        return ()
    return tuple(at_ranks(path, ranks(count)))


def ranks(count: int) -> list[int]:
    """The places of the nine inner limits among ``count`` chances in ascending order, from 0
    on."""
    # numpy's own arithmetic of «inverted_cdf», so that both name the same of two neighbours.
    return [max(0, math.ceil(count * (k / TENTHS) - 1)) for k in range(1, TENTHS)]


def at_ranks(path: Path, places: Sequence[int]) -> list[float]:
    """The chances at these places among all of a file in ascending order, from 0 on.

    The bits of numbers that are not negative are in the order of the numbers: they are counted
    by 16 bits at a time, and only those that begin as a wanted one are looked at again. Raises
    ``OSError``.
    """
    wanted = [(0, rank) for rank in places]
    for shift in SHIFTS:
        counts = {begin: np.zeros(1 << DIGIT, dtype=np.int64) for begin, _ in wanted}
        for bits in _bits(path):
            digits = (bits >> np.uint64(shift)) & np.uint64((1 << DIGIT) - 1)
            begins = bits >> np.uint64(shift) >> np.uint64(DIGIT)
            for begin, count in counts.items():
                same = digits[begins == np.uint64(begin)].astype(np.intp)
                count += np.bincount(same, minlength=1 << DIGIT)
        ends = {begin: np.cumsum(count) for begin, count in counts.items()}
        wanted = [_narrowed(begin, rank, ends[begin]) for begin, rank in wanted]
    found = np.array([bits for bits, _ in wanted], dtype=np.uint64).view(np.float64)
    return [float(chance) for chance in found]


def _narrowed(begin: int, rank: int, ends: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Sixteen bits more of the one at a rank, and its rank among those that begin so."""
    digit = int(np.searchsorted(ends, rank, side="right"))
    before = int(ends[digit - 1]) if digit else 0
    return (begin << DIGIT) | digit, rank - before


def _bits(path: Path) -> Iterator[Bits]:
    with files.open_regular(path) as stream:
        while chunk := stream.read(AT_ONCE * 8):
            yield np.frombuffer(chunk, dtype="<u8")
