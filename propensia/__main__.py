"""The command line: reads what was typed, hands it to a command, and ends as ``Exit`` says.

It does nothing itself; what a command needs is imported when it runs, so that help comes at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from propensia import __version__, settings
from propensia.cli import (
    guarding,
    keeping,
    learning,
    remembering,
    reporting,
    scoring,
    watching,
)
from propensia.cli.words import (
    Probability,
    SpanishGroup,
    fail,
    file_argument,
    file_type,
    setting,
    told,
    who,
    why_option,
)
from propensia.terminal import Exit, compose


@click.group(
    cls=SpanishGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="propensia", help="Muestra la versión y termina.")
def cli() -> None:
    """Propensia: puntúa la propensión de pago de deudores con el modelo que usted deje en models/.

    «propensia ORDEN --help» explica cada orden. Códigos de salida: 0 hecho, 1 rechazado o
    negativo, 2 orden mal escrita, 3 falla el entorno (ajustes, carpetas, permisos).
    """


@cli.command(short_help="Arranca el servicio.")
@setting("host", metavar="DIRECCIÓN")
@setting("port", metavar="NÚMERO", type=click.IntRange(0, 65535))
@setting("workers", metavar="NÚMERO", type=click.IntRange(0, 64))
@setting("server", metavar="NOMBRE", type=click.Choice(settings.SERVERS))
@setting("insecure", is_flag=True, default=None)
@told
def serve(**given: Any) -> None:
    """Arranca el servicio (y un modelo de demostración si aún no hay ninguno).

    Se detiene con Ctrl-C. Lo que no se indique aquí se toma de propensia.toml y de las variables
    PROPENSIA_….
    """
    from propensia.web import console

    console.serve({name: value for name, value in given.items() if value is not None})


@cli.command(short_help="Comprueba un modelo; no publica nada.")
@file_argument
@click.option("--list", "listing", is_flag=True, help="Solo muestra qué hay dentro del fichero.")
@click.option(
    "--report",
    metavar="RUTA",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Guarda el informe HTML en esa ruta.",
)
@told
def check(file: Path, listing: bool, report: Path | None) -> None:
    """Comprueba el modelo de FICHERO como lo haría el servidor; no publica nada.

    FICHERO puede llamarse de cualquier modo; se lee como datos y nada de él se ejecuta.
    """
    from propensia import commands

    if listing:
        sys.exit(commands.listing(settings.load(), file))
    sys.exit(commands.check(compose(), file, report))


@cli.command(short_help="Comprueba un modelo y, si es bueno, lo publica.")
@file_argument
@why_option
@click.option("--force", is_flag=True, help="Admite un modelo que ordena al revés que el activo.")
@told
def admit(file: Path, why: str, force: bool) -> None:
    """Comprueba el modelo de FICHERO y, si es bueno, lo publica.

    También si hay una versión fijada (entonces queda fijada la nueva), o si el mes de su nombre
    es anterior al del activo.
    """
    from propensia import commands

    sys.exit(commands.admit(compose(), file, why, force, who()))


@cli.command(short_help="Firma un modelo, o crea una clave para firmar.")
@click.argument("file", metavar="[FICHERO]", required=False, type=file_type)
@click.option(
    "--key",
    metavar="RUTA",
    default="firma.pem",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Clave privada con la que se firma, o que se crea [firma.pem].",
)
@click.option("--new", is_flag=True, help="Crea una clave: la privada y, a su lado, la pública.")
@click.option(
    "--passphrase",
    metavar="VARIABLE",
    help="Variable de entorno con la frase de paso; sin ella, se pregunta.",
)
@click.option("--why", metavar="TEXTO", default="", help="Motivo, que queda en la firma.")
@told
def sign(file: Path | None, key: Path, new: bool, passphrase: str | None, why: str) -> None:
    """Firma el modelo de FICHERO y su ficha: deja FICHERO.sig a su lado.

    Con --new no firma: crea una clave. La pública se copia en la carpeta de claves del servidor;
    la privada se queda con quien firma.
    """
    from propensia import sign as sign_

    if new is (file is not None):
        fail("indique un FICHERO que firmar, o --new para crear una clave", Exit.WRONG_USE)
    sys.exit(sign_.run(file, key, passphrase, why))


@cli.command(short_help="Muestra las versiones y cuál responde.")
@told
def models() -> None:
    """Muestra las versiones: cuál responde, cuál respondía antes, y las rechazadas."""
    from propensia import commands

    commands.models(compose())


@cli.command(short_help="Publica una versión ya comprobada.")
@click.argument("version", metavar="VERSIÓN")
@why_option
@told
def activate(version: str, why: str) -> None:
    """Publica VERSIÓN, que ya se comprobó: aprueba una candidata o repone otra.

    De VERSIÓN basta el principio de su identificador; «propensia models» los muestra. También si
    hay una versión fijada (entonces queda fijada la nueva). Con el ajuste four_eyes la publica
    quien no la entregó.
    """
    from propensia import commands

    commands.activate(compose(), version, why, who())


@cli.command(short_help="Vuelve a una versión anterior.")
@click.argument("version", metavar="[VERSIÓN]", required=False)
@why_option
@told
def rollback(version: str | None, why: str) -> None:
    """Vuelve a la versión que respondía antes, o a VERSIÓN.

    De VERSIÓN basta el principio de su identificador; «propensia models» los muestra. Vuelve con
    el umbral que tenía.
    """
    from propensia import commands

    commands.rollback(compose(), version, why, who())


@cli.command(short_help="Fija la versión activa, o la suelta.")
@click.option("--off", is_flag=True, help="Suelta la versión fijada.")
@why_option
@told
def pin(off: bool, why: str) -> None:
    """Fija la versión activa: los ficheros nuevos se comprueban pero no se publican."""
    from propensia import commands

    commands.pin(compose(), off, why, who())


@cli.command(short_help="Cambia el umbral del modelo activo.")
@click.argument("value", metavar="VALOR", type=Probability(0.0, 1.0))
@click.option(
    "--why", metavar="TEXTO", required=True, help="Motivo, que queda anotado en la publicación."
)
@told
def threshold(value: float, why: str) -> None:
    """Cambia el umbral del modelo activo a VALOR, de 0 a 1 y con punto: 0.42.

    La respuesta es positiva cuando la probabilidad llega a VALOR. Es una publicación nueva del
    mismo modelo.
    """
    from propensia import commands

    commands.threshold(compose(), value, why, who())


@cli.command(short_help="Quién cambia de clase entre dos versiones o contratos.")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.argument(
    "file",
    metavar="[FICHERO]",
    required=False,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("--by", metavar="PARÁMETRO", help="Agrupa por ese parámetro [la primera categoría].")
@click.option(
    "--amount", metavar="PARÁMETRO", help="Suma los euros de ese parámetro [el último importe]."
)
@told
def compare(
    first: str, second: str, file: Path | None, by: str | None, amount: str | None
) -> None:
    """Quién cambia de clase al pasar de A a B; no publica nada.

    A y B son dos versiones (basta el principio del identificador), o dos contratos (un nombre
    incluido o la ruta de un TOML) con el modelo activo.

    FICHERO es un CSV con una columna por parámetro, con su nombre corto o largo. Sin él se usan
    filas típicas del contrato.
    """
    from propensia import comparing
    from propensia.scorer import ScorerError, Unreliable

    try:
        comparing.compare(compose(), first, second, file, by, amount)
    except comparing.CompareError as error:
        fail(str(error), Exit.REFUSED)
    except (ScorerError, Unreliable):
        fail(
            f"{first}, {second}: uno de los modelos está dañado o no funciona; "
            "vuelva a admitir su fichero con «propensia admit»",
            Exit.REFUSED,
        )


for command in (
    *scoring.COMMANDS,
    *remembering.COMMANDS,
    *reporting.COMMANDS,
    *watching.COMMANDS,
    *learning.COMMANDS,
    *guarding.COMMANDS,
    *keeping.COMMANDS,
):
    cli.add_command(command)


@cli.command(short_help="Mira si todo está en orden.")
@click.option(
    "--alert", is_flag=True, help="Solo envía una alerta de prueba y dice si la aceptaron."
)
@told
def doctor(alert: bool) -> None:
    """Mira si todo está en orden y dice qué hacer con lo que no lo está.

    Termina con 1 si algo falla; los avisos no cuentan.
    """
    from propensia import doctor as doctor_

    sys.exit(doctor_.try_alerts() if alert else doctor_.examine())


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of ``propensia`` and ``python -m propensia``."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a Windows console may not speak UTF-8
            stream.reconfigure(encoding="utf-8", errors="replace")
    cli.main(args=None if arguments is None else list(arguments), prog_name="propensia")


if __name__ == "__main__":
    main()
