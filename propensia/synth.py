"""``propensia synth``: writes a generated collections table for practice, tests and notebooks.

It never overwrites a file unasked.
"""

from __future__ import annotations

import math
import time
from datetime import date
from pathlib import Path

import click

from propensia import spanish, synthetic
from propensia.terminal import Exit


def run(
    path: Path,
    rows: int,
    seed: int,
    *,
    drift: float,
    start: date | None,
    days: int | None,
    truth: bool,
    payments: bool,
    force: bool,
) -> Exit:
    """Write the table and say what it holds. Raises ``OSError``.

    Options as in ``synthetic.write``; an existing file is refused but for ``force``.
    """
    if start is not None and not synthetic.FIRST_YEAR <= start.year <= synthetic.LAST_YEAR:
        years = f"{synthetic.FIRST_YEAR} a {synthetic.LAST_YEAR}"
        return _refused(f"--from: el año va de {years}", Exit.WRONG_USE)
    if not path.parent.is_dir():
        return _refused(f"no existe la carpeta {path.parent}", Exit.ENVIRONMENT)
    if path.exists() and not force:
        return _refused(f"{path} ya existe; con --force se sobrescribe", Exit.REFUSED)
    began = time.perf_counter()
    summary = synthetic.write(
        path, rows, seed, drift=drift, start=start, days=days, truth=truth, payments=payments
    )
    seconds = time.perf_counter() - began
    auc = summary.auc_of_truth
    click.echo(
        f"{path}: {summary.rows} filas, semilla {seed}, en {spanish.number(seconds, 1)} s. "
        f"Paga el {spanish.percent(summary.paid / summary.rows, 2)}; "
        f"la verdad espera el {spanish.percent(summary.mean_truth, 2)}"
        f"{'' if math.isnan(auc) else f', con AUC {spanish.number(auc, 3)}'}. "
        "Ninguna fila es de una persona real."
    )
    return Exit.DONE


def _refused(sentence: str, code: Exit) -> Exit:
    click.echo(sentence, err=True)
    return code
