"""The commands about what was answered: looking, scoring again, and the rights of a person.

They read what was typed and hand it on; each is imported only when it runs.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from propensia.cli.words import SpanishCommand, fail, sentences, told, who
from propensia.terminal import Exit, compose

out_option = click.option(
    "--out",
    metavar="FICHERO",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Lo escribe en ese fichero [la salida estándar].",
)
id_option = click.option("--id", metavar="ID", help="La respuesta de ese identificador.")
ref_option = click.option(
    "--ref",
    metavar="REF",
    help="Las de esa referencia; «-» la lee de la entrada, y así no queda en ningún historial.",
)


@click.command(cls=SpanishCommand, short_help="Lista lo que se respondió.")
@click.option(
    "--since", metavar="CUÁNDO", help="Desde 2026-01-31, 2026-01-31T09:30, o hace 24h, 7d."
)
@click.option("--until", metavar="CUÁNDO", help="Hasta entonces; un día, hasta que acaba.")
@id_option
@ref_option
@click.option("--version", metavar="VERSIÓN", default="", help="Las de esa versión.")
@click.option(
    "--format",
    "form",
    metavar="FORMATO",
    type=click.Choice(["csv", "json", "ids"]),
    default="csv",
    help="csv, json (con avisos y umbral) o ids [csv].",
)
@out_option
@told
def answers(
    since: str | None,
    until: str | None,
    id: str | None,
    ref: str | None,
    version: str,
    form: str,
    out: Path | None,
) -> None:
    """Lista las respuestas guardadas, de la primera a la última, con los valores que llegaron.

    De VERSIÓN basta el principio de su identificador. Los valores se guardan menos días que las
    respuestas (ajustes keep_inputs_days y keep_answers_days). Son datos personales: salvo con
    --format ids, en la auditoría queda quién los listó y cuántos. Las horas son las de esta
    máquina. Con --id se ve también por qué se rechazó una petición.
    """
    from propensia import answering
    from propensia.store.answers import Wanted

    with _of_store():
        _one_at_most(id, ref)
        wanted = Wanted(
            None if since is None else answering.moment_ms("--since", since),
            None if until is None else answering.moment_ms("--until", until, until=True),
            version.lower(),
            id,
        )
        parts = compose()
        of_ref = answering.wanted_by(parts.settings, wanted, _typed(ref))
        if of_ref is None:
            fail(answering.NOBODY, Exit.REFUSED)
        sys.exit(answering.listing(parts, of_ref, form, out, who().shown))


@click.command(cls=SpanishCommand, short_help="Puntúa otra vez una respuesta guardada.")
@click.argument("id", metavar="ID")
@told
def replay(id: str) -> None:
    """Puntúa otra vez la respuesta ID con el modelo y las reglas de entonces, y la explica.

    Dice si algo difiere. Termina con 0 si es igual; con 1 si difiere, si no la hay o si ya no se
    puede repetir.
    """
    from propensia import answering

    with _of_store():
        sys.exit(answering.replay(compose(), id))


def _of_person(command: Callable[..., Any]) -> Callable[..., Any]:
    return id_option(ref_option(command))


@click.command(cls=SpanishCommand, short_help="Todo lo que se sabe de una persona, en JSON.")
@_of_person
@out_option
@told
def export(id: str | None, ref: str | None, out: Path | None) -> None:
    """Todo lo que se sabe bajo un identificador o una referencia, en JSON: derecho de acceso.

    Respuestas, valores, resultados y lo que se comunicó de ellos. Queda anotado en la auditoría.
    """
    from propensia import answering

    with _of_store():
        _one(id, ref)
        sys.exit(answering.export(compose(), id, _typed(ref), out, who().shown))


@click.command(cls=SpanishCommand, short_help="Borra todo lo que se sabe de una persona.")
@_of_person
@click.option("--why", metavar="TEXTO", required=True, help="Motivo, que queda en la auditoría.")
@click.option("--yes", "sure", is_flag=True, help="Borra sin preguntar.")
@told
def erase(id: str | None, ref: str | None, why: str, sure: bool) -> None:
    """Borra, para siempre, lo que se sabe bajo un identificador o una referencia: supresión.

    Con --id, esa respuesta y lo que vino de ella; con --ref, todas las de esa referencia. En TEXTO
    no ponga la referencia ni ningún dato de la persona.
    """
    from propensia import answering

    with _of_store():
        _one(id, ref)
        sys.exit(answering.erase(compose(), id, _typed(ref), why, who().shown, sure))


def _typed(ref: str | None) -> str | None:
    """The reference, read from the input where it is ``-``."""
    return sys.stdin.readline().strip("\r\n") if ref == "-" else ref


def _one_at_most(id: str | None, ref: str | None) -> None:
    if id is not None and ref is not None:
        fail("indique --id o --ref, no los dos. / Give --id or --ref, not both.", Exit.WRONG_USE)


def _one(id: str | None, ref: str | None) -> None:
    _one_at_most(id, ref)
    if not (id or ref):
        fail("indique de quién: --id o --ref. / Say of whom: --id or --ref.", Exit.WRONG_USE)


def _of_store() -> contextlib.AbstractContextManager[None]:
    """What may be wrong with the store, in sentences."""
    from propensia.access.typed import WrongUse
    from propensia.answering import Refused
    from propensia.store.database import StoreError

    return sentences(
        {WrongUse: Exit.WRONG_USE, Refused: Exit.REFUSED, StoreError: Exit.ENVIRONMENT}
    )


COMMANDS: tuple[click.Command, ...] = (answers, replay, export, erase)
