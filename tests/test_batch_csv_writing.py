"""Portfolios given back as CSV: the rows as they were, what was found behind them, and no cell
that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import re
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from csv_portfolios import Written, opened, read, reference, results, swallows
from hypothesis import assume, given
from hypothesis import strategies as st

from propensia import delimited
from propensia.batch.added import NAMES, REASONS, Added
from propensia.batch.blocks import Rows
from propensia.batch.csv_files.dialect import OURS, Dialect
from propensia.batch.csv_files.ends import CsvSink
from propensia.batch.csv_files.writing import CsvWriter
from propensia.batch.excel_files.cells import Cells
from propensia.delimited import DELIMITERS, still

ADDED = Added("0123456789ab", ("no pagador", "pagador"))
WITH_REASONS = Added("0123456789ab", ("no pagador", "pagador"), reasons=True)
NEW = ["0.25", "no pagador", "3", "0123456789ab", "im:coma_decimal", "", "C"]
SIGNS = st.sampled_from(
    [*"x1=+-@ \t;,\"'\n\r", "-3", "+3,5", "-1e5", "\N{FULLWIDTH EQUALS SIGN}", "ñ", ""]
)
CELLS = st.lists(SIGNS, max_size=5).map("".join)
BARE = tuple("=+-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}")
FORMULAS = (*BARE, *"\t\r\n")


def given_back(path: Path, content: bytes, added: Added = ADDED) -> bytes:
    """A file with the same result in each of its rows."""
    source = opened(path, content)
    sink = CsvSink(path.with_name("out.csv"), source.heading, added, source.dialect(range(9)))
    sink.start(None)
    for rows in read(source):
        sink.keep(sink.writer.render(rows, results(len(rows), notes="im:coma_decimal")))
    sink.finish()
    return path.with_name("out.csv").read_bytes()


# A number is none, nor what begins with one for a program that sees no end of a cell behind it.
HARMLESS = re.compile(r"[+-][0-9]+(?:[.,][0-9]+)?(?:[;,\t].*)?", re.DOTALL).fullmatch


@given(
    st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=8),
    st.builds(
        Written,
        delimiter=st.sampled_from([";", ",", "\t"]),
        quoted=st.frozensets(st.integers(3, 30), max_size=12),
        ends=st.sampled_from([("\n",), ("\r\n",)]),
    ),
)
def test_rows_are_given_back_cell_by_cell_and_none_runs(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]], how: Written
) -> None:
    table = [["a", "b", "c"], ["x", "y", "z"], *table]
    assume(not any(swallows(line, how.delimiter, 3) for line in how.lines(table)))
    out = given_back(tmp_path_factory.mktemp("tabla") / "t.csv", how.content(table)).decode()
    rows = [row for _, row in reference(how.text(table), how.delimiter)][1:]
    found = [row for _, row in reference(out, how.delimiter)]
    assert found[0] == ("a", "b", "c", *NAMES)
    safe = [[still(cell, how.delimiter) for cell in row] for row in rows]
    plain = [
        [cell if n != 3 else cell.replace(",", ".") for n, cell in enumerate(row)] for row in found
    ]
    assert plain[1:] == [[*row, *NEW] for row in safe]
    for other in DELIMITERS:  # as programs see it for which another sign ends cells
        lines = csv.reader(io.StringIO(out, newline=""), delimiter=other)
        signs = FORMULAS if other == how.delimiter else BARE
        runs = {cell for line in lines for cell in line if cell.startswith(signs)}
        assert {cell for cell in runs if not HARMLESS(cell)} == set()


def test_what_runs_nowhere_is_given_back_byte_by_byte(tmp_path: Path) -> None:
    lines = [
        b'a;" b";c',
        b'"1";-3,5;"x ""y"""',
        b"2; - x ;'",
        b'3;2022-12-01;"dos\nl\xc3\xadneas"',
        b'4;"+34600111222";5" x',
        b";;a@b.es",
    ]
    out = given_back(tmp_path / "t.csv", b"\r\n".join([*lines, b""]))
    ends = [";".join(NAMES), *[";".join(NEW).replace("0.25", "0,25")] * 5]
    cells = [b"a;b;c", *lines[1:]]
    assert out == b"".join(
        b"%b;%b\r\n" % (line, end.encode()) for line, end in zip(cells, ends, strict=True)
    )


@pytest.mark.parametrize("sign", [*delimited.SIGNS, *delimited.BLANKS])
@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_no_sign_that_runs_is_forgotten_on_any_way_into_a_csv(
    sign: str, delimiter: str, tmp_path: Path
) -> None:
    """Neither in a line that is given back as it came, nor in a cell made from a column."""
    cell = f"{sign}x"
    line = f'a{delimiter}"{cell}"\n'
    out = given_back(tmp_path / "t.csv", f"a{delimiter}b\n{line}".encode()).decode()
    (_, _), (_, own) = reference(out, delimiter)
    batch = pa.record_batch({"a": ["a"], "b": [cell]})
    rows = Rows({}, {}, np.array([1]), batch)
    writer = CsvWriter(ADDED, Dialect(delimiter=delimiter))
    ((_, made),) = reference(writer.render(rows, results(1)).decode(), delimiter)
    assert own[1] == made[1] == f"'{cell}"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=1+1", "'=1+1"),
        ('"=1+1"', "'=1+1"),
        ("@x", "'@x"),
        ("+34 600", "'+34 600"),
        ("-x", "'-x"),
        ('"\tx"', "'\tx"),
        ('"\n=1"', "'\n'=1"),
        ("\N{FULLWIDTH EQUALS SIGN}1", "'\N{FULLWIDTH EQUALS SIGN}1"),
        ("x,=1", "x,'=1"),
        ('"x;=1"', "x;=1"),  # what ends a cell here stands between quotes
        ('"x,""-3"""', 'x,\'"-3"'),
        ("x,          =1", "x,'          =1"),
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_a_formula_is_stilled_and_its_neighbour_is_as_it_was(
    text: str, safe: str, place: int, tmp_path: Path
) -> None:
    row = ["inocente", "inocente"]
    row[place] = text
    out = given_back(tmp_path / "t.csv", f"a;b\n{';'.join(row)}\n".encode()).decode()
    (_, _), (_, found) = reference(out, ";")
    assert found[place] == safe and found[1 - place] == "inocente"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_result_is_utf_8_with_the_line_ends_of_the_rows_and_a_mark_where_excel_needs_one(
    encoding: str, end: str, tmp_path: Path
) -> None:
    out = given_back(tmp_path / "t.csv", f"año;b{end}ñu;2{end}".encode(encoding))
    assert out.startswith(b"\xef\xbb\xbf") == (encoding != "utf-8")
    lines = out.decode("utf-8-sig").split(end)
    new = ["0,25", *NEW[1:]]
    assert lines == [";".join(["año", "b", *NAMES]), ";".join(["ñu", "2", *new]), ""]


def test_a_bad_row_keeps_its_cells_and_the_columns_behind_stay_in_line(tmp_path: Path) -> None:
    text = 'a;b;c\n1;2;3\n4;5\n6;7;8;"=9"\n"10;11;12\n'
    out = given_back(tmp_path / "t.csv", text.encode()).decode()
    found = [row for _, row in reference(out, ";")][1:]
    assert [row[:3] for row in found] == [
        ("1", "2", "3"),
        ("4", "5", ""),
        ("6", "7", "8;=9"),
        ('"10;11;12', "", ""),
    ]
    assert {row[3:] for row in found} == {("0,25", *NEW[1:])}


def test_a_million_chances_read_back_bit_by_bit() -> None:
    """Of every size that a number between 0 and 1 can have, the smallest ones too."""
    random = np.random.default_rng(7)
    bits = random.integers(0, np.float64(1.0).view(np.uint64), 1_000_000, dtype=np.uint64)
    special = [0.0, 1.0, 5e-324, 1e-05, 1e-07, 0.1, 0.5, float(np.nextafter(1, 0)), 2.0**-1022]
    chances = np.concatenate([special, bits.view(np.float64), random.random(1000)])
    for decimal, some in ((".", chances), (",", chances[:10_000])):
        count = len(some)
        batch = pa.record_batch({"a": np.zeros(count, dtype=np.int8)})
        writer = CsvWriter(ADDED, Dialect(";", decimal=decimal))
        out = writer.render(Rows({}, {}, np.arange(count), batch), results(count, some)).decode()
        read_back = [float(line.split(";", 2)[1].replace(",", ".")) for line in out.splitlines()]
        assert np.array_equal(np.array(read_back).view(np.uint64), some.view(np.uint64))


def test_a_row_without_a_chance_has_no_class_decile_or_band() -> None:
    rows = Rows({}, {}, np.arange(2), pa.record_batch({"a": ["x", "y"]}))
    writer = CsvWriter(WITH_REASONS, Dialect())
    out = writer.render(rows, results(2, [np.nan, 0.75])).decode()
    assert writer.heading(["a"]).decode("utf-8-sig") == ",".join(["a", *NAMES, REASONS]) + "\n"
    assert out == "x,,,,0123456789ab,,,,\ny,0.75,pagador,3,0123456789ab,,,C,\n"


def test_a_decimal_comma_between_commas_stands_within_quotes(tmp_path: Path) -> None:
    out = given_back(tmp_path / "t.csv", b'a,b\n"117,05",x\n').decode()
    assert out.splitlines()[1].startswith('"117,05",x,"0,25",')
    (_, _), (_, found) = reference(out, ",")
    assert found == ("117,05", "x", "0,25", *NEW[1:])


def test_numbers_of_another_format_have_the_sign_of_the_result(tmp_path: Path) -> None:
    numbers = [-1.5, None, 0.125]
    batch = pa.record_batch(
        {
            "n": pa.array(numbers),
            "d": pa.array([Decimal("2.50"), None, Decimal("3.00")], pa.decimal128(5, 2)),
            "t": pa.array(["1.5", "a,b", None]),
        }
    )
    sheet = Cells(("n", "t"), [[-1.5, "1.5"], [3, None], [True, 2.25]])
    writer = CsvWriter(ADDED, OURS)
    out = writer.render(Rows({}, {}, np.arange(3), batch), results(3)).decode()
    assert [row[:4] for _, row in reference(out, ";")] == [
        ("-1,5", "2,50", "1.5", "0,25"),
        ("", "", "a,b", "0,25"),
        ("0,125", "3,00", "", "0,25"),
    ]
    out = writer.render(Rows({}, {}, np.arange(3), sheet), results(3)).decode()
    assert [row[:3] for _, row in reference(out, ";")] == [
        ("-1,5", "1.5", "0,25"),
        ("3", "", "0,25"),
        ("true", "2,25", "0,25"),
    ]


def test_rows_of_another_format_are_written_as_texts_that_run_nowhere() -> None:
    batch = pa.record_batch(
        {
            "n": pa.array([-1.5, None, 3.0]),
            "t": pa.array(["=1", 'a,"b"', None]),
            "d": pa.array([20_000, None, 1], pa.date32()),
        }
    )
    rows = Rows({}, {}, np.arange(3), batch)
    out = CsvWriter(ADDED, Dialect()).render(rows, results(3)).decode()
    found = [row[:3] for _, row in reference(out, ",")]
    assert found == [("-1.5", "'=1", "2024-10-04"), ("", 'a,"b"', ""), ("3", "", "1970-01-02")]


def test_going_on_leaves_what_was_kept_and_nothing_after_it(tmp_path: Path) -> None:
    sink = CsvSink(tmp_path / "out.csv", ["a"], ADDED)
    sink.start(None)
    place = sink.keep(b"uno\n")
    sink.keep(b"dos\n")
    again = CsvSink(tmp_path / "out.csv", ["a"], ADDED)
    again.start(place)
    again.keep(b"tres\n")
    assert not (tmp_path / "out.csv").exists()
    again.finish()
    assert (tmp_path / "out.csv").read_bytes().endswith(b"banda\nuno\ntres\n")
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
