"""The answer as callers read it: its JSON, its dictionary and the bare class.

Every route writes a score with it, so that all of them show the same digits. It never scores.
"""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np

from propensia.contract import Contract
from propensia.faults import ASSUMED, Note, note_shape
from propensia.serving import Answer, Bundle
from propensia.web.query import Query

COMPACT = (",", ":")


class AnswerWriter:
    """Writes the JSON of answers under one contract. Safe for threads."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._tail: tuple[Bundle | None, str, tuple[str, str]] = (None, "", ("", ""))

    def version(self, bundle: Bundle) -> tuple[str, str]:
        """The header that names the version of ``bundle``."""
        return self._of_bundle(bundle)[1]

    def json(self, answer: Answer, query: Query, language: str) -> bytes:
        """The JSON form: what ``answer_shape`` tells, written piece by piece for speed."""
        contract, tail = self._contract, self._of_bundle(answer.bundle)[0]
        names = contract.positive_name if answer.positive else contract.negative_name
        rest = ""
        if "ref" in query.options:
            rest += f',"ref":{json.dumps(query.options["ref"])}'
        if answer.effects is not None:
            rest += f',"motivos":{json.dumps(effects_shape(answer), separators=COMPACT)}'
        notes = ",".join([_note_json(note, language) for note in answer.notes])
        return (
            f'{{"id":"{answer.id}","clasificacion":{_quoted(names["es"])},'
            f'"{contract.flag}":{"true" if answer.positive else "false"},'
            f'"probabilidad":{answer.probability!r}{tail}[{notes}]{rest}}}'
        ).encode()

    def _of_bundle(self, bundle: Bundle) -> tuple[str, tuple[str, str]]:
        """The part of an answer that only changes with the release, made once per release."""
        held, tail, version = self._tail
        if held is not bundle:
            release = bundle.release
            tail = (
                f',"umbral":{bundle.decision.threshold!r},"modelo":{json.dumps(release.model)}'
                f',"version":"{release.version}","publicacion":{release.number},"avisos":'
            )
            version = ("X-Propensia-Version", release.version)
            self._tail = (bundle, tail, version)
        return tail, version


def answer_shape(
    answer: Answer, query: Query, contract: Contract, language: str
) -> dict[str, Any]:
    """The answer as the dictionary that the JSON form writes, for pages."""
    release = answer.bundle.release
    names = contract.positive_name if answer.positive else contract.negative_name
    shape: dict[str, Any] = {
        "id": answer.id,
        "clasificacion": names["es"],
        contract.flag: answer.positive,
        "probabilidad": answer.probability,
        "umbral": answer.bundle.decision.threshold,
        "modelo": release.model,
        "version": release.version,
        "publicacion": release.number,
        "avisos": [note_shape(note, language) for note in answer.notes],
    }
    if "ref" in query.options:
        shape["ref"] = query.options["ref"]
    if answer.effects is not None:
        shape["motivos"] = effects_shape(answer)
    return shape


def effects_shape(answer: Answer) -> list[dict[str, Any]]:
    """``motivos``: parameter and effect in probability (0.1 = ten points up), largest first."""
    return [{"parametro": name, "efecto": effect} for name, effect in answer.effects or ()]


def text_body(answer: Answer, contract: Contract) -> bytes:
    """The bare class, ``1`` or ``0``; or a network's number in brackets where the contract
    keeps that old habit."""
    if contract.text == "numpy" and answer.bundle.kind == "keras":
        return str(np.array([answer.probability], dtype=np.float32)).encode()
    return b"1" if answer.positive else b"0"


def _note_json(note: Note, language: str) -> str:
    if note.code == ASSUMED:  # always the same few: what the contract fills in
        return _assumed_json(note, language)
    return _shape_json(note, language)


@functools.lru_cache(maxsize=256)
def _assumed_json(note: Note, language: str) -> str:
    return _shape_json(note, language)


def _shape_json(note: Note, language: str) -> str:
    return json.dumps(note_shape(note, language), ensure_ascii=False, separators=COMPACT)


@functools.lru_cache(maxsize=16)
def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
