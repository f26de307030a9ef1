"""Decision trees of any library: checked as graphs, and written as one ONNX operator.

No tree is used before every node of it has been checked, and none is walked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from propensia.admission.families.parts import Flow, Workshop
from propensia.admission.graph import DOUBLE, FLOAT, ML
from propensia.admission.refusal import Refusal

MOST_TREES, MOST_NODES = 100_000, 20_000_000
DEEPEST = 1_000
# Codes of categories: the largest, and how many there may be in all splits together.
LARGEST_CODE, MOST_CODES = 65_535, 5_000_000
_LEQ, _MEMBER = 0, 6


@dataclass(frozen=True, slots=True)
class Trees:
    """Checked trees, end to end in one set of arrays; make it with ``checked``.

    ``roots`` (t,) are the indices of the first node of each tree; ``left`` and ``right`` (m,)
    the indices of the children, -1 in a leaf. A row whose ``feature`` is at most ``threshold``
    goes left, and a missing one where ``missing_left`` says. A split in ``categories`` has no
    threshold but the ascending codes that go left: all that is not one of them, once cut off to
    a whole number, goes right. ``weight`` (m,) is how many training rows came by (a hint for the
    layout, never checked); ``value`` (m,) what a leaf adds.
    Invariant: a child comes after its parent, and has no other.
    """

    roots: np.ndarray
    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    missing_left: np.ndarray
    weight: np.ndarray
    value: np.ndarray
    depth: int
    categories: Mapping[int, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Places:
    """Where each tree lies in the common arrays: first node and number of nodes, both (t,)."""

    roots: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, sizes: list[int]) -> Places:
        """The places of trees of so many nodes; too many of either are refused."""
        count = np.array(sizes, np.int64)
        if len(count) > MOST_TREES:
            raise Refusal("demasiado_grande", f"{len(count)} árboles", f"{len(count)} trees")
        if count.sum() > MOST_NODES:
            raise Refusal("demasiado_grande", f"{count.sum()} nodos", f"{count.sum()} nodes")
        return cls(np.cumsum(count) - count, count)

    def refuse(self, bad: np.ndarray, spanish: str, english: str) -> None:
        """Refuses the first bad node (m,), if any, naming its tree and number."""
        if bad.any():
            index = int(np.argmax(bad))
            tree = int(np.searchsorted(self.roots, index, side="right")) - 1
            node = index - int(self.roots[tree])
            raise impossible(
                f"{spanish} (árbol {tree}, nodo {node})", f"{english} (tree {tree}, node {node})"
            )


def checked(
    places: Places,
    *,
    width: int,
    left: np.ndarray,
    right: np.ndarray,
    feature: np.ndarray,
    threshold: np.ndarray,
    value: np.ndarray,
    missing_left: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    may_be_infinite: np.ndarray | None = None,
    categories: Mapping[int, np.ndarray] | None = None,
) -> Trees:
    """The trees, once it is sure that they are trees; else ``arbol_imposible``.

    All arrays are (m,), the trees end to end. ``left`` and ``right`` count from the root of
    their own tree, both -1 in a leaf; ``width`` is the number of columns. A threshold is finite,
    or ``+inf`` where ``may_be_infinite`` allows it; the value of every leaf is finite.
    ``categories`` are the codes that go left, whole numbers up to ``LARGEST_CODE``, by the
    index of the split in the common arrays (its threshold does not count); none is possible.
    """
    count = len(left)
    categories = dict(sorted((categories or {}).items()))
    left, right = _children(left.astype(np.int64), right.astype(np.int64), places)
    leaf = left < 0
    feature, threshold = feature.astype(np.int64), threshold.astype(np.float64)
    value = value.astype(np.float64)
    _check_categories(categories, leaf, places)
    threshold[list(categories)] = 0.0
    outside = (feature < 0) | (feature >= width)
    places.refuse(~leaf & outside, "columna fuera de rango", "column out of range")
    finite = np.isfinite(threshold)
    if may_be_infinite is not None:
        finite |= may_be_infinite & (threshold == np.inf)
    places.refuse(~leaf & ~finite, "umbral no finito", "threshold not finite")
    places.refuse(leaf & ~np.isfinite(value), "hoja no finita", "leaf not finite")
    return Trees(
        roots=places.roots,
        left=left,
        right=right,
        feature=feature,
        threshold=threshold,
        missing_left=np.zeros(count, bool) if missing_left is None else missing_left,
        weight=np.zeros(count) if weight is None else weight,
        value=value,
        depth=_depth(places.roots, left, right),
        categories=categories,
    )


def impossible(spanish: str, english: str) -> Refusal:
    """The refusal of a tree that no fitting leaves behind."""
    return Refusal("arbol_imposible", spanish, english)


def _check_categories(
    categories: Mapping[int, np.ndarray], leaf: np.ndarray, places: Places
) -> None:
    total = sum(codes.size for codes in categories.values())
    if total > MOST_CODES:
        raise Refusal("demasiado_grande", f"{total} categorías", f"{total} categories")
    bad = np.zeros(len(leaf), bool)
    for index, codes in categories.items():
        if not 0 <= index < len(leaf):
            raise impossible("categorías sin nodo", "categories without a node")
        sound = codes.ndim == 1 and codes.dtype.kind in "iu" and not bool(leaf[index])
        if sound and codes.size:
            rising = bool((codes[1:] > codes[:-1]).all())
            sound = rising and codes[0] >= 0 and codes[-1] <= LARGEST_CODE
        bad[index] = not sound
    places.refuse(bad, "categorías imposibles", "impossible categories")


def _children(
    left: np.ndarray, right: np.ndarray, places: Places
) -> tuple[np.ndarray, np.ndarray]:
    """Children as indices into the common arrays, once it is sure that the trees are trees."""
    start = np.repeat(places.roots, places.sizes)
    node = np.arange(len(left)) - start
    size = np.repeat(places.sizes, places.sizes)
    leaf = (left == -1) & (right == -1)
    inside = (left > node) & (right > node) & (left < size) & (right < size)
    places.refuse(
        ~leaf & ~inside,
        "un hijo que no está detrás de su padre",
        "a child that is not after its parent",
    )
    left, right = np.where(leaf, -1, left + start), np.where(leaf, -1, right + start)
    parents = np.bincount(np.concatenate([left[~leaf], right[~leaf]]), minlength=len(left))
    parents[places.roots] += 1
    places.refuse(parents != 1, "un nodo sin un único padre", "a node without exactly one parent")
    return left, right


def _depth(roots: np.ndarray, left: np.ndarray, right: np.ndarray) -> int:
    """The depth of the deepest tree, level by level; too deep is ``arbol_imposible``."""
    depth, level = 0, roots[left[roots] >= 0]
    while len(level):
        depth += 1
        if depth > DEEPEST:
            raise impossible(
                f"más de {DEEPEST} niveles de profundidad", f"more than {DEEPEST} levels deep"
            )
        level = np.concatenate([left[level], right[level]])
        level = level[left[level] >= 0]
    return depth


def written(
    trees: Trees, flow: Flow, shop: Workshop, *, rounded: bool, mean: bool, apart: bool = False
) -> str:
    """The mean or the sum of the leaves that each row reaches: a double tensor (n, 1).

    ``apart``: not their sum but each on its own, (n, t), for who adds them up in another way.
    ``rounded``: rows are rounded to float32 first, as libraries do that store such rows. Adds
    what there is to the facts of the report.

    Sets, and the sides that missing values take, are written only where there are any: the
    operator would have to look at each split or value once more.
    """
    _tell(trees, shop)
    leaf, layout = trees.left < 0, _layout(trees)
    splits, single, turned = layout.splits, layout.single, layout.turned
    true, false, position = layout.true, layout.false, layout.position
    threshold = np.where(single, 0.0, trees.threshold[splits])
    with np.errstate(over="ignore"):  # above the largest double is infinity, which is right
        above = np.nextafter(threshold, np.inf)
    category = np.isin(splits, list(trees.categories))
    feature = np.where(single, 0, trees.feature[splits])
    rows, shift = _rows(feature[category], flow, shop, rounded)
    column = feature + np.where(turned, flow.width, np.where(category, shift[feature], 0))
    optional: dict[str, list[int] | np.ndarray] = {}
    if flow.missing:
        tracks_true = (trees.missing_left[splits] != turned) & ~single
        optional["nodes_missing_value_tracks_true"] = tracks_true.astype(int).tolist()
    if trees.categories:
        optional["membership_values"] = _sets(trees.categories)
    return shop.graph.add(
        "TreeEnsemble",
        rows,
        domain=ML,
        tree_roots=layout.roots.tolist(),
        nodes_featureids=column.tolist(),
        nodes_splits=np.where(turned, -above, threshold),
        nodes_modes=np.where(category, _MEMBER, _LEQ).astype(np.uint8),
        nodes_truenodeids=position[true].tolist(),
        nodes_trueleafs=leaf[true].astype(int).tolist(),
        nodes_falsenodeids=position[false].tolist(),
        nodes_falseleafs=leaf[false].astype(int).tolist(),
        leaf_targetids=_targets(trees, apart).tolist(),
        leaf_weights=trees.value[leaf],
        n_targets=len(trees.roots) if apart else 1,
        aggregate_function=0 if mean else 1,
        post_transform=0,
        **optional,
    )


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the operator has the trees: ``roots`` (t,) are numbers of splits.

    ``splits`` (s,) are their indices among the nodes, and those of the lonely leaves, for which
    ``single`` says so; ``turned`` those that are written the other way round. ``true`` and
    ``false`` (s,) are the sides as indices of nodes, and ``position`` (m,) where each node lies
    among the splits or among the leaves.

    The operator keeps the side that a split takes when it is false next to the split in memory,
    so the side that most training rows took is made the false one: fewer jumps for one row.
    Where that is the left side, the split is turned round exactly: ``x <= t`` fails just when
    ``-x <= -t'`` holds, ``t'`` being the next double above ``t``.
    """

    roots: np.ndarray
    splits: np.ndarray
    single: np.ndarray
    turned: np.ndarray
    true: np.ndarray
    false: np.ndarray
    position: np.ndarray


def _layout(trees: Trees) -> _Layout:
    leaf = trees.left < 0
    position = np.where(leaf, np.cumsum(leaf), np.cumsum(~leaf)) - 1
    # A tree of one leaf becomes a split whose two sides are that leaf: the operator wants one.
    lonely = trees.roots[leaf[trees.roots]]
    splits = np.concatenate([np.flatnonzero(~leaf), lonely])
    single = np.arange(len(splits)) >= len(splits) - len(lonely)
    roots = position[trees.roots]
    roots[leaf[trees.roots]] = np.flatnonzero(single)
    left = np.where(single, splits, trees.left[splits])
    right = np.where(single, splits, trees.right[splits])
    # An infinite threshold parts missing from known values (which all go left); it stays, and
    # so does a set, whose other side takes what is unknown.
    fixed = single | ~np.isfinite(trees.threshold[splits]) | np.isin(splits, [*trees.categories])
    turned = ~fixed & (trees.weight[left] >= trees.weight[right])
    true, false = np.where(turned, right, left), np.where(turned, left, right)
    return _Layout(roots, splits, single, turned, true, false, position)


def _targets(trees: Trees, apart: bool) -> np.ndarray:
    """The column of the answer that each leaf adds to."""
    leaves = np.flatnonzero(trees.left < 0)
    if not apart:
        return np.zeros(len(leaves), np.int64)
    return np.searchsorted(trees.roots, leaves, side="right") - 1


def _tell(trees: Trees, shop: Workshop) -> None:
    shop.count("trees", len(trees.roots))
    shop.count("nodes", len(trees.left))
    known = shop.facts.get("depth", 0)
    shop.facts["depth"] = max(trees.depth, known if isinstance(known, int) else 0)


def _rows(
    categories: np.ndarray, flow: Flow, shop: Workshop, rounded: bool
) -> tuple[str, np.ndarray]:
    """What the operator reads: the columns, their negatives, and the codes of ``categories``.

    Also (width,) how far from each column its codes lie. A code is one more than the value cut
    off to a whole number, 0 for one of -1 or less, and missing for a missing one: from 1 on the
    operator looks a code up in 64 bits at once, where it would not mind a fraction.
    """
    graph, used = shop.graph, np.unique(categories)
    rows = graph.cast(graph.cast(flow.tensor, FLOAT), DOUBLE) if rounded else flow.tensor
    parts = [rows, graph.add("Neg", rows)]
    shift = np.zeros(flow.width, np.int64)
    shift[used] = 2 * flow.width + np.arange(len(used)) - used
    if len(used):
        zero, one, below = (graph.constant(np.array([number])) for number in (0.0, 1.0, -1.0))
        values = graph.picked(rows, used.tolist())
        code = graph.add("Add", graph.add("Floor", graph.add("Abs", values)), one)
        none = graph.add("LessOrEqual", values, below)
        parts.append(graph.add("Where", none, zero, code))
    return graph.add("Concat", *parts, axis=1), shift


def _sets(categories: Mapping[int, np.ndarray]) -> np.ndarray:
    """The codes as ``_rows`` counts them, split after split, each list ended by a NaN."""
    nobody = np.array([-2])  # no code is below 0, and the operator wants at least one
    lists = [codes if codes.size else nobody for codes in categories.values()]
    return np.concatenate([np.append(codes + 1.0, np.nan) for codes in lists])
