"""The commands about who may call; each is imported only when it runs.

They read what was typed and hand it on; they know no key.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

import click

from propensia import settings
from propensia.cli.words import SpanishGroup, fail, sentences, told, who
from propensia.terminal import Exit

which_argument = click.argument("which", metavar="ID|NOMBRE")


@click.group("keys", cls=SpanishGroup, short_help="Claves: crear, ver, rotar y revocar.")
def group() -> None:
    """Las claves con las que se llama al servicio.

    Mientras no hay ninguna, solo se atiende a los programas de esta máquina, sin clave. Desde
    que hay una se piden a todos: quien llame sin ella recibe un error 401. Lo que se cambia aquí
    vale en menos de 2 segundos, sin reiniciar nada.

    Si ya le llaman programas, antes de la primera ponga sus redes en el ajuste open_networks
    (127.0.0.0/8 es esta máquina) y reinicie: desde ellas sigue valiendo GET /prediccion sin
    clave, y nada más. Cuando todos tengan la suya, quítelo y reinicie.
    """


@group.command(short_help="Crea una clave y la muestra, una sola vez.")
@click.argument("name", metavar="NOMBRE")
@click.option(
    "--role",
    metavar="PAPEL",
    required=True,
    help="caller (puntuar), tester (y mirar), analyst (y dejar modelos), approver (y publicar) "
    "o admin (todo).",
)
@click.option(
    "--expires",
    metavar="CUÁNDO",
    default="365d",
    help="Cuándo caduca: 12h, 90d, un día como 2027-01-31, o never [365d].",
)
@click.option(
    "--networks",
    metavar="LISTA",
    default="",
    help="Redes desde las que vale, con comas: 10.1.0.0/16, 10.2.0.7 [todas].",
)
@click.option(
    "--routes",
    metavar="LISTA",
    default="",
    help="Direcciones para las que vale, con comas: /prediccion, /predict [las de su papel].",
)
@click.option(
    "--path",
    is_flag=True,
    help="Va en la dirección, para quien no envía cabeceras; solo con papel caller.",
)
@told
def create(name: str, role: str, expires: str, networks: str, routes: str, path: bool) -> None:
    """Crea una clave para NOMBRE, una persona o un programa, y la muestra una sola vez.

    La clave sale sola por la salida estándar, y lo demás por la de errores; con --path sale
    /c/CLAVE/prediccion, lo que va en la dirección.
    """
    from propensia import keys
    from propensia.access import typed
    from propensia.web.routes import ROUTES

    with _of_keys():
        known = [(route.path, route.permission) for route in ROUTES]
        asked = typed.rights(name, role, expires, networks, routes, path, time.time(), known)
        sys.exit(keys.create(settings.load(), asked, who().shown))


@group.command("list", short_help="Muestra las claves, con su estado y su último uso.")
@told
def show() -> None:
    """Muestra las claves: nombre, id, papel, estado, último uso y límites.

    Nunca la clave misma, que no se guarda. El último uso es cierto con un minuto de más o menos.
    """
    from propensia import keys

    with _of_keys():
        sys.exit(keys.show(settings.load()))


@group.command(short_help="Cambia una clave por otra nueva.")
@which_argument
@click.option(
    "--overlap",
    metavar="TIEMPO",
    default="24h",
    help="Cuánto vale aún la anterior: 30min, 24h, 7d, o 0: deja de valer ya [24h].",
)
@told
def rotate(which: str, overlap: str) -> None:
    """Hace una clave con los mismos permisos en lugar de otra, y la muestra una sola vez.

    Con un NOMBRE dejan de valer todas las suyas al acabar TIEMPO; con un ID, solo esa. La nueva
    dura lo que duraba la anterior. Si alguien ha visto la clave, con --overlap 0.
    """
    from propensia import keys
    from propensia.access import typed

    with _of_keys():
        overlap_s = typed.seconds("--overlap", overlap)
        sys.exit(keys.rotate(settings.load(), which, overlap_s, who().shown))


@group.command(short_help="Revoca una clave, para siempre.")
@which_argument
@told
def revoke(which: str) -> None:
    """Revoca la clave de ese ID, o todas las de ese NOMBRE; deja de valer en menos de 2 segundos.

    No hay vuelta atrás: se hace otra.
    """
    from propensia import keys

    with _of_keys():
        sys.exit(keys.revoke(settings.load(), which, who().shown))


@contextlib.contextmanager
def _of_keys() -> Iterator[None]:
    """What may be wrong with keys, in sentences."""
    from propensia import keys
    from propensia.access.keys import AccessError
    from propensia.access.typed import WrongUse
    from propensia.locks import Busy

    codes = {WrongUse: Exit.WRONG_USE, keys.Refused: Exit.REFUSED, AccessError: Exit.ENVIRONMENT}
    try:
        with sentences(codes):
            yield
    except Busy:
        fail("otra orden está cambiando las claves; repita dentro de un momento", Exit.ENVIRONMENT)


COMMANDS: tuple[click.Command, ...] = (group,)
