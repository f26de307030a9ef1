"""What changes the shape of a distribution: powers, quantiles, bins, thresholds, norms of rows.

Every formula is that of scikit-learn in the same order; none is fitted or simplified here.

Source: ``transform`` of each class in ``sklearn/preprocessing/_data.py`` and
``_discretization.py`` (a value on an edge belongs to the bin above it, in every version since
1.1); Yeo and Johnson 2000; Box and Cox 1964; the normal quantile after Wichura 1988, AS 241.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np

from propensia.admission.arrays import NDARRAY
from propensia.admission.families.attributes import (
    bad_weights,
    fitted,
    flag,
    number_type,
    numbers,
    short_name,
    version_of,
    word,
)
from propensia.admission.families.encoders import spread
from propensia.admission.families.lookup import counted
from propensia.admission.families.parts import MOST_COLUMNS, Column, Flow, Workshop, check_complete
from propensia.admission.graph import BOOL, DOUBLE, FLOAT, Graph
from propensia.admission.nodes import Node
from propensia.admission.refusal import Refusal

_EPSILON = float(np.finfo(np.float64).eps)
# Up to 1.8 the power itself is taken; since 1.9 scipy's form, exact near zero.
_STABLE_SINCE = (1, 9)
_SMALLEST_BOX_COX = 1e-19
_BOUND = 1e-7  # of QuantileTransformer: that near an end a value is the end
_TAIL = _BOUND - _EPSILON
_MOST_QUANTILES = 1_000_000
# Wichura 1988, PPND16: numerators and denominators by rising power, for the middle and a tail.
_MIDDLE = (
    (3.3871328727963666080, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
     45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727),
    (1.0, 42.313330701600911252, 687.18700749205790830, 5394.1960214247511077,
     21213.794301586595867, 39307.895800092710610, 28729.085735721942674, 5226.4952788528545610),
)  # fmt: skip
_OUTSIDE = (
    (1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550,
     3.64784832476320460504, 1.27045825245236838258, 0.241780725177450611770,
     0.0227238449892691845833, 0.000774545014278341407640),
    (1.0, 2.05319162663775882187, 1.67638483018380384940, 0.689767334985100004550,
     0.148103976427480074590, 0.0151986665636164571966, 0.000547593808499534494600,
     1.05075007164441684324e-9),
)  # fmt: skip
_MIDDLE_HALF, _MIDDLE_SQUARE, _OUTSIDE_START = 0.425, 0.180625, 1.6


def power(node: Node, flow: Flow, shop: Workshop) -> Flow:
    """Yeo-Johnson or Box-Cox of each column, then standardised if that was asked for."""
    lambdas = numbers(node, "lambdas_", (flow.width,))
    method = word(node, "method")
    if method == "yeo-johnson":
        version = version_of(node)
        stable = version is None or version >= _STABLE_SINCE
        tensor = _yeo_johnson(flow.tensor, lambdas, stable, shop.graph)
    elif method == "box-cox":
        tensor = _box_cox(flow.tensor, lambdas, shop)
    else:
        raise bad_weights(node, "method")
    shaped = Flow(tensor, _inexact(flow), short_name(node))
    if not flag(node, "standardize", True):
        return shaped
    scaled = shop.transformer(fitted(node, "_scaler"), shaped)
    return Flow(scaled.codes, scaled.columns, short_name(node))


def quantile(node: Node, flow: Flow, shop: Workshop) -> Flow:
    """The share of training rows below each value, or that share as a normal quantile.

    Between two quantiles the line through both; among equal ones the mean of the two ends.
    """
    graph, x = shop.graph, flow.tensor
    if flow.sparse:  # the library leaves alone what is not stored, whatever its share would be
        raise Refusal("familia_desconocida", f"{short_name(node)} (sparse_output=True)")
    references = fitted(node, "references_")
    size = references.shape[0] if isinstance(references, np.ndarray) and references.ndim else 0
    if not 1 <= size <= _MOST_QUANTILES:
        raise bad_weights(node, "references_")
    shares = numbers(node, "references_", (size,))
    points = numbers(node, "quantiles_", (size, flow.width)).T
    normal = word(node, "output_distribution") == "normal"
    if _falls(points) or _falls(shares):
        raise bad_weights(node, "quantiles_")
    if not normal and word(node, "output_distribution") != "uniform":
        raise bad_weights(node, "output_distribution")
    slopes = _slopes(node, points, shares)
    flat = np.zeros((flow.width, 1))
    # From the left: the last quantile that is not above; before the first nothing rises.
    rising = _line(
        counted(x, list(points), shop, equal=True),
        np.hstack([points[:, :1], points]),
        np.hstack([flat, slopes, flat]),
        np.append(shares[:1], shares),
        x,
        graph,
    )
    # From the right, in negated numbers as the library does: the first quantile not below.
    falling = _line(
        counted(x, list(points), shop, equal=False),
        -np.hstack([points, points[:, -1:]]),
        np.hstack([flat, slopes, flat]),
        -np.append(shares, shares[-1:]),
        graph.add("Neg", x),
        graph,
    )
    share = graph.add("Mul", _number(0.5, graph), graph.add("Sub", rising, falling))
    share = _bounded(share, x, points, normal, graph)
    if normal:
        share = _normal_quantile(share, graph)
    if flow.missing:
        share = graph.add("Where", graph.add("IsNaN", x), x, share)
    return Flow(share, _inexact(flow) if normal else flow.columns, short_name(node))


def bins(node: Node, flow: Flow, shop: Workshop) -> Flow:
    """The number of the bin of each value, or one column per bin."""
    check_complete(short_name(node), flow.columns)
    edges = _inner_edges(node, flow.width)
    x, graph = flow.tensor, shop.graph
    if number_type(node, "dtype") == np.float32:
        x = graph.cast(graph.cast(x, FLOAT), DOUBLE)
    places = graph.cast(counted(x, edges, shop, equal=True), DOUBLE)
    if word(node, "encode") == "ordinal":
        return Flow(places, (Column(),) * flow.width, short_name(node))
    if word(node, "encode") not in ("onehot", "onehot-dense"):
        raise bad_weights(node, "encode")
    widths = [len(inner) + 1 for inner in edges]
    return spread(node, places, widths, word(node, "encode") == "onehot", shop)


def binarizer(node: Node, flow: Flow, shop: Workshop) -> Flow:
    """1 where a value is above the threshold, else 0."""
    check_complete(short_name(node), flow.columns)
    threshold = numbers(node, "threshold", ())
    above = shop.graph.add("Greater", flow.tensor, shop.graph.constant(threshold))
    codes = shop.graph.cast(above, DOUBLE)
    return Flow(codes, (Column(),) * flow.width, short_name(node), flow.sparse)


def normalizer(node: Node, flow: Flow, shop: Workshop) -> Flow:
    """Each row divided by its norm; by one where that is next to nothing."""
    check_complete(short_name(node), flow.columns)
    graph, x = shop.graph, flow.tensor
    axis = graph.constant(np.array([1]))
    norm = word(node, "norm")
    if norm == "l2":
        total = graph.add("ReduceSum", graph.add("Mul", x, x), axis, keepdims=1)
        size = graph.add("Sqrt", total)
    elif norm in ("l1", "max"):
        reduce = "ReduceSum" if norm == "l1" else "ReduceMax"
        size = graph.add(reduce, graph.add("Abs", x), axis, keepdims=1)
    else:
        raise bad_weights(node, "norm")
    small = graph.add("Less", size, _number(10 * _EPSILON, graph))
    divisor = graph.add("Where", small, _number(1.0, graph), size)
    columns = flow.columns if norm == "max" else _inexact(flow)
    codes = graph.add("Div", x, divisor)
    return Flow(codes, columns, short_name(node), flow.sparse, flow.zeros)


def _inexact(flow: Flow) -> tuple[Column, ...]:
    return tuple(replace(column, inexact=True) for column in flow.columns)


def _yeo_johnson(x: str, lambdas: np.ndarray, stable: bool, graph: Graph) -> str:
    """``((1 + |x|) ** e - 1) / e`` with the sign of x; ``e`` is lambda, below zero 2 - lambda."""
    below = 2 - lambdas
    logs_above, logs_below = np.abs(lambdas) < _EPSILON, np.abs(lambdas - 2) <= _EPSILON
    size = graph.add("Abs", x)
    positive = graph.add("GreaterOrEqual", x, _number(0.0, graph))
    exponent = graph.add(
        "Where",
        positive,
        graph.constant(np.where(logs_above, 1.0, lambdas)),
        graph.constant(np.where(logs_below, 1.0, below)),
    )
    one = _number(1.0, graph)
    if stable:
        powered = _expm1(graph.add("Mul", exponent, _log1p(size, graph)), graph)
    else:
        raised = graph.add("Pow", graph.add("Add", size, one), exponent)
        powered = graph.add("Sub", raised, one)
    changed = graph.add("Div", powered, exponent)
    if logs_above.any() or logs_below.any():
        above = graph.add("And", positive, graph.constant(logs_above))
        under = graph.add("And", graph.add("Not", positive), graph.constant(logs_below))
        is_log = graph.add("Or", above, under)
        changed = graph.add("Where", is_log, _log1p(size, graph), changed)
    return graph.add("Where", positive, changed, graph.add("Neg", changed))


def _box_cox(x: str, lambdas: np.ndarray, shop: Workshop) -> str:
    """``(x ** lambda - 1) / lambda``; a row with a number that is not positive has no answer."""
    graph = shop.graph
    bad = graph.cast(graph.add("LessOrEqual", x, _number(0.0, graph)), DOUBLE)
    worst = graph.add("ReduceMax", bad, graph.constant(np.array([1])), keepdims=1)
    shop.unanswered(graph.cast(worst, BOOL))
    logs = np.abs(lambdas) < _SMALLEST_BOX_COX
    exponent = graph.constant(np.where(logs, 1.0, lambdas))
    log = graph.add("Log", x)
    changed = graph.add("Div", _expm1(graph.add("Mul", exponent, log), graph), exponent)
    if logs.any():
        changed = graph.add("Where", graph.constant(logs), log, changed)
    return changed


def _log1p(x: str, graph: Graph) -> str:
    """``log(1 + x)``, exact near zero: the rounding of 1 + x is divided out again (Kahan)."""
    one = _number(1.0, graph)
    sum_ = graph.add("Add", x, one)
    ratio = graph.add("Div", x, graph.add("Sub", sum_, one))
    log = graph.add("Mul", graph.add("Log", sum_), ratio)
    return graph.add("Where", graph.add("Equal", sum_, one), x, log)


def _expm1(x: str, graph: Graph) -> str:
    """``exp(x) - 1``, exact near zero in the same way."""
    one, minus = _number(1.0, graph), _number(-1.0, graph)
    raised = graph.add("Exp", x)
    less = graph.add("Sub", raised, one)
    exact = graph.add("Mul", less, graph.add("Div", x, graph.add("Log", raised)))
    exact = graph.add("Where", graph.add("Equal", less, minus), minus, exact)
    return graph.add("Where", graph.add("Equal", raised, one), x, exact)


def _slopes(node: Node, points: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Of the lines between neighbours, (columns, size - 1); 0 between equal ones."""
    with np.errstate(over="ignore"):
        widths = np.diff(points)
        slopes = np.diff(shares) / np.where(widths > 0, widths, 1.0)
    if not np.isfinite(slopes).all() or not np.isfinite(widths).all():
        raise bad_weights(node, "quantiles_")
    return np.asarray(np.where(widths > 0, slopes, 0.0))


def _line(
    places: str,
    points: np.ndarray,
    slopes: np.ndarray,
    values: np.ndarray,
    x: str,
    graph: Graph,
) -> str:
    """``slope * (x - point) + value`` of the table row (of each column) at ``places``."""
    columns, size = points.shape
    starts = graph.constant(np.arange(columns) * size)
    place = graph.add("Add", places, starts)
    point = graph.add("Gather", graph.constant(points.reshape(-1)), place, axis=0)
    slope = graph.add("Gather", graph.constant(slopes.reshape(-1)), place, axis=0)
    value = graph.add("Gather", graph.constant(values), places, axis=0)
    return graph.add("Add", graph.add("Mul", slope, graph.add("Sub", x, point)), value)


def _bounded(share: str, x: str, points: np.ndarray, normal: bool, graph: Graph) -> str:
    """The share with 1 at the last quantile and 0 at the first, which counts if both are one."""
    low, high = graph.constant(points[:, 0].copy()), graph.constant(points[:, -1].copy())
    if normal:
        bound = _number(_BOUND, graph)
        is_high = graph.add("Greater", graph.add("Add", x, bound), high)
        is_low = graph.add("Less", graph.add("Sub", x, bound), low)
    else:
        is_high, is_low = graph.add("Equal", x, high), graph.add("Equal", x, low)
    share = graph.add("Where", is_high, _number(1.0, graph), share)
    return graph.add("Where", is_low, _number(0.0, graph), share)


def _normal_quantile(share: str, graph: Graph) -> str:
    """The normal quantile of probabilities, cut where the library cuts it (about ±5.2)."""
    one, half = _number(1.0, graph), _number(0.5, graph)
    share = graph.add("Clip", share, _number(_TAIL, graph), _number(1 - _TAIL, graph))
    centred = graph.add("Sub", share, half)
    square = graph.add("Mul", centred, centred)
    middle = graph.add(
        "Mul",
        centred,
        _ratio(graph.add("Sub", _number(_MIDDLE_SQUARE, graph), square), _MIDDLE, graph),
    )
    rest = graph.add("Min", share, graph.add("Sub", one, share))
    root = graph.add("Sqrt", graph.add("Neg", graph.add("Log", rest)))
    outside = _ratio(graph.add("Sub", root, _number(_OUTSIDE_START, graph)), _OUTSIDE, graph)
    outside = graph.add("Mul", graph.add("Sign", centred), outside)
    near = graph.add("LessOrEqual", graph.add("Abs", centred), _number(_MIDDLE_HALF, graph))
    normal = NormalDist()
    return graph.add(
        "Clip",
        graph.add("Where", near, middle, outside),
        _number(normal.inv_cdf(_TAIL), graph),
        _number(normal.inv_cdf(1 - _TAIL), graph),
    )


def _ratio(r: str, polynomials: tuple[tuple[float, ...], tuple[float, ...]], graph: Graph) -> str:
    """One polynomial in r over another, by Horner's rule."""
    parts = []
    for factors in polynomials:
        sum_ = _number(factors[-1], graph)
        for factor in factors[-2::-1]:
            sum_ = graph.add("Add", graph.add("Mul", sum_, r), _number(factor, graph))
        parts.append(sum_)
    return graph.add("Div", *parts)


def _falls(values: np.ndarray) -> bool:
    """Whether a number is followed by a smaller one, along the last axis."""
    return bool((values[..., 1:] < values[..., :-1]).any())


def _number(value: float, graph: Graph) -> str:
    return graph.constant(np.full(1, value))


def _inner_edges(node: Node, width: int) -> list[np.ndarray]:
    """The edges between the bins of each column: finite, ascending."""
    listed = fitted(node, "bin_edges_")
    if not isinstance(listed, Node) or listed.made_by != NDARRAY or len(listed.items) != width:
        raise bad_weights(node, "bin_edges_")
    edges = []
    for values in listed.items:
        known = isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind == "f"
        if not known or not isinstance(values, np.ndarray) or not 2 <= len(values) <= MOST_COLUMNS:
            raise bad_weights(node, "bin_edges_")
        inner = values[1:-1].astype(np.float64)
        if not np.isfinite(inner).all() or _falls(inner):
            raise bad_weights(node, "bin_edges_")
        edges.append(inner)
    told = numbers(node, "n_bins_", (width,))
    if [int(number) for number in told] != [len(inner) + 1 for inner in edges]:
        raise bad_weights(node, "n_bins_")
    return edges


TRANSFORMERS = {
    ("sklearn.preprocessing._data", "PowerTransformer"): power,
    ("sklearn.preprocessing._data", "QuantileTransformer"): quantile,
    ("sklearn.preprocessing._data", "Binarizer"): binarizer,
    ("sklearn.preprocessing._data", "Normalizer"): normalizer,
    ("sklearn.preprocessing._discretization", "KBinsDiscretizer"): bins,
}
