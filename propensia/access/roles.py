"""Roles and what each may do: the one table that routes, keys and tokens rest on.

It never looks at a request.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

ROLES = ("caller", "tester", "analyst", "approver", "admin")

OLD_ROUTE = "/prediccion"
"""The route of callers that never change, and cannot always send a header: open networks and keys
in the address are good for it alone."""

PERMISSIONS: dict[str, frozenset[str]] = {
    "score": frozenset(ROLES),
    "look": frozenset({"tester", "analyst", "approver", "admin"}),
    "drop": frozenset({"analyst", "admin"}),
    "publish": frozenset({"approver", "admin"}),
    "report": frozenset({"caller", "analyst", "admin"}),
    "remember": frozenset({"approver", "admin"}),
}
"""Permission -> the roles that have it. ``score``: scores, health, metrics, documentation.
``look``: pages, models. ``drop``: hand in a model file. ``publish``: decide what answers.
``report``: tell who paid. ``remember``: see, repeat, export and erase what was answered."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. ``means`` is how that is known: ``local`` (a program of this machine, where no
    key is needed), ``open`` (nobody asked for one), ``network``, ``key``, ``token`` or
    ``session``. ``key`` is the id of the key, empty without one."""

    name: str
    role: str
    means: str
    key: str = ""

    def may(self, permission: str) -> bool:
        """Whether the role has that permission."""
        return self.role in PERMISSIONS[permission]

    def as_session(self) -> Caller:
        """The same caller, known by the session of a browser."""
        return replace(self, means="session")
