"""The trees of XGBoost in the form that all trees share, deleted nodes left out.

No tree is used before every node of it has been checked, and none is walked here.

Conventions (``src/predictor/predict_fn.h`` and ``src/common/categorical.h`` in XGBoost):

- a float32 value goes left where ``value < split``, a missing one where ``default_left`` says;
- the right child is the one after the left;
- a split of categories sends its listed codes right and all else left; before 1.7, a code
  below 0 or beyond the last 32 bits of the list went where missing values go;
- a leaf keeps its value in ``split_conditions``, float32;
- pruning leaves deleted nodes behind, which no node leads to (``RegTree::DeleteNode``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from propensia.admission.families import ensemble
from propensia.admission.families.ensemble import Places, Trees, impossible
from propensia.admission.families.ubjson import Value
from propensia.admission.families.xgboost_model import counted, member, numbers
from propensia.admission.refusal import Refusal

Tree = dict[str, Value]

_FIELDS = {
    "left_children": "i",
    "right_children": "i",
    "split_indices": "i",
    "split_conditions": "f",
    "default_left": "i",
    "split_type": "i",
    "sum_hessian": "f",
}
_ODD_CODES_LEFT_SINCE = (1, 7)
_WORD = 32


@dataclass(frozen=True, slots=True)
class _Kept:
    """The nodes that were not deleted, (k,): children count from the root of their tree.

    ``nodes`` are their places among all nodes of the buffer.
    """

    nodes: np.ndarray
    places: Places
    left: np.ndarray
    right: np.ndarray


def checked(
    listed: Sequence[Tree],
    width: int,
    version: tuple[int, ...],
    *,
    factors: np.ndarray,
    shift: np.float32,
) -> Trees:
    """The trees, every node checked; else ``arbol_imposible``.

    ``listed`` are the trees of the buffer, ``width`` the number of columns that they read. A
    leaf becomes ``((shift + leaf) - shift) * factor`` in float32, ``factors`` (t,) float32.
    """
    sizes = [_size(tree) for tree in listed]
    all_places = Places.of(sizes)
    column = {name: _column(listed, sizes, name) for name in _FIELDS}
    deleted = np.array([counted(member(tree, "tree_param"), "num_deleted") for tree in listed])
    kept = _kept(column["left_children"], column["right_children"], all_places, deleted)
    field = {name: values[kept.nodes] for name, values in column.items()}
    odd = (field["split_type"] < 0) | (field["split_type"] > 1)
    kept.places.refuse(odd, "un corte desconocido", "an odd split")
    missing_left = field["default_left"] != 0
    by_category = np.flatnonzero((field["split_type"] == 1) & (kept.left >= 0))
    codes = _codes(listed, all_places, kept.nodes[by_category])
    odd_left = missing_left | (version >= _ODD_CODES_LEFT_SINCE)
    # Codes that go right are codes that go left, of a node with its children exchanged.
    exchanged = np.zeros(len(kept.nodes), bool)
    exchanged[by_category] = odd_left[by_category]
    split = field["split_conditions"]
    factor = np.repeat(factors, kept.places.sizes)
    return ensemble.checked(
        kept.places,
        width=width,
        left=np.where(exchanged, kept.right, kept.left),
        right=np.where(exchanged, kept.left, kept.right),
        feature=field["split_indices"],
        threshold=np.nextafter(np.where(np.isfinite(split), split, np.nan), -np.inf),
        value=_leaf(split, shift, factor),
        missing_left=missing_left ^ exchanged,
        weight=field["sum_hessian"].astype(np.float64),
        categories=_going_left(by_category, codes, odd_left),
    )


def _leaf(value: np.ndarray, shift: np.float32, factor: np.ndarray) -> np.ndarray:
    """What a leaf adds, all in float32; what is not finite is refused afterwards."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(((shift + value) - shift) * factor)


def _going_left(
    nodes: np.ndarray, codes_right: Iterator[np.ndarray], exchanged: np.ndarray
) -> dict[int, np.ndarray]:
    """The codes that go left in each of these nodes, once the ``exchanged`` are exchanged.

    The others are those whose odd codes go right: below 0, or beyond the last word of the list.
    """
    found: dict[int, np.ndarray] = {}
    total = 0
    for node, codes in zip(nodes.tolist(), codes_right, strict=True):
        if not exchanged[node]:
            end = (int(codes[-1]) // _WORD + 1) * _WORD if codes.size else 0
            codes = np.setdiff1d(np.arange(end), codes)
        found[node] = codes
        total += codes.size
        if total > ensemble.MOST_CODES:
            raise Refusal("demasiado_grande", f"{total} categorías", f"{total} categories")
    return found


def _column(listed: Sequence[Tree], sizes: list[int], name: str) -> np.ndarray:
    """One field of all nodes, (m,), in the byte order of this machine."""
    parts = [
        numbers(tree, name, _FIELDS[name], size) for tree, size in zip(listed, sizes, strict=True)
    ]
    whole = np.concatenate(parts) if parts else np.zeros(0)
    return whole.astype(np.float32 if _FIELDS[name] == "f" else np.int64)


def _size(tree: Tree) -> int:
    parameters = member(tree, "tree_param")
    if counted(parameters, "size_leaf_vector") > 1:
        raise Refusal(
            "no_es_clasificador_binario",
            "XGBoost con varias salidas por árbol",
            "XGBoost with several outputs in one tree",
        )
    size = counted(parameters, "num_nodes")
    if size == 0:
        raise impossible("un árbol sin nodos", "a tree without nodes")
    return size


def _kept(left: np.ndarray, right: np.ndarray, places: Places, deleted: np.ndarray) -> _Kept:
    """The nodes without those that no node leads to, which must be the deleted ones."""
    tree = np.repeat(np.arange(len(places.sizes)), places.sizes)
    leaf = left == -1
    inside = (left > 0) & (right == left + 1) & (right < places.sizes[tree])
    places.refuse(
        np.where(leaf, right != -1, ~inside),
        "dos hijos que no van seguidos",
        "two children that are not beside each other",
    )
    children = np.concatenate(
        [(left + places.roots[tree])[~leaf], (right + places.roots[tree])[~leaf]]
    )
    led_to = np.zeros(len(left), bool)
    led_to[children] = True
    led_to[places.roots] = True
    if (np.bincount(tree[~led_to], minlength=len(deleted)) != deleted).any():
        raise impossible("el número de nodos no es el que dice", "the node count lies")
    nodes = np.flatnonzero(led_to)
    number = np.cumsum(led_to) - 1
    kept = Places.of((places.sizes - deleted).tolist())
    left, right = (
        np.where(
            leaf, -1, number[np.where(leaf, 0, child + places.roots[tree])] - kept.roots[tree]
        )
        for child in (left, right)
    )
    return _Kept(nodes, kept, left[nodes], right[nodes])


def _codes(listed: Sequence[Tree], places: Places, nodes: np.ndarray) -> Iterator[np.ndarray]:
    """The ascending codes that each of these nodes, by its place among all, sends right."""
    trees = np.searchsorted(places.roots, nodes, side="right") - 1
    known: dict[int, tuple[int, int]] = {}
    codes, opened = np.zeros(0, np.int64), -1
    for tree, node in zip(trees.tolist(), (nodes - places.roots[trees]).tolist(), strict=True):
        if tree != opened:
            codes, known, opened = *segments(listed[tree]), tree
        if node not in known:
            raise impossible("categorías imposibles", "impossible categories")
        begin, size = known[node]
        yield np.unique(codes[begin : begin + size])


def segments(tree: Tree) -> tuple[np.ndarray, dict[int, tuple[int, int]]]:
    """The codes of a tree, and by node where its own begin among them and how many they are.

    All of them are in range, whether a node is a split of categories or not.
    """
    codes, nodes = (_free(tree, name) for name in ("categories", "categories_nodes"))
    begins = numbers(tree, "categories_segments", "i", len(nodes))
    sizes = numbers(tree, "categories_sizes", "i", len(nodes))
    inside = (begins >= 0) & (sizes >= 0) & (sizes <= len(codes)) & (begins <= len(codes) - sizes)
    sound = inside.all() and ((codes >= 0) & (codes <= ensemble.LARGEST_CODE)).all()
    if not sound or ((nodes < 0) | (nodes >= _size(tree))).any():
        raise impossible("categorías imposibles", "impossible categories")
    pairs = zip(begins.tolist(), sizes.tolist(), strict=True)
    return codes.astype(np.int64), dict(zip(nodes.tolist(), pairs, strict=True))


def _free(tree: Tree, name: str) -> np.ndarray:
    """A list of whole numbers of any length."""
    value = tree.get(name)
    return numbers(tree, name, "i", len(value) if isinstance(value, list | np.ndarray) else -1)
