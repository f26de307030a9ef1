"""Shared by the crash tests: two admitted models whose scores always differ.

Every test works on a copy; nothing here is changed after it is made.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
# The helpers of these tests are modules of ``tests`` and ``tests/flows``, not packages.
for folder in (TESTS / "flows", TESTS):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from clients import SHIFTS, Pair  # noqa: E402 - the path above comes first
from models_for_tests import dumped, logistic  # noqa: E402
from server import Place  # noqa: E402

from propensia import admission  # noqa: E402
from propensia import contract as contracts  # noqa: E402
from propensia.settings import Settings  # noqa: E402


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The pair that the tests copy."""
    place = Place(tmp_path_factory.mktemp("pareja"))
    chosen = Settings(models=place.models, state=place.state)
    versions = []
    for name, shift in SHIFTS.items():
        dropped = admission.Dropped(name, dumped(logistic(shift)))
        verdict, _ = admission.admit(dropped, chosen, contracts.load("cobranza"), place.registry)
        assert verdict["accepted"], verdict
        versions.append(dropped.version)
    place.registry.publish(versions[0], cause="prueba", who="prueba")
    return Pair(place, *versions)


@pytest.fixture
def pair(original: Pair, tmp_path: Path) -> Pair:
    """A copy of the installation for one test."""
    place = Place(tmp_path)
    shutil.copytree(original.place.state, place.state, dirs_exist_ok=True)
    return Pair(place, original.low, original.high)
