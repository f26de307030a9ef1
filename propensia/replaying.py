"""A stored answer scored again: the same texts, by the model and the rules of its time.

It changes nothing, and calls an answer equal only if nothing of it differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from propensia.contract import Contract
from propensia.faults import BadRow, Note, note_shape
from propensia.registry import Release
from propensia.rules import Rules
from propensia.scorer import ScorerError, Unreliable
from propensia.serving import (
    CANNOT_LOAD,
    GOLDEN_TOLERANCE,
    GOLDEN_TOLERANCE_OTHERS,
    Answer,
    Serving,
)

if TYPE_CHECKING:  # a web process has no database, unless somebody asks for a stored answer
    from propensia.store.answers import Stored

# code -> Spanish, English: why an answer cannot be scored again.
TEXTS = {
    "valores_borrados": (
        "Los valores que se recibieron ya no se guardan (ajuste keep_inputs_days); queda la "
        "respuesta, pero no se puede repetir.",
        "The values that were received are not kept any more (setting keep_inputs_days); the "
        "answer is still there, but cannot be repeated.",
    ),
    "peticion_rechazada": (
        "Esa petición se rechazó: no hubo respuesta que repetir.",
        "That request was refused: there was no answer to repeat.",
    ),
    "contrato_perdido": (
        "Falta el contrato con el que se respondió; recupere de una copia el fichero de la "
        "carpeta rules que lleva su huella.",
        "The contract of that answer is missing; take the file that has its fingerprint, in the "
        "folder rules, from a backup.",
    ),
    "version_perdida": (
        "La versión que respondió ya no está o no se puede usar; deje otra vez el mismo fichero "
        "y repita.",
        "The version that answered is gone or cannot be used; hand the same file in again and "
        "repeat.",
    ),
    "valores_ilegibles": (
        "Este programa ya no lee aquellos valores como entonces: con el mismo contrato los "
        "rechaza.",
        "This program no longer reads those values as it did: it refuses them by the same "
        "contract.",
    ),
    "modelo_sin_numero": (
        "El modelo, que entonces respondió, ahora no da una probabilidad con esos valores.",
        "The model, which answered then, gives no probability for those values now.",
    ),
}

# code -> Spanish, English: what differs.
DIFFERENCES = {
    "probabilidad": ("la probabilidad es otra", "the probability is another"),
    "clasificacion": ("la clasificación es otra", "the class is another"),
    "avisos": ("los avisos son otros", "the notices are others"),
}
WHY_READMITTED = (
    "la versión se comprobó otra vez después de aquella respuesta",
    "the version was checked again after that answer",
)
WHY_ELSEWHERE = (
    "los ficheros de la versión son los de entonces: calculó otra máquina u otro programa",
    "the files of the version are those of then: another machine or program computed",
)

# Notices about the request and not about its values: they cannot come again.
_OF_THE_REQUEST = frozenset({"parametro_desconocido", "motivos_no_disponibles"})


class ReplayError(Exception):
    """An answer cannot be scored again; ``code`` is one of ``TEXTS``."""

    def __init__(self, code: str) -> None:
        super().__init__(TEXTS[code][0])
        self.code = code


@dataclass(frozen=True, slots=True)
class Replay:
    """An answer and the same one given now. ``exact``: the probability is the same bit for bit;
    ``differences``: codes of ``DIFFERENCES``, empty where it is the same; ``why``: Spanish and
    English, of a difference."""

    stored: Stored
    contract: Contract
    answer: Answer
    exact: bool
    differences: tuple[str, ...]
    why: tuple[str, str] | None


def replay(stored: Stored, rules: Rules, serving: Serving) -> Replay:
    """Score an answer again, with the effects of all parameters. Raises ``ReplayError``.

    ``serving`` is that of this process; what it answers with is not changed.
    """
    if stored.texts is None:
        raise ReplayError("valores_borrados")
    contract = rules.of(stored.rules)
    if contract is None:
        raise ReplayError("contrato_perdido")
    if contract.fingerprint != serving.contract.fingerprint:
        serving = Serving(contract, serving.registry)
    names = [parameter.name for parameter in contract.parameters]
    pairs = zip(names, stored.texts, strict=True)
    texts = {name: text for name, text in pairs if text is not None}
    try:
        bundle = serving.load(_release(stored))
    except CANNOT_LOAD as error:
        raise ReplayError("version_perdida") from error
    try:
        answer = serving.answer(texts, len(names), bundle)
    except BadRow as error:
        raise ReplayError("valores_ilegibles") from error
    except (Unreliable, ScorerError) as error:
        raise ReplayError("modelo_sin_numero") from error
    differences = _differences(stored, answer)
    why = _why(stored, serving) if differences else None
    exact = answer.probability == stored.probability
    return Replay(stored, contract, answer, exact, differences, why)


def _release(stored: Stored) -> Release:
    """The release that answered, as far as it matters. The file of its number is not asked: after
    a restore, that may be of another version."""
    return Release(
        number=stored.publication,
        version=stored.version,
        sha256="",
        model=stored.model,
        threshold=stored.threshold,
        pinned=False,
        cause="",
        why="",
        who="",
        at="",
    )


def _differences(stored: Stored, answer: Answer) -> tuple[str, ...]:
    tolerance = GOLDEN_TOLERANCE.get(answer.bundle.kind, GOLDEN_TOLERANCE_OTHERS)
    differs = {
        "probabilidad": abs(answer.probability - stored.probability) > tolerance,
        "clasificacion": answer.positive is not stored.positive,
        "avisos": notes_of(stored) != notes_of(answer),
    }
    return tuple(code for code, is_so in differs.items() if is_so)


def notes_of(given: Stored | Answer) -> list[Note]:
    """The notices about its values, the ones that must come again."""
    return [note for note in given.notes if note.code not in _OF_THE_REQUEST]


def _why(stored: Stored, serving: Serving) -> tuple[str, str]:
    admitted = str(serving.registry.manifest(stored.version).get("admitted", ""))
    answered = datetime.fromtimestamp(stored.milliseconds / 1000, UTC)
    # Both in UTC and ISO 8601, whose texts are in the order of time.
    later = admitted > answered.isoformat(timespec="seconds")
    return WHY_READMITTED if later else WHY_ELSEWHERE


def shape(replay: Replay, then: dict[str, Any], language: str) -> dict[str, Any]:
    """A replay as a dictionary for JSON; ``then``: the stored answer, as ``telling`` shapes it."""
    place = 0 if language == "es" else 1
    answer, contract = replay.answer, replay.contract
    names = contract.positive_name if answer.positive else contract.negative_name
    return {
        "respuesta": then,
        "ahora": {
            "probabilidad": answer.probability,
            "clasificacion": names["es"],
            "avisos": [note_shape(note, language) for note in notes_of(answer)],
        },
        "igual": not replay.differences,
        "exacta": replay.exact,
        "diferencias": [
            {"codigo": code, "mensaje": DIFFERENCES[code][place]} for code in replay.differences
        ],
        "causa": replay.why[place] if replay.why else None,
        "motivos": [
            {"parametro": name, "efecto": effect} for name, effect in answer.effects or ()
        ],
    }
