"""What the commands about models do, and what they print: in Spanish, one fact a line.

Each takes the parts it needs; none reads the command line.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from propensia import admission, files, inbox, reception, standing
from propensia.admission import listing as listings
from propensia.admission import reader
from propensia.admission.compiler import strangers
from propensia.admission.ladder import MARKS
from propensia.admission.refusal import shown
from propensia.confinement import confine
from propensia.publishing import Hand, Order, Publishing
from propensia.registry import Release, decision
from propensia.settings import Settings
from propensia.terminal import Exit, Parts, table

MOST_ODD = 12


def read(file: Path, settings: Settings) -> admission.Dropped:
    """A file and what lies beside it, as the keeper reads them, so that both get one version.

    The name may be any. Raises ``Refusal`` for what the keeper refuses unread, and ``OSError``.
    """
    return reception.read_dropped(inbox.look_at(file), settings)


def check(parts: Parts, file: Path, report: Path | None) -> Exit:
    """Judge a file and print every check; nothing is kept but the report, where asked."""
    try:
        dropped = read(file, parts.settings)
    except admission.Refusal as refusal:
        return _refused(file, refusal)
    outcome = admission.judge(dropped, parts.settings, parts.contract, parts.registry)
    _print_checks(file.name, dropped, outcome)
    if report is not None:
        files.write(report, outcome.report.encode("utf-8"))
        click.echo(f"Informe: {report}")
    return Exit.REFUSED if outcome.refusal else Exit.DONE


def listing(settings: Settings, file: Path) -> Exit:
    """Print what is in a file, as a tree; a file that cannot be read says why.

    Confines this process for good, as admission confines its children: it should end after this.
    """
    place = str(file.absolute().parent)
    confine(**admission.limits(settings), readable=[place], folder=None)
    try:
        data = read(file, replace(settings, signatures="off")).data
        root = reader.read(data, limit_bytes=settings.max_unpacked_mb << 20)
        click.echo(listings.describe(root))
        odd = list(dict.fromkeys(shown(str(name)) for name in strangers(root)))
        if odd:
            rest = f" … y {len(odd) - MOST_ODD} más" if len(odd) > MOST_ODD else ""
            click.echo(f"\nNo es parte de un modelo admitido: {', '.join(odd[:MOST_ODD])}{rest}")
    except admission.Refusal as refusal:
        return _refused(file, refusal)
    except MemoryError:
        detail = f"más de {settings.admission_memory_mb} MB"
        return _refused(file, admission.Refusal("demasiada_memoria", detail))
    return Exit.DONE


def admit(
    parts: Parts, file: Path, why: str, force: bool, who: Hand, *, only_after: int | None = None
) -> Exit:
    """Judge a file and publish it if it is good, whatever is pinned; with four eyes somebody else
    has to publish what is new. ``only_after``: as in ``Order``."""
    try:
        dropped = read(file, parts.settings)
    except admission.Refusal as refusal:
        return _refused(file, refusal)
    desk = _publishing(parts)
    accepted, outcome = desk.admit(dropped, who, force=force)
    if not accepted:
        assert outcome is not None  # only what was accepted before is not judged again
        _print_checks(file.name, dropped, outcome)
        return Exit.REFUSED
    release, is_new, waits = None, False, desk.is_for_another(dropped.sha256)
    if not waits:
        # Before anything is printed: a closed pipe must not stop what was asked for.
        order = Order(who, why or shown(file.name), "admit", only_after=only_after)
        release, is_new = desk.activate(dropped.version, order)
    if outcome is None:
        click.echo(f"ACEPTADO {shown(file.name)}  versión {dropped.version}, ya comprobada")
    else:
        _print_checks(file.name, dropped, outcome)
    if release is None:
        click.echo(
            f"Queda como candidata ({dropped.version}): {standing.FOUR_EYES}, con POST "
            f"/modelos/{dropped.version}/activar o propensia activate {dropped.version}"
        )
    else:
        _decided(release, is_new)
    return Exit.DONE


def models(parts: Parts) -> None:
    """Print every version: which answers, which did before, what was refused and why."""
    registry = parts.registry
    current, previous = registry.current(), registry.previous()
    if current is None:
        click.echo(f"Aún no hay modelo publicado. Deje un PKL en {parts.settings.models}")
    roles = {previous.version: "anterior"} if previous else {}
    if current is not None:
        roles[current.version] = "activa, fijada" if current.pinned else "activa"
    rows: list[tuple[str, ...]] = [("VERSIÓN", "ESTADO", "MODELO", "FAMILIA", "COMPROBADO")]
    for version in registry.versions():
        manifest = registry.manifest(version)
        role = roles.get(version, "candidata")
        rows.append((version, role, manifest["model"], manifest["family"], manifest["admitted"]))
    rows[1:] = sorted(rows[1:], key=lambda row: row[4], reverse=True)
    if rows[1:]:
        click.echo(table(rows))
    for verdict in registry.verdicts():
        if not verdict["accepted"]:
            click.echo(f"\nrechazada  {verdict['model']}  ({verdict['at']}): {verdict['why']}")
    if current is not None:
        rule = decision(registry.manifest(current.version), current, parts.contract.threshold)
        click.echo(
            f"\nPublicación {current.number} ({current.cause}, {current.who}, {current.at})"
        )
        click.echo(f"Umbral {rule.threshold:g}. {current.why}".rstrip())


def activate(parts: Parts, version: str, why: str, who: Hand) -> None:
    """Publish a version that was admitted, whatever is pinned; with four eyes, only one that
    somebody else handed in."""
    order = Order(who, why, "activar")
    _decided(*_publishing(parts).activate(parts.registry.find(version), order))


def rollback(parts: Parts, version: str | None, why: str, who: Hand) -> None:
    """Publish the version before, or a named one; a version keeps the threshold it had.

    Only what can be served here: whole, and with the columns of this contract.
    """
    target = None if version is None else parts.registry.find(version)
    order = Order(who, why, "rollback")
    _decided(*_publishing(parts).go_back(target, order))


def pin(parts: Parts, off: bool, why: str, who: Hand) -> None:
    """Publish the active version again, pinned or released."""
    order = Order(who, why, "unpin" if off else "pin")
    release, is_new = _publishing(parts).pin(off, order)
    if not is_new:
        click.echo(f"La versión {release.version} ya está {'suelta' if off else 'fijada'}.")
        return
    word = "suelta: los ficheros nuevos se publican" if off else "fijada: nada nuevo se publica"
    click.echo(f"La versión {release.version} queda {word}.")


def threshold(parts: Parts, value: float, why: str, who: Hand) -> None:
    """Publish the active version again with another threshold, in [0, 1]."""
    desk = _publishing(parts)
    active = desk.active()
    order = Order(who, why, "threshold", threshold=value, only_after=active.number)
    release, _ = desk.activate(active.version, order)
    click.echo(f"Umbral {value:g} desde la publicación {release.number} ({release.version}).")


def _publishing(parts: Parts) -> Publishing:
    return Publishing(parts.settings, parts.contract, parts.registry)


def _decided(release: Release, is_new: bool) -> None:
    if not is_new:
        click.echo(f"Ya es la versión activa ({release.version}); nada cambia.")
        return
    click.echo(
        f"Publicada la versión {release.version} ({release.model}), "
        f"publicación {release.number}. Los procesos la toman en un segundo."
    )


def _refused(file: Path, refusal: admission.Refusal) -> Exit:
    click.echo(f"RECHAZADO {shown(file.name)}: {refusal.text('es')}")
    return Exit.REFUSED


def _print_checks(name: str, dropped: admission.Dropped, outcome: admission.Outcome) -> None:
    word = "RECHAZADO" if outcome.refusal else "ACEPTADO"
    click.echo(f"{word} {shown(name)}  versión {dropped.version}")
    for found in outcome.checks:
        click.echo(f"  {MARKS[found.outcome]} {found.name}: {found.sentence}")
