"""Hands the application only whole requests, for servers whose threads wait for slow bodies.

Under granian and gunicorn a thread that runs Python reads the body as it drips in, without a time
limit, and granian shows a body that breaks off as an empty one (measured with 2.8.7). It must
never let slow senders hold every thread, and never pass a torn body on as if it were complete.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from http import HTTPStatus
from io import BytesIO
from typing import Any

from propensia.web.listen import Listen, WsgiApp
from propensia.web.problems import PROBLEM, problem, refusal_headers, wanted_language

_CODES = {400: "peticion_incompleta", 413: "fichero_demasiado_grande", 503: "ocupado"}


class WholeRequests:
    """A WSGI application that calls ``app`` with requests that are complete and well-formed.

    At most ``slots`` threads wait for bodies; one more body is answered 503 at once, so that
    requests without a body, which are all that old callers send, always find a thread. ``slots``
    is ``None`` for a server that gathers bodies itself. Safe to call from many threads.

    A body is read by the thread that answers: with granian, reading in a second thread and giving
    up after a time stops the whole worker, because the answer waits for the read while it holds
    the interpreter (measured with 2.8.7). So there is no deadline for bodies here.
    """

    def __init__(self, app: WsgiApp, listen: Listen, slots: int | None) -> None:
        self._app = app
        self._limit_bytes = listen.body_limit_bytes
        self._slots = None if slots is None else threading.BoundedSemaphore(slots)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answer one request (PEP 3333)."""
        host = environ.get("HTTP_HOST", "")
        # Two Host headers arrive joined with a comma; HTTP/1.1 demands exactly one.
        if "," in host or (not host and environ["SERVER_PROTOCOL"] == "HTTP/1.1"):
            return _refuse(400, environ, start_response)
        length = environ.get("CONTENT_LENGTH", "")
        chunked = "HTTP_TRANSFER_ENCODING" in environ
        if self._slots is None or (length in ("", "0") and not chunked):
            return self._app(environ, start_response)
        if not chunked and not length.isdecimal():  # read(-1) would read until the sender stops
            return _refuse(400, environ, start_response)
        body = self._body(environ["wsgi.input"], None if chunked else int(length))
        if isinstance(body, int):
            return _refuse(body, environ, start_response)
        whole = environ | {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        return self._app(whole, start_response)

    def _body(self, source: Any, length: int | None) -> bytes | int:
        """The whole body, or the status of the refusal. A ``length`` of ``None``: chunked."""
        assert self._slots is not None
        if length is not None and length > self._limit_bytes:
            return 413
        if not self._slots.acquire(blocking=False):
            return 503
        try:
            body: bytes = source.read(self._limit_bytes + 1 if length is None else length)
        finally:
            self._slots.release()
        if len(body) > self._limit_bytes:
            return 413
        # What was torn reads as nothing; an empty chunked body is of no use to any route either.
        complete = bool(body) if length is None else len(body) == length
        return body if complete else 400


def _refuse(
    status: int, environ: dict[str, Any], start_response: Callable[..., Any]
) -> list[bytes]:
    """Answer with the problem details of every other route."""
    language = wanted_language(None, environ.get("HTTP_ACCEPT_LANGUAGE", ""))
    refused = problem(_CODES[status], secrets.token_hex(14), language)
    body = refused.json()
    headers = [("Content-Type", PROBLEM), ("Content-Length", str(len(body)))]
    line = f"{status} {HTTPStatus(status).phrase}"
    start_response(line, headers + refusal_headers(refused))
    return [body]
