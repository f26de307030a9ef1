"""The audit log of a real service: whatever is done, by whatever way, is told; and tampering."""

from __future__ import annotations

import json
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest
import requests
from guarded import copied
from models_for_tests import dumped, new_logistic
from server import Place, running, wait_for

from propensia.audit import Audit, Record, verify


def events(place: Place) -> list[Record]:
    return list(Audit(place.state).all())


def of(place: Place, event: str) -> list[Record]:
    return [record for record in events(place) if record.event == event]


def test_what_comes_by_folder_http_and_console_is_told(admitted: Place, tmp_path: Path) -> None:
    place = copied(admitted, tmp_path)
    with running(place, workers=1, four_eyes="no") as server:
        place.drop("febrero.pkl", dumped(new_logistic()))
        place.wait_word("febrero.pkl", "ACEPTADO")
        place.drop("roto.pkl", b"no es un modelo")
        place.wait_word("roto.pkl", "RECHAZADO", "RECIBIDO")
        server.settle()
        made = place.run("keys", "create", "eva", "--role", "admin")
        key = made.stdout.strip()
        back = requests.post(
            f"http://127.0.0.1:{server.port}/modelos/rollback",
            json={"motivo": "mal mes"},
            headers={"X-API-Key": key},
            timeout=30,
        )
        assert back.ok, back.text
        assert place.run("pin", "--why", "hasta revisar").returncode == 0
        by_folder, by_http, by_console = of(place, "published")[-3:]
        assert (by_folder.who, by_folder.facts["cause"]) == ("carpeta", "fichero")
        assert (by_http.who, by_http.why) == ("eva", "mal mes")
        assert (by_console.why, by_console.facts["pinned"]) == ("hasta revisar", True)
        assert [record.facts["model"] for record in of(place, "admitted")][-1] == "febrero"
        assert place.run("audit", "verify").returncode == 0
        listed = place.run("audit", "list", "--event", "published", "--format", "json")
        rows = [json.loads(line) for line in listed.stdout.splitlines()]
        assert [row["datos"]["release"] for row in rows] == [1, 2, 3, 4]
        said = place.run("audit", "list").stdout
        assert key not in said and "mal mes" in said
        last = Audit(place.state).tail(1)[0]
        wait_for(lambda: last.hash in server.output(), "the head in the log of the service")


def test_settings_of_a_start_are_told_and_a_state_of_before_is_taken_in(
    admitted: Place, tmp_path: Path
) -> None:
    place = copied(admitted, tmp_path)
    for path in (place.state / "audit").iterdir():
        path.unlink()
    port = 0
    with running(place, workers=1, rate_limit="7/s") as server:
        port = server.port
        wait_for(lambda: len(of(place, "settings.changed")) == 1, "the settings are told")
        assert [record.facts["release"] for record in of(place, "found")] == [1]
        changed = of(place, "settings.changed")[0].facts["changed"]
        assert changed["rate_limit"] == {"from": "100/s", "to": "7/s"}
        assert changed["port"]["to"] == port
    with running(place, workers=1, rate_limit="8/s"):
        wait_for(lambda: len(of(place, "settings.changed")) == 2, "the change is told")
        changed = of(place, "settings.changed")[1].facts["changed"]
        assert changed["rate_limit"] == {"from": "7/s", "to": "8/s"}
        assert changed.keys() <= {"rate_limit", "port"}
        assert len(of(place, "found")) == 1


@pytest.mark.slow
def test_a_keeper_that_is_killed_while_it_publishes_leaves_a_whole_log(
    admitted: Place, tmp_path: Path
) -> None:
    place = copied(admitted, tmp_path)
    with running(place, workers=1) as server:
        for number in range(3):
            place.drop(f"m{number}.pkl", dumped(new_logistic()))
            place.looks(6 + number)
            psutil.Process(server.keeper_pid()).kill()
            place.wait_word(f"m{number}.pkl", "ACEPTADO")
        current = place.registry.current_number()
        wait_for(lambda: place.run("audit", "verify").returncode == 0, "all is told", pause_s=1)
        told = {record.facts["release"] for record in of(place, "published")}
        assert told >= set(range(1, current + 1))
    assert verify(Audit(place.state)).wrong is None


def test_whoever_takes_a_line_out_is_noticed(admitted: Place, tmp_path: Path) -> None:
    place = copied(admitted, tmp_path)
    assert place.run("pin", "--why", "uno").returncode == 0
    assert place.run("pin", "--off", "--why", "dos").returncode == 0
    final = place.run("audit", "verify")
    head = final.stdout.split()[-1]
    assert final.returncode == 0 and len(head) == 64
    path = Audit(place.state).path
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in whole if b'"uno"' not in line))
    found = place.run("audit", "verify", "--head", head)
    assert found.returncode == 1
    assert f"la línea {len(whole) - 1} lleva el número {len(whole)}" in found.stdout
    assert "auditoría: la línea" in place.run("doctor").stdout
    assert place.run("pin", "--why", "tres").returncode == 0  # the service goes on
    assert place.run("audit", "verify", "--head", "abc").returncode == 2
