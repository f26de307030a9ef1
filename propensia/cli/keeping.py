"""The commands that keep an installation: copies of it, and the way back.

They read what was typed and hand it on; each is imported only when it runs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from propensia import contract as contracts
from propensia import settings
from propensia.cli.words import SpanishCommand, fail, told
from propensia.files import shown
from propensia.terminal import Exit

if TYPE_CHECKING:
    from propensia.backups import Restored


@click.command(cls=SpanishCommand, short_help="Copia en un zip todo lo que es del programa.")
@click.argument("out", metavar="COPIA.zip", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--with-models", is_flag=True, help="También los PKL de la carpeta de modelos.")
@told
def backup(out: Path, with_models: bool) -> None:
    """Copia en COPIA.zip la carpeta de estado y propensia.toml, con el servicio en marcha o no.

    Lleva las versiones, las publicaciones, los veredictos y las claves de acceso: guárdela como
    guarda el servidor. Si algo falla, no queda ningún fichero.
    """
    from propensia import backups

    chosen = settings.load()
    contract = contracts.load(chosen.contract)
    try:
        made = backups.backup(out, chosen, contract, with_models, _say)
    except backups.BackupError as error:
        fail(str(error), Exit.REFUSED)
    active = f"publicación {made.release} ({made.version})" if made.release else "sin modelo"
    click.echo(f"Copia en {out}: {len(made.parts)} ficheros, {_megabytes(made.size)}, {active}.")


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
        done = backups.restore(file, into or chosen.state, force, _say)
    except backups.BackupError as error:
        fail(str(error), Exit.REFUSED)
    made = done.manifest
    click.echo(
        f"Restaurada en {done.into} la copia del {shown(made.created)}: {len(made.parts)} "
        f"ficheros, publicación {made.release} ({shown(made.version)})."
    )
    if done.aside is not None:
        click.echo(f"La carpeta de antes está en {done.aside}")
    if done.keys_again:
        _warn_of_keys(done)
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


def _say(text: str) -> None:
    click.echo(text, err=True)


def _megabytes(size: int) -> str:
    return f"{size / (1 << 20):.1f} MB".replace(".", ",")


COMMANDS: tuple[click.Command, ...] = (backup, restore)
