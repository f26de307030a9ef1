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
from dataclasses import fields, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from propensia import alerts, examining, heartbeat, inbox, signing
from propensia import contract as contracts
from propensia import settings as settings_table
from propensia.access import Access, keys, limits, networks
from propensia.access.keys import AccessError, Key
from propensia.access.redis_limits import RedisCounts
from propensia.contract import ContractError
from propensia.examining import BAD, GOOD, WARN, Finding, writable
from propensia.registry import Registry, RegistryError
from propensia.settings import Settings, SettingsError
from propensia.terminal import Exit

LEAST_FREE_BYTES = 1 << 30
MOST_SKEW_S = 60.0
SOON_S = 14 * 86400.0
IDLE_S = 7 * 86400.0
"""A key that nobody used this long after it was made was perhaps never handed out."""


def examine() -> Exit:
    """Print one line a finding; ``REFUSED`` when something is broken (warnings do not count)."""
    ill = False
    for mark, sentence in _findings():
        click.echo(f"{mark}  {sentence}")
        ill = ill or mark == BAD
    return Exit.REFUSED if ill else Exit.DONE


def try_alerts() -> Exit:
    """Send a test over every channel of the alerts and print a line for each; ``REFUSED`` when
    there is none, or one does not take it."""
    found = alerts.try_out(settings_table.load(), time.time_ns() // 1_000_000)
    for channel, problem in found.items():
        told = "la alerta de prueba llegó" if problem is None else f"no llegó ({problem})"
        click.echo(f"{BAD if problem else GOOD}  {channel}: {told}")
    if not found:
        click.echo(f"{BAD}  no hay a dónde enviar alertas: ponga alert_webhook o alert_email")
    return Exit.DONE if found and not any(found.values()) else Exit.REFUSED


def _findings() -> Iterator[Finding]:
    yield _versions()
    try:
        settings = settings_table.load()
    except SettingsError as error:  # without them nobody knows where to look
        yield BAD, f"ajustes: {error}"
        return
    yield _contract(settings)
    yield from _state(settings)
    yield from _models(settings)
    yield from _signatures(settings)
    yield from _access(settings)
    yield from _limits(settings)
    yield from examining.memory(settings)
    yield from examining.retention(settings)
    yield from examining.reference_key(settings)
    yield from examining.audit_log(settings)
    yield from _served(Registry(settings.state))
    yield from _running(settings)


def _versions() -> Finding:
    found = []
    for name in ("propensia", "scikit-learn", "onnxruntime", "numpy", "granian", "tensorflow"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} no está")
    return GOOD, f"Python {sys.version.split()[0]}, " + ", ".join(found)


def _contract(settings: Settings) -> Finding:
    try:
        contract = contracts.load(settings.contract)
    except ContractError as error:
        return BAD, str(error)
    shape = f"{len(contract.parameters)} parámetros, {len(contract.columns)} columnas"
    return GOOD, f"contrato {contract.name}: {shape}, huella {contract.fingerprint}"


def _state(settings: Settings) -> Iterator[Finding]:
    state = settings.state
    if settings_table.is_share(state):
        yield BAD, f"{state} está en red; el estado debe ir en un disco local (PROPENSIA_STATE)"
    existing = next((place for place in (state, *state.parents) if os.path.exists(place)), None)
    if existing is None:  # a drive or a share that is not there
        yield BAD, f"no se encuentra el disco de la carpeta de estado {state}"
        return
    if existing != state:
        yield WARN, f"no existe la carpeta de estado {state}; se crea al arrancar el servicio"
    yield writable(existing, "estado", BAD)
    free = shutil.disk_usage(existing).free
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
    mark, sentence = writable(folder, "modelos", WARN)
    if mark != GOOD:
        sentence += "; el texto y el informe no aparecerán junto a los ficheros"
    yield mark, sentence
    if os.name == "posix" and folder.stat().st_mode & stat.S_IWOTH:
        yield WARN, f"cualquiera puede escribir en {folder}; limite quién deja modelos"
    yield from _clock(folder)


def _signatures(settings: Settings) -> Iterator[Finding]:
    if settings.signatures == "off":
        return
    folder = settings.signature_keys
    try:
        found, damaged = signing.trusted(folder)
    except OSError as error:
        yield BAD, f"no se puede leer la carpeta de claves {folder} ({error.strerror})"
        return
    count = sum(not key.retired for key in found.values())
    yield (GOOD if count else BAD), f"se exige firma: {count} claves de confianza en {folder}"
    if damaged:
        yield WARN, f"no son claves públicas Ed25519: {', '.join(damaged)}"
    if count and os.name == "posix" and folder.stat().st_mode & stat.S_IWOTH:
        yield BAD, f"cualquiera puede escribir en {folder}, y así dar por buena su propia clave"


def _access(settings: Settings) -> Iterator[Finding]:
    """Who may call. What is printed are names of keys, which are no secret."""
    try:
        asked = [_asked_for(ran, Access(ran)) for ran in _as_started(settings)]
    except (AccessError, SettingsError) as error:
        yield BAD, f"acceso: {error}"
        return
    except OSError as error:
        yield BAD, f"acceso: no se puede leer la carpeta de las claves ({error.strerror})"
        return
    yield from asked
    folder, now = settings.state / keys.FOLDER, time.time()
    # By name, the newest: one that was rotated is meant to expire.
    good = {key.name: key for key in keys.stored(folder) if key.is_good(now)}.values()
    soon = [key for key in good if key.expires is not None and key.expires < now + SOON_S]
    if soon:
        yield WARN, f"caducan en menos de 14 días: {_names(soon)} (propensia keys rotate)"
    old = [key for key in good if key.created < now - IDLE_S]
    idle = [key for key in old if keys.last_use(folder, key.id) is None]
    if idle:
        yield WARN, f"nadie ha usado nunca: {_names(idle)} (propensia keys revoke, si sobran)"
    mode = folder.stat().st_mode if folder.exists() else 0
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield BAD, f"otras cuentas pueden entrar en {folder}; quíteles el permiso (chmod 700)"


def _asked_for(settings: Settings, access: Access) -> Finding:
    """Whether keys are asked for, where they have to be."""
    if access.is_closed:
        count = access.keys.count_good(time.time())
        mark = GOOD if count or access.tokens is not None else BAD
        tokens = "" if access.tokens is None else ", y tokens del proveedor de identidad"
        return mark, f"se piden claves: valen {count}{tokens}"
    if networks.is_loopback(settings.host):
        return GOOD, (
            "no se piden claves, y solo llaman programas de esta máquina; antes de poner un proxy "
            "delante, haga una con propensia keys create"
        )
    if settings.insecure:
        return WARN, f"{settings.host} se alcanza desde otras máquinas y no se piden claves"
    return BAD, (
        f"{settings.host} se alcanza desde otras máquinas y no hay claves: no arrancará; haga una "
        "con propensia keys create"
    )


def _limits(settings: Settings) -> Iterator[Finding]:
    try:
        limits.rates(settings)
        shared = RedisCounts.of(settings.redis_url)
    except SettingsError as error:
        yield BAD, f"límites: {error}"
        return
    if shared is not None and shared.answers():
        yield GOOD, "límites: Redis responde"
    elif shared is not None:
        yield WARN, "límites: Redis no responde o no deja entrar; cada máquina cuenta por su lado"


def _names(found: list[Key]) -> str:
    return ", ".join(f"{key.name} ({key.id})" for key in found)


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
    try:
        current, previous = registry.current(), registry.previous()
        manifest = registry.manifest(current.version) if current else {}
    except (OSError, RegistryError) as error:
        yield BAD, f"no se puede leer lo publicado: {error}"
        return
    if current is None:
        yield WARN, "aún no hay modelo publicado"
        return
    pinned = ", fijada" if current.pinned else ""
    yield GOOD, f"activa: {current.model} ({current.version}{pinned}), {manifest['family']}"
    if manifest.get("demonstration"):
        yield WARN, "el modelo activo es el de demostración; deje el suyo en la carpeta de modelos"
    before = f"anterior: {previous.model} ({previous.version})" if previous else "no hay anterior"
    yield GOOD, before


def _running(settings: Settings) -> Iterator[Finding]:
    workers = heartbeat.look_all(settings.state / "workers")
    keeper = heartbeat.look(settings.state / "keeper.json", fresh_s=30.0)
    if not workers and keeper is None:
        yield WARN, "el servidor no está en marcha (propensia serve)"
        return
    versions = sorted({worker["version"] or "(ninguna)" for worker in workers})
    mark = GOOD if len(versions) == 1 else WARN
    answering = f"{len(workers)} procesos responden con la versión {', '.join(versions)}"
    yield mark, answering if workers else "ningún proceso responde"
    for ran in _as_started(settings):
        if ran != settings:
            yield WARN, f"arrancó con otros ajustes que los de aquí: {_others(ran, settings)}"
    if keeper is None:
        yield BAD, "el vigilante de la carpeta no da señales; reinicie el servidor"
    else:
        problems = keeper["problemas"] or ["sin problemas"]
        yield (WARN if keeper["problemas"] else GOOD), "vigilante: " + "; ".join(problems)


def _as_started(settings: Settings) -> list[Settings]:
    """The settings that what runs was started with, as far as it tells, each once: who types
    ``serve --insecure`` writes it nowhere. Those of here where nothing runs."""
    notes = heartbeat.look_all(settings.state / "workers")
    told = [dict(note.get("ajustes") or {}) for note in notes]
    return list(dict.fromkeys(replace(settings, **one) for one in told)) or [settings]


def _others(ran: Settings, settings: Settings) -> str:
    different = [
        row for row in fields(Settings) if getattr(ran, row.name) != getattr(settings, row.name)
    ]
    return ", ".join(
        f"{row.name} = {'(secreto)' if row.metadata['secret'] else repr(getattr(ran, row.name))}"
        for row in different
    )
