"""What was admitted and what is served: immutable versions, and releases that are only added.

The release with the largest number is the pointer. Nothing here is ever overwritten, and nothing
is visible before it is whole.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from propensia import files
from propensia.audit import Audit
from propensia.contract import Contract
from propensia.decision import Decision
from propensia.locks import Busy, Lock

log = logging.getLogger(__name__)

RELEASE = re.compile(r"([0-9]{6,})\.json").fullmatch
VERSION = re.compile(r"[0-9a-f]{12}").fullmatch
LOCK_TIMEOUT_S = 30


class RegistryError(Exception):
    """A version or release that does not exist or cannot be used; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Release:
    """One decision about what is served. ``threshold`` ``None`` means the version's own."""

    number: int
    version: str
    sha256: str
    model: str
    threshold: float | None
    pinned: bool
    cause: str
    why: str
    who: str
    at: str


def decision(manifest: Mapping[str, Any], release: Release | None, otherwise: float) -> Decision:
    """The rule that a version is served with: the threshold of the release, else the one that
    came with the file, else ``otherwise``, the contract's."""
    told = (None if release is None else release.threshold, manifest["threshold"], otherwise)
    threshold = next(value for value in told if value is not None)
    return Decision(float(threshold), manifest["training_rate"], manifest["real_rate"])


def _release(table: Mapping[str, Any]) -> Release:
    """A release from its file; a later program may have written more, an earlier one less."""
    missing = {"sha256": "", "threshold": None, "pinned": False, "cause": "", "why": "", "who": ""}
    known = {row.name for row in fields(Release)}
    return Release(**missing | {"at": ""} | {k: v for k, v in table.items() if k in known})


def audited(release: Release) -> dict[str, Any]:
    """What the audit log says of a release, besides who and why."""
    names = ("version", "model", "cause", "threshold", "pinned")
    return {"release": release.number} | {name: getattr(release, name) for name in names}


class Registry:
    """The versions and releases below one state folder. Safe for several processes."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self._versions = state / "versions"
        self._releases = state / "releases"
        self._verdicts = state / "verdicts"
        self.audit = Audit(state)

    def prepare(self) -> None:
        """Make the folders. Raises ``OSError`` where that is not possible."""
        for folder in (self._versions, self._releases, self._verdicts):
            folder.mkdir(parents=True, exist_ok=True)

    # Releases

    def current(self) -> Release | None:
        """The release with the largest number; ``None`` before the first."""
        numbers = self._numbers()
        return self.release(max(numbers)) if numbers else None

    def current_number(self) -> int:
        """The largest release number; 0 before the first. Cheap enough for every tick."""
        return max(self._numbers(), default=0)

    def release(self, number: int) -> Release:
        """The release of that number. Raises ``OSError`` or ``RegistryError``."""
        try:
            return _release(files.read_json(self._releases / f"{number:06d}.json"))
        except (ValueError, TypeError, AttributeError) as error:
            raise RegistryError(f"la publicación {number} está dañada") from error

    def history(self) -> list[Release]:
        """Every release that can be read, newest first; a damaged old one is only logged."""
        found = []
        for number in sorted(self._numbers(), reverse=True):
            try:
                found.append(self.release(number))
            except (RegistryError, OSError) as error:
                log.warning("release %s is left out: %s", number, error)
        return found

    def last_of(self, version: str) -> Release | None:
        """The newest release of a version, or ``None`` if it was never published."""
        return next((release for release in self.history() if release.version == version), None)

    def previous(self) -> Release | None:
        """The newest release of another version than the current one."""
        current = self.current()
        if current is None:
            return None
        others = (release for release in self.history() if release.version != current.version)
        return next(others, None)

    def publish(
        self,
        version: str,
        *,
        cause: str,
        who: str,
        why: str = "",
        threshold: float | None = None,
        pinned: bool = False,
        only_after: int | None = None,
    ) -> Release:
        """Add the next release and return it: from then on it is what is served. The audit log
        tells it first: where that cannot be written, nothing is published (``OSError``).

        Without a ``threshold`` a version keeps the one that it was last published with.
        ``only_after``: publish only while that is still the current number, else
        ``RegistryError`` (somebody else decided in between).
        """
        with self.writing():
            manifest = self.manifest(version)  # inside: a version may be pruned meanwhile
            last = self.current_number()
            if only_after is not None and last != only_after:
                raise RegistryError("otra publicación se ha adelantado; vuelva a mirar")
            if threshold is None and (before := self.last_of(version)) is not None:
                threshold = before.threshold
            release = Release(
                number=last + 1,
                version=version,
                sha256=manifest["sha256"],
                model=manifest["model"],
                threshold=threshold,
                pinned=pinned,
                cause=cause,
                why=why,
                who=who,
                at=now(),
            )
            self.audit.record("published", who=who, why=why, **audited(release))
            files.write_json(self._releases / f"{release.number:06d}.json", asdict(release))
        return release

    def _numbers(self) -> list[int]:
        try:
            names = os.listdir(self._releases)
        except FileNotFoundError:
            return []
        return [int(match[1]) for name in names if (match := RELEASE(name))]

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Nobody else publishes or prunes meanwhile. Raises ``RegistryError``."""
        lock = Lock(self.state / "releases.lock", LOCK_TIMEOUT_S)
        try:
            with lock:
                yield
        except Busy as error:
            raise RegistryError("otro programa está publicando; inténtelo de nuevo") from error

    # Versions

    def add_version(
        self, version: str, manifest: Mapping[str, Any], parts: Mapping[str, bytes]
    ) -> None:
        """Add a version folder: written under another name, flushed, then renamed.

        ``parts`` are its files by name. The same version that is there already stays as it is;
        one that is damaged, or was made under another contract or by another compiler, gives way.
        """
        target = self._versions / version
        with self.writing():  # or ``prune`` would take the unfinished folder for a left-over
            if self._is_same(version, manifest):
                return
            temporary = self._temporary(version)
            temporary.mkdir(parents=True)
            try:
                for name, data in parts.items():
                    files.write(temporary / name, data)
                files.write_json(temporary / "manifest.json", dict(manifest))
                if target.exists():
                    self._take_away(version)
                files.retry(lambda: temporary.rename(target))
            finally:
                if temporary.exists():
                    shutil.rmtree(temporary, ignore_errors=True)
            files.sync_folder(self._versions)

    def fits(self, version: str, contract: Contract) -> str | None:
        """``None`` when a version can be served under this contract, else why it cannot."""
        try:
            manifest = self.manifest(version)
            if contract.view(manifest["columns"]) is None:
                return f"la versión {version} es de otro contrato ({manifest['contract']})"
            if files.sha256(self.model(version)) != manifest["onnx_sha256"]:
                return f"la versión {version} está dañada; deje su fichero otra vez"
        except (OSError, KeyError, RegistryError) as error:
            return f"la versión {version} no se puede leer ({error})"
        return None

    def _is_same(self, version: str, manifest: Mapping[str, Any]) -> bool:
        """Whether a version is there, whole, and made by the same rules."""
        try:
            held = self.manifest(version)
            same = ("onnx_sha256", "contract_fingerprint")
            whole = files.sha256(self.model(version)) == held["onnx_sha256"]
            return whole and all(held[name] == manifest[name] for name in same)
        except (RegistryError, OSError, KeyError):
            return False

    def _temporary(self, version: str) -> Path:
        return self._versions / f".{version}.{secrets.token_hex(4)}.tmp"

    def versions(self) -> list[str]:
        """The ids of the whole versions, in no order."""
        try:
            names = os.listdir(self._versions)
        except FileNotFoundError:
            return []
        return [n for n in names if VERSION(n) and (self._versions / n / "manifest.json").exists()]

    def find(self, text: str) -> str:
        """The version whose id starts with ``text``. Raises ``RegistryError`` for none or two."""
        found = [version for version in self.versions() if version.startswith(text.lower())]
        if len(found) != 1:
            count = "ninguna versión empieza" if not found else "varias versiones empiezan"
            raise RegistryError(f"{count} por {text!r}; véalas con: propensia models")
        return found[0]

    def manifest(self, version: str) -> dict[str, Any]:
        """What is known of a version. Raises ``RegistryError`` when it is not there."""
        try:
            return dict(files.read_json(self.part(version, "manifest.json")))
        except (OSError, ValueError) as error:
            raise RegistryError(f"no existe la versión {version}") from error

    def model(self, version: str) -> bytes:
        """The ONNX bytes of a version."""
        return files.read(self.part(version, "model.onnx"))

    def part(self, version: str, name: str) -> Path:
        """Where a file of a version is."""
        return self._versions / version / name

    def prune(self, keep: int) -> list[str]:
        """Remove the versions that were published longest ago (or never), all but ``keep``.

        The current one and the one before are never counted nor removed. Left-overs of an
        interrupted ``add_version`` go too. Returns the ids removed.
        """
        with self.writing():
            history = self.history()
            held = [history[0].version] if history else []
            before = self.previous()
            held += [before.version] if before else []
            order = {release.version: release.number for release in reversed(history)}
            others = [version for version in self.versions() if version not in held]
            others.sort(key=lambda v: (order.get(v, 0), self._admitted(v)), reverse=True)
            removed = others[keep:]
            for version in removed:
                self._remove(version)
            for rest in self._versions.glob(".*.tmp"):
                shutil.rmtree(rest, ignore_errors=True)
        return removed

    def _remove(self, version: str) -> None:
        """Take a version away, and its verdict first: the same content is judged anew then.

        The folder gets another name before its files go, so that no half version is ever seen.
        """
        for path in self._verdicts.glob(f"{version}*.json"):
            path.unlink(missing_ok=True)
        self._take_away(version)

    def _admitted(self, version: str) -> str:
        """When a version was admitted; a damaged one counts as the oldest."""
        try:
            return str(self.manifest(version).get("admitted", ""))
        except RegistryError:
            return ""

    def _take_away(self, version: str) -> None:
        gone = self._temporary(version)
        files.retry(lambda: (self._versions / version).rename(gone))
        shutil.rmtree(gone, ignore_errors=True)

    # Verdicts: one per content, final

    def verdict(self, sha256: str) -> dict[str, Any] | None:
        """What was decided about that content; ``None`` if nothing, or if that is not readable
        (the content is judged again then)."""
        try:
            return dict(files.read_json(self._verdicts / f"{sha256}.json"))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def record_verdict(self, sha256: str, verdict: Mapping[str, Any]) -> None:
        """Remember what was decided about a content."""
        files.write_json(self._verdicts / f"{sha256}.json", dict(verdict))

    def verdicts(self) -> list[dict[str, Any]]:
        """Every verdict, oldest first."""
        try:
            names = [path.stem for path in self._verdicts.iterdir() if path.suffix == ".json"]
        except FileNotFoundError:
            return []
        found = [verdict for name in names if (verdict := self.verdict(name)) is not None]
        return sorted(found, key=lambda verdict: verdict["at"])


def now() -> str:
    """The time, in UTC, as ISO 8601 text with seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")
