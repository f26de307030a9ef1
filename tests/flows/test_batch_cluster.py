"""``propensia score --engine dask``: real schedulers, workers and kills; the very same bytes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest
from distributed import Security
from models_for_tests import EXAMPLE
from ports import free_port
from server import ROOT, Place, wait_for

from propensia import contract as contracts
from propensia.batch import opening
from propensia.batch.blocks import Block
from propensia.batch.engines import alike, cluster
from propensia.batch.engines.cluster import Where
from propensia.batch.engines.pool import AHEAD, WorkerDied
from propensia.batch.engines.wish import EngineWish
from propensia.batch.errors import ClusterGone, ClusterRefused, WrongUse
from propensia.batch.worker import model
from propensia.batch.worker.scoring import Task, Wanted

SECRET = "Quevedo17"
ROWS = 60_000
"""With their long texts some fifteen blocks, and with reasons each takes a while: what dies in the
middle dies before the end."""
SCORE = ("score", "--motivos", "3")
START_S = 600.0


@pytest.fixture(scope="module")
def portfolio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many blocks, a few bad rows, and in each a text that no log may hold."""
    path = tmp_path_factory.mktemp("cluster") / "cartera.csv"
    good = ";".join(EXAMPLE.values())
    bad = ";".join((EXAMPLE | {"im": SECRET}).values())
    with path.open("w", encoding="utf-8") as stream:
        stream.write(f"{';'.join(EXAMPLE)};nota\n")
        for number in range(ROWS):
            stream.write(f"{bad if number % 997 == 0 else good};{SECRET}{number:01000d}\n")
    return path


@pytest.fixture(scope="module")
def expected(admitted: Place, portfolio: Path) -> dict[str, bytes]:
    """What one process of this machine makes of it."""
    out = portfolio.with_name("local.csv")
    done = admitted.run(*SCORE, str(portfolio), str(out), "--workers", "1")
    assert done.returncode == 0, done.stderr
    return found(out)


def found(out: Path) -> dict[str, bytes]:
    """The result and the file of faults."""
    return {
        ending: out.with_name(f"{out.name}{ending}").read_bytes()
        for ending in ("", ".errores.csv")
    }


def kept(out: Path) -> int:
    """Rows that are noted down as done."""
    with contextlib.suppress(FileNotFoundError, PermissionError):
        note = json.loads(out.with_name(f"{out.name}.part.json").read_text(encoding="utf-8"))
        return int(note["tally"]["rows"])
    return 0


@dataclass
class Running:
    """A process in the background, with all below it, and what it said."""

    popen: subprocess.Popen[bytes]
    log: Path
    seen: set[psutil.Process] = field(default_factory=set)

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def family(self) -> set[psutil.Process]:
        """Every process that was ever seen here and still runs."""
        with contextlib.suppress(psutil.NoSuchProcess):
            own = psutil.Process(self.popen.pid)
            self.seen |= {own, *own.children(recursive=True)}
        running = {one for one in self.seen if one.is_running()}
        return {one for one in running if one.status() != psutil.STATUS_ZOMBIE}

    def scoring(self) -> list[psutil.Process]:
        """Those of it that score."""
        workers = []
        for process in self.family():
            with contextlib.suppress(psutil.Error):
                if "spawn_main" in " ".join(process.cmdline()):
                    workers.append(process)
        return workers

    def end(self) -> None:
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.popen.wait(30)


Start = Callable[..., Running]


@pytest.fixture
def start(admitted: Place, tmp_path: Path) -> Iterator[Start]:
    """Starts ``python -m MODULE ARGUMENTS``; at the end everything is gone."""
    every: list[Running] = []

    def started(module: str, *arguments: object, **variables: str) -> Running:
        log = tmp_path / f"{len(every)}.log"
        with log.open("wb") as out:
            popen = subprocess.Popen(
                [sys.executable, "-m", module, *map(str, arguments)],
                cwd=ROOT,
                env=admitted.environment() | variables,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        every.append(Running(popen, log))
        return every[-1]

    yield started
    for one in reversed(every):
        one.end()


@dataclass(frozen=True)
class Cluster:
    """A scheduler of this machine, to which workers are added one by one."""

    start: Start
    folder: Path
    port: int = field(default_factory=free_port)

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def secured(self) -> tuple[dict[str, str], dict[str, str]]:
        """What the variables of a worker and of the command hold for tls://."""
        made, told = Security.temporary(), []
        for role in ("scheduler", "worker", "client"):
            variables = {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true"}
            for name, text in (
                ("CA_FILE", made.tls_ca_file),
                (f"{role.upper()}__CERT", getattr(made, f"tls_{role}_cert")),
                (f"{role.upper()}__KEY", getattr(made, f"tls_{role}_key")),
            ):
                path = self.folder.parent / f"{role}-{name}.pem"
                path.write_text(text, encoding="utf-8")
                variables[f"DASK_DISTRIBUTED__COMM__TLS__{name}"] = str(path)
            told.append(variables)
        words = ("--protocol", "tls", "--host", "127.0.0.1", "--port", self.port)
        words += ("--dashboard-address", "127.0.0.1:0")
        one = self.start("distributed.cli.dask_scheduler", *words, **told[0])
        wait_for(lambda: "Scheduler at:" in one.said, "a scheduler", START_S)
        return told[1], told[2]

    def scheduler(self) -> Running:
        words = ("--host", "127.0.0.1", "--port", self.port, "--dashboard-address", "127.0.0.1:0")
        one = self.start("distributed.cli.dask_scheduler", *words)
        wait_for(lambda: "Scheduler at:" in one.said, "a scheduler", START_S)
        return one

    def worker(self, address: str = "", **variables: str) -> Running:
        words = ("--host", "127.0.0.1", "--nthreads", 1, "--no-nanny", "--no-dashboard")
        place = ("--local-directory", self.folder, "--memory-limit", 0)
        one = self.start(
            "distributed.cli.dask_worker", address or self.address, *words, *place, **variables
        )
        wait_for(lambda: "Registered to:" in one.said, "a worker", START_S)
        return one


@pytest.fixture
def away(start: Start, tmp_path: Path) -> Cluster:
    return Cluster(start, tmp_path / "scratch")


def task(admitted: Place, portfolio: Path) -> tuple[Task, Any]:
    """What the command gives the workers, and the blocks of a portfolio."""
    taken = model.take(admitted.registry, contracts.load("cobranza"))
    ends = opening.ends(opening.Wish(str(portfolio), f"{portfolio}.out.csv"), taken, {})
    made = Task(taken, ends.reader, ends.sink.writer, Wanted((0.25, 0.5, 0.75)))
    return made, ends.source.blocks()


# What is typed


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        (EngineWish(scheduler="tls://uno:8786"), "va con --engine dask"),
        (EngineWish("dask", insecure=True), "--insecure va con --scheduler"),
        (EngineWish("dask", scheduler="uno:8786"), "una dirección tls://"),
        (EngineWish("dask", scheduler="tls://ana:clave@uno:8786"), "una dirección tls://"),
        (EngineWish("dask", scheduler="ucx://uno:8786"), "una dirección tls://"),
        (EngineWish("dask", scheduler="tcp://uno"), "una dirección tls://"),
        (EngineWish("dask", scheduler="tcp://uno:8786"), "cualquiera en la red"),
        (EngineWish("dask", scheduler="tcp://10.1.2.3:8786"), "cualquiera en la red"),
        (EngineWish("dask", scheduler="tcp://[2001:db8::1]:8786"), "cualquiera en la red"),
    ],
)
def test_an_engine_that_cannot_be_meant_is_refused(engine: EngineWish, told: str) -> None:
    with pytest.raises(WrongUse, match=told):
        engine.refuse()


@pytest.mark.parametrize(
    "engine",
    [
        EngineWish(),
        EngineWish("dask", workers=2),
        EngineWish("dask", scheduler="tls://uno.example:8786"),
        EngineWish("dask", scheduler="tcp://127.0.0.1:8786"),
        EngineWish("dask", scheduler="tcp://[::1]:8786"),
        EngineWish("dask", scheduler="tcp://localhost:8786"),
        EngineWish("dask", scheduler="tcp://10.1.2.3:8786", insecure=True),
    ],
)
def test_an_engine_that_is_safe_or_was_insisted_on_is_taken(engine: EngineWish) -> None:
    engine.refuse()


def test_nothing_of_a_portfolio_is_shown_where_a_block_is_logged(
    admitted: Place, portfolio: Path
) -> None:
    made, blocks = task(admitted, portfolio)
    block = next(blocks)
    parcel = cluster._Parcel("run", made, {})
    found = cluster._answer(cluster._Parcel("run", made, alike.own_versions()), block)
    assert not isinstance(found, Exception)
    assert SECRET.encode() in block.content and SECRET.encode() in found.content
    for shown in (repr(block), repr(parcel), repr(found)):
        assert SECRET not in shown and len(shown) < 5_000


def test_what_goes_wrong_in_a_worker_comes_back_as_it_is(admitted: Place, portfolio: Path) -> None:
    made, _ = task(admitted, portfolio)
    other = alike.own_versions() | {"numpy": "0.1"}
    found = cluster._answer(cluster._Parcel("other", made, other), Block(0, 1, b"", {}, 0))
    assert isinstance(found, ClusterRefused) and "numpy 0.1 aquí y" in str(found)


@pytest.mark.slow
def test_a_scheduler_that_is_not_there_is_told_at_once(
    admitted: Place, portfolio: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    dask = ("--engine", "dask", "--scheduler", f"tcp://127.0.0.1:{free_port()}")
    done = admitted.run("score", str(portfolio), str(out), *dask)
    assert done.returncode == 3, done.stderr
    assert "no contesta" in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


# A cluster of this machine


@pytest.mark.slow
def test_a_killed_worker_of_a_cluster_costs_nothing_but_time(
    start: Start, portfolio: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    """And nobody else reaches that cluster: every port of it is one of this machine only."""
    out = tmp_path / "out.csv"
    run = start("propensia", *SCORE, portfolio, out, "--engine", "dask", "--workers", 2)
    wait_for(lambda: kept(out), f"a first block: {run.said}", START_S, pause_s=0.002)
    ports = [
        connection.laddr.ip
        for process in run.family()
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert ports and set(ports) == {"127.0.0.1"}
    victim = run.scoring()[0]
    victim.kill()
    assert 0 < kept(out) < ROWS, "too late"
    assert run.popen.wait(START_S) == 0, run.said
    assert found(out) == expected
    assert SECRET not in run.said
    wait_for(lambda: not run.family(), "the end of its processes", 30)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="there is no kill -9")
def test_nothing_is_left_of_a_cluster_whose_command_is_killed_and_it_goes_on_as_local(
    start: Start, admitted: Place, portfolio: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    run = start("propensia", *SCORE, portfolio, out, "--engine", "dask", "--workers", 2)
    wait_for(lambda: kept(out), f"a first block: {run.said}", START_S, pause_s=0.002)
    assert len(run.scoring()) >= 2
    run.popen.kill()
    run.popen.wait(10)
    wait_for(lambda: not run.family(), "the end of its workers", 30)
    assert 0 < kept(out) < ROWS
    done = admitted.run(*SCORE, str(portfolio), str(out), "--resume", "--workers", "2")
    assert done.returncode == 0 and "Sigue donde quedó" in done.stderr, done.stderr
    assert found(out) == expected


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="a test cannot type Ctrl-C elsewhere")
def test_ctrl_c_ends_a_cluster_with_one_sentence(
    start: Start, portfolio: Path, tmp_path: Path
) -> None:
    """It reaches every process, as in a terminal."""
    out = tmp_path / "out.csv"
    run = start("propensia", *SCORE, portfolio, out, "--engine", "dask", "--workers", 2)
    wait_for(lambda: kept(out), f"a first block: {run.said}", START_S, pause_s=0.002)
    assert len(run.scoring()) >= 2
    os.killpg(run.popen.pid, signal.SIGINT)
    assert run.popen.wait(30) == 1
    assert "Interrumpido. Lo hecho está guardado" in run.said
    assert "Traceback" not in run.said
    wait_for(lambda: not run.family(), "the end of its processes", 30)
    assert 0 < kept(out) < ROWS


# A cluster of other machines


@pytest.mark.slow
def test_of_two_workers_one_may_die_and_one_may_come_and_the_bytes_are_the_same(
    away: Cluster, start: Start, portfolio: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    """Killed for good; the new one gets what it needs from those that have it. No log of any of
    them holds a text of the portfolio."""
    others = [away.scheduler(), away.worker(), away.worker()]
    out = tmp_path / "out.csv"
    dask = ("--engine", "dask", "--scheduler", away.address)
    run = start("propensia", *SCORE, portfolio, out, *dask)
    wait_for(lambda: kept(out), f"a first block: {run.said}", START_S, pause_s=0.002)
    others[1].popen.kill()
    others.append(away.worker())
    assert 0 < kept(out) < ROWS, "too late"
    assert run.popen.wait(START_S) == 0, run.said
    assert found(out) == expected
    assert [one.log.name for one in (*others, run) if SECRET in one.said] == []


@pytest.mark.slow
def test_a_scheduler_that_comes_back_is_gone_on_with_and_one_that_stays_away_is_told(
    away: Cluster, admitted: Place, portfolio: Path
) -> None:
    first, worker = away.scheduler(), away.worker()
    made, blocks = task(admitted, portfolio)
    read: list[int] = []

    def counted() -> Iterator[Block]:
        for block in blocks:
            read.append(block.number)
            yield block

    where = Where(away.address, patience_s=40)
    with contextlib.closing(cluster.pieces(made, counted(), where)) as pieces:
        assert next(pieces)[0].number == 0
        assert len(read) == AHEAD, "one worker, so many blocks at a time"
        first.end()
        worker.end()
        again = [away.scheduler(), away.worker()]
        assert [next(pieces)[1].number for _ in range(4)] == [1, 2, 3, 4]
        for one in again:
            one.end()
    where = Where(away.address, patience_s=2)
    again = [away.scheduler(), away.worker()]
    made, blocks = task(admitted, portfolio)
    with contextlib.closing(cluster.pieces(made, blocks, where)) as pieces:
        next(pieces)
        for one in again:
            one.end()
        began = time.monotonic()
        with pytest.raises(ClusterGone, match=rf"{away.address} no contesta"):
            list(pieces)
        assert time.monotonic() - began < 40


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="nothing is stopped elsewhere")
def test_a_worker_that_is_there_and_stuck_is_not_waited_for_for_ever(
    away: Cluster, admitted: Place, portfolio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away.scheduler()
    worker = away.worker()
    made, blocks = task(admitted, portfolio)
    with contextlib.closing(cluster.pieces(made, blocks, Where(away.address))) as pieces:
        next(pieces)  # with the first one the worker makes its model
        monkeypatch.setattr(cluster, "LONGEST_S", 8.0)
        worker.popen.send_signal(signal.SIGSTOP)
        with pytest.raises(ClusterGone, match=f"{away.address} {cluster.STUCK}"):
            list(pieces)


@pytest.mark.slow
def test_a_cluster_without_workers_or_with_other_versions_is_refused(
    away: Cluster, admitted: Place, portfolio: Path, tmp_path: Path
) -> None:
    away.scheduler()
    out = tmp_path / "out.csv"
    dask = ("--engine", "dask", "--scheduler", away.address)
    done = admitted.run("score", str(portfolio), str(out), *dask)
    assert (done.returncode, "ningún proceso que puntúe" in done.stderr) == (3, True), done.stderr
    told = tmp_path / "other" / "propensia-9.8.7.dist-info" / "METADATA"
    told.parent.mkdir(parents=True)
    told.write_text("Metadata-Version: 2.1\nName: propensia\nVersion: 9.8.7\n", encoding="utf-8")
    away.worker(PYTHONPATH=str(told.parents[1]))
    done = admitted.run("score", str(portfolio), str(out), *dask)
    assert done.returncode == 1, done.stderr
    assert "propensia 0." in done.stderr and "aquí y 9.8.7 allí" in done.stderr
    assert not out.exists()


@pytest.mark.slow
def test_by_tls_only_who_has_a_certificate_is_let_in(
    away: Cluster,
    start: Start,
    admitted: Place,
    portfolio: Path,
    expected: dict[str, bytes],
    tmp_path: Path,
) -> None:
    """By the settings of Dask itself, so that one place holds them."""
    of_worker, of_client = away.secured()
    address = away.address.replace("tcp:", "tls:")
    away.worker(address, **of_worker)
    out = tmp_path / "out.csv"
    words = (*SCORE, str(portfolio), str(out), "--engine", "dask", "--scheduler")
    for other, code, told in ((address, 1, "un certificado"), (away.address, 3, "no contesta")):
        done = admitted.run(*words, other)
        assert (done.returncode, told in done.stderr) == (code, True), done.stderr
        assert "Traceback" not in done.stderr and not out.exists()
    run = start("propensia", *words, address, **of_client)
    assert run.popen.wait(START_S) == 0, run.said
    assert found(out) == expected


def test_a_block_that_kills_every_worker_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask gives it up after some; then it is as with processes of this machine."""

    class Broken:
        def result(self, timeout: float) -> None:
            raise cluster.KilledWorker("name", None, 3)

    link = object.__new__(cluster._Link)
    with pytest.raises(WorkerDied):
        link.answer(Broken())  # type: ignore[arg-type]


def test_a_block_that_no_worker_ends_stops_a_run_that_can_be_gone_on_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stuck:
        looks = 0

        def submit(self, block: Block) -> None:
            return None

        def answer(self, future: None) -> None:
            self.looks += 1
            assert self.looks < 1000, "it waits for ever"
            time.sleep(0.01)

        def threads(self) -> int:
            return 1

    monkeypatch.setattr(cluster, "_Link", lambda place, parcel: Stuck())
    monkeypatch.setattr(cluster, "LONGEST_S", 0.05)
    sending = cluster._Sending(None, "tcp://uno:8786", Where("tcp://uno:8786"))  # type: ignore[arg-type]
    sending.send(Block(0, 1, b"", {}, 0))
    with pytest.raises(ClusterGone, match=f"tcp://uno:8786 {cluster.STUCK}"):
        sending.first()
