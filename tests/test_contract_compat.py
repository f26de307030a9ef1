"""The contract that keeps the old service's habits, held against that service."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # ships no types
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from werkzeug.test import Client

from propensia import contract as contracts
from propensia import sampling
from propensia.contract import Contract
from propensia.faults import BadRow
from propensia.features import Features
from propensia.registry import Registry
from tests import odd_queries, seed_server, tiny_models
from tests.fakes import client_of_model, client_of_onnx

EXAMPLE = (
    "er=EMP&po=NO&vt=S&cp=8029&ec=A&vf=N&vb=N&fb=202310&ed=NaN&cf=3&im=263.68&dt=1000.82&nl=12"
)


@pytest.fixture(scope="module")
def compat() -> Contract:
    return contracts.load("cobranza_compat")


@pytest.fixture(scope="module")
def table(contract: Contract, compat: Contract) -> tuple[Any, Any]:
    """A training table as the old recipe makes it, and rows as the old server made them, with
    labels that hang on every column, so that every column counts in the answers."""
    random = np.random.default_rng(5)
    rows = np.vstack(
        [Features(c).matrix(sampling.draw(c, 800, seed=3)) for c in (contract, compat)]
    )
    spread = (rows - rows.mean(axis=0)) / (rows.std(axis=0) + 1e-9)
    odds = spread @ random.normal(size=16) * 0.5 + random.normal(size=len(rows))
    return pd.DataFrame(rows, columns=list(seed_server.COLUMNS)), (odds > 0).astype(np.int64)


@pytest.fixture
def quiet() -> Iterator[None]:
    """Flask logs every 500 of the old server with its traceback."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def ask(client: Client, raw: str) -> tuple[int, bytes]:
    response = client.get("/prediccion", environ_overrides={"QUERY_STRING": raw})
    return response.status_code, response.data


def compared(old: Client, new: Client, queries: Iterator[str]) -> dict[tuple[int, bytes], int]:
    """How often each answer of the old server came; the new one's was the same every time."""
    seen: dict[tuple[int, bytes], int] = {}
    for raw in queries:
        was, now = ask(old, raw), ask(new, raw)
        if was[0] == 200:
            assert now == was, raw
        else:
            assert (was[0], now[0]) == (500, 400), (was[0], now[0], raw)
        key = was if was[0] == 200 else (500, b"")
        seen[key] = seen.get(key, 0) + 1
    return seen


# The server, byte for byte


@pytest.mark.usefixtures("quiet")
@pytest.mark.slow
def test_a_forest_answers_more_than_a_thousand_odd_queries_as_the_old_server_did(
    registry: Registry, compat: Contract, table: tuple[Any, Any]
) -> None:
    """The model that was served: 200 trees of depth 11, smallest split 5, no bootstrap."""
    forest = RandomForestClassifier(
        n_estimators=200, max_depth=11, min_samples_split=5, bootstrap=False, random_state=0
    )
    forest.fit(*table)
    old = Client(seed_server.create_app(forest))

    seen = compared(
        old, client_of_model(registry, compat, forest), odd_queries.queries(1_500, seed=1)
    )

    assert set(seen) == {(200, b"0"), (200, b"1"), (500, b"")}
    assert min(seen.values()) > 100


@pytest.mark.usefixtures("quiet")
@pytest.mark.slow
def test_a_regression_answers_thousands_of_odd_queries_as_the_old_server_did(
    registry: Registry, compat: Contract, table: tuple[Any, Any]
) -> None:
    """Without numbers beyond 32 bits: a linear model took them, and here they are refused."""
    rows, labels = table
    regression = LogisticRegression(C=10.0, max_iter=10_000, tol=1e-3).fit(rows, labels)
    old = Client(seed_server.create_app(regression))
    queries = odd_queries.queries(5_000, seed=2, huge=False)

    seen = compared(old, client_of_model(registry, compat, regression), queries)

    assert set(seen) == {(200, b"0"), (200, b"1"), (500, b"")}
    assert min(seen.values()) > 300


def test_the_documented_example_is_answered_with_the_bare_class(
    registry: Registry, compat: Contract
) -> None:
    client = client_of_onnx(registry, compat, tiny_models.constant(0.6))

    response = client.get(f"/prediccion?{EXAMPLE}")

    assert (response.status_code, response.data) == (200, b"1")
    assert response.content_type == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.5, b"0"), (np.nextafter(0.5, 1.0), b"1"), (np.nextafter(0.5, 0.0), b"0")],
)
def test_one_half_is_class_zero_as_predict_has_it(
    registry: Registry, compat: Contract, probability: float, text: bytes
) -> None:
    client = client_of_onnx(registry, compat, tiny_models.constant(float(probability)))

    assert ask(client, EXAMPLE) == (200, text)


def test_a_forest_whose_trees_are_undecided_says_zero_on_both_servers(
    registry: Registry, compat: Contract
) -> None:
    rows = pd.DataFrame(np.zeros((4, 16)), columns=list(seed_server.COLUMNS))
    forest = RandomForestClassifier(n_estimators=2, bootstrap=False, random_state=0)
    forest.fit(rows, [0, 1, 0, 1])

    old = ask(Client(seed_server.create_app(forest)), EXAMPLE)

    assert old == (200, b"0")
    assert ask(client_of_model(registry, compat, forest), EXAMPLE) == old


class Network:
    """What a Keras model is to the old server: ``predict`` gives float32 numbers ``(n, 1)``."""

    def __init__(self, number: float) -> None:
        self.number = number

    def predict(self, rows: Any) -> Any:
        return np.full((len(rows), 1), self.number, dtype=np.float32)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.26373, b"[0.26373]"),
        (0.5, b"[0.5]"),
        (1.0, b"[1.]"),
        (0.0, b"[0.]"),
        (1.5e-8, b"[1.5e-08]"),
        (float(np.float32(0.1) + np.float32(0.2)), b"[0.3]"),
        (0.123456789, b"[0.12345679]"),
    ],
)
def test_a_network_answers_its_number_in_brackets(
    registry: Registry, compat: Contract, number: float, text: bytes
) -> None:
    client = client_of_onnx(registry, compat, tiny_models.constant(number), kind="keras")

    assert ask(Client(seed_server.create_app(Network(number))), EXAMPLE) == (200, text)
    assert ask(client, EXAMPLE) == (200, text)


# The columns, bit for bit: what a class alone could hide


def test_ten_thousand_queries_give_the_columns_of_the_old_server(compat: Contract) -> None:
    features = Features(compat)
    refused = 0
    for raw in odd_queries.queries(10_000, seed=3):
        sent = _sent(raw)
        was = _old_row(sent)
        try:
            now = features.row(features.read(sent)[0])
        except BadRow:
            assert was is None, raw
            refused += 1
            continue
        assert was is not None, raw
        np.testing.assert_allclose(now, was, rtol=2e-16, err_msg=raw)
    assert 2_000 < refused < 8_000


@hypothesis.given(st.dictionaries(st.sampled_from(sorted(odd_queries.USUAL)), st.text()))
@hypothesis.settings(max_examples=300)
def test_any_text_at_all_counts_as_it_did(compat: Contract, texts: dict[str, str]) -> None:
    sent = compat.example() | texts
    was = _old_row(sent)

    try:
        now = Features(compat).row(Features(compat).read(sent)[0])
    except BadRow:
        assert was is None
    else:
        assert now == was


def _sent(raw: str) -> dict[str, str]:
    return seed_server.OldRequest({"QUERY_STRING": raw}).args.to_dict()


def _old_row(sent: dict[str, str]) -> list[float] | None:
    """What reached the old model; ``None`` where the server, or a forest, failed."""
    try:
        row = seed_server.row(sent)
    except (ValueError, TypeError, OverflowError):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the overflow is what is asked for
        return row if np.isfinite(np.array(row, dtype=np.float32)).all() else None


def test_many_rows_at_once_are_read_as_one_by_one(compat: Contract) -> None:
    features = Features(compat)
    rows = [_sent(raw) for raw in odd_queries.queries(1_500, seed=4)]
    texts = {p.name: [row.get(p.name) for row in rows] for p in compat.parameters}

    values, faults = features.read_many(texts)
    matrix = features.matrix(values)

    bad: dict[int, list[Any]] = {}
    for place, fault in faults:
        bad.setdefault(place, []).append(fault)
    for place, row in enumerate(rows):
        try:
            single = features.row(features.read(row)[0])
        except BadRow as error:
            assert error.faults == bad.pop(place)
        else:
            assert matrix[place].tolist() == single
    assert not bad


# One habit at a time


@pytest.mark.parametrize(
    ("changed", "column", "number"),
    [
        ({"vt": "S"}, "VPT", 0),
        ({"vt": "SI"}, "VPT", 1),
        ({"vb": "SI"}, "VAP_OB", 0),
        ({"vf": "SI"}, "VAP_SCF", 1),
        ({"cp": "8029"}, "CODIGO_POSTAL", 8029 / 52),
        ({"cp": "NaN"}, "CODIGO_POSTAL", 28 / 52),
        ({"dt": "NaN"}, "DEUDA_TOTAL", 71.99 / 628.83),
        ({"po": "N/A "}, "PORTADO", 1),
        ({"po": None}, "PORTADO", 1),
        ({"po": "N/A"}, "PORTADO", 0),
        ({"er": None}, "ESCENARIO_RECOBRO", 0),
        ({"fb": None}, "BAJA", 1),
        ({"fb": ""}, "BAJA", 1),
        ({"fb": "nan"}, "BAJA", 1),
        ({"fb": "NaN"}, "BAJA", 0),
        ({"im": "inf"}, "IMPORTE_FACTURA", 1),
        ({"ed": "NaN"}, "51_65", 1),
    ],
)
def test_a_value_counts_as_it_did(
    compat: Contract, changed: dict[str, str | None], column: str, number: float
) -> None:
    """The table of published facts, parameter by parameter."""
    sent = compat.example() | changed
    texts = {name: text for name, text in sent.items() if text is not None}

    row = Features(compat).row(Features(compat).read(texts)[0])

    assert row[compat.column_names.index(column)] == number


def test_thirty_years_fall_in_no_band(compat: Contract) -> None:
    row = Features(compat).row(Features(compat).read(compat.example() | {"ed": "30"})[0])

    assert row[-4:] == [0.0, 0.0, 0.0, 0.0]


def test_the_numbers_not_sent_are_refused_and_the_categories_are_not(compat: Contract) -> None:
    with pytest.raises(BadRow) as refused:
        Features(compat).read({})

    faults = {(fault.parameter, fault.code) for fault in refused.value.faults}
    assert faults == {(n, "parametro_ausente") for n in ("cp", "cf", "nl", "ed", "im", "dt")}


@pytest.mark.parametrize("text", ["9" * 60, "-" + "9" * 60, "1" * 400])
def test_a_postal_code_beyond_32_bits_is_refused_with_every_other_fault(
    compat: Contract, text: str
) -> None:
    with pytest.raises(BadRow) as refused:
        Features(compat).read(compat.example() | {"cp": text, "ed": "x"})

    found = [(fault.parameter, fault.code) for fault in refused.value.faults]
    assert found == [("cp", "numero_no_finito"), ("ed", "entero_no_valido")]


def test_of_repeated_parameters_and_options_the_first_counts(
    registry: Registry, compat: Contract
) -> None:
    client = client_of_onnx(
        registry, compat, tiny_models.logistic([0.0] * 11 + [9.0] + [0.0] * 4, -4.0)
    )

    twice = EXAMPLE.replace("fb=202310", "fb=NaN&fb=202310") + "&ref=a&ref=b"

    assert ask(client, EXAMPLE) == (200, b"1")
    assert ask(client, twice) == (200, b"0")
