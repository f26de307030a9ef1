"""An alert on its whole way: from a real server, over its keeper and its database, to those who
are told; and the same numbers in its metrics, over several workers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import receivers
from guarded import copied
from prometheus_client.parser import text_string_to_metric_families
from server import Place, prediccion, running, wait_for

from propensia import files


@pytest.fixture
def place(admitted: Place, tmp_path: Path) -> Place:
    """An installation of its own, with a model."""
    return copied(admitted, tmp_path)


@pytest.mark.slow  # the keeper looks at the outbox twice a minute
def test_an_old_model_is_told_by_webhook_and_email_and_shown(place: Place) -> None:
    version = place.registry.versions()[0]
    path = place.registry.part(version, "manifest.json")
    told = {"told": {"entrenamiento": {"hecho": "2020-01-31T00:00:00+00:00"}}}
    files.write_json(path, files.read_json(path) | told)
    with receivers.web("500", "204") as web, receivers.smtp("250") as mail:
        with running(
            place,
            alert_webhook=f"http://127.0.0.1:{web.port}/avisos",
            alert_secret="secreto",
            alert_email="ana@empresa.example",
            smtp_url=f"smtp://127.0.0.1:{mail.port}",
        ) as server:
            for _ in range(20):
                assert server.get(prediccion()).status == 200
            wait_for(lambda: web.posted and mail.mails, "an alert by both ways")
            body = json.loads(web.posted[0].body)
            assert (body["tipo"], body["estado"]) == ("old_model", "empieza")
            assert body["version"] == version
            assert "El modelo que responde se hizo hace" in mail.mails[0]["Subject"]
            wait_for(lambda: len(web.posted) > 1, "the second attempt", seconds=90)
            keys = {one.headers["idempotency-key"] for one in web.posted}
            assert len(keys) == 1 and len(mail.mails) == 1

            wait_for(
                lambda: 'propensia_alerts{kind="old_model"} 1' in server.get("/metrics").text,
                "the alert in the metrics",
            )
            found = [
                sample
                for family in text_string_to_metric_families(server.get("/metrics").text)
                for sample in family.samples
            ]
        values = {(one.name, *one.labels.values()): one.value for one in found}
        assert values["propensia_score_count", version] == 20
        assert values["propensia_model_age_seconds", "trained"] > 86_400 * 365
        assert values["propensia_journal_lag_seconds",] < 60
        workers = [one.labels for one in found if one.name == "propensia_worker_info"]
        assert len(workers) == 2 and {one["version"] for one in workers} == {version}
        output = server.output()
    assert "secreto" not in output and "empresa.example" not in output


def test_a_test_alert_says_who_took_it(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with receivers.web("204") as web, receivers.smtp("550") as mail:
        done = place.run(
            "doctor",
            "--alert",
            alert_webhook=f"http://127.0.0.1:{web.port}/",
            alert_email="ana@empresa.example",
            smtp_url=f"smtp://ana:clave@127.0.0.1:{mail.port}",
        )
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "bien   webhook: la alerta de prueba llegó",
        "fallo  correo: no llegó (SMTPNotSupportedError)",
    ]
    assert json.loads(web.posted[0].body)["estado"] == "prueba"
    nowhere = place.run("doctor", "--alert")
    assert nowhere.returncode == 1 and "no hay a dónde" in nowhere.stdout
