"""Decision trees and forests of them: read, checked as graphs, written as one ONNX operator.

No tree is used before every node of it has been checked, and none is walked here.

Conventions of scikit-learn (``sklearn/tree/_tree.pyx`` and ``_classes.py``):

- rows are rounded to float32 and compared with float64 thresholds, ``x <= threshold`` goes left;
- a missing value (since 1.3) goes where ``missing_go_to_left`` says; a split of missing from
  known values has the threshold ``+inf``;
- a leaf holds weighted counts up to 1.3 and shares since 1.4;
- a forest answers with the mean over its trees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from propensia.admission.families.parts import (
    Chance,
    Flow,
    Workshop,
    binary_classes,
    check_width,
    fitted,
    short_name,
    version_of,
    whole,
)
from propensia.admission.graph import DOUBLE, FLOAT, ML
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal

_MOST_TREES, _MOST_NODES = 100_000, 20_000_000
_DEEPEST = 1_000
_SHARES_SINCE = (1, 4)
_TREE = Global("sklearn.tree._tree", "Tree")
_FIELDS = {"left_child": "i", "right_child": "i", "feature": "i", "threshold": "f"}


@dataclass(frozen=True, slots=True)
class Trees:
    """Checked trees, end to end in one set of arrays.

    ``roots`` (t,) are the indices of the first node of each tree; ``left`` and ``right`` (m,)
    the indices of the children, -1 in a leaf; ``weight`` (m,) how many training rows came by
    (a hint for the layout, never checked); ``share`` (m,) the share of the second class in a
    leaf, in [0, 1]. Invariant: a child comes after its parent, and has no other.
    """

    roots: np.ndarray
    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    missing_left: np.ndarray
    weight: np.ndarray
    share: np.ndarray
    depth: int


def forest(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """A random forest or extra trees: the mean of the shares in the leaves."""
    estimators = fitted(node, "estimators_")
    if not isinstance(estimators, list) or not estimators:
        raise Refusal(
            "no_entrenado", f"{short_name(node)} sin árboles", f"{short_name(node)} without trees"
        )
    return _chance(node, estimators, flow, shop)


def tree(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """A single decision tree: the share in the leaf."""
    return _chance(node, [node], flow, shop)


def _chance(node: Node, estimators: Sequence[object], flow: Flow, shop: Workshop) -> Chance:
    if whole(node, "n_outputs_") != 1:
        raise Refusal(
            "no_es_clasificador_binario",
            f"{short_name(node)} tiene varias salidas",
            f"{short_name(node)} has several outputs",
        )
    classes = binary_classes(node)
    trees = checked(estimators, flow)
    shop.count("trees", len(trees.roots))
    shop.count("nodes", len(trees.left))
    shop.facts["depth"] = trees.depth
    return Chance(_ensemble(trees, flow, shop), classes, short_name(node))


def checked(estimators: Sequence[object], flow: Flow) -> Trees:
    """The trees inside fitted estimators, every node checked; else ``arbol_imposible``."""
    if len(estimators) > _MOST_TREES:
        raise Refusal("demasiado_grande", f"{len(estimators)} árboles", f"{len(estimators)} trees")
    states = [_state(estimator, flow) for estimator in estimators]
    sizes = np.array([len(nodes) for nodes, _ in states], np.int64)
    if sizes.sum() > _MOST_NODES:
        raise Refusal("demasiado_grande", f"{sizes.sum()} nodos", f"{sizes.sum()} nodes")
    column = {name: np.concatenate([nodes[name] for nodes, _ in states]) for name in _FIELDS}
    missing_left = np.concatenate([_missing_left(nodes) for nodes, _ in states])
    tracked = np.repeat([_tracks_missing(nodes) for nodes, _ in states], sizes)
    values = np.concatenate([values for _, values in states])[:, 0, :].astype(np.float64)
    roots = np.cumsum(sizes) - sizes
    place = _Place(roots, sizes)
    left, right = _children(column["left_child"], column["right_child"], place)
    leaf = left < 0
    feature, threshold = column["feature"].astype(np.int64), column["threshold"].astype(np.float64)
    _refuse(
        ~leaf & ((feature < 0) | (feature >= flow.width)),
        place,
        ("columna fuera de rango", "column out of range"),
    )
    finite = np.isfinite(threshold) | (tracked & (threshold == np.inf))
    _refuse(~leaf & ~finite, place, ("umbral no finito", "threshold not finite"))
    return Trees(
        roots=roots,
        left=left,
        right=right,
        feature=feature,
        threshold=threshold,
        missing_left=missing_left,
        weight=np.concatenate([_weight(nodes) for nodes, _ in states]),
        share=_shares(values, leaf, _leaves_hold_shares(estimators), place),
        depth=_depth(roots, left, right),
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where each tree lies in the common arrays."""

    roots: np.ndarray
    sizes: np.ndarray

    def tree_and_node(self, index: int) -> tuple[int, int]:
        tree = int(np.searchsorted(self.roots, index, side="right")) - 1
        return tree, index - int(self.roots[tree])


def _state(estimator: object, flow: Flow) -> tuple[np.ndarray, np.ndarray]:
    """The node and value arrays of one tree, of the shapes and number types they must have."""
    inner = fitted(estimator, "tree_") if isinstance(estimator, Node) else None
    if not isinstance(inner, Node) or inner.made_by != _TREE or len(inner.args) != 3:
        raise _impossible("no es un árbol de scikit-learn", "not a tree of scikit-learn")
    width, classes, outputs = inner.args
    if not (_is(outputs, 1) and isinstance(classes, np.ndarray) and classes.tolist() == [2]):
        raise Refusal(
            "no_es_clasificador_binario",
            "un árbol sin dos clases y una salida",
            "a tree without two classes and one output",
        )
    if not isinstance(width, int | np.integer) or not 0 < width < 1 << 31:
        raise _impossible("número de columnas", "number of columns")
    check_width("un árbol", int(width), flow)
    state = inner.attributes()
    nodes, values = state.get("nodes"), state.get("values")
    if not isinstance(nodes, np.ndarray) or not isinstance(values, np.ndarray):
        raise Refusal("no_entrenado", "un árbol sin nodos", "a tree without nodes")
    kinds = nodes.dtype.fields or {}
    if nodes.ndim != 1 or any(
        name not in kinds or kinds[name][0].kind != kind for name, kind in _FIELDS.items()
    ):
        raise _impossible("nodos de otro tipo", "nodes of another type")
    if len(nodes) == 0 or not _is(state.get("node_count"), len(nodes)):
        raise _impossible("el número de nodos no es el que dice", "the node count lies")
    if values.shape != (len(nodes), 1, 2) or values.dtype.kind != "f":
        raise _impossible("valores de otra forma", "values of another shape")
    return nodes, values


def _is(value: object, number: int) -> bool:
    return isinstance(value, int | np.integer) and value == number


def _tracks_missing(nodes: np.ndarray) -> bool:
    return "missing_go_to_left" in (nodes.dtype.names or ())


def _missing_left(nodes: np.ndarray) -> np.ndarray:
    if not _tracks_missing(nodes):
        return np.zeros(len(nodes), bool)
    field = nodes["missing_go_to_left"]
    if field.dtype.kind not in "uib":
        raise _impossible("nodos de otro tipo", "nodes of another type")
    return np.asarray(field != 0)


def _weight(nodes: np.ndarray) -> np.ndarray:
    if "n_node_samples" not in (nodes.dtype.names or ()):
        return np.zeros(len(nodes))
    field = nodes["n_node_samples"]
    return field.astype(np.float64) if field.dtype.kind in "uif" else np.zeros(len(nodes))


def _children(left: np.ndarray, right: np.ndarray, place: _Place) -> tuple[np.ndarray, np.ndarray]:
    """Children as indices into the common arrays, once it is sure that the trees are trees."""
    start = np.repeat(place.roots, place.sizes)
    node = np.arange(len(left)) - start
    size = np.repeat(place.sizes, place.sizes)
    left, right = left.astype(np.int64), right.astype(np.int64)
    leaf = (left == -1) & (right == -1)
    inside = (left > node) & (right > node) & (left < size) & (right < size)
    _refuse(
        ~leaf & ~inside,
        place,
        ("un hijo que no está detrás de su padre", "a child that is not after its parent"),
    )
    left, right = np.where(leaf, -1, left + start), np.where(leaf, -1, right + start)
    parents = np.bincount(np.concatenate([left[~leaf], right[~leaf]]), minlength=len(left))
    parents[place.roots] += 1
    _refuse(
        parents != 1, place, ("un nodo sin un único padre", "a node without exactly one parent")
    )
    return left, right


def _leaves_hold_shares(estimators: Sequence[object]) -> bool:
    """Whether the leaves hold shares, not counts: one library wrote all trees of a model."""
    version, *others = {version_of(tree) for tree in estimators if isinstance(tree, Node)}
    if others:
        raise _impossible("árboles de varias versiones", "trees of several versions")
    return version is not None and version >= _SHARES_SINCE


def _shares(values: np.ndarray, leaf: np.ndarray, ready: bool, place: _Place) -> np.ndarray:
    """The share of the second class (m,); ``ready`` when the file holds shares, not counts."""
    with np.errstate(over="ignore"):
        total = values[:, 0] + values[:, 1]
    sane = np.isfinite(total) & (values >= 0).all(axis=1)
    if ready:
        sane &= np.abs(total - 1) <= 1e-6
    _refuse(leaf & ~sane, place, ("valores de hoja imposibles", "impossible values in a leaf"))
    if ready:
        return np.asarray(np.minimum(values[:, 1], 1.0))
    # An empty leaf answers 0 for both classes, as scikit-learn does.
    return np.asarray(values[:, 1] / np.where(leaf & (total > 0), total, 1.0))


def _depth(roots: np.ndarray, left: np.ndarray, right: np.ndarray) -> int:
    """The depth of the deepest tree, level by level; too deep is ``arbol_imposible``."""
    depth, level = 0, roots[left[roots] >= 0]
    while len(level):
        depth += 1
        if depth > _DEEPEST:
            raise _impossible(
                f"más de {_DEEPEST} niveles de profundidad", f"more than {_DEEPEST} levels deep"
            )
        level = np.concatenate([left[level], right[level]])
        level = level[left[level] >= 0]
    return depth


def _ensemble(trees: Trees, flow: Flow, shop: Workshop) -> str:
    """The mean share over the trees, in double, by rows rounded to float32.

    The operator keeps the side that a split takes when it is false next to the split in memory,
    so the side that most training rows took is made the false one: fewer jumps for one row.
    Where that is the left side, the split is turned round exactly: ``x <= t`` fails just when
    ``-x <= -t'`` holds, ``t'`` being the next double above ``t``.

    The sides that missing values take are written only where a column may be missing: the
    operator would look at every value once more for them.
    """
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
    if shop.may_be_missing:
        tracks_true = (trees.missing_left[splits] != turned) & ~single
        optional["nodes_missing_value_tracks_true"] = tracks_true.astype(int).tolist()
    with np.errstate(over="ignore"):  # above the largest double is infinity, which is right
        above = np.nextafter(threshold, np.inf)
    rounded = graph.cast(graph.cast(flow.tensor, FLOAT), DOUBLE)
    both = graph.add("Concat", rounded, graph.add("Neg", rounded), axis=1)
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
        leaf_weights=trees.share[leaf],
        n_targets=1,
        aggregate_function=0,
        post_transform=0,
        **optional,
    )


def _refuse(bad: np.ndarray, place: _Place, what: tuple[str, str]) -> None:
    """Refuses the first bad node, if any, naming its tree and number."""
    if bad.any():
        tree, node = place.tree_and_node(int(np.argmax(bad)))
        raise _impossible(
            f"{what[0]} (árbol {tree}, nodo {node})", f"{what[1]} (tree {tree}, node {node})"
        )


def _impossible(spanish: str, english: str) -> Refusal:
    return Refusal("arbol_imposible", spanish, english)


CLASSIFIERS = {
    ("sklearn.ensemble._forest", "RandomForestClassifier"): forest,
    ("sklearn.ensemble.forest", "RandomForestClassifier"): forest,
    ("sklearn.ensemble._forest", "ExtraTreesClassifier"): forest,
    ("sklearn.ensemble.forest", "ExtraTreesClassifier"): forest,
    ("sklearn.tree._classes", "DecisionTreeClassifier"): tree,
    ("sklearn.tree.tree", "DecisionTreeClassifier"): tree,
    ("sklearn.tree._classes", "ExtraTreeClassifier"): tree,
    ("sklearn.tree.tree", "ExtraTreeClassifier"): tree,
}
HELPERS = frozenset({(_TREE.module, _TREE.name)})
