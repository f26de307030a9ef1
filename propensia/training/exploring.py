"""What a table looks like before anything is learnt from it: the figures that notebooks draw.

It fits nothing and draws nothing, and knows a column by the contract alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensia import stats
from propensia.contract import Contract, Parameter
from propensia.spanish import number
from propensia.training.card import NO_DATA, groups, pooled
from propensia.training.rows import Labels, Rows

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares in [0, 1] of k groups of ``counts`` ``(k,)`` rows, with their 95 % limits."""

    names: tuple[str, ...]
    shares: Vector
    low: Vector
    high: Vector
    counts: Vector


def rates(names: Sequence[str], positives: Sequence[float], counts: Sequence[float]) -> Rates:
    """The shares ``positives / counts`` of groups of at least one row, with Wilson's limits."""
    hits, rows = np.array(positives, dtype=np.float64), np.array(counts, dtype=np.float64)
    return Rates(tuple(names), hits / rows, *stats.wilson(hits, rows), rows)


def by_group(
    contract: Contract, rows: Rows, name: str, hits: Vector | Labels | None = None
) -> Rates:
    """The positives among the groups of a parameter, in their natural order.

    Texts, bands and quotients as in the model card, small groups together; of a month, whether
    there is one; of any other number, quarters. ``hits`` ``(n,)`` in [0, 1] stand for the labels
    where given: chances, say.
    """
    parameter, values = contract.parameter(name), rows.values[name]
    counted = rows.labels if hits is None else hits
    if parameter.kind == "month":
        return _of_parts(np.isnan(values).astype(np.intp), ("con dato", NO_DATA), counted)
    if not parameter.is_category and not parameter.labels and not _divided(contract, parameter):
        return along(values, counted, parts=4)
    places = pooled(groups(contract, parameter, values), parameter)
    return rates(
        list(places),
        [float(counted[place].sum()) for place in places.values()],
        [float(place.sum()) for place in places.values()],
    )


def _divided(contract: Contract, parameter: Parameter) -> bool:
    """Whether its column begins with a whole division, as that of a post code does."""
    own = (column.steps for column in contract.columns if column.source == parameter.name)
    return any(steps[:1] and steps[0][0] == "floor_divide" for steps in own)


def along(values: Vector, hits: Vector | Labels, parts: int = 10) -> Rates:
    """The mean of ``hits`` ``(n,)`` along a number, in about ``parts`` parts of as many rows; at
    the end those without data, where there are any."""
    known = values[~np.isnan(values)]
    inner = np.quantile(known, np.arange(1, parts) / parts) if len(known) else np.empty(0)
    edges = np.unique(inner[inner < known.max(initial=-np.inf)])
    places = np.searchsorted(edges, values, side="left")
    places[np.isnan(values)] = len(edges) + 1
    return _of_parts(places, (*_spans(edges, known), NO_DATA), hits)


def _of_parts(places: npt.NDArray[np.intp], names: Sequence[str], hits: Vector | Labels) -> Rates:
    """Of rows by the place of their part among ``names``; a part without rows is left out."""
    found, counts = np.unique(places, return_counts=True)
    sums = np.bincount(places, hits, len(names))
    return rates([names[place] for place in found], sums[found].tolist(), counts.tolist())


def _spans(edges: Vector, known: Vector) -> list[str]:
    """What lies above each edge and not above the next, as words."""
    if len(edges) == 0:
        return ["todas"]
    if np.any(known % 1):
        texts = [number(float(edge)) for edge in edges]
        between = [f"{low} a {high}" for low, high in pairwise(texts)]
        return [f"hasta {texts[0]}", *between, f"más de {texts[-1]}"]
    whole = np.floor(edges).astype(np.int64).tolist()
    between = [_from_to(low + 1, high) for low, high in pairwise(whole)]
    return [_from_to(int(known.min()), whole[0]), *between, f"{number(whole[-1] + 1)} o más"]


def _from_to(low: int, high: int) -> str:
    return number(low) if low == high else f"{number(low)} a {number(high)}"


def missing(contract: Contract, texts: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The share of rows without data of each parameter, by short name; ``texts`` by feature.

    As the file has it: what the contract fills in counts as missing here.
    """
    return {
        parameter.name: float(np.mean([_no_data(contract, parameter, t) for t in column]))
        for parameter in contract.parameters
        if len(column := texts.get(parameter.feature, ()))
    }


def _no_data(contract: Contract, parameter: Parameter, text: str) -> bool:
    own = {known.lower() for known in (*parameter.texts, *parameter.synonyms, *parameter.labels)}
    said = text.strip().lower()
    return said in contract.no_data and said not in own


def correlations(contract: Contract, rows: Rows, most: int) -> pd.DataFrame:
    """Pearson's correlations with the label and among the ``most`` parameters that have most of
    it: ``(k + 1, k + 1)``, the label first, named as people read them.

    Of a parameter with several columns that one stands for it, under its own name, which the
    label goes with best; constant columns are left out.
    """
    table = rows.table(contract, "columns")
    table = table.loc[:, table.nunique() > 1]
    strength = table.corrwith(pd.Series(rows.labels)).abs()
    source = {column.name: column.source for column in contract.columns}
    best = strength.groupby(source).idxmax()
    chosen = strength[best].sort_values(ascending=False).index[:most]
    columns = Counter(source.values())
    names = {
        name: name if columns[source[name]] > 1 else contract.parameter(source[name]).label["es"]
        for name in chosen
    }
    named = table[list(chosen)].rename(columns=names)
    named.insert(0, contract.positive_name["es"], rows.labels)
    return named.corr()


def alike(texts: Sequence[str]) -> tuple[float, float]:
    """How often a row has the text of the row before, and how often it would if the rows were
    in random order: two shares in [0, 1], of at least two rows.

    Of a table in random order both are the same but for chance.
    """
    _, codes, counts = np.unique(np.array(texts), return_inverse=True, return_counts=True)
    rows = len(codes)
    expected = float((counts * (counts - 1)).sum()) / (rows * (rows - 1))
    return float(np.mean(codes[1:] == codes[:-1])), expected
