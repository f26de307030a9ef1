"""Numbers as Spanish readers write them."""

from __future__ import annotations

import pytest

from propensia import spanish


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (0.5, None, "0,5"),
        (0.123456, None, "0,1235"),
        (999.96, None, "1.000"),
        (1234.5, None, "1.234"),
        (12345.0, None, "12.345"),
        (7339, 0, "7.339"),
        (-0.25, 2, "\N{MINUS SIGN}0,25"),
        (-0.0001, 2, "0,00"),
        (-0.0, None, "0"),
        (-0.5, 1, "\N{MINUS SIGN}0,5"),
        (1234567.891, 1, "1.234.567,9"),
    ],
)
def test_a_number_has_a_decimal_comma_and_points_between_thousands(
    value: float, decimals: int | None, text: str
) -> None:
    assert spanish.number(value, decimals) == text


@pytest.mark.parametrize(
    ("share", "decimals", "text"),
    [(0.126, 0, "13"), (0.1256, 2, "12,56"), (0.35, None, "35"), (12.5, 1, "1.250,0")],
)
def test_the_sign_of_hundredths_is_held_to_its_number(
    share: float, decimals: int | None, text: str
) -> None:
    assert spanish.percent(share, decimals) == f"{text}\u202f%"
