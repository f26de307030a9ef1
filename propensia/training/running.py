"""Training from a table to a model and all that is known of it, as one straight path.

It publishes nothing and writes nothing but what lets an interrupted search go on.
"""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from propensia import files
from propensia.contract import Contract
from propensia.locks import Lock
from propensia.training import (
    choices,
    evaluation,
    reading,
    search,
    splitting,
    thresholds,
    trials,
)
from propensia.training.candidates import FAMILIES
from propensia.training.choices import NETWORK, Choice, Chooser, NoNetwork
from propensia.training.libraries import versions
from propensia.training.progress import Progress, Tell
from propensia.training.results import KINDS, Data, Evaluation, Finding, Threshold, Trained
from propensia.training.rows import Chances, Labels, Places, Rows, usual_view
from propensia.training.search import Task
from propensia.training.shaping import Layout
from propensia.training.splitting import Split
from propensia.training.thresholds import Rule

# More folds where rows are few; fewer where a fit takes long.
FOLDS = ((3_000, 10), (50_000, 5))
FEWEST_FOLDS = 3
# The further table that intervals speak of has a quarter of the rows that were judged.
NEXT_SHARE = 0.25
NOBODY = Finding(
    "umbral_sin_nadie",
    "",
    "Con este umbral no se señala a nadie de las filas juzgadas: revise la regla (--threshold)",
)
FEW_CUSTOMERS = Finding(
    "pocos_casos",
    "",
    "Los casos de una de las clases son de tan pocos clientes que no se pueden repartir: hacen "
    "falta de más clientes",
    fatal=True,
)


class Refused(Exception):
    """The table cannot be learnt from as it is; ``findings`` say all that is wrong with it."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(_sentence, findings)))
        self.findings = tuple(findings)


def _sentence(finding: Finding) -> str:
    """A finding as a line of its own: whether it stops the training, what was found, its code."""
    return f"{'✗' if finding.fatal else '·'} {finding.text}. [{finding.code}]"


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
    most_rows: int = reading.MOST_ROWS


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told what happens: sentences in Spanish, and how far the search is."""

    say: Callable[[str], None]
    progress: Tell


def train(
    job: Job, listener: Listener, deliver: Callable[[Trained], None] = lambda _: None
) -> Trained:
    """A model fitted on every row, judged on rows that its like had not seen.

    What the search kept is removed only after ``deliver``, so that nothing is lost where that
    fails. Raises ``Refused``, ``search.SearchError``, ``thresholds.RuleError``,
    ``delimited.TableError``, ``locks.Busy`` where the same training is under way, and ``OSError``.
    """
    started = time.monotonic()
    rule = _rule(job)
    rows, data, findings = _read(job, listener)
    split = splitting.hold_out(rows, splitting.HELD_OUT)
    learnt = rows if split is None else rows.take(split.train)
    task = _task(job, learnt)
    folder = trials.place(job.state / "training", task.identity())
    with Lock(folder / trials.LOCK):
        if any(path.name != trials.LOCK for path in folder.iterdir()):
            listener.say("Sigue una búsqueda que se interrumpió.")
        made = _make(job, rule, rows, split, task, folder, listener)
        trained = Trained(
            name=job.name,
            model=made.model,
            contract=job.contract,
            view=made.choice.view,
            calibrator=made.choice.calibrator,
            rows=rows,
            data=data,
            findings=(*findings, *made.findings),
            evaluation=made.evaluation,
            threshold=made.threshold,
            candidates=made.choice.candidates,
            options=_options(job),
            seed=job.seed,
            minutes=(time.monotonic() - started) / 60,
            made=datetime.datetime.now(datetime.UTC),
            versions=versions(),
        )
        deliver(trained)
    files.remove_tree(folder)
    return trained


def _rule(job: Job) -> Rule:
    """The rule of the threshold; one that needs euros is refused where there are none."""
    rule = thresholds.parse(job.rule)
    if rule.kind == "cost" and job.contract.training.amount is None:
        raise thresholds.RuleError(
            "la regla cost= necesita los euros de cada fila, y el contrato no dice en qué "
            "parámetro están ([training] amount): use f1, top= o un número"
        )
    return rule


def _read(job: Job, listener: Listener) -> tuple[Rows, Data, tuple[Finding, ...]]:
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
    if any(finding.fatal for finding in findings):
        raise Refused(findings)
    for finding in findings:
        listener.say(_sentence(finding))
    return rows, data, findings


def _options(job: Job) -> dict[str, Any]:
    return {
        "minutes": job.minutes,
        "families": list(job.families),
        "balance": job.balance,
        "threshold": job.rule,
        "recovery": job.recovery,
        "allow": sorted(job.allow),
        "column": dict(job.renamed),
        "date": job.date,
        "key": job.key,
    }


@dataclass(frozen=True, slots=True)
class _Made:
    """The model, what it was chosen as, how it was judged, and what was found on the way."""

    model: Any
    choice: Choice
    threshold: Threshold
    evaluation: Evaluation
    findings: tuple[Finding, ...]


def _make(
    job: Job,
    rule: Rule,
    rows: Rows,
    split: Split | None,
    task: Task,
    folder: Path,
    listener: Listener,
) -> _Made:
    learnt = rows if split is None else rows.take(split.train)
    amount = job.contract.training.amount
    amounts = None if amount is None else learnt.values[amount]

    def choose(labels: Labels, chances: Chances, places: Places) -> Threshold:
        euros = None if amounts is None else amounts[places]
        return thresholds.choose(rule, labels, chances, euros, job.recovery)

    choice, findings = _choice(job, task, learnt, folder, choose, listener)
    told = choice.unseen.chances
    threshold = choose(task.labels, told, np.arange(len(told)))
    left_s = math.ceil(choice.fit_s * (1 if split is None else 2))
    listener.say(f"Ajustando el modelo elegido; tarda unos {left_s} s…")
    if split is None:
        places, said, limits = np.arange(len(rows)), told, choice.unseen.thresholds
    else:
        # Judged is a model that never saw what is held out; the one that is kept saw it all.
        places, held = split.test, rows.take(split.test)
        said = choice.chances(choice.fit(learnt), held)
        limits = np.full(len(held), threshold.value)
    judged = _evaluation(job, rows, places, said, limits, split, int(task.folds.max()) + 1)
    if not (said >= limits).any():
        findings = (*findings, NOBODY)
        listener.say(_sentence(NOBODY))
    return _Made(choice.fit(rows), choice, threshold, judged, findings)


def _choice(
    job: Job, task: Task, learnt: Rows, folder: Path, choose: Chooser, listener: Listener
) -> tuple[Choice, tuple[Finding, ...]]:
    """The better one of the vote and the network, each in its part of the minutes."""
    seconds, spent, rival = 60 * job.minutes, 0.0, None

    def tell(now: Progress) -> None:
        """One bar for all the minutes."""
        listener.progress(replace(now, spent_s=spent + now.spent_s, allowed_s=seconds))

    if NETWORK in job.families:
        began = time.monotonic()
        try:
            part = choices.part(task, seconds)
            listener.say("Buscando una red neuronal…")
            rival = choices.network(job.contract, task, learnt, part, folder, choose, tell)
            spent = rival.candidates[0].seconds
        except NoNetwork as error:
            if not task.families:
                raise search.SearchError(f"red neuronal: {error}") from error
            listener.say(f"Sin red neuronal: {error}.")
            spent = time.monotonic() - began
    if rival is not None and not task.families:
        return rival, ()
    if rival is not None:
        listener.say("Buscando los demás modelos…")
    found = search.run(task, max(seconds - spent, 0.0), folder, tell)
    findings = tuple(_failure(title, reason) for title, reason in found.failures.items())
    for finding in findings:
        listener.say(_sentence(finding))
    vote = choices.vote(job.contract, task, learnt, found.tried, choose)
    return (vote if rival is None else choices.better(vote, rival, learnt)), findings


def _failure(title: str, reason: str) -> Finding:
    name = f"{title[:1].upper()}{title[1:]}"
    text = f"{name}: no se ajusta a estas filas; la biblioteca dice «{reason}»"
    return Finding("modelo_no_ajustable", "", text)


def _task(job: Job, learnt: Rows) -> Task:
    count = next((folds for most, folds in FOLDS if len(learnt) < most), FEWEST_FOLDS)
    table = learnt.table(job.contract, usual_view(job.contract))
    folds = splitting.folds(learnt, count, job.seed)
    if any(len(np.unique(learnt.labels[folds != fold])) < 2 for fold in range(count)):
        raise Refused([FEW_CUSTOMERS])
    layout = Layout.of(job.contract, table)
    families = [family for family in FAMILIES if family.name in job.families]
    return Task(
        table, learnt.labels, folds, learnt.groups, layout, families, job.balance, job.seed
    )


def _evaluation(
    job: Job,
    rows: Rows,
    places: Places,
    chances: Chances,
    limits: Chances,
    split: Split | None,
    folds: int,
) -> Evaluation:
    """What was said of the rows at ``places``, judged; in euros, too, where the rule has any."""
    rule, amount, euros = thresholds.parse(job.rule), job.contract.training.amount, None
    if rule.kind == "cost" and amount is not None:
        at_stake = rows.values[amount][places]
        euros = thresholds.brought(rows.labels[places], at_stake, rule.number, job.recovery)
    next_rows = max(round(NEXT_SHARE * len(places)), 1)
    figures = evaluation.evaluate(
        rows.labels[places],
        chances,
        limits,
        rows.groups[places],
        next_rows=next_rows,
        seed=job.seed,
        euros=euros,
    )
    return Evaluation(
        places=places,
        chances=chances,
        thresholds=limits,
        figures=figures,
        protocol="folds" if split is None else "time",
        folds=folds,
        next_rows=next_rows,
        since=None if split is None else str(split.since),
        purged=0 if split is None else split.purged,
    )
