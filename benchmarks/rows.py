"""Synthetic debtors with the published shares of the collections data.

No real person may ever be among them.
"""

import math
import random
from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

COLUMNS = (
    "CANTIDAD_FACTURAS",
    "IMPORTE_FACTURA",
    "ESCENARIO_RECOBRO",
    "DEUDA_TOTAL",
    "PORTADO",
    "VPT",
    "CODIGO_POSTAL",
    "NUM_LINEAS_ACTIVAS",
    "ESTADO_CLIENTE",
    "VAP_SCF",
    "VAP_OB",
    "BAJA",
    "0_30",
    "31_50",
    "51_65",
    "MAYOR_65",
)
"""The 16 model columns, in order."""

_MONTHS = [str(year * 100 + month) for year in (2023, 2024) for month in range(1, 13)][3:15]
_LARGE_PROVINCES = {28: 1076, 8: 930, 46: 421, 3: 311, 41: 301, 29: 290, 35: 245, 38: 216, 11: 201}
_PROVINCE_WEIGHTS = [_LARGE_PROVINCES.get(province, 78) for province in range(1, 53)]
_AGES = ((18, 30, 735), (31, 50, 2205), (51, 65, 3312), (66, 95, 835))


def debtors(seed: int) -> Iterator[dict[str, str]]:
    """Endless rows of the 13 parameters, as text that every service compared here accepts."""
    chance = random.Random(seed)
    while True:
        segment = chance.choices(("PER", "FU", "EMP"), (4048, 2121, 1170))[0]
        active = chance.random() < (0.51 if segment == "EMP" else 0.59)
        leaving = active and chance.random() < 0.746
        lines = chance.choices((1, 2, 3, 4, 6), (61, 23, 8, 5, 3))[0] if active else 0
        invoices = chance.choices((1, 2, 3, 4), (20, 40, 38, 2) if leaving else (66, 24, 9, 1))[0]
        invoice = min(round(math.exp(chance.gauss(4.27, 1.1)), 2), 5991.66)
        debt = invoice
        if invoices > 1:
            debt = round(invoice * (1 + (invoices - 1) * chance.uniform(0, 1.5)), 2)
        low, high, _ = chance.choices(_AGES, [band[2] for band in _AGES])[0]
        province = chance.choices(range(1, 53), _PROVINCE_WEIGHTS)[0]
        instalments = chance.random() < 0.45
        yield {
            "er": segment,
            "po": _ported(chance, leaving),
            "vt": "S" if instalments else "N",
            "cp": "NaN"
            if chance.random() < 0.005
            else str(province * 1000 + chance.randint(1, 6)),
            "ec": "A" if active else "B",
            "vf": "N",
            "vb": "S" if instalments and chance.random() < 0.73 else "N",
            "fb": chance.choice(_MONTHS) if leaving else "NaN",
            "ed": "NaN" if chance.random() < 0.034 else str(chance.randint(low, high)),
            "cf": str(invoices),
            "im": f"{invoice:.2f}",
            "dt": f"{debt:.2f}",
            "nl": str(lines),
        }


def _ported(chance: random.Random, leaving: bool) -> str:
    if not leaving and chance.random() < 0.027:
        return "SI"
    return chance.choices(("NO", "N/A", "BAJAS_I", "N", "BAJAS_II"), (6512, 379, 273, 35, 26))[0]


def paid(row: Mapping[str, str], chance: random.Random) -> bool:
    """A drawn label: few invoices, a closed account and a small debt pay more often."""
    leaning = 1.6 - 0.9 * int(row["cf"]) - 0.8 * (row["fb"] != "NaN") + 0.3 * (row["ec"] == "B")
    leaning -= 0.002 * min(float(row["dt"]), 628.83)
    return chance.random() < 1 / (1 + math.exp(-leaning))


def paths(count: int, seed: int = 1) -> list[str]:
    """`count` different request targets of the scoring route."""
    different: dict[str, None] = {}
    for row in debtors(seed):
        different[f"/prediccion?{urlencode(row)}"] = None
        if len(different) == count:
            break
    return list(different)


def encode(row: Mapping[str, str]) -> list[float]:
    """The 16 column values of one row, encoded as at training."""
    postal_code = row["cp"]
    age = 65 if row["ed"] == "NaN" else int(row["ed"])
    return [
        min(int(row["cf"]), 3.5) / 3.5,
        min(float(row["im"]), 314.24) / 314.24,
        float(row["er"] in ("PER", "FU")),
        min(float(row["dt"]), 628.83) / 628.83,
        float(row["po"] == "SI"),
        float(row["vt"] != "N"),
        (28 if postal_code == "NaN" else int(postal_code) // 1000) / 52,
        min(int(row["nl"]), 2.5) / 2.5,
        float(row["ec"] == "A"),
        float(row["vf"] != "N"),
        float(row["vb"] != "N"),
        float(row["fb"] != "NaN"),
        float(age <= 30),
        float(30 < age <= 50),
        float(50 < age <= 65),
        float(age > 65),
    ]
