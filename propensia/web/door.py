"""The door: every request is let in, or not, before anything else looks at it.

It must never write down a query, a body or a key, and never let a request past that no row of the
table of routes allows.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from propensia.access import Access, Asking, Denied, networks
from propensia.access.roles import Caller
from propensia.web import routes
from propensia.web.routes import Route

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

CALLER = "propensia.caller"
ROUTE = "propensia.route"
REFUSAL = "propensia.refusal"
RETRY = "propensia.retry"
"""Keys of the environment of a request: the ``Caller`` that was let in, the ``Route``; or the
code of the problem to answer with, and after how many seconds another try makes sense."""

PATH_KEY = "/c/"
"""What comes before a key in an address: ``/c/KEY/prediccion?…``, for callers without headers."""

_FORWARDED = ("HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_X_FORWARDED_HOST")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(slots=True)
class Seen:
    """One request that was answered, as far as it may be written down. ``seconds`` to the end of
    the application; ``id`` and ``version`` are empty where the answer has none."""

    method: str
    route: str
    status: int
    id: str
    version: str
    seconds: float
    caller: str


class Door:
    """WSGI in front of everything else."""

    def __init__(
        self,
        app: WSGIApplication,
        refusing: WSGIApplication,
        access: Access,
        tell: Callable[[Seen], None],
    ) -> None:
        """``app`` answers who is let in, ``refusing`` (Flask, which finds ``REFUSAL``) the others;
        ``tell`` is called after every answer and must not raise."""
        self._app = app
        self._refusing = refusing
        self._access = access
        self._tell = tell

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        began = time.perf_counter()
        path_key = _path_key(environ)
        route = routes.find(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        app, caller = self._app, None
        try:
            caller = self._let_in(environ, route, path_key)
            environ[CALLER], environ[ROUTE] = caller, route
        except Denied as denied:
            app, environ[REFUSAL] = self._refusing, denied.code
        told: list[Any] = ["", ()]

        def heard(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            told[:] = status, headers
            return start(status, headers) if exc_info is None else start(status, headers, exc_info)

        try:
            return app(environ, heard)
        finally:
            self._tell(_seen(environ, route, caller, told, time.perf_counter() - began))

    def _let_in(
        self, environ: WSGIEnvironment, route: Route | None, path_key: str | None
    ) -> Caller | None:
        """The caller, ``None`` where nobody asks who it is. Raises ``Denied``."""
        if route is not None and route.permission is None:
            return None
        if path_key is not None and (route is None or route.path != "/prediccion"):
            raise Denied("clave_no_valida")
        caller = self._access.caller(
            self._asking(environ, path_key), "" if route is None else route.path
        )
        if route is not None and route.permission and not caller.may(route.permission):
            raise Denied("sin_permiso")
        if environ["REQUEST_METHOD"] not in _SAFE and caller.means not in ("key", "token"):
            _same_site(environ)
        return caller

    def _asking(self, environ: WSGIEnvironment, path_key: str | None) -> Asking:
        forwarded = environ.get("HTTP_X_FORWARDED_FOR")
        if forwarded is None and any(name in environ for name in _FORWARDED):
            forwarded = ""
        proxies = self._access.trusted_proxies
        host = environ.get("HTTP_HOST", "")
        return Asking(
            networks.sender(environ.get("REMOTE_ADDR", ""), forwarded, proxies),
            host.rpartition("]")[0].lstrip("[") if host[:1] == "[" else host.partition(":")[0],
            _header_key(environ),
            path_key,
        )


def _path_key(environ: WSGIEnvironment) -> str | None:
    """Take the key out of an address that begins with one, so that nobody else sees it."""
    path = environ["PATH_INFO"]
    if not path.startswith(PATH_KEY):
        return None
    key, slash, rest = path[len(PATH_KEY) :].partition("/")
    environ["PATH_INFO"] = slash + rest
    for name in ("RAW_URI", "REQUEST_URI"):  # what servers add about the whole address
        environ.pop(name, None)
    return str(key)


def _header_key(environ: WSGIEnvironment) -> str | None:
    """The key in the headers, if any. Raises ``Denied`` for two, or for another scheme."""
    own, bearer = environ.get("HTTP_X_API_KEY"), environ.get("HTTP_AUTHORIZATION")
    if bearer is None:
        return own
    scheme, _, text = bearer.partition(" ")
    if own is not None or scheme.lower() != "bearer":
        raise Denied("clave_no_valida")
    return str(text.strip())


def _same_site(environ: WSGIEnvironment) -> None:
    """Raise ``Denied`` where a page of another site made a browser send this.

    Browsers say where a request comes from, and a page cannot change what they say (Fetch
    Standard, ``Origin`` and ``Sec-Fetch-Site``); programs say nothing.
    """
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None and site not in ("same-origin", "none"):
        raise Denied("origen_no_permitido")
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and origin.partition("://")[2] != environ.get("HTTP_HOST"):
        raise Denied("origen_no_permitido")


def _seen(
    environ: WSGIEnvironment,
    route: Route | None,
    caller: Caller | None,
    told: list[Any],
    seconds: float,
) -> Seen:
    id = version = ""
    for name, value in told[1]:
        if name == "X-Propensia-Id":
            id = value
        elif name == "X-Propensia-Version":
            version = value
    return Seen(
        environ["REQUEST_METHOD"],
        "" if route is None else route.path,
        int(told[0][:3] or 500),
        id,
        version,
        seconds,
        "" if caller is None else caller.name,
    )
