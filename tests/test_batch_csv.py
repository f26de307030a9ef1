"""CSV as portfolios come in: every dialect, whatever an analyst's machine wrote, and what is not
one. What is read is held against Python's csv module."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from csv_portfolios import Written, by_line, opened, read, reference, swallows, texts
from hypothesis import assume, given
from hypothesis import strategies as st

from propensia.batch.csv_files import dialect, ends
from propensia.delimited import TableError
from propensia.tables import open_table

# No letter of which the bytes in Windows-1252 could be one in UTF-8.
SIGNS = st.sampled_from(
    ["", "x", "12", "ñ", "Á", '"', ";", ",", "\t", "\n", "\r\n", "\r", " ", "-3"]
)
CELLS = st.lists(SIGNS, max_size=4).map("".join)
DIALECTS = st.builds(
    Written,
    delimiter=st.sampled_from([";", ",", "\t"]),
    encoding=st.sampled_from(["utf-8", "cp1252", "utf-16-le", "utf-16-be"]),
    quoted=st.frozensets(st.integers(4, 60), max_size=20),
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=1, max_size=3).map(tuple),
)


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    width = draw(st.integers(2, 4))
    names = ["a", "b", "c", "d"][:width]
    rows = st.lists(CELLS, min_size=width, max_size=width)
    return [names, *draw(st.lists(rows, max_size=12))]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ends, "BLOCK_BYTES", 60)


@given(tables(), DIALECTS)
def test_every_table_is_read_as_pythons_csv_reads_it(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]], how: Written
) -> None:
    width = len(table[0])
    lines = how.lines(table)
    assume(not any(swallows(line, how.delimiter, width) for line in lines))
    wide = how.encoding.startswith("utf-16")
    content = Written(**{**vars(how), "bom": wide}).content(table)
    path = tmp_path_factory.mktemp("tabla") / "t.csv"
    rows = read(opened(path, content))
    wanted = reference(how.text(table), how.delimiter)[1:]
    assert texts(rows, table[0]) == [row for _, row in wanted]
    assert [int(line) for block in rows for line in block.lines] == [line for line, _ in wanted]
    assert by_line(rows, "broken") == {}


@given(
    st.lists(
        st.lists(st.sampled_from(["", "x", "ñ 1", "2,5"]), min_size=3, max_size=3), max_size=9
    ),
    st.lists(
        st.tuples(
            st.integers(0, 9),
            st.sampled_from(
                [
                    ("1;2", "columnas_de_menos"),
                    ("1;2;3;4", "columnas_de_mas"),
                    ('1;"2;3', "comillas_abiertas"),
                    ('"1"x;2;3', "comillas_sueltas"),
                ]
            ),
        ),
        max_size=6,
    ),
)
def test_a_bad_row_is_told_by_its_line_and_spoils_no_other(
    tmp_path_factory: pytest.TempPathFactory,
    good: list[list[str]],
    bad: list[tuple[int, tuple[str, str]]],
) -> None:
    lines: list[tuple[str, str]] = [(";".join(row), "") for row in good if any(row)]
    for place, line in bad:
        lines.insert(place, line)
    text = "\n".join(["a;b;c", *(line for line, _ in lines)]) + "\n"
    source = opened(tmp_path_factory.mktemp("tabla") / "t.csv", text.encode())
    # The first row tells the width: as wide as the heading unless cells are missing or too many.
    assume(source.heading == ("a", "b", "c"))
    rows = read(source)
    found = texts(rows, "abc")
    assert found == [
        (None, None, None) if code else tuple(line.split(";")) for line, code in lines
    ]
    assert by_line(rows, "broken") == {
        number: code for number, (_, code) in enumerate(lines, 2) if code
    }


def test_a_quote_that_nobody_closes_costs_one_row_and_not_those_that_follow(
    tmp_path: Path,
) -> None:
    """The next quote of the same column, three rows below, must not end it."""
    text = 'a;b;c\n1;"x;2\n3;y;4\n5;y;6\n7;z";8\n9;"w\nw";10\n'
    rows = read(opened(tmp_path / "t.csv", text.encode()))
    assert by_line(rows, "broken") == {2: "comillas_abiertas"}
    assert texts(rows, "abc")[1:] == [
        ("3", "y", "4"),
        ("5", "y", "6"),
        ("7", 'z"', "8"),
        ("9", "w\nw", "10"),
    ]


def test_a_quote_within_a_cell_is_a_sign_as_any_other(tmp_path: Path) -> None:
    rows = read(opened(tmp_path / "t.csv", b'a;b\n5" x;y\nz;6"\n"7""";8\n'))
    assert texts(rows, "ab") == [('5" x', "y"), ("z", '6"'), ('7"', "8")]


def test_rows_in_another_encoding_than_most_are_read_in_theirs_and_told(tmp_path: Path) -> None:
    right = [f"{n};Muñoz €".encode() for n in range(9)]
    wrong = "9;Ibáñez €".encode("cp1252")
    content = b"\n".join([b"a;b", *right[:5], wrong, *right[5:], b""])
    rows = read(opened(tmp_path / "t.csv", content))
    assert ("9", "Ibáñez €") in texts(rows, "ab") and ("8", "Muñoz €") in texts(rows, "ab")
    assert by_line(rows, "notes") == {7: "fila:codificacion_distinta"}
    assert by_line(rows, "broken") == {}


def test_a_file_of_excel_in_spain_is_read_with_nothing_told(tmp_path: Path) -> None:
    """Its CSV is Windows-1252, where the euro is a byte that Latin-1 has not, and one letter may
    look like UTF-8: the two last ones of this name do."""
    names = ["Ibáñez", "Muñoz", "12 €", "PEÃ±"]
    content = "\r\n".join(["a;b", *(f"1;{name}" for name in names), ""]).encode("cp1252")
    source = opened(tmp_path / "t.csv", content)
    rows = read(source)
    assert [row[1] for row in texts(rows, "ab")] == [*names[:3], "PEñ"]
    assert by_line(rows, "notes") == {5: "fila:codificacion_distinta"}
    dialect = source.dialect([])
    assert dialect.bom and dialect.end == "\r\n"


@pytest.mark.parametrize(
    ("encoding", "bom"), [("windows-1252", True), ("utf-8", False), ("ascii", False)]
)
def test_the_encoding_is_that_of_the_first_accent_however_late_it_comes(
    encoding: str, bom: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result of Windows-1252 without a BOM would be read wrongly by Excel in Spain."""
    city, plain = ("Avila" if encoding == "ascii" else "Ávila"), "28001;Madrid\r\n" * 300
    content = ("cp;city\r\n" + plain + f"05001;{city}\r\n" * 3).encode(encoding)
    for module in (dialect, ends):
        monkeypatch.setattr(module, "SAMPLE_BYTES", 1 << 10)
    source = opened(tmp_path / "late.csv", content)
    rows = read(source)
    assert texts(rows, ["city"])[-4:] == [("Madrid",), *[(city,)] * 3]
    assert by_line(rows, "notes") == {}
    assert source.dialect([]).bom is bom


def test_a_file_has_the_same_texts_for_training_as_for_scoring(tmp_path: Path) -> None:
    """Else a category would be known on one side only."""
    names = ["Señoría", "12 €", "d’Or", "A – B", "\x81\x8d\x8f\x90\x9d", "“x” …"]  # noqa: RUF001
    content = b"".join(b"%d;%b\r\n" % (n, _windows(name)) for n, name in enumerate(names))
    path = tmp_path / "t.csv"
    rows = read(opened(path, b"a;b\r\n" + content))
    (trained,) = open_table(str(path)).blocks(["a", "b"])
    assert trained["b"] == names
    assert [row[1] for row in texts(rows, "ab")] == names


def _windows(text: str) -> bytes:
    return b"".join(x.encode("latin-1" if x in "\x81\x8d\x8f\x90\x9d" else "cp1252") for x in text)


def test_any_byte_is_a_letter_of_some_row(tmp_path: Path) -> None:
    every = bytes(code for code in range(1, 256) if code not in b'\r\n";')
    rows = read(opened(tmp_path / "t.csv", b"a;b\n1;" + every + b"\n2;\x81\n3;\0x\n"))
    found = [row[1] for row in texts(rows, "ab")]
    assert found[0] is not None and len(found[0]) == len(every) and "€" in found[0]
    assert found[1:] == ["\x81", "\0x"]


def test_half_a_letter_of_utf_16_is_a_fault_of_its_row_alone(tmp_path: Path) -> None:
    content = "a;b\n1;x\n2;".encode("utf-16") + b"\x00\xd8" + "\n3;z\n".encode("utf-16-le")
    rows = read(opened(tmp_path / "t.csv", content))
    assert by_line(rows, "broken") == {3: "codificacion_no_valida"}
    assert texts(rows, "ab")[2] == ("3", "z")


@pytest.mark.parametrize("heading", ["a;b", "a;b;", "a;b;;"])
@pytest.mark.parametrize("end", ["", ";", ";;"])
def test_delimiters_too_many_at_the_end_of_lines_are_no_columns(
    heading: str, end: str, tmp_path: Path
) -> None:
    text = f"{heading}\n1;2{end}\n3;4\n5;6;;;\n;;\n\n"
    source = opened(tmp_path / "t.csv", text.encode())
    rows = read(source)
    assert texts(rows, "ab") == [("1", "2"), ("3", "4"), ("5", "6")]
    assert by_line(rows, "broken") == {}
    # The result goes on behind the last of its columns, so it has as many as most rows.
    assert source.heading == ("a", "b", *[""] * len(end))


@pytest.mark.parametrize(
    ("opening", "line"), [("", 2), ("sep=,\r\n", 3), ("\n\n", 4), ('"SEP=,"\n \n', 4)]
)
def test_what_comes_before_the_heading_counts_as_lines(
    opening: str, line: int, tmp_path: Path
) -> None:
    text = f'{opening} a ,"b\nb"\n1,2\n3;,4\n'
    source = opened(tmp_path / "t.csv", text.encode("utf-8-sig"))
    assert source.heading == ("a", "b\nb")
    rows = read(source)
    assert texts(rows, source.heading) == [("1", "2"), ("3;", "4")]
    assert [int(n) for block in rows for n in block.lines] == [line + 1, line + 2]


@pytest.mark.parametrize(
    ("text", "delimiter", "decimal"),
    [
        ("a;b\n1,5;x\n2,25;y\n", ";", ","),
        ("a;b\n1.5;x\n2,25;y\n3.5;z\n", ";", "."),
        ('a,b\n"1,5",x\n', ",", ","),
        ('a,b\n"1,5",2.5\n3.5,x\n', ",", "."),
        ("a,b\n1,5\n2,25\n", ",", "."),
        ("a\tb\n1,5\tx\n", "\t", ","),
        ("a\tb\n1.5\tx\n", "\t", "."),
        # Euros without cents, and what is no number: then as the programs that write ``;`` do.
        ("a;b\n117;2022-12-21\n90;a.b@c.es\n", ";", ","),
        ("a,b\n117,x\n", ",", "."),
        ("a;b\n", ";", ","),
    ],
)
def test_a_result_has_decimal_commas_where_the_rows_have_or_would_have_them(
    text: str, delimiter: str, decimal: str, tmp_path: Path
) -> None:
    dialect = opened(tmp_path / "t.csv", text.encode()).dialect([0, 1])
    assert (dialect.delimiter, dialect.decimal, dialect.bom) == (delimiter, decimal, False)


def test_only_columns_of_numbers_tell_the_decimal_sign(tmp_path: Path) -> None:
    """A customer's number may look like one with decimals, as pandas writes it."""
    source = opened(tmp_path / "t.csv", b'n;im\n1021523297.0;117\n1021523298.0;"90"\n')
    assert source.dialect([1]).decimal == "," and source.dialect([0, 1]).decimal == "."


def test_blocks_are_the_same_wherever_reading_begins(tmp_path: Path) -> None:
    text = "a;b\n" + "".join(f'{n};"x\ny {n}"\n' for n in range(99))
    for encoding in ("utf-8", "utf-16"):
        source = opened(tmp_path / "t.csv", text.encode(encoding))
        blocks = list(source.blocks())
        assert len(blocks) > 15 and blocks[-1].done == 1.0
        for place, block in enumerate(blocks):
            assert list(source.blocks(block.end)) == blocks[place + 1 :]


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n\n", b";;;\n1;2;3\n"])
def test_a_file_without_a_heading_is_empty(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"^t.csv está vacío: no tiene ni cabecera$"):
        opened(tmp_path / "t.csv", content)


@pytest.mark.parametrize("content", [b"a;b", b"a;b\n", b"a;b\r\n\r\n;\r\n"])
def test_a_heading_alone_is_a_table_without_rows(content: bytes, tmp_path: Path) -> None:
    source = opened(tmp_path / "t.csv", content)
    assert source.heading == ("a", "b")
    assert sum(len(rows) for rows in read(source)) == 0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a;b; a \n1;2;3\n", "hay dos columnas con el nombre a"),
        (b'a;"b\n', "a la cabecera le sobra o le falta una comilla"),
        ("a;b\n1;2\n".encode("utf-16-le"), "no es un fichero de texto"),
        (b"PK\x03\x04xxxx", "es un libro o un zip"),
        (b"x" * (2 << 20), "la cabecera pasa de 1 MiB"),
    ],
)
def test_what_is_no_csv_is_refused_before_anything_is_read(
    content: bytes, told: str, tmp_path: Path
) -> None:
    with pytest.raises(TableError, match=f"^t.csv: {told}"):
        opened(tmp_path / "t.csv", content)


def test_a_line_without_end_is_refused_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends, "BLOCK_BYTES", 1 << 20)
    monkeypatch.setattr(ends, "LONGEST_ROW", 4 << 20)
    path = tmp_path / "t.csv"
    with path.open("wb") as stream:
        stream.write(b"a;b\n1;2\n")
        stream.truncate(200 << 20)  # a sparse file: no disk is needed
    source = ends.CsvSource(path)
    tracemalloc.start()
    with pytest.raises(TableError, match=r"^t.csv: la línea 3 pasa de 4 MiB"):
        list(source.blocks())
    assert tracemalloc.get_traced_memory()[1] < 30 << 20
    tracemalloc.stop()


def test_a_row_of_many_mebibytes_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ends, "BLOCK_BYTES", 1 << 20)
    long = "x;\n" * (1 << 20)
    rows = read(opened(tmp_path / "t.csv", f'a;b\n1;"{long}"\n2;3\n'.encode()))
    assert texts(rows, "ab") == [("1", long), ("2", "3")]


def test_a_quote_that_is_open_for_too_long_is_left_to_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends, "LONGEST_ROW", 500)
    lines = [f"{n};x" for n in range(400)]
    lines[7] = lines[150] = '7;"x'
    source = opened(tmp_path / "t.csv", "\n".join(["a;b", *lines]).encode())
    assert max(len(block.content) for block in source.blocks()) <= 60
    rows = read(source)
    assert by_line(rows, "broken") == {9: "comillas_abiertas", 152: "comillas_abiertas"}
    assert len(texts(rows, "ab")) == 400


def test_ten_thousand_bad_rows_are_all_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends, "BLOCK_BYTES", 1 << 16)
    text = "a;b\n" + "1;2\n1;2;3\n" * 10_000
    rows = read(opened(tmp_path / "t.csv", text.encode()))
    assert by_line(rows, "broken") == dict.fromkeys(range(3, 20_002, 2), "columnas_de_mas")
    assert texts(rows, "ab")[::2] == [("1", "2")] * 10_000


def test_lines_that_say_nothing_are_no_rows_and_counted(tmp_path: Path) -> None:
    text = 'a;b\n1;2\n;\n\n3;4\n"";\n5;6\n'
    rows = read(opened(tmp_path / "t.csv", text.encode()))
    assert texts(rows, "ab") == [("1", "2"), ("3", "4"), ("5", "6")]
    assert sum(block.empty for block in rows) == 3


def test_rows_of_every_kind_can_be_had_as_columns(tmp_path: Path) -> None:
    text = 'a;;c\n1;x;"y\ny"\n2;z\n"3;w;v\n4;;;5\n'
    (rows,) = read(opened(tmp_path / "t.csv", text.encode()))
    assert rows.columns().to_pydict() == {
        "a": ["1", "2", '"3;w;v', "4"],
        "": ["x", "z", "", ""],
        "c": ["y\ny", "", "", ";5"],
    }
