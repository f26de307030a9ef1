"""Makes a copy while the service runs: what was there at one moment, and nothing half written.

It never changes the state, and leaves no file behind where it fails.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from zipfile import ZipFile

from propensia import __version__, files, inbox
from propensia import settings as settings_table
from propensia.audit import Audit
from propensia.backups.manifest import (
    AFTERWARDS,
    AT_ONE_MOMENT,
    FOLDER_BY_FOLDER,
    JOURNAL,
    MANIFEST,
    MODELS,
    SETTINGS,
    STATE,
    STORE,
    BackupError,
    Manifest,
    Part,
    Progress,
    Say,
    entry,
    is_safe,
)
from propensia.contract import Contract
from propensia.locks import Busy, Lock
from propensia.registry import LOCK_TIMEOUT_S, Registry, Release, now
from propensia.settings import Settings
from propensia.store import copying
from propensia.store.database import StoreError

CHUNK_BYTES = 1 << 20
NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def backup(
    out: Path,
    chosen: Settings,
    contract: Contract,
    with_models: bool,
    say: Say,
    who: str = "propensia",
) -> Manifest:
    """Copy the state (and the model files that lie in their folder) into the new file ``out``.

    The service may run meanwhile. ``say`` gets a sentence now and then. The audit log tells first
    that ``who`` copies everything; where it cannot, on a full disk, the copy is made all the same.
    A store that is no SQLite stays where it is. Only the account itself
    may read the file (on Windows: the rights of its folder count). Raises ``BackupError`` and
    ``OSError``; then there is no file.
    """
    if out.exists():
        raise BackupError(f"{out} ya existe: elija otro nombre. / It exists: choose another name.")
    if not chosen.state.is_dir():
        raise BackupError(f"no existe la carpeta de estado {chosen.state}. / No state folder.")
    _refuse_useless(Registry(chosen.state), contract)
    try:
        Audit(chosen.state).record("backup", who=who, file=files.shown(out.name))
    except OSError as error:  # the more it is needed
        say(f"no consta en la auditoría ({error.strerror}). / The audit log does not tell it.")
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(4)}.tmp")
    try:
        with os.fdopen(os.open(temporary, NEW_FILE, 0o600), "w+b") as stream:
            with ZipFile(stream, "w") as archive:
                aside = temporary.with_suffix(".store")
                manifest = _copied(archive, chosen, contract, with_models, aside, say)
                archive.writestr(entry(MANIFEST), manifest.written())
            stream.flush()
            os.fsync(stream.fileno())
        files.retry(lambda: os.replace(temporary, out))
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    files.sync_folder(out.parent)
    return manifest


def _refuse_useless(registry: Registry, contract: Contract) -> None:
    """A copy whose active version cannot answer would be found out only on the worst day."""
    current = registry.current()
    unfit = None if current is None else registry.fits(current.version, contract)
    if unfit is not None:
        raise BackupError(
            f"{unfit}; la copia no serviría: véalo con «propensia doctor». / The active version "
            "cannot be served, so a copy would be of no use: see 'propensia doctor'."
        )


def _copied(
    archive: ZipFile,
    chosen: Settings,
    contract: Contract,
    with_models: bool,
    aside: Path,
    say: Say,
) -> Manifest:
    packing = _Packing(archive, say)
    current = packing.add_state(chosen.state)
    packing.add_memory(chosen.state, aside)
    packing.add(SETTINGS, Path(settings_table.FILE))
    if with_models:
        packing.add_models(chosen.models)
    return Manifest(
        created=now(),
        program=__version__,
        contract=contract.name,
        fingerprint=contract.fingerprint,
        release=0 if current is None else current.number,
        version="" if current is None else current.version,
        parts=packing.parts,
    )


class _Packing:
    """A zip that is being written, and what is in it so far."""

    def __init__(self, archive: ZipFile, say: Say) -> None:
        self.parts: dict[str, Part] = {}
        self._archive = archive
        self._say = say
        self._progress = Progress("copiados", say)

    def add_state(self, state: Path) -> Release | None:
        """Copy what the program owns; the newest release in the copy."""
        with _nothing_published(state):
            # A file that the keeper takes for published without its release, or the other way
            # round, would be a state that never was.
            self._add_own(state, _owned(state, AT_ONE_MOMENT))
            current = Registry(state).current()
            folders = _owned(state, FOLDER_BY_FOLDER)
            judged = _owned(state, AFTERWARDS)
        pruned = set()
        for folder, paths in itertools.groupby(folders, key=lambda path: path.parent):
            with _nothing_published(state):  # whole or gone
                if folder.exists():
                    self._add_own(state, paths)
                else:
                    pruned.add(folder.name)
        # An accepted content without its version would be published, and there is nothing.
        self._add_own(state, (path for path in judged if path.stem[:12] not in pruned))
        if current is not None and current.version in pruned:
            raise BackupError("se publica mientras se copia; inténtelo de nuevo. / Try again.")
        return current

    def _add_own(self, state: Path, paths: Iterable[Path]) -> None:
        for path in paths:
            self.add(STATE + path.relative_to(state).as_posix(), path)

    def add_memory(self, state: Path, aside: Path) -> None:
        """Copy the journal and then the store, which is first copied to ``aside``."""
        self._add_own(state, _owned(state, JOURNAL))
        if not (state / STORE).exists():
            return
        try:
            os.close(os.open(aside, NEW_FILE, 0o600))
            copying.copy(state / STORE, aside)
            self.add(STATE + STORE, aside)
        except StoreError as error:
            raise BackupError(str(error)) from error
        finally:
            aside.unlink(missing_ok=True)

    def add_models(self, folder: Path) -> None:
        """Copy the dropped files, with the sidecars and signatures beside them."""
        for seen in inbox.look(folder):
            beside = (path for path in (seen.sidecar, seen.signature) if path is not None)
            for path in (seen.path, *beside) if seen.irregular is None else ():
                if MODELS + path.name not in self.parts:  # one sidecar may serve two files
                    self.add(MODELS + path.name, path)

    def add(self, name: str, path: Path) -> None:
        """Copy one file, if it is there, under ``name``; one that another system could not take
        is left out, and told. Raises ``OSError``."""
        if not is_safe(name):
            self._say(f"se deja fuera {files.shown(path.name)}: ese nombre no vale en Windows")
            return
        try:
            source = files.retry(lambda: files.open_regular(path))
        except FileNotFoundError:
            return
        digest, size = hashlib.sha256(), 0
        with source, self._archive.open(entry(name), "w", force_zip64=True) as target:
            while chunk := source.read(CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
                target.write(chunk)
                self._progress.add(len(chunk))
        self.parts[name] = Part(digest.hexdigest(), size)


@contextlib.contextmanager
def _nothing_published(state: Path) -> Iterator[None]:
    lock = Lock(state / "releases.lock", LOCK_TIMEOUT_S)
    try:
        with lock:
            yield
    except Busy as error:
        raise BackupError(
            "otro programa está publicando; inténtelo de nuevo. / Another program is publishing."
        ) from error


def _owned(state: Path, patterns: tuple[str, ...]) -> list[Path]:
    """The files of these patterns; no lock, and nothing that is still being written."""
    found = [path for pattern in patterns for path in sorted(state.glob(pattern))]
    return [
        path
        for path in found
        if path.is_file()
        and path.suffix != ".lock"
        and not any(step.startswith(".") for step in path.relative_to(state).parts)
    ]
