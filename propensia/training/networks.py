"""The network among the candidates: plain Keras on the contract's columns, tuned and calibrated.

It never judges itself: which rows it may see, and whether it is taken, others decide.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LogisticRegression

from propensia import stats
from propensia.settings import for_library
from propensia.training.network_space import Settings as Settings  # what callers hand back
from propensia.training.network_space import Trials
from propensia.training.progress import Progress, Tell
from propensia.training.rows import Chances, Labels, Places

Matrix = npt.NDArray[np.float32]

LIBRARIES = ("tensorflow", "keras", "keras_tuner")
PATIENCE = 8
# No trial takes more than this part of the time, so that a slow one leaves room for others.
TRIAL_SHARE = 0.25
# Float32 knows no chance nearer to 1, and one row must not weigh as much as infinity.
SUREST = 1e-7
# A column that never changed has weights that learnt nothing: whatever comes later, divided by
# the root of this, is 0 to them.
UNHEARD = 1e30
# Python looks after so many batches at a time, which halves the time of small ones.
BATCHES_AT_ONCE = 16
ROWS_AT_ONCE = 16_384


def available() -> bool:
    """Whether TensorFlow, Keras and keras-tuner are installed; nothing is imported."""
    return all(importlib.util.find_spec(name) is not None for name in LIBRARIES)


def takes(table: pd.DataFrame) -> bool:
    """Whether a network can learn from the table: none of its values is missing, or too large."""
    with _quiet():
        return bool(np.isfinite(_matrix(table)).all())


def search(
    table: pd.DataFrame,
    labels: Labels,
    folds: Places,
    *,
    seconds: float,
    folder: Path,
    seed: int,
    tell: Tell,
) -> tuple[Settings, Progress] | None:
    """The settings with the lowest log loss on the first of the ``folds`` ``(n,)``; and how far
    the search came, with the AUC there.

    ``table`` ``(n, k)`` is the columns view, without gaps. ``folder`` keeps what was tried on
    these rows with this seed; a further search there goes on from it, and its time counts. It
    ends after about ``seconds``; a trial that the time runs out in counts with its best epoch.
    ``None`` where no epoch of any trial was done.
    """
    began = time.monotonic()
    columns = _matrix(table)
    held = folds == folds.min()
    with _quiet():
        _keras()
        trials = Trials(folder, seed)
        deadline = began + seconds - trials.spent
        while (now := time.monotonic()) < deadline and (settings := trials.open()) is not None:
            limit = min(deadline, now + TRIAL_SHARE * seconds)
            course = _Course(columns[held], labels[held], PATIENCE)
            _learn(columns[~held], labels[~held], settings, seed, limit, course)
            if not course.losses:
                break  # it stays open, and is the first of a further search
            best, ended = int(np.argmin(course.losses)), time.monotonic()
            auc = stats.auc(labels[held], course.chances[best])
            trials.close(course.losses[best], auc, epochs=best + 1, seconds=ended - began)
            began = ended  # the first trial pays for what came before it
            tell(_progress(trials, seconds))
        return None if trials.best is None else (trials.best, _progress(trials, seconds))


def _progress(trials: Trials, seconds: float) -> Progress:
    return Progress(trials.spent, seconds, trials.finished, trials.auc)


def out_of_fold(
    table: pd.DataFrame,
    labels: Labels,
    folds: Places,
    settings: Settings,
    *,
    seed: int,
    deadline: float,
    tell: Callable[[], None],
) -> tuple[Chances, Settings] | None:
    """The chance of each row from a network without its fold, ``(n,)`` in [0, 1]; and the
    settings with the number of epochs that did best over all folds.

    Nor did the rows of a fold decide how long its own network learns: that is what did best over
    the other folds. Each fold has its part of the time until ``deadline``, a time of
    ``time.monotonic``; where that cuts one short, no fold counts for longer. ``tell`` hears of
    each that is done. ``None`` where not even one epoch could be done.
    """
    columns = _matrix(table)
    numbers = np.unique(folds)
    tried = replace(settings, epochs=settings.epochs + math.ceil(settings.epochs / 2))
    courses = []
    with _quiet():
        _keras()  # its import is nothing that the first fold should pay for
        for place, number in enumerate(numbers):
            held, now = folds == number, time.monotonic()
            limit = now + (deadline - now) / (len(numbers) - place)
            course = _Course(columns[held], labels[held], patience=None)
            _learn(columns[~held], labels[~held], tried, seed, limit, course)
            if not course.losses:
                return None
            courses.append(course)
            tell()
    shortest = min(len(course.losses) for course in courses)
    losses = np.array([course.losses[:shortest] for course in courses])
    found = np.full(len(labels), np.nan)
    for place, number in enumerate(numbers):
        others = np.delete(losses, place, axis=0).mean(axis=0)
        found[folds == number] = courses[place].chances[int(np.argmin(others))]
    return found, replace(settings, epochs=int(np.argmin(losses.mean(axis=0))) + 1)


def fit(
    table: pd.DataFrame,
    labels: Labels,
    settings: Settings,
    *,
    seed: int,
) -> Any:
    """A Keras ``Sequential`` that learnt from all rows, ``settings.epochs`` times; no optimizer.

    It takes the columns as they are, ``(n, k)``, and gives the chance of 1, ``(n, 1)`` float32.
    The same seed gives the same network on the same machine; it also seeds Python's and numpy's
    global generators.
    """
    with _quiet():
        model = _learn(_matrix(table), labels, settings, seed, math.inf, None)
        return _with_weights(model, model.get_weights())


@dataclass(frozen=True, slots=True)
class Line:
    """Log-odds z put right: ``slope`` · z + ``offset``."""

    slope: float
    offset: float

    @classmethod
    def of(cls, chances: Chances, labels: Labels) -> Line:
        """The line that makes ``chances`` ``(n,)`` in [0, 1] likeliest for ``labels`` ``(n,)``.

        Source: Platt (1999), "Probabilistic outputs for support vector machines", with the plain
        labels as targets.
        """
        line = LogisticRegression(C=np.inf).fit(_odds(chances).reshape(-1, 1), labels)
        return cls(float(line.coef_[0, 0]), float(line.intercept_[0]))

    def chances(self, chances: Chances) -> Chances:
        """The chances ``(n,)`` put right, in [0, 1]."""
        right: Chances = 1 / (1 + np.exp(-(self.slope * _odds(chances) + self.offset)))
        return right


def _odds(chances: Chances) -> Chances:
    sure = np.clip(chances, SUREST, 1 - SUREST)
    odds: Chances = np.log(sure / (1 - sure))
    return odds


def calibrated(model: Any, chances_out_of_fold: Chances, labels: Labels) -> Any:
    """The network with the ``Line`` of these chances in place of its last sigmoid(z), exactly:
    slope and offset are multiplied into the last layer, so it is a plain network still.
    """
    line = Line.of(chances_out_of_fold, labels)
    *before, kernel, bias = model.get_weights()
    with _quiet():
        ending = [line.slope * kernel, line.slope * bias + line.offset]
        return _with_weights(model, [*before, *ending])


def chances(model: Any, table: pd.DataFrame) -> Chances:
    """What a network says of rows of the columns view: ``(n,)`` in [0, 1]."""
    with _quiet():
        return _chances(model, _matrix(table))


def _matrix(table: pd.DataFrame) -> Matrix:
    return np.ascontiguousarray(table.to_numpy(dtype=np.float32))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the libraries tell their own developers: analysts read our lines only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _keras() -> Any:
    """Keras, with a TensorFlow that keeps quiet."""
    for_library("TF_CPP_MIN_LOG_LEVEL", "3")  # that there is no graphics card is no error to us
    import keras  # with TensorFlow some seconds, that only who tunes a network should wait

    return keras


class _Course:
    """How a network does on rows that it does not learn from, epoch by epoch.

    ``chances`` and ``losses`` have one item per finished epoch.
    """

    def __init__(self, columns: Matrix, labels: Labels, patience: int | None) -> None:
        self._columns, self._labels, self._patience = columns, labels, patience
        self.chances: list[Chances] = []
        self.losses: list[float] = []

    def look(self, model: Any) -> None:
        """Note what the network says now; stop it if it got no better for long."""
        self.chances.append(np.clip(_chances(model, self._columns), SUREST, 1 - SUREST))
        self.losses.append(stats.log_loss(self._labels, self.chances[-1]))
        since = len(self.losses) - 1 - int(np.argmin(self.losses))
        if self._patience is not None and since >= self._patience:
            model.stop_training = True


def _learn(
    columns: Matrix,
    labels: Labels,
    settings: Settings,
    seed: int,
    deadline: float,
    course: _Course | None,
) -> Any:
    """The network after its epochs, or as far as it came by the ``deadline``; ``course`` looks
    at each epoch that was done."""
    keras = _keras()
    keras.backend.clear_session()  # it would keep the graph of every network that ever was
    keras.utils.set_random_seed(seed)
    model = _network(keras, columns, settings)
    late = False

    def watch(_: int, logs: object = None) -> None:
        nonlocal late
        if time.monotonic() > deadline:
            late = model.stop_training = True

    def look(_: int, logs: object = None) -> None:
        if course is not None and not late:
            course.look(model)

    model.fit(
        columns,
        labels.astype(np.float32),
        batch_size=settings.batch,
        epochs=settings.epochs,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=watch, on_epoch_end=look)],
    )
    return model


def _network(keras: Any, columns: Matrix, settings: Settings) -> Any:
    """An untrained network; what it scales by are the means and variances of ``columns``."""
    layers = keras.layers
    mean = columns.mean(axis=0, dtype=np.float64)
    variance = columns.var(axis=0, dtype=np.float64)
    variance[variance == 0] = UNHEARD
    hidden = []
    for units in settings.units:
        hidden.append(layers.Dense(units, activation="relu"))
        if settings.dropout:
            hidden.append(layers.Dropout(settings.dropout))
    scaled = layers.Normalization(mean=mean.tolist(), variance=variance.tolist())
    ends = layers.Dense(1, activation="sigmoid")
    model = keras.Sequential([layers.Input((columns.shape[1],)), scaled, *hidden, ends])
    model.compile(
        keras.optimizers.Adam(settings.learning_rate, weight_decay=settings.weight_decay or None),
        "binary_crossentropy",
        jit_compile=False,  # compiling takes longer than it saves
        steps_per_execution=BATCHES_AT_ONCE,
    )
    return model


def _chances(model: Any, columns: Matrix) -> Chances:
    parts = [
        np.asarray(model(columns[start : start + ROWS_AT_ONCE], training=False))[:, 0]
        for start in range(0, len(columns), ROWS_AT_ONCE)
    ]
    return np.concatenate(parts).astype(np.float64)


def _with_weights(model: Any, weights: list[Any]) -> Any:
    """A network of the same layers with other weights, and without an optimizer."""
    copy = _keras().Sequential.from_config(model.get_config())
    copy.set_weights(weights)
    return copy
