"""What a run keeps until its end: a file that grows by one frame for each block.

It holds nothing open between two calls, and a frame that was only half written is never read.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from propensia import files
from propensia.batch.beside import part_of
from propensia.batch.blocks import Place
from propensia.delimited import TableError

# The bytes of a frame as they stand in the file, and as they were given.
HEAD = struct.Struct("<QQ")
CODEC = "zstd"
SPOOL = "spool"


def append(path: Path, content: bytes) -> int:
    """Add to a file, durably; its size afterwards. Raises ``OSError``."""
    with path.open("ab") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
        return stream.tell()


def shorten(path: Path, size: int) -> None:
    """Shorten a file to what it was. Raises ``TableError`` if it is shorter, and ``OSError``."""
    if path.stat().st_size < size:  # truncating would fill it up
        raise TableError(f"{files.shown(path.name)} no es el que se dejó a medias")
    os.truncate(path, size)


def pack(content: bytes) -> bytes:
    """A frame, made small: where it is rendered, so that many processes share the work."""
    small: bytes = pa.compress(content, codec=CODEC, asbytes=True)
    return HEAD.pack(len(small), len(content)) + small


class Spool:
    """The frames of a run, in a folder ``NAME.part`` with all else that is unfinished of it."""

    def __init__(self, result: Path) -> None:
        self._result = result
        self.folder = part_of(result)
        self._path = self.folder / SPOOL
        self.unfinished = self.folder / result.name
        """Where the result is written before it is shown: of the same name, in the folder."""
        self.is_over = False
        """Whether the result was shown, and the folder was being removed when a run ended."""

    def start(self, place: Place | None) -> None:
        """As ``Sink.start``."""
        self.is_over = place is not None and self.folder.is_dir() and not self._path.exists()
        if place is not None:
            if not self.is_over:
                shorten(self._path, place["offset"])
            return
        files.remove_tree(self.folder)
        self.folder.mkdir()
        self._path.write_bytes(b"")

    def keep(self, frames: bytes) -> Place:
        """Take what ``pack`` made, durably; the place after it."""
        return {"offset": append(self._path, frames)}

    def frames(self) -> Iterator[bytes]:
        """Every frame, in order."""
        with files.open_regular(self._path) as stream:
            while head := stream.read(HEAD.size):
                small, size = HEAD.unpack(head)
                yield pa.decompress(
                    stream.read(small), decompressed_size=size, codec=CODEC, asbytes=True
                )

    def show(self) -> None:
        """The ``unfinished`` result, whole, takes its place at once; the folder is gone."""
        if not self.is_over:
            with self.unfinished.open("r+b") as stream:
                os.fsync(stream.fileno())
            files.retry(lambda: os.replace(self.unfinished, self._result))
            files.sync_folder(self._result.parent)
        self.is_over = True
        files.retry(lambda: self._path.unlink(missing_ok=True))  # the first that is missing
        files.remove_tree(self.folder)
