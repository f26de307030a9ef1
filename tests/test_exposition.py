"""What Prometheus is told about model, journal and monitoring, and the files that are built on it:
rules and dashboard name what there is, and nothing is told that neither of them uses."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import noted
import pytest
import tiny_models
import yaml  # type: ignore[import-untyped]  # ships no types
from prometheus_client.parser import text_string_to_metric_families
from test_web_metrics import opened, samples, seen

from propensia import files, snapshot
from propensia.alerts import conditions
from propensia.contract import Contract
from propensia.registry import Registry
from propensia.serving import Answer
from propensia.settings import Settings
from propensia.web.app import create_app
from propensia.web.exposition import exposition
from propensia.web.problems import problem
from propensia.web.tally import BINS, Tally

OPERATIONS = Path(__file__).resolve().parent.parent / "docs" / "operations"
NAMES = re.compile(r"\bpropensia_[a-z_]+\b").findall
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(not PROMTOOL, reason="promtool (Debian: prometheus)")


@pytest.fixture
def told(registry: Registry, contract: Contract) -> str:
    """An exposition with a sample of every metric."""
    version = tiny_models.add(registry, contract, tiny_models.constant(0.2), model="cobros")
    trained = {"told": {"entrenamiento": {"hecho": "2026-01-31T00:00:00+00:00"}}}
    path = registry.part(version, "manifest.json")
    files.write_json(path, files.read_json(path) | trained)
    registry.publish(version, cause="prueba", who="yo")
    registry.record_verdict("0" * 64, {"accepted": True, "code": None, "at": "0"})
    noted.leave(registry.state)
    tally = opened(registry.state / "metrics")
    tally.result(answer(registry, 0.42))
    tally.result(problem("sin_modelo", "id", "es"))
    for status in (200, 401, 429):
        tally.answer(seen(status=status))
    return exposition(tally, registry, contract).decode("utf-8")


def answer(registry: Registry, score: float, version: str | None = None) -> Answer:
    bundle: Any = type("Bundle", (), {})()
    bundle.release = registry.current()
    if version is not None:
        bundle.release = type("Release", (), {"version": version})()
    return Answer("id", bundle, score >= 0.5, score, [], None)


# The values


def test_scores_are_told_by_twentieths_for_each_version(
    registry: Registry, contract: Contract
) -> None:
    tally = Tally(registry.state / "metrics")
    for score in (0.0, 0.05, 0.0501, 0.5, 0.99, 1.0):
        tally.result(answer(registry, score, "abc"))
    tally.result(answer(registry, 0.7, "def"))
    found = samples(exposition(tally, registry, contract))
    counts = {
        key[1]: value
        for key, value in found.items()
        if key[0] == "propensia_score_bucket" and key[2] == "abc"
    }
    assert [counts[text] for text in ("0.05", "0.1", "0.45", "0.5", "0.95", "1.0", "+Inf")] == [
        2,
        3,
        3,
        4,
        4,
        6,
        6,
    ]
    assert len(counts) == 21 and [repr(end) for end in BINS] == sorted(counts)[1:]
    assert found["propensia_score_count", "abc"] == 6
    assert found["propensia_score_sum", "abc"] == pytest.approx(2.5901)
    assert found["propensia_score_count", "def"] == 1


def test_scores_of_every_process_are_told_together_and_never_go_down(
    registry: Registry, contract: Contract
) -> None:
    folder = registry.state / "metrics"
    first, second = opened(folder), opened(folder)
    for tally in (first, second):
        tally.result(answer(registry, 0.3, "abc"))
        tally.tick()
    assert first._place is not None
    first._place.release()
    for tally in (second, opened(folder)):
        found = samples(exposition(tally, registry, contract))
        assert found["propensia_score_count", "abc"] == 2
        assert found["propensia_scores_total", contract.negative_name["es"], "abc"] == 2


def test_what_came_of_a_month_is_told_of_its_version_and_makes_no_monitoring_old(
    registry: Registry, contract: Contract
) -> None:
    months_s = 120 * 86_400
    month = noted.finding("realised", "auc", 0.66, age_s=months_s) | {"version": "ba9876543210"}
    of = opened(registry.state / "metrics")
    for now, age_s in (([noted.finding("drift", "er", 0.1)], 60.0), ([], math.inf)):
        snapshot.leave(registry.state, {"momento": 0, "vigilancia": [*now, month]})
        found = samples(exposition(of, registry, contract))
        assert found["propensia_auc", "realised", "ba9876543210"] == 0.66
        assert found["propensia_monitoring_age_seconds",] == pytest.approx(age_s, abs=30)


def test_what_the_keeper_left_is_told(told: str) -> None:
    found = samples(told)
    assert found["propensia_journal_lag_seconds",] == 12.5
    assert found["propensia_journal_waiting_bytes",] == 4096
    assert found["propensia_journal_set_aside_records",] == 3
    assert found["propensia_journal_damaged_lines",] == 1
    assert found["propensia_drift", noted.VERSION, "er"] == 0.31
    assert found["propensia_drift", noted.VERSION, "score"] == 0.02
    assert found["propensia_auc", "estimated", noted.VERSION] == 0.71
    assert not [key for key in found if "realised" in key], "refused: no number"
    assert len([key for key in found if key[0] == "propensia_auc"]) == 1
    assert 55 < found["propensia_monitoring_age_seconds",] < 120
    assert 4 < found["propensia_snapshot_age_seconds",] < 60
    assert found["propensia_alerts", "drift"] == 2 and found["propensia_alerts", "journal"] == 1
    assert found["propensia_alert_messages", "waiting"] == 2
    assert found["propensia_alert_messages", "failed"] == 1
    workers = {key[1:] for key in found if key[0] == "propensia_worker_info"}
    assert workers == {("7", noted.VERSION), ("8", noted.VERSION)}


def test_the_age_of_the_model_is_told_since_its_training_and_since_its_release(told: str) -> None:
    found = samples(told)
    assert found["propensia_model_age_seconds", "trained"] > 86_400
    assert 0 <= found["propensia_model_age_seconds", "published"] < 600


def test_before_anything_was_left_nothing_is_made_up(
    registry: Registry, contract: Contract
) -> None:
    found = samples(exposition(Tally(registry.state / "metrics"), registry, contract))
    assert found["propensia_snapshot_age_seconds",] == math.inf
    assert found["propensia_monitoring_age_seconds",] == math.inf
    missing = ("journal", "drift", "auc", "model_age", "worker_info")
    assert not [
        key for key in found if key[0].startswith(tuple(f"propensia_{m}" for m in missing))
    ]


@pytest.mark.parametrize("bad", [b"{", b"[]", b'{"formato": 99}', b"\xff"])
def test_a_snapshot_that_is_damaged_costs_its_own_metrics_only(
    bad: bytes, registry: Registry, contract: Contract
) -> None:
    noted.leave(registry.state)
    (registry.state / "panel.json").write_bytes(bad)
    found = samples(exposition(Tally(registry.state / "metrics"), registry, contract))
    assert found["propensia_snapshot_age_seconds",] == math.inf
    assert found["propensia_journal_lag_seconds",] == 12.5


def test_a_web_process_asks_no_database_for_its_metrics(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted.leave(registry.state)
    chosen = Settings(
        state=registry.state,
        models=registry.state / "models",
        database_url="postgresql://nadie:nada@127.0.0.1:9/nada",
    )
    reply = create_app(chosen, background=False).test_client().get("/metrics")
    assert reply.status_code == 200 and "propensia_drift{" in reply.text


# Rules and dashboard


def names_told(text: str) -> set[str]:
    """The name of every metric, as PromQL takes it."""
    return {
        family.name + "_total" * (family.type == "counter")
        for family in text_string_to_metric_families(text)
    }


def named(text: str) -> set[str]:
    """The metrics that a file names."""
    return {re.sub(r"_bucket$", "", name) for name in NAMES(text)}


def rules() -> list[dict[str, Any]]:
    table = yaml.safe_load((OPERATIONS / "alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in table["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    made: dict[str, Any] = json.loads((OPERATIONS / "grafana.json").read_text(encoding="utf-8"))
    return made


def queries() -> list[str]:
    return [
        target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())
    ]


def test_rules_and_dashboard_name_what_is_told_and_leave_nothing_out(told: str) -> None:
    of_rules = named(" ".join(rule["expr"] for rule in rules()))
    of_dashboard = named(" ".join(queries()))
    assert of_rules | of_dashboard == names_told(told)
    assert of_dashboard == names_told(told), "the dashboard shows all of it"


def test_every_label_that_is_asked_for_is_told(told: str) -> None:
    labels = {
        label
        for family in text_string_to_metric_families(told)
        for sample in family.samples
        for label in sample.labels
    } | {"job", "instance"}
    for query in [*queries(), *(rule["expr"] for rule in rules())]:
        asked = re.findall(r"(\w+)\s*(?:=~|!=|=)\s*\"", query)
        asked += re.findall(r"\w+", " ".join(re.findall(r"\bby \(([^)]*)\)", query)))
        assert set(asked) <= labels, query


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    made = dashboard()
    assert made["schemaVersion"] >= 36 and made.get("id") is None and made["title"]
    variables = {one["name"]: one["type"] for one in made["templating"]["list"]}
    assert variables == {"datasource": "datasource", "job": "query", "instance": "query"}
    ids = [panel["id"] for panel in made["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in made["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies over another panel"
        taken |= cells
        for one in [panel, *panel.get("targets", ())]:
            assert panel["type"] == "row" or one["datasource"]["uid"] == "${datasource}"


def test_rules_and_dashboard_say_it_in_both_languages() -> None:
    said = [rule["annotations"]["summary"] for rule in rules()]
    for panel in dashboard()["panels"]:
        said += [panel["title"], panel.get("description") or panel["title"]]
    assert [text for text in said if " / " not in text] == []


def test_limits_that_are_settings_are_the_defaults_in_the_rules() -> None:
    chosen, by_name = Settings(), {rule["alert"]: rule["expr"] for rule in rules()}
    assert by_name["PropensiaDrift"] == f"propensia_drift > {chosen.alert_drift}"
    assert by_name["PropensiaPoorModel"] == f"propensia_auc < {chosen.alert_auc}"
    assert by_name["PropensiaModelOld"].endswith(f"> {chosen.alert_model_days} * 86400")
    assert by_name["PropensiaJournalLate"].endswith(f"> {conditions.LAG_S:.0f}")


def promtool(*arguments: str, input: str | None = None) -> str:
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, *arguments],
        input=input,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@needs_promtool
def test_promtool_finds_nothing_wrong_with_the_metrics(told: str) -> None:
    assert promtool("check", "metrics", input=told) == ""


@needs_promtool
def test_promtool_finds_nothing_wrong_with_rules_and_configuration(tmp_path: Path) -> None:
    promtool("check", "rules", "--lint-fatal", "--lint=all", str(OPERATIONS / "alerts.yml"))
    for name in ("prometheus.yml", "alerts.yml"):
        shutil.copy(OPERATIONS / name, tmp_path)
    (tmp_path / "propensia.key").write_text("clave", encoding="utf-8")
    promtool("check", "config", "--lint-fatal", "--lint=all", str(tmp_path / "prometheus.yml"))


@needs_promtool
def test_promtool_can_read_every_query_of_the_dashboard(tmp_path: Path) -> None:
    asked = [text.replace("$__rate_interval", "1m") for text in queries()]
    recorded = [{"record": f"panel:{n}", "expr": text} for n, text in enumerate(asked)]
    path = tmp_path / "queries.yml"
    path.write_text(
        json.dumps({"groups": [{"name": "panels", "rules": recorded}]}), encoding="utf-8"
    )
    promtool("check", "rules", str(path))


# Alert -> the series that make it fire within three hours, and those that do not.
Series = Mapping[str, str]
ALERTS: dict[str, tuple[Series, Series]] = {
    "PropensiaDown": ({'up{job="propensia"}': "0x200"}, {'up{job="propensia"}': "1x200"}),
    "PropensiaNoModel": ({"propensia_release": "0x200"}, {"propensia_release": "3x200"}),
    "PropensiaKeeperSilent": (
        {"propensia_keeper_sign_age_seconds": "1+60x200"},
        {"propensia_keeper_sign_age_seconds": "1x200"},
    ),
    "PropensiaWorkersDiffer": (
        {'propensia_workers{release="3"}': "1x200", 'propensia_workers{release="4"}': "1x200"},
        {'propensia_workers{release="3"}': "1x200", 'propensia_workers{release="4"}': "0x200"},
    ),
    "PropensiaServerErrors": (
        {
            'propensia_requests_total{status="200"}': "0+980x200",
            'propensia_requests_total{status="503"}': "0+20x200",
        },
        {
            'propensia_requests_total{status="200"}': "0+995x200",
            'propensia_requests_total{status="503"}': "0+5x200",
        },
    ),
    "PropensiaSlow": (
        {
            'propensia_request_seconds_bucket{route="/prediccion",le="0.25"}': "0+90x200",
            'propensia_request_seconds_bucket{route="/prediccion",le="0.5"}': "0+100x200",
            'propensia_request_seconds_bucket{route="/prediccion",le="+Inf"}': "0+100x200",
        },
        {
            'propensia_request_seconds_bucket{route="/prediccion",le="0.25"}': "0+100x200",
            'propensia_request_seconds_bucket{route="/prediccion",le="0.5"}': "0+100x200",
            'propensia_request_seconds_bucket{route="/prediccion",le="+Inf"}': "0+100x200",
        },
    ),
    "PropensiaUnreliableModel": (
        {'propensia_faults_total{code="modelo_no_fiable"}': "0x175 1x25"},
        {'propensia_faults_total{code="modelo_no_fiable"}': "7x200"},
    ),
    "PropensiaManyDenied": (
        {'propensia_denied_total{status="401"}': "0+90x200"},
        {'propensia_denied_total{status="401"}': "0+30x200"},
    ),
    "PropensiaLimited": (
        {"propensia_limited_total": "0+90x200"},
        {"propensia_limited_total": "0+30x200"},
    ),
    "PropensiaJournalUnwritable": (
        {'propensia_faults_total{code="registro_no_disponible"}': "0x175 9x25"},
        {'propensia_faults_total{code="registro_no_disponible"}': "9x200"},
    ),
    "PropensiaJournalLate": (
        {"propensia_journal_lag_seconds": "0+60x200"},
        {"propensia_journal_lag_seconds": "2x200"},
    ),
    "PropensiaJournalSetAside": (
        {"propensia_journal_set_aside_records": "1x200"},
        {"propensia_journal_set_aside_records": "0x200"},
    ),
    "PropensiaJournalDamaged": (
        {"propensia_journal_damaged_lines": "1x200"},
        {"propensia_journal_damaged_lines": "0x200"},
    ),
    "PropensiaSnapshotStale": (
        {"propensia_snapshot_age_seconds": "5+60x200"},
        {"propensia_snapshot_age_seconds": "5x200"},
    ),
    "PropensiaAlertsUndelivered": (
        {'propensia_alert_messages{state="failed"}': "1x200"},
        {
            'propensia_alert_messages{state="failed"}': "0x200",
            'propensia_alert_messages{state="waiting"}': "9x200",
        },
    ),
    "PropensiaModelOld": (
        {'propensia_model_age_seconds{since="trained"}': "3888000+60x200"},
        {
            'propensia_model_age_seconds{since="trained"}': "86400+60x200",
            'propensia_model_age_seconds{since="published"}': "9999999+60x200",
        },
    ),
    "PropensiaDrift": (
        {'propensia_drift{subject="score"}': "0.3x200"},
        {'propensia_drift{subject="score"}': "0.25x200"},
    ),
    "PropensiaPoorModel": (
        {'propensia_auc{kind="estimated"}': "0.59x200"},
        {'propensia_auc{kind="estimated"}': "0.6x200"},
    ),
    "PropensiaMonitoringStale": (
        {"propensia_monitoring_age_seconds": "86401+60x200"},
        {"propensia_monitoring_age_seconds": "3600x200"},
    ),
}


def scenario(chosen: list[tuple[str, Series]], fires: bool) -> dict[str, Any]:
    """A test of ``promtool test rules``: whether these alerts fire within three hours."""
    firing = 'count(ALERTS{{alertname="{}",alertstate="firing"}})'.format
    expected = [{"labels": "{}", "value": 1}] if fires else []
    return {
        "interval": "1m",
        "input_series": [
            {"series": name, "values": values}
            for _, series in chosen
            for name, values in series.items()
        ],
        "promql_expr_test": [
            {"expr": firing(alert), "eval_time": "3h", "exp_samples": expected}
            for alert, _ in chosen
        ],
    }


def run_scenarios(folder: Path, *scenarios: dict[str, Any]) -> None:
    table = {
        "rule_files": [str(OPERATIONS / "alerts.yml")],
        "evaluation_interval": "1m",
        "tests": list(scenarios),
    }
    path = folder / "tests.yml"
    path.write_text(json.dumps(table), encoding="utf-8")
    promtool("test", "rules", str(path))


@needs_promtool
def test_every_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    assert set(ALERTS) == {rule["alert"] for rule in rules()}
    bad = [(alert, series) for alert, (series, _) in ALERTS.items()]
    good = [(alert, series) for alert, (_, series) in ALERTS.items()]
    run_scenarios(tmp_path, scenario(bad, True), scenario(good, False))


@needs_promtool
@pytest.mark.parametrize("fires", [True, False])
def test_a_scenario_that_is_wrong_is_noticed(fires: bool, tmp_path: Path) -> None:
    """Or the test above could not fail."""
    bad, good = ALERTS["PropensiaDrift"]
    with pytest.raises(AssertionError):
        run_scenarios(tmp_path, scenario([("PropensiaDrift", good if fires else bad)], fires))
