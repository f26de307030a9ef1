"""What is in order with the memory of an installation: journal, database, audit log and its keys.

It looks and tells; it mends nothing, and makes nothing.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from propensia import audit, heartbeat, reconciling, spanish
from propensia.audit import Audit
from propensia.journal import references
from propensia.journal.references import References
from propensia.journal.writer import FOLDER
from propensia.registry import Registry, RegistryError
from propensia.settings import Settings
from propensia.store.database import StoreError
from propensia.store.looking import Look, look
from propensia.store.schema import REVISION

GOOD, WARN, BAD = "bien ", "aviso", "fallo"
Finding = tuple[str, str]

BEHIND_S = 60.0
AHEAD_MS = 60_000
LONGEST_MONTHS = 62
"""Days: a month is judged whole, once the outcomes of its last answers have come."""
ANSWER_BYTES = 1200
"""What an answer takes in the journal and in the database together, with room to spare
(``python -m benchmarks shipping`` tells)."""


def writable(folder: Path, name: str, otherwise: str) -> Finding:
    """Whether this account can write in a folder."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".prueba-"):
            return GOOD, f"se puede escribir en la carpeta de {name} {folder}"
    except OSError as error:
        return otherwise, f"no se puede escribir en la carpeta de {name} ({error.strerror})"


def memory(settings: Settings) -> Iterator[Finding]:
    """What the journal and the database are like."""
    if settings.journal == "off":
        yield WARN, "no se lleva diario (journal = off): no queda nada de lo que se responde"
    elif settings.journal == "optional":
        yield WARN, "se responde aunque no se pueda anotar en el diario (journal = optional)"
    folder = settings.state / FOLDER
    if folder.is_dir():
        yield writable(folder, "diario", BAD)
        yield from _journal(settings)
    now_ms = time.time_ns() // 1_000_000
    try:
        found = look(settings, now_ms)
    except StoreError as error:
        yield BAD, f"base de datos: {error}; el diario lo guarda todo mientras tanto"
        return
    yield from _database(settings, found, now_ms)


def _journal(settings: Settings) -> Iterator[Finding]:
    keeper = heartbeat.look(settings.state / "keeper.json", fresh_s=30.0)
    if keeper is None:
        paths = (settings.state / FOLDER).glob("*.journal")
        size = sum(path.stat().st_size for path in paths)
        if size:
            told = spanish.number(size / 1e6, 1)
            yield GOOD, f"diario: {told} MB, que el servicio pasa a la base de datos al arrancar"
        return
    note = keeper.get("diario") or {}
    late = float(note.get("retraso_segundos", 0.0))
    told = f"diario: lo último espera {spanish.number(late, 0)} s a la base de datos"
    yield (WARN, told) if late > BEHIND_S else (GOOD, "diario: al día en la base de datos")
    if aside := note.get("apartados"):
        yield WARN, f"diario: {aside} registros apartados en {FOLDER}/*.rejected; mírelos"
    if unread := note.get("ilegibles"):
        yield WARN, f"diario: {unread} líneas ilegibles, de un corte o de un disco malo"


def _database(settings: Settings, found: Look, now_ms: int) -> Iterator[Finding]:
    if found.revision is None:
        yield WARN, f"aún no hay base de datos en {found.where}; la hace el servicio al arrancar"
        return
    mark = GOOD if found.revision == REVISION else WARN
    wants = "" if mark == GOOD else f", y este programa usa {REVISION}"
    yield mark, f"base de datos {found.where}, tablas {found.revision}{wants}"
    free, need = shutil.disk_usage(settings.state).free, found.day * ANSWER_BYTES
    if need > free:
        told = (
            f"el último día hubo {spanish.number(found.day, 0)} respuestas: otro igual, sin base"
        )
        left = spanish.number(free / (1 << 30), 1)
        yield WARN, f"{told} de datos, no cabe en los {left} GiB que quedan"
    if found.newest_ms is not None and found.newest_ms > now_ms + AHEAD_MS:
        ahead = spanish.number((found.newest_ms - now_ms) / 1000, 0)
        yield WARN, f"hay respuestas de dentro de {ahead} s: el reloj iba o va mal"


def retention(settings: Settings) -> Iterator[Finding]:
    """Whether answers are kept until the last month of them can be judged."""
    least, kept = settings.outcome_days + LONGEST_MONTHS, settings.keep_answers_days
    if kept < least:
        told = f"keep_answers_days = {kept}, menos que outcome_days y dos meses más ({least})"
        yield WARN, f"{told}: un mes se borra antes de madurar, y no habrá acierto realizado"


def reference_key(settings: Settings) -> Iterator[Finding]:
    """Whether references can be hashed, and nobody else can try them."""
    path = settings.state / references.NAME
    if not path.exists():
        return
    try:
        References(settings.state)
    except (OSError, ValueError):
        told = f"{path.name} está dañada o no se puede leer; restáurela de una copia: con otra no"
        yield BAD, f"{told} se encuentra a nadie por su referencia"
        return
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield BAD, f"otras cuentas pueden leer {path.name}; quíteles el permiso (chmod 600)"
    else:
        yield GOOD, f"la clave de las referencias está, y solo la lee esta cuenta ({path.name})"


def audit_log(settings: Settings) -> Iterator[Finding]:
    """Whether the audit log is whole, and tells what there is."""
    try:
        found = audit.verify(Audit(settings.state))
        untold = len(reconciling.changes(Registry(settings.state)))
    except (OSError, RegistryError) as error:
        yield BAD, f"auditoría: no se puede leer ({error})"
        return
    if found.wrong is not None:
        yield BAD, f"auditoría: {found.wrong}; vea el runbook"
        return
    if found.count:
        yield GOOD, f"auditoría íntegra: {found.count} líneas; final {found.head.hash[:16]}"
    if found.torn:
        yield WARN, f"auditoría: media línea al final ({found.torn} bytes), de un corte"
    if untold:
        yield WARN, f"auditoría: no constan {untold} cambios; véalos con «propensia audit verify»"
