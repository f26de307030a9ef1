"""The command about outcomes: a file of who paid goes into the journal, and what became of it.

It never prints a text of the file, only lines, columns and codes, nor a reference.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from propensia import settings
from propensia.cli.words import SpanishCommand, fail, file_type, sentences, told, who
from propensia.faults import Fault, sentence
from propensia.files import shown
from propensia.settings import Settings
from propensia.telling import OUTCOME_STATES, moment
from propensia.terminal import Exit, table

if TYPE_CHECKING:
    from propensia.outcomes.loading import Loaded

SHOWN = 20
"""Faults that are printed; all of them go into the file that ``--faults`` names."""

STATES = {
    "unido": "es lo que se sabe de una respuesta",
    "coincidente": "dice lo mismo, el mismo día",
    "superado": "de antes de lo que se sabe",
    "contradictorio": "dice otra cosa, el mismo día",
    "pendiente": "no hay tal respuesta; espera",
    "previo": "de antes de su respuesta",
    "tarde": "pasado el plazo de su respuesta",
    "cruzado": "id y ref son de respuestas distintas",
    "sobrante": "hay 1000 más recientes de su id o ref",
}
CODES = {word: state for state, word in OUTCOME_STATES.items()}


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
@click.option(
    "--list",
    "kind",
    metavar="CLASE",
    type=click.Choice(tuple(STATES), case_sensitive=False),
    help="Muestra los últimos de esa clase (de --status): quién los envió y cuándo.",
)
@told
def outcomes(file: Path | None, faults: Path | None, status: bool, kind: str | None) -> None:
    """Carga los resultados de FICHERO: quién pagó después de una respuesta, cuánto y cuándo.

    Un CSV con las columnas id o ref, pagado, importe y fecha; las demás no se leen. Una línea mala
    no estropea las otras, y cargarlo otra vez no cambia nada. El servicio une cada resultado a su
    respuesta. Termina con 1 si alguna línea no vale o no hay ninguna.
    """
    if (file is not None) + status + (kind is not None) != 1:
        fail(
            "indique un FICHERO que cargar, --status o --list CLASE. / Give a file to load, "
            "--status or --list.",
            Exit.WRONG_USE,
        )
    chosen = settings.load()
    if file is not None:
        sys.exit(_load(chosen, file, faults))
    if kind is not None:
        _show_told(chosen, kind)
    else:
        _show_states(chosen)


def _load(chosen: Settings, path: Path, faults: Path | None) -> Exit:
    from propensia.delimited import TableError
    from propensia.journal.references import References
    from propensia.journal.writer import FOLDER, Journal, JournalError
    from propensia.outcomes import loading

    if chosen.journal == "off":
        fail(
            "el diario está apagado (ajuste «journal»): no se guardan resultados. / The journal "
            "is off: no outcomes are kept.",
            Exit.REFUSED,
        )
    hand = who().shown
    chosen.state.mkdir(parents=True, exist_ok=True)
    journal = Journal(chosen.state / FOLDER, 60.0, chosen.journal_file_mb << 20, 3600.0)
    try:
        with (
            _audited(chosen, hand, path) as done,
            _opened(faults) as full,
            contextlib.closing(journal),
        ):
            report = _Report(full)
            references = References(chosen.state)
            now_ms = time.time_ns() // 1_000_000
            loading.load(path, hand, journal, references, now_ms, report.add, done)
    except TableError as error:
        fail(str(error), Exit.REFUSED)
    except (JournalError, ValueError) as error:
        fail(
            f"no se puede escribir el diario ({error}). / The journal cannot be written.",
            Exit.ENVIRONMENT,
        )
    click.echo(f"Aceptados: {done.accepted}. Rechazados: {done.refused}.")
    if done.refused:
        report.show()
    if done.accepted:
        click.echo(
            "El servicio los une a sus respuestas; «propensia outcomes --status» lo muestra."
        )
    return Exit.REFUSED if done.refused else Exit.DONE


@contextlib.contextmanager
def _audited(chosen: Settings, hand: str, path: Path) -> Iterator[Loaded]:
    """The count of a file's lines, which goes into the audit log: as far as it came where the
    file is left halfway, for what came before is kept."""
    from propensia.audit import Audit
    from propensia.outcomes.loading import Loaded

    done = Loaded()

    def record(**more: bool) -> None:
        facts: dict[str, Any] = {"accepted": done.accepted, "refused": done.refused}
        facts |= {"file": path.name, **more}
        Audit(chosen.state).record("outcomes.loaded", who=hand, **facts)

    try:
        yield done
    except BaseException:
        if done.accepted:
            with contextlib.suppress(OSError):  # what went wrong first is what to tell
                record(incomplete=True)
        raise
    record()


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

    with sentences({StoreError: Exit.ENVIRONMENT}):
        counts = outcomes.status(chosen)
    rows: list[tuple[str, ...]] = [("CLASE", "CUÁNTOS", "QUÉ ES")]
    rows += [(word, str(counts[CODES[word]]), what) for word, what in STATES.items()]
    rows.append(("repetido", str(counts["again"]), "llegó otra vez tal cual; no cuenta"))
    click.echo(table(rows))


def _show_told(chosen: Settings, kind: str) -> None:
    from propensia.store import outcomes
    from propensia.store.database import StoreError

    with sentences({StoreError: Exit.ENVIRONMENT}):
        found = outcomes.listed(chosen, CODES[kind])
    rows: list[tuple[str, ...]] = [("ENVIADO", "QUIÉN", "FECHA", "RESPUESTA", "HUELLA DE LA REF")]
    rows += [
        (moment(one.at), shown(one.source), one.date, one.answer or "—", one.reference or "—")
        for one in found.told
    ]
    if found.told:
        click.echo(table(rows))
    click.echo(f"{kind}: {found.count}; se muestran los últimos {len(found.told)}.")


COMMANDS: tuple[click.Command, ...] = (outcomes,)
