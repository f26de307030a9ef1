"""From the journal to the database: records and the place reached, in one transaction.

It must never lose a record, nor count one twice, whenever it or the database is killed.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from propensia.journal import reader, records
from propensia.store import schema


class Shipper:
    """Ships what the processes of this machine wrote. One at a time: the keeper's."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine = engine
        self._folder = folder

    def turn(self) -> int:
        """Ship what is there now; how many records. Raises ``SQLAlchemyError`` or ``OSError``,
        and then what was shipped before stays shipped."""
        shipped = 0
        for segment in reader.segments(self._folder):
            shipped += self._segment(segment)
        return shipped

    def _segment(self, segment: reader.Segment) -> int:
        shipped = 0
        while True:
            with self._engine.begin() as connection:
                place = _place(connection, segment.path.name)
                part = reader.read(segment, place)
                if part.end == place:
                    break
                _add(connection, [json.loads(record) for record in part.records])
                row = {"file": segment.path.name, "place": part.end}
                _upsert(connection, schema.positions, [row], ("place",))
            shipped += len(part.records)
        if segment.finished:
            segment.path.unlink(missing_ok=True)
        return shipped


def _place(connection: Connection, name: str) -> int:
    found = connection.execute(
        select(schema.positions.c.place).where(schema.positions.c.file == name)
    ).scalar()
    return found or 0


def _add(connection: Connection, rows: list[dict[str, Any]]) -> None:
    answers = [row for row in rows if row["kind"] == records.ANSWER]
    if answers:
        columns = schema.answers.c.keys()
        kept = [
            {name: row[name] for name in columns if name != "notes"}
            | {"notes": json.dumps(row["notes"])}
            for row in answers
        ]
        _upsert(connection, schema.answers, kept, ())
        texts = [{"id": row["id"], "texts": json.dumps(row["texts"])} for row in answers]
        _upsert(connection, schema.inputs, texts, ())
        _count(connection, answers)


def _count(connection: Connection, answers: list[dict[str, Any]]) -> None:
    bins: Counter[tuple[int, str, int]] = Counter()
    for row in answers:
        hour = records.milliseconds(row["id"]) // schema.HOUR_MS * schema.HOUR_MS
        place = min(int(row["probability"] * schema.SCORE_BINS), schema.SCORE_BINS - 1)
        bins[hour, row["version"], place] += 1
    rows = [
        {"hour": hour, "version": version, "bin": place, "count": count}
        for (hour, version, place), count in bins.items()
    ]
    _upsert(connection, schema.scores, rows, ("count",), add=True)


def _upsert(
    connection: Connection,
    table: Table,
    rows: list[dict[str, Any]],
    changed: tuple[str, ...],
    add: bool = False,
) -> None:
    """Insert rows; of those that are there already, change (or ``add`` to) some columns."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table)
    keys = [column.name for column in table.primary_key]
    if changed:
        new = {
            name: table.c[name] + statement.excluded[name] if add else statement.excluded[name]
            for name in changed
        }
        statement = statement.on_conflict_do_update(index_elements=keys, set_=new)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=keys)
    connection.execute(statement, rows)
