"""What the terminal shows of a portfolio: how far it is while it is scored, and what was found.

It prints counts and codes, never a value of a row; a result goes to no terminal.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from propensia.batch import opening, summary
from propensia.batch.forests import engine as forests
from propensia.batch.opening import Wish
from propensia.batch.progress import Now
from propensia.score import Scored
from propensia.spanish import number
from propensia.terminal import table

# Lines of progress where there is no terminal to draw a bar in.
QUIET_S = 5.0


def show(scored: Scored) -> None:
    """The summary: faults first, for they ask to be mended."""
    note, contract, faults = scored.note, scored.model.contract, scored.beside.faults
    if note.first:
        click.echo("Filas con errores, por su número en ENTRADA:", err=True)
        for line, items in note.first:
            click.echo(f"  {line}: {items}", err=True)
        more = note.tally.rows - note.tally.scored - len(note.first)
        if more > 0:
            click.echo(f"  … y {number(more, 0)} más", err=True)
    for title, counts in (("ERROR", note.tally.faults), ("AVISO", note.tally.notes)):
        if counts:
            rows: list[tuple[str, ...]] = [("FILAS", title, "QUÉ ES")]
            click.echo(f"\n{table(rows + summary.kinds(counts, contract))}")
    click.echo(f"\n{table(summary.overview(note, scored.model))}")
    if faults is not None and note.faults:
        click.echo(f"\nTodas las filas con errores: {faults}")


def show_more(scored: Scored, wish: Wish) -> None:
    """What came of the options, and what would make the next run quicker."""
    if not scored.note.tally.rows:
        why = "ENTRADA no tiene filas" if wish.since is None else "no ha cambiado ninguna fila"
        click.echo(f"Aviso: {why}.", err=True)
    if not scored.model.deciles and wish.deciles != opening.OWN:
        click.echo(
            "\nSin decil: la ficha de esta versión no dice los del entrenamiento. Con --deciles "
            "run se calculan los de la propia cartera."
        )
    if scored.changes is not None:
        click.echo(
            f"\nLista de avisos: entran {number(scored.changes.entered, 0)}, salen "
            f"{number(scored.changes.left, 0)}."
        )
    if forests.lacks_compiler(scored.model.onnx):
        click.echo(
            "\nEste modelo es de árboles: con la biblioteca llvmlite puede puntuarse varias veces "
            'más rápido. La instala pip install "propensia[fast]", o uv sync --extra fast.'
        )


class Bar:
    """A bar with the time left in a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        # click does not export the type of its bar.
        self._bar: Any = None
        self._spoke = time.monotonic()

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        """The line below it."""
        if self._bar is not None:
            self._bar.render_finish()
            self._bar = None

    def tell(self, text: str) -> None:
        """A sentence, before the bar begins."""
        click.echo(text, err=True)

    def progress(self, now: Now) -> None:
        """How far the run is."""
        if not sys.stderr.isatty():
            if time.monotonic() - self._spoke >= QUIET_S:
                self._spoke = time.monotonic()
                click.echo(now.line(), err=True)
            return
        if self._bar is None:
            self._bar = click.progressbar(
                length=1000,
                label="Puntuando",
                show_eta=False,  # its own counts what was done before the run went on
                item_show_func=lambda text: text or "",
                file=sys.stderr,
            )
        self._bar.update(int(1000 * now.done) - self._bar.pos, now.text())
