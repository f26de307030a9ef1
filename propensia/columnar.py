"""Typed values as the texts that a client of the service would have sent: of columns, of one.

It never turns a text into another one, and a number's text reads back to that number.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

# Whole numbers up to here are exact in float64, and short.
WHOLE = 1e15


class NotFlat(ValueError):
    """A column that is not of texts, numbers or dates; the text is its type."""


def texts(values: pa.Array) -> pa.StringArray:
    """The text of each value, without nulls: ``""`` is no data, which NaN is, too.

    Numbers read back exactly, without ``.0``; dates are ISO. Raises ``NotFlat``, also for bytes
    that are not UTF-8.
    """
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
    try:
        return pc.fill_null(pc.cast(values, pa.string()), "")
    except pa.ArrowException as error:
        raise NotFlat(str(values.type)) from error


def text(value: Any) -> str:
    """One value that a driver or a spreadsheet gave, as ``texts`` has it."""
    if value is None:
        return ""
    if isinstance(value, float):
        if value != value:
            return ""
        return str(int(value)) if value.is_integer() and abs(value) < WHOLE else repr(value)
    return str(value)
