"""Who is calling, and what they may do: one question for every request, whatever the server.

It never sees what is asked about a debtor, and keeps no secret that could be used to call.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Literal, NamedTuple

from propensia.access import networks
from propensia.access.keys import FOLDER, AccessError, Key, Keys
from propensia.access.networks import Address, NetworkError, Networks
from propensia.access.roles import OLD_ROUTE, Caller
from propensia.access.sessions import Sessions
from propensia.access.tokens import Tokens
from propensia.locks import Busy
from propensia.settings import Settings, SettingsError

log = logging.getLogger(__name__)

LOCAL = Caller("esta máquina", "admin", "local")
OPEN = Caller("sin clave", "tester", "open")

Here = Literal["", "direct", "cut", "old"]
"""How much speaks for a program of this machine that asks by itself. Nothing: empty.

``direct``: it comes from here, and no header tells of a proxy. ``cut``: the server takes such
headers away, so that none could tell. ``old``: it speaks HTTP/1.0, as nginx does if it is told
nothing, and then it says of nobody that it stands between.

That is all that can be seen: a proxy that speaks HTTP/1.1, adds no header and asks for a local
name looks like a program of this machine. Who puts a proxy in front makes a key before.
"""

HERE: dict[Here, Caller] = {
    "direct": LOCAL,
    "cut": replace(LOCAL, role="tester"),
    "old": replace(LOCAL, role="caller"),
}
"""Who that is while nobody has a key: as much as may be had by who gets past such a proxy. With
``old`` only scores, at the route of the old callers."""

Cause = Literal[
    "",
    "sin_clave",
    "desconocida",
    "caducada",
    "revocada",
    "otra_red",
    "otra_ruta",
    "otra_forma",
]
"""What is wrong with a key, for the log alone; empty: nothing, or it is not about the key.

Whoever is refused is not told: that a key is known would help who guesses, or stole it.
"""


class Denied(Exception):
    """There is no right to that; ``code`` is the problem to answer with, ``name`` that of the
    caller or key, for the log, where it is known. ``retry_s``: seconds until another try makes
    sense, 0 where it never does. ``exact``: the name of a more exact sentence, if there is one.
    ``cause``: for the log."""

    def __init__(
        self, code: str, name: str = "", retry_s: int = 0, exact: str = "", cause: Cause = ""
    ) -> None:
        super().__init__(code)
        self.code = code
        self.name = name
        self.retry_s = retry_s
        self.exact = exact
        self.cause: Cause = cause


class Asking(NamedTuple):
    """What a request shows of its sender.

    ``address`` is the sender's own, or ``None`` where a proxy that is not trusted hides it;
    ``host`` is the header ``Host``. ``here``: whether a program of this machine asks. ``key``:
    from ``X-API-Key`` or ``Authorization: Bearer``; ``path_key``: from the address itself;
    ``session``: the id of the key that a browser logged in with.
    """

    address: Address | None
    host: str
    here: Here = ""
    key: str | None = None
    path_key: str | None = None
    session: str | None = None


class Access:
    """The keys, tokens and networks of one installation. Safe for threads.

    ``prepare`` comes before the first request; then ``tick`` looks whether keys changed, called
    twice a second by one thread.
    """

    def __init__(self, chosen: Settings) -> None:
        """Raises ``SettingsError``, and ``OSError`` or ``AccessError`` where it cannot be known
        which keys there are: then nothing may start."""
        self.keys = Keys(chosen.state / FOLDER)
        self.problem: str | None = None
        self.tokens = Tokens.of(chosen)
        self.sessions = Sessions(chosen.state / FOLDER, chosen.session_hours)
        self._insecure = chosen.insecure
        self._host = chosen.host
        self._open_networks = _listed("open_networks", chosen.open_networks)
        self.trusted_proxies = _listed("trusted_proxies", chosen.trusted_proxies)

    def prepare(self) -> None:
        """Take in what only a process that answers needs: the secret of the sessions, and the
        keys of the provider. Raises ``OSError``, ``Busy`` or ``SettingsError``."""
        if self.tokens is not None:
            self.tokens.refresh()
        self.sessions.refresh()

    def tick(self) -> None:
        """Take in keys that were made or revoked, and write down when they were used.

        Raises nothing: what is wrong is told in ``problem``, and what was known before holds.
        """
        problem = None
        try:
            self.keys.refresh()
            self.keys.stamp()
        except AccessError as error:
            problem = f"claves: {error}; mientras tanto valen las de antes"
        except OSError as error:
            why = error.strerror or type(error).__name__
            problem = f"claves: no se puede leer o escribir su carpeta ({why})"
        try:
            self.prepare()
        except (OSError, Busy) as error:
            problem = problem or f"sesiones: {type(error).__name__} en su carpeta"
        if self.tokens is not None:
            problem = problem or self.tokens.problem
        if problem is not None and problem != self.problem:
            log.error("keys: %s", problem)
        self.problem = problem

    @property
    def is_closed(self) -> bool:
        """Whether a key or a token is needed: as soon as there is one that could be used."""
        return self.tokens is not None or bool(self.keys)

    def caller(self, asking: Asking, route: str) -> Caller:
        """Who asks for ``route``, a path of the table of routes. Raises ``Denied``."""
        shown = asking.key or asking.path_key
        if shown is not None:
            return self._by_key(shown, asking, route)
        key = None if asking.session is None else self.keys.by_id(asking.session)
        if key is not None and not _fault(key, asking, time.time()):
            return self._held(key, asking, route).as_session()
        return self._by_network(asking, route)

    def entering(self, asking: Asking) -> Key:
        """The key that a person shows to log in with, good now and here. Raises ``Denied``.

        Not one of an address, which proxies may have written down, and no token: a session looks
        its key up again for every request, and a token cannot be looked up.
        """
        now = time.time()
        key = None if asking.key is None else self.keys.find(asking.key)
        cause = _fault(key, asking, now) if asking.key else "sin_clave"
        if key is not None and key.in_path:
            cause = cause or "otra_forma"
        if key is None or cause:
            exact = "" if self.is_closed else "sin_claves"
            raise Denied("clave_no_valida", exact=exact, cause=cause)
        self.keys.used(key, now)
        return key

    def _by_key(self, shown: str, asking: Asking, route: str) -> Caller:
        key = self.keys.find(shown)
        if key is None and asking.key is not None and self.tokens is not None:
            caller = self.tokens.caller(shown)
            if caller is not None:
                return caller
        caller = self._held(key, asking, route)
        if key is not None and key.in_path is not (asking.path_key is not None):
            # One that proxies may have written down, or one that never was in an address.
            raise Denied("clave_no_valida", key.name, cause="otra_forma")
        return caller

    def _held(self, key: Key | None, asking: Asking, route: str) -> Caller:
        """The caller of a key that is good now, here, and for this route."""
        now = time.time()
        cause = _fault(key, asking, now)
        if key is None or cause:
            raise Denied("clave_no_valida", "" if key is None else key.name, cause=cause)
        if key.routes and route not in key.routes:
            raise Denied("sin_permiso", key.name, cause="otra_ruta")
        self.keys.used(key, now)
        return key.caller

    def _by_network(self, asking: Asking, route: str) -> Caller:
        old_route = route == OLD_ROUTE
        if self._open_networks and old_route:
            network = networks.holder(self._open_networks, asking.address)
            if network is not None:
                return Caller(f"red {network}", "caller", "network")
        if self.is_closed:
            raise Denied("clave_no_valida", cause="sin_clave")
        here = asking.here if old_route or asking.here != "old" else ""
        if here and networks.is_local_name(asking.host, self._host):
            return HERE[here]
        if self._insecure:
            return OPEN
        raise Denied("clave_no_valida", exact="sin_claves", cause="sin_clave")


def _fault(key: Key | None, asking: Asking, now: float) -> Cause:
    """Why a key may not be used at that time, or from there; empty: it may."""
    if key is None:
        return "desconocida"
    if not key.is_good(now):
        return "caducada" if key.revoked is None else "revocada"
    if key.networks and not networks.holds(key.networks, asking.address):
        return "otra_red"
    return ""


def _listed(name: str, text: str) -> Networks:
    try:
        return networks.listed(text)
    except NetworkError as error:
        raise SettingsError(f"el ajuste {name!r} no es una lista de redes: {error}") from error
