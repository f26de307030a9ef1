"""Delimited text as spreadsheets write it: every encoding and opening, and what is no table."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from propensia import delimited, files


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_table_is_read_whatever_wrote_it(
    encoding: str, delimiter: str, end: str, tmp_path: Path
) -> None:
    lines = [["año", " b "], ["ñu", '"1,5;\t2"'], ["", "3"]]
    text = end.join(delimiter.join(line) for line in lines)
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    heading, rows = delimited.read_table(tmp_path / "t.csv", 1_000)
    assert heading == ["año", "b"]
    assert rows == [["ñu", "1,5;\t2"], ["", "3"]]


def test_any_byte_of_excels_own_code_page_is_a_letter(tmp_path: Path) -> None:
    """Python's ``cp1252`` refuses five bytes; there a letter is as in Latin-1, and the ones behind
    it, in the same read or a later one, are still Windows' own."""
    every = [bytes([code]) for code in range(0x80, 0x100)]
    lines = [b"%b;%b\n" % (b"x" * 90, letter) for letter in every for _ in range(9)]
    (tmp_path / "t.csv").write_bytes(b"a;b\n" + b"".join(lines))
    _, rows = delimited.read_table(tmp_path / "t.csv", 1_000_000)
    known = {0x80: "€", 0x92: "’", 0x96: "–", 0x81: "\x81", 0xF1: "ñ", 0xFF: "ÿ"}  # noqa: RUF001
    assert {code: rows[9 * (code - 0x80)][1] for code in known} == known
    assert [row[1] for row in rows] == [delimited.from_windows(x) for x in every for _ in range(9)]


def test_rows_without_any_text_are_left_out_and_an_empty_file_has_none(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a;b;;\n\n1;2;;\n;;;\n", encoding="utf-8")
    assert delimited.read_table(path, 100) == (["a", "b", "", ""], [["1", "2", "", ""]])
    path.write_bytes(b"")
    assert delimited.read_table(path, 100) == ([], [])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a;b\n1;2\n\n1;2;3\n", "la línea 4 tiene 3 columnas y la cabecera 2"),
        ('a;b\n"1\n";2\n1\n', "la línea 4 tiene 1 columnas"),
        ('a;b\n1;"2\n3;4\n', "la línea 3 no es de un CSV"),
        (f"a;b\n1;{'x' * 200_000}\n", "la línea 2 no es de un CSV"),
        ("a;b; a\n1;2;3\n", "dos columnas con el nombre a"),
    ],
)
def test_what_is_not_a_table_is_an_error_that_names_the_line_or_column(
    text: str, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "tabla.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(delimited.TableError, match=f"^tabla.csv: .*{told}"):
        delimited.read_table(path, 1_000_000)


def test_a_table_over_the_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a\n1\n")
    with pytest.raises(files.FileTooLarge):
        delimited.read_table(tmp_path / "t.csv", 3)


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
@pytest.mark.parametrize("opening", ["sep={}\r\n", "\r\n", '"SEP={}"\r\n\r\n', "\n \nsep={}\n"])
def test_what_excel_puts_before_the_heading_is_no_heading(
    opening: str, delimiter: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    text = f"{opening.format(delimiter)}a{delimiter}b\n1{delimiter}2\n"
    path.write_bytes(text.encode("utf-8-sig"))
    assert delimited.read_table(path, 1_000) == (["a", "b"], [["1", "2"]])


def test_a_named_delimiter_counts_and_lines_are_still_numbered_as_in_the_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("sep=;\n\na,x,y;b\n1,0,0;2\n", encoding="utf-8")
    assert delimited.read_table(path, 1_000) == (["a,x,y", "b"], [["1,0,0", "2"]])
    path.write_text("sep=;\n\na;b\n1;2\n1;2;3\n", encoding="utf-8")
    with pytest.raises(delimited.TableError, match="la línea 5 tiene 3 columnas"):
        delimited.read_table(path, 1_000)


# What is written


def written(*rows: list[str]) -> str:
    stream = io.StringIO(newline="")
    write = delimited.writing(stream)
    for row in rows:
        write(row)
    return stream.getvalue()


HOSTILE = [
    "=1+1",
    "@SUM(A1)",
    "+cmd|' /C calc'!A0",
    "\tx",
    "\r=1",
    "x;=1+1;y",
    'x";"=1+1',
    "x; -cmd",
    "x;@a;+b",
    "x\t=1+1",
    "x\n=1+1",
    "x\r\n=1+1",
    "\N{FULLWIDTH EQUALS SIGN}1+1",
    "x;\N{FULLWIDTH PLUS SIGN}1+1",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_cell_is_a_formula_wherever_a_spreadsheet_ends_cells(
    text: str, place: int, delimiter: str
) -> None:
    """Excel splits as the region of its user does, at ``;`` in Spain, whatever we wrote. A quote
    in the middle of what it takes for a cell holds nothing together, as in ``csv``."""
    row = ["inocente", "inocente"]
    row[place] = text
    shown = csv.reader(io.StringIO(written(row), newline=""), delimiter=delimiter)
    runs = tuple("=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}")
    assert [cell for line in shown for cell in line if cell.strip(' "').startswith(runs)] == []


@pytest.mark.parametrize("text", ["a;b", "a\tb", "a,b", 'a "b"', "a\nb", "-5", "+3,5", "", "ñ; €"])
def test_a_harmless_text_is_read_back_as_it_was(text: str) -> None:
    (row,) = csv.reader(io.StringIO(written([text, "fin"]), newline=""))
    assert row == [text, "fin"]


def test_whatever_ends_a_cell_elsewhere_is_between_quotes() -> None:
    assert written(["a;b", "a\tb", "ab", "1,5"]) == '"a;b","a\tb",ab,"1,5"\n'
