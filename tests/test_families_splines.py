"""Splines give scikit-learn's numbers, between, on, beside and beyond the knots."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from compiled_models import POSITIVE, answers, beside, node_of
from scipy.interpolate import BSpline
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer

from propensia.admission import graph, parity
from propensia.admission.compiler import compile_on
from propensia.admission.families.parts import Column, plain
from propensia.admission.families.splines import Curve
from propensia.admission.nodes import Node
from propensia.admission.refusal import Refusal

CLOSE = 1e-12
NAMES = ("DEUDA", "CAMBIO", "FACTURAS")
BEYOND = ("constant", "linear", "continue")


def made(size: int, seed: int) -> np.ndarray:
    """An amount, a change of either sign, a small count with many ties at either end."""
    random = np.random.default_rng(seed)
    count = np.clip(random.integers(-2, 9, size), 1, 6)
    amount = random.lognormal(3, 1.2, size).round(2)
    return np.column_stack([amount, random.normal(0, 30, size), count]).astype(np.float64)


ROWS = made(900, 1)
LABELS = (np.log(ROWS[:, 0]) + ROWS[:, 1] / 20 + ROWS[:, 2] / 5 > 3.6).astype(int)


def rows_for(fitted: Any, inside: bool) -> np.ndarray:
    """Unseen rows, and one column at a time on and beside each of its knots, and far beyond."""
    unseen, blocks = made(5_000, 2), []
    ends = [(one.t[one.k], one.t[-one.k - 1]) for one in fitted.bsplines_]
    lows, highs = zip(*ends, strict=True)
    for column, one in enumerate(fitted.bsplines_):
        far = [-1e6, -1.0, 0.0, 1e6]
        near = np.append(beside(np.unique(one.t)), far)
        block = unseen[np.arange(len(near)) % len(unseen)].copy()
        block[:, column] = near
        blocks.append(block)
    rows = np.concatenate([unseen, *blocks])
    return np.clip(rows, lows, highs) if inside else rows


def agree(transformer: Any, *, trees: bool = False, inside: bool = False) -> None:
    """The pipeline answers as the library; so does what it is built of."""
    classifier = (
        RandomForestClassifier(20, max_depth=5, random_state=0)
        if trees
        else LogisticRegression(max_iter=5_000)
    )
    model = make_pipeline(transformer, classifier).fit(ROWS, LABELS)
    rows = rows_for(model[0], inside)
    node = node_of(model)
    compiled = compile_on(node, plain(NAMES), POSITIVE, frozenset({"0"}))
    graph.check(compiled.onnx, len(NAMES))
    expected, got = model.predict_proba(rows)[:, 1], answers(compiled, rows)
    if trees:  # a threshold between two hills: the last digit may be on its other side
        assert (np.abs(got - expected) > CLOSE).mean() < 1e-3
    else:
        assert np.abs(got - expected).max() <= CLOSE
    assert len(np.unique(expected)) > 100
    asked = parity.reference(node, compiled)
    assert asked.predict is not None, asked.reason
    assert np.abs(asked.predict(rows[:500]) - expected[:500]).max() <= CLOSE


BENT = [("constant", 1), ("continue", 1), *((b, d) for b in BEYOND for d in (2, 3, 5))]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("knots", ["quantile", "uniform"])
@pytest.mark.parametrize(("beyond", "degree"), BENT)
def test_a_line_bends_as_in_the_library(beyond: str, degree: int, knots: str, bias: bool) -> None:
    """With knots that are there twice, as quantiles of a count are."""
    transformer = SplineTransformer(6, degree=degree, knots=knots, extrapolation=beyond)
    # A million to the power of five has no twelve digits left to compare.
    agree(transformer.set_params(include_bias=bias), inside=beyond == "continue" and degree > 1)


def test_trees_get_the_same_hills() -> None:
    agree(SplineTransformer(4, knots="quantile"), trees=True)


@pytest.mark.parametrize("beyond", BEYOND)
def test_a_sparse_matrix_has_the_same_hills(beyond: str) -> None:
    transformer = SplineTransformer(4, extrapolation=beyond, sparse_output=True)
    agree(transformer, inside=beyond == "continue")


def test_two_knots_are_a_line() -> None:
    agree(SplineTransformer(2, degree=1, extrapolation="continue"))


@pytest.mark.parametrize("unit", [1e-110, 1e-30, 1.0, 1e110])
@pytest.mark.parametrize("degree", range(1, 8))
def test_a_curve_in_pieces_is_the_curve_of_scipy(degree: int, unit: float) -> None:
    """Knots of any distances, some of them there more than once."""
    random = np.random.default_rng(degree)
    knots = unit * np.sort(np.append(random.normal(size=degree + 9), [0.1, 0.1, 0.1]))
    one = Curve(knots, degree)
    x = random.uniform(*one.ends, 2_000)
    place = np.searchsorted(one.starts[1:], x, side="right")
    distance = (x - one.starts[place])[:, None] / one.width
    got = sum(factor[place] * distance**power for power, factor in enumerate(one.pieces()))
    assert np.abs(got - BSpline(knots, np.eye(one.hills), degree)(x)).max() <= 1e-12


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"extrapolation": "periodic"}, "periodic"),
        ({"extrapolation": "error"}, "error"),
        ({"extrapolation": "linear", "degree": 1}, "linear"),
        ({"degree": 0}, "degree=0"),
        ({"degree": 21}, "degree=21"),
    ],
)
def test_what_is_not_known_is_refused(settings: dict[str, Any], told: str) -> None:
    transformer = SplineTransformer(5, **settings)
    root = node_of(make_pipeline(transformer, LogisticRegression()).fit(ROWS, LABELS))
    with pytest.raises(Refusal) as refusal:
        compile_on(root, plain(NAMES), POSITIVE, frozenset({"0"}))
    assert told in refusal.value.detail


@pytest.mark.parametrize("gaps", ["error", "zeros"])
def test_a_gap_is_refused(gaps: str) -> None:
    transformer = SplineTransformer(5, handle_missing=gaps)
    root = node_of(make_pipeline(transformer, LogisticRegression()).fit(ROWS, LABELS))
    inputs = (Column("DEUDA", missing=True), *plain(NAMES[1:]))
    with pytest.raises(Refusal) as refusal:
        compile_on(root, inputs, POSITIVE, frozenset({"0"}))
    assert ("DEUDA puede faltar" if gaps == "error" else "zeros") in refusal.value.detail


def first(**changes: object) -> Callable[[Node], None]:
    """Changes of the curve of the first column."""
    return lambda node: node.state["bsplines_"][0].state.update(changes)


def put(**changes: object) -> Callable[[Node], None]:
    """Changes of the transformer."""
    return lambda node: node.state.update(changes)


# Of five knots and degree 3: eleven knots, seven hills.
ODD: dict[str, Callable[[Node], None]] = {
    "no curves": put(bsplines_=None),
    "a curve too few": lambda node: node.state["bsplines_"].pop(),
    "a curve that is none": put(bsplines_=[1, 2, 3]),
    "a curve that is itself": lambda node: node.state.update(bsplines_=[node] * 3),
    "another degree": put(degree=2),
    "a degree that is a text of the transformer": put(degree="3"),
    "a degree of a curve": first(k=2),
    "a huge degree": first(k=1 << 40),
    "a degree that is a text": first(k="3"),
    "knots that fall": first(_t=np.arange(11.0)[::-1]),
    "a knot that is NaN": first(_t=np.full(11, np.nan)),
    "knots too far apart": first(_t=np.repeat([-1.7e308, 0.0, 1.7e308], [4, 3, 4])),
    "knots too near": first(_t=np.repeat([0.0, 5e-324, 1.0], [4, 3, 4])),
    "knots too few": first(_t=np.arange(10.0)),
    "knots in a list": first(_t=list(range(11))),
    "knots of two dimensions": first(_t=np.ones((11, 1))),
    "knots that are whole": first(_t=np.arange(11)),
    "weights of one dimension": first(_c=np.ones(7)),
    "weights that are infinite": first(_c=np.full((7, 7), np.inf)),
    "hills that are mixed": first(_c=np.eye(7)[::-1]),
    "hills that come round again": first(_c=np.vstack([np.eye(4), np.eye(3, 4)])),
    "no hills": first(_c=np.ones((7, 0))),
    "no weights": first(_c=np.ones((0, 7)), _t=np.ones(4)),
    "other hills than the rest": first(_c=np.eye(8), _t=np.arange(12.0)),
    "another number of columns": put(n_features_out_=99),
    "another way beyond": put(extrapolation="mirror"),
    "a curve that goes on by itself": first(extrapolate=True),
}


@pytest.mark.parametrize("name", ODD)
def test_what_no_fitting_leaves_behind_is_refused(name: str) -> None:
    root = node_of(make_pipeline(SplineTransformer(5), LogisticRegression()).fit(ROWS, LABELS))
    compile_on(root, plain(NAMES), POSITIVE, frozenset({"0"}))
    ODD[name](root.state["steps"][0][1])
    with pytest.raises(Refusal):
        compile_on(root, plain(NAMES), POSITIVE, frozenset({"0"}))


def spent(change: Callable[[Node], None]) -> Refusal:
    """What is said of a changed file, for which next to no memory may be taken."""
    root = node_of(make_pipeline(SplineTransformer(5), LogisticRegression()).fit(ROWS, LABELS))
    change(root.state["steps"][0][1])
    inputs = plain([f"x{number}" for number in range(root.state["steps"][0][1].state["n"])])
    tracemalloc.start()
    try:
        with pytest.raises(Refusal) as refusal:
            compile_on(root, inputs, POSITIVE, frozenset({"0"}))
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
    return refusal.value


def repeated(size: int, columns: int) -> Callable[[Node], None]:
    """One large curve, mentioned for each of many columns."""

    def change(node: Node) -> None:
        one = node.state["bsplines_"][0]
        one.state.update(_c=np.eye(size, dtype=np.float32), _t=np.arange(size + 4.0))
        node.state.update(bsplines_=[one] * columns, n_features_in_=columns, n=columns)

    return change


@pytest.mark.parametrize(("size", "columns"), [(3_000, 3), (1_000, 5_000), (10, 40_000)])
def test_a_file_that_mentions_one_curve_for_every_column_takes_no_memory(
    size: int, columns: int
) -> None:
    assert spent(repeated(size, columns)).code == "demasiado_grande"


def test_a_file_that_hoards_curves_takes_no_memory_where_the_library_is_asked() -> None:
    """Under a name that nobody reads, many curves of one large array."""
    root = node_of(make_pipeline(SplineTransformer(5), LogisticRegression()).fit(ROWS, LABELS))
    compiled = compile_on(root, plain(NAMES), POSITIVE, frozenset({"0"}))
    transformer = root.state["steps"][0][1]
    large = {"_t": np.arange(1_004.0), "_c": np.eye(1_000, dtype=np.float32)}
    one = transformer.state["bsplines_"][0]
    transformer.state["hoard"] = [replace(one, state=one.state | large) for _ in range(50)]
    tracemalloc.start()
    try:
        assert parity.reference(root, compiled).predict is not None
        assert tracemalloc.get_traced_memory()[1] < 50e6  # each alone would take eight million
    finally:
        tracemalloc.stop()


def test_a_curve_of_an_older_scipy_has_other_names() -> None:
    model = make_pipeline(SplineTransformer(5), LogisticRegression()).fit(ROWS, LABELS)
    root = node_of(model)
    for one in root.state["steps"][0][1].state["bsplines_"]:
        kept = one.state
        one.state = {"t": kept["_t"], "c": kept["_c"], "k": 3, "extrapolate": False, "axis": 0}
    compiled = compile_on(root, plain(NAMES), POSITIVE, frozenset({"0"}))
    expected = model.predict_proba(ROWS)[:, 1]
    assert np.abs(answers(compiled, ROWS) - expected).max() <= CLOSE
    asked = parity.reference(root, compiled).predict
    assert asked is not None and np.abs(asked(ROWS) - expected).max() <= CLOSE


def test_a_column_that_was_always_the_same_has_no_hills() -> None:
    rows = ROWS.copy()
    rows[:, 2] = 3.0
    transformer = SplineTransformer(5, degree=1, knots="quantile")
    model = make_pipeline(transformer, LogisticRegression()).fit(rows, LABELS)
    root = node_of(model)
    compiled = compile_on(root, plain(NAMES), POSITIVE, frozenset({"0"}))
    expected = model.predict_proba(ROWS)[:, 1]
    assert np.abs(answers(compiled, ROWS) - expected).max() <= CLOSE
    asked = parity.reference(root, compiled).predict
    assert asked is not None and np.abs(asked(ROWS) - expected).max() <= CLOSE
