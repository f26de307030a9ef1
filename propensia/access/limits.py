"""How often each caller may ask: counted over all workers of a machine, in one small file.

It must never hold up a request for longer than a moment, and keeps no name and no address: hashes.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path
from typing import Protocol

from propensia import files, locks
from propensia.access.networks import Address
from propensia.access.redis_limits import RedisCounts
from propensia.access.roles import Caller
from propensia.access.sliding import PARTS, Taken, advanced, taken
from propensia.settings import Settings, SettingsError

log = logging.getLogger(__name__)

FILE = "limits.bin"
UNITS_S = {"s": 1, "min": 60, "h": 3600}
MOST = 1_000_000
PATIENCE_S = 0.02
"""How long a request waits for another process that is counting; then it counts all the same."""

_PAUSE_S = 0.0002
_SLOT = struct.Struct(f"<16sQ{PARTS}I4x")  # who, last counted (ns), requests by part of the window
_WAYS, _SETS = 8, 512
_SET_BYTES = _WAYS * _SLOT.size
_OF_NETWORKS = _SETS // 2
"""Sets for keys and tokens come first, then those for networks: strangers, who may have any number
of addresses, must not make a key's count be forgotten."""

_SECRET_AT = _SETS * _SET_BYTES + _SETS  # beyond the locks
_SECRET_BYTES = 32
_NET = "net "


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` requests in any ``window_s`` seconds; each ``name`` counts apart."""

    name: str
    count: int
    window_s: int

    @classmethod
    def read(cls, name: str, text: str) -> Rate | None:
        """The rate that a setting says, ``100/min``; ``None`` for ``off``. Raises
        ``SettingsError``."""
        if text == "off":
            return None
        found = re.fullmatch(r"([0-9]{1,7})/(s|min|h)", text)
        if found is None or not 1 <= int(found[1]) <= MOST:
            raise SettingsError(
                f"el ajuste {name!r} debe ser N/s, N/min, N/h u off, con N de 1 a {MOST}"
            )
        return cls(name, int(found[1]), UNITS_S[found[2]])


FAILED = Rate("failed", 300, 60)
"""Keys that are not good, from one network: more than a program with an old key needs to be told,
and far too few to guess 256 bits."""

KEYLESS = Rate("keyless", 300, 60)
"""Requests without a key where one is needed, from one network."""

ENTERING = Rate("entering", 60, 60)
"""Forms of the login page with a key that is not good, and of logging out, from one network."""


class Limits:
    """The rates of the settings, and who has asked how often. Safe for threads and processes."""

    def __init__(self, chosen: Settings, clock: Callable[[], int] = time.monotonic_ns) -> None:
        """``clock`` gives nanoseconds that only grow, the same for all processes of the machine.
        Raises ``SettingsError`` for a rate that is none, or where Redis cannot be used at all."""
        self.rate, self.rate_get = rates(chosen)
        self._clock = clock
        self._own = _Counts(_Memory())
        self._shared: _Counts | None = None
        self._redis = RedisCounts.of(chosen.redis_url)
        self._file_problem: str | None = None
        try:
            self._shared = _Counts(_File(chosen.state / "access" / FILE))
        except OSError as error:
            self._tell(error)

    @property
    def problem(self) -> str | None:
        """What keeps requests from being counted together, for ``/health``."""
        return self._file_problem or (None if self._redis is None else self._redis.problem)

    def take(self, rate: Rate, who: str) -> Taken:
        """Count one request of ``who``, unless that is one too many. Raises nothing."""
        # The holder of a token may be called by what is no UTF-8.
        named = f"{rate.name} {rate.window_s} {who}".encode("utf-8", "backslashreplace")
        if self._redis is not None:
            # The same for all machines, and without a table that could be full.
            id = hashlib.blake2b(named, digest_size=16).digest()
            told = self._redis.take(id, rate.count, rate.window_s)
            if told is not None:
                return told
        of_network = who.startswith(_NET)
        if self._shared is not None:
            try:
                told = self._shared.take(named, of_network, rate, self._clock)
                self._file_problem = None
                return told
            except OSError as error:
                self._tell(error)
        return self._own.take(named, of_network, rate, self._clock)

    def _tell(self, error: OSError) -> None:
        if self._file_problem is None:
            why = error.strerror or type(error).__name__
            self._file_problem = f"límites: cada proceso cuenta por su lado ({FILE}: {why})"
            log.error("limits: every process counts alone: %s: %s", FILE, why)


def check(chosen: Settings) -> None:
    """Raise ``SettingsError`` where ``Limits`` would: better one process says so than each."""
    rates(chosen)
    RedisCounts.of(chosen.redis_url)


def rates(chosen: Settings) -> tuple[Rate | None, Rate | None]:
    """The rates of the settings: for nearly everything, and for the old GET route. Raises
    ``SettingsError``."""
    return (
        Rate.read("rate_limit", chosen.rate_limit),
        Rate.read("rate_limit_get", chosen.rate_limit_get),
    )


def identity(caller: Caller, address: Address | None) -> str:
    """Under which name a caller's requests are counted: the key, the holder of a token, or the
    network."""
    if caller.key:
        return f"key {caller.key}"
    return f"token {caller.name}" if caller.means == "token" else network(address)


def network(address: Address | None) -> str:
    """An IPv4 address, or the 64 bits that one subscriber of IPv6 gets at least (RFC 6177): who
    has so many addresses must not have as many counts."""
    if isinstance(address, IPv6Address):
        return f"{_NET}{int(address) >> 64:x}/64"
    return f"{_NET}{address}"


class _Storage(Protocol):
    """A row of bytes, and locks on its sets. ``secret``: what nobody outside knows, the same for
    all who share the bytes."""

    secret: bytes

    def read(self, offset: int, size: int) -> bytes: ...

    def write(self, offset: int, data: bytes) -> None: ...

    def lock(self, which: int) -> bool: ...

    def unlock(self, which: int) -> None: ...


class _Counts:
    """A table of counts of fixed size: each caller has one of the places that its hash allows,
    and the count that was used least recently makes way for a new one.

    The hash has a key: who could work it out could choose networks that drive another's count out.
    """

    def __init__(self, storage: _Storage) -> None:
        self._storage = storage
        self._mutex = threading.Lock()

    def take(self, named: bytes, of_network: bool, rate: Rate, clock: Callable[[], int]) -> Taken:
        """Count one request, unless it is one too many. Raises ``OSError``."""
        id = hashlib.blake2b(named, key=self._storage.secret, digest_size=16).digest()
        which = int.from_bytes(id[:4], "little") % _OF_NETWORKS + of_network * _OF_NETWORKS
        with self._mutex:
            held = self._storage.lock(which)
            try:
                return self._take(which * _SET_BYTES, id, rate, clock())
            finally:
                if held:
                    self._storage.unlock(which)

    def _take(self, start: int, id: bytes, rate: Rate, now: int) -> Taken:
        data = self._storage.read(start, _SET_BYTES)
        at = data.find(id)
        if at < 0:

            def used(place: int) -> int:
                last = int.from_bytes(data[place + 16 : place + 24], "little")
                return last if last <= now else 0  # of before the machine started again

            at = min(range(0, _SET_BYTES, _SLOT.size), key=used)
            counts: tuple[int, ...] = (0,) * PARTS
        else:
            _, last, *kept = _SLOT.unpack_from(data, at)
            counts = advanced(kept, last, now, rate.window_s)
        told = taken(counts, now, rate.count, rate.window_s)
        first, *others = counts
        # Who is refused was here too: or the place would go to others, and the count with it.
        self._storage.write(start + at, _SLOT.pack(id, now, first + told.allowed, *others))
        return told


class _Memory:
    """The table of one process."""

    def __init__(self) -> None:
        self.secret = secrets.token_bytes(_SECRET_BYTES)
        self._data = bytearray(_SETS * _SET_BYTES)

    def read(self, offset: int, size: int) -> bytes:
        return bytes(self._data[offset : offset + size])

    def write(self, offset: int, data: bytes) -> None:
        self._data[offset : offset + len(data)] = data

    def lock(self, which: int) -> bool:
        return False

    def unlock(self, which: int) -> None:
        """Nobody else has this table."""


class _File:
    """The table of all processes. It stays open, as the log of requests and the counts of
    ``/metrics`` do: to open it for each request would cost more than to count.

    Read and written by calls, not mapped into memory: a full disk or a file that somebody cut is
    then an error, and not the end of the process.
    """

    def __init__(self, path: Path) -> None:
        """Raises ``OSError``."""
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT
        for name in ("O_CLOEXEC", "O_BINARY", "O_NOINHERIT"):
            flags |= getattr(os, name, 0)
        self._handle = os.open(path, flags, 0o600)
        if os.fstat(self._handle).st_size < _SECRET_AT + _SECRET_BYTES:
            os.ftruncate(self._handle, _SECRET_AT + _SECRET_BYTES)
        self.secret = self._common_secret()

    def read(self, offset: int, size: int) -> bytes:
        data = files.read_at(self._handle, size, offset)
        return data + bytes(size - len(data))  # somebody cut the file: nothing is counted there

    def write(self, offset: int, data: bytes) -> None:
        files.write_at(self._handle, data, offset)

    def lock(self, which: int) -> bool:
        deadline = time.monotonic() + PATIENCE_S
        # Beyond the table: on Windows, what is locked cannot be read by others.
        while not locks.lock_byte(self._handle, _SETS * _SET_BYTES + which):
            if time.monotonic() >= deadline:
                return False  # a process that was stopped there must not stop all others
            time.sleep(_PAUSE_S)
        return True

    def unlock(self, which: int) -> None:
        locks.unlock_byte(self._handle, _SETS * _SET_BYTES + which)

    def _common_secret(self) -> bytes:
        """The secret in the file; the first process makes it."""
        held = self.lock(0)
        try:
            secret = self.read(_SECRET_AT, _SECRET_BYTES)
            if not any(secret):
                secret = secrets.token_bytes(_SECRET_BYTES)
                self.write(_SECRET_AT, secret)
            return secret
        finally:
            if held:
                self.unlock(0)
