"""Admission: from the bytes of a dropped file to a version, or to a refusal that says why.

It never reads a dropped file itself: two short-lived children do (``children``).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

from propensia import __version__, files
from propensia.admission import report
from propensia.admission.children import Office, Translation, failed, limits, prove, read
from propensia.admission.dropped import OF_SIGNATURE, Dropped, Signature, check_signature
from propensia.admission.ladder import Finding
from propensia.admission.refusal import Refusal
from propensia.admission.results import Proof, Reading
from propensia.admission.sidecar import Sidecar
from propensia.admission.sidecar import read as read_sidecar
from propensia.contract import Contract
from propensia.decision import Decision
from propensia.registry import Registry, RegistryError, now
from propensia.settings import Settings

__all__ = [
    "OF_SIGNATURE",
    "Dropped",
    "Outcome",
    "Refusal",
    "admit",
    "is_admitted",
    "judge",
    "limits",
]


# The checks before the children, by the codes of their refusals.
NAMES = {**dict.fromkeys(OF_SIGNATURE, "firma"), "version_repetida": "identidad"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What admission found: ``refusal`` is ``None`` for a good file.

    ``manifest`` and ``parts`` are what a version folder holds; ``report`` the page for the
    analyst, made for refused files too.
    """

    refusal: Refusal | None
    checks: list[Finding]
    manifest: dict[str, Any]
    parts: dict[str, bytes]
    report: str


def judge(
    dropped: Dropped,
    settings: Settings,
    contract: Contract,
    registry: Registry,
    *,
    force: bool = False,
    demonstration: bool = False,
) -> Outcome:
    """Run every check on a file and change nothing. Raises ``OSError`` for faults of the machine.

    ``force`` lets a model pass that ranks the other way round than the active one.
    """
    begin = time.perf_counter()
    office = Office(settings, contract, registry)
    found = Findings(rule=_rule(Sidecar(), contract))
    try:
        if not demonstration:  # that one never left our own hands
            found.signature = check_signature(dropped, settings)
        _check_identity(dropped, registry)
        _examine(found, dropped, office, force)
    except Refusal as error:  # of the signature, of the identity, or of the sidecar
        name = NAMES.get(error.code, "ficha")
        found.reading = Reading([failed(name, error)], error)
    refusal = found.reading.refusal or found.proof.refusal
    checks = [*found.signature.checks, *found.reading.checks, *found.proof.checks]
    manifest = _manifest(dropped, contract, found) | {
        "demonstration": demonstration,
        "admission_seconds": round(time.perf_counter() - begin, 3),
    }
    page = report.render(
        manifest, found.rule, checks, found.proof, found.sidecar, refusal, registry.current()
    )
    model = found.translation.model
    parts = {} if refusal else {"model.onnx": model, "report.html": page.encode("utf-8")}
    return Outcome(refusal, checks, manifest, parts, page)


def admit(
    dropped: Dropped,
    settings: Settings,
    contract: Contract,
    registry: Registry,
    *,
    force: bool = False,
    demonstration: bool = False,
    who: str = "propensia",
) -> tuple[dict[str, Any], Outcome]:
    """Judge a file, keep a good one as a version, and record the verdict; publish nothing.

    ``who`` handed it in, as the audit log tells it, before anything is kept.
    Returns the verdict and what was found. An unfinished file gets no verdict on record, for
    it may still grow, nor does an unsigned one, for its signature may still come.
    """
    outcome = judge(
        dropped, settings, contract, registry, force=force, demonstration=demonstration
    )
    refusal = outcome.refusal
    verdict = {
        "sha256": dropped.sha256,
        "version": dropped.version,
        "model": dropped.model,
        "accepted": refusal is None,
        "code": refusal.code if refusal else None,
        "why": refusal.text("es") if refusal else "",
        "at": now(),
        "contract": contract.fingerprint,
        "program": __version__,
        "signed_by": outcome.manifest["signed_by"],
        "layers": outcome.manifest["layers"],
    }
    unfinished = refusal is not None and refusal.code == "fichero_incompleto"
    # Nothing is decided about what is still being copied.
    if not unfinished and not _is_told(verdict, outcome, dropped, contract, registry):
        facts = {name: verdict[name] for name in ("version", "model", "sha256", "code")}
        facts["signed_by"] = (verdict["signed_by"] or {}).get("key")
        registry.audit.record("refused" if refusal else "admitted", who=who, **facts)
    if refusal is None:
        registry.add_version(dropped.version, outcome.manifest, outcome.parts)
    # What may still be completed is not final; and what was once accepted here stays accepted,
    # whatever it was compared with this time.
    forgettable = refusal is not None and refusal.code in OF_SIGNATURE | {"fichero_incompleto"}
    if not forgettable and (refusal is None or not is_admitted(dropped, contract, registry)):
        registry.record_verdict(dropped.sha256, verdict)
    return verdict, outcome


def is_admitted(dropped: Dropped, contract: Contract, registry: Registry) -> bool:
    """Whether a file was accepted before under the same contract, and its version is whole."""
    verdict = registry.verdict(dropped.sha256)
    accepted = verdict is not None and verdict["accepted"]
    same = verdict is not None and verdict["contract"] == contract.fingerprint
    return accepted and same and registry.fits(dropped.version, contract) is None


def _is_told(
    verdict: dict[str, Any],
    outcome: Outcome,
    dropped: Dropped,
    contract: Contract,
    registry: Registry,
) -> bool:
    """Whether the same was found of the same file before: whoever publishes one and the keeper,
    who sees it in the folder, may judge it at the same time, and it was accepted once."""
    held = registry.verdict(dropped.sha256)
    if held is None or not verdict["accepted"] or not is_admitted(dropped, contract, registry):
        return False
    same = all(held.get(name) == verdict[name] for name in ("program", "signed_by", "layers"))
    graph = registry.manifest(dropped.version)["onnx_sha256"]
    return same and graph == outcome.manifest["onnx_sha256"]


def _check_identity(dropped: Dropped, registry: Registry) -> None:
    """Refuses a file that would take the place of another one: ids are short, digests are not."""
    try:
        held = registry.manifest(dropped.version)["sha256"]
    except (OSError, RegistryError, KeyError):  # none there, or a damaged one, which gives way
        return
    if held != dropped.sha256:
        raise Refusal("version_repetida", dropped.version)


@dataclass(slots=True)
class Findings:
    """What one admission has found so far."""

    rule: Decision
    signature: Signature = field(default_factory=Signature)
    sidecar: Sidecar = field(default_factory=Sidecar)
    reading: Reading = field(default_factory=lambda: Reading([]))
    translation: Translation = field(default_factory=Translation)
    proof: Proof = field(default_factory=lambda: Proof([]))


def _examine(found: Findings, dropped: Dropped, office: Office, force: bool) -> None:
    """The sidecar and both children; raises ``Refusal`` for the sidecar's own faults."""
    found.sidecar = sidecar = read_sidecar(dropped.sidecar)
    _same_contract(sidecar, office.contract)
    found.rule = rule = _rule(sidecar, office.contract)
    found.reading, found.translation = read(dropped, sidecar.columns, rule, office)
    reading, translation = found.reading, found.translation
    if reading.refusal is None:
        found.rule = rule = _own_threshold(rule, sidecar, reading)
        found.proof = prove(translation, reading.columns, dropped.sidecar, rule, office, force)


def _same_contract(sidecar: Sidecar, contract: Contract) -> None:
    if sidecar.contract is not None and sidecar.contract != contract.fingerprint:
        raise Refusal("contrato_distinto", f"{sidecar.contract[:32]} ≠ {contract.fingerprint}")


def _rule(sidecar: Sidecar, contract: Contract) -> Decision:
    threshold = contract.threshold if sidecar.threshold is None else sidecar.threshold
    return Decision(threshold, sidecar.training_rate, sidecar.real_rate)


def _own_threshold(rule: Decision, sidecar: Sidecar, reading: Reading) -> Decision:
    """The rule with the threshold that the model brings along, unless its sidecar says one.

    The model's is for its own probabilities; where those are corrected, so is the threshold.
    """
    if reading.threshold is None or sidecar.threshold is not None:
        return rule
    return replace(rule, threshold=rule.probability(reading.threshold))


def _manifest(dropped: Dropped, contract: Contract, found: Findings) -> dict[str, Any]:
    sidecar, reading, proof = found.sidecar, found.reading, found.proof
    own = reading.threshold is not None
    return {
        "version": dropped.version,
        "model": dropped.model,
        "sha256": dropped.sha256,
        "size_bytes": len(dropped.data),
        "onnx_sha256": files.sha256(found.translation.model),
        "admitted": now(),
        "program": __version__,
        "contract": contract.name,
        "contract_fingerprint": contract.fingerprint,
        "columns": reading.columns,
        "family": reading.family,
        "kind": reading.kind,
        "libraries": reading.libraries,
        "facts": reading.facts,
        "layers": reading.layers,
        "parity": reading.parity,
        "told": sidecar.told,
        "golden": proof.golden,
        "row_us": proof.row_us,
        "steady": proof.steady,
        "threshold": found.rule.threshold if own else sidecar.threshold,
        "signed_by": found.signature.signed_by,
        "training_rate": sidecar.training_rate,
        "real_rate": sidecar.real_rate,
    }
