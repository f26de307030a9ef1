"""The tables of scores in somebody's database: their shape, made if missing, refused if other.

It never changes a table that is there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Double,
    Float,
    Inspector,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    inspect,
    types,
)
from sqlalchemy.engine.interfaces import ReflectedColumn

from propensia.delimited import TableError
from propensia.files import shown

TABLE = "scores"
NAME = re.compile(r"(?:([A-Za-z_]\w*)\.)?([A-Za-z_]\w{0,50})", re.ASCII).fullmatch
# What a column of each of our kinds may be in a table that was there before.
KINDS: Mapping[type[types.TypeEngine[Any]], tuple[str, tuple[type[types.TypeEngine[Any]], ...]]]
KINDS = {
    Text: ("de textos", (String,)),
    # A number of less would round each chance, and nobody would be told.
    Double: ("de doble precisión", (Double,)),
    Integer: ("de números enteros", (Integer,)),
    DateTime: ("de fecha y hora", (DateTime,)),
}


@dataclass(frozen=True, slots=True)
class Run:
    """One run into the tables. ``began``: UTC, also told of each of its rows. ``is_whole``: it is
    over the whole portfolio, and not only over what has changed."""

    id: str
    version: str
    began: datetime
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one name, as they are to be: ``scores``, the ``runs`` that wrote them, the
    ``events`` of the alert list and who is ``listed``; and a ``view`` of what holds now, of which
    only the name is told.
    """

    scores: Table
    runs: Table
    events: Table
    listed: Table
    view: Table

    @classmethod
    def named(cls, name: str) -> Tables:
        """``scores``, or ``schema.scores``. Raises ``TableError`` for what is no name."""
        found = NAME(name)
        if found is None:
            raise TableError(
                f"{shown(name)} no vale como nombre de tabla: letras sin tilde, cifras y _"
            )
        schema, own = found.groups()
        every = MetaData(schema=schema)
        return cls(
            _scores(own, every),
            _runs(f"{own}_runs", every),
            _events(f"{own}_alerts", every),
            _listed(f"{own}_listed", every),
            Table(f"{own}_latest", MetaData(schema=schema)),
        )

    def every(self) -> tuple[Table, ...]:
        """All tables."""
        return self.scores, self.runs, self.events, self.listed


def _scores(name: str, every: MetaData) -> Table:
    return Table(
        name,
        every,
        *_texts("run", "row", "version", primary_key=True),
        Column("publicacion", Integer, nullable=False),
        Column("momento", DateTime(timezone=True), nullable=False),
        Column("probabilidad", Double),
        Column("clasificacion", Text),
        Column("decil", SmallInteger),
        *_texts("banda", "avisos", "error", "motivos"),
    )


def _runs(name: str, every: MetaData) -> Table:
    return Table(
        name,
        every,
        *_texts("id", "version", primary_key=True),
        Column("publicacion", Integer, nullable=False),
        Column("started", DateTime(timezone=True), nullable=False),
        Column("finished", DateTime(timezone=True)),
        Column("since", DateTime(timezone=True)),
        Column("whole", SmallInteger, nullable=False),
        Column("rows", BigInteger),
        Column("scored", BigInteger),
        Column("input", Text, nullable=False),
        *_texts("query", "key"),
    )


def _events(name: str, every: MetaData) -> Table:
    return Table(
        name,
        every,
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        *_texts("run", "row", "event", "version", nullable=False),
        Column("probabilidad", Double),
        Column("banda", Text),
        Column("momento", DateTime(timezone=True), nullable=False),
        Column("delivered", DateTime(timezone=True)),
        UniqueConstraint("run", "version", "momento", "row"),
        sqlite_autoincrement=True,  # an id is never given twice, also when rows were removed
    )


def _listed(name: str, every: MetaData) -> Table:
    return Table(
        name,
        every,
        *_texts("row", primary_key=True),
        *_texts("run", nullable=False),
        Column("momento", DateTime(timezone=True), nullable=False),
    )


def _texts(*names: str, **more: Any) -> list[Column[str]]:
    return [Column(name, Text, **more) for name in names]


def missing(connection: Connection, tables: Tables) -> list[Table]:
    """The tables that are not there yet, and the view, the last. Raises ``TableError`` for those
    that are and have another shape, naming the column, and ``SQLAlchemyError``."""
    found = inspect(connection)
    absent = []
    for table in tables.every():
        if not found.has_table(table.name, table.schema):
            absent.append(table)
        elif told := _differences(found, table):
            raise TableError(
                f"la tabla {table.fullname} ya existe y no es de resultados de propensia: "
                f"{'; '.join(told)}. No se ha tocado: diga otro nombre con --table"
            )
    view = tables.view
    if not found.has_table(view.name, view.schema):
        absent.append(view)
    elif view.name in found.get_table_names(view.schema):
        raise TableError(
            f"{view.fullname} ya existe y no es una vista: ha de serlo, de lo que vale ahora. No "
            "se ha tocado: diga otro nombre con --table"
        )
    return absent


def make(connection: Connection, tables: Tables, absent: list[Table]) -> None:
    """Make what is not there, even by now: all of it, or nothing. Raises ``SQLAlchemyError``."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver would begin after the DDL
    for table in absent:
        if table is not tables.view:
            table.create(connection, checkfirst=True)
    view = tables.view
    if view in absent and not inspect(connection).has_table(view.name, view.schema):
        connection.exec_driver_sql(_view(connection, tables))


def _differences(found: Inspector, table: Table) -> list[str]:
    own = {column["name"]: column for column in found.get_columns(table.name, table.schema)}
    if table.name in found.get_view_names(table.schema):
        return ["es una vista"]
    is_sqlite = found.dialect.name == "sqlite"
    told = [_difference(column, own.get(column.name), is_sqlite) for column in table.columns]
    told += [
        f"la columna {shown(name)} no puede quedar vacía"
        for name, column in own.items()
        if name not in table.c and not column["nullable"] and column["default"] is None
    ]
    keys = [column.name for column in table.primary_key]
    if not any(told) and sorted(keys) not in _keys(found, table):
        told.append(f"falta la clave única {', '.join(keys)}")
    return [text for text in told if text]


def _difference(wanted: Column[Any], found: ReflectedColumn | None, is_sqlite: bool) -> str:
    if found is None:
        return f"falta la columna {wanted.name}"
    kind, allowed = next(told for known, told in KINDS.items() if isinstance(wanted.type, known))
    if is_sqlite and isinstance(wanted.type, Double):
        allowed = (Float,)  # REAL, too, has all digits there
    if not isinstance(found["type"], allowed):
        return f"la columna {wanted.name} no es {kind}"
    return ""


def _keys(found: Inspector, table: Table) -> list[list[str]]:
    """What tells a row from all others, each a sorted list of columns."""
    primary = found.get_pk_constraint(table.name, table.schema)["constrained_columns"]
    unique = found.get_unique_constraints(table.name, table.schema)
    indices = [index for index in found.get_indexes(table.name, table.schema) if index["unique"]]
    named = [primary, *(one["column_names"] for one in unique)]
    named += [[name or "" for name in one["column_names"]] for one in indices]
    return [sorted(names) for names in named]


def _view(connection: Connection, tables: Tables) -> str:
    """Of each row its newest score: from the last complete run over the whole portfolio on."""
    quoted = connection.dialect.identifier_preparer.format_table
    scores, runs = quoted(tables.scores), quoted(tables.runs)
    view = quoted(tables.view)
    columns = ", ".join(f'"{column.name}"' for column in tables.scores.columns)
    return f"""CREATE VIEW {view} AS SELECT {columns} FROM (
    SELECT s.*, row_number() OVER (
        PARTITION BY s."row" ORDER BY r.finished DESC, r.started DESC, s.run DESC, s.version DESC
    ) AS newest
    FROM {scores} s JOIN {runs} r ON r.id = s.run AND r.version = s.version
    WHERE r.finished >= coalesce(
        (SELECT max(finished) FROM {runs} WHERE whole = 1),
        (SELECT min(finished) FROM {runs})
    )
) AS found WHERE newest = 1"""
