"""Who changes class: counted against models whose answers are worked out by hand."""

from __future__ import annotations

import math
from importlib import resources
from pathlib import Path

import pytest
from desk import Desk, desk

from propensia import comparing
from propensia import contract as contracts
from propensia.contract import Contract
from propensia.terminal import Exit
from tests import tiny_models

__all__ = ["desk"]


def on_debt(contract: Contract, weight: float, bias: float) -> bytes:
    """A model of the scaled debt only: ``weight * min(dt, 628.83) / 628.83 + bias``."""
    weights = [weight if c.source == "dt" else 0.0 for c in contract.columns]
    assert sum(w != 0 for w in weights) == 1
    return tiny_models.linear(weights, bias)


@pytest.fixture
def versions(desk: Desk) -> tuple[str, str]:
    """One says no to everybody; the other, published, yes from 314.415 euros of debt."""
    first = desk.publish(0.25, "nadie")
    second = desk.add(on_debt(desk.contract, 1.0, 0.0), model="deudores")
    desk.registry.publish(second, cause="prueba", who="prueba")
    return first, second


ROWS = [("EMP", "100"), ("PER", "400.50"), ("per ", "500,25"), ("PER", "300"), ("FU", "628.83")]
CHANGED = [debt >= 628.83 / 2 for debt in (100, 400.50, 500.25, 300, 628.83)]


def table(desk: Desk, rows: list[tuple[str, str]]) -> Path:
    """A CSV of the example with other scenarios and debts, as a spreadsheet writes it."""
    example = desk.contract.example()
    lines = [";".join(example)]
    lines += [";".join({**example, "er": er, "dt": dt}.values()) for er, dt in rows]
    path = desk.folder / "filas.csv"
    path.write_text("\r\n".join(lines) + "\r\n", encoding="utf-8-sig")
    return path


def test_two_versions_are_compared_by_segment_and_euros(
    versions: tuple[str, str], desk: Desk
) -> None:
    assert CHANGED == [False, True, True, False, True]
    lines = desk.run("compare", *versions, table(desk, ROWS)).splitlines()
    assert lines[0] == f"{versions[0]}  →  {versions[1]}   5 filas"
    assert lines[1] == "Pasan a pagador: 3; a no pagador: 0; cambian el 60,0\u202f%."
    heading = [cell.strip() for cell in lines[3].split("  ") if cell.strip()]
    assert heading == ["ER", "FILAS", "A SÍ", "A NO", "CAMBIAN", "dt A SÍ", "dt A NO"]
    cells = [row.replace("\u202f%", "").split() for row in lines[4:]]
    assert cells[0] == ["PER", "3", "2", "0", "66,7", "900,75", "0,00"]
    assert sorted(cells[1:]) == [
        ["EMP", "1", "0", "0", "0,0", "0,00", "0,00"],
        ["FU", "1", "1", "0", "100,0", "628,83", "0,00"],
    ]


def test_the_other_way_round_they_go_the_other_way(versions: tuple[str, str], desk: Desk) -> None:
    text = desk.run("compare", *reversed(versions), table(desk, ROWS))
    assert "Pasan a pagador: 0; a no pagador: 3; cambian el 60,0\u202f%." in text


def test_by_and_amount_choose_the_parameters(versions: tuple[str, str], desk: Desk) -> None:
    text = desk.run("compare", *versions, table(desk, ROWS), "--by", "po", "--amount", "im")
    heading, row = text.splitlines()[3:]
    assert heading.split()[0] == "PO" and heading.endswith("im A SÍ  im A NO")
    assert row.split()[-2:] == ["791,04", "0,00"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--by", "nada"], "--by: no hay parámetro 'nada'; hay er, po,"),
        (["--amount", "nada"], "--amount: no hay parámetro 'nada'"),
        (["--amount", "er"], "--amount: er no es un número"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(
    options: list[str], told: str, versions: tuple[str, str], desk: Desk
) -> None:
    text = desk.run("compare", *versions, table(desk, ROWS), *options, code=Exit.REFUSED)
    assert text.startswith(told)


def test_amounts_are_read_as_the_contract_reads_them(
    versions: tuple[str, str], desk: Desk
) -> None:
    """``1.234,50`` is refused by the contract: its row counts nowhere, and it is told."""
    rows = [("PER", "1.234,50"), ("PER", " 4e2 "), ("PER", "400,5")]
    lines = desk.run("compare", *versions, table(desk, rows)).splitlines()
    assert lines[1] == "No se leen 1 filas con el primero y 1 con el segundo."
    assert lines[-1].split() == ["PER", "2", "2", "0", "100,0", "%", "800,50", "0,00"]


def test_rows_that_nobody_can_read_change_nothing(versions: tuple[str, str], desk: Desk) -> None:
    text = desk.run("compare", *versions, table(desk, [("nada", "1"), ("nada", "2")]))
    assert "0 filas\nNo se leen 2 filas con el primero y 2 con el segundo." in text
    assert "cambian el —." in text


def test_small_segments_beyond_the_largest_are_counted(
    versions: tuple[str, str], desk: Desk
) -> None:
    rows = [("PER", str(debt)) for debt in range(comparing.MOST_SEGMENTS + 3)]
    text = desk.run("compare", *versions, table(desk, rows), "--by", "dt")
    assert text.endswith("\n… y 3 grupos más pequeños\n")


def test_a_column_may_have_its_long_name(versions: tuple[str, str], desk: Desk) -> None:
    path = table(desk, ROWS)
    names = ";".join(p.feature for p in desk.contract.parameters)
    lines = [names, *path.read_text(encoding="utf-8-sig").splitlines()[1:]]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert "Pasan a pagador: 3;" in desk.run("compare", *versions, path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "filas.csv no tiene filas"),
        ("er;po\n", "filas.csv no tiene filas"),
        ("er;po\nEMP;NO\n", "a filas.csv le faltan las columnas vt, cp,"),
        ("er;po\nEMP;NO\nEMP\n", "filas.csv: la línea 3 tiene 1 columnas y la cabecera 2"),
        ("er;er\nEMP;NO\n", "filas.csv: hay dos columnas con el nombre er"),
        (f"er;po\nEMP;{'x' * 200_000}\n", "filas.csv: la línea 2 no es de un CSV"),
    ],
)
def test_a_file_that_cannot_be_compared_is_refused_with_a_sentence(
    content: str, told: str, versions: tuple[str, str], desk: Desk
) -> None:
    (desk.folder / "filas.csv").write_text(content, encoding="utf-8")
    text = desk.run("compare", *versions, "filas.csv", code=Exit.REFUSED)
    assert text.startswith(told)


def test_a_file_that_is_too_large_is_refused_with_a_sentence(
    versions: tuple[str, str], desk: Desk
) -> None:
    with (desk.folder / "filas.csv").open("wb") as stream:
        stream.truncate(comparing.LIMIT_BYTES + 1)
    text = desk.run("compare", *versions, "filas.csv", code=Exit.REFUSED)
    assert text.startswith("filas.csv pasa de 1 GiB")


def test_two_contracts_are_compared_with_the_active_model(
    versions: tuple[str, str], desk: Desk
) -> None:
    """The old service read no decimal comma: it guessed nothing, it failed."""
    text = desk.run("compare", "cobranza", "cobranza_compat", table(desk, ROWS))
    assert text.startswith("cobranza  →  cobranza_compat   4 filas\n")
    assert "No se leen 0 filas con el primero y 1 con el segundo." in text
    assert "Pasan a pagador: 0; a no pagador: 0; cambian el 0,0\u202f%." in text


def test_a_threshold_set_by_hand_holds_under_another_contract_too(
    versions: tuple[str, str], desk: Desk
) -> None:
    desk.run("threshold", "0.05", "--why", "prueba")
    rows = [("PER", "100"), ("PER", "20")]  # 0.159 and 0.032 after scaling
    assert math.isclose(100 / 628.83, 0.159, abs_tol=1e-3)
    text = desk.run("compare", "cobranza", "cobranza_compat", table(desk, rows))
    assert "Pasan a pagador: 0; a no pagador: 0;" in text


def test_euros_that_only_other_contracts_can_read_are_not_summed(desk: Desk) -> None:
    """The old service took ``1_000`` for a number; ours does not."""
    desk.publish(0.25)
    shipped = resources.files("propensia") / "contracts" / "cobranza_compat.toml"
    text = shipped.read_text(encoding="utf-8")
    assert text.count("threshold = 0.5") == 1
    easy = desk.folder / "facil.toml"
    easy.write_text(text.replace("threshold = 0.5", "threshold = 0.2"), encoding="utf-8")
    path = table(desk, [("PER", "1_000"), ("PER", "400")])
    row = desk.run("compare", "cobranza_compat", easy, path).splitlines()[-1]
    assert row.split() == ["PER", "2", "2", "0", "100,0", "%", "400,00", "0,00"]


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ("ffff", "ninguna versión empieza por 'ffff'"),
        ("no existe.toml", "no hay contrato 'no existe.toml'"),
        ("telco_churn", "el contrato telco_churn pide parámetros que cobranza no tiene"),
    ],
)
def test_a_side_that_does_not_exist_is_refused(
    second: str, told: str, versions: tuple[str, str], desk: Desk
) -> None:
    text = desk.run("compare", versions[0], second, code=Exit.REFUSED)
    assert text.startswith(told)


def test_a_version_of_other_columns_is_refused(versions: tuple[str, str], desk: Desk) -> None:
    odd = desk.add(tiny_models.constant(0.5, 3), columns=["a", "b", "c"])
    text = desk.run("compare", versions[0], odd, code=Exit.REFUSED)
    assert text.startswith(f"la versión {odd} no tiene las columnas del contrato cobranza")


def test_contracts_need_a_published_model(desk: Desk) -> None:
    text = desk.run("compare", "cobranza", "cobranza_compat", code=Exit.REFUSED)
    assert "aún no hay modelo publicado" in text


def test_one_side_is_wrong_use(desk: Desk) -> None:
    desk.run("compare", "cobranza", code=Exit.WRONG_USE)
    desk.run("compare", "cobranza", "cobranza_compat", "nada.csv", code=Exit.WRONG_USE)


def test_without_a_file_typical_rows_are_used(versions: tuple[str, str], desk: Desk) -> None:
    text = desk.run("compare", versions[1], versions[1])
    assert f"{comparing.SYNTHETIC_ROWS} filas típicas\n" in text
    assert "cambian el 0,0\u202f%." in text


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("cobranza", "dt"), ("cobranza_compat", "dt"), ("telco_churn", "TotalCharges")],
)
def test_the_amount_is_the_last_number_of_the_contract(name: str, wanted: str) -> None:
    contract = contracts.load(name)
    found = comparing.amount_parameter(contract)
    assert found is not None
    assert wanted in (found, contract.parameter(found).feature)
