"""Names that are nearly the same."""

from __future__ import annotations

import pytest

from propensia.likeness import folded, nearest

NAMES = ("DEUDA_TOTAL", "FECHA_ENVIO", "ESCENARIO")


@pytest.mark.parametrize("name", ["deuda total", "Deudá-Total", "DEUDATOTAL"])
def test_case_accents_and_signs_between_words_do_not_count(name: str) -> None:
    assert folded(name) == "deudatotal"
    assert nearest(name, NAMES, least=1.0) == "DEUDA_TOTAL"


def test_the_most_like_name_is_found_if_it_is_like_enough() -> None:
    """DEUDA_TOTL lacks one of ten letters: 2 · 9 / 19 of the letters match."""
    assert nearest("DEUDA_TOTL", NAMES, least=0.94) == "DEUDA_TOTAL"
    assert nearest("DEUDA_TOTL", NAMES, least=0.95) is None
    assert nearest("SALDO", NAMES, least=0.5) is None
    assert nearest("SALDO", (), least=0.0) is None
