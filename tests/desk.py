"""A person at the command line, in a folder of their own: what the tests of commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from propensia.__main__ import cli
from propensia.contract import Contract
from propensia.registry import Registry
from tests import tiny_models


@dataclass(frozen=True)
class Desk:
    """One installation, and the words that are typed there."""

    folder: Path
    contract: Contract

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def state(self) -> Path:
        return self.folder / "var"

    @property
    def registry(self) -> Registry:
        return Registry(self.state)

    def run(self, *arguments: object, code: int = 0, typed: str = "") -> str:
        """What a command prints; it must end with ``code``. ``typed`` answers what it asks."""
        result: Result = CliRunner().invoke(cli, [str(a) for a in arguments], input=typed)
        assert result.exit_code == code, (result.output, result.exception)
        return result.output

    def add(self, onnx: bytes, **changes: Any) -> str:
        """A version that holds ``onnx``, not published."""
        self.registry.prepare()
        return tiny_models.add(
            self.registry, self.contract, onnx, **{"family": "de prueba"} | changes
        )

    def publish(self, probability: float, model: str = "modelo", **release: Any) -> str:
        """A published version that says ``probability`` of everybody."""
        version = self.add(tiny_models.constant(probability), model=model)
        self.registry.publish(version, **{"cause": "prueba", "who": "prueba"} | release)
        return version


@pytest.fixture
def desk(tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A working folder with nothing in it but an empty models folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("MODELS", "STATE", "CONTRACT"):
        monkeypatch.delenv(f"PROPENSIA_{name}", raising=False)
    (tmp_path / "models").mkdir()
    return Desk(tmp_path, contract)
