"""Malformed queries by the thousand: seeded families, each with the answer that it must get.

What is expected is written down here from the published rules, never asked of the program.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_from_bytes

from models_for_tests import EXAMPLE
from server import Server

# Values that must never turn up in an output or a log file.
MARK = "zq7marca"
MARKED = {"im": "417.6853", "dt": "1931.0747"}
BASE = EXAMPLE | MARKED
NUMBERS = ("im", "dt")
WHOLE = ("cf", "nl")
NUMERIC = ("im", "dt", "cf", "nl", "cp", "ed", "fb")
CATEGORIES = ("er", "po", "vt", "ec", "vf", "vb")
# What a parameter of its own kind says instead of the general codes.
OWN = {"cp": "codigo_postal_no_valido", "ed": "edad_no_valida", "fb": "mes_no_valido"}
HEAD_LIMIT = 64 * 1024  # the longest head that the servers read
DIGITS = ("0", "\uff10", "\u0660", "\u06f0", "\u0966", "\U0001d7d8")  # zeros of several scripts


@dataclass(frozen=True, slots=True)
class Case:
    """One query and its answer: ``status``, and the code that ``parameter`` must get.

    ``same_as``: a well-formed query that must get the same probability.
    """

    family: str
    query: bytes
    status: tuple[int, ...]
    parameter: str = ""
    code: str = ""
    same_as: bytes = b""


def query(texts: dict[str, str], more: bytes = b"") -> bytes:
    """A query of correctly escaped texts."""
    joined = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in texts.items())
    return joined.encode() + more


def put(name: str, text: str, family: str, code: str) -> Case:
    """The base query with one text; refused with ``code``, or answered where that is empty."""
    status = (400,) if code else (200,)
    return Case(family, query(BASE | {name: text}), status, name, code)


def told(name: str, text: str, plain: str, family: str, note: str) -> Case:
    """A text that is read like ``plain``, and told in ``avisos`` (unless ``note`` is empty)."""
    whole = query(BASE | {name: text})
    return Case(family, whole, (200,), name, note, query(BASE | {name: plain}))


def raw(name: str, value: bytes, family: str, code: str = "codificacion_no_valida") -> Case:
    """The base query with the bytes of one value as they are."""
    rest = {k: v for k, v in BASE.items() if k != name}
    more = b"&" + name.encode() + b"=" + value
    return Case(family, query(rest, more), (400,), "", code)


def other_digits(r: random.Random) -> Case:
    """Digits of other scripts."""
    name, zero = r.choice(NUMERIC), r.choice(DIGITS[1:])
    digits = [chr(ord(zero) + int(c)) if c.isdigit() else c for c in "202310"[r.randrange(5) :]]
    return put(name, "".join(digits), "other digits", "caracter_parecido")


def comma(r: random.Random) -> Case:
    """A decimal comma that can be nothing else."""
    name, whole = r.choice(NUMBERS), r.randrange(5000)
    cents = r.choice([f"{r.randrange(10)}", f"{r.randrange(100):02}", f"{r.randrange(10**4):04}"])
    return told(name, f"{whole},{cents}", f"{whole}.{cents}", "decimal comma", "coma_decimal")


def thousands(r: random.Random) -> Case:
    """A separator of thousands, or what may be one."""
    a, b = r.randrange(1, 999), f"{r.randrange(1000):03}"
    forms = [
        "{}.{},50",
        "{},{}.50",
        "{},{}",
        "{}'{}",
        "{}_{}",
        "{} {}",
        "{}\u00a0{}",
        "{}\u2009{}",
    ]
    return put(r.choice(NUMBERS), r.choice(forms).format(a, b), "thousands", "numero_no_valido")


def infinite(r: random.Random) -> Case:
    """Numbers that no float holds."""
    texts = ["inf", "-inf", "+INF", "Infinity", "-infinity", "iNf", "1e309", "9e9999", "1E+400"]
    return put(r.choice(NUMERIC), r.choice(texts), "infinite", "numero_no_finito")


def nothing(r: random.Random) -> Case:
    """The spellings of no data."""
    text = r.choice(["", "nan", "NaN", "NAN", "null", "NULL", "None", "none", "n/a", " ", "\t"])
    name = r.choice([*NUMERIC, *CATEGORIES])
    if name == "po" and text.lower() == "n/a":
        return told("po", text, "N/A", "no data", "texto_normalizado")
    if name in ("er", "po", "ec", "vf", "vb"):
        return put(name, text, "no data", "sin_dato")
    fills = {"im": "71.99", "dt": "125.61", "cf": "2", "nl": "1", "cp": "28000", "vt": "S"}
    if name == "fb":
        return put(name, text, "no data", "")
    return told(name, text, (fills | {"ed": "51-65"})[name], "no data", "valor_supuesto")


def signs(r: random.Random) -> Case:
    """Signs, good and bad."""
    name = r.choice([*NUMBERS, *WHOLE])
    number = str(r.randrange(1, 900))
    text, code = r.choice(
        [
            (f"-{number}", "numero_negativo"),
            (f"--{number}", "numero_no_valido"),
            (f"{number}-", "numero_no_valido"),
            (f"+-{number}", "numero_no_valido"),
            (f"({number})", "numero_no_valido"),
            (f"\u2212{number}", "numero_no_valido"),
            (f"+{number}", ""),
            ("-0", ""),
        ]
    )
    return put(name, text, "signs", code)


def control(r: random.Random) -> Case:
    """A control character inside a text."""
    codes = [c for c in range(160) if c < 32 or c >= 127]
    name = r.choice([*NUMERIC, *CATEGORIES])
    text = BASE[name] + chr(r.choice(codes)) + r.choice(["x", "1", f"forged {MARK}"])
    return put(name, text, "control", "caracter_de_control")


def encoding(r: random.Random) -> Case:
    """Escapes that are none, and bytes that are not UTF-8."""
    values = [b"%", b"%1", b"%zz", b"%u00e9", b"1%", b"%%31", b"%f1", b"Espa%F1a", b"%E9", b"%FF"]
    values += [b"%C0%80", b"%ED%A0%80", b"%F5%80%80%80", b"%c3", b"%80"]
    tail = r.choice([b"", b"1", MARK.encode()])
    value = r.choice(values)
    if value[-1:] in b"%1" and tail:
        tail = b"-" + tail  # or the tail would complete the escape
    return raw(r.choice(list(BASE)), value + tail, "encoding")


def latin(r: random.Random) -> Case:
    """Raw bytes above 127, as old systems send them; UTF-8 ones are no number either."""
    value = bytes([r.randrange(128, 256)]) + r.choice([b"", b"a", b"1"])
    case = raw(r.choice(list(BASE)), value, "latin-1", "")
    return Case(case.family, case.query, (400,))


def repeated(r: random.Random) -> Case:
    """A parameter twice, with the same value or another."""
    name = r.choice(list(BASE))
    value = r.choice([BASE[name], MARK])
    more = f"&{name}={quote(value)}".encode()
    return Case("repeated", query(BASE, more), (400,), name, "parametro_repetido")


def unknown(r: random.Random) -> Case:
    """Parameters that the contract does not know: ignored, and named."""
    name = r.choice(["_", "t", "IM", "Er", "<b>", "año", "im ", "__proto__", "x" * 40, "\x00"])
    more = f"&{quote(name, safe='')}={MARK}".encode()
    whole = query(BASE, more)
    return Case("unknown", whole, (200,), name[:32], "parametro_desconocido", query(BASE))


def long_value(r: random.Random) -> Case:
    """Values and addresses that are far too long."""
    name, size = r.choice(list(BASE)), r.choice([401, 700, 1500, 2500, 6000, 30_000])
    whole = query(BASE | {name: r.choice("1Aa ") * size})
    if len(whole) > HEAD_LIMIT - 100:
        # Whether the whole head is there before it is found too long is a matter of its arrival.
        return Case("long", whole, (414, 431))
    return Case("long", whole, (414,) if len(whole) > 2048 else (400,))


PAYLOADS = (
    "<zq7tag>",
    '"><zq7tag>',
    "'><zq7tag>",
    '" onzq7="1',
    "' onzq7='1",
    "</title><zq7tag>",
    "<script>zq7()</script>",
    "<!--",
    "{{7919*7907}}",
    "${7919*7907}",
    "<svg/onload=zq7()>",
    "javascript:zq7()",
    "&lt;zq7tag&gt;",
    "=1+1",
    "' OR 1=1 --",
)


def markup(r: random.Random) -> Case:
    """Markup, templates, formulas: only ever wrong values."""
    name = r.choice([*NUMERIC, *CATEGORIES])
    texts = BASE | {name: r.choice(PAYLOADS) + MARK}
    more = r.choice([b"", b"&formato=html", b"&formato=html", b"&formato=texto"])
    return Case("markup", query(texts, more), (400,), name if not more else "")


def forgiven(r: random.Random) -> Case:
    """Another case and blanks around a value."""
    name = r.choice(CATEGORIES)
    plain = BASE[name]
    before, after = r.choice([(" ", ""), ("", "  "), ("\t", " "), ("", "")])
    text = before + (plain.lower() if not before + after else plain) + after
    return told(name, text, plain, "forgiven", "texto_normalizado")


def exponents(r: random.Random) -> Case:
    """Exponents."""
    number = f"{r.randrange(1, 10)}.{r.randrange(100):02}e{r.choice(['', '+'])}{r.randrange(4)}"
    return told(r.choice(NUMBERS), number, f"{float(number):.9f}", "exponents", "")


def ranges(r: random.Random) -> Case:
    """Numbers of the right kind, out of range."""
    choices = [
        ("cf", f"{r.randrange(1000, 10**9)}", "fuera_de_rango"),
        ("nl", f"{r.randrange(1000, 10**9)}.0", "fuera_de_rango"),
        ("im", f"{r.randrange(10**7 + 1, 10**12)}", "fuera_de_rango"),
        ("dt", "1e8", "fuera_de_rango"),
        ("cf", f"{r.randrange(9)}.{r.randrange(1, 10)}", "no_es_entero"),
        ("nl", "1e-3", "no_es_entero"),
        ("cp", f"{r.randrange(53000, 100000)}", OWN["cp"]),
        ("cp", f"{r.randrange(1000)}", OWN["cp"]),
        ("cp", f"00{r.randrange(100, 1000)}", OWN["cp"]),
        ("cp", f"-{r.randrange(1000, 53000)}", OWN["cp"]),
        ("fb", f"{r.randrange(1900, 2100)}{r.choice(['00', '13', '99', '1', '010'])}", OWN["fb"]),
        ("fb", r.choice(["2023-10", "10/2023", "202310,0", "189912", "210001"]), OWN["fb"]),
        ("ed", r.choice(["121", "-1", "30.5", "50-31", "0-31", "treinta", "MAYOR"]), OWN["ed"]),
    ]
    name, text, code = r.choice(choices)
    return put(name, text, "ranges", code)


def categories(r: random.Random) -> Case:
    """Unknown categories, and letters that only look right."""
    name = r.choice(CATEGORIES)
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in BASE[name])
    text, code = r.choice(
        [
            (MARK, "categoria_desconocida"),
            ("EMPX", "categoria_desconocida"),
            ("1", "categoria_desconocida"),
            ("\u0421\u0406", "categoria_desconocida"),
            ("\u00d1", "categoria_desconocida"),
            (BASE[name] + "\u200b", "caracter_parecido"),
            (wide, "caracter_parecido"),
        ]
    )
    return put(name, text, "categories", code)


def missing(r: random.Random) -> Case:
    """A parameter that is not sent, or sent without the equals sign's left side."""
    name = r.choice(list(BASE))
    rest = {k: v for k, v in BASE.items() if k != name}
    more = r.choice([b"", b"&", b"&&&", b"&=1"])
    return Case("missing", query(rest, more), (400,), name, "parametro_ausente")


def options(r: random.Random) -> Case:
    """Options with values that they do not take."""
    name, text, code = r.choice(
        [
            ("formato", "xml", "opcion_no_valida"),
            ("formato", "JSON", "opcion_no_valida"),
            ("idioma", "fr", "opcion_no_valida"),
            ("motivos", "-1", "opcion_no_valida"),
            ("motivos", "99", "opcion_no_valida"),
            ("motivos", "\u0663", "opcion_no_valida"),
            ("motivos", "9" * 900, "opcion_no_valida"),
            ("ref", MARK * 9, "texto_demasiado_largo"),
            ("ref", f"{MARK}\n{MARK}", "caracter_de_control"),
        ]
    )
    more = f"&{name}={quote(text)}".encode()
    return Case("options", query(BASE, more), (400,), name, code)


def spoiled(r: random.Random, whole: bytes, allowed: bytes) -> bytes:
    """``whole`` with bytes deleted, doubled or replaced by ``allowed`` ones at random."""
    data = bytearray(whole)
    for _ in range(r.randrange(1, 6)):
        place = r.randrange(len(data))
        kind = r.randrange(3)
        if kind == 0:
            del data[place]
        elif kind == 1:
            data[place:place] = data[place : place + r.randrange(1, 30)]
        else:
            data[place] = r.choice(allowed)
    return bytes(data)


def noise(r: random.Random) -> Case:
    """A good query with bytes deleted, doubled or replaced at random."""
    allowed = bytes(b for b in range(33, 127) if b != ord("#"))
    return Case("noise", spoiled(r, query(BASE), allowed), (200, 400, 414))


def garbage(r: random.Random) -> Case:
    """Random escaped bytes as a value, or as the whole query."""
    data = quote_from_bytes(r.randbytes(r.randrange(1, 60)), safe="").encode()
    if r.random() < 0.5:
        return Case("garbage", query(BASE, b"&x=" + data), (200, 400))
    return Case("garbage", data, (400,))


FAMILIES: tuple[Callable[[random.Random], Case], ...] = (
    other_digits,
    comma,
    thousands,
    infinite,
    nothing,
    signs,
    control,
    encoding,
    latin,
    repeated,
    unknown,
    long_value,
    markup,
    forgiven,
    exponents,
    ranges,
    categories,
    missing,
    options,
    noise,
    garbage,
)


def cases(seed: int, of_each: int) -> Iterator[Case]:
    """``of_each`` cases of every family, interleaved."""
    chance = random.Random(seed)
    for _ in range(of_each):
        for family in FAMILIES:
            yield family(chance)


def content(path: Path) -> bytes:
    """The bytes of a file; none where it has just been removed."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def nothing_leaked(server: Server) -> None:
    """No value that was sent is in an output or a file of the program; nothing failed either.

    The journal and the store hold what was scored, by design; nothing of what was refused.
    """
    assert "Traceback" not in server.output() and "ERROR" not in server.output()
    places = [server.log, *(p for p in server.place.state.rglob("*") if p.is_file())]
    for path in places:
        remembers = path.parent.name == "journal" or path.name.startswith("store.db")
        data = content(path)
        for text in (MARK,) if remembers else (MARK, *MARKED.values()):
            assert text.encode() not in data, (path, text)
