"""Routes that need the database hold nobody up while it is away."""

from __future__ import annotations

import gc
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from propensia import heartbeat
from propensia.settings import Settings
from propensia.store import database
from propensia.web import routes, stored
from propensia.web.asked import Refused
from propensia.web.stored import Memory

# pg8000 leaves the socket of a connection that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


def memory(chosen: Settings) -> Memory:
    scoring: Any = SimpleNamespace(serving=SimpleNamespace(contract=None))
    return Memory(scoring, chosen)


def test_who_needs_the_database_has_places_of_their_own() -> None:
    """Else 16 that wait for a silent one would leave no place to score."""
    asking = [route for route in routes.ROUTES if route.permission == "remember"]
    assert len(asking) == 4
    assert all(route.heavy for route in asking)


def test_a_silent_database_is_given_up_before_its_usual_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stored.CONNECT_S < database.CONNECT_S / 10
    monkeypatch.setattr(stored, "CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://a:b@127.0.0.1:{silent.getsockname()[1]}/c"
        with pytest.raises(Refused) as refused:
            memory(Settings(state=tmp_path, database_url=url)).answer("0" * 29)
    assert (refused.value.code, refused.value.exact) == (
        "registro_no_disponible",
        "base_no_disponible",
    )
    del refused
    gc.collect()


def test_nobody_tries_a_database_that_the_keeper_found_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[object] = []
    monkeypatch.setattr(database, "open_store", lambda *given: tries.append(given))
    heartbeat.leave(tmp_path / "keeper.json", {"sin_base": True})
    with pytest.raises(Refused, match="registro_no_disponible"):
        memory(Settings(state=tmp_path)).answer("0" * 29)
    assert tries == []


def test_a_statement_may_take_longer_than_the_connecting(
    postgresql_url: str, tmp_path: Path
) -> None:
    chosen = Settings(state=tmp_path, database_url=postgresql_url)
    database.open_store(chosen).dispose()
    with database.using(chosen, 1.0) as engine, engine.connect() as connection:
        began = time.monotonic()
        connection.exec_driver_sql("SELECT pg_sleep(1.3)")
        assert time.monotonic() - began > 1.0
