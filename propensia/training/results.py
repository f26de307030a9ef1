"""What is known of a model when its training ends; the card, the sidecar and the log read it.

Plain values only: nothing here computes or writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from propensia.contract import Contract
from propensia.training.rows import Chances, Places, Rows

# How the sentence of a finding ends that the person accepted.
ACCEPTED = "aceptado con --allow"

# The kinds of models, by the names of the command line; the last one is the network.
KINDS: tuple[str, ...] = ("logistica", "lightgbm", "histograma", "xgboost", "bosque", "red")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a table that its owner must know.

    ``code`` is stable, ``column`` names what it is about (or is empty), ``text`` is the Spanish
    sentence: what was found and what to do. ``fatal``: nothing is trained until it is mended,
    or, where ``allowable``, until the person says that column may stay (``--allow``).
    """

    code: str
    column: str
    text: str
    fatal: bool = False
    allowable: bool = False


@dataclass(frozen=True, slots=True)
class Data:
    """Where the rows come from. ``sha256`` is of the file's bytes, or of all texts of a query.

    ``rows`` were in the source, ``used`` of them were learnt from; ``faults`` counts rows that
    the contract could not read, by ``"COLUMN code"``. ``assumed``: by parameter's feature name,
    the share in (0, 1] of the readable, labelled rows that had no data there and got the
    contract's ``fill``; parameters without such rows are not in it.
    """

    source: str
    sha256: str
    rows: int
    used: int
    faults: Mapping[str, int]
    sampled: bool = False
    assumed: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its 95 % interval for a further table of ``Evaluation.next_rows`` rows.

    ``error`` is the standard error of ``value`` itself.
    """

    value: float
    low: float
    high: float
    error: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The rows that a model was judged on, none of which it had learnt from.

    ``places`` ``(m,)`` into ``Trained.rows``; ``chances`` ``(m,)`` in [0, 1], out of sample;
    ``thresholds`` ``(m,)`` are what they were held against, chosen without them. ``protocol``
    is ``"time"`` (the newest rows, from ``since``) or ``"folds"`` (``folds`` parts, each
    predicted by models that never saw it). ``purged``: rows left out because their customer was
    also held out. ``next_rows``: the size of the further table that intervals speak of.
    """

    places: Places
    chances: Chances
    thresholds: Chances
    figures: Mapping[str, Figure]
    protocol: str
    folds: int
    next_rows: int
    since: str | None = None
    purged: int = 0


@dataclass(frozen=True, slots=True)
class Threshold:
    """Where yes begins, in [0, 1], and the rule that put it there, in both languages."""

    value: float
    rule: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One trial of the search: its family, settings, mean log loss and AUC over the folds.

    ``weight`` in [0, 1] is its part in the model; 0 where it was not taken.
    """

    family: str
    settings: Mapping[str, Any]
    log_loss: float
    auc: float
    seconds: float
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Trained:
    """A model that learnt from all ``rows``, and everything worth keeping about it.

    ``model`` is a plain scikit-learn or Keras object that takes ``rows.table(contract, view)``.
    ``calibrator`` is ``"ninguna"``, ``"temperature"``, ``"isotonic"`` or ``"sigmoid"``: of the
    chance for a vote, of its log-odds for a network.
    ``options`` are what was asked for, by the names of the command line.
    """

    name: str
    model: Any
    contract: Contract
    view: str
    calibrator: str
    rows: Rows
    data: Data
    findings: tuple[Finding, ...]
    evaluation: Evaluation
    threshold: Threshold
    candidates: tuple[Candidate, ...]
    options: Mapping[str, Any]
    seed: int
    minutes: float
    made: datetime
    versions: Mapping[str, str]
