"""Rows that a model can learn something from, for the tests of training; nobody's."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from propensia import sampling
from propensia.contract import Contract
from propensia.training import demonstration
from propensia.training.rows import Rows


def rows(contract: Contract, count: int, seed: int = 5, *, customers: int | None = None) -> Rows:
    """Typical rows with labels that follow the contract's demonstration effects."""
    values = sampling.draw(contract, count, seed)
    _, labels = demonstration.table(contract, count, seed)
    random = np.random.default_rng(seed)
    groups = np.arange(count) if customers is None else random.integers(0, customers, count)
    return Rows(values, labels.astype(np.int64), groups)


def write(path: Path, contract: Contract, made: Rows) -> Path:
    """The rows as an analyst's CSV: feature names, the label, an empty text for no data."""
    names = [p.feature for p in contract.parameters]
    columns = [
        ["" if v != v else v if isinstance(v, str) else f"{v:.12g}" for v in made.values[p.name]]
        for p in contract.parameters
    ]
    labels = ["SI" if label else "NO" for label in made.labels]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter=";")
        writer.writerow([*names, contract.label_column])
        writer.writerows(zip(*columns, labels, strict=True))
    return path
