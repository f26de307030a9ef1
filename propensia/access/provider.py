"""The public keys of an identity provider, and what the tokens say that one of them signed.

It must never take an algorithm, a key or a place of a key from a token, and is imported only where
a provider is set: its libraries cost a process ten megabytes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from propensia import files

LEEWAY_S = 30
"""Seconds that the clocks of the provider and of this machine may differ."""

LONGEST_FILE_BYTES = 1 << 20
LEAST_RSA_BITS = 2048  # RFC 7518, 3.3

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


class ProviderError(Exception):
    """A file holds no key that tokens could be checked with; the text, in Spanish, says why."""


class UnreadableError(ProviderError):
    """What a file holds is not known, for it cannot be read."""


@dataclass(frozen=True, slots=True)
class Signer:
    """One public key, with the one algorithm that it is for; ``kid`` is its name in a JWKS."""

    algorithm: str
    key: PublicKey
    kid: str | None = None


class Provider:
    """What one provider's tokens are checked against. Immutable; safe for threads."""

    def __init__(self, signers: list[Signer], audience: str, issuer: str) -> None:
        self._signers = signers
        self._by_kid = {signer.kid: signer for signer in signers if signer.kid is not None}
        self._audience = audience
        self._issuer = issuer or None

    def claims(self, token: str) -> dict[str, Any] | None:
        """What a token says that is signed, for us and good now; ``None`` for any other text.

        The algorithm is that of our key (RFC 8725, 3.1). ``exp``, ``aud`` and ``sub``, a text,
        must be there; times are checked (RFC 7519, 4.1); an extension that a token calls critical
        is one that we do not know (RFC 7515, 4.1.11).
        """
        try:
            header = jwt.get_unverified_header(token)
            signer = self._signer(header.get("kid"))
            if signer is None or "crit" in header or "b64" in header:
                return None
            return jwt.decode(
                token,
                signer.key,
                algorithms=[signer.algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            return None

    @staticmethod
    def ends(claims: dict[str, Any]) -> float:
        """When a token that was good stops being so, in seconds since 1970."""
        return int(claims["exp"]) + LEEWAY_S

    def _signer(self, kid: object) -> Signer | None:
        """The key that a token names; one that is alone and has no name needs none."""
        if isinstance(kid, str) and kid in self._by_kid:
            return self._by_kid[kid]
        alone = self._signers[0] if len(self._signers) == 1 else None
        return alone if alone is not None and None in (kid, alone.kid) else None


def read(path: Path, algorithms: Collection[str]) -> list[Signer]:
    """The keys of a PEM public key or a JWKS (RFC 7517) that sign with one of ``algorithms``.

    Raises ``ProviderError``, of which the text names the file and no part of it.
    """
    try:
        data = files.read(path, LONGEST_FILE_BYTES)
        found = _from_set(data) if data.lstrip()[:1] == b"{" else [_from_pem(data)]
    except OSError as error:
        raise UnreadableError(f"{path.name}: no se puede leer ({type(error).__name__})") from error
    except ProviderError as error:
        raise ProviderError(f"{path.name}: {error}") from error
    signers = [signer for signer in found if signer.algorithm in algorithms]
    if not signers:
        raise ProviderError(
            f"{path.name}: ninguna clave es de firma y de un algoritmo de jwt_algorithms"
        )
    kids = [signer.kid for signer in signers]
    if len(set(kids)) < len(kids):
        raise ProviderError(f"{path.name}: cada clave debe llevar su propio «kid»")
    return signers


def _from_pem(data: bytes) -> Signer:
    if b"PRIVATE KEY" in data:
        raise ProviderError("es una clave privada; deje aquí solo la pública")
    if data.count(b"-----BEGIN PUBLIC KEY-----") != 1:
        raise ProviderError("no es un JWKS ni un PEM con una sola clave pública")
    try:
        return _signer(load_pem_public_key(data), None)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ProviderError("la clave pública está dañada") from error


def _from_set(data: bytes) -> list[Signer]:
    try:
        rows = json.loads(data)["keys"]
        return [_signer(_imported(row), row.get("kid")) for row in rows if _is_for_signatures(row)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ProviderError("no es un JWKS completo") from error


def _is_for_signatures(row: dict[str, Any]) -> bool:
    """Whether a key of a set is one of ours to use: a set may hold others (RFC 7517, 5).

    Raises ``ProviderError`` for what no public file may hold.
    """
    if row.get("kty") == "oct" or "d" in row:
        raise ProviderError("contiene una clave secreta; deje aquí solo las públicas")
    if not isinstance(row.get("kid", ""), str):
        raise TypeError("a kid is a text")
    usable = row.get("use", "sig") == "sig" and "verify" in row.get("key_ops", ["verify"])
    return usable and row.get("alg", _algorithm_of(row)) == _algorithm_of(row) != ""


def _algorithm_of(row: dict[str, Any]) -> str:
    kinds = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
    return kinds.get((row.get("kty", ""), row.get("crv")), "")


def _imported(row: dict[str, Any]) -> Any:
    try:
        return jwt.PyJWK(row, _algorithm_of(row)).key
    except jwt.PyJWTError as error:  # its text repeats what the file holds
        raise ProviderError("una de sus claves está dañada") from error


def _signer(key: object, kid: str | None) -> Signer:
    """Raises ``ProviderError`` for a key of another kind, or one that is too short."""
    if isinstance(key, RSAPublicKey):
        if key.key_size < LEAST_RSA_BITS:
            raise ProviderError(f"una clave RSA tiene menos de {LEAST_RSA_BITS} bits")
        return Signer("RS256", key, kid)
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return Signer("ES256", key, kid)
    if isinstance(key, Ed25519PublicKey):
        return Signer("EdDSA", key, kid)
    raise ProviderError("la clave debe ser RSA, EC P-256 o Ed25519")


if __name__ == "__main__":  # how `propensia serve` looks at the file and stays small itself
    try:
        read(Path(sys.argv[1]), sys.argv[2].split(","))
    except ProviderError as problem:
        sys.exit(str(problem))
