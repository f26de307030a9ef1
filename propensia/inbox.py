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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SUFFIXES = (".pkl", ".joblib")
TEMPORARY = (".tmp", ".part", ".partial", ".crdownload", ".download", ".filepart")
STATE_SUFFIX = ".estado.txt"
REPORT_SUFFIX = ".informe.html"

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

# What a look at a file remembers: size, time stamps and identity of it and of its sidecar.
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


@dataclass(slots=True)
class Watch:
    """What is known of one name between looks: its marks, and for how many looks unchanged."""

    marks: Marks
    looks: int = 1
    told: str | None = None
    first: float = 0.0


@dataclass(slots=True)
class Memory:
    """What survives a restart: which content each name last brought, and the folder's identity."""

    folder: tuple[int, int] | None = None
    names: dict[str, str] = field(default_factory=dict)
    marks: dict[str, Marks] = field(default_factory=dict)


def recalled(table: Mapping[str, Any]) -> Memory:
    """The memory that was written as ``table``.

    Raises ``KeyError``, ``TypeError`` or ``ValueError``.
    """
    folder = table["folder"]
    return Memory(
        folder=(folder[0], folder[1]) if folder else None,
        names=dict(table["names"]),
        marks={name: tuple(marks) for name, marks in table["marks"].items()},
    )


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
            found.append(_seen(path, _sidecar(path, by_lower_name)))
    return sorted(found, key=lambda seen: (period(seen.name) or 0, seen.name))


def look_at(path: Path) -> Seen:
    """One file of any name, with the sidecar that ``look`` finds beside it. Raises ``OSError``."""
    by_lower_name = {name.lower(): name for name in sorted(os.listdir(path.parent))}
    return _seen(path, _sidecar(path, by_lower_name))


def _sidecar(path: Path, by_lower_name: Mapping[str, str]) -> Path | None:
    """``modelo.json`` beside ``MODELO.PKL``, in whatever case: Windows knows no difference."""
    name = by_lower_name.get(f"{path.stem}.json".lower())
    return path.with_name(name) if name and name != path.name else None


def _seen(path: Path, sidecar: Path | None) -> Seen:
    info = path.lstat()
    beside = sidecar.lstat() if sidecar else None
    marks, irregular = _marks(info), _irregular(info.st_mode)
    if sidecar is not None and beside is not None:
        marks += _marks(beside)
        if irregular is None and (what := _irregular(beside.st_mode)):
            irregular = f"su ficha {sidecar.name} {what}"
    return Seen(path.name, path, marks, sidecar, irregular)


def _marks(info: os.stat_result) -> Marks:
    return (info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)


def look_again(seen: Seen) -> Marks | None:
    """The marks of a file now, to know whether it moved while it was read."""
    try:
        return _seen(seen.path, seen.sidecar).marks
    except FileNotFoundError:
        return None


def _irregular(mode: int) -> str | None:
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISDIR(mode):
        return "es una carpeta"
    return "es un enlace" if stat.S_ISLNK(mode) else "es una tubería o un dispositivo"


def identity(folder: Path) -> tuple[int, int]:
    """Which folder it really is: a share that went away leaves another one under its name."""
    info = folder.stat()
    return (info.st_dev, info.st_ino)


def forget_vanished(memory: Memory, present: set[str], folder: tuple[int, int]) -> None:
    """Forget names that were deleted, so that they may appear again.

    Not when the folder is another one than before: then the files did not go, the folder did.
    Another folder is taken for ours once it holds a file that we know: a share that returns may
    have a new identity, and the bare mount point meanwhile holds nothing.
    """
    if memory.folder == folder:
        for name in [known for known in memory.names if known not in present]:
            del memory.names[name]
            memory.marks.pop(name, None)
    elif not memory.names or not present.isdisjoint(memory.names):
        memory.folder = folder


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


@dataclass(frozen=True, slots=True)
class Fate:
    """What to do with a content: ``keep`` (nothing), ``refuse`` (say it again), ``judge``, or
    ``promote`` / ``candidate`` for a version that is already there."""

    action: str
    why: str = ""


def fate(
    sha256: str,
    verdict: Mapping[str, object] | None,
    active_sha256: str | None,
    known_sha256: str | None,
    current_rules: tuple[str, str],
) -> Fate:
    """What a stable file asks for.

    ``known_sha256`` is what this name brought last time: the same again asks for nothing, so a
    restart or a rollback is never undone by a file that merely still lies there.
    ``current_rules`` are the contract's fingerprint and the program's version: an acceptance
    holds under the same contract only, a refusal under the same program too.
    """
    if known_sha256 == sha256:
        return Fate("keep")
    if sha256 == active_sha256:
        return Fate("keep", "es la versión activa")
    if verdict is None:
        return Fate("judge")
    if verdict["accepted"] and verdict["contract"] == current_rules[0]:
        return Fate("promote", "vuelve una versión anterior")
    if not verdict["accepted"] and (verdict["contract"], verdict["program"]) == current_rules:
        return Fate("refuse")
    return Fate("judge")


def may_promote(name: str, active_model: str | None, pinned: bool) -> str | None:
    """``None`` when a new version may be published by itself, else the reason why not."""
    if pinned:
        return "la versión activa está fijada (propensia pin --off para soltarla)"
    own, active = period(name), period(active_model or "")
    if own is not None and active is not None and own < active:
        return f"su mes ({own}) es anterior al del modelo activo ({active})"
    return None
