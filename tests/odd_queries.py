"""Query strings as old callers and broken ones send them: valid, odd, malformed, absent, twice.

The same seed gives the same queries; nothing here knows what the right answer is.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from urllib.parse import quote, quote_plus

INTEGERS = ["cp", "ed", "cf", "nl"]
AMOUNTS = ["im", "dt"]

USUAL = {
    "er": ["EMP", "PER", "FU"],
    "po": ["SI", "NO", "N", "N/A", "BAJAS_I", "BAJAS_II"],
    "vt": ["S", "N", "SI", "NO"],
    "cp": ["8029", "08029", "1001", "28037", "52006", "43850", "NaN"],
    "ec": ["A", "B"],
    "vf": ["N", "S", "SI"],
    "vb": ["N", "S", "SI"],
    "fb": ["202310", "202401", "NaN"],
    "ed": ["NaN", "18", "29", "30", "31", "50", "51", "65", "66", "90"],
    "cf": ["1", "2", "3", "4", "9", "NaN"],
    "im": ["0", "3.93", "55.19", "71.99", "178.74", "263.68", "314.24", "5991.66", "NaN"],
    "dt": ["0", "23.79", "131.77", "347.94", "628.83", "1000.82", "5991.66", "NaN"],
    "nl": ["0", "1", "2", "3", "12", "NaN"],
}
ANY_TEXT = [
    *(
        "",
        " ",
        "NaN",
        "nan",
        "null",
        "N/A",
        "N/A ",
        " SI",
        "SI ",
        "si",
        "Si",
        "S",
        "N",
        "NO",
        "no",
    ),
    *("per", "PER ", "BAJAS_I ", "a", "A ", "0", "1", "\x00", "\r\n", "\x1b[0m", "ñ", "\ufffd"),
    *("<b>SI</b>", "SI&er=PER", "A=A", "%", "%zz", "🙂", "B" * 300, "SI", "FU", "2023-10"),
]
TAKEN_BY_INT = [
    *(
        " 8029 ",
        "8_029",
        "\u0668\u0660\u0662\u0669",
        "8029",
        "+31",
        "-5",
        "0031",
        "-0",
        "0",
        "\t3\n",
        "\u00a03",
    ),
    *("\u20072", "999", "1" * 30, "1_0", "\x1f4", "१२", "-1000000"),
]
HUGE = ["9" * 60, "-" + "9" * 60, "9" * 309, "1" * 400, "-" + "1" * 400]
NOT_INT = [
    *("", " ", "nan", "NAN", "NaN ", " NaN", "null", "None", "3.0", "1e3", "abc", "8 029"),
    *(
        "8__029",
        "_8",
        "8_",
        "1,5",
        "inf",
        "0x10",
        "12\x00",
        "²",
        "½",
        "\u22125",
        "\ufffd",
        "31-50",
    ),
]
TAKEN_BY_FLOAT = [
    *(
        "1e3",
        "1E-3",
        ".5",
        "5.",
        "inf",
        "-inf",
        "Infinity",
        "+INF",
        "1_000.5",
        "\u0663.\u0665",
        "-0",
    ),
    *("-12.5", "1e400", "1e-400", " 263.68 ", "+7", "\u00a010.5\r\n", "9" * 400, "120.5"),
]
NOT_FLOAT = [
    *("", "nan", "NAN", "-nan", "+NaN", "Nan", "NaN ", "263,68", "1.000,82", "€5", "1e", "--1"),
    *("0x1p3", "1__0", "infinito", "null", "N/A", "12\x00", "1 000", "1e5_", "\ufffd"),
]
OTHERS = ["", "utm=1", "q", "er2=PER", "ER=PER", "%FF=1", "=PER", "x=%00", "e%3Dr=PER"]
RAW_BYTES = [
    b"\xff",
    b"SI\xe9",
    b"%FF",
    b"%C3",
    b"80\xa029",
    b"%E9%A1",
    b"\xc3\xb1",
    b"%ZZ",
    b"%4",
]


def queries(count: int, seed: int, *, huge: bool = True) -> Iterator[str]:
    """``count`` query strings, as WSGI hands them on (bytes as Latin-1), of at most 2,048
    characters. ``huge``: with whole numbers beyond what 32 bits hold."""
    made, chance = 0, random.Random(seed)
    while made < count:
        raw = _query(chance, huge)
        if len(raw) <= 2048:
            made += 1
            yield raw


def _query(chance: random.Random, huge: bool) -> str:
    items = []
    # Most rows have no, one or two odd things; else hardly one would be answered.
    odd = chance.choice([0.0, 0.1, 0.3])
    for name in USUAL:
        if chance.random() < odd / 4:
            continue  # absent
        for _ in range(2 if chance.random() < odd / 4 else 1):
            items.append(f"{name}=".encode() + _value(name, chance, odd, huge))
    if chance.random() < 0.5:
        chance.shuffle(items)
    if chance.random() < 0.2:
        items.insert(chance.randrange(len(items) + 1), chance.choice(OTHERS).encode())
    return b"&".join(items).decode("latin-1")


def _value(name: str, chance: random.Random, odd: float, huge: bool) -> bytes:
    if chance.random() >= odd:
        return quote(chance.choice(USUAL[name])).encode()
    if chance.random() < 0.05:
        return chance.choice(RAW_BYTES)
    text = chance.choice(_odd(name, chance, huge))
    if chance.random() < 0.1 and text.isprintable() and not set(text) & set("&=%+"):
        return text.encode()  # not escaped at all
    return (quote_plus if chance.random() < 0.5 else quote)(text, safe="").encode()


def _odd(name: str, chance: random.Random, huge: bool) -> Sequence[str]:
    """One of the lists; malformed numbers are half as frequent as odd ones that are taken."""
    if name in INTEGERS:
        return chance.choice([TAKEN_BY_INT, [*TAKEN_BY_INT, *HUGE * huge], NOT_INT])
    if name in AMOUNTS:
        return chance.choice([TAKEN_BY_FLOAT, TAKEN_BY_FLOAT, NOT_FLOAT])
    return ANY_TEXT
