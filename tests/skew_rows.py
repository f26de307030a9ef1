"""Raw rows of the collections table, and the feature matrices that notebooks make of them.

Written from the published facts, without the contract: the right recipe, the old service's
mistakes one by one, and its last notebook's. The mistakes must never be mended here.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from tests import seed_server

COLUMNS = seed_server.COLUMNS
FEATURES = {
    "er": "ESCENARIO_RECOBRO",
    "po": "PORTADO",
    "vt": "VPT",
    "cp": "CODIGO_POSTAL",
    "ec": "ESTADO_CLIENTE",
    "vf": "VAP_SCF",
    "vb": "VAP_OB",
    "fb": "FECHA_BPI",
    "ed": "EDAD",
    "cf": "CANTIDAD_FACTURAS",
    "im": "IMPORTE_FACTURA",
    "dt": "DEUDA_TOTAL",
    "nl": "NUM_LINEAS_ACTIVAS",
}
Row = dict[str, str]
Numbers = dict[str, float]
NOTHING = ("", "NaN", "nan", "null")
CHOICES = {
    "er": ("EMP", "PER", "FU"),
    "po": ("SI", "NO", "NO", "N", "N/A ", "N/A", "BAJAS_I ", "BAJAS_II ", "BAJAS_I"),
    "vt": ("S", "N", "N", "SI", "NO", ""),
    "ec": ("A", "B"),
    "vf": ("N", "N", "N", "S"),
    "vb": ("N", "N", "S", "SI"),
    "fb": ("202310", "202401", "202312", *NOTHING),
    "ed": ("0-30", "31-50", "51-65", "MAYOR 65", "", "18", "29", "30", "30", "31", "50", "66"),
    "cf": ("1", "1", "2", "3", "4", "9"),
    "nl": ("0", "0", "1", "2", "3", "12"),
}


def rows(count: int, seed: int = 1, **choices: Sequence[str]) -> list[Row]:
    """Rows with every label, gaps, ages as numbers and as bands; ``choices`` replace some."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        code = draw.randrange(1, 53) * 1000 + draw.randrange(1, 999)
        row = {name: draw.choice(texts) for name, texts in CHOICES.items()}
        row["cp"] = draw.choice((*[str(code)] * 9, f"{code:05d}", ""))
        row["im"] = draw.choice((*[f"{draw.lognormvariate(4.3, 1.1):.2f}"] * 15, "", "nan"))
        row["dt"] = draw.choice((*[f"{draw.lognormvariate(4.8, 1.2):.2f}"] * 15, ""))
        row |= {name: draw.choice(texts) for name, texts in choices.items()}
        made.append({name: row[name] for name in FEATURES})
    return made


def is_missing(text: str) -> bool:
    """Whether a cell of a raw table holds no data."""
    return text.strip().lower() in ("", "nan", "null")


def number(text: str, fill: float) -> float:
    """An amount, or what stands for it where there is none."""
    return fill if is_missing(text) else float(text)


def age(text: str) -> float:
    """Years; a band stands for its highest."""
    bands = {"0-30": 30.0, "31-50": 50.0, "51-65": 65.0, "MAYOR 65": 66.0, "": 65.0}
    return bands[text] if text in bands else float(text)


def clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def right(row: Row) -> Numbers:
    """The 16 numbers as the training recipe makes them."""
    years = age(row["ed"])
    return {
        "CANTIDAD_FACTURAS": clip(float(row["cf"]), 1, 3.5) / 3.5,
        "IMPORTE_FACTURA": clip(number(row["im"], 71.99), 0, 314.24) / 314.24,
        "ESCENARIO_RECOBRO": float(row["er"] in ("PER", "FU")),
        "DEUDA_TOTAL": clip(number(row["dt"], 125.61), 0, 628.83) / 628.83,
        "PORTADO": float(row["po"] == "SI"),
        "VPT": float(row["vt"] not in ("N", "NO")),
        "CODIGO_POSTAL": number(row["cp"], 28000) // 1000 / 52,
        "NUM_LINEAS_ACTIVAS": clip(float(row["nl"]), 0, 2.5) / 2.5,
        "ESTADO_CLIENTE": float(row["ec"] == "A"),
        "VAP_SCF": float(row["vf"] in ("S", "SI")),
        "VAP_OB": float(row["vb"] in ("S", "SI")),
        "BAJA": float(not is_missing(row["fb"])),
        "0_30": float(years <= 30),
        "31_50": float(31 <= years <= 50),
        "51_65": float(51 <= years <= 65),
        "MAYOR_65": float(years >= 66),
    }


Wrong = Callable[[Row], float]

# One mistake each: the published column, and the number that the old service put there.
MISTAKES: dict[str, tuple[str, Wrong]] = {
    "blanks after a label": (
        "PORTADO",
        lambda row: float(row["po"] not in ("NO", "N", "BAJAS_I", "BAJAS_II", "N/A")),
    ),
    "only SI counts": ("VPT", lambda row: float(row["vt"] == "SI")),
    "only SI counts there too": ("VAP_SCF", lambda row: float(row["vf"] == "SI")),
    "the block written twice": ("VAP_OB", lambda row: 0.0),
    "no province": ("CODIGO_POSTAL", lambda row: number(row["cp"], 28) / 52),
    "only NaN is no date": ("BAJA", lambda row: float(row["fb"] != "NaN")),
    "thirty in no band": ("0_30", lambda row: float(age(row["ed"]) <= 30 and row["ed"] != "30")),
    "the other median": (
        "DEUDA_TOTAL",
        lambda row: clip(number(row["dt"], 71.99), 0, 628.83) / 628.83,
    ),
    "a real NaN": (
        "IMPORTE_FACTURA",
        lambda row: float("nan") if row["im"] == "nan" else right(row)["IMPORTE_FACTURA"],
    ),
}

# The manual cell of the last notebook: no scaling at all, and the code / 1000 with decimals.
UNSCALED: dict[str, Wrong] = {
    "CANTIDAD_FACTURAS": lambda row: clip(float(row["cf"]), 1, 3.5),
    "IMPORTE_FACTURA": lambda row: clip(number(row["im"], 71.99), 0, 314.24),
    "DEUDA_TOTAL": lambda row: clip(number(row["dt"], 71.99), 0, 628.83),
    "CODIGO_POSTAL": lambda row: number(row["cp"], 28000) / 1000,
    "NUM_LINEAS_ACTIVAS": lambda row: clip(float(row["nl"]), 0, 2.5),
}


def write_table(
    path: Path, table: Sequence[Row], more: dict[str, Sequence[str]] | None = None
) -> Path:
    """A raw table as the export writes it: long names, ``;``, blanks as they are."""
    more = more or {}
    lines = [";".join([*more, *FEATURES.values()])]
    for place, row in enumerate(table):
        lines.append(";".join([*(m[place] for m in more.values()), *(row[n] for n in FEATURES)]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return path


def write_matrix(
    path: Path,
    matrix: Sequence[Numbers],
    text: Callable[[float], str] = repr,
    more: dict[str, Sequence[str]] | None = None,
    separator: str = ",",
) -> Path:
    """A matrix as pandas writes it; an empty cell for NaN."""
    more = more or {}
    lines = [separator.join([*more, *matrix[0]])]
    for place, numbers in enumerate(matrix):
        cells = ["" if number != number else text(number) for number in numbers.values()]
        lines.append(separator.join([*(column[place] for column in more.values()), *cells]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
