"""Portfolios in real databases, and runs between them in which a row's text is its chance.

No model is needed: what is scored is not the question here.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy
from stores import Postgresql

from propensia.batch.added import Added
from propensia.batch.blocks import Block, Results, Rows, Sink
from propensia.batch.databases import sink as database_sink
from propensia.batch.databases import source as database_source
from propensia.batch.databases.alert_list import Limits
from propensia.batch.databases.sink import About, DatabaseSink
from propensia.batch.databases.source import DatabaseSource
from propensia.delimited import TableError
from propensia.queries import databases

VERSION = "0123456789ab"
ADDED = Added(VERSION, ("no pagador", "pagador"))
CLIENTS = "CREATE TABLE clientes (id INTEGER PRIMARY KEY, ref TEXT, p TEXT)"


@pytest.fixture(scope="module")
def shared_postgresql(postgresql_server: Postgresql) -> str:
    """The URL of one database for all tests of a module: making one takes long."""
    return postgresql_server.fresh()


@pytest.fixture
def postgresql_url(shared_postgresql: str) -> str:
    """That database, empty again."""
    do(
        shared_postgresql,
        "DROP SCHEMA IF EXISTS crm CASCADE",
        "DROP SCHEMA public CASCADE",
        "CREATE SCHEMA public",
    )
    return shared_postgresql


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, once of each kind."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "datos.db")
    found: str = request.getfixturevalue("postgresql_url")
    return found


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 7 rows, and no long waits."""
    monkeypatch.setattr(database_source, "BLOCK_ROWS", 7)
    for module in (database_source, database_sink):
        monkeypatch.setattr(module, "WAITS_S", (0.05, 0.1, 0.2))


def sqlite_url(path: Path) -> str:
    """The URL of a database in a file, made if it is missing."""
    return f"sqlite:///{path.as_posix()}"


@functools.cache
def engine(url: str) -> sqlalchemy.Engine:
    """What asks a database as a person would; it keeps no connection."""
    return databases.engine(databases.url_of(url))


def do(url: str, *statements: str) -> None:
    """Run statements, each of them whole."""
    with engine(url).begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    with engine(url).connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def fill(url: str, rows: Sequence[Mapping[str, Any]], table: str = "clientes") -> None:
    """Add rows to a table, all of the same columns."""
    named = sqlalchemy.table(table, *(sqlalchemy.column(name) for name in rows[0]))
    with engine(url).begin() as connection:
        for start in range(0, len(rows), 5000):
            connection.execute(named.insert().values(list(rows[start : start + 5000])))


def clients(url: str, chances: Sequence[float | None]) -> None:
    """A table of clients with these chances, the ids from 1 on."""
    do(url, "DROP TABLE IF EXISTS clientes", CLIENTS)
    fill(
        url,
        [
            {"id": n, "ref": f"R-{n}", "p": "" if p is None else repr(p)}
            for n, p in enumerate(chances, 1)
        ],
    )


def opened(url: str, query: str = "clientes", **more: Any) -> DatabaseSource:
    """A source whose column ``p`` is read."""
    source = DatabaseSource(url, query, **more)
    source.read_columns({"p": source.heading.index("p")})
    return source


def sink(
    url: str,
    *,
    table: str = "scores",
    name: str | None = None,
    key: str | None = "id",
    limits: Limits | None = None,
    is_whole: bool = True,
    version: str = VERSION,
    release: int = 7,
    own_deciles: bool = False,
    since: datetime | None = None,
    query: str = "clientes",
) -> DatabaseSink:
    """A sink for clients, with a row's ``id`` as its key."""
    added = Added(version, ADDED.classes)
    about = About(release, "clientes", name, since, is_whole and since is None, query)
    return DatabaseSink(url, table, added, about, key=key, limits=limits, own_deciles=own_deciles)


def results(rows: Rows) -> Results:
    """The chance of each row, as its text says; a fault where it says nothing."""
    texts = rows.texts["p"].to_pylist()
    chances = np.array([float(text) if text else np.nan for text in texts])
    known = ~np.isnan(chances)
    return Results(
        probability=chances,
        positive=chances >= 0.5,
        decile=np.where(known, 3, 0).astype(np.int8),
        band=pa.array(["A" if one else "" for one in known]),
        notes=pa.array(["p:coma_decimal"] * len(chances)),
        faults=pa.array(["" if one else "p:falta" for one in known]),
        reasons=pa.array([""] * len(chances)),
    )


def render(source: DatabaseSource, sink: Sink, block: Block) -> bytes:
    """What a worker makes of a block."""
    rows = source.reader.read(block)
    return sink.writer.render(rows, results(rows))


def run(source: DatabaseSource, sink: DatabaseSink) -> None:
    """A whole run, or nothing is left of it."""
    place = None
    try:
        sink.start(None)
        for block in source.blocks():
            place = sink.keep(render(source, sink, block))
        sink.start(place)  # as a run does, which may have ended suddenly just before
        sink.finish()
    except TableError:
        sink.abandon(place)
        raise
