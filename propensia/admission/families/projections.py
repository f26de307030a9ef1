"""New columns as sums and products of others: principal components and polynomials.

Nothing is decomposed here, and no product is formed before it is known how many there are.

Source: ``transform`` in ``sklearn/decomposition/_base.py`` (the mean is taken off the rows up to
1.4, off their projection since 1.5, which is computed in the number type of the
training rows, as is the whitening) and ``_truncated_svd.py``, and in
``sklearn/preprocessing/_polynomial.py`` (a product of degree d is a column times a product of
degree d - 1).
"""

from __future__ import annotations

import math

import numpy as np

from propensia.admission.families.attributes import (
    bad_weights,
    fitted,
    flag,
    numbers,
    short_name,
    version_of,
)
from propensia.admission.families.parts import MOST_COLUMNS, Column, Flow, Workshop, check_complete
from propensia.admission.graph import DOUBLE
from propensia.admission.nodes import Node
from propensia.admission.refusal import Refusal

_PROJECTED_FIRST_SINCE = (1, 5)
_HIGHEST = 100


def components(node: Node, flow: Flow, shop: Workshop) -> Flow:
    """The centred rows on the principal axes, scaled to unit variance if that was asked for."""
    check_complete(short_name(node), flow.columns)
    graph, axes = shop.graph, _axes(node, flow)
    mean = _stored(node, "mean_", (flow.width,))
    version = version_of(node)
    if version is None or version >= _PROJECTED_FIRST_SINCE:
        made = graph.add("MatMul", flow.tensor, graph.constant(axes.T))
        with np.errstate(over="ignore", invalid="ignore"):
            away = np.reshape(mean, (1, -1)) @ _stored(node, "components_", axes.shape).T
        if not np.isfinite(away).all():
            raise bad_weights(node, "mean_")
        made = graph.add("Sub", made, graph.constant(away.reshape(-1).astype(np.float64)))
    else:
        centred = graph.add("Sub", flow.tensor, graph.constant(mean.astype(np.float64)))
        made = graph.add("MatMul", centred, graph.constant(axes.T))
    if flag(node, "whiten", False):
        variances = _stored(node, "explained_variance_", (len(axes),))
        if (variances < 0).any():
            raise bad_weights(node, "explained_variance_")
        scale = np.maximum(np.sqrt(variances), np.finfo(variances.dtype).eps)
        made = graph.add("Div", made, graph.constant(scale.astype(np.float64)))
    return Flow(made, (Column(inexact=True),) * len(axes), short_name(node))


def singular(node: Node, flow: Flow, shop: Workshop) -> Flow:
    """The rows on the singular axes, not centred."""
    check_complete(short_name(node), flow.columns)
    axes = _axes(node, flow)
    made = shop.graph.add("MatMul", flow.tensor, shop.graph.constant(axes.T))
    return Flow(made, (Column(inexact=True),) * len(axes), short_name(node))


def polynomial(node: Node, flow: Flow, shop: Workshop) -> Flow:
    """All products of columns from the lowest to the highest degree, with a constant first."""
    check_complete(short_name(node), flow.columns)
    lowest, highest = _degrees(node)
    distinct = flag(node, "interaction_only", False)
    bias = flag(node, "include_bias", True)
    sizes = _sizes(flow.width, highest, distinct)
    graph, x = shop.graph, flow.tensor
    made = [_ones(flow, shop)] if bias else []
    product = x
    # Where in the degree before the products begin that start with each column.
    starts = list(range(flow.width + 1))
    for degree in range(1, highest + 1):
        if degree > 1:
            first, rest, starts = _next_degree(flow.width, starts, distinct)
            if not rest:
                break
            product = graph.add("Mul", graph.picked(product, rest), graph.picked(x, first))
        if degree >= lowest:
            made.append(product)
    width = bias + sum(sizes[max(lowest, 1) - 1 :])
    told = node.attributes().get("n_output_features_", width)
    if not made or not isinstance(told, int) or told != width:
        raise bad_weights(node, "n_output_features_")
    tensor = graph.add("Concat", *made, axis=1) if len(made) > 1 else made[0]
    inexact = any(column.inexact for column in flow.columns)
    columns = (Column(inexact=inexact),) * width
    return Flow(tensor, columns, short_name(node), flow.sparse, flow.zeros)


def _axes(node: Node, flow: Flow) -> np.ndarray:
    axes = fitted(node, "components_")
    if not isinstance(axes, np.ndarray) or axes.ndim != 2 or not 1 <= len(axes) <= MOST_COLUMNS:
        raise bad_weights(node, "components_")
    return numbers(node, "components_", (len(axes), flow.width))


def _stored(node: Node, attribute: str, shape: tuple[int, ...]) -> np.ndarray:
    """A checked array in the type of its file: what was fitted on float32 is used in float32."""
    value = fitted(node, attribute)
    single = isinstance(value, np.ndarray) and value.dtype == np.float32
    return numbers(node, attribute, shape).astype(np.float32 if single else np.float64)


def _degrees(node: Node) -> tuple[int, int]:
    """The lowest and the highest degree, of a setting that is either the highest or both."""
    degree = node.attributes().get("degree")
    both = degree if isinstance(degree, tuple | list) else (0, degree)
    if len(both) != 2 or not all(type(one) is int and 0 <= one <= _HIGHEST for one in both):
        raise bad_weights(node, "degree")
    lowest, highest = both
    if not isinstance(lowest, int) or not isinstance(highest, int) or lowest > highest:
        raise bad_weights(node, "degree")
    return lowest, highest


def _sizes(width: int, highest: int, distinct: bool) -> list[int]:
    """How many products there are of degree 1, 2, …; too many are refused before they are made."""
    sizes: list[int] = []
    for degree in range(1, highest + 1):
        places = width if distinct else width + degree - 1
        sizes.append(math.comb(places, degree))
        if sum(sizes) > MOST_COLUMNS:
            raise Refusal(
                "demasiado_grande",
                f"más de {MOST_COLUMNS} productos",
                f"more than {MOST_COLUMNS} products",
            )
    return sizes


def _next_degree(
    width: int, starts: list[int], distinct: bool
) -> tuple[list[int], list[int], list[int]]:
    """The column and the shorter product of each product, and where each column begins now."""
    first: list[int] = []
    rest: list[int] = []
    begins: list[int] = []
    end = starts[-1]
    for column in range(width):
        begins.append(len(rest))
        start = starts[column + 1] if distinct else starts[column]
        rest.extend(range(start, end))
        first.extend([column] * (end - start))
    return first, rest, [*begins, len(rest)]


def _ones(flow: Flow, shop: Workshop) -> str:
    """A column of ones, as long as the rows."""
    graph = shop.graph
    column = graph.picked(flow.tensor, [0])
    known = graph.add("Equal", column, column)
    either = graph.add("Or", known, graph.add("Not", known))
    return graph.cast(either, DOUBLE)


TRANSFORMERS = {
    ("sklearn.decomposition._pca", "PCA"): components,
    ("sklearn.decomposition._truncated_svd", "TruncatedSVD"): singular,
    ("sklearn.preprocessing._polynomial", "PolynomialFeatures"): polynomial,
}
