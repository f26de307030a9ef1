"""What the tests of tree ensembles share: rows like the contract's, also beside thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from compiled_models import COLUMNS, answers, beside

from propensia.admission import graph, parity
from propensia.admission.compiler import Compiled

# Sums of a few hundred doubles in another order differ by less than this.
CLOSE = 1e-12


def made(size: int, seed: int) -> np.ndarray:
    """Amounts, small counts, provinces, yes and no: (size, 6)."""
    random = np.random.default_rng(seed)
    return np.column_stack(
        [
            random.lognormal(4.5, 1.2, size).round(2),
            random.lognormal(5.0, 1.1, size).round(2),
            random.integers(0, 10, size),
            random.integers(1, 53, size),
            random.integers(0, 2, size),
            random.integers(0, 6, size),
        ]
    ).astype(np.float64)


ROWS = made(700, 1)
LABELS = (
    np.log(ROWS[:, 0] + 1)
    + 2 * ROWS[:, 4]
    + np.isin(ROWS[:, 3] % 7, [1, 4])
    + made(700, 2)[:, 2] / 4
    > 7.2
).astype(int)
WEIGHTS = np.where(LABELS == 1, 3.0, 0.5) + made(700, 4)[:, 2] / 10
FRAME = pd.DataFrame(ROWS, columns=list(COLUMNS))
UNSEEN = made(10_000, 3)


def holed(rows: np.ndarray, seed: int) -> np.ndarray:
    """The rows with a tenth of their values missing."""
    gone = np.random.default_rng(seed).random(rows.shape) < 0.1
    return np.where(gone, np.nan, rows)


def second_class(model: Any, rows: np.ndarray) -> np.ndarray:
    """What the library answers for rows as it was trained on: with names, in a frame."""
    named = hasattr(model, "feature_names_in_")
    given = pd.DataFrame(rows, columns=list(COLUMNS)) if named else rows
    return np.asarray(model.predict_proba(given)[:, 1])


def splits(model: Any) -> Iterator[tuple[int, float]]:
    """Column and threshold of the splits inside a model, whatever stands around its trees."""
    if hasattr(model, "tree_"):
        tree = model.tree_
        inner = tree.children_left >= 0
        yield from zip(tree.feature[inner].tolist(), tree.threshold[inner].tolist(), strict=True)
    elif hasattr(model, "_predictors"):
        mask = model.is_categorical_
        mask = np.zeros(len(COLUMNS), bool) if mask is None else mask
        places = np.concatenate([np.flatnonzero(mask), np.flatnonzero(~mask)]).tolist()
        for (tree,) in model._predictors:
            nodes = tree.nodes[(tree.nodes["is_leaf"] == 0) & (tree.nodes["is_categorical"] == 0)]
            for node in nodes:
                yield places[int(node["feature_idx"])], float(node["num_threshold"])
    elif hasattr(model, "steps"):
        yield from splits(model.steps[-1][1])
    elif hasattr(model, "estimators_"):
        inside = model.estimators_
        inside = inside.ravel() if isinstance(inside, np.ndarray) else inside
        features = getattr(model, "estimators_features_", [range(len(COLUMNS))] * len(inside))
        for one, places in zip(inside, features, strict=True):
            for column, threshold in splits(one):
                yield int(places[column]), threshold


def threshold_rows(model: Any, most: int = 1500, missing: bool = False) -> np.ndarray:
    """Rows with one column exactly on a threshold of the model, and one unit beside it."""
    random = np.random.default_rng(5)
    found = [pair for pair in splits(model) if np.isfinite(pair[1])]
    assert found, "no threshold to test"
    blocks = []
    for place in random.permutation(len(found))[:most]:
        column, threshold = found[place]
        values = beside(np.array([threshold]))
        block = UNSEEN[random.integers(0, len(UNSEEN), len(values))].copy()
        block[:, column] = values
        blocks.append(block)
    rows = np.concatenate(blocks)
    return holed(rows, 6) if missing else rows


def assert_equal(model: Any, root: Any, result: Compiled, rows: np.ndarray) -> None:
    """The graph, and the library built anew from the file, answer as the model does."""
    graph.check(result.onnx, len(COLUMNS))
    expected, got = second_class(model, rows), answers(result, rows)
    assert np.ptp(expected) > 0.2, "a model that always says the same tests nothing"
    assert np.abs(got - expected).max() <= CLOSE
    decided = np.abs(expected - 0.5) > CLOSE
    assert ((got >= 0.5) == (expected >= 0.5))[decided].all()
    found = parity.reference(root, result)
    assert found.predict is not None, found.reason
    assert np.abs(found.predict(rows[:200]) - expected[:200]).max() <= 1e-15
