"""What goes with a PKL made by training: admission takes it without a word, and it is true."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from propensia import admission, distributions, sampling, settings
from propensia import contract as contracts
from propensia.admission import Dropped
from propensia.admission import sidecar as sidecars_read
from propensia.contract import Contract
from propensia.decision import Decision
from propensia.features import Features
from propensia.monitoring import reference
from propensia.registry import Registry
from propensia.training import sidecars
from propensia.training.demonstration import table
from propensia.training.results import (
    Candidate,
    Data,
    Evaluation,
    Figure,
    Finding,
    Threshold,
    Trained,
)
from propensia.training.rows import Rows

COUNT = 900
JUDGED = 300
FOREST = {"n_estimators": 100, "extra_trees": True, "max_features": None}
NETWORK = {"learning_rate": 1e-5, "reg_alpha": 3.21e-8, "units": [27, 64]}


def estimator(contract: Contract, view: str) -> Any:
    """An unfitted model of either view that takes whatever the contract may give."""
    if view == "columns":
        return make_pipeline(StandardScaler(), LogisticRegression())
    texts = {p.feature: list(p.texts) for p in contract.parameters if p.is_category}
    numbers = [p.feature for p in contract.parameters if not p.is_category]
    codes = OneHotEncoder(categories=list(texts.values()), sparse_output=False)
    filled = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    columns = ColumnTransformer([("codes", codes, list(texts)), ("numbers", filled, numbers)])
    return make_pipeline(columns, LogisticRegression(max_iter=1000))


def made(name: str = "cobranza", view: str = "raw", *, dates: bool = False) -> Trained:
    """A real small model of synthetic rows, judged on the last of them, then fitted on all."""
    contract = contracts.load(name)
    labels = table(contract, COUNT, seed=5)[1].astype(np.int64)
    days = np.datetime64("2023-01-01") + np.arange(COUNT).astype("timedelta64[D]") // 10
    rows = Rows(
        sampling.draw(contract, COUNT, seed=5), labels, np.arange(COUNT), days if dates else None
    )
    learnt, places = np.arange(COUNT - JUDGED), np.arange(COUNT - JUDGED, COUNT)
    data = rows.table(contract, view)
    model = estimator(contract, view).fit(data.iloc[learnt], labels[learnt])
    chances = model.predict_proba(data.iloc[places])[:, 1]
    protocol = {"protocol": "time", "since": "2023-03-02"} if dates else {"protocol": "folds"}
    return Trained(
        name="prueba_2026-10",
        model=model.fit(data, labels),
        contract=contract,
        view=view,
        calibrator="ninguna",
        rows=rows,
        data=Data("clientes.csv", "ab" * 32, COUNT + 3, COUNT, {"EDAD edad_no_valida": 3}),
        findings=(
            Finding("fuga", "CP", "La columna CP sola casi adivina la etiqueta", allowable=True),
            Finding("filas_ilegibles", "EDAD", "El contrato no lee 2 filas"),
            Finding("filas_ilegibles", "EDAD", "El contrato no lee 1 fila"),
            Finding("sin_fecha", "", "El contrato no dice qué columna es la fecha"),
        ),
        evaluation=Evaluation(
            places=places,
            chances=chances,
            thresholds=np.where(places % 2, 0.31, 0.25),
            figures={"auc": Figure(0.81, 0.75, 0.86, 0.02), "brier": Figure(0.15, 0.1, 0.2, 0.01)},
            folds=5,
            next_rows=75,
            **protocol,
        ),
        threshold=Threshold(0.31, {"es": "El umbral de mejor F1.", "en": "The best F1."}),
        candidates=(
            Candidate("logistic", {"C": 1.0, "bins": 0}, 0.45, 0.8, 1.5, 1.0),
            Candidate("forest", FOREST, 0.46, 0.79, 2.5, 0.0),
            Candidate("network", NETWORK, 0.47, 0.78, 9.5, 0.0),
        ),
        options={"balance": "none", "allow": ["CP"]},
        seed=3,
        minutes=0.7,
        made=datetime(2026, 10, 1, 9, 30, tzinfo=UTC),
        versions={"python": "3.11.2", "scikit-learn": "1.9.1"},
    )


@pytest.fixture(scope="module")
def trained() -> Trained:
    return made()


@pytest.fixture(scope="module")
def told(trained: Trained) -> dict[str, Any]:
    return sidecars.sidecar(trained)


# Admission


@pytest.mark.parametrize(
    ("name", "view"), [("cobranza", "raw"), ("cobranza", "columns"), ("telco_churn", "raw")]
)
def test_admission_takes_model_and_sidecar_without_a_single_warning(
    name: str, view: str, place: settings.Settings, registry: Registry
) -> None:
    one = made(name, view)
    out = io.BytesIO()
    joblib.dump(one.model, out)
    beside = json.dumps(sidecars.sidecar(one), allow_nan=False).encode()
    outcome = admission.judge(
        Dropped("prueba", out.getvalue(), beside),
        replace(place, contract=name),
        one.contract,
        registry,
    )
    assert outcome.refusal is None
    found = {check.name: check for check in outcome.checks}
    assert [check for check in outcome.checks if check.outcome == "aviso"] == []
    assert found["filas doradas"].outcome == found["igual que el original"].outcome == "bien"
    assert "Nada de lo que el informe espera" in outcome.report
    said = sidecars_read.read(beside)
    assert said.ignored == () and said.unknown() == []
    assert list(said.columns) == list(one.rows.table(one.contract, view).columns)


def of_an_array(place: settings.Settings, registry: Registry, names: list[str]) -> Any:
    """What admission finds in a model that learnt from an array, as a network does, and a
    sidecar that names the columns."""
    one = made(view="columns")
    data = one.rows.table(one.contract, "columns").to_numpy()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(data, one.rows.labels)
    out = io.BytesIO()
    joblib.dump(model, out)
    one = replace(one, model=_OnArrays(model))
    beside = json.dumps(sidecars.sidecar(one) | {"columnas": names}).encode()
    return admission.judge(Dropped("red", out.getvalue(), beside), place, one.contract, registry)


class _OnArrays:
    """The model as training asks it, with a table."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def predict_proba(self, data: pd.DataFrame) -> Any:
        return self._model.predict_proba(data.to_numpy())


@pytest.fixture
def place(tmp_path: Path) -> settings.Settings:
    return settings.load(
        {"PROPENSIA_STATE": str(tmp_path / "state"), "PROPENSIA_MODELS": str(tmp_path / "models")}
    )


def test_a_model_without_names_takes_them_from_its_sidecar(
    place: settings.Settings, registry: Registry
) -> None:
    names = list(contracts.load("cobranza").column_names)
    outcome = of_an_array(place, registry, names)
    assert outcome.refusal is None
    assert [check for check in outcome.checks if check.outcome == "aviso"] == []
    assert "Usa las 16 columnas del contrato: la ficha las nombra" in outcome.report


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda names: names[::-1], "en otro orden"),
        (lambda names: [*names[1:], "OTRA"], "faltan "),
        (lambda names: names[1:], "faltan "),
    ],
)
def test_a_sidecar_that_names_other_columns_refuses_a_model_without_names(
    change: Callable[[list[str]], list[str]],
    detail: str,
    place: settings.Settings,
    registry: Registry,
) -> None:
    names = list(contracts.load("cobranza").column_names)
    refusal = of_an_array(place, registry, change(names)).refusal
    assert refusal is not None and refusal.code == "columnas_distintas"
    assert detail in refusal.detail


def test_nothing_is_corrected(trained: Trained, told: dict[str, Any]) -> None:
    rate = float(trained.rows.labels.sum()) / COUNT
    assert told["tasa_entrenamiento"] == told["tasa_real"] == rate
    rule = Decision(told["umbral"], told["tasa_entrenamiento"], told["tasa_real"])
    chances = trained.evaluation.chances
    assert np.array_equal(rule.probabilities(chances), chances)


# Golden rows


def scored_by_hand(trained: Trained, texts: dict[str, str]) -> float:
    """The model's answer to one request, read by the reader that reads one row."""
    values, _ = Features(trained.contract).read(texts)
    row = dict(zip([p.feature for p in trained.contract.parameters], values, strict=True))
    return float(trained.model.predict_proba(pd.DataFrame([row]).fillna(np.nan))[0, 1])


def test_a_golden_row_has_the_probability_that_a_request_gets(
    trained: Trained, told: dict[str, Any]
) -> None:
    for golden in told["filas_doradas"]:
        expected = scored_by_hand(trained, golden["parametros"])
        # One row or many: the sums of a dozen products may be taken in another order.
        assert golden["probabilidad"] == pytest.approx(expected, abs=1e-12)


def test_golden_rows_span_the_deciles_of_the_score(trained: Trained, told: dict[str, Any]) -> None:
    values = sampling.draw(trained.contract, 4_000, seed=99)
    nobody = np.zeros(4_000, dtype=np.int64)
    data = Rows(values, nobody, nobody).table(trained.contract, "raw")
    limits = np.quantile(trained.model.predict_proba(data)[:, 1], np.arange(1, 10) / 10)
    found = np.searchsorted(limits, [row["probabilidad"] for row in told["filas_doradas"]])
    assert 40 <= len(found) <= 60
    assert min(Counter(found.tolist())[decile] for decile in range(10)) >= 2


@pytest.mark.parametrize("name", contracts.shipped())
def test_golden_rows_send_every_text_and_no_data_where_it_is_allowed(name: str) -> None:
    one = made(name, "columns")
    rows = [golden["parametros"] for golden in sidecars.golden(one)]
    for parameter in one.contract.parameters:
        sent = {row[parameter.name] for row in rows}
        assert sent >= set(parameter.texts)
        if parameter.optional or parameter.fill is not None:
            assert not sent.isdisjoint({"NaN", *one.contract.no_data})
        assert Features(one.contract).read(rows[0])


def test_golden_rows_do_not_come_from_the_training_data(trained: Trained) -> None:
    others = trained.rows.take(np.arange(50))
    assert sidecars.golden(replace(trained, rows=others)) == sidecars.golden(trained)


# What is told


def test_the_sidecar_is_small_strict_json(trained: Trained) -> None:
    nothing = Figure(float("nan"), float("-inf"), float("inf"), float("nan"))
    evaluation = replace(trained.evaluation, figures={"auc": nothing})
    text = json.dumps(sidecars.sidecar(replace(trained, evaluation=evaluation)), allow_nan=False)
    assert json.loads(text)["metricas"] == {"auc": {"valor": None, "desde": None, "hasta": None}}
    # A twentieth of what admission takes, for 13 parameters and any number of rows.
    assert len(text.encode()) < sidecars_read.LIMIT_BYTES / 20
    assert set(json.loads(text)) <= sidecars_read.KEYS


def test_figures_have_their_intervals(told: dict[str, Any]) -> None:
    assert told["metricas"]["auc"] == {"valor": 0.81, "desde": 0.75, "hasta": 0.86}


def test_the_calibration_table_counts_every_judged_row_once(
    trained: Trained, told: dict[str, Any]
) -> None:
    bins = told["calibracion"]
    assert sum(part["filas"] for part in bins) == JUDGED
    positives = sum(part["filas"] * part["tasa"] for part in bins)
    # Shares are kept to seven digits.
    assert positives == pytest.approx(trained.rows.labels[-JUDGED:].sum(), abs=1e-3)
    said = sum(part["filas"] * part["probabilidad"] for part in bins)
    assert said == pytest.approx(trained.evaluation.chances.sum(), abs=1e-3)


def test_where_the_data_come_from(told: dict[str, Any]) -> None:
    assert told["datos"]["sha256"] == "ab" * 32
    assert (told["datos"]["filas"], told["datos"]["usadas"]) == (COUNT + 3, COUNT)
    assert told["datos"]["desde"] is None
    assert sidecars.sidecar(made(dates=True))["datos"]["hasta"] == "2023-03-31"
    assert told["entrenamiento"]["modelos"] == [{"familia": "logistic", "peso": 1.0}]
    assert told["entrenamiento"]["filas_intervalo"] == 75
    assert told["entrenamiento"]["opciones"] == {"balance": "none", "allow": ["CP"]}
    assert told["entrenamiento"]["hecho"] == "2026-10-01T09:30:00+00:00"


def test_what_was_found_in_the_table_is_kept_by_its_code(told: dict[str, Any]) -> None:
    """Not its sentence: that of a family that cannot be fitted repeats what a library says."""
    assert told["entrenamiento"]["avisos"] == [
        {"codigo": "fuga", "columna": "CP", "aceptado": True},
        {"codigo": "filas_ilegibles", "columna": "EDAD", "aceptado": False},
        {"codigo": "sin_fecha", "columna": None, "aceptado": False},
    ]


# Reference distributions


def test_the_shares_of_texts_are_those_counted(trained: Trained, told: dict[str, Any]) -> None:
    for parameter in trained.contract.parameters:
        if not parameter.is_category:
            continue
        counted = Counter(trained.rows.values[parameter.name].tolist())
        said = told["referencia"]["parametros"][parameter.name]
        expected = [counted[text] / COUNT for text in said["textos"]]
        assert said["partes"] == pytest.approx(expected, rel=1e-6)  # seven digits are kept
        assert said["sin_dato"] == 0.0


def test_the_bins_of_a_number_hold_what_they_say(trained: Trained, told: dict[str, Any]) -> None:
    for parameter in trained.contract.parameters:
        if parameter.is_category:
            continue
        said = told["referencia"]["parametros"][parameter.name]
        limits = [-np.inf, *said["bordes"], np.inf]
        values = trained.rows.values[parameter.name].tolist()
        for (low, high), share in zip(pairwise(limits), said["partes"], strict=True):
            counted = sum(1 for value in values if low < value <= high)
            assert share == pytest.approx(counted / COUNT, rel=1e-6)
            assert counted > 0
        missing = sum(1 for value in values if value != value)
        assert said["sin_dato"] == pytest.approx(missing / COUNT, rel=1e-6)


def test_a_number_without_ties_is_cut_into_tenths() -> None:
    values = np.random.default_rng(1).permutation(np.arange(1000) * 1.5)
    bins = {"bordes": distributions.edges(values)}
    assert distributions.shares(values, bins).tolist() == pytest.approx([*[0.1] * 10, 0.0])


def test_an_edge_is_a_value_to_the_last_digit_and_no_bin_is_empty() -> None:
    values = np.array([0.1] * 10 + [0.2] * 70 + [1 / 3] * 20)
    bins = {"bordes": distributions.edges(values)}
    assert bins["bordes"] == [0.1, 0.2]
    assert distributions.shares(values, bins).tolist() == pytest.approx([0.1, 0.7, 0.2, 0.0])
    said = distributions.of_scores(values)
    assert (said["bordes"], said["partes"]) == ([0.1, 0.2], [0.1, 0.7, 0.2])
    assert said["deciles"] == [0.1, *[0.2] * 7, 1 / 3]


def test_other_values_are_counted_in_the_same_bins() -> None:
    bins = {"bordes": [1.0, 2.0]}
    values = np.array([-9.0, 1.0, 1.5, 2.0, 2.0, 99.0, np.nan, np.nan])
    assert distributions.shares(values, bins).tolist() == [2 / 8, 3 / 8, 1 / 8, 2 / 8]


@pytest.mark.parametrize("values", [[], [3.0], [3.0, 3.0, 3.0]])
def test_few_or_equal_values_have_one_bin(values: list[float]) -> None:
    assert distributions.edges(np.array(values)) == []
    found = distributions.shares(np.array([*values, np.nan]), {"bordes": []})
    assert found.tolist() == pytest.approx(
        [len(values) / (len(values) + 1), 1 / (len(values) + 1)]
    )


def test_the_score_is_described_by_its_deciles(trained: Trained, told: dict[str, Any]) -> None:
    score, chances = told["referencia"]["puntuacion"], trained.evaluation.chances
    below = [np.mean(chances <= limit) for limit in score["deciles"]]
    # A limit lies between two rows, and is kept to seven digits.
    assert below == pytest.approx(np.arange(1, 10) / 10, abs=1.5 / JUDGED)
    assert sum(score["partes"]) == pytest.approx(1.0, abs=1e-5)
    first = np.mean(chances < 0.05)
    assert score["histograma"][0] == pytest.approx(first, rel=1e-6)
    assert len(score["histograma"]) == 20


@pytest.mark.parametrize("name", ["cobranza", "cobranza_compat", "telco_churn"])
def test_the_monitoring_reads_all_of_it(name: str) -> None:
    one = made(name)
    told = json.loads(json.dumps(sidecars.sidecar(one)))
    error = {"valor": 0.01, "desde": 0.0, "hasta": 0.02}
    told["metricas"] = {"ece_sin_sesgo": error}
    known = reference.of_training({"told": told}, one.contract, Decision(0.5))
    assert known is not None and known.rows == len(one.rows)
    assert known.region is not None and 0 <= known.region.outside < 1
    assert known.error is not None and known.calibrated is not None and known.steps is not None
    binned = distributions.cells(one.contract, known.parameters, one.rows.values)
    out, _ = distributions.outside(one.contract, known.region, binned)
    # Its own rows are in the region, but for those beyond the range of a number.
    assert (out == distributions.beyond(one.contract, binned)).all()


def test_a_reference_is_moved_as_the_chances_that_are_served(
    trained: Trained, told: dict[str, Any]
) -> None:
    rule = Decision(0.5, 0.5, 0.2)
    known = reference.of_training({"told": told}, trained.contract, rule)
    assert known is not None and known.calibrated is not None
    edges = [rule.probability(edge) for edge in told["referencia"]["puntuacion"]["bordes"]]
    assert known.scores["bordes"] == pytest.approx(edges)
    served = rule.probabilities(trained.evaluation.chances)
    assert known.steps is not None
    assert known.steps[np.minimum((served * 20).astype(int), 19)].all()
