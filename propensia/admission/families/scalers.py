"""The four scalers, in double and in the order of operations of scikit-learn.

A scale of zero or a number that is not finite never reaches a graph.

Source: ``transform`` of each class in ``sklearn/preprocessing/_data.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from propensia.admission.families.attributes import bad_weights, flag, numbers, short_name
from propensia.admission.families.parts import Flow, Workshop
from propensia.admission.nodes import Node

_LARGEST = np.finfo(np.float64).max


def centred(
    node: Node, flow: Flow, shop: Workshop, *, centring: str, centre: str, scaling: str
) -> Flow:
    """``(x - centre) / scale``, each part only if asked for, in attributes of those names."""
    tensor, shifts = flow.tensor, flag(node, centring, True)
    if shifts:
        tensor = _by_column(node, "Sub", tensor, centre, flow, shop)
    if flag(node, scaling, True):
        tensor = _by_column(node, "Div", tensor, "scale_", flow, shop)
    return Flow(tensor, flow.columns, short_name(node)) if shifts else _scaled(node, flow, tensor)


def min_max(node: Node, flow: Flow, shop: Workshop) -> Flow:
    """``x * scale + min``, cut to the range if that was asked for."""
    tensor = _by_column(node, "Mul", flow.tensor, "scale_", flow, shop)
    tensor = _by_column(node, "Add", tensor, "min_", flow, shop)
    if flag(node, "clip", False):
        ends = node.attributes().get("feature_range")
        if not isinstance(ends, tuple | list) or len(ends) != 2:
            raise bad_weights(node, "feature_range")
        tensor = _clip(node, tensor, ends[0], ends[1], shop)
    return Flow(tensor, flow.columns, short_name(node))


def max_abs(node: Node, flow: Flow, shop: Workshop) -> Flow:
    """``x / scale``, cut to [-1, 1] if that was asked for."""
    tensor = _by_column(node, "Div", flow.tensor, "scale_", flow, shop)
    if flag(node, "clip", False):
        tensor = _clip(node, tensor, -1.0, 1.0, shop)
    return _scaled(node, flow, tensor)


def _by_column(
    node: Node, operator: str, tensor: str, attribute: str, flow: Flow, shop: Workshop
) -> str:
    values = numbers(node, attribute, (flow.width,))
    if attribute == "scale_" and (values == 0).any():
        raise bad_weights(node, attribute)
    return shop.graph.add(operator, tensor, shop.graph.constant(values))


def _clip(node: Node, tensor: str, low: object, high: object, shop: Workshop) -> str:
    ends = []
    for end in (low, high):
        if not isinstance(end, int | float) or not abs(end) <= _LARGEST:
            raise bad_weights(node, "feature_range")
        ends.append(shop.graph.constant(np.asarray(end, np.float64)))
    return shop.graph.add("Clip", tensor, *ends)


def _scaled(node: Node, flow: Flow, tensor: str) -> Flow:
    """A sparse matrix stays one where 0 stays 0."""
    return replace(flow, codes=tensor, label=short_name(node))


_BY_NAME: dict[str, Callable[[Node, Flow, Workshop], Flow]] = {
    "StandardScaler": partial(centred, centring="with_mean", centre="mean_", scaling="with_std"),
    "RobustScaler": partial(
        centred, centring="with_centering", centre="center_", scaling="with_scaling"
    ),
    "MinMaxScaler": min_max,
    "MaxAbsScaler": max_abs,
}
TRANSFORMERS = {
    (module, name): transform
    for name, transform in _BY_NAME.items()
    for module in ("sklearn.preprocessing._data", "sklearn.preprocessing.data")
}
