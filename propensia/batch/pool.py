"""Workers on this machine: blocks in, pieces out in the same order, and never many at a time.

It starts processes anew and never forks, so that it is the same on every system.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor

from propensia.batch.blocks import Block, Piece
from propensia.batch.scoring import Task, Worker

AHEAD = 2
"""Blocks per worker that are read ahead, so that none of them waits."""


def pieces(task: Task, blocks: Iterable[Block], workers: int) -> Iterator[tuple[Block, Piece]]:
    """Each block with its piece, in order. One worker works in this very process."""
    if workers == 1:
        worker = Worker(task)
        yield from ((block, worker.piece(block)) for block in blocks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(task,)) as pool:
        waiting: deque[tuple[Block, Future[Piece]]] = deque()
        for block in blocks:
            waiting.append((block, pool.submit(_piece, block)))
            if len(waiting) >= AHEAD * workers:
                first, piece = waiting.popleft()
                yield first, piece.result()
        for first, piece in waiting:
            yield first, piece.result()


_worker: Worker


def _begin(task: Task) -> None:
    global _worker
    _worker = Worker(task)


def _piece(block: Block) -> Piece:
    return _worker.piece(block)
