"""``propensia keys``: makes, shows, rotates and revokes the keys that callers show.

It prints a key once, when it is made, and never takes one, so that none appears in ``ps``.
"""

from __future__ import annotations

import socket
import time
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

import click

from propensia import heartbeat
from propensia.access import keys
from propensia.access.keys import FOLDER, Key
from propensia.access.typed import PATH_ROUTE, Rights, alike, composed
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


def create(chosen: Settings, asked: Rights) -> Exit:
    """Make a key and print it. Raises ``Refused``, ``AccessError``, ``Busy`` and ``OSError``;
    then nothing was changed."""
    folder, now = chosen.state / FOLDER, time.time()
    shown, made = _made(asked, now)
    before: list[Key] = []

    def decide(known: list[Key]) -> list[Key]:
        before[:] = known
        _refuse_alike(asked.name, [key for key in known if key.is_good(now)])
        return [*known, made]

    were_lost = keys.lost(folder)
    keys.change(folder, decide, anew=True)
    if were_lost:
        _say("Faltaba el fichero de las claves: las de antes ya no valen.")
    _say(f"Clave de {_described(made)}, papel {made.role}, {_until(made)}.")
    _hand_out(chosen, shown, made)
    if not before and not were_lost:
        _say("Es la primera: desde ahora se pide clave a todos, también en esta máquina.")
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


def rotate(chosen: Settings, which: str, overlap_s: float) -> Exit:
    """Make a key with the rights of another, which goes on for ``overlap_s``, and print it.

    The new one lasts as long as the other did. Raises as ``create``.
    """
    now = time.time()
    pair: list[Key] = []
    text: list[str] = []

    def decide(known: list[Key]) -> list[Key]:
        old = _newest(known, which)
        lasts = None if old.expires is None else now + (old.expires - old.created)
        ends = now + overlap_s if old.expires is None else min(old.expires, now + overlap_s)
        rights = Rights(old.name, old.role, lasts, old.networks, old.routes, old.in_path)
        shown, made = _made(rights, now)
        pair[:], text[:] = [replace(old, expires=ends), made], [shown]
        return [pair[0] if key.id == old.id else key for key in known] + [made]

    keys.change(chosen.state / FOLDER, decide)
    old, made = pair
    _say(f"Clave nueva de {_described(made)}, con los permisos de la anterior, {_until(made)}.")
    _hand_out(chosen, text[0], made)
    _say(f"La anterior ({old.id}) {'vale ' + _until(old) if old.is_good(now) else 'ya no vale'}.")
    _settle(chosen.state)
    return Exit.DONE


def revoke(chosen: Settings, which: str) -> Exit:
    """Take the key of that id, or all of that name, out of use for good. Raises as ``create``."""
    now = time.time()
    ended: list[Key] = []
    left: list[Key] = []

    def decide(known: list[Key]) -> list[Key]:
        ended[:] = [key for key in _meant(known, which) if key.revoked is None]
        after = [replace(key, revoked=now) if key in ended else key for key in known]
        left[:] = [key for key in after if key.is_good(now)]
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


def _newest(known: list[Key], which: str) -> Key:
    """The key to rotate: the last of that name that was not revoked."""
    found = [key for key in _meant(known, which) if key.revoked is None]
    if not found:
        raise Refused("esa clave está revocada; haga otra con «propensia keys create»")
    last = [key for key in known if key.name == found[-1].name and key.revoked is None][-1]
    if last.id != found[-1].id:
        raise Refused(f"esa clave ya se cambió por {last.id}; rote esa")
    return last


# What is said


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
    host = socket.gethostname() if chosen.host in ("0.0.0.0", "::") else chosen.host
    click.echo(f"http://{host}:{chosen.port}/c/{shown}{PATH_ROUTE}")
    _say("\nEsa es la dirección, en lugar de la de antes; la parte desde «?» no cambia.")
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
