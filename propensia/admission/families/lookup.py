"""Finding a number among the sorted numbers of its column, inside a graph and for all columns.

It never looks at a file, and its graphs grow with the logarithm of how much there is to find.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from propensia.admission.families.parts import Workshop
from propensia.admission.graph import DOUBLE, INT64
from propensia.admission.refusal import Refusal

# Each step of a search compares with that many numbers less one, and keeps one part in as many.
_PARTS = 8
# All columns are padded to the longest of them.
_MOST_CELLS = 1 << 22


@dataclass(frozen=True, slots=True)
class Table:
    """What one column becomes: ``keys`` (k,) finite, ascending, distinct; ``values`` (k,).

    ``unknown`` stands for every other number, ``missing`` for NaN.
    """

    keys: np.ndarray
    values: np.ndarray
    unknown: float
    missing: float


def counted(tensor: str, edges: Sequence[np.ndarray], shop: Workshop, *, equal: bool) -> str:
    """How many of the edges of its column are below each number: int64 (n, columns).

    ``edges`` are ascending numbers for each column of ``tensor``, double (n, columns); with
    ``equal`` those that are the same number count too. NaN has none below it. This is
    ``numpy.searchsorted`` with ``side`` ``left`` and, with ``equal``, ``right``.
    """
    graph, longest = shop.graph, max(map(len, edges))
    step, size = 1, _PARTS
    while size <= longest:
        step, size = size, size * _PARTS
    _check_cells(len(edges) * size)
    # Nothing is above NaN, nor equal to it: padding is never counted.
    flat = _padded(edges, size, np.nan)
    starts = graph.constant(np.arange(len(edges)) * size)
    values = graph.add("Unsqueeze", tensor, graph.constant(np.array([2])))
    compare = "LessOrEqual" if equal else "Less"
    found = ""
    while step:
        places = np.arange(1, _PARTS) * step - 1
        if not found:
            pivots = graph.constant(flat.reshape(1, len(edges), size)[:, :, places])
        else:
            first = graph.add("Unsqueeze", graph.add("Add", found, starts), _axis(shop, 2))
            place = graph.add("Add", first, graph.constant(places))
            pivots = graph.add("Gather", graph.constant(flat), place, axis=0)
        below = graph.cast(graph.add(compare, pivots, values), DOUBLE)
        part = graph.add("ReduceSum", below, _axis(shop, 2), keepdims=0)
        passed = graph.cast(part, INT64)
        if step > 1:
            passed = graph.add("Mul", passed, graph.constant(np.array([step])))
        found = graph.add("Add", found, passed) if found else passed
        step //= _PARTS
    return found


def looked_up(
    tensor: str, tables: Sequence[Table], shop: Workshop, *, codes: bool, missing: bool
) -> str:
    """Each number of a double tensor (n, columns) as the table of its column says: double.

    ``codes`` promises that every number is one of its keys or NaN, and these 0, 1, 2, …;
    ``missing`` says whether there may be NaN.
    """
    graph = shop.graph
    longest = max(len(table.keys) for table in tables)
    stride = longest + 2  # behind the keys: what is unknown, and NaN
    _check_cells(len(tables) * stride)
    starts = np.arange(len(tables)) * stride
    nan = graph.add("IsNaN", tensor) if missing else ""
    if codes:
        if missing:
            behind = graph.constant(np.full(1, longest + 1.0))
            tensor = graph.add("Where", nan, behind, tensor)
        place = graph.add("Add", graph.cast(tensor, INT64), graph.constant(starts))
    else:
        sorted_keys = [table.keys for table in tables]
        below = counted(tensor, sorted_keys, shop, equal=False)
        near = graph.add("Add", below, graph.constant(starts))
        keys = graph.constant(_padded(sorted_keys, stride, np.nan))
        known = graph.add("Equal", graph.add("Gather", keys, near, axis=0), tensor)
        place = graph.add("Where", known, near, graph.constant(starts + longest))
        if missing:
            place = graph.add("Where", nan, graph.constant(starts + longest + 1), place)
    values = _padded([table.values for table in tables], stride, np.nan).reshape(-1, stride)
    values[:, longest] = [table.unknown for table in tables]
    values[:, longest + 1] = [table.missing for table in tables]
    return graph.add("Gather", graph.constant(values.reshape(-1)), place, axis=0)


def _axis(shop: Workshop, axis: int) -> str:
    return shop.graph.constant(np.array([axis]))


def _padded(rows: Sequence[np.ndarray], width: int, padding: float) -> np.ndarray:
    """The rows one behind the other, each filled up to ``width``."""
    table = np.full((len(rows), width), padding)
    for place, row in enumerate(rows):
        table[place, : len(row)] = row
    return table.reshape(-1)


def _check_cells(cells: int) -> None:
    if cells > _MOST_CELLS:
        raise Refusal(
            "demasiado_grande", f"una tabla de {cells} números", f"a table of {cells} numbers"
        )
