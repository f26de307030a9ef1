"""Ports for servers that a test starts."""

from __future__ import annotations

import itertools
import os
import socket

_FIRST, _EACH = 20_000, 1_000
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 12
# Two runs at once on one machine begin at different places.
_places = itertools.count(os.getpid() * 37)


def free_port() -> int:
    """A port that is free, and that nobody takes before the server of the test does.

    It lies below those that systems give to whoever asks for any (from 32768 on), and in a range
    of this process of the tests.
    """
    for place in itertools.islice(_places, _EACH):
        port = _FIRST + _worker * _EACH + place % _EACH
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("every port is taken")
