"""Everything that can be wrong with a training table, in a real file, and told by its name."""

from __future__ import annotations

import contextlib
import csv
import sqlite3
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import learnable_rows
import numpy as np
import pandas as pd
import pytest
from lengths import steps

from propensia import contract as contracts
from propensia.contract import Contract, Training
from propensia.training import leaks
from propensia.training.gathering import Sample, hashes
from propensia.training.reading import read
from propensia.training.results import Data, Finding
from propensia.training.rows import Rows

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
TODAY = date(2024, 6, 1)
COUNT = 600
Texts = dict[str, list[str]]
BOTH = {"es": "x", "en": "x"}


@pytest.fixture(scope="module")
def small() -> Contract:
    """Four parameters, a label, a day and a customer."""
    return contracts.parse(
        {
            "name": "prueba",
            "title": BOTH,
            "reading": {
                "no_data": ["", "nan", "n/a"],
                "forgive_case": True,
                "repeated": "refuse",
                "bad_utf8": "refuse",
            },
            "label": {"column": "TARGET", "positive": ["SI", "1"], "negative": ["NO", "0"]},
            "answer": {
                "form": "json",
                "threshold": 0.5,
                "positive": {"es": "pagador", "en": "payer"},
                "negative": {"es": "no pagador", "en": "non-payer"},
            },
            "parameters": [
                {**shared("po", "PORTADO", "category"), "values": ["SI", "NO", "N/A"]},
                {**shared("dt", "DEUDA_TOTAL", "number"), "min": 0, "max": 10_000},
                {**shared("nl", "LINEAS", "integer"), "min": 0, "max": 999, "fill": 1},
                {
                    **shared("fb", "FECHA_BPI", "month"),
                    "min": 190001,
                    "max": 209912,
                    "optional": True,
                },
            ],
            "columns": [
                {"name": "P", "from": "po", "steps": [{"map": {"SI": 1, "NO": 0, "N/A": 0}}]},
                {"name": "D", "from": "dt", "steps": []},
                {"name": "L", "from": "nl", "steps": []},
                {"name": "B", "from": "fb", "steps": [{"present": True}]},
            ],
            "training": {"date": "FECHA_ENVIO", "key": "CUST_CODE"},
        }
    )


def shared(name: str, feature: str, kind: str) -> dict[str, Any]:
    return {"name": name, "feature": feature, "kind": kind, "label": BOTH, "example": ""}


@pytest.fixture
def good() -> Texts:
    """A table with nothing wrong: 600 customers over 60 days, 30 % payers, weak signal."""
    random = np.random.default_rng(7)
    paid = random.random(COUNT) < 0.3
    debt = random.gamma(2, 100, COUNT) * np.where(paid, 0.8, 1)
    months = np.where(random.random(COUNT) < 0.5, "202312.0", "")
    first = np.datetime64("2024-01-01")
    days = first + random.integers(0, 60, COUNT).astype("timedelta64[D]")
    return {
        "CUST_CODE": [f"{1000 + i}.0" for i in range(COUNT)],
        "FECHA_ENVIO": [day.item().strftime("%d/%m/%Y") for day in days],
        "PORTADO": random.choice(["SI", "NO", "N/A ", "no"], COUNT).tolist(),
        "DEUDA_TOTAL": [f"{number:.2f}".replace(".", ",") for number in debt],
        "LINEAS": random.choice(["0", "1", "2", ""], COUNT).tolist(),
        "FECHA_BPI": months.tolist(),
        "TARGET": np.where(paid, "SI ", "NO").tolist(),
    }


Reader = Callable[..., tuple[Rows, Data, dict[str, Finding]]]


@pytest.fixture
def reader(small: Contract, tmp_path: Path) -> Reader:
    """Write a table as a CSV and read it; findings by code, the first of each."""

    def run(texts: Texts, **options: Any) -> tuple[Rows, Data, dict[str, Finding]]:
        path = tmp_path / "casos.csv"
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, delimiter=";")
            writer.writerow(texts)
            writer.writerows(zip(*texts.values(), strict=True))
        rows, data, findings = read(str(path), small, today=TODAY, **options)
        assert list(findings) == sorted(findings, key=lambda finding: not finding.fatal)
        return rows, data, {finding.code: finding for finding in reversed(findings)}

    return run


def rename(texts: Texts, **names: str) -> Texts:
    return {names.get(name, name): column for name, column in texts.items()}


def fatal(findings: dict[str, Finding]) -> set[str]:
    return {code for code, finding in findings.items() if finding.fatal}


# What is right


def test_a_good_table_comes_as_it_is_and_without_a_word(good: Texts, reader: Reader) -> None:
    rows, data, findings = reader(good)
    assert findings == {}
    assert (data.rows, data.used, data.faults, data.sampled) == (COUNT, COUNT, {}, False)
    assert rows.labels.tolist() == [int(text == "SI ") for text in good["TARGET"]]
    portado = {"SI": "SI", "NO": "NO", "no": "NO", "N/A ": "N/A"}
    assert rows.values["po"].tolist() == [portado[text] for text in good["PORTADO"]]
    debts = [float(text.replace(",", ".")) for text in good["DEUDA_TOTAL"]]
    assert rows.values["dt"].tolist() == debts
    assert rows.values["nl"].tolist() == [float(text or 1) for text in good["LINEAS"]]
    assert np.isnan(rows.values["fb"]).tolist() == [not text for text in good["FECHA_BPI"]]
    expected = pd.to_datetime(pd.Series(good["FECHA_ENVIO"]), format="%d/%m/%Y").to_numpy()
    assert rows.days is not None
    assert np.array_equal(rows.days, expected.astype("datetime64[D]"))
    assert len(set(rows.groups)) == COUNT


def test_a_csv_a_parquet_and_a_database_give_the_same_rows(
    good: Texts, reader: Reader, small: Contract, tmp_path: Path
) -> None:
    first = reader(good)[0]
    frame = pd.DataFrame(good)
    frame["DEUDA_TOTAL"] = frame["DEUDA_TOTAL"].str.replace(",", ".").astype(float)
    for name in ("LINEAS", "FECHA_BPI", "CUST_CODE"):
        frame[name] = pd.to_numeric(frame[name])
    frame["FECHA_ENVIO"] = pd.to_datetime(frame["FECHA_ENVIO"], format="%d/%m/%Y")
    frame.to_parquet(tmp_path / "casos.parquet")
    with contextlib.closing(sqlite3.connect(tmp_path / "casos.db")) as connection:
        frame.astype({"FECHA_ENVIO": str}).to_sql("casos", connection, index=False)
    for source, query in [
        (str(tmp_path / "casos.parquet"), None),
        (f"sqlite:///{(tmp_path / 'casos.db').as_posix()}", "SELECT * FROM casos"),
    ]:
        rows, data, findings = read(source, small, query=query, today=TODAY)
        assert findings == ()
        assert len(data.sha256) == 64
        for name, values in first.values.items():
            kind = {} if values.dtype == object else {"equal_nan": True}
            assert np.array_equal(rows.values[name], values, **kind)
        assert np.array_equal(rows.labels, first.labels)
        assert rows.days is not None and first.days is not None
        assert np.array_equal(rows.days, first.days)


@pytest.mark.parametrize(
    "text",
    [
        "21/12/2022",
        "21-12-2022",
        "2022-12-21",
        "20221221",
        "20221221.0",
        "21/12/2022 09:30",
        "2022-12-21T23:59:59+01:00",
        " 2022-12-21 00:00:00.000 ",
    ],
)
def test_a_day_is_read_however_it_is_written(text: str, good: Texts, reader: Reader) -> None:
    rows, _, findings = reader({**good, "FECHA_ENVIO": [text] * COUNT})
    assert set(findings) == {"sin_corte"}
    assert rows.days is not None
    assert set(rows.days) == {np.datetime64("2022-12-21")}


def test_short_names_serve_as_well_as_feature_names(good: Texts, reader: Reader) -> None:
    rows, _, findings = reader(rename(good, PORTADO="po", DEUDA_TOTAL="dt"))
    assert (len(rows), findings) == (COUNT, {})


# The heading


def test_every_missing_column_is_told_at_once_with_what_it_may_be(
    good: Texts, reader: Reader, small: Contract, tmp_path: Path
) -> None:
    texts = rename(good, DEUDA_TOTAL="deuda  total", PORTADO="Portádo", FECHA_BPI="OTRA")
    reader(texts)
    rows, data, findings = read(str(tmp_path / "casos.csv"), small, today=TODAY)
    assert (len(rows), data.rows) == (0, 0)
    assert [(f.code, f.fatal, f.text) for f in findings] == [
        ("falta_columna", True, "Falta PORTADO; ¿es «Portádo»? Use --column PORTADO=Portádo"),
        (
            "falta_columna",
            True,
            'Falta DEUDA_TOTAL; ¿es «deuda  total»? Use --column DEUDA_TOTAL="deuda  total"',
        ),
        (
            "falta_columna",
            True,
            "Falta FECHA_BPI; si tiene otro nombre, dígalo con --column FECHA_BPI=NOMBRE",
        ),
    ]


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ("DEUDA TOTAL", '¿es «DEUDA TOTAL»? Use --column DEUDA_TOTAL="DEUDA TOTAL"'),
        ("Deuda_Total", "¿es «Deuda_Total»? Use --column DEUDA_TOTAL=Deuda_Total"),
        ("DEUDÁ TOTAL", '¿es «DEUDÁ TOTAL»? Use --column DEUDA_TOTAL="DEUDÁ TOTAL"'),
        ("DEUDA_TOTL", "¿es «DEUDA_TOTL»? Use --column DEUDA_TOTAL=DEUDA_TOTL"),
        ("SALDO", "si tiene otro nombre, dígalo con --column DEUDA_TOTAL=NOMBRE"),
    ],
)
def test_a_renamed_column_is_named_and_read_once_the_person_says_so(
    own: str, told: str, good: Texts, reader: Reader
) -> None:
    texts = rename(good, DEUDA_TOTAL=own)
    findings = reader(texts)[2]
    assert findings["falta_columna"].column == "DEUDA_TOTAL"
    assert findings["falta_columna"].text == f"Falta DEUDA_TOTAL; {told}"
    for name in ("DEUDA_TOTAL", "dt"):
        rows, _, findings = reader(texts, renamed={name: own})
        assert (len(rows), findings) == (COUNT, {})


def test_what_the_person_says_of_columns_must_be_true(good: Texts, reader: Reader) -> None:
    findings = reader(good, renamed={"DEUDA": "SALDO", "LINEAS": "NUM"})[2]
    assert fatal(findings) == {"columna_desconocida", "falta_columna"}
    assert "«DEUDA» no es una columna del contrato" in findings["columna_desconocida"].text
    assert "la tabla no tiene la columna «NUM»" in findings["falta_columna"].text
    findings = reader(good, allow={"DEUDA", "dt", "LINEAS"})[2]
    assert fatal(findings) == {"columna_desconocida"}
    assert "En --allow, «DEUDA» no es una columna" in findings["columna_desconocida"].text


@pytest.mark.parametrize("option", ["date", "key"])
@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("NADA", "diga una de las suyas"),
        ("ALTA", "¿es «Alta»? Use --{option} Alta"),
        ("FECHA-ALTA", '¿es «FECHA  ALTA»? Use --{option} "FECHA  ALTA"'),
    ],
)
def test_a_date_or_a_key_that_is_not_there_is_told_by_its_own_option(
    option: str, said: str, hint: str, good: Texts, reader: Reader
) -> None:
    texts = {**good, "Alta": good["FECHA_ENVIO"], "FECHA  ALTA": good["FECHA_ENVIO"]}
    findings = reader(texts, **{option: said})[2]
    assert fatal(findings) == {"falta_columna"}
    assert findings["falta_columna"].text == (
        f"La tabla no tiene la columna «{said}» de --{option}; {hint.format(option=option)}"
    )


def test_a_date_may_be_named_by_the_contract_s_name_that_is_renamed(
    good: Texts, reader: Reader
) -> None:
    texts = rename(good, FECHA_ENVIO="DIA")
    rows, _, findings = reader(texts, date="FECHA_ENVIO", renamed={"FECHA_ENVIO": "DIA"})
    assert (rows.days is not None, findings) == (True, {})


def test_a_contract_without_day_and_customer_says_which_it_means(
    good: Texts, reader: Reader, small: Contract, tmp_path: Path
) -> None:
    reader(good)
    bare = replace(small, training=Training())
    findings = read(str(tmp_path / "casos.csv"), bare, today=TODAY)[2]
    assert [finding.text for finding in findings] == [
        "El contrato no dice qué columna es la fecha (--date): la evaluación no será por tiempo",
        "El contrato no dice qué columna es el cliente (--key): no se sabe qué filas son del "
        "mismo cliente: solo van juntas las copias",
    ]
    findings = read(str(tmp_path / "casos.csv"), small, date="", key="", today=TODAY)[2]
    assert [finding.text.partition(":")[0] for finding in findings] == [
        "Como pide --date, ninguna columna es la fecha",
        "Como pide --key, ninguna columna es el cliente",
    ]


def test_without_a_label_nothing_is_learnt(good: Texts, reader: Reader) -> None:
    findings = reader(rename(good, TARGET="target "))[2]
    assert "¿es «target»? Use --column TARGET=target" in findings["falta_columna"].text


def test_two_targets_are_refused_until_the_person_says_which(good: Texts, reader: Reader) -> None:
    texts = {**good, "Target": good["TARGET"]}
    rows, _, findings = reader(texts)
    assert fatal(findings) == {"dos_objetivos"}
    assert len(rows) == 0
    assert "«TARGET» y «Target»" in findings["dos_objetivos"].text
    assert fatal(reader(texts, renamed={"TARGET": "Target"})[2]) == set()
    accepted = reader(texts, allow={"Target"})[2]
    assert fatal(accepted) == set()
    assert accepted["dos_objetivos"].text.endswith("se usa la primera, aceptado con --allow")


def test_without_a_day_or_a_customer_the_person_is_told_and_it_goes_on(
    good: Texts, reader: Reader
) -> None:
    texts = rename(good, FECHA_ENVIO="FECHA ENVIO", CUST_CODE="ID")
    rows, _, findings = reader(texts)
    assert fatal(findings) == set()
    assert set(findings) == {"sin_fecha", "sin_clave"}
    assert '--column FECHA_ENVIO="FECHA ENVIO"' in findings["sin_fecha"].text
    assert rows.days is None
    assert len(set(rows.groups)) == COUNT
    rows, _, findings = reader(texts, date="FECHA ENVIO", key="ID")
    assert (rows.days is not None, findings) == (True, {})
    assert reader(good, date="")[0].days is None


# The label


def test_strange_labels_are_refused_by_name_and_count(good: Texts, reader: Reader) -> None:
    good["TARGET"][:6] = ["PAGA"] * 6
    good["TARGET"][6:9] = ["quizá", "si", "0"]
    findings = reader(good)[2]
    assert fatal(findings) == {"etiqueta_desconocida"}
    assert findings["etiqueta_desconocida"].text == (
        "La etiqueta TARGET tiene 7 filas (1,2\u202f%) con valores que el contrato no conoce: "
        "«PAGA» (6), otros textos, que no se muestran (1). El contrato conoce 1, SI, 0, NO"
    )


@pytest.mark.parametrize(
    ("spelling", "count"), [("ANA RUIZ", 5), ("12345678Z", 20), ("ANA RUIZ LEAL", 20)]
)
def test_a_label_that_may_be_a_debtor_s_is_only_counted(
    spelling: str, count: int, good: Texts, reader: Reader
) -> None:
    """Rare (1 % of 600 is 6), with digits, or of 13 letters."""
    good["TARGET"][:count] = [spelling] * count
    findings = reader(good)[2]
    assert f"tiene {count} filas" in findings["etiqueta_desconocida"].text
    assert not any(spelling in finding.text for finding in findings.values())


def test_a_label_that_is_another_column_shows_none_of_its_values(
    good: Texts, reader: Reader
) -> None:
    texts = {**good, "TARGET": [f"debtor {i}" for i in range(COUNT)]}
    findings = reader(texts)[2]
    assert {"etiqueta_desconocida", "pocas_filas"} <= fatal(findings)
    assert "más de 10 textos distintos" in findings["etiqueta_desconocida"].text
    assert not any("debtor" in finding.text for finding in findings.values())


def test_rows_without_a_label_are_left_out_and_counted(good: Texts, reader: Reader) -> None:
    good["TARGET"][10:14] = ["", "NaN", " ", "N/A"]
    rows, data, findings = reader(good)
    assert fatal(findings) == set()
    assert findings["sin_etiqueta"].text.startswith("Hay 4 filas (0,7\u202f%) sin etiqueta")
    assert (data.rows, data.used, len(rows)) == (COUNT, COUNT - 4, COUNT - 4)


@pytest.mark.parametrize(("label", "told"), [("SI", "«pagador»"), ("NO", "«no pagador»")])
def test_one_class_only_is_refused(label: str, told: str, good: Texts, reader: Reader) -> None:
    findings = reader({**good, "TARGET": [label] * COUNT})[2]
    assert fatal(findings) == {"una_clase"}
    assert f"Todas las filas son de la misma clase, {told}" in findings["una_clase"].text


# The rows


def test_twenty_rows_are_too_few_and_it_says_how_many_it_takes(
    good: Texts, reader: Reader
) -> None:
    findings = reader({name: column[:20] for name, column in good.items()})[2]
    assert {"pocas_filas"} <= fatal(findings)
    assert findings["pocas_filas"].text == "Hay 20 filas útiles; hacen falta al menos 200"


def test_a_heading_without_rows_is_too_few_rows(good: Texts, reader: Reader) -> None:
    rows, data, findings = reader({name: [] for name in good})
    assert (len(rows), data.rows, fatal(findings)) == (0, 0, {"pocas_filas"})


def test_a_handful_of_payers_is_too_few(good: Texts, reader: Reader) -> None:
    findings = reader({**good, "TARGET": ["SI"] * 29 + ["NO"] * (COUNT - 29)})[2]
    assert fatal(findings) == {"pocos_casos"}
    assert "29 filas de «pagador»; hacen falta al menos 30" in findings["pocos_casos"].text


def test_a_constant_column_is_told_and_no_more(good: Texts, reader: Reader) -> None:
    findings = reader({**good, "LINEAS": ["1", ""] * (COUNT // 2), "FECHA_BPI": [""] * COUNT})[2]
    assert fatal(findings) == set()
    assert set(findings) == {"columna_constante"}


def test_constant_columns_alone_teach_nothing(good: Texts, reader: Reader) -> None:
    same = {"PORTADO": "SI", "DEUDA_TOTAL": "5", "LINEAS": "1", "FECHA_BPI": ""}
    texts = {**good, **{name: [text] * COUNT for name, text in same.items()}}
    assert fatal(reader(texts)[2]) == {"nada_que_aprender"}
    one_differs = {**texts, "DEUDA_TOTAL": good["DEUDA_TOTAL"]}
    assert fatal(reader(one_differs)[2]) == set()


POINTED = [f"{1 + i % 9}.{i % 1000:03}" for i in range(COUNT)]


def test_points_of_thousands_are_refused_unless_allowed(good: Texts, reader: Reader) -> None:
    good["DEUDA_TOTAL"] = POINTED
    findings = reader(good)[2]
    assert fatal(findings) == {"puntos_de_millar"}
    assert findings["puntos_de_millar"].text == (
        "La columna DEUDA_TOTAL parece escrita con puntos de millar (1.234) en 600 filas "
        "(100,0\u202f%): quítelos, o confirme que son decimales con --allow DEUDA_TOTAL"
    )
    rows, _, findings = reader(good, allow={"DEUDA_TOTAL"})
    assert (fatal(findings), len(rows)) == (set(), COUNT)
    assert findings["puntos_de_millar"].text.endswith(": aceptado con --allow")


@pytest.mark.parametrize(
    ("texts", "stops"),
    [
        (["1.234,50"] * 5, True),
        (["1.234.567", "+1.234", "-9.000,5", " 1.234 ", "999.999"], True),
        (["1.234"] * 4, False),
        (["1.234"] * 50 + ["12.5"], False),
        (["1.234"] * 50 + ["0.125"], False),
        (["1234.567"] * 50, False),
    ],
)
def test_what_points_of_thousands_are(
    texts: list[str], stops: bool, good: Texts, reader: Reader
) -> None:
    """Other amounts of the table are written with a comma, or whole."""
    good["DEUDA_TOTAL"][: len(texts)] = texts
    assert ("puntos_de_millar" in fatal(reader(good)[2])) is stops


@pytest.mark.parametrize(("bad", "stops"), [(6, False), (7, True)])
def test_a_column_that_cannot_be_read_is_refused_unless_allowed(
    bad: int, stops: bool, good: Texts, reader: Reader
) -> None:
    """6 of 600 rows are 1 %."""
    good["DEUDA_TOTAL"][:bad] = ["secreto"] * (bad - 1) + ["-5"]
    good["PORTADO"][100:105] = ["secreto"] * 5  # another column is counted by itself
    findings = reader(good)[2]
    assert fatal(findings) == ({"columna_ilegible"} if stops else set())
    if stops:
        assert findings["columna_ilegible"].text == (
            "La columna DEUDA_TOTAL no se lee en 7 filas (1,2\u202f%), más del 1\u202f% "
            "(numero_negativo, numero_no_valido): corríjala o, si esas filas sobran, confírmelo "
            "con --allow DEUDA_TOTAL"
        )
    assert fatal(reader(good, allow={"DEUDA_TOTAL"})[2]) == set()


def test_days_to_come_are_refused_unless_allowed(good: Texts, reader: Reader) -> None:
    good["FECHA_ENVIO"][:3] = ["02/06/2024", "01/06/2024", "2042-01-01"]
    findings = reader(good)[2]
    assert fatal(findings) == {"fecha_futura"}
    assert findings["fecha_futura"].allowable
    assert "2 filas (0,3\u202f%) con fecha posterior a hoy" in findings["fecha_futura"].text
    rows, _, findings = reader(good, allow={"FECHA_ENVIO"})
    assert (fatal(findings), set(findings), len(rows)) == (set(), {"fecha_futura"}, COUNT)
    assert findings["fecha_futura"].text.endswith("posterior a hoy: aceptado con --allow")


def test_what_was_accepted_comes_before_the_other_warnings(
    good: Texts, reader: Reader, small: Contract, tmp_path: Path
) -> None:
    good["FECHA_ENVIO"][:3] = ["02/06/2024", "", ""]
    good["TARGET"][5] = ""
    reader({**good, "LINEAS": ["1"] * COUNT})
    findings = read(
        str(tmp_path / "casos.csv"), small, allow={"FECHA_ENVIO"}, key="", today=TODAY
    )[2]
    assert findings[0].code == "fecha_futura"
    assert {f.code for f in findings[1:]} == {
        "sin_clave",
        "sin_etiqueta",
        "fecha_ilegible",
        "columna_constante",
    }


@pytest.mark.parametrize(("bad", "stops"), [(30, False), (31, True)])
def test_days_that_cannot_be_read_are_counted_up_to_a_share(
    bad: int, stops: bool, good: Texts, reader: Reader
) -> None:
    """30 of 600 rows are 5 %."""
    good["FECHA_ENVIO"][:bad] = (["31/02/2023", "12/31/2022", "", "ayer", "2022-13-01"] * 7)[:bad]
    rows, _, findings = reader(good)
    assert (fatal(findings) == {"fecha_ilegible"}) is stops
    assert f"{bad} filas" in findings["fecha_ilegible"].text
    end = "son más del 5\u202f%, que es lo admitido: corríjalas" if stops else "no se usan"
    assert findings["fecha_ilegible"].text.endswith(f": {end}")
    assert len(rows) == COUNT - bad


@pytest.mark.parametrize(("bad", "stops"), [(30, False), (31, True)])
def test_rows_that_cannot_be_read_are_counted_by_column_and_kind(
    bad: int, stops: bool, good: Texts, reader: Reader
) -> None:
    good["DEUDA_TOTAL"][:bad] = ["secreto"] * (bad - 1) + ["-5"]
    good["PORTADO"][0] = "secreto"  # a row with two faults is one row
    good["DEUDA_TOTAL"][-1], good["TARGET"][-1] = "secreto", ""  # not learnt from anyway
    rows, data, findings = reader(good, allow={"DEUDA_TOTAL"})
    assert (fatal(findings) == {"filas_ilegibles"}) is (bad > 0.05 * (COUNT - 1))
    assert data.faults == {
        "DEUDA_TOTAL numero_negativo": 1,
        "DEUDA_TOTAL numero_no_valido": bad - 1,
        "PORTADO categoria_desconocida": 1,
    }
    assert len(rows) == data.used == COUNT - 1 - bad
    assert not any("secreto" in finding.text for finding in findings.values())
    assert f"{bad - 1} filas" in findings["filas_ilegibles"].text
    assert "DEUDA_TOTAL no es un número" in findings["filas_ilegibles"].text
    total = f"En total no se leen {bad} filas (5,"
    assert (total in findings["filas_ilegibles"].text) is bool(fatal(findings))
    todo = ", más del 5\u202f%, que es lo admitido: corríjalas"
    assert findings["filas_ilegibles"].text.endswith(todo) is bool(fatal(findings))


def test_rows_of_one_customer_stay_together(good: Texts, reader: Reader) -> None:
    good["CUST_CODE"][:10] = ["7"] * 4 + ["8 ", "8", "9", "9", "", ""]
    rows, _, findings = reader(good)
    groups = rows.groups.tolist()
    assert len(set(groups[:4])) == len(set(groups[4:6])) == len(set(groups[6:8])) == 1
    assert len(set(groups)) == 3 + COUNT - 8
    text = findings["clientes_repetidos"].text
    assert text.startswith("3 clientes tienen más de una fila (8 en total)")


def test_rows_without_a_customer_are_told_with_their_share(good: Texts, reader: Reader) -> None:
    good["CUST_CODE"][:60] = ["", " ", "NaN", "n/a"] * 15
    rows, _, findings = reader(good)
    assert len(set(rows.groups)) == COUNT
    assert set(findings) == {"sin_cliente"}
    assert not findings["sin_cliente"].fatal
    assert findings["sin_cliente"].text == (
        "La columna CUST_CODE tiene 60 filas (10,0\u202f%) sin cliente: cada una cuenta como un "
        "cliente distinto, y las que sean del mismo no van juntas"
    )
    findings = reader({**good, "CUST_CODE": [""] * COUNT})[2]
    assert "600 filas (100,0\u202f%) sin cliente" in findings["sin_cliente"].text


def test_the_share_of_filled_gaps_is_counted(good: Texts, reader: Reader) -> None:
    """The fill of LINEAS is 1: a 1 that was there is no gap. DEUDA_TOTAL has no fill."""
    good["LINEAS"] = ["", "NaN ", " n/a", "1", "1,0", "1.0"] * 100
    assert reader(good)[1].assumed == {"LINEAS": 0.5}
    good["TARGET"][0] = good["FECHA_ENVIO"][1] = ""  # two gaps that are not learnt from
    good["PORTADO"][3] = "?"
    assert reader(good)[1].assumed == {"LINEAS": 298 / 597}
    assert reader({**good, "LINEAS": ["1"] * COUNT})[1].assumed == {}


def test_a_key_that_tells_no_customer_is_refused(good: Texts, reader: Reader) -> None:
    findings = reader({**good, "CUST_CODE": ["1", "2", "3"] * 200})[2]
    assert fatal(findings) == {"pocos_clientes"}


def test_exact_copies_are_counted(good: Texts, reader: Reader) -> None:
    texts = {name: [*column, *column[:60]] for name, column in good.items()}
    findings = reader(texts)[2]
    assert fatal(findings) == set()
    assert findings["filas_repetidas"].text.startswith("60 filas (9,1\u202f%) son copia exacta")
    again = {**texts, "CUST_CODE": [str(i) for i in range(660)]}
    assert "filas_repetidas" not in reader(again)[2]


# Leaks


@pytest.mark.parametrize(
    "leak",
    [
        lambda paid, random: {"DEUDA_TOTAL": np.where(paid, 0, 1 + random.random(COUNT))},
        lambda paid, random: {"DEUDA_TOTAL": np.where(paid, 50, random.choice([1, 99], COUNT))},
        lambda paid, random: {
            "PORTADO": np.where(paid, "SI", random.choice(["NO", "N/A"], COUNT))
        },
        lambda paid, random: {"FECHA_BPI": np.where(paid, "", "202312")},
        lambda paid, random: {"LINEAS": np.where(paid, "", "2")},
    ],
    ids=["downwards", "in the middle", "a category", "no data", "a filled blank"],
)
def test_a_column_that_knows_the_answer_is_refused_by_name_unless_allowed(
    leak: Callable[..., dict[str, Any]], good: Texts, reader: Reader
) -> None:
    paid = np.array([text == "SI " for text in good["TARGET"]])
    (name, values), *_ = leak(paid, np.random.default_rng(3)).items()
    good[name] = [str(value) for value in values]
    findings = reader(good)[2]
    assert fatal(findings) == {"fuga"}
    assert (findings["fuga"].column, findings["fuga"].allowable) == (name, True)
    assert f"--allow {name}" in findings["fuga"].text
    rows, _, findings = reader(good, allow={name})
    assert (fatal(findings), "fuga" in findings, len(rows)) == (set(), True, COUNT)
    assert findings["fuga"].text.endswith("): aceptado con --allow")


def test_a_column_that_knows_almost_the_answer_is_a_warning(good: Texts, reader: Reader) -> None:
    """Of a rate of 30 % and 5 % of either class swapped, the AUC is 0.95."""
    random = np.random.default_rng(5)
    paid = np.array([text == "SI " for text in good["TARGET"]])
    good["PORTADO"] = np.where(paid ^ (random.random(COUNT) < 0.05), "SI", "NO").tolist()
    findings = reader(good)[2]
    assert fatal(findings) == set()
    assert findings["fuga_posible"].column == "PORTADO"


@pytest.mark.parametrize(
    ("name", "known", "other", "told"),
    [
        ("FECHA_BPI", "202312", "", "lo que tiene dato"),
        ("PORTADO", "SI", "NO", "uno de sus valores"),
        ("LINEAS", "7", "2", "uno de sus valores"),
    ],
)
def test_a_column_that_knows_the_answer_of_some_is_a_warning(
    name: str, known: str, other: str, told: str, good: Texts, reader: Reader
) -> None:
    """Known of 60 % of the payers and of nobody else, its AUC is 0.80."""
    random = np.random.default_rng(4)
    paid = np.array([text == "SI " for text in good["TARGET"]])
    some = paid & (random.random(COUNT) < 0.6)
    findings = reader({**good, name: np.where(some, known, other).tolist()})[2]
    assert (set(findings), fatal(findings)) == ({"fuga_posible"}, set())
    assert findings["fuga_posible"].text == (
        f"La columna {name} delata a una parte: {told}, {some.sum()} filas, es casi solo de "
        "«pagador». Compruebe que se conoce antes del resultado"
    )


def test_what_has_no_data_may_be_of_one_class_too() -> None:
    labels = np.repeat([0, 1, 0, 1], 100)
    values = np.where(np.arange(400) < 100, np.nan, np.arange(400.0))
    rows = Rows({"x": values}, labels, np.arange(400))
    assert leaks.one_sided(rows) == {"x": leaks.Side("no_data", 100, positive=False)}


@pytest.mark.parametrize(
    ("count", "odd", "rate", "seen"),
    [
        (50, 0, 0.5, True),
        (49, 0, 0.5, False),
        (200, 1, 0.5, True),
        (200, 2, 0.5, False),
        (100, 0, 0.1, False),  # of the other class ten were to be expected: it may be luck
        (400, 0, 0.04, False),
    ],
)
def test_a_value_of_one_class_counts_where_it_cannot_be_luck(
    count: int, odd: int, rate: float, seen: bool
) -> None:
    """``count`` rows of 2,000 have the value, ``odd`` of them paid."""
    labels = np.zeros(2_000, dtype=np.int64)
    labels[:odd] = 1
    labels[2_000 - round(2_000 * rate) + odd :] = 1
    values = np.where(np.arange(2_000) < count, "a", np.where(np.arange(2_000) % 2, "b", "c"))
    if rate == 0.5:  # the others are of both classes
        labels[count:] = np.arange(2_000 - count) // 2 % 2
    else:
        values = np.where(np.arange(2_000) < count, "a", "b")
    rows = Rows({"x": values.astype(object)}, labels, np.arange(2_000))
    assert ("x" in leaks.one_sided(rows)) is seen


def single(values: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> float:
    rows = Rows({"x": values}, labels.astype(np.int64), np.arange(len(labels)))
    return leaks.single_auc(rows)["x"]


def test_the_auc_of_one_column_is_the_one_of_its_populations() -> None:
    """Two normals a distance d apart have AUC Phi(d / sqrt 2); its error here is below 0.01."""
    random = np.random.default_rng(6)
    labels = random.random(20_000) < 0.2
    shifted = random.normal(size=20_000) + 1.5 * labels
    assert single(shifted, labels) == pytest.approx(0.8556, abs=0.015)
    assert single(-shifted, labels) == pytest.approx(0.8556, abs=0.015)
    # A normal about 0 against one three times as wide: no order tells them apart, bins do.
    # P(|X| < |3Z|) = 1 - 2/pi * atan(1/3).
    wide = random.normal(size=20_000) * np.where(labels, 3, 1)
    assert single(wide, labels) == pytest.approx(1 - 2 / np.pi * np.arctan(1 / 3), abs=0.015)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_perfect_order_of_few_rows_is_seen_in_both_directions(sign: int) -> None:
    values = sign * np.arange(40.0)
    assert single(values, np.arange(40) >= 33) == 1.0
    assert single(np.where(np.arange(40) >= 33, np.nan, values), np.arange(40) >= 33) == 1.0


@pytest.mark.parametrize("count", [300, 20_000])
def test_noise_is_no_leak_however_many_values_it_has(count: int) -> None:
    """In sample, a rate per value would reach 1.0."""
    random = np.random.default_rng(8)
    labels = random.random(count) < 0.3
    for values in (
        random.normal(size=count),
        random.integers(0, count // 2, count).astype(float),
        np.array([f"c{i}" for i in random.integers(0, count // 3, count)], dtype=object),
    ):
        assert single(values, labels) < 0.6


# Many rows


def test_a_sample_holds_whole_customers_and_depends_on_the_seed_alone(
    good: Texts, reader: Reader
) -> None:
    texts = {name: column * 40 for name, column in good.items()}  # more than one block
    texts["CUST_CODE"] = [str(i % 8_000) for i in range(COUNT * 40)]
    rows, data, findings = reader(texts, most_rows=3_000, seed=1)
    assert data.sampled
    assert (data.rows, data.used) == (COUNT * 40, len(rows))
    assert 2_997 <= len(rows) <= 3_000
    assert set(np.bincount(rows.groups)) == {3}
    assert findings["muestra"].text.startswith("De 24.000 filas se aprende de una muestra de")
    again, other = (reader(texts, most_rows=3_000, seed=seed)[0] for seed in (1, 2))
    assert np.array_equal(rows.values["dt"], again.values["dt"])
    assert not np.array_equal(rows.values["dt"], other.values["dt"])


def blocks_of(count: int, size: int) -> Iterator[Rows]:
    """Rows of 5,000 customers, each with as many rows as the others, all over the table."""
    for first in range(0, count, size):
        rows = min(size, count - first)
        keys = [str(i % 5_000) for i in range(first, first + rows)]
        values = {"x": np.arange(first, first + rows, dtype=np.float64)}
        yield Rows(values, np.zeros(rows, dtype=np.int64), hashes(keys, first, rows, 1))


def test_a_sample_does_not_depend_on_how_the_table_came() -> None:
    kept = []
    for size in (70, 1_000, 20_000):
        sample = Sample(1_000)
        for rows in blocks_of(20_000, size):
            sample.add(rows)
        rows, cut = sample.rows()
        assert cut
        kept.append(rows.values["x"].tolist())
    assert kept[0] == kept[1] == kept[2]


def test_a_sample_takes_no_more_memory_for_more_rows() -> None:
    peaks = []
    for count in (20_000, 100_000):
        sample = Sample(2_000)
        tracemalloc.start()
        for rows in blocks_of(count, 1_000):
            sample.add(rows)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 80,000 more rows of three numbers would be 1.9 MB more.
    assert peaks[1] < peaks[0] + 200_000


def test_a_sample_without_a_key_is_of_all_parts_of_the_table(good: Texts, reader: Reader) -> None:
    texts = {name: column * 40 for name, column in good.items()}
    texts["DEUDA_TOTAL"] = [str(i % 6_000) for i in range(COUNT * 40)]
    rows, data, _ = reader(texts, most_rows=2_000, key="")
    assert len(rows) == data.used == 2_000
    # 200 fall in each tenth of 0..5,999; their standard deviation is 13.
    assert np.all(np.abs(np.histogram(rows.values["dt"], 10)[0] - 200) < 60)


def test_every_row_may_be_one_customer_and_memory_is_still_bounded(
    good: Texts, reader: Reader
) -> None:
    texts = {name: column * 5 for name, column in good.items()}
    texts["CUST_CODE"] = ["1"] * (COUNT * 5)
    rows, _, findings = reader(texts, most_rows=1_000)
    assert len(rows) == 1_000
    assert "pocos_clientes" in fatal(findings)


# The tables themselves


@pytest.mark.skipif(not DATA.is_dir(), reason="the public tables are not here")
def test_the_public_churn_table_is_read_whole() -> None:
    rows, data, findings = read(
        str(DATA / "ibm_telco_churn.csv"), contracts.load("telco_churn"), today=TODAY
    )
    assert (len(rows), int(rows.labels.sum())) == (7_043, 1_869)
    assert [finding.code for finding in findings] == ["sin_fecha"]
    published = pd.read_csv(DATA / "ibm_telco_churn.csv")
    assert rows.values["cm"].tolist() == published["MonthlyCharges"].tolist()
    assert (rows.values["ca"] == 0).sum() == 11  # blank in the table
    assert data.faults == {}


CHILD = """
import sys, psutil
from datetime import date
from propensia import contract
from propensia.training import reading
rows, data, findings = reading.read(
    sys.argv[1], contract.load("cobranza"), today=date(2024, 6, 1)
)
if sys.platform == "win32":
    peak = psutil.Process().memory_info().peak_wset
elif sys.platform == "linux":  # its ru_maxrss is inherited from the process that started it
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    peak = 1024 * int(lines["VmHWM"].split()[0])
else:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(data.rows, len(rows), peak >> 20)
"""


@pytest.mark.slow
def test_millions_of_rows_do_not_take_more_memory_than_a_sample(tmp_path: Path) -> None:
    """As texts a million would take some 1 GB; 800 MB are the libraries, a block and the sample of
    a million, which is what is shipped."""
    example = contracts.load("cobranza").parameters
    path = tmp_path / "casos.csv"
    count, block = steps(1_500_000, 3_000_000), 10_000
    random = np.random.default_rng(1)
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        names = [p.feature for p in example if p.feature != "DEUDA_TOTAL"]
        stream.write(
            ";".join(["CUST_CODE", "FECHA_ENVIO", "TARGET", "DEUDA_TOTAL", *names]) + "\n"
        )
        fixed = ";".join(p.example for p in example if p.feature != "DEUDA_TOTAL")
        for first in range(0, count, block):
            debts, paid = random.gamma(2, 100, block), random.random(block) < 0.25
            stream.writelines(
                f"{first + i};{1 + i % 28:02d}/01/2024;{'SI' if paid[i] else 'NO'};"
                f"{debts[i]:.2f};{fixed}\n"
                for i in range(block)
            )
    run = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True
    )
    rows, used, peak_mb = map(int, run.stdout.split())
    assert (rows, used) == (count, 1_000_000)
    assert peak_mb < 900


def test_without_a_key_copies_are_one_customer(contract: Contract, tmp_path: Path) -> None:
    """Or a copy on the other side of a split would give its label away."""
    made = learnable_rows.rows(contract, 400)
    places = np.concatenate([np.arange(400), np.arange(150)])
    path = learnable_rows.write(tmp_path / "t.csv", contract, made.take(places))
    rows, _, _ = read(str(path), contract, today=date(2026, 1, 1))
    assert (rows.groups[:150] == rows.groups[400:]).all()
    assert len(np.unique(rows.groups)) == 400


def test_without_a_key_equal_rows_of_a_coarse_table_stand_alone(
    small: Contract, good: Texts, reader: Reader
) -> None:
    """Categories and a few whole numbers: equal rows are of different customers, and their days
    cut off the newest as always."""
    del good["CUST_CODE"]
    good["DEUDA_TOTAL"] = ["100"] * (COUNT // 2) + ["200"] * (COUNT // 2)
    rows, _, findings = reader(good)
    assert len(np.unique(rows.groups)) == COUNT
    assert "sin_corte" not in findings


def test_without_a_key_only_rows_with_numbers_of_their_own_are_copies(
    good: Texts, reader: Reader
) -> None:
    """Half have no debt and much in common; of the others the first 40 are there three times."""
    del good["CUST_CODE"]
    good["DEUDA_TOTAL"][COUNT // 2 :] = ["0"] * (COUNT // 2)
    good["FECHA_BPI"] = [""] * COUNT
    rows, _, _ = reader({name: [*column, *column[:40] * 2] for name, column in good.items()})
    assert (rows.groups[:40] == rows.groups[COUNT : COUNT + 40]).all()
    assert (rows.groups[:40] == rows.groups[COUNT + 40 :]).all()
    assert len(np.unique(rows.groups)) == COUNT
