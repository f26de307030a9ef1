"""The table as the file that analysts get: separator, headings, blanks and number forms.

It decides no value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from propensia.synthetic.cases import COLUMNS, Table

SEPARATOR = ";"
TRUTH = "PROBABILIDAD_REAL"
PAYMENTS = ("FECHA_PAGO", "IMPORTE_PAGO")
Texts = list[str]
Array = npt.NDArray[Any]


def heading(truth: bool, payments: bool) -> tuple[str, ...]:
    """The names of the columns of a file with these extra ones."""
    return (*COLUMNS, *((TRUTH,) if truth else ()), *(PAYMENTS if payments else ()))


def texts(table: Table, truth: bool = False, payments: bool = False) -> dict[str, Texts]:
    """The texts of every column, as they stand in the file."""
    written = {name: FORMS.get(name, _labels)(table.columns[name]) for name in COLUMNS}
    if truth:
        written[TRUTH] = [f"{number:.6f}" for number in table.truth.tolist()]
    if payments:
        written[PAYMENTS[0]] = _dates(table.paid_on)
        written[PAYMENTS[1]] = _euros(table.paid_euros)
    return written


def lines(table: Table, truth: bool, payments: bool) -> str:
    """The rows as lines of the file, each with its end."""
    columns = texts(table, truth, payments).values()
    return "\n".join(map(SEPARATOR.join, zip(*columns, strict=True))) + "\n"


def _labels(values: Array) -> Texts:
    return list(values.tolist())


def _counts(values: Array) -> Texts:
    return list(map(str, values.tolist()))


def _codes(values: Array) -> Texts:
    return ["" if number != number else str(int(number)) for number in values.tolist()]


def _customers(values: Array) -> Texts:
    # With a decimal, as the real export has it: it loads as a number with a point.
    return [f"{number:.1f}" for number in values.tolist()]


def _euros(values: Array) -> Texts:
    return ["" if number != number else f"{number:.2f}" for number in values.tolist()]


def _dates(values: Array) -> Texts:
    """``DD/MM/YYYY``; each distinct day is written once."""
    days, places = np.unique(values, return_inverse=True)
    shown = ["" if np.isnat(day) else _day(str(day)) for day in days]
    return list(np.array(shown, dtype=object)[places].tolist())


def _day(iso: str) -> str:
    year, month, day = iso.split("-")
    return f"{day}/{month}/{year}"


FORMS: dict[str, Callable[[Array], Texts]] = {
    "CUST_CODE": _customers,
    "FECHA_ENVIO": _dates,
    "FECHA_DEVOLUCION": _dates,
    "FECHA_FACTURA": _dates,
    "FECHA CARGA": _dates,
    "CANTIDAD_FACTURAS": _counts,
    "NUM_LINEAS_ACTIVAS": _counts,
    "IMPORTE_FACTURA": _euros,
    "DEUDA_TOTAL": _euros,
    "IMPORTE PRODUCTO": _euros,
    "FECHA_BPI": _codes,
    "CODIGO_POSTAL": _codes,
}
