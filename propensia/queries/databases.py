"""A database by its URL: where it is, an engine for it, and why it failed.

It never says the password that a URL may hold, nor a value that a statement carried.
"""

from __future__ import annotations

import errno
import logging
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from propensia import settings
from propensia.delimited import TableError
from propensia.files import masked, shown

CONNECT_S = 60.0
POSTGRESQL_PORT = 5432
SILENT_S = 900.0
"""A server may think for so long about a query before its other end is given up."""
STREAM = "propensia_stream"
"""The execution option that holds the parts of what a COPY of PostgreSQL reads."""
AWAY = "la base de datos no responde"
# Classes of SQLSTATE that are about the server or the connection.
PASSING_STATES = {
    "08": AWAY,
    "53": "a la base de datos no le quedan recursos",
    "57": "la base de datos se está parando",
}
# Words of SQLite's and of pg8000's.
PASSING = {
    "database is locked": "otro proceso tiene ocupada la base de datos",
    "disk is full": "no queda sitio en el disco de la base de datos",
    "Can't create a connection": AWAY,
}


class Gone(ConnectionError):
    """A database does not answer, or not any more; later it may. ``filename`` is the database,
    fit to be shown, and ``strerror`` says why, in Spanish."""

    def __init__(self, source: str, why: str) -> None:
        super().__init__(errno.ECONNABORTED, why, source)


def typed(text: str) -> str:
    """What a person typed, or what the variable holds that ``env:NAME`` names: everybody on the
    machine sees a command line. Raises ``TableError``."""
    if not text.startswith("env:"):
        return text
    name = text.removeprefix("env:")
    found = settings.variable(name)
    if not found:
        raise TableError(f"la variable {shown(name)} no tiene ningún valor")
    return found


def url_of(source: str) -> sqlalchemy.URL:
    """A database URL. Raises ``TableError``; no error of it is shown, for that could hold a part
    of the password."""
    try:
        url = sqlalchemy.make_url(source)
        backend = url.get_backend_name()
    except Exception:  # a port that is no number is a ValueError, and there may be others
        raise TableError("la dirección de la base de datos no es tipo://…/base") from None
    if backend != "sqlite" and "@" in f"{url.host}{url.database}":
        raise TableError(
            "la dirección de la base de datos tiene una @ de más; en una contraseña se escribe %40"
        )
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+pg8000")  # which our extra installs
    return url


def place(url: sqlalchemy.URL) -> str:
    """Where that is, fit to be shown: a password may also stand among the options."""
    return masked(url.set(query={}).render_as_string(hide_password=True))


def identity(url: sqlalchemy.URL) -> str:
    """Which database that is, however it is spelled and whoever asks: host, port and name, or the
    path of a file. It holds no password."""
    if url.get_backend_name() == "sqlite":
        return f"sqlite {Path(url.database or '').absolute().resolve().as_posix()}"
    port = url.port or (POSTGRESQL_PORT if url.get_backend_name() == "postgresql" else "")
    return f"{url.get_backend_name()} {(url.host or '').lower()} {port} {url.database}"


def engine(url: sqlalchemy.URL) -> sqlalchemy.Engine:
    """An engine that keeps no connection, and whose errors hold no value. Raises
    ``TableError``."""
    arguments: dict[str, Any] = {"hide_parameters": True, "poolclass": NullPool}
    try:
        if url.get_driver_name() == "pg8000":
            arguments["connect_args"] = {"timeout": CONNECT_S, "application_name": "propensia"}
        made = sqlalchemy.create_engine(url, **arguments)
    except SQLAlchemyError as error:
        raise TableError(f"{place(url)}: no se conoce ese tipo de base de datos") from error
    except ImportError as error:
        raise TableError(f"{place(url)}: falta instalar {error.name}") from error
    # It would tell of a cursor that cannot be closed, and with it the error before, value and all.
    logging.getLogger("sqlalchemy.pool.impl.NullPool").setLevel(logging.CRITICAL)
    if url.get_driver_name() == "pg8000":
        event.listen(made, "do_connect", _patient)
        event.listen(made, "handle_error", _lost)
        event.listen(made, "do_execute", _streamed)
    return made


def state_of(error: Exception) -> str:
    """The SQLSTATE that a server gave for an error; empty where there is none."""
    told = getattr(error, "orig", None)
    return str(_fields(told).get("C") or getattr(told, "sqlstate", None) or "")


def message(error: Exception) -> str:
    """What a database says of an error, in its words: the first line only, for the rest repeats
    the statement, which may hold anything."""
    told = getattr(error, "orig", None) or error
    return str(_fields(told).get("M") or told).partition("\n")[0]


def _fields(told: object) -> dict[str, Any]:
    """Of an error as pg8000 raises it: what the server said, by letters."""
    first = told.args[0] if isinstance(told, Exception) and told.args else None
    return first if isinstance(first, dict) else {}


def passing(error: Exception) -> str | None:
    """Why a database failed, in Spanish, if that may pass: it is away, stopping, busy or full."""
    if not isinstance(error, DBAPIError):
        return None
    told = str(error.orig)
    for sign, why in PASSING.items():
        if sign in told:
            return why
    lost = error.connection_invalidated or isinstance(error.orig, OSError)
    return PASSING_STATES.get(state_of(error)[:2], AWAY if lost else None)


# pg8000 lets some errors of the socket through as they are, which SQLAlchemy does not expect.


def _patient(dialect: Any, _: Any, arguments: Any, named: Any) -> Any:
    try:
        made = dialect.connect(*arguments, **named)
        # The driver knows one time for connecting and for all that comes after it.
        made._usock.settimeout(SILENT_S)
    except OSError as error:
        raise dialect.loaded_dbapi.InterfaceError("network error") from error
    except TypeError:  # which repeats what it does not know
        raise TableError(
            "la dirección de la base de datos tiene, tras el «?», una opción que no se conoce"
        ) from None
    return made


def _streamed(cursor: Any, statement: str, _: Any, context: Any) -> bool:
    """``COPY … FROM STDIN``, which SQLAlchemy does not know, by the driver's own parameter."""
    if STREAM not in context.execution_options:
        return False
    cursor.execute(statement, stream=context.execution_options[STREAM])
    return True


def _lost(context: sqlalchemy.engine.ExceptionContext) -> DBAPIError | None:
    error = context.original_exception
    if not isinstance(error, OSError):
        return None
    context.is_disconnect = True
    return DBAPIError(None, None, error, hide_parameters=True, connection_invalidated=True)
