"""Puts a copy back: everything is checked first, then one folder gets its name, or nothing does.

It never writes into a folder that somebody serves from, and never loses the state of before.
"""

from __future__ import annotations

import hashlib
import math
import os
import secrets
import shutil
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZipFile

from propensia import audit, files, heartbeat, locks
from propensia.access import keys
from propensia.access.keys import Key
from propensia.audit import FIRST, Audit, Head
from propensia.backups.copying import CHUNK_BYTES, NEW_FILE
from propensia.backups.manifest import (
    STATE,
    BackupError,
    Manifest,
    Part,
    Progress,
    Say,
    checked,
)
from propensia.journal import references
from propensia.journal.writer import FOLDER as JOURNAL_FOLDER

BESIDE = "restored"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored, and where; ``aside`` is where the state of before is kept, if there was
    one. ``keys_again``: the API keys that the copy makes good, or good for longer than they were
    in the state of before. ``erased_again``: how often somebody was erased since the copy, who is
    in it. ``journal``: how many files of the journal of before came along, and ``journal_left``
    how many did not."""

    manifest: Manifest
    into: Path
    aside: Path | None
    keys_again: list[Key]
    erased_again: int
    journal: int
    journal_left: int


def restore(source: Path, into: Path, force: bool, say: Say, who: str = "propensia") -> Restored:
    """Make ``into`` the state folder that a copy holds, all of it or nothing.

    What is no state (``propensia.toml``, model files) lies in the folder ``restored`` in it
    afterwards. With ``force`` a state that is there already gets another name; its audit log goes
    on in the new one, where it is the same up to the copy, and tells that ``who`` restored. So
    does its journal, where the copy is of the same installation: what was answered and is not in
    the database yet. Only the account itself may read the folder. Raises ``BackupError`` and
    ``OSError``; then nothing has changed.
    """
    into = into.resolve()  # what is renamed is the folder itself, not a link to it
    _refuse_running(into)  # first: with --force it would be refused all the same
    is_there = any(path.is_file() and path.suffix != ".lock" for path in into.rglob("*"))
    if is_there and not force:
        raise BackupError(
            f"{into} no está vacía: con --force se guarda aparte y se restaura. / It is not "
            "empty: with --force it is kept under another name."
        )
    try:
        with files.open_regular(source) as stream, ZipFile(stream) as archive:
            manifest = checked(archive, os.fstat(stream.fileno()).st_size)
            _refuse_without_room(into, manifest)
            checking = Progress("comprobados", say, manifest.size)
            for name, part in manifest.parts.items():
                _unpack(archive, name, part, None, checking)
            aside, erased, (came, left) = _put(archive, manifest, into, is_there, say, who)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise BackupError(
            f"{files.shown(source.name)} está dañada o no es una copia de Propensia; use otra. / "
            "It is damaged or no backup of Propensia; use another."
        ) from error
    again = _keys_again(into, aside, time.time())
    return Restored(manifest, into, aside, again, erased, came, left)


def _keys_again(into: Path, aside: Path | None, now: float) -> list[Key]:
    """All good keys of the copy, where nothing is known of before: one that was revoked since
    then has nobody left who remembers it."""
    ended = {} if aside is None else {key.id: _end(key) for key in _keys(aside)}
    return [key for key in _keys(into) if key.is_good(now) and _end(key) > ended.get(key.id, 0)]


def _keys(state: Path) -> list[Key]:
    try:
        return keys.stored(state / keys.FOLDER)
    except (OSError, keys.AccessError):  # the start says so; what was restored stays restored
        return []


def _end(key: Key) -> float:
    """Until when a key is good, in seconds since 1970."""
    ends = (key.revoked, key.expires)
    return min((end for end in ends if end is not None), default=math.inf)


def _refuse_running(into: Path) -> None:
    """Whoever serves from a folder would go on with files that are no longer there."""
    lock = into / "keeper.lock"
    watched = lock.exists() and not locks.is_free(lock)
    if watched or heartbeat.look(into / "keeper.json") or heartbeat.look_all(into / "workers"):
        raise BackupError(
            f"hay un servicio en marcha en {into}, o lo había hace unos segundos: deténgalo "
            "primero. / A service runs there, or did seconds ago: stop it first."
        )


def _refuse_without_room(into: Path, manifest: Manifest) -> None:
    above = next(folder for folder in (*into.parents, into) if folder.exists())
    free = shutil.disk_usage(above).free
    if manifest.size > free:
        raise BackupError(
            f"hacen falta {manifest.size >> 20} MB en {above} y quedan {free >> 20}. / Not enough "
            "room on that disk."
        )


def _unpack(
    archive: ZipFile, name: str, part: Part, target: BinaryIO | None, progress: Progress
) -> None:
    """Read one file, to ``target`` if any. Raises ``BackupError`` if it is not that ``part``."""
    digest = hashlib.sha256()
    try:
        with archive.open(name) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                digest.update(chunk)
                progress.add(len(chunk))
                if target is not None:
                    target.write(chunk)
    except RuntimeError as error:  # it says that it is encrypted
        raise zipfile.BadZipFile(name) from error
    if digest.hexdigest() != part.sha256:
        raise BackupError(
            f"{files.shown(name)} no es el que se copió: la copia se ha dañado o cambiado; use "
            "otra. / It is not what was copied: the backup was damaged or changed; use another."
        )


def _put(
    archive: ZipFile, manifest: Manifest, into: Path, is_there: bool, say: Say, who: str
) -> tuple[Path | None, int, tuple[int, int]]:
    """Write the files beside ``into``, then give both folders their names; where the old is, how
    often somebody was erased since the copy, and what became of the journal."""
    into.parent.mkdir(parents=True, exist_ok=True)
    temporary = into.with_name(f".{into.name}.{secrets.token_hex(4)}.tmp")
    temporary.mkdir(mode=0o700)
    try:
        writing = Progress("restaurados", say, manifest.size)
        for name, part in manifest.parts.items():
            own = name.startswith(STATE)
            path = temporary / (name.removeprefix(STATE) if own else f"{BESIDE}/{name}")
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(path, NEW_FILE, 0o600), "wb") as target:
                _unpack(archive, name, part, target, writing)
                target.flush()
                os.fsync(target.fileno())
        _refuse_running(into)  # once more: the checks took their time
        erased = _go_on(Audit(into), Audit(temporary))
        journal = _bring_journal(into, temporary)
        facts: dict[str, Any] = {"created": manifest.created, "release": manifest.release}
        Audit(temporary).record("restored", who=who, **facts, version=manifest.version)
        return _swap(temporary, into, is_there), erased, journal
    finally:
        files.remove_tree(temporary)


def _go_on(before: Audit, copied: Audit) -> int:
    """Let the log of the copy go on with what was recorded since: a restore takes no record away.
    Not with a log that is another one, or is damaged: that stays aside with its state."""
    last = copied.tail(1)
    head = last[0].head if last else Head(0, FIRST)
    found = audit.verify(before, head.hash if last else None)
    if found.wrong is not None or found.head.number <= head.number:
        return 0
    copied.folder.mkdir(mode=0o700, exist_ok=True)
    for path in before.folder.iterdir():
        if path.is_file() and path.suffix != ".lock" and not path.name.startswith("."):
            files.write(copied.folder / path.name, files.read(path), private=True)
    since = (record for record in copied.all() if record.number > head.number)
    return sum(record.event == "erased" for record in since)


def _bring_journal(before: Path, copied: Path) -> tuple[int, int]:
    """Copy the files of the journal that nobody will ship any more where they are; how many, and
    how many were left. Whether a record of them is in the store already its id tells.

    Not to the state of another installation, whose answers these are not: the key of references
    tells, which each makes for itself.
    """
    found = sorted((before / JOURNAL_FOLDER).glob("*.journal"))
    if not found:
        return 0, 0
    if _key_of(before) != _key_of(copied):
        return 0, len(found)
    (copied / JOURNAL_FOLDER).mkdir(mode=0o700, exist_ok=True)
    for path in found:
        target = copied / JOURNAL_FOLDER / path.name
        # Files only grow: of the same one in the copy this is the rest.
        if not target.exists() or target.stat().st_size < path.stat().st_size:
            files.write(target, files.read(path), private=True)
    return len(found), 0


def _key_of(state: Path) -> bytes | None:
    try:
        return files.read(state / references.NAME, 1024)
    except FileNotFoundError:
        return None


def _swap(temporary: Path, into: Path, is_there: bool) -> Path | None:
    aside = into.with_name(f"{into.name}.antes-{time.strftime('%Y%m%d-%H%M%S')}")
    existed = into.exists()
    if existed:
        files.retry(lambda: into.rename(aside))
    try:
        files.retry(lambda: temporary.rename(into))
    except OSError:
        if existed:
            aside.rename(into)
        raise
    files.sync_folder(into.parent)
    if existed and not is_there:
        files.remove_tree(aside)  # it held nothing
    return aside if is_there else None
