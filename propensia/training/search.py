"""The search for good candidates: bounded in time, resumable, every row predicted out of fold.

It never sees a row outside the folds that it is given, and it picks no winner.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import optuna
import pandas as pd
from lightgbm.basic import LightGBMError
from optuna.trial import FrozenTrial, TrialState, create_trial
from sklearn.base import BaseEstimator
from threadpoolctl import threadpool_limits

from propensia import __version__, stats
from propensia.training import candidates, trials
from propensia.training.candidates import CORES, Family, Settings
from propensia.training.libraries import versions
from propensia.training.progress import Progress, Tell
from propensia.training.rows import Chances, Labels, Places
from propensia.training.shaping import Layout
from propensia.training.trials import Ended

Clock = Callable[[], float]
Mask = npt.NDArray[np.bool_]
# A trial whose first fold is this much worse than the best first fold is not worth the others.
# Not less: the first guess of a family is often far from what its search comes to.
HOPELESS = 1.25
# A family that fails so often in a row, or at its first guess, fails with these rows.
MOST_FAILURES = 3


class SearchError(Exception):
    """No candidate could be fitted; the text, in Spanish, says why."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A finished trial: ``chances`` ``(n,)`` in [0, 1], each row's from models without it."""

    family: Family
    settings: Settings
    chances: Chances
    log_loss: float
    auc: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to; ``failures``: per family that fits no more, the library's reason."""

    tried: Sequence[Tried]
    failures: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Task:
    """What is searched for: the rows ``table`` ``(n, k)``, labels, fold numbers, customers."""

    table: pd.DataFrame
    labels: Labels
    folds: Places
    groups: Labels
    layout: Layout
    families: Sequence[Family]
    balance: str
    seed: int
    clock: Clock = field(default=time.monotonic)

    def identity(self) -> str:
        """Names the task by all that trials depend on, but the families: two searches of one
        identity may go on with each other's trials."""
        rows = pd.util.hash_pandas_object(self.table, index=False).to_numpy()
        said = repr((__version__, versions(), self.layout, self.balance, self.seed))
        digest = hashlib.sha256(said.encode("utf-8"))
        for array in (rows, self.labels, self.folds, self.groups):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]


def run(task: Task, seconds: float, folder: Path, tell: Tell) -> Found:
    """Everything that was tried in ``seconds``, counting what an interrupted run spent before.

    ``folder`` belongs to this task and keeps what was tried. Each family gets its first guess;
    then every second turn goes to the family that leads. A trial starts only if one like it
    fitted in the time left; at least one is finished whatever it takes. Raises ``SearchError``
    where nothing could be fitted.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    races = [_Race(task, family, folder) for family in task.families]
    earlier = sum(race.spent for race in races)
    started = task.clock()
    while True:
        spent = earlier + task.clock() - started
        race = _next(races, seconds - spent)
        if race is None:
            break
        race.turn(min((other.first_fold for other in races), default=np.inf))
        done = [tried for other in races for tried in other.tried]
        best = max((tried.auc for tried in done), default=0.5)
        tell(Progress(earlier + task.clock() - started, seconds, len(done), best))
    failures = {race.family.title: race.failure for race in races if race.failure is not None}
    tried = [tried for race in races for tried in race.tried]
    if not tried:
        reasons = "; ".join(f"{title}: {reason}" for title, reason in failures.items())
        raise SearchError(f"ningún modelo se pudo ajustar a estas filas. {reasons}")
    return Found(tried, failures)


def _next(races: Sequence[_Race], left: float) -> _Race | None:
    """Whose turn it is: who has none yet, then in turns the leader and who had fewest."""
    able = [race for race in races if race.failure is None]
    something = any(race.tried for race in races)
    fresh = [race for race in able if not race.turns]
    if fresh and (left > 0 or not something):
        return fresh[0]
    fitting = [race for race in able if race.expected_s() <= left]
    if not fitting:
        return None
    turns = sum(race.turns for race in races)
    if turns % 2 == 0:
        return min(fitting, key=lambda race: race.best())
    return min(fitting, key=lambda race: race.turns)


class _Race:
    """The trials of one family.

    ``first_fold`` is its lowest log loss on the first fold, ``failure`` why it cannot go on.
    """

    def __init__(self, task: Task, family: Family, folder: Path) -> None:
        self.family = family
        self.tried: list[Tried] = []
        self.turns, self.spent, self.first_fold = 0, 0.0, np.inf
        self.failure: str | None = None
        self._task, self._folder, self._failed = task, folder, 0
        self._number = trials.following(folder, family.name)
        # A sampler seeded as the one before would draw what that one drew.
        seed = task.seed + sum(family.name.encode()) + self._number
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=6)
        self._study = optuna.create_study(sampler=sampler)
        earlier = list(trials.read(folder, family.name, len(task.labels)))
        for ended in earlier:
            self._study.add_trial(_frozen(task.labels, ended))
            self._count(ended)
        for guess in family.guesses(len(task.labels)):
            if all(ended.settings != guess for ended in earlier):
                self._study.enqueue_trial(dict(guess))

    def best(self) -> float:
        """The lowest log loss so far."""
        return min((tried.log_loss for tried in self.tried), default=np.inf)

    def expected_s(self) -> float:
        """What a trial takes here: the mean so far."""
        return self.spent / self.turns if self.turns else 0.0

    def turn(self, first_fold: float) -> None:
        """One trial; ``first_fold`` is the best log loss of any first fold yet."""
        trial = self._study.ask()
        settings = dict(self.family.suggest(trial))
        started = self._task.clock()
        loss, chances, reason = np.nan, None, ""
        try:
            loss, chances = self._out_of_fold(settings, first_fold)
        except (ValueError, ArithmeticError, LightGBMError) as error:
            # What libraries raise for settings that these rows cannot be fitted with.
            reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        ended = Ended(
            trial.params,
            trial.distributions,
            settings,
            chances,
            float(loss),
            self._task.clock() - started,
            reason,
        )
        trials.write(self._folder, self.family.name, self._number, ended)
        self._number += 1
        self._study.tell(trial, _value(self._task.labels, ended), state=_state(ended))
        self._count(ended)

    def _count(self, ended: Ended) -> None:
        """Take note of a trial that came to an end, here or before."""
        self.turns += 1
        self.spent += ended.seconds
        self._failed = self._failed + 1 if ended.reason else 0
        if self._failed == MOST_FAILURES or (ended.reason and self.turns == 1):
            self.failure = ended.reason
        if not np.isnan(ended.first_fold):
            self.first_fold = min(self.first_fold, ended.first_fold)
        if ended.chances is not None:
            labels = self._task.labels
            self.tried.append(
                Tried(
                    self.family,
                    ended.settings,
                    ended.chances,
                    stats.log_loss(labels, ended.chances),
                    stats.auc(labels, ended.chances),
                    ended.seconds,
                )
            )

    def _out_of_fold(self, settings: Settings, first_fold: float) -> tuple[float, Chances | None]:
        """The log loss of the first fold, and the chance of each row from a model of the other
        folds, ``(n,)``; ``None`` where the first fold is hopeless."""
        task = self._task
        chances = np.full(len(task.labels), np.nan)

        def one(fold: int) -> None:
            inside = task.folds == fold
            model = estimator(task, self.family, settings, int((~inside).sum()))
            with threadpool_limits(1, user_api="openmp"):  # a limit of this thread alone
                candidates.fit(
                    model,
                    task.table[~inside],
                    task.labels[~inside],
                    task.groups[~inside],
                    task.balance,
                )
                chances[inside] = model.predict_proba(task.table[inside])[:, 1]

        folds = range(int(task.folds.max()) + 1)
        # A fold per core: threads that share one small fit mostly wait for each other.
        with patient(), threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(CORES) as pool:
            list(pool.map(one, folds[:CORES]))
            inside = task.folds == 0
            loss = stats.log_loss(task.labels[inside], chances[inside])
            if loss > first_fold * HOPELESS:
                return loss, None
            list(pool.map(one, folds[CORES:]))
        return loss, chances


def _state(ended: Ended) -> TrialState:
    if ended.reason:
        return TrialState.FAIL
    return TrialState.PRUNED if ended.chances is None else TrialState.COMPLETE


def _value(labels: Labels, ended: Ended) -> float | None:
    return None if ended.chances is None else stats.log_loss(labels, ended.chances)


def _frozen(labels: Labels, ended: Ended) -> FrozenTrial:
    """A trial of an earlier run as Optuna would have remembered it."""
    return create_trial(
        params=dict(ended.params),
        distributions=dict(ended.distributions),
        state=_state(ended),
        value=_value(labels, ended),
    )


def estimator(
    task: Task, family: Family, settings: Settings, count: int, jobs: int = 1
) -> BaseEstimator:
    """A candidate that is to be fitted on ``count`` rows by so many threads."""
    build = candidates.build
    return build(family, settings, task.layout, count, task.seed, task.balance, jobs)


@contextmanager
def patient() -> Iterator[None]:
    """Within, libraries do not warn of settings that are poor for a table: the log loss tells.

    All warnings, not some: the list of what to ignore is one for all threads, and each fit of
    scikit-learn exchanges it for a while.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
