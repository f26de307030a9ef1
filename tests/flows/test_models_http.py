"""Models over HTTP, in front of real servers: handed in, decided by people with keys, counted."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest
import requests
from admission_files import HOSTILE
from guarded import a_key_of_every_role, copied
from models_for_tests import dumped, new_logistic
from prometheus_client.parser import text_string_to_metric_families
from server import ROOT, Place, Server, prediccion, running, wait_for

from propensia import heartbeat
from propensia.admission import Dropped

WITHIN_S = 30.0
"""A release is taken within a second; a busy machine gets far more."""


def version_of(data: bytes) -> str:
    return Dropped("", data).version


class Person:
    """Somebody with a key, in front of a server."""

    def __init__(self, server: Server, key: str = "") -> None:
        self._base = f"http://127.0.0.1:{server.port}"
        self._headers = {"X-API-Key": key} if key else {}

    def upload(self, name: str, data: bytes, **more: Any) -> requests.Response:
        sent = {"fichero": (name, data)} | more
        return requests.post(
            f"{self._base}/modelos", files=sent, headers=self._headers, timeout=60
        )

    def decide(self, path: str, **body: Any) -> requests.Response:
        return requests.post(
            f"{self._base}/modelos/{path}", json=body, headers=self._headers, timeout=30
        )

    def models(self) -> dict[str, str]:
        """Version -> its state."""
        reply = requests.get(f"{self._base}/modelos", headers=self._headers, timeout=30)
        return {row["version"]: row["estado"] for row in reply.json()["modelos"]}

    def ask(self, path: str) -> requests.Response:
        return requests.get(f"{self._base}{path}", headers=self._headers, timeout=30)


def everyone_on(server: Server, release: int) -> None:
    """Return once every worker says that it answers from that release."""
    folder = server.place.state / "workers"
    alive = set(worker_pids(server))

    def look() -> bool:
        notes = heartbeat.look_all(folder)
        return {n["pid"] for n in notes if n["publicacion"] == release} >= alive

    wait_for(look, f"every worker is on release {release}", WITHIN_S)


def worker_pids(server: Server) -> list[int]:
    """The workers that live, as their notes and the system tell."""
    notes = (server.place.state / "workers").glob("*.json")
    return [int(path.stem) for path in notes if psutil.pid_exists(int(path.stem))]


# Without keys, on this machine


@pytest.fixture(scope="module")
def shared(admitted: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two workers and the model ``base``."""
    with running(copied(admitted, tmp_path_factory.mktemp("http"))) as server:
        server.keeper_pid()
        yield server


def test_an_uploaded_model_is_served_by_every_worker_and_a_second_time_is_the_same(
    shared: Server,
) -> None:
    person, data = Person(shared), dumped(new_logistic())
    before = shared.active()
    reply = person.upload("../octubre.pkl", data)
    told = reply.json()
    assert (reply.status_code, told["version"]) == (201, version_of(data)), told
    assert (told["modelo"], told["estado"]) == ("octubre", "activa")
    assert {check["resultado"] for check in told["comprobaciones"]} <= {
        "bien",
        "aviso",
        "omitida",
    }
    everyone_on(shared, told["publicacion"])
    answers = [shared.get(prediccion()).json() for _ in range(20)]
    assert {answer["version"] for answer in answers} == {version_of(data)}
    assert {answer["modelo"] for answer in answers} == {"octubre"}
    assert person.models()[before] == "anterior"
    again = person.upload("otro.pkl", data).json()
    assert (again["publicacion"], again["comprobaciones"]) == (told["publicacion"], [])
    # The same bytes in the folder: nothing new, and the folder says which version they are.
    shared.place.drop("octubre.pkl", data)
    text = shared.place.wait_word("octubre.pkl", "ACEPTADO")
    assert f"Es la versión activa: {version_of(data)}" in text
    assert shared.place.registry.current_number() == told["publicacion"]


def test_a_hostile_file_is_refused_and_nothing_of_it_runs(shared: Server, tmp_path: Path) -> None:
    release = shared.place.registry.current_number()
    marker = tmp_path / "marker"
    for hostile in HOSTILE[:3]:
        reply = Person(shared).upload("m.pkl", hostile.build(marker))
        assert reply.status_code == 422, reply.text
        (error,) = reply.json()["errores"]
        assert error["parametro"] == "fichero" and error["codigo"] and error["mensaje"]
    assert not marker.exists()
    assert shared.place.registry.current_number() == release


@pytest.mark.slow
def test_one_file_is_judged_at_a_time_while_callers_are_answered(shared: Server) -> None:
    files = [dumped(new_logistic()) for _ in range(3)]
    replies: list[requests.Response] = []
    threads = [
        threading.Thread(target=lambda d=data: replies.append(Person(shared).upload("m.pkl", d)))
        for data in files
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert shared.get(prediccion()).status == 200
    statuses = sorted(reply.status_code for reply in replies)
    assert set(statuses) == {201, 503} and statuses.count(201) < 3
    assert all("Retry-After" in reply.headers for reply in replies if reply.status_code == 503)


def test_people_go_back_and_forth_and_every_worker_follows(shared: Server) -> None:
    person = Person(shared)
    person.upload("m.pkl", dumped(new_logistic()))
    active = shared.place.registry.current()
    assert active is not None
    back = person.decide("rollback", motivo="la campaña sigue", publicacion=active.number).json()
    assert (back["publicacion"], back["anterior"]) == (active.number + 1, active.version)
    everyone_on(shared, back["publicacion"])
    assert {shared.active() for _ in range(20)} == {back["version"]}
    reply = person.decide(f"{active.version}/activar", motivo="visto", umbral=0.123)
    assert reply.status_code == 200 and reply.json()["umbral"] == 0.123
    everyone_on(shared, reply.json()["publicacion"])
    assert {shared.get(prediccion()).json()["umbral"] for _ in range(20)} == {0.123}
    assert person.decide("rollback", motivo="x", publicacion=active.number).status_code == 409
    done = shared.place.run("models")
    assert "activar, esta máquina" in done.stdout and "visto" in done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_commands_of_the_page_work_as_they_stand(shared: Server, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "publicar.md").read_text(encoding="utf-8")
    lines = [
        line for block in re.findall(r"```sh\n(.*?)```", page, re.S) for line in block.splitlines()
    ]
    assert len(lines) == 4 and all(line.startswith("curl -H @cabecera.txt ") for line in lines)
    data = dumped(new_logistic())
    (tmp_path / "cobros_2026-10.pkl").write_bytes(data)
    (tmp_path / "cabecera.txt").write_text("X-Nada: nada\n", encoding="ascii")
    for line in lines:
        number = shared.place.registry.current_number()
        line = line.replace("http://127.0.0.1:5000", f"http://127.0.0.1:{shared.port}")
        line = line.replace("3f2a9c0d1e4b", version_of(data)).replace(": 13}", f": {number}}}")
        done = subprocess.run(
            [*shlex.split(line), "-sS", "--fail-with-body"],
            cwd=tmp_path,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
    last = [release.cause for release in shared.place.registry.history()[:3]]
    assert last == ["rollback", "activar", "subida"]


# Four eyes


@pytest.fixture(scope="module")
def guarded(
    admitted: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, dict[str, Person]]]:
    """A server with four eyes, and a person of every role."""
    place = copied(admitted, tmp_path_factory.mktemp("ojos"))
    keys = a_key_of_every_role(place)
    with running(place, ready="/prueba", four_eyes=True) as server:
        yield server, {role: Person(server, key) for role, key in keys.items()}


def test_nobody_publishes_alone(guarded: tuple[Server, dict[str, Person]]) -> None:
    server, people = guarded
    data = dumped(new_logistic())
    release = server.place.registry.current_number()
    told = people["analyst"].upload("m.pkl", data).json()
    assert (told["estado"], told["publicacion"]) == ("candidata", None), told
    version = told["version"]
    assert people["analyst"].decide(f"{version}/activar", motivo="x").status_code == 403
    assert people["caller"].upload("m.pkl", data).status_code == 403
    assert people["approver"].upload("m.pkl", data).status_code == 403
    # An administrator may hand in and publish, but not both with one version.
    assert people["admin"].upload("m.pkl", data).json()["estado"] == "candidata"
    reply = people["admin"].decide(f"{version}/activar", motivo="x")
    assert (reply.status_code, reply.json()["errores"][0]["codigo"]) == (403, "misma_persona")
    assert server.place.registry.current_number() == release
    reply = people["approver"].decide(f"{version}/activar", motivo="visto con el equipo")
    assert (reply.status_code, reply.json()["version"]) == (200, version)
    current = server.place.registry.current()
    assert current is not None and current.who == "de approver"
    # Back to what was served, and forth: one person, even the one who handed it in.
    assert people["admin"].decide("rollback", motivo="va mal").status_code == 200
    assert people["admin"].decide(f"{version}/activar", motivo="no era eso").status_code == 200
    # Another threshold is something new.
    assert people["admin"].decide(f"{version}/activar", motivo="x", umbral=0.9).status_code == 403


@pytest.mark.skipif(os.name == "nt", reason="Windows does not tell who dropped a file")
def test_a_dropped_file_waits_and_says_for_what(
    guarded: tuple[Server, dict[str, Person]],
) -> None:
    server, people = guarded
    data = dumped(new_logistic())
    release = server.place.registry.current_number()
    server.place.drop("carpeta.pkl", data)
    text = server.place.wait_word("carpeta.pkl", "ACEPTADO")
    assert "cuatro ojos" in text and f"propensia activate {version_of(data)}" in text
    server.place.looks()
    assert server.place.registry.current_number() == release
    assert people["tester"].models()[version_of(data)] == "candidata"
    reply = people["approver"].decide(f"{version_of(data)}/activar", motivo="de la carpeta")
    assert reply.status_code == 200
    wait_for(
        lambda: "Es la versión activa" in server.place.state_text("carpeta.pkl"),
        "the folder says that it answers",
    )


def test_everything_that_a_server_leaves_in_its_state_folder_is_documented(
    guarded: tuple[Server, dict[str, Person]],
) -> None:
    server, _ = guarded
    table = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = table.partition("| path below `PROPENSIA_STATE` |")[2].partition("\n\n")[0]
    cells = [line.split(" | ")[0] for line in table.splitlines()[2:]]
    documented = [path.split("/")[0] for cell in cells for path in re.findall("`(.+?)`", cell)]
    repeated = {name for name in documented if documented.count(name) > 1}
    assert not repeated
    there = {path.name for path in server.place.state.iterdir() if not path.match(".*.tmp")}
    assert there <= set(documented)
    assert len(there) > 12, "a server with keys, four eyes and a keeper leaves more"


# Metrics


def samples(person: Person) -> dict[tuple[str, ...], float]:
    reply = person.ask("/metrics")
    assert reply.status_code == 200 and reply.headers["Content-Type"].startswith("text/plain")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }


def test_every_request_of_every_worker_is_counted_once_and_no_count_goes_down(
    admitted: Place, tmp_path: Path
) -> None:
    with running(copied(admitted, tmp_path)) as server:
        wait_for(lambda: len(worker_pids(server)) == 2, "both workers live")
        person, good, bad = Person(server), 150, 40
        for _ in range(good):
            assert server.get(prediccion()).status == 200
        for _ in range(bad):
            assert server.get(prediccion({"er": "X"})).status == 400

        def counted() -> tuple[float, float]:
            found = samples(person)
            name = "propensia_requests_total"
            return (
                found.get((name, "GET", "/prediccion", "200"), 0),
                found.get((name, "GET", "/prediccion", "400"), 0),
            )

        wait_for(lambda: counted() == (good, bad), f"{good} and {bad} are counted", WITHIN_S)
        found = samples(person)
        scores = sum(n for key, n in found.items() if key[0] == "propensia_scores_total")
        assert scores == good
        assert found["propensia_faults_total", "categoria_desconocida"] == bad
        assert found["propensia_request_seconds_count", "/prediccion"] == good + bad
        assert found["propensia_release",] == 1
        kill_one_worker(server)
        before = (float(good), float(bad))
        for number in range(60):
            # What waited for the killed worker is cut off.
            with contextlib.suppress(OSError):  # requests' own errors are such, too
                now = counted()
                assert now >= before, "a count went down"
                before = now
                good += server.get(prediccion()).status == 200
            time.sleep(0.02 * (number < 40))
        wait_for(lambda: counted() == (good, bad), "the new worker counts too", WITHIN_S)
        wait_for(lambda: len(worker_pids(server)) == 2, "a new worker lives")
        assert len(list((server.place.state / "metrics").glob("*.values"))) == 2


def kill_one_worker(server: Server) -> None:
    pid = worker_pids(server)[0]
    psutil.Process(pid).kill()
    wait_for(lambda: not psutil.pid_exists(pid) or _is_dead(pid), "the worker is gone")


def _is_dead(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    return True
