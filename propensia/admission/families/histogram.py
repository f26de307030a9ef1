"""Histogram gradient boosting, with its own categories and missing values.

Its trees are checked like all others; what it kept for binning the training rows is not read.

Conventions of scikit-learn (``sklearn/ensemble/_hist_gradient_boosting``, ``gradient_boosting.py``
and ``_predictor.pyx``):

- rows are double; ``x <= num_threshold`` goes left; a missing one goes where
  ``missing_go_to_left`` says, and ``+inf`` as threshold parts missing from known values;
- the decision is the baseline plus the leaves; the answer is its logistic function;
- a split by category sends the codes in its set left; a code that training did not meet goes
  where a missing one goes;
- since 1.4 a preprocessor puts the categories first, as their places among those of training
  (``_preprocess_X``); before, the columns are the codes themselves, 0 to 254, cut off to whole
  numbers, a negative one missing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from propensia.admission.families import columns, ensemble
from propensia.admission.families.attributes import (
    bad_weights,
    binary_classes,
    fitted,
    numbers,
    short_name,
    word,
)
from propensia.admission.families.boosting import listed
from propensia.admission.families.ensemble import Places, Trees, impossible
from propensia.admission.families.lookup import Table, looked_up
from propensia.admission.families.parts import Chance, Flow, Workshop
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal

_MODULE = "sklearn.ensemble._hist_gradient_boosting"
PREDICTOR = Global(f"{_MODULE}.predictor", "TreePredictor")
_FIELDS = {
    "value": "f",
    "count": "iu",
    "feature_idx": "iu",
    "num_threshold": "f",
    "missing_go_to_left": "iub",
    "left": "iu",
    "right": "iu",
    "is_leaf": "iub",
    "is_categorical": "iub",
    "bitset_idx": "iu",
}
# A set of categories is 256 bits, in words of 32.
_WORDS, _CODES = 8, 256
_MOST_SETS = 500_000
# More than the last digits of any step before, less than what parts two values of a contract.
_ROOM = 1e-12


def histogram(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """Histogram gradient boosting: the logistic function of a baseline and a sum of trees."""
    classes = binary_classes(node)
    if word(node, "loss") not in ("log_loss", "binary_crossentropy", "auto"):
        raise bad_weights(node, "loss")
    flow = _prepared(node, flow, shop)
    baseline = fitted(node, "_baseline_prediction")
    shape = baseline.shape if isinstance(baseline, np.ndarray) and baseline.size == 1 else ()
    start = numbers(node, "_baseline_prediction", shape).reshape(1)
    trees = _raised(checked(_predictors(node), flow.width), flow)
    total = ensemble.written(trees, flow, shop, rounded=False, mean=False)
    decision = shop.graph.add("Add", total, shop.graph.constant(start))
    return Chance(shop.graph.add("Sigmoid", decision), classes, short_name(node), decision)


def _raised(trees: Trees, flow: Flow) -> Trees:
    """The trees with thresholds a little higher on columns whose last digits may differ.

    A threshold may be a training value itself (``binning.py``, of more values than bins): the
    same row must then go left here too.
    """
    inexact = np.array([column.inexact for column in flow.columns], bool)
    nodes = (trees.left >= 0) & np.isfinite(trees.threshold)
    nodes[list(trees.categories)] = False
    nodes[nodes] = inexact[trees.feature[nodes]]
    threshold = trees.threshold.copy()
    with np.errstate(over="ignore"):
        higher = threshold[nodes] + _ROOM * (1 + np.abs(threshold[nodes]))
    threshold[nodes] = np.minimum(higher, np.finfo(np.float64).max)
    return replace(trees, threshold=threshold)


def checked(predictors: list[object], width: int) -> Trees:
    """The trees inside predictors, every node and set checked; else ``arbol_imposible``."""
    if len(predictors) > ensemble.MOST_TREES:
        raise Refusal("demasiado_grande", f"{len(predictors)} árboles", f"{len(predictors)} trees")
    states = [_state(predictor) for predictor in predictors]
    places = Places.of([len(nodes) for nodes, _ in states])
    column = {name: np.concatenate([nodes[name] for nodes, _ in states]) for name in _FIELDS}
    leaf = column["is_leaf"] != 0
    left, right = (np.where(leaf, -1, column[side].astype(np.int64)) for side in ("left", "right"))
    return ensemble.checked(
        places,
        width=width,
        left=left,
        right=right,
        feature=column["feature_idx"],
        threshold=column["num_threshold"],
        value=column["value"],
        missing_left=column["missing_go_to_left"] != 0,
        weight=column["count"].astype(np.float64),
        may_be_infinite=np.ones(len(leaf), bool),
        categories=_categories(states, places),
    )


def _categories(
    states: list[tuple[np.ndarray, np.ndarray]], places: Places
) -> dict[int, np.ndarray]:
    """The codes that go left, by the index of the split among all nodes."""
    splits, words = [np.zeros(0, np.int64)], [np.zeros((0, _WORDS), np.uint32)]
    for (nodes, sets), root in zip(states, places.roots, strict=True):
        found = np.flatnonzero((nodes["is_categorical"] != 0) & (nodes["is_leaf"] == 0))
        numbers = nodes["bitset_idx"][found].astype(np.int64)
        if ((numbers < 0) | (numbers >= len(sets))).any():
            raise impossible("un conjunto que no está", "a set that is not there")
        splits.append(root + found)
        words.append(sets[numbers])
    every = np.concatenate(words).astype("<u4")
    counts = np.bitwise_count(every).sum(axis=1)
    if len(every) > _MOST_SETS or counts.sum() > ensemble.MOST_CODES:
        told = len(every)
        raise Refusal("demasiado_grande", f"{told} conjuntos", f"{told} sets of categories")
    bits = np.unpackbits(every.view(np.uint8), axis=1, bitorder="little")
    lists = np.split(np.nonzero(bits)[1], np.cumsum(counts)[:-1])
    # Cutting nothing leaves one empty list, which belongs to no split.
    return dict(zip(np.concatenate(splits).tolist(), lists, strict=False))


def _predictors(node: Node) -> list[object]:
    """The trees, one per stage."""
    trees = []
    for stage in listed(node, "_predictors"):
        if not isinstance(stage, list) or len(stage) != 1:
            raise Refusal(
                "no_es_clasificador_binario",
                f"{short_name(node)} no tiene un árbol por etapa",
                f"{short_name(node)} does not have one tree per stage",
            )
        trees.append(stage[0])
    return trees


def _state(predictor: object) -> tuple[np.ndarray, np.ndarray]:
    """The nodes of one tree and the bits of its sets, of the types and shapes they must have."""
    if not isinstance(predictor, Node) or predictor.made_by != PREDICTOR:
        raise impossible("no es un árbol de histograma", "not a histogram tree")
    state = predictor.attributes()
    nodes, bits = state.get("nodes"), state.get("raw_left_cat_bitsets")
    if not isinstance(nodes, np.ndarray) or not isinstance(bits, np.ndarray):
        raise Refusal("no_entrenado", "un árbol sin nodos", "a tree without nodes")
    kinds = nodes.dtype.fields or {}
    if (
        nodes.ndim != 1
        or len(nodes) == 0
        or any(
            name not in kinds or kinds[name][0].kind not in kind for name, kind in _FIELDS.items()
        )
    ):
        raise impossible("nodos de otro tipo", "nodes of another type")
    if bits.ndim != 2 or bits.shape[1] != _WORDS or bits.dtype != np.uint32:
        raise impossible("conjuntos de otro tipo", "sets of another type")
    return nodes, bits


def _prepared(node: Node, flow: Flow, shop: Workshop) -> Flow:
    """The columns as the trees were grown on them: categories as codes, unknown ones missing."""
    mask = _categorical(node, flow.width)
    preprocessor = node.attributes().get("_preprocessor")
    if preprocessor is None:
        return _known(node, mask, flow, shop) if mask.any() else flow
    if not isinstance(preprocessor, Node):
        raise bad_weights(node, "_preprocessor")
    parts = []
    for name, transformer, places in columns.numbered(preprocessor):
        if not places:
            continue
        if min(places) < 0 or max(places) >= flow.width:
            raise bad_weights(node, "_preprocessor")
        part = shop.picked(flow, places)
        # What is called numerical goes through a check of types, which changes no number.
        parts.append(shop.transformer(transformer, part) if name == "encoder" else part)
    return shop.joined(parts, flow.label)


def _categorical(node: Node, width: int) -> np.ndarray:
    """Which columns hold categories (width,)."""
    mask = node.attributes().get("is_categorical_")
    if mask is None:
        return np.zeros(width, bool)
    if not isinstance(mask, np.ndarray) or mask.dtype.kind != "b" or mask.shape != (width,):
        raise bad_weights(node, "is_categorical_")
    return mask


def _known(node: Node, mask: np.ndarray, flow: Flow, shop: Workshop) -> Flow:
    """The columns with the categories that training did not meet made missing (up to 1.3)."""
    mapper = fitted(node, "_bin_mapper")
    listed = mapper.attributes().get("bin_thresholds_") if isinstance(mapper, Node) else None
    if not isinstance(listed, list) or len(listed) != flow.width:
        raise bad_weights(node, "_bin_mapper")
    places = np.flatnonzero(mask).tolist()
    tables = [_table(node, listed[place]) for place in places]
    graph = shop.graph
    codes = graph.add("Floor", graph.picked(flow.tensor, places))
    codes = looked_up(codes, tables, shop, codes=False, missing=flow.missing)
    # The codes are put behind the columns, and taken from there where a category was.
    both = graph.add("Concat", flow.tensor, codes, axis=1)
    order = np.where(mask, flow.width - 1 + np.cumsum(mask), np.arange(flow.width))
    described = tuple(
        replace(column, missing=column.missing or bool(is_category))
        for column, is_category in zip(flow.columns, mask, strict=True)
    )
    return Flow(graph.picked(both, order.tolist()), described, flow.label)


def _table(node: Node, codes: object) -> Table:
    """The codes that training met, each as itself, and everything else missing."""
    if not isinstance(codes, np.ndarray) or codes.ndim != 1 or codes.dtype.kind not in "fiu":
        raise bad_weights(node, "_bin_mapper")
    values = codes.astype(np.float64)
    inside = (values >= 0) & (values < _CODES) & (values == np.floor(values))
    if not inside.all() or (np.diff(values) <= 0).any():
        raise bad_weights(node, "_bin_mapper")
    return Table(values, values, np.nan, np.nan)


_CLASS = "HistGradientBoostingClassifier"
CLASSIFIERS = {(f"{_MODULE}.gradient_boosting", _CLASS): histogram}
PARTS = frozenset({(PREDICTOR.module, PREDICTOR.name), (f"{_MODULE}.binning", "_BinMapper")})
HELPERS = frozenset(
    {
        (f"{_MODULE}.loss", "BinaryCrossEntropy"),
        # Left behind, bound to the model itself, by early stopping with a scorer.
        (f"{_MODULE}.gradient_boosting", f"{_CLASS}._raw_predict"),
        (f"{_MODULE}.gradient_boosting", "BaseHistGradientBoosting._raw_predict"),
        # How the preprocessor looks at the numbers; never called.
        ("functools", "partial"),
        ("sklearn.utils.validation", "check_array"),
    }
)
