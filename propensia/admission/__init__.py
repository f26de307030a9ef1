"""Admission: from the bytes of a dropped file to a version, or to a refusal that says why.

The parent of two short-lived children. It trusts nothing they say except two small JSON files
and one ONNX file, which the second child proves without ever seeing the dropped file.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from propensia import __version__, files, processes
from propensia.admission import report
from propensia.admission.refusal import Refusal
from propensia.admission.sidecar import LIMIT_BYTES as SIDECAR_LIMIT_BYTES
from propensia.admission.sidecar import Sidecar
from propensia.admission.sidecar import read as read_sidecar
from propensia.contract import Contract
from propensia.registry import Registry, now
from propensia.settings import Settings

__all__ = ["SIDECAR_LIMIT_BYTES", "Dropped", "Outcome", "Refusal", "admit", "judge"]

ONNX_LIMIT_BYTES = 1 << 30
SIGXCPU = 24  # the number on Linux; a child over its processor time ends with it


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
    checks: list[dict[str, Any]]
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
    folder = settings.state / "work" / secrets.token_hex(8)
    folder.mkdir(parents=True)
    try:
        sidecar = read_sidecar(dropped.sidecar)
        _same_contract(sidecar, contract)
        request = _request(settings, contract, registry, sidecar, folder, force)
        files.write(folder / "model.pkl", dropped.data, durable=False)
        if dropped.sidecar is not None:
            files.write(folder / "sidecar.json", dropped.sidecar, durable=False)
        files.write_json(folder / "request.json", request, durable=False)
        read, refusal = _child("propensia.admission.reading", folder, "read.json", settings)
        proof: dict[str, Any] = {"checks": []}
        if refusal is None:
            proof, refusal = _child("propensia.admission.proving", folder, "proof.json", settings)
        model = b"" if refusal else files.read(folder / "model.onnx", ONNX_LIMIT_BYTES)
    except Refusal as error:  # the sidecar
        sidecar, refusal, model = Sidecar(), error, b""
        read, proof = {"checks": [_failed("ficha", error)]}, {"checks": []}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    checks = [*read["checks"], *proof["checks"]]
    seconds = time.perf_counter() - begin
    manifest = _manifest(dropped, contract, sidecar, read, proof, model, seconds)
    manifest["demonstration"] = demonstration
    page = report.render(dropped.data, manifest, checks, read, proof, sidecar, refusal, registry)
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
    if refusal is None or refusal.code != "fichero_incompleto":
        registry.record_verdict(dropped.sha256, verdict)
    return verdict, outcome


def _same_contract(sidecar: Sidecar, contract: Contract) -> None:
    if sidecar.contract is not None and sidecar.contract != contract.fingerprint:
        raise Refusal("contrato_distinto", f"{sidecar.contract[:32]} ≠ {contract.fingerprint}")


def _request(
    settings: Settings,
    contract: Contract,
    registry: Registry,
    sidecar: Sidecar,
    folder: Path,
    force: bool,
) -> dict[str, Any]:
    active_threshold = None
    current = registry.current()
    if current is not None:
        manifest = registry.manifest(current.version)
        if manifest["columns"] == list(contract.column_names):
            files.write(folder / "active.onnx", registry.model(current.version), durable=False)
            own = manifest["threshold"]
            active_threshold = own if current.threshold is None else current.threshold
    return {
        "contract": settings.contract,
        "threshold": contract.threshold if sidecar.threshold is None else sidecar.threshold,
        "active_threshold": active_threshold,
        "force": force,
        "memory_mb": settings.admission_memory_mb,
        "cpu_s": settings.admission_seconds,
        "file_mb": max(settings.max_unpacked_mb, settings.max_file_mb),
        "max_unpacked_mb": settings.max_unpacked_mb,
    }


def _child(
    module: str, folder: Path, result: str, settings: Settings
) -> tuple[dict[str, Any], Refusal | None]:
    """Run a child; its result, and the refusal that it or its death means."""
    finished = processes.run(module, str(folder), timeout_s=settings.admission_seconds)
    if finished.code == 0:
        found = files.read_json(folder / result)
        refusal = Refusal(*found["refusal"]) if "refusal" in found else None
        return found, refusal
    limit = settings.admission_seconds
    if finished.timed_out or finished.code == -SIGXCPU:
        refusal = Refusal("demasiado_lento", f"más de {limit} s", f"over {limit} s")
    elif "MemoryError" in finished.errors or "bad_alloc" in finished.errors:
        limit = settings.admission_memory_mb
        refusal = Refusal("demasiada_memoria", f"más de {limit} MB", f"over {limit} MB")
    else:
        last = (finished.errors.strip().splitlines() or [""])[-1][:200]
        refusal = Refusal("proceso_muerto", f"código {finished.code} {last}".strip())
    return {"checks": [_failed("proceso", refusal)]}, refusal


def _failed(name: str, refusal: Refusal) -> dict[str, Any]:
    return {"name": name, "outcome": "fallo", "sentence": refusal.text("es"), "seconds": 0.0}


def _manifest(
    dropped: Dropped,
    contract: Contract,
    sidecar: Sidecar,
    read: Mapping[str, Any],
    proof: Mapping[str, Any],
    model: bytes,
    seconds: float,
) -> dict[str, Any]:
    return {
        "version": dropped.version,
        "model": dropped.model,
        "sha256": dropped.sha256,
        "onnx_sha256": files.sha256(model),
        "admitted": now(),
        "admission_seconds": round(seconds, 3),
        "contract": contract.name,
        "contract_fingerprint": contract.fingerprint,
        "columns": list(contract.column_names),
        "family": read.get("family"),
        "kind": read.get("kind"),
        "libraries": read.get("libraries", {}),
        "facts": read.get("facts", {}),
        "layers": read.get("layers", []),
        "parity": read.get("parity", {}),
        "threshold": contract.threshold if sidecar.threshold is None else sidecar.threshold,
        "training_rate": sidecar.training_rate,
        "real_rate": sidecar.real_rate,
        "told": sidecar.told,
        "golden": proof.get("golden"),
        "row_us": proof.get("row_us"),
        "size_bytes": len(dropped.data),
    }
