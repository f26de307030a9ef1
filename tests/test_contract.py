"""A contract that cannot be used is refused when it is loaded, never when a caller asks."""

from __future__ import annotations

import copy
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from propensia import contract as contracts
from propensia import faults
from propensia.contract import ContractError
from propensia.features import Features

PAGE = Path(__file__).resolve().parent.parent / "docs" / "contract.md"


@pytest.fixture
def table() -> dict[str, Any]:
    """The table of the collection service's contract, to be spoilt."""
    shipped = resources.files("propensia") / "contracts" / "cobranza.toml"
    return tomllib.loads(shipped.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "spoilt",
    [
        "{p} admite {valores}",
        "{p} admite {}",
        "{0}",
        "una llave { suelta",
        "{p.nombre}",
        "{p:d}",
        "{used:.2f}",
        5,
    ],
)
@pytest.mark.parametrize("language", ["es", "en"])
def test_a_sentence_that_could_not_be_told_is_refused(
    spoilt: object, language: str, table: dict[str, Any]
) -> None:
    table["faults"] = {"raro": {"es": "{p}: {admits}", "en": "{p}"} | {language: spoilt}}
    with pytest.raises(ContractError, match=f"faults.raro.{language}"):
        contracts.parse(table)


def test_a_sentence_in_one_language_only_is_refused(table: dict[str, Any]) -> None:
    table["faults"] = {"raro": {"es": "{p}"}}
    with pytest.raises(ContractError, match=r"faults\.raro: faltan textos"):
        contracts.parse(table)


def test_a_sentence_may_name_the_parameter_and_what_it_takes(table: dict[str, Any]) -> None:
    table["faults"] |= {"raro": {"es": "{p}: {admits} {{}}", "en": "{p}"}}
    own = contracts.parse(table).own_faults
    told = faults.sentence("raro", "cp", "es", admits="08001", own=own)
    assert told == "cp: 08001 {}"


@pytest.mark.parametrize(
    ("key", "value"), [("faults", {"raro": 5}), ("faults", [1]), ("parameters", [5])]
)
def test_a_part_of_another_shape_is_an_error_of_the_contract(
    key: str, value: object, table: dict[str, Any]
) -> None:
    with pytest.raises(ContractError):
        contracts.parse(table | {key: value})


# The example of the page


@pytest.fixture
def example() -> dict[str, Any]:
    """The contract that ``docs/contract.md`` shows."""
    (text,) = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    return tomllib.loads(text)


def test_the_contract_of_the_page_is_one(example: dict[str, Any]) -> None:
    contract = contracts.parse(example)
    features = Features(contract)
    assert features.row(features.read(contract.example())[0]) == [1.0, 45.5 / 200]
    notes = features.read({"ca": "TIENDA", "cu": ""})[1]
    assert [(note.parameter, note.code, note.used) for note in notes] == [
        ("cu", "valor_supuesto", 30.0)
    ]


SECTIONS = ("name", "title", "reading", "label", "answer", "parameters", "columns")
REQUIRED = [
    ("reading", "no_data", "forgive_case", "repeated", "bad_utf8"),
    ("label", "column", "positive", "negative"),
    ("answer", "form", "threshold", "positive", "negative"),
    ("parameters.cu", "name", "feature", "kind", "label", "example"),
    ("columns.CUOTA", "name", "from", "steps"),
]


@pytest.mark.parametrize(
    ("section", "key"), [(section, key) for section, *keys in REQUIRED for key in keys]
)
def test_a_key_that_is_missing_is_named_with_its_section(
    section: str, key: str, example: dict[str, Any]
) -> None:
    name, _, which = section.partition(".")
    part = example[name]
    if which:
        part = next(part for part in example[name] if part["name"] == which)
    del part[key]
    where = section.replace(which, "2") if which and key == "name" else section
    with pytest.raises(ContractError, match=rf"^contrato: falta {where}\.{key}$"):
        contracts.parse(example)


@pytest.mark.parametrize("key", SECTIONS)
def test_a_section_that_is_missing_is_named(key: str, example: dict[str, Any]) -> None:
    del example[key]
    with pytest.raises(ContractError, match=rf"^contrato: falta {key}\b"):
        contracts.parse(example)


def test_all_that_is_missing_is_told_at_once(example: dict[str, Any]) -> None:
    del example["reading"]["repeated"], example["parameters"][1]["kind"]
    with pytest.raises(
        ContractError, match=r"^contrato: falta reading\.repeated, parameters\.cu\.kind$"
    ):
        contracts.parse(example)


def test_what_the_page_does_not_call_required_may_be_missing(example: dict[str, Any]) -> None:
    least = copy.deepcopy(example)
    del least["training"], least["answer"]["flag"], least["parameters"][1]["fill"]
    del least["parameters"][1]["min"], least["parameters"][1]["max"]
    assert contracts.parse(least).flag == "pagador"
