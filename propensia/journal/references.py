"""The keyed hash of what callers call a debtor: it finds an answer again, and tells nobody who.

The key stays in the state folder; whoever has the database alone cannot try names.
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
from pathlib import Path

from propensia import files
from propensia.locks import Lock

NAME = "reference.key"
KEY_BYTES = 32
DIGITS = 32
LONGEST = 64
"""Letters of a reference, as callers give it."""


class References:
    """Hashes references with the key of one installation, which is made at the first need."""

    def __init__(self, state: Path) -> None:
        """Raises ``OSError``, or ``ValueError`` for a key that is damaged: with another one, no
        reference of before would be found again."""
        path = state / NAME
        with contextlib.suppress(FileNotFoundError):
            self._begun = _begun(path)
            return
        with Lock(state / f"{NAME}.lock", patience_s=10.0):
            if not path.exists():
                files.write(path, secrets.token_hex(KEY_BYTES).encode(), private=True)
                files.hand_over(path, state / f"{NAME}.lock", like=state)
            self._begun = _begun(path)

    def hashed(self, reference: str) -> str:
        """The first 128 bits of HMAC-SHA-256 (RFC 2104), in hexadecimal."""
        hashing = self._begun.copy()  # the key was taken in once: half of the work
        hashing.update(reference.encode("utf-8"))
        return hashing.hexdigest()[:DIGITS]


def _begun(path: Path) -> hmac.HMAC:
    key = bytes.fromhex(files.read(path, 1024).decode("ascii"))
    if len(key) != KEY_BYTES:
        raise ValueError(f"{NAME}: {len(key)} bytes")
    return hmac.new(key, digestmod="sha256")
