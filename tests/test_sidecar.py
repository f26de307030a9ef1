"""The optional file beside a model: read strictly, and what it does not say is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from propensia import files
from propensia.admission import sidecar
from propensia.admission.refusal import Refusal
from propensia.admission.sidecar import Sidecar


def read(table: Any) -> Sidecar:
    return sidecar.read(json.dumps(table).encode("utf-8"))


def refusal(data: bytes) -> Refusal:
    with pytest.raises(Refusal) as caught:
        sidecar.read(data)
    assert caught.value.code == "ficha_no_valida"
    return caught.value


def test_no_sidecar_says_nothing() -> None:
    assert sidecar.read(None) == Sidecar() == read({})
    assert len(Sidecar().unknown()) == 5


def test_everything_that_a_sidecar_may_say() -> None:
    said = read(
        {
            "umbral": 0.42,
            "tasa_entrenamiento": 0.5,
            "tasa_real": 0.2567,
            "filas_doradas": [
                {"parametros": {"er": "EMP", "im": 263.68, "ed": None}, "probabilidad": 0.25}
            ],
            "metricas": {"auc": 0.83},
            "referencia": {"im": [1, 2]},
            "versiones": {"sklearn": "1.6"},
            "huella_contrato": "abc",
            "columnas": ["EMP", "PER"],
        }
    )
    assert (said.threshold, said.training_rate, said.real_rate) == (0.42, 0.5, 0.2567)
    assert said.golden == (({"er": "EMP", "im": "263.68", "ed": ""}, 0.25),)
    assert said.contract == "abc"
    assert said.columns == ("EMP", "PER")
    assert said.told["metricas"] == {"auc": 0.83}
    assert said.unknown() == []
    assert said.ignored == ()


def test_what_is_not_known_is_named_and_ignored() -> None:
    assert read({"umbrall": 0.4, "autor": "yo"}).ignored == ("autor", "umbrall")


@pytest.mark.parametrize("key", ["calibracion", "datos", "semilla", "entrenamiento"])
def test_what_training_tells_beside_the_figures_is_kept(key: str) -> None:
    said = read({key: [{"filas": 3}], "autora": "yo"})
    assert said.told == {key: [{"filas": 3}]}
    assert said.ignored == ("autora",)


@pytest.mark.parametrize("key", ["tasa_entrenamiento", "tasa_real"])
def test_one_rate_alone_corrects_nothing(key: str) -> None:
    said = read({key: 0.5})
    assert (said.training_rate, said.real_rate) == (None, None)
    assert any("no se corrigen" in sentence for sentence in said.unknown())


@pytest.mark.parametrize("threshold", [0, 1, 0.5])
def test_a_threshold_may_be_at_the_ends(threshold: float) -> None:
    assert read({"umbral": threshold}).threshold == threshold


@pytest.mark.parametrize("key", ["umbral", "tasa_entrenamiento", "tasa_real"])
@pytest.mark.parametrize("value", ["0.5", True, -0.1, 1.1, [0.5], {}, 10**400, -(10**400)])
def test_a_share_that_is_none_refuses_the_model(key: str, value: object) -> None:
    assert key in refusal(json.dumps({key: value}).encode()).detail


@pytest.mark.parametrize("key", ["tasa_entrenamiento", "tasa_real"])
@pytest.mark.parametrize("value", [0, 1, 0.0])
def test_a_rate_of_nobody_or_everybody_refuses_the_model(key: str, value: float) -> None:
    assert key in refusal(json.dumps({key: value}).encode()).detail


@pytest.mark.parametrize(
    "rows",
    [
        {},
        "x",
        [1],
        [{}],
        [{"parametros": {}}],
        [{"parametros": [], "probabilidad": 0.5}],
        [{"parametros": {}, "probabilidad": "0.5"}],
        [{"parametros": {}, "probabilidad": True}],
        [{"parametros": {}, "probabilidad": 1.0000001}],
        [{"parametros": {}, "probabilidad": -0.1}],
        [{"parametros": {}, "probabilidad": 10**400}],
        [{"parametros": {}, "probabilidad": 0.5}] * 10_001,
    ],
)
def test_golden_rows_of_another_shape_refuse_the_model(rows: object) -> None:
    assert "filas_doradas" in refusal(json.dumps({"filas_doradas": rows}).encode()).detail


@pytest.mark.parametrize(
    "names", [[], {}, "EDAD", 3, False, [1], ["EDAD", None], [["EDAD"]], ["a"] * 10_001]
)
def test_columns_that_are_no_list_of_names_refuse_the_model(names: object) -> None:
    assert "columnas" in refusal(json.dumps({"columnas": names}).encode()).detail


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b'"x"',
        b"null",
        b'{"umbral": NaN}',
        b'{"umbral": Infinity}',
        b'{"umbral": 1e999}',
        b'{"metricas": {"auc": NaN}}',
        b'{"metricas": {"auc": 1e999}}',
        b'{"metricas": {"auc": -1e999}}',
        b'{"metricas": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"umbral": 0.5} x',
        b'{"nombre": "\xf1"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"umbral": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_not_plain_json_refuses_the_model(data: bytes) -> None:
    """Some of these are JSON to Python, but could not be written down again later."""
    refusal(data)


def test_the_mark_that_notepad_puts_at_the_start_is_forgiven() -> None:
    assert sidecar.read(b'\xef\xbb\xbf{"umbral": 0.4}').threshold == 0.4


def test_what_was_told_can_be_kept_with_the_version(tmp_path: Any) -> None:
    said = read({"metricas": {"auc": 0.8, "nota": "año 😀 \x00"}})
    files.write_json(tmp_path / "manifest.json", said.told)
    assert files.read_json(tmp_path / "manifest.json") == said.told


def test_a_sidecar_that_others_could_not_read_any_more_is_refused() -> None:
    """How deep JSON may be depends on how deep the calls of its reader are already."""
    for levels in (25, 500, 975):
        text = '{"metricas": ' + "[" * levels + "]" * levels + "}"
        with pytest.raises(Refusal) as refusal:
            sidecar.read(text.encode())
        assert refusal.value.code == "ficha_no_valida"
    assert sidecar.read(b'{"metricas": [[[[{"a": [1]}]]]]}').told


def test_only_some_of_many_unknown_keys_are_named() -> None:
    table = {f"clave{number}": 1 for number in range(90_000)}
    assert len(sidecar.read(json.dumps(table).encode()).ignored) == sidecar.MOST_IGNORED
