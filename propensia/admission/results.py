"""What the two children of an admission say, taken in strictly.

A child that met a hostile file may be in other hands: nothing of what it says is used before its
type, its size and its range are known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from propensia import files
from propensia.admission.ladder import MARKS, Finding
from propensia.admission.refusal import TEXTS, Refusal

LIMIT_BYTES = 4 << 20
MOST_TEXT, MOST_PARTS, DEEPEST, MOST_COLUMNS = 2_000, 200, 4, 10_000
KINDS = ("sklearn", "keras")
Result = TypeVar("Result")
# All that a table of the wrong shape can make a reader of it stumble over.
WRONG = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)


class ResultError(Exception):
    """A child said something that it cannot mean; the text names the part."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the first child read of a good file, or a refusal.

    ``columns`` are the names of the inputs of its ONNX file, ``threshold`` the model's own.
    """

    checks: list[Finding]
    refusal: Refusal | None = None
    layers: list[str] = field(default_factory=list)
    parity: dict[str, Any] = field(default_factory=dict)
    columns: list[str] = field(default_factory=list)
    threshold: float | None = None
    family: str = ""
    kind: str = ""
    libraries: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proof:
    """What the second child measured on a good ONNX file, or a refusal.

    ``golden``: ``rows`` (n, k), with ``None`` for NaN, and their raw ``probabilities`` (n,);
    ``histogram`` and ``comparison`` as the report shows them; ``row_us`` the median time of one
    row; ``steady`` whether one row got the same bits alone as in every batch.
    """

    checks: list[Finding]
    refusal: Refusal | None = None
    golden: dict[str, Any] = field(default_factory=dict)
    histogram: dict[str, Any] = field(default_factory=dict)
    comparison: dict[str, Any] | None = None
    row_us: float = 0.0
    steady: bool = False


def write(path: Path, result: Reading | Proof) -> None:
    """Leave a result for the parent."""
    refusal = result.refusal
    table = asdict(replace(result, refusal=None))
    table["refusal"] = refusal and [refusal.code, refusal.detail, refusal.detail_en]
    files.write_json(path, table, durable=False)


def read_reading(path: Path) -> Reading:
    """What the first child left. Raises ``ResultError``."""
    return _taken(path, _reading)


def read_proof(path: Path, columns: int) -> Proof:
    """What the second child left, for rows of ``columns`` numbers. Raises ``ResultError``."""
    return _taken(path, lambda table: _proof(table, columns))


def _taken(path: Path, build: Callable[[dict[str, Any]], Result]) -> Result:
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise ResultError("it is too long")
        table = files.read_json(path)
        return build(table)
    except WRONG as error:
        raise ResultError(type(error).__name__) from error


def _reading(table: dict[str, Any]) -> Reading:
    checks, refusal = _checks(table), _refusal(table)
    layers = [_text(layer) for layer in _list(table["layers"], MOST_PARTS)]
    if refusal is not None:
        return Reading(checks, refusal, layers)
    kind = _text(table["kind"])
    if kind not in KINDS:
        raise ResultError("kind")
    return Reading(
        checks=checks,
        layers=layers,
        parity=_parity(table["parity"]),
        columns=[_text(name) for name in _list(table["columns"], MOST_COLUMNS)],
        threshold=None if table["threshold"] is None else _share(table["threshold"]),
        family=_text(table["family"]),
        kind=kind,
        libraries=_plain_table(table["libraries"]),
        facts=_plain_table(table["facts"]),
    )


def _proof(table: dict[str, Any], columns: int) -> Proof:
    checks, refusal = _checks(table), _refusal(table)
    if refusal is not None:
        return Proof(checks, refusal)
    golden, histogram, comparison = table["golden"], table["histogram"], table["comparison"]
    # None is a value that was not given.
    rows = [
        [None if n is None else _number(n) for n in _list(row, columns)]
        for row in _list(golden["rows"], MOST_PARTS)
    ]
    chances = [_share(p) for p in _list(golden["probabilities"], MOST_PARTS)]
    if not rows or len(rows) != len(chances) or any(len(row) != columns for row in rows):
        raise ResultError("golden")
    old = histogram["old"]
    shares = {
        "edges": [_share(edge) for edge in _list(histogram["edges"], MOST_PARTS)],
        "new": [_share(share) for share in _list(histogram["new"], MOST_PARTS)],
        "old": None if old is None else [_share(share) for share in _list(old, MOST_PARTS)],
    }
    return Proof(
        checks=checks,
        golden={"rows": rows, "probabilities": chances},
        histogram=shares,
        comparison=None if comparison is None else _comparison(comparison),
        row_us=_number(table["row_us"]),
        steady=_flag(table["steady"]),
    )


def _parity(table: Mapping[str, Any]) -> dict[str, Any]:
    if "reason" in table or not table:
        return {"reason": _text(table.get("reason", ""))}
    return {
        "library": _text(table["library"]),
        "rows": _count(table["rows"]),
        "largest_difference": _number(table["largest_difference"]),
        "flipped": _count(table["flipped"]),
    }


def _comparison(table: Mapping[str, Any]) -> dict[str, Any]:
    counts = ("rows", "flipped", "to_payer", "to_non_payer")
    numbers = ("mean_old", "mean_new", "rank_correlation")
    return {name: _count(table[name]) for name in counts} | {
        name: _number(table[name]) for name in numbers
    }


def _checks(table: Mapping[str, Any]) -> list[Finding]:
    findings = [
        Finding(_text(c["name"]), c["outcome"], _text(c["sentence"]), _number(c["seconds"]))
        for c in _list(table["checks"], MOST_PARTS)
    ]
    if any(finding.outcome not in MARKS for finding in findings):
        raise ResultError("outcome")
    return findings


def _refusal(table: Mapping[str, Any]) -> Refusal | None:
    told = table["refusal"]
    if told is None:
        return None
    code, detail, detail_en = told
    if code not in TEXTS:
        raise ResultError("code")
    return Refusal(code, _text(detail), _text(detail_en))


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MOST_TEXT:
        raise ResultError("text")
    text = value.encode("utf-8", "replace").decode("utf-8")
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ResultError("flag")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ResultError("number")
    return float(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 53:
        raise ResultError("count")
    return value


def _share(value: Any) -> float:
    number = _number(value)
    if not 0.0 <= number <= 1.0:
        raise ResultError("share")
    return number


def _list(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise ResultError("list")
    return value


def _plain_table(value: Any) -> dict[str, Any]:
    plain = _plain(value, DEEPEST)
    if not isinstance(plain, dict):
        raise ResultError("table")
    return plain


def _plain(value: Any, depth: int) -> Any:
    """A bounded value of texts, finite numbers, lists and tables of them."""
    if depth == 0:
        raise ResultError("depth")
    if isinstance(value, dict) and len(value) <= MOST_PARTS:
        return {_text(key): _plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, depth - 1) for item in _list(value, MOST_PARTS)]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 1 << 53:
        return value
    return _text(value) if isinstance(value, str) else _number(value)
