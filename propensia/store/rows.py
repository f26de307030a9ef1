"""Records of the journal as rows of the tables, or why they can be none.

It trusts no record: what a later program wrote, or a damaged one, must not stop the others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, String, Table

from propensia.journal import records
from propensia.store import schema


@dataclass(slots=True)
class Batch:
    """The rows of some records: of ``schema.answers``, with the ``texts`` of ``schema.inputs`` as
    one more, of ``schema.refusals``, and what is told in outcomes. ``unfit``: what is none of it,
    as it was. Each row comes with the record that it was made of, as ``record``."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[dict[str, Any]] = field(default_factory=list)
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    unfit: list[bytes] = field(default_factory=list)


Check = Callable[[Any], bool]
_decoded = json.JSONDecoder().decode
_encoded = json.JSONEncoder(separators=records.SEPARATORS).encode


def _texts(value: Any) -> bool:
    return type(value) is list and all(text is None or type(text) is str for text in value)


def _pairs(value: Any) -> bool:
    """Whether it is a list of parameter and code, as ``schema.quality`` can hold them."""
    return type(value) is list and all(
        type(pair) is list and len(pair) == 2 and all(map(_code, pair)) for pair in value
    )


def _notes(value: Any) -> bool:
    """Whether it is a list of parameter, code and the value that was used."""
    return type(value) is list and all(
        type(note) is list and len(note) == 3 and all(map(_code, note[:2])) and _used(note[2])
        for note in value
    )


def _used(value: Any) -> bool:
    return value is None or type(value) is str or _is_finite(value)


def _check(column: Column[Any]) -> Check:
    """Whether a value of JSON fits into that column."""
    kind = column.type
    fits: Check
    if isinstance(kind, Boolean):
        fits = _is_bool
    elif isinstance(kind, Double):
        fits = _is_finite
    elif isinstance(kind, Integer):
        fits = _whole_check(63 if isinstance(kind, BigInteger) else 31)
    elif isinstance(kind, String) and kind.length:
        fits = _text_check(kind.length)
    else:
        raise TypeError(f"no check for the column {column.name}")
    return (lambda value: value is None or fits(value)) if column.nullable else fits


def _is_bool(value: Any) -> bool:
    return type(value) is bool


def _is_finite(value: Any) -> bool:
    return type(value) is float and math.isfinite(value)


def _whole_check(bits: int) -> Check:
    most = 1 << bits
    return lambda value: type(value) is int and -most <= value < most


def _text_check(longest: int) -> Check:
    def fits(value: Any) -> bool:
        # JSON can hold half a letter, which no database takes.
        return (
            type(value) is str
            and len(value) <= longest
            and (value.isascii() or value == value.encode("utf-8", "replace").decode("utf-8"))
        )

    return fits


_code = _text_check(64)


def _id(value: Any) -> bool:
    try:
        return type(value) is str and 11 < len(value) <= 40 and records.milliseconds(value) >= 0
    except ValueError:
        return False


def _checks(table: Table, names: Iterable[str]) -> list[tuple[str, Check]]:
    return [(name, _check(table.c[name])) for name in names]


def _checks_of_answers() -> list[tuple[str, Check]]:
    plain = [c.name for c in schema.answers.c if c.name not in ("id", "notes")]
    own: list[tuple[str, Check]] = [("id", _id), ("notes", _notes), ("texts", _texts)]
    return own + _checks(schema.answers, plain)


_ANSWER = _checks_of_answers()
_REFUSAL = [("id", _id), ("faults", _pairs), *_checks(schema.refusals, ["caller"])]
OUTCOME_COLUMNS = ("id", "answer", "reference", "paid", "cents", "date", "source", "told")
_OUTCOME = _checks(schema.events, OUTCOME_COLUMNS)


def read(lines: Iterable[bytes]) -> Batch:
    """The rows of these records."""
    batch = Batch()
    kinds = {
        records.ANSWER: (_ANSWER, batch.answers, ("notes", "texts")),
        records.REFUSAL: (_REFUSAL, batch.refusals, ("faults",)),
        records.OUTCOME: (_OUTCOME, batch.outcomes, ()),
    }
    for line in lines:
        try:
            told = _decoded(line.decode("ascii"))
            checks, rows, as_json = kinds[told["kind"]]
            if not all([fits(told[name]) for name, fits in checks]):
                raise ValueError("a value does not fit")
        except (ValueError, KeyError, TypeError, RecursionError):
            batch.unfit.append(line)
            continue
        row = {name: told[name] for name, _ in checks}
        for name in as_json:
            row[name] = _encoded(row[name])
        row["record"] = line
        rows.append(row)
    return batch


def made(row: Mapping[str, Any]) -> int:
    """When the record of a row was made, in ms since 1970: of an outcome, when it was told."""
    told: int | None = row.get("told")
    return records.milliseconds(row["id"]) if told is None else told
