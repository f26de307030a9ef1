"""Calibrated classifiers: the mean over folds of what each one's calibrator makes of it.

No calibrator is used before its numbers have been checked.

Conventions of scikit-learn since 1.1 (``sklearn/calibration.py``, ``sklearn/isotonic.py``):

- a calibrator gets the decision of its classifier, or the probability of the second class of one
  that has no decision;
- ``sigmoid`` answers with 1 / (1 + exp(a x + b));
- ``isotonic`` cuts x to the thresholds and interpolates between them in the number type of the
  thresholds, as ``numpy.interp`` in double and as ``interp1d`` of scipy in float32: the two take
  an interval each at a threshold, and differ in the last place there;
- ``temperature`` (since 1.8) answers with the softmax of beta times (-x, x), or of beta times
  the logarithms of both probabilities plus 1e-12;
- what exceeds 1 by rounding is 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from propensia.admission.families.attributes import (
    Pair,
    bad_weights,
    binary_classes,
    fitted,
    numbers,
    pair_of,
    short_name,
    texts,
    word,
)
from propensia.admission.families.parts import Chance, Flow, Workshop
from propensia.admission.graph import DOUBLE, FLOAT, INT64, ML, Graph
from propensia.admission.nodes import Node
from propensia.admission.refusal import Refusal

# Of all folds together; calibration on a million rows leaves a few thousand.
_MOST_THRESHOLDS = 200_000
_TINY = 1e-12
# By so much a probability may exceed one, and is then one.
_ROUNDING = 1e-5


def calibrated(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """The mean of the calibrated classifiers of all folds; it has no decision of its own."""
    classes = binary_classes(node)
    members = fitted(node, "calibrated_classifiers_")
    if not isinstance(members, list) or not members:
        raise Refusal(
            "no_entrenado",
            f"{short_name(node)} sin clasificadores",
            f"{short_name(node)} without classifiers",
        )
    found = [_member(member, classes, flow, shop) for member in members]
    calibrators, chances = [item[0] for item in found], [item[1] for item in found]
    kinds = {pair_of(calibrator) for calibrator in calibrators}
    if len(kinds) != 1:
        raise bad_weights(node, "calibrated_classifiers_")
    share = _BY_KIND[kinds.pop()](calibrators, chances, shop)
    graph, count = shop.graph, len(found)
    if count > 1:
        total = graph.add("ReduceSum", share, graph.constant(np.array([1])), keepdims=1)
        share = graph.add("Div", total, graph.constant(np.array([float(count)])))
    return Chance(share, classes, f"{short_name(node)}({chances[0].label})")


def _member(
    value: object, classes: tuple[str, str], flow: Flow, shop: Workshop
) -> tuple[Node, Chance]:
    """The calibrator of one calibrated classifier, and what the classifier itself says."""
    if not isinstance(value, Node) or pair_of(value) != _MEMBER:
        raise Refusal(
            "no_entrenado", "un clasificador sin calibrar", "a classifier without calibration"
        )
    state = value.attributes()
    chance = shop.classifier(state.get("estimator", state.get("base_estimator")), flow)
    calibrators = fitted(value, "calibrators")
    if not isinstance(calibrators, list) or len(calibrators) != 1:
        raise bad_weights(value, "calibrators")
    (calibrator,) = calibrators
    kind = pair_of(calibrator)
    if not isinstance(calibrator, Node) or _METHODS.get(kind) != word(value, "method"):
        raise bad_weights(value, "calibrators")
    if kind == _TEMPERATURE:
        # Its classifiers were trained on the places of the classes, not on their names.
        return calibrator, chance
    if chance.classes is not None and _numbered(chance.classes) != _numbered(classes):
        raise bad_weights(value, "classes")
    if texts(value, "classes") != classes:
        raise bad_weights(value, "classes")
    return calibrator, chance


def _numbered(classes: tuple[str, str]) -> tuple[str, ...]:
    """The labels with 0 and 1 for no and yes: XGBoost numbers its own, whatever it learnt from."""
    return tuple({"False": "0", "True": "1"}.get(label, label) for label in classes)


def _beside(tensors: list[str], graph: Graph) -> str:
    """Columns of one number each beside each other: one per fold, (n, f)."""
    return tensors[0] if len(tensors) == 1 else graph.add("Concat", *tensors, axis=1)


def _responses(chances: list[Chance], graph: Graph) -> str:
    return _beside([chance.decision or chance.tensor for chance in chances], graph)


def _given(calibrators: list[Node], attribute: str, graph: Graph) -> str:
    """A number of each calibrator, (f,)."""
    return graph.constant(np.array([numbers(item, attribute, ()) for item in calibrators]))


def _sigmoid(calibrators: list[Node], chances: list[Chance], shop: Workshop) -> str:
    graph = shop.graph
    slope, offset = (_given(calibrators, name, graph) for name in ("a_", "b_"))
    exponent = graph.add("Add", graph.add("Mul", _responses(chances, graph), slope), offset)
    return graph.add("Sigmoid", graph.add("Neg", exponent))


def _temperature(calibrators: list[Node], chances: list[Chance], shop: Workshop) -> str:
    graph, beta = shop.graph, _given(calibrators, "beta_", shop.graph)
    decisions = [chance.decision for chance in chances if chance.decision is not None]
    if len(decisions) == len(chances):
        decided = _beside(decisions, graph)
        apart = graph.add("Add", decided, decided)
    elif decisions:
        raise bad_weights(calibrators[0], "beta_")
    else:
        second = _responses(chances, graph)
        tiny = graph.constant(np.array([_TINY]))
        both = [
            graph.add("Log", graph.add("Add", share, tiny))
            for share in (second, graph.complement(second))
        ]
        apart = graph.add("Sub", *both)
    return graph.add("Sigmoid", graph.add("Mul", apart, beta))


def _isotonic(calibrators: list[Node], chances: list[Chance], shop: Workshop) -> str:
    """The interpolation between thresholds, bit for bit, of all folds at once."""
    graph = shop.graph
    pieces = [_Pieces.of(calibrator) for calibrator in calibrators]
    kinds = {piece.start.dtype for piece in pieces}
    if len(kinds) != 1:
        raise bad_weights(calibrators[0], "X_thresholds_")
    count = sum(len(piece.bounds) for piece in pieces)
    if count > _MOST_THRESHOLDS:
        raise Refusal("demasiado_grande", f"{count} umbrales", f"{count} thresholds")
    value = _responses(chances, graph)
    single = kinds.pop() == np.float32
    if single:  # and back, for the tree compares in double
        value = graph.cast(value, FLOAT)
    wide = graph.cast(value, DOUBLE) if single else value
    places, before = [], 0
    for fold, piece in enumerate(pieces):
        places.append(_place(wide, fold, piece.bounds, before, graph))
        before += len(piece.start)
    shop.count("thresholds", count)
    place = graph.cast(_beside(places, graph), INT64)
    start, height, slope = (
        graph.add("Gather", graph.constant(np.concatenate(table)), place, axis=0)
        for table in (
            [piece.start for piece in pieces],
            [piece.height for piece in pieces],
            [piece.slope for piece in pieces],
        )
    )
    gone = graph.add("Mul", slope, graph.add("Sub", value, start))
    share = graph.add("Add", gone, height)
    if single:
        share = graph.cast(share, DOUBLE)
    return graph.add("Min", share, graph.constant(np.ones(1)))


@dataclass(frozen=True, slots=True)
class _Pieces:
    """The straight pieces of one isotonic calibrator, from left to right, (m,) each.

    On piece ``i`` the answer to x is ``slope * (x - start) + height``; the first and the last are
    level, for what lies outside the thresholds. ``bounds`` (m - 1,) double, ascending: x is on
    piece ``i`` when ``i`` of them are less than x.
    """

    start: np.ndarray
    height: np.ndarray
    slope: np.ndarray
    bounds: np.ndarray

    @classmethod
    def of(cls, node: Node) -> _Pieces:
        """The pieces between the thresholds of a fitted calibrator."""
        x, y = _thresholds(node)
        with np.errstate(over="ignore"):
            slope = np.diff(y) / np.diff(x)
        if not np.isfinite(slope).all():
            raise bad_weights(node, "X_thresholds_")
        level = np.zeros(1, x.dtype)
        if x.dtype == np.float32:
            # The right end of a piece belongs to it, also that of the last.
            end = slope[-1:] * (x[-1:] - x[-2:-1]) + y[-2:-1] if len(x) > 1 else y
            bounds = x.astype(np.float64)
        else:
            end, bounds = y[-1:], np.nextafter(x, -np.inf)
        return cls(
            start=np.concatenate([x[:1], x]),
            height=np.concatenate([y[:1], y[:-1], end]),
            slope=np.concatenate([level, slope, level]),
            bounds=bounds,
        )


def _thresholds(node: Node) -> tuple[np.ndarray, np.ndarray]:
    """The points of an isotonic calibrator (k,), both double or both float32, x ascending."""
    x, y = fitted(node, "X_thresholds_"), fitted(node, "y_thresholds_")
    if not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray):
        raise bad_weights(node, "X_thresholds_")
    if x.ndim != 1 or x.shape != y.shape or x.dtype != y.dtype or x.dtype not in _TYPES:
        raise bad_weights(node, "X_thresholds_")
    if not len(x) or not np.isfinite(x).all() or not (x[1:] > x[:-1]).all():
        raise bad_weights(node, "X_thresholds_")
    if not (y >= 0).all() or not (y <= 1 + _ROUNDING).all():
        raise bad_weights(node, "y_thresholds_")
    if word(node, "out_of_bounds") != "clip":
        raise bad_weights(node, "out_of_bounds")
    return x, y


def _place(values: str, column: int, bounds: np.ndarray, before: int, graph: Graph) -> str:
    """How many of the ascending bounds (k,) are less than a column, plus ``before``: (n, 1).

    One balanced tree finds it in log k steps, and no row is compared with all bounds. Its splits
    lie level by level; those behind the last bound send every row left.
    """
    depth = len(bounds).bit_length()
    padded = np.full((1 << depth) - 1, np.inf)
    padded[: len(bounds)] = bounds
    order = [
        ((2 * np.arange(1 << level) + 1) << (depth - 1 - level)) - 1 for level in range(depth)
    ]
    splits = len(padded)
    child = 2 * np.arange(splits) + 1
    is_leaf = child >= splits
    left = np.where(is_leaf, child - splits, child)
    leaves = before + np.minimum(np.arange(splits + 1), len(bounds))
    return graph.add(
        "TreeEnsemble",
        values,
        domain=ML,
        tree_roots=[0],
        nodes_featureids=[column] * splits,
        nodes_splits=padded[np.concatenate(order)],
        nodes_modes=np.zeros(splits, np.uint8),
        nodes_truenodeids=left.tolist(),
        nodes_trueleafs=is_leaf.astype(int).tolist(),
        nodes_falsenodeids=(left + 1).tolist(),
        nodes_falseleafs=is_leaf.astype(int).tolist(),
        leaf_targetids=[0] * (splits + 1),
        leaf_weights=leaves.astype(np.float64),
        n_targets=1,
        aggregate_function=1,
        post_transform=0,
    )


_TYPES = (np.dtype(np.float32), np.dtype(np.float64))
_MEMBER: Pair = ("sklearn.calibration", "_CalibratedClassifier")
_SIGMOID: Pair = ("sklearn.calibration", "_SigmoidCalibration")
_TEMPERATURE: Pair = ("sklearn.calibration", "_TemperatureScaling")
_ISOTONIC: Pair = ("sklearn.isotonic", "IsotonicRegression")
_METHODS = {_SIGMOID: "sigmoid", _TEMPERATURE: "temperature", _ISOTONIC: "isotonic"}
_BY_KIND: dict[Pair, Callable[[list[Node], list[Chance], Workshop], str]] = {
    _SIGMOID: _sigmoid,
    _TEMPERATURE: _temperature,
    _ISOTONIC: _isotonic,
}
CLASSIFIERS = {("sklearn.calibration", "CalibratedClassifierCV"): calibrated}
PARTS = frozenset({_MEMBER, *_METHODS})
