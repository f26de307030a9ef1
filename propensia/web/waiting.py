"""A bounded queue: so many requests run, the others wait a moment, and then are told to come back.

It must never let what takes long hold every place, and never let anybody wait without an end.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from propensia.web.door import REFUSAL, ROUTE
from propensia.web.listen import THREADS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

RUNNING = THREADS // 2
"""Requests that a process works on at a time."""

HEAVY = RUNNING // 2
"""How many of them may be long ones, so that a place is always found for a short one."""

HEAVY_WAITING = 2
"""Long ones that may wait: each holds a thread, and some must be left for short ones."""


@dataclass(eq=False, slots=True)
class _Turn:
    """Somebody who waits. ``told`` is let go when there is a place, which is then taken."""

    kind: str
    most: int
    told: threading.Lock = field(default_factory=threading.Lock)


class Gate:
    """At most ``places`` are inside, of each kind at most so many; the others wait in turn.

    Nobody waits longer than ``patience_s``, nor at all while nothing has moved for so long: what
    is inside then is stuck, and waiting would only hold one more thread. Safe for threads.
    """

    def __init__(
        self, places: int, patience_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._places = places
        self._patience_s = patience_s
        self._clock = clock
        self._mutex = threading.Lock()
        self._inside: dict[str, int] = {}
        self._moved: dict[str, float] = {}
        self._total = 0
        self._last_moved = 0.0
        self._waiting: deque[_Turn] = deque()

    def enter(self, kind: str, most: int, may_wait: int) -> bool:
        """Whether there is a place now, or soon enough; ``leave`` gives it back.

        ``most`` of this ``kind`` may be inside, and ``may_wait`` of it wait.
        """
        with self._mutex:
            if self._has_room(kind, most):
                self._let_in(kind)
                return True
            full = self._total >= self._places
            moved = self._last_moved if full else self._moved[kind]
            if self._clock() - moved > self._patience_s:
                return False
            if sum(turn.kind == kind for turn in self._waiting) >= may_wait:
                return False
            turn = _Turn(kind, most)
            turn.told.acquire()
            self._waiting.append(turn)
        if turn.told.acquire(timeout=self._patience_s):
            return True
        with self._mutex:
            if turn not in self._waiting:
                return True  # let in at the last moment
            self._waiting.remove(turn)
            return False

    def leave(self, kind: str) -> None:
        """Give a place back, to who waited longest and may have it."""
        with self._mutex:
            self._total -= 1
            left = self._inside[kind] - 1
            if left:
                self._inside[kind] = left
                self._moved[kind] = self._clock()
            else:
                del self._inside[kind], self._moved[kind]
            self._last_moved = self._clock()
            for turn in self._waiting:
                if self._has_room(turn.kind, turn.most):
                    self._waiting.remove(turn)
                    self._let_in(turn.kind)
                    turn.told.release()
                    return

    def _has_room(self, kind: str, most: int) -> bool:
        return self._total < self._places and self._inside.get(kind, 0) < most

    def _let_in(self, kind: str) -> None:
        self._total += 1
        self._inside[kind] = self._inside.get(kind, 0) + 1
        self._last_moved = self._moved[kind] = self._clock()


class Waiting:
    """WSGI in front of the application: its requests have come in whole, and run in turn."""

    def __init__(self, app: WSGIApplication, refusing: WSGIApplication, patience_s: float) -> None:
        """``refusing`` (Flask, which finds ``REFUSAL``) answers who finds no place."""
        self._app = app
        self._refusing = refusing
        self._gate = Gate(RUNNING, patience_s)

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer one request, or 503 (PEP 3333)."""
        route = environ[ROUTE]
        heavy = route is not None and route.heavy
        kind, most, may_wait = ("heavy", HEAVY, HEAVY_WAITING) if heavy else ("", RUNNING, THREADS)
        if not self._gate.enter(kind, most, may_wait):
            return self._refusing(environ | {REFUSAL: "ocupado"}, start)
        try:
            return self._app(environ, start)
        finally:
            self._gate.leave(kind)
