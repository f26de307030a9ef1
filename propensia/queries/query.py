"""A query at a database that is only read: checked, and its rows streamed or taken from a key on.

It never changes a database, and tells neither a password nor a value of a row.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy.exc import DataError, NoSuchTableError, SQLAlchemyError

from propensia.delimited import TableError
from propensia.files import shown
from propensia.queries.databases import (
    Gone,
    engine,
    message,
    passing,
    place,
    state_of,
    url_of,
)

BUFFER_ROWS = 20_000
# A table by its name alone, also with its schema; anything else is a query.
TABLE_NAME = re.compile(r"(?:(\w+)\.)?(\w+)").fullmatch
# What a query begins with, after blanks and comments; MySQL would run a comment with a !.
READS = re.compile(r"(?:\s|--[^\n]*\n|/\*(?!!).*?\*/)*(?:SELECT|WITH)\b", re.I | re.S).match
READ_ONLY = {
    "sqlite": "PRAGMA query_only=ON",
    "postgresql": "SET TRANSACTION READ ONLY",
    "mysql": "SET TRANSACTION READ ONLY",
    "mariadb": "SET TRANSACTION READ ONLY",
}
# SQLite's words for a text that is not UTF-8, before the text itself.
NOT_UTF8 = re.compile(r"Could not decode to UTF-8 column '(.*?)' with text").match


@dataclass(frozen=True, slots=True)
class Part:
    """Which rows of a query are wanted, and in what order.

    ``key``: the column that orders them, as ``names`` has it, and ``is_unique`` if the database
    itself sees to that; ``after``: only those whose key is greater. ``changed`` and ``since``:
    only those in which that column is not less. ``rows``: at most so many. ``columns``: these
    only, all if there are none.
    """

    key: str | None = None
    is_unique: bool = False
    after: Any = None
    changed: str | None = None
    since: Any = None
    rows: int | None = None
    columns: tuple[str, ...] = ()


EVERYTHING = Part()


class Query:
    """The rows of a query, or of a table by its name.

    ``source`` is fit to be shown: the URL without its password. ``names``: its columns, blanks
    around them removed. ``table``: the name of the table, ``None`` for a query.
    """

    def __init__(self, source: str, query: str) -> None:
        """Asks for the columns. Raises ``TableError``, or ``Gone`` for what may pass."""
        url = url_of(source)
        self.source = place(url)
        self._query = query
        self.backend = url.get_backend_name()
        self._refuse_changes()
        if self.backend == "sqlite":
            url = _read_only(url)
        self.engine = engine(url)
        self.names: list[str] = []
        self._raw: dict[str, str] = {}
        with self.result() as result:
            raw, self.names = list(result.keys()), names_of(result)
        self._raw = {name: own for name, own in zip(self.names, raw, strict=True) if name}

    @property
    def table(self) -> tuple[str | None, str] | None:
        """Schema and name of the table, if it is no query."""
        found = TABLE_NAME(self._query.strip())
        return None if found is None else (found[1], found[2])

    def _refuse_changes(self) -> None:
        query = self._query.strip()
        if not TABLE_NAME(query) and not READS(query):
            raise TableError(
                f"{self.source}: una consulta empieza por SELECT o WITH, o es el nombre de una "
                "tabla; aquí solo se lee"
            )
        # A second statement could end the transaction that only reads; SQLite's driver has none.
        if self.backend != "sqlite" and ";" in query.removesuffix(";"):
            raise TableError(f"{self.source}: una consulta es una sola orden, sin «;» dentro")

    @contextmanager
    def result(self, part: Part = EVERYTHING) -> Iterator[sqlalchemy.CursorResult[Any]]:
        """The rows as they come; closing the connection rolls back in any case.

        Raises ``TableError``, or ``Gone`` for what may pass, also while rows are fetched.
        """
        with self._connected() as connection:
            # Without a parameter list a driver leaves % and : of the query alone.
            options = {"stream_results": True, "max_row_buffer": BUFFER_ROWS}
            if part == EVERYTHING:
                connection.execution_options(**options, no_parameters=True)
                result = connection.exec_driver_sql(self._statement())
            else:
                connection.execution_options(**options)
                result = connection.execute(self._selected(part))
            if not result.returns_rows:
                raise TableError(f"{self.source}: la consulta no devuelve filas")
            yield result

    def count(self, part: Part) -> int:
        """How many rows there are. Raises as ``result``, and ``TableError`` for a key that does
        not tell each row from all others."""
        inner = self._selected(part).order_by(None).subquery("counted")
        every = sqlalchemy.func.count()
        if part.key is None or part.is_unique:
            wanted = sqlalchemy.select(every, every)
        else:
            key = inner.c[self._raw[part.key]]
            wanted = sqlalchemy.select(every, sqlalchemy.func.count(key.distinct()))
        with self._connected() as connection:
            rows, keys = connection.execute(wanted.select_from(inner)).one()
        if rows != keys:
            raise TableError(
                f"{self.source}: la clave {shown(part.key or '')} se repite o falta en "
                f"{rows - keys} de {rows} filas"
            )
        return int(rows)

    def sample(self, column: str) -> Any:
        """The value of a column in any row in which there is one. Raises as ``result``."""
        one = self._every().c[self._raw[column]]
        with self._connected() as connection:
            return connection.execute(
                sqlalchemy.select(one).where(one.is_not(None)).limit(1)
            ).scalar()

    def primary_key(self) -> str | None:
        """The one column that is the key of the table; ``None`` for a query, for a table that
        has none or has one of several columns. Raises as ``result``."""
        if self.table is None:
            return None
        schema, name = self.table
        with self._connected() as connection:
            try:
                found = sqlalchemy.inspect(connection).get_pk_constraint(name, schema)
            except NoSuchTableError:  # a view
                return None
        columns = [column.strip() for column in found["constrained_columns"]]
        return columns[0] if len(columns) == 1 and columns[0] in self.names else None

    @contextmanager
    def _connected(self) -> Iterator[sqlalchemy.Connection]:
        begun = False
        try:
            with self.engine.connect() as connection:
                if self.backend in READ_ONLY:
                    connection.exec_driver_sql(READ_ONLY[self.backend])
                begun = True
                yield connection
        except UnicodeError:  # whose text holds the value, also in a traceback
            raise self._bad_value() from None
        except (SQLAlchemyError, sqlite3.Warning) as error:  # the latter of two statements
            raise self._told(error, begun) from None

    def _told(self, error: Exception, begun: bool) -> TableError | Gone:
        if (why := passing(error)) is not None:
            return Gone(self.source, why)
        if isinstance(error, DataError) or state_of(error).startswith("22"):
            return self._bad_value()
        told = message(error)
        if column := NOT_UTF8(told):
            told = f"la columna {shown(column[1])} tiene un texto que no es UTF-8"
        elif begun and self.names:  # it was asked before, so that it is not the query's fault
            told = "la base de datos no pudo dar todas las filas"
        return TableError(f"{self.source}: {shown(told)}")

    def _bad_value(self) -> TableError:
        return TableError(f"{self.source}: la consulta no puede convertir un valor")

    def _statement(self) -> str:
        if self.table is None:
            return self._query
        return str(sqlalchemy.select(_EVERY).select_from(self._named()).compile(self.engine))

    def _named(self) -> sqlalchemy.TableClause:
        assert self.table is not None
        schema, table = self.table
        return sqlalchemy.table(table, schema=schema)

    def _every(self) -> sqlalchemy.Subquery:
        """The query as a table, of which columns are known by their names."""
        columns = [_column(name) for name in self._raw.values()]
        if self.table is not None:
            named = self._named()
            return sqlalchemy.select(*columns).select_from(named).subquery("asked")
        # On a line of its own ends a comment that the query may end with.
        query = self._query.strip().removesuffix(";") + "\n"
        # Each colon escaped: none of them is a parameter of SQLAlchemy's.
        return sqlalchemy.text(query.replace(":", r"\:")).columns(*columns).subquery("asked")

    def _selected(self, part: Part) -> sqlalchemy.Select[Any]:
        every = self._every()
        wanted = sqlalchemy.select(
            *(every.c[self._raw[name]] for name in part.columns or self._raw)
        )
        if part.changed is not None:
            wanted = wanted.where(every.c[self._raw[part.changed]] >= part.since)
        if part.key is not None:
            key = every.c[self._raw[part.key]]
            wanted = wanted.order_by(key)
            if part.after is not None:
                wanted = wanted.where(key > part.after)
        return wanted if part.rows is None else wanted.limit(part.rows)


_EVERY: sqlalchemy.ColumnClause[Any] = sqlalchemy.literal_column("*")


def _column(name: str) -> sqlalchemy.ColumnClause[Any]:
    return sqlalchemy.column(sqlalchemy.quoted_name(name, True))


def names_of(result: sqlalchemy.CursorResult[Any]) -> list[str]:
    """The names of a result's columns, blanks around them removed."""
    return [column.strip() for column in list(result.keys())]


def _read_only(url: sqlalchemy.URL) -> sqlalchemy.URL:
    """SQLite would make an empty database under any name, and then know no table."""
    database = url.database or ""
    if not database.startswith("file:"):
        if not Path(database).is_file():
            raise TableError(f"no hay ninguna base de datos SQLite en {shown(database)}")
        database = Path(database).absolute().as_uri()
    database = database.partition("?")[0]  # a mode of its own would win
    return url.set(database=database).update_query_dict({"mode": "ro", "uri": "true"})
