"""How training data and scores were distributed, and how good: what later data are held against.

Plain tables and arrays only; it never keeps a row, and reads and writes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from propensia import distributions, stats
from propensia.contract import Contract
from propensia.distributions import short
from propensia.training.results import Figure
from propensia.training.rows import Chances, Labels, Rows


def reference(contract: Contract, rows: Rows, chances: Chances) -> dict[str, Any]:
    """The ``referencia`` of a sidecar: of the rows that a model learnt from, and of out-of-sample
    ``chances`` ``(m,)``."""
    described = parameters(contract, rows)
    return {
        "filas": len(rows),
        "parametros": described,
        "cobertura": coverage(contract, described, rows),
        "puntuacion": scores(chances),
    }


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


def figures(judged: Mapping[str, Figure]) -> dict[str, dict[str, float | None]]:
    """The ``metricas`` of a sidecar."""
    return {
        name: {
            "valor": number(figure.value),
            "desde": number(figure.low),
            "hasta": number(figure.high),
        }
        for name, figure in judged.items()
    }


def calibration(labels: Labels, chances: Chances) -> list[dict[str, float]]:
    """The ``calibracion`` of a sidecar: of n labels and out-of-sample chances, bin by bin."""
    table = stats.calibration_table(labels, chances)
    parts = zip(table.chance, table.rate, table.count, strict=True)
    return [
        {"probabilidad": short(chance), "tasa": short(rate), "filas": int(count)}
        for chance, rate, count in parts
    ]


def number(value: float) -> float | None:
    """A number as JSON can hold it."""
    return short(value) if math.isfinite(value) else None
