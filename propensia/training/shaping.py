"""What becomes of raw values before a model learns from them; all of it is fitted with the model.

It knows kinds of columns, not their names, and never looks at a label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    OneHotEncoder,
    PowerTransformer,
    StandardScaler,
)

from propensia.contract import Contract

# Numbers of at most so many values get an effect for each that this many rows have.
FEW = 12
LEAST_ROWS = 30


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of the raw view: categories with their texts, and numbers.

    Of the numbers, ``gaps`` may have no data, and ``few`` have so few values that each may have
    an effect of its own.
    """

    categories: Mapping[str, tuple[str, ...]]
    numbers: tuple[str, ...]
    gaps: tuple[str, ...]
    few: tuple[str, ...]

    @classmethod
    def of(cls, contract: Contract, table: pd.DataFrame) -> Layout:
        """The layout of the raw view of a contract, with the values that are in ``table``."""
        categories = {p.feature: p.texts for p in contract.parameters if p.is_category}
        numbers = tuple(p.feature for p in contract.parameters if not p.is_category)
        gaps = {p.feature for p in contract.parameters if p.optional and p.fill is None}
        whole = [name for name in numbers if name not in gaps]
        few = [name for name in whole if 2 < table[name].nunique() <= FEW]
        return cls(categories, numbers, tuple(n for n in numbers if n in gaps), tuple(few))


def _codes(layout: Layout) -> list[tuple[str, Any, list[str]]]:
    """One column of 0 and 1 per text, but one where there are only two texts."""
    names = list(layout.categories)
    if not names:
        return []
    texts = [list(layout.categories[name]) for name in names]
    encoder = OneHotEncoder(categories=texts, drop="if_binary", sparse_output=False)
    return [("categories", encoder, names)]


def for_trees(layout: Layout) -> ColumnTransformer:
    """Categories as columns of 0 and 1, numbers as they are."""
    numbers = [("numbers", "passthrough", list(layout.numbers))] if layout.numbers else []
    return ColumnTransformer([*_codes(layout), *numbers])


def for_lines(layout: Layout, bins: int) -> ColumnTransformer:
    """Numbers bent towards a bell and scaled, and beside them in so many ``bins`` of equal mass,
    where there are any: a line with a step per piece."""
    parts = _codes(layout)
    if layout.few:
        each = OneHotEncoder(
            min_frequency=LEAST_ROWS, handle_unknown="infrequent_if_exist", sparse_output=False
        )
        parts.append(("few", each, list(layout.few)))
    special = {*layout.gaps, *layout.few}
    whole = [name for name in layout.numbers if name not in special]
    # Scaled first: the power that bends 202304..202403 as they are is in the hundreds, and then
    # the last digits of a number decide.
    shape = [("scale", StandardScaler()), ("power", PowerTransformer())]
    for label, names in (("whole", whole), ("gaps", list(layout.gaps))):
        if not names:
            continue
        # A gap is told by a column of its own; what fills it then hardly matters.
        fill = [("fill", SimpleImputer(strategy="median", add_indicator=True))]
        before = fill if label == "gaps" else []
        parts.append((label, Pipeline([*before, *shape]), names))
        if bins:
            pieces = KBinsDiscretizer(
                n_bins=bins,
                encode="onehot-dense",
                strategy="quantile",
                quantile_method="averaged_inverted_cdf",
            )
            plain = [("fill", SimpleImputer(strategy="median"))] if label == "gaps" else []
            parts.append((f"{label}_bins", Pipeline([*plain, ("bins", pieces)]), names))
    return ColumnTransformer(parts)
