"""The demonstration model tells as much of itself as a trained one, so that the panel has all."""

from __future__ import annotations

import json
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from propensia import contract as contracts
from propensia import distributions
from propensia.admission import sidecar as sidecars_read
from propensia.contract import Contract
from propensia.decision import Decision
from propensia.monitoring import reference
from propensia.training import demonstration


@pytest.fixture(scope="module")
def contract() -> Contract:
    return contracts.load("cobranza")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """The file of the model, and its sidecar."""
    folder = tmp_path_factory.mktemp("demostracion")
    demonstration.main("cobranza", folder / "m.pkl", folder / "m.json")
    return folder / "m.pkl", (folder / "m.json").read_bytes()


def test_its_sidecar_is_all_that_the_monitoring_asks_for(
    made: tuple[Path, bytes], contract: Contract
) -> None:
    said = sidecars_read.read(made[1])
    assert said.ignored == () and said.contract == contract.fingerprint
    decision = Decision(contract.threshold, said.training_rate, said.real_rate)
    assert decision.probability(0.3) == 0.3, "nothing is corrected"
    known = reference.of_training({"told": said.told}, contract, decision)
    assert known is not None and known.source == reference.TRAINING
    assert known.region is not None and known.steps is not None
    assert known.error is not None and known.calibrated is not None
    assert known.rows == known.judged == demonstration.ROWS
    assert None not in known.missing.values()


def test_its_figures_are_those_of_rows_that_it_never_saw(
    made: tuple[Path, bytes], contract: Contract
) -> None:
    told = json.loads(made[1])
    model = joblib.load(made[0])
    rows, labels = demonstration.table(contract, 20_000, seed=7)
    chances = model.predict_proba(rows)[:, 1]
    figures = told["metricas"]
    for name, value in (
        ("auc", roc_auc_score(labels, chances)),
        ("brier", brier_score_loss(labels, chances)),
    ):
        assert figures[name]["desde"] <= value <= figures[name]["hasta"], name
    bins = told["referencia"]["puntuacion"]
    # A share of 6,000 rows near 0.1 has a standard error of 0.004; four of them, and both tables.
    parts = distributions.shares(chances, {"bordes": bins["bordes"]})[:-1]
    assert np.abs(parts - bins["partes"]).max() < 0.02


def test_the_same_contract_makes_the_same_version(
    made: tuple[Path, bytes], tmp_path: Path
) -> None:
    demonstration.main("cobranza", tmp_path / "m.pkl", tmp_path / "m.json")
    assert (tmp_path / "m.json").read_bytes() == made[1]
