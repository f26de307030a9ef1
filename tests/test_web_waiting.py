"""The bounded queue: who finds a place, who waits, and who is told to come back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from propensia.web import routes
from propensia.web.door import REFUSAL, ROUTE
from propensia.web.listen import THREADS
from propensia.web.waiting import HEAVY, HEAVY_WAITING, RUNNING, Gate, Waiting
from propensia.web.whole_requests import BODIES, STRANGERS

LONG_S = 30.0
"""Longer than any test: who waits so long was forgotten."""


def eventually(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG_S / 2
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Queue:
    """Threads that go through a gate one after the other, in a known order."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.inside: list[str] = []
        self.refused: list[str] = []
        self.threads: list[threading.Thread] = []

    def send(self, name: str, kind: str = "", most: int = 99, may_wait: int = 99) -> None:
        """Start a thread that enters; return once it is inside, waits, or was refused."""

        def enter() -> None:
            entered = self.gate.enter(kind, most, may_wait)
            (self.inside if entered else self.refused).append(name)

        known = len(self.gate._waiting)
        thread = threading.Thread(target=enter)
        self.threads.append(thread)
        thread.start()
        eventually(lambda: not thread.is_alive() or len(self.gate._waiting) > known)

    def leave(self, kind: str = "") -> None:
        """Give a place back, and wait until whoever gets it has noticed."""
        settled = len(self.inside) + bool(self.gate._waiting)
        self.gate.leave(kind)
        eventually(lambda: len(self.inside) == settled)

    def join(self) -> None:
        for thread in self.threads:
            thread.join(LONG_S)
            assert not thread.is_alive()


def test_who_waits_gets_a_place_in_the_order_of_arrival() -> None:
    queue = Queue(Gate(1, LONG_S))
    for name in "abcd":
        queue.send(name)
    assert queue.inside == ["a"]
    for _ in range(3):
        queue.leave()
    queue.join()
    assert (queue.inside, queue.refused) == (["a", "b", "c", "d"], [])


def test_a_kind_has_no_more_places_than_its_own_and_holds_up_no_other() -> None:
    queue = Queue(Gate(3, LONG_S))
    for name in "ab":
        queue.send(name, "heavy", most=1)
    queue.send("c")
    assert queue.inside == ["a", "c"], "the second heavy one waits, the light one does not"
    queue.leave("heavy")
    queue.join()
    assert queue.inside == ["a", "c", "b"]


def test_only_so_many_of_a_kind_wait() -> None:
    queue = Queue(Gate(9, LONG_S))
    for name in "abcd":
        queue.send(name, "heavy", most=1, may_wait=2)
    assert (queue.inside, queue.refused) == (["a"], ["d"])
    queue.leave("heavy")
    queue.leave("heavy")
    queue.join()


def test_nobody_waits_longer_than_the_patience() -> None:
    gate = Gate(1, 0.05)
    assert gate.enter("", 9, 9)
    assert not gate.enter("", 9, 9)
    gate.leave("")
    assert gate.enter("", 9, 9), "who gave up left nothing behind"


def test_nobody_waits_where_nothing_has_moved_for_as_long_as_the_patience() -> None:
    """Waiting for what is stuck would only hold one thread more."""
    now = [100.0]
    gate = Gate(2, LONG_S, lambda: now[0])
    assert gate.enter("a", 1, 9) and gate.enter("b", 1, 9)
    now[0] += LONG_S + 1
    began = time.monotonic()
    assert not gate.enter("c", 1, 9)
    gate.leave("b")
    assert not gate.enter("a", 1, 9), "others move, its own kind does not"
    assert gate.enter("c", 1, 9)
    assert time.monotonic() - began < LONG_S / 2


def test_a_place_that_was_given_at_the_last_moment_is_not_lost() -> None:
    """Given and given up at the same time, over and over: the places must add up in the end."""
    gate = Gate(1, 0.0005)
    entered = [0]

    def come_and_go() -> None:
        for _ in range(300):
            if gate.enter("", 9, 9):
                entered[0] += 1
                time.sleep(0.0005)
                gate.leave("")

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
    assert entered[0] > 0
    assert (gate._total, gate._inside, len(gate._waiting)) == (0, {}, 0)
    assert gate.enter("", 9, 9)


def test_some_threads_are_always_left_for_requests_without_a_body() -> None:
    """What is slow may hold no more than this, in the worst case."""
    assert THREADS - BODIES - STRANGERS - HEAVY - HEAVY_WAITING >= RUNNING - HEAVY
    assert HEAVY <= RUNNING // 2


@pytest.mark.parametrize("path", ["/predict/batch", "/prediccion"])
def test_a_request_that_finds_no_place_is_told_so_and_gives_nothing_back(path: str) -> None:
    go_on, running = threading.Event(), threading.Semaphore(0)

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        running.release()
        assert go_on.wait(LONG_S)
        return [b"done"]

    def refusing(environ: dict[str, Any], start: Any) -> list[bytes]:
        return [environ[REFUSAL].encode()]

    waiting = Waiting(app, refusing, 0.05)
    batch = {ROUTE: routes.find("POST", "/predict/batch")}
    plain = {ROUTE: routes.find("GET", "/prediccion")}
    heavy = path == "/predict/batch"
    count = HEAVY if heavy else RUNNING
    threads = [
        threading.Thread(target=lambda: waiting(dict(batch if heavy else plain), None))
        for _ in range(count)
    ]
    for thread in threads:
        thread.start()
        assert running.acquire(timeout=LONG_S)
    assert waiting(dict(batch), None) == [b"ocupado"]
    if not heavy:
        assert waiting(dict(plain), None) == [b"ocupado"]
    go_on.set()
    for thread in threads:
        thread.join(LONG_S)
    assert waiting(dict(batch), None) == waiting(dict(plain), None) == [b"done"]


def test_a_place_is_given_back_when_the_application_fails() -> None:
    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        raise RuntimeError("ours")

    waiting = Waiting(app, app, 0.01)
    for _ in range(RUNNING + 1):
        with pytest.raises(RuntimeError):
            waiting({ROUTE: None}, None)
    assert waiting._gate._total == 0
