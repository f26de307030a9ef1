"""Take the raw pickle out of a file, whatever compression it was saved with.

It must never unpack more than it was allowed to, whatever the file declares.
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Protocol

import lz4.frame  # type: ignore[import-untyped]  # lz4 ships no types

from propensia.admission.refusal import Refusal

LIMIT_BYTES = 1 << 30
RATIO = 100
# A file this small when unpacked harms nobody, however well it was compressed.
_ALWAYS_ALLOWED = 1 << 20
# xz and lzma files name the size of their dictionary; the largest preset needs 65 MiB.
_LZMA_MEMORY = 128 << 20
_INPUT_CHUNK = 1 << 16
_OUTPUT_CHUNK = 1 << 20
# A file system that reserves the full size before a copy fills it with these.
_RESERVED_TAIL = bytes(8)


class _Decompressor(Protocol):
    """What the decompressors of bz2, lzma and lz4 have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Inflater:
    """zlib's decompressor, with the interface of the others."""

    def __init__(self, window_bits: int) -> None:
        self._inflater = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    @property
    def needs_input(self) -> bool:
        return not self._inflater.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inflater.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inflater.decompress(self._inflater.unconsumed_tail + data, max_length)


_MAGIC: dict[bytes, Callable[[], _Decompressor]] = {
    b"\x78": lambda: _Inflater(zlib.MAX_WBITS),
    b"\x1f\x8b": lambda: _Inflater(16 + zlib.MAX_WBITS),
    b"BZ": bz2.BZ2Decompressor,
    b"\xfd7zXZ": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _LZMA_MEMORY),
    b"\x5d\x00": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, _LZMA_MEMORY),
    b"\x04\x22\x4d\x18": lz4.frame.LZ4FrameDecompressor,
}
# Files that people drop by mistake, and what to call them.
_OTHERS = {
    b"PK\x03\x04": "es un archivo zip",
    b"\x89HDF": "es un archivo HDF5",
    b"%PDF": "es un PDF",
    b"<": "es una página o un texto XML",
}


def unpack(data: bytes, *, limit_bytes: int = LIMIT_BYTES, ratio: int = RATIO) -> bytes:
    """The bytes of the pickle stream inside a file; those of a bare pickle come back as they are.

    zlib, gzip, bz2, xz, lzma and lz4, as joblib writes them: one stream, nothing behind it.

    Errors: a ``Refusal``. ``demasiado_grande`` before more than ``limit_bytes``, or more than
    ``ratio`` times the file, has been unpacked; ``fichero_incompleto`` for a stream that stops
    early; ``no_es_un_modelo`` for a damaged one or one that something follows.
    """
    if not data:
        raise Refusal("fichero_incompleto", "está vacío", "it is empty")
    if data.startswith(b"ZF"):
        raise Refusal(
            "formato_no_admitido",
            "joblib comprimido anterior a la versión 0.10",
            "compressed joblib older than version 0.10",
        )
    for magic, what in _OTHERS.items():
        if data.startswith(magic):
            raise Refusal("no_es_un_modelo", what, f"it begins like another kind ({what})")
    for magic, make in _MAGIC.items():
        if data.startswith(magic):
            by_ratio = max(ratio * len(data), _ALWAYS_ALLOWED)
            if limit_bytes <= by_ratio:
                return _decompress(data, make(), limit_bytes, _too_large(limit_bytes))
            return _decompress(data, make(), by_ratio, _too_dense(ratio))
        if magic.startswith(data):
            raise Refusal("fichero_incompleto", "acaba enseguida", "it ends at once")
    if len(data) > limit_bytes:
        raise _too_large(limit_bytes)
    return data


def _decompress(data: bytes, decompressor: _Decompressor, limit: int, beyond: Refusal) -> bytes:
    """All of it, or the refusal ``beyond`` once it is more than ``limit`` bytes."""
    unpacked = io.BytesIO()
    try:
        consumed = _feed(data, decompressor, limit, unpacked)
    # lz4 says RuntimeError, bz2 OSError (ValueError in some cases), the others their own.
    except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError, RuntimeError) as error:
        raise _damaged(data) from error
    if consumed is None:
        raise beyond
    if not decompressor.eof:
        raise Refusal(
            "fichero_incompleto",
            "los datos comprimidos se cortan antes del final",
            "the compressed data stop before their end",
        )
    if decompressor.unused_data or consumed < len(data):
        raise _damaged(data, "sobran bytes tras los datos comprimidos", "bytes follow the data")
    return unpacked.getvalue()


def _feed(
    data: bytes, decompressor: _Decompressor, limit: int, unpacked: io.BytesIO
) -> int | None:
    """Decompress into ``unpacked``: how many of the bytes were used, ``None`` over the limit."""
    consumed = 0
    while not decompressor.eof:
        chunk = b""
        if decompressor.needs_input:
            chunk = data[consumed : consumed + _INPUT_CHUNK]
            consumed += len(chunk)
        piece = decompressor.decompress(chunk, _OUTPUT_CHUNK)
        if unpacked.tell() + len(piece) > limit:
            return None
        unpacked.write(piece)
        if not piece and not chunk and consumed >= len(data):
            break
    return consumed


def _too_large(limit: int) -> Refusal:
    mebibytes = limit >> 20
    return Refusal(
        "demasiado_grande",
        f"ocupa más de {mebibytes} MiB sin comprimir",
        f"it takes more than {mebibytes} MiB unpacked",
    )


def _too_dense(ratio: int) -> Refusal:
    return Refusal(
        "demasiado_grande",
        f"sin comprimir ocupa más de {ratio} veces lo que comprimido",
        f"unpacked it takes more than {ratio} times what it takes packed",
    )


def _damaged(
    data: bytes,
    detail: str = "los datos comprimidos están dañados",
    detail_en: str = "the compressed data are damaged",
) -> Refusal:
    if data.endswith(_RESERVED_TAIL):
        return Refusal("fichero_incompleto", "acaba en ceros", "it ends in zeros")
    return Refusal("no_es_un_modelo", detail, detail_en)
