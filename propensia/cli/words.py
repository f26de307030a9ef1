"""How the command line speaks: Spanish help, the sentences of errors, and shared arguments.

It runs no command itself.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from propensia import settings
from propensia.contract import ContractError
from propensia.registry import RegistryError
from propensia.settings import Settings, SettingsError
from propensia.terminal import Exit

if TYPE_CHECKING:
    from propensia.publishing import Hand

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

# What click says of something mistyped; what is not here stays as click says it.
SENTENCES = (
    (r"No such option:? '?([^' ]+?)'?\.", r"no existe la opción \1."),
    (r"No such command '(.+?)'\.", r"no existe la orden «\1»."),
    (r"\(?Did you mean(?: one of:)? (.+?)\?\)?$", r"¿Quería decir \1?"),
    (r"Missing argument '(.+?)'\.", r"falta \1."),
    (r"Missing option '(.+?)'\.", r"falta la opción \1."),
    (r"Got unexpected extra arguments? \((.*)\)", r"sobra: \1."),
    (r"Option '(.+?)' requires an argument\.", r"la opción \1 necesita un valor."),
    (r"Option '(.+?)' does not take a value\.", r"la opción \1 no lleva valor."),
    (r"Invalid value for '(.+?)': ", r"\1: "),
    (r"is not a valid integer(?: range)?\.", r"no es un número entero."),
    (r"is not a valid float(?: range)?\.", r"no es un número."),
    (r"is not in the range (.+)\.", r"no vale: \1."),
    (r"is not one of (.+)\.", r"no es ninguno de \1."),
    (r"(?:File|Path|Directory) ('.*') does not exist\.", r"no existe \1."),
    (r"(?:File|Path|Directory) ('.*') is a directory\.", r"\1 es una carpeta."),
    (r"(?:File|Path|Directory) ('.*') is a file\.", r"\1 es un fichero."),
    (r"(?:File|Path|Directory) ('.*') is not readable\.", r"\1 no se puede leer."),
    (r"(?:File|Path|Directory) ('.*') is not writable\.", r"\1 no se puede escribir."),
)

# A range of numbers, as click writes it.
RANGES = (
    (r"\b([\d.]+)<=x<=([\d.]+)\b", r"de \1 a \2"),
    (r"\bx>=([\d.]+)\b", r"de \1 en adelante"),
)


class Mistyped(click.UsageError):
    """What click finds wrong with what was typed, told in Spanish."""

    def __init__(self, error: click.UsageError) -> None:
        message = error.format_message()
        for english, spanish in (*SENTENCES, *RANGES):
            message = re.sub(english, spanish, message, count=1)
        super().__init__(message, error.ctx)

    def show(self, file: IO[Any] | None = None) -> None:
        """Print how the command is used, and what is wrong."""
        if self.ctx is not None:
            usage = _translated(self.ctx.get_usage())
            click.echo(f"{usage}\n«{self.ctx.command_path} --help» lo explica.\n", file, err=True)
        click.echo(f"Error: {self.message}", file, err=True)


@contextlib.contextmanager
def _in_spanish() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        if type(error).show is not click.UsageError.show:  # ours, or the page of help
            raise
        raise Mistyped(error) from error


def _translated(text: str) -> str:
    for english, spanish in WORDS.items():
        text = text.replace(english, spanish)
    for english, spanish in RANGES:
        text = re.sub(english, spanish, text)
    return text


class SpanishCommand(click.Command):
    """A command whose help is in Spanish throughout."""

    def get_help(self, ctx: click.Context) -> str:
        """The page of help, with click's own words translated."""
        return _translated(super().get_help(ctx))

    def make_context(self, *given: Any, **more: Any) -> click.Context:
        """What was typed, read. Raises ``Mistyped``."""
        with _in_spanish():
            return super().make_context(*given, **more)

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

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command that was typed. Raises ``Mistyped``."""
        with _in_spanish():
            return super().resolve_command(ctx, args)


def fail(message: str, code: Exit) -> NoReturn:
    """Print what is wrong and end with ``code``."""
    click.echo(message, err=True)
    sys.exit(code)


@contextlib.contextmanager
def sentences(codes: Mapping[type[Exception], Exit]) -> Iterator[None]:
    """Turn errors of these kinds, whose text is for a person, into it and an exit code."""
    try:
        yield
    except tuple(codes) as error:
        fail(str(error), next(code for kind, code in codes.items() if isinstance(error, kind)))


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


def who() -> Hand:
    """The person at the keyboard: the account of this process, and who called ``sudo`` for it.

    On POSIX the system tells the account, and no variable that anybody may set. Windows knows it
    by the variable ``USERNAME`` only. What ``sudo`` says is one more name, never in place of it.
    """
    from propensia.publishing import Hand  # late, as whatever only a command needs

    account, behind = _account(), settings.variable("SUDO_USER") or ""
    return Hand("consola", account, also="" if behind == account else behind)


def _account() -> str:
    try:
        if sys.platform == "win32":
            return getpass.getuser()
        import pwd  # POSIX only

        return pwd.getpwuid(os.getuid()).pw_name
    except (OSError, KeyError, ImportError):  # ImportError: Windows without any of the variables
        return f"uid {os.getuid()}" if hasattr(os, "getuid") else "desconocido"


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
