"""The door: every request is let in, or not, before anything else looks at it.

It must never write down a query, a body or a key, and never let a request past that no row of the
table of routes allows.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from propensia.access import Access, Asking, Cause, Denied, Here, networks
from propensia.access.limits import FAILED, KEYLESS
from propensia.access.roles import OLD_ROUTE, Caller
from propensia.access.sessions import Session
from propensia.web import routes
from propensia.web.problems import CODE_FIELD, trace
from propensia.web.quotas import FIELDS, Quotas
from propensia.web.routes import Route

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

CALLER = "propensia.caller"
ROUTE = "propensia.route"
REFUSAL = "propensia.refusal"
RETRY = "propensia.retry"
EXACT = "propensia.exact"
LONGEST = "propensia.longest"
SESSION = "propensia.session"
FIELD_DUE = "propensia.field_due"
CAUSES = "propensia.causes"
"""Keys of the environment of a request: the ``Caller`` that was let in, the ``Route``; or the
code of the problem to answer with, after how many seconds another try makes sense, and the name
of a more exact sentence; how many bytes a body of that route may have. The ``Session`` of a
browser's cookie, ``None`` for a bad one; ``FIELD_DUE`` is there where the form that it sends must
still show that it is of a page of ours. ``CAUSES``: a list, the same in every copy of the
environment, for what is wrong with a key; the log has the last of it, and nobody else."""

COOKIE = "propensia_session"
CSRF_FIELD = "csrf"
"""Where a form shows that it is of a page of the session; scripts do it in ``X-CSRF-Token``."""

PATH_KEY = "/c/"
"""What comes before a key in an address: ``/c/KEY/prediccion?…``, for callers without headers."""

_RELAYED = frozenset(
    {
        "HTTP_FORWARDED",
        "HTTP_VIA",
        "HTTP_X_REAL_IP",
        "HTTP_X_FORWARDED_FOR",
        "HTTP_X_FORWARDED_HOST",
        "HTTP_X_FORWARDED_PROTO",
    }
)
_NO_KEY = "?"
_OLD_PROTOCOLS = ("HTTP/1", "HTTP/1.0")  # granian writes 1.0 without its end
_CUTTING = "waitress"
"""What a waitress that others set up calls itself: it takes the headers of proxies away, unless it
is told not to. Ours has no name."""

_TARGETS = ("RAW_URI", "REQUEST_URI")
"""Where gunicorn and waitress show the address as it was sent. Granian does not."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "?"
"""What stands for a method that nobody has, which senders could make up without end."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(slots=True)
class Seen:
    """One request that was answered, as far as it may be written down. ``seconds`` to the end of
    the application; ``id`` and ``version`` are empty where the answer has none. ``code`` of the
    problem that was answered; ``cause``: what is wrong with a key, which only the log tells."""

    method: str
    route: str
    status: int
    id: str
    version: str
    seconds: float
    caller: str
    code: str = ""
    cause: str = ""


class Door:
    """WSGI in front of everything else."""

    def __init__(
        self,
        app: WSGIApplication,
        refusing: WSGIApplication,
        access: Access,
        quotas: Quotas,
        tell: Callable[[Seen], None],
        begin: Callable[[], None],
    ) -> None:
        """``app`` answers who is let in, ``refusing`` (Flask, which finds ``REFUSAL``) the others;
        ``tell`` is called after every answer and must not raise; ``begin`` before every question,
        so that a process that was forked follows the keys, even if it refuses everybody."""
        self._app = app
        self._refusing = refusing
        self._access = access
        self._quotas = quotas
        self._tell = tell
        self._begin = begin

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        self._begin()
        began = time.perf_counter()
        path_key = _path_key(environ) if environ["PATH_INFO"].startswith(PATH_KEY) else None
        route = routes.find(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        app, name = self._app, ""
        causes: list[Cause] = []
        environ[CAUSES] = causes
        try:
            caller = self._let_in(environ, route, path_key)
            name = "" if caller is None else caller.name
            environ[CALLER], environ[ROUTE] = caller, route
        except Denied as denied:
            app, name, environ[REFUSAL] = self._refusing, denied.name, denied.code
            environ[RETRY], environ[EXACT] = denied.retry_s, denied.exact
            causes.append(denied.cause)
        told: list[Any] = ["", ()]

        def heard(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            if FIELDS in environ:
                headers = [*headers, *environ[FIELDS]]
            told[:] = status, headers
            return start(status, headers) if exc_info is None else start(status, headers, exc_info)

        try:
            return app(environ, heard)
        except Exception as error:  # a server would write it down, message and all
            log.error("a request failed: %s", trace(error))
            environ[REFUSAL] = "error_interno"
            return self._refusing(environ, partial(heard, exc_info=sys.exc_info()))
        finally:
            self._tell(_seen(environ, route, name, told, time.perf_counter() - began))

    def _let_in(
        self, environ: WSGIEnvironment, route: Route | None, path_key: str | None
    ) -> Caller | None:
        """The caller, ``None`` where nobody asks who it is. Raises ``Denied``."""
        if path_key is not None and (route is None or route.path != OLD_ROUTE):
            asked = asking(environ, self._access, path_key)
            denied = Denied("clave_no_valida", cause="otra_ruta")
            raise self._counted(environ, asked, denied)
        cookies = environ.get("HTTP_COOKIE")
        if cookies is not None and COOKIE in cookies:
            environ[SESSION] = self._access.sessions.read(_cookie(cookies))
        if route is not None and route.permission is None:
            if environ["REQUEST_METHOD"] not in _SAFE:
                _same_site(environ)
                asked = asking(environ, self._access)
                self._quotas.count(environ, route, None, asked.address, asked.session)
            return None
        caller = self._known(environ, route, path_key)
        if route is not None and route.permission and not caller.may(route.permission):
            keyless = caller.means in ("local", "open")
            raise Denied("sin_permiso", caller.name, exact="permiso_sin_clave" if keyless else "")
        if caller.means not in ("key", "token"):  # a browser has those only if a person typed them
            _same_site(environ)
        if caller.means == "session" and environ["REQUEST_METHOD"] not in _SAFE:
            _own_page(environ, route, environ[SESSION])
        return caller

    def _known(
        self, environ: WSGIEnvironment, route: Route | None, path_key: str | None
    ) -> Caller:
        """The caller, counted. Raises ``Denied``."""
        asked = asking(environ, self._access, path_key)
        try:
            caller = self._access.caller(asked, "" if route is None else route.path)
        except Denied as denied:
            raise self._counted(environ, asked, denied) from None
        if route is None or route.path != OLD_ROUTE or not self._quotas.hot_is_free:
            self._quotas.count(environ, route, caller, asked.address)
        return caller

    def _counted(self, environ: WSGIEnvironment, asked: Asking, denied: Denied) -> Denied:
        """The refusal of a request that nobody good sent, or that it was one too many."""
        shown = asked.key is not None or asked.path_key is not None
        rate = FAILED if shown else KEYLESS
        return self._quotas.failed(environ, rate, asked.address) or denied


def asking(environ: WSGIEnvironment, access: Access, path_key: str | None = None) -> Asking:
    """What a request shows of its sender."""
    remote = environ.get("REMOTE_ADDR", "")
    here: Here = ""
    if environ.keys().isdisjoint(_RELAYED):
        address, is_near = networks.place(remote)
        here = _here(environ) if is_near else ""
    else:
        forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
        address = networks.sender(remote, forwarded, access.trusted_proxies)
    session: Session | None = environ.get(SESSION)
    return Asking(
        address,
        environ.get("HTTP_HOST", ""),
        here,
        _header_key(environ),
        path_key,
        None if session is None else session.key,
    )


def _here(environ: WSGIEnvironment) -> Here:
    """How much speaks for a program of this machine, where no header tells of a proxy."""
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if target and target[0] != "/":
        return ""  # whole, with a host: what programs send to a proxy (RFC 9112, 3.2.2)
    if environ["SERVER_PROTOCOL"] in _OLD_PROTOCOLS:
        return "old"
    return "cut" if environ.get("SERVER_SOFTWARE") == _CUTTING else "direct"


def _path_key(environ: WSGIEnvironment) -> str:
    """Take the key out of an address that begins with one, so that nobody else sees it.

    One that is spelled in another way is none: what keeps ``/c/KEY/`` out of the log of a proxy
    would not know it.
    """
    key: str
    key, slash, rest = environ["PATH_INFO"][len(PATH_KEY) :].partition("/")
    spelled = f"{PATH_KEY}{key}/"
    environ["PATH_INFO"] = slash + rest
    for name in _TARGETS:  # the whole address, which access logs write down
        if name in environ:
            key = key if environ[name].startswith(spelled) else ""
            environ[name] = environ["PATH_INFO"]
    return key


def _header_key(environ: WSGIEnvironment) -> str | None:
    """The key in the headers, if any; for two, or for another scheme, one that is never good."""
    own, bearer = environ.get("HTTP_X_API_KEY"), environ.get("HTTP_AUTHORIZATION")
    if bearer is None:
        return own
    scheme, _, text = bearer.partition(" ")
    if own is not None or scheme.lower() != "bearer":
        return _NO_KEY
    return str(text.strip())


def _cookie(cookies: str) -> str:
    """The text of our cookie. Of two, which only another site of the same domain can have set,
    none counts (RFC 6265, 8.6)."""
    pairs = [pair.strip().partition("=") for pair in cookies.split(";")]
    texts = [text for name, _, text in pairs if name == COOKIE]
    return texts[0] if len(texts) == 1 else ""


def _own_page(environ: WSGIEnvironment, route: Route | None, session: Session) -> None:
    """Raise ``Denied`` unless what is sent shows that it is of a page of that session.

    What a form shows is inside the body, which is for Flask to read: ``sessions`` looks there.
    """
    shown = environ.get("HTTP_X_CSRF_TOKEN")
    takes_forms = route is not None and route.body in ("form", "file", "portfolio")
    if shown is None and takes_forms:
        environ[FIELD_DUE] = True
    elif shown is None or not session.is_of(shown):
        raise Denied("origen_no_permitido")


def _same_site(environ: WSGIEnvironment) -> None:
    """Raise ``Denied`` where a page of another site made a browser send this; a person may
    follow a link.

    Browsers say where a request comes from, and a page cannot change what they say (Fetch
    Standard, ``Origin``; W3C Fetch Metadata, ``Sec-Fetch-…``); programs say nothing. They send no
    ``Sec-Fetch-Site`` over plain HTTP, except to this machine; where it is sent, it decides: a
    proxy may have changed the ``Host`` that ``Origin`` is compared with.
    """
    site, origin = environ.get("HTTP_SEC_FETCH_SITE"), environ.get("HTTP_ORIGIN")
    if site is not None:
        own = site in ("same-origin", "none") or _is_link(environ)
    else:
        own = origin is None or origin.partition("://")[2] == environ.get("HTTP_HOST")
    if not own:
        raise Denied("origen_no_permitido")


def _is_link(environ: WSGIEnvironment) -> bool:
    """Whether a browser leaves the other page for this one, and changes nothing by it."""
    return (
        environ["REQUEST_METHOD"] in _SAFE
        and environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
        and environ.get("HTTP_SEC_FETCH_DEST") == "document"
    )


def _seen(
    environ: WSGIEnvironment,
    route: Route | None,
    caller: str,
    told: list[Any],
    seconds: float,
) -> Seen:
    headers, method = dict(told[1]), environ["REQUEST_METHOD"]
    return Seen(
        method if method in _METHODS else OTHER_METHOD,
        "" if route is None else route.path,
        int(told[0][:3] or 500),
        headers.get("X-Propensia-Id", ""),
        headers.get("X-Propensia-Version", ""),
        seconds,
        caller,
        headers.get(CODE_FIELD, ""),
        environ[CAUSES][-1] if environ[CAUSES] else "",
    )
