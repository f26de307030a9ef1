"""The records of the journal: how an answer, a refusal and an outcome are written and read.

It must never write the reference that a caller gave, only its keyed hash.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from json.encoder import encode_basestring_ascii

ANSWER, REFUSAL, OUTCOME = "answer", "refusal", "outcome"
SEPARATORS = (",", ":")

_encoded = json.JSONEncoder(separators=SEPARATORS).encode
# An encoder takes longer to set out than this for all the texts of an answer.
_quoted = encode_basestring_ascii


@dataclass(frozen=True, slots=True)
class Rules:
    """What all answers of one release share. ``rules``: the fingerprint of the contract;
    ``threshold`` in [0, 1]; ``publication``: the number of the release."""

    version: str
    publication: int
    model: str
    rules: str
    threshold: float

    def written(self) -> str:
        """The part of a record that tells them."""
        return (
            f'"version":"{self.version}","publication":{self.publication},'
            f'"model":{_encoded(self.model)},"rules":"{self.rules}","threshold":{self.threshold!r}'
        )


def answer(
    id: str,
    rules: str,
    caller: str,
    reference: str | None,
    probability: float,
    positive: bool,
    texts: Sequence[str | None],
    notes: Iterable[tuple[str, str, str | float | None]],
) -> bytes:
    """The record of one answer. ``rules``: ``Rules.written()``; ``reference``: its keyed hash;
    ``texts`` as they were sent, in the order of the contract's parameters, ``None`` for one that
    was not; ``notes``: parameter, code and the value that was used. Times are in the id."""
    told = [f"[{_quoted(name)},{_quoted(code)},{_used(used)}]" for name, code, used in notes]
    return (
        f'{{"kind":"answer","id":"{id}",{rules},"caller":{_quoted(caller)},'
        f'"reference":{_text(reference)},"probability":{probability!r},'
        f'"positive":{"true" if positive else "false"},"texts":[{_joined(texts)}],'
        f'"notes":[{",".join(told)}]}}'
    ).encode("ascii")


def _joined(texts: Sequence[str | None]) -> str:
    try:
        return ",".join(map(_quoted, texts))  # type: ignore[arg-type]  # most often all are there
    except TypeError:  # it takes no ``None``
        return ",".join(map(_text, texts))


def _text(text: str | None) -> str:
    return "null" if text is None else _quoted(text)


def _used(value: str | float | None) -> str:
    if value is None or isinstance(value, str):
        return _text(value)
    return repr(float(value)) if math.isfinite(value) else "null"  # JSON knows no infinity


def refusal(id: str, caller: str, faults: Iterable[tuple[str, str]]) -> bytes:
    """The record of a request that could not be scored; ``faults``: parameter (of the contract,
    or empty) and code."""
    table = {"kind": REFUSAL, "id": id, "caller": caller, "faults": list(faults)}
    return _encoded(table).encode("ascii")


def outcome(
    id: str,
    source: str,
    answer: str | None,
    reference: str | None,
    paid: bool,
    cents: int | None,
    date: str,
    told: int,
) -> bytes:
    """The record of what a debtor did after a score: of the ``answer`` of that id, or of the last
    one with that keyed hash of a ``reference``. ``cents``: euros times 100; ``date``: YYYY-MM-DD;
    ``source``: who told; ``told``: when, in ms since 1970, for its id does not say it."""
    table = {
        "kind": OUTCOME,
        "id": id,
        "source": source,
        "answer": answer,
        "reference": reference,
        "paid": paid,
        "cents": cents,
        "date": date,
        "told": told,
    }
    return _encoded(table).encode("ascii")


HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def milliseconds(id: str) -> int:
    """When an answer or a refusal was made, in ms since 1970, as its id tells."""
    return int(id[:11], 16)


def first_id(milliseconds: int) -> str:
    """The least id of that moment: ids are in the order of time."""
    return f"{max(0, milliseconds):011x}"


def first_of_day(day: date) -> str:
    """The least id of that day, in UTC."""
    return first_id(int(datetime.combine(day, time(), UTC).timestamp() * 1000))


def day(id: str) -> date:
    """The day, in UTC, on which an answer was made."""
    return datetime.fromtimestamp(milliseconds(id) / 1000, UTC).date()
