"""How the database is, for whoever only wants to know: where, with which tables, how full.

It makes and changes nothing, and never says the password that a URL may hold.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from sqlalchemy import Connection, create_engine, func, inspect, select, text
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from propensia.journal.records import DAY_MS, first_id, milliseconds
from propensia.settings import Settings
from propensia.store import database, schema
from propensia.store.database import StoreError

NOTHING_LATER = first_id(1 << 43)
"""An id in the year 2248: what is greater is no time."""


@dataclass(frozen=True, slots=True)
class Look:
    """``where``: the URL without its password; ``revision``: the last step that its tables took,
    ``None`` where there are none yet; ``day``: answers of the last 24 hours; ``newest_ms``: when
    the last answer was given, by its id, in ms since 1970."""

    where: str
    revision: str | None = None
    day: int = 0
    newest_ms: int | None = None


def look(settings: Settings, now_ms: int) -> Look:
    """How the database is now. Raises ``StoreError`` where nobody can know."""
    url = database.url_of(settings)
    where = database.place(url)
    if url.get_backend_name() == "sqlite" and not os.path.exists(str(url.database)):
        return Look(where)
    try:
        engine = create_engine(url, poolclass=NullPool)
        with engine.connect() as connection:
            return _look(connection, where, now_ms)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise StoreError(f"falta el programa para esa base de datos ({error.args[0]})") from None
    except (SQLAlchemyError, OSError) as error:
        raise StoreError(f"{where}: {database.reason(error)}") from error
    except (TypeError, ValueError):  # as in ``open_store``
        raise StoreError(f"{where}: su dirección tiene una opción que no se conoce") from None


def _look(connection: Connection, where: str, now_ms: int) -> Look:
    if not inspect(connection).has_table("alembic_version"):
        return Look(where)
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if revision != schema.REVISION:
        return Look(where, revision)
    windows, ids = schema.windows.c, schema.answers.c.id
    day = connection.execute(
        select(func.sum(windows.count)).where(windows.hour >= now_ms - DAY_MS)
    ).scalar()
    newest = connection.execute(select(func.max(ids)).where(ids < NOTHING_LATER)).scalar()
    return Look(where, revision, int(day or 0), milliseconds(newest) if newest else None)
