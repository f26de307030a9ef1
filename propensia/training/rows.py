"""Labelled rows as the contract reads them, and the two tables that models learn from.

Nothing here fits or judges a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from propensia.contract import Contract
from propensia.features import Features

if TYPE_CHECKING:
    import pandas as pd

Days = npt.NDArray[np.datetime64]
Labels = npt.NDArray[np.int64]
Places = npt.NDArray[np.intp]
Chances = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rows:
    """n labelled rows.

    ``values``: an array ``(n,)`` per parameter, as ``Features.read_many`` gives them. ``labels``
    ``(n,) int64``: 1 is the contract's positive class. ``groups`` ``(n,) int64``: equal for rows
    of one customer; each row its own where the table has no key. ``days`` ``(n,)
    datetime64[D]``, or ``None`` where the table has no date.
    """

    values: Mapping[str, npt.NDArray[Any]]
    labels: Labels
    groups: Labels
    days: Days | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, places: Places) -> Rows:
        """The rows at ``places``, in that order."""
        return replace(
            self,
            values={name: array[places] for name, array in self.values.items()},
            labels=self.labels[places],
            groups=self.groups[places],
            days=None if self.days is None else self.days[places],
        )

    def table(self, contract: Contract, view: str) -> pd.DataFrame:
        """What a model of that view learns from: ``(n, k)``, columns named as in a request.

        ``"raw"``: a column per parameter under its feature name, texts for categories and
        float64 for the rest, NaN for no data. ``"columns"``: the contract's columns, float64.
        """
        import pandas as pd  # a server that makes the demonstration model has no pandas

        if view == "columns":
            matrix = Features(contract).matrix(dict(self.values))
            return pd.DataFrame(matrix, columns=list(contract.column_names))
        raw = {p.feature: self.values[p.name] for p in contract.parameters}
        kinds = {p.feature: object if p.is_category else np.float64 for p in contract.parameters}
        return pd.DataFrame({name: pd.Series(a, dtype=kinds[name]) for name, a in raw.items()})


def usual_view(contract: Contract) -> str:
    """The view that models learn from: the raw one, which holds more.

    Where the contract's columns have the names of its features, only the columns: a model file
    tells the views apart by the names of what it takes.
    """
    names = {parameter.feature for parameter in contract.parameters}
    return "columns" if names == set(contract.column_names) else "raw"


def join(parts: list[Rows]) -> Rows:
    """Several blocks of rows as one; all have days, or none has."""
    first = parts[0]
    return Rows(
        values={n: np.concatenate([p.values[n] for p in parts]) for n in first.values},
        labels=np.concatenate([part.labels for part in parts]),
        groups=np.concatenate([part.groups for part in parts]),
        days=None
        if first.days is None
        else np.concatenate([p.days for p in parts if p.days is not None]),
    )
