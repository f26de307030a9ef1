"""From many candidates to one answer: the weights of a vote, and what calibrates it.

It works on out-of-fold chances alone; nothing here is fitted on the rows themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
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
# A temperature where chances are too sure or not sure enough. A sigmoid of the chance itself (not
# of its log-odds, as for a network) where even the surest are sometimes wrong: it has a floor and
# a ceiling. Isotonic for any other rising bend, where rows are many.
CALIBRATORS = (NO_CALIBRATOR, "temperature", "sigmoid", "isotonic")
# More members cost time in every request, and bring little.
MEMBERS, VOTES = 6, 12
# Which of the best settings of a kind is the best is mostly chance; further ones only add to it.
OF_A_KIND = 3
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

    ``families`` ``(c,)`` are their kinds. Candidates are chosen one by one, again and again, each
    time the one that helps most those chosen before (R. Caruana and others, «Ensemble Selection
    from Libraries of Models», ICML 2004). A calibrator is taken only if it helps customers that
    it was not fitted on, by more than the standard error of that gain, and in place of a simpler
    one only if it helps so much more than that one. None turns the ranking round.
    """
    weights = _votes(columns, families, known.labels)
    mean = weights @ columns
    calibrator = _choose(mean, known)
    fitted = None if calibrator == NO_CALIBRATOR else _fitted(calibrator, mean, known.labels)
    return Blend(weights, calibrator, fitted)


def _votes(columns: npt.NDArray[np.float64], families: Sequence[str], labels: Labels) -> Weights:
    votes, sums = np.zeros(len(columns)), np.zeros(len(labels))
    least, weights = np.inf, votes
    able = _best_of_each_kind(columns, families, labels)
    for count in range(1, VOTES + 1):
        if np.count_nonzero(votes) == MEMBERS:
            able = [place for place in able if votes[place]]
        losses = [stats.log_loss(labels, (sums + columns[place]) / count) for place in able]
        chosen = able[int(np.argmin(losses))]
        votes[chosen] += 1
        sums += columns[chosen]
        if min(losses) < least:
            least, weights = min(losses), votes / count
    return weights


def _best_of_each_kind(
    columns: npt.NDArray[np.float64], families: Sequence[str], labels: Labels
) -> list[int]:
    kinds: dict[str, list[int]] = {}
    losses = [stats.log_loss(labels, column) for column in columns]
    for place in np.argsort(losses, kind="stable"):
        kinds.setdefault(families[place], []).append(int(place))
    return [place for places in kinds.values() for place in places[:OF_A_KIND]]


def _choose(mean: Chances, known: Known) -> str:
    """The simplest calibrator of those that help alike on folds that they have not seen."""
    best, losses = NO_CALIBRATOR, stats.log_losses(known.labels, mean)
    for kind in CALIBRATORS[1:]:
        if kind == "isotonic" and len(mean) < LEAST_FOR_ISOTONIC:
            continue
        if kind == "sigmoid" and not _rises(mean, known.labels):
            continue
        said = np.empty(len(mean))
        for fold in np.unique(known.folds):
            inside = known.folds == fold
            if len(np.unique(known.labels[~inside])) < 2:
                return best
            fitted = _fitted(kind, mean[~inside], known.labels[~inside])
            said[inside] = fitted.predict_proba(mean[inside][:, None])[:, 1]
        told = stats.log_losses(known.labels, said)
        gain = losses - told
        if gain.mean() > stats.mean_error(gain, known.groups):
            best, losses = kind, told
    return best


def _rises(mean: Chances, labels: Labels) -> bool:
    """Whether a sigmoid fitted on these would: its slope has the sign of this difference, for its
    loss is convex and falls that way where the slope is 0."""
    return bool(mean[labels == 1].mean() > mean[labels == 0].mean())


def _fitted(kind: str, mean: Chances, labels: Labels) -> CalibratedClassifierCV:
    frozen = FrozenEstimator(_Given().fit(mean, labels))
    # Nothing is learnt inside: one pass over all rows says what folds would, and few are enough.
    every = np.arange(len(mean))
    return CalibratedClassifierCV(frozen, method=kind, cv=[(every, every)]).fit(
        mean[:, None], labels
    )


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
