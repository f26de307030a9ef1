"""Shared by the flows: places with an admitted model, and servers that several tests ask.

A server is shared only by tests that leave it as they found it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

# The helpers of these tests are modules of ``tests`` and ``tests/flows``, not packages.
for folder in (Path(__file__).parent, Path(__file__).parents[1]):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from browsing import started  # noqa: E402 - the path above comes first
from models_for_tests import dumped, logistic  # noqa: E402
from server import Place, Server, running  # noqa: E402


@pytest.fixture(scope="session")
def admitted(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """An installation with one admitted model, ``base``; its state may be shared by servers that
    run one after the other."""
    place = Place(tmp_path_factory.mktemp("base"))
    path = place.base / "base.pkl"
    path.write_bytes(dumped(logistic()))
    done = place.run("admit", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    return place


@pytest.fixture(scope="session")
def caller_server(admitted: Place) -> Iterator[Server]:
    """The default server with that model; only asked, never changed."""
    with running(admitted) as server:
        yield server


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser; for one module only, because nothing else in this process can use asyncio while
    it runs."""
    with started() as browser:
        yield browser
