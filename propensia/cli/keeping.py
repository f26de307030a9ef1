"""The commands that keep an installation: its audit log, copies of it, and the way back.

They read what was typed and hand it on; each is imported only when it runs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from propensia import contract as contracts
from propensia import settings
from propensia.audit import EVENTS
from propensia.cli.words import SpanishCommand, SpanishGroup, fail, told, who
from propensia.files import shown
from propensia.journal import references
from propensia.terminal import Exit

if TYPE_CHECKING:
    from propensia.backups import Restored

CODES = {spanish: code for code, (spanish, _) in EVENTS.items()}
"""What a list shows of an event -> its code."""


@click.command(cls=SpanishCommand, short_help="Copia en un zip todo lo que es del programa.")
@click.argument("out", metavar="COPIA.zip", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--with-models", is_flag=True, help="También los PKL de la carpeta de modelos.")
@told
def backup(out: Path, with_models: bool) -> None:
    """Copia en COPIA.zip la carpeta de estado y propensia.toml, con el servicio en marcha o no.

    Lleva las versiones, las publicaciones, los veredictos, las claves de acceso, la auditoría y lo
    respondido, con sus valores: guárdela como guarda el servidor. Una base de datos PostgreSQL se
    copia aparte. Si algo falla, no queda ningún fichero.
    """
    from propensia import backups

    chosen = settings.load()
    contract = contracts.load(chosen.contract)
    try:
        made = backups.backup(out, chosen, contract, with_models, _say, who().shown)
    except backups.BackupError as error:
        fail(str(error), Exit.REFUSED)
    active = f"publicación {made.release} ({made.version})" if made.release else "sin modelo"
    click.echo(f"Copia en {out}: {len(made.parts)} ficheros, {_megabytes(made.size)}, {active}.")
    if chosen.database_url:
        click.echo(
            "Atención: la base de datos no está en ella; cópiela después, con las herramientas de "
            "PostgreSQL (pg_dump). / The database is not in it: copy it afterwards, by pg_dump.",
            err=True,
        )


@click.command(cls=SpanishCommand, short_help="Restaura una copia.")
@click.argument(
    "file", metavar="COPIA.zip", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--into",
    metavar="CARPETA",
    type=click.Path(file_okay=False, path_type=Path),
    help="Carpeta de estado que se hace [la de los ajustes].",
)
@click.option("--force", is_flag=True, help="Si ya hay una, la guarda aparte y la reemplaza.")
@told
def restore(file: Path, into: Path | None, force: bool) -> None:
    """Restaura COPIA.zip como carpeta de estado, entera o nada; antes lo comprueba todo.

    El servicio debe estar parado. propensia.toml y los PKL quedan en su carpeta «restored», por
    si hay que copiarlos.
    """
    from propensia import backups

    chosen = settings.load()
    try:
        done = backups.restore(file, into or chosen.state, force, _say, who().shown)
    except backups.BackupError as error:
        fail(str(error), Exit.REFUSED)
    made = done.manifest
    click.echo(
        f"Restaurada en {done.into} la copia del {shown(made.created)}: {len(made.parts)} "
        f"ficheros, publicación {made.release} ({shown(made.version)})."
    )
    if done.aside is not None:
        click.echo(f"La carpeta de antes está en {done.aside}")
    _tell_of_journal(done)
    if done.keys_again:
        _warn_of_keys(done)
    if done.erased_again:
        click.echo(
            f"Atención: desde la copia se borraron datos de personas {done.erased_again} veces, y "
            "con ella vuelven. Bórrelos otra vez (propensia audit list --event erased). / Data of "
            "people that were erased since the copy are back with it: erase them again.",
            err=True,
        )
    if made.fingerprint != contracts.load(chosen.contract).fingerprint:
        click.echo(
            f"Atención: se hizo con otro contrato ({shown(made.contract)}); ponga el mismo.",
            err=True,
        )
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        click.echo(
            "Atención: la carpeta queda de root; désela a la cuenta del servicio (chown -R).",
            err=True,
        )


def _tell_of_journal(done: Restored) -> None:
    """What was answered before and had not reached the database must not be forgotten."""
    if done.journal:
        click.echo(
            f"Su diario ({done.journal} ficheros) está también en la restaurada: lo que no había "
            "llegado a la base de datos entra al arrancar el servicio."
        )
    if done.journal_left:
        click.echo(
            f"Atención: {done.journal_left} ficheros de su diario se quedan allí, porque la copia "
            f"es de otra instalación ({references.NAME}). Si no lo es, con el servicio parado "
            f"copie {done.aside}/journal/*.journal a {done.into}/journal. / Files of its journal "
            "stay there: the backup belongs to another installation. If not, copy them.",
            err=True,
        )


def _warn_of_keys(done: Restored) -> None:
    """What was revoked since the copy was made is good again, and nobody would notice."""
    told = "con la copia vuelven a valer estas claves"
    if done.aside is None:
        told = "valen estas claves de la copia, también las revocadas después de hacerla"
    click.echo(
        f"Atención: {told}. Revoque las que no deban valer: propensia keys revoke ID. / These "
        "keys are good with the copy, whatever was revoked since; revoke those that should not.",
        err=True,
    )
    for key in done.keys_again:
        click.echo(f"  {key.id}  {shown(key.name)}  {key.role}", err=True)


@click.group(cls=SpanishGroup, short_help="Auditoría: quién cambió qué, y si está íntegra.")
def audit() -> None:
    """El registro de auditoría: qué cambió en esta instalación, quién lo hizo y por qué.

    Cada línea lleva la huella de la anterior, así que cambiar, quitar o mover una se nota.
    """


@audit.command("list", short_help="Muestra lo anotado.")
@click.option(
    "--since", metavar="CUÁNDO", help="Desde 2026-01-31, 2026-01-31T09:30, o hace 24h, 7d."
)
@click.option(
    "--event",
    metavar="SUCESO",
    type=click.Choice([*EVENTS, *CODES]),
    help=f"Solo ese, por su palabra o su código: {', '.join(map(' = '.join, CODES.items()))}.",
)
@click.option(
    "--format",
    "form",
    metavar="FORMA",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    help="table, json (una línea cada una) o csv [table].",
)
@told
def show(since: str | None, event: str | None, form: str) -> None:
    """Muestra lo anotado, de lo más antiguo a lo más nuevo. Las horas son las de esta máquina."""
    from propensia import answering, auditing
    from propensia.access.typed import WrongUse

    try:
        since_ms = None if since is None else answering.moment_ms("--since", since)
    except WrongUse as error:
        fail(str(error), Exit.WRONG_USE)
    code = None if event is None else CODES.get(event, event)
    sys.exit(auditing.show(settings.load(), since_ms, code, form))


@audit.command(short_help="Dice si el registro está íntegro.")
@click.option("--head", metavar="HUELLA", help="Un final que anotó otro día: debe seguir ahí.")
@told
def verify(head: str | None) -> None:
    """Recorre el registro: dice la primera línea cambiada, quitada o movida, y su final.

    Anote el final fuera de esta máquina: quien puede escribir el registro puede rehacerlo entero,
    y solo lo nota quien tiene un final de antes. Termina con 1 si algo no cuadra.
    """
    from propensia import auditing

    if head is not None and not auditing.is_head(head):
        fail("--head: son 64 cifras hexadecimales; bastan las 16 primeras", Exit.WRONG_USE)
    sys.exit(auditing.check(settings.load(), head))


def _say(text: str) -> None:
    click.echo(text, err=True)


def _megabytes(size: int) -> str:
    return f"{size / (1 << 20):.1f} MB".replace(".", ",")


COMMANDS: tuple[click.Command, ...] = (audit, backup, restore)
