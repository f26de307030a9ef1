"""From the journal to the database: records and the place reached, in one transaction.

It must never lose a record, nor count one twice, whenever it or the database is killed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, delete, select
from sqlalchemy.exc import DBAPIError, StatementError

from propensia import files
from propensia.journal import reader
from propensia.store import aside, database, outcomes, people, rows, schema, sums
from propensia.store.upserts import insert_new, upsert

log = logging.getLogger(__name__)

Row = dict[str, Any]
ANSWER_COLUMNS = tuple(schema.answers.c.keys())


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is in the journal and not in the database: bytes, and for how many seconds the oldest
    record of it."""

    bytes: int
    seconds: float


class Shipper:
    """Ships what the processes of this machine wrote. One at a time: the keeper's.

    ``damaged``: how many lines of the journal it could not read since it was made. ``wrong``:
    the files that it could not read or remove in its last turn, and why, for a person.
    """

    def __init__(self, engine: Engine, folder: Path, horizon_days: int) -> None:
        self.places: dict[str, int] = {}
        self.damaged = 0
        self.wrong: list[str] = []
        self._engine = engine
        self._folder = folder
        self._horizon_days = horizon_days

    def turn(self, ended: Callable[[], bool] = lambda: False) -> int:
        """Ship what is there now, or until ``ended``; how many records. A file that cannot be
        read or removed keeps no other waiting. Raises ``StoreError`` or ``SQLAlchemyError``, and
        then what was shipped before stays shipped; ``OSError`` where the folder cannot be listed.
        """
        shipped = 0
        wrong: dict[str, str] = {}
        for segment in reader.segments(self._folder):
            name = segment.path.name
            if ended():
                break
            if segment.wrong:
                wrong[name] = segment.wrong
            try:
                shipped += self._segment(segment, ended)
            except OSError as error:
                if os.path.lexists(segment.path):  # else another has shipped and removed it
                    wrong[name] = f"{name}: {error.strerror or 'no es un fichero'}"
        for text in sorted(set(wrong.values()) - set(self.wrong)):
            log.error("a file of the journal is left out: %s", text)
        self.wrong = sorted(set(wrong.values()))
        return shipped

    def _segment(self, segment: reader.Segment, ended: Callable[[], bool]) -> int:
        shipped = 0
        name = segment.path.name
        if name not in self.places:
            with self._engine.connect() as connection:
                self.places[name] = _place(connection, name)
        while not ended():
            part = reader.read(segment, self.places[name])
            if part.end == self.places[name]:
                if segment.finished:
                    self._remove(segment)
                break
            shipped += self._ship(name, part)
        return shipped

    def _ship(self, name: str, part: reader.Part) -> int:
        """Ship a part of a file; how many records, 0 if it was shipped before."""
        batch = rows.read(part.records)
        told = [*batch.answers, *batch.refusals, *batch.outcomes]
        with self._engine.begin() as connection:
            told = people.spared(connection, told)
            place = _place(connection, name, locked=True)
            if place == self.places[name]:
                refused = _put(connection, told, self._horizon_days)
                # On the disk before the commit: after it nobody would look for them again.
                aside.keep(self._folder, batch.unfit + refused)
                row = {"file": name, "place": part.end}
                upsert(connection, schema.positions, [row], ("place",))
        if place != self.places[name]:
            self.places[name] = place
            return 0
        self.places[name] = part.end
        if part.damaged:
            log.error("the journal has %d damaged lines", part.damaged)
            self.damaged += part.damaged
        return len(part.records)

    def _remove(self, segment: reader.Segment) -> None:
        """Remove a file that nobody writes and that is shipped to its end, as the database says:
        it may be an older one by now, and then all that it lacks is shipped again. The place goes
        last: without it the file would be shipped again."""
        name = segment.path.name
        with self._engine.begin() as connection:
            if _place(connection, name, locked=True) >= _size(segment.path):
                # Windows removes no file that another thread reads at this moment (``waiting``).
                files.retry(lambda: segment.path.unlink(missing_ok=True))
                own = schema.positions.c.file == name
                connection.execute(delete(schema.positions).where(own))
        del self.places[name]


def waiting(folder: Path, places: Mapping[str, int], now_ms: int) -> Waiting:
    """What is not shipped, as far as the ``places`` tell that were reached. Asked every second:
    of the files of a process, it reads one record. Raises ``OSError``."""
    size, oldest = 0, now_ms
    begun: set[str] = set()
    for segment in reader.segments(folder):
        place = places.get(segment.path.name, 0)
        # Shipped and removed this moment; while that lasts, Windows lets nobody open it.
        with contextlib.suppress(OSError):
            there = segment.path.stat()
            left = there.st_size - place if stat.S_ISREG(there.st_mode) else 0
            if left > 0 and segment.owner not in begun:
                try:
                    found = reader.first(segment, place)
                except PermissionError:  # it waits until somebody lets us read it
                    moments = [round(there.st_mtime * 1000)]
                else:
                    if found is None:
                        continue  # half a line, of which there may be more soon, or never
                    begun.add(segment.owner)
                    moments = _moments(found)
                oldest = min([oldest, *moments])
            size += max(0, left)
    return Waiting(size, (now_ms - oldest) / 1000)


def places(engine: Engine) -> dict[str, int]:
    """How far each file of the journal was shipped. Raises ``SQLAlchemyError``."""
    with engine.connect() as connection:
        return {row.file: row.place for row in connection.execute(select(schema.positions))}


def _size(path: Path) -> int:
    """Of a file in bytes; 0 where it is gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _moments(record: bytes) -> list[int]:
    """When a record was made, if it can be read."""
    batch = rows.read([record])
    return [rows.made(row) for row in batch.answers + batch.refusals + batch.outcomes]


def _place(connection: Connection, name: str, locked: bool = False) -> int:
    """The place reached in that file; ``locked``: nobody else ships it meanwhile, which an older
    keeper's last transaction might do."""
    asked = select(schema.positions.c.place).where(schema.positions.c.file == name)
    if locked:
        upsert(connection, schema.positions, [{"file": name, "place": 0}])
        asked = asked.with_for_update()
    return connection.execute(asked).scalar() or 0


def _put(connection: Connection, told: Sequence[Row], horizon_days: int) -> list[bytes]:
    """Take up these rows; returns the records of those that the database refuses."""
    if not told:
        return []
    try:
        with connection.begin_nested():
            _add(connection, told, horizon_days)
        return []
    except (StatementError, ValueError, OverflowError) as error:
        if not _is_about_a_value(error):
            raise
    if len(told) == 1:
        return [told[0]["record"]]
    half = len(told) // 2
    return _put(connection, told[:half], horizon_days) + _put(
        connection, told[half:], horizon_days
    )


def _is_about_a_value(error: Exception) -> bool:
    """Whether the same statement with other values might pass, on the same server."""
    if not isinstance(error, DBAPIError):
        return True
    state = database.state_of(error)
    if state:
        return state.startswith(database.VALUE_STATES)
    return type(error.orig).__name__ in ("IntegrityError", "DataError")


def _add(connection: Connection, told: Iterable[Row], horizon_days: int) -> None:
    answers = [row for row in told if "texts" in row]
    refusals = [row for row in told if "faults" in row]
    outcome = [row for row in told if "paid" in row]
    new = insert_new(connection, schema.answers, _columns(answers, ANSWER_COLUMNS))
    if new:
        texts = {row["id"]: row["texts"] for row in answers}
        inputs = [{"id": row["id"], "texts": texts[row["id"]]} for row in new]
        insert_new(connection, schema.inputs, inputs)
        sums.count_answers(connection, new)
    refused = insert_new(connection, schema.refusals, _columns(refusals, schema.refusals.c.keys()))
    sums.count_refusals(connection, refused)
    if new or outcome:
        outcomes.take(connection, new, outcome, horizon_days)


def _columns(told: Iterable[Row], names: Iterable[str]) -> list[Row]:
    chosen = tuple(names)
    return [{name: row[name] for name in chosen} for row in told]
