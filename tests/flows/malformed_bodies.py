"""Malformed JSON bodies by the thousand: seeded families, each with the answer it must get.

A family damages one row, or the whole body; the same damage goes to every route that takes rows.
What is expected is written down here from the published rules, never asked of the program.
"""

from __future__ import annotations

import codecs
import gzip
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from malformed import BASE, CATEGORIES, MARK, NUMBERS, NUMERIC, OWN, PAYLOADS, WHOLE, spoiled

FEATURES = {
    "er": "ESCENARIO_RECOBRO",
    "po": "PORTADO",
    "cp": "CODIGO_POSTAL",
    "im": "IMPORTE_FACTURA",
    "dt": "DEUDA_TOTAL",
    "nl": "NUM_LINEAS_ACTIVAS",
}
Row = list[tuple[str, str]]  # names and values, both as they stand in JSON
ROUTES = ("/predict", "/predict/batch", "/v2/models/cobranza/infer")


@dataclass(frozen=True, slots=True)
class Case:
    """One body for one route. ``status`` is that of the row: a batch answers 200 around it where
    ``of_row`` is set. ``code`` of ``parameter`` must be told."""

    family: str
    path: str
    body: bytes
    status: tuple[int, ...]
    of_row: bool = False
    parameter: str = ""
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Damage:
    """One damaged row and what it must get."""

    family: str
    row: Row
    parameter: str = ""
    code: str = ""


def good() -> Row:
    """The base row."""
    return [(json.dumps(name), json.dumps(text)) for name, text in BASE.items()]


def put(name: str, value: str) -> Row:
    """The base row with one value, as it stands in JSON."""
    return [(n, value if n == json.dumps(name) else v) for n, v in good()]


def text(row: Row) -> str:
    """A row as a JSON object."""
    return "{" + ",".join(f"{name}:{value}" for name, value in row) + "}"


def tensors(row: Row) -> str:
    """A row as an inference request."""
    each = [f'{{"name":{n},"shape":[1],"datatype":"BYTES","data":[{v}]}}' for n, v in row]
    return '{"inputs":[' + ",".join(each) + "]}"


# Damages of one row


def types(r: random.Random) -> Damage:
    """Values of types that no parameter has."""
    name = r.choice([*NUMERIC, *CATEGORIES])
    values = ["true", "false", "{}", "[]", f'["{MARK}"]', f'{{"{MARK}": 1}}', "[[[]]]", "[1,2]"]
    return Damage("types", put(name, r.choice(values)), name, "tipo_no_valido")


def numbers(r: random.Random) -> Damage:
    """Numbers of JSON that are none of the contract's."""
    name = r.choice(NUMBERS)
    value, code = r.choice(
        [
            ("1e999", "numero_no_finito"),
            ("1E+400", "numero_no_finito"),
            ("9" * 390, "numero_no_finito"),
            ("9" * r.choice([401, 5_000, 20_000]), "texto_demasiado_largo"),
            ("0." + "9" * 20_000, "texto_demasiado_largo"),
            (f"-{r.randrange(1, 900)}", "numero_negativo"),
            ("1e99999", "numero_no_valido"),
            ("1e8", "fuera_de_rango"),
            (f"-{r.randrange(1, 900)}.{r.randrange(99)}e-3", "numero_negativo"),
        ]
    )
    return Damage("numbers", put(name, value), name, code)


def fractions(r: random.Random) -> Damage:
    """Fractions where a whole number belongs."""
    name = r.choice(WHOLE)
    return Damage(
        "fractions", put(name, f"{r.randrange(9)}.{r.randrange(1, 9)}"), name, "no_es_entero"
    )


def own_codes(r: random.Random) -> Damage:
    """Parameters that say more than that a number is wrong."""
    name = r.choice(list(OWN))
    value = r.choice(["53001.5", "-1", "999999", '"x"', f'"{MARK}"', "1e31"])
    return Damage("own codes", put(name, value), name, OWN[name])


def good_numbers(r: random.Random) -> Damage:
    """Odd spellings that are right."""
    name = r.choice(NUMBERS)
    value = r.choice(
        ["-0", "-0.0", "0e0", "1E2", "1.5e+1", "1e-400", "null", '"NaN"', "0." + "0" * 300]
    )
    return Damage("good numbers", put(name, value))


def nothing(r: random.Random) -> Damage:
    """null where a value is needed."""
    name = r.choice(["er", "po", "ec", "vf", "vb"])
    return Damage("nothing", put(name, "null"), name, "sin_dato")


def escapes(r: random.Random) -> Damage:
    """Controls and halves of pairs, escaped as JSON allows."""
    name = r.choice(CATEGORIES)
    escape, code = r.choice(
        [
            ("\\u0000", "caracter_de_control"),
            ("\\r\\n", "caracter_de_control"),
            ("\\u007f", "caracter_de_control"),
            ("\\u0085", "caracter_de_control"),
            ("\\ud800", "categoria_desconocida"),
            ("\\udc00\\ud800", "categoria_desconocida"),
            ("\\ud83d\\ude00", "categoria_desconocida"),
            ("\\u200b", "caracter_parecido"),
            ("\\u202e", "caracter_parecido"),
        ]
    )
    middle = BASE[name][:1] + escape + BASE[name][1:]
    if code == "caracter_de_control":
        middle += MARK
    return Damage("escapes", put(name, f'"{middle}"'), name, code)


def markup(r: random.Random) -> Damage:
    """Markup, templates and formulas."""
    name = r.choice([*NUMERIC, *CATEGORIES])
    return Damage("markup", put(name, json.dumps(r.choice(PAYLOADS) + MARK)), name)


def long_texts(r: random.Random) -> Damage:
    """Texts that are far too long."""
    name = r.choice(CATEGORIES)
    value = json.dumps(r.choice(["A", "1a", "\u00f1"]) * r.choice([401, 3_000, 9_000]))
    return Damage("long texts", put(name, value), name, "texto_demasiado_largo")


def twice(r: random.Random) -> Damage:
    """A parameter twice, under the same name or both."""
    name = r.choice(list(FEATURES))
    again = r.choice([name, FEATURES[name]])
    row = good()
    row.insert(
        r.randrange(len(row) + 1), (json.dumps(again), r.choice(["1", f'"{MARK}"', "null"]))
    )
    return Damage("twice", row, name, "parametro_repetido")


def missing(r: random.Random) -> Damage:
    """A parameter that is not sent."""
    row = good()
    name, _ = row.pop(r.randrange(len(row)))
    return Damage("missing", row, json.loads(name), "parametro_ausente")


def unknown(r: random.Random) -> Damage:
    """Names that the contract does not know: ignored, and named."""
    name = r.choice(['"_"', '"IM"', '""', '"__proto__"', '"\\u0000"', '"<b>"', f'"{"x" * 400}"'])
    value = r.choice(["1", "null", f'"{MARK}"'])
    return Damage("unknown", [*good(), (name, value)])


ROW_FAMILIES: tuple[Callable[[random.Random], Damage], ...] = (
    types,
    numbers,
    fractions,
    own_codes,
    good_numbers,
    nothing,
    escapes,
    markup,
    long_texts,
    twice,
    missing,
    unknown,
)


# Damages of the whole body


def nested(r: random.Random, whole: str) -> bytes:
    """Brackets without end, alone or in place of a value."""
    deep = r.choice(["[", '{"a":', '[{"er":'])
    count = 10_000 if deep == "[" else r.choice([1_000, 3_000, 7_000])
    body = deep * count
    if r.random() < 0.5:
        body += "1" + {"[": "]", '{"a":': "}", '[{"er":': "}]"}[deep] * count
    return body.encode()


def constants(r: random.Random, whole: str) -> bytes:
    """What other languages call a value."""
    word = r.choice(
        ["undefined", "None", "True", "nan", "inf", "08", "+1", ".5", "0x1F", "1_0", "'a'"]
    )
    return whole.replace('"417.6853"', word).encode()


def syntax(r: random.Random, whole: str) -> bytes:
    """Nearly JSON."""
    changed = r.choice(
        [
            whole[:-1] + ",}",
            whole.replace('"', "'"),
            whole.replace(":", "=", 1),
            whole + whole,
            whole + r.choice([MARK, "\x00", ";", "//x"]),
            "/* */" + whole,
            whole.replace(",", ",,", 1),
            whole.replace('"EMP"', '"E\x00P"').replace('["EMP"]', '["E\nP"]'),
            whole.replace('"EMP"', f'"EMP\n{MARK}"'),
            whole.replace('"EMP"', '"\\x41"'),
            whole.replace('"EMP"', '"\\ud8"'),
            r.choice(["", " ", "\n\n", "{", "[", "]", '"', "nul", "-", MARK]),
            r.choice(["true", "0", f'"{MARK}"', "-0.5e1", "false"]),
            whole.replace('"er"', '"\\udfff"', 1).replace('"name":"\\udfff"', '"\\ud800":1', 1),
        ]
    )
    return changed.encode()


def truncated(r: random.Random, whole: str) -> bytes:
    """Cut anywhere."""
    return whole.encode()[: r.randrange(1, len(whole) - 1)]


def encodings(r: random.Random, whole: str) -> bytes:
    """Bytes that are not UTF-8."""
    kind = r.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
    broken = r.choice(
        [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc3", b"\xf1"]
    )
    data = whole.encode()
    return r.choice([whole.encode(kind), data.replace(b"EMP", b"E" + broken + MARK.encode(), 1)])


def packed(r: random.Random, whole: str) -> bytes:
    """Compressed, without saying so."""
    return gzip.compress(whole.encode(), mtime=0)[: r.choice([10, 40, 10_000])]


def bytes_of_noise(r: random.Random, whole: str) -> bytes:
    """Random bytes."""
    return b"\xff" + r.randbytes(r.randrange(200))


BODY_FAMILIES = (nested, constants, syntax, truncated, encodings, packed, bytes_of_noise)


def noise(r: random.Random, whole: str) -> bytes:
    """A good body with bytes deleted, doubled or replaced at random: who knows."""
    return spoiled(r, whole.encode(), bytes(range(32, 127)))


HEADERS: Sequence[tuple[dict[str, str], int]] = (
    ({"Content-Type": "text/plain"}, 415),
    ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ({"Content-Type": "application/json; charset=utf-16"}, 415),
    ({"Content-Type": "multipart/form-data"}, 415),
    ({"Content-Type": MARK}, 415),
    ({"Content-Encoding": "gzip"}, 415),
    ({"Content-Encoding": f"br, {MARK}"}, 415),
)


def shaped(path: str, row: Row) -> str:
    """A row as the body of a route."""
    if path == ROUTES[2]:
        return tensors(row)
    return f"[{text(row)}]" if path == ROUTES[1] else text(row)


def cases(seed: int, of_each: int, path: str) -> Iterator[Case]:
    """``of_each`` cases of every family for one route, interleaved."""
    r = random.Random(f"{seed} {path}")
    for _ in range(of_each):
        for family in ROW_FAMILIES:
            damage = family(r)
            told = bool(damage.code) or damage.family == "markup"
            body = shaped(path, damage.row).encode()
            status = (400,) if told else (200,)
            yield Case(damage.family, path, body, status, True, damage.parameter, damage.code)
        for spoil in BODY_FAMILIES:
            body = spoil(r, shaped(path, good()))
            yield Case(spoil.__name__, path, body, (400,))
        yield Case("noise", path, noise(r, shaped(path, good())), (200, 400))
        headers, refused = r.choice(HEADERS)
        yield Case("headers", path, shaped(path, good()).encode(), (refused,), headers=headers)
        marked = codecs.BOM_UTF8 + shaped(path, good()).encode()
        yield Case("byte order mark", path, marked, (200,), True)


FAMILIES = len(ROW_FAMILIES) + len(BODY_FAMILIES) + 3
