"""From texts to columns: the published vectors, every rule about bad values, and one reading.

The scalar and the vectorised path must agree to the last bit for any text whatever.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from propensia import contract as contracts
from propensia.faults import BadRow, Note, sentence
from propensia.features import Features

CONTRACT = contracts.load("cobranza")
FEATURES = Features(CONTRACT)
NAMES = [parameter.name for parameter in CONTRACT.parameters]
EXAMPLE = CONTRACT.example()


def row_of(**texts: str) -> list[float]:
    return FEATURES.row(FEATURES.read(EXAMPLE | texts)[0])


def value_and_note(name: str, text: str) -> tuple[Any, Note | None]:
    """The value of one parameter of the example, and what was told about it."""
    values, notes = FEATURES.read(EXAMPLE | {"ed": "40", name: text})
    mine = [note for note in notes if note.parameter == name]
    assert mine == notes, "a note about another parameter"
    return values[NAMES.index(name)], mine[0] if mine else None


def codes(texts: dict[str, str]) -> list[tuple[str, str]]:
    with pytest.raises(BadRow) as caught:
        FEATURES.read(texts)
    return [(fault.parameter, fault.code) for fault in caught.value.faults]


# The published vectors


def test_the_documented_example_gives_the_published_columns() -> None:
    """Row 0 of the data set, as it was printed, to six decimals."""
    wanted = "0.857143 0.839104 0 1 0 1 0.153846 1 1 0 0 1 0 0 1 0"
    assert [round(number, 6) for number in row_of()] == [float(n) for n in wanted.split()]


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        # Rows 1, 2, 3 and 7336, printed; amounts and places put back from the printed columns.
        (
            "vt=N fb=NaN im=3.93 dt=23.79 nl=1",
            "0.857143 0.012506 0 0.037832 0 0 0.153846 0.4 1 0 0 0 0 0 1 0",
        ),
        (
            "vt=N cp=43001 im=178.74 dt=477.83 nl=3",
            "0.857143 0.568801 0 0.759872 0 0 0.826923 1.0 1 0 0 1 0 0 1 0",
        ),
        (
            "cp=3100 vb=S im=96.32 dt=347.94 nl=4",
            "0.857143 0.306517 0 0.553313 0 1 0.057692 1.0 1 0 1 1 0 0 1 0",
        ),
        (
            "er=PER vt=N cp=48001 fb=NaN ed=31-50 cf=2 im=55.19 dt=131.77 nl=2",
            "0.571429 0.175630 1 0.209548 0 0 0.923077 0.8 1 0 0 0 0 1 0 0",
        ),
    ],
)
def test_other_published_rows(changed: str, wanted: str) -> None:
    texts = dict(item.split("=") for item in changed.split())
    assert [round(number, 6) for number in row_of(**texts)] == [float(n) for n in wanted.split()]


# Values that are taken


@pytest.mark.parametrize(
    ("name", "text", "value", "note"),
    [
        ("im", "263.68", 263.68, None),
        ("im", "263,68", 263.68, "coma_decimal"),
        ("im", "0,123", 0.123, "coma_decimal"),
        ("im", "1234,5", 1234.5, "coma_decimal"),
        ("im", "12,3456", 12.3456, "coma_decimal"),
        ("im", " 263,68 ", 263.68, "coma_decimal"),
        ("im", "1e3", 1000.0, None),
        ("im", "1.5E+2", 150.0, None),
        ("im", "15e-1", 1.5, None),
        ("im", "+5", 5.0, None),
        ("im", "5.", 5.0, None),
        ("im", ".5", 0.5, None),
        ("im", "00012.50", 12.5, None),
        ("im", "1e-400", 0.0, None),
        ("im", "0", 0.0, None),
        ("im", "10000000", 1e7, None),
        ("im", "1.234", 1.234, None),
        ("im", "\t7 ", 7.0, "texto_normalizado"),
        ("im", "0." + "3" * 300, 1 / 3, None),
        ("nl", "3.0", 3.0, None),
        ("nl", "3,0", 3.0, "coma_decimal"),
        ("nl", "1e2", 100.0, None),
        ("nl", "0", 0.0, None),
        ("nl", "999", 999.0, None),
        ("cp", "08029", 8029.0, None),
        ("cp", "8029", 8029.0, None),
        ("cp", "8029.0", 8029.0, None),
        ("cp", "01000", 1000.0, None),
        ("cp", "52999", 52999.0, None),
        ("fb", "202310", 202310.0, None),
        ("fb", "202310.0", 202310.0, None),
        ("fb", "190001", 190001.0, None),
        ("fb", "209912", 209912.0, None),
        ("fb", "NaN", None, None),
        ("fb", "", None, None),
        ("ed", "0", 0.0, None),
        ("ed", "120", 120.0, None),
        ("ed", "45.0", 45.0, None),
        ("ed", "0-30", 30.0, None),
        ("ed", "31-50", 50.0, None),
        ("ed", "51-65", 65.0, None),
        ("ed", "MAYOR 65", 66.0, None),
        ("ed", "mayor 65", 66.0, "texto_normalizado"),
        ("ed", " 31-50", 50.0, "texto_normalizado"),
        ("er", "EMP", "EMP", None),
        ("er", "emp", "EMP", "texto_normalizado"),
        ("er", " Fu\t", "FU", "texto_normalizado"),
        ("vt", "SI", "S", None),
        ("vt", "si", "S", "texto_normalizado"),
        ("vf", "NO", "N", None),
        ("po", "BAJAS_I", "BAJAS_I", None),
        ("po", "BAJAS_I ", "BAJAS_I", "texto_normalizado"),
        ("po", "N/A", "N/A", None),
        ("po", "n/a", "N/A", "texto_normalizado"),
    ],
)
def test_a_value_that_is_taken(name: str, text: str, value: Any, note: str | None) -> None:
    found, told = value_and_note(name, text)
    assert found == value
    assert (told.code if told else None) == note
    if told is not None:
        # A band is told as the band that was read; everything else as the value that was used.
        assert told.used == ({50.0: "31-50", 66.0: "MAYOR 65"}[value] if name == "ed" else value)


@pytest.mark.parametrize(
    "text", ["", "NaN", "nan", "NAN", "null", "NULL", "None", "N/A", " ", "n/a "]
)
@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("vt", "S", "S"),
        ("cp", 28000.0, "28"),
        ("ed", 65.0, "51-65"),
        ("cf", 2.0, 2.0),
        ("im", 71.99, 71.99),
        ("dt", 125.61, 125.61),
        ("nl", 1.0, 1.0),
    ],
)
def test_every_spelling_of_no_data_is_filled_and_told(
    name: str, value: Any, shown: Any, text: str
) -> None:
    assert value_and_note(name, text) == (value, Note(name, "valor_supuesto", shown))


@pytest.mark.parametrize("text", ["-0", "-0.0", "-0,0", "-0e5", "+0"])
@pytest.mark.parametrize("name", ["im", "dt", "nl", "cf", "ed"])
def test_minus_zero_is_zero_to_the_bit(name: str, text: str) -> None:
    value, _ = value_and_note(name, text)
    assert struct.pack("d", value) == struct.pack("d", 0.0)


@pytest.mark.parametrize(
    ("ages", "bands"),
    [
        (("0", "18", "30", "0-30"), [1, 0, 0, 0]),
        (("31", "50", "31-50"), [0, 1, 0, 0]),
        (("51", "65", "51-65", "NaN"), [0, 0, 1, 0]),
        (("66", "120", "MAYOR 65", " mayor 65"), [0, 0, 0, 1]),
    ],
)
def test_every_age_falls_in_exactly_one_band(ages: tuple[str, ...], bands: list[float]) -> None:
    """The server before lost the age of 30: it was in no band."""
    for age in ages:
        assert row_of(ed=age)[12:] == bands


@pytest.mark.parametrize("age", range(121))
def test_no_age_is_lost(age: int) -> None:
    assert sum(row_of(ed=str(age))[12:]) == 1.0


@pytest.mark.parametrize(
    ("code", "province"), [("08029", 8), ("8029.0", 8), ("1000", 1), ("52999", 52), ("NaN", 28)]
)
def test_the_province_is_what_the_model_sees(code: str, province: int) -> None:
    assert row_of(cp=code)[6] == province / 52


# Values that are refused


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("im", "1,234", "numero_no_valido"),
        ("im", "-1,234", "numero_no_valido"),
        ("im", "999,999", "numero_no_valido"),
        ("im", " 1,234 ", "numero_no_valido"),
        ("im", "1.234,50", "numero_no_valido"),
        ("im", "1,234.50", "numero_no_valido"),
        ("im", "1.234.567", "numero_no_valido"),
        ("im", "1_000", "numero_no_valido"),
        ("im", "1'234", "numero_no_valido"),
        ("im", "1 234", "numero_no_valido"),
        ("im", "1\xa0234", "numero_no_valido"),
        ("im", "12€", "numero_no_valido"),
        ("im", "0x10", "numero_no_valido"),
        ("im", "abc", "numero_no_valido"),
        ("im", ".", "numero_no_valido"),
        ("im", ",", "numero_no_valido"),
        ("im", "e5", "numero_no_valido"),
        ("im", "1e", "numero_no_valido"),
        ("im", "--5", "numero_no_valido"),
        ("im", "<b>5</b>", "numero_no_valido"),
        ("im", "inf", "numero_no_finito"),
        ("im", "-Infinity", "numero_no_finito"),
        ("im", "1e309", "numero_no_finito"),
        ("im", "-1e309", "numero_no_finito"),
        ("im", "-5", "numero_negativo"),
        ("im", "-0.01", "numero_negativo"),
        ("im", "10000000.01", "fuera_de_rango"),
        ("im", "1e300", "fuera_de_rango"),
        ("im", "\uff15", "caracter_parecido"),
        ("im", "\u0665", "caracter_parecido"),
        ("im", "1\u0660", "caracter_parecido"),
        ("im", "5²", "caracter_parecido"),
        ("im", "5\n", "caracter_de_control"),
        ("im", "5\x00", "caracter_de_control"),
        ("im", "\x7f5", "caracter_de_control"),
        ("im", "5\x85", "caracter_de_control"),
        ("im", "9" * 401, "texto_demasiado_largo"),
        ("nl", "3.5", "no_es_entero"),
        ("nl", "1e9", "fuera_de_rango"),
        ("nl", "1000", "fuera_de_rango"),
        ("nl", "-1", "numero_negativo"),
        ("nl", "nan1", "numero_no_valido"),
        ("cf", "1e309", "numero_no_finito"),
        ("cp", "00123", "codigo_postal_no_valido"),
        ("cp", "53001", "codigo_postal_no_valido"),
        ("cp", "12", "codigo_postal_no_valido"),
        ("cp", "999", "codigo_postal_no_valido"),
        ("cp", "8029.5", "codigo_postal_no_valido"),
        ("cp", "-8029", "codigo_postal_no_valido"),
        ("cp", "ABC", "codigo_postal_no_valido"),
        ("cp", "\uff10\uff18029", "caracter_parecido"),
        ("cp", "inf", "numero_no_finito"),
        ("fb", "202313", "mes_no_valido"),
        ("fb", "202300", "mes_no_valido"),
        ("fb", "2023-10", "mes_no_valido"),
        ("fb", "10/2023", "mes_no_valido"),
        ("fb", "2023", "mes_no_valido"),
        ("fb", "20231001", "mes_no_valido"),
        ("fb", "189912", "mes_no_valido"),
        ("fb", "210001", "mes_no_valido"),
        ("fb", "202310.5", "mes_no_valido"),
        ("fb", "0", "mes_no_valido"),
        ("fb", "-202310", "mes_no_valido"),
        ("ed", "50-31", "edad_no_valida"),
        ("ed", "31-51", "edad_no_valida"),
        ("ed", "45.5", "edad_no_valida"),
        ("ed", "121", "edad_no_valida"),
        ("ed", "-1", "edad_no_valida"),
        ("ed", "cuarenta", "edad_no_valida"),
        ("ed", "4\u0665", "caracter_parecido"),
        ("er", "XYZ", "categoria_desconocida"),
        ("er", "1", "categoria_desconocida"),
        ("er", "EMPP", "categoria_desconocida"),
        ("er", "E MP", "categoria_desconocida"),
        ("er", "\u0415MP", "caracter_parecido"),
        ("vt", "\u017f", "caracter_parecido"),
        ("vt", "S\u00cd", "categoria_desconocida"),
        ("er", "\u00f1", "categoria_desconocida"),
        ("er", "CAMI\u00d3N", "categoria_desconocida"),
        ("er", "\u0416\u0410", "categoria_desconocida"),
        ("er", "\u0395\u039c\u03a1", "caracter_parecido"),
        ("er", "\u0435\u043c\u0440", "caracter_parecido"),
        ("er", "\uff25\uff2d\uff30", "caracter_parecido"),
        ("er", "EMP\xa0", "caracter_parecido"),
        ("vt", "\uff53\uff49", "caracter_parecido"),
        ("vt", "S\u200b", "caracter_parecido"),
        ("er", "E\rMP", "caracter_de_control"),
        ("er", "", "sin_dato"),
        ("er", "NaN", "sin_dato"),
        ("po", "NaN", "sin_dato"),
        ("po", "null", "sin_dato"),
        ("ec", "none", "sin_dato"),
        ("vf", "N/A", "sin_dato"),
        ("vb", " ", "sin_dato"),
        ("er", "X" * 401, "texto_demasiado_largo"),
    ],
)
def test_a_value_that_is_refused(name: str, text: str, code: str) -> None:
    assert codes(EXAMPLE | {name: text}) == [(name, code)]


def test_a_parameter_that_was_not_sent_is_never_guessed() -> None:
    assert codes({}) == [(name, "parametro_ausente") for name in NAMES]


def test_all_faults_are_told_at_once_in_the_order_of_the_contract() -> None:
    texts = EXAMPLE | {"nl": "-1", "er": "X", "im": "inf"}
    del texts["cp"]
    assert codes(texts) == [
        ("er", "categoria_desconocida"),
        ("cp", "parametro_ausente"),
        ("im", "numero_no_finito"),
        ("nl", "numero_negativo"),
    ]


def test_other_names_are_not_looked_at() -> None:
    assert FEATURES.read(EXAMPLE | {"x": "\x00"}) == FEATURES.read(EXAMPLE)


# One reading for one row and for many

DIGITS = st.text(alphabet="0123456789.,+-eE _\uff15\u0665", max_size=12)
KNOWN = [text for p in CONTRACT.parameters for text in (*p.values, *p.synonyms, *p.labels)]
NEAR_KNOWN = st.sampled_from([*KNOWN, "NaN", "null", "None", "N/A", "", "inf", "1e309"])
SPACED = st.builds(
    lambda text, left, right, low: left + (text.lower() if low else text) + right,
    NEAR_KNOWN,
    st.sampled_from(["", " ", "\t"]),
    st.sampled_from(["", " ", "\n"]),
    st.booleans(),
)
WHOLE = st.integers(-5, 210_012).map(str)
AMOUNTS = st.floats(0, 2e7).map(repr) | st.floats(0, 700, width=32).map("{:.2f}".format)
TEXTS = st.text(max_size=8) | DIGITS | SPACED | WHOLE | AMOUNTS
ROWS = st.lists(
    st.fixed_dictionaries({p.name: st.just(p.example) | TEXTS for p in CONTRACT.parameters}),
    min_size=1,
    max_size=4,
)


@settings(max_examples=400)
@example([EXAMPLE | {"im": "-0"}, EXAMPLE | {"dt": "628,83"}])
@given(ROWS)
def test_many_rows_are_read_as_each_alone_bit_for_bit(rows: list[dict[str, str]]) -> None:
    values, faults = FEATURES.read_many({name: [row[name] for row in rows] for name in NAMES})
    alone = []
    for place, row in enumerate(rows):
        try:
            read, notes = FEATURES.read(row)
        except BadRow as bad:
            alone += [(place, fault) for fault in bad.faults]
            for fault in bad.faults:
                own = CONTRACT.own_faults
                for language in ("es", "en"):
                    assert sentence(fault.code, fault.parameter, language, own=own)
            continue
        for note in notes:
            assert sentence(note.code, note.parameter, "es", used=note.used)
        many = FEATURES.matrix({name: values[name][place : place + 1] for name in NAMES})
        assert many.shape == (1, 16)
        assert many.tobytes() == np.array(FEATURES.row(read), dtype=np.float64).tobytes()
        assert np.isfinite(many).all() and many.min() >= 0.0 and many.max() <= 1.0
    assert faults == alone


@given(st.lists(st.sampled_from(NAMES), min_size=1), TEXTS)
def test_a_text_never_ends_in_another_error(names: list[str], text: str) -> None:
    try:
        FEATURES.row(FEATURES.read(dict.fromkeys(names, text))[0])
    except BadRow as bad:
        assert bad.faults


@given(st.floats(0, 1e7), st.sampled_from(["im", "dt"]))
def test_a_number_that_python_writes_is_read_back_exactly(number: float, name: str) -> None:
    assert value_and_note(name, repr(number))[0] == number


@given(st.decimals(0, 9_999_999, places=2), st.sampled_from(["im", "dt"]))
def test_cents_with_a_comma_are_the_cents_with_a_point(number: Any, name: str) -> None:
    with_comma = str(number).replace(".", ",")
    assert value_and_note(name, with_comma)[0] == float(number)
