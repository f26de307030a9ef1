"""The order of the file: batches of days, in each first the companies, last the people of one
province.

It draws how many rows each part has, and no row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from propensia.synthetic import customers, figures

BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class World:
    """What all blocks of a table share: the first day of FECHA_ENVIO, how many days there are,
    the drift in [0, 1] and the key of its customers."""

    start: np.datetime64
    days: int
    drift: float
    key: int


@dataclass(frozen=True, slots=True)
class Batch:
    """``rows`` rows that stand together in the file.

    They are of one ``kind`` of customers, sent between the days ``first`` and ``last`` of the
    table. ``in_batch`` rows of that kind and those days come before, of ``batch_rows`` in all;
    ``in_kind`` rows of that kind and ``in_table`` rows of any.
    """

    rows: int
    kind: int
    first: int
    last: int
    in_batch: int
    batch_rows: int
    in_kind: int
    in_table: int


def plan(random: np.random.Generator, rows: int, days: int) -> Iterator[Batch]:
    """The batches of a table in order, none of more than ``BLOCK`` rows."""
    waves = max(1, round(days / figures.load()["dates"]["wave"]))
    edges = np.linspace(0, days, waves + 1).astype(int).tolist()
    shares = np.outer(np.diff(edges) / days, customers.kind_shares())
    counts = random.multinomial(rows, shares.ravel()).reshape(shares.shape).tolist()
    in_table, in_kind = 0, [0, 0, 0]
    for wave, of_kinds in enumerate(counts):
        for kind, batch_rows in enumerate(of_kinds):
            for done in range(0, batch_rows, BLOCK):
                size = min(BLOCK, batch_rows - done)
                yield Batch(
                    rows=size,
                    kind=kind,
                    first=edges[wave],
                    last=edges[wave + 1] - 1,
                    in_batch=done,
                    batch_rows=batch_rows,
                    in_kind=in_kind[kind],
                    in_table=in_table,
                )
                in_table += size
                in_kind[kind] += size
