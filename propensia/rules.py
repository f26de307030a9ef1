"""The rules of every time: each contract that ever answered, found again by its fingerprint.

It never changes one that is kept, and never gives another than the one that was asked for.
"""

from __future__ import annotations

import re
from pathlib import Path

from propensia import contract as contracts
from propensia import files
from propensia.contract import Contract, ContractError

FOLDER = "rules"

_FINGERPRINT = re.compile(r"[0-9a-f]{16}").fullmatch


def keep(state: Path, contract: Contract) -> None:
    """Keep the file of a contract, unless it is kept already. Raises ``OSError``."""
    path = _path(state, contract.fingerprint)
    if contract.source and not path.exists():  # one that was made of a table has no file
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, contract.source)


def kept(state: Path, fingerprint: str) -> Contract:
    """The contract of that fingerprint. Raises ``ContractError`` where it is gone or damaged."""
    if not _FINGERPRINT(fingerprint):  # it becomes a part of a path
        raise ContractError("no es la huella de un contrato")
    contract = contracts.load(str(_path(state, fingerprint)))
    if contract.fingerprint != fingerprint:
        raise ContractError(f"el contrato {fingerprint} que se guardó está dañado")
    return contract


def _path(state: Path, fingerprint: str) -> Path:
    return state / FOLDER / f"{fingerprint}.toml"


class Rules:
    """The contracts by which stored answers are read: the one of now, and those that are kept."""

    def __init__(self, state: Path, current: Contract) -> None:
        self.current = current
        self._state = state
        self._known: dict[str, Contract | None] = {current.fingerprint: current}

    def of(self, fingerprint: str) -> Contract | None:
        """The contract of that fingerprint; ``None`` where it is gone or damaged."""
        if fingerprint not in self._known:
            try:
                self._known[fingerprint] = kept(self._state, fingerprint)
            except ContractError:
                self._known[fingerprint] = None
        return self._known[fingerprint]
