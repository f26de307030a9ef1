"""How the command line speaks: Spanish help, the sentences of errors, and shared arguments.

It runs no command itself.
"""

from __future__ import annotations

import errno
import getpass
import math
import sys
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from propensia.contract import ContractError
from propensia.registry import RegistryError
from propensia.settings import Settings, SettingsError
from propensia.terminal import Exit

Command = TypeVar("Command", bound=Callable[..., Any])

# click's own words, where a person sees them in a page of help.
WORDS = {
    "Usage: ": "Uso: ",
    "[OPTIONS]": "[OPCIONES]",
    " COMMAND [ARGS]...": " ORDEN …",
    "\nOptions:\n": "\nOpciones:\n",
    "\nCommands:\n": "\nÓrdenes:\n",
    "[required]": "[obligatorio]",
}


class SpanishCommand(click.Command):
    """A command whose help is in Spanish throughout."""

    def get_help(self, ctx: click.Context) -> str:
        """The page of help, with click's own words translated."""
        text = super().get_help(ctx)
        for english, spanish in WORDS.items():
            text = text.replace(english, spanish)
        return text

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """``-h`` and ``--help``, explained in Spanish."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.help = "Muestra esta ayuda y termina."
        return option


class SpanishGroup(SpanishCommand, click.Group):
    """The group of all commands, listed as they are defined: first what is used first."""

    command_class = SpanishCommand

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order of this file, not of the alphabet."""
        return list(self.commands)


def fail(message: str, code: Exit) -> NoReturn:
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
            fail(str(error), Exit.REFUSED)
        except (SettingsError, ContractError) as error:
            fail(str(error), Exit.ENVIRONMENT)
        except OSError as error:
            if _reader_is_gone(error):  # click ends this one without a word
                raise BrokenPipeError(errno.EPIPE, error.strerror) from error
            fail(f"{error.filename or 'sistema'}: {error.strerror or error}", Exit.ENVIRONMENT)

    return run  # type: ignore[return-value]


def _reader_is_gone(error: OSError) -> bool:
    """Whether who read our output stopped, as in ``propensia models | head -1``."""
    closed = sys.platform == "win32" and error.errno == errno.EINVAL and error.filename is None
    return isinstance(error, BrokenPipeError) or closed  # Windows: EINVAL, often, for EPIPE


def who() -> str:
    """The name of the person at the keyboard, as the system tells it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # ImportError: Windows without any of the variables
        return "desconocido"


class _Number(click.FloatRange):
    """A number in a range; what is not a number at all is in no range."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number. Fails, as wrong use, outside the range and for ``nan``."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} no es un número de {self.min:g} a {self.max:g}.", param, ctx)
        return number


class Probability(_Number):
    """A number in [0, 1]."""


class Minutes(_Number):
    """A number of minutes."""


def setting(name: str, **more: Any) -> Callable[[Command], Command]:
    """The option that overrides a setting, with the help and the default of its row."""
    row = next(row for row in fields(Settings) if row.name == name)
    return click.option(f"--{name}", help=f"{row.metadata['help']} [{row.default}].", **more)


# Any kind of thing: what is not a regular file is refused with a sentence, as in the folder.
file_type = click.Path(exists=True, path_type=Path)
file_argument = click.argument("file", metavar="FICHERO", type=file_type)
why_option = click.option(
    "--why", metavar="TEXTO", default="", help="Motivo, que queda anotado en la publicación."
)
