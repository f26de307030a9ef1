"""What a fitted model says of rows, each kind of model asked in its own way."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from test_training_sidecars import COUNT, made

from propensia.training import scoring
from propensia.training.results import Trained


@pytest.fixture(scope="module")
def trained() -> Trained:
    return made()


def test_an_estimator_says_the_chance_of_the_second_class(trained: Trained) -> None:
    rows = trained.rows
    found = scoring.chances(trained.model, trained.contract, "raw", rows)
    expected = trained.model.predict_proba(rows.table(trained.contract, "raw"))
    assert found.shape == (COUNT,) and found.dtype == np.float64
    assert found.tolist() == expected[:, 1].tolist()


def test_a_network_is_given_the_columns_in_float32(trained: Trained) -> None:
    """Keras has no ``predict_proba``."""

    class Network:
        def __call__(self, data: npt.NDArray[Any], training: bool) -> npt.NDArray[np.float32]:
            assert data.dtype == np.float32 and data.shape == (COUNT, 16) and not training
            return np.clip(data[:, 1:2], 0, 1)

    found = scoring.chances(Network(), trained.contract, "columns", trained.rows)
    amounts = np.minimum(trained.rows.values["im"], 314.24) / 314.24
    assert found == pytest.approx(amounts, abs=1e-7)
