"""Tokens of an identity provider (JWT): who their holder is, by the provider's public key alone.

It must never let a token choose how, or with which key, it is checked.
"""

from __future__ import annotations

from propensia.access.roles import Caller
from propensia.settings import Settings


class Tokens:
    """The tokens that one provider signs. Immutable; safe for threads."""

    @classmethod
    def of(cls, chosen: Settings) -> Tokens | None:
        """The reader that the settings ask for; ``None`` where no provider is set."""
        return None

    def caller(self, token: str) -> Caller | None:
        """Who holds a token that is good now; ``None`` for every other text."""
        return None
