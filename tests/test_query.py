"""The query string is read strictly: exactly once each, in UTF-8, and nothing is guessed."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensia import contract as contracts
from propensia.contract import Contract
from propensia.faults import Fault, Note
from propensia.web.query import Query, QueryReader

CONTRACT = contracts.load("cobranza")
READER = QueryReader(CONTRACT)
NAMES = [parameter.name for parameter in CONTRACT.parameters]


def codes(query: Query) -> list[tuple[str, str]]:
    return [(fault.parameter, fault.code) for fault in query.faults]


def on_the_wire(data: bytes) -> str:
    """The bytes of an address as WSGI hands them over."""
    return data.decode("latin-1")


def test_the_documented_address(contract: Contract) -> None:
    raw = "&".join(f"{name}={text}" for name, text in contract.example().items())
    query = READER.read(raw)
    assert query.texts == contract.example()
    assert (query.options, query.notes, query.faults) == ({}, [], [])


@given(st.dictionaries(st.sampled_from([*NAMES, "ref"]), st.text(max_size=20), max_size=13))
def test_every_text_that_is_escaped_comes_back(texts: dict[str, str]) -> None:
    """Whatever a browser or library escapes: markup, ampersands, accents, controls."""
    raw = "&".join(f"{name}={quote(text, safe='')}" for name, text in texts.items())
    query = READER.read(raw)
    assert query.texts | query.options == texts


@given(st.binary(max_size=60))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    query = READER.read(on_the_wire(data))
    assert all(name in NAMES for name in query.texts)


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("po=N%2FA", "N/A"),
        ("po=N/A", "N/A"),
        ("po=a+b", "a b"),
        ("po=a%2Bb", "a+b"),
        ("po=a%20b", "a b"),
        ("po=a%26er%3DX", "a&er=X"),
        ("po=a=b", "a=b"),
        ("po==", "="),
        ("po=", ""),
        ("po", ""),
        ("po=%C3%B1", "ñ"),
        ("po=%c3%b1", "ñ"),
        (on_the_wire("po=ñ".encode()), "ñ"),
        ("po=%00", "\x00"),
        ("po=%0D%0AX", "\r\nX"),
        ("po=%2500", "%00"),
        ("%70%6F=SI", "SI"),
        ("po=%EF%BC%91", "\uff11"),
        ("po=a;er=b", "a;er=b"),
        ("&&po=SI&", "SI"),
        ("po=" + "9" * 2045, "9" * 2045),
    ],
)
def test_one_text_as_it_is_written(raw: str, wanted: str) -> None:
    query = READER.read(raw)
    assert query.texts == {"po": wanted}
    assert (query.faults, query.notes) == ([], [])


@pytest.mark.parametrize(
    "raw",
    [
        "po=%FF",
        "po=%zz",
        "po=%",
        "po=5%",
        "po=%4",
        "po=%C3",
        "po=%C0%80",
        "po=%ED%A0%80",
        "po=%u00e1",
        on_the_wire("po=peña".encode("latin-1")),
        "%FF=1",
    ],
)
def test_what_is_not_utf8_or_a_broken_escape_is_one_fault_of_the_request(raw: str) -> None:
    query = READER.read(f"{raw}&er=EMP&{raw}")
    assert codes(query) == [("", "codificacion_no_valida")]
    assert query.broken
    assert query.texts == {"er": "EMP"}


@pytest.mark.parametrize("raw", ["er=EMP&er=EMP", "er=EMP&%65r=PER", "er=EMP&er"])
def test_a_parameter_twice_is_a_fault(raw: str) -> None:
    assert codes(READER.read(raw)) == [("er", "parametro_repetido")]


def test_two_parameters_are_told_and_one_that_is_there_three_times_is_told_once() -> None:
    assert codes(READER.read("er=1&er=2&er=3&im=1&im=1")) == [
        ("er", "parametro_repetido"),
        ("im", "parametro_repetido"),
    ]


def test_an_unknown_parameter_is_ignored_and_named() -> None:
    query = READER.read("er=EMP&_=1700000000&ER=PER")
    assert query.texts == {"er": "EMP"}
    assert query.notes == [
        Note("_", "parametro_desconocido", None),
        Note("ER", "parametro_desconocido", None),
    ]
    assert query.faults == []


@pytest.mark.parametrize("raw", ["x" * 1000 + "=1", "%3Cscript%3E" * 50])
def test_the_name_of_an_unknown_parameter_is_cut(raw: str) -> None:
    (note,) = READER.read(raw).notes
    assert len(note.parameter) == 32
    assert note.used is None


def test_a_flood_of_unknown_parameters_makes_a_bounded_answer() -> None:
    notes = READER.read("&".join(f"x{i}=1" for i in range(300))).notes
    assert [note.parameter for note in notes] == [f"x{i}" for i in range(20)]


def test_an_escaped_equals_sign_in_a_name_makes_no_parameter() -> None:
    query = READER.read("er%3DEMP")
    assert query.texts == {}
    assert [note.code for note in query.notes] == ["parametro_desconocido"]


# Length


@pytest.mark.parametrize("part", ["er=&", "%&", "er=EMP&formato=texto&"])
def test_what_is_too_long_is_not_read_at_all(part: str) -> None:
    """The work of reading must not be the sender's choice."""
    at_the_limit = (part * 2048)[:2048]
    assert not READER.read(at_the_limit).too_long
    assert READER.read(at_the_limit + "&") == Query({}, {}, too_long=True)
    assert READER.read(part * 10**5) == Query({}, {}, too_long=True)


def test_faults_that_repeat_are_not_looked_up_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Comparing each with every fault before it is what made a long address slow."""
    compared: list[object] = []
    monkeypatch.setattr(Fault, "__eq__", lambda one, other: bool(compared.append(other)))
    query = READER.read("er=&" * 250 + "%&" * 500)
    assert [fault.code for fault in query.faults] == [
        "parametro_repetido",
        "codificacion_no_valida",
    ]
    assert query.broken
    assert compared == []


# Options


@pytest.mark.parametrize(
    ("raw", "form", "reasons"),
    [
        ("", None, 0),
        ("formato=json", "json", 0),
        ("formato=texto", "text", 0),
        ("formato=html&motivos=3", "html", 3),
        ("motivos=0", None, 0),
        ("motivos=13", None, 13),
        ("motivos=03", None, 3),
        ("formato=json&idioma=en", "json", 0),
    ],
)
def test_what_the_options_say(raw: str, form: str | None, reasons: int) -> None:
    query = READER.read(raw)
    assert (query.faults, query.notes) == ([], [])
    assert (query.form, query.reasons) == (form, reasons)


@pytest.mark.parametrize(
    "raw",
    [
        "formato=xml",
        "formato=JSON",
        "formato=",
        "formato",
        "idioma=fr",
        "idioma=",
        "motivos=14",
        "motivos=-1",
        "motivos=",
        "motivos=tres",
        "motivos=1.0",
        "motivos=%EF%BC%91",
        "motivos=%C2%B2",
        "motivos=00000003",
        "motivos=0001",
        "motivos=00014",
        "motivos=" + "9" * 2000,
    ],
)
def test_an_option_that_is_none_is_a_fault(raw: str) -> None:
    query = READER.read(raw)
    name = raw.partition("=")[0]
    assert codes(query) == [(name, "opcion_no_valida")]
    assert query.form is None


@pytest.mark.parametrize("name", ["ref", "formato", "idioma", "motivos"])
def test_an_option_twice_is_a_fault(name: str) -> None:
    value = {"ref": "a", "formato": "json", "idioma": "es", "motivos": "1"}[name]
    query = READER.read(f"{name}={value}&{name}={value}")
    assert codes(query) == [(name, "parametro_repetido")]


def test_a_reference_is_kept_as_it_was_sent() -> None:
    assert READER.read("ref=Caso%20N%C2%BA%207%2Fb").options == {"ref": "Caso Nº 7/b"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x" * 65, "texto_demasiado_largo"),
        ("a%0D%0Ab", "caracter_de_control"),
        ("a%00", "caracter_de_control"),
        ("%E2%80%AEa", "caracter_de_control"),
        ("%1B%5B31m", "caracter_de_control"),
    ],
)
def test_a_reference_that_could_forge_something_is_a_fault(text: str, code: str) -> None:
    assert codes(READER.read(f"ref={text}")) == [("ref", code)]


@pytest.mark.parametrize("text", ["x" * 64, "%C3%B1" * 64])
def test_a_reference_may_have_64_characters(text: str) -> None:
    assert READER.read(f"ref={text}").faults == []


# A contract that keeps the habits of the server before


FORGIVING = QueryReader(replace(CONTRACT, bad_utf8="replace", repeated="first"))


def test_a_forgiving_contract_takes_the_first_and_replaces_what_it_cannot_read() -> None:
    query = FORGIVING.read("er=EMP&er=PER&po=%FF&vt=%zz&vf=%C3%B1")
    assert query.texts == {"er": "EMP", "po": "\ufffd", "vt": "%zz", "vf": "ñ"}
    assert query.faults == []


def test_a_fault_is_a_plain_value() -> None:
    assert Fault("er", "sin_dato") == Fault("er", "sin_dato")
