"""A model of every family is admitted, and its version says what the library says.

The fast form climbs the two ladders in this process; the slow one sends files through real
admission, with its confined processes.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import family_models
import joblib
import numpy as np
import pandas as pd
import pytest
from family_models import CONTRACT, FAMILIES, NETWORKS, RAW, expected, fitted
from keras_files import OLD_COPY

from propensia import files, sampling
from propensia.admission import Dropped, judge, proving, reading
from propensia.admission.ladder import climb
from propensia.admission.sidecar import Sidecar
from propensia.contract import Contract
from propensia.decision import Decision
from propensia.features import Features
from propensia.registry import Registry
from propensia.scorer import Scorer
from propensia.settings import Settings

ROWS = 2_000


def dumped(family: str) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(fitted(family), buffer)
    return buffer.getvalue()


def rows_both_ways(contract: Contract) -> tuple[dict[str, np.ndarray], pd.DataFrame, pd.DataFrame]:
    """Values of the contract, half of them at its limits; as columns; as raw frame."""
    halves = [sampling.draw(contract, ROWS // 2, 23), sampling.edges(contract, ROWS // 2, 24)]
    values = {name: np.concatenate([half[name] for half in halves]) for name in halves[0]}
    columns = Features(contract).matrix(values)
    raw = pd.DataFrame({p.feature: values[p.name] for p in contract.parameters})
    return values, pd.DataFrame(columns, columns=list(contract.column_names)), raw


def check_answers(family: str, onnx: bytes, columns: list[str]) -> None:
    """The ONNX file gives the probabilities of the library, and no other class."""
    view = CONTRACT.view(columns)
    assert view is not None and (view is not CONTRACT) == (family in RAW)
    values, frame, raw = rows_both_ways(CONTRACT)
    got = Scorer(onnx, files.sha256(onnx)).many(Features(view).matrix(values))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = expected(family, frame, raw)
    tolerance = reading.TOLERANCE["keras" if family in NETWORKS else "sklearn"]
    assert np.abs(got - wanted).max() <= tolerance
    decided = np.abs(wanted - 0.5) > tolerance
    assert ((got >= 0.5) == (wanted >= 0.5))[decided].all()


@pytest.mark.filterwarnings(OLD_COPY)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_of_every_family_passes_every_check(family: str) -> None:
    rule = Decision(CONTRACT.threshold, None, None)
    first = reading.Case(dumped(family), CONTRACT, 1 << 30, rule)
    checks, refusal = climb(reading.CHECKS, first)
    assert refusal is None, refusal.text("es")
    assert {c.name: c.outcome for c in checks} == {c.name: "bien" for c in reading.CHECKS} | (
        # No names in a network; and of VAP_SCF, the published data only ever say N.
        {"columnas del contrato": "aviso"} if family in (*NETWORKS, *RAW) else {}
    )
    assert first.compiled is not None
    second = proving.Case(
        model=first.compiled.onnx,
        rule=rule,
        active=None,
        contract=first.view,
        sidecar=Sidecar(),
        force=False,
        rows=sampling.rows(first.view, 500, seed=7),
    )
    checks, refusal = climb(proving.CHECKS, second)
    assert refusal is None, refusal.text("es")
    check_answers(family, first.compiled.onnx, [c.name for c in first.compiled.inputs])


# Each brings other native code, or another kind of input, into the confined processes.
CONFINED = (
    "random forest",
    "histogram boosting with categories",
    "XGBoost",
    "LightGBM",
    "isotonic calibration",
    "stacking",
    "SMOTE and a forest",
    *RAW,
    *NETWORKS,
)


@pytest.mark.slow
@pytest.mark.filterwarnings(OLD_COPY)
@pytest.mark.parametrize("family", CONFINED)
def test_a_model_is_admitted_by_the_confined_processes(family: str, tmp_path: Path) -> None:
    settings = Settings(models=tmp_path / "models", state=tmp_path / "state")
    registry = Registry(settings.state)
    registry.prepare()
    outcome = judge(Dropped("modelo", dumped(family)), settings, CONTRACT, registry)
    assert outcome.refusal is None, outcome.refusal.text("es")
    assert "largest_difference" in outcome.manifest["parity"], outcome.manifest["parity"]
    check_answers(family, outcome.parts["model.onnx"], outcome.manifest["columns"])


def test_the_model_that_tunes_its_threshold_brings_it_along(tmp_path: Path) -> None:
    settings = Settings(models=tmp_path / "models", state=tmp_path / "state")
    registry = Registry(settings.state)
    registry.prepare()
    model = family_models.fitted("tuned threshold")
    outcome = judge(Dropped("modelo", dumped("tuned threshold")), settings, CONTRACT, registry)
    assert outcome.refusal is None
    assert outcome.manifest["threshold"] == model.best_threshold_ != CONTRACT.threshold
    assert "se usa el que trae el modelo" in outcome.report
