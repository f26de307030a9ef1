"""Texts that a file may hold in any column, the usual and the hostile, drawn with a fixed seed.

Nothing of them was ever sent by a person.
"""

from __future__ import annotations

import random

from propensia.contract import Contract, Parameter

ODD = [
    *("", " ", "\t", "NaN", "nan", "NULL", "None", "n/a", "N/A ", "-", "?", "#N/A", "inf", "-inf"),
    *("Infinity", "nan1", "1e3", "1.5E+2", "15e-1", "+5", "-5", "5.", ".5", ".", ",", "--5"),
    *("-0", "-0.0", "-0,0", "+0", "0", "00", "0.0", "00012.50", "1e-400", "1e309", "-1e309"),
    *(
        "1,234",
        "-1,234",
        "999,999",
        "0,123",
        "12,3456",
        "1234,5",
        "263,68",
        " 263,68 ",
        "1.234,50",
    ),
    *("1,234.50", "1.234.567", "1_000", "1'234", "1 234", "1\xa0234", "12€", "0x10", "abc", "e5"),
    *("123456789012345", "1234567890123456", "0.123456789012345", "0.1234567890123456"),
    *("123456789012345.123456789012345", "123456789012345,123456789012345", "9" * 400, "9" * 401),
    *(
        "8029.0",
        "8029.00",
        "8029.5",
        "8029,0",
        "8029,000",
        "08029",
        "1000",
        "999",
        "52999",
        "53000",
    ),
    *("202310", "202310.0", "202313", "202300", "2023-10", "01/10/2023", "20231001", "2023"),
    *(
        "0-30",
        " 31-50",
        "mayor 65",
        "MAYOR  65",
        "50-31",
        "120",
        "121",
        "30",
        "45.5",
        "1000000000",
    ),
    *(
        "10000000",
        "10000000.01",
        "1e300",
        "3.0",
        "3,0",
        "3.5",
        "true",
        "SI",
        "si",
        " s ",
        "n",
        "no",
    ),
    *("\uff15", "\u0665", "1\u0660", "5²", "\uff10\uff18029", "\u0415MP", "\u017f", "S\u00cd"),
    *("S\u200b", "EMP\xa0", "\x7f5", "5\x85", "E\x01MP", "<b>5</b>", "=1+1", "@x", "X" * 401),
    *("\u00f1", "CAMI\u00d3N", "yes", "NO PHONE SERVICE", "Month-to-month", "0,5", "1,5"),
]


def usual(parameter: Parameter, chance: random.Random) -> str:
    """A text that callers send for a parameter, in one of the spellings that files have."""
    if parameter.is_category or (parameter.labels and chance.random() < 0.3):
        text = chance.choice([*parameter.values, *parameter.synonyms, *parameter.labels])
        return chance.choice([text, text, text, text.lower(), f"{text} ", f" {text}"])
    if chance.random() < 0.1:
        may_lack = parameter.fill is not None or parameter.optional
        return "NaN" if may_lack else parameter.example
    if parameter.kind == "month":
        return f"{chance.randint(1990, 2030)}{chance.randint(1, 12):02d}"
    high = min(parameter.max, 1e6)
    low = parameter.min
    number = chance.choice([chance.uniform(low, min(low + 50, high)), chance.uniform(low, high)])
    if parameter.kind in ("integer", "python_int"):
        forms = ["{:.0f}", "{:05.0f}"] + ["{:.0f}.0"] * (parameter.kind == "integer")
        return chance.choice(forms).format(number)
    text = chance.choice([f"{number:.2f}", f"{number:.1f}", f"{number:.0f}", repr(number)])
    if parameter.kind == "number" and chance.random() < 0.3 and len(text.partition(".")[2]) < 3:
        return text.replace(".", ",")
    return text


def rows(contract: Contract, count: int, seed: int, odd: float) -> dict[str, list[str]]:
    """``count`` texts per parameter, of which the share ``odd`` may be anything."""
    chance = random.Random(seed)
    return {
        parameter.name: [
            chance.choice(ODD) if chance.random() < odd else usual(parameter, chance)
            for _ in range(count)
        ]
        for parameter in contract.parameters
    }
