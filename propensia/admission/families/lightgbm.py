"""LightGBM classifiers: their own text inside the PKL, read as data.

It never gives a text to the library, and looks up no callback, metric or objective.

Conventions of LightGBM (``include/LightGBM/tree.h``, ``src/boosting/gbdt_prediction.cpp``,
``src/c_api.cpp``, ``python-package/lightgbm/sklearn.py`` and ``basic.py``):

- rows are doubles, ``value <= threshold`` goes left, and what is no further from 0 than 1e-35
  (in float32) is 0;
- each split has its own idea of a missing value: none (NaN is 0), 0 and NaN, or NaN alone; a
  split of missing from known values has the threshold ``inf``;
- a split of categories sends its listed codes left, cut off to whole numbers, all else right;
- leaves hold what they add, in double; a random forest is their mean, and its decision their sum
  (``Booster.predict`` with ``raw_score``);
- the probability is the logistic function of the sum times ``sigmoid``, of which wrappers and
  bare boosters take the iterations up to the best one where training stopped early.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from propensia.admission.families import ensemble, lightgbm_text
from propensia.admission.families.attributes import fitted, short_name, texts
from propensia.admission.families.codes import coded
from propensia.admission.families.ensemble import LARGEST_CODE, MOST_CODES, Places, Trees
from propensia.admission.families.lightgbm_text import Model, decimals, impossible, whole, wholes
from propensia.admission.families.parts import (
    Chance,
    Flow,
    Workshop,
    check_width,
    renamed,
)
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal

_BOOSTER = Global("lightgbm.basic", "Booster")
_ZERO = float(np.float32(1e-35))
_CATEGORICAL, _DEFAULT_LEFT, _MISSING_SHIFT = 1, 2, 2
_NONE, _ZEROS, _NANS = 0, 1, 2
_WORD = 32


def classifier(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """An ``LGBMClassifier``."""
    inner = booster_of(node)
    own = [node.attributes().get(name) for name in ("objective", "_objective", "_fobj")]
    if any(value is not None and not isinstance(value, str) for value in own):
        raise Refusal(
            "familia_desconocida",
            f"{short_name(node)} con un objetivo propio",
            f"{short_name(node)} with an objective of its own",
        )
    early = node.attributes().get("pred_early_stop")
    number = isinstance(early, int | float | np.number | np.bool_)
    if early is not None and (not number or early):
        raise Refusal(
            "familia_desconocida",
            f"{short_name(node)} con pred_early_stop",
            f"{short_name(node)} with pred_early_stop",
        )
    classes = texts(node, "_classes")
    if len(classes) != 2:
        raise Refusal(
            "no_es_clasificador_binario",
            f"{short_name(node)} tiene {len(classes)} clases",
            f"{short_name(node)} has {len(classes)} classes",
        )
    chance, total = _chance(inner, short_name(node), flow, shop)
    pair = (classes[0], classes[1])
    return Chance(chance, pair, short_name(node), total if decides(node) else None)


def bare(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """A ``Booster`` on its own, which knows no labels: the second class is the positive one."""
    label = "LightGBM Booster"
    return Chance(_chance(node, label, flow, shop)[0], None, label)


def decides(node: Node) -> bool:
    """Whether a wrapper has a decision function: since 4.7, which left this attribute first."""
    return "_fitted_with_feature_names" in node.attributes()


def booster_of(node: Node) -> Node:
    """The booster inside a wrapper, or the node itself where it is one."""
    if node.made_by == _BOOSTER:
        return node
    inner = fitted(node, "_Booster")
    if not isinstance(inner, Node) or inner.made_by != _BOOSTER:
        raise impossible("_Booster")
    return inner


def used_iterations(node: Node, model: Model) -> int:
    """How many iterations a booster answers with: up to the best one where there is."""
    best = node.attributes().get("best_iteration", 0)
    if isinstance(best, bool) or not isinstance(best, int):
        raise impossible("best_iteration")
    total = len(model.trees) // model.classes
    return min(best, total) if best > 0 else total


def known_categories(node: Node, model: Model) -> Mapping[int, Sequence[object]]:
    """The categories of the data frame of the training, by column; none where it held codes."""
    listed = node.attributes().get("pandas_categorical")
    if listed is None:
        return {}
    if not isinstance(listed, list) or not all(isinstance(each, list) for each in listed):
        raise impossible("pandas_categorical")
    if not listed:
        return {}
    if model.categorical is None or len(model.categorical) != len(listed):
        raise Refusal(
            "valores_distintos",
            "LightGBM no dice qué columnas son las de las categorías que aprendió",
            "LightGBM does not say which columns hold the categories that it learnt",
        )
    return dict(zip(model.categorical, listed, strict=True))


def checked(model: Model, iterations: int) -> tuple[Trees, np.ndarray]:
    """The trees of so many iterations, every node checked; and the columns whose 0 is missing.

    In a softmax the leaves of the first class are negative: only the difference counts.
    """
    used = model.trees[: iterations * model.classes]
    sizes = [whole(tree, "num_leaves") for tree in used]
    if 0 in sizes:
        raise ensemble.impossible("un árbol sin nodos", "a tree without nodes")
    places = Places.of([2 * size - 1 for size in sizes])
    parts = [_parts(tree, size) for tree, size in zip(used, sizes, strict=True)]
    field = {name: np.concatenate([part[name] for part in parts]) for name in _FIELDS}
    kind, inner = field["decision_type"], field["left"] >= 0
    missing = kind >> _MISSING_SHIFT
    places.refuse(
        inner & ((missing < 0) | (missing > _NANS)), "un corte desconocido", "an odd split"
    )
    by_category = inner & (kind & _CATEGORICAL != 0)
    zeros = _check_columns(field["feature"], inner, by_category, missing)
    known_left = np.where(missing == _NONE, field["threshold"] >= 0, kind & _DEFAULT_LEFT != 0)
    signs = np.where(np.arange(len(used)) % 2, 1.0, -1.0) if model.classes == 2 else 1.0
    trees = ensemble.checked(
        places,
        width=model.width,
        left=field["left"],
        right=field["right"],
        feature=field["feature"],
        threshold=field["threshold"],
        value=field["value"] * np.repeat(np.broadcast_to(signs, len(used)), places.sizes),
        missing_left=known_left & ~by_category,
        weight=field["weight"],
        may_be_infinite=inner,
        categories=_categories(used, places, by_category, field["threshold"]),
    )
    return trees, zeros


_FIELDS = ("left", "right", "feature", "threshold", "decision_type", "value", "weight")


def _parts(tree: dict[str, str], leaves: int) -> dict[str, np.ndarray]:
    """The fields of one tree: its splits, then its leaves."""
    if whole(tree, "is_linear") if "is_linear" in tree else 0:
        raise Refusal(
            "familia_desconocida",
            "LightGBM con regresiones en las hojas (linear_tree)",
            "LightGBM with regressions in its leaves (linear_tree)",
        )
    splits, none = leaves - 1, np.full(leaves, -1)
    children = [wholes(tree, f"{side}_child", splits) for side in ("left", "right")]
    if any(((child < -leaves) | (child >= splits)).any() for child in children):
        raise ensemble.impossible("un hijo que no existe", "a child that does not exist")
    left, right = (np.where(child < 0, splits + ~child, child) for child in children)
    weight = [_counts(tree, "internal_count", splits), _counts(tree, "leaf_count", leaves)]
    padding = np.zeros(leaves, np.int64)
    return {
        "left": np.concatenate([left, none]),
        "right": np.concatenate([right, none]),
        "feature": np.concatenate([wholes(tree, "split_feature", splits), padding]),
        "threshold": np.concatenate([decimals(tree, "threshold", splits), padding]),
        "decision_type": np.concatenate([wholes(tree, "decision_type", splits), padding]),
        "value": np.concatenate([np.zeros(splits), decimals(tree, "leaf_value", leaves)]),
        "weight": np.concatenate(weight).astype(np.float64),
    }


def _counts(tree: dict[str, str], name: str, size: int) -> np.ndarray:
    """How many training rows came by; older versions leave it out for a single leaf."""
    return wholes(tree, name, size) if tree.get(name) else np.zeros(size, np.int64)


def _check_columns(
    feature: np.ndarray, inner: np.ndarray, by_category: np.ndarray, missing: np.ndarray
) -> np.ndarray:
    """The columns whose zeros are missing; refuses one that splits understand in two ways."""
    numeric = inner & ~by_category
    zeros = np.unique(feature[numeric & (missing == _ZEROS)])
    others = feature[(numeric & (missing == _NANS)) | by_category]
    if np.isin(zeros, others).any() or np.isin(feature[numeric], feature[by_category]).any():
        raise ensemble.impossible(
            "una columna que se entiende de dos maneras", "a column that is understood in two ways"
        )
    return zeros


def _categories(
    used: Sequence[dict[str, str]], places: Places, nodes: np.ndarray, thresholds: np.ndarray
) -> dict[int, np.ndarray]:
    """The ascending codes that each of these nodes sends left; its threshold says which list."""
    found: dict[int, np.ndarray] = {}
    opened, total = -1, 0
    begins, words = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for node in np.flatnonzero(nodes).tolist():
        number = int(np.searchsorted(places.roots, node, side="right")) - 1
        if number != opened:
            begins, words = _bits(used[number])
            opened = number
        place = thresholds[node]
        if place not in range(len(begins) - 1):
            raise ensemble.impossible("categorías imposibles", "impossible categories")
        own = words[begins[int(place)] : begins[int(place) + 1]]
        if len(own) * _WORD > LARGEST_CODE + 1:
            raise ensemble.impossible("categorías imposibles", "impossible categories")
        bits = np.unpackbits(own.astype("<u4").view(np.uint8), bitorder="little")
        found[node] = np.flatnonzero(bits)
        total += found[node].size
        if total > MOST_CODES:
            raise Refusal("demasiado_grande", f"{total} categorías", f"{total} categories")
    return found


def _bits(tree: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Where each list of codes of a tree begins, with the end of the last; and their bits."""
    count = whole(tree, "num_cat")
    begins = wholes(tree, "cat_boundaries", count + 1)
    words = wholes(tree, "cat_threshold", tree.get("cat_threshold", "").count(" ") + 1)
    if begins[0] != 0 or begins[-1] != len(words) or (np.diff(begins) < 0).any():
        raise impossible("cat_boundaries")
    if ((words < 0) | (words >= 1 << _WORD)).any():
        raise impossible("cat_threshold")
    return begins, words


def _chance(node: Node, label: str, flow: Flow, shop: Workshop) -> tuple[str, str | None]:
    """The probability of the second class, and the sum behind it where it is one: (n, 1)."""
    model = lightgbm_text.read(node)
    shop.libraries["lightgbm"] = model.version
    names = flow.names
    if names is not None:
        # LightGBM writes names without blanks.
        plain = tuple(name.replace(" ", "_") for name in names)
        flow = shop.reordered(renamed(flow, plain), model.names)
    check_width(label, model.width, flow.width)
    shop.matched = True
    flow = coded(flow, known_categories(node, model), shop)
    iterations = used_iterations(node, model)
    trees, zeros = checked(model, iterations)
    total = ensemble.written(
        trees, _without_tiny(trees, zeros, flow, shop), shop, rounded=False, mean=False
    )
    graph, raw = shop.graph, total
    if model.mean:
        total = graph.add("Div", total, graph.constant(np.array([float(iterations)])))
    product = graph.add("Mul", total, graph.constant(np.array([model.slope])))
    return graph.add("Sigmoid", product), raw if model.classes == 1 else None


def _without_tiny(trees: Trees, zeros: np.ndarray, flow: Flow, shop: Workshop) -> Flow:
    """The flow with 0 for what is nearly that, or with NaN where 0 is a missing value.

    Only where a threshold lies so near to 0 that it matters.
    """
    graph = shop.graph
    near = (trees.left >= 0) & (trees.threshold >= -_ZERO) & (trees.threshold < _ZERO)
    near[list(trees.categories)] = False
    if not zeros.size and not near.any():
        return flow
    instead = np.zeros((1, flow.width))
    instead[0, zeros] = np.nan
    size = graph.add("Abs", flow.tensor)
    tiny = graph.add("LessOrEqual", size, graph.constant(np.array([_ZERO])))
    rows = graph.add("Where", tiny, graph.constant(instead), flow.tensor)
    columns = tuple(
        replace(column, missing=column.missing or place in zeros)
        for place, column in enumerate(flow.columns)
    )
    return Flow(rows, columns, flow.label)


CLASSIFIERS = {
    ("lightgbm.sklearn", "LGBMClassifier"): classifier,
    (_BOOSTER.module, _BOOSTER.name): bare,
}
# The labels, once more.
HELPERS = frozenset({("sklearn.preprocessing._label", "LabelEncoder")})
