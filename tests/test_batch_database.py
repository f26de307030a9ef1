"""Portfolios from database to database: read in order, written once, gone on with."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import traceback
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import batch_databases
import numpy as np
import pytest
import sqlalchemy
from batch_databases import (
    VERSION,
    ask,
    clients,
    do,
    fill,
    opened,
    render,
    results,
    run,
    sink,
    sqlite_url,
)
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite
from stores import Postgresql

from propensia.batch import arrow
from propensia.batch.blocks import Block
from propensia.batch.csv_files.reading import CsvReader
from propensia.batch.databases import keys
from propensia.batch.databases import since as sinces
from propensia.batch.databases import source as database_source
from propensia.batch.databases.alert_list import Limits
from propensia.batch.databases.arriving import HEAD, DatabaseWriter
from propensia.batch.databases.since import Since
from propensia.batch.databases.source import DatabaseSource
from propensia.batch.row_faults import LOST_LETTERS
from propensia.delimited import TableError
from propensia.queries import databases
from propensia.queries.databases import Gone
from propensia.queries.query import Part, Query

CHANCES = [round(n / 64, 6) for n in range(50)]


pytestmark = pytest.mark.usefixtures("small_blocks")
shared_postgresql = batch_databases.shared_postgresql
postgresql_url = batch_databases.postgresql_url
url, small_blocks = batch_databases.url, batch_databases.small_blocks


def texts(source: DatabaseSource, blocks: list[Block], column: str) -> list[Any]:
    found = [source.reader.read(block).columns() for block in blocks]
    return [text for batch in found for text in batch[column].to_pylist()]


# The source


def test_a_table_is_read_in_blocks_in_the_order_of_its_primary_key(url: str) -> None:
    clients(url, CHANCES)
    source = opened(url)
    blocks = list(source.blocks())
    assert source.key == "id"
    assert [len(source.reader.read(block)) for block in blocks] == [7] * 7 + [1]
    assert texts(source, blocks, "id") == [str(n) for n in range(1, 51)]
    assert [block.first for block in blocks] == list(range(1, 51, 7))
    assert [block.done for block in blocks][-1] == 1.0
    assert blocks[3].done == pytest.approx(28 / 50)
    assert source.reader.read(blocks[0]).texts["p"].to_pylist()[1] == "0.015625"


def test_after_each_block_the_rest_is_the_same_from_its_noted_end(url: str) -> None:
    clients(url, CHANCES)
    source = opened(url)
    blocks = list(source.blocks())
    for place, block in enumerate(blocks):
        noted = json.loads(json.dumps(block.end))
        assert list(opened(url).blocks(noted)) == blocks[place + 1 :]


KEYS = {
    "bigint": [3, -1, 2**62],
    "text": ["b", "a ñ", "a'; --%s:x"],
    "numeric(12,3)": [Decimal("1.500"), Decimal("-2.250"), Decimal("3.125")],
    "timestamp": [
        datetime(2026, 1, 2, 3, 4, 5, 678901),
        datetime(2025, 1, 1),
        datetime(1999, 1, 1),
    ],
    "timestamptz": [datetime(2026, 1, n, tzinfo=UTC) for n in (3, 1, 2)],
    "date": [date(2026, 1, 2), date(2025, 1, 1), date(1999, 12, 31)],
    "uuid": [UUID(int=5), UUID(int=2**100), UUID(int=0)],
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_of_any_usual_type_orders_and_goes_on(
    kind: str, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    do(postgresql_url, f'CREATE TABLE t ("La Clave" {kind} PRIMARY KEY, p text)')
    fill(postgresql_url, [{"La Clave": key, "p": "1"} for key in KEYS[kind]], "t")
    monkeypatch.setattr(database_source, "BLOCK_ROWS", 1)
    source = opened(postgresql_url, "t")
    blocks = list(source.blocks())
    assert [keys.restored(json.loads(json.dumps(block.end))["key"]) for block in blocks] == sorted(
        KEYS[kind]
    )
    assert list(source.blocks(json.loads(json.dumps(blocks[0].end)))) == blocks[1:]


def test_a_key_of_another_type_is_refused_by_its_name(postgresql_url: str) -> None:
    do(postgresql_url, "CREATE TABLE t (clave double precision PRIMARY KEY, p text)")
    fill(postgresql_url, [{"clave": 1.5, "p": "1"}], "t")
    with pytest.raises(
        TableError, match=r"la columna clave no puede ser la clave .* por ser float"
    ):
        list(opened(postgresql_url, "t").blocks())


@pytest.mark.parametrize("extra", [[(50, "x", "1")], [(None, "x", "1")], [(None, "y", "1")] * 2])
def test_a_key_that_is_there_twice_or_missing_is_refused(
    url: str, extra: list[tuple[Any, ...]]
) -> None:
    do(url, "CREATE TABLE t (id INTEGER, ref TEXT, p TEXT)")
    rows = [(n, "r", "1") for n in range(1, 51)] + extra
    fill(url, [dict(zip(("id", "ref", "p"), row, strict=True)) for row in rows], "t")
    told = f"la clave id se repite o falta en {len(extra)} de {len(rows)} filas"
    with pytest.raises(TableError, match=told):
        opened(url, "t", key="id")


def test_a_query_needs_a_key_of_the_person_to_be_gone_on_with(url: str) -> None:
    clients(url, CHANCES)
    query = "SELECT id, p FROM clientes WHERE ref LIKE 'R-%' -- 12:30 :x"
    keyless, keyed = opened(url, query), opened(url, query, key="id")
    assert keyless.key is None
    assert texts(keyless, list(keyless.blocks()), "id") == [str(n) for n in range(1, 51)]
    assert texts(keyed, list(keyed.blocks()), "id") == [str(n) for n in range(1, 51)]
    with pytest.raises(TableError, match="sin clave"):
        next(iter(keyless.blocks({"number": 1, "first": 8, "key": None})))
    with pytest.raises(TableError, match="no hay ninguna columna IDE, que dice --key"):
        opened(url, query, key="IDE")


@given(st.text(st.characters(codec="ascii", exclude_characters="\0\n\r;")))
def test_no_sign_of_a_query_is_taken_for_a_parameter(tail: str) -> None:
    """What a database gets is what the person wrote, whatever colons and backslashes are in it."""
    query = object.__new__(Query)
    query._query, query._raw = f"SELECT 1 AS k -- {tail}", {"k": "k"}
    made = query._selected(Part(key="k", rows=3))
    sent = str(made.compile(dialect=sqlite.dialect()))  # type: ignore[no-untyped-call]
    assert f"(SELECT 1 AS k -- {tail}".rstrip() + "\n)" in sent.replace(" \n", "\n")


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("double precision", 3.0, "3"),
        ("double precision", 0.1, "0.1"),
        ("integer", 7, "7"),
        ("numeric(10,2)", Decimal("263.60"), "263.60"),
        ("date", date(2026, 1, 31), "2026-01-31"),
        ("text", "N/A ", "N/A "),
        ("text", None, None),
        ("double precision", float("nan"), ""),
        ("numeric(30,0)", Decimal(10) ** 25, "1" + "0" * 25),
    ],
)
def test_a_value_is_the_text_that_a_client_would_have_sent(
    kind: str, value: Any, text: str | None, postgresql_url: str
) -> None:
    do(postgresql_url, f"CREATE TABLE t (id integer PRIMARY KEY, p {kind})")
    fill(postgresql_url, [{"id": 1, "p": value}], "t")
    source = opened(postgresql_url, "t")
    rows = source.reader.read(next(iter(source.blocks())))
    assert rows.columns()["p"].to_pylist() == [text]
    assert rows.texts["p"].to_pylist() == [text or ""]


def test_a_column_of_mixed_values_in_sqlite_is_of_their_texts(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, p)")
        values = [(1,), ("x",), (2.0,), (2**63 - 1,), (None,)]
        connection.executemany("INSERT INTO t (p) VALUES (?)", values)
    source = opened(sqlite_url(path), "t")
    assert texts(source, list(source.blocks()), "p") == ["1", "x", "2", str(2**63 - 1), None]


def test_the_same_database_gets_the_scores_while_it_is_read(url: str) -> None:
    """A file of SQLite that somebody reads cannot be written into."""
    clients(url, CHANCES)
    run(opened(url), sink(url))
    assert ask(url, "SELECT count(*) FROM scores_latest") == [(50,)]


# A database that goes away


def end_connections(server: Postgresql, url: str) -> None:
    name = url.rpartition("/")[2]
    server.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


def test_a_connection_that_is_ended_is_made_anew_behind_the_last_block(
    postgresql_server: Postgresql, postgresql_url: str
) -> None:
    clients(postgresql_url, CHANCES)
    source = opened(postgresql_url)
    found = []
    for number, block in enumerate(source.blocks()):
        found.append(block)
        if number in (1, 4):
            end_connections(postgresql_server, postgresql_url)
    assert texts(source, found, "id") == [str(n) for n in range(1, 51)]


def test_without_a_key_it_cannot_be_gone_on_with_and_that_is_no_fault_of_the_table(
    postgresql_server: Postgresql, postgresql_url: str
) -> None:
    clients(postgresql_url, CHANCES)
    blocks = opened(postgresql_url, "SELECT * FROM clientes").blocks()
    next(blocks)
    end_connections(postgresql_server, postgresql_url)
    with pytest.raises(Gone) as caught:
        list(blocks)
    assert isinstance(caught.value, OSError)
    assert "R-" not in "".join(traceback.format_exception(caught.value))


def test_a_server_that_stays_away_ends_a_run_that_can_be_gone_on_with(
    own_postgresql: Postgresql,
) -> None:
    url = own_postgresql.fresh()
    clients(url, CHANCES)
    source, target = opened(url), sink(url)
    blocks = source.blocks()
    target.start(None)
    first = next(blocks)
    place = target.keep(render(source, target, first))
    own_postgresql.stop()
    with pytest.raises(Gone, match=r"responde|parando"):
        list(blocks)
    with pytest.raises(Gone, match="no responde"):
        target.keep(render(source, target, first))
    own_postgresql.start()
    again, resumed = opened(url), sink(url)
    resumed.start(json.loads(json.dumps(place)))
    for block in again.blocks(json.loads(json.dumps(first.end))):
        resumed.keep(render(again, resumed, block))
    resumed.finish()
    assert ask(url, "SELECT count(*), count(distinct row) FROM scores") == [(50, 50)]
    assert ask(url, "SELECT rows, scored FROM scores_runs") == [(50, 50)]


def test_a_block_is_written_once_more_where_its_connection_was_ended(
    postgresql_server: Postgresql, postgresql_url: str
) -> None:
    clients(postgresql_url, CHANCES)
    source, target = opened(postgresql_url), sink(postgresql_url)
    target.start(None)
    ended: list[int] = []

    def once(*_: Any) -> None:
        if not ended:
            ended.append(1)
            end_connections(postgresql_server, postgresql_url)

    sqlalchemy.event.listen(target._engine, "commit", once)
    for block in source.blocks():
        target.keep(render(source, target, block))
    target.finish()
    assert ended
    assert ask(postgresql_url, "SELECT count(*) FROM scores_latest") == [(50,)]


def test_a_value_that_a_query_cannot_convert_is_told_nowhere(
    postgresql_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    clients(postgresql_url, CHANCES)
    with pytest.raises(TableError, match="no puede convertir un valor") as caught:
        opened(postgresql_url, "SELECT id, CAST(ref AS integer) AS p FROM clientes")
    assert "R-1" not in "".join(traceback.format_exception(caught.value))
    assert "R-1" not in caplog.text


# The sink


def test_the_table_says_of_each_row_what_was_found(url: str) -> None:
    clients(url, [0.25, None, 0.1 + 0.2])
    run(opened(url), sink(url, name="2026-01"))
    rows = ask(
        url,
        "SELECT run, row, version, publicacion, probabilidad, clasificacion, decil, banda, "
        "avisos, error, motivos FROM scores ORDER BY row",
    )
    start, note = ("2026-01",), "p:coma_decimal"
    assert rows == [
        (*start, "1", VERSION, 7, 0.25, "no pagador", 3, "A", note, None, None),
        (*start, "2", VERSION, 7, None, None, None, None, note, "p:falta", None),
        (*start, "3", VERSION, 7, 0.30000000000000004, "no pagador", 3, "A", note, None, None),
    ]
    told = ask(url, "SELECT id, version, rows, scored, whole, input FROM scores_runs")
    assert told == [("2026-01", VERSION, 3, 2, 1, "clientes")]
    moments = ask(url, "SELECT started, finished FROM scores_runs")[0]
    assert None not in moments
    assert ask(url, "SELECT DISTINCT momento FROM scores") == [(moments[0],)]


@pytest.mark.parametrize("count", [0, 1, 7, 50])
def test_deciles_may_be_those_of_the_run_itself(url: str, count: int) -> None:
    """Against numpy's quantiles of the same definition."""
    chances = [*np.random.default_rng(3).random(count).round(2).tolist(), None]
    clients(url, chances)
    run(opened(url), sink(url, own_deciles=True))
    known = np.array(chances[:-1], dtype=np.float64)
    limits = np.quantile(known, np.arange(1, 10) / 10, method="inverted_cdf") if count else []
    expected = [10 - sum(one > limit for limit in limits) for one in known]
    found = dict(ask(url, "SELECT row, decil FROM scores"))
    assert [found[str(n)] for n in range(1, count + 2)] == [*expected, None]


def test_columns_that_nobody_wants_are_not_read(url: str) -> None:
    clients(url, CHANCES)
    source = opened(url, key="id")
    source.narrow()
    blocks = list(source.blocks())
    assert source.reader.read(blocks[0]).columns().schema.names == ["p", "id"]
    assert texts(source, blocks, "id") == [str(n) for n in range(1, 51)]
    assert source.reader.read(blocks[0]).texts["p"].to_pylist()[1] == "0.015625"


def test_half_a_run_is_not_seen_as_the_latest(url: str) -> None:
    clients(url, CHANCES)
    source, target = opened(url), sink(url)
    target.start(None)
    for block in islice(source.blocks(), 3):
        target.keep(render(source, target, block))
    assert ask(url, "SELECT count(*) FROM scores") == [(21,)]
    assert ask(url, "SELECT finished FROM scores_runs") == [(None,)]
    assert ask(url, "SELECT count(*) FROM scores_latest") == [(0,)]


def test_a_repeated_block_and_a_repeated_end_change_nothing(url: str) -> None:
    clients(url, CHANCES)
    source, target = opened(url), sink(url, name="enero")
    target.start(None)
    first, *rest = source.blocks()
    place = json.loads(json.dumps(target.keep(render(source, target, first))))
    target.keep(render(source, target, rest[0]))  # and then it was killed, without a note
    again = sink(url, name="enero")
    again.start(place)
    for block in rest:
        last = again.keep(render(source, again, block))
    again.finish()
    before = ask(url, "SELECT * FROM scores ORDER BY row"), ask(url, "SELECT * FROM scores_runs")
    assert len(before[0]) == 50
    once_more = sink(url, name="enero")
    once_more.start(json.loads(json.dumps(last)))
    once_more.finish()
    assert before == (
        ask(url, "SELECT * FROM scores ORDER BY row"),
        ask(url, "SELECT * FROM scores_runs"),
    )


def test_a_second_run_of_one_name_takes_the_place_of_the_first(url: str) -> None:
    """Also of rows that are not there any more, but not of another version's."""
    clients(url, CHANCES)
    run(opened(url), sink(url, name="enero"))
    run(opened(url), sink(url, name="enero", version="ba9876543210"))
    clients(url, [0.5] * 20)
    run(opened(url), sink(url, name="enero"))
    told = "SELECT version, count(*), min(probabilidad) FROM scores GROUP BY version ORDER BY 1"
    assert ask(url, told) == [(VERSION, 20, 0.5), ("ba9876543210", 50, 0.0)]
    assert ask(url, "SELECT count(*), min(probabilidad) FROM scores_latest") == [(20, 0.5)]


def test_what_holds_now_is_the_last_whole_run_and_what_changed_since(url: str) -> None:
    clients(url, [0.1] * 30)
    run(opened(url), sink(url, name="1"))
    clients(url, [0.2] * 20)
    run(opened(url), sink(url, name="2"))
    clients(url, [0.3] * 5)
    run(opened(url), sink(url, name="3", is_whole=False))
    found = "SELECT probabilidad, count(*) FROM scores_latest GROUP BY 1 ORDER BY 1"
    assert ask(url, found) == [(0.2, 15), (0.3, 5)]


def test_rows_of_a_file_have_their_numbers_as_keys(url: str) -> None:
    clients(url, CHANCES)
    run(opened(url), sink(url, key=None))
    assert ask(url, "SELECT min(probabilidad) FROM scores WHERE row = '2'") == [(1 / 64,)]


@pytest.mark.parametrize("places", [(1, 2), (1, 40)])
def test_two_rows_of_one_key_are_refused_and_the_run_is_never_complete(
    url: str, places: tuple[int, int]
) -> None:
    clients(url, CHANCES)
    first, second = places
    do(url, f"UPDATE clientes SET ref = 'R-{first}' WHERE id = {second}")
    with pytest.raises(TableError, match="la columna ref no distingue las filas") as caught:
        run(opened(url), sink(url, key="ref"))
    assert "R-" not in str(caught.value)
    assert ask(url, "SELECT finished FROM scores_runs") == []
    assert ask(url, "SELECT row FROM scores") == []


@pytest.mark.parametrize("empty", ["''", "' '", "NULL"])
def test_a_row_without_a_key_is_told_by_its_number(url: str, empty: str) -> None:
    clients(url, CHANCES)
    do(url, f"UPDATE clientes SET ref = {empty} WHERE id = 30")
    with pytest.raises(TableError, match="la columna ref no tiene clave en la fila 30"):
        run(opened(url), sink(url, key="ref"))


BROKEN = {
    "first": (["id", "p", "nota"], ["1;0,5;a", "SECRETO;0,5", "3;;a;b", '"4;0,5;a', "5;0.25;"]),
    "last": (["p", "nota", "id"], ["0,5;a;1", "SECRETO;0,5", ";a;b;3", '"0,5;a;4', "0.25;;5"]),
}


@pytest.mark.parametrize("place", BROKEN)
def test_a_broken_row_spoils_no_other_wherever_the_key_stands(url: str, place: str) -> None:
    """Nobody knows which of its cells would be the key: none of them is taken for it."""
    names, lines = BROKEN[place]
    reader = CsvReader(";", "utf-8", tuple(names), {"p": names.index("p")})
    content = "".join(f"{line.replace('0,5', '0.5')}\n" for line in lines).encode()
    rows = reader.read(Block(0, 2, content, {}, 1.0))
    target = sink(url, limits=Limits(False, 0.0, 0.0))
    target.start(None)
    target.keep(target.writer.render(rows, results(rows)))
    target.finish()
    told = "SELECT row, probabilidad, error FROM scores ORDER BY row"
    assert ask(url, told) == [
        ("1", 0.5, None),
        ("5", 0.25, None),
        *((f"fila {line}", None, "p:falta") for line in (3, 4, 5)),
    ]
    assert ask(url, "SELECT row FROM scores_listed ORDER BY row") == [("1",), ("5",)]


def test_a_broken_row_whose_cells_are_in_their_places_keeps_its_key() -> None:
    rows = CsvReader(";", "utf-8", ("id", "p"), {"p": 1}).read(
        Block(0, 2, b"1;0.5\n2;0.5\n;0.5\n", {}, 1.0)
    )
    broken = replace(rows, broken=dict.fromkeys((1, 2), LOST_LETTERS))
    writer = DatabaseWriter(batch_databases.ADDED, "id", copies=False)
    content = writer.render(broken, results(rows))
    assert arrow.unpacked(content[HEAD.size :])["row"].to_pylist() == ["1", "2", "fila 4"]


SHAPES = {
    "CREATE TABLE scores (run TEXT, row TEXT)": "falta la columna version",
    "CREATE TABLE scores_runs (id INTEGER, version TEXT)": "la columna id no es de textos",
    "CREATE VIEW scores AS SELECT 1 AS run": "es una vista",
}


@pytest.mark.parametrize("statement", SHAPES)
def test_a_table_of_another_shape_is_refused_by_its_column_and_not_touched(
    url: str, statement: str
) -> None:
    do(url, statement)
    inspected = sqlalchemy.inspect(databases.engine(databases.url_of(url)))
    with pytest.raises(TableError, match=SHAPES[statement]):
        sink(url)
    names = inspected.get_table_names() + inspected.get_view_names()
    assert names == [statement.split()[2]]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("ALTER TABLE scores ADD COLUMN otra INTEGER", None),
        ("ALTER TABLE scores ADD COLUMN otra INTEGER NOT NULL DEFAULT 3", None),
        ("ALTER TABLE scores RENAME COLUMN banda TO color", "falta la columna banda"),
    ],
)
def test_columns_of_the_persons_own_may_stand_beside_ours(
    url: str, change: str, told: str | None
) -> None:
    clients(url, CHANCES)
    run(opened(url), sink(url, name="1"))
    do(url, "DROP VIEW scores_latest", change)
    if told is None:
        run(opened(url), sink(url, name="2"))
        assert ask(url, "SELECT count(*) FROM scores") == [(100,)]
        return
    with pytest.raises(TableError, match=told):
        sink(url)


def test_a_column_that_may_not_be_empty_is_named(postgresql_url: str) -> None:
    sink(postgresql_url).start(None)
    do(postgresql_url, "ALTER TABLE scores ADD COLUMN otra INTEGER NOT NULL")
    with pytest.raises(TableError, match="la columna otra no puede quedar vacía"):
        sink(postgresql_url)


def test_a_table_without_the_key_is_refused(postgresql_url: str) -> None:
    sink(postgresql_url).start(None)
    do(postgresql_url, "ALTER TABLE scores DROP CONSTRAINT scores_pkey")
    with pytest.raises(TableError, match="falta la clave única run, row, version"):
        sink(postgresql_url)


def test_a_table_may_stand_in_a_schema(postgresql_url: str) -> None:
    do(postgresql_url, "CREATE SCHEMA crm")
    clients(postgresql_url, CHANCES)
    run(opened(postgresql_url), sink(postgresql_url, table="crm.scores"))
    assert ask(postgresql_url, "SELECT count(*) FROM crm.scores_latest") == [(50,)]


@pytest.mark.parametrize("name", ["a b", "x;y", "1a", "", "a.b.c", "ñ", "x" * 60])
def test_a_name_of_a_table_is_plain(name: str, tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no vale como nombre de tabla"):
        sink(sqlite_url(tmp_path / "t.db"), table=name)


def test_a_user_without_rights_is_told_so_and_no_value_with_it(
    postgresql_server: Postgresql, postgresql_url: str
) -> None:
    clients(postgresql_url, CHANCES)
    do(
        postgresql_url,
        "CREATE ROLE lector LOGIN",
        "GRANT USAGE ON SCHEMA public TO lector",
        "GRANT SELECT ON clientes TO lector",
    )
    limited = postgresql_url.replace("postgres@", "lector@")
    with pytest.raises(Gone, match="permission denied"):
        run(opened(limited), sink(limited))
    do(postgresql_url, "DROP OWNED BY lector", "DROP ROLE lector")


@pytest.mark.parametrize("address", ["mysql://a:S3cr3to@h/b", "mssql://a:S3cr3to@h/b"])
def test_other_databases_are_not_written_into(address: str) -> None:
    with pytest.raises(TableError, match="solo se escribe en SQLite") as caught:
        sink(address)
    assert "S3cr3to" not in str(caught.value)


def test_an_address_may_stand_in_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARTERA_URL", "postgresql://ana:secreto@h/b")
    assert databases.typed("env:CARTERA_URL") == "postgresql://ana:secreto@h/b"
    assert databases.typed("sqlite:///x.db") == "sqlite:///x.db"
    with pytest.raises(TableError, match="la variable OTRA no tiene ningún valor"):
        databases.typed("env:OTRA")


# Only what changed

MADRID = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("moment", "sample", "limit"),
    [
        ("2026-01-31", "2020-05-05", "2026-01-31"),
        ("2026-01-31", "2020-05-05 10:00:00", "2026-01-31 00:00:00"),
        ("2026-01-31 08:30", "2020-05-05T10:00", "2026-01-31T08:30"),
        ("2026-01-31T08:30:15", "2020-05-05 10:00:00.123", "2026-01-31 08:30:15"),
        ("2026-01-31", date(2020, 5, 5), date(2026, 1, 31)),
        ("2026-01-31 08:30", datetime(2020, 5, 5), datetime(2026, 1, 31, 8, 30)),
        (
            "2026-01-31T08:30+01:00",
            datetime(2020, 5, 5, tzinfo=UTC),
            datetime(2026, 1, 31, 7, 30, tzinfo=UTC),
        ),
    ],
)
def test_a_moment_is_compared_as_the_column_has_it(moment: str, sample: Any, limit: Any) -> None:
    assert sinces.limit(Since("c", sinces.typed(moment), True), sample) == limit


@pytest.mark.parametrize("sample", ["31/01/2026", 20260131, "hoy"])
def test_a_column_of_no_dates_is_refused(sample: Any) -> None:
    with pytest.raises(ValueError, match=type(sample).__name__):
        sinces.limit(Since("c", datetime(2026, 1, 1), True), sample)


def test_the_start_of_a_run_is_taken_early_where_a_column_has_no_time_zone() -> None:
    began = datetime(2026, 1, 31, 8, 30, tzinfo=UTC)
    limit = sinces.limit(Since("c", began, False), datetime(2020, 1, 1))
    assert limit <= datetime(2026, 1, 31, 8, 25)
    assert sinces.limit(Since("c", began, False), datetime(2020, 1, 1, tzinfo=MADRID)) == datetime(
        2026, 1, 31, 8, 25, tzinfo=UTC
    )


@pytest.mark.parametrize("kind", ["TEXT", "DATE"])
def test_only_the_rows_that_changed_are_read(kind: str, url: str) -> None:
    do(url, f"CREATE TABLE t (id INTEGER PRIMARY KEY, p TEXT, cambio {kind})")
    days = [date(2026, 1, day) for day in range(1, 31)]
    shown = url.startswith("sqlite") or kind == "TEXT"
    rows = [
        {"id": n, "p": "1", "cambio": day.isoformat() if shown else day}
        for n, day in enumerate(days, 1)
    ]
    fill(url, [*rows, {"id": 99, "p": "1", "cambio": None}], "t")
    source = opened(url, "t", since=Since("cambio", sinces.typed("2026-01-15"), True))
    assert texts(source, list(source.blocks()), "id") == [str(n) for n in range(15, 31)]
    other = opened(url, "t", since=Since("cambio", sinces.typed("2026-01-16"), True))
    assert source.identity != other.identity
    do(url, f"ALTER TABLE t ADD COLUMN baja {kind}", "UPDATE t SET baja = cambio")
    by_another = opened(url, "t", since=Since("baja", sinces.typed("2026-01-15"), True))
    assert source.identity != by_another.identity
    with pytest.raises(TableError, match="la columna p no es de fechas"):
        opened(url, "t", since=Since("p", sinces.typed("2026-01-15"), True))


def test_the_last_complete_run_is_known_by_its_start(url: str) -> None:
    clients(url, CHANCES)
    assert sink(url).last_began() is None
    before = datetime.now(UTC)
    run(opened(url), sink(url, name="1"))
    found = sink(url).last_began()
    assert found is not None
    assert before <= found <= datetime.now(UTC)
    half = sink(url, name="2")
    half.start(None)
    source = opened(url)
    half.keep(render(source, half, next(iter(source.blocks()))))
    assert sink(url).last_began() == found


def test_the_identity_of_a_source_holds_no_text_of_the_query_or_password(url: str) -> None:
    clients(url, CHANCES)
    found = opened(url, "SELECT id, p, ref FROM clientes WHERE ref = 'R-3'", key="id").identity
    assert "R-3" not in json.dumps(found)
    assert np.all([isinstance(value, str | None) for value in found.values()])


# What an earlier run is worth, and what takes its place


def half(url: str, **more: Any) -> None:
    """A run that is killed after its first block."""
    source, target = opened(url), sink(url, **more)
    target.start(None)
    target.keep(render(source, target, next(iter(source.blocks()))))


def test_an_earlier_run_of_the_name_is_seen_whole_until_the_next_one_is_complete(url: str) -> None:
    clients(url, [0.1] * 30)
    run(opened(url), sink(url, name="enero"))
    clients(url, [0.2] * 20)
    half(url, name="enero")
    seen = "SELECT run, probabilidad, count(*) FROM scores_latest GROUP BY 1, 2"
    assert ask(url, seen) == [("enero", 0.1, 30)]
    run(opened(url), sink(url, name="enero"))
    assert ask(url, seen) == [("enero", 0.2, 20)]
    # Also of the one that was killed nothing is left.
    assert ask(url, "SELECT DISTINCT run FROM scores") == [("enero",)]
    assert ask(url, "SELECT id, rows FROM scores_runs") == [("enero", 20)]


def test_two_rows_of_one_key_cost_the_earlier_run_of_the_name_nothing(url: str) -> None:
    clients(url, CHANCES)
    run(opened(url), sink(url, name="enero", key="ref"))
    do(url, "UPDATE clientes SET ref = 'R-1' WHERE id = 50")
    with pytest.raises(TableError, match="la columna ref no distingue las filas"):
        run(opened(url), sink(url, name="enero", key="ref"))
    assert ask(url, "SELECT count(*) FROM scores_latest") == [(50,)]
    assert ask(url, "SELECT run, count(*) FROM scores GROUP BY 1") == [("enero", 50)]
    assert ask(url, "SELECT id, rows FROM scores_runs") == [("enero", 50)]


def test_nothing_is_left_of_a_run_that_is_abandoned_and_nothing_else_is_touched(url: str) -> None:
    assert sink(url).abandon({"run": "enero", "rows": 1}) is None  # no table is there yet
    clients(url, CHANCES)
    run(opened(url), sink(url, name="enero"))
    half(url)
    half(url, name="febrero")
    source, target = opened(url), sink(url, version="ba9876543210")
    target.start(None)
    place = target.keep(render(source, target, next(iter(source.blocks()))))
    before = ask(
        url, "SELECT run, row FROM scores WHERE version = '" + VERSION + "' ORDER BY 1, 2"
    )
    sink(url).abandon(json.loads(json.dumps(place)))  # by whatever version the next run is
    assert ask(url, "SELECT run, row FROM scores ORDER BY 1, 2") == before
    sink(url).abandon({"run": "enero", "rows": 50})  # it was complete when it was killed
    assert ask(url, "SELECT run, row FROM scores ORDER BY 1, 2") == before
    assert ask(url, "SELECT count(*) FROM scores_runs") == [(3,)]


def test_a_block_that_no_note_tells_of_is_abandoned_too(url: str) -> None:
    clients(url, CHANCES)
    source, target = opened(url), sink(url)
    target.start(None)
    target.keep(render(source, target, next(iter(source.blocks()))))
    target.abandon(None)
    assert ask(url, "SELECT row FROM scores") == [] == ask(url, "SELECT id FROM scores_runs")


def test_what_an_earlier_model_left_half_done_goes_with_the_next_run_of_the_name(url: str) -> None:
    clients(url, CHANCES)
    half(url, name="enero")
    run(opened(url), sink(url, name="enero", version="ba9876543210"))
    assert ask(url, "SELECT DISTINCT run, version FROM scores") == [("enero", "ba9876543210")]
    assert ask(url, "SELECT id, version FROM scores_runs") == [("enero", "ba9876543210")]


BEFORE, AFTER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("earlier", "since", "taken"),
    [(None, BEFORE, True), (BEFORE, AFTER, True), (AFTER, BEFORE, False), (BEFORE, None, False)],
)
def test_a_run_takes_no_name_whose_rows_it_does_not_hold(
    url: str, earlier: datetime | None, since: datetime | None, taken: bool
) -> None:
    clients(url, CHANCES)
    run(opened(url), sink(url, name="enero", since=earlier))
    clients(url, [0.5] * 3)
    if not taken:
        return run(opened(url), sink(url, name="enero", since=since))
    with pytest.raises(TableError, match="ya hay una cartera enero"):
        run(opened(url), sink(url, name="enero", since=since))
    assert ask(url, "SELECT count(*) FROM scores_latest") == [(50,)]
    return run(opened(url), sink(url, name="febrero", since=since))


def test_last_is_the_start_of_a_run_that_leaves_no_gap(url: str) -> None:
    clients(url, CHANCES)
    run(opened(url), sink(url, since=BEFORE))
    assert sink(url).last_began() is None  # without a whole one behind it
    run(opened(url), sink(url))
    whole = sink(url).last_began()
    assert whole is not None
    run(opened(url), sink(url, since=AFTER))
    assert sink(url).last_began() == whole
    run(opened(url), sink(url, since=whole, name="uno"))
    joined = sink(url).last_began()
    assert joined is not None and joined > whole
    assert sink(url, name="uno").last_began() == whole  # whose place it will take
    assert sink(url, query="otra").last_began() is None
    run(opened(url), sink(url, query="otra"))
    assert sink(url).last_began() == joined


def test_last_is_of_the_release_that_scores_so_that_no_two_stand_side_by_side(url: str) -> None:
    clients(url, CHANCES)
    run(opened(url), sink(url))
    first = sink(url).last_began()
    assert first is not None
    assert sink(url, release=8).last_began() is None  # another threshold, other deciles
    assert sink(url, version="ba9876543210").last_began() is None
    run(opened(url), sink(url, since=first, version="ba9876543210", release=8))
    assert sink(url).last_began() == first  # what another model scored is scored once more
    run(opened(url), sink(url, version="ba9876543210", release=8))
    assert sink(url).last_began() is None  # what is seen now is the other one's
    assert sink(url, version="ba9876543210", release=8).last_began() is not None


def test_what_changed_is_not_laid_over_rows_that_are_called_otherwise(url: str) -> None:
    clients(url, CHANCES)
    run(opened(url), sink(url, key=None))
    assert sink(url).last_began() is None  # the whole portfolio is scored once more
    with pytest.raises(TableError, match="la clave de las filas era su número: puntúe antes"):
        run(opened(url), sink(url, since=BEFORE))
    run(opened(url), sink(url, key="ref"))
    with pytest.raises(TableError, match="la clave de las filas era ref: puntúe antes"):
        run(opened(url), sink(url, since=BEFORE))
    run(opened(url), sink(url))
    run(opened(url), sink(url, since=BEFORE))
    assert ask(url, "SELECT count(*) FROM scores_latest") == [(50,)]


def test_a_moment_without_a_time_zone_is_kept_as_the_later_of_what_it_may_be() -> None:
    typed = datetime(2026, 1, 31, 8, 30)
    assert sinces.aware(typed) >= typed.replace(tzinfo=UTC)
    assert sinces.aware(typed) >= typed.astimezone(UTC)
    assert sinces.aware(typed.replace(tzinfo=MADRID)) == datetime(2026, 1, 31, 7, 30, tzinfo=UTC)


# The tables


def test_a_name_that_the_view_cannot_have_is_refused_and_nothing_is_made(url: str) -> None:
    do(url, "CREATE TABLE scores_latest (a INTEGER)")
    with pytest.raises(TableError, match="scores_latest ya existe y no es una vista"):
        sink(url)
    assert sqlalchemy.inspect(batch_databases.engine(url)).get_table_names() == ["scores_latest"]


def test_tables_are_made_all_or_none_and_a_view_that_is_gone_once_more(url: str) -> None:
    clients(url, CHANCES)
    target = sink(url)
    do(url, "CREATE TABLE propensia_otra (a INTEGER)")
    do(url, "CREATE INDEX scores_listed ON propensia_otra (a)")  # a name that was free before
    with pytest.raises(Gone):
        target.start(None)
    names = sqlalchemy.inspect(batch_databases.engine(url)).get_table_names()
    assert sorted(names) == ["clientes", "propensia_otra"]
    do(url, "DROP TABLE propensia_otra")
    run(opened(url), sink(url))
    do(url, "DROP VIEW scores_latest")
    run(opened(url), sink(url))
    assert ask(url, "SELECT count(*) FROM scores_latest") == [(50,)]


@pytest.mark.parametrize("kind", ["NUMERIC(4,2)", "REAL"])
def test_a_column_that_would_round_a_chance_is_refused(kind: str, postgresql_url: str) -> None:
    sink(postgresql_url).start(None)
    do(
        postgresql_url,
        "DROP VIEW scores_latest",
        f"ALTER TABLE scores ALTER COLUMN probabilidad TYPE {kind}",
    )
    with pytest.raises(TableError, match="la columna probabilidad no es de doble precisión"):
        sink(postgresql_url)


def test_a_run_is_removed_as_the_page_says_and_the_one_before_holds_again(url: str) -> None:
    clients(url, [0.1] * 30)
    run(opened(url), sink(url, name="2025-12"))
    clients(url, [0.2] * 20)
    run(opened(url), sink(url, name="2026-01"))
    page = Path(__file__).parents[1].joinpath("docs", "carteras.md").read_text(encoding="utf-8")
    block = next(part for part in page.split("```") if "DELETE FROM scores " in part)
    statements = [line.rstrip(";") for line in block.splitlines() if line.startswith("DELETE")]
    assert len(statements) == 2
    do(url, *statements)
    found = "SELECT run, probabilidad, count(*) FROM scores_latest GROUP BY 1, 2"
    assert ask(url, found) == [("2025-12", 0.1, 30)]


def test_a_key_with_a_null_is_refused_by_its_row_where_no_text_holds_one(
    postgresql_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.db"
    origin = sqlite_url(path)
    clients(origin, CHANCES)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE clientes SET ref = 'R' || char(0) WHERE id = 30")
    with pytest.raises(TableError, match="la columna ref tiene en la fila 30 una clave con"):
        run(opened(origin), sink(postgresql_url, key="ref"))


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ("postgresql://ana:una@Host/b", "postgresql+pg8000://eva:otra@host:5432/b?timeout=3"),
        ("sqlite:///datos.db", f"sqlite:///{Path('datos.db').absolute().as_posix()}"),
    ],
)
def test_a_database_is_the_same_however_it_is_spelled(one: str, same: str) -> None:
    first, second = (databases.identity(databases.url_of(text)) for text in (one, same))
    assert first == second
    assert "una" not in first and "ana" not in first
    assert databases.identity(databases.url_of(one + "2")) != first
