"""Workers on this machine: blocks in, pieces out in the same order, and never many at a time.

It starts processes anew and never forks, so that it is the same on every system.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue

from propensia.batch.blocks import Block, Piece
from propensia.batch.worker.scoring import Task, Worker

AHEAD = 2
"""Blocks per worker that are read ahead, so that none of them waits."""
MOST_WORKERS = 61
"""However many cores there are: one process reads and writes for all of them."""


class WorkerDied(Exception):
    """A worker ended before its time: somebody killed it, or the system for want of memory."""


def cores() -> int:
    """How many workers this process may keep busy, from 1 to ``MOST_WORKERS``."""
    if hasattr(os, "sched_getaffinity"):  # fewer than the machine has, in a container
        return min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    return min(os.cpu_count() or 1, MOST_WORKERS)


def pieces(
    task: Task, blocks: Iterable[Block], workers: int
) -> Generator[tuple[Block, Piece], None, None]:
    """Each block with its piece, in order. One worker, or the only block, works in this very
    process: others take a second to begin.

    To be closed: then the workers end at once. Raises ``WorkerDied``, and what a ``Worker`` does.
    """
    waiting = iter(blocks)
    first = list(islice(waiting, 2))
    if workers > 1 and len(first) > 1:
        yield from _in_processes(task, chain(first, waiting), workers)
        return
    worker = Worker(task)
    yield from ((block, worker.piece(block)) for block in chain(first, waiting))


def _in_processes(
    task: Task, blocks: Iterable[Block], workers: int
) -> Generator[tuple[Block, Piece], None, None]:
    hands: list[_Hand] = []
    idle: SimpleQueue[_Hand] = SimpleQueue()

    def piece(block: Block) -> Piece:
        hand = idle.get()
        try:
            return hand.piece(block)
        finally:
            idle.put(hand)

    threads = ThreadPoolExecutor(workers)
    waiting: deque[tuple[Block, Future[Piece]]] = deque()
    try:
        with _interruptions_later():
            for _ in range(workers):
                hands.append(_Hand(task))
                idle.put(hands[-1])
        for block in blocks:
            waiting.append((block, threads.submit(piece, block)))
            if len(waiting) >= AHEAD * workers:
                first, made = waiting.popleft()
                yield first, made.result()
        for first, made in waiting:
            yield first, made.result()
    finally:
        # Nobody wants what they are at: a block with reasons may take a minute.
        for hand in hands:
            hand.kill()
        threads.shutdown(cancel_futures=True)
        for hand in hands:
            hand.close()


class _Hand:
    """A worker, as the process that started it has it: for one thread at a time.

    Each has a pipe of its own, of which nobody else holds the far end: however it ends, even in
    the middle of a piece, the pipe does too. (Who waits on a queue that several write to waits
    for ever then: ``ProcessPoolExecutor`` does.)
    """

    def __init__(self, task: Task) -> None:
        context = multiprocessing.get_context("spawn")
        self._task: Task | None = task
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=_work, args=(far,), daemon=True)
        with far:
            self._process.start()

    def piece(self, block: Block) -> Piece:
        """What the worker makes of a block. Raises ``WorkerDied``, and what it raised."""
        try:
            if self._task is not None:
                self._begin(self._task)
                self._task = None
            self._pipe.send(block)
            found: Piece | Exception = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise WorkerDied from error
        if isinstance(found, Exception):
            raise found
        return found

    def _begin(self, task: Task) -> None:
        """Hand over the task to one that is there: on Windows this process keeps the far end
        until then, and would never hear that it is gone."""
        if self._pipe not in wait([self._pipe, self._process.sentinel]):
            raise EOFError
        self._pipe.recv()
        self._pipe.send(task)

    def kill(self) -> None:
        """End it at once; may be called while another thread waits for a piece."""
        self._process.kill()

    def close(self) -> None:
        """After ``kill``, and when nobody waits for a piece."""
        self._process.join()
        self._process.close()
        self._pipe.close()


@contextlib.contextmanager
def _interruptions_later() -> Iterator[None]:
    """Ctrl-C reaches every process of a terminal, and one that is just beginning would die of it
    with a long text: a process that is started here hears none, and this one hears it after."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows: there ``_work`` has to do
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# What follows is in a worker, of which each is one process.


def _work(pipe: Connection) -> None:
    """Say that it is there, take the task, and answer each block with its piece, or with why
    there is none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started it is told, and ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):  # then nobody is there to be answered
        pipe.send(None)
        worker = _made(pipe.recv())
        while True:
            pipe.send(_answer(worker, pipe.recv()))


def _made(task: Task) -> Worker | Exception:
    try:
        return Worker(task)
    except Exception as error:  # else nobody is told but the standard error, at length
        return error


def _answer(worker: Worker | Exception, block: Block) -> Piece | Exception:
    if isinstance(worker, Exception):
        return worker
    try:
        return worker.piece(block)
    except Exception as error:
        # Where it was raised does not come along by itself.
        error.add_note("".join(traceback.format_tb(error.__traceback__)))
        return error


def _end_with_parent() -> None:
    """However that ends, and whatever this one is at."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
