"""Encoders of categories: one column per category, one number, or what the target was on average.

Every category is looked up in a table; a text of the contract that an encoder would refuse is a
refusal here, and a number that it would refuse makes no answer: nothing is ever guessed.

Source: ``transform`` of each class in ``sklearn/preprocessing/_encoders.py`` and
``_target_encoder.py``. The unknown is nothing (``ignore``), a value of its own
(``use_encoded_value``), or the rare categories together (``infrequent_if_exist``, ``warn``). A
dropped category is counted after the rare ones were put together; its attribute is
``drop_idx_`` in 1.1 and ``_drop_idx_after_grouping`` since.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from propensia.admission.families.attributes import (
    bad_weights,
    finite,
    flag,
    number_type,
    numbers,
    short_name,
    word,
)
from propensia.admission.families.lookup import Table, looked_up
from propensia.admission.families.parts import MOST_COLUMNS, Column, Flow, Workshop
from propensia.admission.families.vocabulary import Found, categories, refuse_unknown
from propensia.admission.graph import BOOL, DOUBLE
from propensia.admission.nodes import Node
from propensia.admission.refusal import Refusal

# Stands in a table for what makes the library fail; no encoder makes it otherwise.
_FAILS = np.inf
_NONE = -1


def one_hot(node: Node, flow: Flow, shop: Workshop) -> Flow:
    """One column per category, 1 where it is that; a dropped one, or an ignored one, has none."""
    found = categories(node, flow, shop)
    how = word(node, "handle_unknown")
    if how not in ("error", "ignore", "infrequent_if_exist", "warn"):
        raise bad_weights(node, "handle_unknown")
    if how == "error":
        refuse_unknown(node, found, flow)
    tables, widths = [], []
    for one, (group, rare), drop in zip(
        found, _groups(node, found, 0), _dropped(node, found), strict=True
    ):
        size = int(group.max()) + 1
        if drop is not None:
            if not 0 <= drop < size:
                raise bad_weights(node, "drop_idx_")
            group = np.where(group == drop, _NONE, group - (group > drop))
        unknown = _FAILS if how == "error" else _NONE
        if how in ("infrequent_if_exist", "warn") and rare is not None:
            unknown = group[rare]
        tables.append(_table(one, group.astype(np.float64), float(unknown)))
        widths.append(size - (drop is not None))
    if "_n_features_outs" in node.attributes():
        told = node.attributes()["_n_features_outs"]
        whole = isinstance(told, list) and all(type(width) is int for width in told)
        if not whole or told != widths:
            raise bad_weights(node, "_n_features_outs")
    setting = "sparse_output" if "sparse_output" in node.attributes() else "sparse"  # up to 1.1
    sparse = flag(node, setting, True)
    return spread(node, _encoded(tables, flow, shop), widths, sparse, shop)


def ordinal(node: Node, flow: Flow, shop: Workshop) -> Flow:
    """The place of the category; the unknown and the missing as the settings say."""
    found = categories(node, flow, shop)
    how = word(node, "handle_unknown")
    if how not in ("error", "use_encoded_value"):
        raise bad_weights(node, "handle_unknown")
    unknown = _FAILS
    if how == "error":
        refuse_unknown(node, found, flow)
    else:
        unknown = _setting(node, "unknown_value")
    rounded = number_type(node, "dtype")
    tables = []
    for one, (group, _) in zip(found, _groups(node, found, 1), strict=True):
        values = group.astype(np.float64)
        if one.nan >= 0:
            values[one.nan] = _setting(node, "encoded_missing_value")
        if (
            rounded.kind != "f"
            and not np.isfinite([*values, unknown if how != "error" else 0]).all()
        ):
            raise bad_weights(node, "dtype")
        values = values.astype(rounded).astype(np.float64)
        tables.append(_table(one, values, unknown))
    return _numbered(node, tables, flow, shop)


def target(node: Node, flow: Flow, shop: Workshop) -> Flow:
    """What the target was on average for the category, already smoothed; else for all rows."""
    if word(node, "target_type_") not in ("binary", "continuous"):
        raise Refusal("no_es_clasificador_binario", short_name(node))
    found = categories(node, flow, shop)
    mean = float(numbers(node, "target_mean_", ()))
    listed = node.attributes().get("encodings_")
    if not isinstance(listed, list) or len(listed) != flow.width:
        raise bad_weights(node, "encodings_")
    tables = []
    for one, values in zip(found, listed, strict=True):
        tables.append(_table(one, _finite(node, values, one.size), mean))
    return _numbered(node, tables, flow, shop)


def spread(node: Node, places: str, widths: Sequence[int], sparse: bool, shop: Workshop) -> Flow:
    """One column of 0 and 1 for each possible place: ``places`` double (n, len(widths))."""
    total = sum(widths)
    if total > MOST_COLUMNS:
        raise Refusal("demasiado_grande", f"{total} columnas", f"{total} columns")
    graph = shop.graph
    columns = np.repeat(np.arange(len(widths)), widths)
    wanted = [np.arange(width, dtype=np.float64) for width in widths]
    wide = graph.picked(places, columns.tolist())
    equal = graph.add("Equal", wide, graph.constant(np.concatenate([*wanted, np.zeros(0)])))
    return Flow(graph.cast(equal, DOUBLE), (Column(),) * total, short_name(node), sparse)


def _numbered(node: Node, tables: list[Table], flow: Flow, shop: Workshop) -> Flow:
    columns = []
    for table, column in zip(tables, flow.columns, strict=True):
        reached = [*table.values, table.unknown, *([table.missing] if column.missing else [])]
        columns.append(Column(missing=bool(np.isnan(reached).any())))
    return Flow(_encoded(tables, flow, shop), tuple(columns), short_name(node))


def _encoded(tables: list[Table], flow: Flow, shop: Workshop) -> str:
    """The numbers of the tables; rows with what makes the library fail get no answer."""
    codes = all(column.texts is not None for column in flow.columns)
    numbers = looked_up(flow.codes, tables, shop, codes=codes, missing=flow.missing)
    if any(
        table.unknown == _FAILS and column.texts is None
        for table, column in zip(tables, flow.columns, strict=True)
    ):
        graph = shop.graph
        fails = graph.add("Equal", numbers, graph.constant(np.array([_FAILS])))
        axis = graph.constant(np.array([1]))
        any_of_them = graph.add("ReduceMax", graph.cast(fails, DOUBLE), axis, keepdims=1)
        shop.unanswered(graph.cast(any_of_them, BOOL))
    return numbers


def _table(one: Found, values: np.ndarray, unknown: float) -> Table:
    """The table of one column, from the ``values`` (categories,) of its categories."""
    listed = np.where(one.places >= 0, values[one.places], unknown)
    missing = values[one.missing] if one.missing >= 0 else unknown
    return Table(one.keys, listed, unknown, float(missing))


def _groups(node: Node, found: list[Found], ignored: int) -> list[tuple[np.ndarray, int | None]]:
    """For each column the number of each category, and a category among the rare ones if any.

    With ``ignored`` the category NaN, always the last, is no part of the grouping.
    """
    plain: list[tuple[np.ndarray, int | None]] = [(np.arange(one.size), None) for one in found]
    if not flag(node, "_infrequent_enabled", False):
        return plain
    kept = node.attributes()
    mappings, rares = kept.get("_default_to_infrequent_mappings"), kept.get("_infrequent_indices")
    if not isinstance(mappings, list) or not isinstance(rares, list):
        raise bad_weights(node, "_infrequent_indices")
    if len(mappings) != len(found) or len(rares) != len(found):
        raise bad_weights(node, "_infrequent_indices")
    for place, (one, mapping, rare) in enumerate(zip(found, mappings, rares, strict=True)):
        if rare is None:
            continue
        grouped = one.size - (1 if ignored and one.nan >= 0 else 0)
        numbers = _whole(node, mapping, grouped)
        indices = _whole(node, rare, None)
        if len(numbers) != grouped or not len(indices) or (indices >= grouped).any():
            raise bad_weights(node, "_default_to_infrequent_mappings")
        if set(numbers.tolist()) != set(range(int(numbers.max()) + 1)):
            raise bad_weights(node, "_default_to_infrequent_mappings")
        numbers = np.append(numbers, np.zeros(one.size - grouped, np.int64))
        plain[place] = (numbers, int(indices[0]))
    return plain


def _whole(node: Node, values: object, size: int | None) -> np.ndarray:
    """A list of whole numbers from 0 on, as int64."""
    known = isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "iu"
    if not known or not isinstance(values, np.ndarray):
        raise bad_weights(node, "_infrequent_indices")
    if (size is not None and len(values) != size) or (values < 0).any():
        raise bad_weights(node, "_infrequent_indices")
    if len(values) and values.max() > MOST_COLUMNS * MOST_COLUMNS:
        raise bad_weights(node, "_infrequent_indices")
    return values.astype(np.int64)


def _dropped(node: Node, found: list[Found]) -> list[int | None]:
    """For each column the number of the category that has no column, if any."""
    kept = node.attributes()
    drop = kept.get("_drop_idx_after_grouping", kept.get("drop_idx_"))
    if drop is None:
        return [None] * len(found)
    if not isinstance(drop, np.ndarray) or drop.shape != (len(found),):
        raise bad_weights(node, "drop_idx_")
    numbers: list[int | None] = []
    for value in drop.tolist():
        if value is not None and type(value) is not int:
            raise bad_weights(node, "drop_idx_")
        numbers.append(value)
    return numbers


def _setting(node: Node, attribute: str) -> float:
    """A number that was given, or NaN."""
    value = node.attributes().get(attribute)
    if isinstance(value, float) and value != value:
        return value
    return finite(node, attribute, value)


def _finite(node: Node, values: object, size: int) -> np.ndarray:
    known = isinstance(values, np.ndarray) and values.dtype.kind == "f"
    if not known or not isinstance(values, np.ndarray) or values.shape != (size,):
        raise bad_weights(node, "encodings_")
    if not np.isfinite(values).all():
        raise bad_weights(node, "encodings_")
    return values.astype(np.float64)


TRANSFORMERS = {
    ("sklearn.preprocessing._encoders", "OneHotEncoder"): one_hot,
    ("sklearn.preprocessing._encoders", "OrdinalEncoder"): ordinal,
    ("sklearn.preprocessing._target_encoder", "TargetEncoder"): target,
}
