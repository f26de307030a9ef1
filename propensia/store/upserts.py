"""Rows into tables that may hold some of them already, many at a time, on both databases.

It never changes a row that is there but as it is told, and never tells a row as new that is not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite

from propensia.store.database import STREAM

Row = dict[str, Any]

# As the text format of COPY wants it; a text that is NULL is written \N.
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def insert_new(connection: Connection, table: Table, rows: Sequence[Row]) -> list[Row]:
    """Insert the rows whose ``id``, the table's key, is not there yet; returns those."""
    by_id = {row["id"]: row for row in reversed(rows)}
    if not by_id:
        return []
    insert = _insert_copied if connection.dialect.name == "postgresql" else _insert_missing
    return insert(connection, table, by_id)


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Row],
    changed: Sequence[str] = (),
    add: bool = False,
    *,
    least: Sequence[str] = (),
    greatest: Sequence[str] = (),
) -> None:
    """Insert rows; of those whose key is there already, replace the ``changed`` columns (with
    ``add``, by the sum of both), and let others be the ``least`` or ``greatest`` of both."""
    if not rows:
        return
    is_sqlite = connection.dialect.name == "sqlite"
    statement: Any = (sqlite if is_sqlite else postgresql).insert(table)
    old, given = table.c, statement.excluded
    new = {name: old[name] + given[name] if add else given[name] for name in changed}
    # SQLite calls them min and max, with several values.
    lesser, greater = (func.min, func.max) if is_sqlite else (func.least, func.greatest)
    new |= {name: lesser(old[name], given[name]) for name in least}
    new |= {name: greater(old[name], given[name]) for name in greatest}
    keys = [column.name for column in table.primary_key]
    statement = (
        statement.on_conflict_do_update(index_elements=keys, set_=new)
        if new
        else statement.on_conflict_do_nothing(index_elements=keys)
    )
    if not is_sqlite:
        # Asked what it wrote, SQLAlchemy sends a thousand rows at once to pg8000, and else one.
        statement = statement.returning(*table.primary_key)
    # Two programs that change the same rows do it in the same order, or they would wait for each
    # other for ever.
    ordered = sorted(rows, key=lambda row: tuple(row[name] for name in keys))
    connection.execute(statement, ordered)


def _insert_missing(connection: Connection, table: Table, by_id: dict[str, Row]) -> list[Row]:
    """For SQLite: nobody else writes while this transaction does."""
    told = func.json_each(json.dumps(list(by_id))).table_valued("value")
    known = connection.scalars(select(table.c.id).where(table.c.id.in_(select(told.c.value))))
    for id in known:
        del by_id[id]
    if by_id:
        connection.execute(table.insert(), list(by_id.values()))
    return list(by_id.values())


def _insert_copied(connection: Connection, table: Table, by_id: dict[str, Row]) -> list[Row]:
    """For PostgreSQL: copied into a table of this connection, then inserted from there, so that
    rows which another connection inserts meanwhile are waited for, and not counted."""
    names = list(by_id[next(iter(by_id))])
    columns = ", ".join(f'"{name}"' for name in names)
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE IF NOT EXISTS new_{table.name} (LIKE {table.name}) "
        "ON COMMIT DELETE ROWS"
    )
    connection.exec_driver_sql(f"TRUNCATE new_{table.name}")
    data = "".join("\t".join(map(_copied, row.values())) + "\n" for row in by_id.values())
    connection.exec_driver_sql(
        f"COPY new_{table.name} ({columns}) FROM STDIN",
        execution_options={STREAM: [data.encode("utf-8")]},
    )
    inserted = connection.exec_driver_sql(
        f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM new_{table.name} "
        "ORDER BY id ON CONFLICT DO NOTHING RETURNING id"
    )
    return [by_id[id] for id in inserted.scalars()]


def _copied(value: Any) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, str):
        return value.translate(_ESCAPES)
    return str(value)
