"""Categories that a booster counted from 0 on: the values of a column become their codes.

It never guesses: a value that the training did not know becomes a missing one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from propensia.admission.families.lookup import Table, looked_up
from propensia.admission.families.parts import Column, Flow, Workshop
from propensia.admission.refusal import Refusal, shown


def coded(flow: Flow, known: Mapping[int, Sequence[object]], shop: Workshop) -> Flow:
    """The flow with codes in some of its columns; what is not known there becomes NaN.

    ``known`` are the categories of such a column in the order of their codes, by its place.
    Raises ``Refusal`` where they are not of the kind that the column holds.
    """
    if not known:
        return flow
    graph, places = shop.graph, sorted(known)
    tables = [_table(flow.columns[place], known[place], shop) for place in places]
    picked = graph.picked(flow.codes, places)
    codes = looked_up(picked, tables, shop, codes=False, missing=True)
    both = graph.add("Concat", flow.codes, codes, axis=1)
    sources, columns = list(range(flow.width)), list(flow.columns)
    for number, place in enumerate(places):
        sources[place] = flow.width + number
        columns[place] = replace(columns[place], texts=None, missing=True)
    return Flow(graph.picked(both, sources), tuple(columns), flow.label)


def _table(column: Column, values: Sequence[object], shop: Workshop) -> Table:
    """The code of each number that the column may hold."""
    if column.texts is not None:
        places = {value: code for code, value in enumerate(values) if isinstance(value, str)}
        if len(places) != len(values):
            raise _other_kind(column)
        shop.heard(column, places)
        codes = np.array([places.get(text, np.nan) for text in column.texts])
        return Table(np.arange(len(codes), dtype=np.float64), codes, np.nan, np.nan)
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    keys = np.array(numbers)
    order = np.argsort(keys)
    if (
        len(keys) != len(values)
        or not np.isfinite(keys).all()
        or (np.diff(keys[order]) <= 0).any()
    ):
        raise _other_kind(column)
    return Table(keys[order], order.astype(np.float64), np.nan, np.nan)


def _other_kind(column: Column) -> Refusal:
    name = shown(column.name or "?")
    return Refusal(
        "valores_distintos",
        f"las categorías que el modelo aprendió de {name} no son las de esa columna",
        f"the categories that the model learnt of {name} are not those of that column",
    )
