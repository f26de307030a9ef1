"""The snapshot of the panel says what is in the store, and no more than fits."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import panel_samples as samples
import pytest
import tiny_models
import watched
from sqlalchemy import Engine, event, text

from propensia import monitoring, paneling, snapshot, stats, synthetic
from propensia.audit import Audit
from propensia.contract import Contract
from propensia.registry import Registry
from propensia.settings import Settings
from propensia.store import measurements
from propensia.store.measurements import Measurement

NOW = 1_780_000_123_456
HOUR_MS, DAY_MS = samples.HOUR_MS, samples.DAY_MS


@pytest.fixture
def held(store_settings: Settings) -> Registry:
    """The registry of the installation of that store."""
    made = Registry(store_settings.state)
    made.prepare()
    return made


def published(registry: Registry, contract: Contract, **manifest: Any) -> str:
    version = tiny_models.add(registry, contract, tiny_models.constant(0.5), **manifest)
    registry.publish(version, cause="prueba", who="ana")
    return version


def filled(engine: Engine, contract: Contract, version: str) -> None:
    with engine.begin() as connection:
        samples.traffic(connection, version, NOW)
        samples.troubles(connection, NOW, contract.parameters[0].name)
        samples.findings(connection, version, NOW, contract)
        samples.alert(connection, version, NOW)


def rows(engine: Engine, statement: str) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(text(statement)))


def test_nothing_but_zeros_of_an_empty_store(
    engine: Engine, store_settings: Settings, contract: Contract, held: Registry
) -> None:
    made = paneling.build(engine, store_settings, contract, held, NOW)
    assert made["modelo"] is None and made["resultados"] is False
    assert sum(row[1] for row in made["horas"]) == sum(row[1] for row in made["dias"]) == 0
    assert len(made["horas"]) == 48 and len(made["dias"]) == 30
    assert sum(made["puntuaciones"]["cuentas"]) == 0
    for name in ("vigilancia", "evolucion", "llamadores", "alertas", "sucesos"):
        assert made[name] == []


def test_the_hours_days_and_scores_are_those_of_the_rows(
    engine: Engine, store_settings: Settings, contract: Contract, held: Registry
) -> None:
    version = published(held, contract, told=samples.training())
    filled(engine, contract, version)
    made = paneling.build(engine, store_settings, contract, held, NOW)

    hours: Counter[int] = Counter()
    days: Counter[str] = Counter()
    positive: Counter[int] = Counter()
    for hour, count, yes in rows(engine, "SELECT hour, count, positive FROM windows"):
        hours[hour] += count
        positive[hour] += yes
        days[datetime.fromtimestamp(hour / 1000).date().isoformat()] += count
    last = NOW - NOW % HOUR_MS
    wanted = [last - back * HOUR_MS for back in range(47, -1, -1)]
    assert made["horas"] == [[hour, hours[hour], positive[hour]] for hour in wanted]
    today = datetime.fromtimestamp(NOW / 1000).date()
    dates = [(today - timedelta(days=back)).isoformat() for back in range(29, -1, -1)]
    assert [row[:2] for row in made["dias"]] == [[day, days[day]] for day in dates]

    since = NOW - 30 * DAY_MS
    bins = rows(engine, f"SELECT bin, count FROM score_windows WHERE hour >= {since}")
    counts = [sum(count for place, count in bins if place == wanted) for wanted in range(20)]
    assert made["puntuaciones"]["cuentas"] == counts
    told = samples.training()["referencia"]["puntuacion"]["histograma"]
    assert made["puntuaciones"]["entrenamiento"] == told


def test_who_sends_the_worst_data_comes_first_with_what_is_wrong_with_it(
    engine: Engine, store_settings: Settings, contract: Contract, held: Registry
) -> None:
    version = published(held, contract)
    filled(engine, contract, version)
    made = paneling.build(engine, store_settings, contract, held, NOW)["llamadores"]
    assert [one["llamador"] for one in made] == ["recobros", "crm <b>", "portal"]
    since = NOW - 7 * DAY_MS
    ((count, noted),) = rows(
        engine,
        "SELECT SUM(count), SUM(noted) FROM windows "
        f"WHERE caller = 'recobros' AND hour >= {since}",
    )
    assert (made[0]["respuestas"], made[0]["supuestas"]) == (count, noted)
    assert [one["rechazadas"] for one in made] == [35, 0, 0], "requests, not their faults"
    told = [(one["clase"], one["codigo"], one["veces"]) for one in made[0]["problemas"]]
    assert told == [
        ("supuesto", "valor_supuesto", 812),
        ("aviso", "texto_normalizado", 90),
        ("rechazado", "parametro_ausente", 31),
    ], "what was refused is not pushed out by what was noted more often"
    assert made[0]["problemas"][0]["desde"] == NOW - NOW % HOUR_MS + 1000


def wrong(caller: str, kind: str, code: str, count: int, hour: int) -> dict[str, Any]:
    row = {"caller": caller, "kind": kind, "parameter": "er", "code": code, "count": count}
    return row | {"hour": hour, "first": hour + 1, "last": hour + 2}


def test_no_caller_hides_what_another_was_refused(
    engine: Engine, store_settings: Settings, contract: Contract, held: Registry
) -> None:
    """Hundreds of notes, of others and of the caller itself, are more frequent."""
    hour = NOW - NOW % HOUR_MS
    told = [wrong(f"c{n % 30:02}", "note", f"n{n}", 5_000, hour) for n in range(900)]
    told += [wrong("crm", "note", f"n{n}", 100, hour) for n in range(5)]
    told += [wrong("crm", "fault", "a", 20, hour), wrong("crm", "fault", "b", 11, hour)]
    told += [wrong("crm", "refusal", "", 31, hour)]
    with engine.begin() as connection:
        samples.insert(connection, samples.schema.quality, told)
    first, *_ = paneling.build(engine, store_settings, contract, held, NOW)["llamadores"]
    assert (first["llamador"], first["rechazadas"]) == ("crm", 31)
    assert [one["codigo"] for one in first["problemas"]] == ["n0", "n1", "a"]


def test_since_when_something_is_wrong_may_be_long_ago(
    engine: Engine, store_settings: Settings, contract: Contract, held: Registry
) -> None:
    hour = NOW - NOW % HOUR_MS
    old, other = hour - 90 * DAY_MS, hour - 200 * DAY_MS
    told = [wrong("crm", "note", "valor_supuesto", 3, at) for at in (hour, old)]
    told += [wrong("crm", "note", "otro", 3, other), wrong("crm", "refusal", "", 1, hour)]
    with engine.begin() as connection:
        samples.insert(connection, samples.schema.quality, told)
    made = paneling.build(engine, store_settings, contract, held, NOW)["llamadores"]
    ((one,),) = (row["problemas"] for row in made)
    assert (one["veces"], one["desde"], one["hasta"]) == (3, old + 1, hour + 2)


def test_of_each_kind_the_last_findings_are_shown_and_their_course(
    engine: Engine, store_settings: Settings, contract: Contract, held: Registry
) -> None:
    version = published(held, contract)
    filled(engine, contract, version)
    made = paneling.build(engine, store_settings, contract, held, NOW)
    now = {(one["clase"], one["tema"]): one for one in made["vigilancia"]}
    assert len(now) == len(made["vigilancia"])
    assert now["drift", "score"]["valor"] == 0.41
    assert now["estimated", "payments"]["valor"] is None
    assert now["estimated", "payments"]["detalle"]["reason"] == samples.REASON
    assert now["realised", "auc"]["momento"] == NOW - 14 * 7 * DAY_MS
    category = next(p for p in contract.parameters if p.is_category)
    names = now["new_category", category.name]["detalle"]["values"]
    assert names == [category.values[1], category.values[0]], "the most frequent first"
    estimated = [one for one in made["evolucion"] if one["clase"] == "estimated"]
    assert sum(one["tema"] == "auc" for one in estimated) == 17
    times = [one["momento"] for one in estimated]
    assert times == sorted(times)
    paid = [one for one in made["evolucion"] if one["clase"] == "maturity"]
    assert {one["tema"] for one in paid} == {"30", "60", "90"}
    assert [one["texto"]["es"][:14] for one in made["alertas"]] == ["La puntuación "]


def test_the_findings_of_another_version_are_not_those_of_now(
    engine: Engine, store_settings: Settings, contract: Contract, held: Registry
) -> None:
    version = published(held, contract)
    with engine.begin() as connection:
        samples.findings(connection, "otra", NOW, contract)
    made = paneling.build(engine, store_settings, contract, held, NOW)
    assert version != "otra"
    kinds = {one["clase"] for one in made["vigilancia"]}
    assert kinds == {"realised", "calibration", "lift"}, "of a month, of whatever version"


def measured(version: str, at: int, kind: str, value: float | None, **detail: Any) -> Measurement:
    return Measurement(at, version, kind, "auc", value, detail=detail)


def test_what_is_over_is_not_told_beside_what_was_found_last(
    engine: Engine, store_settings: Settings, contract: Contract, held: Registry
) -> None:
    """A new category of last week that nobody sends any more is none."""
    version = published(held, contract)
    found = [measured(version, NOW - DAY_MS, kind, 0.1) for kind in ("drift", "new_category")]
    found += [measured(version, NOW, kind, 0.2) for kind in ("drift", "estimated")]
    with engine.begin() as connection:
        measurements.write(connection, found)
    made = paneling.build(engine, store_settings, contract, held, NOW)["vigilancia"]
    assert [(one["clase"], one["valor"]) for one in made] == [("drift", 0.2), ("estimated", 0.2)]


def test_what_came_of_a_month_is_told_of_the_version_that_answered_most_in_it(
    engine: Engine, store_settings: Settings, contract: Contract, held: Registry
) -> None:
    published(held, contract)
    july, august = NOW - 90 * DAY_MS, NOW - 60 * DAY_MS
    found = [
        measured("prueba", july, "realised", 0.5, rows=300, cohort="2026-01"),
        measured("mayoria", july, "realised", 0.7, rows=900, cohort="2026-01"),
        measured("mayoria", july - 30 * DAY_MS, "realised", 0.8, rows=5_000),
        measured("mayoria", july, "lift", 2.0, rows=90),
        measured("prueba", july, "lift", 1.0, rows=30),
        measured("escasa", august, "realised", None, rows=12, reason="son pocos"),
        measured("antigua", july - DAY_MS, "hindsight", 0.01),
        measured("mayoria", july, "hindsight", 0.02),
    ]
    with engine.begin() as connection:
        measurements.write(connection, found)
    made = paneling.build(engine, store_settings, contract, held, NOW)["vigilancia"]
    told = [(one["version"], one["clase"], one["valor"]) for one in made]
    assert told == [
        ("escasa", "realised", None),
        ("mayoria", "lift", 2.0),
        ("mayoria", "realised", 0.7),
        ("mayoria", "hindsight", 0.02),
    ]


def test_of_a_model_that_was_replaced_since_all_that_came_is_told(
    engine: Engine, store_settings: Settings, contract: Contract, held: Registry
) -> None:
    """As with a new model each month: the one that answers now never matures."""
    table = synthetic.generate(1_200, 3)
    columns, chances = watched.texts(contract, table), synthetic.chances(table.columns)
    paid = np.random.default_rng(3).random(1_200) < chances
    march = (watched.ms(2026, 3, 1), watched.ms(2026, 4, 1))
    now = watched.NOW
    ids = watched.answer(engine, contract, columns, chances, *march, version="marzo")
    watched.pay(engine, ids, paid.astype(int), now - DAY_MS)
    version = published(held, contract)
    recent = (now - 20 * DAY_MS, now)
    watched.answer(engine, contract, columns, chances, *recent, version=version)
    monitoring.run(engine, store_settings, contract, held, now)
    made = paneling.build(engine, store_settings, contract, held, now)
    of = {(one["clase"], one["tema"]): one for one in made["vigilancia"]}
    auc = of["realised", "auc"]
    assert auc["valor"] == pytest.approx(stats.auc(paid.astype(int), chances))
    assert (auc["version"], auc["detalle"]["cohort"]) == ("marzo", "2026-03")
    assert {kind for kind, _ in of} >= {"realised", "calibration", "lift", "drift", "estimated"}
    assert of["drift", "score"]["version"] == version
    assert {one["clase"] for one in made["evolucion"]} == {"estimated", "realised", "maturity"}


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone of this system cannot be set")
def test_no_day_is_lost_where_one_has_less_than_24_hours(
    engine: Engine,
    store_settings: Settings,
    contract: Contract,
    held: Registry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half an hour after midnight, a day after the clocks of Madrid went forward."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Europe/Madrid")
        time.tzset()
        now = int(datetime(2026, 3, 30, 0, 30).timestamp() * 1000)
        days = paneling.build(engine, store_settings, contract, held, now)["dias"]
    time.tzset()
    assert len(days) == 30
    assert [day for day, *_ in days[-3:]] == ["2026-03-28", "2026-03-29", "2026-03-30"]


def test_a_model_answers_since_the_first_release_of_its_row(
    engine: Engine, store_settings: Settings, contract: Contract, held: Registry
) -> None:
    first = published(held, contract, told=samples.training())
    other = tiny_models.add(held, contract, tiny_models.constant(0.2))
    held.publish(other, cause="prueba", who="ana")
    since = held.publish(first, cause="vuelta", who="ana")
    held.publish(first, cause="umbral", who="ana", threshold=0.37)
    model = paneling.build(engine, store_settings, contract, held, NOW)["modelo"]
    assert model["desde"] == datetime.fromisoformat(since.at).timestamp() * 1000
    assert (model["version"], model["publicacion"], model["umbral"]) == (first, 4, 0.37)
    assert model["hecho"] == datetime.fromisoformat("2026-01-01T08:00:00+00:00").timestamp() * 1e3


def test_the_last_events_come_without_their_reasons_and_facts(
    engine: Engine, store_settings: Settings, contract: Contract, held: Registry
) -> None:
    audit = Audit(store_settings.state)
    for number in range(20):
        audit.record("erased", who="ana", why="lo pidió Juan", count=number)
    audit.record("backup", who="eva", why="secreto-1", file="secreto-2")
    made = paneling.build(engine, store_settings, contract, held, NOW)["sucesos"]
    assert len(made) == 12
    assert (made[0]["suceso"], made[0]["quien"]) == ("backup", "eva")
    assert abs(made[0]["momento"] - time.time() * 1000) < 60_000
    assert "secreto" not in json.dumps(made) and "Juan" not in json.dumps(made)


def test_outcomes_that_are_loaded_all_day_push_no_publication_out(
    engine: Engine, store_settings: Settings, contract: Contract, held: Registry
) -> None:
    audit = Audit(store_settings.state)
    for number in range(6):
        audit.record("published", who=f"ana {number}", why="x", version="0123456789ab")
    for _ in range(30):
        audit.record("outcomes.loaded", who="caja", why="x", count=1)
    for _ in range(20):
        audit.record("keys.created", who="eva", why="x")
    made = paneling.build(engine, store_settings, contract, held, NOW)["sucesos"]
    counted = Counter(one["suceso"] for one in made)
    assert counted == {"published": 4, "keys.created": 8}
    assert [one["quien"] for one in made[-4:]] == ["ana 5", "ana 4", "ana 3", "ana 2"]
    audit.record("outcomes.loaded", who="caja", why="x", count=1)
    newest = paneling.build(engine, store_settings, contract, held, NOW)["sucesos"][0]
    assert (newest["suceso"], newest["veces"]) == ("outcomes.loaded", 31)


def test_the_snapshot_never_grows_beyond_a_bound(
    engine: Engine, store_settings: Settings, contract: Contract, held: Registry
) -> None:
    """Thousands of callers, codes and measurements, with details as long as a table takes."""
    version = published(held, contract)
    at = {"hour": NOW - NOW % HOUR_MS}
    with engine.begin() as connection:
        windows = [
            at
            | {"version": version, "caller": f"c{n:04}" + "x" * 200, "count": 9}
            | {"positive": 1, "noted": n % 9}
            for n in range(2_000)
        ]
        samples.insert(connection, samples.schema.windows, windows)
        wrong = [
            at
            | {"caller": f"c{n % 100:04}" + "x" * 200, "kind": "fault", "parameter": f"p{n}"}
            | {"code": "valor", "count": n + 1, "first": 1, "last": 2}
            for n in range(2_000)
        ]
        samples.insert(connection, samples.schema.quality, wrong)
        detail = json.dumps({"reason": "y" * 1_000, "values": ["z" * 90] * 20, "t": {"a": 1}})
        course = [
            {"at": NOW - n * HOUR_MS, "version": version, "kind": "estimated", "subject": subject}
            | {"value": 0.7, "low": 0.6, "high": 0.8, "detail": detail}
            for n in range(1_000)
            for subject in ("auc", "brier")
        ]
        samples.insert(connection, samples.schema.measurements, course)
    paneling.write(engine, store_settings, contract, held)
    path = store_settings.state / snapshot.FILE
    assert path.stat().st_size < 4 << 20
    made = paneling.build(engine, store_settings, contract, held, NOW)
    auc = [one["momento"] for one in made["evolucion"] if one["tema"] == "auc"]
    assert auc == [NOW - n * HOUR_MS for n in range(399, -1, -1)]


def test_no_answer_is_read_for_it(
    engine: Engine, store_settings: Settings, contract: Contract, held: Registry
) -> None:
    """What the panel costs must not grow with the answers that are stored."""
    version = published(held, contract)
    filled(engine, contract, version)
    told: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: told.append(args[2].lower()))
    paneling.build(engine, store_settings, contract, held, NOW)
    read = {name for statement in told for name in _tables(statement)}
    assert "windows" in read
    assert not read & {"answers", "inputs", "outcome_events", "refusals"}
    assert [one for one in told if "from outcomes" in one and "limit" not in one] == []


def _tables(statement: str) -> list[str]:
    words = statement.replace(",", " ").split()
    return [words[i + 1] for i, word in enumerate(words[:-1]) if word in ("from", "join")]


def test_what_was_left_is_read_without_a_database_and_nothing_else_is(tmp_path: Path) -> None:
    assert snapshot.read(tmp_path) is None
    snapshot.leave(tmp_path, {"momento": NOW})
    assert snapshot.read(tmp_path) == {"momento": NOW, "formato": snapshot.FORMAT}
    if os.name == "posix":  # callers and who did what: not for every account of the machine
        assert (tmp_path / snapshot.FILE).stat().st_mode & 0o777 == 0o600
    for written in (b"", b"[]", b'{"formato":99}', b'{"formato":1'):
        (tmp_path / snapshot.FILE).write_bytes(written)
        assert snapshot.read(tmp_path) is None
