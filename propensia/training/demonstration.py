"""A small model to start with, learnt from synthetic rows that the contract describes.

It runs in a process of its own (``python -m propensia.training.demonstration CONTRACT PATH
SIDECAR``), so that no server pays for scikit-learn. No row is a person's, and no figure of it is a
result.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.ensemble import RandomForestClassifier

from propensia import contract as contracts
from propensia import sampling
from propensia.contract import Contract
from propensia.features import Features, Matrix
from propensia.training import evaluation, reference
from propensia.training.rows import Rows

ROWS = 6_000
SEED = 20261
JUDGED = SEED + 2
"""The seed of further rows, which the model has not learnt from; the labels take the next one."""


def table(contract: Contract, count: int, seed: int) -> tuple[Matrix, Matrix]:
    """Synthetic rows: the columns ``(count, k)`` and labels 0/1 ``(count,)``.

    Labels are drawn with the log-odds ``b + effects · columns`` of the contract, ``b`` such
    that the mean probability is its base rate.
    """
    rows = Features(contract).matrix(sampling.draw(contract, count, seed))
    effects = contract.demonstration["effects"]
    weights = np.array([effects.get(name, 0.0) for name in contract.column_names])
    odds = rows @ weights
    low, high = -50.0, 50.0
    for _ in range(60):  # bisection: the mean grows with the intercept
        middle = (low + high) / 2
        mean = float(np.mean(1 / (1 + np.exp(-(odds + middle)))))
        low, high = (middle, high) if mean < contract.demonstration["base_rate"] else (low, middle)
    chance = 1 / (1 + np.exp(-(odds + low)))
    labels = np.random.default_rng(seed + 1).random(count) < chance
    return rows, labels.astype(np.float64)


def sidecar(contract: Contract, labels: Matrix, forest: RandomForestClassifier) -> dict[str, Any]:
    """What the monitoring has to know of it: as much as the sidecar of a real model tells. It has
    no date: the same file is the same version everywhere.

    ``labels``: of the ``ROWS`` that it learnt from.
    """
    further, came = table(contract, ROWS, JUDGED)
    outcomes, chances = came.astype(np.int64), forest.predict_proba(further)[:, 1]
    nobody = np.arange(ROWS)  # each row its own customer
    figures = evaluation.evaluate(
        outcomes, chances, contract.threshold, nobody, next_rows=ROWS, seed=SEED
    )
    rows = Rows(sampling.draw(contract, ROWS, SEED), labels.astype(np.int64), nobody)
    rate = float(labels.mean())
    return {
        "huella_contrato": contract.fingerprint,
        "tasa_entrenamiento": rate,
        "tasa_real": rate,
        "metricas": reference.figures(figures),
        "calibracion": reference.calibration(outcomes, chances),
        "datos": {"filas": ROWS, "usadas": ROWS, "positivas": int(labels.sum()), "supuestos": {}},
        "entrenamiento": {"juzgadas": ROWS},
        "semilla": SEED,
        "referencia": reference.reference(contract, rows, chances),
    }


def main(contract_name: str, path: Path, beside: Path) -> None:
    """Train on the contract's synthetic rows; save a PKL under ``path`` and its sidecar."""
    contract = contracts.load(contract_name)
    rows, labels = table(contract, ROWS, seed=SEED)
    forest = RandomForestClassifier(
        n_estimators=60, max_depth=7, min_samples_leaf=20, random_state=SEED
    )
    forest.fit(rows, labels.astype(np.int64))
    joblib.dump(forest, path)
    told = json.dumps(sidecar(contract, labels, forest), ensure_ascii=False)
    beside.write_text(told, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
