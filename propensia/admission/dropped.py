"""A dropped file as it was read once, and the check of the signature beside it.

Nothing of the file is parsed here: it is only hashed.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path

from propensia import files
from propensia.admission.ladder import Finding
from propensia.admission.refusal import Refusal
from propensia.settings import Settings

log = logging.getLogger(__name__)

# Refusals that are not of the content: the signature may still come, or be made anew.
OF_SIGNATURE = frozenset({"firma_ausente", "firma_no_valida"})


@dataclass(frozen=True, slots=True)
class Dropped:
    """A file as it was read once: its stem, its bytes, and those of its sidecar and of its
    signature, where it has them and they count."""

    model: str
    data: bytes
    sidecar: bytes | None = None
    signature: bytes | None = None

    @property
    def sha256(self) -> str:
        """The identity of the content, sidecar included; a signature does not change it."""
        parts = (self.data,) if self.sidecar is None else (self.data, self.sidecar)
        return files.sha256(*parts)

    @property
    def version(self) -> str:
        """The version id: the first 12 hexadecimal digits of the identity."""
        return self.sha256[:12]


@dataclass(frozen=True, slots=True)
class Signature:
    """What is told of a signature that was verified; nothing where none is asked for.

    ``signed_by`` is what the manifest and the verdict keep: ``key`` (its id), ``file`` (the name
    of the trusted key's file), and ``signed`` and ``why``, as the signer said.
    """

    signed_by: dict[str, str] | None = None
    checks: list[Finding] = field(default_factory=list)


def read_signature(path: Path, settings: Settings) -> bytes | None:
    """The bytes of a signature file; ``None`` where none is asked for. Raises ``OSError``."""
    if settings.signatures == "off":
        return None
    from propensia import signing  # here: it loads a library that most processes never need

    return signing.read(path)


def check_signature(dropped: Dropped, settings: Settings) -> Signature:
    """The verified signature of a file, where the settings ask for one.

    Raises ``Refusal`` without a good one, and ``OSError`` when the keys cannot be read.
    """
    if settings.signatures == "off":
        return Signature()
    if dropped.signature is None:
        log.warning("signature missing: version %s", dropped.version)
        raise Refusal("firma_ausente", "no hay un .sig a su lado", "there is no .sig beside it")
    from propensia import signing  # here: it loads a library that most processes never need

    try:
        signer = signing.verify(
            dropped.signature, dropped.data, dropped.sidecar, settings.signature_keys
        )
    except signing.SignatureError as error:
        log.warning("signature refused: version %s: %s", dropped.version, error)
        raise Refusal("firma_no_valida", error.detail, error.detail_en) from error
    log.info(
        "signature verified: version %s, key %s (%s)", dropped.version, signer.key, signer.file
    )
    sentence = f"Firmado con la clave {signer.key} ({signer.file}), {signer.signed}: {signer.why}"
    return Signature(asdict(signer), [Finding("firma", "bien", sentence)])
