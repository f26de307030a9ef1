"""Hands the application only whole requests, with bodies no longer than their route takes.

Under granian and gunicorn a thread that runs Python reads the body as it drips in, without a time
limit, and granian shows a body that breaks off as an empty one (measured with 2.8.7). It must
never let slow senders hold every thread, never keep a large body in memory, and never pass a torn
one on as if it were complete.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from io import BytesIO
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, Protocol

from propensia.web.door import LONGEST, REFUSAL, ROUTE
from propensia.web.listen import THREADS
from propensia.web.quotas import WHO
from propensia.web.routes import Bodies, Route
from propensia.web.waiting import Gate

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

BODIES = 4
"""Bodies of callers that a process reads at a time, and half of them for one caller."""

STRANGERS = 2
"""Bodies of forms that anybody may send, read besides those; one of them for each network. With
both, and with those of ``waiting``, some of the ``THREADS`` are always left for requests without
a body."""

STRANGERS_WAITING = 2
"""Such forms that wait for one: each holds a thread."""

PATIENCE_S = 0.5
"""How long a body waits for its turn. Those that have arrived are read in no time: if nothing has
moved for so long, slow senders hold the places."""

MEMORY_BYTES = 1024 * 1024
"""Longer bodies go to a file without a name."""

LONGEST_LENGTH = 18
"""Digits of a Content-Length that is believed; Python refuses to read very long numbers."""

_PART_BYTES = 256 * 1024


class _Input(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class WholeRequests:
    """WSGI in front of what reads bodies. Safe to call from many threads.

    A body is read by the thread that answers: with granian, reading in a second thread and giving
    up after a time stops the whole worker, because the end of the answer waits for the read while
    it holds the interpreter (measured with 2.8.7). So there is no deadline for bodies here.
    """

    def __init__(
        self,
        app: WSGIApplication,
        refusing: WSGIApplication,
        bodies: Bodies,
        folder: Path | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """``refusing`` (Flask, which finds ``REFUSAL``) answers for what is not handed on.
        ``bodies``: how long they may be; ``folder``: where large ones wait, the system's for
        temporary files by default."""
        self._app = app
        self._refusing = refusing
        self._bodies = bodies
        self._folder = None if folder is None else str(folder)
        self._gate = Gate(BODIES, patience_s)
        self._strangers = Gate(STRANGERS, patience_s)

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        host = environ.get("HTTP_HOST", "")
        # Two Host headers arrive joined with a comma; HTTP/1.1 demands exactly one.
        if "," in host or (not host and environ["SERVER_PROTOCOL"] == "HTTP/1.1"):
            return self._refuse("peticion_incompleta", environ, start)
        text = environ.get("CONTENT_LENGTH", "")
        chunked = "HTTP_TRANSFER_ENCODING" in environ
        if text in ("", "0") and not chunked:
            return self._app(environ, start)
        # read(-1) would read until the sender stops; with both, nobody knows where the body ends
        if bool(text) is chunked or not (chunked or _is_length(text)):
            return self._refuse("peticion_incompleta", environ, start)
        route: Route | None = environ[ROUTE]
        limit = self._bodies.limit(route)
        if route is None or limit == 0:  # nobody is going to look at it: it costs no time of ours
            return self._app(_with(environ, BytesIO(), 0), start)
        environ[LONGEST] = limit
        length = None if chunked else int(text)
        if length is not None and length > limit:
            return self._refuse("fichero_demasiado_grande", environ, start)
        if route.permission is None:
            gate, most, may_wait = self._strangers, 1, STRANGERS_WAITING
        else:
            gate, most, may_wait = self._gate, BODIES // 2, THREADS
        who = environ[WHO]
        if not gate.enter(who, most, may_wait):
            return self._refuse("ocupado", environ, start)
        with closing(SpooledTemporaryFile(MEMORY_BYTES, dir=self._folder)) as body:
            try:
                code, size = _gather(environ["wsgi.input"], body, length, limit)
            finally:
                gate.leave(who)
            if code:
                return self._refuse(code, environ, start)
            body.seek(0)
            return self._app(_with(environ, body, size), start)

    def _refuse(
        self, code: str, environ: WSGIEnvironment, start: StartResponse
    ) -> Iterable[bytes]:
        return self._refusing(_with(environ, BytesIO(), 0) | {REFUSAL: code}, start)


def _is_length(text: str) -> bool:
    return text.isdecimal() and len(text) <= LONGEST_LENGTH


def _with(environ: WSGIEnvironment, body: Any, size: int) -> WSGIEnvironment:
    return environ | {"wsgi.input": body, "CONTENT_LENGTH": str(size) if size else ""}


def _gather(source: _Input, body: Any, length: int | None, limit: int) -> tuple[str, int]:
    """Copy a whole body; the code of the refusal (empty: none) and its size.

    A ``length`` of ``None``: chunked, so that only the end tells how long it is.
    """
    size, most = 0, limit + 1 if length is None else length
    while size < most:
        try:
            part = source.read(min(most - size, _PART_BYTES))
        except Exception:  # each server has its own for a body that is no HTTP, or breaks off
            return "peticion_incompleta", size
        if not part:
            break
        body.write(part)
        size += len(part)
    if size > limit:
        return "fichero_demasiado_grande", size
    # What was torn reads as nothing; an empty chunked body is of no use to any route either.
    complete = size > 0 if length is None else size == length
    return "" if complete else "peticion_incompleta", size
