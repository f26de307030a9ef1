"""What becomes of outcomes in the store: which answer each is about, and which one counts.

All of it follows from which answers and outcomes there are. It must never depend on the order in
which they came, nor on how often one was told.

An outcome is about the answer of its id, else about the last one with its reference that was given
by the end of its day. Its state:

- ``matched``: it is what is known now of that answer (the row of ``outcomes``);
- ``repeated``: it says the same, of the same day (from another source, or without the amount);
- ``superseded``: of an earlier day than what is known now;
- ``contradictory``: of the same day, but it says another thing;
- ``unknown``: there is no such answer yet; it waits;
- ``before``: its day is before that of the answer, or of all answers with its reference;
- ``late``: its day is more than ``horizon_days`` after that of the answer;
- ``mismatched``: its id and its reference are of different answers;
- ``excess``: ``MOST_TOLD`` that rank above it name the same: it is not looked at any more. The
  name of an outcome is the id of its answer, else its reference.

Of those about one answer, that of the latest day counts; of the same day the one that says paid,
then the larger amount, then the larger id, which holds a hash of all that it says. Where that one
says paid, the day of the first payment is kept beside it: of the earliest that says so after the
last day of which it counts that nobody paid.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, func, or_, select

from propensia.journal import records
from propensia.settings import Settings
from propensia.store import database, schema
from propensia.store.rows import OUTCOME_COLUMNS
from propensia.store.upserts import insert_new, upsert

MATCHED, REPEATED, SUPERSEDED = "matched", "repeated", "superseded"
CONTRADICTORY, UNKNOWN, BEFORE = "contradictory", "unknown", "before"
LATE, MISMATCHED, EXCESS = "late", "mismatched", "excess"
LIVING = (
    *(MATCHED, REPEATED, SUPERSEDED, CONTRADICTORY),
    *(UNKNOWN, BEFORE, LATE, MISMATCHED),
)
"""The states of outcomes that are looked at."""
STATES = (*LIVING, EXCESS)

MOST_TOLD = 1000
"""Outcomes of one name that are looked at: more than daily ones of several sources within the time
that answers are kept. All of them are looked at for each answer and outcome that follows."""

CHUNK = 2000
"""Names in one statement."""

SHOWN = 1000
"""Of one state, as a list."""

Event = Row[Any]
TAKING = 0x70726F6F
"""The advisory lock of PostgreSQL under which one keeper at a time takes outcomes."""

_events, _answers = schema.events, schema.answers
_NAMES = _events.c.keys()


@dataclass(frozen=True, slots=True)
class Told:
    """One outcome that was told: first at ``at``, in ms since 1970, by ``source``, of the day
    ``date`` (YYYY-MM-DD); the ``answer`` that it names or is about, and the keyed hash of the
    ``reference`` that it names."""

    at: int
    source: str
    date: str
    answer: str | None
    reference: str | None


@dataclass(frozen=True, slots=True)
class Listed:
    """How many outcomes there are of one state, and the last ``SHOWN`` of them."""

    count: int
    told: list[Told]


def take(
    connection: Connection,
    answers: Sequence[Mapping[str, Any]],
    outcomes: Sequence[Mapping[str, Any]],
    horizon_days: int,
    most_told: int = MOST_TOLD,
) -> None:
    """Take the records of one batch, in the transaction that ships them: ``outcomes`` told, and
    ``answers`` that are in the store already, for which earlier outcomes may have waited; of each
    name ``most_told`` are looked at."""
    if connection.dialect.name == "postgresql":
        # Keepers of several machines: each has to see all that the others have told, or neither
        # would bring an answer and its outcome together. SQLite has one writer anyway.
        connection.execute(select(func.pg_advisory_xact_lock(TAKING)))
    touched = _insert(connection, outcomes)
    about = _pass_over(connection, [row for row in outcomes if row["id"] in touched], most_told)
    touched |= _waiting(connection, answers)
    about |= _match(connection, touched, horizon_days)
    _settle(connection, about)


def counted(connection: Connection) -> dict[str, int]:
    """How many outcomes there are of each state, and how often one came again (``again``)."""
    found = dict.fromkeys(STATES, 0)
    again = 0
    counts = select(_events.c.state, func.count(), func.sum(_events.c.times)).group_by("state")
    for state, count, times in connection.execute(counts):
        found[state] = count
        again += int(times) - count
    return found | {"again": again}


def status(settings: Settings) -> dict[str, int]:
    """As ``counted``, of that store. Raises ``StoreError``."""
    with database.using(settings) as engine, engine.connect() as connection:
        return counted(connection)


def listed(settings: Settings, state: str) -> Listed:
    """The outcomes of that state in that store, those that were told last first. Raises
    ``StoreError``."""
    of = _events.c
    wanted = select(_events).where(of.state == state).order_by(of.told.desc(), of.id).limit(SHOWN)
    with database.using(settings) as engine, engine.connect() as connection:
        count = connection.execute(select(func.count()).where(of.state == state)).scalar() or 0
        told = [
            Told(row.told, row.source, row.date, row.answer or row.matched, row.reference)
            for row in connection.execute(wanted)
        ]
    return Listed(count, told)


def _insert(connection: Connection, outcomes: Sequence[Mapping[str, Any]]) -> set[str]:
    """Add what was not told before; the ids that are new."""
    if not outcomes:
        return set()
    times = Counter(row["id"] for row in outcomes)
    told = {row["id"]: row for row in sorted(outcomes, key=lambda row: -row["told"])}
    rows = [
        {name: row[name] for name in OUTCOME_COLUMNS}
        | {"until": _until(row["date"]), "times": times[id], "matched": None, "state": UNKNOWN}
        for id, row in sorted(told.items())
    ]
    new = {row["id"] for row in insert_new(connection, _events, rows)}
    again = [row for row in rows if row["id"] not in new]
    upsert(connection, _events, again, ("times",), add=True, least=("told",))
    return new


def _until(day: str) -> str:
    return f"{int(records.first_of_day(date.fromisoformat(day)), 16) + records.DAY_MS:011x}"


def _pass_over(connection: Connection, new: Sequence[Mapping[str, Any]], most: int) -> set[str]:
    """Leave out what ranks below the first ``most`` of its name, now and for good, so that the
    order of arrival does not matter; the answers that this takes an outcome from."""
    by_id = {row["answer"] for row in new if row["answer"] is not None}
    by_reference = {row["reference"] for row in new if row["answer"] is None}
    of, about = _events.c, set()
    for column, names, own in (
        (of.answer, by_id, of.answer.is_not(None)),
        (of.reference, by_reference, of.answer.is_(None)),
    ):
        for chunk in _chunks(names):
            living = select(column).where(column.in_(chunk), own, of.state.in_(LIVING))
            many = living.group_by(column).having(func.count() > most)
            for name in connection.scalars(many).all():
                wanted = select(_events).where(column == name, own, of.state.in_(LIVING))
                ranked = sorted(connection.execute(wanted), key=_rank, reverse=True)
                about |= {event.matched for event in ranked[most:] if event.matched is not None}
                left = {"matched": None, "state": EXCESS}
                _write(connection, [_row(event) | left for event in ranked[most:]])
    return about


def _waiting(connection: Connection, answers: Sequence[Mapping[str, Any]]) -> set[str]:
    """Outcomes that these answers may be the ones of: told before them, as it were."""
    if not answers or not connection.execute(select(_events.c.id).limit(1)).first():
        return set()
    ids = {row["id"] for row in answers}
    first = min(ids)
    by_id = select(_events.c.id, _events.c.answer).where(
        _events.c.state == UNKNOWN, _events.c.answer.between(first, max(ids))
    )
    found = {row.id for row in connection.execute(by_id) if row.answer in ids}
    references = {row["reference"] for row in answers if row["reference"] is not None}
    for chunk in _chunks(references):
        # One that waits may be before all of these: it need not wait any more.
        by_reference = select(_events.c.id).where(
            _events.c.reference.in_(chunk),
            _events.c.answer.is_(None),
            _events.c.state.in_(LIVING),
            or_(_events.c.until > first, _events.c.state == UNKNOWN),
        )
        found |= {row.id for row in connection.execute(by_reference)}
    return found


def _match(connection: Connection, ids: Iterable[str], horizon_days: int) -> set[str]:
    """Find the answers of these outcomes; those whose outcome may be another one now."""
    last = (
        select(func.max(_answers.c.id))
        .where(_answers.c.reference == _events.c.reference, _answers.c.id < _events.c.until)
        .scalar_subquery()
    )
    met = exists().where(_answers.c.reference == _events.c.reference)
    target = func.coalesce(_events.c.answer, last)
    wanted = select(_events, target.label("target"), met.label("met"))
    about: set[str] = set()
    for chunk in _chunks(ids):
        own = wanted.where(_events.c.id.in_(chunk), _events.c.state != EXCESS)
        events = connection.execute(own).all()
        targets = {event.target for event in events if event.target is not None}
        there = select(_answers.c.id, _answers.c.reference).where(_answers.c.id.in_(targets))
        references = {row.id: row.reference for row in connection.execute(there)}
        changed = []
        for event in events:
            state = _state(event, references, horizon_days)
            matched = event.target if state == MATCHED else None
            about |= {id for id in (matched, event.matched) if id is not None}
            if (matched, state) != (event.matched, event.state):
                changed.append(_row(event) | {"matched": matched, "state": state})
        _write(connection, changed)
    return about


def _state(event: Event, own: Mapping[str, str | None], horizon_days: int) -> str:
    """The state of an outcome by itself: ``matched`` to its ``target``, or why it is not; ``met``:
    whether any answer has its reference. ``own``: the references of the answers that there are."""
    if event.target not in own:
        return BEFORE if event.target is None and event.met else UNKNOWN
    if event.answer is not None and event.reference not in (None, own[event.target]):
        return MISMATCHED
    days = (date.fromisoformat(event.date) - records.day(event.target)).days
    if days < 0:
        return BEFORE
    return LATE if days > horizon_days else MATCHED


def _settle(connection: Connection, about: Iterable[str]) -> None:
    """Write what is known now of these answers, and the states of all that was told of them."""
    for chunk in _chunks(about):
        groups: dict[str, list[Event]] = defaultdict(list)
        for event in connection.execute(select(_events).where(_events.c.matched.in_(chunk))):
            groups[event.matched].append(event)
        changed, known = [], []
        for answer, group in sorted(groups.items()):
            winner = max(group, key=_rank)
            known.append(
                {"answer": answer, "event": winner.id, "first_paid": _first_paid(group)}
                | {name: getattr(winner, name) for name in ("paid", "cents", "date", "source")}
            )
            for event in group:
                state = _beside(event, winner)
                if state != event.state:
                    changed.append(_row(event) | {"state": state})
        _write(connection, changed)
        columns = ("paid", "cents", "date", "first_paid", "source", "event")
        upsert(connection, schema.outcomes, known, columns)
        gone = set(chunk) - groups.keys()
        if gone:
            outcome = schema.outcomes.c.answer
            connection.execute(delete(schema.outcomes).where(outcome.in_(sorted(gone))))


def _rank(event: Event) -> tuple[str, bool, int, str]:
    return event.date, event.paid, -1 if event.cents is None else event.cents, event.id


def _first_paid(group: Iterable[Event]) -> str | None:
    """The day of the first payment that no later day denies; of one day, who says paid counts."""
    paid = {event.date for event in group if event.paid}
    denied = max((event.date for event in group if event.date not in paid), default="")
    return min((day for day in paid if day > denied), default=None)


def _beside(event: Event, winner: Event) -> str:
    """The state of an outcome beside the one that counts."""
    if event.id == winner.id:
        return MATCHED
    if event.date < winner.date:
        return SUPERSEDED
    differs = event.cents is not None and event.cents != winner.cents
    return CONTRADICTORY if event.paid != winner.paid or differs else REPEATED


def _row(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in _NAMES}


def _write(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Write the new matches and states of outcomes that are there."""
    if rows:
        upsert(connection, _events, rows, ("matched", "state"))


def _chunks(items: Iterable[str]) -> Iterator[list[str]]:
    """In their order: rows that lie together are written together."""
    ordered = iter(sorted(items))
    while chunk := list(islice(ordered, CHUNK)):
        yield chunk
