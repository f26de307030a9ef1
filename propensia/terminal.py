"""What the commands share: what each starts from, how it ends, and how it prints a table.

It composes and prints; it decides nothing about a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from propensia import contract as contracts
from propensia import settings
from propensia.contract import Contract
from propensia.registry import Registry
from propensia.settings import Settings


class Exit(IntEnum):
    """How a command ends, as scripts see it; ``WRONG_USE`` is what click itself ends with."""

    DONE = 0
    REFUSED = 1
    WRONG_USE = 2
    ENVIRONMENT = 3


@dataclass(frozen=True, slots=True)
class Parts:
    """What a command works with; made by ``compose``."""

    settings: Settings
    contract: Contract
    registry: Registry


def compose() -> Parts:
    """The parts of this machine, with the folders of the state made where they are missing.

    Raises ``SettingsError``, ``ContractError`` or ``OSError``.
    """
    chosen = settings.load()
    parts = Parts(chosen, contracts.load(chosen.contract), Registry(chosen.state))
    parts.registry.prepare()
    return parts


def table(rows: list[tuple[str, ...]]) -> str:
    """Rows of text as columns of equal width, the first row being the heading."""
    widths = [max(len(text) for text in column) for column in zip(*rows, strict=True)]
    lines = ["  ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)
