"""Callers that never stop: keep-alive clients in threads, and what each of them was told.

They judge nothing; a test looks at what they noted.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from models_for_tests import GOLDEN_ROW
from server import Place, Server, ask, prediccion

IMPORTS_AT, DEBT_AT = 1, 3  # places of the two amounts among the columns
SHIFTS = {"low": -1.0, "high": 1.0}  # of the two models, whose scores always differ


@dataclass(frozen=True, slots=True)
class Pair:
    """An installation in which ``low`` is published and ``high`` is admitted."""

    place: Place
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Told:
    """One answer: when it was asked for, on which connection, for which row."""

    asked: float
    connection: int
    row: int
    status: int
    answer: dict[str, Any]

    @property
    def process(self) -> str:
        """Which process answered: it is part of every id."""
        return str(self.answer["id"][11:23])


@dataclass(frozen=True, slots=True)
class Broken:
    """One request without an answer."""

    at: float
    connection: int
    error: str


@dataclass(slots=True)
class Notes:
    """Everything that the clients were told."""

    answers: list[Told] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)


def rows(count: int = 40) -> tuple[list[str], np.ndarray[Any, np.dtype[np.float64]]]:
    """Addresses, and the columns ``(count, 16)`` that the published scaling makes of them."""
    chance = random.Random(7)
    paths, columns = [], np.tile(GOLDEN_ROW, (count, 1))
    for i in range(count):
        amount, debt = chance.randrange(31424) / 100, chance.randrange(62883) / 100
        paths.append(prediccion({"im": f"{amount:.2f}", "dt": f"{debt:.2f}"}))
        columns[i, IMPORTS_AT], columns[i, DEBT_AT] = amount / 314.24, debt / 628.83
    return paths, columns


@contextlib.contextmanager
def calling(server: Server, clients: int = 8) -> Iterator[Notes]:
    """Call without a pause until the block ends; the notes are whole only then."""
    notes, stop = Notes(), threading.Event()
    paths, _ = rows()
    threads = [
        threading.Thread(target=_call, args=(server, number, paths, notes, stop), daemon=True)
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        yield notes
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    assert not any(thread.is_alive() for thread in threads), "a client hangs"


def _call(
    server: Server, number: int, paths: list[str], notes: Notes, stop: threading.Event
) -> None:
    chance, opened = random.Random(number), 0
    connection = server.connection(10)
    while not stop.is_set():
        row, name = chance.randrange(len(paths)), number + 1000 * opened
        asked = time.monotonic()
        try:
            reply = ask(connection, paths[row])
            notes.answers.append(Told(asked, name, row, reply.status, reply.json()))
        except (OSError, http.client.HTTPException) as error:
            notes.broken.append(Broken(time.monotonic(), name, repr(error)))
            connection.close()
            connection, opened = server.connection(10), opened + 1
            time.sleep(0.01)
    connection.close()
