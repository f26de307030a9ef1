"""What is answered is in the journal, as it was answered; what cannot be kept is not answered."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import tiny_models
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from journal_files import failing, paths, read_all

from propensia import contract as contracts
from propensia import files
from propensia.audit import Audit
from propensia.contract import Contract
from propensia.journal import records
from propensia.journal.references import NAME, References
from propensia.recording import Recorder
from propensia.registry import Registry
from propensia.scorer import Scorer
from propensia.settings import Settings
from propensia.store import database
from propensia.web.app import create_app

ROW = contracts.load("cobranza").example()
WEIGHTS = [0.31 + 0.07 * place for place in range(16)]
TENSORS = [
    {"name": name, "datatype": "BYTES", "shape": [2], "data": [text, text]}
    for name, text in ROW.items()
]


@pytest.fixture
def state(registry: Registry, contract: Contract) -> Path:
    """A state folder with a published version."""
    onnx = tiny_models.logistic(WEIGHTS, -2.5)
    zeros = Scorer(onnx, files.sha256(onnx)).one([0.0] * len(contract.columns))
    version = tiny_models.add(registry, contract, onnx, [zeros])
    registry.publish(version, cause="prueba", who="yo")
    return registry.state


def client(state: Path, **more: Any) -> FlaskClient:
    """The whole application, without threads."""
    usual: dict[str, Any] = {"rate_limit": "off", "request_log_days": 0}
    chosen = Settings(state=state, models=state / "models", **usual | more)
    return create_app(chosen, background=False).test_client()


def kept(state: Path) -> list[dict[str, Any]]:
    """Every record of that folder."""
    found, damaged = read_all(state)
    assert not damaged
    return [json.loads(one) for one in found]


def named(parameter: str, code: str) -> list[str]:
    """A note or a fault as it is kept: a name that was sent is none of the contract."""
    return [parameter if parameter in ROW else "", code]


def address(**more: str) -> str:
    return f"/prediccion?{urlencode(ROW | more)}"


def test_an_answer_is_kept_with_all_that_made_it(state: Path) -> None:
    asked = client(state)
    told = asked.get(address(ref="Ñandú 1", motivos="3", otro="x", dt=" 1000,82 ")).json
    (one,) = kept(state)
    names = list(ROW)
    texts = dict(zip(names, one.pop("texts"), strict=True))
    assert texts == {**ROW, "dt": " 1000,82 "}, "as it was sent"
    assert one == {
        "kind": "answer",
        "id": told["id"],
        "version": told["version"],
        "publication": told["publicacion"],
        "model": told["modelo"],
        "rules": contracts.load("cobranza").fingerprint,
        "threshold": told["umbral"],
        "caller": one["caller"],
        "reference": one["reference"],
        "probability": told["probabilidad"],
        "positive": told["pagador"],
        "notes": [
            [*named(note["parametro"], note["codigo"]), note["valor_usado"]]
            for note in told["avisos"]
        ],
    }
    assert {"coma_decimal", "parametro_desconocido"} <= {code for _, code, _ in one["notes"]}
    key = bytes.fromhex((state / NAME).read_text())
    full = hmac.new(key, "Ñandú 1".encode(), hashlib.sha256).hexdigest()
    assert one["reference"] == full[:32]


@pytest.mark.parametrize("form", ["json", "texto", "html"])
def test_every_form_of_an_answer_is_kept(state: Path, form: str) -> None:
    reply = client(state).get(address(formato=form))
    (one,) = kept(state)
    assert one["id"] == reply.headers["X-Propensia-Id"] and one["reference"] is None


@given(
    st.lists(st.one_of(st.none(), st.text())),
    st.lists(st.tuples(st.text(), st.text(), st.one_of(st.none(), st.text(), st.floats()))),
    st.text(),
    st.one_of(st.none(), st.text()),
    st.floats(0, 1),
)
def test_a_record_is_json_of_one_line_whatever_is_in_it(
    texts: list[str | None],
    notes: list[tuple[str, str, str | float | None]],
    caller: str,
    reference: str | None,
    probability: float,
) -> None:
    rules = records.Rules("0123456789ab", 3, 'un "modelo"\n', "abc", 0.5).written()
    made = records.answer("00", rules, caller, reference, probability, True, texts, notes)
    found = json.loads(made)
    assert b"\n" not in made and b"\r" not in made
    assert found["texts"] == texts and found["notes"] == [
        [name, code, None if isinstance(used, float) and not math.isfinite(used) else used]
        for name, code, used in notes
    ]
    assert (found["caller"], found["reference"]) == (caller, reference)
    assert found["probability"] == probability and found["model"] == 'un "modelo"\n'


def test_an_empty_text_is_not_one_that_was_not_sent(state: Path) -> None:
    asked = client(state)
    assert asked.get(address(ed="")).status_code == 200
    assert asked.post("/predict", json=ROW | {"ed": None}).status_code == 200
    place = list(ROW).index("ed")
    first, second = [row["texts"][place] for row in kept(state)]
    assert first == "" and second is not None


def test_a_refusal_is_kept_without_a_value_or_a_name_that_was_sent(state: Path) -> None:
    reply = client(state).get(address(im="9zq7", cp="zq7", zq7="zq7", zq8="1", ref="a\nzq7"))
    assert reply.status_code == 400
    (one,) = kept(state)
    assert "zq" not in json.dumps(one)
    told = [(error["parametro"], error["codigo"]) for error in reply.json["errores"]]
    assert one.pop("faults") == [named(*fault) for fault in told]
    assert one == {"kind": "refusal", "id": reply.json["id"], "caller": one["caller"]}


def batch(asked: FlaskClient, *rows: object) -> list[dict[str, Any]]:
    reply = asked.post("/predict/batch", json=list(rows))
    assert reply.status_code == 200
    found: list[dict[str, Any]] = reply.json["resultados"]
    return found


def test_a_batch_is_kept_at_once_and_every_row_with_its_id(state: Path) -> None:
    asked = client(state)
    good, bad = dict(ROW), ROW | {"im": "x"}
    with failing("write", lambda n: True, lambda real, *how: real(*how)) as writes:
        told = batch(asked, good, bad, "no row", good | {"ref": "r"}, bad)
    assert len(writes) == 2, "one for the answers, one for the refusals"
    rows = kept(state)
    by_id = {row["id"]: row["kind"] for row in rows}
    wanted = ["answer", "refusal", None, "answer", "refusal"]
    assert [by_id.get(one["id"]) for one in told] == wanted
    assert len(rows) == 4
    assert [row["reference"] is None for row in rows if row["kind"] == "answer"] == [True, False]


def test_a_batch_waits_for_the_disk_once(state: Path) -> None:
    asked = client(state, journal_sync_s=0.0)
    batch(asked, dict(ROW))
    with failing("fsync", lambda n: True, lambda real, file: real(file)) as calls:
        batch(asked, *[dict(ROW)] * 50)
    assert len(calls) == 1 and len(kept(state)) == 51


def test_tensors_of_which_one_row_is_wrong_keep_no_answer_for_nobody_got_one(state: Path) -> None:
    asked = client(state)
    wrong = [
        one | {"data": [one["data"][0], "x"]} if one["name"] == "im" else one for one in TENSORS
    ]
    url = "/v2/models/cobranza/infer"
    assert asked.post(url, json={"inputs": wrong}).status_code == 400
    assert [row["kind"] for row in kept(state)] == ["refusal"]
    assert asked.post(url, json={"inputs": TENSORS}).status_code == 200
    assert [row["kind"] for row in kept(state)] == ["refusal", "answer", "answer"]


# What cannot be kept


@pytest.fixture
def full(state: Path) -> Iterator[Path]:
    """A state folder where nothing can be written any more."""
    with failing("write", lambda n: True):
        yield state


def problems(asked: FlaskClient) -> list[str]:
    found: list[str] = asked.get("/health").json["problemas"]
    return [one for one in found if "diario" in one or "ref" in one]


def test_no_answer_goes_out_that_is_not_kept(full: Path) -> None:
    asked = client(full)
    for reply in (asked.get(address()), asked.post("/predict", json=dict(ROW))):
        assert reply.status_code == 503
        assert reply.json["type"] == "urn:propensia:registro_no_disponible"
        assert int(reply.headers["Retry-After"]) > 0
        assert "probabilidad" not in reply.text
    page = asked.get(address(formato="html"))
    assert page.status_code == 503 and ROW["im"] in page.text, "the form keeps what was typed"
    told = batch(asked, dict(ROW), ROW | {"im": "x"}, dict(ROW))
    assert [one["status"] for one in told] == [503, 400, 503]
    assert asked.post("/v2/models/cobranza/infer", json={"inputs": TENSORS}).status_code == 503
    assert len(problems(asked)) == 1


def test_it_answers_again_and_is_well_once_the_journal_can_be_written(state: Path) -> None:
    recorder = Recorder(Settings(state=state), contracts.load("cobranza"))
    recorder.open()
    with failing("write", lambda n: True):
        recorder.refused([("1", "", "x")], "yo")
        assert recorder.problem is not None and "Input/output error" in recorder.problem
        recorder.tick()
        assert recorder.problem is not None
    recorder.tick()
    assert recorder.problem is None, "without a request"


def test_where_the_journal_is_optional_answers_go_out(full: Path) -> None:
    asked = client(full, journal="optional")
    assert asked.get(address()).status_code == 200
    assert len(problems(asked)) == 1


def test_without_a_journal_nothing_is_written(full: Path) -> None:
    asked = client(full, journal="off")
    assert asked.get(address(ref="x")).status_code == 200
    assert asked.get(address(im="x")).status_code == 400
    assert problems(asked) == [] and paths(full) == []


def test_with_a_damaged_key_only_who_sends_a_reference_gets_none(state: Path) -> None:
    """With another key no reference of before would be found again."""
    (state / NAME).write_text("zq7" * 20)
    asked = client(state)
    assert asked.get(address()).status_code == 200
    reply = asked.get(address(ref="x"))
    assert reply.status_code == 503
    assert (state / NAME).read_text() == "zq7" * 20
    (said,) = problems(asked)
    assert NAME in said and "zq7" not in said


def test_a_key_that_is_mended_is_taken_without_a_restart(
    state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    References(state)
    good = (state / NAME).read_bytes()
    (state / NAME).write_bytes(good[:-2])
    recorder = Recorder(Settings(state=state), contracts.load("cobranza"))
    recorder.open()
    recorder.tick()
    assert recorder.problem is not None and len(caplog.records) == 1, "said once"
    (state / NAME).write_bytes(good)
    recorder.tick()
    assert recorder.problem is None
    assert recorder.hashed("x") == References(state).hashed("x")


def test_the_key_is_read_at_the_start_and_never_in_a_request(state: Path) -> None:
    asked = client(state)
    (state / NAME).unlink()
    assert asked.get(address(ref="x")).status_code == 200
    assert not (state / NAME).exists()


@pytest.mark.parametrize(("mode", "seconds"), [("required", 1.0), ("off", 0.0)])
def test_health_says_what_is_promised(state: Path, mode: str, seconds: float) -> None:
    told = client(state, journal=mode, journal_sync_s=seconds).get("/health").json["diario"]
    assert (told["modo"], told["segundos"]) == (mode, seconds)


# Time (RELIABILITY C3)


def test_ids_stay_unique_and_the_order_is_that_of_the_file_when_the_clock_jumps(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = client(state)
    now = 1_790_000_000
    jumps = [0, 3600, -3600, 315_360_000, 0, 0, -1, 0]
    told = []
    for jump in jumps:
        monkeypatch.setattr("time.time_ns", lambda jump=jump: (now + jump) * 1_000_000_000)
        told += [asked.get(address()).json["id"] for _ in range(3)]
    assert len(set(told)) == len(told)
    assert [row["id"] for row in kept(state)] == told
    assert [records.milliseconds(id) // 1000 - now for id in told[::3]] == jumps


# What is told of outcomes


def test_a_list_of_which_nothing_is_kept_leaves_no_line_in_the_audit_log(state: Path) -> None:
    """Whoever may send outcomes could fill it, which is kept for ever."""
    app, audit = client(state), Audit(state)
    before = len(list(audit.all()))
    bad = {"pagado": "quizás"}
    for body in ([], [bad], [bad] * 1000):
        reply = app.post("/resultados", json=body)
        assert (reply.status_code, reply.json["aceptados"]) == (200, 0)
    assert len(list(audit.all())) == before
    good = {"ref": "EXP-1", "pagado": True, "fecha": "2026-01-31"}
    assert app.post("/resultados", json=[good, bad]).json["aceptados"] == 1
    (told,) = audit.tail(1)
    assert (told.event, told.facts) == ("outcomes.loaded", {"accepted": 1, "refused": 1})


@pytest.mark.parametrize("ref", ["\ud800", "a\x00b", "\u202ea"])
@pytest.mark.parametrize("route", ["exportar", "borrar"])
def test_a_reference_that_nobody_can_have_is_refused(state: Path, route: str, ref: str) -> None:
    """Half a letter cannot be hashed, and is no damage of the key."""
    app = client(state)
    References(state)
    database.open_store(Settings(state=state)).dispose()
    body = json.dumps({"ref": ref} | ({"motivo": "pruebas"} if route == "borrar" else {}))
    reply = app.post(f"/personas/{route}", data=body, content_type="application/json")
    assert reply.status_code == 400
    assert [one["codigo"] for one in reply.json["errores"]] == ["caracter_de_control"]
