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
from typing import Any

import numpy as np

from propensia import heartbeat, reasons, sampling
from propensia.contract import Contract
from propensia.decision import Decision
from propensia.faults import Note
from propensia.features import Features, Value
from propensia.registry import Registry, RegistryError, Release, decision
from propensia.scorer import Scorer, ScorerError, Unreliable

log = logging.getLogger(__name__)

# The same file, but perhaps another machine or ONNX Runtime than at admission. A Keras network
# computes in float32 (24 bits), and the order of its sums follows the vector units of the CPU;
# everything else computes its sums in double, where another order moves the last digits only.
GOLDEN_TOLERANCE = {"keras": 1e-5}
GOLDEN_TOLERANCE_OTHERS = 1e-9
UNRELIABLE_IN_A_ROW = 3
RETRY_LOAD_S = 30.0
RETURN = "retorno"
REASONS = "motivos"
"""What a notice about the reasons names: no parameter of a contract."""

# Whatever may be wrong with a state folder, a manifest or a model file.
CANNOT_LOAD = (OSError, RegistryError, ScorerError, Unreliable, KeyError, TypeError, ValueError)


class NoModel(Exception):
    """Nothing has been published yet."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Everything that one answer is made with; immutable, so a request holds it start to end.

    ``features`` makes the columns of this model; ``digest`` is the SHA-256 of the ONNX bytes in
    ``scorer``.
    """

    release: Release
    kind: str
    features: Features
    scorer: Scorer
    digest: str
    decision: Decision
    parity: str
    demonstration: bool


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
        self._typical = sampling.typical(contract)
        self._unreliable = 0
        self._distrusted: Bundle | None = None
        self._next_return = 0.0
        self.new_process()

    def new_process(self) -> None:
        """Give this process its own ids and locks; to be called again after a fork."""
        self._serial = itertools.count()
        self._process = secrets.token_hex(6)
        self._loading = threading.Lock()
        self._counting = threading.Lock()

    @property
    def bundle(self) -> Bundle | None:
        """What answers now; ``None`` before the first publication."""
        return self._bundle

    # The request

    def new_id(self) -> str:
        """An id that no other answer has: time in ms, process and serial number, in hex."""
        serial = next(self._serial) & 0xFFFFFF
        return f"{time.time_ns() // 1_000_000:011x}{self._process}{serial:06x}"

    def answer(
        self, texts: Mapping[str, str], reasons_wanted: int = 0, bundle: Bundle | None = None
    ) -> Answer:
        """Score one row of texts, by parameter name.

        ``bundle`` is what a batch took at its start, so that a swap in the middle cannot mix
        versions; ``None`` is what answers now. Raises ``BadRow`` with every fault, ``NoModel``,
        ``Unreliable`` when the model gives an impossible number, or ``ScorerError`` when it
        cannot be run.
        """
        values, notes = self.features.read(texts)
        bundle = bundle or self._bundle
        if bundle is None:
            raise NoModel
        row = bundle.features.row(values)
        try:
            probability = bundle.decision.probability(bundle.scorer.one(row))
        except (Unreliable, ScorerError) as error:
            log.error("version %s: %s", bundle.release.version, error)
            self._distrust(bundle)
            raise
        self._unreliable = 0
        effects = None
        if reasons_wanted:
            effects = self._effects(bundle, values, reasons_wanted)
            if effects is None:
                effects = []
                notes.append(Note(REASONS, "motivos_no_disponibles", None))
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
    ) -> list[tuple[str, float]] | None:
        """The largest effects; ``None`` where the model fails for a mixture of the two rows,
        which nobody sent: the answer itself is good."""
        features = bundle.features
        row, base = (np.array(features.row(v)) for v in (values, self._typical))
        names = [parameter.name for parameter in self.contract.parameters]
        groups = [
            [i for i, column in enumerate(features.contract.columns) if column.source == name]
            for name in names
        ]
        score = bundle.scorer.many
        correct = bundle.decision.probabilities
        try:
            found = reasons.effects(lambda rows: correct(score(rows)), row, base, groups)
        except (Unreliable, ScorerError) as error:
            log.warning("version %s, no reasons: %s", bundle.release.version, error)
            return None
        order = sorted(range(len(names)), key=lambda i: -abs(found[i]))
        return [(names[i], float(found[i])) for i in order[:wanted] if found[i] != 0.0]

    def _distrust(self, bundle: Bundle) -> None:
        """Count a failure; after three in a row the next ``tick`` goes back. Waits for nothing."""
        with self._counting:
            if bundle is not self._bundle:
                return  # swapped meanwhile: the count is the new version's
            self._unreliable += 1
            if self._unreliable >= UNRELIABLE_IN_A_ROW:
                self._unreliable = 0
                self._distrusted = bundle

    # The swap

    def tick(self) -> None:
        """Compare this process's own release with the pointer, and catch up.

        On any failure the active version goes on answering and ``problem`` says why. Where the
        active version is distrusted, publish the return to an older one first.
        """
        with self._loading:
            self._return()
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

    def _return(self) -> None:
        """Publish the newest older version that is trusted and loads, if this one is not.

        Another process may be publishing, and models take time to load: not for a request.
        """
        with self._counting:
            bundle, self._distrusted = self._distrusted, None
        if bundle is None or bundle is not self._bundle or time.monotonic() < self._next_return:
            return
        try:
            for older in self._trusted(bundle.release.version):
                try:
                    self._before = self.load(older)
                except CANNOT_LOAD as error:  # damaged, pruned, or of another contract
                    log.warning("no return to version %s: %s", older.version, error)
                    continue
                self.registry.publish(
                    older.version,
                    cause=RETURN,
                    who="propensia",
                    why=f"la versión {bundle.release.version} falló o dio resultados imposibles",
                    threshold=older.threshold,
                    pinned=bundle.release.pinned,
                    only_after=bundle.release.number,
                )
                return
            self._next_return = time.monotonic() + RETRY_LOAD_S
        except (OSError, RegistryError) as error:  # a full disk, or somebody else was faster
            log.warning("no automatic return: %s", error)

    def _trusted(self, version: str) -> list[Release]:
        """The newest release of every other version, newest first, but for those that returns
        have just left."""
        history = self.registry.history()
        distrusted = {version}
        for release, left in itertools.pairwise(history):
            if release.cause != RETURN:
                break
            distrusted.add(left.version)
        newest: dict[str, Release] = {}
        for release in history:
            newest.setdefault(release.version, release)
        return [old for old in newest.values() if old.version not in distrusted]

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
        loaded = self.load(release)
        previous = self._bundle
        with self._counting:
            self._bundle, self._unreliable = loaded, 0
        if previous is not None and previous.release.version != release.version:
            self._before = previous  # kept, so that going back takes no loading
        log.info("release %s: version %s answers", release.number, release.version)

    def load(self, release: Release) -> Bundle:
        """What answers under a release, made ready. Raises one of ``CANNOT_LOAD``."""
        manifest = self.registry.manifest(release.version)
        view = self.contract.view(manifest["columns"])
        if view is None:
            raise RegistryError(
                f"la versión {release.version} es de otro contrato ({manifest['contract']})"
            )
        digest = manifest["onnx_sha256"]
        for held in (self._bundle, self._before):
            # By content: a version that is admitted again may be another graph under its id.
            if held is not None and held.digest == digest:
                scorer = held.scorer
                break
        else:
            scorer = Scorer(self.registry.model(release.version), digest)
            self._replay(scorer, manifest["golden"], manifest["kind"], len(view.columns))
        return Bundle(
            release=release,
            kind=manifest["kind"],
            features=self.features if view is self.contract else Features(view),
            scorer=scorer,
            digest=digest,
            decision=decision(manifest, release, self.contract.threshold),
            parity=manifest["parity"],
            demonstration=bool(manifest.get("demonstration", False)),
        )

    def _replay(
        self, scorer: Scorer, golden: Mapping[str, list[Any]], kind: str, columns: int
    ) -> None:
        # Numpy takes None, which stands for no data, as NaN.
        rows, wanted = np.array(golden["rows"], np.float64), np.array(golden["probabilities"])
        if rows.shape != (len(wanted), columns) or scorer.columns != columns or not len(wanted):
            raise ScorerError("the golden rows are not those of this model")
        tolerance = GOLDEN_TOLERANCE.get(kind, GOLDEN_TOLERANCE_OTHERS)
        if np.abs(scorer.many(rows) - wanted).max() > tolerance:
            raise ScorerError("the golden rows give other probabilities than at admission")

    def report(self, about: Mapping[str, Any] | None = None) -> None:
        """Leave a note of this process for ``/health``: who, which release, still alive; and
        what else there is to say ``about`` it, for ``doctor``.

        Where the state folder cannot be written, ``folder_problem`` says so; answering goes on.
        """
        bundle = self._bundle
        note = {
            "pid": os.getpid(),
            "publicacion": bundle.release.number if bundle else 0,
            "version": bundle.release.version if bundle else None,
            "problema": self.problem,
        } | dict(about or {})
        try:
            heartbeat.leave(self.registry.state / "workers" / f"{os.getpid()}.json", note)
            self.folder_problem = None
        except OSError as error:
            problem = f"no se puede escribir en la carpeta de estado ({error.strerror})"
            if problem != self.folder_problem:
                log.error("the state folder cannot be written: %s", error)
            self.folder_problem = problem
