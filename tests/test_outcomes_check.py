"""The one check of outcomes, and files of them: what is taken, and what is refused and why."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensia.delimited import TableError
from propensia.faults import TEXTS, BadRow, Fault
from propensia.journal import reader
from propensia.journal.references import References
from propensia.journal.writer import Journal
from propensia.outcomes import checking, loading
from propensia.outcomes.checking import Outcome
from propensia.store import shipping

ID = "018e6a1b2c3d4e5f60718293a4b5c"
TODAY = date(2024, 5, 10)
NOW = 1715337000000  # date -d 2024-05-10T10:30Z +%s000
GOOD = {"id": ID, "pagado": "true", "importe": "120.50", "fecha": "2024-05-01"}
EXPECTED = Outcome(ID, None, True, 12_050, date(2024, 5, 1))


def faults(changes: Mapping[str, str]) -> list[tuple[str, str]]:
    """Column and code of all that is wrong with the good row after these changes."""
    with pytest.raises(BadRow) as caught:
        checking.check(GOOD | changes, TODAY)
    return [(fault.parameter, fault.code) for fault in caught.value.faults]


def test_a_good_row_is_an_outcome() -> None:
    assert checking.check(GOOD, TODAY) == EXPECTED


@pytest.mark.parametrize("text", ["sí", "SI", "S", "1", "True", "VERDADERO"])
def test_every_word_for_yes_is_one(text: str) -> None:
    assert checking.check(GOOD | {"pagado": text}, TODAY).paid is True


@pytest.mark.parametrize("text", ["no", "N", "0", "False", "FALSO"])
def test_every_word_for_no_is_one(text: str) -> None:
    found = checking.check(GOOD | {"pagado": text, "importe": "0"}, TODAY)
    assert (found.paid, found.cents) == (False, None)


@pytest.mark.parametrize(
    ("text", "cents"),
    [
        ("7", 700),
        ("7,5", 750),
        ("1234.56", 123_456),
        ("1.234,56", 123_456),
        ("1.234.567,8", 123_456_780),
        ("100.1000", 10_010),  # as SQL Server writes money
        ("100.10000000000001", 10_010),  # as a sum of floating numbers is written
        ("10000000", 1_000_000_000),
        ("", None),
    ],
)
def test_euros_are_read_to_the_cent(text: str, cents: int | None) -> None:
    assert checking.check(GOOD | {"importe": text}, TODAY).cents == cents


@given(st.integers(1, checking.MOST_CENTS))
def test_every_amount_comes_back_whichever_way_it_is_written(cents: int) -> None:
    plain = f"{cents // 100}.{cents % 100:02d}"
    grouped = f"{cents // 100:,}".replace(",", ".") + f",{cents % 100:02d}"
    for text in (plain, plain.replace(".", ","), grouped):
        assert checking.check(GOOD | {"importe": text}, TODAY).cents == cents


@pytest.mark.parametrize("text", ["2024-05-01", "01/05/2024", "1/5/2024"])
def test_a_date_is_read_in_both_orders(text: str) -> None:
    assert checking.check(GOOD | {"fecha": text}, TODAY).day == date(2024, 5, 1)


def test_the_day_after_today_is_the_last_that_may_be_named() -> None:
    assert checking.check(GOOD | {"fecha": "2024-05-11"}, TODAY).day == date(2024, 5, 11)
    assert faults({"fecha": "2024-05-12"}) == [("fecha", "fecha_futura")]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"id": ""}, [("id", "falta_id_o_ref")]),
        ({"id": ID[:-1]}, [("id", "id_no_valido")]),
        ({"id": ID.upper()}, [("id", "id_no_valido")]),
        ({"id": "1,8934E+28"}, [("id", "cambiado_por_hoja")]),
        ({"ref": "1E+12"}, [("ref", "cambiado_por_hoja")]),
        ({"ref": "x" * 65}, [("ref", "texto_demasiado_largo")]),
        ({"ref": "a\x07b"}, [("ref", "caracter_de_control")]),
        ({"pagado": ""}, [("pagado", "parametro_ausente")]),
        ({"pagado": "quizá"}, [("pagado", "opcion_no_valida")]),
        ({"importe": "-1"}, [("importe", "numero_negativo")]),
        ({"importe": "1.234"}, [("importe", "miles_o_decimales")]),
        ({"importe": "1,234"}, [("importe", "miles_o_decimales")]),
        ({"importe": "0.125"}, [("importe", "miles_o_decimales")]),
        ({"importe": "1,234.56"}, [("importe", "numero_no_valido")]),
        ({"importe": "mil"}, [("importe", "numero_no_valido")]),
        ({"importe": "1e3"}, [("importe", "numero_no_valido")]),
        ({"importe": "\u0661"}, [("importe", "numero_no_valido")]),
        ({"importe": "10000000.01"}, [("importe", "fuera_de_rango")]),
        ({"importe": "0"}, [("importe", "fuera_de_rango")]),
        ({"pagado": "no"}, [("importe", "importe_sin_pago")]),
        ({"fecha": ""}, [("fecha", "parametro_ausente")]),
        ({"fecha": "2024-02-30"}, [("fecha", "fecha_no_valida")]),
        ({"fecha": "05/13/2024"}, [("fecha", "fecha_no_valida")]),
        ({"fecha": "20240501"}, [("fecha", "fecha_no_valida")]),
        ({"fecha": "45413"}, [("fecha", "fecha_no_valida")]),  # as Excel counts days
        ({"fecha": "1999-12-31"}, [("fecha", "fuera_de_rango")]),
        (
            {"pagado": "x", "importe": "y", "fecha": "z"},
            [
                ("pagado", "opcion_no_valida"),
                ("importe", "numero_no_valido"),
                ("fecha", "fecha_no_valida"),
            ],
        ),
    ],
)
def test_what_is_wrong_is_told_all_at_once(
    changes: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    assert faults(changes) == expected


@given(st.dictionaries(st.sampled_from(checking.COLUMNS), st.text(max_size=40)))
def test_any_text_is_an_outcome_or_faults_with_sentences_that_hold_none_of_it(
    texts: dict[str, str],
) -> None:
    try:
        found = checking.check(texts, TODAY)
    except BadRow as bad:
        assert bad.faults
        for fault in bad.faults:
            assert fault.code in TEXTS and fault.parameter in checking.COLUMNS
    else:
        assert found.answer or found.reference


def test_the_same_outcome_of_the_same_source_has_the_same_id_whenever_it_is_told() -> None:
    written = checking.record(EXPECTED, "ana", "h", NOW)
    same = checking.check(GOOD | {"importe": "120,5"}, TODAY)
    again = checking.record(same, "ana", "h", NOW + 5)
    assert json.loads(written) | {"told": NOW + 5} == json.loads(again)
    others = [
        checking.record(EXPECTED, "luis", "h", NOW),
        checking.record(EXPECTED, "ana", None, NOW),
        checking.record(checking.check(GOOD | {"importe": "120.51"}, TODAY), "ana", "h", NOW),
    ]
    ids = {json.loads(record)["id"] for record in (written, *others)}
    assert len(ids) == 4
    assert {id[:11] for id in ids} == {f"{1714521600000:011x}"}  # date -d 2024-05-01T00:00Z +%s


# Files


class Loader:
    """Loads files into a journal and reads back what is in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: list[tuple[int, str, str]] = []

    def load(self, data: bytes) -> loading.Loaded:
        path = self.folder / "pagos.csv"
        path.write_bytes(data)
        journal = Journal(self.folder / "journal", 60.0, 1 << 20, 3600.0)
        references, done = References(self.folder), loading.Loaded()
        try:
            loading.load(path, "ana", journal, references, NOW, self._tell, done)
            return done
        finally:
            journal.close()

    def _tell(self, number: int, fault: Fault) -> None:
        self.faults.append((number, fault.parameter, fault.code))

    def records(self) -> list[dict[str, Any]]:
        segments = reader.segments(self.folder / "journal")
        return [json.loads(r) for s in segments for r in reader.read(s, 0).records]


@pytest.fixture
def loader(tmp_path: Path) -> Loader:
    return Loader(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
@pytest.mark.parametrize(("delimiter", "amount"), [(";", "12,50"), (",", "12.50"), ("\t", "12,5")])
def test_a_file_is_taken_whatever_wrote_it(
    encoding: str, delimiter: str, amount: str, loader: Loader
) -> None:
    rows = [["REF", "Pagado", "importe", "FECHA", "observación"]]
    rows += [["EXP-1", "sí", amount, "01/05/2024", "llamó"], ["EXP-2", "no", "", "2024-05-02", ""]]
    text = "\r\n".join(delimiter.join(row) for row in rows)
    assert loader.load(text.encode(encoding)) == loading.Loaded(2, 0)
    hashed = References(loader.folder).hashed
    found = [(r["reference"], r["paid"], r["cents"], r["date"]) for r in loader.records()]
    assert found == [
        (hashed("EXP-1"), True, 1250, "2024-05-01"),
        (hashed("EXP-2"), False, None, "2024-05-02"),
    ]


def test_no_reference_is_written_anywhere(loader: Loader) -> None:
    loader.load(b"ref;pagado;fecha\nEXP-SECRETO;1;2024-05-01\n")
    (loader.folder / "pagos.csv").unlink()
    written = [path.read_bytes() for path in loader.folder.rglob("*") if path.is_file()]
    assert len(loader.records()) == 1
    assert not any(b"SECRETO" in data for data in written)


def test_one_bad_line_spoils_no_other_and_is_told_by_its_number(loader: Loader) -> None:
    lines = [
        "id;pagado;importe;fecha",
        f"{ID};1;5;2024-05-01",
        "",
        f'{ID};1;"5;2024-05-01',
        f"{ID};1;5;2024-05-02;sobra",
        "1,89E+28;1;-5;ayer",
        f"{ID};0;;2024-05-03",
    ]
    assert loader.load("\n".join(lines).encode()) == loading.Loaded(2, 3)
    assert loader.faults == [
        (4, "", "linea_no_valida"),
        (5, "", "linea_no_valida"),
        (6, "id", "cambiado_por_hoja"),
        (6, "importe", "numero_negativo"),
        (6, "fecha", "fecha_no_valida"),
    ]
    assert [r["date"] for r in loader.records()] == ["2024-05-01", "2024-05-03"]


def test_lines_are_numbered_as_in_the_file_also_after_what_excel_puts_first(
    loader: Loader,
) -> None:
    loader.load(b"sep=;\r\nid;pagado;fecha\r\nx;1;2024-05-01\r\n")
    assert loader.faults == [(3, "id", "id_no_valido")]


def test_the_same_file_again_writes_records_of_the_same_ids(loader: Loader) -> None:
    data = f"id;pagado;fecha\n{ID};1;2024-05-01\n{ID};0;2024-05-02\n".encode()
    loader.load(data)
    loader.load(data)
    found = sorted(record["id"] for record in loader.records())
    assert found[0] == found[1] and found[2] == found[3] and found[1] != found[2]
    assert {record["told"] for record in loader.records()} == {NOW}


def test_a_day_is_that_of_utc() -> None:
    assert checking.day_of(NOW) == TODAY
    assert checking.day_of(NOW + 13 * 3_600_000 + 1_800_000) == date(2024, 5, 11)


def test_what_waits_to_be_shipped_is_as_old_as_its_telling_and_not_as_its_day(
    loader: Loader,
) -> None:
    loader.load(f"id;pagado;fecha\n{ID};1;2024-05-01\n".encode())
    assert shipping.waiting(loader.folder / "journal", {}, NOW + 5_000).seconds == 5.0


def test_more_lines_than_one_write_takes_all_arrive(loader: Loader) -> None:
    size = 2 * loading.TOGETHER + 3
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerows([["ref", "pagado", "fecha"], *([n, 1, "2024-05-01"] for n in range(size))])
    assert loader.load(out.getvalue().encode()) == loading.Loaded(size, 0)
    assert len({record["reference"] for record in loader.records()}) == size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id;importe\n", "falta pagado, fecha"),
        ("pagado;fecha\n", "falta id o ref"),
        ("", "falta id o ref, pagado, fecha"),
        ("id;pagado;fecha;id\n", "dos columnas con el nombre id"),
        ("id;pagado;fecha\n", "no hay ninguna fila"),
        ("id;pagado;fecha\r\n;;\r\n", "no hay ninguna fila"),
    ],
)
def test_a_file_without_the_columns_or_without_a_row_is_refused_by_name(
    text: str, expected: str, loader: Loader
) -> None:
    with pytest.raises(TableError, match=f"pagos.csv: .*{expected}"):
        loader.load(text.encode())
    assert not loader.records()
