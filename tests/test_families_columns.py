"""Columns are taken apart and put together as scikit-learn does, also by a file without names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compiled_models import answers, node_of
from raw_rows import INPUTS, NAMES, SIZE, agree, codes, compiled_on, frame, labels
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectFromModel, SelectKBest, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)

from propensia.admission.families.parts import Column
from propensia.admission.nodes import Global, Node, walk
from propensia.admission.refusal import Refusal

ROWS = frame(SIZE, 3)
WHOLE = frame(SIZE, 4, gaps=False)
TEXT = ["ESCENARIO", "PORTADO"]
MASK = [False, False, True, True, True]


def one_hot() -> OneHotEncoder:
    return OneHotEncoder(handle_unknown="ignore")


def numbers() -> Any:
    return make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())


def first_two(rows: Any) -> list[int]:
    return [0, 1]


MADE: dict[str, Callable[[], Any]] = {
    "by name": lambda: make_column_transformer((one_hot(), TEXT), (numbers(), NAMES[2:])),
    "in another order": lambda: make_column_transformer(
        (numbers(), NAMES[:1:-1]), (one_hot(), TEXT[::-1])
    ),
    "by position": lambda: make_column_transformer((one_hot(), [0, 1]), (numbers(), [2, -2, -1])),
    "by slices of names and places": lambda: make_column_transformer(
        (one_hot(), slice("ESCENARIO", "PORTADO")), (numbers(), slice(2, 5))
    ),
    "by mask": lambda: make_column_transformer(
        (one_hot(), np.array([True, True, False, False, False])), (numbers(), MASK)
    ),
    "by type": lambda: make_column_transformer(
        (one_hot(), make_column_selector(dtype_include=object)),
        (numbers(), make_column_selector(dtype_include=np.number)),
    ),
    "the rest dropped": lambda: make_column_transformer((one_hot(), TEXT)),
    "the rest passed on": lambda: make_column_transformer(
        (one_hot(), TEXT), (SimpleImputer(), ["DEUDA"]), remainder="passthrough"
    ),
    "the rest transformed": lambda: make_column_transformer(
        (one_hot(), TEXT), remainder=numbers()
    ),
    "some dropped, some passed on": lambda: ColumnTransformer(
        [("a", one_hot(), TEXT), ("b", "drop", ["DEUDA"]), ("c", "passthrough", ["FACTURAS"])],
        remainder=MinMaxScaler(),
    ),
    "a column twice, none, and weights": lambda: ColumnTransformer(
        [
            ("a", one_hot(), TEXT),
            ("b", SimpleImputer(), ["DEUDA", "FACTURAS"]),
            ("c", MinMaxScaler(), ["FACTURAS"]),
            ("d", StandardScaler(), []),
        ],
        transformer_weights={"a": 0.5, "c": -2},
    ),
    "dense and in pandas": lambda: ColumnTransformer(
        [("a", OneHotEncoder(sparse_output=False), TEXT), ("b", numbers(), NAMES[2:])],
        verbose_feature_names_out=False,
    ).set_output(transform="pandas"),
    "one within another": lambda: make_pipeline(
        make_column_transformer(
            (SimpleImputer(strategy="most_frequent"), TEXT),
            (SimpleImputer(), ["DEUDA"]),
            remainder="passthrough",
        ),
        make_column_transformer((one_hot(), [0, 1]), remainder=RobustScaler()),
    ),
    "within another, by names of pandas": lambda: make_pipeline(
        ColumnTransformer(
            [
                ("a", SimpleImputer(strategy="most_frequent"), TEXT),
                ("b", SimpleImputer(), ["DEUDA"]),
            ],
            remainder="passthrough",
            verbose_feature_names_out=False,
        ).set_output(transform="pandas"),
        make_column_transformer((one_hot(), TEXT), ("passthrough", ["DEUDA", "PROVINCIA"])),
    ),
    "a union": lambda: make_pipeline(
        make_column_transformer((OrdinalEncoder(), TEXT), remainder="passthrough"),
        SimpleImputer(),
        FeatureUnion(
            [
                ("a", StandardScaler()),
                ("b", "drop"),
                ("c", make_pipeline(MinMaxScaler(), FunctionTransformer())),
                ("d", "passthrough"),
            ],
            transformer_weights={"c": 3.0},
        ),
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_columns_go_where_the_library_sends_them(name: str) -> None:
    agree(make_pipeline(MADE[name](), LogisticRegression(max_iter=3000)), ROWS)


@pytest.mark.parametrize("name", ["by position", "by mask", "a union", "one within another"])
def test_a_model_that_was_trained_on_an_array_takes_the_columns_by_place(name: str) -> None:
    if name == "by mask":
        made = make_column_transformer((OrdinalEncoder(), [0, 1]), (numbers(), MASK))
    elif name == "by position":
        made = MADE[name]()
    else:
        made = make_column_transformer((one_hot(), [0, 1]), remainder=SimpleImputer())
    model = make_pipeline(made, RandomForestClassifier(15, max_depth=6, random_state=0))
    assert not agree(model, ROWS, named=False).named_columns


def test_columns_chosen_by_a_function_of_ones_own_are_refused_by_its_name() -> None:
    made = make_column_transformer((one_hot(), first_two))
    model = make_pipeline(made, LogisticRegression()).fit(WHOLE[:300], labels(WHOLE[:300]))
    with pytest.raises(Refusal) as refusal:
        compiled_on(node_of(model))
    assert refusal.value.code == "contenido_no_permitido"
    assert "first_two" in refusal.value.detail


@pytest.mark.parametrize("called", [np.log1p, np.abs])
def test_a_function_transformer_with_a_function_is_refused_by_its_name(called: Any) -> None:
    made = make_column_transformer((FunctionTransformer(called), ["DEUDA"]))
    model = make_pipeline(made, LogisticRegression()).fit(WHOLE[:300], labels(WHOLE[:300]))
    with pytest.raises(Refusal) as refusal:
        compiled_on(node_of(model))
    assert refusal.value.code in ("contenido_no_permitido", "familia_desconocida")
    assert called.__name__ in refusal.value.detail


def test_a_name_that_is_allowed_elsewhere_is_no_function_either() -> None:
    model = make_pipeline(FunctionTransformer(), LogisticRegression())
    root = node_of(model.fit(WHOLE[["DEUDA"]].to_numpy()[:300], labels(WHOLE[:300])))
    step = root.state["steps"][0][1]
    step.state["func"] = step.made_by
    with pytest.raises(Refusal) as refusal:
        compiled_on(root, (Column("DEUDA"),))
    assert refusal.value.code == "familia_desconocida"
    assert "FunctionTransformer" in refusal.value.detail


def test_a_text_that_reaches_the_classifier_is_refused(simple: Any) -> None:
    root = node_of(simple)
    transformer = root.state["steps"][0][1]
    transformer.state["transformers_"][0] = ("ordinalencoder", "passthrough", TEXT)
    with pytest.raises(Refusal) as refusal:
        compiled_on(root)
    assert refusal.value.code == "valores_distintos"


def broken_places(places: object) -> Callable[[Any], None]:
    def change(transformer: Any) -> None:
        transformer.state["_transformer_to_input_indices"]["ordinalencoder"] = places

    return change


ODD: dict[str, Callable[[Any], Any]] = {
    "a negative place": broken_places([-1, 0]),
    "a place outside": broken_places([0, 5]),
    "a huge place": broken_places([10**30]),
    "a million places": broken_places([0] * 1_000_000),
    "places that are none": broken_places(["0"]),
    "a mask for places": broken_places([True, False]),
    "no list": broken_places(7),
    "a part of two": lambda t: t.state["transformers_"].append(("a", "drop")),
    "a part without name": lambda t: t.state["transformers_"].append((1, "drop", [])),
    "a part unknown": lambda t: t.state["transformers_"].append(("zz", "drop", [])),
    "no parts": lambda t: t.state.update(transformers_=[]),
    "parts that are none": lambda t: t.state.update(transformers_=3),
    "no transformer": lambda t: t.state["transformers_"].append(("remainder", 3, [1])),
    "a weight that is none": lambda t: t.state.update(transformer_weights={"ordinalencoder": "1"}),
    "an infinite weight": lambda t: t.state.update(
        transformer_weights={"ordinalencoder": float("inf")}
    ),
    "a huge weight": lambda t: t.state.update(transformer_weights={"ordinalencoder": 10**400}),
    "weights that are none": lambda t: t.state.update(transformer_weights=[1]),
    "itself": lambda t: t.state["transformers_"].append(("remainder", t, [0])),
}


@pytest.fixture(scope="module")
def simple() -> Any:
    made = make_column_transformer((OrdinalEncoder(), TEXT), ("passthrough", ["DEUDA"]))
    few = WHOLE[:300]
    return make_pipeline(made, LogisticRegression(max_iter=3000)).fit(few, labels(few))


@pytest.mark.parametrize("name", ODD)
def test_parts_and_places_that_cannot_be_are_refused(simple: Any, name: str) -> None:
    root = node_of(simple)
    inputs = tuple(Column(column.name, column.texts) for column in INPUTS)
    compiled_on(root, inputs)
    ODD[name](root.state["steps"][0][1])
    with pytest.raises(Refusal):
        compiled_on(root, inputs)


HARD: list[object] = [
    None, True, -1, 10**400, float("nan"), float("inf"), "x", [], [None], (), {"a": 1},
    np.zeros(0), np.full(5, np.nan), np.array(["a"], object), np.array(["2020"], "M8[D]"),
    np.broadcast_to(1.0, 10**11), np.zeros(3, [("a", "f8")]), np.ones(4, complex), slice(0, 1),
    range(10**12), Global("numpy", "float64"), Node(Global("numpy", "ndarray"), ((1,),), None, [3])
]  # fmt: skip


def everything() -> Any:
    """A model that has every kind of transformer in it."""
    shaped = make_union(PowerTransformer(), QuantileTransformer(n_quantiles=50), Normalizer())
    few = make_pipeline(
        PolynomialFeatures(include_bias=False), SelectKBest(k=5), PCA(3, whiten=True)
    )
    return make_pipeline(
        ColumnTransformer(
            [
                ("a", OneHotEncoder(min_frequency=40, drop="first"), TEXT),
                ("b", OrdinalEncoder(max_categories=3, encoded_missing_value=-1), TEXT),
                ("c", TargetEncoder(), ["PROVINCIA"]),
                ("d", make_pipeline(SimpleImputer(add_indicator=True), shaped), NAMES[2:]),
                ("e", make_pipeline(MinMaxScaler(clip=True), few), ["PROVINCIA", "FACTURAS"]),
                ("f", KBinsDiscretizer(4, quantile_method="linear"), ["FACTURAS"]),
            ],
            transformer_weights={"a": 2.0},
        ),
        SelectFromModel(LogisticRegression(max_iter=3000), threshold="0.1*median"),
        VarianceThreshold(),
        StandardScaler(),
        LogisticRegression(max_iter=3000),
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Bins whose width are too small")
def test_whatever_stands_in_a_file_is_compiled_or_refused() -> None:
    """A thousand changes, one at a time, of any attribute; nothing else than a refusal comes."""
    few = ROWS[:400]
    root = node_of(everything().fit(few, labels(few)))
    compiled_on(root)
    owners = [value for value in walk(root) if isinstance(value, Node)]
    places = [(one, key) for one in owners if isinstance(one.state, dict) for key in one.state]
    random = np.random.default_rng(0)
    refused = 0
    for number in random.integers(0, len(places), 1000):
        owner, key = places[number]
        good, owner.state[key] = owner.state[key], HARD[int(random.integers(len(HARD)))]
        try:
            compiled_on(root)
        except Refusal:
            refused += 1
        owner.state[key] = good
    compiled_on(root)
    assert 200 < refused < 900


def test_what_was_asked_for_may_be_anything_and_only_what_was_fitted_counts(simple: Any) -> None:
    root = node_of(simple)
    root.state["steps"][0][1].state["transformers"] = "lost"
    inputs = tuple(Column(column.name, column.texts) for column in INPUTS)
    expected = simple.predict_proba(WHOLE)[:, 1]
    assert np.abs(answers(compiled_on(root, inputs), codes(WHOLE)) - expected).max() <= 1e-12
