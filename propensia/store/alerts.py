"""What somebody has to be told, and the messages that tell it, as the database keeps them.

It decides nothing: neither what is wrong, nor when a message goes out again.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Update, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from propensia.journal.records import first_id
from propensia.store import schema

WAITING, SENT, FAILED = "waiting", "sent", "failed"


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that is or was wrong. ``id`` tells since when; ``told`` and ``seen`` when last, in
    ms; ``ended`` 0: it still is; ``text`` in Spanish."""

    id: str
    kind: str
    subject: str
    version: str
    value: float | None
    limit: float | None
    text: str
    english: str
    told: int
    seen: int
    ended: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same thing as before."""
        return self.kind, self.subject, self.version


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent over a channel. ``attempts``: how often it was tried, this time too."""

    id: str
    channel: str
    payload: str
    attempts: int


def new_id(now_ms: int) -> str:
    """An id of that moment."""
    return first_id(now_ms) + secrets.token_hex(8)


# Alerts


def going_on(connection: Connection) -> list[Alert]:
    """What is wrong now, the newest first."""
    of = schema.alerts
    wanted = select(of).where(of.c.ended == 0).order_by(of.c.id.desc())
    return [Alert(**row) for row in connection.execute(wanted).mappings()]


def begin(connection: Connection, alert: Alert) -> bool:
    """Add an alert; ``False`` where another machine was first."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(schema.alerts).values(asdict(alert)).on_conflict_do_nothing()
    return connection.execute(statement).rowcount == 1


def change(connection: Connection, old: Alert, new: Alert) -> bool:
    """Put ``new`` in the place of ``old``; ``False`` where another machine was first."""
    table = schema.alerts.c
    same = (table.id == old.id) & (table.told == old.told) & (table.ended == old.ended)
    return _changed(connection, update(schema.alerts).where(same).values(asdict(new))) == 1


# Messages


def post(connection: Connection, channels: Iterable[str], payload: str, now_ms: int) -> None:
    """Have a message sent over each channel."""
    rows = [
        {
            "id": new_id(now_ms),
            "channel": channel,
            "payload": payload,
            "state": WAITING,
            "attempts": 0,
            "due": now_ms,
            "problem": "",
        }
        for channel in channels
    ]
    if rows:
        connection.execute(schema.outbox.insert(), rows)


def claim(
    connection: Connection, channels: Collection[str], now_ms: int, until_ms: int
) -> Message | None:
    """A message that is due, for the caller alone until ``until_ms``: should it end before it
    says what became of it, the message is due again then."""
    table = schema.outbox.c
    due = (table.state == WAITING) & (table.due <= now_ms) & table.channel.in_(channels)
    wanted = select(schema.outbox).where(due).order_by(table.due, table.id).limit(1)
    while (row := connection.execute(wanted).mappings().first()) is not None:
        attempts = row["attempts"] + 1
        free = (table.id == row["id"]) & (table.state == WAITING) & (table.due == row["due"])
        taken = update(schema.outbox).where(free).values(due=until_ms, attempts=attempts)
        if _changed(connection, taken):
            return Message(row["id"], row["channel"], row["payload"], attempts)
    return None


def settle(connection: Connection, id: str, state: str, problem: str, due_ms: int) -> None:
    """Note what became of a message: ``SENT``, ``FAILED``, or ``WAITING`` until ``due_ms``."""
    new = {"state": state, "problem": problem, "due": due_ms}
    connection.execute(update(schema.outbox).where(schema.outbox.c.id == id).values(new))


def give_up(connection: Connection, before_ms: int) -> int:
    """Send nothing any more that waits since before that moment; how many messages."""
    table = schema.outbox.c
    old = (table.state == WAITING) & (table.id < first_id(before_ms))
    return _changed(connection, update(schema.outbox).where(old).values(state=FAILED))


def waiting(connection: Connection) -> int:
    """How many messages still have to be sent."""
    return _count(connection, schema.outbox.c.state == WAITING)


def failed(connection: Connection, since_ms: int) -> int:
    """How many messages were given up, of those written since that moment."""
    table = schema.outbox.c
    return _count(connection, (table.state == FAILED) & (table.id >= first_id(since_ms)))


def problems(connection: Connection) -> dict[str, str]:
    """Channel -> why its oldest message was not taken the last time, of those that wait."""
    table = schema.outbox.c
    late = (table.state == WAITING) & (table.problem != "")
    wanted = select(table.channel, table.problem).where(late).order_by(table.id.desc())
    return {channel: problem for channel, problem in connection.execute(wanted)}


def _count(connection: Connection, which: Any) -> int:
    wanted = select(func.count()).select_from(schema.outbox).where(which)
    return connection.execute(wanted).scalar_one()


def _changed(connection: Connection, statement: Update) -> int:
    return connection.execute(statement).rowcount
