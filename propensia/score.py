"""``propensia score``: a whole portfolio from a file or a table to another.

It opens both ends and prints what came of it; the work is in ``batch``.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import click

from propensia.batch import model, pool
from propensia.batch.blocks import Tally
from propensia.batch.csv_tables import CsvSink, CsvSource, CsvWriter
from propensia.batch.run import Listener, run
from propensia.batch.scoring import Task, Wanted
from propensia.spanish import number
from propensia.terminal import Exit, Parts

BANDS = (0.25, 0.5, 0.75)


def score(parts: Parts, source: Path, target: Path, version: str | None, workers: int) -> Exit:
    """Score ``source`` into ``target`` and print the summary.

    Raises ``RegistryError``, ``TableError``, ``ScorerError``, ``Unreliable`` or ``OSError``.
    """
    taken = model.take(parts.registry, parts.contract, version)
    opened = CsvSource(source, parts.contract)
    classes = (parts.contract.negative_name["es"], parts.contract.positive_name["es"])
    sink = CsvSink(target, opened.heading, CsvWriter(taken.release.version, classes))
    task = Task(taken, opened.reader, sink.writer, Wanted(BANDS))
    count = workers or os.cpu_count() or 1
    tally = run(opened, sink, partial(pool.pieces, task, workers=count), Listener(_say))
    click.echo(f"{number(tally.scored, 0)} filas puntuadas de {number(tally.rows, 0)}")
    return Exit.DONE if tally.scored or not tally.rows else Exit.REFUSED


def _say(done: float, tally: Tally) -> None:
    click.echo(f"{done:.0%} {tally.rows}", err=True)
