"""``propensia doctor``: what is in order here, what is not, and what to do about it.

It looks and tells; it mends nothing.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from propensia import heartbeat, inbox
from propensia.commands import Parts
from propensia.registry import Registry
from propensia.settings import Settings

LEAST_FREE_BYTES = 1 << 30
MOST_SKEW_S = 60.0
GOOD, WARN, BAD = "bien ", "aviso", "fallo"
Finding = tuple[str, str]


def examine(parts: Parts) -> int:
    """Print one line a finding; 0 when nothing is broken, 1 otherwise (warnings do not count)."""
    findings = [
        *_versions(),
        *_state(parts.settings),
        *_models(parts.settings),
        *_served(parts.registry),
        *_running(parts.settings),
    ]
    for mark, sentence in findings:
        click.echo(f"{mark}  {sentence}")
    return 1 if any(mark == BAD for mark, _ in findings) else 0


def _versions() -> Iterator[Finding]:
    found = []
    for name in ("propensia", "scikit-learn", "onnxruntime", "numpy", "granian", "tensorflow"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} no está")
    yield GOOD, f"Python {sys.version.split()[0]}, " + ", ".join(found)


def _state(settings: Settings) -> Iterator[Finding]:
    state = settings.state
    if str(state).startswith(("\\\\", "//")):
        yield BAD, f"{state} está en red; el estado debe ir en un disco local (PROPENSIA_STATE)"
    yield _writable(state, "estado", BAD)
    free = shutil.disk_usage(state).free
    mark = GOOD if free > LEAST_FREE_BYTES else WARN
    yield mark, f"quedan {free / (1 << 30):.1f} GiB libres en el disco del estado"
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        yield WARN, "se ejecuta como root; use una cuenta sin privilegios"


def _models(settings: Settings) -> Iterator[Finding]:
    folder = settings.models
    try:
        seen = inbox.look(folder)
    except OSError as error:
        yield BAD, f"no se puede leer la carpeta de modelos {folder} ({error.strerror})"
        return
    yield GOOD, f"carpeta de modelos {folder}: {len(seen)} ficheros"
    mark, sentence = _writable(folder, "modelos", WARN)
    if mark != GOOD:
        sentence += "; el texto y el informe no aparecerán junto a los ficheros"
    yield mark, sentence
    if os.name == "posix" and folder.stat().st_mode & stat.S_IWOTH:
        yield WARN, f"cualquiera puede escribir en {folder}; limite quién deja modelos"
    yield from _clock(folder)


def _writable(folder: Path, name: str, otherwise: str) -> Finding:
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".prueba-"):
            return GOOD, f"se puede escribir en la carpeta de {name} {folder}"
    except OSError as error:
        return otherwise, f"no se puede escribir en la carpeta de {name} ({error.strerror})"


def _clock(folder: Path) -> Iterator[Finding]:
    """The skew between this clock and that of the machine that holds the share."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".prueba-") as probe:
            skew = Path(probe.name).stat().st_mtime - time.time()
    except OSError:
        return
    if abs(skew) > MOST_SKEW_S:
        yield WARN, f"el reloj de la carpeta de modelos difiere en {skew:.0f} s del de aquí"


def _served(registry: Registry) -> Iterator[Finding]:
    current = registry.current()
    if current is None:
        yield WARN, "aún no hay modelo publicado"
        return
    manifest = registry.manifest(current.version)
    pinned = ", fijada" if current.pinned else ""
    yield GOOD, f"activa: {current.model} ({current.version}{pinned}), {manifest['family']}"
    if manifest.get("demonstration"):
        yield WARN, "el modelo activo es el de demostración; deje el suyo en la carpeta de modelos"
    previous = registry.previous()
    yield (
        GOOD,
        f"anterior: {previous.model} ({previous.version})" if previous else "no hay anterior",
    )


def _running(settings: Settings) -> Iterator[Finding]:
    workers = heartbeat.look_all(settings.state / "workers")
    keeper = heartbeat.look(settings.state / "keeper.json", fresh_s=30.0)
    if not workers and keeper is None:
        yield WARN, "el servidor no está en marcha (propensia serve)"
        return
    behind = {worker["version"] for worker in workers}
    mark = GOOD if len(behind) == 1 else WARN
    shown = ", ".join(str(version) for version in sorted(behind, key=str))
    yield mark, f"{len(workers)} procesos responden con la versión {shown}"
    if keeper is None:
        yield BAD, "el vigilante de la carpeta no da señales; reinicie el servidor"
    else:
        problems = keeper["problemas"] or ["sin problemas"]
        yield (WARN if keeper["problemas"] else GOOD), "vigilante: " + "; ".join(problems)
