"""What the tests of XGBoost and LightGBM share: rows, labels, and how answers are compared."""

from __future__ import annotations

from typing import Any

import numpy as np
from compiled_models import COLUMNS, NEGATIVE, POSITIVE, answers, beside, node_of

from propensia.admission import graph
from propensia.admission.compiler import Compiled, compile_on
from propensia.admission.families.parts import Column
from propensia.admission.parity import materialise

WIDTH = len(COLUMNS)


def made(size: int, seed: int) -> np.ndarray:
    """Rows like those of the contract: amounts, small counts, yes and no."""
    random = np.random.default_rng(seed)
    amounts = random.lognormal(4.5, 1.2, (size, 2)).round(2)
    counts = [random.integers(0, end, size) for end in (10, 53, 2, 4)]
    return np.column_stack([amounts, *counts]).astype(np.float64)


def holed(rows: np.ndarray, seed: int) -> np.ndarray:
    """The rows with every fifth value missing."""
    missing = np.random.default_rng(seed).random(rows.shape) < 0.2
    return np.where(missing, np.nan, rows)


ROWS = made(1500, 1)
_NOISE = np.random.default_rng(2).normal(size=1500)
LABELS = (np.log(ROWS[:, 0] + 1) + ROWS[:, 2] / 3 + ROWS[:, 4] + _NOISE > 6.4).astype(int)
UNSEEN = made(10_000, 3)


def compiled(node: object, *, missing: bool = False) -> Compiled:
    inputs = tuple(Column(name, missing=missing) for name in COLUMNS)
    return compile_on(node, inputs, POSITIVE, NEGATIVE)


def at_splits(splits: list[tuple[int, float]], rows: np.ndarray) -> np.ndarray:
    """Rows whose value of a column lies on a split (column, threshold), or just beside it."""
    blocks = []
    for number, (column, threshold) in enumerate(splits):
        values = beside(np.array([threshold]))
        block = rows[number * len(values) % 5000 :][: len(values)].copy()
        block[:, column] = values
        blocks.append(block)
    return np.concatenate([rows, *blocks])


def check_same(
    model: Any, rows: np.ndarray, close: float, *, missing: bool = False, expected: Any = None
) -> Compiled:
    """The graph, and the real booster rebuilt from what was read, answer as the model does."""
    node = node_of(model)
    result = compiled(node, missing=missing)
    if expected is None:
        expected = model.predict_proba(rows)[:, 1]
    expected = np.asarray(expected, np.float64)
    got = answers(result, rows)
    assert np.abs(got - expected).max() <= close
    decided = np.abs(expected - 0.5) > 1e-6
    assert ((got >= 0.5) == (expected >= 0.5))[decided].all()
    graph.check(result.onnx, WIDTH)
    rebuilt = materialise(node).predict_proba(rows)[:, 1]
    assert np.abs(rebuilt - expected).max() <= 2e-7  # a softmax may be one of two in float32
    return result
