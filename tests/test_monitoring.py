"""What the monitoring says of answers whose truth is known: drift, estimates, months, callers."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import watched
from lengths import steps
from sqlalchemy import Engine, delete, insert, select
from watched import DAY_MS, NOW, VERSION, ms

from propensia import monitoring, settings, stats, synthetic
from propensia.contract import Contract
from propensia.journal import records
from propensia.monitoring import Findings, Measurement, verdicts
from propensia.outcomes import checking
from propensia.outcomes.checking import Outcome
from propensia.registry import Registry
from propensia.settings import Settings
from propensia.store import database, measurements, outcomes, rows, schema, sums

SINCE = NOW - 29 * DAY_MS


@pytest.fixture(scope="module")
def learnt(contract: Contract) -> watched.Learnt:
    return watched.learnt(contract)


@pytest.fixture(scope="module")
def said(contract: Contract, learnt: watched.Learnt) -> dict[str, Any]:
    """What the sidecar of that training tells; a test that changes it takes a copy."""
    return watched.told(contract, learnt)


@pytest.fixture
def admitted(store_settings: Settings, contract: Contract, said: dict[str, Any]) -> Registry:
    """A registry with a version whose sidecar tells all."""
    made = Registry(store_settings.state)
    made.prepare()
    watched.admit(made, contract, said)
    return made


@pytest.fixture
def lite(tmp_path: Path) -> Settings:
    """Settings with an empty store on SQLite, for what is not about SQL."""
    state = tmp_path / "state"
    state.mkdir()
    return Settings(models=tmp_path / "models", state=state)


def month(
    contract: Contract, rows: int, seed: int, drift: float = 0.0
) -> tuple[dict[str, list[str]], np.ndarray, np.ndarray]:
    """Texts, calibrated chances and payments of a population that moved, but not its behaviour."""
    table = synthetic.generate(rows, seed, drift=drift)
    chances = synthetic.chances(table.columns)
    paid = (np.random.default_rng([seed, 5]).random(rows) < chances).astype(np.int64)
    return watched.texts(contract, table), chances, paid


def of(found: Findings, kind: str, subject: str | None = None) -> list[Measurement]:
    return [m for m in found.measurements if m.kind == kind and subject in (None, m.subject)]


def the(found: Findings, kind: str, subject: str) -> Measurement:
    (one,) = of(found, kind, subject)
    return one


def examined(made: Settings, contract: Contract, registry: Registry, *rows: Any) -> Findings:
    """What is found of rows that are put into a new store on SQLite."""
    opened = database.open_store(made)
    try:
        if rows:
            watched.answer(opened, contract, *rows, SINCE, NOW)
        return monitoring.examine(opened, made, contract, registry, NOW)
    finally:
        opened.dispose()


def registered(made: Settings, contract: Contract, said: dict[str, Any]) -> Registry:
    registry = Registry(made.state)
    registry.prepare()
    watched.admit(registry, contract, said)
    return registry


def test_where_nothing_moved_nothing_is_said_to_have(
    engine: Engine, store_settings: Settings, contract: Contract, admitted: Registry
) -> None:
    columns, chances, paid = month(contract, 2_000, 31)
    watched.answer(engine, contract, columns, chances, SINCE, NOW)
    found = monitoring.run(engine, store_settings, contract, admitted, NOW)
    names = {p.name for p in contract.parameters} | {"score"}
    assert {m.subject for m in of(found, "drift")} == names
    assert max(m.value or 0 for m in of(found, "drift")) < 0.02
    assert min(m.value or 0 for m in of(found, "drift_test")) > 0.01
    assert the(found, "estimated", "auc").value == pytest.approx(
        stats.auc(paid, chances), abs=0.03
    )
    with engine.connect() as connection:
        kept = measurements.read(connection, "drift", VERSION, 0, NOW + 1)
    assert {m.subject: m.value for m in kept} == {m.subject: m.value for m in of(found, "drift")}


def test_measuring_again_replaces_what_was_found(
    engine: Engine, store_settings: Settings, contract: Contract, admitted: Registry
) -> None:
    columns, chances, _ = month(contract, 1_000, 32)
    watched.answer(engine, contract, columns, chances, SINCE, NOW)
    first = monitoring.run(engine, store_settings, contract, admitted, NOW)
    again = monitoring.run(engine, store_settings, contract, admitted, NOW)
    assert first == again
    with engine.connect() as connection:
        kept = measurements.read(connection, "estimated", VERSION, 0, NOW + 1)
    assert len(kept) == len(of(first, "estimated"))


def test_the_index_is_that_of_the_shares_without_what_chance_adds(
    lite: Settings, contract: Contract, said: dict[str, Any], learnt: watched.Learnt
) -> None:
    registry = registered(lite, contract, said)
    columns, chances, _ = month(contract, 6_000, 33, drift=1.0)
    found = examined(lite, contract, registry, columns, chances)
    before = np.mean(np.array(learnt.columns["ec"]) == "A")
    now = np.mean(np.array(columns["ec"]) == "A")
    index = (now - before) * np.log(now / before) + (before - now) * np.log(
        (1 - now) / (1 - before)
    )
    chance = 1 / len(learnt.chances) + 1 / 6_000
    assert the(found, "drift", "ec").value == pytest.approx(index - chance, abs=2e-5)
    assert the(found, "drift_test", "ec").value == pytest.approx(0, abs=1e-9)


def test_no_data_counts_alike_however_it_is_spelt(
    lite: Settings, contract: Contract, said: dict[str, Any]
) -> None:
    registry = registered(lite, contract, said)
    columns, chances, _ = month(contract, 2_000, 34)
    for place, text in enumerate(("", "NaN", "n/a", "null")):
        columns["ed"][place * 250 : (place + 1) * 250] = [text] * 250
    columns["ed"][1_000:] = ["40"] * 1_000
    found = examined(lite, contract, registry, columns, chances)
    assert the(found, "missing", "ed").value == 0.5


def test_a_new_category_is_named_and_so_is_a_province(lite: Settings, contract: Contract) -> None:
    trained = watched.learnt(contract, 5_000, 3)
    for name, old, new in (("er", "FU", "PER"), ("cp", "08", "28001")):
        column = trained.columns[name]
        starts = [t if len(t) == 5 else t.zfill(5) for t in column]
        trained.columns[name] = [
            new if (t == old or s.startswith(old)) else t
            for t, s in zip(column, starts, strict=True)
        ]
    registry = registered(lite, contract, watched.told(contract, trained))
    columns, chances, _ = month(contract, 2_000, 35)
    found = examined(lite, contract, registry, columns, chances)
    new = the(found, "new_category", "er")
    assert new.detail["values"] == {"FU": columns["er"].count("FU")}
    assert new.value == pytest.approx(columns["er"].count("FU") / 2_000)
    assert set(the(found, "new_category", "cp").detail["values"]) == {"8"}


@pytest.mark.parametrize(
    ("seed", "drift"),
    [
        (42, 0.5),
        *(
            pytest.param(50 + seed, drift, marks=pytest.mark.slow)
            for seed in range(steps(1, 4))
            for drift in (0.0, 0.3, 0.6, 1.0)
        ),
    ],
)
def test_the_estimated_auc_is_within_a_hundredth_of_the_real_one(
    lite: Settings, contract: Contract, said: dict[str, Any], seed: int, drift: float
) -> None:
    registry = registered(lite, contract, said)
    columns, chances, paid = month(contract, 25_000, seed, drift)
    found = examined(lite, contract, registry, columns, chances)
    estimate = the(found, "estimated", "auc")
    assert estimate.value is not None, estimate.detail
    assert estimate.value == pytest.approx(stats.auc(paid, chances), abs=0.01)
    assert estimate.low is not None and estimate.high is not None
    assert estimate.low < estimate.value < estimate.high


def refused(found: Findings) -> str:
    """The one reason for which every estimate is refused."""
    estimates = of(found, "estimated")
    assert {m.value for m in estimates} == {None}
    (reason,) = {m.detail["reason"] for m in estimates}
    return str(reason)


def test_a_region_that_training_never_saw_is_flagged_and_no_estimate_given(
    lite: Settings, contract: Contract, learnt: watched.Learnt
) -> None:
    """The concept moved there, which no chance can tell: companies with the largest debts."""
    er, debt = np.array(learnt.columns["er"]), np.array(learnt.columns["dt"], dtype=float)
    kept = np.flatnonzero((er != "EMP") | (debt <= 250))
    trained = watched.Learnt(
        {name: [column[i] for i in kept] for name, column in learnt.columns.items()},
        learnt.chances[kept],
        learnt.labels[kept],
    )
    registry = registered(lite, contract, watched.told(contract, trained))
    columns, chances, paid = month(contract, 5_000, 36)
    outside = (np.array(columns["er"]) == "EMP") & (np.array(columns["dt"], dtype=float) > 300)
    assert outside.mean() > 0.03
    paid[outside] = chances[outside] < np.median(chances[outside])
    found = examined(lite, contract, registry, columns, chances)
    region = the(found, "region", "region")
    assert region.value is not None and region.value > outside.mean() - 0.01
    assert {"er", "dt"} == set(region.detail["pairs"][0][:2])
    assert "fuera de lo que el entrenamiento conoció" in refused(found)


def without(said: dict[str, Any], *path: str) -> dict[str, Any]:
    copy = json.loads(json.dumps(said))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return copy


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (("referencia",), "no trae referencia"),
        (("referencia", "cobertura"), "no trae la cobertura"),
        (("referencia", "parametros", "dt", "partes"), "no trae referencia"),
        (("metricas",), "no dice cómo de calibradas"),
    ],
)
def test_what_the_sidecar_does_not_tell_is_a_reason_to_refuse(
    lite: Settings,
    contract: Contract,
    said: dict[str, Any],
    path: tuple[str, ...],
    reason: str,
) -> None:
    registry = registered(lite, contract, without(said, *path))
    columns, chances, _ = month(contract, 1_500, 37)
    assert reason in refused(examined(lite, contract, registry, columns, chances))


def test_chances_that_were_badly_calibrated_promise_nothing(
    lite: Settings, contract: Contract, said: dict[str, Any]
) -> None:
    worse = said | {"metricas": {"ece_sin_sesgo": {"valor": 0.08, "desde": 0.07, "hasta": 0.09}}}
    registry = registered(lite, contract, worse)
    columns, chances, _ = month(contract, 1_500, 37)
    found = examined(lite, contract, registry, columns, chances)
    assert "se alejaban 8,0 puntos" in refused(found)


def test_few_answers_are_no_ground_for_an_estimate(
    lite: Settings, contract: Contract, said: dict[str, Any]
) -> None:
    registry = registered(lite, contract, said)
    columns, chances, _ = month(contract, 300, 38)
    found = examined(lite, contract, registry, columns, chances)
    assert "hay 300 respuestas" in refused(found)
    assert the(found, "drift", "score").value is not None


def test_without_a_reference_the_first_answers_become_it(
    lite: Settings, contract: Contract
) -> None:
    registry = registered(lite, contract, {})
    columns, chances, _ = month(contract, 6_000, 39)
    found = examined(lite, contract, registry, columns, chances)
    score = the(found, "drift", "score")
    assert score.detail["reference"] == "primeras respuestas"
    assert score.detail["reference_rows"] == 5_000
    assert "no se sabe con qué datos" in refused(found)
    again = examined(lite, contract, registry)
    assert the(again, "drift", "score") == score


def test_a_debtor_counts_once_with_the_last_score(
    lite: Settings, contract: Contract, said: dict[str, Any]
) -> None:
    registry = registered(lite, contract, said)
    columns, chances, _ = month(contract, 2_000, 40)
    references = [hashlib.md5(b"%d" % (place % 1_200)).hexdigest() for place in range(2_000)]
    opened = database.open_store(lite)
    watched.answer(opened, contract, columns, chances, SINCE, NOW, references=references)
    found = monitoring.examine(opened, lite, contract, registry, NOW)
    opened.dispose()
    promised = the(found, "estimated", "payments")
    assert promised.detail["rows"] == 1_200
    assert promised.value == pytest.approx(chances[800:].sum())


def matured(
    engine: Engine, contract: Contract, rows: int, told_at: int, *, wrong: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Answers of March 2026 of whose payments all is known; ``wrong``: it went otherwise."""
    columns, chances, paid = month(contract, rows, 43)
    if wrong:
        moved = np.clip(chances + 0.2 - 0.5 * chances, 0, 1)
        paid = (np.random.default_rng(6).random(rows) < moved).astype(np.int64)
    since, until = ms(2026, 3, 1), ms(2026, 4, 1)
    ids = watched.answer(engine, contract, columns, chances, since, until)
    days = np.arange(rows) % 88
    watched.pay(engine, ids, paid, told_at, after_days=days, euros=25.0)
    return chances, paid


def test_a_month_is_judged_when_its_time_to_pay_is_over(
    engine: Engine, store_settings: Settings, contract: Contract, admitted: Registry
) -> None:
    chances, paid = matured(engine, contract, 2_000, NOW - DAY_MS)
    found = monitoring.examine(engine, store_settings, contract, admitted, NOW)
    auc = the(found, "realised", "auc")
    assert auc.at == ms(2026, 4, 1) and auc.detail["cohort"] == "2026-03"
    assert auc.value == pytest.approx(stats.auc(paid, chances))
    assert the(found, "realised", "brier").value == pytest.approx(stats.brier(paid, chances))
    assert the(found, "realised", "payments").value == paid.sum()
    # Payments came on days 0 to 87 after the answer.
    days = np.arange(2_000) % 88
    for horizon in (30, 60, 90):
        curve = the(found, "maturity", str(horizon))
        assert curve.value == pytest.approx(np.mean(paid & (days <= horizon)))
        assert curve.detail["euros"] == 25 * int((paid & (days <= horizon)).sum())
    lift = [the(found, "lift", str(place)) for place in range(1, 11)]
    assert sum(one.detail["euros"] for one in lift) == pytest.approx(25.0 * paid.sum(), abs=0.1)
    assert lift[0].value is not None and lift[0].value > 1.5
    assert lift[-1].detail["captured"] == 1.0
    best = np.argsort(-chances, kind="stable")[:200]
    assert lift[0].value == pytest.approx(paid[best].mean() / paid.mean(), rel=0.01)
    deciles = [the(found, "calibration", str(place)) for place in range(1, 11)]
    assert [one.value for one in deciles] == pytest.approx(
        stats.calibration_table(paid, chances).rate.tolist()[::-1]
    )
    # One printout, one direction: the first tenth is the best, in both.
    assert deciles[0].detail["chance"] > deciles[-1].detail["chance"]


def test_silence_is_no_no_before_outcomes_were_told_for_all_of_the_time(
    lite: Settings, contract: Contract
) -> None:
    """All March answers are 90 days old, but nobody told of payments since June."""
    registry = registered(lite, contract, {})
    opened = database.open_store(lite)
    matured(opened, contract, 1_000, ms(2026, 6, 5))
    found = monitoring.examine(opened, lite, contract, registry, NOW)
    opened.dispose()
    assert of(found, "realised") == []
    assert {m.subject for m in of(found, "maturity")} == {"30", "60"}


def test_a_payment_after_its_time_is_a_no(lite: Settings, contract: Contract) -> None:
    registry = registered(lite, contract, {})
    opened = database.open_store(lite)
    columns, chances, paid = month(contract, 1_000, 44)
    ids = watched.answer(opened, contract, columns, chances, ms(2026, 3, 1), ms(2026, 4, 1))
    late = np.where(np.arange(1_000) < 500, 91, 90)
    watched.pay(opened, ids, paid, NOW - DAY_MS, after_days=late)
    found = monitoring.examine(opened, lite, contract, registry, NOW)
    opened.dispose()
    assert the(found, "realised", "payments").value == paid[500:].sum()


def test_a_concept_that_moved_where_training_was_shows_when_outcomes_are_known(
    lite: Settings, contract: Contract, said: dict[str, Any]
) -> None:
    """No estimate can see it before; afterwards none is given."""
    registry = registered(lite, contract, said)
    opened = database.open_store(lite)
    matured(opened, contract, 4_000, NOW - DAY_MS, wrong=True)
    columns, chances, _ = month(contract, 2_000, 45)
    watched.answer(opened, contract, columns, chances, SINCE, NOW)
    found = monitoring.examine(opened, lite, contract, registry, NOW)
    opened.dispose()
    assert "en 2026-03 las probabilidades se alejaron" in refused(found)


def test_hindsight_holds_an_estimate_against_what_came(
    engine: Engine, store_settings: Settings, contract: Contract, admitted: Registry
) -> None:
    then = ms(2026, 4, 1)
    columns, chances, paid = month(contract, 1_500, 46)
    made = replace(store_settings, monitor_days=31)
    ids = watched.answer(engine, contract, columns, chances, ms(2026, 3, 1), then)
    early = monitoring.run(engine, made, contract, admitted, then)
    watched.pay(engine, ids, paid, NOW - DAY_MS)
    recent = {name: column[:300] for name, column in columns.items()}
    watched.answer(engine, contract, recent, chances[:300], SINCE, NOW)
    found = monitoring.run(engine, made, contract, admitted, NOW)
    held = the(found, "hindsight", "auc")
    estimate = the(early, "estimated", "auc")
    assert estimate.value is not None
    assert held.at == then
    assert held.value == pytest.approx(estimate.value - stats.auc(paid, chances))
    assert held.detail["within"] is True


def test_callers_are_told_by_what_they_make_us_assume_or_refuse(
    engine: Engine, store_settings: Settings, contract: Contract, admitted: Registry
) -> None:
    hour = NOW - 5 * records.HOUR_MS
    common = {"hour": hour, "caller": "crm"}
    with engine.begin() as connection:
        connection.execute(
            insert(schema.windows).values(
                **common, version=VERSION, count=200, positive=20, noted=50
            )
        )
        connection.execute(
            insert(schema.quality).values(
                **common,
                kind="note",
                parameter="ed",
                code="valor_supuesto",
                count=50,
                first=hour + 1,
                last=hour + 9,
            )
        )
        ids = [f"{hour:011x}-{place}" for place in range(3)]
        sums.count_refusals(
            connection,
            [
                {"id": id, "caller": caller, "faults": '[["er", "sin_dato"], ["po", "sin_dato"]]'}
                for id, caller in zip(ids, ("crm", "crm", "erp"), strict=True)
            ],
        )
    found = monitoring.examine(engine, store_settings, contract, admitted, NOW)
    crm, erp = the(found, "caller", "crm"), the(found, "caller", "erp")
    assert crm.value == 0.25 and crm.detail["refused"] == 2
    assert crm.detail["troubles"][0]["first"] == hour + 1
    assert erp.value is None and "se rechazaron" in erp.detail["reason"]


def hashed(debtor: int) -> str:
    return hashlib.md5(b"%d" % debtor).hexdigest()


def paid_by_reference(
    opened: Engine, told: list[tuple[str | None, str | None, date, int | None]]
) -> None:
    """Payments as a program would tell them: id or keyed hash of a reference, day, cents; and one
    of nobody, so that all that is silent until July is a «no»."""
    last = (None, hashed(10**9), date(2026, 7, 19), None)
    lines = [
        checking.record(Outcome(id, ref, True, cents, day), "caja", ref, NOW)
        for id, ref, day, cents in (*told, last)
    ]
    with opened.begin() as connection:
        outcomes.take(connection, [], rows.read(lines).outcomes, 90)


def test_who_is_scored_again_keeps_his_payment_in_every_month(
    engine: Engine, store_settings: Settings, contract: Contract
) -> None:
    """A portfolio that is scored every first of a month, and paid up to 90 days later."""
    registry = registered(store_settings, contract, {})
    count = 600
    columns, chances, paid = month(contract, count, 49)
    references = [hashed(place) for place in range(count)]
    for first in (3, 4, 5, 6):
        day = ms(2026, first, 1)
        watched.answer(
            engine, contract, columns, chances, day, day + 3_600_000, references=references
        )
    days = np.random.default_rng(3).integers(0, 91, count)
    payers = np.flatnonzero(paid)
    paid_by_reference(
        engine,
        [(None, references[i], date(2026, 3, 1) + timedelta(int(days[i])), 2_500) for i in payers],
    )
    found = monitoring.examine(engine, store_settings, contract, registry, NOW)
    for horizon in (30, 60, 90):
        (curve,) = [
            m for m in of(found, "maturity", str(horizon)) if m.detail["cohort"] == "2026-03"
        ]
        assert curve.value == pytest.approx(np.sum(days[payers] <= horizon) / count)
        assert curve.detail["euros"] == 25 * np.sum(days[payers] <= horizon)
    april = [m for m in of(found, "maturity", "60") if m.detail["cohort"] == "2026-04"]
    assert april[0].value == pytest.approx(np.sum(days[payers] >= 31) / count)
    payments = [m for m in of(found, "realised", "payments") if m.detail["cohort"] == "2026-03"]
    assert payments[0].value == paid.sum()


def test_days_count_to_the_first_payment_and_euros_are_those_told_last(
    lite: Settings, contract: Contract
) -> None:
    """Fifty pay 10 euros on day 10 and have paid 30 in all on day 75; of half of them it is told
    by the id of an answer, and one of these is scored twice."""
    registry = registered(lite, contract, {})
    opened = database.open_store(lite)
    columns, chances, _ = month(contract, 300, 50)
    day = ms(2026, 3, 1)
    references = [hashed(place) if place >= 25 else None for place in range(300)]
    ids = watched.answer(
        opened, contract, columns, chances, day, day + 3_600_000, references=references
    )
    again = {name: column[25:26] for name, column in columns.items()}
    watched.answer(
        opened,
        contract,
        again,
        chances[25:26],
        day + DAY_MS,
        day + DAY_MS + 1,
        references=references[25:26],
    )
    told = [
        (ids[i] if i < 25 else None, references[i], date(2026, 3, 1) + timedelta(after), cents)
        for i in range(50)
        for after, cents in ((10, 1_000), (75, 3_000))
    ]
    paid_by_reference(opened, told)
    found = monitoring.examine(opened, lite, contract, registry, NOW)
    opened.dispose()
    curves = [the(found, "maturity", str(days)) for days in (30, 60, 90)]
    assert [round(curve.value * 300) for curve in curves if curve.value is not None] == [50] * 3
    assert [curve.detail["euros"] for curve in curves] == [500, 500, 1_500]


def test_a_payment_too_late_for_the_id_it_is_told_of_is_that_of_a_later_answer(
    lite: Settings, contract: Contract
) -> None:
    registry = registered(lite, contract, {})
    opened = database.open_store(lite)
    columns, chances, _ = month(contract, 300, 51)
    references = [hashed(place) for place in range(300)]
    february, march = (
        watched.answer(opened, contract, columns, chances, day, day + 999, references=references)
        for day in (ms(2026, 2, 1), ms(2026, 3, 1))
    )
    assert march > february
    paid_by_reference(opened, [(id, None, date(2026, 5, 20), None) for id in february[:30]])
    found = monitoring.examine(opened, lite, contract, registry, NOW)
    opened.dispose()
    curves = {m.detail["cohort"]: m.value for m in of(found, "maturity", "90")}
    assert curves == {"2026-02": 0, "2026-03": pytest.approx(0.1)}


def test_an_estimate_is_held_against_the_answers_it_was_of(
    lite: Settings, contract: Contract, said: dict[str, Any]
) -> None:
    """The inputs of the first half were gone when it was made, and the version was replaced."""
    registry = registered(lite, contract, said)
    opened = database.open_store(lite)
    then = ms(2026, 3, 31)
    columns, chances, paid = month(contract, 4_000, 52)
    ids = watched.answer(opened, contract, columns, chances, ms(2026, 3, 1), then)
    with opened.begin() as connection:
        connection.execute(delete(schema.inputs).where(schema.inputs.c.id < ids[2_000]))
    early = monitoring.run(opened, lite, contract, registry, then)
    watched.pay(opened, ids, paid, NOW - DAY_MS)
    found = monitoring.examine(opened, lite, contract, registry, NOW)
    opened.dispose()
    assert of(found, "drift") == []
    held = the(found, "hindsight", "payments")
    assert held.detail["estimated"] == pytest.approx(chances[2_000:].sum())
    assert held.detail["realised"] == pytest.approx(paid[2_000:].sum())
    assert the(early, "estimated", "payments").detail["since"] == int(ids[2_000][:11], 16)


def test_the_first_answers_are_the_same_whatever_window_is_looked_at(
    lite: Settings, contract: Contract
) -> None:
    registry = registered(lite, contract, {})
    opened = database.open_store(lite)
    columns, chances, _ = month(contract, 6_000, 53)
    columns["ed"] = ["40"] * 4_000 + ["NaN"] * 2_000
    watched.answer(opened, contract, columns, chances, SINCE, NOW - 5 * DAY_MS)
    other, more, _ = month(contract, 5_500, 54, drift=1.0)
    watched.answer(opened, contract, other, more, NOW - 4 * DAY_MS, NOW)
    short = monitoring.examine(opened, lite, contract, registry, NOW, days=3)
    assert not (lite.state / "monitoring").exists()
    monitoring.run(opened, lite, contract, registry, NOW)
    again = monitoring.examine(opened, lite, contract, registry, NOW, days=3)
    opened.dispose()
    assert of(short, "drift") == of(again, "drift")
    assert the(again, "missing", "ed").detail["before"] == 0.2  # 1,000 of the first 5,000
    (kept,) = (lite.state / "monitoring").iterdir()
    assert json.loads(kept.read_text("utf-8"))["supuestos"]["ed"] == 0.2


def test_what_is_found_no_more_is_gone_when_it_is_measured_again(engine: Engine) -> None:
    def one(kind: str, subject: str, at: int = 5) -> Measurement:
        return Measurement(at, VERSION, kind, subject, 0.5)

    first = [
        one("realised", "auc"),
        one("lift", "1"),
        one("hindsight", "auc"),
        one("lift", "1", 4),
    ]
    with engine.begin() as connection:
        measurements.write(connection, [*first, one("estimated", "auc")])
        measurements.write(connection, [one("realised", "auc")])
        left = connection.execute(
            select(schema.measurements.c.kind, schema.measurements.c.at)
        ).all()
    assert sorted(map(tuple, left)) == [
        ("estimated", 5), ("hindsight", 5), ("lift", 4), ("realised", 5),
    ]  # fmt: skip


def test_answers_that_go_before_a_month_can_be_judged_are_told(
    lite: Settings, contract: Contract
) -> None:
    short = replace(lite, keep_answers_days=100)
    registry = registered(lite, contract, {})
    columns, chances, _ = month(contract, 300, 55)
    found = examined(short, contract, registry, columns, chances)
    auc = the(found, "realised", "auc")
    assert auc.value is None and auc.detail["code"] == "kept_too_short"
    assert "100 días (keep_answers_days) y hacen falta 121" in auc.detail["reason"]
    assert of(examined(lite, contract, registry), "realised") == []


def test_callers_whose_long_names_begin_alike_are_two(
    engine: Engine, store_settings: Settings, contract: Contract, admitted: Registry
) -> None:
    names = ["x" * 70 + end for end in "ab"]
    hour = NOW - 5 * records.HOUR_MS
    common = {"version": VERSION, "count": 20, "positive": 2, "noted": 5}
    trouble = {"kind": "note", "parameter": "ed", "code": "valor_supuesto", "count": 5}
    early = NOW - 100 * DAY_MS + DAY_MS // 2  # the same day wherever the machine stands
    with engine.begin() as connection:
        connection.execute(
            insert(schema.windows), [common | {"hour": hour, "caller": name} for name in names]
        )
        connection.execute(
            insert(schema.quality),
            [
                trouble | {"hour": at, "caller": names[0], "first": at + 7, "last": at + 9}
                for at in (early, hour)
            ],
        )
    found = monitoring.run(engine, store_settings, contract, admitted, NOW)
    subjects = {m.subject: m for m in of(found, "caller")}
    assert len(subjects) == 2 and {len(subject) for subject in subjects} == {64}
    # Since when: the first of all, though only the last 30 days are counted.
    (worst,) = [m.detail["troubles"][0] for m in subjects.values() if m.detail["troubles"]]
    assert (worst["count"], worst["first"], worst["last"]) == (5, early + 7, hour + 9)
    (told,) = [m for m in subjects.values() if m.detail["troubles"]]
    assert "desde el 11/04/2026" in verdicts.sentence(told, store_settings)


def command(made: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "propensia", "monitor", *arguments],
        env=os.environ | settings.as_environment(made),
        cwd=made.state,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_the_command_says_what_is_wrong_and_ends_with_one(
    lite: Settings, contract: Contract, said: dict[str, Any]
) -> None:
    registered(lite, contract, said)
    opened = database.open_store(lite)
    assert command(lite).returncode == 0
    columns, chances, _ = month(contract, 3_000, 47)
    columns["ec"] = ["B"] * 3_000
    now = clock()
    watched.answer(opened, contract, columns, chances, now - 5 * DAY_MS, now)
    opened.dispose()
    done = command(lite)
    assert done.returncode == 1, done.stderr
    assert "MAL, ha cambiado mucho: «A»" in done.stdout
    assert "Acierto que se espera" in done.stdout
    told = json.loads(command(lite, "--format", "json", "--days", "7").stdout)
    wrong = {(m["clase"], m["tema"]) for m in told["medidas"] if m["mal"]}
    assert ("drift", "ec") in wrong
    assert command(lite, "--version", "ffff").returncode == 1


def test_where_nothing_could_be_judged_nothing_is_said_to_be_well(
    lite: Settings, contract: Contract
) -> None:
    registered(lite, contract, {})
    opened = database.open_store(lite)
    columns, chances, _ = month(contract, 300, 48)
    now = clock()
    watched.answer(opened, contract, columns, chances, now - 5 * DAY_MS, now)
    opened.dispose()
    done = command(lite)
    assert done.returncode == 0, done.stderr
    assert "Nada está mal" not in done.stdout
    assert "No se ha podido juzgar: la deriva, el acierto que se espera" in done.stdout
    assert "(faltan 6 cifras" in done.stdout
    told = json.loads(command(lite, "--format", "json").stdout)
    assert told.keys() == {"momento", "medidas"}
    (drift,) = [m for m in told["medidas"] if m["clase"] == "drift"]
    assert drift["valor"] is None
    assert drift["detalle"]["codigo"] == "few_first_answers"
    assert "faltan 4700 de 5000" in drift["detalle"]["motivo"]
    assert "4700 of 5000 are missing" in drift["detalle"]["motivo_en"]


def clock() -> int:
    """The time of this machine: the command reads its clock."""
    return time.time_ns() // 1_000_000
