"""Numbers as Spanish readers write them: a point for thousands, a comma for decimals.

It only writes: what people type is read elsewhere, and more kinds of it.
"""

from __future__ import annotations

SIGNS = str.maketrans({",": ".", ".": ",", "-": "\N{MINUS SIGN}"})


def number(value: float, decimals: int | None = None) -> str:
    """A number with so many decimals: 1.234,50. There is no minus zero.

    Without ``decimals``, four significant digits, or a whole number from 1000 on.
    """
    if decimals is None:
        text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.4g}"
    else:
        text = f"{value:,.{decimals}f}"
    return signs(text if text.strip("-0.") else text.lstrip("-"))


def percent(share: float, decimals: int | None = 0) -> str:
    """A share in [0, 1] as hundredths, their sign held to them: 12,5 %."""
    return f"{number(100 * share, decimals)}\N{NARROW NO-BREAK SPACE}%"


def signs(text: str) -> str:
    """What Python's ``format`` gives for a number, with Spanish signs: 1,234.5 is 1.234,5."""
    return text.translate(SIGNS)
