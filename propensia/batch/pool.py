"""Workers on this machine: blocks in, pieces out in the same order, and never many at a time.

It starts processes anew and never forks, so that it is the same on every system.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice

from propensia.batch.blocks import Block, Piece
from propensia.batch.scoring import Task, Worker

AHEAD = 2
"""Blocks per worker that are read ahead, so that none of them waits."""
MOST_WORKERS = 61
"""What Windows lets one process wait for."""


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
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(task,))
    waiting: deque[tuple[Block, Future[Piece]]] = deque()
    try:
        for block in blocks:
            with _interruptions_later():
                waiting.append((block, pool.submit(_piece, block)))
            if len(waiting) >= AHEAD * workers:
                first, piece = waiting.popleft()
                yield first, piece.result()
        for first, piece in waiting:
            yield first, piece.result()
    except BrokenProcessPool as error:
        raise WorkerDied from error
    except BaseException:
        # Nobody wants what they are at: a block with reasons may take a minute.
        for worker in set(multiprocessing.active_children()) - others:
            worker.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _interruptions_later() -> Iterator[None]:
    """Ctrl-C reaches every process of a terminal, and one that is just beginning would die of it
    with a long text: a process that is started here hears none, and this one hears it after."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows: there ``_begin`` has to do
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# What follows is in a worker, of which each is one process.
_worker: Worker | Exception


def _begin(task: Task) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started it is told, and ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _worker = Worker(task)
    except Exception as error:  # else nobody is told but the standard error, at length
        _worker = error


def _end_with_parent() -> None:
    """However that ends: a worker of a pool would wait for it for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _piece(block: Block) -> Piece:
    if isinstance(_worker, Exception):
        raise _worker
    return _worker.piece(block)
