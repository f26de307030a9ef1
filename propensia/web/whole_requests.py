"""Hands the application only whole requests, for a server that passes bodies on as they drip in.

Under granian a body is read by one of the few threads that run Python, without a time limit, and
a body that breaks off looks like an empty one (both measured with 2.8.7). It must never let slow
senders hold every thread, and never pass a torn body on as if it were complete.
"""

import json
import queue
import threading
from collections.abc import Callable
from io import BytesIO
from typing import Any

from propensia.web.listen import Listen, WsgiApp

_FAULTS = {
    400: ("400 Bad Request", "La petición no es HTTP/1.1 válido o llegó incompleta."),
    408: ("408 Request Timeout", "El contenido enviado tardó demasiado; envíelo de nuevo."),
    413: ("413 Content Too Large", "El contenido enviado es demasiado grande."),
    503: ("503 Service Unavailable", "Demasiados envíos lentos a la vez; repita en un segundo."),
}


class WholeRequests:
    """A WSGI application that calls `app` with requests that are complete and well-formed.

    At most `slots` bodies are awaited at once, in as many threads; one more is answered 503 at
    once, so that requests without a body always find a thread. Safe to call from many threads.
    """

    def __init__(self, app: WsgiApp, listen: Listen, slots: int) -> None:
        self._app = app
        self._timeout_s = listen.body_timeout_s
        self._limit_bytes = listen.body_limit_bytes
        self._slots = threading.BoundedSemaphore(slots)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answer one request (PEP 3333)."""

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            # Granian names itself unless the answer carries a name, and has no setting for it.
            return start_response(status, [*headers, ("Server", "Propensia")], exc_info)

        host = environ.get("HTTP_HOST", "")
        if "," in host or (not host and environ["SERVER_PROTOCOL"] == "HTTP/1.1"):
            return _refuse(400, start)  # Granian joins two Host headers with a comma.
        length = environ.get("CONTENT_LENGTH", "")
        if length in ("", "0") and "HTTP_TRANSFER_ENCODING" not in environ:
            return self._app(environ, start)
        body = self._body(environ["wsgi.input"], int(length) if length else None)
        if isinstance(body, int):
            return _refuse(body, start)
        whole = environ | {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        return self._app(whole, start)

    def _body(self, source: Any, length: int | None) -> bytes | int:
        """Return the whole body, or the status of the refusal. A `length` of None means chunked."""
        if length is not None and length > self._limit_bytes:
            return 413
        if not self._slots.acquire(blocking=False):
            return 503
        arrived: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        # The read cannot be interrupted; it ends by itself when the refusal closes the connection.
        threading.Thread(target=self._read, args=(source, arrived), daemon=True).start()
        try:
            body = arrived.get(timeout=self._timeout_s)
        except queue.Empty:
            return 408
        if len(body) > self._limit_bytes:
            return 413
        # What was torn reads as nothing; an empty chunked body is of no use to any route either.
        complete = bool(body) if length is None else len(body) == length
        return body if complete else 400

    def _read(self, source: Any, arrived: "queue.SimpleQueue[bytes]") -> None:
        body = b""
        try:
            body = source.read(self._limit_bytes + 1)
        finally:
            self._slots.release()
            arrived.put(body)


def _refuse(status: int, start_response: Callable[..., Any]) -> list[bytes]:
    """Answer with problem details (RFC 9457) and close the connection."""
    line, detail = _FAULTS[status]
    problem = {"type": "about:blank", "title": line[4:], "status": status, "detail": detail}
    body = json.dumps(problem, ensure_ascii=False).encode()
    headers = [
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
    ]
    if status == 503:
        headers.append(("Retry-After", "1"))
    start_response(line, headers)
    return [body]
