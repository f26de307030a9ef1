"""The database: found by its URL, brought to the tables of now, and opened.

It never says the password that a URL may hold, nor a value that a statement carried.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine import URL, ExceptionContext, ExecutionContext
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    DisconnectionError,
    NoSuchModuleError,
    SQLAlchemyError,
)

from propensia import files
from propensia.settings import Settings
from propensia.store.schema import REVISION

SQLITE = "store.db"
BUSY_S = 30
CONNECT_S = 60
"""A connection that is silent for so long is given up: the other end may be gone."""
STATEMENT_S = 300
"""A server gives up a statement by itself after so long, should nobody listen any more. Reading
a million answers takes less."""
FILE = "propensia_file"
"""Of a connection to SQLite: which file it has opened."""
Identity = tuple[int, int] | None
STREAM = "propensia_stream"
"""The execution option that holds the parts of what a COPY of PostgreSQL reads."""
WAL_BYTES = 64 << 20
UPGRADING = 0x70726F70
"""The advisory lock of PostgreSQL under which one program at a time changes the tables."""

# Classes of SQLSTATE that are about a value, and not about the server or the connection.
VALUE_STATES = ("22", "23", "54")
REASONS = {
    "28": "no acepta el usuario o la clave / it refuses the user or the password",
    "3D": "esa base de datos no existe / there is no such database",
    "42": "el usuario no tiene permiso / the user lacks a permission",
    "53": "no le quedan recursos / it has no room left",
    "57": "se está parando o tarda demasiado / it is stopping or too slow",
}


class StoreError(Exception):
    """The database cannot be used; the text, Spanish first, says why and what to do."""


class Replaced(StoreError):
    """The file of SQLite that was opened is not there any more: what is written into it is lost,
    and the engine has to be made anew."""


def url_of(settings: Settings) -> URL:
    """Where the store is. Raises ``StoreError``."""
    if not settings.database_url:
        return URL.create("sqlite", database=str(settings.state / SQLITE))
    try:
        url = make_url(settings.database_url)
    except (ArgumentError, ValueError, TypeError):  # whose text may hold a part of the password
        raise StoreError(
            "el ajuste 'database_url' no es una dirección de base de datos, como "
            "postgresql://usuario:clave@host/base. / It is not the URL of a database."
        ) from None
    if url.get_backend_name() not in ("sqlite", "postgresql", "postgres"):
        raise StoreError(
            f"el ajuste 'database_url' es de {url.get_backend_name()}, y solo se admite "
            "PostgreSQL (postgresql://usuario:clave@host/base), o nada: SQLite. / Only "
            "PostgreSQL is supported, or nothing: SQLite."
        )
    if url.get_backend_name() != "sqlite" and "@" in f"{url.host}{url.database}":
        raise StoreError(
            "el ajuste 'database_url' tiene una @ de más; en una clave se escribe %40. / It has "
            "an @ too many; in a password it is written %40."
        )
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+pg8000")
    return url


def place(url: URL) -> str:
    """Where that is, fit to be shown: a password may also stand among the options."""
    return files.masked(url.set(query={}).render_as_string(hide_password=True))


def open_store(settings: Settings, connect_s: float | None = None) -> Engine:
    """The database, with the tables of now. Safe for threads; several processes may open one at
    the same time. A server that is silent for ``connect_s`` (``CONNECT_S``) while somebody
    connects is given up. Raises ``StoreError``."""
    url = url_of(settings)
    try:
        engine = _engine(url, connect_s or CONNECT_S)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise StoreError(
            f"falta el programa para esa base de datos ({error.args[0]}): uv sync --extra "
            "postgresql. / The driver of that database is not installed."
        ) from None
    try:
        with contextlib.suppress(FileExistsError):
            if url.get_backend_name() == "sqlite":
                _make_private(str(url.database))
        upgrade(engine)
    except (SQLAlchemyError, OSError) as error:
        engine.dispose()
        raise StoreError(
            f"no se puede usar la base de datos {place(url)}: {reason(error)}"
        ) from error
    except (TypeError, ValueError):  # of a driver, which may repeat what it does not know
        engine.dispose()
        raise StoreError(
            f"no se puede usar la base de datos {place(url)}: su dirección tiene una opción que "
            "no se conoce. / Its URL has an unknown option."
        ) from None
    except StoreError:
        engine.dispose()
        raise
    return engine


@contextlib.contextmanager
def using(settings: Settings, connect_s: float | None = None) -> Iterator[Engine]:
    """The database for a while, for whoever only looks into it now and then: one that the service
    has made. ``connect_s``: as for ``open_store``. Raises ``StoreError``, also for what fails
    meanwhile."""
    url = url_of(settings)
    if url.get_backend_name() == "sqlite" and not os.path.exists(str(url.database)):
        # Whoever makes the file owns it, and the service may not be able to write into it then.
        raise StoreError(
            f"no hay base de datos en {url.database}: la hace el servicio al arrancar. / There is "
            "no database yet: the service makes it when it starts."
        )
    engine = open_store(settings, connect_s)
    try:
        yield engine
    except SQLAlchemyError as error:
        raise StoreError(
            f"no se puede usar la base de datos {place(url)}: {reason(error)}"
        ) from error
    finally:
        engine.dispose()


def reason(error: Exception) -> str:
    """Why a database failed, in words that hold no value; Spanish first."""
    if isinstance(error, StoreError):
        return reason(error.__cause__) if isinstance(error.__cause__, Exception) else str(error)
    known = REASONS.get(state_of(error)[:2])
    if known:
        return known
    if isinstance(error, DBAPIError) and "locked" in str(error.orig):
        return "otro proceso la tiene ocupada / another process keeps it busy"
    return f"no responde ({type(error).__name__}) / it does not answer"


def state_of(error: Exception) -> str:
    """The SQLSTATE that PostgreSQL gave for an error; empty where there is none."""
    told = getattr(error, "orig", None)
    first = told.args[0] if isinstance(told, Exception) and told.args else None
    return str(first.get("C", "")) if isinstance(first, dict) else ""


def upgrade(engine: Engine) -> None:
    """Bring the tables to those of now. Raises ``SQLAlchemyError``, ``OSError``, or ``StoreError``
    for a database that a later program has changed."""
    with engine.connect() as connection:
        if _revision(connection) == REVISION:
            return
    # What it tells of itself, from its import on, is of no use to whoever reads our log.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Heavy, and needed once: not by each process that looks into a store.
    from alembic import command, config, util

    steps = config.Config()
    steps.set_main_option(
        "script_location", str(resources.files("propensia.store") / "migrations")
    )
    with engine.begin() as connection:
        _one_at_a_time(connection)
        steps.attributes["connection"] = connection
        try:
            command.upgrade(steps, "head")
        except util.CommandError:
            raise StoreError(
                "la base de datos es de una versión posterior de Propensia; actualice este "
                f"programa. / The database belongs to a later version ({_revision(connection)}) "
                "of Propensia; upgrade this program."
            ) from None


def settle(engine: Engine) -> None:
    """See that what was deleted is gone from the files too, as far as it is ours to do: SQLite
    keeps older pages in its log. Raises ``SQLAlchemyError``."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def _engine(url: URL, connect_s: float) -> Engine:
    arguments: dict[str, Any] = {"hide_parameters": True}
    if url.get_driver_name() == "pg8000":
        arguments["connect_args"] = {
            "timeout": connect_s,
            "application_name": "propensia",
            "startup_params": {
                "statement_timeout": str(STATEMENT_S * 1000),
                "idle_in_transaction_session_timeout": str(STATEMENT_S * 1000),
            },
        }
    engine = create_engine(url, **arguments)
    if engine.dialect.name == "sqlite":
        path = Path(str(url.database))
        event.listen(engine, "do_connect", lambda *_: _must_be(path, _identity(path)))
        event.listen(engine, "connect", _pragmas)
        event.listen(engine, "connect", lambda _, record: _note(record, path))
        event.listen(engine, "checkout", lambda _, record, __: _must_be(path, record.info[FILE]))
    else:
        event.listen(engine, "do_connect", _connected)
        event.listen(engine, "checkout", _living)
        event.listen(engine, "handle_error", _lost)
        event.listen(engine, "do_execute", _streamed)
    return engine


def _must_be(path: Path, opened: Identity) -> None:
    """Raise ``Replaced`` unless that file is still the one of the name. Windows removes no file
    that is open."""
    if opened is None or _identity(path) != opened:
        raise Replaced(
            "el fichero de la base de datos se ha borrado o cambiado; se abre el que haya. / The "
            "file of the database was removed or replaced."
        )


def _note(record: Any, path: Path) -> None:
    record.info[FILE] = _identity(path)


def _identity(path: Path) -> Identity:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _streamed(cursor: Any, statement: str, _: Any, context: ExecutionContext) -> bool:
    """``COPY … FROM STDIN``, which SQLAlchemy does not know, by the driver's own parameter."""
    if STREAM not in context.execution_options:
        return False
    cursor.execute(statement, stream=context.execution_options[STREAM])
    return True


# pg8000 lets some errors of the socket through as they are, which SQLAlchemy does not expect: a
# connection whose other end is gone would be used again.


def _connected(dialect: Any, _: Any, place: Any, named: Any) -> Any:
    try:
        made = dialect.connect(*place, **named)
        # Who has let us in may take longer over a statement; the driver knows one time for both.
        made._usock.settimeout(CONNECT_S)
    except OSError as error:
        raise dialect.loaded_dbapi.InterfaceError("network error") from error
    return made


def _living(connection: Any, *_: Any) -> None:
    """A connection that waited for its use still has another end; else there will be a new one."""
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT 1")
        cursor.close()
        connection.rollback()
    except Exception as error:
        raise DisconnectionError from error


def _lost(context: ExceptionContext) -> DBAPIError | None:
    error = context.original_exception
    if not isinstance(error, OSError):
        return None
    context.is_disconnect = True
    return DBAPIError(None, None, error, hide_parameters=True)


def _make_private(path: str) -> None:
    """An empty database that only this account can read. Raises ``FileExistsError``."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    files.hand_over(Path(path), like=Path(path).parent)  # SQLite does so with what it adds


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar()
    return found


def _one_at_a_time(connection: Connection) -> None:
    """Wait until no other program changes the tables, and keep others waiting."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        # Building an index of a large table may take its time.
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({UPGRADING})")


def _pragmas(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_S * 1000}")
    # Readers and the one writer do not wait for each other.
    cursor.execute("PRAGMA journal_mode=WAL")
    # A file of the journal is removed after the commit: that must survive a power cut.
    cursor.execute("PRAGMA synchronous=FULL")
    # Deleted means overwritten: these are data of persons.
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")
    cursor.close()
