"""Admission: from the bytes of a dropped file to a version, or to a refusal that says why.

The parent of two short-lived children, each in a folder of its own. It trusts nothing they say
but a small result, taken in strictly, and one ONNX file, which the second child proves without
ever seeing the dropped file.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from propensia import __version__, files, processes
from propensia.admission import report, results
from propensia.admission.ladder import Finding
from propensia.admission.refusal import Refusal
from propensia.admission.results import Proof, Reading, ResultError
from propensia.admission.sidecar import Sidecar
from propensia.admission.sidecar import read as read_sidecar
from propensia.contract import Contract
from propensia.decision import Decision
from propensia.registry import Registry, RegistryError, decision, now
from propensia.settings import Settings

__all__ = [
    "Dropped",
    "Outcome",
    "Refusal",
    "admit",
    "is_admitted",
    "judge",
    "limits",
]

ONNX_LIMIT_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Dropped:
    """A file as it was read once: its stem, its bytes, and those of its sidecar if it has one."""

    model: str
    data: bytes
    sidecar: bytes | None = None

    @property
    def sha256(self) -> str:
        """The identity of the content, sidecar included."""
        parts = (self.data,) if self.sidecar is None else (self.data, self.sidecar)
        return files.sha256(*parts)

    @property
    def version(self) -> str:
        """The version id: the first 12 hexadecimal digits of the identity."""
        return self.sha256[:12]


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


@dataclass(frozen=True, slots=True)
class Office:
    """Where and by which rules files are judged: what every admission needs."""

    settings: Settings
    contract: Contract
    registry: Registry


def limits(settings: Settings) -> dict[str, int]:
    """What ``processes.confine`` is given in a process that reads a dropped file."""
    return {
        "memory_mb": settings.admission_memory_mb,
        "cpu_s": settings.admission_seconds,
        "file_mb": max(settings.max_unpacked_mb, settings.max_file_mb),
    }


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
    office, begin = Office(settings, contract, registry), time.perf_counter()
    sidecar, reading, proof, model = Sidecar(), Reading([]), Proof([]), b""
    refusal: Refusal | None = None
    try:
        sidecar = read_sidecar(dropped.sidecar)
        _same_contract(sidecar, contract)
        rule = _rule(sidecar, contract)
        reading, model = _read(dropped, rule, office)
        refusal = reading.refusal
        if refusal is None:
            proof = _prove(model, dropped.sidecar, rule, office, force)
            refusal = proof.refusal
    except Refusal as error:  # of the sidecar
        refusal = error
        reading = Reading([_failed("ficha", error)], error)
    manifest = _manifest(dropped, contract, sidecar, reading, proof, model)
    manifest |= {
        "demonstration": demonstration,
        "admission_seconds": round(time.perf_counter() - begin, 3),
    }
    checks = [*reading.checks, *proof.checks]
    page = report.render(
        manifest, _rule(sidecar, contract), checks, proof, sidecar, refusal, registry.current()
    )
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
) -> tuple[dict[str, Any], Outcome]:
    """Judge a file, keep a good one as a version, and record the verdict; publish nothing.

    Returns the verdict and what was found. An unfinished file gets no verdict on record, for
    it may still grow.
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
    }
    if refusal is None:
        registry.add_version(dropped.version, outcome.manifest, outcome.parts)
    # An unfinished file may still grow; and what was once accepted here stays accepted, whatever
    # it was compared with this time.
    forgettable = refusal is not None and refusal.code == "fichero_incompleto"
    if not forgettable and (refusal is None or not is_admitted(dropped, contract, registry)):
        registry.record_verdict(dropped.sha256, verdict)
    return verdict, outcome


def is_admitted(dropped: Dropped, contract: Contract, registry: Registry) -> bool:
    """Whether a file was accepted before under the same contract, and its version is whole."""
    verdict = registry.verdict(dropped.sha256)
    accepted = verdict is not None and verdict["accepted"]
    same = verdict is not None and verdict["contract"] == contract.fingerprint
    return accepted and same and registry.fits(dropped.version, contract.column_names) is None


# The two children


def _read(dropped: Dropped, rule: Decision, office: Office) -> tuple[Reading, bytes]:
    """What the first child read in the file, and the ONNX file that it wrote of it."""
    with _folder(office.settings) as folder:
        files.write(folder / "model.pkl", dropped.data, durable=False)
        request = {
            "contract": office.settings.contract,
            "limits": limits(office.settings),
            "unpacked_bytes": office.settings.max_unpacked_mb << 20,
            "rule": asdict(rule),
        }
        files.write_json(folder / "request.json", request, durable=False)
        failed = _run("propensia.admission.reading", folder, office.settings)
        if failed is not None:
            return Reading([_failed("lectura", failed)], failed), b""
        try:
            reading = results.read_reading(folder / "result.json")
            if reading.refusal is not None:
                return reading, b""
            return reading, files.read(folder / "model.onnx", ONNX_LIMIT_BYTES)
        except (ResultError, FileNotFoundError, files.FileTooLarge) as error:
            refusal = _died(str(error))
            return Reading([_failed("lectura", refusal)], refusal), b""


def _prove(
    model: bytes, sidecar: bytes | None, rule: Decision, office: Office, force: bool
) -> Proof:
    """What the second child measured on the ONNX file, in a folder that the first never saw."""
    with _folder(office.settings) as folder:
        files.write(folder / "model.onnx", model, durable=False)
        if sidecar is not None:
            files.write(folder / "sidecar.json", sidecar, durable=False)
        active = _active(office)
        if active is not None:
            files.write(folder / "active.onnx", active.model, durable=False)
        request = {
            "contract": office.settings.contract,
            "limits": limits(office.settings),
            "rule": asdict(rule),
            "active_rule": asdict(active.rule) if active else None,
            # The demonstration learnt from invented rows: a real model owes it no likeness.
            "force": force or (active is not None and active.demonstration),
        }
        files.write_json(folder / "request.json", request, durable=False)
        failed = _run("propensia.admission.proving", folder, office.settings)
        if failed is not None:
            return Proof([_failed("prueba", failed)], failed)
        try:
            return results.read_proof(folder / "result.json", len(office.contract.columns))
        except ResultError as error:
            refusal = _died(str(error))
            return Proof([_failed("prueba", refusal)], refusal)


@contextmanager
def _folder(settings: Settings) -> Iterator[Path]:
    """An empty folder for one child, gone afterwards."""
    folder = settings.state / "work" / secrets.token_hex(8)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(module: str, folder: Path, settings: Settings) -> Refusal | None:
    """Run a child to its end; the refusal that its death means, ``None`` for a good end."""
    finished = processes.run(module, str(folder), timeout_s=settings.admission_seconds + 5)
    if finished.code == 0:
        return None
    if finished.too_long:
        limit = settings.admission_seconds
        return Refusal("demasiado_lento", f"más de {limit} s", f"over {limit} s")
    if "MemoryError" in finished.errors or "bad_alloc" in finished.errors:
        limit = settings.admission_memory_mb
        return Refusal("demasiada_memoria", f"más de {limit} MB", f"over {limit} MB")
    last = (finished.errors.strip().splitlines() or [""])[-1][:200]
    return _died(f"{finished.code} {last}".strip())


def _died(detail: str) -> Refusal:
    return Refusal("proceso_muerto", f"código {detail}", f"code {detail}")


def _failed(name: str, refusal: Refusal) -> Finding:
    return Finding(name, "fallo", refusal.text("es"))


@dataclass(frozen=True, slots=True)
class Active:
    """The model that answers now, the rule it answers with, and whether it is only for show."""

    model: bytes
    rule: Decision
    demonstration: bool


def _active(office: Office) -> Active | None:
    """The model that answers now and its rule; ``None`` without one to compare with.

    A damaged active version must not keep its own replacement out, so it counts as none.
    """
    current = office.registry.current()
    if current is None:
        return None
    try:
        manifest = office.registry.manifest(current.version)
        model = office.registry.model(current.version)
        whole = files.sha256(model) == manifest["onnx_sha256"]
        if whole and manifest["columns"] == list(office.contract.column_names):
            rule = decision(manifest, current, office.contract.threshold)
            return Active(model, rule, manifest.get("demonstration", False))
    except (OSError, RegistryError, KeyError, TypeError):
        return None
    return None


# What is written down


def _same_contract(sidecar: Sidecar, contract: Contract) -> None:
    if sidecar.contract is not None and sidecar.contract != contract.fingerprint:
        raise Refusal("contrato_distinto", f"{sidecar.contract[:32]} ≠ {contract.fingerprint}")


def _rule(sidecar: Sidecar, contract: Contract) -> Decision:
    threshold = contract.threshold if sidecar.threshold is None else sidecar.threshold
    return Decision(threshold, sidecar.training_rate, sidecar.real_rate)


def _manifest(
    dropped: Dropped,
    contract: Contract,
    sidecar: Sidecar,
    reading: Reading,
    proof: Proof,
    model: bytes,
) -> dict[str, Any]:
    return {
        "version": dropped.version,
        "model": dropped.model,
        "sha256": dropped.sha256,
        "size_bytes": len(dropped.data),
        "onnx_sha256": files.sha256(model),
        "admitted": now(),
        "program": __version__,
        "contract": contract.name,
        "contract_fingerprint": contract.fingerprint,
        "columns": list(contract.column_names),
        "family": reading.family,
        "kind": reading.kind,
        "libraries": reading.libraries,
        "facts": reading.facts,
        "layers": reading.layers,
        "parity": reading.parity,
        "told": sidecar.told,
        "golden": proof.golden,
        "row_us": proof.row_us,
        "threshold": sidecar.threshold,
        "training_rate": sidecar.training_rate,
        "real_rate": sidecar.real_rate,
    }
