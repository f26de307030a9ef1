"""The models folder, looked at from outside: which files are there, still, and new.

It only reads; what a change means is decided from plain values, so the same look always gives
the same answer.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from propensia.files import shown

SUFFIXES = (".pkl", ".joblib")
TEMPORARY = (".tmp", ".part", ".partial", ".crdownload", ".download", ".filepart")
STATE_SUFFIX = ".estado.txt"
REPORT_SUFFIX = ".informe.html"
SIGNATURE_SUFFIX = ".sig"
MOST_FOLDERS = 8

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            ("enero", "ene"),
            ("febrero", "feb"),
            ("marzo", "mar"),
            ("abril", "abr"),
            ("mayo", "may"),
            ("junio", "jun"),
            ("julio", "jul"),
            ("agosto", "ago"),
            ("septiembre", "setiembre", "sept", "sep"),
            ("octubre", "oct"),
            ("noviembre", "nov"),
            ("diciembre", "dic"),
        ),
        start=1,
    )
    for name in names
}
YEAR_MONTH = re.compile(r"(?<!\d)(20\d\d)[-_. ]?(0[1-9]|1[0-2])(?:[0-3]\d)?(?!\d)").search
NAMED_MONTH = re.compile(
    r"(?<![a-z])("
    + "|".join(sorted(MONTHS, key=len, reverse=True))
    + r")[-_. ]*(?:del?[-_. ]*)?(20\d\d)(?!\d)"
).search
YEAR_NAMED = re.compile(
    r"(?<!\d)(20\d\d)[-_. ]*(" + "|".join(sorted(MONTHS, key=len, reverse=True)) + r")(?![a-z])"
).search

# What a look at a file remembers: size, time stamps and identity of it, of its sidecar and of its
# signature.
Marks = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as one look found it. ``irregular`` says what is wrong when it, or its sidecar, is
    not a regular file."""

    name: str
    path: Path
    marks: Marks
    sidecar: Path | None
    irregular: str | None = None
    signature: Path | None = None


@dataclass(slots=True)
class Watch:
    """What is known of one name between looks: its marks, for how many looks unchanged, the
    content at the last of them, and what was told about it meanwhile."""

    marks: Marks
    looks: int = 1
    sha256: str | None = None
    told: str | None = None
    first: float = 0.0


@dataclass(slots=True)
class Known:
    """What a name last brought: the identity of the content, that of the PKL without its sidecar,
    the marks, and the text left beside it. ``here``: it was seen in this very folder."""

    sha256: str
    data_sha256: str
    marks: Marks
    text: str = ""
    here: bool = True


@dataclass(slots=True)
class Memory:
    """What survives a restart.

    ``folders``: what each name brought, by the identity of the folder (a share that went away
    leaves another folder under its name). ``pending``: for a name that is about to be published,
    its content and the newest release before, so that a sudden end leaves no doubt.
    """

    folder: str = ""
    folders: dict[str, dict[str, Known]] = field(default_factory=dict)
    pending: dict[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def names(self) -> dict[str, Known]:
        """What each name brought, in the folder of now."""
        return self.folders.setdefault(self.folder, {})


def recalled(table: Mapping[str, Any]) -> Memory:
    """The memory that was written as ``table``.

    Raises ``KeyError``, ``TypeError`` or ``ValueError``.
    """
    folders = {
        str(folder): {
            str(name): Known(**known | {"marks": tuple(known["marks"])})
            for name, known in names.items()
        }
        for folder, names in table["folders"].items()
    }
    pending = {
        str(name): (str(sha), int(number)) for name, (sha, number) in table["pending"].items()
    }
    return Memory(str(table["folder"]), folders, pending)


def period(name: str) -> int | None:
    """The month in a file name as ``YYYYMM`` (``2026-10``, ``20261015``, ``octubre 2026``)."""
    text = name.lower()
    if match := YEAR_MONTH(text):
        return int(match[1]) * 100 + int(match[2])
    if match := NAMED_MONTH(text):
        return int(match[2]) * 100 + MONTHS[match[1]]
    if match := YEAR_NAMED(text):
        return int(match[1]) * 100 + MONTHS[match[2]]
    return None


def is_model_name(name: str) -> bool:
    """Whether a file of that name is meant for us: a PKL, not hidden, not a copy under way."""
    lower = name.lower()
    if lower.startswith((".", "~$")) or lower.endswith(TEMPORARY):
        return False
    return lower.endswith(SUFFIXES)


def look(folder: Path) -> list[Seen]:
    """The model files directly in a folder, oldest period first, then by name.

    Raises ``OSError`` when the folder cannot be read: then nothing is known about any file.
    """
    names = sorted(os.listdir(folder))
    by_lower_name = {name.lower(): name for name in names}
    found = []
    for name in names:
        if not is_model_name(name):
            continue
        with contextlib.suppress(FileNotFoundError):  # gone between the listing and now
            path = folder / name
            found.append(_seen(path, *_beside(path, by_lower_name)))
    return sorted(found, key=lambda seen: (period(seen.name) or 0, seen.name))


def look_at(path: Path) -> Seen:
    """One file of any name, with what ``look`` finds beside it. Raises ``OSError``."""
    by_lower_name = {name.lower(): name for name in sorted(os.listdir(path.parent))}
    return _seen(path, *_beside(path, by_lower_name))


def _beside(path: Path, by_lower_name: Mapping[str, str]) -> tuple[Path | None, Path | None]:
    """``modelo.json`` and ``modelo.pkl.sig`` beside ``MODELO.PKL``: the sidecar and the signature,
    in whatever case, for Windows knows no difference."""
    wanted = (f"{path.stem}.json", path.name + SIGNATURE_SUFFIX)
    names = (by_lower_name.get(name.lower(), path.name) for name in wanted)
    sidecar, signature = (None if n == path.name else path.with_name(n) for n in names)
    return sidecar, signature


def _seen(path: Path, sidecar: Path | None, signature: Path | None) -> Seen:
    info = path.lstat()
    beside = sidecar.lstat() if sidecar else None
    marks, irregular = _marks(info), _irregular(info.st_mode)
    if sidecar is not None and beside is not None:
        marks += _marks(beside)
        if irregular is None and (what := _irregular(beside.st_mode)):
            irregular = f"su ficha {shown(sidecar.name)} {what}"
    if signature is not None:
        try:
            marks += _marks(signature.lstat())
        except FileNotFoundError:  # gone between the listing and now
            signature = None
    return Seen(path.name, path, marks, sidecar, irregular, signature)


def _marks(info: os.stat_result) -> Marks:
    return (info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)


def look_again(seen: Seen) -> Marks | None:
    """The marks of a file now, to know whether it moved while it was read."""
    try:
        return _seen(seen.path, seen.sidecar, seen.signature).marks
    except FileNotFoundError:
        return None


def owner(path: Path) -> str:
    """The name of the account that owns a file; empty where the system does not tell (Windows, an
    account without a name, a file that is gone)."""
    try:
        return path.owner()
    except (OSError, KeyError, NotImplementedError):
        return ""


def _irregular(mode: int) -> str | None:
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISDIR(mode):
        return "es una carpeta"
    return "es un enlace" if stat.S_ISLNK(mode) else "es una tubería o un dispositivo"


def identity(folder: Path) -> str:
    """Which folder it really is: a share that went away leaves another one under its name."""
    info = folder.stat()
    return f"{info.st_dev}:{info.st_ino}"


def enter(memory: Memory, folder: str, present: set[str]) -> None:
    """Note which folder this is and which names lie in it.

    A name that was seen in this folder and is gone was deleted: it is forgotten, so that it may
    appear again. In a folder never seen before, what was known of the last one still holds: a
    share may return under a new identity, and the bare mount point meanwhile deletes nothing.
    """
    if folder not in memory.folders:
        before = memory.folders.get(memory.folder, {})
        known = {name: replace(one, here=False) for name, one in before.items()}
        memory.folders[folder] = known
        for oldest in list(memory.folders)[:-MOST_FOLDERS]:
            del memory.folders[oldest]
    memory.folder = folder
    for name, known_one in list(memory.names.items()):
        if name in present:
            known_one.here = True
        elif known_one.here:
            del memory.names[name]


def is_foreign(memory: Memory) -> bool:
    """Whether files are known, and none of them lies in the folder of now."""
    return bool(memory.names) and not any(known.here for known in memory.names.values())


def watch(watches: dict[str, Watch], seen: list[Seen], now: float) -> None:
    """Count, for each name, the looks at which it stood still; forget names that are gone."""
    for name in set(watches) - {one.name for one in seen}:
        del watches[name]
    for one in seen:
        held = watches.get(one.name)
        if held is None or held.marks != one.marks:
            watches[one.name] = Watch(one.marks, first=now)
        else:
            held.looks += 1


def fate(
    sha256: str,
    verdict: Mapping[str, object] | None,
    active_sha256: str | None,
    known_sha256: str | None,
    current_rules: tuple[str, str],
) -> str:
    """What a stable file asks for: ``keep`` (nothing changes), ``refuse`` (say it again),
    ``judge``, or ``promote`` a version that is already there.

    ``known_sha256`` is what this name brought last time: the same again asks for nothing, so a
    restart or a rollback is never undone by a file that merely still lies there.
    ``current_rules`` are the contract's fingerprint and the program's version: an acceptance
    holds under the same contract only, a refusal under the same program too.
    """
    if sha256 in (known_sha256, active_sha256):
        return "keep"
    if verdict is None:
        return "judge"
    if verdict["accepted"] and verdict["contract"] == current_rules[0]:
        return "promote"
    if not verdict["accepted"] and (verdict["contract"], verdict["program"]) == current_rules:
        return "refuse"
    return "judge"


def may_promote(
    name: str, active_model: str | None, pinned: bool, served_before: bool
) -> str | None:
    """``None`` when a version may be published by itself, else the reason why not.

    A version that was served before may come back whatever its month: that is a way to go back.
    """
    if pinned:
        return "la versión activa está fijada (propensia pin --off para soltarla)"
    own, active = period(name), period(active_model or "")
    if not served_before and own is not None and active is not None and own < active:
        return f"su mes ({own}) es anterior al del modelo activo ({active})"
    return None
