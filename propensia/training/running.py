"""Training from a table to a model and all that is known of it, as one straight path.

It publishes nothing and writes nothing but what lets an interrupted search go on.
"""

from __future__ import annotations

import datetime
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from propensia import files
from propensia.contract import Contract
from propensia.locks import Lock
from propensia.training import (
    choices,
    evaluation,
    networks,
    reading,
    search,
    splitting,
    thresholds,
)
from propensia.training.candidates import FAMILIES, Layout
from propensia.training.choices import Choice
from propensia.training.results import Data, Evaluation, Finding, Threshold, Trained
from propensia.training.rows import Chances, Labels, Places, Rows
from propensia.training.search import Progress, Task
from propensia.training.splitting import Split
from propensia.training.thresholds import Rule

HELD_OUT = 0.2
# More folds where rows are few; fewer where a fit takes long.
FOLDS = ((3_000, 10), (50_000, 5))
FEWEST_FOLDS = 3
# The further table that intervals speak of has a quarter of the rows that were judged.
NEXT_SHARE = 0.25
NETWORK = "red"
KINDS = (*(family.name for family in FAMILIES), NETWORK)
# The network's part of the minutes, and the least that is worth beginning with.
NETWORK_SHARE = 0.25
NETWORK_LEAST_S = 45.0
LIBRARIES = (
    "scikit-learn",
    "lightgbm",
    "xgboost",
    "xgboost-cpu",
    "imbalanced-learn",
    "keras",
    "numpy",
    "pandas",
)


class Refused(Exception):
    """The table cannot be learnt from as it is; ``findings`` say all that is wrong with it."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(_sentence, findings)))
        self.findings = tuple(findings)


def _sentence(finding: Finding) -> str:
    """A finding as a line of its own: whether it stops the training, and what was found."""
    return f"{'✗' if finding.fatal else '·'} {finding.text}."


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for.

    ``source``: a file or a database URL (then with ``query``). ``renamed``: the table's name of
    a column by the contract's. ``allow``: columns whose findings the person accepts. ``date``
    and ``key`` override the contract's. ``rule`` is a text of ``thresholds``; ``recovery`` in
    [0, 1] the share of the amount that a payer pays. ``state`` holds unfinished searches.
    """

    source: str
    contract: Contract
    name: str
    state: Path
    today: datetime.date
    query: str | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)
    allow: frozenset[str] = frozenset()
    date: str | None = None
    key: str | None = None
    minutes: float = 1.0
    seed: int = 1
    families: tuple[str, ...] = KINDS
    balance: str = "none"
    rule: str = "f1"
    recovery: float = 1.0
    most_rows: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told what happens: sentences in Spanish, and how far the search is."""

    say: Callable[[str], None]
    progress: Callable[[Progress], None]


def train(job: Job, listener: Listener) -> Trained:
    """A model fitted on every row, judged on rows that its like had not seen.

    Raises ``Refused``, ``search.SearchError``, ``files.TableError``, ``locks.Busy`` where the
    same training is under way, and ``OSError``.
    """
    rule = thresholds.parse(job.rule)
    rows, data, findings = _read(job)
    if any(finding.fatal for finding in findings):
        raise Refused(findings)
    for finding in findings:
        listener.say(_sentence(finding))
    folder = job.state / "training" / _identity(job, data)
    folder.mkdir(parents=True, exist_ok=True)
    with Lock(folder / "lock"):
        trained = _train(job, rule, rows, data, findings, folder, listener)
    files.remove_tree(folder)
    return trained


def _read(job: Job) -> tuple[Rows, Data, tuple[Finding, ...]]:
    rows, data, findings = reading.read(
        job.source,
        job.contract,
        query=job.query,
        renamed=job.renamed,
        allow=job.allow,
        date=job.date,
        key=job.key,
        most_rows=job.most_rows,
        seed=job.seed,
        today=job.today,
    )
    return rows, data, findings


def _identity(job: Job, data: Data) -> str:
    """Names the task: two runs of one identity may go on with each other's trials."""
    said = [data.sha256, data.used, job.contract.fingerprint, job.seed, job.balance]
    said += [job.date, job.key, job.query, sorted(job.renamed.items()), versions()]
    return files.sha256(json.dumps(said, default=str).encode("utf-8"))[:16]


def versions() -> dict[str, str]:
    """Python's version and those of the libraries that a model may need."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _train(
    job: Job,
    rule: Rule,
    rows: Rows,
    data: Data,
    findings: tuple[Finding, ...],
    folder: Path,
    listener: Listener,
) -> Trained:
    started = time.monotonic()
    split = splitting.hold_out(rows, HELD_OUT)
    learnt = rows if split is None else rows.take(split.train)
    amounts = _amounts(job.contract, learnt)

    def choose(labels: Labels, chances: Chances, places: Places) -> Threshold:
        euros = None if amounts is None else amounts[places]
        return thresholds.choose(rule, labels, chances, euros, job.recovery)

    task = _task(job, learnt, folder)
    choice = _choice(job, task, learnt, choose, listener)
    told = choice.unseen.chances
    threshold = choose(task.labels, told, np.arange(len(told)))
    listener.say("Ajustando el modelo elegido…")
    if split is None:
        judged = _Judged(np.arange(len(rows)), told, choice.unseen.thresholds)
    else:
        held = rows.take(split.test)
        said = choice.chances(choice.fit(learnt), held)
        judged = _Judged(split.test, said, np.full(len(held), threshold.value))
    return Trained(
        name=job.name,
        model=choice.fit(rows),
        contract=job.contract,
        view=choice.view,
        calibrator=choice.calibrator,
        rows=rows,
        data=data,
        findings=findings,
        evaluation=_evaluation(job, rows, judged, split, int(task.folds.max()) + 1),
        threshold=threshold,
        candidates=choice.candidates,
        seed=job.seed,
        minutes=(time.monotonic() - started) / 60,
        made=datetime.datetime.now(datetime.UTC),
        versions=versions(),
    )


def _choice(
    job: Job, task: Task, learnt: Rows, choose: Callable[..., Threshold], listener: Listener
) -> Choice:
    """The better one of the vote and the network, each in its part of the minutes."""

    def chooser(labels: Labels, chances: Chances, places: Places) -> float:
        return choose(labels, chances, places).value

    seconds, rival = 60 * job.minutes, None
    wanted = NETWORK in job.families
    share = 1.0 if not task.families else NETWORK_SHARE if wanted else 0.0
    if wanted and _possible(share * seconds, listener):
        listener.say("Buscando una red neuronal…")
        rival = choices.network(
            job.contract,
            task,
            learnt,
            share * seconds,
            task.folder / NETWORK,
            chooser,
            listener.say,
        )
        seconds -= share * seconds
        if rival is None:
            listener.say("La red neuronal no se termina en su parte del tiempo; no entra.")
    if not task.families:
        if rival is None:
            raise search.SearchError("solo se pidió la red neuronal, y no se pudo entrenar")
        return rival
    tried = search.run(task, seconds, listener.progress)
    vote = choices.vote(job.contract, task, tried, chooser)
    return vote if rival is None else choices.better(vote, rival, task.labels)


def _possible(seconds: float, listener: Listener) -> bool:
    """Whether a network can be looked for at all; if not, the listener hears why."""
    if not networks.available():
        listener.say("La red neuronal no se prueba: falta TensorFlow o keras-tuner.")
    elif seconds < NETWORK_LEAST_S:
        minutes = NETWORK_LEAST_S / NETWORK_SHARE / 60
        listener.say(f"La red neuronal se prueba a partir de --minutes {minutes:g}.")
    else:
        return True
    return False


def _task(job: Job, learnt: Rows, folder: Path) -> Task:
    count = next((folds for most, folds in FOLDS if len(learnt) < most), FEWEST_FOLDS)
    table = learnt.table(job.contract, "raw")
    return Task(
        table,
        learnt.labels,
        splitting.folds(learnt, count, job.seed),
        Layout.of(job.contract, table),
        [family for family in FAMILIES if family.name in job.families],
        job.balance,
        job.seed,
        folder,
    )


def _amounts(contract: Contract, rows: Rows) -> Chances | None:
    """The euros at stake in each row, where the contract says which parameter has them."""
    name = contract.training.amount
    return None if name is None else rows.values[name]


@dataclass(frozen=True, slots=True)
class _Judged:
    """Rows by their places, what they were told, and where yes began for each."""

    places: Places
    chances: Chances
    thresholds: Chances


def _evaluation(
    job: Job, rows: Rows, judged: _Judged, split: Split | None, folds: int
) -> Evaluation:
    next_rows = max(round(NEXT_SHARE * len(judged.places)), 1)
    figures = evaluation.evaluate(
        rows.labels[judged.places],
        judged.chances,
        judged.thresholds,
        rows.groups[judged.places],
        next_rows=next_rows,
        seed=job.seed,
    )
    return Evaluation(
        places=judged.places,
        chances=judged.chances,
        figures=figures,
        protocol="folds" if split is None else "time",
        folds=folds,
        next_rows=next_rows,
        since=None if split is None else str(split.since),
        purged=0 if split is None else split.purged,
    )
