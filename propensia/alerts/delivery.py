"""Sends what waits in the outbox: each message at least once, under an id that stays the same.

It gives up after a day, and says so; it never holds a transaction open while it waits for others.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from sqlalchemy import Engine

from propensia.alerts.channels import Send, channels
from propensia.alerts.errors import NotDelivered
from propensia.alerts.messages import TEST, payload
from propensia.journal.records import DAY_MS
from propensia.settings import Settings
from propensia.store import alerts as store
from propensia.store.alerts import FAILED, SENT, WAITING, Alert, Message

log = logging.getLogger(__name__)

FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 30_000, 3_600_000
CLAIM_MS = 120_000
"""Longer than any one delivery: who has a message so long has died."""

TURN_S = 60.0

TEST_TEXT = "Es una prueba: así llegan las alertas. No hay nada que hacer."
TEST_ENGLISH = "This is a test of how alerts arrive. There is nothing to do."


def deliver(
    engine: Engine,
    settings: Settings,
    now_ms: int,
    chance: Callable[[], float] = random.random,
) -> str | None:
    """Send what is due; what is wrong with it now, for a person.

    It waits for other machines, for some 100 s at most: to be called where nobody else waits.
    Raises ``SQLAlchemyError``.
    """
    with engine.begin() as connection:
        lost = store.give_up(connection, now_ms - DAY_MS)
    if lost:
        log.error("%d messages of alerts were given up: nobody took them for a day", lost)
    ways = dict(channels(settings))
    problems: dict[str, str] = {}
    ends = time.monotonic() + TURN_S
    while ways and time.monotonic() < ends:
        with engine.begin() as connection:
            message = store.claim(connection, ways.keys(), now_ms, now_ms + CLAIM_MS)
        if message is None:
            break
        problem = _send(engine, ways[message.channel], message, now_ms, chance)
        if problem:  # the others of that channel would only wait for the same
            problems[message.channel] = problem
            del ways[message.channel]
    with engine.connect() as connection:
        failed = store.failed(connection, now_ms - 2 * DAY_MS)
        late = store.problems(connection)
    return _told(late | problems, failed)


def _send(
    engine: Engine, send: Send, message: Message, now_ms: int, chance: Callable[[], float]
) -> str | None:
    """Send one message and note what became of it; why it was not taken, if so."""
    try:
        send(message.id, message.payload)
    except NotDelivered as error:
        problem, state = str(error), FAILED if error.final else WAITING
        log.warning("%s %s: %s", message.channel, "given up" if error.final else "late", problem)
        due = now_ms + pause_ms(message.attempts, chance())
        with engine.begin() as connection:
            store.settle(connection, message.id, state, problem, due)
        return problem
    with engine.begin() as connection:
        store.settle(connection, message.id, SENT, "", now_ms)
    return None


def try_out(settings: Settings, now_ms: int) -> dict[str, str | None]:
    """Send a message that tells of nothing over each channel, at once and once; channel -> why it
    was not taken. It needs no database."""
    id = store.new_id(now_ms)
    nothing = Alert(
        id, "test", "", "", None, None, TEST_TEXT, TEST_ENGLISH, told=now_ms, seen=now_ms
    )
    found: dict[str, str | None] = {}
    for channel, send in channels(settings).items():
        try:
            send(id, payload(nothing, TEST, now_ms))
            found[channel] = None
        except NotDelivered as error:
            found[channel] = str(error)
    return found


def pause_ms(attempts: int, chance: float) -> int:
    """How long to wait after so many attempts: twice as long each time, up to an hour, and of
    that between a half and all, by ``chance`` in [0, 1), so that many do not come back at once."""
    whole = min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS << min(attempts - 1, 20))
    return round(whole * (0.5 + chance / 2))


def _told(late: dict[str, str], failed: int) -> str | None:
    parts = [f"{channel}: {problem}" for channel, problem in sorted(late.items())]
    if failed:
        parts.append(f"{failed} sin entregar tras un día o rechazadas")
    return f"hay alertas sin entregar ({'; '.join(parts)})" if parts else None
