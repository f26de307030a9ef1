"""What the commands about models do, and what they print: in Spanish, one fact a line.

Each takes the parts it needs and returns an exit code; none reads the command line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import click

from propensia import admission, files, inbox, keeper
from propensia.admission import listing as listings
from propensia.admission import reader
from propensia.admission.ladder import MARKS
from propensia.contract import Contract
from propensia.registry import Registry, RegistryError, Release, decision
from propensia.settings import Settings

DONE, REFUSED = 0, 1


class Parts(Protocol):
    """What every command starts from."""

    settings: Settings
    contract: Contract
    registry: Registry


def read(file: Path, settings: Settings) -> admission.Dropped:
    """A file and the sidecar beside it, as the keeper reads them. Raises ``OSError``."""
    sidecar = file.with_suffix(".json")
    seen = inbox.Seen(file.name, file, (), sidecar if sidecar.exists() else None)
    return keeper.read_dropped(seen, settings)


def check(parts: Parts, file: Path, report: Path | None) -> int:
    """Judge a file and print every check; nothing is kept but the report, where asked."""
    dropped = read(file, parts.settings)
    outcome = admission.judge(dropped, parts.settings, parts.contract, parts.registry)
    _print_checks(file.name, dropped, outcome)
    if report is not None:
        files.write(report, outcome.report.encode("utf-8"))
        click.echo(f"Informe: {report}")
    return REFUSED if outcome.refusal else DONE


def listing(parts: Parts, file: Path) -> int:
    """Print what is in a file, as a tree; a file that cannot be read says why."""
    data = files.read(file, parts.settings.max_file_mb << 20)
    try:
        root = reader.read(data, limit_bytes=parts.settings.max_unpacked_mb << 20)
        click.echo(listings.describe(root))
    except admission.Refusal as refusal:
        click.echo(f"RECHAZADO {file.name}: {refusal.text('es')}", err=True)
        return REFUSED
    return DONE


def admit(parts: Parts, file: Path, why: str, force: bool, who: str) -> int:
    """Judge a file and publish it if it is good, whatever is pinned."""
    dropped = read(file, parts.settings)
    verdict, outcome = admission.admit(
        dropped, parts.settings, parts.contract, parts.registry, force=force
    )
    current, release = parts.registry.current(), None
    if verdict["accepted"] and (current is None or current.version != dropped.version):
        # Before anything is printed: a closed pipe must not stop what was asked for.
        release = parts.registry.publish(
            dropped.version,
            cause="admit",
            who=who,
            why=why or file.name,
            pinned=current is not None and current.pinned,
        )
    _print_checks(file.name, dropped, outcome)
    if not verdict["accepted"]:
        return REFUSED
    if release is None:
        click.echo(f"Ya es la versión activa ({dropped.version}); nada cambia.")
    else:
        _published(release)
    return DONE


def models(parts: Parts) -> int:
    """Print every version: which answers, which did before, what was refused and why."""
    registry = parts.registry
    current, previous = registry.current(), registry.previous()
    if current is None:
        click.echo(f"Aún no hay modelo publicado. Deje un PKL en {parts.settings.models}")
        return DONE
    roles = {previous.version: "anterior"} if previous else {}
    roles[current.version] = "activa, fijada" if current.pinned else "activa"
    rows: list[tuple[str, ...]] = [("VERSIÓN", "ESTADO", "MODELO", "FAMILIA", "COMPROBADO")]
    for version in registry.versions():
        manifest = registry.manifest(version)
        role = roles.get(version, "candidata")
        rows.append((version, role, manifest["model"], manifest["family"], manifest["admitted"]))
    rows[1:] = sorted(rows[1:], key=lambda row: row[4], reverse=True)
    click.echo(table(rows))
    for verdict in registry.verdicts():
        if not verdict["accepted"]:
            click.echo(f"\nrechazada  {verdict['model']}  ({verdict['at']}): {verdict['why']}")
    rule = decision(registry.manifest(current.version), current)
    click.echo(f"\nPublicación {current.number} ({current.cause}, {current.who}, {current.at})")
    click.echo(f"Umbral {rule.threshold:g}. {current.why}".rstrip())
    return DONE


def rollback(parts: Parts, version: str | None, why: str, who: str) -> int:
    """Publish the version before, or a named one; a version keeps the threshold it had."""
    registry = parts.registry
    current = _current(registry)
    if version is None:
        previous = registry.previous()
        if previous is None:
            raise RegistryError("no hay una versión anterior a la que volver")
        target = previous.version
    else:
        target = registry.find(version)
    if target == current.version:
        click.echo(f"Ya es la versión activa ({target}); nada cambia.")
        return DONE
    last = registry.last_of(target)
    _published(
        registry.publish(
            target,
            cause="rollback",
            who=who,
            why=why,
            threshold=last.threshold if last else None,
            pinned=current.pinned,
        )
    )
    return DONE


def pin(parts: Parts, off: bool, why: str, who: str) -> int:
    """Publish the active version again, pinned or released."""
    current = _current(parts.registry)
    if current.pinned is not off:
        click.echo(f"La versión {current.version} ya está {'suelta' if off else 'fijada'}.")
        return DONE
    parts.registry.publish(
        current.version,
        cause="unpin" if off else "pin",
        who=who,
        why=why,
        threshold=current.threshold,
        pinned=not off,
        only_after=current.number,
    )
    word = "suelta: los ficheros nuevos se publican" if off else "fijada: nada nuevo se publica"
    click.echo(f"La versión {current.version} queda {word}.")
    return DONE


def threshold(parts: Parts, value: float, why: str, who: str) -> int:
    """Publish the active version again with another threshold, in [0, 1]."""
    current = _current(parts.registry)
    release = parts.registry.publish(
        current.version,
        cause="threshold",
        who=who,
        why=why,
        threshold=value,
        pinned=current.pinned,
        only_after=current.number,
    )
    click.echo(f"Umbral {value:g} desde la publicación {release.number} ({release.version}).")
    return DONE


def table(rows: list[tuple[str, ...]]) -> str:
    """Rows of text as columns of equal width, the first row being the heading."""
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(str(t).ljust(w) for t, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _current(registry: Registry) -> Release:
    current = registry.current()
    if current is None:
        raise RegistryError("aún no hay modelo publicado")
    return current


def _published(release: Release) -> None:
    click.echo(
        f"Publicada la versión {release.version} ({release.model}), "
        f"publicación {release.number}. Los procesos la toman en un segundo."
    )


def _print_checks(name: str, dropped: admission.Dropped, outcome: admission.Outcome) -> None:
    word = "RECHAZADO" if outcome.refusal else "ACEPTADO"
    click.echo(f"{word} {name}  versión {dropped.version}")
    for found in outcome.checks:
        click.echo(f"  {MARKS[found['outcome']]} {found['name']}: {found['sentence']}")
