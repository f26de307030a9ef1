"""The command about whole portfolios; what it needs is imported only when it runs.

It reads what was typed and hands it on; it computes nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from propensia.cli.words import SpanishCommand, told
from propensia.terminal import compose


@click.command(cls=SpanishCommand, short_help="Puntúa una cartera entera.")
@click.argument("source", metavar="ENTRADA", type=click.Path(path_type=Path))
@click.argument("target", metavar="SALIDA", type=click.Path(path_type=Path))
@click.option("--model", "version", metavar="VERSIÓN", help="Puntúa con esa versión [la activa].")
@click.option("--workers", metavar="NÚMERO", default=0, type=click.IntRange(0, 256))
@told
def score(source: Path, target: Path, version: str | None, workers: int) -> None:
    """Puntúa las filas de ENTRADA y las deja en SALIDA con su probabilidad."""
    from propensia import score as score_

    sys.exit(score_.score(compose(), source, target, version, workers))


COMMANDS = (score,)
