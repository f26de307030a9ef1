"""What a fitted model pays attention to, found by asking it about changed rows.

Nothing here fits a model or knows how it works inside.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from propensia import stats
from propensia.contract import Parameter
from propensia.training import scoring
from propensia.training.results import Trained
from propensia.training.rows import Chances, Labels, Places, Rows, join

Vector = npt.NDArray[np.float64]
TIMED_ROWS = (100, 600)
FEWEST, MOST = 100, 2_000
FEWEST_OF_A_CLASS = 50
GRID = 15
MOST_TEXTS = 12


@dataclass(frozen=True, slots=True)
class Importance:
    """How much AUC is lost when the values of a parameter are shuffled: the mean over repeats
    and their standard deviation."""

    name: str
    drop: float
    spread: float


@dataclass(frozen=True, slots=True)
class Dependence:
    """The mean chance when every row has this value of a parameter, for several values.

    ``values`` are texts of a category or numbers, without no data; ``missing`` is the mean chance
    when no row has data, or ``None`` where data never lack.
    """

    name: str
    values: tuple[str | float, ...]
    chances: tuple[float, ...]
    missing: float | None = None

    @property
    def means(self) -> tuple[float, ...]:
        """All chances, that without data among them."""
        return self.chances if self.missing is None else (*self.chances, self.missing)


def affordable(trained: Trained, tables: int, budget_s: float) -> int:
    """How many rows fit ``tables`` times into ``budget_s`` seconds of this model's time.

    Between 100 and 2,000. Only what one more row costs is counted, not what a call costs.
    """
    few, many = (trained.rows.take(np.arange(n) % len(trained.rows)) for n in TIMED_ROWS)
    _told(trained, few)  # the first call may pay for what later ones find ready
    moments = [time.perf_counter()]
    for rows in (few, many):
        _told(trained, rows)
        moments.append(time.perf_counter())
    more_s = moments[2] - 2 * moments[1] + moments[0]
    row_s = max(more_s / (TIMED_ROWS[1] - TIMED_ROWS[0]), 1e-7)
    return int(np.clip(budget_s / (row_s * tables), FEWEST, MOST))


def sample(labels: Labels, count: int, seed: int) -> Places:
    """About ``count`` places drawn at random, each class by its share, but 50 of each if there
    are so many."""
    random = np.random.default_rng(seed)
    picked = []
    for label in (0, 1):
        own = np.flatnonzero(labels == label)
        wanted = max(round(count * len(own) / len(labels)), FEWEST_OF_A_CLASS)
        picked.append(random.choice(own, size=min(wanted, len(own)), replace=False))
    return np.sort(np.concatenate(picked))


def permutation(trained: Trained, rows: Rows, repeats: int, seed: int) -> list[Importance]:
    """The importance of every parameter, the largest first; ``rows`` have both classes.

    The raw value is shuffled, and the model's table made from that: all that comes from one
    parameter moves together. Source: Breiman (2001), "Random forests", section 10.
    """
    random = np.random.default_rng(seed)
    whole = stats.auc(rows.labels, _told(trained, rows))
    found = []
    for parameter in trained.contract.parameters:
        values = rows.values[parameter.name]
        shuffled = [
            with_values(rows, parameter, random.permutation(values)) for _ in range(repeats)
        ]
        chances = np.split(_told(trained, join(shuffled)), repeats)
        drops = [whole - stats.auc(rows.labels, part) for part in chances]
        found.append(Importance(parameter.name, float(np.mean(drops)), float(np.std(drops))))
    return sorted(found, key=lambda item: -item.drop)


def dependence(trained: Trained, rows: Rows, name: str) -> Dependence:
    """The partial dependence on a parameter, over its usual values in ``trained.rows``.

    Source: Friedman (2001), "Greedy function approximation: a gradient boosting machine", 8.2.
    """
    parameter = trained.contract.parameter(name)
    known = trained.rows.values[name]
    lacking = not parameter.is_category and bool(np.isnan(known).any())
    grid = texts_of(parameter, known) if parameter.is_category else numbers_of(known)
    asked: list[Any] = [*grid, *([np.nan] if lacking else [])]
    changed = [with_values(rows, parameter, np.full(len(rows), v, known.dtype)) for v in asked]
    means = [float(part.mean()) for part in np.split(_told(trained, join(changed)), len(asked))]
    missing = means.pop() if lacking else None
    return Dependence(name, tuple(grid), tuple(means), missing)


def _told(trained: Trained, rows: Rows) -> Chances:
    return scoring.chances(trained.model, trained.contract, trained.view, rows)


def with_values(rows: Rows, parameter: Parameter, values: npt.NDArray[Any]) -> Rows:
    """The rows with other values of one parameter."""
    return replace(rows, values={**rows.values, parameter.name: values})


def texts_of(parameter: Parameter, values: npt.NDArray[Any]) -> list[str]:
    """The most frequent texts of a category, at most 12, in the order of the contract."""
    counts = {text: int(np.sum(values == text)) for text in parameter.texts}
    frequent = sorted(counts, key=lambda text: -counts[text])[:MOST_TEXTS]
    return [text for text in parameter.texts if text in frequent and counts[text]]


def numbers_of(values: Vector) -> list[float]:
    """At most 15 distinct numbers between the 2nd and the 98th hundredth, ascending."""
    known = values[~np.isnan(values)]
    distinct = np.unique(known)
    if len(distinct) > GRID:
        points = np.linspace(0.02, 0.98, GRID)
        distinct = np.unique(np.quantile(known, points, method="inverted_cdf"))
    return [float(value) for value in distinct]
