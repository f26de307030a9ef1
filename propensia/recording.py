"""What a process writes into its journal about the requests that it answers.

No answer goes out before it is kept, unless a setting says so; what cannot be scored is kept too,
without a value, as far as it can be.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from propensia import rules
from propensia.contract import Contract
from propensia.journal import records
from propensia.journal.references import NAME, References
from propensia.journal.writer import FOLDER, Journal, JournalError
from propensia.serving import REASONS, Answer, Bundle
from propensia.settings import Settings

log = logging.getLogger(__name__)

FILE_S = 15 * 60.0
TICK_S = 0.5


class Answered(NamedTuple):
    """An answer, and what it was given to: ``texts`` by parameter name, as they were sent."""

    answer: Answer
    texts: Mapping[str, str]
    reference: str | None


class Recorder:
    """The memory of one process. Safe for threads; ``tick`` is called by one of them, every
    ``tick_s``."""

    def __init__(self, settings: Settings, contract: Contract) -> None:
        self.tick_s = min(TICK_S, settings.journal_sync_s / 2 or TICK_S)
        self._settings = settings
        self._contract = contract
        self._names = [parameter.name for parameter in contract.parameters]
        self._known = frozenset([*self._names, REASONS])
        self._off = settings.journal == "off"
        self._required = settings.journal == "required"
        self._journal = Journal(
            settings.state / FOLDER,
            settings.journal_sync_s,
            settings.journal_file_mb << 20,
            FILE_S,
        )
        self._references: References | None = None
        self._key_problem = f"{NAME} no se ha leído"
        self._rules: tuple[Bundle | None, str] = (None, "")

    def open(self) -> None:
        """Begin as a process of its own; to be called again after a fork."""
        self._journal.open()
        self._references = None
        self._see_to_key()

    def tick(self) -> None:
        """Bring to the disk what waits; see whether what is wrong is over. Raises nothing."""
        if self._references is None:
            self._see_to_key()
        try:
            self._journal.tick()
        except JournalError:
            return  # the journal has told it, and tells it in ``problem``

    @property
    def problem(self) -> str | None:
        """What is wrong now, for a person."""
        if self._off:
            return None
        if self._journal.failure is not None:
            return f"no se puede escribir el diario ({self._journal.failure})"
        if self._references is None:
            return f"no se puede responder a peticiones con ref ({self._key_problem})"
        if self._journal.is_disk_broken:
            return "el disco falló al guardar el diario; se ha escrito de nuevo: revise el disco"
        return None

    def answered(self, answered: Iterable[Answered], caller: str) -> None:
        """Keep answers, all in one write. Raises ``JournalError`` where they cannot be kept and
        must be."""
        if self._off:
            return
        try:
            self._journal.append(*[self._record(one, caller) for one in answered])
        except JournalError:
            if self._required:
                raise

    def refused(self, refused: Iterable[tuple[str, str, str]], caller: str) -> None:
        """Keep that requests could not be scored, and why; raises nothing. ``refused``: id,
        parameter and code, those of one id one after the other."""
        if self._off:
            return
        told: dict[str, list[tuple[str, str]]] = {}
        for id, name, code in refused:
            told.setdefault(id, []).append((self._named(name), code))
        try:
            self._journal.append(*[records.refusal(id, caller, why) for id, why in told.items()])
        except JournalError:
            return  # as in ``tick``

    def keep(self, *made: bytes) -> None:
        """Keep records that are no answers, in one write, whatever the setting. Raises
        ``JournalError``."""
        self._journal.append(*made)

    def hashed(self, reference: str) -> str:
        """The keyed hash of a reference. Raises ``JournalError`` without the key."""
        if self._references is None:
            raise JournalError(self._key_problem)
        return self._references.hashed(reference)

    def _record(self, answered: Answered, caller: str) -> bytes:
        answer, texts, reference = answered
        return records.answer(
            answer.id,
            self._of_bundle(answer.bundle),
            caller,
            None if reference is None else self.hashed(reference),
            answer.probability,
            answer.positive,
            list(map(texts.get, self._names)),
            [(self._named(note.parameter), note.code, note.used) for note in answer.notes],
        )

    def _named(self, parameter: str) -> str:
        """A name as it is written: one that is not the contract's could be anything."""
        return parameter if parameter in self._known else ""

    def _see_to_key(self) -> None:
        try:
            self._references = References(self._settings.state)
        except OSError as error:
            self._without_key(error.strerror or str(error))
        except ValueError:  # its text may hold a part of the key
            self._without_key("dañado")

    def _without_key(self, why: str) -> None:
        problem = f"{NAME}: {why}"
        if problem != self._key_problem:
            log.error("no reference can be hashed: %s: %s", NAME, why)
        self._key_problem = problem

    def _of_bundle(self, bundle: Bundle) -> str:
        held, written = self._rules
        if held is not bundle:
            self._keep_rules()
            release = bundle.release
            written = records.Rules(
                release.version,
                release.number,
                release.model,
                self._contract.fingerprint,
                bundle.decision.threshold,
            ).written()
            self._rules = (bundle, written)
        return written

    def _keep_rules(self) -> None:
        """No answer is kept whose contract is not: it could not be read later."""
        try:
            rules.keep(self._settings.state, self._contract)
        except OSError as error:
            raise JournalError(error.strerror or str(error)) from error
