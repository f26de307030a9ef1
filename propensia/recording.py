"""What a process writes into its journal about the requests that it answers.

No answer goes out before it is kept, unless a setting says so; what cannot be scored is kept too,
without a value, as far as it can be.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from propensia.contract import Contract
from propensia.journal import records
from propensia.journal.references import References
from propensia.journal.writer import FOLDER, Journal, JournalError
from propensia.serving import Answer, Bundle
from propensia.settings import Settings

log = logging.getLogger(__name__)

FILE_S = 15 * 60.0


class Recorder:
    """The memory of one process. Safe for threads; ``tick`` is called by one of them."""

    def __init__(self, settings: Settings, contract: Contract) -> None:
        self.problem: str | None = None
        self._settings = settings
        self._contract = contract
        self._names = [parameter.name for parameter in contract.parameters]
        self._known = frozenset(self._names)
        self._off = settings.journal == "off"
        self._required = settings.journal == "required"
        self._journal = Journal(
            settings.state / FOLDER,
            settings.journal_sync_s,
            settings.journal_file_mb << 20,
            FILE_S,
        )
        self._references: References | None = None
        self._rules: tuple[Bundle | None, str] = (None, "")

    def open(self) -> None:
        """Begin as a process of its own; to be called again after a fork."""
        self._journal.open()

    def answered(
        self, answer: Answer, texts: Mapping[str, str], reference: str | None, caller: str
    ) -> None:
        """Keep an answer. Raises ``JournalError`` where it cannot be kept and must be."""
        if self._off:
            return
        try:
            hashed = None if reference is None else self.hashed(reference)
            record = records.answer(
                answer.id,
                self._of_bundle(answer.bundle),
                caller,
                hashed,
                answer.probability,
                answer.positive,
                [texts.get(name) for name in self._names],
                [(note.parameter, note.code) for note in answer.notes],
            )
            self._journal.append(record)
            self.problem = None
        except (JournalError, OSError, ValueError) as error:
            self._failed(error)
            if self._required:
                raise JournalError(str(error)) from error

    def refused(self, id: str, faults: Iterable[tuple[str, str]], caller: str) -> None:
        """Keep that a request could not be scored, and why; raises nothing."""
        if self._off:
            return
        told = [(name if name in self._known else "", code) for name, code in faults]
        try:
            self._journal.append(records.refusal(id, caller, told))
        except JournalError as error:
            self._failed(error)

    def hashed(self, reference: str) -> str:
        """The keyed hash of a reference. Raises ``OSError`` or ``ValueError``."""
        if self._references is None:
            self._references = References(self._settings.state)
        return self._references.hashed(reference)

    def tick(self) -> None:
        """Bring to the disk what waits. Raises nothing."""
        try:
            self._journal.tick()
        except JournalError as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        problem = f"no se puede escribir el diario ({error})"
        if problem != self.problem:
            log.error("the journal cannot be written: %s", error)
        self.problem = problem

    def _of_bundle(self, bundle: Bundle) -> str:
        held, written = self._rules
        if held is not bundle:
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
