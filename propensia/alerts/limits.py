"""How long one delivery may take, whatever the other side does.

It must never leave a thread behind that outlives the delivery for long.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

TIMEOUT_S = 10.0
"""For one step: to connect, to send, the next bytes of an answer."""

WHOLE_S = 30.0
"""For all of it: an answer that drips keeps every single step short."""


@contextlib.contextmanager
def bounded(connected: Callable[[], socket.socket | None], whole_s: float) -> Iterator[None]:
    """Cut the connection that ``connected`` gives once ``whole_s`` seconds have passed."""
    done = threading.Event()

    def cut() -> None:
        pause = whole_s
        while not done.wait(pause):
            pause = 1.0  # a handshake may hand over another socket
            found = connected()
            if found is not None:
                with contextlib.suppress(OSError):  # it ended by itself
                    found.shutdown(socket.SHUT_RDWR)

    threading.Thread(target=cut, name="cut", daemon=True).start()
    try:
        yield
    finally:
        done.set()
