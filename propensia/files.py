"""Files that are whole or absent: bounded reads, and writes that other processes never see half.

No handle outlives a function here, and nothing written is ever visible under its name unfinished.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import secrets
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")

# Antivirus, indexers and backups hold files for moments on Windows; give them this long.
RETRIES = 6
FIRST_PAUSE_S = 0.02


class FileTooLarge(OSError):
    """A file is over the limit; nothing of it was read."""


class TableError(Exception):
    """A file is not a table; the text, in Spanish, names the file and the column or line."""


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


def read(path: Path, limit_bytes: int | None = None) -> bytes:
    """The bytes of a regular file, read once.

    Raises ``FileTooLarge`` before reading when it is over ``limit_bytes``, another ``OSError``
    when it is not a regular file (a pipe or device would block) or cannot be read.
    """

    def attempt() -> bytes:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(f"{path.name} is not a regular file")
        with path.open("rb") as stream:
            if limit_bytes is None:
                return stream.read()
            if os.fstat(stream.fileno()).st_size > limit_bytes:
                raise FileTooLarge(path.name)
            data = stream.read(limit_bytes + 1)
        if len(data) > limit_bytes:
            raise FileTooLarge(path.name)
        return data

    return retry(attempt)


def write(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write ``data`` under ``path``: readers see the old bytes or the new, never a mixture.

    ``durable=False`` spares the disk: whole for every reader, but a power cut may lose it.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as stream:
            stream.write(data)
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


def write_json(path: Path, value: object, *, durable: bool = True) -> None:
    """As ``write``, for a JSON value; NaN and infinities are refused with ``ValueError``."""
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
    # A file name of bytes that are not UTF-8 has lone surrogates; \udcff is JSON for one too.
    write(path, text.encode("utf-8", "backslashreplace"), durable=durable)


def read_json(path: Path) -> Any:
    """The JSON value in a small file (16 MiB at most). Raises ``OSError`` or ``ValueError``."""
    return json.loads(read(path, 16 << 20).decode("utf-8"))


def read_table(path: Path, limit_bytes: int) -> tuple[list[str], list[list[str]]]:
    """The heading and the rows of a CSV as spreadsheets write it: all texts, one for each column.

    UTF-8 with or without a BOM, else Latin-1; ``;``, ``,`` or a tab between columns, whichever
    the heading has most of. Rows without any text are left out. Raises ``TableError`` for a row
    of another width, two columns of one name and broken quotes; otherwise as ``read``.
    """
    data = read(path, limit_bytes)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    first = text.partition("\n")[0]
    delimiter = max(";,\t", key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    heading: list[str] = []
    rows = []
    try:
        heading = [name.strip() for name in next(lines, [])]
        for row in lines:
            if not any(row):
                continue
            if len(row) != len(heading):
                raise TableError(
                    f"{path.name}: la línea {lines.line_num} tiene {len(row)} columnas "
                    f"y la cabecera {len(heading)}"
                )
            rows.append(row)
    except csv.Error as error:
        raise TableError(
            f"{path.name}: la línea {lines.line_num} no es de un CSV ({error})"
        ) from error
    twice = sorted({name for name in heading if name and heading.count(name) > 1})
    if twice:
        raise TableError(f"{path.name}: hay dos columnas con el nombre {', '.join(twice)}")
    return heading, rows


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
