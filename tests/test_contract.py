"""A contract that cannot be used is refused when it is loaded, never when a caller asks."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any

import pytest

from propensia import contract as contracts
from propensia import faults
from propensia.contract import ContractError


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
