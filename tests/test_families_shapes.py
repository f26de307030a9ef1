"""Powers, quantiles, bins and norms give scikit-learn's numbers, on and beside every edge too."""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
import onnxruntime
import pytest
from compiled_models import POSITIVE, answers, beside, node_of
from scipy import stats
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PowerTransformer,
    QuantileTransformer,
    StandardScaler,
)

from propensia.admission import graph, parity
from propensia.admission.compiler import compile_on
from propensia.admission.families import shapes
from propensia.admission.families.parts import Column, Workshop, plain
from propensia.admission.refusal import Refusal

# Sums, powers and logarithms of doubles in another order differ by less than this.
CLOSE = 1e-12
SIZE = 10_000
NAMES = ("DEUDA", "CAMBIO", "FACTURAS", "FIJA")
ENDS = (0.0, -0.0, 1.0, -1.0, 1e-300, -1e-300, 1e-9, -1e-9, 1e6, -1e6)


def made(size: int, seed: int) -> np.ndarray:
    """An amount, a change of either sign, a small count with many ties, a constant."""
    random = np.random.default_rng(seed)
    return np.column_stack(
        [
            random.lognormal(3, 1.2, size).round(2),
            random.normal(0, 30, size),
            random.integers(1, 8, size),
            np.full(size, 5.0),
        ]
    ).astype(np.float64)


ROWS = made(900, 1)
LABELS = (np.log(ROWS[:, 0]) + ROWS[:, 1] / 20 + ROWS[:, 2] / 5 > 3.6).astype(int)
UNSEEN = made(SIZE, 2)


def with_edges(edges: list[np.ndarray]) -> np.ndarray:
    """The unseen rows, and one column at a time on and beside each of its edges."""
    blocks = [UNSEEN]
    for column, values in enumerate(edges):
        near = beside(np.append(values, ENDS))
        block = UNSEEN[np.arange(len(near)) % SIZE].copy()
        block[:, column] = near
        blocks.append(block)
    return np.concatenate(blocks)


def agree(
    transformer: Any,
    edges: list[np.ndarray],
    *,
    gaps: bool = False,
    trees: bool = False,
    tolerance: float = CLOSE,
) -> None:
    """The pipeline answers as the library on and beside each edge; so does what it is built of."""
    classifier = (
        RandomForestClassifier(20, max_depth=7, random_state=0)
        if trees
        else LogisticRegression(max_iter=2000)
    )
    if gaps:
        training, rows = ROWS.copy(), with_edges(edges)
        training[::9, 1], rows[::7, 0] = np.nan, np.nan
    else:
        training, rows = ROWS, with_edges(edges)
    model = make_pipeline(transformer, classifier).fit(training, LABELS)
    node = node_of(model)
    inputs = tuple(Column(name, missing=gaps) for name in NAMES)
    compiled = compile_on(node, inputs, POSITIVE, frozenset({"0"}))
    graph.check(compiled.onnx, len(NAMES))
    expected = model.predict_proba(rows)[:, 1]
    got = answers(compiled, rows)
    assert np.abs(got - expected).max() <= tolerance
    decided = np.abs(expected - 0.5) > tolerance
    assert ((got >= 0.5) == (expected >= 0.5))[decided].all()
    assert len(np.unique(expected)) > 1
    asked = parity.reference(node, compiled)
    assert asked.predict is not None, asked.reason
    assert np.abs(asked.predict(rows[:500]) - got[:500]).max() <= tolerance


POWERS = {
    "yeo-johnson": PowerTransformer(),
    "yeo-johnson, not scaled": PowerTransformer(standardize=False),
}


@pytest.mark.parametrize("trees", [False, True])
@pytest.mark.parametrize("name", POWERS)
def test_powers_of_either_sign(name: str, trees: bool) -> None:
    agree(POWERS[name], [np.zeros(1)] * 4, trees=trees)


def test_powers_leave_missing_values_missing() -> None:
    agree(PowerTransformer(), [np.zeros(1)] * 4, gaps=True, trees=True)


@pytest.mark.parametrize("version", ["1.8.0", "1.9.1"])
@pytest.mark.parametrize("power", [0.0, 1e-17, 1e-5, 0.3, 1.0, 2.0, 2 + 1e-15, -0.7, 5.0])
def test_each_power_is_the_formula_of_its_version(power: float, version: str) -> None:
    """Up to 1.8 the power was taken as such; the newest is scipy's, exact near zero."""
    root = node_of(PowerTransformer(standardize=False).fit(ROWS[:, :2]))
    root.state["lambdas_"] = np.array([power, power])
    root.state["_sklearn_version"] = version
    shop = Workshop(plain("AB"), {}, {})
    flow = shapes.power(root, shop.rows, shop)
    x = np.linspace(-9, 9, 3001)
    expected = stats.yeojohnson(x, lmbda=power) if version == "1.9.1" else powers(x, power)
    got = run(shop, shop.graph.picked(flow.codes, [1]), np.column_stack([x, x]))
    tolerance = 4e-15 * (1 + np.abs(expected))
    if version == "1.8.0":
        # Dividing by a power next to nothing magnifies the last digit of the power taken.
        smallest = min(p for p in (abs(power), abs(2 - power)) if p > np.spacing(1.0))
        tolerance += np.spacing(1.0) / smallest
    assert (np.abs(got - expected) <= tolerance).all()


def powers(x: np.ndarray, power: float) -> np.ndarray:
    """As scikit-learn up to 1.8 takes them, rounding near a power of 0 or 2 included."""
    eps, size = np.spacing(1.0), np.abs(x) + 1
    above = np.log1p(size - 1) if abs(power) < eps else (size**power - 1) / power
    other = 2 - power
    below = np.log1p(size - 1) if abs(power - 2) <= eps else (size**other - 1) / other
    return np.where(x >= 0, above, -below)


def run(shop: Workshop, tensor: str, rows: np.ndarray) -> np.ndarray:
    """The numbers of one column of a graph."""
    session = onnxruntime.InferenceSession(shop.graph.to_bytes(tensor))
    return np.asarray(session.run(["p"], {"x": rows})[0][:, 0])


def test_box_cox_of_what_is_positive_and_no_answer_for_the_rest() -> None:
    rows = np.abs(ROWS) + 0.01
    model = make_pipeline(PowerTransformer(method="box-cox"), LogisticRegression())
    model.fit(rows[:, :3], LABELS)
    compiled = compile_on(node_of(model), plain(NAMES[:3]), POSITIVE, frozenset({"0"}))
    unseen = np.abs(UNSEEN[:, :3]) + 1e-300
    expected = model.predict_proba(unseen)[:, 1]
    assert np.abs(answers(compiled, unseen) - expected).max() <= CLOSE
    unseen[::3, 1], unseen[1::3, 2] = 0.0, -4.0
    got = answers(compiled, unseen)
    assert np.isnan(got[::3]).all() and np.isnan(got[1::3]).all()
    assert np.abs(got[2::3] - expected[2::3]).max() <= CLOSE
    with pytest.raises(ValueError, match="strictly positive"):
        model.predict_proba(unseen)


@pytest.mark.parametrize("power", [0.0, 1e-20, 1e-9, 0.4, -1.0, 3.0])
def test_each_box_cox_power_is_exact_near_zero(power: float) -> None:
    root = node_of(PowerTransformer(method="box-cox", standardize=False).fit(ROWS[:, :1]))
    root.state["lambdas_"] = np.array([power])
    shop = Workshop(plain("A"), {}, {})
    flow = shapes.power(root, shop.rows, shop)
    x = np.geomspace(1e-6, 1e6, 3001)
    expected = stats.boxcox(x, lmbda=power)
    got = run(shop, flow.codes, x[:, None])
    # The last digit of a logarithm, times forty, in an exponent.
    assert (np.abs(got - expected) <= 2e-14 * (1 + np.abs(expected))).all()


QUANTILES: dict[str, dict[str, Any]] = {
    "uniform": {"n_quantiles": 900},
    "few": {"n_quantiles": 7},
    "two": {"n_quantiles": 2},
    "normal": {"n_quantiles": 900, "output_distribution": "normal"},
    "normal, few": {"n_quantiles": 40, "output_distribution": "normal"},
}


def inner(values: np.ndarray) -> np.ndarray:
    return np.unique(values)[::5]


@pytest.mark.parametrize("trees", [False, True])
@pytest.mark.parametrize("name", QUANTILES)
def test_quantiles_also_on_and_beside_each_and_where_they_tie(name: str, trees: bool) -> None:
    """Trees would tell the ends of ties apart, and a value cut at the wrong place."""
    transformer = QuantileTransformer(**QUANTILES[name], random_state=0)
    edges = [
        inner(column) for column in QuantileTransformer(n_quantiles=50).fit(ROWS).quantiles_.T
    ]
    ends = [
        np.array([low, low + 1e-7, high, high - 1e-7]) for low, high in zip(*_ends(), strict=True)
    ]
    near = [np.append(one, other) for one, other in zip(edges, ends, strict=True)]
    agree(transformer, near, trees=trees)


def _ends() -> tuple[np.ndarray, np.ndarray]:
    return ROWS.min(axis=0), ROWS.max(axis=0)


def test_quantiles_leave_missing_values_missing() -> None:
    agree(QuantileTransformer(n_quantiles=100), [np.zeros(1)] * 4, gaps=True, trees=True)


def test_the_normal_quantile_is_exact_to_the_last_digits() -> None:
    shop = Workshop(plain("A"), {}, {})
    tensor = shapes._normal_quantile("x", shop.graph)
    tails = np.geomspace(1e-9, 0.4, 20_000)
    share = np.concatenate(
        [np.linspace(0, 1, 20_001), tails, 1 - tails, beside(np.array([0.075]))]
    )
    low, high = 1e-7 - np.spacing(1), 1 - (1e-7 - np.spacing(1))
    expected = np.clip(stats.norm.ppf(share), stats.norm.ppf(low), stats.norm.ppf(high))
    got = run(shop, tensor, share[:, None])
    assert np.abs(got - expected).max() <= 1e-13 * 5.2
    assert got.min() == NormalDist().inv_cdf(low)


BINS: dict[str, dict[str, Any]] = {
    "one column each": {"n_bins": 5},
    "dense": {"n_bins": [2, 9, 3, 2], "encode": "onehot-dense", "strategy": "uniform"},
    "numbers": {"n_bins": 40, "encode": "ordinal"},
    "float32": {"n_bins": 12, "encode": "ordinal", "dtype": np.float32, "strategy": "kmeans"},
    "uniform": {"n_bins": 70, "encode": "ordinal", "strategy": "uniform"},
}


@pytest.mark.filterwarnings("ignore:Bins whose width are too small")
@pytest.mark.filterwarnings("ignore:Feature 3 is constant")
@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
@pytest.mark.parametrize("trees", [False, True])
@pytest.mark.parametrize("name", BINS)
def test_bins_also_on_and_beside_each_edge(name: str, trees: bool) -> None:
    settings = {"quantile_method": "averaged_inverted_cdf", **BINS[name]}
    fitted = KBinsDiscretizer(**settings).fit(ROWS)
    # After float32 columns the library's linear models compute in float32 as well.
    tolerance = 1e-6 if name == "float32" and not trees else CLOSE
    edges = [values[1:-1] for values in fitted.bin_edges_]
    agree(KBinsDiscretizer(**settings), edges, trees=trees, tolerance=tolerance)


@pytest.mark.parametrize("threshold", [0.0, 5.0, -3.25])
def test_a_threshold_belongs_to_what_is_below(threshold: float) -> None:
    agree(Binarizer(threshold=threshold), [np.array([threshold])] * 4)


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_rows_are_divided_by_their_norm(norm: str) -> None:
    agree(Normalizer(norm=norm), [np.zeros(1)] * 4)


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_a_row_next_to_nothing_is_not_divided(norm: str) -> None:
    """Below ten times the rounding of one, the norm counts as one."""
    model = make_pipeline(Normalizer(norm=norm), LogisticRegression())
    model.fit(ROWS[:, :2], LABELS)
    compiled = compile_on(node_of(model), plain(NAMES[:2]), POSITIVE, frozenset({"0"}))
    rows = np.zeros((60, 2))
    rows[:, 0] = np.append(
        beside(np.full(9, 10 * np.finfo(float).eps)), [0, 1e-320, -1e-16, 1, 2, 3]
    )
    assert np.abs(answers(compiled, rows) - model.predict_proba(rows)[:, 1]).max() <= CLOSE


@pytest.mark.parametrize(
    "scaler", [MinMaxScaler(clip=True), MaxAbsScaler(), StandardScaler(), MaxAbsScaler(clip=True)]
)
def test_scalers_leave_missing_values_missing(scaler: Any) -> None:
    """Cut to a range too: NaN is not the end of it."""
    agree(scaler, [np.zeros(1)] * 4, gaps=True, trees=True)


@pytest.mark.parametrize("transformer", [Binarizer(), Normalizer(), KBinsDiscretizer(3)])
def test_a_gap_where_the_library_fails_is_refused(transformer: Any) -> None:
    made = make_column_transformer((transformer, [0]), remainder="passthrough")
    root = node_of(make_pipeline(made, LogisticRegression()).fit(ROWS, LABELS))
    with pytest.raises(Refusal) as refusal:
        compile_on(
            root, (Column("DEUDA", missing=True), *plain(NAMES[1:])), POSITIVE, frozenset("0")
        )
    assert refusal.value.code == "valores_distintos"
    assert "DEUDA puede faltar" in refusal.value.detail


def put(**changes: object) -> Callable[[Any], None]:
    return lambda node: node.state.update(changes)


def edges(place: int, *values: object) -> Callable[[Any], None]:
    def change(node: Any) -> None:
        node.state["bin_edges_"].items[place : place + 1] = values

    return change


ODD: dict[str, tuple[Any, Callable[[Any], None]]] = {
    "a power too few": (PowerTransformer(), put(lambdas_=np.ones(3))),
    "a power that is NaN": (PowerTransformer(), put(lambdas_=np.full(4, np.nan))),
    "no powers": (PowerTransformer(), put(lambdas_=None)),
    "another method": (PowerTransformer(), put(method="cube")),
    "no scaler": (PowerTransformer(), put(_scaler=None)),
    "a text as scaler": (PowerTransformer(), put(_scaler="passthrough")),
    "itself as scaler": (PowerTransformer(), lambda node: node.state.update(_scaler=node)),
    "a scale of zero": (
        PowerTransformer(),
        lambda node: node.state["_scaler"].state.update(scale_=np.zeros(4)),
    ),
    "quantiles that fall": (
        QuantileTransformer(),
        put(quantiles_=np.ones((900, 4)) * -np.arange(900)[:, None]),
    ),
    "a quantile that is NaN": (QuantileTransformer(), put(quantiles_=np.full((900, 4), np.nan))),
    "quantiles too far apart": (
        QuantileTransformer(),
        put(quantiles_=np.repeat([-1.7e308, 1.7e308], 450)[:, None] * np.ones(4)),
    ),
    "quantiles too near": (
        QuantileTransformer(),
        put(quantiles_=np.arange(900)[:, None] * 5e-324 * np.ones(4)),
    ),
    "quantiles of other columns": (QuantileTransformer(), put(quantiles_=np.ones((900, 5)))),
    "references of another length": (QuantileTransformer(), put(references_=np.ones(7))),
    "references that fall": (QuantileTransformer(), put(references_=np.arange(900.0)[::-1])),
    "no references": (
        QuantileTransformer(),
        put(references_=np.zeros(0), quantiles_=np.zeros((0, 4))),
    ),
    "one reference": (QuantileTransformer(), put(references_=0.5)),
    "another distribution": (QuantileTransformer(), put(output_distribution="cauchy")),
    "edges too few": (KBinsDiscretizer(3), edges(0)),
    "one edge": (KBinsDiscretizer(3), edges(0, np.ones(1))),
    "edges that fall": (KBinsDiscretizer(3), edges(0, np.array([0.0, 2.0, 1.0, 3.0]))),
    "an edge that is NaN": (KBinsDiscretizer(3), edges(0, np.array([0.0, np.nan, 1.0, 3.0]))),
    "edges in a list": (KBinsDiscretizer(3), edges(0, [0.0, 1.0, 2.0, 3.0])),
    "another number of bins": (KBinsDiscretizer(3), put(n_bins_=np.array([3, 3, 3, 9]))),
    "a million bins": (KBinsDiscretizer(3), edges(0, np.arange(1e6))),
    "edges that are none": (KBinsDiscretizer(3), put(bin_edges_=np.ones((4, 4)))),
    "another encoding": (KBinsDiscretizer(3), put(encode="hex")),
    "a type that is none": (KBinsDiscretizer(3), put(dtype="float128")),
    "another norm": (Normalizer(), put(norm="l3")),
    "a threshold that is NaN": (Binarizer(), put(threshold=np.nan)),
    "a threshold that is a text": (Binarizer(), put(threshold="1")),
    "a huge threshold": (Binarizer(), put(threshold=10**400)),
}


@pytest.mark.filterwarnings("ignore:n_quantiles")
@pytest.mark.filterwarnings("ignore:Feature 3 is constant")
@pytest.mark.filterwarnings("ignore:Bins whose width are too small")
@pytest.mark.filterwarnings("ignore:The current default behavior, quantile_method")
@pytest.mark.parametrize("name", ODD)
def test_what_no_fitting_leaves_behind_is_refused(name: str) -> None:
    transformer, change = ODD[name]
    root = node_of(make_pipeline(transformer, LogisticRegression()).fit(ROWS, LABELS))
    compile_on(root, plain(NAMES), POSITIVE, frozenset({"0"}))
    change(root.state["steps"][0][1])
    with pytest.raises(Refusal):
        compile_on(root, plain(NAMES), POSITIVE, frozenset({"0"}))
