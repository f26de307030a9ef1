"""What changed and the audit log does not tell: it is found, and recorded as found.

It changes nothing else: what was done past the log stays for a person to judge.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from propensia.access import keys
from propensia.access.keys import AccessError
from propensia.audit import Audit, Head, Record
from propensia.audit.records import read
from propensia.journal.references import References
from propensia.locks import Busy, Lock
from propensia.registry import Registry, RegistryError, audited
from propensia.settings import Settings

log = logging.getLogger(__name__)

EVERY_S, AGAIN_S = 600.0, 15.0
WHO = "propensia"
RELEASE, KEY = "release", "key"
_OF_RELEASE = ("release", "version", "threshold", "pinned")
_OF_KEY = ("name", "role", "expires", "networks", "routes", "in_path", "mark", "revoked")


class Auditor:
    """The keeper's: reconciles at its start and every ten minutes; ``problem`` says why not."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self.problem: str | None = None
        self._settings, self._registry = settings, registry
        self._next = 0.0
        self._head: Head | None = None

    def turn(self) -> None:
        """What is due now; raises nothing that the machine may do."""
        if time.monotonic() >= self._next:
            try:
                reconcile(self._settings, self._registry)
                self.problem, self._next = None, time.monotonic() + EVERY_S
            except (OSError, ValueError, RegistryError) as error:
                self.problem = f"no se puede llevar el registro de auditoría ({error})"
                self._next = time.monotonic() + AGAIN_S
        head = self._registry.audit.head()
        if head is not None and head != self._head:
            # Where the service's log goes, its account cannot reach: to compare with some day.
            log.info("the audit log ends with %s %s", head.number, head.hash)
            self._head = head


@dataclass(frozen=True, slots=True)
class Change:
    """Something that the log does not tell; ``event`` and ``facts`` are those to be recorded."""

    event: str
    facts: dict[str, Any]


@dataclass(slots=True)
class Told:
    """What is so by the log: releases by number, keys by id, and settings;
    ``place``: how far it was read, in bytes."""

    releases: dict[int, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    place: int = 0

    def read_on(self, audit: Audit) -> None:
        """Go on to the last whole line that there is now. Raises ``OSError``."""
        for line in audit.lines(self.place):
            if not line.endswith(b"\n"):
                return
            self.place += len(line)
            record = read(line)
            if record is not None:
                with contextlib.suppress(KeyError, TypeError):  # of a later program
                    self.take(record)

    def take(self, record: Record) -> None:
        """Go on by one record."""
        facts = record.facts
        match record.event:
            case "published":
                self.releases[facts["release"]] = _of_release(facts)
            case "keys.created" | "keys.rotated":
                self.keys[facts["key"]] = _of_key(facts | {"revoked": False})
                for id, ends in facts.get("until", {}).items():
                    self.keys.get(id, {})["expires"] = ends
            case "keys.revoked":
                for id in facts["keys"]:
                    self.keys.get(id, {})["revoked"] = True
            case "found" if facts["kind"] == RELEASE:
                self.releases[facts["release"]] = _of_release(facts)
            case "found":
                self.keys[facts["key"]] = _of_key(facts)
            case "missing" if facts["kind"] == RELEASE:
                self.releases.pop(facts["release"], None)
            case "missing":
                self.keys.pop(facts["key"], None)
            case "restored":
                last = facts["release"]
                self.releases = {n: one for n, one in self.releases.items() if n <= last}
            case "settings.changed":
                self.settings |= {name: row["to"] for name, row in facts["changed"].items()}


def _of_release(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in _OF_RELEASE}


def _of_key(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in _OF_KEY}


def changes(registry: Registry) -> list[Change]:
    """Releases and keys that are otherwise than the log tells. Raises ``OSError`` and
    ``RegistryError``."""
    return _changes(registry, Told())


def _changes(registry: Registry, by_log: Told) -> list[Change]:
    # Nobody waits for this: a long log takes its time, and what comes meanwhile is little.
    by_log.read_on(registry.audit)
    if not (registry.state / "releases").is_dir():  # nothing was ever started here
        return []
    with registry.writing():
        by_log.read_on(registry.audit)
        found = list(_releases(registry, by_log))
    return found + _keys(registry, by_log)


def reconcile(settings: Settings, registry: Registry) -> int:
    """Record what the log does not tell of releases, keys and settings; how many records that
    were. For the keeper, at its start and now and then. Raises as ``changes``."""
    audit, by_log = registry.audit, Told()
    found = _changes(registry, by_log)
    changed = _settings(settings, by_log.settings)
    if changed:
        found.append(Change("settings.changed", {"changed": changed}))
    for change in found:
        audit.record(change.event, who=WHO, **change.facts)
    return len(found)


def _releases(registry: Registry, by_log: Told) -> Iterator[Change]:
    history = {release.number: release for release in registry.history()}
    for number, release in sorted(history.items()):
        facts = audited(release)
        if by_log.releases.get(number) != _of_release(facts):
            yield Change("found", {"kind": RELEASE, "by": release.who} | facts)
    for number, facts in by_log.releases.items():
        if number not in history:
            yield Change("missing", {"kind": RELEASE} | facts)


def _keys(registry: Registry, by_log: Told) -> list[Change]:
    """A key is in the log before it is in the file: what differs is looked at again while nobody
    changes keys, which nobody ever did where there is no lock for it."""
    folder = registry.state / keys.FOLDER
    lock, found = folder / keys.LOCK, list(_differing(folder, by_log))
    if not found or not lock.exists():
        return found
    try:
        with Lock(lock, keys.PATIENCE_S):
            by_log.read_on(registry.audit)
            return list(_differing(folder, by_log))
    except Busy as error:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(lock)) from error


def _differing(folder: Path, by_log: Told) -> Iterator[Change]:
    try:
        stored = {key.id: key for key in keys.stored(folder)}
    except AccessError:  # damaged or gone: the start, /health and the doctor tell that
        return
    for key in stored.values():
        facts = keys.audited(key) | {"revoked": key.revoked is not None}
        before = by_log.keys.get(key.id)
        if before is None:
            yield Change("found", {"kind": KEY} | facts)
        elif differs := [name for name, was in before.items() if facts[name] != was]:
            changed = {name: {"from": before[name], "to": facts[name]} for name in differs}
            yield Change("found", {"kind": KEY} | facts | {"changed": changed})
    for id in by_log.keys.keys() - stored.keys():
        yield Change("missing", {"kind": KEY, "key": id})


def _settings(settings: Settings, by_log: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings that are others than the log tells, or than the defaults where it tells
    nothing: what they were, and what they are. Of a secret one only a keyed mark is kept, by which
    nobody can try what it may be."""
    changed = {}
    references = References(settings.state)
    for row in fields(Settings):
        value, default = (_plain(one) for one in (getattr(settings, row.name), row.default))
        if row.metadata["secret"]:
            value = value and {"mark": references.hashed(f"setting {row.name} {value}")[:12]}
        before = by_log.get(row.name, default)
        if value != before:
            changed[row.name] = {"from": before, "to": value}
    return changed


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
