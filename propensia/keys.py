"""``propensia keys``: makes, shows, rotates and revokes the keys that callers show.

It prints a key once, when it is made, and never takes one, so that none appears in ``ps``.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from propensia import heartbeat
from propensia.access import keys
from propensia.access.keys import FOLDER, Key
from propensia.access.roles import OLD_ROUTE
from propensia.access.typed import Rights, alike, composed
from propensia.audit import Audit
from propensia.settings import Settings
from propensia.terminal import Exit, table

SETTLE_S = 1.0
"""Two looks of every worker at the file: when a command ends, they all know what it did."""

HEADING = (
    "NOMBRE",
    "ID",
    "PAPEL",
    "ESTADO",
    "CREADA",
    "CADUCA",
    "ÚLTIMO USO",
    "VA EN",
    "REDES",
    "DIRECCIONES",
)


class Refused(Exception):
    """What was asked for cannot be done with the keys there are; the text says why."""


def create(chosen: Settings, asked: Rights, who: str) -> Exit:
    """Make a key and print it; ``who`` asks for it. Raises ``Refused``, ``AccessError``, ``Busy``
    and ``OSError``; then nothing was changed."""
    folder, now = chosen.state / FOLDER, time.time()
    shown, made = _made(asked, now)
    before: list[Key] = []

    def decide(known: list[Key]) -> list[Key]:
        before[:] = known
        _refuse_alike(asked.name, [key for key in known if key.is_good(now)])
        Audit(chosen.state).record("keys.created", who=who, **keys.audited(made))
        return [*known, made]

    were_lost = keys.lost(folder)
    keys.change(folder, decide, anew=True)
    if were_lost:
        _say("Faltaba el fichero de las claves: las de antes ya no valen.")
    _say(f"Clave de {_described(made)}, papel {made.role}, {_until(made)}.")
    _hand_out(chosen, shown, made)
    if not before and not were_lost and not chosen.jwt_keys:
        _say(_first(chosen))
    if not any(key.role == "admin" and key.is_good(now) for key in [*before, made]):
        _say("Nadie puede con todo: haga otra con «propensia keys create NOMBRE --role admin».")
    _settle(chosen.state)
    return Exit.DONE


def show(chosen: Settings) -> Exit:
    """Print every key, oldest first; never a hash. Raises ``AccessError`` and ``OSError``."""
    folder, now = chosen.state / FOLDER, time.time()
    rows = [_row(key, now, keys.last_use(folder, key.id)) for key in keys.stored(folder)]
    if rows:
        click.echo(table([HEADING, *rows]))
    else:
        click.echo("No hay claves, y no se piden; «propensia keys create» hace la primera.")
    return Exit.DONE


def rotate(chosen: Settings, which: str, overlap_s: float, who: str) -> Exit:
    """Make a key in place of others, which go on for ``overlap_s`` at most, and print it.

    In place of all of that name, or of the one of that id. It has the rights of the newest of
    them, and lasts as long as that was meant to. Raises as ``create``.
    """
    now = time.time()
    text: list[str] = []
    after: list[Key] = []
    replaced: list[str] = []

    def decide(known: list[Key]) -> list[Key]:
        old, ended = _to_replace(known, which, now)
        lasts = None if old.expires is None else now + (old.expires - old.created)
        rights = Rights(old.name, old.role, lasts, old.networks, old.routes, old.in_path)
        shown, made = _made(rights, now)
        text[:], replaced[:] = [shown], [key.id for key in ended]
        after[:] = [_until_then(key, now + overlap_s) if key in ended else key for key in known]
        after.append(made)
        until = {key.id: keys.ends(key) for key in after if key.id in replaced}
        told = {"replaced": replaced, "until": until, "overlap_s": overlap_s}
        _record(chosen, "keys.rotated", who, keys.audited(made) | told)
        return after

    keys.change(chosen.state / FOLDER, decide)
    made = after[-1]
    _say(f"Clave nueva de {_described(made)}, con los permisos de la anterior, {_until(made)}.")
    _hand_out(chosen, text[0], made)
    for key in after[:-1]:
        if key.id in replaced:
            word = f"vale {_until(key)}" if key.is_good(now) else "ya no vale"
            _say(f"La anterior ({key.id}) {word}.")
        elif key.name == made.name and key.is_good(now):
            _say(f"También vale ({key.id}), {_until(key)}: no la ha cambiado.")
    if overlap_s and replaced:
        _say("Si alguien la ha visto, no espere: «propensia keys revoke ID».")
    _settle(chosen.state)
    return Exit.DONE


def revoke(chosen: Settings, which: str, who: str) -> Exit:
    """Take the key of that id, or all of that name, out of use for good. Raises as ``create``."""
    now = time.time()
    ended: list[Key] = []
    left: list[Key] = []

    def decide(known: list[Key]) -> list[Key]:
        ended[:] = [key for key in _meant(known, which) if key.revoked is None]
        after = [replace(key, revoked=now) if key in ended else key for key in known]
        left[:] = [key for key in after if key.is_good(now)]
        if ended:
            facts = {"keys": [key.id for key in ended], "name": ended[0].name}
            _record(chosen, "keys.revoked", who, facts)
        return after

    keys.change(chosen.state / FOLDER, decide)
    for key in ended:
        click.echo(f"Revocada: {_described(key)}. Deja de valer en menos de 2 segundos.")
    if not ended:
        click.echo("Ya estaba revocada.")
    if not left:
        _say("No queda ninguna clave que valga: nadie puede llamar hasta que haga otra.")
    _settle(chosen.state)
    return Exit.DONE


# What the audit log is told, before it is done


def _record(chosen: Settings, event: str, who: str, facts: dict[str, Any]) -> None:
    """A key that is known to somebody must go, whether or not it can be told: the keeper finds
    later what was not, and records that."""
    try:
        Audit(chosen.state).record(event, who=who, **facts)
    except OSError as error:
        _say(f"No se puede escribir en el registro de auditoría ({error.strerror}): véalo.")


# Which keys are meant


def _made(rights: Rights, now: float) -> tuple[str, Key]:
    return keys.new(created=now, **asdict(rights))


def _refuse_alike(name: str, good: list[Key]) -> None:
    for key in good:
        if key.name == name:
            raise Refused(
                f"ya hay una clave de {_described(key)}; cámbiela con «propensia keys rotate», o "
                "elija otro nombre"
            )
        if alike(key.name, name):
            raise Refused(f"«{name}» se confunde con {_described(key)}; elija otro nombre")


def _meant(known: list[Key], which: str) -> list[Key]:
    """The key of that id, else all of that name, oldest first."""
    if which.startswith(keys.PREFIX):  # not to be repeated: what is on a screen is read
        raise Refused("eso es una clave: dé su id, las ocho letras que siguen a ppk_, o su nombre")
    name = composed(which)
    found = [key for key in known if key.id == which] or [k for k in known if k.name == name]
    if not found:
        raise Refused("no hay ninguna clave con ese id o nombre; mire «propensia keys list»")
    return found


def _to_replace(known: list[Key], which: str, now: float) -> tuple[Key, list[Key]]:
    """The key whose rights the new one gets, and those that it replaces.

    One that has expired is followed by a new one too, unless another of its name took its place.
    """
    found = [key for key in _meant(known, which) if key.revoked is None]
    if not found:
        raise Refused("esa clave está revocada; haga otra con «propensia keys create»")
    good = [key for key in known if key.name == found[-1].name and key.is_good(now)]
    ended = [key for key in found if key in good]
    if good and not ended:
        raise Refused(f"esa clave ya no vale; la que vale de ese nombre es {good[-1].id}")
    return good[-1] if good else found[-1], ended


def _until_then(key: Key, ends: float) -> Key:
    """The same key, good until then at most."""
    return replace(key, expires=ends if key.expires is None else min(key.expires, ends))


# What is said


def _first(chosen: Settings) -> str:
    """What the first key changes, for whoever calls already."""
    but = "; para dar tiempo a los programas de antes, «propensia keys --help»"
    if chosen.open_networks:
        but = f", salvo en GET /prediccion a las redes de open_networks ({chosen.open_networks})"
    return (
        "Es la primera: desde ahora se pide clave a todos, también en esta máquina, y hasta ahora "
        f"no se pedía.\nQuien llame sin ella recibe un error 401{but}."
    )


def _hand_out(chosen: Settings, shown: str, key: Key) -> None:
    """The key alone goes to standard output, so that a script can take it from there."""
    _say("Cópiela ahora: no se guarda y no se vuelve a mostrar.\n")
    if not key.in_path:
        click.echo(shown)
        _say(
            "\nVa en la cabecera X-API-Key, o en «Authorization: Bearer», de cada petición.\n"
            "Guárdela como una contraseña."
        )
        return
    # Whole addresses are not known here: callers may come through a proxy, by another name.
    click.echo(f"/c/{shown}{OLD_ROUTE}")
    scheme = "https" if chosen.tls_certificate else "http"
    _say(
        f"\nVa en la dirección, en lugar de {OLD_ROUTE}: ponga delante el nombre con que le "
        f"llaman,\n{scheme}://NOMBRE:PUERTO; la parte desde «?» no cambia."
    )
    if not key.networks:
        _say("Quien vea la dirección ve la clave: limítela a unas redes con --networks.")


def _row(key: Key, now: float, last: float | None) -> tuple[str, ...]:
    return (
        key.name,
        key.id,
        key.role,
        _state(key, now),
        _moment(key.created),
        "nunca" if key.expires is None else _moment(key.expires),
        "nunca" if last is None else _moment(last),
        "dirección" if key.in_path else "cabecera",
        ", ".join(map(str, key.networks)) or "todas",
        ", ".join(sorted(key.routes)) or "las de su papel",
    )


def _state(key: Key, now: float) -> str:
    if key.revoked is not None:
        return "revocada"
    return "vale" if key.is_good(now) else "caducada"


def _described(key: Key) -> str:
    return f"«{key.name}» ({key.id})"


def _until(key: Key) -> str:
    return "sin caducidad" if key.expires is None else f"hasta {_moment(key.expires)}"


def _moment(at: float) -> str:
    """A time by the clock of this machine, with its distance from UTC."""
    return datetime.fromtimestamp(at).astimezone().isoformat(" ", "minutes")


def _settle(state: Path) -> None:
    """Wait for the workers of this machine, if there are any, to look at the file."""
    if heartbeat.look_all(state / "workers"):
        time.sleep(SETTLE_S)


def _say(text: str) -> None:
    click.echo(text, err=True)
