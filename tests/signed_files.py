"""Keys and signatures made by the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from propensia import signing
from propensia.signing import SignatureError

AT = "2026-10-05T09:12:33+00:00"
MODEL, SIDECAR = b"the bytes of a model", b'{"umbral": 0.42}'
PHRASE = "una frase de paso larga"


def public_pem(key: Any) -> bytes:
    return bytes(
        key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    )


def signed(
    key: Ed25519PrivateKey, model: bytes = MODEL, sidecar: bytes | None = SIDECAR, why: str = "mes"
) -> bytes:
    return signing.sign(key, model, sidecar, signed=AT, why=why)


class Keys:
    """A folder of trusted keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def trust(self, name: str = "ana.pub") -> Ed25519PrivateKey:
        """A new key, whose public half lies in the folder under that name."""
        key = Ed25519PrivateKey.generate()
        (self.folder / name).write_bytes(public_pem(key))
        return key

    def verify(
        self, signature: bytes, model: bytes = MODEL, sidecar: bytes | None = SIDECAR
    ) -> signing.Signer:
        return signing.verify(signature, model, sidecar, self.folder)

    def why_not(
        self, signature: bytes, model: bytes = MODEL, sidecar: bytes | None = SIDECAR
    ) -> str:
        """Why a signature is refused, in the analyst's words."""
        with pytest.raises(SignatureError) as error:
            self.verify(signature, model, sidecar)
        return error.value.detail
