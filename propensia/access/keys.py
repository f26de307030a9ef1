"""API keys: made, rotated and revoked in one file, of which every worker keeps a copy in memory.

The file holds hashes; a key itself is shown once, when it is made, and never kept.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from propensia import files
from propensia.access import networks, reserve
from propensia.access.networks import Networks
from propensia.access.roles import ROLES, Caller
from propensia.locks import Lock

FOLDER = "access"
"""Below the state folder; whoever may read it learns who calls, but no key."""

FILE, LOCK, USED = "keys.json", "keys.lock", "used"
MARKER = "access.txt"
"""Beside the folder: says that keys were made here. Without it, who loses them would open the
service."""

MARKER_TEXT = """Aquí se hicieron claves: mientras exista este fichero, el servicio las pide.
Si falta access/keys.json, restáurelo de una copia, o haga otras con «propensia keys create».

Keys were made here: while this file exists, the service asks for them.
If access/keys.json is gone, restore it from a copy, or make new keys with "propensia keys create".
"""
PREFIX = "ppk_"
PATIENCE_S = 10.0
STAMP_S = 60.0
"""How often, at most, a process writes down that a key was used."""

is_id = re.compile("[0-9a-f]{8}").fullmatch
_is_hash = re.compile("[0-9a-f]{64}").fullmatch


class AccessError(Exception):
    """The keys cannot be known: their file is damaged, or gone; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key. Times are seconds since 1970; ``expires`` ``None`` means never.

    ``networks`` and ``routes``: where it may be used from, and for which paths of the table of
    routes; empty: everywhere, and for all that its role may. ``in_path``: it stands in the
    address, for callers that cannot send a header, and nowhere else.
    """

    id: str
    sha256: str = field(repr=False)
    name: str
    role: str
    created: float
    expires: float | None = None
    revoked: float | None = None
    networks: Networks = ()
    routes: frozenset[str] = frozenset()
    in_path: bool = False
    caller: Caller = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "caller", Caller(self.name, self.role, "key", self.id))

    def is_good(self, now: float) -> bool:
        """Whether it may be used at that time."""
        return self.revoked is None and (self.expires is None or now < self.expires)


class Keys:
    """The keys of one installation, in memory. Safe for threads.

    ``refresh`` and ``stamp`` are for one thread in the background; nothing else touches the disk.
    """

    def __init__(self, folder: Path) -> None:
        """Raises ``OSError`` and ``AccessError``, as ``refresh``."""
        self._folder = folder
        self._marks: object = None
        self._by_hash: Mapping[str, Key] = {}
        self._by_id: Mapping[str, Key] = {}
        self._used: dict[str, float] = {}
        self._next_stamp: dict[str, float] = {}
        self.refresh()

    def __bool__(self) -> bool:
        """Whether keys were ever made here, even if none of them is good any more."""
        return self._marks is not None

    def refresh(self) -> None:
        """Read the file again if it changed. Raises ``OSError``, or ``AccessError`` where it is
        damaged or gone; what was known before stays."""
        path = self._folder / FILE
        try:
            status = path.stat()
        except FileNotFoundError:
            if self._marks is not None or lost(self._folder):
                raise _gone() from None
            return
        marks = (status.st_mtime_ns, status.st_size, status.st_ino)
        if marks == self._marks:
            return
        found = stored(self._folder)
        self._by_id = {key.id: key for key in found}
        self._by_hash = {key.sha256: key for key in found}
        self._marks = marks

    def find(self, shown: str) -> Key | None:
        """The key that somebody shows. Looked up by its hash, so that the time it takes says
        nothing about the letters of any key."""
        return self._by_hash.get(hashlib.sha256(shown.encode("utf-8", "replace")).hexdigest())

    def by_id(self, id: str) -> Key | None:
        """The key of that id."""
        return self._by_id.get(id)

    def count_good(self, now: float) -> int:
        """How many keys may be used at that time."""
        return sum(key.is_good(now) for key in self._by_id.values())

    def used(self, key: Key, now: float) -> None:
        """Remember that a key was used at that time; ``stamp`` writes it down."""
        self._used[key.id] = now

    def stamp(self) -> None:
        """Write down when keys were last used, each at most once in ``STAMP_S``. Raises
        ``OSError``."""
        clock = time.monotonic()
        for id in list(self._used):
            if clock >= self._next_stamp.get(id, 0.0):
                self._next_stamp[id] = clock + STAMP_S
                _stamp(self._folder / USED, id, self._used.pop(id))


def new(name: str, role: str, created: float, **more: Any) -> tuple[str, Key]:
    """A key that nobody else has: the text to hand out, and what is kept of it; ``more`` are the
    other fields of ``Key``.

    256 random bits need no slow hash: there is nothing to guess (OWASP ASVS 5, 11.4.2).
    """
    id = secrets.token_hex(4)
    shown = f"{PREFIX}{id}_{secrets.token_urlsafe(32)}"
    return shown, Key(id, hashlib.sha256(shown.encode()).hexdigest(), name, role, created, **more)


def audited(key: Key) -> dict[str, Any]:
    """What the audit log tells of a key, by which a later change of its row is found. Times in
    UTC. ``mark`` stands for its hash: of 256 random bits nobody finds anything by it."""
    return {
        "key": key.id,
        "name": key.name,
        "role": key.role,
        "expires": ends(key),
        "networks": [str(network) for network in key.networks],
        "routes": sorted(key.routes),
        "in_path": key.in_path,
        "mark": hashlib.sha256(f"mark {key.sha256}".encode("ascii")).hexdigest()[:32],
    }


def ends(key: Key) -> str | None:
    """Until when a key is meant to be good, in ISO 8601, UTC."""
    if key.expires is None:
        return None
    return datetime.fromtimestamp(key.expires, UTC).isoformat(timespec="milliseconds")


def lost(folder: Path) -> bool:
    """Whether keys were made in that folder and their file is gone. Raises ``OSError``."""
    return _marker(folder).exists() and not (folder / FILE).exists()


def last_use(folder: Path, id: str) -> float | None:
    """When a key was last used, to about a minute; ``None`` if it never was."""
    try:
        return (folder / USED / id).stat().st_mtime
    except FileNotFoundError:
        return None


def stored(folder: Path) -> list[Key]:
    """The keys in the file, oldest first. Raises ``OSError``, and ``AccessError`` where it is
    damaged or gone."""
    try:
        found = [_key(row) for row in files.read_json(folder / FILE)["keys"]]
        if not _differ(found):
            raise ValueError("two keys of one id or hash")
        return found
    except FileNotFoundError:
        if lost(folder):
            raise _gone() from None
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise AccessError(
            f"{FILE} está dañado: restáurelo de una copia; o bórrelo, y haga claves nuevas con "
            "«propensia keys create»"
        ) from error


def change(folder: Path, decide: Callable[[list[Key]], list[Key]], *, anew: bool = False) -> None:
    """Write what ``decide`` makes of the keys, one command at a time, whole or not at all.

    ``anew``: begin with none where the file is gone. Raises ``AccessError``, ``OSError``,
    ``locks.Busy``, and whatever ``decide`` raises; then nothing is changed.
    """
    _prepare(folder)
    with Lock(folder / LOCK, PATIENCE_S):
        wanted = decide([] if anew and lost(folder) else stored(folder))
        if not _differ(wanted):  # one in four thousand million, for each pair of keys
            raise AccessError("la clave nueva salió igual que otra; repita la orden")
        if not _marker(folder).exists():  # first: a power cut in between must not open anything
            files.write(_marker(folder), MARKER_TEXT.encode())
        reserve.write(folder / FILE, _written(wanted))


def _differ(keys: list[Key]) -> bool:
    """Whether no two have an id or a hash in common: else revoking one might leave the other."""
    return len(keys) == len({key.id for key in keys}) == len({key.sha256 for key in keys})


def _marker(folder: Path) -> Path:
    return folder.parent / MARKER


def _prepare(folder: Path) -> None:
    """Make a folder that only its owner may enter. Raises ``OSError`` and ``AccessError``."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if os.name == "posix":
        owner = folder.parent.stat().st_uid
        if os.geteuid() == 0 != owner:
            raise AccessError(
                f"{folder.parent} es de otra cuenta, que no podría leer lo que escriba root; "
                f"ejecute la orden como ella (sudo -u '#{owner}' …)"
            )
    folder.mkdir(mode=stat.S_IRWXU, exist_ok=True)
    if os.name == "posix" and stat.S_IMODE(folder.stat().st_mode) != stat.S_IRWXU:
        folder.chmod(stat.S_IRWXU)


def _stamp(folder: Path, id: str, at: float) -> None:
    """Make ``at`` the time of an empty file, unless another process wrote a later one."""
    path = folder / id
    try:
        if path.stat().st_mtime >= at:
            return
    except FileNotFoundError:
        folder.mkdir(mode=stat.S_IRWXU, exist_ok=True)
        path.touch()
    os.utime(path, (at, at))


def _gone() -> AccessError:
    return AccessError(
        f"falta {FILE}, y aquí se hicieron claves: restáurelo de una copia, o haga claves nuevas "
        "con «propensia keys create»"
    )


_FIELDS = {row.name for row in fields(Key) if row.init}


def _key(row: Any) -> Key:
    """The key of one row. Whatever is not as ``_written`` writes it raises ``ValueError`` or
    ``TypeError``: a limit that is left out or misspelt must not become no limit."""
    if not isinstance(row, dict) or row.keys() != _FIELDS:
        raise ValueError("not the fields of a key")
    if not (is_id(row["id"]) and _is_hash(row["sha256"]) and row["role"] in ROLES):
        raise ValueError("not a key")
    later = [row[name] for name in ("expires", "revoked") if row[name] is not None]
    if not all(map(math.isfinite, [row["created"], *later])):
        raise ValueError("not a time")
    lists = (row["networks"], row["routes"])
    if not (all(isinstance(given, list) for given in lists) and isinstance(row["in_path"], bool)):
        raise TypeError("not the limits of a key")
    limits = {
        "networks": networks.listed(",".join(row["networks"])),
        "routes": frozenset(map(str, row["routes"])),
    }
    return Key(**{**row, **limits, "name": str(row["name"])})


def _written(keys: list[Key]) -> bytes:
    rows = [
        {
            "id": key.id,
            "sha256": key.sha256,
            "name": key.name,
            "role": key.role,
            "created": key.created,
            "expires": key.expires,
            "revoked": key.revoked,
            "networks": [str(network) for network in key.networks],
            "routes": sorted(key.routes),
            "in_path": key.in_path,
        }
        for key in keys
    ]
    return json.dumps({"keys": rows}, indent=1, ensure_ascii=False).encode()
