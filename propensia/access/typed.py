"""What an administrator types about a key, read: its name, role, expiry, networks and routes.

It must never take what may mean two things, nor repeat a text that may be a key.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from propensia import likeness
from propensia.access import keys, networks
from propensia.access.networks import NetworkError, Networks
from propensia.access.roles import OLD_ROUTE, PERMISSIONS, ROLES

LONGEST_NAME = 64
SIGNS = " ._-@"
"""What a name may hold besides letters and digits."""

LONGEST_S = 100 * 365.25 * 86400
UNITS_S = {"s": 1, "min": 60, "h": 3600, "d": 86400}

_duration = re.compile(r"([0-9]{1,9})(s|min|h|d)").fullmatch
_ALIKE = str.maketrans("01i", "oll")  # as they look in many letterings


class WrongUse(Exception):
    """What was typed makes no sense; the text says what does."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a key is for; ``expires`` in seconds since 1970, ``None`` is never. As in ``Key``."""

    name: str
    role: str
    expires: float | None
    networks: Networks = ()
    routes: frozenset[str] = frozenset()
    in_path: bool = False


def rights(
    name: str,
    role: str,
    expires: str,
    nets: str,
    paths: str,
    in_path: bool,
    now: float,
    known: Iterable[tuple[str, str | None]],
) -> Rights:
    """What was typed, read. ``known``: every path of the table of routes with its permission,
    ``None`` where no key is asked for. Raises ``WrongUse``."""
    if role not in ROLES:
        raise WrongUse(f"--role: elija uno de {', '.join(ROLES)}")
    if in_path and role != "caller":
        raise WrongUse("--path: una clave en la dirección solo puede ser de papel caller")
    routes = _routes(paths, role, list(known))
    if in_path and routes - {OLD_ROUTE}:
        raise WrongUse(f"--path: una clave en la dirección solo vale para {OLD_ROUTE}")
    try:
        limits = networks.listed(nets)
    except NetworkError as error:
        raise WrongUse(f"--networks: {error}") from error
    return Rights(_name(name), role, _expiry(expires, now), limits, routes, in_path)


def seconds(option: str, text: str) -> float:
    """A length of time as ``30min``, ``24h``, ``90d`` or ``0``. Raises ``WrongUse``, which names
    the option."""
    match = _duration("0s" if text == "0" else text)
    if match is None or (found := int(match[1]) * UNITS_S[match[2]]) > LONGEST_S:
        raise WrongUse(f"{option}: escriba un tiempo como 30min, 24h o 90d")
    return float(found)


def composed(name: str) -> str:
    """A name in the one form that is kept: keyboards write an accent in two ways (NFKC)."""
    return unicodedata.normalize("NFKC", name)


def alike(name: str, other: str) -> bool:
    """Whether people would take one name for the other."""
    return _looks(name) == _looks(other)


def _looks(name: str) -> str:
    return likeness.folded(name).translate(_ALIKE)


def _name(text: str) -> str:
    """A name that can stand in a list, a log and a command, and is neither a key nor an id."""
    name = composed(text)
    good = all((letter.isalnum() and ord(letter) < 256) or letter in SIGNS for letter in name)
    if not good or not 0 < len(name.strip()) == len(name) <= LONGEST_NAME:
        raise WrongUse(f"el nombre: de 1 a {LONGEST_NAME} letras, cifras o «{SIGNS}»")
    if not _looks(name) or keys.is_id(name) or name.startswith(keys.PREFIX):
        raise WrongUse("el nombre: que diga de quién es la clave, por ejemplo marcador")
    return name


def _routes(text: str, role: str, known: list[tuple[str, str | None]]) -> frozenset[str]:
    asking = {path for path, permission in known if permission}
    usable = {path for path, permission in known if permission and role in PERMISSIONS[permission]}
    found = frozenset(filter(None, (part.strip() for part in text.split(","))))
    for path in sorted(found):
        if path not in asking:
            near = likeness.nearest(path, asking, 0.6)
            hint = f"¿quería decir {near}?" if near else f"son: {', '.join(sorted(asking))}"
            raise WrongUse(f"--routes: {path!r} no es una dirección que pida clave; {hint}")
        if path not in usable:
            raise WrongUse(f"--routes: el papel {role} no puede usar {path}")
    return found


def _expiry(text: str, now: float) -> float | None:
    """A moment; a day counts to its end, by the clock of this machine."""
    if text == "never":
        return None
    if _duration(text):
        at = now + seconds("--expires", text)
    else:
        try:
            after = date.fromisoformat(text) + timedelta(days=1)
            at = datetime(after.year, after.month, after.day).astimezone().timestamp()
        except (ValueError, OverflowError) as error:
            raise WrongUse(
                "--expires: escriba 12h, 90d, un día como 2027-01-31, o never"
            ) from error
    if at <= now:
        raise WrongUse("--expires: ese momento ya ha pasado")
    if at > now + LONGEST_S:
        raise WrongUse("--expires: son más de cien años; escriba never")
    return at
