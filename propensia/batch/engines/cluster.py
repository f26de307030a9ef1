"""Workers on a cluster of Dask: blocks in, pieces out in the same order, and never many at a time.

It must never depend on a disk that the workers share, nor give other results than this machine.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from distributed import Client, Future, KilledWorker, LocalCluster, Security
from distributed.client import ClosedClientError

from propensia.batch.blocks import Block, Piece
from propensia.batch.engines import alike, pool
from propensia.batch.engines.pool import AHEAD, WorkerDied
from propensia.batch.errors import ClusterGone, ClusterRefused
from propensia.batch.worker.scoring import Task, Worker

LOOK_S = 5.0
"""How often it is seen whether there are workers, and how many."""
CONNECT_S = 10.0
LONGEST_S = 1800.0
"""How long one block may take: far longer than any does, so that only a stuck cluster does."""
GONE = (OSError, CancelledError, ClosedClientError)
"""What Dask raises where the other end is away, or has lost what it was sent."""

NO_ANSWER = "no contesta"
NO_WORKERS = "no tiene ningún proceso que puntúe (dask worker)"
STUCK = "no acaba un bloque de filas: sus procesos siguen, pero no avanzan"
LOSES = "pierde una y otra vez lo que se le envía"


@dataclass(frozen=True, slots=True)
class Where:
    """A cluster. ``scheduler``: its address, or ``None`` for one of this machine that lives as
    long as the run. ``workers``: at how many blocks it is at a time, or ``None`` for as many as
    it has threads. ``patience_s``: how long it may be away during a run, or without workers,
    before that gives up; at its start it has to be there."""

    scheduler: str | None = None
    workers: int | None = None
    patience_s: float = 60.0


def pieces(
    task: Task, blocks: Iterable[Block], where: Where
) -> Generator[tuple[Block, Piece], None, None]:
    """Each block with its piece, in order, as ``pool.pieces`` gives them.

    A block whose worker ends is scored by another. To be closed. Raises ``ClusterGone``,
    ``ClusterRefused``, ``WorkerDied`` for a block that one worker after the other ends at, and
    what a ``Worker`` does.
    """
    with (
        _quiet(),
        _reachable(where) as place,
        contextlib.closing(_Sending(task, place, where)) as sending,
    ):
        for block in blocks:
            sending.send(block)
            while sending.is_full():
                yield sending.first()
        while len(sending):
            yield sending.first()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Dask tells at length what is seen to here: lost connections and workers."""
    logs = logging.getLogger("distributed")
    before = logs.level
    logs.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logs.setLevel(before)


@contextlib.contextmanager
def _reachable(where: Where) -> Iterator[str | LocalCluster]:
    """A scheduler, or a cluster of processes of this machine. Nobody else can use the latter:
    its certificates are made for it, kept in memory, and asked for by both ends."""
    if where.scheduler is not None:
        _refuse_without_certificate(where.scheduler)
        yield where.scheduler
        return
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch,
        LocalCluster(
            n_workers=where.workers or pool.cores(),
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            security=True,
            dashboard_address=None,
            memory_limit=0,  # no limit: then nothing of a portfolio is put aside on a disk
            local_directory=scratch,
            preload=[__name__],
            silence_logs=logging.CRITICAL,
        ) as local,
    ):
        yield local


def _refuse_without_certificate(scheduler: str) -> None:
    """Raise ``ClusterRefused`` where Dask would only say what type it misses."""
    own = Security().get_connection_args("client")
    if scheduler.startswith("tls:") and own["ssl_context"] is None:
        raise ClusterRefused(
            f"para {scheduler} hace falta un certificado, y la configuración de Dask no dice "
            "ninguno (distributed.comm.tls)"
        )


class _Lost(Exception):
    """The cluster is away or has lost something; the text says how."""


class _Sending:
    """Blocks on their way, each kept until its piece is here: after a loss all are sent again.
    One thread."""

    def __init__(self, task: Task, place: str | LocalCluster, where: Where) -> None:
        self._parcel = _Parcel(uuid.uuid4().hex, task, alike.own_versions())
        self._place, self._where = place, where
        self._waiting: deque[tuple[Block, Future[Answer] | None]] = deque()
        self._lost_since: float | None = None
        self._width, self._looked = 1, 0.0
        try:
            self._link = _Link(place, self._parcel)
        except _Lost as lost:
            raise self._gone(lost) from lost

    def __len__(self) -> int:
        return len(self._waiting)

    def is_full(self) -> bool:
        """Whether as many blocks are on their way as keep every worker busy."""
        if time.monotonic() - self._looked >= LOOK_S:
            with self._mended():
                self._look()
        return len(self) >= AHEAD * self._width

    def send(self, block: Block) -> None:
        """Put a block on its way; if that fails, ``first`` sees to it."""
        future = None
        with contextlib.suppress(_Lost):
            future = self._link.submit(block)
        self._waiting.append((block, future))

    def first(self) -> tuple[Block, Piece]:
        """The block that was sent first, with its piece, once it is here. Raises ``ClusterGone``
        too where it takes longer than any block does."""
        found: Answer | None = None
        began = time.monotonic()
        while found is None:
            if time.monotonic() - began >= LONGEST_S:
                raise self._gone(_Lost(STUCK))
            with self._mended():
                found = self._link.answer(self._waiting[0][1])
                if found is None:
                    self._look()
        block, _ = self._waiting.popleft()
        self._lost_since = None
        if isinstance(found, Exception):
            raise found
        return block, found

    def close(self) -> None:
        """What is on its way is not wanted any more."""
        self._waiting.clear()
        self._link.close()

    def _look(self) -> None:
        """How many blocks are worth sending; raises ``_Lost`` without any worker."""
        self._looked = time.monotonic()
        threads = self._link.threads()
        if not threads:
            raise _Lost(NO_WORKERS)
        self._width = min(threads, self._where.workers or threads)

    @contextlib.contextmanager
    def _mended(self) -> Iterator[None]:
        """After a loss: connect anew, and send again what is waiting."""
        try:
            yield
        except _Lost as lost:
            self._still_lost(lost)
            self._link.close()
            self._link = self._connected()
            again = [block for block, _ in self._waiting]
            self._waiting.clear()
            for block in again:
                self.send(block)

    def _connected(self) -> _Link:
        """A cluster that has a worker, as soon as there is one. Raises ``ClusterGone``."""
        while True:
            try:
                return _Link(self._place, self._parcel)
            except _Lost as lost:
                self._still_lost(lost)
                time.sleep(0.5)

    def _still_lost(self, lost: _Lost) -> None:
        """Raise ``ClusterGone`` once patience is at its end."""
        now = time.monotonic()
        if self._lost_since is None:
            self._lost_since = now
        elif now - self._lost_since >= self._where.patience_s:
            raise self._gone(lost) from lost

    def _gone(self, lost: _Lost) -> ClusterGone:
        return ClusterGone(f"el clúster {self._where.scheduler or 'de esta máquina'} {lost}")


class _Link:
    """One connection to a scheduler whose workers have what they need. All of it raises
    ``_Lost``; making it ``ClusterRefused`` too."""

    def __init__(self, place: str | LocalCluster, parcel: _Parcel) -> None:
        with _told(NO_ANSWER):
            self._client = Client(place, timeout=CONNECT_S, set_as_default=False)
        try:
            with _told(NO_WORKERS):
                self._client.wait_for_workers(1, timeout=CONNECT_S)
            with _told(NO_ANSWER):
                told: Any = self._client.get_versions(packages=list(alike.ALIKE))
                alike.refuse_others(parcel.versions, told)
                [self._parcel] = self._client.scatter([parcel], broadcast=True, hash=False)
        except BaseException:
            self.close()
            raise

    def threads(self) -> int:
        """Blocks that the cluster can be at, at the same time."""
        with _told(NO_ANSWER):
            return sum(self._client.nthreads().values())

    def submit(self, block: Block) -> Future[Answer]:
        """A block, on its way."""
        with _told(NO_ANSWER):
            # Twice the same name would be once the same work.
            name = f"propensia-{block.number}-{uuid.uuid4().hex}"
            return self._client.submit(_answer, self._parcel, block, key=name)

    def answer(self, future: Future[Answer] | None) -> Answer | None:
        """What a worker found, or ``None`` while it is not here. Raises ``WorkerDied`` too."""
        if future is None:
            raise _Lost(NO_ANSWER)
        try:
            found: Answer = future.result(timeout=LOOK_S)
            return found
        except TimeoutError:
            return None
        except KilledWorker as error:
            raise WorkerDied from error
        except GONE as error:
            raise _Lost(LOSES) from error

    def close(self) -> None:
        """Nothing that was sent is wanted any more."""
        with contextlib.suppress(*GONE):
            self._client.close(timeout=CONNECT_S)


@contextlib.contextmanager
def _told(how: str) -> Iterator[None]:
    try:
        yield
    except GONE as error:
        raise _Lost(how) from error


# What follows is in a worker.


def dask_setup(worker: object) -> None:
    """What Dask calls in each process of a cluster of this machine: Ctrl-C in a terminal reaches
    it too, and is not for it, as who started it ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


Answer: TypeAlias = Piece | Exception


@dataclass(frozen=True, slots=True)
class _Parcel:
    """What every worker gets once in a run. None of it is shown: Dask logs what it is given."""

    run: str
    task: Task = field(repr=False)
    versions: Mapping[str, str]


_own = threading.local()  # a Worker is for one thread; the last one of each is kept


def _answer(parcel: _Parcel, block: Block) -> Answer:
    """The piece of a block. What goes wrong is handed back: if it were raised, Dask would log it
    and try it elsewhere, where it goes wrong again."""
    try:
        if getattr(_own, "run", None) != parcel.run:
            alike.refuse_other(parcel.versions, alike.own_versions(), "un proceso que puntúa")
            _own.worker, _own.run = Worker(parcel.task), parcel.run
        worker: Worker = _own.worker
        return worker.piece(block)
    except Exception as error:
        return error
