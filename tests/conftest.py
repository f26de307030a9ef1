"""What nearly every test needs: the shipped contract, and a registry in a folder of its own."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from hypothesis.internal.conjecture import providers

# Fixtures of any test that needs a database.
from stores import (  # noqa: F401
    engine,
    own_postgresql,
    postgresql_server,
    postgresql_url,
    store_settings,
)

from propensia import contract as contracts
from propensia.contract import Contract
from propensia.registry import Registry

# What a shell starts in the background passes over Ctrl-C, and so does all that the tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run and no time limit: a slow machine must not fail a test. Hypothesis
# also tries constants of the modules imported by then, and these hang on which tests ran before.
assert callable(providers._get_local_constants)
providers._get_local_constants = lambda: providers._local_constants
hypothesis.settings.register_profile(
    "propensia", deadline=None, derandomize=True, database=None, print_blob=True
)
hypothesis.settings.load_profile("propensia")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(ids: list[str]) -> None:
    """End where two tests have one id: of those xdist runs one, and says nothing."""
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        pytest.exit(f"more than one test is called {', '.join(twice)}", returncode=4)


@pytest.fixture(scope="session")
def contract() -> Contract:
    """The collection service's contract (immutable)."""
    return contracts.load("cobranza")


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., Contract]:
    """Another contract: the file of one with some texts replaced."""

    def make(contract: Contract, *pairs: tuple[str, str]) -> Contract:
        source = contract.source.decode("utf-8")
        for old, new in pairs:
            assert old in source
            source = source.replace(old, new)
        path = tmp_path / "otro.toml"
        path.write_text(source, encoding="utf-8")
        made = contracts.load(str(path))
        assert made.fingerprint != contract.fingerprint
        return made

    return make


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """An empty registry in a state folder of this test."""
    made = Registry(tmp_path / "state")
    made.prepare()
    return made
