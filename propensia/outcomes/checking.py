"""The one check of an outcome, whoever tells it: texts by column in, an outcome or faults out.

A fault names the column and a code; it must never hold a value.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from propensia.faults import BadRow, Fault
from propensia.journal import records, references

COLUMNS = ("id", "ref", "pagado", "importe", "fecha")
PAID = {"true": True, "1": True, "sí": True, "si": True, "s": True, "verdadero": True}
PAID |= {"false": False, "0": False, "no": False, "n": False, "falso": False}
PAID_ADMITS = "true, false, 1, 0, sí, no, s, n"
MOST_CENTS = 10_000_000_00
EUROS_ADMITS = "0.01 – 10000000"  # noqa: RUF001 - the dash of a range
FIRST_DAY = date(2000, 1, 1)
SOURCE_LETTERS = 255

_ID = re.compile(r"[0-9a-f]{29}").fullmatch
# Three decimals could be thousands; more of them are the rest of a sum in floating point.
_EUROS = re.compile(r"(-?)([0-9]{1,12})(?:[.,]([0-9]{1,2}|[0-9]{4,20}))?").fullmatch
_THOUSANDS = re.compile(r"(-?)([0-9]{1,3}(?:\.[0-9]{3}){1,3}),([0-9]{1,2})").fullmatch
_UNCERTAIN = re.compile(r"-?[0-9]{1,12}[.,][0-9]{3}").fullmatch
_ISO = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})").fullmatch
_SPANISH = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})").fullmatch
# What a spreadsheet makes of a long number, or of digits with one e among them.
_SPREADSHEET = re.compile(r"[0-9](?:[.,][0-9]+)?[eE]\+[0-9]+").fullmatch


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a debtor did: after the ``answer`` of that id, or the last one with that ``reference``
    (as the caller wrote it; with both, they must be of the same answer). ``cents``: euros times
    100, ``None`` where nobody said or nothing was paid. ``day``: until when that is known."""

    answer: str | None
    reference: str | None
    paid: bool
    cents: int | None
    day: date


def day_of(milliseconds: int) -> date:
    """The day, in UTC, of a moment in ms since 1970."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).date()


def check(texts: Mapping[str, str], today: date) -> Outcome:
    """The outcome that ``texts`` tell, by column; a column without text is none.

    ``today`` in UTC: the day after it is the last that a date may name, for it is already that
    day in the east. Raises ``BadRow`` with everything that is wrong.
    """
    faults: list[Fault] = []
    answer, reference = _answer(texts, faults), _reference(texts, faults)
    if not texts.get("id") and not texts.get("ref"):
        faults.append(Fault("id", "falta_id_o_ref"))
    paid = _paid(texts, faults)
    cents = _cents(texts, faults)
    if paid is False and cents:
        faults.append(Fault("importe", "importe_sin_pago"))
    elif paid and cents == 0:
        faults.append(Fault("importe", "fuera_de_rango", EUROS_ADMITS))
    day = _day(texts, today, faults)
    if faults or paid is None or day is None:
        raise BadRow(faults)
    return Outcome(answer, reference, paid, cents if paid else None, day)


def record(outcome: Outcome, source: str, hashed: str | None, told_ms: int) -> bytes:
    """The journal's record of an outcome; ``source``: who told it; ``hashed``: the keyed hash of
    its reference; ``told_ms``: when it was told, in ms since 1970.

    Its id is made of the day and of all that it says, so that the same outcome of the same source
    has the same id, however often it is told.
    """
    source = source[:SOURCE_LETTERS]
    day = outcome.day.isoformat()
    said = [source, outcome.answer, hashed, outcome.paid, outcome.cents, day]
    digest = hashlib.sha256(json.dumps(said).encode("ascii")).hexdigest()
    id = records.first_of_day(outcome.day) + digest[:18]
    paid, cents = outcome.paid, outcome.cents
    return records.outcome(id, source, outcome.answer, hashed, paid, cents, day, told_ms)


def _answer(texts: Mapping[str, str], faults: list[Fault]) -> str | None:
    text = texts.get("id")
    if text and not _ID(text):
        code = "cambiado_por_hoja" if _SPREADSHEET(text) else "id_no_valido"
        faults.append(Fault("id", code))
    return text or None


def _reference(texts: Mapping[str, str], faults: list[Fault]) -> str | None:
    text = texts.get("ref")
    if text and _SPREADSHEET(text):
        faults.append(Fault("ref", "cambiado_por_hoja"))
    elif text and len(text) > references.LONGEST:
        faults.append(Fault("ref", "texto_demasiado_largo", f"≤ {references.LONGEST}"))
    elif text and not text.isprintable():
        faults.append(Fault("ref", "caracter_de_control"))
    return text or None


def _paid(texts: Mapping[str, str], faults: list[Fault]) -> bool | None:
    text = texts.get("pagado")
    if not text:
        faults.append(Fault("pagado", "parametro_ausente", PAID_ADMITS))
        return None
    paid = PAID.get(text.casefold())
    if paid is None:
        faults.append(Fault("pagado", "opcion_no_valida", PAID_ADMITS))
    return paid


def _cents(texts: Mapping[str, str], faults: list[Fault]) -> int | None:
    text = texts.get("importe")
    if not text:
        return None
    found = _EUROS(text) or _THOUSANDS(text)
    if found is None:
        code = "miles_o_decimales" if _UNCERTAIN(text) else "numero_no_valido"
        faults.append(Fault("importe", code))
        return None
    decimals = (found[3] or "").ljust(3, "0")
    cents = int(found[2].replace(".", "") + decimals[:2]) + (decimals[2] >= "5")
    if found[1] and cents:
        faults.append(Fault("importe", "numero_negativo"))
    elif cents > MOST_CENTS:
        faults.append(Fault("importe", "fuera_de_rango", EUROS_ADMITS))
    return cents


def _day(texts: Mapping[str, str], today: date, faults: list[Fault]) -> date | None:
    text = texts.get("fecha")
    if not text:
        faults.append(Fault("fecha", "parametro_ausente", "AAAA-MM-DD"))
        return None
    iso, spanish = _ISO(text), _SPANISH(text)
    parts = iso.groups() if iso else spanish.groups()[::-1] if spanish else ("0", "0", "0")
    try:
        year, month, number = map(int, parts)
        day = date(year, month, number)
    except ValueError:
        faults.append(Fault("fecha", "fecha_no_valida"))
        return None
    if day > today + timedelta(days=1):
        faults.append(Fault("fecha", "fecha_futura"))
    elif day < FIRST_DAY:
        faults.append(Fault("fecha", "fuera_de_rango", f"≥ {FIRST_DAY}"))
    return day
