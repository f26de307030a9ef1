"""Decision trees of any library: checked as graphs, and written as one ONNX operator.

No tree is used before every node of it has been checked, and none is walked here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from propensia.admission.families.parts import Flow, Workshop
from propensia.admission.graph import DOUBLE, FLOAT, ML
from propensia.admission.refusal import Refusal

MOST_TREES, MOST_NODES = 100_000, 20_000_000
DEEPEST = 1_000


@dataclass(frozen=True, slots=True)
class Trees:
    """Checked trees, end to end in one set of arrays; make it with ``checked``.

    ``roots`` (t,) are the indices of the first node of each tree; ``left`` and ``right`` (m,)
    the indices of the children, -1 in a leaf. A row whose ``feature`` is at most ``threshold``
    goes left, and a missing one where ``missing_left`` says. ``weight`` (m,) is how many
    training rows came by (a hint for the layout, never checked); ``value`` (m,) what a leaf adds.
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
) -> Trees:
    """The trees, once it is sure that they are trees; else ``arbol_imposible``.

    All arrays are (m,), the trees end to end. ``left`` and ``right`` count from the root of
    their own tree, both -1 in a leaf; ``width`` is the number of columns. A threshold is finite,
    or ``+inf`` where ``may_be_infinite`` allows it; the value of every leaf is finite.
    """
    count = len(left)
    left, right = _children(left.astype(np.int64), right.astype(np.int64), places)
    leaf = left < 0
    feature, threshold = feature.astype(np.int64), threshold.astype(np.float64)
    value = value.astype(np.float64)
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
    )


def impossible(spanish: str, english: str) -> Refusal:
    """The refusal of a tree that no fitting leaves behind."""
    return Refusal("arbol_imposible", spanish, english)


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


def written(trees: Trees, flow: Flow, shop: Workshop, *, rounded: bool, mean: bool) -> str:
    """The mean or the sum of the leaves that each row reaches: a double tensor (n, 1).

    ``rounded``: rows are rounded to float32 first, as libraries do that store such rows. Adds
    what there is to the facts of the report.

    The operator keeps the side that a split takes when it is false next to the split in memory,
    so the side that most training rows took is made the false one: fewer jumps for one row.
    Where that is the left side, the split is turned round exactly: ``x <= t`` fails just when
    ``-x <= -t'`` holds, ``t'`` being the next double above ``t``.

    The sides that missing values take are written only where a column may be missing: the
    operator would look at every value once more for them.
    """
    shop.count("trees", len(trees.roots))
    shop.count("nodes", len(trees.left))
    known = shop.facts.get("depth", 0)
    shop.facts["depth"] = max(trees.depth, known if isinstance(known, int) else 0)
    graph = shop.graph
    leaf = trees.left < 0
    position = np.where(leaf, np.cumsum(leaf), np.cumsum(~leaf)) - 1
    # A tree of one leaf becomes a split whose two sides are that leaf: the operator wants one.
    lonely = trees.roots[leaf[trees.roots]]
    splits = np.concatenate([np.flatnonzero(~leaf), lonely])
    single = np.arange(len(splits)) >= len(splits) - len(lonely)
    left = np.where(single, splits, trees.left[splits])
    right = np.where(single, splits, trees.right[splits])
    roots = position[trees.roots]
    roots[leaf[trees.roots]] = np.flatnonzero(single)
    threshold = np.where(single, 0.0, trees.threshold[splits])
    # An infinite threshold parts missing from known values (which all go left); it stays.
    turned = ~single & np.isfinite(threshold) & (trees.weight[left] >= trees.weight[right])
    true, false = np.where(turned, right, left), np.where(turned, left, right)
    optional: dict[str, list[int]] = {}
    if flow.missing:
        tracks_true = (trees.missing_left[splits] != turned) & ~single
        optional["nodes_missing_value_tracks_true"] = tracks_true.astype(int).tolist()
    with np.errstate(over="ignore"):  # above the largest double is infinity, which is right
        above = np.nextafter(threshold, np.inf)
    rows = graph.cast(graph.cast(flow.tensor, FLOAT), DOUBLE) if rounded else flow.tensor
    both = graph.add("Concat", rows, graph.add("Neg", rows), axis=1)
    column = np.where(single, 0, trees.feature[splits]) + np.where(turned, flow.width, 0)
    return graph.add(
        "TreeEnsemble",
        both,
        domain=ML,
        tree_roots=roots.tolist(),
        nodes_featureids=column.tolist(),
        nodes_splits=np.where(turned, -above, threshold),
        nodes_modes=np.zeros(len(splits), np.uint8),
        nodes_truenodeids=position[true].tolist(),
        nodes_trueleafs=leaf[true].astype(int).tolist(),
        nodes_falsenodeids=position[false].tolist(),
        nodes_falseleafs=leaf[false].astype(int).tolist(),
        leaf_targetids=np.zeros(int(leaf.sum()), int).tolist(),
        leaf_weights=trees.value[leaf],
        n_targets=1,
        aggregate_function=0 if mean else 1,
        post_transform=0,
        **optional,
    )
