"""The request path and the swap: texts in, an answer of one version out.

A request takes the active bundle once and keeps it. Nothing here knows HTTP.
"""

from __future__ import annotations

import itertools
import logging
import os
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from propensia import heartbeat, reasons, sampling
from propensia.contract import Contract
from propensia.decision import Decision
from propensia.faults import Note
from propensia.features import Features, Value
from propensia.registry import Registry, RegistryError, Release, decision
from propensia.scorer import Scorer, ScorerError, Unreliable

log = logging.getLogger(__name__)

GOLDEN_TOLERANCE = 1e-12  # same file, same library: only another machine may differ at all
UNRELIABLE_IN_A_ROW = 3
RETRY_LOAD_S = 30.0
RETURN = "retorno"

# Whatever may be wrong with a state folder, a manifest or a model file.
CANNOT_LOAD = (OSError, RegistryError, ScorerError, Unreliable, KeyError, TypeError, ValueError)


class NoModel(Exception):
    """Nothing has been published yet."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Everything that one answer is made with; immutable, so a request holds it start to end."""

    release: Release
    kind: str
    scorer: Scorer
    decision: Decision
    parity: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One scored row. ``probability`` in [0, 1]; ``effects`` by parameter, largest first."""

    id: str
    bundle: Bundle
    positive: bool
    probability: float
    notes: list[Note]
    effects: list[tuple[str, float]] | None


class Serving:
    """The active version of this process. Safe for threads; ``tick`` is called by one of them."""

    def __init__(self, contract: Contract, registry: Registry) -> None:
        self.contract = contract
        self.registry = registry
        self.features = Features(contract)
        self.problem: str | None = None
        self.folder_problem: str | None = None
        self._bundle: Bundle | None = None
        self._before: Bundle | None = None
        self._failed: tuple[int, float] = (0, 0.0)
        self._unreliable = 0
        self._loading = threading.Lock()
        self._typical = sampling.typical(contract)
        self.new_process()

    def new_process(self) -> None:
        """Give this process its own ids; to be called again after a fork."""
        self._serial = itertools.count()
        self._process = secrets.token_hex(6)

    @property
    def bundle(self) -> Bundle | None:
        """What answers now; ``None`` before the first publication."""
        return self._bundle

    # The request

    def new_id(self) -> str:
        """An id that no other answer has: time in ms, process and serial number, in hex."""
        serial = next(self._serial) & 0xFFFFFF
        return f"{time.time_ns() // 1_000_000:011x}{self._process}{serial:06x}"

    def answer(self, texts: Mapping[str, str], reasons_wanted: int = 0) -> Answer:
        """Score one row of texts, by parameter name.

        Raises ``BadRow`` with every fault, ``NoModel``, or ``Unreliable`` when the model gives an
        impossible number.
        """
        values, notes = self.features.read(texts)
        row = self.features.row(values)
        bundle = self._bundle
        if bundle is None:
            raise NoModel
        try:
            probability = bundle.decision.probability(bundle.scorer.one(row))
        except Unreliable:
            self._distrust(bundle)
            raise
        self._unreliable = 0
        effects = self._effects(bundle, values, reasons_wanted) if reasons_wanted else None
        return Answer(
            self.new_id(),
            bundle,
            bundle.decision.is_positive(probability),
            probability,
            notes,
            effects,
        )

    def _effects(
        self, bundle: Bundle, values: list[Value], wanted: int
    ) -> list[tuple[str, float]]:
        row, base = (np.array(self.features.row(v)) for v in (values, self._typical))
        names = [parameter.name for parameter in self.contract.parameters]
        groups = [
            [i for i, column in enumerate(self.contract.columns) if column.source == name]
            for name in names
        ]
        score = bundle.scorer.many
        correct = bundle.decision.probabilities
        found = reasons.effects(lambda rows: correct(score(rows)), row, base, groups)
        order = sorted(range(len(names)), key=lambda i: -abs(found[i]))
        return [(names[i], float(found[i])) for i in order[:wanted] if found[i] != 0.0]

    def _distrust(self, bundle: Bundle) -> None:
        """After three impossible numbers in a row, go back to the last version not distrusted."""
        self._unreliable += 1
        log.error("version %s gave a number that is not a probability", bundle.release.version)
        if self._unreliable < UNRELIABLE_IN_A_ROW:
            return
        self._unreliable = 0
        try:
            before = self._last_trusted(bundle.release.version)
            if before is None:
                return
            self.registry.publish(
                before.version,
                cause=RETURN,
                who="propensia",
                why=f"la versión {bundle.release.version} dio resultados imposibles",
                threshold=before.threshold,
                pinned=bundle.release.pinned,
                only_after=bundle.release.number,
            )
        except (OSError, RegistryError) as error:  # a full disk, or somebody else was faster
            log.warning("no automatic return: %s", error)

    def _last_trusted(self, version: str) -> Release | None:
        """The newest release of another version, past those that returns have just left."""
        history = self.registry.history()
        distrusted = {version}
        for release, left in itertools.pairwise(history):
            if release.cause != RETURN:
                break
            distrusted.add(left.version)
        return next((old for old in history if old.version not in distrusted), None)

    # The swap

    def tick(self) -> None:
        """Compare this process's own release with the pointer, and catch up.

        On any failure the active version goes on answering and ``problem`` says why.
        """
        with self._loading:
            held, number = self._bundle.release.number if self._bundle else 0, 0
            try:
                number = self.registry.current_number()
                if number == held:
                    self.problem = None
                elif number == 0:
                    self.problem = "no se encuentra ninguna publicación; responde la última"
                elif self._failed[0] != number or time.monotonic() >= self._failed[1]:
                    self._swap(self.registry.release(number))
                    self.problem = None
            except CANNOT_LOAD as error:
                self._failed = (number, time.monotonic() + RETRY_LOAD_S)
                problem = f"no se puede cargar la publicación {number or 'última'}: {error}"
                if problem != self.problem:
                    log.error("release %s cannot be loaded: %s", number, error)
                self.problem = problem
                if self._bundle is None:
                    self._fall_back(number)

    def _fall_back(self, number: int) -> None:
        """Answer with the newest release before ``number`` that loads.

        Only for a process that has nothing yet: one that is born while the files of the current
        version are damaged answers as those do that still hold the version before.
        """
        tried = set()
        for older in range(number - 1, 0, -1):
            try:
                release = self.registry.release(older)
                if release.version not in tried:
                    tried.add(release.version)
                    self._swap(release)
                    return
            except CANNOT_LOAD as error:
                log.error("release %s cannot be loaded either: %s", older, error)

    def _swap(self, release: Release) -> None:
        loaded = self._load(release)
        previous, self._bundle = self._bundle, loaded
        if previous is not None and previous.release.version != release.version:
            self._before = previous  # kept, so that going back takes no loading
        log.info("release %s: version %s answers", release.number, release.version)

    def _load(self, release: Release) -> Bundle:
        manifest = self.registry.manifest(release.version)
        if manifest["columns"] != list(self.contract.column_names):
            raise RegistryError(
                f"la versión {release.version} es de otro contrato ({manifest['contract']})"
            )
        for held in (self._bundle, self._before):
            if held is not None and held.release.version == release.version:
                scorer = held.scorer
                break
        else:
            scorer = Scorer(self.registry.model(release.version), manifest["onnx_sha256"])
            self._replay(scorer, manifest["golden"], len(self.contract.columns))
        return Bundle(
            release, manifest["kind"], scorer, decision(manifest, release), manifest["parity"]
        )

    @staticmethod
    def _replay(scorer: Scorer, golden: Mapping[str, list[list[float]]], columns: int) -> None:
        rows, wanted = np.array(golden["rows"], np.float64), np.array(golden["probabilities"])
        if rows.shape != (len(wanted), columns) or scorer.columns != columns or not len(wanted):
            raise ScorerError("the golden rows are not those of this model")
        if np.abs(scorer.many(rows) - wanted).max() > GOLDEN_TOLERANCE:
            raise ScorerError("the golden rows give other probabilities than at admission")

    def report(self) -> None:
        """Leave a note of this process for ``/health``: who, which release, still alive.

        Where the state folder cannot be written, ``folder_problem`` says so; answering goes on.
        """
        bundle = self._bundle
        note = {
            "pid": os.getpid(),
            "publicacion": bundle.release.number if bundle else 0,
            "version": bundle.release.version if bundle else None,
            "problema": self.problem,
        }
        try:
            heartbeat.leave(self.registry.state / "workers" / f"{os.getpid()}.json", note)
            self.folder_problem = None
        except OSError as error:
            problem = f"no se puede escribir en la carpeta de estado ({error.strerror})"
            if problem != self.folder_problem:
                log.error("the state folder cannot be written: %s", error)
            self.folder_problem = problem
