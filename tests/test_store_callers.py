"""Callers: what they got and what came wrong, counted in one way for all who tell it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from propensia import monitoring, paneling
from propensia.contract import Contract
from propensia.journal.records import DAY_MS, HOUR_MS, first_id
from propensia.registry import Registry
from propensia.settings import Settings
from propensia.store import callers, sums
from propensia.store.callers import Traffic, Trouble

NOW = 1_790_000_000_000
HOUR = NOW // HOUR_MS * HOUR_MS
ASSUMED, OTHER = '[["ed","valor_supuesto",65]]', '[["dt","coma_decimal","1.5"]]'
FAULTS = '[["er","sin_dato"],["po","sin_dato"]]'


def given(at: int, caller: str, notes: str = "[]") -> dict[str, Any]:
    """A row of ``answers``, as far as it is counted."""
    row: dict[str, Any] = {"id": first_id(at) + "0" * 18, "version": "v" * 12, "caller": caller}
    return row | {"probability": 0.5, "positive": True, "notes": notes}


def refusal(at: int, caller: str) -> dict[str, Any]:
    return {"id": first_id(at) + "0" * 18, "caller": caller, "faults": FAULTS}


def fill(engine: Engine) -> None:
    """Answers and refusals of two callers in several hours, as shipping counts them."""
    with engine.begin() as connection:
        answers = [given(HOUR, "crm"), given(HOUR + 1, "crm", ASSUMED), given(HOUR, "crm", OTHER)]
        answers += [given(HOUR - 3 * HOUR_MS, "crm"), given(HOUR - 40 * DAY_MS, "crm", ASSUMED)]
        sums.count_answers(connection, answers)
        refusals = [refusal(HOUR + 1, "erp"), refusal(HOUR + 2, "erp"), refusal(HOUR + 2, "crm")]
        sums.count_refusals(connection, refusals)


def test_requests_are_counted_and_neither_their_faults_nor_their_notes(engine: Engine) -> None:
    fill(engine)
    with engine.connect() as connection:
        assert callers.traffic(connection, HOUR, HOUR + 1) == {
            "crm": Traffic(answers=3, noted=1, refused=1),
            "erp": Traffic(refused=2),
        }
        assert callers.traffic(connection, HOUR - 3 * HOUR_MS, HOUR) == {"crm": Traffic(1)}
        assert callers.traffic(connection, HOUR + 1, HOUR + HOUR_MS) == {}
    assert Traffic().refused_share == Traffic().poor_share == 0.0
    assert (Traffic(3, 1, 1).refused_share, Traffic(3, 1, 1).poor_share) == (0.25, 0.5)


def test_what_came_wrong_is_told_since_its_first_time(engine: Engine) -> None:
    fill(engine)
    with engine.connect() as connection:
        found = callers.troubles(connection, HOUR - DAY_MS, NOW, 9, None)
        few = callers.troubles(connection, HOUR - DAY_MS, NOW, 1, ["crm"])
    early = HOUR - 40 * DAY_MS
    assert found == [
        Trouble("erp", "fault", "er", "sin_dato", 2, HOUR + 1, HOUR + 2),
        Trouble("erp", "fault", "po", "sin_dato", 2, HOUR + 1, HOUR + 2),
        Trouble("crm", "fault", "er", "sin_dato", 1, HOUR + 2, HOUR + 2),
        Trouble("crm", "fault", "po", "sin_dato", 1, HOUR + 2, HOUR + 2),
        Trouble("crm", "note", "dt", "coma_decimal", 1, HOUR, HOUR),
        Trouble("crm", "note", "ed", "valor_supuesto", 1, early, HOUR + 1),
    ]
    assert [one.is_assumption for one in found] == [False] * 5 + [True]
    assert [one.is_refusal for one in found] == [True] * 4 + [False] * 2
    assert few == [found[2], found[4]], "of each kind one"


def test_the_panel_and_the_monitoring_tell_the_same(
    engine: Engine, store_settings: Settings, contract: Contract, registry: Registry
) -> None:
    fill(engine)
    shown = paneling.build(engine, store_settings, contract, registry, NOW)["llamadores"]
    found = monitoring.examine(engine, store_settings, contract, registry, NOW, days=7)
    measured = {one.subject: one.detail for one in found.measurements if one.kind == "caller"}
    assert measured.keys() == {"crm", "erp"} == {one["llamador"] for one in shown}
    for one in shown:
        detail = measured[one["llamador"]]
        counts = (one["respuestas"], one["supuestas"], one["rechazadas"])
        assert counts == (detail["answers"], detail["noted"], detail["refused"])
        told = [(each["codigo"], each["veces"], each["desde"]) for each in one["problemas"]]
        same = [(each["code"], each["count"], each["first"]) for each in detail["troubles"]]
        assert set(told) <= set(same)
