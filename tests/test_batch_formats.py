"""Parquet, Excel and CSV as both ends of a run: what is read, what is given back, what refused."""

from __future__ import annotations

import ast
import csv
import datetime as dt
import zipfile
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import batch_ends
import numpy as np
import openpyxl  # type: ignore[import-untyped]  # ships no types
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propensia.batch import arrow, formats, opening, parquet_tables, row_faults, summary
from propensia.batch.added import NAMES, Added
from propensia.batch.blocks import Results, Rows
from propensia.batch.errors import WrongUse
from propensia.batch.excel_files import cells
from propensia.batch.excel_files import reading as excel_reading
from propensia.batch.excel_files import writing as excel_writing
from propensia.batch.excel_files.reading import ExcelSource
from propensia.batch.excel_files.writing import ExcelSink
from propensia.batch.formats import Selection
from propensia.batch.parquet_tables import ParquetSource
from propensia.batch.spool import Spool, pack
from propensia.batch.worker.model import Model
from propensia.contract import Contract
from propensia.delimited import TableError
from propensia.registry import Registry

KINDS = (".csv", ".parquet", ".xlsx")
DAY, MOMENT = dt.date(2022, 12, 21), dt.datetime(2022, 12, 21, 9, 30)


@pytest.fixture
def taken(registry: Registry, contract: Contract) -> Model:
    return batch_ends.published(registry, contract)


def examples(contract: Contract, rows: int = 40) -> list[dict[str, str]]:
    """Rows with different amounts, among them one that is none; the age is not always there."""
    found = []
    for row in range(rows):
        amount = "doce" if row == 3 else str(row * 7) if row % 2 else f"{row * 7}.25"
        age = "" if row % 5 == 0 else "40"
        found.append({**contract.example(), "ed": age, "im": amount, "nota": f"=nota {row}"})
    return found


def typed(rows: Sequence[dict[str, str]], *names: str) -> list[dict[str, Any]]:
    """The same with these columns as numbers where they are."""
    return [
        {
            name: float(text) if name in names and text.replace(".", "").isdigit() else text
            for name, text in row.items()
        }
        for row in rows
    ]


def written(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), delimiter=";")
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".parquet":
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        columns["dt"] = [float(text) for text in columns["dt"]]
        columns["cf"] = [int(text) for text in columns["cf"]]
        pq.write_table(pa.table(columns), path)
    else:
        book = openpyxl.Workbook()
        book.active.append(list(rows[0]))
        for row in typed(rows, "im", "dt", "cf"):
            book.active.append([value or None for value in row.values()])
            book.active.cell(book.active.max_row, len(row)).data_type = "s"
        book.save(path)
    return path


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as stream:
            delimiter = ";" if ";" in stream.readline() else ","
            stream.seek(0)
            return list(csv.DictReader(stream, delimiter=delimiter))
    if path.suffix == ".parquet":
        found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return found
    rows = openpyxl.load_workbook(path).active.iter_rows(values_only=True)
    names = next(rows)
    return [dict(zip(names, row, strict=True)) for row in rows]


def book_of(path: Path, *rows: Sequence[Any]) -> Path:
    """A workbook whose texts are texts, but for formulas (``=``) and errors (``#``)."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def excel_rows(path: Path, *places: int) -> Rows:
    source = ExcelSource(path)
    source.read_columns({f"p{place}": place for place in places})
    (block,) = source.blocks()
    return source.reader.read(block)


def found_for(rows: int, **columns: Any) -> Results:
    nothing = pa.array([""] * rows)
    values = {
        "probability": np.full(rows, 0.5),
        "positive": np.ones(rows, dtype=bool),
        "decile": np.ones(rows, dtype=np.int8),
        **dict.fromkeys(("band", "notes", "faults", "reasons"), nothing),
    }
    return Results(**(values | columns))


def test_a_small_parquet_that_unpacks_to_much_comes_in_blocks_that_fit(tmp_path: Path) -> None:
    """Its own figures count a text that is repeated once, however many rows it fills."""
    path = tmp_path / "t.parquet"
    rows = 5_000
    pq.write_table(pa.table({"a": ["x" * 10_000] * rows}), path, compression="zstd")
    assert path.stat().st_size < 4_000
    whole = list(ParquetSource(path).blocks())
    assert max(len(block.content) for block in whole) < parquet_tables.BLOCK_BYTES + (1 << 20)
    assert whole[-1].end["row"] == rows and whole[-1].done == 1
    for done, block in enumerate(whole, 1):
        rest = list(ParquetSource(path).blocks(block.end))
        assert [(b.number, b.first, b.end) for b in rest] == [
            (b.number, b.first, b.end) for b in whole[done:]
        ]


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_every_kind_goes_into_every_kind_with_the_same_results(
    source: str, target: str, taken: Model, contract: Contract, tmp_path: Path
) -> None:
    rows = examples(contract)
    batch_ends.score(
        taken, batch_ends.opened(taken, written(tmp_path / "a.csv", rows), tmp_path / "b.csv")
    )
    wanted = read(tmp_path / "b.csv")
    out = tmp_path / f"out{target}"
    batch_ends.score(taken, batch_ends.opened(taken, written(tmp_path / f"in{source}", rows), out))
    found = read(out)
    assert list(found[0]) == [*rows[0], *NAMES]
    assert [row["im"] for row in wanted].count("doce") == 1
    for row, same, given in zip(found, wanted, rows, strict=True):
        told = {name: same[name] or (None if target != ".csv" else "") for name in NAMES}
        if same["probabilidad"] and target != ".csv":
            told["probabilidad"] = float(same["probabilidad"])
        elif target == ".csv" and source != ".csv":  # for Excel in Spain
            told["probabilidad"] = same["probabilidad"].replace(".", ",")
        assert {name: row[name] for name in NAMES} == told
        assert row["nota"] == ("'" if target == ".csv" else "") + given["nota"]
        assert str(row["po"]) == given["po"] and str(row["ed"] or "") == given["ed"]
        if given["im"] != "doce":
            assert float(str(row["im"]).replace(",", ".")) == float(given["im"])
    if target == ".csv" and source != ".csv":
        lines = out.read_bytes().split(b"\r\n")
        assert lines[0].startswith(b"\xef\xbb\xbfer;") and b"," not in lines[0] and not lines[-1]
        assert found[0]["dt"] == rows[0]["dt"].replace(".", ",") and "," in found[0]["dt"]
    assert [path.name for path in tmp_path.glob("*.part*")] == []


def test_types_of_a_parquet_are_read_as_the_texts_that_a_client_would_send(
    tmp_path: Path,
) -> None:
    columns: dict[str, tuple[pa.Array, list[str]]] = {
        "whole": (pa.array([5.0, None, float("nan")]), ["5", "", ""]),
        "number": (pa.array([0.1, 1e-7, -2.5]), ["0.1", "1e-7", "-2.5"]),
        "short": (pa.array([0.1, 2, 3], pa.float32()), ["0.1", "2", "3"]),
        "count": (pa.array([1, None, 3], pa.uint64()), ["1", "", "3"]),
        "money": (pa.array([Decimal("1.50"), None, Decimal("2.00")]), ["1.50", "", "2.00"]),
        "group": (pa.array(["a", "b", None]).dictionary_encode(), ["a", "b", ""]),
        "flag": (pa.array([True, False, None]), ["true", "false", ""]),
        "day": (pa.array([DAY, None, DAY]), ["2022-12-21", "", "2022-12-21"]),
        "nothing": (pa.nulls(3), ["", "", ""]),
        "raw": (pa.array([b"a", b"\xc3\xb1", None]), ["a", "ñ", ""]),
    }
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({name: array for name, (array, _) in columns.items()}), path)
    source = ParquetSource(path)
    source.read_columns({name: at for at, name in enumerate(columns)})
    (block,) = source.blocks()
    rows = source.reader.read(block)
    assert {name: texts.to_pylist() for name, texts in rows.texts.items()} == {
        name: texts for name, (_, texts) in columns.items()
    }
    assert rows.lines.tolist() == [1, 2, 3] and rows.broken == {}


def test_a_parquet_keeps_types_and_nested_columns_that_nobody_reads(
    taken: Model, contract: Contract, tmp_path: Path
) -> None:
    rows = examples(contract, 30)
    given = pa.table({name: [row[name] for row in rows] for name in rows[0]})
    for name, column in {
        "dia": pa.array([DAY] * 30),
        "hora": pa.array([MOMENT] * 30, pa.timestamp("ns", "Europe/Madrid")),
        "euros": pa.array([Decimal("1.25")] * 30),
        "grupo": pa.array(["a", "b"] * 15).dictionary_encode(),
        "lista": pa.array([[1, 2]] * 30),
        "bytes": pa.array([b"\xff"] * 30),
    }.items():
        given = given.append_column(name, column)
    pq.write_table(given, tmp_path / "in.parquet", row_group_size=7)
    ends = batch_ends.opened(taken, tmp_path / "in.parquet", tmp_path / "out.parquet")
    batch_ends.score(taken, ends)
    out = pq.read_table(tmp_path / "out.parquet")
    own = pq.read_table(tmp_path / "in.parquet")
    assert out.select(own.column_names).equals(own)
    assert [str(out.schema.field(name).type) for name in NAMES] == [
        *("double", "string", "int8", "string", "string", "string", "string"),
    ]
    for suffix in (".csv", ".xlsx"):
        with pytest.raises(TableError, match=r"la columna lista no es de textos.*list<"):
            batch_ends.opened(taken, tmp_path / "in.parquet", tmp_path / f"out{suffix}")
    batch_ends.score(
        taken,
        batch_ends.opened(
            taken,
            write(own.drop_columns(["lista"]), tmp_path / "flat.parquet"),
            tmp_path / "o.csv",
        ),
    )
    last = read(tmp_path / "o.csv")[-1]
    assert (last["dia"], last["euros"], last["grupo"]) == ("2022-12-21", "1,25", "b")
    assert last["bytes"] == "\N{REPLACEMENT CHARACTER}"


def test_columns_that_no_text_is_made_of_are_refused_by_name(
    taken: Model, contract: Contract, tmp_path: Path
) -> None:
    """Also those that are not nested, and the column that was to be the key."""
    rows = examples(contract, 10)
    table = pa.table({name: [row[name] for row in rows] for name in rows[0]})
    span = pa.array([MOMENT] * 10, pa.timestamp("us", "Mars/Olympus"))
    path = write(table.append_column("plazo", span), tmp_path / "in.parquet")
    for suffix in (".csv", ".xlsx"):
        ends = batch_ends.opened(taken, path, tmp_path / f"out{suffix}")
        with pytest.raises(TableError, match="la columna plazo no es de textos"):
            batch_ends.score(taken, ends)
    target = f"sqlite:///{(tmp_path / 'o.db').as_posix()}"
    wish = opening.Wish(str(path), target, key="plazo")
    ends = opening.ends(wish, taken, {})
    with pytest.raises(TableError, match="la columna plazo no es de textos"):
        batch_ends.score(taken, ends)
    path = write(table.append_column("lista", pa.array([[1]] * 10)), tmp_path / "in2.parquet")
    with pytest.raises(TableError, match=r"in2\.parquet: la columna lista no es de textos"):
        opening.ends(opening.Wish(str(path), target, key="lista"), taken, {})


def write(table: pa.Table, path: Path) -> Path:
    pq.write_table(table, path)
    return path


def test_a_nested_parameter_is_refused_by_the_name_of_its_column(
    contract: Contract, tmp_path: Path
) -> None:
    example = contract.example()
    table = pa.table(
        {name: [[text]] if name == "im" else [text] for name, text in example.items()}
    )
    with pytest.raises(TableError, match=r"t\.parquet: la columna im no es de textos"):
        formats.open_source(str(write(table, tmp_path / "t.parquet")), contract, Selection())


@pytest.mark.parametrize("kind", [pa.binary(), pa.string(), pa.large_binary()])
def test_bytes_that_are_no_text_spoil_only_their_row(kind: pa.DataType, tmp_path: Path) -> None:
    raw = pa.array([b"SI", b"\xff", None], pa.binary())
    column = (
        pa.Array.from_buffers(kind, 3, raw.buffers())
        if kind != pa.large_binary()
        else (raw.cast(kind))
    )
    source = ParquetSource(write(pa.table({"a": column}), tmp_path / "t.parquet"))
    source.read_columns({"a": 0})
    (block,) = source.blocks()
    rows = source.reader.read(block)
    assert rows.texts["a"].to_pylist() == ["SI", None, ""]
    assert rows.broken == {1: "codificacion_no_valida"}


@pytest.mark.parametrize("size", [1, 700, 5000])
def test_blocks_of_a_parquet_are_the_same_from_wherever_they_are_read(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of other rows than the row groups have: what goes on gives the same bytes."""
    monkeypatch.setattr(parquet_tables, "BLOCK_ROWS", 1000 if size > 1 else 100)
    rows = 4321 if size > 1 else 321
    path = tmp_path / "t.parquet"
    words = pa.array([f"w{n // 500}" for n in range(rows)]).dictionary_encode()
    pq.write_table(pa.table({"n": range(rows), "w": words}), path, row_group_size=size)
    whole = list(ParquetSource(path).blocks())
    assert len(whole) == -(-rows // parquet_tables.BLOCK_ROWS)
    numbers = [arrow.unpacked(block.content)["n"].to_pylist() for block in whole]
    assert [n for block in numbers for n in block] == list(range(rows))
    for done, block in enumerate(whole, 1):
        rest = list(ParquetSource(path).blocks(block.end))
        assert [(b.number, b.first) for b in rest] == [(b.number, b.first) for b in whole[done:]]
        read = [arrow.unpacked(b.content)["n"].to_pylist() for b in rest]
        assert read == numbers[done:]


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_a_run_that_went_on_equals_one_that_never_stopped(
    source: str,
    target: str,
    taken: Model,
    contract: Contract,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parquet_tables, "BLOCK_ROWS", 30)
    monkeypatch.setattr(excel_reading, "BLOCK_ROWS", 30)
    monkeypatch.setattr("propensia.batch.csv_files.ends.BLOCK_BYTES", 2000)
    path = written(tmp_path / f"in{source}", examples(contract, 200))
    whole, again = tmp_path / f"whole{target}", tmp_path / f"again{target}"
    batch_ends.score(taken, batch_ends.opened(taken, path, whole))
    places = batch_ends.score(taken, batch_ends.opened(taken, path, again), blocks=3)
    kept = tmp_path / f"again{target}.part"
    with (kept / "spool" if kept.is_dir() else kept).open("ab") as stream:
        stream.write(b"half a block")  # which was not noted down
    assert not again.exists()
    batch_ends.score(taken, batch_ends.opened(taken, path, again), after=places)
    assert read(again) == read(whole) and len(read(again)) == 200
    if target != ".xlsx":  # which holds the time at which it was made
        assert again.read_bytes() == whole.read_bytes()


def test_a_parquet_without_rows_keeps_its_columns(taken: Model, tmp_path: Path) -> None:
    table = pa.table({"dia": pa.array([], pa.date32()), "a": pa.array([], pa.string())})
    source = ParquetSource(write(table, tmp_path / "t.parquet"))
    source.read_columns({"a": 1})
    added = Added("v", ("no", "si"))
    sink = parquet_tables.ParquetSink(tmp_path / "o.parquet", source.schema, added)
    sink.start(None)
    assert list(source.blocks()) == []
    sink.finish()
    found = pq.read_table(tmp_path / "o.parquet")
    assert found.num_rows == 0 and found.schema == pa.schema([*source.schema, *added.schema])


def test_a_file_that_changes_while_it_is_read_is_noticed(
    contract: Contract, tmp_path: Path
) -> None:
    for suffix in (".parquet", ".xlsx"):
        path = written(tmp_path / f"in{suffix}", examples(contract))
        source = formats.open_source(str(path), contract, Selection())
        source.check()
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(TableError, match="ha cambiado mientras se leía"):
            list(source.blocks())
        path.unlink()
        with pytest.raises(TableError, match="ha cambiado mientras se leía"):
            source.check()


def test_cells_of_a_workbook_are_read_as_the_texts_that_a_client_would_send(
    tmp_path: Path,
) -> None:
    path = book_of(
        tmp_path / "t.xlsx",
        [" a ", "b", "c", 7, None, None],
        [5, 1.5, "08001", DAY],
        [],
        [True, None, "  ", MOMENT],
        [1560005228.0, 0.1, "ñ", dt.time(9, 30)],
    )
    source = ExcelSource(path)
    assert source.heading == ("a", "b", "c", "7")
    rows = excel_rows(path, 0, 1, 2, 3)
    assert [column.to_pylist() for column in rows.texts.values()] == [
        ["5", "true", "1560005228"],
        ["1.5", "", "0.1"],
        ["08001", "  ", "ñ"],
        ["2022-12-21", "2022-12-21 09:30:00", "09:30:00"],
    ]
    assert rows.lines.tolist() == [2, 4, 5] and rows.broken == {} and rows.notes == {}


def test_an_error_in_a_cell_is_no_value_and_is_told(tmp_path: Path) -> None:
    rows = excel_rows(book_of(tmp_path / "t.xlsx", ["a", "b"], ["#N/A", "#REF!"], ["x", "y"]), 0)
    assert rows.texts["p0"].to_pylist() == ["", "x"]
    assert rows.notes == {0: "p0:celda_con_error"} and rows.broken == {}
    assert rows.columns().to_pylist() == [{"a": "#N/A", "b": "#REF!"}, {"a": "x", "b": "y"}]


def test_formulas_count_as_what_was_computed_last(tmp_path: Path) -> None:
    """One that no program has computed is a fault, where the model needs it, and told elsewhere,
    for there it is lost; one that gives an empty text is none."""
    path = book_of(
        tmp_path / "raw.xlsx", ["a", "b"], ["=1+1", 2], ["=1+1", 2], [3, "=1+1"], [4, 5]
    )
    computed = tmp_path / "t.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(computed, "w") as new:
        for part in old.namelist():
            data = old.read(part)
            if part.endswith("sheet1.xml"):
                assert data.count(b"<f>1+1</f><v />") == 3 or data.count(b"<f>1+1</f><v></v>") == 3
                data = data.replace(b"<v></v>", b"<v />")
                data = data.replace(b"<f>1+1</f><v />", b"<f>1+1</f><v>2</v>", 1)
                data = data.replace(b'<c r="A3"><f>', b'<c r="A3" t="str"><f>')
            new.writestr(part, data)
    rows = excel_rows(computed, 0)
    assert rows.texts["p0"].to_pylist() == ["2", "", "3", "4"] and rows.broken == {}
    assert rows.notes == {2: "fila:formula_sin_calcular"}
    assert rows.columns().column(1).to_pylist() == ["2", "2", None, "5"]
    rows = excel_rows(computed, 0, 1)
    assert rows.broken == {2: "formula_sin_calcular"} and rows.notes == {}
    assert [texts.to_pylist()[2] for texts in rows.texts.values()] == [None, None]


def test_a_cell_beside_the_table_is_a_fault_of_its_row(tmp_path: Path) -> None:
    rows = excel_rows(book_of(tmp_path / "t.xlsx", ["a"], [1], [2, None, "x"], [3]), 0)
    assert rows.broken == {1: "columnas_de_mas"}
    assert rows.texts["p0"].to_pylist() == ["1", None, "3"]


def test_the_first_sheet_that_is_seen_is_read_or_the_one_that_is_named(
    contract: Contract, tmp_path: Path
) -> None:
    book = openpyxl.Workbook()
    book.active.append(["oculta"])
    book.active.sheet_state = "hidden"
    book.create_sheet("Enero").append(["visible"])
    book.create_sheet("Febrero").append(["nombrada"])
    path = tmp_path / "t.xlsm"
    book.save(path)
    assert ExcelSource(path).heading == ("visible",)
    assert ExcelSource(path, "Febrero").heading == ("nombrada",)
    with pytest.raises(TableError, match=r"ninguna hoja «Marzo»; tiene «Sheet», «Enero»"):
        ExcelSource(path, "Marzo")
    with pytest.raises(WrongUse, match="no tiene hojas"):
        plain = written(tmp_path / "t.csv", examples(contract))
        formats.open_source(str(plain), contract, Selection(sheet="Enero"))


def test_a_result_opens_in_excel_ready_and_runs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "o.xlsx"
    long = "Una nota que no cabe en una columna de tamaño normal de ninguna hoja"
    batch = pa.record_batch(
        {
            "nota": ["=HYPERLINK(1)", "#N/A", "\x00 +1"],
            "texto": [long, None, "08001"],
            "importe": ["54,25", "08001", "12345678901234567"],
            "numero": [0.1 + 0.2, float("nan"), float("inf")],
            "grande": [10**17, None, -3],
            "dia": pa.array([DAY, None, dt.date(1800, 1, 1)]),
            "hora": pa.array([MOMENT, None, MOMENT], pa.timestamp("ns")),
            "euros": [Decimal("1.25"), None, Decimal("12345678901234567.25")],
            "si": [True, None, False],
        }
    )
    sink = ExcelSink(path, batch.schema.names, Added("v1", ("no", "si"), True), frozenset({2}))
    sink.start(None)
    found = found_for(3, probability=np.array([1 / 3, np.nan, 1e-5]))
    sink.keep(sink.writer.render(Rows({}, {}, np.arange(3), batch), found))
    sink.finish()
    sheet = openpyxl.load_workbook(path).active
    cells = list(sheet.iter_rows())
    by_name = {cell.value: [row[at] for row in cells[1:]] for at, cell in enumerate(cells[0])}
    values = {name: [cell.value for cell in column] for name, column in by_name.items()}
    assert {cell.data_type for row in cells for cell in row} <= {"s", "n", "d", "b"}
    assert values["nota"] == ["=HYPERLINK(1)", "#N/A", "\N{REPLACEMENT CHARACTER} +1"]
    assert values["texto"] == [long, None, "08001"]
    assert values["importe"] == [54.25, "08001", "12345678901234567"]
    assert values["numero"] == [0.1 + 0.2, None, "inf"]
    assert values["grande"] == ["100000000000000000", None, -3]
    assert values["dia"] == [dt.datetime(2022, 12, 21), None, "1800-01-01"]
    assert values["hora"] == [MOMENT, None, MOMENT]
    assert values["euros"] == [1.25, None, "12345678901234567.25"]
    assert values["si"] == [True, None, False]
    assert values["probabilidad"] == [1 / 3, None, 1e-5]
    assert by_name["probabilidad"][0].number_format == "0.00%"
    assert all(cell.font.bold for cell in cells[0]) and not cells[1][0].font.bold
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == (
        "A2",
        f"A1:{cells[0][-1].coordinate[0]}4",
    )
    widths = [sheet.column_dimensions[letter].width for letter in "ABD"]
    assert widths[1] == 42 and widths[0] < 42


def test_a_text_that_no_cell_holds_is_cut_and_says_so(tmp_path: Path) -> None:
    """The run goes on: what it was cut from is still in the input. Excel counts UTF-16."""
    texts = ["x" * 32_767, "x" * 32_768, "\U0001f600" * 16_383, "\U0001f600" * 16_384]
    path = tmp_path / "o.xlsx"
    sink = ExcelSink(path, ["a\x01"], Added("v", ("no", "si")), frozenset())
    sink.start(None)
    rows = Rows({}, {}, np.arange(4), pa.record_batch({"a": texts}))
    sink.keep(sink.writer.render(rows, found_for(4)))
    sink.finish()
    found = read(path)
    assert next(iter(found[0])) == "a\N{REPLACEMENT CHARACTER}"
    cut = [next(iter(row.values())) for row in found]
    assert (cut[0], cut[2]) == (texts[0], texts[2])
    for at, mark in (
        (1, "… [recortado: eran 32768 letras]"),
        (3, "… [recortado: eran 16384 letras]"),
    ):
        kept = cut[at].removesuffix(mark)
        assert kept != cut[at] and texts[at].startswith(kept) and len(kept) > 16_000
        assert len(cut[at].encode("utf-16-le")) // 2 in (32_766, 32_767)


def test_days_that_python_does_not_know_are_texts_in_a_sheet(tmp_path: Path) -> None:
    path = tmp_path / "o.xlsx"
    far = 1 << 30
    batch = pa.record_batch(
        {
            "dia": pa.array([far, 19_347, None, -far], pa.date32()),
            "ms": pa.array([far * 86_400_000, 19_347 * 86_400_000, None, 0], pa.date64()),
            "s": pa.array([far * 86_400, 1_671_615_000, None, 0], pa.timestamp("s")),
            "us": pa.array([1 << 62, 1_671_615_000_000_000, None, 0], pa.timestamp("us")),
            "ns": pa.array([1 << 62, 1_671_615_000_000_000_000, None, 0], pa.timestamp("ns")),
        }
    )
    sink = ExcelSink(path, batch.schema.names, Added("v", ("no", "si")), frozenset())
    sink.start(None)
    sink.keep(sink.writer.render(Rows({}, {}, np.arange(4), batch), found_for(4)))
    sink.finish()
    far_row, usual, empty, early = ([*row.values()][:5] for row in read(path))
    midnight, begin = dt.datetime(2022, 12, 21), dt.datetime(1970, 1, 1)
    assert usual == [midnight, midnight, MOMENT, MOMENT, MOMENT] and empty == [None] * 5
    assert [str(far) in str(cell) for cell in far_row] == [True, False, False, False, False]
    assert all(isinstance(cell, str) for cell in far_row[:4])
    assert far_row[4] == dt.datetime(2116, 2, 20, 23, 53, 38, 427000)  # Excel's milliseconds
    assert isinstance(early[0], str) and early[1:] == [begin] * 4


def test_more_rows_than_a_sheet_has_are_refused_before_they_are_kept(
    taken: Model, contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    excel_writing.refuse_long(1_048_575)
    with pytest.raises(TableError, match=r"más de 1\.048\.575 filas; .*\.csv o un \.parquet"):
        excel_writing.refuse_long(1_048_576)
    monkeypatch.setattr(excel_writing, "MOST_ROWS", 40)
    rows = examples(contract, 40)
    source = written(tmp_path / "in.parquet", rows)
    with pytest.raises(TableError, match="no tiene más de"):  # it tells how many it has
        batch_ends.opened(taken, source, tmp_path / "o.xlsx")
    source = written(tmp_path / "in.csv", rows)
    ends = batch_ends.opened(taken, source, tmp_path / "o.xlsx")
    with pytest.raises(TableError, match="no tiene más de"):
        batch_ends.score(taken, ends)
    assert (tmp_path / "o.xlsx.part" / "spool").stat().st_size == 0


REFUSED: dict[str, tuple[str, bytes, str]] = {
    "old": ("t.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "guárdelo como .xlsx"),
    "locked": ("t.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "sin contraseña"),
    "gzip": ("t.csv", b"\x1f\x8b\x08rest", "está comprimido; descomprímalo"),
    "torn": ("t.xlsx", b"PK\x03\x04torn", "dañado o a medias"),
    "named": ("t.parquet", b"a;b\n1;2\n", "no es un fichero .parquet"),
    "sheet": ("t.xlsx", b"a;b\n1;2\n", "no es un fichero .xlsx"),
    "parquet": ("t.parquet", b"PAR1 and no more", "no es un fichero Parquet entero"),
    "empty": ("t.parquet", b"", "no es un fichero .parquet"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_table_is_refused_with_what_to_do(
    case: str, contract: Contract, tmp_path: Path
) -> None:
    name, content, told = REFUSED[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError, match=told.replace(".", r"\.")):
        formats.open_source(str(tmp_path / name), contract, Selection())


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("xl/workbook.bin", "libro binario de Excel"),
        ("content.xml", "LibreOffice"),
        ("cartera.csv", "es un zip; descomprímalo"),
        ("xl/workbook.xml", "dañado o incompleto"),
    ],
)
def test_other_zips_are_refused_by_what_they_are(
    part: str, told: str, contract: Contract, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as book:
        book.writestr(part, "<workbook/>")
    with pytest.raises(TableError, match=told):
        formats.open_source(str(tmp_path / "t.xlsx"), contract, Selection())


def test_a_source_is_known_by_what_is_in_it_and_a_sink_by_its_name(
    taken: Model, contract: Contract, tmp_path: Path
) -> None:
    path = written(tmp_path / "in.parquet", examples(contract)).rename(tmp_path / "in.csv")
    assert isinstance(formats.open_source(str(path), contract, Selection()), ParquetSource)
    for name in ("out", "out.xls", "out.ods", "out.xlsm", "out.gz"):
        with pytest.raises(WrongUse, match=r"se llama como un \.csv, \.parquet o \.xlsx"):
            batch_ends.opened(taken, path, tmp_path / name)
    assert {p.name for p in tmp_path.iterdir()} == {"in.csv", "state"}


def test_options_of_a_database_are_refused_for_a_file(contract: Contract, tmp_path: Path) -> None:
    path = written(tmp_path / "in.csv", examples(contract))
    with pytest.raises(WrongUse, match="solo valen para una"):
        formats.open_source(str(path), contract, Selection(query="SELECT 1"))
    with pytest.raises(WrongUse, match="necesita --query"):
        formats.open_source("sqlite:///x.db", contract, Selection())


def packed_sheet(path: Path, sheet: bytes, prolog: bytes = b"") -> Path:
    """A workbook with that XML as the rows of its only sheet."""
    book_of(path.with_suffix(".tmp.xlsx"), ["a"], [1])
    with (
        zipfile.ZipFile(path.with_suffix(".tmp.xlsx")) as old,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for part in old.namelist():
            data = old.read(part)
            if part.endswith("sheet1.xml"):
                head, _, rest = data.partition(b"<sheetData>")
                data = prolog + head + b"<sheetData>" + sheet + rest.partition(b"</sheetData>")[2]
                data = (
                    data
                    if b"</sheetData>" in data
                    else data.replace(sheet, sheet + b"</sheetData>")
                )
            new.writestr(part, data)
    return path


def test_a_workbook_that_would_fill_the_memory_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = b'<row r="1"><c r="A1" t="inlineStr"><is><t>%s</t></is></c></row>'
    path = packed_sheet(tmp_path / "cell.xlsx", cell % (b"x" * (40 << 20)))
    assert path.stat().st_size < 100_000
    with pytest.raises(TableError, match="ocupa demasiado una vez descomprimido"):
        ExcelSource(path)
    path = packed_sheet(tmp_path / "sheet.xlsx", cell % b"a")
    assert ExcelSource(path).heading == ("a",)
    for limit in ("MOST_SHEET_BYTES", "MOST_HELD_BYTES"):
        with monkeypatch.context() as patched:
            patched.setattr(excel_reading, limit, 400)
            with pytest.raises(TableError, match="ocupa demasiado"):
                ExcelSource(path)


def test_cells_that_speak_of_rows_are_no_rows(tmp_path: Path) -> None:
    text = b'<row r="1"><c r="A1" t="inlineStr"><is><t>%s</t></is></c></row>'
    path = packed_sheet(tmp_path / "t.xlsx", text % (b"row row> &lt;row " * (20 << 16)))
    with pytest.raises(TableError, match="ocupa demasiado una vez descomprimido"):
        ExcelSource(path)


@pytest.mark.parametrize("hidden", [b"<!--<row >-->", b"<![CDATA[<row >]]>", b"<?x <row >?>"])
def test_what_only_looks_like_a_tag_is_refused(hidden: bytes, tmp_path: Path) -> None:
    text = b'<row r="1"><c r="A1" t="inlineStr"><is><t>%s</t></is></c></row>'
    path = packed_sheet(tmp_path / "t.xlsx", text % hidden)
    with pytest.raises(TableError, match="no está escrita como la escribe Excel"):
        ExcelSource(path)


def test_a_row_of_one_long_text_many_times_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = book_of(tmp_path / "t.xlsx", ["a"], ["x" * 900], ["x" * 600] * 2)
    monkeypatch.setattr(excel_reading, "BLOCK_BYTES", 1000)
    with pytest.raises(TableError, match="la fila 3 tiene más de"):
        list(ExcelSource(path).blocks())


def changed_book(path: Path, change: Callable[[str, bytes], tuple[str, bytes]]) -> Path:
    """A workbook with an uncomputed formula in A2, each of its parts changed."""
    plain = book_of(path.with_suffix(".tmp.xlsx"), ["a"], ["=1+1"])
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w") as new:
        for part in old.namelist():
            new.writestr(*change(part, old.read(part)))
    return path


@pytest.mark.parametrize(
    "name", ["worksheets/sheet1.dat", "sheets/sheet1.xml", "Worksheets/sheet1.xml"]
)
def test_a_sheet_is_looked_at_wherever_the_workbook_says_it_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def moved(part: str, data: bytes) -> tuple[str, bytes]:
        usual = "worksheets/sheet1.xml"
        return part.replace(usual, name), data.replace(usual.encode(), name.encode())

    path = changed_book(tmp_path / "t.xlsx", moved)
    assert excel_rows(path, 0).broken == {0: "formula_sin_calcular"}
    for limit in ("MOST_SHEET_BYTES", "MOST_HELD_BYTES"):
        monkeypatch.setattr(excel_reading, limit, 400)
    with pytest.raises(TableError, match="ocupa demasiado"):
        ExcelSource(path)


@pytest.mark.parametrize("encoding", ["UTF-16", "UTF-16-LE", "ISO-8859-1"])
def test_a_sheet_in_another_encoding_is_refused(encoding: str, tmp_path: Path) -> None:
    """Its formulas could not be found, and would count as no data."""

    def encoded(part: str, data: bytes) -> tuple[str, bytes]:
        if not part.endswith("sheet1.xml"):
            return part, data
        text = data.decode("utf-8").partition("?>")[2] or data.decode("utf-8")
        return part, f'<?xml version="1.0" encoding="{encoding[:10]}"?>{text}'.encode(encoding)

    with pytest.raises(TableError, match="no está escrita como la escribe Excel"):
        ExcelSource(changed_book(tmp_path / "t.xlsx", encoded))


def test_a_defect_of_the_program_is_not_told_as_a_damaged_workbook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ExcelSource(book_of(tmp_path / "t.xlsx", ["a"], [1]))

    def broken(_: object) -> str:
        raise KeyError("ours")

    monkeypatch.setattr(cells, "packed", broken)
    with pytest.raises(KeyError, match="ours"):
        list(source.blocks())


def test_entities_that_grow_are_refused(tmp_path: Path) -> None:
    """Billion laughs: but in sheets that is left to expat, which has a limit (2.4.1)."""
    entities = b'<!ENTITY a0 "ja">' + b"".join(
        b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 11)
    )
    row = b'<row r="1"><c r="A1" t="inlineStr"><is><t>&a10;</t></is></c></row>'
    path = packed_sheet(tmp_path / "t.xlsx", row, b"<!DOCTYPE worksheet [%s]>" % entities)
    with pytest.raises(TableError, match="sin DTD"):
        ExcelSource(path)

    def laughing(part: str, data: bytes) -> tuple[str, bytes]:
        if part != "xl/workbook.xml":
            return part, data
        data = data.replace(b'name="Sheet"', b'name="&a10;"')
        assert b"&a10;" in data
        return part, data.replace(b"<workbook", b"<!DOCTYPE workbook [%s]><workbook" % entities, 1)

    with pytest.raises(TableError, match="dañado o incompleto"):
        ExcelSource(changed_book(tmp_path / "u.xlsx", laughing))


def test_rows_far_below_the_end_of_a_sheet_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excel_reading, "MOST_ROWS", 1000)
    rows = (
        b'<row r="1"><c r="A1"><v>1</v></c></row><row r="9999999999"><c r="A9"><v>1</v></c></row>'
    )
    source = ExcelSource(packed_sheet(tmp_path / "t.xlsx", rows))
    with pytest.raises(TableError, match="más filas de las que caben"):
        list(source.blocks())


def test_cells_that_a_sheet_only_pretends_to_have_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row with nothing but its last cell, which is empty, is as wide as a full one."""
    wide = b'<row r="%d"><c r="XFD%d"/></row>'
    first = b'<row r="1"><c r="A1"><v>1</v></c></row>'
    path = packed_sheet(tmp_path / "t.xlsx", first + b"".join(wide % (n, n) for n in range(2, 12)))
    monkeypatch.setattr(excel_reading, "MOST_CELLS", 1 + 10 * 16_384)
    assert list(ExcelSource(path).blocks()) == []
    monkeypatch.setattr(excel_reading, "MOST_CELLS", 10 * 16_384)
    with pytest.raises(TableError, match="demasiadas celdas"):
        list(ExcelSource(path).blocks())


def test_all_sheets_together_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, book = tmp_path / "t.xlsx", openpyxl.Workbook()
    for number in range(4):
        book.create_sheet(f"h{number}").append(["im"])
    book.worksheets[0].append(["im"])
    book.save(path)
    with zipfile.ZipFile(path) as packed:
        sizes = [i.file_size for i in packed.infolist() if excel_reading.SHEETS(i.filename)]
    monkeypatch.setattr(excel_reading, "MOST_SHEET_BYTES", sum(sizes))
    ExcelSource(path)
    monkeypatch.setattr(excel_reading, "MOST_SHEET_BYTES", sum(sizes) - 1)
    with pytest.raises(TableError, match="demasiado una vez descomprimido"):
        ExcelSource(path)


def test_an_end_while_the_result_was_shown_is_no_loss(tmp_path: Path) -> None:
    """The folder of a run that is over is only half removed: what goes on finds that out."""
    spool = Spool(tmp_path / "o.parquet")
    spool.start(None)
    place = spool.keep(pack(b"a block"))
    assert list(spool.frames()) == [b"a block"]
    spool.unfinished.write_bytes(b"whole")
    spool.show()
    assert (tmp_path / "o.parquet").read_bytes() == b"whole" and not spool.folder.exists()
    spool.folder.mkdir()
    again = Spool(tmp_path / "o.parquet")
    again.start(place)
    assert again.is_over
    again.show()
    assert (tmp_path / "o.parquet").read_bytes() == b"whole" and not spool.folder.exists()


def test_every_code_of_a_row_has_its_sentence(contract: Contract) -> None:
    for code, sentences in row_faults.TEXTS.items():
        for language, sentence in zip(("es", "en"), sentences, strict=True):
            assert summary.said(f"im:{code}", contract, language) == sentence.replace("{p}", "im")
    said = summary.said("im:celda_con_error", contract, "es")
    assert said == "im es un error de la hoja, como #N/A: se toma como sin dato"


def test_a_code_of_a_row_is_written_where_its_sentence_is_and_nowhere_else() -> None:
    """One that is written apart may have no sentence, and then nothing is said of it."""
    folder = Path(row_faults.__file__).parent
    written = {
        (path.name, node.value)
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    codes = {name for name, text in written if text.rpartition(":")[2] in row_faults.TEXTS}
    named = {code for name, code in vars(row_faults).items() if name.isupper() and name != "TEXTS"}
    assert codes == {"row_faults.py"} and named == set(row_faults.TEXTS)
