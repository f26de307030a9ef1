"""Tables of every kind as blocks of texts: what was written must come back, text by text."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import decimal
import hashlib
import io
import sqlite3
import traceback
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy.exc import OperationalError
from stores import Postgresql

from propensia.delimited import TableError
from propensia.queries import databases
from propensia.tables import Table, open_table

HEADING = ["CUST", "AÑO", "NOTA"]
ROWS = [
    ["1.0", "2022", "N/A "],
    ["", "NaN", "null"],
    ["08029", "1.234,56", "dos\nlíneas; y, más"],
    ["NULL", " ", '"entre comillas"'],
]


def csv_bytes(
    rows: list[list[str]], *, delimiter: str = ";", encoding: str = "utf-8", end: str = "\r\n"
) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows(rows)
    return text.getvalue().encode(encoding)


def whole(table: Table, columns: list[str], rows: int = 3) -> list[list[str]]:
    """All rows of a table, read in blocks of ``rows``."""
    found: list[list[str]] = []
    for block in table.blocks(columns, rows):
        assert list(block) == columns
        lines = [list(line) for line in zip(*block.values(), strict=True)]
        assert len(lines) <= rows
        found += lines
    return found


def parquet(path: Path, **columns: pa.Array) -> Table:
    pq.write_table(pa.table(columns), path, row_group_size=4)
    return open_table(str(path))


@pytest.fixture
def database(tmp_path: Path) -> str:
    """A SQLite database with a table ``casos``; its URL."""
    path = tmp_path / "cobros.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE casos (CUST TEXT, DEUDA REAL, LINEAS INT, PORTADO TEXT)")
        connection.executemany(
            "INSERT INTO casos VALUES (?, ?, ?, ?)",
            [
                ("a", 263.68, 12, "N/A "),
                ("b", None, 0, None),
                ("ñ", 8029.0, -1, ""),
                ("d", 0.1, 7, "NO"),
            ],
        )
    return f"sqlite:///{path.as_posix()}"


# CSV


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
def test_every_text_of_a_csv_survives_as_it_is(
    encoding: str, delimiter: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(csv_bytes([HEADING, *ROWS], delimiter=delimiter, encoding=encoding))
    table = open_table(str(path))
    assert table.heading == tuple(HEADING)
    assert whole(table, HEADING) == ROWS
    assert whole(table, ["NOTA", "CUST"]) == [[row[2], row[0]] for row in ROWS]


def test_a_latin_1_letter_far_into_the_file_is_read_as_one(tmp_path: Path) -> None:
    """The first megabytes are plain ASCII: a look at the beginning would say UTF-8."""
    path = tmp_path / "t.csv"
    plain = b"".join(b"%09d;abcdefgh\n" % i for i in range(150_000))
    path.write_bytes(b"a;b\n" + plain + "1;España\n".encode("latin-1"))
    assert path.stat().st_size > 2 << 20
    last = [block["b"][-1] for block in open_table(str(path)).blocks(["b"])][-1]
    assert last == "España"


def test_a_letter_on_the_edge_of_a_chunk_does_not_make_a_file_latin_1(tmp_path: Path) -> None:
    mebibyte = 1 << 20
    plain = b"a\n" + b"x" * 99_998 + b"\n"
    data = plain + b"y\n" * ((mebibyte - len(plain)) // 2) + b"x"
    data = data[: mebibyte - 1] + "ñ\n".encode()
    assert data[mebibyte - 1 : mebibyte + 1] == "ñ".encode()
    (tmp_path / "t.csv").write_bytes(data)
    *_, last = open_table(str(tmp_path / "t.csv")).blocks(["a"])
    assert last["a"][-1].endswith("ñ")


def test_stray_empty_columns_are_nobodys(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a;Unnamed: 20;b;;\n1;;2;;\n;;;;\n3;;4;;\n", encoding="utf-8")
    table = open_table(str(path))
    assert table.heading == ("a", "b")
    assert whole(table, ["a", "b"]) == [["1", "2"], ["3", "4"]]


def test_a_heading_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a;b\n", encoding="utf-8")
    table = open_table(str(tmp_path / "t.csv"))
    assert table.heading == ("a", "b")
    assert list(table.blocks(["a"])) == []


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "vac"),
        (b"\xef\xbb\xbf", "vac"),
        (b"a;b; a \n1;2;3\n", "dos columnas con el nombre a"),
        (b"PK\x03\x04rest", "en Excel, guárdelo como CSV"),
        (b"a;b\n\0\0\0;1\n", "no es un fichero de texto"),
        (b"\xff\xfea\0\n\0x", "no es UTF-16"),
    ],
)
def test_what_is_no_table_is_refused_when_it_is_opened(
    data: bytes, told: str, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(TableError, match=f"^t.csv.*{told}"):
        open_table(str(tmp_path / "t.csv"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('a;b\n1;2\n"3\n3";4\n5;6;7\n', "la línea 5 tiene 3 columnas y la cabecera 2"),
        ('a;b\n1;2\n3;"4\n', "la línea 3 no es de un CSV"),
    ],
)
def test_a_broken_row_is_refused_by_its_line(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    with pytest.raises(TableError, match=told):
        whole(open_table(str(tmp_path / "t.csv")), ["a"])


def test_a_column_that_is_not_there_is_the_callers_mistake(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a;b\n1;2\n", encoding="utf-8")
    with pytest.raises(KeyError, match="c"):
        whole(open_table(str(tmp_path / "t.csv")), ["a", "c"])


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_file_that_changes_while_it_is_read_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "t.csv":
        path.write_bytes(b"a;b\n" + b"1;2\n" * 10)
    else:
        pq.write_table(pa.table({"a": ["1"] * 10, "b": ["2"] * 10}), path)
    table = open_table(str(path))
    blocks = table.blocks(["a"], 4)
    next(blocks)
    with path.open("ab") as stream:
        stream.write(b"3;4\n")
    with pytest.raises(TableError, match=f"{name} ha cambiado mientras se leía"):
        list(blocks)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_the_hash_is_of_the_bytes_of_the_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "t.csv":
        path.write_bytes(csv_bytes([HEADING, *ROWS]))
    else:
        pq.write_table(pa.table({"a": ["1"]}), path)
    assert open_table(str(path)).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


# Parquet


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_numbers_of_parquet_read_back_exactly(kind: type[np.floating], tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    numbers = (random.standard_normal(500) * 10.0 ** random.integers(-12, 12, 500)).astype(kind)
    table = parquet(tmp_path / "t.parquet", x=pa.array(numbers))
    texts = [text for (text,) in whole(table, ["x"], 64)]
    assert np.array_equal(np.array([float(text) for text in texts]).astype(kind), numbers)


def test_parquet_comes_as_the_texts_that_the_contract_reads(tmp_path: Path) -> None:
    day = dt.date(2022, 12, 21)
    table = parquet(
        tmp_path / "t.parquet",
        text=pa.array(["N/A ", None, "", "ñ"]),
        code=pa.array(["A", "B", None, "A"]).dictionary_encode(),
        whole=pa.array([8029.0, None, float("nan"), 202310.0]),
        short=pa.array([263.68, 3.0, None, 0.1], pa.float32()),
        number=pa.array([1, -2, None, 9_007_199_254_740_993]),
        money=pa.array([decimal.Decimal("12.50"), None, None, None]),
        day=pa.array([day, None, None, day]),
        time=pa.array([dt.datetime(2022, 12, 21, 9, 30), None, None, None], pa.timestamp("s")),
        flag=pa.array([True, False, None, True]),
    )
    assert whole(table, list(table.heading)) == [
        [
            "N/A ",
            "A",
            "8029",
            "263.68",
            "1",
            "12.50",
            "2022-12-21",
            "2022-12-21 09:30:00.000",
            "true",
        ],
        ["", "B", "", "3", "-2", "", "", "", "false"],
        ["", "", "", "", "", "", "", "", ""],
        ["ñ", "A", "202310", "0.1", "9007199254740993", "", "2022-12-21", "", "true"],
    ]


def test_parquet_with_lists_is_refused_by_the_column(tmp_path: Path) -> None:
    table = parquet(tmp_path / "t.parquet", a=pa.array(["x"]), b=pa.array([[1, 2]]))
    assert whole(table, ["a"]) == [["x"]]
    with pytest.raises(TableError, match="la columna b no es de textos"):
        whole(table, ["b"])


def test_half_a_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": ["1"] * 1_000}), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TableError, match=r"t\.parquet: no es un fichero Parquet entero"):
        open_table(str(path))


def test_a_damaged_parquet_file_is_refused_or_read_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [f"ñ{i % 7}" for i in range(500)], "b": range(500)}), path)
    good = path.read_bytes()
    random = np.random.default_rng(1)
    refused = 0
    for _ in range(200):
        data = bytearray(good)
        data[int(random.integers(4, len(data) - 8))] ^= int(random.integers(1, 256))
        path.write_bytes(data)
        try:
            whole(open_table(str(path)), ["a", "b"], 100)
        except (TableError, KeyError):  # KeyError: the name of a column was hit
            refused += 1
    assert refused > 50


def test_parquet_with_two_columns_of_one_name_is_refused(tmp_path: Path) -> None:
    both = pa.table([pa.array(["1"]), pa.array(["2"])], names=["a", "a "])
    pq.write_table(both, tmp_path / "t.parquet")
    with pytest.raises(TableError, match="dos columnas con el nombre a"):
        open_table(str(tmp_path / "t.parquet"))


# Databases

CASES = [
    ["a", "263.68", "12", "N/A "],
    ["b", "", "0", ""],
    ["ñ", "8029", "-1", ""],
    ["d", "0.1", "7", "NO"],
]


@pytest.mark.parametrize("query", ["casos", "main.casos", "SELECT * FROM casos ORDER BY rowid"])
def test_a_database_gives_a_table_by_its_name_or_by_a_query(database: str, query: str) -> None:
    table = open_table(database, query)
    assert table.heading == ("CUST", "DEUDA", "LINEAS", "PORTADO")
    assert whole(table, list(table.heading)) == CASES


def test_a_query_may_hold_the_signs_of_parameters(database: str) -> None:
    query = "SELECT CUST, '10:30 :x 5%s %' AS nota FROM casos WHERE PORTADO LIKE 'N%'"
    assert whole(open_table(database, query), ["CUST", "nota"]) == [
        ["a", "10:30 :x 5%s %"],
        ["d", "10:30 :x 5%s %"],
    ]


def test_the_hash_of_a_query_is_of_all_its_texts_whatever_is_read(database: str) -> None:
    def digest(columns: list[str], rows: int, query: str = "casos") -> str:
        table = open_table(database, query)
        assert table.sha256 == ""
        whole(table, columns, rows)
        return table.sha256

    first = digest(["CUST"], 3)
    assert len(bytes.fromhex(first)) == 32
    assert digest(["DEUDA", "LINEAS"], 1) == first
    changed = "SELECT CUST, DEUDA, LINEAS, replace(PORTADO, 'NO', 'SI') AS PORTADO FROM casos"
    assert digest(["CUST"], 3, changed) != first


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM casos",
        "DROP TABLE casos",
        "-- SELECT\nDROP TABLE casos",
        "/* SELECT */ CREATE TABLE otra (a)",
        "PRAGMA user_version=7",
        "UPDATE casos SET DEUDA = 1 RETURNING *",
        "WITH x AS (SELECT 1) DELETE FROM casos RETURNING *",
        "with x as (select 'z') insert into casos (CUST) select * from x returning CUST",
        "SELECT 1; DROP TABLE casos",
        "VACUUM INTO '{folder}/copia.db'",
        "ATTACH '{folder}/otra.db' AS otra",
    ],
)
def test_a_query_only_reads(database: str, query: str, tmp_path: Path) -> None:
    path = tmp_path / "cobros.db"
    before = path.read_bytes()
    with pytest.raises(TableError):
        whole(open_table(database, query.format(folder=tmp_path.as_posix())), [])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_function_of_postgresql_that_writes_is_not_run(
    postgresql_server: Postgresql,
) -> None:
    url = postgresql_server.fresh()
    with databases.engine(databases.url_of(url)).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE casos (n integer)")
        connection.exec_driver_sql(
            "CREATE FUNCTION apunta() RETURNS integer LANGUAGE sql AS "
            "'INSERT INTO casos VALUES (1) RETURNING n'"
        )
    with pytest.raises(TableError, match="read-only"):
        whole(open_table(url, "SELECT apunta() AS n"), ["n"])
    # Closing the connection would roll back anyhow; a sequence is not rolled back.
    with databases.engine(databases.url_of(url)).begin() as connection:
        connection.exec_driver_sql("CREATE SEQUENCE cuenta")
    with pytest.raises(TableError, match="read-only"):
        whole(open_table(url, "SELECT nextval('cuenta') AS n"), ["n"])


@pytest.mark.parametrize(
    "query",
    [" -- todo\n/* y más */ select CUST from casos;", "WITH x AS (SELECT 1 a) SELECT a FROM x"],
)
def test_a_query_may_begin_with_a_comment_or_a_with(database: str, query: str) -> None:
    assert len(open_table(database, query).heading) == 1


def test_sqlite_itself_refuses_to_write_for_us(database: str) -> None:
    """Whatever the words of a query: both the file and the connection are only for reading."""
    table = open_table(database, "casos")
    for only in (True, False):
        with table._query.engine.connect() as connection:  # type: ignore[attr-defined]
            connection.exec_driver_sql(f"PRAGMA query_only={'ON' if only else 'OFF'}")
            with pytest.raises(OperationalError, match="readonly"):
                connection.exec_driver_sql("DELETE FROM casos")


def test_a_name_of_a_database_is_a_name_whatever_its_signs(tmp_path: Path) -> None:
    path = tmp_path / "año 1 #2.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t AS SELECT 5 AS a")
    assert whole(open_table(f"sqlite:///{path.as_posix()}", "t"), ["a"]) == [["5"]]


@pytest.mark.parametrize("end", ["?uri=true&mode=rwc", "%3Fmode=rwc%26a=b?uri=true"])
def test_a_database_by_a_file_uri_is_not_made_either(end: str, tmp_path: Path) -> None:
    uri = (tmp_path / "otra.db").as_uri()
    with pytest.raises(TableError):
        open_table(f"sqlite:///{uri}{end}", "casos")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("before", [0, 30_000])
def test_a_text_that_is_not_utf_8_is_told_by_its_column_alone(tmp_path: Path, before: int) -> None:
    """SQLite's own message holds the text, which is somebody's name."""
    path = tmp_path / "t.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (NOMBRE TEXT)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x",)] * before)
        connection.execute("INSERT INTO t VALUES (CAST(x'506570655ef1' AS TEXT))")
    with pytest.raises(TableError, match="la columna NOMBRE tiene un texto que no es UTF-8") as e:
        whole(open_table(f"sqlite:///{path.as_posix()}", "t"), ["NOMBRE"])
    assert "Pepe" not in "".join(traceback.format_exception(e.value))


def test_a_query_that_gives_other_columns_the_second_time_is_refused(
    database: str, tmp_path: Path
) -> None:
    table = open_table(database, "casos")
    with contextlib.closing(sqlite3.connect(tmp_path / "cobros.db")) as connection, connection:
        connection.execute("ALTER TABLE casos RENAME COLUMN DEUDA TO PAGO")
    with pytest.raises(TableError, match="la consulta ha cambiado"):
        whole(table, ["CUST"])


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ana:S3cr3t/base",
        "postgresql://ana:S3cr3t h/b",
        "postgresql://ana:S3c@r3t@h/b",
        "postgresql://ana/x:S3c@r3t@h/b",
        "S3c r3t://h",
    ],
)
def test_no_part_of_a_password_in_a_wrong_url_is_shown(url: str) -> None:
    with pytest.raises(TableError, match="dirección de la base de datos") as caught:
        open_table(url, "casos")
    told = "".join(traceback.format_exception(caught.value, limit=0))
    assert caught.value.__cause__ is None
    assert "S3c" not in told
    assert "r3t" not in told


def test_a_row_in_the_place_of_the_heading_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Ana;600123123;b;600123123\n", encoding="utf-8")
    row = pa.table([pa.array(["1"])] * 4, names=["Ana", "600123123", "b", "600123123"])
    pq.write_table(row, tmp_path / "t.parquet")
    for name in ("t.csv", "t.parquet"):
        with pytest.raises(TableError) as caught:
            open_table(str(tmp_path / name))
        told = "las columnas 2 y 4 tienen el mismo nombre; ¿falta la cabecera?"
        assert str(caught.value) == f"{name}: {told}"


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "otra.db"
    with pytest.raises(TableError, match=r"ninguna base de datos SQLite en .*otra\.db"):
        open_table(f"sqlite:///{path.as_posix()}", "casos")
    assert not path.exists()


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (None, "necesita una consulta"),
        ("otros", "no such table: otros"),
        ("SELECT nada FROM casos", "no such column: nada"),
        ("SELECT CUST, LINEAS AS CUST FROM casos", "dos columnas con el nombre CUST"),
    ],
)
def test_what_a_database_cannot_give_is_told(database: str, query: str | None, told: str) -> None:
    with pytest.raises(TableError, match=told):
        open_table(database, query)


def test_no_message_holds_the_password_of_a_database() -> None:
    url = "nosuchkind://ana:secreto@servidor/cobros?password=secreto"
    with pytest.raises(TableError) as caught:
        open_table(url, "casos")
    assert "secreto" not in str(caught.value)
    assert "nosuchkind://***@servidor/cobros:" in str(caught.value)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nada.csv"):
        with pytest.raises(TableError, match="no existe o no es un fichero"):
            open_table(str(path))


def test_a_query_for_a_file_is_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n", encoding="utf-8")
    with pytest.raises(TableError, match="solo vale para una base de datos"):
        open_table(str(tmp_path / "t.csv"), "casos")
