"""What ``propensia skew`` finds in matrices that other code made from the published facts."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # ships no types
import pytest
from desk import Desk, desk

from propensia import contract as contracts
from propensia import skewing
from propensia.contract import Contract
from propensia.skewing import scales
from propensia.terminal import Exit
from tests import seed_server, skew_rows, tiny_models
from tests.skew_rows import MISTAKES, UNSCALED, Numbers, Row, Wrong

__all__ = ["desk"]

ROWS = 400
TELCO = Path(__file__).resolve().parents[2] / "shared" / "data" / "ibm_telco_churn.csv"
WEIGHTS = [-2.6, 0.1, -0.2, -1.1, 0.2, 0.3, 0.01, -0.3, -0.3, 0.2, -0.1, -0.8, 0.1, 0, 0, 0.1]
BIAS = 1.5
TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class Report:
    """What was printed: the rows of its two tables, and the sentence of each column."""

    text: str
    columns: dict[str, list[str]]
    why: dict[str, str]
    effects: dict[str, list[str]]


def read_report(text: str) -> Report:
    tables: dict[str, dict[str, list[str]]] = {"COLUMNA": {}, "SOLO CON": {}}
    why = {}
    current = None
    for line in text.splitlines():
        cells = re.split(r"  +", line.strip())
        if cells[0] in tables:
            current = tables[cells[0]]
        elif current is not None and len(cells) > 1:
            current[cells[0]] = cells[1:]
        else:
            current = None
            name, _, sentence = line.partition(": ")
            why[name] = sentence
    return Report(text, tables["COLUMNA"], why, tables["SOLO CON"])


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return skew_rows.rows(ROWS)


@pytest.fixture(scope="module")
def good(rows: list[Row]) -> list[Numbers]:
    return [skew_rows.right(row) for row in rows]


def replaced(rows: list[Row], wrong: dict[str, Wrong]) -> list[Numbers]:
    """The right matrix with some columns made otherwise."""
    return [
        skew_rows.right(row) | {name: make(row) for name, make in wrong.items()} for row in rows
    ]


def different(one: Sequence[Numbers], other: Sequence[Numbers], column: str) -> int:
    """In how many rows a column differs, counted without any tolerance but the last bits."""
    pairs = [(a[column], b[column]) for a, b in zip(one, other, strict=True)]
    return sum(not math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-15) for a, b in pairs)


def skew(
    desk: Desk, rows: list[Row], matrix: Sequence[Numbers], *options: object, code: int = 1
) -> Report:
    table = skew_rows.write_table(desk.folder / "tabla.csv", rows)
    file = skew_rows.write_matrix(desk.folder / "matriz.csv", matrix)
    return read_report(desk.run("skew", table, file, *options, code=code))


def skew_frame(desk: Desk, rows: list[Row], frame: Any, code: int = 1, **csv: Any) -> Report:
    """As ``skew``, for a matrix that pandas writes in its own way."""
    table = skew_rows.write_table(desk.folder / "tabla.csv", rows)
    frame.to_csv(desk.folder / "matriz.csv", **csv)
    return read_report(desk.run("skew", table, "matriz.csv", code=code))


# A correct matrix


def test_a_correct_matrix_does_not_differ(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    report = skew(desk, rows, good, code=0)
    assert report.text == (
        "tabla.csv frente a matriz.csv: 400 filas, 16 columnas del contrato cobranza\n"
        "Ninguna columna difiere.\n"
    )


@pytest.mark.parametrize(
    ("change", "csv"),
    [
        (lambda frame: frame, {}),
        (lambda frame: frame, {"sep": ";", "decimal": ",", "encoding": "utf-8-sig"}),
        (lambda frame: frame[frame.columns[::-1]], {"index": False}),
        (lambda frame: frame.assign(TARGET="SI", CUST_CODE=7.0), {"index": False}),
        (lambda frame: frame.round(6), {}),
        (lambda frame: frame, {"float_format": "%.3f"}),
        (lambda frame: frame.astype("float32"), {}),
        (lambda frame: frame.astype({"BAJA": bool, "0_30": bool, "VPT": int}), {}),
        (lambda frame: frame.rename_axis("index"), {}),
    ],
    ids=[
        "index",
        "semicolons, decimal commas and BOM",
        "columns reversed",
        "label and key",
        "rounded to 6 digits",
        "printed with 3 digits",
        "32 bits",
        "truth values and whole numbers",
        "named index",
    ],
)
def test_the_way_in_which_a_matrix_is_written_is_no_difference(
    desk: Desk,
    rows: list[Row],
    good: list[Numbers],
    change: Callable[[Any], Any],
    csv: dict[str, Any],
) -> None:
    report = skew_frame(desk, rows, change(pd.DataFrame(good)), code=0, **csv)
    assert "Ninguna columna difiere." in report.text


def test_get_dummies_on_the_public_churn_table_does_not_differ(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not TELCO.exists():
        pytest.skip(f"the public table is not there: {TELCO.name}")
    monkeypatch.setenv("PROPENSIA_CONTRACT", "telco_churn")
    frame = pd.read_csv(TELCO)
    frame["TotalCharges"] = pd.to_numeric(frame["TotalCharges"], errors="coerce").fillna(0)
    matrix = pd.get_dummies(frame.drop(columns=["customerID", "Churn"]))
    matrix.to_csv("matriz.csv")
    assert "Ninguna columna difiere." in desk.run("skew", TELCO, "matriz.csv")

    matrix.insert(0, "customerID", frame["customerID"])
    matrix["TotalCharges"] = frame["TotalCharges"].where(frame["TotalCharges"] > 0, 1397.47)
    matrix.sample(frac=0.5, random_state=1).to_csv("matriz.csv", index=False)
    report = read_report(desk.run("skew", TELCO, "matriz.csv", code=1))
    assert list(report.columns) == ["TotalCharges"]
    assert "unidas por customerID" in report.text
    assert report.why["TotalCharges"] == (
        "difiere solo sin dato: la matriz usa 1397,47 y el contrato 0."
    )


# The mistakes of the service before

SAID = {
    "blanks after a label": "difiere exactamente cuando PORTADO = «BAJAS_I », «BAJAS_II » o "
    "«N/A »: la matriz trae 1 y el contrato da 0.",
    "only SI counts": "difiere exactamente cuando VPT = «S» o sin dato: "
    "la matriz trae 0 y el contrato da 1.",
    "only SI counts there too": "constante 0 en la matriz; "
    "difiere exactamente cuando VAP_SCF = S.",
    "the block written twice": "constante 0 en la matriz; difiere exactamente cuando VAP_OB = S.",
    "no province": "la matriz trae el valor sin la división entera entre 1000; "
    "sin dato no difiere.",
    "only NaN is no date": "difiere exactamente cuando FECHA_BPI viene sin dato "
    "(vacío, «nan» o «null»): la matriz trae 1 y el contrato da 0.",
    "thirty in no band": "difiere exactamente cuando EDAD = 30: "
    "la matriz trae 0 y el contrato da 1.",
    "the other median": "difiere solo sin dato: la matriz usa 71,99 (el de IMPORTE_FACTURA) "
    "y el contrato 125,61.",
    "a real NaN": "vacía en la matriz; "
    "difiere exactamente cuando IMPORTE_FACTURA viene sin dato («nan»).",
}


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_of_the_old_service_is_found_alone(
    name: str, desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    column, wrong = MISTAKES[name]
    matrix = replaced(rows, {column: wrong})
    count = different(good, matrix, column)
    assert 0 < count < ROWS

    report = skew(desk, rows, matrix)

    assert list(report.columns) == [column]
    share = f"{100 * count / ROWS:.1f}\u202f%".replace(".", ",")
    assert report.columns[column][:2] == [str(count), share]
    assert report.why[column] == SAID[name]


def test_all_mistakes_together_are_told_apart(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    matrix = replaced(rows, dict(MISTAKES.values()))

    report = skew(desk, rows, matrix)

    counts = {name: different(good, matrix, name) for name, _ in MISTAKES.values()}
    assert {name: int(cells[0]) for name, cells in report.columns.items()} == counts
    shown = [int(cells[0]) for cells in report.columns.values()]
    assert shown == sorted(shown, reverse=True)
    for name, (column, _) in MISTAKES.items():
        assert report.why[column] == SAID[name]


def served(rows: list[Row]) -> dict[int, Numbers]:
    """What the old service computed of each row that it did not fail on, by its place."""
    matrix = {}
    for place, row in enumerate(rows):
        try:
            matrix[place] = dict(zip(seed_server.COLUMNS, seed_server.row(row), strict=True))
        except ValueError:
            continue
    return matrix


def test_the_old_service_itself_is_found_out(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    """Rows that it failed on are missing in the matrix: bands of age, and gaps but for NaN."""
    matrix = served(rows)
    keys = [str(1000 + place) for place in range(ROWS)]
    table = skew_rows.write_table(desk.folder / "t.csv", rows, {"CUST_CODE": keys})
    kept = {"CUST_CODE": [keys[place] for place in matrix]}
    file = skew_rows.write_matrix(desk.folder / "m.csv", list(matrix.values()), more=kept)

    report = read_report(desk.run("skew", table, file, code=1))

    assert f": {len(matrix)} filas, unidas por CUST_CODE," in report.text
    assert (
        f"Sin pareja en la matriz: {ROWS - len(matrix)} filas de la tabla: exactamente "
        "aquellas en que EDAD = 0-30, 31-50, 51-65, MAYOR 65 o sin dato; CODIGO_POSTAL viene sin "
        "dato; IMPORTE_FACTURA viene sin dato (vacío); DEUDA_TOTAL viene sin dato.\n"
    ) in report.text
    was = [good[place] for place in matrix]
    counts = {name: different(was, list(matrix.values()), name) for name in seed_server.COLUMNS}
    expected = {name: count for name, count in counts.items() if count}
    assert {name: int(cells[0]) for name, cells in report.columns.items()} == expected
    for name, (column, _) in MISTAKES.items():
        if name not in ("the other median", "a real NaN"):  # its gaps are all of one kind here
            assert report.why[column] == SAID[name].replace("; sin dato no difiere", "")


def test_the_old_services_own_contract_has_no_difference_with_it(
    desk: Desk, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROPENSIA_CONTRACT", "cobranza_compat")
    matrix = served(rows)
    finite = {p: m for p, m in matrix.items() if not any(math.isnan(n) for n in m.values())}
    report = skew(desk, [rows[place] for place in finite], list(finite.values()), code=0)
    assert "columnas del contrato cobranza_compat\nNinguna columna difiere." in report.text


def test_the_manual_cell_of_the_last_notebook_is_found_out(desk: Desk) -> None:
    rows = skew_rows.rows(ROWS, seed=2)
    others = ("only SI counts", "the block written twice", "thirty in no band")
    matrix = replaced(rows, UNSCALED | dict(MISTAKES[name] for name in others))
    good = [skew_rows.right(row) for row in rows]

    report = skew(desk, rows, matrix)

    assert {name: int(cells[0]) for name, cells in report.columns.items()} == {
        name: different(good, matrix, name) for name in (*UNSCALED, "VPT", "VAP_OB", "0_30")
    }
    said = "la matriz trae el valor sin dividir entre"
    assert report.why["CANTIDAD_FACTURAS"] == f"{said} 3,5 ({TIMES}3,5)."
    assert report.why["IMPORTE_FACTURA"] == f"{said} 314,24 ({TIMES}314,24)."
    assert report.why["NUM_LINEAS_ACTIVAS"] == f"{said} 2,5 ({TIMES}2,5)."
    assert report.why["DEUDA_TOTAL"] == (
        f"{said} 628,83 ({TIMES}628,83); sin dato usa 71,99 (el de IMPORTE_FACTURA) "
        "y el contrato 125,61."
    )
    assert report.why["CODIGO_POSTAL"] == (
        "la matriz trae el valor dividido entre 1000 con decimales y "
        f"sin dividir entre 52 ({TIMES}52)."
    )


# A recipe that is not followed


def debts(rows: list[Row]) -> np.ndarray:
    return np.array([skew_rows.number(row["dt"], 125.61) for row in rows])


def standardized(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


OTHER_SCALES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "no cap": (lambda d: d / 628.83, "sin recortar entre 0 y 628,83"),
    "no cap, no scale": (
        lambda d: d,
        f"sin recortar entre 0 y 628,83 y sin dividir entre 628,83 ({TIMES}628,83)",
    ),
    "a cap of this month": (
        lambda d: d.clip(0, 700) / 700,
        "dividido entre 700, no entre 628,83, y recortado a 700, no a 628,83",
    ),
    "another cap": (lambda d: d.clip(0, 500) / 628.83, "recortado a 500, no a 628,83"),
    "a cap below": (
        lambda d: d.clip(50, 628.83) / 628.83,
        "recortado por abajo a 50, no a 0",
    ),
    "only a cap below": (
        lambda d: d.clip(50, None) / 628.83,
        "recortado por abajo a 50, no a 0 y sin recortar por arriba",
    ),
    "another divisor": (
        lambda d: d.clip(0, 628.83) / 600,
        "dividido entre 600, no entre 628,83",
    ),
    "cents": (
        lambda d: d.clip(0, 628.83) * 100 / 628.83,
        "dividido entre 6,2883, no entre 628,83",
    ),
    "standard scaler": (
        lambda d: standardized(d.clip(0, 628.83)),
        "estandarizado con la media y la desviación (como StandardScaler)",
    ),
    "largest": (lambda d: d / d.max(), "dividido entre el máximo de la tabla y sin recortar"),
    "least and largest": (
        lambda d: (d - d.min()) / (d.max() - d.min()),
        "normalizado entre el mínimo y el máximo (como MinMaxScaler) y sin recortar",
    ),
}


@pytest.mark.parametrize("name", OTHER_SCALES)
def test_another_scale_is_named_without_a_debtors_number(
    name: str, desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    make, said = OTHER_SCALES[name]
    frame = pd.DataFrame(good)
    frame["DEUDA_TOTAL"] = make(debts(rows))

    report = skew_frame(desk, rows, frame)

    assert list(report.columns) == ["DEUDA_TOTAL"]
    assert report.why["DEUDA_TOTAL"] == f"la matriz trae el valor {said}."
    assert f"{debts(rows).max():g}".replace(".", ",") not in report.text


@pytest.mark.parametrize(
    ("column", "make", "said"),
    [
        ("ESTADO_CLIENTE", lambda f, _: 1 - f["ESTADO_CLIENTE"], "0 y 1 invertidos."),
        (
            "ESCENARIO_RECOBRO",
            lambda _, r: r["er"].map({"EMP": 2, "FU": 0, "PER": 1}),
            "otra codificación: EMP = 2, FU = 0, PER = 1.",
        ),
        (
            "PORTADO",
            lambda f, r: f["PORTADO"].where(r["po"].str.strip() != "N/A"),
            "vacía en la matriz; difiere exactamente cuando PORTADO = N/A.",
        ),
        ("VPT", lambda _, r: r["vt"] + "x", "trae textos donde va un número."),
        ("BAJA", lambda f, _: np.nan, "vacía en la matriz."),
        ("VAP_OB", lambda f, _: 1, "constante 1 en la matriz; "),
        ("31_50", lambda f, _: f["51_65"], "trae los valores de 51_65."),
        (
            "CODIGO_POSTAL",
            lambda f, _: f["CODIGO_POSTAL"].sample(frac=1, random_state=1).to_numpy(),
            "los mismos valores, en otras filas.",
        ),
        (
            "CODIGO_POSTAL",
            lambda f, _: f["CODIGO_POSTAL"].round(2),
            "redondeado a 2 decimales (con --tolerance 0.005 no cuenta).",
        ),
        (
            "0_30",
            lambda f, r: f["0_30"].where(r["ed"] != "29", 0.0),
            "no se reconoce una causa sencilla.",
        ),
        (
            "0_30",
            lambda f, r: f["0_30"].where(~r["ed"].isin(["18", "30"]), 0.0),
            "no se reconoce una causa sencilla.",
        ),
        (
            "CANTIDAD_FACTURAS",
            lambda _, r: r["cf"].astype(float).clip(1, 3) / 3,
            "la matriz trae el valor dividido entre 3, no entre 3,5, y recortado a 3, no a 3,5.",
        ),
        (
            "NUM_LINEAS_ACTIVAS",
            lambda _, r: r["nl"].map({"0": 0.3, "1": 0.4, "2": 0.5, "3": 0.55, "12": 0.9}),
            "no se reconoce una causa sencilla.",
        ),
        (
            "MAYOR_65",
            lambda f, r: f["MAYOR_65"].where(r["ed"] != "MAYOR 65", 0.0),
            "difiere exactamente cuando EDAD = MAYOR 65: la matriz trae 0 y el contrato da 1.",
        ),
        (
            "DEUDA_TOTAL",
            lambda f, r: f["DEUDA_TOTAL"].where(r["ec"] != "B", f["DEUDA_TOTAL"] ** 2 + 0.1),
            "difiere exactamente cuando ESTADO_CLIENTE = B.",
        ),
        (
            "IMPORTE_FACTURA",
            lambda f, r: f["IMPORTE_FACTURA"].where(~r["im"].isin(["", "nan"]), 0.0),
            "difiere solo sin dato: la matriz usa 0 y el contrato 71,99.",
        ),
        (
            "CODIGO_POSTAL",
            lambda f, r: f["CODIGO_POSTAL"].where(r["cp"] != "", 8 / 52),
            "difiere solo sin dato: la matriz usa 8 y el contrato 28.",
        ),
        (
            "VPT",
            lambda f, r: f["VPT"].where(r["vt"] != "", 0.0),
            "difiere solo sin dato: la matriz usa N y el contrato S.",
        ),
        (
            "DEUDA_TOTAL",
            lambda f, r: f["DEUDA_TOTAL"].where(r["dt"] != "", f["IMPORTE_FACTURA"] + 1),
            "difiere solo sin dato: la matriz usa varios valores y el contrato 125,61.",
        ),
        (
            "NUM_LINEAS_ACTIVAS",
            lambda f, r: f["NUM_LINEAS_ACTIVAS"].where(r["nl"] != "12", 0.5),
            "difiere exactamente cuando NUM_LINEAS_ACTIVAS > 2,5: ",
        ),
    ],
)
def test_a_plain_reason_is_found(
    column: str,
    make: Callable[[Any, Any], Any],
    said: str,
    desk: Desk,
    rows: list[Row],
    good: list[Numbers],
) -> None:
    frame, raw = pd.DataFrame(good), pd.DataFrame(rows)
    if "2,5" in said:  # of the numbers above 2.5, only one
        rows = [row | {"nl": "12" if row["nl"] == "3" else row["nl"]} for row in rows]
        raw = pd.DataFrame(rows)

    report = skew_frame(desk, rows, frame.assign(**{column: make(frame, raw)}))

    assert list(report.columns) == [column]
    assert report.why[column].startswith(said)


def test_an_empty_cell_may_be_written_as_a_word(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    frame = pd.DataFrame(good).assign(BAJA=np.nan)
    assert skew_frame(desk, rows, frame, na_rep="NaN").why["BAJA"] == "vacía en la matriz."


def test_a_line_through_two_points_is_no_reason() -> None:
    """Three and more of one line are, and two with the origin."""
    (column,) = (c for c in contracts.load("cobranza").columns if c.name == "NUM_LINEAS_ACTIVAS")
    inner = np.array([0.0, 1, 2, 3, 4, 5])
    by_chance = np.array([0.35, 0.35, 0.4, 0.5, 0.55, 0.55])
    assert scales.rescaled(column, inner, by_chance, 1e-9) is None
    assert scales.rescaled(column, inner, inner.clip(1, 4) / 5, 1e-9) == (
        "dividido entre el máximo de la tabla, y recortado por abajo a 1, no a 0, "
        "y recortado a 4, no a 2,5"
    )


def test_a_contract_that_forgives_nothing_is_spoken_of_as_it_reads(
    desk: Desk, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``nan`` is no date for a notebook, and some date for the old service."""
    monkeypatch.setenv("PROPENSIA_CONTRACT", "cobranza_compat")
    matrix = served(rows)
    finite = {p: m for p, m in matrix.items() if not any(math.isnan(n) for n in m.values())}
    kept = [rows[place] for place in finite]
    notebook = [
        numbers | {"BAJA": float(not skew_rows.is_missing(row["fb"]))}
        for numbers, row in zip(finite.values(), kept, strict=True)
    ]
    assert skew(desk, kept, notebook).why["BAJA"] == (
        "difiere exactamente cuando FECHA_BPI = otro texto: la matriz trae 0 y el contrato da 1."
    )


def test_two_columns_in_each_others_place_are_told_so(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    frame = pd.DataFrame(good).rename(columns={"VPT": "VAP_OB", "VAP_OB": "VPT"})

    report = skew_frame(desk, rows, frame)

    assert report.why.keys() >= report.columns.keys() == {"VPT", "VAP_OB"}
    assert report.why["VPT"] == "columnas intercambiadas con VAP_OB."
    assert report.why["VAP_OB"] == "columnas intercambiadas con VPT."


@hypothesis.given(
    column=st.sampled_from(seed_server.COLUMNS),
    share=st.floats(0.01, 1.0),
    size=st.floats(1e-4, 1e4),
    seed=st.integers(0, 2**32 - 1),
)
@hypothesis.settings(max_examples=60)
def test_a_column_that_is_corrupted_at_random_is_named_and_no_other(
    tmp_path_factory: pytest.TempPathFactory,
    contract: Contract,
    column: str,
    share: float,
    size: float,
    seed: int,
) -> None:
    rows = skew_rows.rows(60, seed=7)
    matrix = [skew_rows.right(row) for row in rows]
    draw = random.Random(seed)
    bad = set(draw.sample(range(60), max(1, round(60 * share))))
    for place in bad:
        matrix[place][column] += draw.choice((-1, 1)) * size * (1 + draw.random())
    folder = tmp_path_factory.mktemp("skew")
    table = skew_rows.write_table(folder / "t.csv", rows)

    pairs = skewing.pair(contract, table, skew_rows.write_matrix(folder / "m.csv", matrix))

    (found,) = skewing.differences(pairs)
    assert found.column == column
    assert set(np.flatnonzero(found.rows)) == bad
    assert found.largest is not None and size <= found.largest * (1 + 1e-9) <= 2 * size * 1.001
    assert found.why


# The effect on the score


def publish(desk: Desk, weights: list[float] = WEIGHTS) -> str:
    version = desk.add(tiny_models.logistic(weights, BIAS), model="octubre")
    desk.registry.publish(version, cause="prueba", who="prueba")
    return version


def chances(matrix: Sequence[Numbers]) -> np.ndarray:
    x = np.array([[row[name] for name in seed_server.COLUMNS] for row in matrix])
    return 1 / (1 + np.exp(-(x @ np.array(WEIGHTS) + BIAS)))


def effect(before: np.ndarray, after: np.ndarray) -> list[str]:
    """The cells of a row of effects, computed anew."""
    gap = np.abs(after - before)
    up, down = ((before < 0.5) & (after >= 0.5)).sum(), ((before >= 0.5) & (after < 0.5)).sum()
    share = f"{up + down} ({100 * (up + down) / len(gap):.1f}\u202f%)"
    cells = [f"{gap.mean():.4f}", f"{gap.max():.4f}", share, str(up), str(down)]
    return [cell.replace(".", ",") for cell in cells]


def test_the_effect_on_the_score_is_told_for_all_and_for_each_column(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    version = publish(desk)
    wrong = dict(MISTAKES.values())
    del wrong["IMPORTE_FACTURA"]
    matrix = replaced(rows, wrong)

    report = skew(desk, rows, matrix)

    assert f"Efecto en la puntuación («octubre», versión {version}):\n" in report.text
    expected = {"(todas)": effect(chances(good), chances(matrix))}
    for name, make in wrong.items():
        expected[name] = effect(chances(good), chances(replaced(rows, {name: make})))
    assert report.effects == expected
    assert next(iter(report.effects)) == "(todas)"
    sizes = [cells[0] for cells in list(report.effects.values())[1:]]
    assert sizes == sorted(sizes, reverse=True)


def test_what_the_matrix_lacks_counts_as_the_contracts(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    publish(desk)
    names = ("a real NaN", "only SI counts")
    matrix = replaced(rows, dict(MISTAKES[name] for name in names))

    report = skew(desk, rows, matrix)

    filled = replaced(rows, dict([MISTAKES["only SI counts"]]))
    assert report.effects["(todas)"] == effect(chances(good), chances(filled))
    assert report.effects["IMPORTE_FACTURA"] == ["—"] * 5
    gaps = different(good, matrix, "IMPORTE_FACTURA")
    assert report.text.endswith(
        f"En {gaps} filas lo que falta en la matriz cuenta como lo que da el contrato.\n"
    )


def test_a_version_may_be_chosen(desk: Desk, rows: list[Row]) -> None:
    other = publish(desk, [0.0] * 16)
    publish(desk)
    matrix = replaced(rows, {"VAP_OB": MISTAKES["the block written twice"][1]})

    report = skew(desk, rows, matrix, "--model", other[:6])

    assert f"versión {other})" in report.text
    assert report.effects["(todas)"] == ["0,0000", "0,0000", "0 (0,0\u202f%)", "0", "0"]
    text = skew(desk, rows, matrix, "--model", "ffff").text
    assert "ninguna versión empieza por 'ffff'" in text


def test_without_a_published_model_it_says_so(desk: Desk, rows: list[Row]) -> None:
    report = skew(desk, rows, replaced(rows, {"VAP_OB": lambda row: 0.0}))
    assert report.text.endswith(
        "Sin modelo publicado, no se calcula el efecto en la puntuación.\n"
    )


def test_a_model_of_other_columns_is_not_asked(desk: Desk, rows: list[Row]) -> None:
    version = desk.add(tiny_models.constant(0.5, 3), columns=["a", "b", "c"])
    desk.registry.publish(version, cause="prueba", who="prueba")
    report = skew(desk, rows, replaced(rows, {"VAP_OB": lambda row: 0.0}))
    assert report.text.endswith(
        "No se calcula el efecto en la puntuación. El modelo «modelo», versión "
        f"{version}, toma columnas que no son de este contrato; la matriz trae las 16 columnas "
        "del contrato. Ninguna versión admitida toma lo mismo que la matriz: haría falta un "
        "modelo que aprendiera de esas columnas.\n"
    )


def publish_raw(desk: Desk) -> str:
    """What ``propensia train`` makes: a model of the 13 values themselves."""
    names = desk.contract.raw().column_names
    version = desk.add(tiny_models.constant(0.5, 13), columns=list(names), model="entrenado")
    desk.registry.publish(version, cause="prueba", who="prueba")
    return version


def test_where_the_active_model_takes_the_values_the_last_one_of_the_columns_scores(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    desk.add(tiny_models.constant(0.25), model="vieja", admitted="2026-01-01T00:00:00+00:00")
    version = desk.add(
        tiny_models.logistic(WEIGHTS, BIAS), model="demo", admitted="2026-02-01T00:00:00+00:00"
    )
    broken = desk.add(tiny_models.constant(0.125), admitted="2026-03-01T00:00:00+00:00")
    (desk.state / "versions" / broken / "model.onnx").write_bytes(b"")
    active = publish_raw(desk)
    matrix = replaced(rows, {"VAP_OB": MISTAKES["the block written twice"][1]})

    report = skew(desk, rows, matrix)

    assert (
        f"El modelo «entrenado», versión {active}, toma los 13 valores sin transformar; la matriz "
        "trae las 16 columnas del contrato. Se usa la última versión admitida que toma lo mismo "
        f"que la matriz.\nEfecto en la puntuación («demo», versión {version}):\n"
    ) in report.text
    assert report.effects["(todas)"] == effect(chances(good), chances(matrix))


def test_with_nothing_active_an_admitted_version_scores(desk: Desk, rows: list[Row]) -> None:
    version = desk.add(tiny_models.constant(0.25))
    text = skew(desk, rows, replaced(rows, {"VAP_OB": lambda row: 0.0})).text
    assert "No hay versión activa; la matriz trae las 16 columnas del contrato. Se usa" in text
    assert f"Efecto en la puntuación («modelo», versión {version}):" in text


def test_a_chosen_version_of_the_other_view_names_those_that_would_do(
    desk: Desk, rows: list[Row]
) -> None:
    version, other = publish(desk), publish_raw(desk)
    matrix = replaced(rows, {"VAP_OB": lambda row: 0.0})
    text = skew(desk, rows, matrix, "--model", other).text
    assert text.startswith("No se calcula", text.rindex("\n\n") + 2)
    assert text.endswith(f" Con --model puede usar «octubre», versión {version}.\n")


def test_a_model_that_gives_no_probability_is_refused(desk: Desk, rows: list[Row]) -> None:
    version = desk.add(tiny_models.linear([1.0] * 16))
    desk.registry.publish(version, cause="prueba", who="prueba")
    report = skew(desk, rows, replaced(rows, {"CODIGO_POSTAL": lambda row: 99.0}))
    assert "no da una probabilidad con esta matriz; pruebe con otra versión" in report.text


# Which rows


def test_a_matrix_of_another_length_is_refused(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    text = skew(desk, rows, good[:-3]).text
    assert text.startswith("tabla.csv tiene 400 filas y matriz.csv, 397: no se sabe cuál es cuál.")
    assert "--key" in text


def test_dropped_rows_are_found_by_the_index_that_pandas_wrote(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    frame = pd.DataFrame(good)
    kept = frame[pd.DataFrame(rows)["cp"] != ""]
    assert len(kept) < ROWS

    report = skew_frame(desk, rows, kept, code=0)

    assert f": {len(kept)} filas, unidas por su índice," in report.text
    assert "exactamente aquellas en que CODIGO_POSTAL viene sin dato.\n" in report.text


def test_an_index_that_counts_anew_says_nothing_of_the_dropped_rows(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    kept = pd.DataFrame(good).iloc[5:].reset_index(drop=True)
    assert "no se sabe cuál es cuál" in skew_frame(desk, rows, kept).text


def test_rows_that_were_added_again_have_no_partner(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    frame = pd.DataFrame(good)
    text = skew_frame(desk, rows, pd.concat([frame, frame[:50]]), code=0).text
    assert ": 350 filas, unidas por su índice," in text
    assert "Sin pareja en la tabla: 100 filas de la matriz.\n" in text


def test_rows_in_another_order_are_found_by_the_index_or_said_to_be_so(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    frame = pd.DataFrame(good).sample(frac=1, random_state=3)
    assert "Ninguna columna difiere." in skew_frame(desk, rows, frame, code=0).text

    report = skew_frame(desk, rows, frame, index=False)

    assert "la matriz parece estar en otro orden" in report.text
    assert not report.why.keys() & report.columns.keys()


def test_rows_are_joined_by_a_key_of_both(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    """Keys as two programs write them; one that is there twice in one file only joins nothing."""
    keys = [f"{place:05d}" for place in range(ROWS)]
    table = skew_rows.write_table(desk.folder / "t.csv", rows, {"CASO": keys})
    order = random.Random(4).sample(range(10, ROWS), 200)
    kept = [good[place] for place in order] + [good[order[0]]]
    theirs = {"CASO": [f"{place}.0" for place in [*order, order[0]]]}
    file = skew_rows.write_matrix(desk.folder / "m.csv", kept, more=theirs)

    text = desk.run("skew", table, file, "--key", "CASO")

    assert ": 199 filas, unidas por CASO," in text
    assert "Sin pareja en la matriz: 201 filas de la tabla." in text
    assert "Sin pareja en la tabla: 2 filas de la matriz." in text
    assert text.endswith("Ninguna columna difiere.\n")


# Keys that repeat


def of_customers(
    desk: Desk, rows: list[Row], matrix: Sequence[Numbers], order: Sequence[int], each: int = 2
) -> tuple[Path, Path]:
    """Both files with ``each`` rows to a customer; the matrix has the places of ``order``."""
    keys = [str(place // each) for place in range(len(rows))]
    table = skew_rows.write_table(desk.folder / "t.csv", rows, {"CUST_CODE": keys})
    file = skew_rows.write_matrix(
        desk.folder / "m.csv",
        [matrix[place] for place in order],
        more={"CUST_CODE": [keys[place] for place in order]},
    )
    return table, file


@pytest.mark.parametrize("each", [2, 5])
def test_rows_of_one_customer_in_another_order_make_no_difference(
    desk: Desk, rows: list[Row], good: list[Numbers], each: int
) -> None:
    order = random.Random(5).sample(range(ROWS), ROWS)
    text = desk.run("skew", *of_customers(desk, rows, good, order, each))
    assert text == (
        "t.csv frente a m.csv: 400 filas, unidas por CUST_CODE, 16 columnas del contrato "
        "cobranza\nNinguna columna difiere.\n"
    )


def test_rows_of_one_customer_in_another_order_make_none_where_the_keys_are_in_order(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    order = [place ^ 1 for place in range(ROWS)]
    assert desk.run("skew", *of_customers(desk, rows, good, order)).endswith(
        ": 400 filas, 16 columnas del contrato cobranza\nNinguna columna difiere.\n"
    )


def test_in_a_shuffled_half_with_repeated_customers_only_the_seeds_mistakes_are_told(
    desk: Desk,
) -> None:
    rows = skew_rows.rows(1200, seed=9)
    wrong = {name: make for name, make in MISTAKES.values()}
    matrix = replaced(rows, wrong)
    good = [skew_rows.right(row) for row in rows]
    draw = random.Random(6)
    order = draw.sample(range(1200), 600)

    report = read_report(desk.run("skew", *of_customers(desk, rows, matrix, order), code=1))

    both = {place for place in order if place ^ 1 in set(order)}
    assert len(both) > 200
    found = re.search(r": (\d+) filas, unidas por CUST_CODE", report.text)
    left = re.search(r"No se comparan (\d+) filas: su clave se repite", report.text)
    assert found is not None and left is not None
    compared, doubtful = int(found[1]), int(left[1])
    assert compared + doubtful == len(both)
    assert doubtful < 0.2 * len(both)
    assert set(report.columns) == set(wrong)
    for name, cells in report.columns.items():
        differ = different(good, matrix, name)
        share = float(cells[1].split()[0].replace(",", ".")) / 100
        # Four standard errors of the share of the rows drawn.
        error = 4 * math.sqrt(differ / 1200 * (1 - differ / 1200) / compared)
        assert share == pytest.approx(differ / 1200, abs=error)
    whole = skew(desk, rows, matrix).why
    assert {name: report.why[name] for name in wrong} == {name: whole[name] for name in wrong}


def test_rows_that_nothing_tells_apart_are_left_out_and_counted(
    desk: Desk, rows: list[Row]
) -> None:
    """The first four customers have two rows that differ in nothing but what the matrix spoils."""
    many = [dict(row) for row in rows]
    for place in range(0, 8, 2):
        many[place + 1] = dict(many[place])
        many[place]["im"], many[place + 1]["im"] = "10", "20"
    matrix = replaced(many, {"IMPORTE_FACTURA": lambda row: skew_rows.number(row["im"], 71.99)})
    order = random.Random(7).sample(range(ROWS), ROWS)
    text = desk.run("skew", *of_customers(desk, many, matrix, order), code=1)
    assert ": 392 filas, unidas por CUST_CODE," in text
    assert (
        "No se comparan 8 filas: su clave se repite, y sus valores no dicen cuál es cuál.\n"
    ) in text


def test_a_row_that_cannot_be_read_leaves_the_others_of_its_customer(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    many = [dict(row) for row in rows]
    many[0]["dt"] = "mucho"
    order = random.Random(8).sample(range(ROWS), ROWS)
    text = desk.run("skew", *of_customers(desk, many, good, order))
    assert ": 399 filas, unidas por CUST_CODE," in text
    assert text.endswith("Ninguna columna difiere.\n")


def test_one_key_for_everybody_is_refused(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    order = random.Random(9).sample(range(ROWS), ROWS)
    keys = ["1"] * ROWS
    keys[3] = "2"
    table = skew_rows.write_table(desk.folder / "t.csv", rows, {"CASO": keys})
    rest = [good[place] for place in order if place != 3]
    file = skew_rows.write_matrix(desk.folder / "m.csv", rest, more={"CASO": ["1"] * (ROWS - 1)})
    text = desk.run("skew", table, file, "--key", "CASO", code=1)
    assert "no se sabe qué fila es cuál: use una columna con un valor distinto por fila" in text


def test_a_key_that_is_not_in_both_is_wrong_use(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    text = skew(desk, rows, good, "--key", "escenario recobro", code=Exit.WRONG_USE).text
    assert (
        text
        == "--key: tabla.csv no tiene la columna escenario recobro (¿es «ESCENARIO_RECOBRO»?)\n"
    )


def test_files_without_a_row_in_common_are_refused(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    table = skew_rows.write_table(desk.folder / "t.csv", rows[:2], {"CASO": ["1", "2"]})
    file = skew_rows.write_matrix(desk.folder / "m.csv", good[:2], more={"CASO": ["3", "4"]})
    text = desk.run("skew", table, file, "--key", "CASO", code=Exit.REFUSED)
    assert "no tienen en común ninguna fila" in text


def test_rows_that_the_contract_cannot_read_are_counted_and_left_out(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    broken = [dict(row) for row in rows]
    for place in (3, 5, 8):
        broken[place]["dt"] = "1.234,50"
    broken[5]["er"] = "OTRO"

    text = skew(desk, broken, good, code=0).text

    assert "matriz.csv: 397 filas," in text
    assert "El contrato no lee 3 filas de la tabla; no cuentan:\n  3: DEUDA_TOTAL" in text
    assert "\n  1: ESCENARIO_RECOBRO" in text
    assert "1.234" not in text and "OTRO" not in text


# Which columns


def test_missing_and_extra_columns_are_named_with_the_nearest(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    frame = pd.DataFrame(good).rename(columns={"BAJA": "baja", "0_30": "EDAD_0_30"})
    report = skew_frame(desk, rows, frame.assign(zzzz=1))
    assert report.text.splitlines()[1:] == [
        "Falta la columna BAJA; la más parecida es baja.",
        "Falta la columna 0_30; la más parecida es EDAD_0_30.",
        "Sobra la columna baja; la más parecida es BAJA.",
        "Sobra la columna EDAD_0_30; la más parecida es 0_30.",
        "Sobra la columna zzzz.",
        "Las demás no difieren.",
    ]


def test_files_that_are_not_those_are_refused(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    table = skew_rows.write_table(desk.folder / "t.csv", rows)
    file = skew_rows.write_matrix(desk.folder / "m.csv", good)
    text = desk.run("skew", file, table, code=Exit.REFUSED)
    assert text.startswith("a m.csv le faltan columnas: FECHA_BPI, EDAD")
    other = desk.folder / "otro.csv"
    for content, told in (
        ("a;b\n1;2\n", "otro.csv no tiene ninguna columna del contrato cobranza: CANTIDAD"),
        ("VPT;VPT\n1;2\n", "otro.csv: hay dos columnas con el nombre VPT"),
        ("VPT\n", "otro.csv no tiene filas"),
    ):
        other.write_text(content, encoding="utf-8")
        assert desk.run("skew", table, other, code=Exit.REFUSED).startswith(told)
    desk.run("skew", table, "nada.csv", code=Exit.WRONG_USE)
    desk.run("skew", table, file, "--tolerance", "-1", code=Exit.WRONG_USE)


def test_a_table_that_the_contract_cannot_read_at_all_is_refused(
    desk: Desk, rows: list[Row], good: list[Numbers]
) -> None:
    text = skew(desk, [row | {"er": "?"} for row in rows], good).text
    assert text == (
        "tabla.csv y matriz.csv no tienen en común ninguna fila que el contrato cobranza "
        "pueda leer\n"
    )


def test_a_tolerance_may_be_given(desk: Desk, rows: list[Row], good: list[Numbers]) -> None:
    rounded = [{name: round(value, 2) for name, value in row.items()} for row in good]
    skew(desk, rows, rounded, code=1)
    assert "Ninguna" in skew(desk, rows, rounded, "--tolerance", "0.005", code=0).text
    assert "Ninguna" not in skew(desk, rows, rounded, "--tolerance", "0.001", code=1).text


# The values without any transformation


def raw_frame(rows: list[Row]) -> Any:
    """The 13 columns as ``docs/analista.md`` asks for them, made without the contract."""
    frame = pd.DataFrame(rows)
    for name in ("po", "vt", "vf", "vb"):
        frame[name] = frame[name].str.strip()
    frame["vt"] = frame["vt"].replace({"SI": "S", "NO": "N", "": "S"})
    frame["vb"] = frame["vb"].replace({"SI": "S", "NO": "N"})
    frame["ed"] = frame["ed"].map(skew_rows.age)
    for name, fill in {"cp": 28000, "im": 71.99, "dt": 125.61, "fb": np.nan}.items():
        frame[name] = frame[name].map(lambda text, fill=fill: skew_rows.number(text, fill))
    return frame.astype({"cf": int, "nl": int}).rename(columns=skew_rows.FEATURES)


def test_a_matrix_of_the_values_themselves_does_not_differ(desk: Desk, rows: list[Row]) -> None:
    frame = raw_frame(rows)
    for name in ("IMPORTE_FACTURA", "DEUDA_TOTAL"):  # as a 32-bit number has them
        frame[name] = frame[name].astype("float32").astype("float64")
    report = skew_frame(desk, rows, frame, code=0)
    assert "13 columnas del contrato cobranza\nNinguna columna difiere.\n" in report.text


@pytest.mark.parametrize(
    ("column", "make", "said"),
    [
        (
            "PORTADO",
            lambda r: r["po"],
            "trae el texto de la tabla tal cual, sin leerlo como el contrato; "
            "difiere exactamente cuando PORTADO = «BAJAS_I », «BAJAS_II » o «N/A ».",
        ),
        (
            "EDAD",
            lambda r: r["ed"],
            "trae el texto de la tabla tal cual, sin leerlo como el contrato; "
            "difiere exactamente cuando EDAD = 0-30, 31-50, 51-65, MAYOR 65 o sin dato.",
        ),
        (
            "ESTADO_CLIENTE",
            lambda r: r["ec"].map({"A": "B", "B": "A"}),
            "otra codificación: A = B, B = A.",
        ),
        (
            "FECHA_BPI",
            lambda r: r["fb"].map(lambda text: skew_rows.number(text, 0)),
            "difiere exactamente cuando FECHA_BPI viene sin dato: "
            "la matriz trae 0 y el contrato da vacío.",
        ),
        (
            "DEUDA_TOTAL",
            lambda r: r["dt"].map(lambda text: skew_rows.number(text, 125.61) * 100),
            "la matriz trae el valor multiplicado por 100.",
        ),
    ],
)
def test_a_value_that_is_not_the_contracts_is_explained(
    column: str, make: Callable[[Any], Any], said: str, desk: Desk, rows: list[Row]
) -> None:
    frame = raw_frame(rows).assign(**{column: make(pd.DataFrame(rows)).to_numpy()})
    report = skew_frame(desk, rows, frame)
    assert list(report.columns) == [column]
    assert report.why[column] == said


# What is never printed


def numbers_of(rows: list[Row]) -> Iterator[str]:
    for row in rows:
        yield from (row[name] for name in ("cp", "im", "dt") if len(row[name]) > 4)


def test_no_debtors_number_is_printed(desk: Desk, rows: list[Row]) -> None:
    publish(desk)
    matrix = replaced(rows, dict(MISTAKES.values()) | UNSCALED)
    words = set(re.findall(r"[0-9]+(?:,[0-9]+)?", skew(desk, rows, matrix).text))
    own = set(contracts.load("cobranza").example().values())
    assert not words & {text.replace(".", ",") for text in numbers_of(rows)} - own
