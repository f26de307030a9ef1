"""The networks that a search may try, and the memory of those that it tried.

Nothing here learns: keras-tuner draws settings, and keeps their scores in a folder.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

TUNER = "red"
OBJECTIVE = "log_loss"
AUC = "auc"
SECONDS = "seconds"
MOST_TRIALS = 200
MOST_EPOCHS = 100


@dataclass(frozen=True, slots=True)
class Settings:
    """What makes one network differ from another.

    ``units`` of each hidden layer; ``learning_rate`` of Adam; ``dropout`` in [0, 1) after each
    hidden layer; ``weight_decay`` as Adam takes it; rows in a ``batch``; ``epochs``: how often
    it learns from every row, at most.
    """

    units: tuple[int, ...]
    learning_rate: float
    dropout: float
    weight_decay: float
    batch: int
    epochs: int = MOST_EPOCHS

    @classmethod
    def of(cls, shown: Mapping[str, Any]) -> Settings:
        """The settings that ``shown`` gave."""
        return cls(**{**shown, "units": tuple(shown["units"])})

    def shown(self) -> dict[str, Any]:
        """The same as plain values, by name."""
        return asdict(self) | {"units": list(self.units)}


def drawn(values: Any) -> Settings:
    """The settings in keras-tuner's ``HyperParameters``, which learns the space as it is read.

    The defaults are a good guess for most tables. The seed project's space lies inside: three
    hidden layers, neither dropout nor decay, 32 rows in a batch.
    """
    units = [values.Int("units_1", 9, 27, step=3, default=27)]
    units += [values.Int(f"units_{n}", 32, 512, step=32, default=64) for n in (2, 3)]
    return Settings(
        units=tuple(units[: values.Int("layers", 1, 3, default=1)]),
        learning_rate=values.Choice("learning_rate", [1e-2, 1e-3, 1e-4, 1e-5], default=1e-3),
        dropout=values.Choice("dropout", [0.0, 0.1, 0.2, 0.4], default=0.4),
        weight_decay=values.Choice("weight_decay", [0.0, 0.01, 0.1, 1.0], default=0.1),
        batch=values.Choice("batch", [32, 64, 128, 256], default=64),
    )


class Trials:
    """The trials of one search, remembered in ``folder`` from one run to the next.

    Only the one that was open when a run ended is done again. It imports keras-tuner, and with
    it TensorFlow.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        try:
            self._tuner = _tuner(folder, seed, overwrite=False)
        except (ValueError, LookupError, RuntimeError):  # a killed process left half a file
            self._tuner = _tuner(folder, seed, overwrite=True)
        self._oracle = self._tuner.oracle
        self._open: Any = None

    def open(self) -> Settings | None:
        """What to try now; ``None`` when there have been enough trials."""
        trial = self._oracle.create_trial(self._tuner.tuner_id)
        if trial.status == "STOPPED":
            return None
        if not self._oracle.end_order:  # the good guess, before any other
            trial.hyperparameters.values = dict(_space().values)
        self._open = trial
        return drawn(trial.hyperparameters)

    def close(self, loss: float, auc: float, *, epochs: int, seconds: float) -> None:
        """Keep the lowest log loss of the open trial, the AUC there, after how many epochs it
        came, and how long the trial took."""
        scores = {OBJECTIVE: loss, AUC: auc, SECONDS: seconds}
        self._oracle.update_trial(self._open.trial_id, scores, step=epochs)
        self._open.status = "COMPLETED"
        self._tuner.on_trial_end(self._open)

    @property
    def finished(self) -> int:
        """How many trials have a score."""
        return len(self._scored())

    @property
    def spent(self) -> float:
        """The seconds that they took, in this run and those before."""
        return sum(self._kept(SECONDS))

    @property
    def auc(self) -> float:
        """The highest AUC; 0.5 before there is one."""
        return max(self._kept(AUC), default=0.5)

    @property
    def best(self) -> Settings | None:
        """The settings of the lowest score, and its number of epochs."""
        trials = self._scored()
        if not trials:
            return None
        best = min(trials, key=lambda trial: float(trial.score))
        return replace(drawn(best.hyperparameters), epochs=int(best.best_step))

    def _kept(self, name: str) -> list[float]:
        return [float(trial.metrics.get_last_value(name)) for trial in self._scored()]

    def _scored(self) -> list[Any]:
        return [t for t in self._oracle.trials.values() if t.status == "COMPLETED"]


def _space() -> Any:
    """The space, with its defaults in ``values``."""
    import keras_tuner  # imports TensorFlow, some seconds

    values = keras_tuner.HyperParameters()
    drawn(values)
    return values


def _tuner(folder: Path, seed: int, *, overwrite: bool) -> Any:
    import keras_tuner  # imports TensorFlow, some seconds

    oracle = keras_tuner.oracles.RandomSearchOracle(
        keras_tuner.Objective(OBJECTIVE, "min"),
        max_trials=MOST_TRIALS,
        seed=seed + 1,  # to keras-tuner 0 means any
        hyperparameters=_space(),
    )
    oracle.verbose = 0
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it goes on with
        return keras_tuner.engine.base_tuner.BaseTuner(
            oracle, directory=str(folder), project_name=TUNER, overwrite=overwrite
        )
