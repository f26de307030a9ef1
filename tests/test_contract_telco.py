"""The churn contract on IBM's public table: the engine knows nothing of debts."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from propensia import contract as contracts
from propensia.contract import Contract
from propensia.faults import BadRow
from propensia.features import Features
from propensia.registry import Registry
from tests import tiny_models
from tests.fakes import client_of_model, client_of_onnx

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "ibm_telco_churn.csv"


@pytest.fixture(scope="module")
def telco() -> Contract:
    return contracts.load("telco_churn")


@pytest.fixture(scope="module")
def customers() -> list[dict[str, str]]:
    if not DATA.exists():
        pytest.skip(f"the public table is not there: {DATA.name}")
    with DATA.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def table(telco: Contract, customers: list[dict[str, str]]) -> tuple[Any, Any]:
    """The model columns of every customer, and who left."""
    features = Features(telco)
    texts = {p.name: [row[p.feature] for row in customers] for p in telco.parameters}
    values, faults = features.read_many(texts)
    assert faults == []
    labels = [row[telco.label_column] in telco.positive for row in customers]
    return features.matrix(values), np.array(labels, dtype=np.int64)


def test_the_parameters_are_the_tables_inputs_without_the_customer(
    telco: Contract, customers: list[dict[str, str]]
) -> None:
    inputs = [name for name in customers[0] if name not in ("customerID", telco.label_column)]

    assert [parameter.feature for parameter in telco.parameters] == inputs
    assert {row["Churn"] for row in customers} == {"Yes", "No"}
    assert "Yes" in telco.positive and "No" in telco.negative


def test_the_columns_are_those_of_get_dummies(telco: Contract, table: tuple[Any, Any]) -> None:
    """Names, order and numbers, so that a model trained on them the usual way fits."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(DATA).drop(columns=["customerID", "Churn"])
    frame["TotalCharges"] = pandas.to_numeric(frame["TotalCharges"], errors="coerce").fillna(0)
    expected = pandas.get_dummies(frame)

    assert list(telco.column_names) == list(expected.columns)
    assert (table[0] == expected.to_numpy(dtype=np.float64)).all()


def test_a_logistic_regression_ranks_as_well_as_published(table: tuple[Any, Any]) -> None:
    """AUC 0.845 with deviation 0.014 over five folds is the baseline of the data's sheet."""
    model = make_pipeline(StandardScaler(), LogisticRegression())
    folds = StratifiedKFold(5, shuffle=True, random_state=0)

    scores = cross_val_score(model, *table, scoring="roc_auc", cv=folds)

    assert scores.mean() == pytest.approx(0.845, abs=0.003)


def test_the_described_shares_and_quantiles_are_the_tables(
    telco: Contract, customers: list[dict[str, str]]
) -> None:
    for parameter in telco.parameters:
        texts = [row[parameter.feature] for row in customers if row[parameter.feature].strip()]
        if parameter.is_category:
            shares = [texts.count(value) / len(texts) for value in parameter.values]
            assert parameter.shares == pytest.approx(shares, abs=5e-5), parameter.feature
        else:
            points, quantiles = zip(*parameter.quantiles, strict=True)
            found = np.quantile(np.array(texts, dtype=np.float64), points)
            # Written with two decimals, and linear between two customers.
            assert quantiles == pytest.approx(found, abs=0.006), parameter.feature


def test_blank_total_charges_are_nothing_charged_yet_and_the_caller_is_told(
    telco: Contract,
) -> None:
    features = Features(telco)

    values, notes = features.read(telco.example() | {"an": "0", "ca": " "})

    assert features.row(values)[telco.column_names.index("TotalCharges")] == 0.0
    assert [(note.parameter, note.code, note.used) for note in notes] == [
        ("ca", "valor_supuesto", 0.0)
    ]


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("ct", "Three year", "categoria_desconocida"),
        ("an", "1.5", "no_es_entero"),
        ("an", "-1", "numero_negativo"),
        ("cm", "", "sin_dato"),
        ("cm", "1,234", "numero_no_valido"),
        ("tv", "", "sin_dato"),
    ],
)
def test_a_wrong_value_is_named(telco: Contract, name: str, text: str, code: str) -> None:
    with pytest.raises(BadRow) as refused:
        Features(telco).read(telco.example() | {name: text})

    assert [(fault.parameter, fault.code) for fault in refused.value.faults] == [(name, code)]


@pytest.mark.parametrize(
    ("name", "text", "same"),
    [
        ("in", "fiber OPTIC", "Fiber optic"),
        ("pa", "si", "Yes"),
        ("ma", "No", "0"),
        ("ct", "anual", "One year"),
        ("lm", " no phone service ", "No phone service"),
    ],
)
def test_case_blanks_and_spanish_words_are_forgiven(
    telco: Contract, name: str, text: str, same: str
) -> None:
    features = Features(telco)
    read = [features.read(telco.example() | {name: t})[0] for t in (text, same)]

    assert read[0] == read[1]


def test_a_model_of_the_table_answers_the_url_with_the_contracts_own_words(
    telco: Contract, registry: Registry, table: tuple[Any, Any], customers: list[dict[str, str]]
) -> None:
    """A pipeline by the way of a dropped file: its probability, and the key and class names."""
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(*table)
    client = client_of_model(registry, telco, model)
    expected = model.predict_proba(table[0][:50])[:, 1]
    seen = set()

    for row, probability in zip(customers, expected, strict=False):
        query = {p.name: row[p.feature] for p in telco.parameters}
        answer = json.loads(client.get("/prediccion", query_string=query).data)
        assert answer["probabilidad"] == pytest.approx(probability, abs=1e-12)
        assert answer["baja"] is bool(probability >= 0.5)
        assert answer["clasificacion"] == ("se va" if answer["baja"] else "se queda")
        assert "pagador" not in answer and answer["avisos"] == []
        seen.add(answer["baja"])

    assert seen == {True, False}


def test_the_contract_serves_without_the_table(telco: Contract, registry: Registry) -> None:
    client = client_of_onnx(registry, telco, tiny_models.constant(0.7, len(telco.columns)))

    answer = client.get("/prediccion", query_string=telco.example())

    shape = json.loads(answer.data)
    assert (answer.status_code, shape["clasificacion"], shape["baja"]) == (200, "se va", True)
