"""Which route has which rate, and what callers are told about it.

It must never look at what a request asks, and never let a rate stop the old GET route unless a
setting says so.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from propensia.access import Denied
from propensia.access.limits import ENTERING, Limits, Rate, identity, network
from propensia.access.networks import Address
from propensia.access.roles import OLD_ROUTE, Caller
from propensia.access.sliding import Taken
from propensia.web.routes import ROUTES, Route

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

WHO = "propensia.who"
FIELDS = "propensia.fields"
"""Keys of the environment of a request: under which name it was counted, and the header fields
that tell its sender how many are left."""


class Quotas:
    """Counts what is let in, route by route. Safe for threads."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._rates: dict[Route | None, Rate | None] = {None: limits.rate}
        self._rates |= {route: _rate(route, limits) for route in ROUTES}
        self.hot_is_free = limits.rate_get is None

    @property
    def problem(self) -> str | None:
        """What keeps requests from being counted together, for ``/health``."""
        return self._limits.problem

    def count(
        self,
        environ: WSGIEnvironment,
        route: Route | None,
        caller: Caller | None,
        address: Address | None,
        session: str | None = None,
    ) -> None:
        """Count a request of a caller that is known, or of an address. Raises ``Denied``.

        ``session``: the id of the key of a browser's session, where nobody asks who calls: nobody
        of the same network may keep that person from logging out.
        """
        if caller is not None:
            who = identity(caller, address)
        else:
            who = network(address) if session is None else f"key {session}"
        environ[WHO] = who
        rate = self._rates[route]
        if rate is None:
            return
        told = self._limits.take(rate, who)
        environ[FIELDS] = _fields(rate, told)
        if not told.allowed:
            raise _too_many(told, "" if caller is None else caller.name)

    def failed(
        self, environ: WSGIEnvironment, rate: Rate, address: Address | None
    ) -> Denied | None:
        """Count a request that nobody good sent; the refusal to answer with instead, where there
        were too many. Whoever sends a good key from the same network is not held up."""
        told = self._limits.take(rate, network(address))
        if told.allowed:
            return None
        environ[FIELDS] = _fields(rate, told)
        return _too_many(told, "")


def _rate(route: Route, limits: Limits) -> Rate | None:
    if route.path == OLD_ROUTE:
        return limits.rate_get
    if route.permission is not None:
        return limits.rate
    # Logging in is counted where the key is looked at: only a wrong one counts.
    return ENTERING if route.path == "/salir" else None


def _too_many(told: Taken, name: str) -> Denied:
    return Denied("limite_superado", name, max(1, math.ceil(told.retry_s)))


def _fields(rate: Rate, told: Taken) -> tuple[tuple[str, str], ...]:
    """``RateLimit-Policy`` and ``RateLimit`` of draft-ietf-httpapi-ratelimit-headers-10: q
    requests in w seconds, r are left, and t seconds until there are more."""
    until = rate.window_s if told.allowed else math.ceil(told.retry_s)
    return (
        ("RateLimit-Policy", f'"{rate.name}";q={rate.count};w={rate.window_s}'),
        ("RateLimit", f'"{rate.name}";r={told.left};t={until}'),
    )
