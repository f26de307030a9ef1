"""A portfolio that is uploaded, scored by another process and downloaded, over real sockets."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openpyxl  # type: ignore[import-untyped]  # ships no types
import psutil  # type: ignore[import-untyped]  # ships no types
import pytest
import requests
from guarded import copied, key
from models_for_tests import EXAMPLE
from server import Place, Server, running, wait_for

from propensia import jobs

NAMES = [*EXAMPLE]
ADDED = ["probabilidad", "clasificacion", "decil", "version", "avisos", "error", "banda"]
SECRET = "417.6853"


def table(rows: int, **faults: str) -> bytes:
    """A portfolio whose second row has ``faults``."""
    lines = [";".join([*NAMES, "nota"])]
    for number in range(rows):
        row = EXAMPLE | {"im": f"{100 + number}.5"} | (faults if number == 1 else {})
        lines.append(";".join([*(row[name] for name in NAMES), f"fila {number}"]))
    return ("\n".join(lines) + "\n").encode()


class Person:
    """Somebody with a key."""

    def __init__(self, server: Server, shown: str) -> None:
        self.base = f"http://127.0.0.1:{server.port}"
        self._head = {"X-API-Key": shown}

    def get(self, path: str, **head: str) -> requests.Response:
        return requests.get(f"{self.base}{path}", headers=self._head | head, timeout=30)

    def post(self, path: str, **sent: Any) -> requests.Response:
        return requests.post(
            f"{self.base}{path}", headers=self._head | sent.pop("head", {}), timeout=60, **sent
        )

    def upload(self, data: bytes, name: str = "Cartera.csv") -> str:
        reply = self.post("/carteras", files={"fichero": (name, data)})
        assert reply.status_code == 201, reply.text
        return str(reply.json()["id"])

    def at(self, id: str, *states: str) -> dict[str, Any]:
        """The job once it is in one of these states."""

        def look() -> dict[str, Any] | None:
            told: dict[str, Any] = self.get(f"/carteras/{id}").json()
            return told if told["estado"] in states else None

        return wait_for(look, f"{id} is {states}", 60.0, 0.2)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def place(admitted: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return copied(admitted, tmp_path_factory.mktemp("carteras"))


@pytest.fixture(scope="module")
def people(place: Place) -> dict[str, str]:
    return {name: key(place, name, role) for name, role in (("Ana", "tester"), ("Eva", "caller"))}


@pytest.fixture(scope="module")
def server(place: Place, people: dict[str, str]) -> Iterator[Server]:
    with running(place, rate_limit="off", max_portfolio_mb=1) as made:
        yield made


@pytest.fixture
def ana(server: Server, people: dict[str, str]) -> Iterator[Person]:
    """Somebody who leaves nothing behind."""
    person = Person(server, people["Ana"])
    yield person
    for id in re.findall(r"carteras/([0-9a-f]{32})", person.get("/cartera").text):
        assert person.post(f"/carteras/{id}/borrar").status_code == 200


def test_a_file_is_uploaded_looked_at_scored_and_downloaded(ana: Person, place: Place) -> None:
    id = ana.upload(table(30, im=f"{SECRET}x", er="ZZ"), "../../etc/Cartera de marzo.csv")
    seen = ana.at(id, "lista")
    assert seen["fichero"] == "Cartera de marzo.csv"
    view = seen["vista"]
    assert (view["filas"], view["con_errores"], len(view["primeras"])) == (30, 1, 20)
    assert [c["parametro"] for c in view["columnas"]] == [*NAMES, None]
    wrong = view["primeras"][1]["errores"]
    assert [(e["parametro"], e["codigo"]) for e in wrong] == [
        ("er", "categoria_desconocida"),
        ("im", "numero_no_valido"),
    ]
    assert all(e["mensaje"] for e in wrong)
    assert ana.post(f"/carteras/{id}/puntuar", data={"motivos": 2}).status_code == 202
    told = ana.at(id, "hecha")
    assert (told["resumen"]["filas"], told["resumen"]["con_errores"]) == (30, 1)
    reply = ana.get(f"/carteras/{id}/resultado")
    assert 'filename="Cartera de marzo_puntuada.csv"' in reply.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(reply.content.decode("utf-8-sig")), delimiter=";"))
    assert list(rows[0]) == [*NAMES, "nota", *ADDED, "motivos"]
    asked = requests.get(
        f"{ana.base}/prediccion", params=EXAMPLE | {"im": "100.5"}, headers=ana._head, timeout=30
    ).json()
    assert float(rows[0]["probabilidad"]) == asked["probabilidad"]
    assert rows[1]["error"] == "er:categoria_desconocida im:numero_no_valido"
    faults = ana.get(f"/carteras/{id}/errores").text
    assert "im:numero_no_valido" in faults and SECRET not in faults
    events = [
        json.loads(line)
        for path in (place.state / "audit").glob("*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    assert any(one["event"] == "scored" and "Ana" in json.dumps(one) for one in events)
    assert SECRET not in json.dumps(events) and "marzo" not in json.dumps(events)
    told = [one for one in events if one["facts"].get("job") == id]
    assert [(one["event"], one["who"], one["facts"].get("what")) for one in told] == [
        ("uploaded", told[0]["who"], None),
        ("downloaded", told[0]["who"], "resultado"),
        ("downloaded", told[0]["who"], "errores"),
    ]
    assert "Ana" in told[0]["who"]
    logged = [*place.output.rglob("*.*"), *(place.state / "logs").rglob("*.*")]
    written = {path.name: path.read_text("utf-8", "replace") for path in logged}
    assert any("carteras" in text for name, text in written.items() if name.endswith(".jsonl"))
    for name, text in written.items():
        assert SECRET not in text and "fila 7" not in text and "marzo" not in text, name


def test_the_result_may_be_a_workbook(ana: Person) -> None:
    reply = ana.post("/carteras", data=table(5), head={"Content-Type": "text/csv"})
    assert reply.status_code == 201
    id = reply.json()["id"]
    ana.at(id, "lista")
    ana.post(f"/carteras/{id}/puntuar", data={"formato_resultado": "xlsx"})
    ana.at(id, "hecha")
    sheet = openpyxl.load_workbook(io.BytesIO(ana.get(f"/carteras/{id}/resultado").content)).active
    assert sheet is not None and sheet.max_row == 6
    assert ana.get(f"/carteras/{id}/errores").status_code == 404


def test_the_sheet_of_a_workbook_is_chosen_where_the_first_is_another(ana: Person) -> None:
    book = openpyxl.Workbook()
    book.active.append(["Leer antes"])
    sheet = book.create_sheet("Enero")
    for row in csv.reader(io.StringIO(table(4).decode()), delimiter=";"):
        sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    id = ana.upload(content.getvalue(), "Libro.xlsx")
    told = ana.at(id, "rechazada")
    assert (told["hojas"], told["hoja"]) == (["Sheet", "Enero"], None)
    page = ana.get(f"/carteras/{id}", Accept="text/html").text
    assert "Revisar esta hoja" in page and '<option value="Enero">' in page
    for sent in ({}, {"hoja": "enero"}):
        reply = ana.post(f"/carteras/{id}/revisar", data=sent)
        assert reply.status_code == 400
        assert [one["parametro"] for one in reply.json()["errores"]] == ["hoja"]
    assert ana.post(f"/carteras/{id}/revisar", data={"hoja": "Enero"}).status_code == 202
    told = ana.at(id, "lista")
    assert (told["vista"]["filas"], told["hoja"]) == (4, "Enero")
    page = ana.get(f"/carteras/{id}", Accept="text/html").text
    assert '<option value="Enero" selected>' in page
    assert ana.post(f"/carteras/{id}/puntuar").status_code == 202
    told = ana.at(id, "hecha")
    assert told["resumen"]["puntuadas"] == 4 and told["hojas"] == []
    assert ana.post(f"/carteras/{id}/revisar", data={"hoja": "Sheet"}).status_code == 409


def test_what_cannot_be_read_is_told_in_a_sentence(ana: Person) -> None:
    id = ana.upload(b"a;b\n1;2\n")
    told = ana.at(id, "rechazada")
    assert told["mensaje"] and told["vista"] is None and told["hojas"] == []
    english = ana.get(f"/carteras/{id}?idioma=en").json()["mensaje"]
    assert english.endswith(f"In Spanish: {told['mensaje']}")
    assert ana.post(f"/carteras/{id}/revisar", data={"hoja": ""}).status_code == 409
    assert ana.post(f"/carteras/{id}/puntuar").status_code == 409
    assert ana.get(f"/carteras/{id}/resultado").status_code == 409


def test_more_reasons_than_there_may_be_are_refused(ana: Person) -> None:
    id = ana.upload(table(2))
    ana.at(id, "lista")
    for reasons in ("11", "0109999", "4999999999", "10999999999", "9" * 5000, "-1", "\u0661"):
        reply = ana.post(f"/carteras/{id}/puntuar", data={"motivos": reasons})
        assert reply.status_code == 400, reasons
        assert [one["parametro"] for one in reply.json()["errores"]] == ["motivos"]
    assert ana.get(f"/carteras/{id}").json()["estado"] == "lista"
    assert ana.post(f"/carteras/{id}/puntuar", data={"motivos": "10"}).status_code == 202
    ana.at(id, "hecha")


def test_what_is_refused_may_be_asked_for_anew_in_another_way(ana: Person) -> None:
    """No row can be scored, so there is no result; nothing of the first wish is kept."""
    id = ana.upload(table(2, im="x").replace(b"100.5", b"x"))
    ana.at(id, "lista")
    ana.post(f"/carteras/{id}/puntuar", data={"motivos": "2"})
    told = ana.at(id, "fallida")
    assert told["mensaje"].startswith("no se ha podido puntuar ninguna fila")
    english = ana.get(f"/carteras/{id}?idioma=en").json()["mensaje"]
    assert english.startswith("no row could be scored")
    assert "motivos" in ana.get(f"/carteras/{id}", Accept="text/html").text
    again = {"formato_resultado": "xlsx", "motivos": "11"}
    assert ana.post(f"/carteras/{id}/puntuar", data=again).status_code == 400
    again["motivos"] = "3"
    assert ana.post(f"/carteras/{id}/puntuar", data=again).status_code == 202
    assert ana.at(id, "fallida")["mensaje"] == told["mensaje"]


def test_two_who_begin_at_once_begin_one_run(ana: Person, place: Place) -> None:
    id = ana.upload(table(200))
    ana.at(id, "lista")
    with ThreadPoolExecutor(4) as threads:
        asked = range(4)
        replies = list(threads.map(lambda _: ana.post(f"/carteras/{id}/puntuar"), asked))
    assert [reply.status_code for reply in replies] == [202] * 4
    (folder,) = (place.state / jobs.FOLDER).glob(f"*/{id}")
    assert json.loads((folder / "job.json").read_text(encoding="utf-8"))["starts"] == 1
    assert ana.at(id, "hecha")["resumen"]["filas"] == 200


def test_the_job_of_another_answers_as_one_that_is_none(
    ana: Person, server: Server, people: dict[str, str]
) -> None:
    eva, id = Person(server, people["Eva"]), ana.upload(table(2))
    for method, path in (
        ("get", ""),
        ("post", "/revisar"),
        ("post", "/puntuar"),
        ("get", "/resultado"),
        ("get", "/errores"),
        ("post", "/borrar"),
    ):
        answers = [getattr(eva, method)(f"/carteras/{one}{path}") for one in (id, "0" * 32, "x")]
        assert [a.status_code for a in answers] == [404] * 3
        assert len({json.dumps(a.json() | {"id": ""}) for a in answers}) == 1
    assert ana.get(f"/carteras/{id}").status_code == 200
    assert eva.get("/cartera").status_code == 403


def test_limits_are_told_and_nothing_is_kept(ana: Person, place: Place) -> None:
    before = len(list((place.state / jobs.FOLDER).glob("*/*")))
    tall = b"x" * ((1 << 20) + 1)
    whole = ana.upload(tall[:-1])
    ana.at(whole, "rechazada")
    assert ana.post(f"/carteras/{whole}/borrar").status_code == 200
    for sent, status in (
        ({"files": {"fichero": ("a.csv", tall)}}, 413),
        ({"data": tall + b"x" * (1 << 17), "head": {"Content-Type": "text/csv"}}, 413),
        ({"files": {"otro": ("a.csv", b"a")}}, 400),
        ({"files": {"fichero": ("a.csv", b"")}}, 400),
        ({"data": b"{}", "head": {"Content-Type": "application/json"}}, 415),
    ):
        assert ana.post("/carteras", **sent).status_code == status
    assert len(list((place.state / jobs.FOLDER).glob("*/*"))) == before
    many = [ana.upload(b"a;b\n") for _ in range(jobs.MOST_JOBS - before)]
    reply = ana.post("/carteras", files={"fichero": ("a.csv", b"a;b\n")})
    assert (reply.status_code, len(many)) == (409, jobs.MOST_JOBS)


def test_a_browser_without_scripts_is_led_from_page_to_page(
    server: Server, people: dict[str, str]
) -> None:
    """And a form of another site is refused."""
    base, browser = f"http://127.0.0.1:{server.port}", requests.Session()
    browser.headers["Accept"] = "text/html"
    browser.post(f"{base}/entrar", data={"clave": people["Ana"]}, timeout=30)
    token = re.findall(r'name="csrf" value="([^"]+)"', browser.get(f"{base}/cartera").text)[0]
    file = {"fichero": ("a.csv", table(3, im="mucho"))}
    assert browser.post(f"{base}/carteras", files=file, timeout=30).status_code == 403
    page = browser.post(f"{base}/carteras", files=file, data={"csrf": token}, timeout=30)
    assert page.status_code == 200 and "/carteras/" in page.url
    assert '<noscript><meta http-equiv="refresh"' in page.text
    wait_for(lambda: "Puntuar 3 filas" in browser.get(page.url).text, "a preview", 60.0, 0.2)
    shown = browser.get(page.url).text
    assert "im no es un número" in shown and 'class="bad"' in shown
    address = page.url.partition("?")[0]
    assert browser.post(f"{address}/puntuar", timeout=30).status_code == 403
    browser.post(f"{address}/puntuar", data={"csrf": token}, timeout=30)
    wait_for(lambda: "Descargar el resultado" in browser.get(page.url).text, "done", 60.0, 0.2)
    last = browser.post(f"{address}/borrar", data={"csrf": token}, timeout=30)
    assert last.url.partition("?")[0] == f"{base}/cartera"
    assert browser.get(address).status_code == 404


def _rows(note: Path) -> int:
    """How many rows a note of a run says are done."""
    told = jobs.read(note)
    return int(told["tally"]["rows"]) if told else 0


@pytest.mark.slow
def test_a_job_survives_a_restart_of_the_service_and_goes_on(
    admitted: Place, tmp_path: Path
) -> None:
    place = copied(admitted, tmp_path)
    shown = key(place, "Ana", "tester")
    with running(place, rate_limit="off") as server:
        ana = Person(server, shown)
        # Long enough for several blocks: what is done is noted after each.
        id = ana.upload(table(16_000).replace(b"fila ", b"x" * 2_000 + b"fila "))
        ana.at(id, "lista")
        ana.post(f"/carteras/{id}/puntuar", data={"motivos": 5})
        (folder,) = (place.state / jobs.FOLDER).glob(f"*/{id}")
        note = folder / "puntuada.csv.part.json"
        wait_for(lambda: _rows(note), "some rows are done", 60.0, 0.05)
    alive = [p for p in psutil.process_iter(["cmdline"]) if id in str(p.info["cmdline"])]
    psutil.wait_procs(alive, 10)
    behind = _rows(note)
    assert 0 < behind < 16_000
    part = folder / "puntuada.csv.part"
    done = part.read_bytes()
    assert b"fila 7;" in done
    part.write_bytes(done.replace(b"fila 7;", b"FILA 7;", 1))  # only what is kept shows it
    about = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    about["started"] -= jobs.GRACE_S  # as if that time had passed
    (folder / "job.json").write_text(json.dumps(about), encoding="utf-8")
    with running(place, rate_limit="off") as server:
        ana = Person(server, shown)
        assert ana.get(f"/carteras/{id}").json()["estado"] == "parada"
        assert ana.post(f"/carteras/{id}/puntuar").status_code == 202
        told = ana.at(id, "hecha")
        assert (told["resumen"]["filas"], told["resumen"]["reanudada"]) == (16_000, 1)
        assert b"FILA 7;" in ana.get(f"/carteras/{id}/resultado").content
        assert told["resumen"]["opciones"]["--motivos"] == 5
