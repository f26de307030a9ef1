"""What the tests of transformers share: rows of texts, numbers and gaps, and the comparison."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from compiled_models import NEGATIVE, POSITIVE, answers, node_of

from propensia.admission import graph, parity
from propensia.admission.compiler import Compiled, compile_on
from propensia.admission.families.parts import Column

# Sums and powers of doubles in another order differ by less than this.
CLOSE = 1e-12
TEXTS = {"ESCENARIO": ("PER", "FU", "EMP"), "PORTADO": ("SI", "NO", "N/A", "BAJAS_I")}
INPUTS = (
    Column("ESCENARIO", texts=TEXTS["ESCENARIO"]),
    Column("PORTADO", texts=TEXTS["PORTADO"], missing=True),
    Column("DEUDA", missing=True),
    Column("PROVINCIA"),
    Column("FACTURAS"),
)
NAMES = [column.name for column in INPUTS]
SIZE = 10_000


def frame(size: int, seed: int, *, gaps: bool = True) -> pd.DataFrame:
    """Rows like those of a contract, with a value missing here and there."""
    random = np.random.default_rng(seed)
    shares = [0.5, 0.3, 0.15, 0.05]
    rows = pd.DataFrame(
        {
            "ESCENARIO": random.choice(np.array(TEXTS["ESCENARIO"], object), size),
            "PORTADO": random.choice(np.array(TEXTS["PORTADO"], object), size, p=shares),
            "DEUDA": random.lognormal(5, 1.1, size).round(2),
            "PROVINCIA": random.integers(1, 53, size).astype(float),
            "FACTURAS": random.integers(1, 10, size).astype(float),
        }
    )
    rows["PORTADO"] = rows["PORTADO"].astype(object)
    rows["ESCENARIO"] = rows["ESCENARIO"].astype(object)
    if gaps:
        rows.loc[random.random(size) < 0.1, "DEUDA"] = np.nan
        rows.loc[random.random(size) < 0.1, "PORTADO"] = np.nan
    return rows


def labels(rows: pd.DataFrame) -> np.ndarray:
    """1 for a payer; every column has something to say."""
    score = np.log(rows["DEUDA"].fillna(300.0)) - (rows["ESCENARIO"] == "PER")
    score += (rows["PORTADO"] == "NO") + rows["PROVINCIA"] / 30 - rows["FACTURAS"] / 5
    noise = np.random.default_rng(7).normal(size=len(rows))
    return np.asarray((score + noise > 5.0).astype(int))


def codes(rows: pd.DataFrame) -> np.ndarray:
    """The rows as the graph gets them: a text as its place among those of its column."""
    columns = []
    for name in rows.columns:
        texts = TEXTS.get(name)
        if texts is None:
            columns.append(rows[name].to_numpy(float))
        else:
            known = {text: float(place) for place, text in enumerate(texts)}
            columns.append(np.array([known.get(value, np.nan) for value in rows[name]]))
    return np.column_stack(columns)


def compiled_on(node: Any, inputs: tuple[Column, ...] = INPUTS) -> Compiled:
    return compile_on(node, inputs, POSITIVE, NEGATIVE)


def agree(
    model: Any,
    rows: pd.DataFrame,
    *,
    training: pd.DataFrame | None = None,
    named: bool = True,
    tolerance: float = CLOSE,
) -> Compiled:
    """The model, fitted and compiled; it answers for ``rows`` as the library does."""
    if training is None:
        training = frame(800, 1, gaps=bool(rows.isna().any(axis=None)))[list(rows.columns)]
    target = labels(frame(len(training), 1))
    model.fit(training if named else training.to_numpy(object), target)
    inputs = tuple(column for column in INPUTS if column.name in rows.columns)
    if not rows.isna().any(axis=None):
        inputs = tuple(Column(column.name, column.texts) for column in inputs)
    node = node_of(model)
    compiled = compiled_on(node, inputs)
    graph.check(compiled.onnx, len(inputs))
    expected = model.predict_proba(rows if named else rows.to_numpy(object))[:, 1]
    got = answers(compiled, codes(rows))
    assert np.abs(got - expected).max() <= tolerance
    assert len(np.unique(expected)) > 1
    whole = ~np.isnan(codes(rows)).any(axis=1)
    asked = parity.reference(node, compiled)
    assert asked.predict is not None, asked.reason
    some = codes(rows)[whole][:200]
    assert np.abs(asked.predict(some) - got[whole][:200]).max() <= tolerance
    return compiled
