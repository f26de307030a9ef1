"""Decision trees of scikit-learn and forests of them, which answer with shares in their leaves.

No tree is used before every node of it has been checked, and none is walked here.

Conventions of scikit-learn (``sklearn/tree/_tree.pyx`` and ``_classes.py``):

- rows are rounded to float32 and compared with float64 thresholds, ``x <= threshold`` goes left;
- a missing value (since 1.3) goes where ``missing_go_to_left`` says; a split of missing from
  known values has the threshold ``+inf``;
- a leaf holds weighted counts up to 1.3 and shares since 1.4; that of a regression one number;
- a forest answers with the mean over its trees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from propensia.admission.families import ensemble
from propensia.admission.families.attributes import (
    binary_classes,
    fitted,
    pair_of,
    short_name,
    version_of,
    whole,
)
from propensia.admission.families.ensemble import Places, Trees, impossible
from propensia.admission.families.parts import Chance, Flow, Workshop, check_width
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal, shown

_SHARES_SINCE = (1, 4)
# What a leaf adds (m,), from its values as the file holds them (m, 2), whether these are shares,
# and where the trees lie. What it says of nodes that are no leaves does not count.
Leaves: TypeAlias = Callable[[np.ndarray, bool, Places], np.ndarray]
_TREE = Global("sklearn.tree._tree", "Tree")
_FIELDS = {"left_child": "i", "right_child": "i", "feature": "i", "threshold": "f"}


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


def is_tree(value: object) -> bool:
    """Whether ``value`` describes a single decision tree that classifies."""
    return CLASSIFIERS.get(pair_of(value)) is tree


def tell_version(estimators: Sequence[object], shop: Workshop) -> None:
    """Notes for the report the scikit-learn of trees that the workshop has not opened itself."""
    first = estimators[0]
    version = first.attributes().get("_sklearn_version") if isinstance(first, Node) else None
    if isinstance(version, str):
        shop.libraries.setdefault("scikit-learn", shown(version))


def _chance(node: Node, estimators: Sequence[object], flow: Flow, shop: Workshop) -> Chance:
    if whole(node, "n_outputs_") != 1:
        raise Refusal(
            "no_es_clasificador_binario",
            f"{short_name(node)} tiene varias salidas",
            f"{short_name(node)} has several outputs",
        )
    classes = binary_classes(node)
    tell_version(estimators, shop)
    trees = checked(estimators, flow.width)
    share = ensemble.written(trees, flow, shop, rounded=True, mean=True)
    return Chance(share, classes, short_name(node))


def checked(
    estimators: Sequence[object],
    width: int,
    leaves: Leaves | None = None,
    columns: Sequence[np.ndarray] | None = None,
) -> Trees:
    """The trees inside fitted classifiers, every node checked; else ``arbol_imposible``.

    The value of a leaf is its share of the second class, in [0, 1], or what ``leaves`` makes of
    it. ``columns`` are the places among ``width`` of the columns of each tree, where not all.
    """
    return _checked(estimators, width, 2, leaves or _second_share, columns)


def regressors(estimators: Sequence[object], width: int, scale: float = 1.0) -> Trees:
    """The trees inside fitted regressors, whose leaves hold one number; it is scaled."""

    def number(values: np.ndarray, _ready: bool, _places: Places) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(scale * values[:, 0])

    return _checked(estimators, width, 1, number, None)


def _checked(
    estimators: Sequence[object],
    width: int,
    classes: int,
    leaves: Leaves,
    columns: Sequence[np.ndarray] | None,
) -> Trees:
    if len(estimators) > ensemble.MOST_TREES:
        raise Refusal("demasiado_grande", f"{len(estimators)} árboles", f"{len(estimators)} trees")
    widths = [width] * len(estimators) if columns is None else [len(part) for part in columns]
    states = [_state(*pair, classes) for pair in zip(estimators, widths, strict=True)]
    places = Places.of([len(nodes) for nodes, _ in states])
    column = {name: np.concatenate([nodes[name] for nodes, _ in states]) for name in _FIELDS}
    if columns is not None:
        own = [_moved(nodes, part) for (nodes, _), part in zip(states, columns, strict=True)]
        column["feature"] = np.concatenate(own)
    values = np.concatenate([values for _, values in states])[:, 0, :].astype(np.float64)
    leaf = column["left_child"] == -1
    ready = classes == 1 or _leaves_hold_shares(estimators)
    if classes == 2:
        _check_shares(values, leaf, ready, places)
    return ensemble.checked(
        places,
        width=width,
        left=column["left_child"],
        right=column["right_child"],
        feature=column["feature"],
        threshold=column["threshold"],
        value=np.where(leaf, leaves(values, ready, places), 0.0),
        missing_left=np.concatenate([_missing_left(nodes) for nodes, _ in states]),
        weight=np.concatenate([_weight(nodes) for nodes, _ in states]),
        may_be_infinite=np.repeat([_tracks_missing(nodes) for nodes, _ in states], places.sizes),
    )


def _moved(nodes: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The places of a tree's columns among all columns; -2 for none of its own."""
    feature = nodes["feature"].astype(np.int64)
    inside = (feature >= 0) & (feature < len(columns))
    return np.where(inside, columns[np.where(inside, feature, 0)], -2)


def _state(estimator: object, width: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The node and value arrays of one tree, of the shapes and number types they must have."""
    inner = fitted(estimator, "tree_") if isinstance(estimator, Node) else None
    if not isinstance(inner, Node) or inner.made_by != _TREE or len(inner.args) != 3:
        raise impossible("no es un árbol de scikit-learn", "not a tree of scikit-learn")
    trained, counts, outputs = inner.args
    if not (_is(outputs, 1) and isinstance(counts, np.ndarray) and counts.tolist() == [classes]):
        raise Refusal(
            "no_es_clasificador_binario",
            "un árbol sin dos clases y una salida",
            "a tree without two classes and one output",
        )
    if not isinstance(trained, int | np.integer) or not 0 < trained < 1 << 31:
        raise impossible("número de columnas", "number of columns")
    check_width("un árbol", int(trained), width)
    state = inner.attributes()
    nodes, values = state.get("nodes"), state.get("values")
    if not isinstance(nodes, np.ndarray) or not isinstance(values, np.ndarray):
        raise Refusal("no_entrenado", "un árbol sin nodos", "a tree without nodes")
    kinds = nodes.dtype.fields or {}
    if nodes.ndim != 1 or any(
        name not in kinds or kinds[name][0].kind != kind for name, kind in _FIELDS.items()
    ):
        raise impossible("nodos de otro tipo", "nodes of another type")
    if len(nodes) == 0 or not _is(state.get("node_count"), len(nodes)):
        raise impossible("el número de nodos no es el que dice", "the node count lies")
    if values.shape != (len(nodes), 1, classes) or values.dtype.kind != "f":
        raise impossible("valores de otra forma", "values of another shape")
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
        raise impossible("nodos de otro tipo", "nodes of another type")
    return np.asarray(field != 0)


def _weight(nodes: np.ndarray) -> np.ndarray:
    if "n_node_samples" not in (nodes.dtype.names or ()):
        return np.zeros(len(nodes))
    field = nodes["n_node_samples"]
    return field.astype(np.float64) if field.dtype.kind in "uif" else np.zeros(len(nodes))


def _leaves_hold_shares(estimators: Sequence[object]) -> bool:
    """Whether the leaves hold shares, not counts: one library wrote all trees of a model."""
    version, *others = {version_of(tree) for tree in estimators if isinstance(tree, Node)}
    if others:
        raise impossible("árboles de varias versiones", "trees of several versions")
    return version is not None and version >= _SHARES_SINCE


def _check_shares(values: np.ndarray, leaf: np.ndarray, ready: bool, places: Places) -> None:
    with np.errstate(over="ignore"):
        total = values[:, 0] + values[:, 1]
    sane = np.isfinite(total) & (values >= 0).all(axis=1)
    if ready:
        sane &= np.abs(total - 1) <= 1e-6
    places.refuse(leaf & ~sane, "valores de hoja imposibles", "impossible values in a leaf")


def shares(values: np.ndarray, ready: bool) -> np.ndarray:
    """The shares of both classes (m, 2) in each leaf; ``ready`` when the file holds them."""
    if ready:
        return np.asarray(np.minimum(values, 1.0))
    with np.errstate(over="ignore", invalid="ignore"):
        total = values.sum(axis=1, keepdims=True)
        # An empty leaf answers 0 for both classes, as scikit-learn does.
        return np.asarray(values / np.where(total > 0, total, 1.0))


def _second_share(values: np.ndarray, ready: bool, _places: Places) -> np.ndarray:
    return shares(values, ready)[:, 1]


CLASSIFIERS = {
    ("sklearn.ensemble._forest", "RandomForestClassifier"): forest,
    ("sklearn.ensemble.forest", "RandomForestClassifier"): forest,
    ("sklearn.ensemble._forest", "ExtraTreesClassifier"): forest,
    ("sklearn.ensemble.forest", "ExtraTreesClassifier"): forest,
    ("sklearn.tree._classes", "DecisionTreeClassifier"): tree,
    ("sklearn.tree.tree", "DecisionTreeClassifier"): tree,
    ("sklearn.tree._classes", "ExtraTreeClassifier"): tree,
    ("sklearn.tree.tree", "ExtraTreeClassifier"): tree,
    ("imblearn.ensemble._forest", "BalancedRandomForestClassifier"): forest,
}
HELPERS = frozenset({(_TREE.module, _TREE.name)})
# The trees of boosting, which are no classifiers themselves.
PARTS = frozenset(
    {
        ("sklearn.tree._classes", "DecisionTreeRegressor"),
        ("sklearn.tree.tree", "DecisionTreeRegressor"),
    }
)
