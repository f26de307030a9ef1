"""Which of several rows of one key is which, by the columns that nobody doubts.

It never looks for the order that differs least: that would hide the very mistakes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from propensia.skewing.closeness import Mask, Matrix, Places, close

# Of more rows of one key every pair is not compared; they cannot be told apart.
MOST_ROWS = 200


def settle(
    groups: Places, want: Matrix, got: Matrix, tolerance: Matrix, readable: Mask, in_order: bool
) -> tuple[Places, Places]:
    """Row ``ours[i]`` of ``want`` is row ``theirs[i]`` of ``got``; rows in doubt are not there.

    ``groups`` ``(n,)`` are equal for rows of one key, on both sides; the rest is ``(n, k)``, and
    ``readable`` ``(n,)`` of ``want``. A column is trusted if, for every key, it holds the same
    numbers on both sides in whatever order. Rows of one key belong together where the trusted
    columns leave no choice, or one without consequence. ``in_order``: files of the very same
    keys, whose order is believed unless the trusted columns contradict it.
    """
    again = np.bincount(groups)[groups] > 1
    alone = np.flatnonzero(~again & readable)
    if not again.any():
        return alone, alone
    trusted = _trusted(groups, want, got, tolerance, readable)
    sure_want, sure_got, sure_slack = (array[:, trusted] for array in (want, got, tolerance))
    in_place = np.all(close(sure_want, sure_got, sure_slack), axis=1)
    pairs = [(alone, alone)]
    for rows in _by_group(groups, np.flatnonzero(again)):
        ours = rows[readable[rows]]
        own, slack = sure_want[ours, None], sure_slack[ours, None]
        if in_order and in_place[ours].all():
            pairs.append((ours, ours))
        elif len(rows) <= MOST_ROWS:
            near: Mask = np.all(close(own, sure_got[None, rows], slack), axis=2)
            pairs += [(ours[i], rows[j]) for i, j in _certain(near, got[rows])]
    left, right = (np.concatenate(side) for side in zip(*pairs, strict=True))
    order = np.argsort(left, kind="stable")
    return left[order], right[order]


def _trusted(groups: Places, want: Matrix, got: Matrix, tolerance: Matrix, readable: Mask) -> Mask:
    """The columns that hold, for every key with readable rows only, the same numbers, ``(k,)``."""
    whole = np.flatnonzero(~np.isin(groups, groups[~readable]))
    trusted = np.zeros(want.shape[1], dtype=bool)
    for place in range(want.shape[1]):
        one, other = want[whole, place], got[whole, place]
        first = np.lexsort((one, groups[whole]))
        second = np.lexsort((other, groups[whole]))
        same = close(one[first], other[second], tolerance[whole, place][first])
        trusted[place] = bool(len(whole) and same.all())
    return trusted


def _by_group(groups: Places, places: Places) -> Iterator[Places]:
    """Those of the ``places`` that are in one group, group by group, in order."""
    ordered = places[np.argsort(groups[places], kind="stable")]
    yield from np.split(ordered, np.flatnonzero(np.diff(groups[ordered])) + 1)


def _certain(near: Mask, got: Matrix) -> Iterator[tuple[Places, Places]]:
    """The pairs of ``near`` ``(m, l)`` without another choice, or with the same numbers in it."""
    done = np.zeros(len(near), dtype=bool)
    for row in range(len(near)):
        theirs = np.flatnonzero(near[row])
        if done[row] or not len(theirs):
            continue
        ours = np.flatnonzero(near[:, theirs[0]])
        done[ours] = True
        pairs = near[np.ix_(ours, theirs)].sum()
        has_others = near[ours].sum() > pairs or near[:, theirs].sum() > pairs
        first = np.broadcast_to(got[theirs[0]], got[theirs].shape)
        no_matter = np.array_equal(got[theirs], first, equal_nan=True)
        if len(ours) == len(theirs) and pairs == len(ours) ** 2 and no_matter and not has_others:
            yield ours, theirs
