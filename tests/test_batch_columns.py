"""Which column of a portfolio is which parameter: by name, by a mapping file, or by nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from propensia.batch.columns import read_mapping, resolve
from propensia.contract import Contract
from propensia.contract import load as load_contract
from propensia.delimited import TableError


def short(contract: Contract) -> list[str]:
    return [parameter.name for parameter in contract.parameters]


def told(heading: list[str], contract: Contract, renamed: dict[str, str] | None = None) -> str:
    with pytest.raises(TableError) as refused:
        resolve(heading, contract, "cartera.csv", renamed)
    return str(refused.value)


def test_columns_have_short_names_or_names_of_features_in_any_order(contract: Contract) -> None:
    features = [parameter.feature for parameter in contract.parameters]
    mixed = ["nota", *reversed(short(contract)[:5]), "", *features[5:]]
    assert resolve(mixed, contract, "t.csv") == {
        **{name: 5 - place for place, name in enumerate(short(contract)[:5])},
        **{name: 7 + place for place, name in enumerate(short(contract)[5:])},
    }


def test_every_missing_column_is_named_at_once_with_those_that_look_like_it(
    contract: Contract,
) -> None:
    heading = ["Deuda total" if n == "dt" else n for n in short(contract) if n not in ("er", "ed")]
    assert told(heading, contract) == (
        "cartera.csv:\n"
        "  falta ESCENARIO_RECOBRO o er; si tiene otro nombre, dígalo con --columns\n"
        "  falta EDAD o ed; si tiene otro nombre, dígalo con --columns\n"
        "  falta DEUDA_TOTAL o dt; ¿es «Deuda total»? Dígalo con --columns"
    )


@pytest.mark.parametrize("language", ["feature", "name"])
def test_columns_that_differ_in_case_alone_are_told_so(language: str, contract: Contract) -> None:
    """As PostgreSQL exports them, and as some write the short ones."""
    ours = [getattr(p, language) for p in contract.parameters]
    theirs = [name.swapcase() for name in ours]
    text = told(theirs, contract)
    assert text.splitlines()[0] == (
        "cartera.csv: estas columnas solo se distinguen de las del contrato en las mayúsculas; "
        "cambie sus nombres, o dígalos con --columns:"
    )
    pairs = zip(ours, theirs, strict=True)
    assert text.splitlines()[1:] == [f"  «{their}» es {our}" for our, their in pairs]
    assert "«ED» es ed" in told(["ED" if n == "ed" else n for n in short(contract)], contract)
    text = told([*theirs[:-1], "otra"], contract)
    assert f"¿es «{theirs[0]}»?" in text and text.count("falta ") == len(ours)


def test_a_column_that_is_another_parameters_is_no_look_alike(contract: Contract) -> None:
    heading = ["EDAD_" if name == "ed" else name for name in short(contract)]
    assert "¿es «EDAD_»?" in told(heading, contract)
    heading[heading.index("cf")] = "x"
    assert "¿" not in told(heading, contract, {"cf": "EDAD_"})


def test_a_file_without_a_heading_is_told_so_and_none_of_its_values_shown(
    contract: Contract,
) -> None:
    text = told(["PER", "NO", "S", "8029"], contract)
    assert "¿falta la cabecera?" in text and "PER" not in text and "8029" not in text


def test_two_columns_for_one_parameter_are_refused_unless_a_mapping_says_which(
    contract: Contract,
) -> None:
    heading = [*short(contract), "EDAD"]
    assert "«EDAD» y «ed» son lo mismo" in told(heading, contract)
    assert resolve(heading, contract, "t.csv", {"ed": "EDAD"})["ed"] == len(heading) - 1
    assert resolve(heading, contract, "t.csv", {"EDAD": "ed"})["ed"] == heading.index("ed")


def test_a_mapping_counts_and_what_it_names_has_to_be_there(contract: Contract) -> None:
    heading = [*short(contract), "Importe (€)"]
    assert resolve(heading, contract, "t.csv", {"im": "Importe (€)"})["im"] == len(heading) - 1
    assert told(heading, contract, {"im": "Importe €)", "ed": "xyz"}) == (
        "cartera.csv:\n"
        "  falta «xyz», que según --columns es EDAD\n"
        "  falta «Importe €)», que según --columns es IMPORTE_FACTURA; ¿es «Importe (€)»?"
    )


def test_one_column_is_not_two_parameters_nor_has_one_two_names(contract: Contract) -> None:
    heading = short(contract)
    assert "«im» no puede ser im y dt a la vez" in told(heading, contract, {"dt": "im"})
    both = {"dt": "dt", "DEUDA_TOTAL": "im"}
    assert "DEUDA_TOTAL y dt son lo mismo" in told(heading, contract, both)


@pytest.mark.parametrize("name", ["probabilidad", "version", "banda", "motivos"])
def test_a_result_is_not_scored_again(name: str, contract: Contract) -> None:
    text = told([*short(contract), name], contract)
    assert f"({name})" in text and "puntúe el fichero original" in text


def test_a_parameter_that_may_be_absent_is_absent(contract: Contract) -> None:
    compatible = load_contract("cobranza_compat")
    optional = [p.name for p in compatible.parameters if p.absent_as is not None]
    heading = [name for name in short(compatible) if name not in optional]
    assert optional and heading
    assert set(resolve(heading, compatible, "t.csv")) == set(heading)
    strict = replace(
        compatible,
        parameters=tuple(replace(p, absent_as=None) for p in compatible.parameters),
    )
    assert told(heading, strict).count("falta ") == len(optional)


# The mapping file


def mapping(tmp_path: Path, text: str, contract: Contract) -> dict[str, str]:
    path = tmp_path / "nombres.csv"
    path.write_text(text, encoding="utf-8-sig")
    return read_mapping(path, contract)


@pytest.mark.parametrize("heading", ["", "contrato;fichero\n", "Nombre nuestro;Nombre suyo\n"])
def test_a_mapping_file_has_two_columns_with_or_without_a_heading(
    heading: str, tmp_path: Path, contract: Contract
) -> None:
    text = f"{heading}ed; Años cumplidos\nIMPORTE_FACTURA;Importe (€)\n"
    assert mapping(tmp_path, text, contract) == {
        "ed": "Años cumplidos",
        "IMPORTE_FACTURA": "Importe (€)",
    }


def test_every_line_of_a_mapping_file_that_is_wrong_is_told(
    tmp_path: Path, contract: Contract
) -> None:
    text = "DEUDA_TOTL;x\nsaldo;y\ned;z\ned;w\nim;\n"
    with pytest.raises(TableError) as refused:
        mapping(tmp_path, text, contract)
    assert str(refused.value) == (
        "nombres.csv:\n"
        "  «DEUDA_TOTL» no es un nombre del contrato; ¿es DEUDA_TOTAL?\n"
        "  «saldo» no es un nombre del contrato\n"
        "  ed está dos veces\n"
        "  im no tiene nombre en el fichero"
    )


@pytest.mark.parametrize("text", ["", "ed\n", "ed;x;y\n"])
def test_a_mapping_file_of_another_shape_is_told(
    text: str, tmp_path: Path, contract: Contract
) -> None:
    with pytest.raises(TableError, match=r"^nombres.csv: debe tener dos columnas"):
        mapping(tmp_path, text, contract)
