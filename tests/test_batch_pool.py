"""Workers of this machine: pieces in order, and an end of the run however one of them ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tiny_models

from propensia.batch.blocks import Block, Results, Rows
from propensia.batch.engines import pool
from propensia.batch.worker import model
from propensia.batch.worker.scoring import Task, Wanted
from propensia.contract import Contract
from propensia.delimited import TableError
from propensia.registry import Registry

BLOCKS = 9
LARGE = 8 << 20
POSIX = os.name == "posix"


@dataclass(frozen=True)
class NoRows:
    """A reader of blocks in which there is nothing."""

    columns: dict[str, int]

    def read(self, block: Block) -> Rows:
        if block.content == b"bad":
            raise TableError(f"block {block.number}")
        texts = {name: pa.array([], pa.string()) for name in self.columns}
        return Rows(texts, {}, np.arange(0), pa.record_batch({}))


@dataclass(frozen=True)
class Large:
    """A writer of pieces that no pipe holds as a whole. ``dies``: the worker that has made one is
    killed in the middle of sending it."""

    dies: bool = False

    def render(self, rows: Rows, results: Results) -> bytes:
        if self.dies:
            send = Connection._send  # type: ignore[attr-defined]

            def half(self: Connection, content: Any, *more: Any) -> None:
                send(self, content[: len(content) // 2], *more)
                os.kill(os.getpid(), signal.SIGKILL)

            Connection._send = half  # type: ignore[attr-defined]
        return bytes(LARGE)


@pytest.fixture
def task(registry: Registry, contract: Contract) -> Callable[[Large], Task]:
    version = tiny_models.add(registry, contract, tiny_models.constant(0.5), [0.5])
    registry.publish(version, cause="prueba", who="yo")
    taken = model.take(registry, contract)
    reader = NoRows({p.name: at for at, p in enumerate(contract.parameters)})
    return lambda writer: Task(taken, reader, writer, Wanted((0.5,)))


def blocks(bad: int | None = None) -> Iterator[Block]:
    for number in range(BLOCKS):
        yield Block(number, 1, b"bad" if number == bad else b"", {}, 0.0)


def ended(work: Callable[[], object], seconds: float = 60) -> BaseException | None:
    """What a piece of work raised; it fails if that takes for ever."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it hangs"
    assert multiprocessing.active_children() == []
    return raised[0] if raised else None


def test_pieces_come_in_the_order_of_their_blocks(task: Callable[[Large], Task]) -> None:
    made = list(pool.pieces(task(Large()), blocks(), 2))
    assert [(block.number, piece.number) for block, piece in made] == [
        (number, number) for number in range(BLOCKS)
    ]
    assert {len(piece.content) for _, piece in made} == {LARGE}
    assert multiprocessing.active_children() == []


def test_what_a_worker_raises_is_raised_in_its_turn(task: Callable[[Large], Task]) -> None:
    seen: list[int] = []

    def work() -> None:
        for block, _ in pool.pieces(task(Large()), blocks(bad=5), 2):
            seen.append(block.number)

    error = ended(work)
    assert isinstance(error, TableError) and str(error) == "block 5"
    assert seen == [0, 1, 2, 3, 4]


@pytest.mark.skipif(not POSIX, reason="there is no kill -9")
def test_a_worker_that_is_killed_in_the_middle_of_a_piece_ends_the_run(
    task: Callable[[Large], Task],
) -> None:
    error = ended(lambda: list(pool.pieces(task(Large(dies=True)), blocks(), 2)))
    assert isinstance(error, pool.WorkerDied)


def test_a_run_that_is_stopped_leaves_no_worker(task: Callable[[Large], Task]) -> None:
    def work() -> None:
        made = pool.pieces(task(Large()), blocks(), 2)
        next(made)
        made.close()

    assert ended(work) is None


@pytest.mark.slow
def test_a_worker_may_be_killed_at_any_moment(task: Callable[[Large], Task]) -> None:
    """As it begins, as it takes a block and, most of the time here, as it sends a piece."""
    given = task(Large())
    for turn in range(12):

        def killed(delay: float = turn % 6 * 0.01, early: bool = turn < 3) -> None:
            made = pool.pieces(given, (b for _ in range(99) for b in blocks()), 2)

            def kill() -> None:
                while not (there := multiprocessing.active_children()):
                    time.sleep(0.01)
                time.sleep(0.1 if early else delay)
                there[0].kill()

            if not early:
                next(made)
            threading.Thread(target=kill, daemon=True).start()
            list(made)

        assert isinstance(ended(killed), pool.WorkerDied), turn
