"""Stored answers written for people and programs: ids, JSON or CSV, on the screen or in a file.

It writes a file whole or not at all, and never looks an answer up.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from propensia import delimited, files, telling
from propensia.rules import Rules
from propensia.store.answers import Refusal, Stored

COLUMNS = ("id", "momento", "version", "modelo", "probabilidad", "clasificacion")


@contextlib.contextmanager
def opened(out: Path | None, form: str) -> Iterator[TextIO]:
    """Where the text goes. A file is there only when it is whole, and only this account may read
    it (on Windows: the rights of its folder count). Raises ``OSError``."""
    if out is None:
        yield sys.stdout
        return
    # Excel takes a CSV without this mark for one of another encoding.
    encoding = "utf-8-sig" if form == "csv" else "utf-8"
    if not out.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no existe esa carpeta", str(out.parent))
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(4)}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:  # whoever asked knows the file by its own name
        raise OSError(error.errno, error.strerror, str(out)) from None
    try:
        with os.fdopen(handle, "w", encoding=encoding, newline="") as stream:
            yield stream
        files.retry(lambda: os.replace(temporary, out))
    finally:
        temporary.unlink(missing_ok=True)


def write_ids(stream: TextIO, ids: Iterator[str]) -> int:
    """One a line; how many."""
    count = 0
    for id in ids:
        stream.write(f"{id}\n")
        count += 1
    return count


def write_json(stream: TextIO, found: Iterator[Stored], rules: Rules) -> int:
    """A list, one answer a line, so that it can be read as it comes; how many."""
    count, before = 0, "["
    for stored in found:
        told = json.dumps(telling.shape(stored, rules), ensure_ascii=False)
        stream.write(f"{before}\n{told}")
        before = ","
        count += 1
    stream.write("[]\n" if not count else "\n]\n")
    return count


def write_refusal(stream: TextIO, refused: Refusal, form: str) -> None:
    """A request that was refused: a row for each thing that was wrong, and no value."""
    told = telling.refusal(refused)
    if form == "ids":
        stream.write(f"{refused.id}\n")
    elif form == "json":
        stream.write(json.dumps([told], ensure_ascii=False) + "\n")
    else:
        write = delimited.writing(stream)
        write(["id", "momento", "quien", "parametro", "codigo"])
        for name, code in refused.faults:
            write([told["id"], told["momento"], told["quien"], name, code])


def write_csv(stream: TextIO, found: Iterator[Stored], rules: Rules, names: list[str]) -> int:
    """A row for each answer, with a column for each of the parameters ``names``; how many."""
    write = delimited.writing(stream)
    write([*COLUMNS, *names])
    count = 0
    for stored in found:
        count += 1
        contract = rules.of(stored.rules)
        texts = (telling.values(stored, contract) or {}) if contract is not None else {}
        write(
            [
                stored.id,
                telling.moment(stored.milliseconds),
                stored.version,
                stored.model,
                repr(stored.probability),
                telling.answered(stored, rules),
                *(texts.get(name) or "" for name in names),
            ]
        )
    return count
