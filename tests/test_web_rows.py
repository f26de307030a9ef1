"""JSON bodies are read strictly, and into what an address would have said."""

from __future__ import annotations

import codecs
import json
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensia import contract as contracts
from propensia.web.query import MOST_NOTES, Query, QueryReader
from propensia.web.rows import STRICT, BadBody, RowReader, content, is_json, json_content

CONTRACT = contracts.load("cobranza")
READER = RowReader(CONTRACT)
NOTHING = Query({}, {})
NAMES = st.sampled_from([parameter.name for parameter in CONTRACT.parameters])


def row(text: str | bytes, query: str = "") -> Query:
    data = text.encode() if isinstance(text, str) else text
    return READER.row(STRICT.read(data), READER.options(query))


def codes(query: Query) -> list[tuple[str, str]]:
    return [(fault.parameter, fault.code) for fault in query.faults]


def environ(body: bytes, **more: str) -> Any:
    return {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))} | more


@pytest.mark.parametrize(
    "number",
    [
        "263.68",
        "3",
        "3.0",
        "-0",
        "0.1e1",
        "1E400",
        "1e-7",
        "2.6368e+2",
        "8" * 5000,
        "0.1" + "0" * 99,
    ],
)
def test_a_number_keeps_the_digits_that_were_sent(number: str) -> None:
    assert row(f'{{"im": {number}}}').texts == {"im": number}


@given(
    st.dictionaries(st.sampled_from([p.name for p in CONTRACT.parameters]), st.text(max_size=9))
)
def test_texts_are_read_as_an_address_gives_them(texts: dict[str, str]) -> None:
    assert row(json.dumps(texts)).texts == texts


def test_null_is_no_data_and_an_option_that_is_null_was_not_sent() -> None:
    read = row('{"ed": null, "ref": null, "motivos": null}')
    assert (read.texts, read.options, read.faults) == ({"ed": ""}, {}, [])


def test_null_is_no_data_in_every_shipped_contract() -> None:
    for name in contracts.shipped():
        contract = contracts.load(name)
        some = contract.parameters[0].name
        value: Any = ((some, None),)
        assert RowReader(contract).row(value, NOTHING).texts[some] in contract.no_data


def test_features_and_short_names_mix() -> None:
    read = row('{"ESCENARIO_RECOBRO": "EMP", "po": "NO", "DEUDA_TOTAL": 7}')
    assert read.texts == {"er": "EMP", "po": "NO", "dt": "7"}
    assert read.notes == [] and read.faults == []


@pytest.mark.parametrize(
    "text",
    [
        '{"er": "EMP", "er": "EMP"}',
        '{"er": "EMP", "er": null}',
        '{"er": "EMP", "ESCENARIO_RECOBRO": "PER"}',
        '{"ESCENARIO_RECOBRO": 1, "\\u0065r": 2}',
    ],
)
def test_a_parameter_twice_is_a_fault_under_whichever_names(text: str) -> None:
    assert codes(row(text)) == [("er", "parametro_repetido")]


def test_what_is_there_ten_thousand_times_is_told_once() -> None:
    """The length of the answer is not for the sender to choose."""
    body = "{" + ",".join(['"er": 1', '"po": true', '"ref": "a"', '"x": 1'] * 10_000) + "}"
    read = row(body)
    assert set(codes(read)) == {
        ("er", "parametro_repetido"),
        ("po", "tipo_no_valido"),
        ("ref", "parametro_repetido"),
    }
    assert len(read.faults) == 3 and len(read.notes) == MOST_NOTES


@pytest.mark.parametrize("value", ["true", "false", "[]", '["EMP"]', "{}", '{"er": "EMP"}'])
@pytest.mark.parametrize("name", ["er", "IMPORTE_FACTURA", "ref", "idioma"])
def test_another_type_is_a_fault_of_that_parameter_alone(name: str, value: str) -> None:
    short = {"IMPORTE_FACTURA": "im"}.get(name, name)
    assert codes(row(f'{{"{name}": {value}}}')) == [(short, "tipo_no_valido")]


@pytest.mark.parametrize("value", ["1", '"x"', "null", "true", "[1]", '{"er": 1}'])
def test_an_unknown_name_is_named_and_not_read(value: str) -> None:
    read = row(f'{{"_": {value}, "formato": "html"}}')
    assert [(note.parameter, note.code) for note in read.notes] == [
        ("_", "parametro_desconocido"),
        ("formato", "parametro_desconocido"),
    ]
    assert read.faults == [] and read.texts == {} and read.options == {}


def test_options_come_with_the_row_or_in_the_query() -> None:
    assert row('{"ref": "a", "motivos": 3, "idioma": "en"}').reasons == 3
    assert row("{}", "motivos=3&ref=b").options == {"motivos": "3", "ref": "b"}
    assert codes(row('{"ref": "a"}', "ref=b")) == [("ref", "parametro_repetido")]
    assert codes(row('{"motivos": 99, "idioma": "fr", "ref": "a\\nb"}')) == [
        ("motivos", "opcion_no_valida"),
        ("idioma", "opcion_no_valida"),
        ("ref", "caracter_de_control"),
    ]


def test_a_debtor_in_the_query_of_a_post_is_not_read() -> None:
    read = READER.options("er=EMP&er=PER&im=1&_=2&motivos=1&formato=html")
    assert read == Query({}, {"motivos": "1"})
    assert codes(READER.options("motivos=x&%FF")) == [
        ("motivos", "opcion_no_valida"),
        ("", "codificacion_no_valida"),
    ]
    assert READER.options("a" * 2049).too_long


def test_the_options_of_one_row_are_not_those_of_the_next() -> None:
    options = READER.options("idioma=en")
    value: Any = (("ref", "a"), ("er", True))
    assert READER.row(value, options).options == {"idioma": "en", "ref": "a"}
    assert READER.row(value, options).options == {"idioma": "en", "ref": "a"}
    assert options == Query({}, {"idioma": "en"})


def test_a_contract_that_takes_the_first_of_two_does_so_here_too() -> None:
    compat = contracts.load("cobranza_compat")
    value: Any = (("im", "1"), ("im", "2"))
    here = RowReader(compat).row(value, NOTHING)
    there = QueryReader(compat).read("im=1&im=2")
    assert here == there and here.texts == {"im": "1"}


BAD = {
    "nothing": b"",
    "blanks": b" \n",
    "cut": b'{"er": "EM',
    "two values": b"{} {}",
    "a comma too many": b'{"er": "EMP",}',
    "single quotes": b"{'er': 'EMP'}",
    "a comment": b'{"er": "EMP" /* x */}',
    "a name without quotes": b'{er: "EMP"}',
    "a form": b"er=EMP&po=NO",
    "NaN": b'{"im": NaN}',
    "Infinity": b'{"im": -Infinity}',
    "a plus sign": b'{"im": +1}',
    "a leading zero": b'{"cp": 08029}',
    "hexadecimal": b'{"im": 0x10}',
    "a bare point": b'{"im": .5}',
    "a raw control character": b'{"er": "E\x00P"}',
    "a raw line feed": b'{"er": "E\nP"}',
    "a broken escape": b'{"er": "\\x41"}',
    "Latin-1": '{"er": "ñ"}'.encode("latin-1"),
    "overlong UTF-8": b'{"er": "\xc0\x80"}',
    "a surrogate in UTF-8": b'{"er": "\xed\xa0\x80"}',
    "half a pair in a name": b'{"\\ud800": 1}',
    "UTF-16": '{"er": "EMP"}'.encode("utf-16"),
    "UTF-16 without its mark": '{"er": "EMP"}'.encode("utf-16-le"),
    "UTF-32": '{"er": "EMP"}'.encode("utf-32"),
    "ten thousand brackets": b"[" * 10_000,
    "ten thousand brackets and back": b"[" * 10_000 + b"]" * 10_000,
    "ten thousand braces": b'{"er":' * 10_000 + b"1" + b"}" * 10_000,
}


WHY = (
    dict.fromkeys(
        ["Latin-1", "overlong UTF-8", "a surrogate in UTF-8", "UTF-16"], "cuerpo_no_utf8"
    )
    | dict.fromkeys(["UTF-32", "half a pair in a name"], "cuerpo_no_utf8")
    | dict.fromkeys(["NaN", "Infinity"], "constante_no_valida")
    | {name: "json_demasiado_profundo" for name in BAD if name.startswith("ten thousand")}
)
# Line and column, counted by hand.
PLACES = {"nothing": "1:1", "a comma too many": "1:14", "cut": "1:8", "a form": "1:1"} | {
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "two values": "1:4",
}


def test_a_place_is_told_by_line_and_column() -> None:
    with pytest.raises(BadBody) as refused:
        STRICT.read('{\n  "er": "EMP",\n  "ñ": tru\n}'.encode())
    assert [(why.parameter, why.code) for why in refused.value.faults] == [
        ("3:8", "json_no_valido")
    ]


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_quite_json_is_refused(name: str) -> None:
    with pytest.raises(BadBody) as refused:
        STRICT.read(BAD[name])
    assert refused.value.code == "cuerpo_no_valido"
    (why,) = refused.value.faults
    assert why.code == WHY.get(name, "json_no_valido")
    if name in PLACES:
        assert why.parameter == PLACES[name]
    quiet = refused.value.__suppress_context__ or refused.value.__context__ is None
    assert quiet, "the message of the parser quotes what was sent"


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        value = STRICT.read(data)
    except BadBody:
        return
    assert value is None or isinstance(value, str | bool | list | tuple)


def test_half_a_surrogate_pair_in_a_value_is_no_value() -> None:
    read = row('{"er": "\\ud800", "ref": "\\udc00"}')
    assert codes(read) == [("ref", "caracter_de_control")]
    assert read.texts == {"er": "\ud800"}


def test_a_byte_order_mark_does_no_harm() -> None:
    assert row(codecs.BOM_UTF8 + b'{"er": "EMP"}').texts == {"er": "EMP"}


@pytest.mark.parametrize("text", ["[]", "3", '"er"', "null", "true", '[["er", "EMP"]]'])
def test_only_an_object_is_a_row(text: str) -> None:
    with pytest.raises(BadBody):
        row(text)


@pytest.mark.parametrize(
    ("content_type", "wanted"),
    [
        ("application/json", True),
        ("Application/JSON ; Charset=UTF-8", True),
        ('application/json; charset="utf-8"', True),
        ("application/json;charset=utf8", True),
        ("application/json; charset=latin1", False),
        ("application/json; charset=utf-16", False),
        ("application/jsonp", False),
        ("application/ld+json", False),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
        ("multipart/form-data; boundary=x", False),
        ("", False),
        ("application/json, text/plain", False),
    ],
)
def test_the_content_type_must_be_that_of_json(content_type: str, wanted: bool) -> None:
    assert is_json(content_type) is wanted
    if not wanted:
        with pytest.raises(BadBody, match="tipo_no_admitido"):
            json_content(environ(b"{}", CONTENT_TYPE=content_type))


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity, gzip", "GZIP"])
def test_a_compressed_body_is_not_unpacked(coding: str) -> None:
    with pytest.raises(BadBody, match="tipo_no_admitido"):
        content(environ(b"{}", HTTP_CONTENT_ENCODING=coding))


@pytest.mark.parametrize("length", ["", "-1", "x"])
def test_a_length_that_is_none_is_an_empty_body(length: str) -> None:
    assert content(environ(b"{}") | {"CONTENT_LENGTH": length}) == b""
