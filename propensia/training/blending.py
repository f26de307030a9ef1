"""From many candidates to one answer: the weights of a vote, and what calibrates it.

It works on out-of-fold chances alone; nothing here is fitted on the rows themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from propensia import stats
from propensia.training.rows import Chances, Labels, Places

Weights = npt.NDArray[np.float64]
NO_CALIBRATOR = "ninguna"
CALIBRATORS = (NO_CALIBRATOR, "temperature", "isotonic")
# More members cost time in every request, and bring little. Two settings of a kind: which of its
# best ones is the better is mostly chance, and their mean is steadier than either.
KINDS, SETTINGS = 3, 2
LEAST_FOR_ISOTONIC = 2_000


@dataclass(frozen=True, slots=True)
class Known:
    """n rows whose outcome is known: labels, folds and customers, each ``(n,)``."""

    labels: Labels
    folds: Places
    groups: Labels


@dataclass(frozen=True, slots=True)
class Blend:
    """A weighted mean of c candidates, then a calibrator.

    ``weights`` ``(c,)`` in [0, 1], their sum 1; ``calibrator`` is one of ``CALIBRATORS``.
    """

    weights: Weights
    calibrator: str
    _map: Any

    def chances(self, candidates: npt.NDArray[np.float64]) -> Chances:
        """What the blend says where the candidates say ``(c, n)``: ``(n,)`` in [0, 1]."""
        mean = self.weights @ candidates
        if self._map is None:
            return mean
        said: Chances = self._map.predict_proba(mean[:, None])[:, 1]
        return said

    def around(self, model: Any) -> Any:
        """The fitted ``model`` that gives the weighted mean, with the calibrator around it.

        A plain scikit-learn object. It answers what ``chances`` would say of the mean, unless
        ``model`` has a ``decision_function``, which scikit-learn would calibrate instead: a
        ``VotingClassifier`` has none.
        """
        if self._map is None:
            return model
        calibrated = CalibratedClassifierCV(FrozenEstimator(model), method=self.calibrator)
        # As ``fit`` leaves it; but what was fitted here are chances out of fold, not the answers
        # of ``model`` to rows that it has learnt.
        inner = copy(self._map.calibrated_classifiers_[0])
        inner.estimator = calibrated.estimator
        calibrated.calibrated_classifiers_ = [inner]
        calibrated.classes_ = model.classes_
        calibrated.n_features_in_ = model.n_features_in_
        if hasattr(model, "feature_names_in_"):
            calibrated.feature_names_in_ = model.feature_names_in_
        return calibrated


def blend(columns: npt.NDArray[np.float64], families: Sequence[str], known: Known) -> Blend:
    """The blend of ``(c, n)`` out-of-fold chances with a low log loss on the rows ``known``.

    The two best candidates of each of the best ``families`` ``(c,)`` have one vote each: kinds
    of models that err in different ways. A calibrator is taken only if it helps customers that
    it was not fitted on, by more than the standard error of that gain.
    """
    weights = _votes(columns, families, known.labels)
    mean = weights @ columns
    calibrator = _choose(mean, known)
    fitted = None if calibrator == NO_CALIBRATOR else _fitted(calibrator, mean, known.labels)
    return Blend(weights, calibrator, fitted)


def _votes(columns: npt.NDArray[np.float64], families: Sequence[str], labels: Labels) -> Weights:
    def loss(kinds: Sequence[list[int]]) -> float:
        return stats.log_loss(labels, columns[list(chain(*kinds))].mean(axis=0))

    kinds: dict[str, list[int]] = {}
    for place in np.argsort([loss([[place]]) for place in range(len(columns))], kind="stable"):
        kinds.setdefault(families[place], []).append(int(place))
    taken = [
        places[:SETTINGS] if loss([places[:SETTINGS]]) < loss([places[:1]]) else places[:1]
        for places in list(kinds.values())[:KINDS]
    ]
    # Who makes the vote worse has none: on some tables one kind is far behind.
    while len(taken) > 1:
        without = [taken[:place] + taken[place + 1 :] for place in range(len(taken))]
        losses = [loss(fewer) for fewer in without]
        if min(losses) >= loss(taken):
            break
        taken = without[int(np.argmin(losses))]
    voting = list(chain(*taken))
    weights = np.zeros(len(columns))
    weights[voting] = 1 / len(voting)
    return weights


def _choose(mean: Chances, known: Known) -> str:
    """The calibrator that helps on folds that it has not seen, by more than chance would."""
    best, least = NO_CALIBRATOR, 0.0
    for kind in CALIBRATORS[1:]:
        if kind == "isotonic" and len(mean) < LEAST_FOR_ISOTONIC:
            continue
        said = np.empty(len(mean))
        for fold in np.unique(known.folds):
            inside = known.folds == fold
            if len(np.unique(known.labels[~inside])) < 2:
                return best
            fitted = _fitted(kind, mean[~inside], known.labels[~inside])
            said[inside] = fitted.predict_proba(mean[inside][:, None])[:, 1]
        gain = stats.log_losses(known.labels, mean) - stats.log_losses(known.labels, said)
        sure = float(gain.mean()) - stats.mean_error(gain, known.groups)
        if sure > least:
            best, least = kind, sure
    return best


def _fitted(kind: str, mean: Chances, labels: Labels) -> CalibratedClassifierCV:
    given = CalibratedClassifierCV(FrozenEstimator(_Given().fit(mean, labels)), method=kind)
    return given.fit(mean[:, None], labels)


class _Given(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Stands for a model whose chances are known: its one column is the answer."""

    def fit(self, mean: Chances, labels: Labels) -> _Given:
        """Only takes note of the classes."""
        self.classes_ = np.unique(labels)
        return self

    def predict_proba(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The chances that ``rows`` ``(n, 1)`` are: ``(n, 2)``."""
        return np.column_stack([1 - rows[:, 0], rows[:, 0]])

    def predict(self, rows: npt.NDArray[np.float64]) -> Labels:
        """The likelier class, ``(n,)``; asked for by scikit-learn, used by nobody."""
        likelier: Labels = self.classes_[(rows[:, 0] >= 0.5).astype(int)]
        return likelier
