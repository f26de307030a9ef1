"""The trees of one operator, laid out for the compiled loops: thresholds as ranks, narrow nodes.

It reads what admission wrote and ``graph.check`` let pass, and declines all that it cannot do
exactly as ONNX Runtime does it; it never computes a score itself.

Of each column, the thresholds are sorted. A value is known only by its rank, how many of them are
less: ``x <= t`` holds just when the rank of x is at most that of t. A missing value is below or
above all, as its split says; a column whose splits say both is there twice. That the negative of
a column is at most ``s`` means that the column is not at most the double just below ``-s``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import AttributeProto, NodeProto, numpy_helper

from propensia.batch.forests.loops import (
    GROUP,
    LARGEST_CHILD,
    LARGEST_PLACE,
    LARGEST_RANK,
    NODE_CHILD,
    NODE_RANK,
    TOP,
)

Doubles = npt.NDArray[np.float64]
Wholes = npt.NDArray[np.int64]

_NARROW = (1 << 16) - 1
_MEAN, _SUM = 0, 1


@dataclass(frozen=True, slots=True)
class Column:
    """One column that splits look at: its place in the operator's input, its thresholds in
    ascending order, each once, and the rank that a missing value gets."""

    place: int
    cuts: Doubles
    missing: int


@dataclass(frozen=True, slots=True)
class Trees:
    """Trees as ``Code.walk`` wants them.

    ``bits`` is the width of a rank. ``places`` and ``tops``, (t * 15,), are the uppermost four
    levels, the split of a number n having those of 2 n + 1 and 2 n + 2 below it: where the group
    of its column begins, and the greatest rank that goes left. ``nodes`` (m,) are the rest, the
    first 16 of a tree being those below its top: first child, rank, place of the column, as
    ``forest_code`` says; a leaf is its own child. ``values`` (m,) is what a leaf adds, ``starts``
    (t,) the first node of a tree, ``depths`` (t,) its steps below the top. ``mean``: whether the
    sum is divided by the trees; ``apart``: whether there is none, but an answer for each tree.
    """

    bits: int
    columns: tuple[Column, ...]
    places: npt.NDArray[np.int32]
    tops: npt.NDArray[np.unsignedinteger]
    nodes: Wholes
    values: Doubles
    starts: Wholes
    depths: Wholes
    mean: bool
    apart: bool


@dataclass(frozen=True, slots=True)
class _Splits:
    """Splits (s,) whose children (s,) are numbers of splits, or of leaves behind all splits."""

    source: Wholes
    threshold: Doubles
    low: npt.NDArray[np.bool_]
    left: Wholes
    right: Wholes


def laid_out(node: NodeProto, negative: Mapping[int, int]) -> Trees | None:
    """The trees of a ``TreeEnsemble``; ``None`` if they cannot be had exactly.

    ``negative``: columns of its input that are the negative of another column, and that one.
    """
    given = {item.name: item for item in node.attribute}
    leaves = numpy_helper.to_array(given["leaf_weights"].t)
    kind, targets = given["aggregate_function"].i, given["n_targets"].i
    if kind not in (_MEAN, _SUM) or given["post_transform"].i != 0 or leaves.dtype != np.float64:
        return None
    splits = _splits(given, negative)
    if splits is None:
        return None
    columns, column, rank = _ranked(splits)
    most = max(len(one.cuts) for one in columns)
    if len(columns) * GROUP > LARGEST_PLACE or most >= LARGEST_RANK:
        return None
    bits = 16 if most <= _NARROW else 32
    roots = np.array(given["tree_roots"].ints, np.int64)
    places, tops, slots = _top(splits, column * GROUP, rank, roots, bits)
    nodes, ids, trees, depths = _below(splits, column * GROUP, rank, slots)
    sizes = np.bincount(trees, minlength=len(roots))
    if sizes.max() > LARGEST_CHILD:
        return None
    apart = targets > 1
    if apart:
        leaf = ids >= len(splits.left)
        owner = np.array(given["leaf_targetids"].ints, np.int64)[ids[leaf] - len(splits.left)]
        if kind == _MEAN or targets != len(roots) or (owner != trees[leaf]).any():
            return None
    # ONNX Runtime adds to 0.0, after which no zero is negative.
    weights = np.append(np.zeros(len(splits.left)), leaves + 0.0)
    return Trees(
        bits=bits,
        columns=columns,
        places=places,
        tops=tops,
        nodes=nodes,
        values=weights[ids],
        starts=np.cumsum(sizes) - sizes,
        depths=depths,
        mean=kind == _MEAN,
        apart=apart,
    )


def _splits(given: Mapping[str, AttributeProto], negative: Mapping[int, int]) -> _Splits | None:
    """The splits by thresholds of columns that are not negative; ``None`` for other splits."""
    threshold = numpy_helper.to_array(given["nodes_splits"].t)
    if threshold.dtype != np.float64 or np.isnan(threshold).any():
        return None
    if numpy_helper.to_array(given["nodes_modes"].t).any():
        return None
    lists = {name: np.array(item.ints, np.int64) for name, item in given.items()}
    column = lists["nodes_featureids"]
    source = np.arange(int(column.max()) + 1)
    for place in negative.keys() & set(range(len(source))):
        source[place] = negative[place]
    turned = source[column] != column
    # Of such a threshold the double below its negative does not say the same.
    if (turned & (threshold == np.inf)).any():
        return None
    count = len(column)
    true, false = (
        lists[f"nodes_{side}nodeids"] + np.where(lists[f"nodes_{side}leafs"] != 0, count, 0)
        for side in ("true", "false")
    )
    missing_true = lists.get("nodes_missing_value_tracks_true", np.zeros(count, np.int64)) != 0
    return _Splits(
        source=source[column],
        threshold=np.where(turned, np.nextafter(-threshold, -np.inf), threshold),
        low=missing_true != turned,
        left=np.where(turned, false, true),
        right=np.where(turned, true, false),
    )


def _ranked(splits: _Splits) -> tuple[tuple[Column, ...], Wholes, Wholes]:
    """The columns that splits look at; of each split (s,), which of them, and its rank there."""
    found, column = np.unique(2 * splits.source + splits.low, return_inverse=True)
    order = np.argsort(column, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(column))[:-1])
    rank, columns = np.zeros(len(column), np.int64), []
    for key, part in zip(found.tolist(), parts, strict=True):
        cuts, rank[part] = np.unique(splits.threshold[part], return_inverse=True)
        columns.append(Column(key // 2, cuts, 0 if key % 2 else len(cuts)))
    return tuple(columns), column, rank


def _top(
    splits: _Splits, place: Wholes, rank: Wholes, roots: Wholes, bits: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.unsignedinteger], Wholes]:
    """The uppermost levels of all trees, and what is below them (t, 16); a leaf fills it alone."""
    count, level = len(splits.left), roots[:, None]
    kind = np.dtype(f"u{bits // 8}")
    places, tops = [], []
    for _ in range(TOP):
        leaf = level >= count
        split = np.where(leaf, 0, level)
        places.append(np.where(leaf, 0, place[split]))
        tops.append(np.where(leaf, np.iinfo(kind).max, rank[split]))
        sides = [np.where(leaf, level, side[split]) for side in (splits.left, splits.right)]
        level = np.stack(sides, axis=2).reshape(len(roots), -1)
    return (
        np.concatenate(places, axis=1).astype(np.int32).reshape(-1),
        np.concatenate(tops, axis=1).astype(kind).reshape(-1),
        level,
    )


def _below(
    splits: _Splits, place: Wholes, rank: Wholes, slots: Wholes
) -> tuple[Wholes, Wholes, Wholes, Wholes]:
    """The nodes below the tops, tree after tree; of each its number among splits and leaves, and
    its tree; and the steps that the longest way of each tree takes.

    Level by level, all trees at once: the two children of a split lie side by side.
    """
    count, trees = len(splits.left), len(slots)
    tree, ids = np.repeat(np.arange(trees), slots.shape[1]), slots.reshape(-1)
    sizes, depths = np.zeros(trees, np.int64), np.zeros(trees, np.int64)
    levels = []
    while len(ids):
        leaf = ids >= count
        split, owner = ids[~leaf], tree[~leaf]
        here, below = np.bincount(tree, minlength=trees), np.bincount(owner, minlength=trees)
        own = sizes[tree] + np.arange(len(ids)) - (np.cumsum(here) - here)[tree]
        sizes += here
        depths += below > 0
        limit, column = np.full(len(ids), LARGEST_RANK), np.zeros(len(ids), np.int64)
        first = sizes[owner] + 2 * (np.arange(len(split)) - (np.cumsum(below) - below)[owner])
        child = own.copy()
        child[~leaf], limit[~leaf], column[~leaf] = first, rank[split], place[split]
        levels.append((tree, own, ids, child << NODE_CHILD | limit << NODE_RANK | column))
        ids = np.stack([splits.left[split], splits.right[split]], axis=1).reshape(-1)
        tree = np.repeat(owner, 2)
    tree, own, ids, words = (np.concatenate(parts) for parts in zip(*levels, strict=True))
    order = np.lexsort((own, tree))
    return words[order], ids[order], tree[order], depths
