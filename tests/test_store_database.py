"""The database: found, brought to the tables of now, and refused where it must be."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import subprocess
import sys
import threading
import traceback
from importlib import resources
from pathlib import Path

import alembic.config
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from desk import Desk, desk
from journals import answers, holds_exactly, write
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from stores import Postgresql

from propensia.settings import Settings, as_environment
from propensia.store import database, looking, schema
from propensia.store.database import StoreError
from propensia.store.shipping import Shipper
from propensia.terminal import Exit

__all__ = ["desk"]

# pg8000 leaves the socket of a connection that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

MIGRATIONS = str(resources.files("propensia.store") / "migrations")


def test_the_migrations_make_the_tables_that_the_program_knows(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.METADATA) == []


def test_every_part_of_the_tables_is_the_same_as_made_from_the_metadata(engine: Engine) -> None:
    """What ``compare_metadata`` does not look at: keys, options, conditions of indexes."""

    def looked() -> list[object]:
        found = inspect(engine)
        return [
            (name, found.get_pk_constraint(name), indexes(name), options(name))
            for name in sorted(schema.METADATA.tables)
        ]

    def indexes(name: str) -> object:
        found = inspect(engine).get_indexes(name)
        return [
            index
            | {
                "dialect_options": str(
                    {k: str(v) for k, v in index.get("dialect_options", {}).items()}
                )
            }
            for index in found
        ]

    def options(name: str) -> object:
        return inspect(engine).get_table_options(name) if engine.dialect.name == "sqlite" else None

    migrated = looked()
    schema.METADATA.drop_all(engine)
    schema.METADATA.create_all(engine)
    assert looked() == migrated


def test_the_revision_that_the_program_looks_for_is_the_last_of_the_migrations() -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", MIGRATIONS)
    assert ScriptDirectory.from_config(config).get_heads() == [schema.REVISION]


LATER = '''"""A step that this program does not know."""
import sqlalchemy as sa
from alembic import op
revision = "9999"
down_revision = "{last}"
branch_labels = depends_on = None
def upgrade():
    op.add_column("answers", sa.Column("more", sa.String(8)))
    op.create_index("answers_by_more", "answers", ["more"])
'''


def test_a_later_step_keeps_every_row_and_the_older_program_then_refuses(
    engine: Engine, store_settings: Settings, tmp_path: Path
) -> None:
    told = answers(20)
    write(tmp_path / "journal", told)
    Shipper(engine, tmp_path / "journal", 90).turn()
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    later = LATER.format(last=schema.REVISION)
    (folder / "versions" / "9999_later.py").write_text(later, encoding="utf-8")
    config = alembic.config.Config()
    config.set_main_option("script_location", str(folder))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")
    holds_exactly(engine, told)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT more FROM answers")).scalars().all() == [None] * 20
    with pytest.raises(StoreError, match=r"versión posterior.*9999"):
        database.open_store(store_settings)


OPEN = """
from propensia import settings
from propensia.store import database
database.open_store(settings.load()).dispose()
"""


def test_processes_that_open_a_new_store_at_once_all_get_it(
    store_settings: Settings,
) -> None:
    environment = as_environment(store_settings)
    started = [subprocess.Popen([sys.executable, "-c", OPEN], env=environment) for _ in range(4)]
    assert [process.wait(60) for process in started] == [0, 0, 0, 0]
    opened = database.open_store(store_settings)
    assert set(schema.METADATA.tables) <= set(inspect(opened).get_table_names())
    opened.dispose()


@pytest.mark.skipif(os.name != "posix", reason="Windows: the rights of the folder count")
def test_the_file_of_sqlite_is_for_its_owner_only(tmp_path: Path) -> None:
    opened = database.open_store(Settings(state=tmp_path))
    with opened.begin() as connection:
        connection.execute(text("DELETE FROM answers"))
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("store.db*")}
    assert modes.keys() >= {"store.db", "store.db-wal"}
    assert set(modes.values()) == {0o600}
    opened.dispose()


def test_deleted_values_are_not_in_the_files_any_more(tmp_path: Path) -> None:
    opened = database.open_store(Settings(state=tmp_path))
    write(tmp_path / "journal", answers(500))
    Shipper(opened, tmp_path / "journal", 90).turn()
    database.settle(opened)
    assert b"texto 77" in (tmp_path / "store.db").read_bytes()
    with opened.begin() as connection:
        connection.execute(text("DELETE FROM inputs"))
    database.settle(opened)
    assert all(b"texto" not in path.read_bytes() for path in tmp_path.glob("store.db*"))
    opened.dispose()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("no es una url", "no es una dirección"),
        ("postgresql+nothing://x", "falta el programa"),
        ("mysql://ana:secreta@127.0.0.1/base", "es de mysql, y solo se admite PostgreSQL"),
        ("postgresql://ana:secreta@127.0.0.1:1/base", "no responde"),
    ],
)
def test_a_store_that_cannot_be_opened_is_told_without_a_secret(
    tmp_path: Path, url: str, said: str
) -> None:
    with pytest.raises(StoreError, match=said) as failed:
        database.open_store(Settings(state=tmp_path, database_url=url))
    assert "secreta" not in str(failed.value)


@pytest.mark.parametrize("command", [("outcomes", "--status"), ("monitor",)])
def test_who_only_looks_makes_no_database_that_the_service_could_not_write(
    desk: Desk, command: tuple[str, ...]
) -> None:
    said = desk.run(*command, code=Exit.ENVIRONMENT)
    assert "la hace el servicio al arrancar" in said
    assert not (desk.state / database.SQLITE).exists()


def test_the_tables_are_made_without_a_word_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    database.open_store(Settings(state=tmp_path)).dispose()
    assert [record.name for record in caplog.records] == []


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://127.0.0.1:1/base?user=ana&password=secreta",
        "postgresql://ana:mi@secreta@127.0.0.1:1/base",
        "postgresql://ana:secreta/y@127.0.0.1:1/base",
        "postgresql://ana:secreta@127.0.0.1:secreta/base",
        "postgresql://127.0.0.1:1/base?secreta=1",
        "postgresql://ana:secreta@[::1/base",
    ],
)
def test_no_part_of_a_password_is_told_however_the_url_is_wrong(tmp_path: Path, url: str) -> None:
    chosen = Settings(state=tmp_path, database_url=url)
    for asks in (database.open_store, lambda chosen: looking.look(chosen, 0)):
        with pytest.raises(StoreError) as failed:
            asks(chosen)
        assert "secreta" not in "".join(traceback.format_exception(failed.value))
    del failed
    gc.collect()


def test_a_wrong_password_and_an_unknown_database_are_told_apart(
    own_postgresql: Postgresql, tmp_path: Path
) -> None:
    own_postgresql.run("CREATE ROLE ana LOGIN PASSWORD 'correcta'")
    own_postgresql.only_with_password("ana")
    address = f"127.0.0.1:{own_postgresql.port}"
    for url, said in (
        (f"postgresql://ana:secreta@{address}/postgres", "no acepta el usuario o la clave"),
        (f"postgresql://postgres@{address}/secreta_no_hay", "esa base de datos no existe"),
    ):
        with pytest.raises(StoreError) as failed:
            database.open_store(Settings(state=tmp_path, database_url=url))
        assert said in database.reason(failed.value)
        assert ":secreta" not in str(failed.value)


def test_an_error_of_the_database_shows_no_value(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(SQLAlchemyError) as failed:
        connection.execute(text("SELECT * FROM nothing WHERE x = :x"), {"x": "secreto-123"})
    assert "secreto-123" not in str(failed.value)


def test_a_server_that_says_nothing_more_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A half-open connection: accepted, and then silence for ever."""
    monkeypatch.setattr(database, "CONNECT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://a:b@127.0.0.1:{silent.getsockname()[1]}/c"
        with pytest.raises(StoreError, match="no responde"):
            database.open_store(Settings(state=tmp_path, database_url=url))
    gc.collect()


class Cut:
    """Stands between a program and a server, and can fall silent in both directions."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._silent = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._open: list[socket.socket] = [self._listening]
        threading.Thread(target=self._accept, daemon=True).start()

    def fall_silent(self) -> None:
        self._silent.set()

    def speak(self) -> None:
        """Again, for connections made from now on."""
        self._silent.clear()

    def close(self) -> None:
        for one in self._open:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                return
            self._open += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                if self._silent.is_set():
                    return
                other.sendall(data)
        except OSError:
            pass


@pytest.mark.slow
def test_a_connection_that_falls_silent_is_given_up_and_the_next_one_works(
    monkeypatch: pytest.MonkeyPatch, postgresql_server: Postgresql, tmp_path: Path
) -> None:
    monkeypatch.setattr(database, "CONNECT_S", 3.0)  # for what is slow and not silent too
    cut = Cut(postgresql_server.port)
    url = postgresql_server.fresh().replace(f":{postgresql_server.port}/", f":{cut.port}/")
    opened = database.open_store(Settings(state=tmp_path, database_url=url))
    told = answers(200)
    write(tmp_path / "journal", told)
    shipper = Shipper(opened, tmp_path / "journal", 90)
    cut.fall_silent()
    with pytest.raises(SQLAlchemyError) as failed:
        shipper.turn()
    assert "no responde" in database.reason(failed.value)
    cut.speak()
    shipper.turn()
    holds_exactly(opened, told)
    opened.dispose()
    cut.close()
    del failed
    gc.collect()
