"""What a search may come to: a vote of candidates, or a network; each can be fitted on any rows.

They know what rows were told by models that had not seen them; whether that is good, others judge.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from sklearn.ensemble import VotingClassifier

from propensia import stats
from propensia.contract import Column, Contract
from propensia.training import blending, evaluation, networks, scoring, search
from propensia.training.blending import NO_CALIBRATOR, Blend, Known
from propensia.training.candidates import CORES
from propensia.training.evaluation import Candidates, Combined, CrossFitted
from propensia.training.results import Candidate, Threshold
from propensia.training.rows import Chances, Labels, Places, Rows, usual_view
from propensia.training.search import Task, Tried

# Where yes begins, for the chances of rows with those labels at those places of the task.
Chooser = Callable[[Labels, Chances, Places], Threshold]
Tell = Callable[[str], None]
# The network's search takes this part of its time; its folds and its fit the rest.
SEARCHING = 0.5


class Choice(Protocol):
    """A way to make a model.

    ``view`` is what it learns from; ``unseen`` what the rows of the task were told by models
    that had not seen them; ``calibrator`` and ``candidates`` say what it is.
    """

    @property
    def view(self) -> str: ...
    @property
    def calibrator(self) -> str: ...
    @property
    def unseen(self) -> CrossFitted: ...
    @property
    def candidates(self) -> tuple[Candidate, ...]: ...

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
            return self._blend.around(model.fit(table, rows.labels))

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


def network(
    contract: Contract,
    task: Task,
    rows: Rows,
    seconds: float,
    folder: Path,
    choose: Chooser,
    tell: Tell,
) -> Network:
    """The best network found in about ``seconds`` on the ``rows`` of the task.

    Raises ``NoNetwork`` where a column may have gaps, or there was no time for a network.
    """
    started = time.monotonic()
    if any(_may_be_missing(contract, column) for column in contract.columns):
        raise NoNetwork("una columna del contrato puede quedar sin dato, y una red no lo admite")
    table = rows.table(contract, "columns")
    settings = networks.search(
        table,
        rows.labels,
        task.folds,
        seconds=SEARCHING * seconds,
        folder=folder,
        seed=task.seed,
        tell=tell,
    )
    late = NoNetwork("no se termina en su parte del tiempo; dé más minutos (--minutes)")
    if settings is None:
        raise late
    found = networks.out_of_fold(
        table, rows.labels, task.folds, settings, seed=task.seed, deadline=started + seconds
    )
    if found is None:
        raise late
    told, settings = found

    def combine(candidates: Candidates, labels: Labels, places: Places) -> Combined:
        line = networks.Line.of(candidates[0], labels)
        threshold = choose(labels, line.chances(candidates[0]), places)
        return Combined(lambda said: line.chances(said[0]), threshold.value)

    unseen = evaluation.cross_fitted(told[None], rows.labels, task.folds, combine)
    loss, auc = stats.log_loss(rows.labels, unseen.chances), stats.auc(rows.labels, told)
    spent = time.monotonic() - started
    one = Candidate("red neuronal", settings.shown(), loss, auc, spent, 1.0)
    return Network(unseen, (one,), contract, settings, task.seed, told, rows.labels)


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
