"""Every code has its sentence in both languages, and no sentence carries a received value."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

import propensia
from propensia import contract as contracts
from propensia import faults
from propensia.admission import refusal
from propensia.admission.refusal import Refusal
from propensia.contract import Contract
from propensia.faults import Fault
from propensia.web import problems, refused
from propensia.web.problems import problem
from propensia.web.query import OPTION_ADMITS, OPTIONS, QueryReader

PACKAGE = Path(propensia.__file__).parent

# Who takes a code, at which place, and where its texts are.
TAKERS: dict[str, tuple[int, Mapping[str, object]]] = {
    "Fault": (1, faults.TEXTS),
    "Note": (1, faults.TEXTS),
    "_Unreadable": (0, faults.TEXTS),
    "Unreadable": (0, faults.TEXTS),
    "fault": (0, faults.TEXTS),
    "problem": (0, refused.KINDS),
    "refusal": (0, refused.KINDS),
    "Denied": (0, refused.KINDS),
    "Refusal": (0, refusal.TEXTS),
    "_tell_refused": (1, refusal.TEXTS),
}


def used_codes() -> list[tuple[str, str, str]]:
    """Every ``(taker, code, file)`` written out in the package."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
            place = TAKERS.get(str(name), (99, {}))[0]
            for argument in node.args[place : place + 1]:
                if isinstance(argument, ast.Starred):
                    continue
                for part in ast.walk(argument):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        found.append((str(name), part.value, path.name))
    return found


def test_every_code_that_is_used_has_a_text() -> None:
    used = used_codes()
    assert {name for name, _, _ in used} >= {"Fault", "Note", "problem", "Refusal"}
    assert len(used) > 60, "the search finds the codes no longer: mend it"
    without = [(name, code, file) for name, code, file in used if code not in TAKERS[name][1]]
    assert without == []


def test_every_text_is_used() -> None:
    """A code that nothing gives any more is a promise to callers that is not kept."""
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in PACKAGE.rglob("*.py")
        if path.name not in ("faults.py", "refusal.py", "refused.py")
    )
    texts = {*faults.TEXTS, *refused.KINDS, *refused.DETAILS, *refusal.TEXTS}
    assert [code for code in sorted(texts) if f'"{code}"' not in source] == []


OF_NO_PARAMETER = {
    "codificacion_no_valida",
    "parametro_desconocido",
    "cuerpo_no_utf8",
    "json_demasiado_profundo",
    "objeto_esperado",
    "lista_esperada",
    "falta_id_o_ref",
    "linea_no_valida",
    "nombre_repetido",
}


@pytest.mark.parametrize("name", refused.DETAILS)
def test_a_more_exact_detail_takes_the_place_of_the_usual_one(name: str) -> None:
    code, spanish, english = refused.DETAILS[name]
    told = [problem(code, "id1", language, exact=name).body for language in ("es", "en")]
    for body, detail in zip(told, (spanish, english), strict=True):
        before, _, more = detail.partition("{")
        assert body["detail"].startswith(before)
        assert body["detail"].endswith(more.rpartition("}")[2])
    usual = problem(code, "id1", "es").body
    assert told[0] == usual | {"detail": told[0]["detail"]} != usual


@pytest.mark.parametrize("code", faults.TEXTS)
def test_a_sentence_names_the_parameter_in_both_languages(code: str) -> None:
    spanish, english = (
        faults.sentence(code, "im{}", language, admits="<0-9>", used="71.99")
        for language in ("es", "en")
    )
    assert spanish != english
    if code not in OF_NO_PARAMETER:
        assert "im{}" in spanish and "im{}" in english
    template = faults.TEXTS[code]
    assert ("{admits}" in template[0]) == ("<0-9>" in english)


def test_the_contract_may_have_a_sentence_of_its_own(contract: Contract) -> None:
    for code in contract.own_faults:
        for language in ("es", "en"):
            told = faults.sentence(code, "cp", language, own=contract.own_faults)
            assert told.startswith("cp: ")


@pytest.mark.parametrize("code", refused.KINDS)
@pytest.mark.parametrize("language", ["es", "en"])
def test_a_problem_has_the_shape_that_is_promised(code: str, language: str) -> None:
    made = problem(code, "id1", language)
    body = json.loads(made.json())
    assert list(body) == ["type", "title", "status", "detail", "id", "errores"]
    assert body["type"] == f"urn:propensia:{code}"
    assert body["status"] == made.status
    assert (body["id"], body["errores"]) == ("id1", [])
    assert made.text().decode() == body["detail"] + "\n"
    assert (made.retry_s > 0) == (made.status in (429, 503))  # RFC 6585, 4 and RFC 9110, 15.6.4


def test_a_problem_may_know_better_than_the_table_when_to_try_again() -> None:
    made = problem("limite_superado", "id1", "es", retry_s=37)
    assert ("Retry-After", "37") in problems.refusal_headers(made)
    assert "espere 37 s" in made.body["detail"]


def test_all_faults_are_told_at_once_each_with_what_is_taken(contract: Contract) -> None:
    found = [Fault("er", "categoria_desconocida"), Fault("cp", "codigo_postal_no_valido")]
    found += [Fault("motivos", "opcion_no_valida"), Fault("", "codificacion_no_valida")]
    made = problem("peticion_no_valida", "x", "es", found, contract)
    errors = made.body["errores"]
    assert [error["parametro"] for error in errors] == ["er", "cp", "motivos", ""]
    assert errors[0]["admite"] == "EMP, PER, FU"
    assert errors[0]["mensaje"] == "er admite: EMP, PER, FU"
    assert "01 a 52" in errors[1]["mensaje"]
    assert made.text().decode().count("\n") == 4


@pytest.mark.parametrize("name", ["cobranza", "telco_churn"])
def test_the_most_reasons_that_can_be_asked_for_are_told(name: str) -> None:
    other = contracts.load(name)
    made = problem("peticion_no_valida", "x", "es", [Fault("motivos", "opcion_no_valida")], other)
    (error,) = made.body["errores"]
    most = len(other.parameters)
    assert error["mensaje"] == f"motivos admite: {error['admite']}"
    assert error["admite"] == f"0\u2013{most}"
    reader = QueryReader(other)
    assert reader.read(f"motivos={most}").faults == []
    assert reader.read(f"motivos={most + 1}").faults != []


def test_the_trace_of_an_error_names_its_last_places_and_nothing_else() -> None:
    def deeper(left: int) -> None:
        if left:
            deeper(left - 1)
        raise ValueError("417.6853")

    try:
        try:
            deeper(20)
        except ValueError as cause:
            raise KeyError("1931.0747") from cause
    except KeyError as error:
        assert problems.trace(error.__cause__ or error).count("tests/test_problems.py:") == 5
        own = problems.trace(error)
    assert re.fullmatch(r"KeyError at tests/test_problems\.py:[0-9]+", own)


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", "es"),
        ("fr, de", "es"),
        ("en-GB,en;q=0.9", "en"),
        ("es;q=0.4, en;q=0.6", "en"),
        ("es;q=0.6, en; q=0.4", "es"),
        ("EN-us", "en"),
        ("en;q=x", "es"),
    ],
)
def test_the_language_is_the_one_that_the_header_prefers(accept: str, language: str) -> None:
    assert problems.wanted_language(None, accept) == language


def test_what_an_option_takes_is_known_for_every_option() -> None:
    assert set(OPTION_ADMITS) == OPTIONS


@pytest.mark.parametrize("code", refusal.TEXTS)
def test_a_refusal_says_what_and_what_to_do_in_both_languages(code: str) -> None:
    refused = Refusal(code, "«detalle {x}»", "“detail {x}”")
    assert "«detalle {x}»" in refused.text("es")
    assert "“detail {x}”" in refused.text("en")
    for language in ("es", "en"):
        text = refused.text(language)
        assert text.count(". ") >= 1 or ": " in text
        assert text.endswith(".")


def test_a_refusal_without_a_text_cannot_be_made() -> None:
    with pytest.raises(KeyError, match="no_existe"):
        Refusal("no_existe", "x")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("sklearn.tree", "sklearn.tree"),
        ("a\nRECHAZADO b", "a\ufffdRECHAZADO b"),
        ("a\u202eb\x00\u200b", "a\ufffdb\ufffd\ufffd"),
        ("\ud800", "\ufffd"),
        ("x" * 80, "x" * 80),
        ("x" * 41 + "y" * 40, "x" * 39 + "…" + "y" * 40),
        ("x" * 10**6 + ".pkl", "x" * 39 + "…" + "x" * 36 + ".pkl"),
    ],
)
def test_a_name_out_of_a_file_can_forge_nothing(name: str, wanted: str) -> None:
    assert refusal.shown(name) == wanted
