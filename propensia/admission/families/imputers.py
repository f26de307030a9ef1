"""Imputers: what is written where a value is missing, and columns that say where one was.

A value that could be missing and that nothing fills is never filled here either.

Conventions of scikit-learn (``sklearn/impute/_base.py``): a column without any value in training
has the statistic NaN and is dropped, unless ``keep_empty_features`` (1.2); the indicator looks
at the columns as they came, has those that missed a value in training, and stands behind the
others. A value that is not there is NaN for ``missing_values=nan`` and for ``None`` alike.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from propensia.admission.families.attributes import (
    bad_weights,
    finite,
    fitted,
    flag,
    short_name,
    word,
)
from propensia.admission.families.lookup import Table, looked_up
from propensia.admission.families.parts import Column, Flow, Workshop, check_complete
from propensia.admission.graph import BOOL, DOUBLE
from propensia.admission.nodes import Node
from propensia.admission.refusal import Refusal, shown


def simple(node: Node, flow: Flow, shop: Workshop) -> Flow:
    """The columns with one statistic each where a value is missing, then the indicator's."""
    statistics = _statistics(node, flow.width)
    kept = _kept(node, statistics)
    filled = _filled(node, shop.picked(flow, kept), [statistics[place] for place in kept], shop)
    if not flag(node, "add_indicator", False):
        return filled
    indicator = node.attributes().get("indicator_")
    if not isinstance(indicator, Node):
        raise bad_weights(node, "indicator_")
    columns = _indicated(node, flow, _features(indicator, flow.width), flow.sparse, shop)
    return shop.joined([filled, columns], short_name(node)) if columns.width else filled


def indicator(node: Node, flow: Flow, shop: Workshop) -> Flow:
    """1 where a value is missing, in the columns that missed one in training, or in all."""
    told = node.attributes().get("sparse", "auto")
    sparse = told if isinstance(told, bool) else flow.sparse
    if word(node, "features") == "all":
        return _indicated(node, flow, list(range(flow.width)), sparse, shop)
    features = _features(node, flow.width)
    if flag(node, "error_on_new", True):
        others = set(range(flow.width)) - set(features)
        check_complete(short_name(node), [flow.columns[place] for place in sorted(others)])
    return _indicated(node, flow, features, sparse, shop)


def _kept(node: Node, statistics: list[object]) -> list[int]:
    empty = [place for place, value in enumerate(statistics) if _is_nan(value)]
    constant = word(node, "strategy") == "constant"
    if empty and constant and _is_nan(node.attributes().get("fill_value")):
        raise bad_weights(node, "fill_value")
    if empty and flag(node, "keep_empty_features", False):
        raise bad_weights(node, "statistics_")
    return [place for place in range(len(statistics)) if place not in set(empty)]


def _filled(node: Node, flow: Flow, statistics: list[object], shop: Workshop) -> Flow:
    numbers, columns = [], []
    missing = _missing_value(node)
    if not _is_nan(missing):
        check_complete(short_name(node), flow.columns)
    for column, value in zip(flow.columns, statistics, strict=True):
        number, filled = _written(node, column, value, missing)
        numbers.append(number)
        columns.append(filled)
    codes = flow.codes
    if flow.missing or (isinstance(missing, int | float) and not _is_nan(missing)):
        constants = shop.graph.constant(np.array(numbers, np.float64))
        codes = shop.graph.add("Where", _mask(flow, missing, shop), constants, codes)
    # A sparse matrix stores what is written into it, even a zero.
    writes = [column.missing or not _is_nan(missing) for column in flow.columns]
    zero = any(once and number == 0 for once, number in zip(writes, numbers, strict=True))
    zeros = flow.zeros or (flow.sparse and zero)
    return Flow(codes, tuple(columns), short_name(node), flow.sparse, zeros)


def _written(node: Node, column: Column, value: object, missing: object) -> tuple[float, Column]:
    """The number that is written into a column, and what is known of the column then.

    Where a text stands for the missing one, its number from now on means the text it gets.
    """
    if column.texts is None:
        if isinstance(value, str):
            raise _other_kind(node, column)
        return finite(node, "statistics_", value), replace(column, missing=False)
    if not isinstance(value, str):
        raise _other_kind(node, column)
    texts = column.texts
    if isinstance(missing, str):
        texts = tuple(value if text == missing else text for text in texts)
    elif column.missing and value not in texts:
        texts = (*texts, value)
    number = float(texts.index(value)) if value in texts else np.nan
    return number, replace(column, texts=texts, missing=False)


def _mask(flow: Flow, missing: object, shop: Workshop) -> str:
    """Where a value is missing, bool (n, columns)."""
    if _is_nan(missing):
        return shop.graph.add("IsNaN", flow.codes)
    tables = []
    for column in flow.columns:
        known = [missing] if isinstance(missing, int | float) else []
        marked = [1.0] * len(known)
        if column.texts is not None:
            known = list(range(len(column.texts)))
            marked = [float(text == missing) for text in column.texts]
        keys, values = np.array(known, np.float64), np.array(marked)
        tables.append(Table(keys, values, unknown=0.0, missing=0.0))
    marks = looked_up(flow.codes, tables, shop, codes=False, missing=False)
    return shop.graph.cast(marks, BOOL)


def _indicated(node: Node, flow: Flow, features: list[int], sparse: bool, shop: Workshop) -> Flow:
    picked = shop.picked(flow, features)
    if not features:
        return replace(picked, columns=())
    mask = _mask(picked, _missing_value(node), shop)
    columns = (Column(),) * len(features)
    return Flow(shop.graph.cast(mask, DOUBLE), columns, short_name(node), sparse)


def _missing_value(node: Node) -> object:
    """What stands for a missing value: NaN, a number or a text."""
    value = node.attributes().get("missing_values")
    if value is None:
        return np.nan
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise bad_weights(node, "missing_values")
    if isinstance(value, int) and abs(value) >= 1 << 53:
        raise bad_weights(node, "missing_values")
    return value


def _statistics(node: Node, width: int) -> list[object]:
    values = fitted(node, "statistics_")
    if not isinstance(values, np.ndarray) or values.shape != (width,):
        raise bad_weights(node, "statistics_")
    if values.dtype.kind not in "fiubOU":
        raise bad_weights(node, "statistics_")
    listed: list[object] = values.tolist()
    return listed


def _features(node: Node, width: int) -> list[int]:
    values = fitted(node, "features_")
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype.kind not in "iu":
        raise bad_weights(node, "features_")
    ascending = len(values) <= width and (np.diff(values.astype(np.float64)) > 0).all()
    if not ascending or (len(values) and not 0 <= values[0] <= values[-1] < width):
        raise bad_weights(node, "features_")
    return [int(value) for value in values]


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and value != value


def _other_kind(node: Node, column: Column) -> Refusal:
    label, name = short_name(node), shown(column.name or "?")
    kind, kind_en = ("un número", "a number") if column.texts is None else ("un texto", "a text")
    return Refusal(
        "valores_distintos",
        f"{label} escribe otra cosa en {name}, que es {kind}",
        f"{label} writes something else into {name}, which is {kind_en}",
    )


TRANSFORMERS = {
    ("sklearn.impute._base", "SimpleImputer"): simple,
    ("sklearn.impute._base", "MissingIndicator"): indicator,
}
