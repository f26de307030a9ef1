"""Who is calling, and what they may do: one question for every request, whatever the server.

It never sees what is asked about a debtor, and keeps no secret that could be used to call.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from propensia.access import networks
from propensia.access.keys import Key, Keys
from propensia.access.networks import Network
from propensia.access.roles import Caller
from propensia.access.tokens import Tokens
from propensia.settings import Settings

LOCAL = Caller("esta máquina", "admin", "local")
OPEN = Caller("sin clave", "tester", "open")


class Denied(Exception):
    """There is no right to that; ``code`` is the problem to answer with."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Asking:
    """What a request shows of its sender.

    ``address`` is the sender's own, or ``None`` where a proxy that is not trusted hides it;
    ``host`` is the host that was asked for, without its port. ``key``: from ``X-API-Key`` or
    ``Authorization: Bearer``; ``path_key``: from the address itself; ``session``: the id of the
    key that a browser logged in with.
    """

    address: Network | None
    host: str
    key: str | None = None
    path_key: str | None = None
    session: str | None = None


class Access:
    """The keys, tokens and networks of one installation. Safe for threads.

    ``tick`` looks whether keys changed; one thread calls it twice a second.
    """

    def __init__(self, chosen: Settings) -> None:
        self.keys = Keys(chosen.state / "access")
        self.tokens = Tokens.of(chosen)
        self._insecure = chosen.insecure
        self._host = chosen.host
        self._open_networks = networks.listed(chosen.open_networks)
        self.trusted_proxies = networks.listed(chosen.trusted_proxies)

    def tick(self) -> None:
        """Take in keys that were made or revoked. Raises ``OSError`` and ``AccessError``."""
        self.keys.refresh()

    @property
    def is_closed(self) -> bool:
        """Whether a key or a token is needed: as soon as there is one that could be used."""
        return self.tokens is not None or bool(self.keys)

    def caller(self, asking: Asking, route: str) -> Caller:
        """Who asks for ``route``, a path of the table of routes. Raises ``Denied``."""
        shown = asking.key or asking.path_key
        if shown is not None:
            return self._by_key(shown, asking, route)
        if asking.session is not None:
            key = self.keys.by_id(asking.session)
            return self._held(key, asking, route).as_session()
        return self._by_network(asking, route)

    def _by_key(self, shown: str, asking: Asking, route: str) -> Caller:
        key = self.keys.find(shown)
        if key is None and asking.key is not None and self.tokens is not None:
            caller = self.tokens.caller(shown)
            if caller is not None:
                return caller
        caller = self._held(key, asking, route)
        if key is not None and key.in_path is not (asking.path_key is not None):
            raise Denied("clave_no_valida")  # one that proxies may have written down, or none
        return caller

    def _held(self, key: Key | None, asking: Asking, route: str) -> Caller:
        """The caller of a key that is good now, here, and for this route."""
        if key is None or not key.is_good(time.time()):
            raise Denied("clave_no_valida")
        if key.networks and not networks.holds(key.networks, asking.address):
            raise Denied("clave_no_valida")
        if key.routes and route not in key.routes:
            raise Denied("sin_permiso")
        self.keys.used(key)
        return key.caller

    def _by_network(self, asking: Asking, route: str) -> Caller:
        address = asking.address
        if route == "/prediccion" and networks.holds(self._open_networks, address):
            return Caller(f"red {address}", "caller", "network")
        if not self.is_closed:
            local = address is not None and address.is_loopback
            if local and networks.is_local_name(asking.host, self._host):
                return LOCAL
            if self._insecure:
                return OPEN
        raise Denied("clave_no_valida")
