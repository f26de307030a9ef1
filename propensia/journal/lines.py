"""One record, one line: a checksum, a blank, JSON and a line end.

It never looks into a record.
"""

from __future__ import annotations

import zlib

HEAD = 9
"""Bytes before the record: eight hexadecimal digits of its CRC-32, and a blank."""

LONGEST = 1 << 20
"""Bytes of the longest line; a contract's texts, escaped, take a fraction of it."""


def line(record: bytes) -> bytes:
    """The line of a record, which holds no line end."""
    return b"%08x %b\n" % (zlib.crc32(record), record)


def record(line: bytes) -> bytes | None:
    """The record of a line, its end included; ``None`` where it is not whole or was changed."""
    if len(line) <= HEAD or line[HEAD - 1 : HEAD] != b" " or not line.endswith(b"\n"):
        return None
    found = line[HEAD:-1]
    return found if line[: HEAD - 1] == b"%08x" % zlib.crc32(found) else None
