"""The database: found by its URL, brought to the tables of now, and opened.

It never says the password that a URL may hold.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

import alembic.command
import alembic.config
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from propensia.settings import Settings

SQLITE = "store.db"
BUSY_S = 30


class StoreError(Exception):
    """The database cannot be used; the text, Spanish first, says why and what to do."""


def url_of(settings: Settings) -> URL:
    """Where the store is. Raises ``StoreError``."""
    if not settings.database_url:
        return URL.create("sqlite", database=str(settings.state / SQLITE))
    try:
        url = make_url(settings.database_url)
    except ArgumentError:
        raise StoreError(
            "el ajuste 'database_url' no es una dirección de base de datos, como "
            "postgresql://usuario:clave@host/base. / It is not the URL of a database."
        ) from None
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+pg8000")
    return url


def open_store(settings: Settings) -> Engine:
    """The database, with the tables of now. Raises ``StoreError``."""
    url = url_of(settings)
    try:
        engine = create_engine(url, pool_pre_ping=True)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _pragmas)
        upgrade(engine)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise StoreError(
            f"falta el programa para esa base de datos ({error.args[0]}): uv sync --extra "
            "postgresql. / The driver of that database is not installed."
        ) from None
    except (SQLAlchemyError, OSError) as error:
        raise StoreError(
            f"no se puede usar la base de datos {url.render_as_string()} "
            f"({type(error).__name__}). / The database cannot be used."
        ) from error
    return engine


def upgrade(engine: Engine) -> None:
    """Bring the tables to those of now. Raises ``SQLAlchemyError``."""
    config = alembic.config.Config()
    config.set_main_option(
        "script_location", str(resources.files("propensia.store") / "migrations")
    )
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")


def _pragmas(connection: Any, _: Any) -> None:
    """WAL: readers and the one writer do not wait for each other."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute(f"PRAGMA busy_timeout={BUSY_S * 1000}")
    cursor.close()
