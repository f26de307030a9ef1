"""The command about outcomes: a file of who paid goes into the journal, and what became of it.

It never prints a text of the file, only lines, columns and codes.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import click

from propensia import settings
from propensia.cli.words import SpanishCommand, fail, file_type, told, who
from propensia.faults import Fault, sentence
from propensia.settings import Settings
from propensia.terminal import Exit

SHOWN = 20
"""Faults that are printed; all of them go into the file that ``--faults`` names."""

STATES = {
    "matched": "es lo que se sabe de una respuesta",
    "repeated": "dice lo mismo, el mismo día",
    "superseded": "de antes de lo que se sabe",
    "contradictory": "dice otra cosa, el mismo día",
    "unknown": "no hay tal respuesta; espera",
    "before": "de antes de su respuesta",
    "late": "pasado el plazo de su respuesta",
    "mismatched": "id y ref son de respuestas distintas",
    "again": "repetidos tal cual, que no cuentan",
}


class _Report:
    """What is wrong with a file: printed in short, and written in full where that is asked."""

    def __init__(self, full: IO[str] | None) -> None:
        self._full = full
        self._kinds: Counter[tuple[str, str]] = Counter()
        self._first: list[tuple[int, Fault]] = []
        if full is not None:
            full.write("linea;columna;codigo\n")

    def add(self, number: int, fault: Fault) -> None:
        self._kinds[fault.parameter, fault.code] += 1
        if len(self._first) < SHOWN:
            self._first.append((number, fault))
        if self._full is not None:
            self._full.write(f"{number};{fault.parameter};{fault.code}\n")

    def show(self) -> None:
        for number, fault in self._first:
            text = sentence(fault.code, fault.parameter, "es", admits=fault.admits)
            click.echo(f"  línea {number}: {text} [{fault.code}]", err=True)
        if self._kinds.total() > SHOWN:
            click.echo("  … En total:", err=True)
            for (column, code), count in self._kinds.most_common():
                click.echo(f"  {count:8}  {code} {column}".rstrip(), err=True)


@click.command(cls=SpanishCommand, short_help="Carga quién pagó, o dice qué fue de ello.")
@click.argument("file", metavar="[FICHERO]", required=False, type=file_type)
@click.option(
    "--faults",
    metavar="RUTA",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Escribe en ese CSV todos los fallos, por línea, columna y código.",
)
@click.option("--status", is_flag=True, help="Muestra cuántos hay de cada clase; no carga nada.")
@told
def outcomes(file: Path | None, faults: Path | None, status: bool) -> None:
    """Carga los resultados de FICHERO: quién pagó después de una respuesta, cuánto y cuándo.

    Un CSV con las columnas id o ref, pagado, importe y fecha; las demás no se leen. Una línea mala
    no estropea las otras, y cargarlo otra vez no cambia nada. El servicio une cada resultado a su
    respuesta. Termina con 1 si alguna línea no vale.
    """
    if status is (file is not None):
        fail("indique un FICHERO que cargar, o --status", Exit.WRONG_USE)
    chosen = settings.load()
    if file is None:
        _show_states(chosen)
    else:
        sys.exit(_load(chosen, file, faults))


def _load(chosen: Settings, path: Path, faults: Path | None) -> Exit:
    from propensia.audit import Audit
    from propensia.delimited import TableError
    from propensia.journal.references import References
    from propensia.journal.writer import FOLDER, Journal, JournalError
    from propensia.outcomes import checking, loading

    if chosen.journal == "off":
        fail("el diario está apagado (ajuste «journal»): no se guardan resultados", Exit.REFUSED)
    hand = who().shown
    chosen.state.mkdir(parents=True, exist_ok=True)
    journal = Journal(chosen.state / FOLDER, 60.0, chosen.journal_file_mb << 20, 3600.0)
    try:
        with _opened(faults) as full, contextlib.closing(journal):
            report = _Report(full)
            references = References(chosen.state)
            day = checking.today()
            done = loading.load(path, hand, journal, references, day, report.add)
    except TableError as error:
        fail(str(error), Exit.REFUSED)
    except (JournalError, ValueError) as error:
        fail(f"no se puede escribir el diario ({error})", Exit.ENVIRONMENT)
    Audit(chosen.state).record(
        "outcomes.loaded",
        who=hand,
        accepted=done.accepted,
        refused=done.refused,
        file=path.name,
    )
    click.echo(f"Aceptados: {done.accepted}. Rechazados: {done.refused}.")
    if done.refused:
        report.show()
    click.echo("El servicio los une a sus respuestas; «propensia outcomes --status» lo muestra.")
    return Exit.REFUSED if done.refused else Exit.DONE


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[IO[str] | None]:
    if path is None:
        yield None
        return
    # With a byte order mark, so that Excel reads it.
    with path.open("w", encoding="utf-8-sig", newline="\r\n") as stream:
        yield stream


def _show_states(chosen: Settings) -> None:
    from propensia.store import outcomes
    from propensia.store.database import StoreError
    from propensia.terminal import table

    try:
        counts = outcomes.status(chosen)
    except StoreError as error:
        fail(str(error), Exit.ENVIRONMENT)
    rows: list[tuple[str, ...]] = [("CLASE", "CUÁNTOS", "QUÉ ES")]
    rows += [(state, str(counts[state]), told) for state, told in STATES.items()]
    click.echo(table(rows))


COMMANDS: tuple[click.Command, ...] = (outcomes,)
