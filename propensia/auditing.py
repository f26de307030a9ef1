"""``propensia audit``: shows what was recorded, and whether the record is what was written.

It reads; what it finds wrong it mends nowhere.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import click

from propensia import delimited, reconciling
from propensia.audit import EVENTS, Audit, Record, verify
from propensia.reconciling import Change
from propensia.registry import Registry
from propensia.settings import Settings
from propensia.terminal import Exit, table

HEADING = ("numero", "momento", "suceso", "quien", "datos", "motivo")

is_head = re.compile("[0-9a-f]{16,64}").fullmatch
"""Whether a text may be a head that somebody noted: with fewer digits it might be another."""


def check(chosen: Settings, noted: str | None) -> Exit:
    """Print whether the log is whole, and tells what there is; ``REFUSED`` where not. ``noted``:
    the hash of a head that has to be in it. Raises ``OSError`` and ``RegistryError``."""
    audit = Audit(chosen.state)
    found = verify(audit, noted)
    if found.wrong is not None:
        click.echo(f"La auditoría NO está íntegra: {found.wrong}.")
        if found.count:
            click.echo(f"Hasta la línea {found.count} ({_moment(found.until)}) está como se hizo.")
        return Exit.REFUSED
    if not found.count:
        click.echo("Aún no se ha anotado nada.")
    else:
        since, until = _moment(found.since), _moment(found.until)
        click.echo(f"Auditoría íntegra: {found.count} líneas, de {since} a {until}.")
        click.echo(f"Final: {found.head.number} {found.head.hash}")
    if found.torn:
        click.echo(
            f"Tras la última hay media línea ({found.torn} bytes), de un corte: se aparta y se "
            "anota con la siguiente."
        )
    if noted is not None:
        click.echo(f"El final que se anotó es el de la línea {found.noted}: sigue ahí.")
    registry = Registry(chosen.state)
    untold = [_sentence(change) for change in reconciling.changes(registry)]
    for sentence in untold:
        click.echo(f"No consta: {sentence}.")
    if untold:
        click.echo("El servicio lo anota al arrancar, y cada diez minutos.")
    return Exit.REFUSED if untold else Exit.DONE


def show(chosen: Settings, since_ms: int | None, event: str | None, format: str) -> Exit:
    """Print the records, oldest first; a line that was damaged is left out, ``check`` names it.
    Raises ``OSError``."""
    wanted = _wanted(Audit(chosen.state).all(), since_ms, event)
    if format == "json":
        for record in wanted:
            click.echo(json.dumps(_row(record), ensure_ascii=False))
        return Exit.DONE
    rows = ((str(r.number), _moment(r.at), *_words(r)) for r in wanted)
    if format == "csv":
        write = delimited.writing(sys.stdout)
        for row in (HEADING, *rows):
            write(row)
        return Exit.DONE
    found = [tuple(_printable(cell) for cell in row) for row in rows]
    click.echo(table([tuple(name.upper() for name in HEADING), *found]) if found else "Nada.")
    return Exit.DONE


def _wanted(found: Iterable[Record], since_ms: int | None, event: str | None) -> Iterator[Record]:
    for record in found:
        if event not in (None, record.event):
            continue
        at_ms = datetime.fromisoformat(record.at).timestamp() * 1000
        if since_ms is None or at_ms >= since_ms:
            yield record


def _row(record: Record) -> dict[str, Any]:
    at = datetime.fromisoformat(record.at).astimezone()
    return {
        "numero": record.number,
        "momento": at.isoformat(timespec="milliseconds"),
        "suceso": record.event,
        "quien": record.who,
        "datos": record.facts,
        "motivo": record.why,
        "hash": record.hash,
    }


def _words(record: Record) -> tuple[str, str, str, str]:
    return EVENTS[record.event][0], record.who, facts(record.facts), record.why


def facts(told: dict[str, Any]) -> str:
    """The facts of a record on one line; those that say nothing are left out."""
    changed = [f"{name}: {_change(row)}" for name, row in told.get("changed", {}).items()]
    said = [
        f"{name}={_text(value)}"
        for name, value in told.items()
        if name != "changed"
        and value is not False
        and value not in (None, "", [])  # 0 == False: a count is told
    ]
    return ", ".join(said + changed)


def _change(row: dict[str, Any]) -> str:
    if any(isinstance(row[end], dict) for end in ("from", "to")):
        return "otro secreto" if row["to"] else "sin secreto"
    return f"{_text(row['from'])} → {_text(row['to'])}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _printable(text: str) -> str:
    """What somebody wrote may hold what moves the cursor of a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _moment(at: str) -> str:
    """A time by the clock of this machine, with its distance from UTC."""
    return datetime.fromisoformat(at).astimezone().isoformat(" ", "seconds")


def _sentence(change: Change) -> str:
    what = change.facts
    if change.event == "missing":
        one = what.get("release") or what.get("key")
        return f"{'la publicación' if 'release' in what else 'la clave'} {one}, que ya no está"
    if "release" in what:
        return f"la publicación {what['release']} ({what['version']}), tal como está"
    changed = ", ".join(f"{name}: {_change(row)}" for name, row in what.get("changed", {}).items())
    now = "revocada" if what["revoked"] else "que vale"
    return f"la clave {what['key']}, {now}{f', cambiada ({changed})' if changed else ''}"
