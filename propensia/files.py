"""Files that are whole or absent: bounded reads, and writes that other processes never see half.

No handle outlives a function here, and nothing written is ever visible under its name unfinished.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import io
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Result = TypeVar("Result")

# Antivirus, indexers and backups hold files for moments on Windows; give them this long.
RETRIES = 6
FIRST_PAUSE_S = 0.02

# A pipe opened so does not block; what the system does not know is not asked of it.
OPENING = os.O_RDONLY
for _flag in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT"):
    OPENING |= getattr(os, _flag, 0)
NOT_A_LINK: int = getattr(os, "O_NOFOLLOW", 0)


class FileTooLarge(OSError):
    """A file is over the limit; nothing of it was read."""


class NotRegular(OSError):
    """A name leads to a folder, a pipe, a device or (where that counts) a link."""


def retry(action: Callable[[], Result]) -> Result:
    """What ``action`` returns; a ``PermissionError`` is retried a bounded time, then raised."""
    pause = FIRST_PAUSE_S
    for _ in range(RETRIES):
        try:
            return action()
        except PermissionError:
            time.sleep(pause)
            pause *= 2
    return action()


def shown(name: str) -> str:
    """A name that somebody else gave, fit for a message: printable, of 80 letters at most.

    Control, format and direction characters could forge a line or hide a name. A longer one loses
    its middle: a path ends with what it is about.
    """
    short = name if len(name) <= 80 else f"{name[:39]}…{name[-40:]}"
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in short
    )


def masked(url: str, mask: str = "***@") -> str:
    """A URL without name and password; to the last ``@``, for a password may hold one, too."""
    return re.sub("://.*@", lambda _: f"://{mask}", url, flags=re.DOTALL)


def hand_over(*paths: Path, like: Path) -> None:
    """What root has just made must not keep the service's own account from going on: it belongs
    to the owner of ``like``, as far as root may say so here. It never raises, and follows no
    link: others may write in that folder."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    with contextlib.suppress(OSError):
        owner = like.stat()
        for path in paths:
            if path.lstat().st_uid != owner.st_uid:
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def open_regular(path: Path, *, follow: bool = True) -> io.BufferedReader:
    """A regular file, open to be read; with ``follow=False`` its name is no link either.

    What is opened is asked once more what it is, for the name may mean another thing by now.
    Raises ``NotRegular``, without ever blocking, and ``OSError``.
    """
    wrong = f"{shown(path.name)} is not a regular file"
    # Asked by name first, too: opening a device may do something, and Windows opens no folder.
    if not stat.S_ISREG(path.stat(follow_symlinks=follow).st_mode):
        raise NotRegular(wrong)
    try:
        descriptor = os.open(path, OPENING | (0 if follow else NOT_A_LINK))
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link now, or a socket
            raise NotRegular(wrong) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRegular(wrong)
    return os.fdopen(descriptor, "rb")


def read(path: Path, limit_bytes: int | None = None, *, follow: bool = True) -> bytes:
    """The bytes of a regular file, read once.

    Raises ``FileTooLarge`` before reading when it is over ``limit_bytes``, another ``OSError``
    when it is not a regular file (``open_regular``) or cannot be read.
    """

    def attempt() -> bytes:
        with open_regular(path, follow=follow) as stream:
            if limit_bytes is None:
                return stream.read()
            if os.fstat(stream.fileno()).st_size > limit_bytes:
                raise FileTooLarge(shown(path.name))
            data = stream.read(limit_bytes + 1)
        if len(data) > limit_bytes:
            raise FileTooLarge(shown(path.name))
        return data

    return retry(attempt)


def write(
    path: Path, data: bytes | Iterable[bytes], *, durable: bool = True, private: bool = False
) -> None:
    """Write ``data`` under ``path``: readers see the old bytes or the new, never a mixture.

    Parts are written as they come. ``durable=False`` spares the disk: whole for every reader, but
    a power cut may lose it. ``private``: only this account may read it; on Windows the rights of
    the folder count.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as stream:
            if private:
                temporary.chmod(stat.S_IRUSR | stat.S_IWUSR)
            stream.writelines([data] if isinstance(data, bytes) else data)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        retry(lambda: os.replace(temporary, path))
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def leftovers(path: Path) -> list[Path]:
    """What sudden ends of ``write`` left beside ``path``; only who knows that nobody else writes
    there may remove it."""
    return list(path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 8}.tmp"))


def write_json(path: Path, value: object, *, durable: bool = True, private: bool = False) -> None:
    """As ``write``, for a JSON value; NaN and infinities are refused with ``ValueError``."""
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
    # A file name of bytes that are not UTF-8 has lone surrogates; \udcff is JSON for one too.
    data = text.encode("utf-8", "backslashreplace")
    write(path, data, durable=durable, private=private)


def read_json(path: Path) -> Any:
    """The JSON value in a small file (16 MiB at most). Raises ``OSError`` or ``ValueError``."""
    try:
        return json.loads(read(path, 16 << 20).decode("utf-8"))
    except RecursionError as error:  # how deep is too deep depends on who asks
        raise ValueError("it is nested too deeply") from error


def read_at(handle: int, size: int, offset: int) -> bytes:
    """At most ``size`` bytes of an open file, from ``offset`` on. Raises ``OSError``.

    Windows has one place for all threads that use the handle: who calls lets them take turns.
    """
    if hasattr(os, "pread"):
        return os.pread(handle, size, offset)
    os.lseek(handle, offset, os.SEEK_SET)
    return os.read(handle, size)


def write_at(handle: int, data: ReadableBuffer, offset: int) -> None:
    """As ``read_at``, the other way; unlike ``write``, others may see a part of it."""
    if hasattr(os, "pwrite"):
        os.pwrite(handle, data, offset)
    else:
        os.lseek(handle, offset, os.SEEK_SET)
        os.write(handle, data)


def digest(path: Path) -> str:
    """The hexadecimal SHA-256 of a regular file of any size. Raises as ``open_regular``."""
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remove_tree(folder: Path) -> None:
    """Remove a folder that others may have written in, as far as it can be; it never raises.

    No link is followed. Inner folders are first moved to the top, so that neither the length of
    a path nor the open folders grow with the depth.
    """
    handles = os.open in os.supports_dir_fd and os.scandir in os.supports_fd
    with contextlib.suppress(OSError):
        if not stat.S_ISDIR(folder.lstat().st_mode):
            folder.unlink()
        elif handles:
            _remove_by_handles(folder)
        else:
            _remove_by_paths(folder)


def _remove_by_handles(folder: Path) -> None:
    top = _open_folder(str(folder), None)
    try:
        waiting = _clear(top, top)
        while waiting:
            name = waiting.pop()
            with contextlib.suppress(OSError):
                inner = _open_folder(name, top)
                try:
                    waiting += _clear(inner, top)
                finally:
                    os.close(inner)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    folder.rmdir()


def _open_folder(name: str, above: int | None) -> int:
    """A folder that we may list and change, open. Raises ``OSError``, also for a link."""
    flags = os.O_RDONLY | os.O_DIRECTORY | NOT_A_LINK
    try:
        descriptor = os.open(name, flags, dir_fd=above)
    except PermissionError:
        os.chmod(name, stat.S_IRWXU, dir_fd=above)
        descriptor = os.open(name, flags, dir_fd=above)
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, stat.S_IRWXU)
    return descriptor


def _clear(inner: int, top: int) -> list[str]:
    """Empty an open folder of files, and move its folders into ``top``; their names there."""
    moved = []
    with os.scandir(inner) as listing:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in listing]
    for name, is_folder in entries:
        with contextlib.suppress(OSError):
            if not is_folder:
                os.unlink(name, dir_fd=inner)
                continue
            new = name if inner == top else secrets.token_hex(16)
            if inner != top:
                os.close(_open_folder(name, inner))  # only what may be changed can be moved
                os.rename(name, new, src_dir_fd=inner, dst_dir_fd=top)
            moved.append(new)
    return moved


def _remove_by_paths(top: Path) -> None:
    """As by handles, for Windows, where no path is longer than two steps below ``top``."""
    waiting = [top]
    while waiting:
        inner = waiting.pop()
        with contextlib.suppress(OSError):
            with os.scandir(inner) as listing:
                entries = [(Path(entry.path), _is_folder(entry)) for entry in listing]
            for path, is_folder in entries:
                with contextlib.suppress(OSError):
                    if is_folder:
                        waiting.append(path.rename(top / secrets.token_hex(16)))
                        continue
                    if not path.lstat().st_mode & stat.S_IWRITE:  # never a link's
                        path.chmod(stat.S_IWRITE)
                    path.unlink()
            if inner != top:
                inner.rmdir()
    top.rmdir()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder of its own; a junction on Windows leads elsewhere, as a link does."""
    attributes = getattr(entry.stat(follow_symlinks=False), "st_file_attributes", 0)
    return entry.is_dir(follow_symlinks=False) and not (
        attributes & stat.FILE_ATTRIBUTE_REPARSE_POINT
    )


def sync_folder(folder: Path) -> None:
    """Make names in ``folder`` survive a power cut, on systems that need it (not Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(*parts: bytes) -> str:
    """The hexadecimal SHA-256 of one part, or of the digests of several parts, in order."""
    if len(parts) == 1:
        return hashlib.sha256(parts[0]).hexdigest()
    joined = b"".join(hashlib.sha256(part).digest() for part in parts)
    return hashlib.sha256(joined).hexdigest()
