"""What takes columns apart and puts them together: column transformers, unions, inner pipelines.

Nothing here computes with a value, but for the weights of a column transformer or a union; a
function of the analyst's own is never called.

Conventions of scikit-learn: the outputs stand beside each other in the order of
``transformers_`` (the rest of the columns last); a transformer without columns is skipped, for it
was never fitted (``sklearn/compose/_column_transformer.py``). Which columns each one takes is read
from ``_transformer_to_input_indices``, where the library has settled names, places, slices, masks
and functions when it was fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from propensia.admission.families.attributes import bad_weights, finite, fitted, flag, short_name
from propensia.admission.families.parts import Flow, Workshop
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal, shown

_MOST_PLACES = 100_000
_COLUMNS = "sklearn.compose._column_transformer"


def column_transformer(node: Node, flow: Flow, shop: Workshop) -> Flow:
    """Transformers of some columns each, beside each other."""
    made = []
    for name, transformer, places in numbered(node):
        if not places or _is(transformer, "drop"):
            continue
        if max(places) >= flow.width or min(places) < 0:
            raise bad_weights(node, "transformers_")
        part = _transformed(transformer, shop.picked(flow, places), shop)
        made.append(_weighted(node, name, part, shop))
    # Settled when it was fitted, by how many zeros there were then.
    sparse = flag(node, "sparse_output_", False)
    whole = _together(node, made, shop)
    return replace(whole, sparse=sparse, zeros=sparse and whole.zeros)


def union(node: Node, flow: Flow, shop: Workshop) -> Flow:
    """Transformers of the same columns, beside each other."""
    made = []
    for name, transformer in _steps(node, "transformer_list"):
        if transformer is not None and not _is(transformer, "drop"):
            part = _transformed(transformer, flow, shop)
            made.append(_weighted(node, name, part, shop))
    return _together(node, made, shop)


def pipeline(node: Node, flow: Flow, shop: Workshop) -> Flow:
    """Transformers one after the other."""
    labels = []
    for _, step in _steps(node, "steps"):
        if step is not None and not _is(step, "passthrough"):
            flow = shop.transformer(step, flow)
            labels.append(flow.label)
    return replace(flow, label=f"{short_name(node)}({', '.join(labels)})")


def function(node: Node, flow: Flow, shop: Workshop) -> Flow:
    """Nothing at all; a function is refused by its name."""
    called = node.attributes().get("func")
    if called is not None:
        name = str(called) if isinstance(called, Global) else short_name(node)
        raise Refusal("familia_desconocida", f"`{shown(name)}` (FunctionTransformer)")
    return replace(flow, label=short_name(node))


def numbered(node: Node) -> list[tuple[str, object, list[int]]]:
    """The name, the transformer and the places of its columns for each part, in order."""
    listed = fitted(node, "transformers_")
    indices = fitted(node, "_transformer_to_input_indices")
    if not isinstance(listed, list) or not isinstance(indices, dict):
        raise bad_weights(node, "transformers_")
    parts, total = [], 0
    for part in listed:
        if not isinstance(part, tuple | list) or len(part) != 3 or not isinstance(part[0], str):
            raise bad_weights(node, "transformers_")
        places = indices.get(part[0])
        if not isinstance(places, list) or not all(type(place) is int for place in places):
            raise bad_weights(node, "_transformer_to_input_indices")
        total += len(places)
        if total > _MOST_PLACES:
            raise Refusal("demasiado_grande", f"{total} columnas", f"{total} columns")
        parts.append((part[0], part[1], places))
    return parts


def _transformed(transformer: object, flow: Flow, shop: Workshop) -> Flow:
    if _is(transformer, "passthrough"):
        return replace(flow, label="passthrough")
    return shop.transformer(transformer, flow)


def _weighted(node: Node, name: str, flow: Flow, shop: Workshop) -> Flow:
    weights = node.attributes().get("transformer_weights")
    if weights is None:
        return flow
    if not isinstance(weights, dict):
        raise bad_weights(node, "transformer_weights")
    weight = weights.get(name)
    if weight is None:
        return flow
    number = finite(node, "transformer_weights", weight)
    factor = shop.graph.constant(np.full(1, number))
    codes = shop.graph.add("Mul", flow.tensor, factor)
    return replace(flow, codes=codes, zeros=flow.zeros or (flow.sparse and number == 0))


def _together(node: Node, made: Sequence[Flow], shop: Workshop) -> Flow:
    if not any(flow.width for flow in made):
        raise Refusal(
            "columnas_distintas",
            f"{short_name(node)} no deja ninguna columna",
            f"{short_name(node)} leaves no column",
        )
    label = f"{short_name(node)}({', '.join(flow.label for flow in made)})"
    # Their new names depend on settings of the library; the order alone is certain.
    flow = shop.joined(made, label)
    unnamed = tuple(replace(one, name="") for one in flow.columns)
    return replace(flow, columns=unnamed)


def _steps(node: Node, attribute: str) -> list[tuple[str, object]]:
    listed = fitted(node, attribute)
    if not isinstance(listed, list) or not all(
        isinstance(step, tuple | list) and len(step) == 2 and isinstance(step[0], str)
        for step in listed
    ):
        raise bad_weights(node, attribute)
    return [(step[0], step[1]) for step in listed]


def _is(value: object, word: str) -> bool:
    return isinstance(value, str) and value == word


TRANSFORMERS = {
    (_COLUMNS, "ColumnTransformer"): column_transformer,
    ("sklearn.pipeline", "FeatureUnion"): union,
    ("sklearn.pipeline", "Pipeline"): pipeline,
    ("sklearn.preprocessing._function_transformer", "FunctionTransformer"): function,
}
# How columns were chosen when it was fitted, and the types of columns or of results asked for.
_TYPES = """bool bool_ float16 float32 float64 floating generic int8 int16 int32 int64 integer
    number object_ str_ uint8 uint16 uint32 uint64"""
HELPERS = frozenset(
    {(_COLUMNS, "_RemainderColsList"), (_COLUMNS, "make_column_selector")}
    | {("builtins", name) for name in ("bool", "float", "int", "object", "str")}
    | {("numpy", name) for name in _TYPES.split()}
)
