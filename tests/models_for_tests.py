"""Model files for the tests that run whole servers, made on the fly from the contract.

All are small, all differ from each other, and none is ever kept in the repository.
"""

from __future__ import annotations

import copy
import functools
import io
import itertools
from typing import Any

import joblib
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from propensia import contract as contracts
from propensia.training.demonstration import table

EXAMPLE = {
    "er": "EMP",
    "po": "NO",
    "vt": "S",
    "cp": "8029",
    "ec": "A",
    "vf": "N",
    "vb": "N",
    "fb": "202310",
    "ed": "NaN",
    "cf": "3",
    "im": "263.68",
    "dt": "1000.82",
    "nl": "12",
}
# Row 0 of the published data after the published scaling, worked out by hand: the columns in the
# order that the recipe of the data set gives them.
GOLDEN_ROW = np.array(
    [3 / 3.5, 263.68 / 314.24, 0, 1, 0, 1, 8 / 52, 1, 1, 0, 0, 1, 0, 0, 1, 0], dtype=np.float64
)

_serial = itertools.count(1)


@functools.cache
def _fitted() -> LogisticRegression:
    rows, labels = table(contracts.load("cobranza"), 600, seed=11)
    return LogisticRegression().fit(rows, labels.astype(np.int64))


def logistic(shift: float = 0.0) -> LogisticRegression:
    """A logistic regression; two with different shifts score every row differently, and both
    rank them alike."""
    model = copy.deepcopy(_fitted())
    model.intercept_ = model.intercept_ + shift
    return model


def new_logistic() -> LogisticRegression:
    """A model that nobody has seen before in this process."""
    return logistic(next(_serial) / 1024)


def inverted() -> LogisticRegression:
    """A model that ranks debtors the other way round."""
    model = logistic()
    model.coef_, model.intercept_ = -model.coef_, -model.intercept_ + next(_serial) / 1024
    return model


def constant() -> LogisticRegression:
    """A model that gives everybody the same number."""
    model = logistic(next(_serial) / 1024)
    model.coef_ = np.zeros_like(model.coef_)
    return model


@functools.cache
def forest(seed: int, trees: int = 10) -> RandomForestClassifier:
    """A small forest."""
    rows, labels = table(contracts.load("cobranza"), 800, seed=seed)
    made = RandomForestClassifier(n_estimators=trees, max_depth=5, random_state=seed)
    return made.fit(rows, labels.astype(np.int64))


def three_classes() -> LogisticRegression:
    """A classifier of three classes, which no threshold can split."""
    rows, labels = table(contracts.load("cobranza"), 300, seed=3)
    labels[:40] = 2
    return LogisticRegression().fit(rows, labels.astype(np.int64))


def fewer_columns() -> LogisticRegression:
    """A model that was trained on fifteen of the sixteen columns."""
    rows, labels = table(contracts.load("cobranza"), 300, seed=4)
    return LogisticRegression().fit(rows[:, :15], labels.astype(np.int64))


def dumped(model: Any, **options: Any) -> bytes:
    """The bytes of the file that ``joblib.dump`` makes."""
    file = io.BytesIO()
    joblib.dump(model, file, **options)
    return file.getvalue()


def golden_probability(model: Any) -> float:
    """What the original library says about the example: the probability of paying."""
    return float(model.predict_proba(GOLDEN_ROW[np.newaxis])[0, 1])
