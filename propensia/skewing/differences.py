"""Which columns of a matrix are not what the contract gives, in which rows and by how much.

It looks at every row that both files have, and samples none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from propensia.skewing.causes import Case, why
from propensia.skewing.closeness import Mask, close
from propensia.skewing.conditions import cover, exactly, forms
from propensia.skewing.pairing import Pairs


@dataclass(frozen=True, slots=True)
class Difference:
    """One column that differs: in which of n rows, by how much, and why.

    ``typical`` (the median) and ``largest`` are of the rows that differ, in the column's unit;
    ``None`` where the matrix holds no number to subtract.
    """

    column: str
    rows: Mask
    typical: float | None
    largest: float | None
    why: str


def differences(pairs: Pairs) -> list[Difference]:
    """Every column that differs, the one with most rows first; missing columns are not here."""
    view = pairs.heading.view
    found = []
    for place, column in enumerate(view.columns):
        if column.name in pairs.heading.missing:
            continue
        bad = differs(pairs, place)
        if not bad.any():
            continue
        case = Case(pairs, place, bad, forms(pairs.raw, view.parameter(column.source)))
        gaps = np.abs(case.got - case.want)[bad]
        gaps = gaps[np.isfinite(gaps)]
        is_number = bool(gaps.size) and column.name not in pairs.heading.texts
        found.append(
            Difference(
                column=column.name,
                rows=bad,
                typical=float(np.median(gaps)) if is_number else None,
                largest=float(gaps.max()) if is_number else None,
                why=why(case),
            )
        )
    return sorted(found, key=lambda one: (-int(one.rows.sum()), -(one.typical or 0.0)))


def differs(pairs: Pairs, place: int) -> Mask:
    """The rows in which a column is not, within its tolerance, what the contract gives."""
    want, got = pairs.want[:, place], pairs.got[:, place]
    return ~close(want, got, pairs.tolerance[:, place])


def absence(pairs: Pairs) -> str | None:
    """In which rows of the table the matrix has none, where that can be said exactly."""
    if not pairs.absent.any() or pairs.absent.all():
        return None
    everyone = [forms(pairs.everyone, p) for p in pairs.everyone.contract.parameters]
    alone = next((said for found in everyone if (said := exactly(pairs.absent, found))), None)
    return alone or cover(pairs.absent, everyone)


def shuffled(pairs: Pairs) -> bool:
    """Whether every column holds the very values of the contract, only in other rows."""
    return bool(
        close(np.sort(pairs.want, axis=0), np.sort(pairs.got, axis=0), pairs.tolerance).all()
    )
