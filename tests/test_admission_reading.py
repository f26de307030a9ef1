"""What analysts are told of models that fit the contract only in part, or not at all."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from family_models import CONTRACT, encoded, learnt_from, logistic
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier

from propensia.admission import reader, reading
from propensia.admission.ladder import Finding, climb
from propensia.admission.nodes import Global
from propensia.admission.refusal import Refusal
from propensia.decision import Decision

RULE = Decision(0.5, None, None)


def case_of(model: object) -> reading.Case:
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    return reading.Case(buffer.getvalue(), CONTRACT, 1 << 30, RULE)


def climbed(model: object) -> tuple[dict[str, Finding], Refusal | None]:
    checks, refusal = climb(reading.CHECKS, case_of(model))
    return {check.name: check for check in checks}, refusal


def respelt(column: str, spelling: dict[str, str]) -> pd.DataFrame:
    raw = learnt_from()[1].copy()
    raw[column] = raw[column].replace(spelling)
    return raw


def test_a_model_that_learnt_other_spellings_only_is_refused() -> None:
    """Parity cannot see it: both sides get the texts of the contract."""
    raw = respelt("VPT", {"S": "SI", "N": "NO"})
    model = make_pipeline(encoded(), logistic()).fit(raw, learnt_from()[2])
    _, refusal = climbed(model)
    assert refusal is not None and refusal.code == "valores_distintos"
    assert all(text in refusal.detail for text in ("VPT", "SI", "NO", "S, N"))


def test_spellings_that_only_one_side_knows_are_told() -> None:
    raw = respelt("ESCENARIO_RECOBRO", {"PER": "PERDIDO"})
    checks, refusal = climbed(make_pipeline(encoded(), logistic()).fit(raw, learnt_from()[2]))
    assert refusal is None
    told = checks["columnas del contrato"]
    assert told.outcome == "aviso"
    assert "no vio PER al entrenar" in told.sentence and "aprendió PERDIDO" in told.sentence


def test_a_raw_model_with_one_column_too_many_is_told_that_column_alone() -> None:
    raw = learnt_from()[1].assign(MES=1.0)
    model = make_pipeline(encoded(), logistic()).fit(raw, learnt_from()[2])
    _, refusal = climbed(model)
    assert refusal is not None and refusal.code == "columnas_distintas"
    assert refusal.detail == "sobran MES"


@pytest.mark.parametrize("thing", [{"model": 1}, [logistic()], ("scaler", 2)], ids=repr)
def test_what_is_no_estimator_passes_no_check_of_one(thing: object) -> None:
    checks, refusal = climbed(thing)
    assert refusal is not None and refusal.code == "no_es_un_modelo"
    assert checks["familia conocida"].outcome == "fallo"


def compiled_from(model: object) -> Any:
    case = case_of(model)
    _, refusal = climb(reading.CHECKS, case)
    assert refusal is None, refusal.text("es")
    return case.compiled


def test_numbered_columns_count_as_columns_without_names() -> None:
    columns, _, labels = learnt_from()
    framed = make_pipeline(StandardScaler(), LogisticRegression()).set_output(transform="pandas")
    assert not compiled_from(framed.fit(columns.to_numpy(), labels)).named_columns
    numbered = pd.DataFrame(columns.to_numpy())
    assert not compiled_from(XGBClassifier(n_estimators=3).fit(numbered, labels)).named_columns


def told_of(told: tuple[str, ...]) -> tuple[Finding, Refusal | None]:
    """What is said of the columns of a model whose own names are in another order."""
    columns, _, labels = learnt_from()
    case = case_of(logistic().fit(columns[columns.columns[::-1]], labels))
    checks, refusal = climb(reading.CHECKS, replace(case, told=told))
    return next(check for check in checks if check.name == "columnas del contrato"), refusal


def test_a_file_with_names_goes_by_them_whatever_order_its_sidecar_has() -> None:
    """Each side may have an order of its own; none may have a column of its own."""
    names = CONTRACT.column_names
    for told in (names, names[::-1]):
        found, refusal = told_of(told)
        assert refusal is None and found.outcome == "bien" and "por su nombre" in found.sentence
    found, refusal = told_of((*names[1:], "OTRA"))
    assert refusal is not None and refusal.code == "columnas_distintas"
    assert found.outcome == "fallo" and f"faltan {names[0]}; sobran OTRA" in refusal.detail


def own_score(truth: np.ndarray, said: np.ndarray) -> float:
    return float((truth == said).mean())


def test_a_score_of_the_analysts_own_is_passed_over_where_only_training_calls_it() -> None:
    columns, _, labels = learnt_from()
    search = GridSearchCV(logistic(), {"C": [0.1, 1.0]}, cv=2, scoring=make_scorer(own_score))
    root: Any = reader.read(case_of(search.fit(columns, labels)).data)
    # As a notebook writes it, where the function lives in __main__.
    for place in ("scoring", "scorer_"):
        root.state[place].state["_score_func"] = Global("__main__", "own_score")
    case = reading.Case(b"", CONTRACT, 1 << 30, RULE, root=root)
    reading.known_family(case)
    assert case.compiled is not None
    root.state["scoring"].state["_kwargs"] = {"by": Global("__main__", "own_score")}
    with pytest.raises(Refusal):
        reading.known_family(reading.Case(b"", CONTRACT, 1 << 30, RULE, root=root))
