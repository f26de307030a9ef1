"""How much each column counted in a fitted model: its weights, or what its trees gained.

No tree is walked here: every split is one row of a table, and each row is checked before.

Source: ``_get_feature_importances`` in ``sklearn/feature_selection/_base.py``,
``compute_feature_importances`` in ``sklearn/tree/_tree.pyx``, ``feature_importances_`` in
``sklearn/ensemble/_forest.py`` and ``_gb.py``.
"""

from __future__ import annotations

import numpy as np

from propensia.admission.arrays import NDARRAY
from propensia.admission.families.attributes import bad_weights, fitted, numbers, short_name
from propensia.admission.nodes import Node
from propensia.admission.refusal import Refusal

_MOST_TREES = 100_000
_FIELDS = {
    "left_child": "i",
    "right_child": "i",
    "feature": "i",
    "impurity": "f",
    "weighted_n_node_samples": "f",
}


def importances(estimator: Node, width: int, norm: float) -> np.ndarray:
    """A number from 0 on for each of ``width`` columns; ``norm`` joins several classes."""
    if "coef_" in estimator.attributes():
        weights = estimator.attributes()["coef_"]
        if not isinstance(weights, np.ndarray) or weights.ndim not in (1, 2):
            raise bad_weights(estimator, "coef_")
        if len(weights) > width + 1_000:
            raise bad_weights(estimator, "coef_")
        weights = numbers(estimator, "coef_", (*weights.shape[:-1], width))
        if weights.ndim == 1:
            return np.asarray(np.abs(weights))
        with np.errstate(divide="ignore", over="ignore"):
            return np.asarray(np.linalg.norm(weights, axis=0, ord=norm))
    if "tree_" in estimator.attributes():
        return _shares(_gains(estimator, width)[0])
    return _of_ensemble(estimator, width)


def _of_ensemble(estimator: Node, width: int) -> np.ndarray:
    """The mean over the trees that split at all, as shares: of their shares, or of their gains."""
    module = estimator.name.rpartition(".")[0]
    if module not in _ENSEMBLES:
        name = short_name(estimator)
        raise Refusal("familia_desconocida", f"{name} (SelectFromModel)")
    boosted = _ENSEMBLES[module]
    listed = fitted(estimator, "estimators_")
    if isinstance(listed, Node) and listed.made_by == NDARRAY:
        listed = listed.items
    if not isinstance(listed, list) or len(listed) > _MOST_TREES:
        raise bad_weights(estimator, "estimators_")
    found = []
    for tree in listed:
        if not isinstance(tree, Node):
            raise bad_weights(estimator, "estimators_")
        gains, nodes = _gains(tree, width)
        if nodes > 1:
            found.append(gains if boosted else _shares(gains))
    if not found:
        return np.zeros(width)
    mean = np.mean(found, axis=0, dtype=np.float64)
    # Forests divide by the sum whatever it is, and trees without gain cannot be told apart.
    total = np.sum(mean)
    if not total > 0:
        raise bad_weights(estimator, "estimators_")
    return np.asarray(mean / total)


def _shares(gains: np.ndarray) -> np.ndarray:
    total = np.sum(gains)
    return gains / total if total > 0 else gains


def _gains(owner: Node, width: int) -> tuple[np.ndarray, int]:
    """How much impurity each column took away, per row, and how many nodes the tree has."""
    tree = owner.attributes().get("tree_")
    table = tree.attributes().get("nodes") if isinstance(tree, Node) else None
    if not isinstance(table, np.ndarray) or table.ndim != 1 or not len(table):
        raise bad_weights(owner, "tree_")
    for name, kind in _FIELDS.items():
        if name not in (table.dtype.names or ()) or table.dtype[name].kind != kind:
            raise bad_weights(owner, "tree_")
    left, right = table["left_child"], table["right_child"]
    splits = left != -1
    for places, end in ((left, len(table)), (right, len(table)), (table["feature"], width)):
        chosen = places[splits]
        if ((chosen < 0) | (chosen >= end)).any():
            raise bad_weights(owner, "tree_")
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        weighted = table["weighted_n_node_samples"] * table["impurity"]
        gain = weighted[splits] - weighted[left[splits]] - weighted[right[splits]]
        gains = np.zeros(width)
        # One after the other, as the library adds them.
        np.add.at(gains, table["feature"][splits], gain)
        gains = gains / table["weighted_n_node_samples"][0]
    if not np.isfinite(gains).all():
        raise bad_weights(owner, "tree_")
    return gains, len(table)


# By module of the class: whether its trees count by their gains or by their shares.
_ENSEMBLES = {
    "sklearn.ensemble._forest": False,
    "sklearn.ensemble._gb": True,
}
