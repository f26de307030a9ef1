"""What a search may come to: a vote of candidates, or a network; each can be fitted on any rows.

They know what rows were told by models that had not seen them; whether that is good, others judge.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from sklearn.ensemble import VotingClassifier

from propensia import stats
from propensia.contract import Column, Contract
from propensia.training import blending, candidates, evaluation, networks, scoring, search, trials
from propensia.training.blending import NO_CALIBRATOR, Blend, Known
from propensia.training.candidates import CORES
from propensia.training.evaluation import Candidates, Combined, CrossFitted
from propensia.training.progress import Tell
from propensia.training.results import KINDS, Candidate, Threshold
from propensia.training.rows import Chances, Labels, Places, Rows, usual_view
from propensia.training.search import Task, Tried
from propensia.training.trials import Ended

# Where yes begins, for the chances of rows with those labels at those places of the task.
Chooser = Callable[[Labels, Chances, Places], Threshold]
NETWORK = KINDS[-1]
# The network's part of the time of a training, and the least that is worth beginning with.
NETWORK_SHARE = 0.25
NETWORK_LEAST_S = 45.0
# Its search takes this part of that; its folds the rest.
SEARCHING = 0.5


class Choice(Protocol):
    """A way to make a model.

    ``view`` is what it learns from; ``unseen`` what the rows of the task were told by models
    that had not seen them; ``calibrator`` and ``candidates`` say what it is; ``fit_s`` is about
    how many seconds ``fit`` takes on the rows of the task, by what its folds took.
    """

    @property
    def view(self) -> str: ...
    @property
    def calibrator(self) -> str: ...
    @property
    def unseen(self) -> CrossFitted: ...
    @property
    def candidates(self) -> tuple[Candidate, ...]: ...
    @property
    def fit_s(self) -> float: ...

    def fit(self, rows: Rows) -> Any:
        """The model, fitted on ``rows``: a plain scikit-learn or Keras object."""

    def chances(self, model: Any, rows: Rows) -> Chances:
        """What that model says of ``rows``, ``(n,)`` in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Vote:
    """The weighted mean of candidates; made by ``vote``."""

    unseen: CrossFitted
    candidates: tuple[Candidate, ...]
    _contract: Contract
    _task: Task
    _blend: Blend
    _taken: tuple[tuple[Tried, float], ...]
    view: str

    @property
    def calibrator(self) -> str:
        """One of ``blending.CALIBRATORS``."""
        return self._blend.calibrator

    @property
    def fit_s(self) -> float:
        """The members one after the other: with all cores, as their folds together had, or on one
        of them."""
        folds = int(self._task.folds.max()) + 1
        alone = min(CORES, folds)
        return sum(
            _whole_s(self._task, one.seconds * (1 if one.family.threaded else alone))
            for one, _ in self._taken
        )

    def fit(self, rows: Rows) -> Any:
        """The vote, each member fitted on ``rows``; a single one stands for itself."""
        table = rows.table(self._contract, self.view)
        members = [
            (
                f"{one.family.name}_{number}",
                search.estimator(self._task, one.family, one.settings, len(rows), CORES),
            )
            for number, (one, _) in enumerate(self._taken, start=1)
        ]
        model = members[0][1]
        if len(members) > 1 or self.calibrator != NO_CALIBRATOR:
            weights = [weight for _, weight in self._taken]
            model = VotingClassifier(members, voting="soft", weights=weights)
        with search.patient():
            candidates.fit(model, table, rows.labels, rows.groups, self._task.balance)
            return self._blend.around(model)

    def chances(self, model: Any, rows: Rows) -> Chances:
        """What ``model`` says of ``rows``."""
        return scoring.chances(model, self._contract, self.view, rows)


def vote(
    contract: Contract, task: Task, rows: Rows, tried: Sequence[Tried], choose: Chooser
) -> Vote:
    """The blend of what was tried; for ``unseen``, weights and thresholds are cross-fitted."""
    columns = np.stack([one.chances for one in tried])
    names = [one.family.name for one in tried]

    def combine(candidates: Candidates, labels: Labels, places: Places) -> Combined:
        known = Known(labels, task.folds[places], rows.groups[places])
        chosen = blending.blend(candidates, names, known)
        return Combined(chosen.chances, choose(labels, chosen.chances(candidates), places).value)

    blend = blending.blend(columns, names, Known(task.labels, task.folds, rows.groups))
    pairs = list(zip(tried, map(float, blend.weights), strict=True))
    return Vote(
        evaluation.cross_fitted(columns, task.labels, task.folds, combine),
        tuple(_candidate(one, weight) for one, weight in pairs),
        contract,
        task,
        blend,
        tuple((one, weight) for one, weight in pairs if weight > 0),
        usual_view(contract),
    )


def _candidate(tried: Tried, weight: float) -> Candidate:
    return Candidate(
        tried.family.title, tried.settings, tried.log_loss, tried.auc, tried.seconds, weight
    )


@dataclass(frozen=True, slots=True)
class Network:
    """A network on the contract's columns; made by ``network``."""

    unseen: CrossFitted
    candidates: tuple[Candidate, ...]
    _contract: Contract
    _settings: networks.Settings
    _seed: int
    _told: Chances
    _labels: Labels
    fit_s: float
    view: str = "columns"
    calibrator: str = "sigmoid"

    def fit(self, rows: Rows) -> Any:
        """The network, fitted on ``rows`` and calibrated by what the task's rows were told."""
        table = rows.table(self._contract, self.view)
        model = networks.fit(table, rows.labels, self._settings, seed=self._seed)
        return networks.calibrated(model, self._told, self._labels)

    def chances(self, model: Any, rows: Rows) -> Chances:
        """What ``model`` says of ``rows``."""
        return scoring.chances(model, self._contract, self.view, rows)


class NoNetwork(Exception):
    """There is no network for these rows; the text, in Spanish, says why."""


def part(task: Task, seconds: float) -> float:
    """The network's part of the ``seconds`` of a training, all where there is nothing else.

    Raises ``NoNetwork`` where none can be looked for.
    """
    if task.balance != "none":
        raise NoNetwork("las filas de una red no se equilibran; quite --balance si la quiere")
    if not networks.available():
        raise NoNetwork("falta TensorFlow o keras-tuner")
    share = NETWORK_SHARE if task.families else 1.0
    if share * seconds < NETWORK_LEAST_S:
        raise NoNetwork(f"pide --minutes {NETWORK_LEAST_S / share / 60:.3g} o más")
    return share * seconds


def network(
    contract: Contract,
    task: Task,
    rows: Rows,
    seconds: float,
    folder: Path,
    choose: Chooser,
    tell: Tell,
) -> Network:
    """The best network found on the ``rows`` of the task in about ``seconds``, counting what an
    interrupted run spent before.

    ``folder`` belongs to this task. Raises ``NoNetwork`` where a column may have gaps, or there
    was no time for a network.
    """
    if any(_may_be_missing(contract, column) for column in contract.columns):
        raise NoNetwork("una columna del contrato puede quedar sin dato, y una red no lo admite")
    table = rows.table(contract, "columns")
    if not networks.takes(table):
        raise NoNetwork("una columna tiene huecos, o números enormes, y una red no los admite")
    told, settings, searching, folds = _unseen(task, table, seconds, folder, tell)

    def combine(candidates: Candidates, labels: Labels, places: Places) -> Combined:
        line = networks.Line.of(candidates[0], labels)
        threshold = choose(labels, line.chances(candidates[0]), places)
        return Combined(lambda said: line.chances(said[0]), threshold.value)

    unseen = evaluation.cross_fitted(told[None], rows.labels, task.folds, combine)
    loss, auc = stats.log_loss(rows.labels, unseen.chances), stats.auc(rows.labels, told)
    one = Candidate("red neuronal", settings.shown(), loss, auc, searching + folds, 1.0)
    fit_s = _whole_s(task, folds)
    return Network(unseen, (one,), contract, settings, task.seed, told, rows.labels, fit_s)


def _whole_s(task: Task, folds_s: float) -> float:
    """About how long something takes on all rows whose folds took ``folds_s`` together."""
    return folds_s / int(task.folds.max())  # each had all folds but one


def _unseen(
    task: Task, table: pd.DataFrame, seconds: float, folder: Path, tell: Tell
) -> tuple[Chances, networks.Settings, float, float]:
    """What the rows were told by networks without their fold, the settings of the best, and the
    seconds spent on its search and on the folds; of an earlier run, where the search still comes
    to the same."""
    late = NoNetwork("no se termina en su parte del tiempo; dé más minutos (--minutes)")
    searched = networks.search(
        table,
        task.labels,
        task.folds,
        seconds=SEARCHING * seconds,
        folder=folder / NETWORK,
        seed=task.seed,
        tell=tell,
    )
    if searched is None:
        raise late
    settings, now = searched
    for kept in trials.read(folder, NETWORK, len(task.labels)):
        if kept.chances is not None and kept.params == settings.shown():
            return kept.chances, networks.Settings.of(kept.settings), now.spent_s, kept.seconds
    began = time.monotonic()
    found = networks.out_of_fold(
        table,
        task.labels,
        task.folds,
        settings,
        seed=task.seed,
        deadline=began + (1 - SEARCHING) * seconds,
        tell=lambda: tell(replace(now, spent_s=now.spent_s + time.monotonic() - began)),
    )
    if found is None:
        raise late
    told, best = found
    spent = time.monotonic() - began
    ended = Ended(settings.shown(), {}, best.shown(), told, math.nan, spent, "")
    trials.write(folder, NETWORK, trials.following(folder, NETWORK), ended)
    return told, best, now.spent_s, spent


def _may_be_missing(contract: Contract, column: Column) -> bool:
    """Whether a column is the value itself of a parameter that need not have one."""
    starts = column.steps[0][0] if column.steps else "value"
    return starts == "value" and contract.parameter(column.source).optional


def better(vote: Vote, network: Network, rows: Rows) -> Choice:
    """The network only where it tells more, by more than the standard error of the difference.

    What the other one tried stays among the candidates, without a weight.
    """
    losses = [stats.log_losses(rows.labels, one.unseen.chances) for one in (vote, network)]
    gain = losses[0] - losses[1]
    if gain.mean() > stats.mean_error(gain, rows.groups):
        return replace(network, candidates=network.candidates + _unused(vote.candidates))
    return replace(vote, candidates=vote.candidates + _unused(network.candidates))


def _unused(candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    return tuple(replace(one, weight=0.0) for one in candidates)
