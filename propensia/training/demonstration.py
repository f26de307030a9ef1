"""A small model to start with, learnt from synthetic rows that the contract describes.

Its name says that it is a demonstration; no row is a person's, and no figure of it is a result.
"""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

import numpy as np

from propensia import contract as contracts
from propensia import files, processes, sampling
from propensia.contract import Contract
from propensia.features import Features, Matrix
from propensia.settings import Settings

NAME = "demostracion"
ROWS = 6_000
TIMEOUT_S = 180.0


class DemonstrationError(Exception):
    """The demonstration model could not be made; the text says why."""


def make(settings: Settings, contract: Contract) -> bytes:
    """The bytes of a PKL, trained in a process of its own so that this one stays small.

    A copy stays in the state folder for who wants to look at it. Raises ``DemonstrationError``.
    """
    settings.state.mkdir(parents=True, exist_ok=True)
    path = settings.state / f"{NAME}.pkl"
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    finished = processes.run(
        "propensia.training.demonstration",
        settings.contract,
        str(temporary),
        timeout_s=TIMEOUT_S,
    )
    if finished.code != 0:
        temporary.unlink(missing_ok=True)
        raise DemonstrationError(
            f"el entrenamiento terminó con código {finished.code}: {finished.errors}"
        )
    files.retry(lambda: temporary.replace(path))
    return files.read(path)


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


def main(contract_name: str, path: Path) -> None:
    """Train on the contract's synthetic rows and save a PKL under ``path``."""
    # Only this short process pays for scikit-learn and pandas-free training.
    import joblib
    from sklearn.ensemble import RandomForestClassifier

    contract = contracts.load(contract_name)
    rows, labels = table(contract, ROWS, seed=20261)
    forest = RandomForestClassifier(
        n_estimators=60, max_depth=7, min_samples_leaf=20, random_state=20261
    )
    forest.fit(rows, labels.astype(np.int64))
    joblib.dump(forest, path)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
