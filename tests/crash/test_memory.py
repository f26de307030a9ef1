"""Workers, keeper and database killed at random under load: nothing that was answered is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest
from clients import Notes, Pair, calling
from journals import sums_are_those_of, table
from lengths import steps
from server import Server, lives, running, wait_for
from stores import Postgresql

from propensia.settings import Settings
from propensia.store import database, schema

posix = pytest.mark.skipif(os.name != "posix", reason="needs kill -9")
KILLS = steps(12, 100)
AWAY_S = float(steps(15, 600))


def kill_at_random(pair: Pair, server: Server, postgresql: Postgresql, times: int) -> None:
    chance = random.Random(times)

    def worker() -> None:
        living = [p for p in map(process, workers(server)) if p is not None and lives(p)]
        if living:
            os.kill(chance.choice(living).pid, signal.SIGKILL)

    def keeper() -> None:
        os.kill(server.keeper_pid(), signal.SIGKILL)

    def store() -> None:
        postgresql.kill()
        time.sleep(chance.uniform(0, 0.5))
        postgresql.start()

    kinds: list[Callable[[], None]] = [worker, keeper, store]
    for number in range(times):
        time.sleep(chance.uniform(0.1, 1.0))
        kinds[number % 3 if number < 3 else chance.randrange(3)]()


def process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def workers(server: Server) -> list[int]:
    """The processes that answer, by their notes: a dead one cannot be asked."""
    notes = (server.place.state / "workers").glob("*.json")
    return [json.loads(note.read_text(encoding="utf-8"))["pid"] for note in notes]


def everything_arrives(pair: Pair, postgresql: Postgresql, times: int) -> None:
    url = postgresql.fresh()
    with running(pair.place, database_url=url) as server:
        with calling(server, clients=4) as notes:
            kill_at_random(pair, server, postgresql, times)
            time.sleep(1.0)
        assert len(notes.answers) > 20 * times
        # Keepers that lived for seconds shipped little of it.
        all_is_shipped(server, 60.0 + 2 * times)
    all_is_there(pair, url, notes)


def all_is_shipped(server: Server, patience_s: float) -> None:
    """Wait until nothing of the journal is left to ship, and nothing is wrong."""
    wait_for(
        lambda: server.health()["diario"]["pendiente_bytes"] == 0, "all is shipped", patience_s
    )
    wait_for(lambda: not server.health()["problemas"], "all is well", 60)


def all_is_there(pair: Pair, url: str, notes: Notes) -> None:
    """Every answer that callers got is in the store once, and the sums are those of the rows."""
    answered = [told.answer["id"] for told in notes.answers if told.status == 200]
    assert {told.status for told in notes.answers} == {200}
    engine = database.open_store(Settings(state=pair.place.state, database_url=url))
    rows = {row["id"]: row for row in table(engine, schema.answers)}  # the id is their key
    assert set(answered) <= rows.keys()
    assert rows.keys() == {row["id"] for row in table(engine, schema.inputs)}
    # Some were kept, and their caller never got them; of each broken request one at most.
    assert len(rows) - len(answered) <= len(notes.broken)
    parsed = {id: row | {"notes": json.loads(row["notes"])} for id, row in rows.items()}
    sums_are_those_of(engine, parsed, {})
    engine.dispose()
    assert not list((pair.place.state / "journal").glob("*.rejected"))


@posix
@pytest.mark.slow
def test_what_was_answered_is_in_the_store_once_whatever_was_killed(
    pair: Pair, own_postgresql: Postgresql
) -> None:
    everything_arrives(pair, own_postgresql, KILLS)


@posix
@pytest.mark.slow
def test_while_the_database_is_away_every_request_is_answered_and_all_arrives_afterwards(
    pair: Pair, own_postgresql: Postgresql
) -> None:
    url = own_postgresql.fresh()
    with running(pair.place, database_url=url) as server:
        with calling(server, clients=1) as notes:
            time.sleep(1.0)
            own_postgresql.kill()
            time.sleep(AWAY_S)
            own_postgresql.start()
            time.sleep(1.0)
        assert not notes.broken and len(notes.answers) > 20 * AWAY_S
        all_is_shipped(server, 120.0 + AWAY_S)
    all_is_there(pair, url, notes)
