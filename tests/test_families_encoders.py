"""Encoders give each category, text or number, seen or not, what scikit-learn gives it."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from compiled_models import answers, beside, node_of
from raw_rows import (
    CLOSE,
    INPUTS,
    SIZE,
    TEXTS,
    agree,
    codes,
    compiled_on,
    frame,
    labels,
)
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from propensia.admission import reader
from propensia.admission.families.parts import Column
from propensia.admission.refusal import Refusal

ROWS = frame(SIZE, 3)
WHOLE = frame(SIZE, 4, gaps=False)
TEXT = ["ESCENARIO", "PORTADO"]
# Training rows that lack a text and many numbers that callers send.
FEW = frame(800, 1)
FEW["PORTADO"] = FEW["PORTADO"].replace({"BAJAS_I": "NO"})
FEW["PROVINCIA"] = FEW["PROVINCIA"].clip(upper=40)

ONE_HOT: dict[str, dict[str, Any]] = {
    "ignore": {"handle_unknown": "ignore"},
    "dense, as float32": {"sparse_output": False, "dtype": np.float32},
    "as whole numbers": {"dtype": int},
    "without the first": {"drop": "first"},
    "without one of two": {"drop": "if_binary"},
    "without some by name": {"drop": ["PER", "SI"]},
    "rare ones together": {"min_frequency": 100},
    "rare ones by share": {"min_frequency": 0.2},
    "the three most frequent": {"max_categories": 3},
    "rare ones together, without the first": {"min_frequency": 200, "drop": "first"},
    "rare ones together, without that": {"min_frequency": 200, "drop": ["PER", "SI"]},
    "categories given, in an order of one's own": {
        "categories": [["PER", "FU", "EMP"], ["SI", "NO", "N/A", "BAJAS_I", np.nan]]
    },
}
UNSEEN: dict[str, dict[str, Any]] = {
    "ignore": {"handle_unknown": "ignore"},
    "among the rare ones": {"handle_unknown": "infrequent_if_exist", "min_frequency": 200},
    "among rare ones that do not exist": {"handle_unknown": "infrequent_if_exist"},
    "ignored, though there are rare ones": {"handle_unknown": "ignore", "min_frequency": 200},
    "among the rare ones, without the first": {
        "handle_unknown": "infrequent_if_exist",
        "min_frequency": 200,
        "drop": "first",
    },
    "warned of": {"handle_unknown": "warn", "max_categories": 2},
}
ORDINAL: dict[str, dict[str, Any]] = {
    "plain": {},
    "missing as -5": {"encoded_missing_value": -5},
    "as float32, missing as minus a third": {"encoded_missing_value": -1 / 3, "dtype": np.float32},
    "rare ones together": {"min_frequency": 150},
    "the two most frequent, missing as 9": {"max_categories": 2, "encoded_missing_value": 9},
    "as small whole numbers": {"dtype": np.int8, "encoded_missing_value": -1},
}
UNSEEN_ORDINAL: dict[str, dict[str, Any]] = {
    "as -1": {"handle_unknown": "use_encoded_value", "unknown_value": -1},
    "as missing": {"handle_unknown": "use_encoded_value", "unknown_value": np.nan},
    "as 77, rare ones together": {
        "handle_unknown": "use_encoded_value",
        "unknown_value": 77,
        "min_frequency": 150,
    },
}


def with_one_hot(**settings: Any) -> Any:
    made = make_column_transformer((OneHotEncoder(**settings), TEXT))
    return make_pipeline(made, LogisticRegression())


def with_ordinal(names: list[str] = TEXT, **settings: Any) -> Any:
    made = make_column_transformer((OrdinalEncoder(**settings), names))
    return make_pipeline(made, RandomForestClassifier(20, max_depth=7, random_state=0))


@pytest.mark.parametrize("name", ONE_HOT)
def test_one_column_per_category(name: str) -> None:
    # After float32 columns the library's linear models compute in float32 as well.
    tolerance = 1e-6 if "float32" in name else CLOSE
    agree(with_one_hot(**ONE_HOT[name]), ROWS, tolerance=tolerance)


def test_a_column_whose_categories_are_all_rare_says_nothing() -> None:
    encoder = OneHotEncoder(max_categories=1)
    made = make_column_transformer((encoder, TEXT), ("passthrough", ["FACTURAS"]))
    agree(make_pipeline(made, LogisticRegression()), ROWS)


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("name", UNSEEN)
def test_a_text_that_was_never_seen_is_as_the_settings_say(name: str) -> None:
    agree(with_one_hot(**UNSEEN[name]), ROWS, training=FEW)


@pytest.mark.parametrize("name", ORDINAL)
def test_one_number_per_category(name: str) -> None:
    agree(with_ordinal(**ORDINAL[name]), ROWS)


@pytest.mark.parametrize("name", UNSEEN_ORDINAL)
def test_one_number_for_what_was_never_seen(name: str) -> None:
    """NaN for it reaches the trees, which send it where they learnt to send missing values."""
    agree(with_ordinal([*TEXT, "PROVINCIA"], **UNSEEN_ORDINAL[name]), ROWS, training=FEW)


@pytest.mark.parametrize("settings", [{}, {"smooth": 0.0}, {"target_type": "continuous"}])
def test_the_mean_of_the_target_by_category(settings: dict[str, Any]) -> None:
    made = make_column_transformer((TargetEncoder(**settings), [*TEXT, "PROVINCIA"]))
    agree(make_pipeline(made, LogisticRegression()), ROWS, training=FEW)


def numbers_beside(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with every number of a province, and those just beside it."""
    near = beside(np.arange(0.0, 54.0))
    more = rows[: len(near)].copy()
    more["PROVINCIA"] = near
    return pd.concat([rows, more], ignore_index=True)


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="ignore"),
        OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=5, drop="first"),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        TargetEncoder(),
    ],
)
def test_numbers_are_compared_exactly(encoder: Any) -> None:
    names = ["PROVINCIA", "FACTURAS"]
    model = make_pipeline(
        make_column_transformer((encoder, names)),
        RandomForestClassifier(10, max_depth=6, random_state=0),
    )
    agree(model, numbers_beside(WHOLE), training=FEW)


def test_texts_and_numbers_in_one_encoder() -> None:
    encoder = OneHotEncoder(handle_unknown="ignore")
    model = make_pipeline(
        make_column_transformer((encoder, ["PROVINCIA", "PORTADO", "FACTURAS"])),
        LogisticRegression(),
    )
    agree(model, ROWS, training=FEW)


@pytest.mark.parametrize("encoder", [OneHotEncoder(), OrdinalEncoder(encoded_missing_value=-1)])
def test_nothing_and_nan_are_categories_of_their_own(encoder: Any) -> None:
    """A value that is not there is the one of the two that training knew."""
    rows = ROWS.copy()
    rows["PORTADO"] = rows["PORTADO"].astype(object).where(rows["PORTADO"].notna(), None)
    training = rows[:800].copy()
    made = make_column_transformer((encoder, TEXT))
    agree(make_pipeline(made, LogisticRegression()), rows, training=training)


def test_a_model_trained_on_an_array_encodes_its_columns_by_place() -> None:
    rows = WHOLE[TEXT]
    model = make_pipeline(OneHotEncoder(), LogisticRegression())
    assert not agree(model, rows, named=False).named_columns


@pytest.mark.parametrize("protocol", [0, 1, 2, 5])
def test_a_type_of_python_is_read_from_every_protocol(protocol: int) -> None:
    rows = frame(800, 1, gaps=False)
    model = with_one_hot(dtype=int).fit(rows, labels(rows))
    root = reader.read(pickle.dumps(model, protocol))
    inputs = tuple(Column(column.name, column.texts) for column in INPUTS)
    unseen = frame(500, 2, gaps=False)
    got = answers(compiled_on(root, inputs), codes(unseen))
    assert np.abs(got - model.predict_proba(unseen)[:, 1]).max() <= CLOSE


def test_hundreds_of_numbers_are_found_too() -> None:
    """Codes as of post offices: three steps of the search, and not a comparison with each."""
    random = np.random.default_rng(2)
    known = np.unique(random.integers(1000, 53000, 3000)).astype(float)
    rows = np.append(random.choice(known, SIZE), beside(known[::10]))[:, None]
    model = make_pipeline(
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        RandomForestClassifier(10, max_depth=9, random_state=0),
    ).fit(known[:, None], known % 3 > 1)
    compiled = compiled_on(node_of(model), (Column("CODIGO"),))
    expected = model.predict_proba(rows)[:, 1]
    assert np.abs(answers(compiled, rows) - expected).max() <= CLOSE


@pytest.mark.parametrize("model", [with_one_hot(), with_ordinal(), with_one_hot(drop="first")])
def test_a_text_of_the_contract_that_would_be_refused_is_named(model: Any) -> None:
    model.fit(FEW, labels(FEW))
    with pytest.raises(Refusal) as refusal:
        compiled_on(node_of(model))
    assert refusal.value.code == "valores_distintos"
    assert "«BAJAS_I» en PORTADO" in refusal.value.detail
    assert "“BAJAS_I” in PORTADO" in refusal.value.detail_en


def test_a_missing_value_that_would_be_refused_names_its_column() -> None:
    model = with_one_hot().fit(WHOLE, labels(WHOLE))
    with pytest.raises(Refusal) as refusal:
        compiled_on(node_of(model))
    assert refusal.value.code == "valores_distintos"
    assert "PORTADO puede faltar" in refusal.value.detail


@pytest.mark.parametrize("classifier", [LogisticRegression(), RandomForestClassifier(5)])
def test_a_number_that_would_be_refused_has_no_answer(classifier: Any) -> None:
    """What the library itself would not answer is not answered with a guess."""
    made = make_column_transformer((OneHotEncoder(), ["PROVINCIA", "ESCENARIO"]))
    model = make_pipeline(made, classifier).fit(WHOLE, labels(WHOLE))
    inputs = tuple(Column(column.name, column.texts) for column in INPUTS)
    compiled = compiled_on(node_of(model), inputs)
    rows = codes(WHOLE[:100])
    known = answers(compiled, rows)
    assert np.abs(known - model.predict_proba(WHOLE[:100])[:, 1]).max() <= CLOSE
    rows[::2, 3] = 7.5
    got = answers(compiled, rows)
    assert np.isnan(got[::2]).all()
    assert np.array_equal(got[1::2], known[1::2])


@pytest.mark.parametrize(
    ("trained", "told"), [("texts", "aprendió textos"), ("numbers", "aprendió números")]
)
def test_categories_of_another_kind_than_the_column_are_refused(trained: str, told: str) -> None:
    rows = WHOLE.copy()
    name = "PROVINCIA" if trained == "texts" else "ESCENARIO"
    rows[name] = rows[name].map(str if trained == "texts" else len)
    made = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), [name]))
    model = make_pipeline(made, LogisticRegression()).fit(rows, labels(WHOLE))
    with pytest.raises(Refusal) as refusal:
        compiled_on(node_of(model))
    assert refusal.value.code == "valores_distintos"
    assert told in refusal.value.detail and name in refusal.value.detail


def texts(*values: object) -> np.ndarray:
    return np.array(values, dtype=object)


def put(**changes: object) -> Callable[[Any], None]:
    return lambda encoder: encoder.state.update(changes)


def categories(*values: object) -> Callable[[Any], None]:
    """The second column with these categories."""

    def change(encoder: Any) -> None:
        kept = encoder.state["categories_"]
        encoder.state["categories_"] = [kept[0], *values]

    return change


ODD: dict[str, Callable[[Any], None]] = {
    "categories of another column": categories(),
    "categories twice": categories(texts("SI", "SI", "NO", "N/A", "BAJAS_I")),
    "no categories": categories(np.array([], dtype=object)),
    "a table of categories": categories(np.array([["SI", "NO"]], dtype=object)),
    "bytes as category": categories(texts(b"SI", "NO", "N/A", "BAJAS_I")),
    "dates as categories": categories(np.array(["2020-01-01"], dtype="M8[D]")),
    "NaN before the end": categories(texts(float("nan"), "SI", "NO", "N/A", "BAJAS_I")),
    "texts and numbers": categories(texts("SI", "NO", "N/A", "BAJAS_I", 3)),
    "a list": categories(["SI", "NO", "N/A", "BAJAS_I"]),
    "no list": put(categories_=3),
    "a way that is none": put(handle_unknown="guess"),
    "a way that is no word": put(handle_unknown=3),
    "other numbers of columns": put(_n_features_outs=[3, 3]),
    "a dropped category outside": put(_drop_idx_after_grouping=texts(0, 9)),
    "a dropped category below": put(_drop_idx_after_grouping=texts(-1, 0)),
    "a dropped category that is none": put(_drop_idx_after_grouping=texts("0", None)),
    "dropped categories of another column": put(_drop_idx_after_grouping=texts(0)),
    "rare ones without a list": put(_infrequent_enabled=True),
    "rare ones of another column": put(
        _infrequent_enabled=True,
        _infrequent_indices=[None],
        _default_to_infrequent_mappings=[None],
    ),
    "rare ones outside": put(
        _infrequent_enabled=True,
        _infrequent_indices=[np.array([9]), None],
        _default_to_infrequent_mappings=[np.array([0, 1, 2]), None],
    ),
    "rare ones with a gap": put(
        _infrequent_enabled=True,
        _infrequent_indices=[np.array([0]), None],
        _default_to_infrequent_mappings=[np.array([0, 1, 3]), None],
    ),
    "rare ones far away": put(
        _infrequent_enabled=True,
        _infrequent_indices=[np.array([0]), None],
        _default_to_infrequent_mappings=[np.array([0, 1, 1 << 62]), None],
    ),
    "rare ones that are none": put(_infrequent_enabled=3),
}


@pytest.mark.parametrize("name", ODD)
def test_categories_that_cannot_be_are_refused(name: str) -> None:
    few = WHOLE[:300]
    root = node_of(with_one_hot(drop="first").fit(few, labels(few)))
    inputs = tuple(Column(column.name, column.texts) for column in INPUTS)
    compiled_on(root, inputs)
    encoder = root.state["steps"][0][1].state["transformers_"][0][1]
    ODD[name](encoder)
    with pytest.raises(Refusal) as refusal:
        compiled_on(root, inputs)
    assert refusal.value.code in ("pesos_imposibles", "valores_distintos")


@pytest.mark.parametrize(
    ("encoder", "changes"),
    [
        (OrdinalEncoder(), {"encoded_missing_value": "x"}),
        (OrdinalEncoder(), {"encoded_missing_value": 10**400}),
        (OrdinalEncoder(), {"dtype": "object"}),
        (OrdinalEncoder(), {"dtype": np.dtype("M8[D]")}),
        (OrdinalEncoder(), {"handle_unknown": "use_encoded_value", "unknown_value": None}),
        (OrdinalEncoder(), {"handle_unknown": "use_encoded_value", "unknown_value": np.inf}),
        (OrdinalEncoder(), {"dtype": np.dtype(np.int64), "encoded_missing_value": np.nan}),
        (TargetEncoder(), {"target_type_": "multiclass"}),
        (TargetEncoder(), {"target_mean_": np.nan}),
        (TargetEncoder(), {"target_mean_": np.array([0.5, 0.5])}),
        (TargetEncoder(), {"encodings_": [np.ones(3)]}),
        (TargetEncoder(), {"encodings_": [np.ones(2), np.ones(5)]}),
        (TargetEncoder(), {"encodings_": [np.full(3, np.inf), np.ones(5)]}),
    ],
)
def test_settings_and_means_that_cannot_be_are_refused(
    encoder: Any, changes: dict[str, object]
) -> None:
    few = ROWS[:300]
    made = make_column_transformer((encoder, TEXT))
    forest = RandomForestClassifier(2, max_depth=2, random_state=0)
    root = node_of(make_pipeline(made, forest).fit(few, labels(few)))
    step = root.state["steps"][0][1].state["transformers_"][0][1]
    compiled_on(root)
    step.state.update(changes)
    with pytest.raises(Refusal):
        compiled_on(root)


def test_a_million_categories_are_refused_at_once() -> None:
    few = WHOLE[:300]
    root = node_of(with_one_hot().fit(few, labels(few)))
    encoder = root.state["steps"][0][1].state["transformers_"][0][1]
    encoder.state["categories_"][1] = np.arange(1_000_000)
    before = time.thread_time()
    with pytest.raises(Refusal) as refusal:
        compiled_on(root)
    assert refusal.value.code == "demasiado_grande"
    assert time.thread_time() - before < 1


def test_more_columns_than_any_model_has_are_refused_before_they_are_made() -> None:
    known = np.arange(20_000.0)[:, None]
    encoder = OneHotEncoder().fit(known)
    few = np.arange(40.0)[:, None]
    root = node_of(make_pipeline(OneHotEncoder(), LogisticRegression()).fit(few, few[:, 0] > 9))
    root.state["steps"][0] = ("onehotencoder", node_of(encoder))
    with pytest.raises(Refusal) as refusal:
        compiled_on(root, (Column("CODIGO"),))
    assert refusal.value.code == "demasiado_grande"


def test_the_columns_of_the_tests_have_texts_that_training_knew() -> None:
    """Else the tests of unseen texts would test nothing."""
    assert set(TEXTS["PORTADO"]) - set(FEW["PORTADO"].dropna()) == {"BAJAS_I"}
    assert FEW["PROVINCIA"].max() == 40 and ROWS["PROVINCIA"].max() == 52
