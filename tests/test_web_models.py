"""``/modelos`` in one process: what is taken, refused and told; admission is a fake."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import tiny_models
from flask.testing import FlaskClient
from test_openapi import document, fits
from werkzeug.test import TestResponse

from propensia import admission, standing
from propensia.admission import Dropped, Outcome, Refusal
from propensia.admission.ladder import Finding
from propensia.contract import Contract
from propensia.locks import Lock
from propensia.publishing import UPLOAD_LOCK, Hand, Publishing
from propensia.registry import Registry
from propensia.settings import Settings
from propensia.web.app import create_app

BAD = b"bad"
Admit = Callable[..., Any]


def form(*parts: tuple[str, str, bytes]) -> tuple[bytes, str]:
    """A form with files, and its type (RFC 7578)."""
    head = '--limit\r\nContent-Disposition: form-data; name="{}"; filename="{}"\r\n\r\n'
    body = b"".join(head.format(*names).encode() + data + b"\r\n" for *names, data in parts)
    return body + b"--limit--\r\n", "multipart/form-data; boundary=limit"


@dataclass
class Site:
    """A service in this process, and what its admission was given."""

    chosen: Settings
    contract: Contract
    registry: Registry
    client: FlaskClient
    judged: list[Dropped]

    def publish(self, probability: float, **release: Any) -> str:
        version = self.candidate(probability)
        self.registry.publish(version, **{"cause": "prueba", "who": "yo"} | release)
        return version

    def candidate(self, probability: float, model: str = "modelo") -> str:
        onnx = tiny_models.constant(probability)
        version = tiny_models.add(self.registry, self.contract, onnx, [probability], model=model)
        sha256 = self.registry.manifest(version)["sha256"]
        verdict = {"version": version, "model": model, "sha256": sha256, "accepted": True}
        self.registry.record_verdict(sha256, verdict | {"why": "", "at": f"{probability}"})
        return version

    def upload(self, *parts: tuple[str, str, bytes], **headers: str) -> TestResponse:
        """Send files as a form: field, name, content."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body, kind = form(*parts or [("fichero", "m.pkl", b"1")])
        return self.client.post("/modelos", data=body, content_type=kind, headers=named)

    def decide(self, path: str, body: Any, **headers: str) -> TestResponse:
        text = body if isinstance(body, str | bytes) else json.dumps(body)
        kind = headers.pop("content_type", "application/json")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(f"/modelos/{path}", data=text, content_type=kind, headers=named)


@pytest.fixture
def site(registry: Registry, contract: Contract, monkeypatch: pytest.MonkeyPatch) -> Site:
    return made(registry, contract, monkeypatch)


@pytest.fixture
def four_eyed(registry: Registry, contract: Contract, monkeypatch: pytest.MonkeyPatch) -> Site:
    return made(registry, contract, monkeypatch, four_eyes=True)


def made(
    registry: Registry, contract: Contract, monkeypatch: pytest.MonkeyPatch, **changes: Any
) -> Site:
    chosen = Settings(state=registry.state, models=registry.state / "models")
    chosen = replace(chosen, max_file_mb=1, **changes)
    client = create_app(chosen, background=False).test_client()
    site = Site(chosen, contract, registry, client, [])
    monkeypatch.setattr(admission, "admit", accepting(site))
    return site


def accepting(site: Site) -> Admit:
    def admit(dropped: Dropped, *rest: Any, force: bool, who: str) -> Any:
        site.judged.append(dropped)
        refusal = (
            Refusal("no_entrenado", "de prueba", "of a test") if dropped.data == BAD else None
        )
        if dropped.sidecar == BAD:
            refusal = Refusal("ficha_no_valida", "de prueba", "of a test")
        if refusal is None:
            tiny_models.add(
                site.registry,
                site.contract,
                dropped.data,
                version=dropped.version,
                sha256=dropped.sha256,
                model=dropped.model,
            )
            _rename(site.registry, dropped)
        verdict = {
            "version": dropped.version,
            "model": dropped.model,
            "sha256": dropped.sha256,
            "accepted": refusal is None,
            "why": "",
            "at": "2026",
            "contract": site.contract.fingerprint,
        }
        site.registry.record_verdict(dropped.sha256, verdict)
        checks = [Finding("entero", "bien", "Está entero.")]
        return verdict, Outcome(refusal, checks, {}, {}, "informe")

    return admit


def _rename(registry: Registry, dropped: Dropped) -> None:
    """``tiny_models`` names a version by its graph alone; one with a sidecar has another id."""
    graph = Dropped("", dropped.data).version
    if graph != dropped.version:
        registry.part(graph, "").rename(registry.part(dropped.version, ""))


def errors(reply: TestResponse) -> list[tuple[str, str]]:
    assert reply.mimetype == "application/problem+json" and reply.json is not None
    return [(error["parametro"], error["codigo"]) for error in reply.json["errores"]]


# Handing in


def test_a_good_file_is_published_and_its_checks_are_told(site: Site) -> None:
    before = site.publish(0.1)
    reply = site.upload(("fichero", "cobros 2026-10.pkl", b"1"))
    version = Dropped("", b"1").version
    assert (reply.status_code, reply.json) == (
        201,
        {
            "version": version,
            "modelo": "cobros 2026-10",
            "estado": "activa",
            "publicacion": 2,
            "comprobaciones": [
                {"nombre": "entero", "resultado": "bien", "mensaje": "Está entero."}
            ],
            "avisos": [],
        },
    )
    current = site.registry.current()
    assert current is not None and (current.cause, current.who) == ("subida", "esta máquina")
    assert site.client.get("/modelos").json["anterior"] == before
    hands = Publishing(site.chosen, site.contract, site.registry).hands(site.judged[0].sha256)
    assert hands == [Hand("http", "esta máquina")]


def test_the_same_again_is_not_judged_and_changes_nothing(site: Site) -> None:
    site.upload()
    reply = site.upload(("fichero", "otro.pkl", b"1"))
    assert reply.status_code == 201 and reply.json is not None
    assert [note["codigo"] for note in reply.json["avisos"]] == ["ya_comprobada", "ya_activa"]
    assert (reply.json["estado"], reply.json["publicacion"]) == ("activa", 1)
    assert len(site.judged) == site.registry.current_number() == 1


def test_what_was_served_before_comes_back_by_being_handed_in_again(site: Site) -> None:
    first = site.upload().json
    site.upload(("fichero", "n.pkl", b"2"))
    again = site.upload().json
    assert first is not None and again is not None
    assert (again["version"], again["estado"], again["publicacion"]) == (
        first["version"],
        "activa",
        3,
    )


@pytest.mark.parametrize(
    ("name", "release", "reason"),
    [
        ("m_2026-09.pkl", {}, "su mes (202609) es anterior"),
        ("n.pkl", {"pinned": True}, "está fijada"),
    ],
)
def test_it_waits_for_the_reasons_for_which_a_dropped_file_does(
    name: str, release: dict[str, Any], reason: str, site: Site
) -> None:
    site.registry.publish(site.candidate(0.1, "m_2026-10"), cause="prueba", who="yo", **release)
    reply = site.upload(("fichero", name, b"1"))
    assert reply.status_code == 201 and reply.json is not None
    assert (reply.json["estado"], reply.json["publicacion"]) == ("candidata", None)
    (note,) = reply.json["avisos"]
    assert note["codigo"] == "espera" and reason in note["mensaje"]
    rows = {row["version"]: row for row in site.client.get("/modelos").json["modelos"]}
    assert reason in rows[reply.json["version"]]["motivo"]


@pytest.mark.parametrize(
    ("part", "field", "code"),
    [
        (("fichero", "m.pkl", BAD), "fichero", "no_entrenado"),
        (("ficha", "m.json", BAD), "ficha", "ficha_no_valida"),
    ],
)
def test_a_refused_file_is_told_with_its_code_and_nothing_is_published(
    part: tuple[str, str, bytes], field: str, code: str, site: Site
) -> None:
    parts = [part] if field == "fichero" else [("fichero", "m.pkl", b"1"), part]
    reply = site.upload(*parts, accept_language="en")
    assert (reply.status_code, errors(reply)) == (422, [(field, code)])
    assert reply.json is not None and reply.json["type"] == "urn:propensia:modelo_rechazado"
    (error,) = reply.json["errores"]
    assert error["mensaje"] == Refusal(code, "de prueba", "of a test").text("en")
    assert site.registry.current() is None


@pytest.mark.parametrize(
    ("sent", "shown", "model"),
    [
        ("../../etc/x.pkl", "x.pkl", "x"),
        ("C:\\\\Users\\\\ana\\\\m.pkl", "m.pkl", "m"),
        ("a\u202eb\x07.pkl", "a\ufffdb\ufffd.pkl", "a\ufffdb\ufffd"),
        ("n\u0303.joblib", "\u00f1.joblib", "\u00f1"),
        (".pkl", ".pkl", ".pkl"),
        ("x" * 300 + ".pkl", f"{'x' * 39}\u2026{'x' * 36}.pkl", f"{'x' * 39}\u2026{'x' * 36}"),
    ],
)
def test_a_name_is_cleaned_and_is_never_that_of_a_file(
    sent: str, shown: str, model: str, site: Site
) -> None:
    assert site.upload(("fichero", sent, b"1")).status_code == 201
    assert site.judged[0].model == model
    current = site.registry.current()
    assert current is not None and current.why == shown


def test_a_sidecar_is_part_of_the_version(site: Site) -> None:
    reply = site.upload(("fichero", "m.pkl", b"1"), ("ficha", "m.json", b"{}"))
    assert reply.json is not None
    assert reply.json["version"] == Dropped("", b"1", b"{}").version
    assert site.judged[0].sidecar == b"{}"


@pytest.mark.parametrize(("signatures", "taken"), [("off", None), ("required", b"signature")])
def test_a_signature_counts_only_where_one_is_asked_for(
    signatures: str,
    taken: bytes | None,
    registry: Registry,
    contract: Contract,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = made(registry, contract, monkeypatch, signatures=signatures)
    for _ in range(2):
        site.upload(("fichero", "m.pkl", b"1"), ("firma", "m.pkl.sig", b"signature"))
    assert [one.signature for one in site.judged] == [taken] * (2 if taken else 1)


@pytest.mark.parametrize(
    ("parts", "status", "told"),
    [
        ([("otro", "m.pkl", b"1")], 400, [("fichero", "parametro_ausente")]),
        ([("fichero", "", b"")], 400, [("fichero", "parametro_ausente")]),
        (
            [("fichero", "a", b"1"), ("fichero", "b", b"2")],
            400,
            [("fichero", "parametro_repetido")],
        ),
        ([("fichero", "m.pkl", b"x" * (1 << 20) + b"x")], 413, [("fichero", "fuera_de_rango")]),
        (
            [("fichero", "m", b"1"), ("ficha", "m", b"x" * (1 << 20) + b"x")],
            413,
            [("ficha", "fuera_de_rango")],
        ),
    ],
)
def test_a_form_that_brings_no_file_or_too_much_is_refused_unjudged(
    parts: list[tuple[str, str, bytes]], status: int, told: list[tuple[str, str]], site: Site
) -> None:
    reply = site.upload(*parts)
    assert (reply.status_code, errors(reply), site.judged) == (status, told, [])


def test_a_file_of_just_the_largest_size_is_taken(site: Site) -> None:
    assert site.upload(("fichero", "m.pkl", b"x" * (1 << 20))).status_code == 201


def test_an_empty_choice_of_a_sidecar_is_none(site: Site) -> None:
    """What a page of a browser sends where nobody chose a file."""
    assert site.upload(("fichero", "m.pkl", b"1"), ("ficha", "", b"")).status_code == 201
    assert site.judged[0].sidecar is None


def test_a_sidecar_that_is_sent_as_a_text_is_not_lost_without_a_word(site: Site) -> None:
    data = {"fichero": (io.BytesIO(b"1"), "m.pkl"), "ficha": "{}"}
    reply = site.client.post("/modelos", data=data)
    assert (reply.status_code, errors(reply)) == (400, [("ficha", "opcion_no_valida")])
    assert site.judged == []


@pytest.mark.parametrize("kind", ["application/json", "application/octet-stream", "", "x"])
def test_what_is_no_form_is_refused(kind: str, site: Site) -> None:
    reply = site.client.post("/modelos", data=b"1", content_type=kind)
    assert (reply.status_code, errors(reply)) == (415, [("fichero", "opcion_no_valida")])


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"1"),
        ("multipart/form-data; boundary=x", b"1"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n--x--"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name="),
    ],
)
def test_a_broken_form_is_refused_by_a_4xx(kind: str, body: bytes, site: Site) -> None:
    reply = site.client.post("/modelos", data=body, content_type=kind)
    assert 400 <= reply.status_code < 500 and site.judged == []


def test_a_second_file_at_the_same_time_is_told_to_come_back(site: Site) -> None:
    with Lock(site.registry.state / UPLOAD_LOCK):
        reply = site.upload()
        assert reply.status_code == 503 and int(reply.headers["Retry-After"]) > 0
        assert reply.json is not None and reply.json["type"] == "urn:propensia:ocupado"
    assert site.judged == []
    assert site.upload().status_code == 201


def test_a_release_of_somebody_else_meanwhile_leaves_a_candidate(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = site.candidate(0.3)
    publish = site.registry.publish

    def late(self: Registry, *arguments: Any, **options: Any) -> Any:
        monkeypatch.undo()
        publish(first, cause="prueba", who="yo")
        return publish(*arguments, **options)

    monkeypatch.setattr(Registry, "publish", late)
    reply = site.upload()
    assert reply.status_code == 201 and reply.json is not None
    assert reply.json["estado"] == "candidata"
    assert "se publicó otra mientras" in reply.json["avisos"][0]["mensaje"]


# Looking


def test_the_list_says_what_answers_with_which_threshold_and_who_decided_it(site: Site) -> None:
    nothing = site.client.get("/modelos").json
    assert nothing == dict.fromkeys(("activa", "anterior", "publicacion", "umbral")) | {
        "modelos": []
    }
    first = site.publish(0.1, why="septiembre", who="eva")
    second = site.publish(0.2, threshold=0.25, why="octubre", who="ana")
    third = site.candidate(0.3)
    site.registry.publish(second, cause="threshold", threshold=0.75, why="menos", who="sol")
    bad = {"version": "e" * 12, "model": "m", "sha256": "e" * 64, "accepted": False}
    site.registry.record_verdict("e" * 64, bad | {"why": "está roto", "at": "9"})
    shape = site.client.get("/modelos").json
    told = ("activa", "anterior", "publicacion", "umbral")
    assert [shape[key] for key in told] == [second, first, 3, 0.75]
    keys = ("version", "estado", "publicacion", "umbral", "quien", "motivo")
    assert [tuple(row[key] for key in keys) for row in shape["modelos"]] == [
        (first, "anterior", 1, 0.5, "eva", "septiembre"),
        (second, "activa", 3, 0.75, "sol", "menos"),
        (third, "candidata", None, 0.5, None, ""),
        ("e" * 12, "rechazada", None, None, None, "está roto"),
    ]
    schema = document()["components"]["schemas"]["Modelos"]
    assert fits(document(), schema, shape) and fits(document(), schema, nothing)


def test_the_list_names_a_version_whose_files_are_gone(site: Site) -> None:
    first = site.publish(0.1)
    site.publish(0.2)
    site.registry.part(first, "manifest.json").unlink()
    row = site.client.get("/modelos").json["modelos"][0]
    assert (row["version"], row["publicacion"], row["umbral"]) == (first, 1, None)


# Deciding


def test_a_version_is_activated_with_a_reason_and_a_threshold(site: Site) -> None:
    first, second = site.publish(0.1), site.candidate(0.2, "m")
    reply = site.decide(f"{second}/activar", {"motivo": " octubre ", "umbral": 0.25})
    assert (reply.status_code, reply.json) == (
        200,
        {
            "publicacion": 2,
            "version": second,
            "modelo": "m",
            "anterior": first,
            "umbral": 0.25,
        },
    )
    current = site.registry.current()
    assert current is not None
    assert (current.why, current.who, current.cause) == ("octubre", "esta máquina", "activar")
    for body in ({"motivo": "octubre"}, {"motivo": "otra vez", "umbral": 0.25}):
        assert site.decide(f"{second}/activar", body).json == reply.json
    assert site.registry.current_number() == 2


@pytest.mark.parametrize("umbral", [0, 1, 0.5])
def test_a_threshold_is_any_number_from_0_to_1(umbral: float, site: Site) -> None:
    version = site.candidate(0.2)
    reply = site.decide(f"{version}/activar", {"motivo": "x", "umbral": umbral})
    assert reply.json is not None and reply.json["umbral"] == umbral


def test_rollback_goes_back_and_again_is_forth_unless_it_says_from_where(site: Site) -> None:
    first, second = site.publish(0.1), site.publish(0.2)
    seen = {"motivo": "x", "publicacion": 2}
    reply = site.decide("rollback", seen).json
    assert reply == {
        "publicacion": 3,
        "version": first,
        "modelo": "modelo",
        "anterior": second,
        "umbral": 0.5,
    }
    assert site.decide("rollback", seen).status_code == 409
    named = {"motivo": "x", "version": first, "publicacion": 2}
    assert site.decide("rollback", named).json == reply
    again = site.decide("rollback", {"motivo": "x"}).json
    assert again is not None and again["version"] == second


@pytest.mark.parametrize(
    ("version", "status", "code"),
    [
        ("000000000000", 404, "version_desconocida"),
        ("eeeeeeeeeeee", 409, "version_rechazada"),
        ("nada", 404, "version_desconocida"),
    ],
)
@pytest.mark.parametrize("how", ["activar", "rollback"])
def test_a_version_that_cannot_be_published_is_told(
    how: str, version: str, status: int, code: str, site: Site
) -> None:
    site.publish(0.1)
    verdict = {"version": "e" * 12, "model": "m", "sha256": "e" * 64, "accepted": False}
    site.registry.record_verdict("e" * 64, verdict | {"why": "x", "at": ""})
    body = {"motivo": "x"} | ({"version": version} if how == "rollback" else {})
    reply = site.decide(how if how == "rollback" else f"{version}/activar", body)
    assert (reply.status_code, errors(reply)) == (status, [("version", code)])
    english = site.decide(
        how if how == "rollback" else f"{version}/activar?idioma=en", body, accept_language="en"
    )
    assert english.json["errores"] != reply.json["errores"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, [("motivo", "parametro_ausente")]),
        ({"motivo": " \t"}, [("motivo", "parametro_ausente")]),
        ({"motivo": None}, [("motivo", "parametro_ausente")]),
        ({"motivo": "x" * 201}, [("motivo", "texto_demasiado_largo")]),
        (
            {"motivo": 1, "umbral": "0.5", "publicacion": 0},
            [
                ("motivo", "tipo_no_valido"),
                ("umbral", "tipo_no_valido"),
                ("publicacion", "fuera_de_rango"),
            ],
        ),
        ({"motivo": ["x"]}, [("motivo", "tipo_no_valido")]),
        ({"motivo": None}, [("motivo", "parametro_ausente")]),
        ({"motivo": "x", "umbral": True}, [("umbral", "tipo_no_valido")]),
        ('{"motivo": "x", "umbral": ' + "9" * 5_000 + "}", [("umbral", "fuera_de_rango")]),
        ({"motivo": "x", "umbral": 1.0001}, [("umbral", "fuera_de_rango")]),
        ({"motivo": "x", "umbral": -0.1}, [("umbral", "fuera_de_rango")]),
        ('{"motivo": "x", "umbral": 1e999}', [("umbral", "fuera_de_rango")]),
        ({"motivo": "x", "publicacion": 1.5}, [("publicacion", "no_es_entero")]),
        ({"motivo": "x", "publicacion": True}, [("publicacion", "tipo_no_valido")]),
        ({"motivo": "x", "publicacion": "2"}, [("publicacion", "tipo_no_valido")]),
    ],
)
def test_everything_wrong_with_an_order_is_told_at_once(
    body: Any, told: list[tuple[str, str]], site: Site
) -> None:
    reply = site.decide(f"{site.candidate(0.2)}/activar", body)
    assert (reply.status_code, errors(reply)) == (400, told)
    assert site.registry.current() is None


@pytest.mark.parametrize("why", ["x", "\N{EM DASH}", " ñ ", "x" * 200, "x" * 201, "", " \t"])
def test_the_document_takes_the_reasons_that_are_taken(why: str, site: Site) -> None:
    reply = site.decide(f"{site.candidate(0.2)}/activar", {"motivo": why})
    schema = {"$ref": "#/components/schemas/Activar"}
    assert (reply.status_code == 200) == fits(document(), schema, {"motivo": why})


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", ("1:1", "json_no_valido")),
        (b"[]", ("", "objeto_esperado")),
        (b"1", ("", "objeto_esperado")),
        (b"{", ("1:2", "json_no_valido")),
        (b'{"motivo": "x", "otro": 1}', ("otro", "nombre_desconocido")),
        (b'{"motivo": "x", "417.6853": 1}', ("?", "nombre_desconocido")),
        (b'{"motivo": "x", "motivo": "y"}', ("", "nombre_repetido")),
        (b'{"motivo": NaN}', ("NaN", "constante_no_valida")),
        (b'{"motivo": "\xff"}', ("", "cuerpo_no_utf8")),
        (b"[" * 60_000, ("", "json_demasiado_profundo")),
    ],
)
def test_a_body_that_is_no_such_object_is_refused_with_the_reason(
    body: bytes, told: tuple[str, str], site: Site
) -> None:
    reply = site.decide(f"{site.candidate(0.2)}/activar", body)
    assert reply.status_code == 400 and reply.json is not None
    assert reply.json["type"] == "urn:propensia:cuerpo_no_valido"
    assert errors(reply) == [told]


def test_a_field_that_is_null_was_not_sent(site: Site) -> None:
    version = site.candidate(0.2)
    nothing = {"motivo": "x", "umbral": None, "publicacion": None}
    reply = site.decide(f"{version}/activar", nothing)
    assert reply.json is not None and reply.json["umbral"] == 0.5
    back = site.decide("rollback", {"motivo": "x", "version": None})
    assert errors(back) == [("version", "sin_anterior")]


def test_a_decision_that_is_not_sent_as_json_is_refused(site: Site) -> None:
    version = site.candidate(0.2)
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        reply = site.decide(f"{version}/activar", b'{"motivo": "x"}', content_type=kind)
        assert reply.status_code == 415
    assert site.registry.current() is None


def test_a_reason_forges_no_line_wherever_it_is_shown(site: Site) -> None:
    version = site.candidate(0.2)
    site.decide(f"{version}/activar", {"motivo": "a\nACEPTADO\x1b[2J\ud800\u202eb"})
    current = site.registry.current()
    assert current is not None and current.why == "a\ufffdACEPTADO\ufffd[2J\ufffd\ufffdb"


# Four eyes


def test_who_handed_in_may_not_decide_and_reads_why(four_eyed: Site) -> None:
    version = four_eyed.candidate(0.2)
    desk = Publishing(four_eyed.chosen, four_eyed.contract, four_eyed.registry)
    sha256 = four_eyed.registry.manifest(version)["sha256"]
    desk.hand_in(sha256, Hand("http", "Esta máquina"))
    for path, body in (
        (f"{version}/activar", {"motivo": "x"}),
        ("rollback", {"motivo": "x", "version": version}),
    ):
        reply = four_eyed.decide(path, body)
        assert (reply.status_code, errors(reply)) == (403, [("version", "misma_persona")])
        assert "la entregó usted" in reply.json["errores"][0]["mensaje"]
        # Another key would not help: it is the person that counts.
        assert reply.json["detail"].startswith("Tiene que decidirlo otra persona")
    assert four_eyed.registry.current() is None


def test_an_upload_of_what_was_served_before_waits_too(four_eyed: Site) -> None:
    """Or whoever may hand files in would decide which of them answers."""
    first = four_eyed.upload().json
    assert first is not None
    four_eyed.registry.publish(first["version"], cause="prueba", who="yo")
    four_eyed.publish(0.1)
    again = four_eyed.upload().json
    assert again is not None and (again["estado"], again["publicacion"]) == ("candidata", None)
    assert standing.SERVED in again["avisos"][-1]["mensaje"]
    assert four_eyed.registry.current_number() == 2


def test_an_upload_waits_even_where_nothing_was_ever_published(four_eyed: Site) -> None:
    reply = four_eyed.upload()
    assert reply.status_code == 201 and reply.json is not None
    assert (reply.json["estado"], reply.json["publicacion"]) == ("candidata", None)
    assert standing.FOUR_EYES in reply.json["avisos"][0]["mensaje"]
    (row,) = four_eyed.client.get("/modelos").json["modelos"]
    assert (row["estado"], row["motivo"]) == ("candidata", standing.FOUR_EYES)
    assert four_eyed.registry.current() is None
