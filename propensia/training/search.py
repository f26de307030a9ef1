"""The search for good candidates: bounded in time, resumable, every row predicted out of fold.

It never sees a row outside the folds that it is given, and it picks no winner.
"""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import optuna
import pandas as pd
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState
from sklearn.base import BaseEstimator
from threadpoolctl import threadpool_limits

from propensia import files, stats
from propensia.training import candidates
from propensia.training.candidates import CORES, Family, Layout, Settings
from propensia.training.rows import Chances, Labels, Places

Clock = Callable[[], float]
Mask = npt.NDArray[np.bool_]
JOURNAL = "busqueda.log"
# A trial whose first fold is this much worse than the best first fold is not worth the others.
HOPELESS = 1.04


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
class Progress:
    """How far a search is: seconds spent and allowed, trials finished, and the best AUC."""

    spent_s: float
    allowed_s: float
    trials: int
    auc: float


@dataclass(frozen=True, slots=True)
class Task:
    """What is searched for: the rows ``table`` ``(n, k)``, their labels and fold numbers.

    ``folder`` keeps what was tried, so that the same task goes on where it was stopped.
    """

    table: pd.DataFrame
    labels: Labels
    folds: Places
    layout: Layout
    families: Sequence[Family]
    balance: str
    seed: int
    folder: Path
    clock: Clock = field(default=time.monotonic)


def run(task: Task, seconds: float, tell: Callable[[Progress], None]) -> list[Tried]:
    """Everything that was tried in ``seconds``, counting what an interrupted run spent before.

    Each family gets its first guess; then every second turn goes to the family that leads. A
    trial starts only if one like it fitted in the time left; at least one is finished whatever
    it takes. Raises ``SearchError`` where nothing could be fitted.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    task.folder.mkdir(parents=True, exist_ok=True)
    journal = str(task.folder / JOURNAL)
    # No symlink, which Windows forbids to most people.
    storage = JournalStorage(JournalFileBackend(journal, lock_obj=JournalFileOpenLock(journal)))
    races = [_Race(task, family, storage) for family in task.families]
    earlier = sum(race.spent() for race in races)
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
    done = [tried for race in races for tried in race.tried]
    if not done:
        reasons = "; ".join(f"{r.family.title}: {r.failure}" for r in races if r.failure)
        raise SearchError(f"ningún modelo se pudo ajustar a estas filas. {reasons}")
    return done


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
    """The trials of one family."""

    def __init__(self, task: Task, family: Family, storage: JournalStorage) -> None:
        self.task, self.family = task, family
        self.tried: list[Tried] = []
        self.first_fold = np.inf
        self.failure: str | None = None
        seed = task.seed + sum(family.name.encode())
        self._study = optuna.create_study(
            storage=storage,
            study_name=f"{family.name}-{task.balance}",
            sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=6),
            load_if_exists=True,
        )
        self._remember()
        self._study.enqueue_trial(dict(family.first), skip_if_exists=True)

    @property
    def turns(self) -> int:
        """The trials of this family that came to an end, here or before."""
        return len(self._ended())

    def spent(self) -> float:
        """Seconds that all of them took."""
        return float(sum(trial.user_attrs["seconds"] for trial in self._ended()))

    def best(self) -> float:
        """The lowest log loss so far."""
        return min((tried.log_loss for tried in self.tried), default=np.inf)

    def expected_s(self) -> float:
        """What a trial takes here: the mean so far."""
        return self.spent() / self.turns if self.turns else 0.0

    def turn(self, first_fold: float) -> None:
        """One trial; ``first_fold`` is the best log loss of any first fold yet."""
        trial = self._study.ask()
        settings = dict(self.family.suggest(trial))
        trial.set_user_attr("settings", settings)
        started = self.task.clock()
        try:
            chances = self._out_of_fold(trial, settings, first_fold)
        except (ValueError, ArithmeticError) as error:  # what libraries raise for odd tables
            self.failure = str(error).splitlines()[0] if str(error) else type(error).__name__
            chances = None
        seconds = self.task.clock() - started
        trial.set_user_attr("seconds", seconds)
        if chances is None:
            state = TrialState.PRUNED if self.failure is None else TrialState.FAIL
            self._study.tell(trial, state=state)
            return
        # The chances first: a trial that counts as finished must have them.
        stream = io.BytesIO()
        np.save(stream, chances, allow_pickle=False)
        files.write(self._path(trial.number), stream.getvalue(), durable=False)
        self.tried.append(self._tried(settings, chances, seconds))
        self._study.tell(trial, self.tried[-1].log_loss)

    def _out_of_fold(
        self, trial: optuna.Trial, settings: Settings, first_fold: float
    ) -> Chances | None:
        """The chance of each row from a model of the other folds, ``(n,)``; ``None``: hopeless."""
        task = self.task
        chances = np.full(len(task.labels), np.nan)

        def one(fold: int) -> None:
            inside = task.folds == fold
            model = estimator(task, self.family, settings, int((~inside).sum()))
            with threadpool_limits(1):
                model.fit(task.table[~inside], task.labels[~inside])
                chances[inside] = model.predict_proba(task.table[inside])[:, 1]

        folds = range(int(task.folds.max()) + 1)
        # A fold per core: threads that share one small fit mostly wait for each other.
        with patient(), ThreadPoolExecutor(CORES) as pool:
            list(pool.map(one, folds[:CORES]))
            inside = task.folds == 0
            loss = stats.log_loss(task.labels[inside], chances[inside])
            self.first_fold = min(self.first_fold, loss)
            trial.report(loss, 0)
            if loss > first_fold * HOPELESS:
                return None
            list(pool.map(one, folds[CORES:]))
        return chances

    def _tried(self, settings: Settings, chances: Chances, seconds: float) -> Tried:
        labels = self.task.labels
        loss = stats.log_loss(labels, chances)
        return Tried(self.family, settings, chances, loss, stats.auc(labels, chances), seconds)

    def _remember(self) -> None:
        """What an interrupted run finished; a trial that it was in the middle of is dropped."""
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            chances = np.load(self._path(trial.number), allow_pickle=False)
            settings, seconds = trial.user_attrs["settings"], trial.user_attrs["seconds"]
            self.tried.append(self._tried(settings, chances, seconds))
            self.first_fold = min(self.first_fold, *trial.intermediate_values.values())

    def _ended(self) -> list[optuna.trial.FrozenTrial]:
        states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        return self._study.get_trials(deepcopy=False, states=states)

    def _path(self, number: int) -> Path:
        return self.task.folder / f"{self.family.name}-{number:05}.npy"


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
