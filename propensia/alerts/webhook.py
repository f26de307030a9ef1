"""Alerts by HTTP: one signed POST, to the address of a setting alone.

It follows no redirect, uses no proxy, and reads of the answer only its status.
"""

from __future__ import annotations

import contextlib
import hmac
import http.client
import ssl
import time
from urllib.parse import SplitResult, urlsplit

from propensia.alerts.errors import NotDelivered
from propensia.alerts.limits import TIMEOUT_S, WHOLE_S, bounded

SIGNATURE = "X-Propensia-Signature"
GONE = 410


def send(url: str, secret: str, id: str, body: bytes, whole_s: float = WHOLE_S) -> None:
    """Post ``body``, JSON, with ``id`` as its ``Idempotency-Key``; any status 2xx is a delivery.

    Raises ``NotDelivered``, final where the other side says 410, gone for good.
    """
    address = urlsplit(url)
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "propensia",
        "Idempotency-Key": id,
    }
    if secret:
        headers[SIGNATURE] = signature(secret, int(time.time()), body)
    target = f"{address.path or '/'}{f'?{address.query}' if address.query else ''}"
    try:
        with (
            contextlib.closing(_connection(address)) as connection,
            bounded(lambda: connection.sock, whole_s),
        ):
            connection.request("POST", target, body, headers)
            status = connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotDelivered(type(error).__name__) from error
    if not 200 <= status < 300:
        raise NotDelivered(f"HTTP {status}", final=status == GONE)


def signature(secret: str, now_s: int, body: bytes) -> str:
    """``t=SECONDS,v1=HEX``: the HMAC-SHA-256 (RFC 2104) of ``SECONDS.BODY`` under the secret. Who
    receives it should refuse an old ``t``, or somebody could send it again."""
    signed = b"%d.%b" % (now_s, body)
    return f"t={now_s},v1={hmac.digest(secret.encode('utf-8'), signed, 'sha256').hex()}"


def _connection(address: SplitResult) -> http.client.HTTPConnection:
    host = address.hostname or ""
    if address.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, address.port, timeout=TIMEOUT_S, context=context)
    return http.client.HTTPConnection(host, address.port, timeout=TIMEOUT_S)
