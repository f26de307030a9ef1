"""Scores into a table of somebody's database: block by block, each in a transaction.

A block that comes twice changes nothing; a run counts as complete only when all of it is there.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Table, and_, case, delete, func, select, update
from sqlalchemy.exc import SQLAlchemyError

from propensia.batch.added import Added
from propensia.batch.blocks import Place
from propensia.batch.databases import alert_list, arriving, score_tables
from propensia.batch.databases import since as sinces
from propensia.batch.databases.alert_list import Changes, Limits
from propensia.batch.databases.arriving import DatabaseWriter, not_unique
from propensia.batch.databases.score_tables import Run, Tables
from propensia.batch.databases.source import WAITS_S
from propensia.batch.order_statistics import ranks
from propensia.delimited import TableError
from propensia.files import shown
from propensia.queries import databases
from propensia.queries.databases import Gone
from propensia.store.upserts import upsert

DRIVERS = ("pysqlite", "pg8000")
HALF = " a medias "
"""Between the name of a run and its start, until it is complete."""
Result = TypeVar("Result")
Named = tuple[str, str]
"""A run: its id and the version that scored it."""


@dataclass(frozen=True, slots=True)
class About:
    """What the tables tell of a run. ``name``: what a person calls it, so that a second one of
    that name takes its place; ``None``: each is another. ``source``: the input, fit to be shown.
    ``since``: only what changed since then, ``None`` is the whole portfolio. ``query``: the hash
    of what the rows are read by, which tells one portfolio from another."""

    release: int
    source: str
    name: str | None = None
    since: datetime | None = None
    is_whole: bool = True
    query: str | None = None


class DatabaseSink:
    """A table of scores at a database URL, as ``Sink``: made if it is missing.

    ``key`` names the column that tells the rows apart; ``None``: their numbers. ``own_deciles``:
    by the limits of the run itself. ``changes``: what came of the alert list, once ``finish`` is
    done and if there is one.

    Until it is complete, a run of a name is kept under an ``id`` of its own: the earlier one of
    that name is there, whole, until the new one takes its place.
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
        self._rows = 0
        self._absent = self._in_transaction(
            lambda connection: score_tables.missing(connection, self._tables)
        )

    def last_began(self) -> datetime | None:
        """From when on nothing that changed was scored, over the same query: the start of the last
        run behind a whole one without a gap between them; ``None`` without a whole one, or where
        that is of another release or without a key. A run of the name of this one does not count:
        this one takes its place. Raises as ``keep``."""
        if self._tables.runs in self._absent:
            return None
        return self._in_transaction(self._reached)

    def start(self, place: Place | None) -> None:
        """As ``Sink.start``; the run is seen from its first block on. Raises as ``keep``, and
        ``TableError`` where two rows have the same key, or where the name is that of a run
        whose place this one cannot take."""
        if place is None:
            now = datetime.now(UTC)
            moment = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
            name = self._about.name
            self._run = self._named(moment if name is None else name + HALF + moment, now)
            self._rows = 0
        else:
            began = datetime.fromisoformat(place["began"])
            self._run, self._rows = self._named(place["run"], began), place["rows"]
        if self._absent:
            self._in_transaction(lambda made: score_tables.make(made, self._tables, self._absent))
            self._absent = []
        if place is None:
            self._in_transaction(self._refuse_taken)
        elif self._in_transaction(self._has_doubles):
            raise not_unique(self.writer.key)

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

    def abandon(self, place: Place | None) -> None:
        """As ``Sink.abandon``; nothing of a run that is complete. Raises as ``keep``."""
        id = place["run"] if place else self._run.id if self._rows else None
        if id is None or self._tables.runs in self._absent:
            return
        mine = self._tables.runs.c.id == id
        self._in_transaction(lambda made: self._remove(made, self._halves(made, mine)))

    def _named(self, name: str, began: datetime) -> Run:
        return Run(name, self.writer.added.version, began, self._about.is_whole)

    def _note(self, connection: Connection) -> None:
        """The run among all runs, as one that is not complete."""
        since = self._about.since
        row = {
            "id": self._run.id,
            "version": self._run.version,
            "publicacion": self._about.release,
            "started": self._run.began,
            "finished": None,
            "since": None if since is None else sinces.aware(since),
            "whole": int(self._run.is_whole),
            "rows": None,
            "scored": None,
            "input": self._about.source,
            "query": self._about.query,
            "key": self.writer.key,
        }
        changed = [name for name in row if name not in ("id", "version")]
        upsert(connection, self._tables.runs, [row], changed)

    def _finish(self, connection: Connection) -> Changes | None:
        if self._is_complete(connection):
            return None
        self._refuse_taken(connection)
        self._note(connection)
        scores, run = self._tables.scores, self._final()
        every = select(func.count(), func.count(scores.c.probabilidad))
        rows, scored = connection.execute(every.where(_of(scores, self._run))).one()
        if rows != self._rows:
            raise not_unique(self.writer.key)
        if run != self._run:
            self._take_place(connection, run)
        if self._own_deciles:
            _divide(connection, scores, _of(scores, run), scored)
        changes = None
        if self._limits is not None:
            changes = alert_list.update(connection, self._tables, run, self._limits)
        told = {"finished": datetime.now(UTC), "rows": rows, "scored": scored}
        runs = self._tables.runs
        connection.execute(update(runs).where(_of(runs, run)).values(told))
        return changes

    def _final(self) -> Run:
        """The run as it is called once it is complete."""
        return replace(self._run, id=self._about.name or self._run.id)

    def _take_place(self, connection: Connection, run: Run) -> None:
        """Let this run be the one of that name, and remove the earlier one of its version, and
        all that were left half done."""
        runs, scores = self._tables.runs, self._tables.scores
        start = run.id + HALF
        named = and_(func.substr(runs.c.id, 1, len(start)) == start, runs.c.id != self._run.id)
        self._remove(connection, [(run.id, run.version), *self._halves(connection, named)])
        for table in (scores, runs):
            name = "run" if table is scores else "id"
            own = _of(table, self._run)
            connection.execute(update(table).where(own).values({name: run.id}))

    def _halves(self, connection: Connection, wanted: ColumnElement[bool]) -> list[Named]:
        """The runs among those that are not complete."""
        runs = self._tables.runs
        found = select(runs.c.id, runs.c.version).where(wanted, runs.c.finished.is_(None))
        return [(id, version) for id, version in connection.execute(found)]

    def _remove(self, connection: Connection, named: Iterable[Named]) -> None:
        """Remove runs, with their rows."""
        scores, runs = self._tables.scores, self._tables.runs
        for id, version in named:
            mine = (scores.c.run == id, scores.c.version == version)
            connection.execute(delete(scores).where(*mine))
            connection.execute(delete(runs).where(runs.c.id == id, runs.c.version == version))

    def _is_complete(self, connection: Connection) -> bool:
        runs, run = self._tables.runs, self._final()
        wanted = select(runs.c.id).where(
            _of(runs, run), runs.c.started == run.began, runs.c.finished.is_not(None)
        )
        return connection.execute(wanted).first() is not None

    def _has_doubles(self, connection: Connection) -> bool:
        """Whether fewer rows are there than were kept: some took the place of others."""
        scores = self._tables.scores
        if self._is_complete(connection):
            return False
        every = select(func.count()).where(_of(scores, self._run))
        return connection.execute(every).scalar_one() < self._rows

    def _refuse_taken(self, connection: Connection) -> None:
        """Raise ``TableError`` where this run would take the place of one with more rows, or
        would be laid over one whose rows are called otherwise."""
        name, since, runs = self._about.name, self._about.since, self._tables.runs
        if since is None:
            return
        complete = select(runs.c.key).where(runs.c.finished.is_not(None), runs.c.whole == 1)
        below = connection.execute(complete.order_by(runs.c.finished.desc()).limit(1)).first()
        if below is not None and below.key != self.writer.key:
            raise TableError(
                "--since: en la última cartera entera de esa tabla la clave de las filas era "
                f"{'su número' if below.key is None else shown(below.key)}: puntúe antes la "
                "cartera entera con la de ahora, o diga otra tabla con --table"
            )
        if name is None:
            return
        wanted = select(runs.c.since).where(runs.c.id == name, runs.c.finished.is_not(None))
        for earlier in connection.scalars(wanted):
            if earlier is None or sinces.aware(since) > _utc(earlier):
                raise TableError(
                    f"--run: ya hay una cartera {shown(name)}, entera o desde antes de --since, y "
                    "se perderían sus filas: diga otro nombre"
                )

    def _reached(self, connection: Connection) -> datetime | None:
        runs, about = self._tables.runs, self._about
        wanted = select(runs).where(
            runs.c.finished.is_not(None),
            runs.c.query == about.query,
            runs.c.id != (about.name or ""),
        )
        every = connection.execute(wanted.order_by(runs.c.started)).all()
        whole = max(
            (row for row in every if row.whole), key=lambda row: row.finished, default=None
        )
        if whole is None or whole.key is None or not self._is_alike(whole):
            return None
        reached = _utc(whole.started)
        for row in filter(self._is_alike, every):
            began = _utc(row.started)
            if row.finished > whole.finished and row.since is not None and began > reached:
                reached = began if _utc(row.since) <= reached else reached
        return reached

    def _is_alike(self, row: Any) -> bool:
        """Whether this run scores as an earlier one did: else the chances of two models, or the
        classes of two thresholds, would stand side by side as if they were of one."""
        mine = (self.writer.added.version, self._about.release)
        return (row.version, row.publicacion) == mine

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


def _of(table: Table, run: Run) -> ColumnElement[bool]:
    """What belongs to a run, among the scores or the runs."""
    id = table.c.run if "run" in table.c else table.c.id
    return and_(id == run.id, table.c.version == run.version)


def _utc(moment: datetime) -> datetime:
    """SQLite gives back no time zone: ours are all UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


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
