"""Scores into a table of somebody's database: block by block, each in a transaction.

A block that comes twice changes nothing; a run counts as complete only when all of it is there.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection, Table, and_, case, delete, func, select, update
from sqlalchemy.exc import SQLAlchemyError

from propensia.batch import alert_list, arriving, score_tables
from propensia.batch.added import Added
from propensia.batch.alert_list import Changes, Limits
from propensia.batch.arriving import DatabaseWriter, not_unique
from propensia.batch.blocks import Place
from propensia.batch.database_source import WAITS_S
from propensia.batch.order_statistics import ranks
from propensia.batch.score_tables import Run, Tables
from propensia.delimited import TableError
from propensia.files import shown
from propensia.queries import databases
from propensia.queries.databases import Gone
from propensia.store.upserts import upsert

DRIVERS = ("pysqlite", "pg8000")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class About:
    """What the tables tell of a run. ``name``: what a person calls it, so that a second one of
    that name takes its place; ``None``: each is another. ``source``: the input, fit to be shown.
    ``since``: only what changed since then, ``None`` is the whole portfolio."""

    release: int
    source: str
    name: str | None = None
    since: datetime | None = None
    is_whole: bool = True


class DatabaseSink:
    """A table of scores at a database URL, as ``Sink``: made if it is missing.

    ``key`` names the column that tells the rows apart; ``None``: their numbers. ``own_deciles``:
    by the limits of the run itself. ``changes``: what came of the alert list, once ``finish`` is
    done and if there is one.
    """

    changes: Changes | None = None

    def __init__(
        self,
        url: str,
        table: str,
        added: Added,
        about: About,
        *,
        key: str | None = None,
        limits: Limits | None = None,
        own_deciles: bool = False,
    ) -> None:
        """Looks at the tables, and changes nothing. Raises ``TableError`` for a table of another
        shape, and ``Gone``."""
        found = databases.url_of(url)
        self._where = databases.place(found)
        if found.get_driver_name() not in DRIVERS:
            raise TableError(
                f"{self._where}: solo se escribe en SQLite (sqlite:///…) y en PostgreSQL "
                "(postgresql://…)"
            )
        copies = found.get_driver_name() == "pg8000"
        self.writer = DatabaseWriter(added, key, copies)
        self._tables = Tables.named(table)
        self.name = f"{self._where}, tabla {self._tables.scores.fullname}"
        self._engine = databases.engine(found)
        self._about, self._limits, self._own_deciles = about, limits, own_deciles
        self._absent = self._in_transaction(
            lambda connection: score_tables.missing(connection, self._tables)
        )

    def last_began(self) -> datetime | None:
        """When the last complete run into this table began. Raises as ``keep``."""
        runs = self._tables.runs
        if runs in self._absent:
            return None

        def asked(connection: Connection) -> datetime | None:
            wanted = select(runs.c.started).where(runs.c.finished.is_not(None))
            return connection.execute(wanted.order_by(runs.c.finished.desc()).limit(1)).scalar()

        found = self._in_transaction(asked)
        # SQLite gives back no time zone: ours are all UTC.
        return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)

    def start(self, place: Place | None) -> None:
        """As ``Sink.start``; the run is seen from its first block on. Raises as ``keep``."""
        if place is None:
            now = datetime.now(UTC)
            name = self._about.name or f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
            self._run, self._rows = self._named(name, now), 0
        else:
            began = datetime.fromisoformat(place["began"])
            self._run, self._rows = self._named(place["run"], began), place["rows"]
        if self._absent:
            self._in_transaction(lambda made: score_tables.make(made, self._tables, self._absent))
            self._absent = []

    def keep(self, content: bytes) -> Place:
        """As ``Sink.keep``. Raises ``Gone``, also for what a database will never take."""
        same = {
            "run": self._run.id,
            "version": self._run.version,
            "publicacion": self._about.release,
            "momento": self._run.began,
        }

        def write(connection: Connection) -> int:
            self._note(connection)
            return arriving.put(connection, content, self._tables.scores, same)

        self._rows += self._in_transaction(write)
        return {"run": self._run.id, "began": self._run.began.isoformat(), "rows": self._rows}

    def finish(self) -> None:
        """As ``Sink.finish``: the run counts as complete, and the alert list is brought to it.
        Raises as ``keep``, and ``TableError`` where two rows have the same key."""
        self.changes = self._in_transaction(self._finish)

    def _named(self, name: str, began: datetime) -> Run:
        return Run(name, self.writer.added.version, began, self._about.is_whole)

    def _note(self, connection: Connection) -> None:
        """The run among all runs, as one that is not complete."""
        row = {
            "id": self._run.id,
            "version": self._run.version,
            "started": self._run.began,
            "finished": None,
            "since": self._about.since,
            "whole": int(self._run.is_whole),
            "rows": None,
            "scored": None,
            "input": self._about.source,
        }
        changed = [name for name in row if name not in ("id", "version")]
        upsert(connection, self._tables.runs, [row], changed)

    def _finish(self, connection: Connection) -> Changes | None:
        runs, scores, run = self._tables.runs, self._tables.scores, self._run
        this = and_(runs.c.id == run.id, runs.c.version == run.version)
        if self._is_complete(connection):
            return None
        self._note(connection)
        mine = and_(scores.c.run == run.id, scores.c.version == run.version)
        # Of an earlier run of that name, whose rows are not all in this one.
        connection.execute(delete(scores).where(mine, scores.c.momento != run.began))
        every = select(func.count(), func.count(scores.c.probabilidad)).where(mine)
        rows, scored = connection.execute(every).one()
        if rows != self._rows:
            raise not_unique(self.writer.key)
        if self._own_deciles:
            _divide(connection, scores, mine, scored)
        changes = None
        if self._limits is not None:
            changes = alert_list.update(connection, self._tables, run, self._limits)
        told = {"finished": datetime.now(UTC), "rows": rows, "scored": scored}
        connection.execute(update(runs).where(this).values(told))
        return changes

    def _is_complete(self, connection: Connection) -> bool:
        runs, run = self._tables.runs, self._run
        wanted = select(runs.c.id).where(
            runs.c.id == run.id,
            runs.c.version == run.version,
            runs.c.started == run.began,
            runs.c.finished.is_not(None),
        )
        return connection.execute(wanted).first() is not None

    def _in_transaction(self, work: Callable[[Connection], Result]) -> Result:
        """What ``work`` gives, in a transaction; once more where the database goes away, for
        nothing is changed by what is done twice. Raises ``TableError`` or ``Gone``."""
        for wait in (*WAITS_S, None):
            try:
                with self._engine.begin() as connection:
                    return work(connection)
            except SQLAlchemyError as error:
                why = databases.passing(error)
                if why is None or wait is None:
                    raise Gone(self._where, why or self._told(error)) from None
                time.sleep(wait)
        raise AssertionError  # the last attempt returns or raises

    def _told(self, error: SQLAlchemyError) -> str:
        """What else a database says: of a permission, say; never with a value of a row."""
        if databases.state_of(error)[:2] in ("22", "23"):
            return "la base de datos no admite una fila"
        return shown(databases.message(error))


def _divide(connection: Connection, scores: Table, mine: ColumnElement[bool], scored: int) -> None:
    """The deciles of the rows of a run by its own nine limits, as ``scoring.deciles`` gives
    them."""
    chance = scores.c.probabilidad
    known = and_(mine, chance.is_not(None))
    ordered = select(chance).where(known).order_by(chance)
    places = ranks(scored) if scored else []
    limits = [connection.execute(ordered.offset(n).limit(1)).scalar_one() for n in places]
    tenths = [(chance > limit, decile) for decile, limit in enumerate(reversed(limits), 1)]
    if tenths:
        decile = case(*tenths, else_=10)
        connection.execute(update(scores).where(known).values(decil=decile))
