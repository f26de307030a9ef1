"""From what is wrong now to alerts and messages: what began, what goes on, what is over.

It must never tell the same thing twice within the cool-down, nor let an «it is over» stand that
is not true.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from sqlalchemy import Connection, Engine

from propensia.alerts.channels import channels
from propensia.alerts.conditions import HERE, ONCE, Condition
from propensia.alerts.messages import BEGINS, ENDS, GOES_ON, machine, payload
from propensia.journal.records import HOUR_MS
from propensia.settings import Settings
from propensia.store import alerts as store
from propensia.store.alerts import Alert

log = logging.getLogger(__name__)

SETTLED_MS = HOUR_MS
"""What was not seen for so long is over; what comes and goes faster is one alert."""

Key = tuple[str, str, str]


def raise_from(
    engine: Engine,
    settings: Settings,
    conditions: Iterable[Condition],
    now_ms: int,
    unknown: Collection[str] = (),
) -> None:
    """Write down what changed and the messages that tell it, in one transaction; then log it.

    ``unknown``: kinds that could not be looked at: what is known of them stays. Machines that
    share the database may do it at the same time. Raises ``SQLAlchemyError``, and then nothing is
    written.
    """
    wrong = {condition.key: condition for condition in conditions}
    with engine.begin() as connection:
        held = {alert.key: alert for alert in store.going_on(connection)}
        changed = [
            *_begun(connection, wrong, held, now_ms),
            *_repeated(connection, wrong, held, now_ms, round(settings.alert_hours * HOUR_MS)),
            *_ended(connection, wrong, held, now_ms, unknown),
        ]
        for state, alert in changed:
            said = payload(alert, state, now_ms)
            store.post(connection, channels(settings), said, now_ms)
    for state, alert in changed:
        level = logging.INFO if state == ENDS else logging.WARNING
        log.log(level, "alert, %s: %s", state, alert.english)


def _begun(
    connection: Connection,
    wrong: Mapping[Key, Condition],
    held: Mapping[Key, Alert],
    now_ms: int,
) -> Iterator[tuple[str, Alert]]:
    for key, condition in wrong.items():
        if key in held:
            continue
        alert = Alert(
            id=store.new_id(now_ms),
            kind=condition.kind,
            subject=condition.subject,
            version=condition.version,
            value=condition.value,
            limit=condition.limit,
            text=condition.text,
            english=condition.english,
            told=now_ms,
            seen=now_ms,
        )
        if store.begin(connection, alert):
            yield BEGINS, alert


def _repeated(
    connection: Connection,
    wrong: Mapping[Key, Condition],
    held: Mapping[Key, Alert],
    now_ms: int,
    pause_ms: int,
) -> Iterator[tuple[str, Alert]]:
    """What goes on; it is told again where ``pause_ms`` is not 0 and has passed."""
    for key in wrong.keys() & held.keys():
        alert, now = held[key], wrong[key]
        new = replace(
            alert,
            value=now.value,
            limit=now.limit,
            text=now.text,
            english=now.english,
            seen=now_ms,
        )
        if pause_ms and alert.kind not in ONCE and now_ms - alert.told >= pause_ms:
            new = replace(new, told=now_ms)
        if store.change(connection, alert, new) and new.told != alert.told:
            yield GOES_ON, new


def _ended(
    connection: Connection,
    wrong: Mapping[Key, Condition],
    held: Mapping[Key, Alert],
    now_ms: int,
    unknown: Collection[str],
) -> Iterator[tuple[str, Alert]]:
    here = machine()
    for key in held.keys() - wrong.keys():
        alert = held[key]
        elsewhere = alert.kind in HERE and alert.subject != here
        if elsewhere or alert.kind in unknown or now_ms - alert.seen < SETTLED_MS:
            continue
        over = replace(alert, ended=now_ms)
        if store.change(connection, alert, over):
            yield ENDS, over
