"""The two short-lived children of an admission, each in a folder of its own.

Nothing they say is trusted but a small result, taken in strictly, and one ONNX file, which the
second child proves without ever seeing the dropped file.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from propensia import files, processes
from propensia.admission import results
from propensia.admission.dropped import Dropped
from propensia.admission.ladder import Finding
from propensia.admission.refusal import Refusal
from propensia.admission.results import Proof, Reading, ResultError
from propensia.contract import Contract, shipped
from propensia.decision import Decision
from propensia.registry import Registry, RegistryError, decision
from propensia.settings import Settings

ONNX_LIMIT_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Office:
    """Where and by which rules files are judged: what every admission needs."""

    settings: Settings
    contract: Contract
    registry: Registry


@dataclass(frozen=True, slots=True)
class Translation:
    """The ONNX file that the first child left, and whether foreign code converted it."""

    model: bytes = b""
    converted: bool = False


def limits(settings: Settings) -> dict[str, int]:
    """What ``confinement.confine`` is given in a process that reads a dropped file."""
    return {
        "memory_mb": settings.admission_memory_mb,
        "cpu_s": settings.admission_seconds,
        "file_mb": max(settings.max_unpacked_mb, settings.max_file_mb),
    }


def read(
    dropped: Dropped, told: tuple[str, ...], rule: Decision, office: Office
) -> tuple[Reading, Translation]:
    """What the first child read in a file, and the ONNX file that it wrote of it.

    ``told``: the columns that the sidecar names, or none.

    Where the settings allow it, one of an unknown family is converted by another child.
    """
    reading, model = _read("reading", dropped, told, rule, office)
    unknown = reading.refusal is not None and reading.refusal.code == "familia_desconocida"
    converted = unknown and office.settings.unknown_models == "sandbox"
    if converted:
        reading, model = _read("converting", dropped, told, rule, office)
    return reading, Translation(model, converted)


def _read(
    how: str, dropped: Dropped, told: tuple[str, ...], rule: Decision, office: Office
) -> tuple[Reading, bytes]:
    with _folder(office.settings) as folder:
        files.write(folder / "model.pkl", dropped.data, durable=False)
        request = {
            "contract": office.settings.contract,
            "limits": limits(office.settings),
            "readable": _readable(office.settings),
            "unpacked_bytes": office.settings.max_unpacked_mb << 20,
            "columns": told,
            "rule": asdict(rule),
        }
        files.write_json(folder / "request.json", request, durable=False)
        ended = _run(f"propensia.admission.{how}", folder, office.settings)
        if ended is not None:
            return Reading([failed("lectura", ended)], ended), b""
        try:
            reading = results.read_reading(folder / "result.json")
            if reading.refusal is not None:
                return reading, b""
            if office.contract.view(reading.columns) is None:
                raise ResultError("columns")
            return reading, files.read(folder / "model.onnx", ONNX_LIMIT_BYTES)
        except (ResultError, OSError) as error:
            refusal = _died(str(error))
            return Reading([failed("lectura", refusal)], refusal), b""


def prove(
    translation: Translation,
    columns: list[str],
    sidecar: bytes | None,
    rule: Decision,
    office: Office,
    force: bool,
) -> Proof:
    """What the second child measured on the ONNX file, in a folder that the first never saw.

    ``columns`` are its inputs; ``sidecar`` the bytes of the sidecar, for its golden rows; with
    ``force`` it may rank the other way round than the active model.
    """
    with _folder(office.settings) as folder:
        files.write(folder / "model.onnx", translation.model, durable=False)
        if sidecar is not None:
            files.write(folder / "sidecar.json", sidecar, durable=False)
        active = _active(office)
        if active is not None:
            files.write(folder / "active.onnx", active.model, durable=False)
        request = {
            "contract": office.settings.contract,
            "limits": limits(office.settings),
            "readable": _readable(office.settings),
            "columns": columns,
            "converted": translation.converted,
            "rule": asdict(rule),
            "active_rule": asdict(active.rule) if active else None,
            "active_columns": active.columns if active else None,
            # The demonstration learnt from invented rows: a real model owes it no likeness.
            "force": force or (active is not None and active.demonstration),
        }
        files.write_json(folder / "request.json", request, durable=False)
        ended = _run("propensia.admission.proving", folder, office.settings)
        if ended is not None:
            return Proof([failed("prueba", ended)], ended)
        try:
            return results.read_proof(folder / "result.json", len(columns))
        except ResultError as error:
            refusal = _died(str(error))
            return Proof([failed("prueba", refusal)], refusal)


def _readable(settings: Settings) -> list[str]:
    """What a child may read besides its own folder."""
    return [] if settings.contract in shipped() else [settings.contract]


@contextmanager
def _folder(settings: Settings) -> Iterator[Path]:
    """An empty folder for one child, gone afterwards."""
    folder = settings.state / "work" / secrets.token_hex(8)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        files.remove_tree(folder)


def _run(module: str, folder: Path, settings: Settings) -> Refusal | None:
    """Run a child to its end; the refusal that its death means, ``None`` for a good end."""
    wait_s = settings.admission_seconds + 5
    finished = processes.run(
        "propensia.confinement", module, str(folder), timeout_s=wait_s, folder=folder
    )
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


def failed(name: str, refusal: Refusal) -> Finding:
    """A check of that name that ended in this refusal."""
    return Finding(name, "fallo", refusal.text("es"))


@dataclass(frozen=True, slots=True)
class Active:
    """The model that answers now, its columns and rule, and whether it is only for show."""

    model: bytes
    columns: list[str]
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
        columns = manifest["columns"]
        if whole and office.contract.view(columns) is not None:
            rule = decision(manifest, current, office.contract.threshold)
            return Active(model, columns, rule, manifest.get("demonstration", False))
    except (OSError, RegistryError, KeyError, TypeError):
        return None
    return None
