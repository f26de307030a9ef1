"""Journals as processes write them, and what a store that took them must hold.

The sums are computed here once more, from the records alone.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Table, select

from propensia.journal import records
from propensia.journal.lines import line
from propensia.store import schema

RULES = records.Rules("abcdef012345", 3, "modelo «á»", "0123456789abcdef", 0.5).written()
START_MS = 1_790_000_000_000
HOUR_MS = 3_600_000
NOTES: list[list[tuple[str, str, str | float | None]]] = [
    [("er", "valor_supuesto", '«á»,"valor_supuesto",'), ("po", "fuera_de_rango", 0.5)],
    [],
    [("po", "fuera_de_rango", None)],
    [],
]
"""Those of four answers; in the first of them something was assumed."""
Record = dict[str, Any]


def answers(count: int, seed: int = 0, apart_ms: int = 40_000) -> list[bytes]:
    """Records of answers, some with a reference, a note, an empty text or none."""
    chance = random.Random(seed)
    return [
        records.answer(
            f"{START_MS + number * apart_ms:011x}{seed:04x}{number:010x}",
            RULES,
            f"llamador-{number % 3}",
            f"{chance.getrandbits(128):032x}" if number % 2 else None,
            chance.random(),
            number % 5 == 0,
            [f"texto {number}\t\\\n", "", None, "ñ\x00€"],
            NOTES[number % 4],
        )
        for number in range(count)
    ]


def refusals(count: int, seed: int = 0) -> list[bytes]:
    """Records of refusals; the second half by another caller."""
    return [
        records.refusal(
            f"{START_MS + number * 70_000:011x}{seed:04x}{number:09x}f",
            f"llamador-{2 * number // count}",
            [("er", "no_es_numero"), ("", "parametro_desconocido")][: 1 + number % 2],
        )
        for number in range(count)
    ]


def write(folder: Path, told: list[bytes], owner: int = 1, number: int = 1) -> Path:
    """A file of the journal, of a process that has ended."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{owner:016x}.lock").touch()
    path = folder / f"{owner:016x}-{number:06d}.journal"
    path.write_bytes(b"".join(map(line, told)))
    return path


def table(engine: Engine, of: Table) -> list[Record]:
    """All rows of a table, in the order of its key."""
    with engine.connect() as connection:
        found = connection.execute(select(of).order_by(*of.primary_key))
        return [dict(row._mapping) for row in found]


def holds_exactly(engine: Engine, told: list[bytes]) -> None:
    """Fail unless the store holds these answers and refusals once each, with everything they
    say, and its sums are theirs."""
    every = {row["id"]: row for row in map(json.loads, told)}
    answered = {id: row for id, row in every.items() if row["kind"] == records.ANSWER}
    refused = {id: row for id, row in every.items() if row["kind"] == records.REFUSAL}
    rows = {row["id"]: row for row in table(engine, schema.answers)}
    assert rows.keys() == answered.keys()
    for id, row in rows.items():
        assert row | {"notes": json.loads(row["notes"])} == {k: answered[id][k] for k in row}
    texts = {row["id"]: json.loads(row["texts"]) for row in table(engine, schema.inputs)}
    assert texts == {id: row["texts"] for id, row in answered.items()}
    faults = {row["id"]: json.loads(row["faults"]) for row in table(engine, schema.refusals)}
    assert faults == {id: row["faults"] for id, row in refused.items()}
    sums_are_those_of(engine, answered, refused)


def sums_are_those_of(
    engine: Engine, answered: dict[str, Record], refused: dict[str, Record]
) -> None:
    """Fail unless the sums of the store are those of these records, and of no other."""
    windows: dict[Any, list[int]] = {}
    scores: Counter[Any] = Counter()
    for id, row in answered.items():
        hour = int(id[:11], 16) // HOUR_MS * HOUR_MS
        one = windows.setdefault((hour, row["version"], row["caller"]), [0, 0, 0])
        assumed = any(code == "valor_supuesto" for _, code, _ in row["notes"])
        for place, more in enumerate((1, row["positive"], assumed)):
            one[place] += more
        scores[hour, row["version"], int(row["probability"] * 20)] += 1
    found = {
        (row["hour"], row["version"], row["caller"]): [row["count"], row["positive"], row["noted"]]
        for row in table(engine, schema.windows)
    }
    assert found == windows
    bins = {
        (row["hour"], row["version"], row["bin"]): row["count"]
        for row in table(engine, schema.scores)
    }
    assert bins == scores
    codes: dict[Any, list[int]] = {}
    for kind, told, column in (("note", answered, "notes"), ("fault", refused, "faults")):
        for id, row in told.items():
            for parameter, code, *_ in row[column]:
                at = int(id[:11], 16)
                key = (at // HOUR_MS * HOUR_MS, row["caller"], kind, parameter, code)
                count, first, last = codes.get(key, (0, at, at))
                codes[key] = [count + 1, min(first, at), max(last, at)]
    for id, row in refused.items():  # requests, however many faults they have
        at = int(id[:11], 16)
        key = (at // HOUR_MS * HOUR_MS, row["caller"], "refusal", "", "")
        count, first, last = codes.get(key, (0, at, at))
        codes[key] = [count + 1, min(first, at), max(last, at)]
    names = ("hour", "caller", "kind", "parameter", "code")
    assert codes == {
        tuple(row[name] for name in names): [row["count"], row["first"], row["last"]]
        for row in table(engine, schema.quality)
    }
