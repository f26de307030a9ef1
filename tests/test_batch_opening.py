"""Both ends of a run as they were typed: which options go together."""

from __future__ import annotations

from typing import Any

import pytest

from propensia.batch.errors import WrongUse
from propensia.batch.opening import Wish, options

FILES = ("cartera.csv", "out.csv")
INTO_DATABASE = ("cartera.csv", "sqlite:///scores.db")


@pytest.mark.parametrize(
    ("ends", "given", "told"),
    [
        (FILES, {"table": "t"}, "--table"),
        (FILES, {"run": "enero"}, "--run"),
        (FILES, {"alerts": "top=5%"}, "--alerts"),
        (FILES, {"since": "2026-01-01"}, "--changed"),
        (FILES, {"changed": "cambio"}, "--since"),
        (FILES, {"since": "last", "changed": "cambio"}, "--since last"),
        (INTO_DATABASE, {"leave": "0.5"}, "--alerts-leave"),
        (INTO_DATABASE, {"alerts": "mucho"}, "--alerts"),
        (INTO_DATABASE, {"alerts": "0.5", "leave": "0.8"}, "--alerts"),
        (INTO_DATABASE, {"run": ""}, "--run: está vacío"),
        (INTO_DATABASE, {"key": " "}, "--key: está vacío"),
        (INTO_DATABASE, {"table": ""}, "--table: está vacío"),
        (INTO_DATABASE, {"query": "\t"}, "--query: está vacío"),
        (INTO_DATABASE, {"since": "last", "changed": ""}, "--changed: está vacío"),
        (FILES, {"sheet": ""}, "--sheet: está vacío"),
    ],
)
def test_options_that_mean_nothing_together_are_told_by_name(
    ends: tuple[str, str], given: dict[str, Any], told: str
) -> None:
    with pytest.raises(WrongUse, match=told):
        Wish(*ends, **given).refuse()


@pytest.mark.parametrize(
    ("ends", "given"),
    [
        (FILES, {}),
        (FILES, {"deciles": "run", "reasons": 3, "sheet": "Hoja1"}),
        (FILES, {"since": "2026-01-01", "changed": "cambio"}),
        (INTO_DATABASE, {"since": "last", "changed": "cambio", "run": "enero", "table": "t"}),
        (INTO_DATABASE, {"alerts": "top=5%", "leave": "top=8%", "deciles": "run"}),
    ],
)
def test_options_that_go_together_are_taken(ends: tuple[str, str], given: dict[str, Any]) -> None:
    Wish(*ends, **given).refuse()


def test_only_what_changes_a_result_is_held_to_and_no_query() -> None:
    wish = Wish(*FILES, query="SELECT * FROM t WHERE dni = '1'", reasons=2, key="id")
    assert options(wish, {"er": "tipo"}) == {
        "--columns": {"er": "tipo"},
        "--key": "id",
        "--motivos": 2,
    }
    assert options(Wish(*FILES), {}) == {}
