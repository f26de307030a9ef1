"""What a copy holds and says of itself, and the check of a zip that claims to be one.

It never believes a name, a size or a kind of file that a zip declares, and writes nothing.
"""

from __future__ import annotations

import json
import re
import stat
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, NoReturn
from zipfile import ZipFile, ZipInfo

AT_ONE_MOMENT = (
    "inbox.json",
    "releases/*.json",
    "handed/*.json",
    "access.txt",
    "access/keys.json",
    "access/secret",
    "access/ended/*",  # with the secret: a session that was ended must not come back
    "keys/*",
    "audit/head.json",  # before the log: what is noted is in the log that comes along
    "audit/audit.jsonl",
    "audit/torn-*",
    "reference.key",
    "rules/*.toml",
)
FOLDER_BY_FOLDER = ("versions/*/*",)
AFTERWARDS = ("verdicts/*.json",)
JOURNAL = ("journal/*.journal", "journal/*.rejected")
STORE = "store.db"
"""What is copied of the state, as patterns, in this order. Nothing is published while the first
are copied, nor while one folder of the second is; the third never change. The journal comes before
the store: what is shipped and removed in between is in the store, and what is in both is there
once. Logs, counts, locks, signs of life and scratch stay behind."""

SETTINGS, MODELS, STATE = "propensia.toml", "models/", "state/"
MANIFEST = "manifest.json"
MANIFEST_LIMIT_BYTES = 64 << 20
FORMAT = 2

_SAY_EVERY_S = 2.0
# Windows forbids these, or takes them for devices and drives ("Naming Files, Paths, and
# Namespaces" in the documentation of its API); a lone surrogate cannot be written in a zip.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"\\|?*\ud800-\udfff]|[. ]$').search
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE).fullmatch
_SHA256 = re.compile(r"[0-9a-f]{64}").fullmatch
Say = Callable[[str], None]


class BackupError(Exception):
    """Nothing was copied or restored; the text, Spanish first, says why and what to do."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a copy: the hexadecimal SHA-256 of its content, and its size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a copy says of itself. ``release`` 0: nothing was published; ``parts`` by name in the
    zip, as ``state/releases/000001.json``."""

    created: str
    program: str
    contract: str
    fingerprint: str
    release: int
    version: str
    parts: Mapping[str, Part]

    @property
    def size(self) -> int:
        """The bytes of all files together."""
        return sum(part.size for part in self.parts.values())

    def written(self) -> bytes:
        """The text of it, as it stands in a copy."""
        return json.dumps({"format": FORMAT} | asdict(self), indent=1).encode("ascii")


def entry(name: str) -> ZipInfo:
    """The entry of a new file: not compressed, so that its size is its size and a copy cannot
    grow when it is unpacked; and readable by its owner only."""
    info = ZipInfo(name, time.gmtime()[:6])
    info.external_attr = (stat.S_IFREG | 0o600) << 16
    return info


def is_safe(name: str) -> bool:
    """Whether a name leads to one place below a folder, and to the same one on every system."""
    parts = name.split("/")
    return all(part and not _FORBIDDEN(part) and not _DEVICE(part) for part in parts)


def _is_known(name: str) -> bool:
    """Whether copies have files of that name."""
    own = (*AT_ONE_MOMENT, *FOLDER_BY_FOLDER, *AFTERWARDS, *JOURNAL, STORE)
    state = (f"{STATE}{pattern}" for pattern in own)
    return any(
        name.count("/") == pattern.count("/") and PurePosixPath(name).match(pattern)
        for pattern in (*state, f"{MODELS}*", SETTINGS, MANIFEST)
    )


def checked(archive: ZipFile, size: int) -> Manifest:
    """The manifest of a copy, once everything that the zip declares fits to it.

    ``size`` is that of the zip, in bytes. No content is read. Raises ``BackupError``.
    """
    entries = {info.filename: info for info in archive.infolist()}
    manifest = _manifest(archive, entries.get(MANIFEST))
    if len(archive.infolist()) != len(entries) or entries.keys() != {MANIFEST, *manifest.parts}:
        _foreign("no tiene los ficheros que dice tener", "its files are not those it lists")
    for name, info in entries.items():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if not (is_safe(name) and _is_known(name)) or kind not in (0, stat.S_IFREG):
            _foreign("tiene un fichero que no es de una copia", "a file belongs to no backup")
        if name != MANIFEST and info.file_size != manifest.parts[name].size:
            _foreign("un fichero no tiene el tamaño que dice", "a file has another size")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            _foreign("un fichero está comprimido", "a file is compressed")
    if manifest.size > size:  # two entries may claim the same bytes
        _foreign("ocuparía más de lo que ocupa", "it would grow")
    return manifest


def _manifest(archive: ZipFile, info: ZipInfo | None) -> Manifest:
    if info is None or info.file_size > MANIFEST_LIMIT_BYTES:
        _foreign("no tiene manifiesto", "it has no manifest")
    if info.compress_type != zipfile.ZIP_STORED:  # before it is unpacked
        _foreign("un fichero está comprimido", "a file is compressed")
    try:
        table: dict[str, Any] = json.loads(archive.read(info))
        if int(table.pop("format")) > FORMAT:
            raise BackupError(
                "la hizo una versión posterior de Propensia; restáurela con ella. / A later "
                "version made it; restore it with that one."
            )
        parts = {str(n): Part(str(p["sha256"]), int(p["size"])) for n, p in table["parts"].items()}
        if any(part.size < 0 or not _SHA256(part.sha256) for part in parts.values()):
            raise ValueError("a part")
        texts = {name: str(table[name]) for name in ("created", "program", "contract")}
        texts |= {name: str(table[name]) for name in ("fingerprint", "version")}
        return Manifest(**texts, release=int(table["release"]), parts=parts)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, RuntimeError):
        _foreign("su manifiesto no se entiende", "its manifest cannot be read")


def _foreign(why: str, english: str) -> NoReturn:
    raise BackupError(f"no es una copia que se pueda restaurar: {why}. / No backup: {english}.")


class Progress:
    """Says how far a long work is, at most every two seconds."""

    def __init__(self, verb: str, say: Say, total: int = 0) -> None:
        self._verb, self._say, self._total = verb, say, total
        self._done, self._next = 0, time.monotonic() + _SAY_EVERY_S

    def add(self, count: int) -> None:
        """So many bytes more are done."""
        self._done += count
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _SAY_EVERY_S
            of = f" de {self._total >> 20}" if self._total else ""
            self._say(f"{self._done >> 20}{of} MB {self._verb}…")
