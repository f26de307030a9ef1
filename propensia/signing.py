"""Signatures of model files: Ed25519, in a small text file beside each model, and their keys.

It takes a model as bytes to hash, and never parses it; it loads the cryptography library, so a
process imports it only once there is a signature to make or to verify.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from propensia import files

log = logging.getLogger(__name__)

LIMIT_BYTES = 4096
KEY_LIMIT_BYTES = 16 << 10
LONGEST_WHY = 200
# An encrypted PKCS#8 file costs whoever stole it only 2048 rounds of PBKDF2 a guess.
PASSPHRASE_LETTERS = (12, 255)
NO_SIDECAR = "none"
TRUSTED, RETIRED = ".pub", ".retired"

# Part of what is signed, so that no signature made for another purpose, or for another version of
# this form, ever counts here.
FIRST_LINE = "propensia-signature: 1"


class SignatureError(Exception):
    """What is wrong with a signature or a key, as a phrase in Spanish and in English."""

    def __init__(self, detail: str, detail_en: str) -> None:
        super().__init__(detail_en)
        self.detail = detail
        self.detail_en = detail_en


@dataclass(frozen=True, slots=True)
class Statement:
    """What a signature says: the SHA-256 of a file and of its sidecar, by which key, when, why."""

    model: str
    sidecar: str
    key: str
    signed: str
    why: str

    def message(self) -> bytes:
        """The bytes that are signed, which are also the beginning of the file."""
        lines = [FIRST_LINE, *(f"{name}: {value}" for name, value in asdict(self).items())]
        return "".join(f"{line}\n" for line in lines).encode("utf-8")


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose signature a file carries: the key's id, the name of the trusted key's file, and what
    the signer said of when (UTC) and why."""

    key: str
    file: str
    signed: str
    why: str


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key in the folder of trusted keys: the name of its file, its 32 bytes, and whether it was
    retired."""

    file: str
    raw: bytes
    retired: bool


def key_id(raw: bytes) -> str:
    """The id of a public key: the first 16 hexadecimal digits of the SHA-256 of its 32 bytes."""
    return files.sha256(raw)[:16]


# The signature file


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\+00:00", text) is not None


def _is_why(text: str) -> bool:
    return 0 < len(text) <= LONGEST_WHY and text.isprintable() and text == text.strip()


def _is_base64(text: str) -> bool:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(raw) == 64 and base64.b64encode(raw).decode("ascii") == text


# The lines of the file after the first, in their order, and what each may hold.
CHECKED: dict[str, Callable[[str], object]] = {
    "model": re.compile("[0-9a-f]{64}").fullmatch,
    "sidecar": re.compile(f"[0-9a-f]{{64}}|{NO_SIDECAR}").fullmatch,
    "key": re.compile("[0-9a-f]{16}").fullmatch,
    "signed": _is_time,
    "why": _is_why,
    "signature": _is_base64,
}


def read(path: Path) -> bytes:
    """The bytes of a signature file, at most one more than it may have; none of what is no regular
    file. ``verify`` refuses both. Raises ``OSError``."""
    try:
        with files.retry(lambda: files.open_regular(path, follow=False)) as stream:
            return stream.read(LIMIT_BYTES + 1)
    except files.NotRegular:
        return b""


def parse(data: bytes) -> tuple[Statement, bytes]:
    """What a signature file says, not yet verified, and its 64 bytes of signature.

    Raises ``SignatureError`` for whatever ``sign`` would not have written, naming the line.
    """
    if len(data) > LIMIT_BYTES:
        raise SignatureError(
            f"ocupa más de {LIMIT_BYTES} bytes", f"it has over {LIMIT_BYTES} bytes"
        )
    try:
        first, *lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        first, lines = "", []
    if first != FIRST_LINE:
        raise SignatureError(
            "su primera línea no es de una firma de Propensia",
            "its first line is not that of a Propensia signature",
        )
    if len(lines) != len(CHECKED) + 1 or lines[-1]:
        count = len(CHECKED) + 1
        raise SignatureError(f"debe tener {count} líneas", f"it must have {count} lines")
    values = []
    for line, (name, is_valid) in zip(lines, CHECKED.items(), strict=False):
        label, _, value = line.partition(": ")
        if label != name or not is_valid(value):
            raise SignatureError(f"su línea «{name}» no vale", f"its line “{name}” is wrong")
        values.append(value)
    *said, signature = values
    return Statement(*said), base64.b64decode(signature)


def verify(signature: bytes, model: bytes, sidecar: bytes | None, keys: Path) -> Signer:
    """Who signed these very bytes, under a key of the folder ``keys`` that was not retired.

    The model and its sidecar are only hashed. Raises ``SignatureError``, and ``OSError`` when the
    keys cannot be read.
    """
    statement, raw = parse(signature)
    found, damaged = trusted(keys)
    if damaged:
        log.warning("no public keys, left out: %s", ", ".join(damaged))
    key = found.get(statement.key)
    if key is None:
        raise SignatureError(
            f"la clave {statement.key} no está entre las de confianza",
            f"the key {statement.key} is not a trusted one",
        )
    if key.retired:
        raise SignatureError(
            f"la clave {statement.key} está retirada ({key.file})",
            f"the key {statement.key} was retired ({key.file})",
        )
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(raw, statement.message())
    except InvalidSignature:
        raise SignatureError(
            f"no la hizo la clave {statement.key} ({key.file}), o se ha cambiado después",
            f"it was not made by the key {statement.key} ({key.file}), or was changed since",
        ) from None
    _same_content(statement, model, sidecar)
    return Signer(statement.key, key.file, statement.signed, statement.why)


def _same_content(statement: Statement, model: bytes, sidecar: bytes | None) -> None:
    if statement.model != files.sha256(model):
        raise SignatureError("es de otro contenido", "it is of another content")
    if statement.sidecar == _digest(sidecar):
        return
    if sidecar is None:
        raise SignatureError(
            "se firmó con una ficha que no está al lado", "its sidecar is not beside the file"
        )
    if statement.sidecar == NO_SIDECAR:
        raise SignatureError("se firmó sin la ficha", "it was made without the sidecar")
    raise SignatureError("es de otra ficha", "it is of another sidecar")


def _digest(sidecar: bytes | None) -> str:
    return NO_SIDECAR if sidecar is None else files.sha256(sidecar)


def sign(
    private: Ed25519PrivateKey, model: bytes, sidecar: bytes | None, *, signed: str, why: str
) -> bytes:
    """The signature file of a model and its sidecar, made at ``signed`` (ISO 8601, UTC, seconds).

    Raises ``SignatureError`` for a ``why`` that is empty, unprintable or over 200 letters.
    """
    if not _is_why(why):
        raise SignatureError(
            f"el motivo va de 1 a {LONGEST_WHY} letras, en una línea",
            f"the reason has 1 to {LONGEST_WHY} letters, in one line",
        )
    own = key_id(private.public_key().public_bytes_raw())
    statement = Statement(files.sha256(model), _digest(sidecar), own, signed, why)
    message = statement.message()
    signature = base64.b64encode(private.sign(message)).decode("ascii")
    return message + f"signature: {signature}\n".encode("ascii")


# Keys


def trusted(folder: Path) -> tuple[dict[str, PublicKey], list[str]]:
    """The keys in a folder by their ids, and the names of files there that hold no such key.

    ``NAME.pub`` is trusted. With ``.retired`` anywhere in its name (``NAME.retired``, or what a
    system that hides endings makes of it, ``NAME.retired.pub``) a key no longer is, whatever copy
    of it is left. A folder that does not exist holds none. Raises ``OSError``.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.is_file())
    except FileNotFoundError:
        return {}, []
    found: dict[str, PublicKey] = {}
    damaged = []
    for path in paths:
        if path.suffix.lower() != TRUSTED and RETIRED not in path.name.lower():
            continue
        raw = _read_public(path)
        if raw is None:
            damaged.append(files.shown(path.name))
            continue
        key = PublicKey(files.shown(path.name), raw, RETIRED in path.name.lower())
        if key.retired or key_id(raw) not in found:
            found[key_id(raw)] = key
    return found, damaged


def _read_public(path: Path) -> bytes | None:
    try:
        key = pem.load_pem_public_key(files.read(path, KEY_LIMIT_BYTES))
    except (files.FileTooLarge, ValueError, UnsupportedAlgorithm):
        return None
    return key.public_bytes_raw() if isinstance(key, Ed25519PublicKey) else None


def is_encrypted(data: bytes) -> bool:
    """Whether a private key asks for a passphrase."""
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in data


def private_key(data: bytes, passphrase: str) -> Ed25519PrivateKey:
    """The private key in a PEM file; the passphrase of one that is not encrypted is not used.

    Raises ``SignatureError``.
    """
    try:
        key = pem.load_pem_private_key(data, _secret(passphrase) if is_encrypted(data) else None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, Ed25519PrivateKey):
        return key
    if is_encrypted(data):
        raise SignatureError(
            "la frase de paso no es esa, o la clave está dañada",
            "the passphrase is wrong, or the key is damaged",
        )
    raise SignatureError(
        "la clave no es una privada Ed25519 en PEM", "the key is no Ed25519 private one in PEM"
    )


def new_key(private: Path, public: Path, passphrase: str) -> str:
    """Make a key pair in two new files and return its id; an empty passphrase encrypts nothing.

    Nobody else may read the private file, on systems that have such modes. Raises
    ``FileExistsError`` instead of overwriting anything, another ``OSError``, and
    ``SignatureError`` for a passphrase that would not protect a key that is stolen.
    """
    least, most = PASSPHRASE_LETTERS
    if passphrase and not least <= len(passphrase) <= most:
        raise SignatureError(
            f"la frase de paso va de {least} a {most} letras",
            f"the passphrase has {least} to {most} letters",
        )
    key = Ed25519PrivateKey.generate()
    encryption: pem.KeySerializationEncryption = pem.NoEncryption()
    if passphrase:
        encryption = pem.BestAvailableEncryption(_secret(passphrase))
    own = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, encryption)
    shown = key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    _write_new(public, shown, 0o644)
    try:
        _write_new(private, own, 0o600)
    except OSError:
        public.unlink(missing_ok=True)
        raise
    return key_id(key.public_key().public_bytes_raw())


def _secret(passphrase: str) -> bytes:
    return passphrase.encode("utf-8", "surrogateescape")  # a variable may hold any bytes


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file that must not exist yet, with its mode from the first moment."""
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
