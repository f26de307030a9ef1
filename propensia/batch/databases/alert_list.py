"""Who is to be called first: who comes onto the list by a run and who leaves it, told once.

Nobody flickers: a row comes at one limit and leaves only below a lower one. Two tables hold it,
who is on the list, and the events, which a program takes from there and marks as delivered.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    DateTime,
    Subquery,
    Table,
    Text,
    and_,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
)

from propensia.batch.databases.score_tables import Run, Tables

ENTERS, LEAVES = "entra", "sale"
LOWER = 0.9
"""Of a chance: below this part of the limit a row leaves, unless a person says otherwise."""
WIDER = 1.2
"""Of a share: beyond this multiple of it."""
_SHARE = re.compile(r"top=([0-9]+(?:[.,][0-9]+)?)%").fullmatch
_CHANCE = re.compile(r"[01](?:[.,][0-9]+)?").fullmatch


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a row comes onto the list (``enter``) and where it leaves it (``leave``).

    ``is_share``: both are shares of the rows that have a score, in (0, 1], the highest first,
    ``leave`` the larger; else chances in [0, 1], ``leave`` the lower.
    """

    is_share: bool
    enter: float
    leave: float


def limits(text: str, leave: str | None = None) -> Limits:
    """``top=5%`` or ``0.8``, and where a row leaves, written alike. Raises ``ValueError`` with a
    sentence in Spanish."""
    is_share, enter = _limit(text)
    if leave is None:
        out = min(enter * WIDER, 1.0) if is_share else enter * LOWER
        return Limits(is_share, enter, round(out, 12))  # 0.72, and not a trifle more
    same, out = _limit(leave)
    if same != is_share:
        raise ValueError("los dos límites han de ser de la misma clase: top=5% o 0.8")
    if (out < enter) if is_share else (out > enter):
        raise ValueError("se sale de la lista por debajo de donde se entra, no por encima")
    return Limits(is_share, enter, out)


def _limit(text: str) -> tuple[bool, float]:
    plain = text.replace(" ", "")
    share = _SHARE(plain)
    if share is None and not _CHANCE(plain):
        raise ValueError("ha de ser una parte, como top=5%, o una probabilidad, como 0.8")
    number = float((share[1] if share else plain).replace(",", "."))
    value = number / 100 if share else number
    if not (0 < value <= 1 if share else 0 <= value <= 1):
        raise ValueError("está fuera de rango: top=0.1% a top=100%, o de 0 a 1")
    return share is not None, value


@dataclass(frozen=True, slots=True)
class Changes:
    """How many rows a run brought onto the list, and how many left it."""

    entered: int
    left: int


def update(connection: Connection, tables: Tables, run: Run, wanted: Limits) -> Changes:
    """Bring the list to what a run found, whose scores are all there; within the transaction of
    ``connection``. Once more for the same run, it finds nothing to do."""
    if connection.dialect.name == "postgresql":
        # Two runs that end at the same moment would both see a row come.
        name = connection.dialect.identifier_preparer.format_table(tables.listed)
        connection.exec_driver_sql(f"LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE")
    ranked = _ranked(tables.scores, run)
    scored = connection.execute(select(func.count()).select_from(ranked)).scalar_one()
    entered = _enter(
        connection, tables, ranked, run, _within(ranked, wanted, wanted.enter, scored)
    )
    left = _leave(connection, tables, ranked, run, _within(ranked, wanted, wanted.leave, scored))
    _keep(connection, tables, run)
    return Changes(entered, left)


def _of(table: Table, run: Run) -> ColumnElement[bool]:
    return and_(table.c.run == run.id, table.c.version == run.version)


def _ranked(scores: Table, run: Run) -> Subquery:
    """The rows of a run that have a score, with their rank from 1 on; equal ones by their key,
    so that each run ranks them alike."""
    row, chance = scores.c.row, scores.c.probabilidad
    rank = func.row_number().over(order_by=(chance.desc(), row)).label("rank")
    wanted = select(row, chance, scores.c.banda, rank)
    return wanted.where(_of(scores, run), chance.is_not(None)).subquery("ranked")


def _within(ranked: Subquery, wanted: Limits, limit: float, scored: int) -> ColumnElement[bool]:
    if not wanted.is_share:
        return ranked.c.probabilidad >= limit
    # 7 % of 100 rows are 7, whatever the product of floats is.
    return ranked.c.rank <= math.ceil(round(limit * scored, 6))


def _told(run: Run, event: str) -> list[ColumnElement[Any]]:
    texts = [literal(text, Text) for text in (run.id, event, run.version)]
    return [*texts, literal(run.began, DateTime(timezone=True))]


_COLUMNS = ("run", "event", "version", "momento", "row", "probabilidad", "banda")


def _enter(
    connection: Connection, tables: Tables, ranked: Subquery, run: Run, enters: ColumnElement[bool]
) -> int:
    known = exists().where(tables.listed.c.row == ranked.c.row)
    found = select(*_told(run, ENTERS), ranked.c.row, ranked.c.probabilidad, ranked.c.banda)
    found = found.where(enters, ~known).order_by(ranked.c.rank)
    return connection.execute(insert(tables.events).from_select(_COLUMNS, found)).rowcount


def _leave(
    connection: Connection, tables: Tables, ranked: Subquery, run: Run, stays: ColumnElement[bool]
) -> int:
    """Who is below the lower limit; and, of a run over the whole portfolio, who is not in it.
    Whoever could not be scored stays as it is: nobody knows."""
    listed, scores = tables.listed, tables.scores
    leaves = and_(ranked.c.row.is_not(None), ~stays)
    if run.is_whole:
        leaves |= ~exists().where(_of(scores, run), scores.c.row == listed.c.row)
    found = select(*_told(run, LEAVES), listed.c.row, ranked.c.probabilidad, ranked.c.banda)
    found = found.select_from(listed.outerjoin(ranked, ranked.c.row == listed.c.row))
    found = found.where(leaves).order_by(listed.c.row)
    return connection.execute(insert(tables.events).from_select(_COLUMNS, found)).rowcount


def _keep(connection: Connection, tables: Tables, run: Run) -> None:
    """The list itself, by the events of this run."""
    events, listed = tables.events.c, tables.listed
    mine = and_(_of(tables.events, run), events.momento == run.began)
    leaving = select(events.row).where(mine, events.event == LEAVES)
    connection.execute(delete(listed).where(listed.c.row.in_(leaving)))
    known = exists().where(listed.c.row == events.row)
    coming = select(events.row, events.run, events.momento)
    coming = coming.where(mine, events.event == ENTERS, ~known)
    connection.execute(insert(listed).from_select(("row", "run", "momento"), coming))
