"""Big tables as blocks of texts, as the contract reads them: CSV, Parquet or a database query.

It never holds more than a block of a table, and never turns a text into another one or into none.
"""

from __future__ import annotations

import hashlib
import io
import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy
from sqlalchemy.exc import DataError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from propensia import delimited, files
from propensia.delimited import TableError
from propensia.files import masked, shown

BLOCK_ROWS = 20_000
PARQUET = (".parquet", ".pq")
BUFFER_BYTES = 1 << 20
# A column without a name, as a spreadsheet's stray one is, also after pandas wrote it.
NAMELESS = re.compile(r"(?:Unnamed: [0-9]+)?").fullmatch
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
# Whole numbers up to here are exact in float64, and short.
WHOLE = 1e15
Texts = list[str]


class Table(ABC):
    """A table that can be read from its start to its end, as often as one likes.

    ``source`` is fit to be shown: a path, or a database URL without its password. ``heading``
    holds the names of its columns, blanks around them removed, nameless ones left out; none is
    there twice. ``sha256`` is of a file's bytes; of a query, of all its texts, and empty until
    the last block was read.
    """

    source: str
    heading: tuple[str, ...]
    sha256: str

    def blocks(self, columns: Sequence[str], rows: int = BLOCK_ROWS) -> Iterator[dict[str, Texts]]:
        """The texts of ``columns``, of at most ``rows`` rows at a time, in the table's order.

        ``""`` is no data. Numbers read back exactly, without ``.0``; dates are ISO. Raises
        ``TableError``, with the line where there is one, also when the file changed meanwhile;
        ``KeyError`` for a column that is not in ``heading``.
        """
        unknown = set(columns) - set(self.heading)
        if unknown:
            raise KeyError(", ".join(sorted(unknown)))
        for texts in self._read(columns, rows):
            yield dict(zip(columns, texts, strict=True))

    @abstractmethod
    def _read(self, columns: Sequence[str], rows: int) -> Iterator[list[Texts]]:
        """Blocks, each a list of texts per column."""


def open_table(source: str, query: str | None = None) -> Table:
    """The table in a file, or the rows of a ``query`` (or a table's name) at a database URL.

    Reads a file once, for its hash. Raises ``TableError`` for what is no table, and ``OSError``.
    """
    if "://" in source:
        if not query:
            raise TableError("una base de datos necesita una consulta o el nombre de una tabla")
        return _Query(source, query)
    if query:
        raise TableError(f"{shown(source)}: una consulta solo vale para una base de datos")
    path = Path(source)
    if not path.is_file():
        raise TableError(f"{shown(source)}: no existe o no es un fichero")
    return _Parquet(path) if path.suffix.lower() in PARQUET else _Csv(path)


class _File(Table):
    """A file, which must still be the same when its end was reached."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.source = str(path)
        self.sha256 = files.digest(path)

    def _must_be_unchanged(self) -> None:
        if files.digest(self._path) != self.sha256:
            raise TableError(
                f"{shown(self._path.name)} ha cambiado mientras se leía; espere a que esté "
                "completo y repita"
            )


class _Csv(_File):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with files.open_regular(path) as stream:
            self._encoding = delimited.table_encoding(stream, path.name)
        with self._lines() as (heading, _):
            self._names = heading
        if not any(heading):
            raise TableError(f"{shown(path.name)} está vacío: no tiene ni cabecera")
        self.heading = tuple(name for name in heading if not NAMELESS(name))

    @contextmanager
    def _lines(self) -> Iterator[tuple[list[str], Iterator[list[str]]]]:
        with (
            files.open_regular(self._path) as stream,
            io.TextIOWrapper(stream, encoding=self._encoding, newline="") as text,
        ):
            try:
                yield delimited.parse_table(text, self._path.name)
            except UnicodeDecodeError as error:  # it was checked to its end: somebody is writing
                self._must_be_unchanged()
                raise TableError(f"{shown(self._path.name)}: {error.reason}") from error

    def _read(self, columns: Sequence[str], rows: int) -> Iterator[list[Texts]]:
        with self._lines() as (heading, lines):
            if heading != self._names:
                self._must_be_unchanged()
            places = [heading.index(name) for name in columns]
            while block := list(islice(lines, rows)):
                yield [[row[place] for row in block] for place in places]
        self._must_be_unchanged()


class _Parquet(_File):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self._opened() as file:
            self._names = {name.strip(): name for name in file.schema_arrow.names}
            _refuse_twice([name.strip() for name in file.schema_arrow.names], path.name)
        self.heading = tuple(name for name in self._names if not NAMELESS(name))

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        try:
            with (
                files.open_regular(self._path) as stream,
                pq.ParquetFile(stream, buffer_size=BUFFER_BYTES) as file,
            ):
                yield file
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            if getattr(error, "errno", None) is not None:  # the system's; pyarrow's have none
                raise
            name = shown(self._path.name)
            raise TableError(f"{name}: no es un fichero Parquet entero") from error

    def _read(self, columns: Sequence[str], rows: int) -> Iterator[list[Texts]]:
        names = [self._names[name] for name in columns]
        with self._opened() as file:
            for batch in file.iter_batches(rows, columns=names):
                yield [self._texts(name, batch.column(name)) for name in names]
        self._must_be_unchanged()

    def _texts(self, name: str, values: pa.Array) -> Texts:
        if pa.types.is_floating(values.type):
            values = pc.if_else(pc.is_nan(values), None, values)
        try:
            texts: Texts = pc.fill_null(pc.cast(values, pa.string()), "").to_pylist()
        except pa.ArrowException as error:
            raise TableError(
                f"{shown(self._path.name)}: la columna {shown(name)} no es de textos, números "
                f"ni fechas, sino {shown(str(values.type))}"
            ) from error
        return texts


class _Query(Table):
    def __init__(self, source: str, query: str) -> None:
        url = _url(source)
        self.source = masked(url.set(query={}).render_as_string(hide_password=True))
        self.sha256 = ""
        self._query = query
        self._backend = url.get_backend_name()
        self._refuse_changes()
        if self._backend == "sqlite":
            url = _read_only(url)
        try:
            self._engine = sqlalchemy.create_engine(url, poolclass=NullPool)
        except SQLAlchemyError as error:
            raise TableError(f"{self.source}: no se conoce ese tipo de base de datos") from error
        except ImportError as error:
            raise TableError(f"{self.source}: falta instalar {error.name}") from error
        with self._result() as result:
            self._names = _names(result)
        _refuse_twice(self._names, self.source)
        self.heading = tuple(name for name in self._names if not NAMELESS(name))

    def _refuse_changes(self) -> None:
        query = self._query.strip()
        if not TABLE_NAME(query) and not READS(query):
            raise TableError(
                f"{self.source}: una consulta empieza por SELECT o WITH, o es el nombre de una "
                "tabla; aquí solo se lee"
            )
        # A second statement could end the transaction that only reads; SQLite's driver has none.
        if self._backend != "sqlite" and ";" in query.removesuffix(";"):
            raise TableError(f"{self.source}: una consulta es una sola orden, sin «;» dentro")

    @contextmanager
    def _result(self) -> Iterator[sqlalchemy.CursorResult[Any]]:
        """The rows as they come, only read; closing the connection rolls back in any case."""
        # Without a parameter list a driver leaves % and : of the query alone.
        options = {"stream_results": True, "max_row_buffer": BLOCK_ROWS, "no_parameters": True}
        begun = False
        try:
            with self._engine.connect() as connection:
                if self._backend in READ_ONLY:
                    connection.exec_driver_sql(READ_ONLY[self._backend])
                connection.execution_options(**options)
                result = connection.exec_driver_sql(self._statement())
                if not result.returns_rows:
                    raise TableError(f"{self.source}: la consulta no devuelve filas")
                begun = True
                yield result
        except (DataError, UnicodeError):  # whose text holds the value, also in a traceback
            raise TableError(f"{self.source}: la consulta no puede convertir un valor") from None
        except (SQLAlchemyError, sqlite3.Warning) as error:  # the latter of two statements
            # Only its first line: the rest repeats the query, which may hold anything.
            told = str(getattr(error, "orig", None) or error).partition("\n")[0]
            if column := NOT_UTF8(told):
                told = f"la columna {shown(column[1])} tiene un texto que no es UTF-8"
            elif begun:
                told = "la base de datos no pudo dar todas las filas"
            raise TableError(f"{self.source}: {shown(told)}") from None

    def _statement(self) -> str:
        name = TABLE_NAME(self._query.strip())
        if name is None:
            return self._query
        schema, table = name.groups()
        every: sqlalchemy.ColumnClause[Any] = sqlalchemy.literal_column("*")
        selected = sqlalchemy.select(every).select_from(sqlalchemy.table(table, schema=schema))
        return str(selected.compile(self._engine))

    def _read(self, columns: Sequence[str], rows: int) -> Iterator[list[Texts]]:
        places = [self._names.index(name) for name in columns]
        total = hashlib.sha256("\x1f".join(self._names).encode("utf-8"))
        with self._result() as result:
            if _names(result) != self._names:
                raise TableError(f"{self.source}: la consulta ha cambiado; repita")
            while block := result.fetchmany(rows):
                texts = [[_text(value) for value in row] for row in block]
                for row in texts:
                    total.update(("\x1e" + "\x1f".join(row)).encode("utf-8", "backslashreplace"))
                yield [[row[place] for row in texts] for place in places]
        self.sha256 = total.hexdigest()


def _text(value: Any) -> str:
    """A value that a driver gave as the text that reads back to it."""
    if value is None:
        return ""
    if isinstance(value, float):
        if value != value:
            return ""
        return str(int(value)) if value.is_integer() and abs(value) < WHOLE else repr(value)
    return str(value)


def _names(result: sqlalchemy.CursorResult[Any]) -> list[str]:
    return [column.strip() for column in list(result.keys())]


def _url(source: str) -> sqlalchemy.URL:
    """A database URL; no error of it is shown, for that could hold a part of the password."""
    try:
        url = sqlalchemy.make_url(source)
        backend = url.get_backend_name()
    except Exception:  # a port that is no number is a ValueError, and there may be others
        raise TableError("la dirección de la base de datos no es tipo://…/base") from None
    if backend != "sqlite" and "@" in f"{url.host}{url.database}":
        raise TableError(
            "la dirección de la base de datos tiene una @ de más; en una contraseña se escribe %40"
        )
    return url


def _read_only(url: sqlalchemy.URL) -> sqlalchemy.URL:
    """SQLite would make an empty database under any name, and then know no table."""
    database = url.database or ""
    if not database.startswith("file:"):
        if not Path(database).is_file():
            raise TableError(f"no hay ninguna base de datos SQLite en {shown(database)}")
        database = Path(database).absolute().as_uri()
    database = database.partition("?")[0]  # a mode of its own would win
    return url.set(database=database).update_query_dict({"mode": "ro", "uri": "true"})


def _refuse_twice(names: Sequence[str], source: str) -> None:
    delimited.refuse_twice(["" if NAMELESS(name) else name for name in names], source)
