"""Models that were trained on the values of the contract instead of its columns."""

from __future__ import annotations

import math

import numpy as np
import pytest

from propensia import contract as contracts
from propensia import sampling
from propensia.contract import Contract
from propensia.features import Features


@pytest.fixture(params=["cobranza", "cobranza_compat", "telco_churn"])
def contract(request: pytest.FixtureRequest) -> Contract:
    return contracts.load(request.param)


def test_the_raw_view_has_one_column_per_parameter_and_the_same_fingerprint(
    contract: Contract,
) -> None:
    raw = contract.raw()
    assert raw.column_names == tuple(p.feature for p in contract.parameters)
    assert raw.fingerprint == contract.fingerprint and raw.parameters == contract.parameters


def test_a_view_is_found_by_its_columns_and_by_nothing_else(contract: Contract) -> None:
    names = contract.column_names
    assert contract.view(names) is contract
    found = contract.view(list(contract.raw().column_names))
    assert found is not None and found.columns == contract.raw().columns
    assert contract.view(names[:-1]) is None and contract.view([*names, "OTRA"]) is None
    assert contract.view([]) is None


def test_a_raw_row_holds_the_numbers_and_the_places_of_the_texts() -> None:
    contract = contracts.load("cobranza")
    features = Features(contract.raw())
    values, _ = features.read(
        {
            "er": "EMP", "po": "n/a", "vt": "NaN", "cp": "08029", "ec": "B", "vf": "no",
            "vb": "S", "fb": "NaN", "ed": "MAYOR 65", "cf": "", "im": "263,68", "dt": "0",
            "nl": "12",
        }
    )  # fmt: skip
    row = dict(zip(contract.raw().column_names, features.row(values), strict=True))
    texts = {p.feature: p.texts[int(row[p.feature])] for p in contract.parameters if p.texts}
    assert texts == {
        "ESCENARIO_RECOBRO": "EMP", "PORTADO": "N/A", "VPT": "S", "ESTADO_CLIENTE": "B",
        "VAP_SCF": "N", "VAP_OB": "S",
    }  # fmt: skip
    assert math.isnan(row["FECHA_BPI"]) and row["EDAD"] == 66 and row["CODIGO_POSTAL"] == 8029
    assert (row["CANTIDAD_FACTURAS"], row["IMPORTE_FACTURA"]) == (2, 263.68)
    assert (row["DEUDA_TOTAL"], row["NUM_LINEAS_ACTIVAS"]) == (0, 12)


def test_one_raw_row_and_many_are_the_same(contract: Contract) -> None:
    features = Features(contract.raw())
    drawn = sampling.draw(contract, 200, seed=5)
    many = features.matrix(drawn)
    for place in range(200):
        values = [_plain(drawn[p.name][place]) for p in contract.parameters]
        assert np.array_equal(features.row(values), many[place], equal_nan=True)


def _plain(value: object) -> str | float | None:
    if isinstance(value, str):
        return value
    number = float(value)  # type: ignore[arg-type]
    return None if math.isnan(number) else number
