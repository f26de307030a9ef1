"""API keys: made, rotated and revoked in one file, of which every worker keeps a copy in memory.

The file holds hashes; a key itself is shown once, when it is made, and never kept.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from propensia import files
from propensia.access import networks
from propensia.access.networks import Networks
from propensia.access.roles import Caller

FILE = "keys.json"
PREFIX = "ppk_"


class AccessError(Exception):
    """The file of the keys is damaged, or a key does not exist; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key. Times are seconds since 1970; ``expires`` ``None`` means never."""

    id: str
    sha256: str
    name: str
    role: str
    created: float
    expires: float | None = None
    revoked: float | None = None
    networks: Networks = ()
    routes: frozenset[str] = frozenset()
    in_path: bool = False
    caller: Caller = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "caller", Caller(self.name, self.role, "key", self.id))

    def is_good(self, now: float) -> bool:
        """Whether it may be used at that time."""
        return self.revoked is None and (self.expires is None or now < self.expires)


class Keys:
    """The keys of one installation, in memory. Safe for threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._marks: object = None
        self._by_hash: Mapping[str, Key] = {}
        self._by_id: Mapping[str, Key] = {}
        self.refresh()

    def __bool__(self) -> bool:
        return bool(self._by_id)

    def refresh(self) -> None:
        """Read the file again if it changed. Raises ``OSError``, or ``AccessError`` where it is
        damaged; what was known before stays."""
        path = self._folder / FILE
        try:
            status = path.stat()
        except FileNotFoundError:
            return
        marks = (status.st_mtime_ns, status.st_size, status.st_ino)
        if marks == self._marks:
            return
        found = _read(path)
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

    def used(self, key: Key) -> None:
        """Remember that a key was used now."""


def new(name: str, role: str, now: float, **more: Any) -> tuple[str, Key]:
    """A key that nobody else has: the text to hand out, and what is kept of it.

    256 random bits need no slow hash: there is nothing to guess (OWASP ASVS 5, 11.4.2).
    """
    id = secrets.token_hex(4)
    shown = f"{PREFIX}{id}_{secrets.token_urlsafe(32)}"
    return shown, Key(id, hashlib.sha256(shown.encode()).hexdigest(), name, role, now, **more)


def _read(path: Path) -> list[Key]:
    try:
        table = files.read_json(path)
        return [_key(row) for row in table["keys"]]
    except (ValueError, KeyError, TypeError) as error:
        raise AccessError(f"{path.name} está dañado: restáurelo de una copia") from error


def _key(row: Mapping[str, Any]) -> Key:
    given = dict(row)
    given["networks"] = networks.listed(",".join(given.get("networks", ())))
    given["routes"] = frozenset(given.get("routes", ()))
    return Key(**given)


def written(keys: list[Key]) -> bytes:
    """The file of these keys."""
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
    return json.dumps({"keys": rows}, indent=1).encode()
