"""Blocks of scores on their way into a table: made ready by a worker, put in at once.

It never leaves a part of a block behind, and never doubles a row.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from sqlalchemy import (
    Column,
    Connection,
    Double,
    MetaData,
    SmallInteger,
    Table,
    Text,
    literal,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite

from propensia import columnar
from propensia.batch import arrow
from propensia.batch.added import REASONS, Added
from propensia.batch.blocks import Results, Rows
from propensia.batch.row_faults import FEWER_COLUMNS, LOOSE_QUOTE, MORE_COLUMNS, OPEN_QUOTE
from propensia.delimited import TableError
from propensia.files import shown
from propensia.queries.databases import STREAM

ROW = "row"
MISPLACED = frozenset({FEWER_COLUMNS, MORE_COLUMNS, OPEN_QUOTE, LOOSE_QUOTE})
"""Of rows whose cells may stand in other columns than their own."""
# How many rows follow.
HEAD = struct.Struct("<Q")
# Where a block waits, for as long as its transaction.
ARRIVING = Table(
    "propensia_arriving",
    MetaData(),
    Column(ROW, Text),
    Column("probabilidad", Double),
    Column("clasificacion", Text),
    Column("decil", SmallInteger),
    *(Column(name, Text) for name in ("banda", "avisos", "error", REASONS)),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",
)
NAMES = [column.name for column in ARRIVING.columns]


@dataclass(frozen=True, slots=True)
class DatabaseWriter:
    """Renders rows for a table. ``key``: the column that names a row; ``None``: its number.
    ``copies``: as PostgreSQL copies them.

    A row that is broken as a whole spoils no other: where nobody knows which of its cells is the
    key, it is called ``fila`` and its number.
    """

    added: Added
    key: str | None
    copies: bool

    def render(self, rows: Rows, results: Results) -> bytes:
        """As ``Writer.render``. Raises ``TableError`` for a sound row without a key, for two of
        one key and for keys that no text can be made of."""
        found: dict[str, Any] = {ROW: self._keys(rows)}
        found |= dict(zip(self.added.names, self.added.columns(results), strict=True))
        if not self.added.reasons:
            found[REASONS] = pa.nulls(len(rows), pa.string())
        batch = pa.record_batch([found[name] for name in NAMES], NAMES)
        return HEAD.pack(len(rows)) + (_copied(batch) if self.copies else arrow.packed(batch))

    def _keys(self, rows: Rows) -> pa.StringArray:
        if self.key is None:
            return columnar.texts(pa.array(rows.lines))
        columns = rows.columns()
        names = [name.strip() for name in columns.schema.names]
        keys = arrow.texts(columns.column(names.index(self.key)), self.key)
        if rows.broken:
            keys = _named(keys, rows)
        empty = _empty(keys)
        if pc.any(empty).as_py():
            line = rows.lines[pc.index(empty, True).as_py()]
            raise TableError(f"la columna {shown(self.key)} no tiene clave en la fila {line}")
        torn = pc.match_substring(keys, "\0")
        if self.copies and pc.any(torn).as_py():
            line = rows.lines[pc.index(torn, True).as_py()]
            raise TableError(
                f"la columna {shown(self.key)} tiene en la fila {line} una clave con un carácter "
                "nulo, que PostgreSQL no admite"
            )
        if pc.count_distinct(keys).as_py() < len(keys):
            raise not_unique(self.key)
        return keys


def _named(keys: pa.StringArray, rows: Rows) -> pa.StringArray:
    """The keys, with a name by its number for each broken row that tells none."""
    empty = _empty(keys).to_numpy(zero_copy_only=False)
    unknown = np.zeros(len(keys), dtype=bool)
    for place, code in rows.broken.items():
        unknown[place] = code in MISPLACED or empty[place]
    numbers = columnar.texts(pa.array(rows.lines))
    return pc.if_else(pa.array(unknown), pc.binary_join_element_wise("fila", numbers, " "), keys)


def _empty(keys: pa.StringArray) -> pa.BooleanArray:
    return pc.equal(pc.utf8_trim_whitespace(keys), "")


def not_unique(key: str | None) -> TableError:
    """What is wrong with a column that was to be the key."""
    return TableError(
        f"la columna {shown(key or '')} no distingue las filas: hay dos con la misma clave"
    )


def _copied(batch: pa.RecordBatch) -> bytes:
    """As ``COPY … WITH (FORMAT csv)`` reads it: only what is NULL has no quotes."""
    out = pa.BufferOutputStream()
    options = pa.csv.WriteOptions(include_header=False, quoting_style="all_valid")
    pa.csv.write_csv(batch, out, options)
    found: bytes = out.getvalue().to_pybytes()
    return found


def put(connection: Connection, content: bytes, scores: Table, same: Mapping[str, Any]) -> int:
    """Put what a writer rendered into ``scores``, in the place of rows of the same key; ``same``
    are the columns that are alike in all of them. How many rows that were.

    Within the transaction of ``connection``. Raises ``SQLAlchemyError``.
    """
    ARRIVING.create(connection, checkfirst=False)
    (count,) = HEAD.unpack_from(content)
    rest = content[HEAD.size :]
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite:
        columns = [column.to_pylist() for column in arrow.unpacked(rest)]
        marks = ", ".join("?" * len(NAMES))
        into = f"INSERT INTO {ARRIVING.name} VALUES ({marks})"
        connection.exec_driver_sql(into, list(zip(*columns, strict=True)))
    else:
        connection.exec_driver_sql(
            f"COPY {ARRIVING.name} FROM STDIN WITH (FORMAT csv)",
            execution_options={STREAM: [rest]},
        )
    alike = [literal(value, scores.c[name].type) for name, value in same.items()]
    # In the order of the keys: two programs would else wait for each other for ever.
    found = select(*alike, *ARRIVING.columns).where(true()).order_by(ARRIVING.c.row)
    statement: Any = (sqlite if is_sqlite else postgresql).insert(scores)
    statement = statement.from_select([*same, *NAMES], found)
    keys = [column.name for column in scores.primary_key]
    changed = {name: statement.excluded[name] for name in (*same, *NAMES) if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed))
    return int(count)
