"""Answers that were really given: scored, written into a journal and shipped, in this process.

Only HTTP and the keeper are left out.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import tiny_models
from sqlalchemy import Engine

from propensia.contract import Contract
from propensia.faults import Note
from propensia.journal.writer import FOLDER
from propensia.recording import Answered, Recorder
from propensia.registry import Registry
from propensia.rules import Rules
from propensia.serving import Answer, Serving
from propensia.settings import Settings
from propensia.store import answers
from propensia.store.answers import Stored
from propensia.store.shipping import Shipper

WEIGHTS = [0.11 * (-1) ** place * (place + 1) / 4 for place in range(tiny_models.WIDTH)]
"""Of a model in which every column counts."""


@dataclass
class Desk:
    """An installation that answers."""

    settings: Settings
    contract: Contract
    engine: Engine
    given: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.registry = Registry(self.settings.state)
        self.registry.prepare()
        self.begin(self.contract)

    def begin(self, contract: Contract) -> None:
        """Go on as another process does, under that contract."""
        self.contract = contract
        self.serving = Serving(contract, self.registry)
        self.recorder = Recorder(self.settings, contract)
        self.recorder.open()

    def publish(
        self, bias: float = 0.0, threshold: float | None = None, **manifest: object
    ) -> str:
        """Publish a model; its version."""
        onnx = tiny_models.logistic(WEIGHTS, bias)
        zeros = 1 / (1 + 2.718281828459045**-bias)
        version = tiny_models.add(self.registry, self.contract, onnx, [zeros], **manifest)
        self.registry.publish(version, cause="prueba", who="prueba", threshold=threshold)
        self.serving.tick()
        assert self.serving.problem is None, self.serving.problem
        return version

    def answer(
        self, changes: Mapping[str, str | None] | None = None, reference: str | None = None
    ) -> Answer:
        """One answer to the documented example, with some texts changed or left out, in the
        journal."""
        texts = {**self.contract.example(), **(changes or {})}
        sent = {name: text for name, text in texts.items() if text is not None}
        given = self.serving.answer(sent)
        given.notes.append(Note("otro", "parametro_desconocido", None))
        self.recorder.answered([Answered(given, sent, reference)], "marcador")
        self.given.append(given)
        return given

    def ship(self) -> None:
        """What the keeper does every second."""
        Shipper(self.engine, self.settings.state / FOLDER, 90).turn()

    def stored(self, id: str) -> Stored:
        """A stored answer that has to be there."""
        with self.engine.connect() as connection:
            found = answers.find(connection, id)
        assert found is not None
        return found

    def rules(self) -> Rules:
        """The contracts as a new process finds them."""
        return Rules(self.settings.state, self.contract)


def apart() -> None:
    """Let the clock go on, so that what comes now is not of the same millisecond."""
    time.sleep(0.002)
