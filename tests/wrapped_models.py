"""What the tests of wrappers and of the other classifiers share: rows, and one comparison."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from compiled_models import COLUMNS, answers, compiled, node_of

from propensia.admission import graph, parity
from propensia.admission.compiler import Compiled
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal

# Sums of a few hundred doubles in another order differ by less than this.
CLOSE = 1e-12


def made(size: int, seed: int) -> np.ndarray:
    """Rows like those of the contract: amounts, small counts, yes and no."""
    random = np.random.default_rng(seed)
    return np.column_stack(
        [
            random.lognormal(4.5, 1.2, size).round(2),
            random.lognormal(5.0, 1.1, size).round(2),
            random.integers(1, 10, size),
            random.integers(1, 53, size),
            random.integers(0, 2, size),
            random.integers(0, 2, size),
        ]
    ).astype(np.float64)


ROWS = made(500, 1)
NOISE = np.random.default_rng(2).normal(size=len(ROWS))
LABELS = ((np.log(ROWS[:, 0] + 1) + 2 * ROWS[:, 4] + NOISE) > 5.8).astype(int)
TEXTS = np.where(LABELS == 1, "SI", "NO")
FRAME = pd.DataFrame(ROWS, columns=list(COLUMNS))
UNSEEN = np.concatenate([made(9_000, 3), made(1_000, 4) * np.array([50, -3, 1, 1, 1, 1])])


def second_class(model: Any, rows: np.ndarray) -> np.ndarray:
    """What the library answers for rows as it was trained on: with names, in a frame."""
    named = hasattr(model, "feature_names_in_")
    given = pd.DataFrame(rows, columns=list(COLUMNS)) if named else rows
    return np.asarray(model.predict_proba(given)[:, 1], np.float64)


def agrees(model: Any, close: float = CLOSE, rows: np.ndarray = UNSEEN) -> Compiled:
    """The compiled model, once it answers as the library does, which is asked in two ways.

    First as it stands, then built anew from what was read.
    """
    root = node_of(model)
    result = compiled(root)
    expected = second_class(model, rows)
    if result.positive == 0:
        expected = 1 - expected
    got = answers(result, rows)
    assert np.abs(got - expected).max() <= close
    line = 0.5 if result.threshold is None else result.threshold
    decided = np.abs(expected - line) > close
    assert decided.any()
    assert ((got >= line) == (expected >= line))[decided].all()
    graph.check(result.onnx, len(COLUMNS))
    found = parity.reference(root, result)
    assert found.predict is not None, found.reason
    # Trees are added in the order in which threads end.
    assert np.abs(found.predict(rows) - expected).max() <= 1e-14
    return result


def refused(root: object, *codes: str) -> Refusal:
    """The refusal of a file, which has one of these codes."""
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code in codes, refusal.value
    return refusal.value


DEEP: list[Any] = []
for _ in range(5_000):
    DEEP = [DEEP]
ODD = [
    None, True, -1, 1 << 200, 10**5_000, 1e308, np.nan, "text", b"bytes", (), [], {}, [None],
    [[1, 2], [3]], DEEP, np.zeros(0), np.zeros((2, 2)), np.full(6, np.nan), np.array([1, 2]),
    np.array(["a", "b"]), np.array([None, "a"]), np.array(3.0), np.zeros(3, "f2"),
    Node(Global("sklearn.tree._tree", "Tree")), Global("numpy", "ndarray"),
]  # fmt: skip


def nodes_of(root: Node, most: int = 6) -> list[Node]:
    """The first nodes with attributes inside a file, from the outside in."""
    found: list[Node] = []
    waiting: list[object] = [root]
    while waiting and len(found) < most:
        value = waiting.pop(0)
        if isinstance(value, Node) and isinstance(value.state, dict):
            found.append(value)
            waiting += value.state.values()
        elif isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
    return found


def endures_odd_values(make: Callable[[], Any], least: int) -> None:
    """Every attribute of every node in turn becomes every kind of value that a file may hold.

    Each is refused or without effect, and at least so many are refused.
    """
    root = node_of(make().fit(FRAME, LABELS))
    number = 0
    for node in nodes_of(root):
        assert isinstance(node.state, dict)
        for attribute, good in list(node.state.items()):
            for odd in ODD:
                node.state[attribute] = odd
                try:
                    compiled(root)
                except Refusal:
                    number += 1
            node.state[attribute] = good
    assert number >= least
    compiled(root)
