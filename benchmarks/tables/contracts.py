"""Writes the contract file of any table: parameters by kind, their domains, and one-hot columns.

It is a tool of the benchmarks: it looks at all rows of a table, labels aside, and must never be
used to make the contract of a service.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

_QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_READING = """\
[reading]
no_data = ["", "nan", "null", "n/a"]
forgive_case = true
repeated = "refuse"
bad_utf8 = "refuse"
"""


def contract_for(frame: pd.DataFrame, name: str, label: str, positive: str) -> str:
    """The text of a contract file that reads `frame`, all but its column `label`, which it names.

    Columns of texts are categories with every text that occurs; numbers are whole or not as they
    are in the frame, and optional where one is missing. `positive` is the label that counts as 1.
    Raises `ValueError` for a category with a gap: there is no column for that.
    """
    inputs = frame.drop(columns=label)
    negative = sorted({str(text) for text in frame[label]} - {positive})
    head = {"name": name, "title": _both(name)}
    names = [f"x{place:02}" for place in range(1, len(inputs.columns) + 1)]
    parts = [
        _lines(head),
        _READING,
        f"[label]\n{_lines({'column': label, 'positive': [positive], 'negative': negative})}",
        "[answer]\n"
        + _lines(
            {
                "form": "json",
                "threshold": 0.5,
                "positive": _both(positive),
                "negative": _both(negative[0]),
            }
        ),
        *(
            f"[[parameters]]\n{_lines(_parameter(short, inputs[feature]))}"
            for short, feature in zip(names, inputs.columns, strict=True)
        ),
        *(
            f"[[columns]]\n{_lines(column)}"
            for short, feature in zip(names, inputs.columns, strict=True)
            for column in _columns(short, inputs[feature])
        ),
    ]
    return "\n".join(parts)


def is_category(values: pd.Series) -> bool:
    """Whether a column of the frame holds texts."""
    return not pd.api.types.is_numeric_dtype(values)


def _parameter(short: str, values: pd.Series) -> dict[str, Any]:
    common = {"name": short, "feature": values.name, "label": _both(str(values.name))}
    if is_category(values):
        if values.isna().any():
            raise ValueError(f"{values.name}: a category must have a text in every row")
        shares = values.value_counts(normalize=True, sort=False).sort_index()
        return {
            **common,
            "kind": "category",
            "values": list(shares.index),
            "example": shares.idxmax(),
            "shares": [round(float(share), 6) for share in shares],
        }
    known = values.dropna().to_numpy(np.float64)
    whole = bool(np.all(known == np.floor(known)))
    number = int if whole else float
    points = np.quantile(known, _QUANTILES, method="nearest")
    gaps = float(values.isna().mean())
    return {
        **common,
        "kind": "integer" if whole else "number",
        "min": 0 if known.min() >= 0 else -_domain(-known.min()),
        "max": _domain(known.max()),
        "example": str(number(points[3])),
        "quantiles": [
            [share, number(point)] for share, point in zip(_QUANTILES, points, strict=True)
        ],
        **({"optional": True, "missing_share": round(gaps, 6)} if gaps else {}),
    }


def _domain(largest: float) -> int:
    """The power of ten above ten times the largest value: room for what a caller may send."""
    return int(10 ** (2 + math.floor(math.log10(max(largest, 1.0)))))


def _columns(short: str, values: pd.Series) -> list[dict[str, Any]]:
    if not is_category(values):
        return [{"name": values.name, "from": short, "steps": [{"value": True}]}]
    texts = sorted(values.unique())
    return [
        {
            "name": f"{values.name}_{text}",
            "from": short,
            "steps": [{"map": {other: int(other == text) for other in texts}}],
        }
        for text in texts
    ]


def _both(text: str) -> dict[str, str]:
    return {"es": text, "en": text}


def _lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in table.items())


def _value(value: Any) -> str:
    """A value in TOML: its texts, numbers and truths are written as in JSON."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_value(str(key))} = {_value(item)}" for key, item in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(_value(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
