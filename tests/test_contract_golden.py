"""The published vectors: what the training recipe gives for rows that were printed."""

from __future__ import annotations

import numpy as np
import pytest

from propensia import contract as contracts
from propensia import sampling
from propensia.contract import Contract
from propensia.features import Features

# Row of the file: its texts (blank where it is blank there), and the 16 printed numbers.
ORDER = ("cf", "im", "er", "dt", "po", "ed", "vt", "fb", "cp", "nl", "ec", "vf", "vb")
PRINTED = {
    0: (
        "3 263.68 EMP 1000.82 NO _ S 202310 8029 12 A N N",
        "0.857143, 0.839104, 0, 1.000000, 0, 1, 0.153846, 1.0, 1, 0, 0, 1, 0, 0, 1, 0",
    ),
    1: (
        "3 3.93 EMP 23.79 NO _ N _ 8039 1 A N N",
        "0.857143, 0.012506, 0, 0.037832, 0, 0, 0.153846, 0.4, 1, 0, 0, 0, 0, 0, 1, 0",
    ),
    2: (
        "3 178.74 EMP 477.83 NO _ N 202310 43850 7 A N N",
        "0.857143, 0.568801, 0, 0.759872, 0, 0, 0.826923, 1.0, 1, 0, 0, 1, 0, 0, 1, 0",
    ),
    3: (
        "3 96.32 EMP 347.94 NO _ S 202310 3340 4 A N S",
        "0.857143, 0.306517, 0, 0.553313, 0, 1, 0.057692, 1.0, 1, 0, 1, 1, 0, 0, 1, 0",
    ),
    7336: (
        "2 55.19 PER 131.77 NO 31-50 N _ 48991 2 A N N",
        "0.571429, 0.175630, 1, 0.209548, 0, 0, 0.923077, 0.8, 1, 0, 0, 0, 0, 1, 0, 0",
    ),
}
PRINTED_AT_SERVING = "0.857143, 0.839104, 0, 1, 0, 0, 154.403846, 1, 1, 0, 0, 1, 0, 0, 1, 0"
HALF_A_DIGIT = 5e-7  # six decimals were printed
WHERE = {"CANTIDAD_FACTURAS": 0, "VPT": 5, "CODIGO_POSTAL": 6, "VAP_OB": 10, "MAYOR_65": 15}


def _texts(printed: str, blank: str = "") -> dict[str, str]:
    texts = [text.replace("_", blank) for text in printed.split()]
    return dict(zip(ORDER, texts, strict=True))


def _numbers(printed: str) -> list[float]:
    return [float(number) for number in printed.split(",")]


@pytest.mark.parametrize("row", PRINTED)
@pytest.mark.parametrize("blank", ["", "NaN", "null"])
def test_a_printed_row_gives_the_printed_vector(contract: Contract, row: int, blank: str) -> None:
    printed, expected = PRINTED[row]
    features = Features(contract)

    found = features.row(features.read(_texts(printed, blank))[0])

    np.testing.assert_allclose(found, _numbers(expected), rtol=0, atol=HALF_A_DIGIT)


def test_the_printed_rows_give_the_printed_vectors_all_at_once(contract: Contract) -> None:
    rows = [_texts(printed) for printed, _ in PRINTED.values()]
    features = Features(contract)

    values, faults = features.read_many({name: [row[name] for row in rows] for name in ORDER})

    assert faults == []
    expected = [_numbers(vector) for _, vector in PRINTED.values()]
    np.testing.assert_allclose(features.matrix(values), expected, rtol=0, atol=HALF_A_DIGIT)


def test_the_columns_are_the_published_ones_in_order(contract: Contract) -> None:
    names = contract.column_names

    assert len(names) == 16
    assert {name: names.index(name) for name in WHERE} == WHERE
    assert contracts.load("cobranza_compat").column_names == names


def test_the_documented_example_is_row_0_and_the_old_server_got_two_columns_wrong(
    contract: Contract,
) -> None:
    """VPT (S read as N) and the postal code (whole, not the province)."""
    compat = contracts.load("cobranza_compat")
    texts = _texts(PRINTED[0][0], blank="NaN")
    training, serving = (
        np.array(Features(c).row(Features(c).read(texts)[0])) for c in (contract, compat)
    )

    assert contract.example() == texts == compat.example()
    np.testing.assert_allclose(training, _numbers(PRINTED[0][1]), rtol=0, atol=HALF_A_DIGIT)
    np.testing.assert_allclose(serving, _numbers(PRINTED_AT_SERVING), rtol=0, atol=HALF_A_DIGIT)
    names = [
        n for n, same in zip(contract.column_names, training == serving, strict=True) if not same
    ]
    assert names == ["VPT", "CODIGO_POSTAL"]


def test_row_3_had_three_columns_wrong(contract: Contract) -> None:
    compat = contracts.load("cobranza_compat")
    texts = _texts(PRINTED[3][0], blank="NaN")
    training, serving = (
        np.array(Features(c).row(Features(c).read(texts)[0])) for c in (contract, compat)
    )

    wrong = np.flatnonzero(training != serving)
    assert [contract.column_names[i] for i in wrong] == ["VPT", "CODIGO_POSTAL", "VAP_OB"]


@pytest.mark.parametrize("name", contracts.shipped())
def test_every_shipped_contract_reads_its_own_example_and_its_own_rows(name: str) -> None:
    """Its example without a fault, and finite columns for what it says callers send."""
    shipped = contracts.load(name)
    features = Features(shipped)

    assert shipped.name == name
    assert len(features.row(features.read(shipped.example())[0])) == len(shipped.columns)
    for made in (sampling.draw(shipped, 500, seed=1), sampling.edges(shipped, 500, seed=2)):
        assert np.isfinite(features.matrix(made)).all()
