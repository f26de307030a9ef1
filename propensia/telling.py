"""A stored answer as people and programs read it: when it was given, in which words, with what.

It never tells a value under a name that it did not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from propensia.contract import Contract
from propensia.faults import note_shape
from propensia.journal import records
from propensia.rules import Rules

if TYPE_CHECKING:  # a web process has no database, unless somebody asks for a stored answer
    from propensia.store.answers import Refusal, Stored


OUTCOME_STATES = {
    "matched": "unido",
    "repeated": "coincidente",
    "superseded": "superado",
    "contradictory": "contradictorio",
    "unknown": "pendiente",
    "before": "previo",
    "late": "tarde",
    "mismatched": "cruzado",
    "excess": "sobrante",
}
"""The states of ``store.outcomes`` in the words of people."""


def moment(milliseconds: int) -> str:
    """A time as ISO 8601, by the clock of this machine, with its distance from UTC."""
    at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return at.astimezone().isoformat(timespec="milliseconds")


def answered(stored: Stored, rules: Rules) -> str:
    """The class in the words of its contract; where that is gone, in those of the one of now."""
    contract = rules.of(stored.rules) or rules.current
    return (contract.positive_name if stored.positive else contract.negative_name)["es"]


def values(stored: Stored, contract: Contract | None) -> dict[str, str | None] | None:
    """The texts that were received, by parameter; by their place, from 1 on, where the contract
    is gone; ``None`` where they are."""
    if stored.texts is None:
        return None
    if contract is None:
        return {str(place): text for place, text in enumerate(stored.texts, 1)}
    names = [parameter.name for parameter in contract.parameters]
    return dict(zip(names, stored.texts, strict=True))


def shape(stored: Stored, rules: Rules, language: str = "es") -> dict[str, Any]:
    """An answer as a dictionary for JSON: what the caller got, and what it was given to."""
    contract = rules.of(stored.rules)
    return {
        "id": stored.id,
        "momento": moment(stored.milliseconds),
        "version": stored.version,
        "publicacion": stored.publication,
        "modelo": stored.model,
        "contrato": stored.rules,
        "quien": stored.caller,
        "probabilidad": stored.probability,
        "umbral": stored.threshold,
        "clasificacion": answered(stored, rules),
        (contract or rules.current).flag: stored.positive,
        "avisos": [note_shape(note, language) for note in stored.notes],
        "valores": values(stored, contract),
    }


def refusal(refused: Refusal) -> dict[str, Any]:
    """A request that could not be scored, as a dictionary for JSON."""
    return {
        "id": refused.id,
        "momento": moment(records.milliseconds(refused.id)),
        "quien": refused.caller,
        "errores": [{"parametro": name, "codigo": code} for name, code in refused.faults],
    }


def outcome(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a debtor did after a score, as a dictionary for JSON; euros."""
    cents = row["cents"]
    return {
        "pagado": row["paid"],
        "importe": None if cents is None else cents / 100,
        "fecha": row["date"],
        "quien": row["source"],
    }
