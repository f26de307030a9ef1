"""Makes the models that are served: the seed project's recipes on synthetic rows.

It must never read a PKL.

`python -m benchmarks.models NAME FILE.pkl` makes one of them.
"""

import pickle
import random
import sys
from collections.abc import Callable
from pathlib import Path

import joblib  # type: ignore[import-untyped]  # ships no types
import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # ships no types
from sklearn.ensemble import RandomForestClassifier  # type: ignore[import-untyped]  # ships no types
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]  # ships no types

from benchmarks.rows import COLUMNS, debtors, encode, paid

_ROWS_PER_CLASS = 4364


def training_rows(seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """8,728 rows of the 16 columns, (n, 16) float64, and their labels, half of them 1."""
    chance = random.Random(seed)
    classes: dict[bool, list[list[float]]] = {True: [], False: []}
    for row in debtors(seed):
        classes[paid(row, chance)].append(encode(row))
        if min(len(rows) for rows in classes.values()) >= _ROWS_PER_CLASS:
            break
    values = classes[True][:_ROWS_PER_CLASS] + classes[False][:_ROWS_PER_CLASS]
    labels = np.repeat([1, 0], _ROWS_PER_CLASS)
    order = np.random.default_rng(seed).permutation(len(labels))
    return pd.DataFrame(values, columns=list(COLUMNS)).iloc[order], labels[order]


def _forest(seed: int, trees: int = 500, depth: int = 10) -> RandomForestClassifier:
    model = RandomForestClassifier(trees, max_depth=depth, random_state=seed, n_jobs=-1)
    model.fit(*training_rows(seed))
    # Fitted on every core, but saved as usual: a service predicts on the calling thread.
    return model.set_params(n_jobs=None)


def _logistic() -> LogisticRegression:
    return LogisticRegression(max_iter=1000).fit(*training_rows(123))


def _network() -> object:
    # TensorFlow takes seconds to import, and only this recipe needs it.
    import keras  # type: ignore[import-untyped]  # ships no types

    keras.utils.set_random_seed(123)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((len(COLUMNS),)),
            layers.Dense(27, activation="relu"),
            layers.Dense(352, activation="relu"),
            layers.Dense(480, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    rows, labels = training_rows(123)
    model.fit(rows.to_numpy(np.float32), labels, batch_size=32, epochs=2, verbose=0)
    return model


RECIPES: dict[str, Callable[[], object]] = {
    "forest": lambda: _forest(123),
    "forest_other": lambda: _forest(124),
    "forest_third": lambda: _forest(125),
    "forest_thousand": lambda: _forest(123, trees=1000, depth=12),
    "forest_protocol_2": lambda: _forest(123),
    "forest_protocol_5": lambda: _forest(123),
    "logistic": _logistic,
    "network": _network,
}
"""Every model that a figure asks for, by name."""

PROTOCOLS = {"forest_protocol_2": 2, "forest_protocol_5": 5}
"""Those that pickle itself writes, and its protocol; joblib writes all others."""


def make(name: str, file: Path) -> None:
    """Write the model `name` to `file`; the file appears whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".tmp")
    model = RECIPES[name]()
    if name in PROTOCOLS:
        unfinished.write_bytes(pickle.dumps(model, PROTOCOLS[name]))
    else:
        joblib.dump(model, unfinished)
    unfinished.replace(file)


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]))
