"""The command line: each command composes the same parts as the server and prints the result.

Exit codes: 0 done, 1 refused or negative, 2 wrong use, 3 the environment.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from propensia import __version__, settings
from propensia import contract as contracts
from propensia.contract import Contract, ContractError
from propensia.files import FileTooLarge
from propensia.registry import Registry, RegistryError
from propensia.settings import Settings, SettingsError

REFUSED, ENVIRONMENT = 1, 3
Command = TypeVar("Command", bound=Callable[..., Any])


class Context:
    """What every command starts from: settings, contract and registry, each made on demand."""

    def __init__(self) -> None:
        self.settings: Settings = settings.load()
        self.contract: Contract = contracts.load(self.settings.contract)
        self.registry = Registry(self.settings.state)
        self.registry.prepare()


def fail(message: str, code: int) -> NoReturn:
    """Print what is wrong and end with ``code``."""
    click.echo(message, err=True)
    sys.exit(code)


def told(command: Command) -> Command:
    """Turn the errors that a person can mend into a sentence and an exit code."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except RegistryError as error:
            fail(str(error), REFUSED)
        except (SettingsError, ContractError) as error:
            fail(str(error), ENVIRONMENT)
        except FileTooLarge as error:
            fail(f"{error}: el fichero supera el tamaño máximo (ajuste max_file_mb)", REFUSED)
        except OSError as error:
            fail(f"{error.filename or 'sistema'}: {error.strerror or error}", ENVIRONMENT)

    return run  # type: ignore[return-value]


def who() -> str:
    """The name of the person at the keyboard, as the system tells it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "desconocido"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="propensia")
def cli() -> None:
    """Propensia: puntúa la propensión de pago de deudores con el modelo que usted deje en models/.

    Códigos de salida: 0 hecho, 1 rechazado o negativo, 2 mal uso, 3 el entorno.
    """


@cli.command()
@click.option("--host", help="Dirección en la que escucha [127.0.0.1].")
@click.option("--port", type=click.IntRange(0, 65535), help="Puerto en el que escucha [5000].")
@click.option("--workers", type=click.IntRange(1, 64), help="Procesos que responden.")
@click.option("--server", type=click.Choice(["granian", "gunicorn", "waitress"]), help="Servidor.")
@told
def serve(**given: Any) -> None:
    """Arranca el servicio (y un modelo de demostración si aún no hay ninguno)."""
    from propensia.web import console

    console.serve({name: value for name, value in given.items() if value is not None})


@cli.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--list", "listing", is_flag=True, help="Solo muestra qué hay dentro del fichero.")
@click.option("--report", type=click.Path(path_type=Path), help="Guarda el informe HTML aquí.")
@told
def check(file: Path, listing: bool, report: Path | None) -> None:
    """Comprueba FILE.pkl como lo haría el servidor; no publica nada."""
    from propensia import commands

    if listing:
        sys.exit(commands.listing(Context(), file))
    sys.exit(commands.check(Context(), file, report))


@cli.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--why", default="", help="Motivo, que queda anotado.")
@click.option("--force", is_flag=True, help="Admite un modelo que ordena al revés que el activo.")
@told
def admit(file: Path, why: str, force: bool) -> None:
    """Comprueba FILE.pkl y, si es bueno, lo publica (también si está fijada otra versión)."""
    from propensia import commands

    sys.exit(commands.admit(Context(), file, why, force, who()))


@cli.command()
@told
def models() -> None:
    """Muestra las versiones: cuál responde, cuál respondía antes, y las rechazadas."""
    from propensia import commands

    commands.models(Context())


@cli.command()
@click.argument("version", required=False)
@click.option("--why", default="", help="Motivo, que queda anotado.")
@told
def rollback(version: str | None, why: str) -> None:
    """Vuelve a la versión anterior, o a VERSION (basta el principio de su identificador)."""
    from propensia import commands

    commands.rollback(Context(), version, why, who())


@cli.command()
@click.option("--off", is_flag=True, help="Suelta la versión fijada.")
@click.option("--why", default="", help="Motivo, que queda anotado.")
@told
def pin(off: bool, why: str) -> None:
    """Fija la versión activa: los ficheros nuevos se comprueban pero no se publican."""
    from propensia import commands

    commands.pin(Context(), off, why, who())


@cli.command()
@click.argument("value", type=click.FloatRange(0.0, 1.0))
@click.option("--why", required=True, help="Motivo, que queda anotado.")
@told
def threshold(value: float, why: str) -> None:
    """Cambia el umbral: una publicación nueva del mismo modelo."""
    from propensia import commands

    commands.threshold(Context(), value, why, who())


@cli.command()
@click.argument("first")
@click.argument("second")
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--by", help="Parámetro por el que se agrupa.")
@click.option("--amount", help="Parámetro con los euros que se suman.")
@told
def compare(
    first: str, second: str, file: Path | None, by: str | None, amount: str | None
) -> None:
    """Quién cambia de clase entre dos versiones, o entre dos contratos con el modelo activo.

    FIRST y SECOND son versiones (basta el principio) o contratos; FILE, un CSV con los parámetros.
    Sin FILE se usan filas típicas del contrato.
    """
    from propensia import comparing

    try:
        comparing.compare(Context(), first, second, file, by, amount)
    except comparing.CompareError as error:
        fail(str(error), REFUSED)


@cli.command()
@told
def doctor() -> None:
    """Mira si todo está en orden y dice qué hacer con lo que no lo está."""
    from propensia import doctor as doctor_

    sys.exit(doctor_.examine(Context()))


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of ``propensia`` and ``python -m propensia``."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a Windows console may not speak UTF-8
            stream.reconfigure(encoding="utf-8", errors="replace")
    cli.main(args=None if arguments is None else list(arguments), prog_name="propensia")


if __name__ == "__main__":
    main()
