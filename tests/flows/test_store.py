"""The store behind a real server: what was answered arrives, also when the database was away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from guarded import copied
from journals import table
from server import Place, Server, prediccion, running, wait_for
from sqlalchemy import text
from stores import Postgresql

from propensia.settings import Settings
from propensia.store import database, schema

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture
def place(admitted: Place, tmp_path: Path) -> Place:
    """A copy of the installation with one model, with a store of its own."""
    return copied(admitted, tmp_path)


def asked(server: Server, count: int) -> list[str]:
    """The ids of so many answers; the score of each is in the store under it."""
    replies = [server.get(prediccion({"im": f"{n}.00"}) + "&ref=EXP-77") for n in range(count)]
    assert {reply.status for reply in replies} == {200}
    return [reply.json()["id"] for reply in replies]


def shipped(server: Server) -> bool:
    return bool(server.health()["diario"]["pendiente_bytes"] == 0)


def test_what_was_answered_is_in_the_store_within_seconds(
    place: Place, store_settings: Settings
) -> None:
    url = store_settings.database_url
    with running(place, database_url=url) as server:
        first = server.get(prediccion() + "&ref=EXP-77").json()
        ids = [first["id"], *asked(server, 5)]
        refused = server.get(prediccion({"im": "doce"}))
        assert refused.status == 400
        wait_for(lambda: shipped(server), "the journal is shipped")
        assert server.health()["problemas"] == []
    engine = database.open_store(Settings(state=place.state, database_url=url))
    rows = {row["id"]: row for row in table(engine, schema.answers)}
    assert set(rows) == set(ids)
    row = rows[first["id"]]
    assert (row["probability"], row["threshold"], row["model"], row["version"]) == (
        *(first["probabilidad"], first["umbral"], first["modelo"], first["version"]),
    )
    assert len({row["reference"] for row in rows.values()}) == 1
    assert "EXP-77" not in str(rows)
    assert refused.json()["id"] in {row["id"] for row in table(engine, schema.refusals)}
    assert sum(row["count"] for row in table(engine, schema.windows)) == len(ids)
    engine.dispose()


def test_a_database_that_goes_away_is_told_and_no_caller_notices(
    place: Place, own_postgresql: Postgresql
) -> None:
    url = own_postgresql.fresh()
    with running(place, database_url=url) as server:
        ids = asked(server, 3)
        wait_for(lambda: shipped(server), "the journal is shipped")
        own_postgresql.kill()
        ids += asked(server, 20)
        wait_for(
            lambda: any("base de datos" in told for told in server.health()["problemas"]),
            "the health tells it",
        )
        # What waits is told of with the next note, a moment after what went wrong.
        wait_for(lambda: server.health()["diario"]["pendiente_bytes"], "what waits is told")
        assert server.get("/health").status == 200
        ids += asked(server, 3)
        own_postgresql.start()
        wait_for(lambda: shipped(server), "all has arrived")
        wait_for(lambda: server.health()["problemas"] == [], "all is well")
    engine = database.open_store(Settings(state=place.state, database_url=url))
    assert [row["id"] for row in table(engine, schema.answers)] == sorted(ids)
    engine.dispose()


def test_a_database_of_a_later_program_is_refused_and_answers_go_on(
    place: Place, store_settings: Settings
) -> None:
    url = store_settings.database_url
    engine = database.open_store(Settings(state=place.state, database_url=url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    done = place.run("answers", database_url=url)
    assert done.returncode == 3
    assert "versión posterior" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    with running(place, database_url=url) as server:
        asked(server, 2)
        wait_for(
            lambda: "versión posterior" in json.dumps(server.health(), ensure_ascii=False),
            "the health tells it",
        )
