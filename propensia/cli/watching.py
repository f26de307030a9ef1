"""The command that says what the answers are worth.

It reads what was typed and hands it on; what it needs is imported when it runs.
"""

from __future__ import annotations

import sys

import click

from propensia.cli.words import SpanishCommand, sentences, told
from propensia.terminal import Exit, compose


@click.command(cls=SpanishCommand, short_help="Dice si el modelo sigue siendo bueno.")
@click.option(
    "--days",
    metavar="DÍAS",
    type=click.IntRange(1, 3660),
    help="Mira las respuestas de los últimos DÍAS [ajuste monitor_days].",
)
@click.option("--version", metavar="VERSIÓN", help="Solo esa versión [las que respondieron].")
@click.option(
    "--format",
    "form",
    metavar="FORMATO",
    type=click.Choice(["table", "json"]),
    default="table",
    help="table o json [table].",
)
@told
def monitor(days: int | None, version: str | None, form: str) -> None:
    """Mide la deriva de los datos, el acierto que se espera y el que hubo, y la calidad por
    sistema.

    Cada cifra lleva su intervalo del 95 %, y donde no sería cierta, el motivo en su lugar. No
    guarda nada. Termina con 1 si algo está mal según los ajustes alert_drift y alert_auc.
    """
    from propensia import monitor as monitor_
    from propensia.store.database import StoreError

    with sentences({StoreError: Exit.ENVIRONMENT}):
        sys.exit(monitor_.run(compose(), days, version, form))


COMMANDS: tuple[click.Command, ...] = (monitor,)
