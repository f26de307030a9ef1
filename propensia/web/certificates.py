"""The certificate of a server that speaks TLS itself: checked before anything starts.

It never shows what is in a key, and never asks for a passphrase: nobody is there to type it.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from propensia.settings import Settings, SettingsError


def chosen_files(chosen: Settings) -> tuple[Path, Path] | None:
    """The files of the certificate and of its private key; ``None`` for plain HTTP.

    The certificate is PEM, with its chain below it. Raises ``SettingsError`` where one of the
    two is missing, cannot be read or does not belong to the other, and for a server without TLS.
    """
    given = chosen.tls_certificate, chosen.tls_key
    if not any(given):
        return None
    if not all(given):
        raise SettingsError(
            "tls_certificate y tls_key van juntos: falta uno. / One of the two is missing."
        )
    if chosen.server == "waitress":
        raise SettingsError(
            "waitress no sabe TLS: use granian o gunicorn, o un proxy. / waitress has no TLS: use "
            "granian or gunicorn, or a proxy."
        )
    certificate, key = (Path(path).absolute() for path in given)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, lambda: "")
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise SettingsError(
            f"no se puede usar el certificado {certificate} con la clave {key} "
            f"({_cause(error)}). / The certificate and its key cannot be used."
        ) from error
    return certificate, key


def _cause(error: Exception) -> str:
    """What is wrong, of the file and never of its content."""
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return "no son pareja"
        return "no son PEM, o la clave tiene frase de paso"
    return getattr(error, "strerror", None) or type(error).__name__
