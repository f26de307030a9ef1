"""What changed and the audit log does not tell: it is found, and recorded as found.

It changes nothing else: what was done past the log stays for a person to judge.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from propensia.access import keys
from propensia.access.keys import AccessError
from propensia.audit import Audit, Head, Record
from propensia.journal.references import References
from propensia.registry import Registry, RegistryError, audited
from propensia.settings import Settings

log = logging.getLogger(__name__)

EVERY_S, AGAIN_S = 600.0, 15.0
WHO = "propensia"
RELEASE, KEY = "release", "key"
_OF_RELEASE = ("release", "version", "threshold", "pinned")


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
    """What is so by the log: releases by number, whether each key was revoked, and settings."""

    releases: dict[int, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, bool] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    def take(self, record: Record) -> None:
        """Go on by one record."""
        facts = record.facts
        match record.event:
            case "published":
                self.releases[facts["release"]] = _of_release(facts)
            case "keys.created" | "keys.rotated":
                self.keys[facts["key"]] = False
            case "keys.revoked":
                self.keys |= dict.fromkeys(facts["keys"], True)
            case "found" if facts["kind"] == RELEASE:
                self.releases[facts["release"]] = _of_release(facts)
            case "found":
                self.keys[facts["key"]] = facts["revoked"]
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


def told(audit: Audit) -> Told:
    """What the log tells, read from its beginning. Raises ``OSError``."""
    found = Told()
    for record in audit.all():
        with contextlib.suppress(KeyError, TypeError):  # of a later program
            found.take(record)
    return found


def changes(registry: Registry) -> list[Change]:
    """Releases and keys that are otherwise than the log tells. Nobody publishes meanwhile. Raises
    ``OSError`` and ``RegistryError``."""
    if not (registry.state / "releases").is_dir():  # nothing was ever started here
        return []
    with registry.writing():
        by_log = told(registry.audit)
        return [*_releases(registry, by_log), *_keys(registry.state, by_log)]


def reconcile(settings: Settings, registry: Registry) -> int:
    """Record what the log does not tell of releases, keys and settings; how many records that
    were. For the keeper, at its start and now and then. Raises as ``changes``."""
    audit = registry.audit
    found = changes(registry)
    changed = _settings(settings, told(audit).settings)
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


def _keys(state: Path, by_log: Told) -> Iterator[Change]:
    try:
        stored = {key.id: key for key in keys.stored(state / keys.FOLDER)}
    except AccessError:  # damaged or gone: the start, /health and the doctor tell that
        return
    for key in stored.values():
        revoked = key.revoked is not None
        if by_log.keys.get(key.id) is not revoked:
            facts = {"key": key.id, "name": key.name, "role": key.role, "revoked": revoked}
            yield Change("found", {"kind": KEY} | facts)
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
