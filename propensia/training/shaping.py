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
    MinMaxScaler,
    OneHotEncoder,
    PowerTransformer,
    SplineTransformer,
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
        """The layout of a ``table`` of one of the contract's views, with the values in it."""
        by_feature = {p.feature: p for p in contract.parameters}
        texts = [name for name in table.columns if table[name].dtype == object]
        # A number that is always missing teaches nothing, and most libraries refuse it.
        numbers = [n for n in table.columns if n not in texts and table[n].notna().any()]
        gaps = [n for n in numbers if n in by_feature and by_feature[n].optional]
        few = [n for n in numbers if n not in gaps and 2 < table[n].nunique() <= FEW]
        categories = {name: by_feature[name].texts for name in texts}
        return cls(categories, tuple(numbers), tuple(gaps), tuple(few))


def _codes(layout: Layout, *, sparse: bool) -> list[tuple[str, Any, list[str]]]:
    """One column of 0 and 1 per text, but one where there are only two texts."""
    names = list(layout.categories)
    if not names:
        return []
    texts = [list(layout.categories[name]) for name in names]
    encoder = OneHotEncoder(categories=texts, drop="if_binary", sparse_output=sparse)
    return [("categories", encoder, names)]


def for_trees(layout: Layout) -> ColumnTransformer:
    """Categories as columns of 0 and 1, numbers as they are."""
    numbers = [("numbers", "passthrough", list(layout.numbers))] if layout.numbers else []
    return ColumnTransformer([*_codes(layout, sparse=False), *numbers])


def for_lines(layout: Layout, knots: int) -> ColumnTransformer:
    """Numbers bent towards a bell and scaled, and beside them, where there are any, as a line that
    may break at so many ``knots`` with equal shares of the rows between them. Sparse: most of
    its columns are 0, and a million rows of them all would be a gigabyte."""
    parts = _codes(layout, sparse=True)
    if layout.few:
        each = OneHotEncoder(min_frequency=LEAST_ROWS, handle_unknown="infrequent_if_exist")
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
        if knots:
            # In the rows that are learnt from all of a column may be gaps.
            median = SimpleImputer(strategy="median", keep_empty_features=True)
            plain = [("fill", median)] if label == "gaps" else []
            # Not bent before: where many rows are equal the line may jump, and then the last digit
            # decides. What is beyond the rows that were learnt from counts as the last of them;
            # where many are equal there, the library would take it for something else.
            ends = ("ends", MinMaxScaler(clip=True))
            line = SplineTransformer(
                n_knots=knots, degree=1, knots="quantile", include_bias=False, sparse_output=True
            )
            pieces = Pipeline([*plain, ends, ("line", line)])
            parts.append((f"{label}_pieces", pieces, names))
    return ColumnTransformer(parts, sparse_threshold=1.0)
