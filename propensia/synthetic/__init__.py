"""A generator of the collections table ``UNAL_Cobros.csv``, which was never published.

Its rows are drawn from published figures; none of them is, or was made from, a person's row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from propensia import files
from propensia.synthetic import batches, cases, figures, writing
from propensia.synthetic.accounts import Vector
from propensia.synthetic.batches import World
from propensia.synthetic.cases import COLUMNS, Table
from propensia.synthetic.truth import chances
from propensia.synthetic.writing import PAYMENTS, TRUTH, texts

__all__ = [
    "COLUMNS",
    "PAYMENTS",
    "TRUTH",
    "Summary",
    "Table",
    "blocks",
    "chances",
    "generate",
    "texts",
    "write",
]

MOST_ROWS = 300_000_000  # more would give two customers one number
FIRST_YEAR, LAST_YEAR = 1990, 2080
STEPS = 10_000  # how finely the summary of a file tells chances apart


@dataclass(frozen=True, slots=True)
class Summary:
    """What was written: ``rows``, of which ``paid`` did; their mean true probability; and the AUC
    that the true probabilities have on them, NaN where all or none paid."""

    rows: int
    paid: int
    mean_truth: float
    auc_of_truth: float


def blocks(
    rows: int, seed: int, *, drift: float = 0.0, start: date | None = None, days: int | None = None
) -> Iterator[Table]:
    """The table in the order of the file, a block of rows at a time.

    The same arguments give the same rows; another ``rows`` or ``seed`` gives other customers.
    ``drift`` in [0, 1] moves the population (docs/synthetic.md); 0 is the published one.
    ``start`` and ``days``: the first day of FECHA_ENVIO, and how many there are. Raises
    ``ValueError`` for a number out of its range.
    """
    given = figures.load()["dates"]
    start = given["start"] if start is None else start
    days = given["days"] if days is None else days
    if not (1 <= rows <= MOST_ROWS and seed >= 0 and 0.0 <= drift <= 1.0 and 1 <= days <= 3660):
        raise ValueError("rows, seed, drift or days are out of their range")
    if not FIRST_YEAR <= start.year <= LAST_YEAR:
        raise ValueError(f"start is not in the years {FIRST_YEAR} to {LAST_YEAR}")
    random = np.random.default_rng([seed, rows])
    key = int(random.integers(1, 1 << 62))
    world = World(np.datetime64(start, "D"), days, drift, key)
    for batch in batches.plan(random, rows, days):
        yield cases.draw(random, world, batch)


def generate(
    rows: int, seed: int, *, drift: float = 0.0, start: date | None = None, days: int | None = None
) -> Table:
    """The whole table at once; arguments and errors as in ``blocks``."""
    parts = list(blocks(rows, seed, drift=drift, start=start, days=days))
    return Table(
        columns={n: np.concatenate([part.columns[n] for part in parts]) for n in COLUMNS},
        truth=np.concatenate([part.truth for part in parts]),
        paid=np.concatenate([part.paid for part in parts]),
        paid_on=np.concatenate([part.paid_on for part in parts]),
        paid_euros=np.concatenate([part.paid_euros for part in parts]),
    )


def write(
    path: Path,
    rows: int,
    seed: int,
    *,
    drift: float = 0.0,
    start: date | None = None,
    days: int | None = None,
    truth: bool = False,
    payments: bool = False,
) -> Summary:
    """Write the table as ``path``, block by block: readers see the old file or the whole new one.

    ``truth`` and ``payments`` add the columns ``TRUTH`` and ``PAYMENTS``. Memory does not grow
    with ``rows``. Raises ``OSError``, and ``ValueError`` as ``blocks`` does.
    """
    total, counts = 0.0, np.zeros((2, STEPS + 1))

    def parts() -> Iterator[bytes]:
        nonlocal total
        heading = writing.SEPARATOR.join(writing.heading(truth, payments))
        yield f"{heading}\n".encode()
        for block in blocks(rows, seed, drift=drift, start=start, days=days):
            yield writing.lines(block, truth, payments).encode("utf-8")
            total += float(block.truth.sum())
            for paid in (0, 1):
                steps = np.rint(block.truth[block.paid == paid] * STEPS).astype(np.int64)
                counts[paid] += np.bincount(steps, minlength=STEPS + 1)

    files.write(path, parts())
    return Summary(rows, int(counts[1].sum()), total / rows, _auc(*counts))


def _auc(unpaid: Vector, paid: Vector) -> float:
    """The AUC of chances, from how many rows of each class have each of them; ties count half."""
    pairs = unpaid.sum() * paid.sum()
    won = (np.cumsum(unpaid) - unpaid / 2) @ paid
    return float(won / pairs) if pairs else math.nan
