"""Tokens of an identity provider, made with ``cryptography`` alone: not with what checks them."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AUDIENCE = "propensia"
Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@functools.cache
def private(algorithm: str, serial: int = 0) -> Private:
    """A private key for that algorithm; another one for another ``serial``."""
    if algorithm == "RS256":
        return rsa.generate_private_key(65537, 2048)
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()


def pem(key: Any) -> bytes:
    """The public key as an administrator gets it."""
    return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def b64(data: bytes) -> str:
    """RFC 7515, 2: base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _whole(number: int, length: int | None = None) -> str:
    return b64(number.to_bytes(length or (number.bit_length() + 7) // 8, "big"))


def jwk(key: Private, **more: Any) -> dict[str, Any]:
    """The public key as a row of a JWKS (RFC 7518, 6; RFC 8037, 2)."""
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        return {"kty": "RSA", "n": _whole(numbers.n), "e": _whole(numbers.e)} | more
    if isinstance(key, ec.EllipticCurvePrivateKey):
        point = key.public_key().public_numbers()
        size = (key.curve.key_size + 7) // 8
        names = {256: "P-256", 384: "P-384"}
        shape = {"kty": "EC", "crv": names[key.curve.key_size]}
        return shape | {"x": _whole(point.x, size), "y": _whole(point.y, size)} | more
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)} | more


def write_set(path: Path, *rows: Mapping[str, Any]) -> None:
    """A JWKS file."""
    path.write_text(json.dumps({"keys": list(rows)}), encoding="utf-8")


def claims(**changes: Any) -> dict[str, Any]:
    """What a good token says, with changes; ``None`` leaves one out."""
    now = int(time.time())
    said = {"sub": "ana", "aud": AUDIENCE, "exp": now + 600, "iat": now, "role": "tester"}
    return {name: value for name, value in (said | changes).items() if value is not None}


def joined(header: Any, said: Any) -> str:
    """The two parts that are signed; a text stays as it is."""
    parts = [part if isinstance(part, str) else json.dumps(part) for part in (header, said)]
    return ".".join(b64(part.encode()) for part in parts)


def signature(key: Private, data: bytes, hash: hashes.HashAlgorithm | None = None) -> bytes:
    """RFC 7518, 3.3 and 3.4; RFC 8037, 3.1."""
    hash = hash or hashes.SHA256()
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hash)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        size = (key.curve.key_size + 7) // 8
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hash)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    return key.sign(data)


def algorithm_of(key: Private) -> str:
    """The name that a token gives to what its key does."""
    if isinstance(key, rsa.RSAPrivateKey):
        return "RS256"
    return "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "EdDSA"


def token(key: Private, header: Mapping[str, Any] | None = None, **changes: Any) -> str:
    """A token that this key signed."""
    text = joined({"alg": algorithm_of(key)} | dict(header or {}), claims(**changes))
    return f"{text}.{b64(signature(key, text.encode()))}"


def by_secret(secret: bytes, **header: Any) -> str:
    """A token that an attacker signs with what is public, as if it were a shared secret."""
    text = joined({"alg": "HS256"} | header, claims(role="admin"))
    return f"{text}.{b64(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def forgeries(key: Private, kid: str | None = None) -> dict[str, str]:
    """Tokens that must not be let in, each with its idea; ``key`` is the provider's own."""
    other = private(algorithm_of(key), 99)
    head: dict[str, Any] = {} if kid is None else {"kid": kid}
    said = claims(role="admin")
    good = token(key, head, role="admin")
    first, second, third = good.split(".")
    now = int(time.time())
    data = joined({"alg": "none"} | head, said)
    wide = joined({"alg": "RS512"} | head, said)
    own = jwk(other, kid=kid or "x")
    return {
        "no algorithm": f"{data}.",
        "no algorithm, with a signature": f"{data}.{third}",
        "an algorithm in other letters": joined({"alg": "NoNe"} | head, said) + ".",
        "the public key as a secret": by_secret(pem(key), **head),
        "the JWK as a secret": by_secret(json.dumps(jwk(key)).encode(), **head),
        "an empty secret": by_secret(b"", **head),
        "another hash": f"{wide}.{b64(signature(key, wide.encode(), hashes.SHA512()))}",
        "another key": token(other, head, role="admin"),
        "a key that it brings along": token(other, head | {"jwk": own}),
        "a key that it points at": token(other, head | {"jku": "https://evil.example/k"}),
        "a certificate that it brings": token(other, head | {"x5c": [b64(pem(other))]}),
        "a kid that is a path": token(other, {"kid": "../../../../dev/null"}),
        "a kid that is SQL": token(other, {"kid": "' UNION SELECT 'x' --"}),
        "a kid that is no text": token(other, {"kid": ["a"]}),
        "other claims": f"{first}.{b64(json.dumps(said | {'sub': 'x'}).encode())}.{third}",
        "another header": f"{b64(b'{}')}.{second}.{third}",
        "a signature cut short": good[:-4],
        "no signature": f"{first}.{second}.",
        "two parts": f"{first}.{second}",
        "four parts": f"{good}.{third}",
        "an extension that must be known": token(key, head | {"crit": ["exp"], "exp": now}),
        "an empty list of extensions": token(key, head | {"crit": []}),
        "a payload that is not encoded": token(key, head | {"b64": False, "crit": ["b64"]}),
        "expired": token(key, head, exp=now - 32),
        "expired long ago": token(key, head, exp=0),
        "no expiry": token(key, head, exp=None),
        "an expiry in words": token(key, head, exp="mañana"),
        "an endless expiry": token(key, head, exp=float("inf")),
        "an expiry that is a list": token(key, head, exp=[now + 600]),
        "not yet": token(key, head, nbf=now + 120),
        "from the future": token(key, head, iat=now + 120),
        "no audience": token(key, head, aud=None),
        "another audience": token(key, head, aud="otra"),
        "other audiences": token(key, head, aud=["otra", AUDIENCE + "x"]),
        "an audience that is part of ours": token(key, head, aud=AUDIENCE[:-1]),
        "no role": token(key, head, role=None),
        "an unknown role": token(key, head, role="root"),
        "a role in capitals": token(key, head, role="ADMIN"),
        "a role as an object": token(key, head, role={"admin": True}),
        "a subject that is no text": token(key, head, sub=7),
        "longer than any": token(key, head, filler="x" * 9000),
        "a header without end": joined("[" * 3000, said) + f".{third}",
        "a header that is a list": joined(["none"], said) + f".{third}",
        "not a token": "a.b.c",
        "only dots": "..",
    }
