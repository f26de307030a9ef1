"""How training data and scores were distributed: what later data are compared with.

Plain tables and arrays only; it never keeps a row, and reads and writes nothing.
"""

from __future__ import annotations

from typing import Any

from propensia import distributions
from propensia.contract import Contract
from propensia.training.rows import Chances, Rows


def parameters(contract: Contract, rows: Rows) -> dict[str, dict[str, Any]]:
    """The distribution of each parameter, as ``distributions.described``."""
    return distributions.described(contract, rows.values)


def coverage(
    contract: Contract, described: dict[str, dict[str, Any]], rows: Rows
) -> dict[str, Any]:
    """Where the rows are, by pairs of parameters: what a model knows nothing about lies outside.

    ``described``: what ``parameters`` said of the same rows.
    """
    return distributions.packed(distributions.region(contract, described, rows.values))


def scores(chances: Chances) -> dict[str, Any]:
    """The distribution of out-of-sample chances, as ``distributions.of_scores``."""
    return distributions.of_scores(chances)
