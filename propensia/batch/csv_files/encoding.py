"""How the letters of a CSV are written, row by row: most rows in one way, some in another.

It never loses a letter: bytes that are no UTF-8 are read as Windows-1252, as Excel writes them.
"""

from __future__ import annotations

import codecs
import os
from typing import BinaryIO

import numpy as np

from propensia.batch.csv_files.boundaries import Mask, Places, Spans
from propensia.delimited import WINDOWS, from_windows

UTF8 = "utf-8"
WIDE = ("utf-16-le", "utf-16-be")
BOMS = {codecs.BOM_UTF8: UTF8, codecs.BOM_UTF16_LE: WIDE[0], codecs.BOM_UTF16_BE: WIDE[1]}
# The first and the last byte of two that may be a letter in UTF-8.
_LEADS, _FOLLOWS = 0xC2, (0x80, 0xBF)


def usual(content: bytes) -> str:
    """The encoding that most letters speak for, of a text of one byte per sign."""
    if content.isascii():
        return UTF8
    text = content.decode(UTF8, "replace")
    wrong = text.count("\N{REPLACEMENT CHARACTER}")
    right = len(text) - wrong - len(text.encode("ascii", "ignore"))
    return WINDOWS if wrong > right else UTF8


def from_first_letter(stream: BinaryIO, size: int) -> bytes:
    """Of what is left of a file, ``size`` bytes from the first one on that is not ASCII, which
    alone tells an encoding; none where all of it is."""
    while chunk := stream.read(size):
        if not chunk.isascii():
            first = int(np.flatnonzero(np.frombuffer(chunk, np.uint8) >= 128)[0])
            stream.seek(first - len(chunk), os.SEEK_CUR)
            return stream.read(size)
    return b""


def letters(row: bytes) -> str:
    """A row in UTF-8 or, where it is none, in Windows-1252."""
    return row.decode() if _is_utf8(row) else from_windows(row)


def as_utf8(content: bytes, spans: Spans, encoding: str) -> tuple[bytes, Mask]:
    """The rows in UTF-8, and which of them, ``(n,)``, were not in ``encoding`` as most are.

    ``content`` itself where nothing has to change.
    """
    nothing = np.zeros(len(spans.ends), dtype=bool)
    if content.isascii() or encoding in WIDE:  # the latter were brought to UTF-8 when cut
        return content, nothing
    codes = np.frombuffer(content, np.uint8)
    special = _rows(np.flatnonzero(codes >= 128), spans)
    if _is_utf8(content):
        return content, special if encoding == WINDOWS else nothing
    lead = (codes[:-1] >= _LEADS) & (codes[1:] >= _FOLLOWS[0]) & (codes[1:] <= _FOLLOWS[1])
    kept = _rows(np.flatnonzero(lead), spans)
    parts, copied = [], 0
    for place in np.flatnonzero(kept).tolist():
        start, end = int(spans.starts[place]), int(spans.ends[place])
        kept[place] = _is_utf8(content[start:end])
        if kept[place]:
            parts += [from_windows(content[copied:start]).encode(), content[start:end]]
            copied = end
    parts.append(from_windows(content[copied:]).encode())
    return b"".join(parts), kept if encoding == WINDOWS else special & ~kept


def _rows(places: Places, spans: Spans) -> Mask:
    """Which rows hold these bytes, ``(n,)``."""
    found = np.zeros(len(spans.ends), dtype=bool)
    found[np.searchsorted(spans.ends, places)] = True
    return found


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode(UTF8)
    except UnicodeDecodeError:
        return False
    return True
