"""What is missing is filled, dropped or marked as scikit-learn does it, in texts and numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from compiled_models import beside, node_of
from raw_rows import INPUTS, SIZE, TEXTS, agree, compiled_on, frame, labels
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from propensia.admission.families.parts import Column
from propensia.admission.refusal import Refusal

ROWS = frame(SIZE, 3)
WHOLE = frame(SIZE, 4, gaps=False)
TEXT = ["ESCENARIO", "PORTADO"]
NUMBERS = ["DEUDA", "PROVINCIA", "FACTURAS"]

OF_NUMBERS: dict[str, dict[str, Any]] = {
    "mean": {},
    "median, marked": {"strategy": "median", "add_indicator": True},
    "most frequent": {"strategy": "most_frequent"},
    "zero": {"strategy": "constant"},
    "a number, marked": {"strategy": "constant", "fill_value": -3.5, "add_indicator": True},
    "empty columns kept": {"keep_empty_features": True},
}
OF_TEXTS: dict[str, dict[str, Any]] = {
    "most frequent": {"strategy": "most_frequent"},
    "most frequent, marked": {"strategy": "most_frequent", "add_indicator": True},
    "a text of its own": {"strategy": "constant", "fill_value": "NADA"},
    "the library's own text": {"strategy": "constant"},
    "a text that exists": {"strategy": "constant", "fill_value": "NO"},
}


def of_numbers(imputer: Any, *, trees: bool = False) -> Any:
    if trees:
        forest = RandomForestClassifier(15, max_depth=6, random_state=0)
        return make_pipeline(make_column_transformer((imputer, NUMBERS)), forest)
    scaled = make_pipeline(imputer, StandardScaler())
    return make_pipeline(make_column_transformer((scaled, NUMBERS)), LogisticRegression())


@pytest.mark.parametrize("trees", [False, True])
@pytest.mark.parametrize("name", OF_NUMBERS)
def test_numbers_are_filled(name: str, trees: bool) -> None:
    agree(of_numbers(SimpleImputer(**OF_NUMBERS[name]), trees=trees), ROWS)


@pytest.mark.parametrize("name", OF_TEXTS)
def test_texts_are_filled_also_with_one_that_is_new(name: str) -> None:
    filled = SimpleImputer(**OF_TEXTS[name])
    if "add_indicator" in OF_TEXTS[name]:
        made = make_column_transformer((filled, TEXT), (SimpleImputer(), ["DEUDA"]))
        encoder = make_column_transformer((OneHotEncoder(), [0, 1]), remainder="passthrough")
        model = make_pipeline(made, encoder, StandardScaler(), LogisticRegression())
    else:
        made = make_column_transformer((make_pipeline(filled, OneHotEncoder()), TEXT))
        model = make_pipeline(made, LogisticRegression())
    agree(model, ROWS)


def test_an_encoder_that_never_saw_the_new_text_is_refused() -> None:
    filled = SimpleImputer(strategy="constant", fill_value="NADA")
    made = make_column_transformer((make_pipeline(filled, OneHotEncoder()), TEXT))
    model = make_pipeline(made, LogisticRegression()).fit(WHOLE, labels(WHOLE))
    with pytest.raises(Refusal) as refusal:
        compiled_on(node_of(model))
    assert refusal.value.code == "valores_distintos"
    assert "«NADA» en PORTADO" in refusal.value.detail


@pytest.mark.parametrize("missing", [5.0, 5, 1])
def test_a_number_may_stand_for_what_is_missing(missing: float) -> None:
    imputer = SimpleImputer(missing_values=missing, add_indicator=True)
    rows = pd.concat([WHOLE, WHOLE[:6]], ignore_index=True)
    rows.loc[rows.index[-6:], "FACTURAS"] = beside(np.array([float(missing)]))
    model = make_pipeline(
        make_column_transformer((imputer, NUMBERS)),
        RandomForestClassifier(15, max_depth=6, random_state=0),
    )
    agree(model, rows)


def test_a_text_may_stand_for_what_is_missing() -> None:
    imputer = SimpleImputer(missing_values="N/A", strategy="most_frequent")
    made = make_column_transformer((make_pipeline(imputer, OneHotEncoder()), TEXT))
    agree(make_pipeline(made, LogisticRegression()), WHOLE)


def test_nothing_may_stand_for_what_is_missing() -> None:
    rows = ROWS.copy()
    rows["PORTADO"] = rows["PORTADO"].astype(object).where(rows["PORTADO"].notna(), None)
    imputer = SimpleImputer(missing_values=None, strategy="most_frequent")
    made = make_column_transformer((make_pipeline(imputer, OneHotEncoder()), TEXT))
    agree(make_pipeline(made, LogisticRegression()), rows, training=rows[:800])


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent", "constant"])
@pytest.mark.filterwarnings("ignore:Skipping features without any observed values")
def test_a_column_that_was_empty_in_training_is_dropped_or_kept(strategy: str, keep: bool) -> None:
    training = frame(800, 1).assign(FACTURAS=np.nan)
    imputer = SimpleImputer(strategy=strategy, keep_empty_features=keep, add_indicator=True)
    model = make_pipeline(
        make_column_transformer((imputer, NUMBERS)),
        RandomForestClassifier(15, max_depth=6, random_state=0),
    )
    agree(model, ROWS, training=training)


@pytest.mark.parametrize("features", ["missing-only", "all"])
def test_an_indicator_alone_marks_what_is_missing(features: str) -> None:
    union = make_union(SimpleImputer(), MissingIndicator(features=features, error_on_new=False))
    agree(of_numbers(union), ROWS)


def test_an_indicator_that_fails_on_new_gaps_is_refused_where_there_may_be_some() -> None:
    training = frame(800, 1)
    training["FACTURAS"] = training["FACTURAS"].where(training["FACTURAS"] > 1)
    training["DEUDA"] = training["DEUDA"].fillna(1.0)
    union = make_union(SimpleImputer(), MissingIndicator())
    root = node_of(of_numbers(union).fit(training, labels(frame(800, 1))))
    with pytest.raises(Refusal) as refusal:
        compiled_on(root)
    assert refusal.value.code == "valores_distintos"
    assert "DEUDA puede faltar" in refusal.value.detail
    whole = tuple(Column(column.name, column.texts) for column in INPUTS)
    compiled_on(root, whole)


def test_a_model_trained_on_an_array_fills_its_columns_by_place() -> None:
    rows = ROWS[NUMBERS]
    model = make_pipeline(
        SimpleImputer(add_indicator=True), StandardScaler(), LogisticRegression()
    )
    assert not agree(model, rows, named=False).named_columns


def test_what_is_filled_is_not_missing_for_the_trees_behind_it() -> None:
    """They need not look for what cannot be there."""
    model = of_numbers(SimpleImputer(), trees=True).fit(ROWS[:800], labels(ROWS[:800]))
    assert b"missing" not in compiled_on(node_of(model)).onnx


def test_what_is_not_filled_stays_missing() -> None:
    """A scaler before the imputer keeps NaN; a linear model without one would fail."""
    scaled = make_pipeline(StandardScaler(), SimpleImputer())
    agree(of_numbers(scaled), ROWS)
    made = make_column_transformer((StandardScaler(), NUMBERS))
    root = node_of(make_pipeline(made, LogisticRegression()).fit(WHOLE, labels(WHOLE)))
    with pytest.raises(Refusal) as refusal:
        compiled_on(root)
    assert refusal.value.code == "valores_distintos"
    assert "puede faltar, y LogisticRegression no lo admite" in refusal.value.detail


def test_a_text_that_cannot_come_any_more_is_not_held_against_an_encoder() -> None:
    """Neither one that was replaced everywhere, nor one that would fill a column without gaps."""
    replaced = SimpleImputer(missing_values="BAJAS_I", strategy="constant", fill_value="NO")
    filled = SimpleImputer(strategy="constant", fill_value="NADA")
    made = make_column_transformer((make_pipeline(replaced, filled, OneHotEncoder()), TEXT))
    agree(make_pipeline(made, LogisticRegression()), WHOLE)


def test_two_texts_that_became_one_are_one_for_what_follows() -> None:
    merged = [
        SimpleImputer(missing_values="BAJAS_I", strategy="constant", fill_value="NO"),
        SimpleImputer(
            missing_values="NO", strategy="constant", fill_value="OTRO", add_indicator=True
        ),
    ]
    made = make_column_transformer((make_pipeline(*merged), TEXT))
    encoder = make_column_transformer((OneHotEncoder(), [0, 1]), remainder="passthrough")
    agree(make_pipeline(made, encoder, LogisticRegression()), WHOLE)


def test_an_imputer_of_numbers_refuses_gaps_it_would_not_fill() -> None:
    imputer = SimpleImputer(missing_values=0)
    model = of_numbers(imputer).fit(WHOLE, labels(WHOLE))
    with pytest.raises(Refusal) as refusal:
        compiled_on(node_of(model))
    assert "DEUDA puede faltar, y SimpleImputer no lo admite" in refusal.value.detail


def test_an_imputer_by_neighbours_is_refused_by_name() -> None:
    model = make_pipeline(KNNImputer(), LogisticRegression())
    rows = WHOLE[NUMBERS][:300]
    with pytest.raises(Refusal) as refusal:
        compiled_on(node_of(model.fit(rows, labels(WHOLE[:300]))))
    assert refusal.value.code == "familia_desconocida"
    assert "KNNImputer" in refusal.value.detail


def put(**changes: object) -> Callable[[Any], None]:
    return lambda imputer: imputer.state.update(changes)


def indicator(**changes: object) -> Callable[[Any], None]:
    return lambda imputer: imputer.state["indicator_"].state.update(changes)


ODD: dict[str, Callable[[Any], None]] = {
    "a statistic too few": put(statistics_=np.ones(2)),
    "statistics in a table": put(statistics_=np.ones((3, 3))),
    "statistics that are none": put(statistics_="mean"),
    "no statistics": put(statistics_=None),
    "an infinite statistic": put(statistics_=np.array([1.0, np.inf, 2.0])),
    "a text for a number": put(statistics_=np.array([1.0, "a", 2.0], dtype=object)),
    "a huge number": put(statistics_=np.array([1.0, 10**400, 2.0], dtype=object)),
    "dates": put(statistics_=np.array(["2020", "2021", "2022"], dtype="M8[Y]")),
    "an empty column that is kept": put(
        keep_empty_features=True, statistics_=np.array([1.0, np.nan, 2.0])
    ),
    "NaN for what is missing": put(
        strategy="constant", fill_value=np.nan, statistics_=np.array([1.0, np.nan, 2.0])
    ),
    "a huge number for missing": put(missing_values=10**400),
    "a list for missing": put(missing_values=[1]),
    "no indicator": put(indicator_=None),
    "a flag that is none": put(add_indicator="yes"),
    "a marked column outside": indicator(features_=np.array([0, 3])),
    "a marked column below": indicator(features_=np.array([-1])),
    "a marked column twice": indicator(features_=np.array([0, 0])),
    "marked columns that are none": indicator(features_=np.array([0.0])),
    "a million marked columns": indicator(features_=np.zeros(1_000_000, int)),
    "marked columns not fitted": indicator(features_=None),
}


@pytest.mark.parametrize("name", ODD)
def test_statistics_that_cannot_be_are_refused(name: str) -> None:
    few = ROWS[:300]
    imputer = SimpleImputer(add_indicator=True)
    made = make_pipeline(make_column_transformer((imputer, NUMBERS)), LogisticRegression())
    root = node_of(made.fit(few, labels(few)))
    compiled_on(root)
    ODD[name](root.state["steps"][0][1].state["transformers_"][0][1])
    with pytest.raises(Refusal):
        compiled_on(root)


def test_a_number_for_a_text_is_refused() -> None:
    few = ROWS[:300]
    filled = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    made = make_pipeline(make_column_transformer((filled, TEXT)), LogisticRegression())
    root = node_of(made.fit(few, labels(few)))
    inner = root.state["steps"][0][1].state["transformers_"][0][1]
    inner.state["steps"][0][1].state["statistics_"] = np.array([0, 0], dtype=object)
    with pytest.raises(Refusal) as refusal:
        compiled_on(root)
    assert refusal.value.code == "valores_distintos"
    assert "ESCENARIO, que es un texto" in refusal.value.detail


def test_the_rows_of_the_tests_miss_values_in_texts_and_numbers() -> None:
    """Else most of these tests would test nothing."""
    assert ROWS["PORTADO"].isna().sum() > 500 and ROWS["DEUDA"].isna().sum() > 500
    assert set(TEXTS) == set(TEXT)
