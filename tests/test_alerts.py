"""What somebody is told, and how often: each thing when it begins, not again before the cool-down,
and once when it is over."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from sqlalchemy import Engine, insert, select

from propensia import alerts, files
from propensia.alerts import conditions
from propensia.alerts.conditions import Condition
from propensia.alerts.messages import machine, mail
from propensia.audit import FOLDER, NAME, Audit
from propensia.contract import Contract
from propensia.registry import Registry
from propensia.settings import Settings
from propensia.store import alerts as store
from propensia.store import database, schema
from propensia.store.callers import Traffic
from propensia.store.measurements import Measurement

NOW = 1_790_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR
VERSION = "0123456789ab"


@pytest.fixture
def chosen(store_settings: Settings) -> Settings:
    """Settings with a webhook that no test sends to."""
    return replace(store_settings, alert_webhook="http://127.0.0.1:9/", alert_hours=24.0)


def drift(subject: str = "provincia", value: float = 0.41) -> Condition:
    return Condition("drift", subject, VERSION, value, 0.25, f"Deriva {value}.", f"Drift {value}.")


def messages(engine: Engine) -> list[tuple[str, str]]:
    """State and subject of each message, in the order of time."""
    of = schema.outbox.c
    with engine.connect() as connection:
        rows = connection.execute(select(of.payload).order_by(of.id)).scalars()
        told = [json.loads(row) for row in rows]
    return [(one["estado"], one["sujeto"]) for one in told]


def texts(engine: Engine) -> list[str]:
    of = schema.outbox.c
    with engine.connect() as connection:
        rows = connection.execute(select(of.payload).order_by(of.id)).scalars()
        return [json.loads(row)["texto"] for row in rows]


# How often


def test_what_goes_on_is_told_when_it_begins_and_once_each_cool_down(
    engine: Engine, chosen: Settings
) -> None:
    for minute in range(0, 50 * 60, 30):
        alerts.raise_from(engine, chosen, [drift()], NOW + minute * 60_000)
    assert messages(engine) == [
        ("empieza", "provincia"),
        ("sigue", "provincia"),
        ("sigue", "provincia"),
    ]
    with engine.connect() as connection:
        (held,) = store.going_on(connection)
    assert held.seen == NOW + (50 * 60 - 30) * 60_000
    assert held.told == NOW + 48 * HOUR


def test_what_is_over_is_told_once(engine: Engine, chosen: Settings) -> None:
    alerts.raise_from(engine, chosen, [drift()], NOW)
    for hours in (0.5, 0.9, 1.1, 5, 30, 60):
        alerts.raise_from(engine, chosen, [], NOW + round(hours * HOUR))
    assert messages(engine) == [("empieza", "provincia"), ("termina", "provincia")]
    assert texts(engine)[1] == "Ya no: Deriva 0.41."
    with engine.connect() as connection:
        assert store.going_on(connection) == []
        ended = connection.execute(select(schema.alerts.c.ended)).scalars().all()
    assert ended == [NOW + round(1.1 * HOUR)]


def test_what_comes_and_goes_is_one_alert(engine: Engine, chosen: Settings) -> None:
    for minute in range(0, 12 * 60, 20):
        wrong = [drift()] if minute % 40 == 0 else []
        alerts.raise_from(engine, chosen, wrong, NOW + minute * 60_000)
    assert messages(engine) == [("empieza", "provincia")]


def test_what_comes_back_after_it_was_over_is_told(engine: Engine, chosen: Settings) -> None:
    """Else the last word that anybody heard would be wrong for a day."""
    alerts.raise_from(engine, chosen, [drift()], NOW)
    alerts.raise_from(engine, chosen, [], NOW + 2 * HOUR)
    alerts.raise_from(engine, chosen, [drift()], NOW + 3 * HOUR)
    assert [state for state, _ in messages(engine)] == ["empieza", "termina", "empieza"]


def test_things_that_differ_are_told_apart(engine: Engine, chosen: Settings) -> None:
    other = replace(drift(), version="ba9876543210")
    alerts.raise_from(engine, chosen, [drift(), drift("score"), other], NOW)
    assert sorted(messages(engine)) == [
        ("empieza", "provincia"),
        ("empieza", "provincia"),
        ("empieza", "score"),
    ]


def test_a_cool_down_of_zero_hours_never_repeats(engine: Engine, chosen: Settings) -> None:
    for day in range(5):
        alerts.raise_from(engine, replace(chosen, alert_hours=0.0), [drift()], NOW + day * DAY)
    assert messages(engine) == [("empieza", "provincia")]


def test_a_reminder_says_how_it_is_now(engine: Engine, chosen: Settings) -> None:
    alerts.raise_from(engine, chosen, [drift()], NOW)
    alerts.raise_from(engine, chosen, [drift(value=0.62)], NOW + DAY)
    assert texts(engine) == ["Deriva 0.41.", "Sigue: Deriva 0.62."]


def test_what_cannot_be_looked_at_neither_begins_nor_ends(
    engine: Engine, chosen: Settings
) -> None:
    alerts.raise_from(engine, chosen, [drift()], NOW)
    alerts.raise_from(engine, chosen, [], NOW + 2 * DAY, unknown={"drift"})
    assert messages(engine) == [("empieza", "provincia")]


def test_no_machine_ends_what_another_sees_of_itself(engine: Engine, chosen: Settings) -> None:
    theirs = next(conditions.late_journal("otra", 3600.0))
    alerts.raise_from(engine, chosen, [theirs], NOW)
    alerts.raise_from(engine, chosen, [], NOW + DAY)
    assert messages(engine) == [("empieza", "otra")]


def test_machines_that_look_at_the_same_time_tell_it_once(
    postgresql_url: str, tmp_path: Path
) -> None:
    chosen = Settings(
        state=tmp_path, database_url=postgresql_url, alert_webhook="http://127.0.0.1:9/"
    )
    engine = database.open_store(chosen)
    for moment in (NOW, NOW + DAY):
        barrier = threading.Barrier(4)

        def look(barrier: threading.Barrier = barrier, moment: int = moment) -> None:
            barrier.wait()
            alerts.raise_from(engine, chosen, [drift(), drift("score")], moment)

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(messages(engine)) == [
        ("empieza", "provincia"),
        ("empieza", "score"),
        ("sigue", "provincia"),
        ("sigue", "score"),
    ]
    engine.dispose()


def test_alert_and_messages_are_written_together_or_not_at_all(
    engine: Engine, chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*args: object) -> None:
        raise ArithmeticError

    with monkeypatch.context() as patched:
        patched.setattr(store, "post", breaks)
        with pytest.raises(ArithmeticError):
            alerts.raise_from(engine, chosen, [drift()], NOW)
    with engine.connect() as connection:
        assert store.going_on(connection) == []
    alerts.raise_from(engine, chosen, [drift()], NOW)
    assert messages(engine) == [("empieza", "provincia")]


def test_without_a_channel_it_is_told_in_the_log(
    engine: Engine, store_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        alerts.raise_from(engine, store_settings, [drift()], NOW)
    assert caplog.messages == ["alert, empieza: Drift 0.41."]
    assert messages(engine) == []


def test_a_message_says_it_in_both_languages_and_what_it_is_about(
    engine: Engine, chosen: Settings
) -> None:
    alerts.raise_from(engine, chosen, [drift()], NOW)
    with engine.connect() as connection:
        (payload,) = connection.execute(select(schema.outbox.c.payload)).scalars()
    told = json.loads(payload)
    assert {name: told[name] for name in ("tipo", "sujeto", "version", "valor", "limite")} == {
        "tipo": "drift",
        "sujeto": "provincia",
        "version": VERSION,
        "valor": 0.41,
        "limite": 0.25,
    }
    assert (told["texto"], told["text"]) == ("Deriva 0.41.", "Drift 0.41.")
    assert told["momento"] == "2026-09-21T14:13:20+00:00"
    subject, text = mail(payload)
    assert subject == "[Propensia] Deriva 0.41."
    assert VERSION in text


# What is wrong


def finding(kind: str, subject: str, value: float | None, **detail: Any) -> Measurement:
    return Measurement(NOW, VERSION, kind, subject, value, None, None, detail)


def measured(*found: Measurement) -> list[Condition]:
    return list(conditions.measured(found, Settings(alert_drift=0.25, alert_auc=0.6)))


@pytest.mark.parametrize(
    ("value", "chance", "told"),
    [(0.25, 0.001, True), (0.249, 0.001, False), (0.9, 0.06, False), (None, 0.001, False)],
)
def test_drift_is_told_where_it_is_large_and_no_chance(
    value: float | None, chance: float, told: bool
) -> None:
    found = [finding("drift", "provincia", value, p=chance)]
    assert [one.kind for one in measured(*found)] == ["drift"] * told


def test_the_drift_of_the_scores_has_words_of_its_own() -> None:
    (one,) = measured(finding("drift", "score", 0.5, p=0.0))
    assert one.text == (
        "Las puntuaciones han cambiado desde el entrenamiento: deriva (PSI) 0,50, y se avisa "
        "desde 0,25."
    )
    assert one.english.startswith("The scores have moved")


@pytest.mark.parametrize("kind", ["estimated", "realised"])
def test_an_auc_below_the_setting_is_told(kind: str) -> None:
    assert measured(finding(kind, "auc", 0.6), finding(kind, "brier", 0.1)) == []
    (one,) = measured(finding(kind, "auc", 0.59))
    assert (one.kind, one.subject, one.value, one.limit) == ("quality", kind, 0.59, 0.6)


def test_a_month_that_went_badly_names_it_and_its_version_and_goes_on_with_the_next() -> None:
    """Of a model that is replaced each month: the next bad month is no other thing."""
    july = finding("realised", "auc", 0.55, cohort="2026-07")
    (one,) = measured(july)
    assert one.text == (
        f"El AUC realizado de la versión {VERSION} en julio de 2026 es 0,550, y se avisa por "
        "debajo de 0,600."
    )
    assert one.english.startswith(f"The realised AUC of version {VERSION} in July 2026 is 0.550")
    (august,) = measured(replace(july, version="ba9876543210"))
    assert august.key == one.key


def test_an_estimate_that_is_refused_is_told_but_not_for_want_of_answers() -> None:
    few = finding("estimated", "auc", None, rows=999, reason="hay 999 respuestas")
    assert measured(few) == []
    refused = finding("estimated", "auc", None, rows=5000, reason="el 9 % cae fuera")
    (one,) = measured(refused)
    assert one.kind == "blind"
    assert one.text == "No se puede estimar cómo de bueno es el modelo: el 9 % cae fuera."
    assert measured(finding("realised", "auc", None, rows=5000, reason="pocos")) == []


def test_an_estimate_that_is_refused_is_not_told_every_day(
    engine: Engine, chosen: Settings
) -> None:
    (one,) = measured(finding("estimated", "auc", None, rows=5000, reason="no hay ficha"))
    for day in range(5):
        alerts.raise_from(engine, chosen, [one], NOW + day * DAY)
    assert messages(engine) == [("empieza", "estimated")]


def careless(days: dict[str, Traffic], weeks: dict[str, Traffic]) -> list[str]:
    return [one.subject for one in conditions.careless_callers(days, weeks)]


def test_a_caller_whose_requests_are_suddenly_refused_is_told() -> None:
    before = {"crm": Traffic(9900, 0, 100), "web": Traffic(800, 0, 200)}
    assert careless({"crm": Traffic(900, 0, 100)}, before) == ["crm"]
    assert careless({"web": Traffic(800, 0, 200)}, before) == [], "as ever"
    assert careless({"crm": Traffic(985, 0, 15)}, before) == [], "too few"
    assert careless({"crm": Traffic(970, 0, 30)}, before) == [], "3 % is little"
    assert careless({"nuevo": Traffic(0, 0, 20)}, before) == ["nuevo"]
    assert careless({"nuevo": Traffic(20, 20)}, before) == [], "all were answered"
    assert careless({}, before) == []


@pytest.mark.parametrize(("days", "told"), [(44.9, False), (45.0, True), (400.0, True)])
def test_a_model_that_is_old_is_told(days: float, told: bool) -> None:
    chosen = Settings(alert_model_days=45)
    found = list(conditions.old_model(VERSION, "cobros", days * 86_400, chosen))
    assert len(found) == told
    assert not list(conditions.old_model(VERSION, "cobros", None, chosen))


def test_no_name_of_a_caller_steers_a_terminal_or_fills_a_column() -> None:
    name = "crm\x1b[31m\u202e" + "x" * 200
    (one,) = conditions.careless_callers({name: Traffic(0, 0, 50)}, {})
    assert len(one.subject) == 64
    for text in (one.text, one.english):
        assert not {"\x1b", "\u202e"} & set(text)


# The watch, on a real installation


@dataclass
class Watched:
    """An installation that is watched; ``at`` looks at it at a time."""

    engine: Engine
    settings: Settings
    registry: Registry

    def at(self, now_ms: int, lag_s: float = 0.0) -> None:
        alerts.Watch(self.settings, self.registry).look(self.engine, lag_s, now_ms)

    def told(self) -> list[tuple[str, str]]:
        with self.engine.connect() as connection:
            return sorted((one.kind, one.subject) for one in store.going_on(connection))


@pytest.fixture
def watched(engine: Engine, chosen: Settings) -> Watched:
    registry = Registry(chosen.state)
    registry.prepare()
    return Watched(engine, chosen, registry)


def test_an_empty_installation_has_nothing_to_tell(watched: Watched) -> None:
    watched.at(NOW)
    assert watched.told() == []


def published(registry: Registry, contract: Contract, score: float, trained: str) -> str:
    """The version of a model that answers now, and says when it was trained."""
    version = tiny_models.add(registry, contract, tiny_models.constant(score), model="cobros")
    told = {"told": {"entrenamiento": {"hecho": trained}}}
    files.write_json(registry.part(version, "manifest.json"), registry.manifest(version) | told)
    registry.publish(version, cause="prueba", who="yo")
    return version


def test_all_that_is_wrong_is_seen(watched: Watched, contract: Contract) -> None:
    registry = watched.registry
    version = published(registry, contract, 0.2, "2026-06-01T00:00:00+00:00")
    rows = [
        {
            "at": NOW - HOUR,
            "version": version,
            "kind": kind,
            "subject": subject,
            "value": value,
            "detail": '{"p": 0.0}',
        }
        for kind, subject, value in (
            ("drift", "provincia", 0.4),
            ("drift_test", "provincia", 0.0),
            ("estimated", "auc", 0.55),
            ("realised", "auc", 0.7),
        )
    ]
    hour = NOW // HOUR * HOUR
    faults = [
        {
            "hour": hour - hours * HOUR,
            "caller": "crm",
            "kind": kind,
            "parameter": parameter,
            "code": parameter and "parametro_ausente",
            "count": 15,
            "first": hour,
            "last": hour,
        }
        for hours in (0, 1)
        for kind, parameter in (("fault", "er"), ("fault", "po"), ("refusal", ""))
    ]
    with watched.engine.begin() as connection:
        connection.execute(insert(schema.measurements), rows)
        connection.execute(insert(schema.quality), faults)
    watched.at(NOW, lag_s=901.0)
    assert watched.told() == [
        ("caller", "crm"),
        ("drift", "provincia"),
        ("journal", machine()),
        ("old_model", "cobros"),
        ("quality", "estimated"),
    ]
    published(registry, contract, 0.3, "2026-09-01T00:00:00+00:00")
    watched.at(NOW + 2 * HOUR)
    assert watched.told() == [("caller", "crm")], "of the other version nothing is known yet"
    bad = rows[-1] | {"at": NOW, "value": 0.5}
    with watched.engine.begin() as connection:
        connection.execute(insert(schema.measurements), [bad])
    watched.at(NOW + 2 * HOUR)
    assert watched.told() == [("caller", "crm"), ("quality", "realised")], "of the one before"


def test_an_audit_log_that_was_changed_is_told(watched: Watched) -> None:
    audit = Audit(watched.settings.state)
    for number in range(3):
        audit.record("published", who="ana", why=f"{number}")
    watched.at(NOW)
    assert watched.told() == []
    path = watched.settings.state / FOLDER / NAME
    path.write_bytes(path.read_bytes().replace(b'"ana"', b'"eva"', 1))
    watched.at(NOW)
    assert watched.told() == [("audit", machine())]


def test_a_registry_that_cannot_be_read_ends_no_alert(
    watched: Watched, contract: Contract
) -> None:
    registry = watched.registry
    published(registry, contract, 0.2, "2026-06-01T00:00:00+00:00")
    watched.at(NOW + 400 * DAY)
    assert watched.told() == [("old_model", "cobros")]
    (registry.state / "releases" / "000001.json").write_bytes(b"{")
    watched.at(NOW + 402 * DAY)
    assert watched.told() == [("old_model", "cobros")]
