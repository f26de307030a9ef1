"""Tokens of an identity provider (JWT): who their holder is, by the provider's public key alone.

It must never let a token choose how, or with which key, it is checked.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from propensia import files
from propensia.access.roles import ROLES, Caller
from propensia.settings import Settings, SettingsError

if TYPE_CHECKING:
    from propensia.access.provider import Provider

ALGORITHMS = ("RS256", "ES256", "EdDSA")
"""Signatures only: with a secret that both sides know, whoever checks could also issue."""

LONGEST_TOKEN = 8192
MOST_KNOWN = 4096
PREFIX = "jwt:"
"""Before the ``sub`` of a token in the name of its holder: no key has a name with a colon."""


class Known:
    """The callers of the tokens that were verified with the keys of one moment.

    Kept by the SHA-256 of the token, until it expires; the one that was asked for longest ago
    goes first. Safe for threads.
    """

    def __init__(self, provider: Provider, clock: Callable[[], float] = time.time) -> None:
        self.provider = provider
        self._clock = clock
        self._callers: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()
        self._guard = threading.Lock()

    def get(self, digest: bytes) -> Caller | None:
        """The caller of a token that was seen before and is still good."""
        with self._guard:
            caller, until = self._callers.get(digest, (None, 0.0))
            if caller is None or self._clock() >= until:
                return None
            self._callers.move_to_end(digest)
            return caller

    def put(self, digest: bytes, caller: Caller, until: float) -> None:
        """Remember a caller until that time, in seconds since 1970."""
        with self._guard:
            self._callers[digest] = caller, until
            if len(self._callers) > MOST_KNOWN:
                self._callers.popitem(last=False)


class Tokens:
    """The tokens that one provider signs. Safe for threads.

    No token is good before the first ``refresh``. ``problem`` says, in Spanish, why a new file of
    keys was not taken in; ``None`` while all is well.
    """

    def __init__(self, chosen: Settings, clock: Callable[[], float] = time.time) -> None:
        """``clock`` tells the seconds since 1970 until which a token is remembered."""
        self._clock = clock
        self._path = Path(chosen.jwt_keys).absolute()
        self._algorithms = algorithms(chosen)
        self._audience = chosen.jwt_audience
        self._issuer = chosen.jwt_issuer
        self._role = chosen.jwt_role
        self._marks: object = None
        self._known: Known | None = None
        self.problem: str | None = None

    @classmethod
    def of(cls, chosen: Settings) -> Tokens | None:
        """The reader that the settings ask for; ``None`` where no provider is set. Raises
        ``SettingsError``."""
        algorithms(chosen)
        if not chosen.jwt_keys:
            return None
        if not chosen.jwt_audience:
            raise SettingsError(
                "falta el ajuste 'jwt_audience': con 'jwt_keys', diga qué audiencia (aud) llevan "
                "los tokens de este servicio; sin ella valdrían los de cualquier otro"
            )
        return cls(chosen)

    def refresh(self) -> None:
        """Read the file of the keys if it changed, and forget what the keys before verified.

        Raises ``SettingsError`` where there are no keys yet; once there are, they stay, and
        ``problem`` says what is wrong with the file.
        """
        # Here, not above: only a process that checks tokens pays for the libraries of this one.
        from propensia.access import provider

        marks = _marks(self._path)
        if self._known is not None and marks is not None and marks == self._marks:
            return
        try:
            signers = provider.read(self._path, self._algorithms)
        except provider.ProviderError as error:
            if self._known is None:
                raise SettingsError(f"el ajuste 'jwt_keys' no sirve: {error}") from error
            self.problem = f"siguen valiendo las claves anteriores de los tokens: {error}"
            if isinstance(error, provider.UnreadableError):
                marks = None  # nobody has judged what is in it: look again
        else:
            read = provider.Provider(signers, self._audience, self._issuer)
            self._known = Known(read, self._clock)
            self.problem = None
        self._marks = marks

    def caller(self, token: str) -> Caller | None:
        """Who holds a token that is good now; ``None`` for every other text."""
        known = self._known  # one reference: a verdict of these keys never outlives them
        if known is None or len(token) > LONGEST_TOKEN or token.count(".") != 2:
            return None
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        caller = known.get(digest)
        if caller is not None:
            return caller
        claims = known.provider.claims(token)
        role = None if claims is None else highest(claims.get(self._role))
        if claims is None or role is None or not claims["sub"].strip():
            return None
        caller = Caller(files.shown(PREFIX + claims["sub"]), role, "token")
        known.put(digest, caller, known.provider.ends(claims))
        return caller


def algorithms(chosen: Settings) -> frozenset[str]:
    """The algorithms that the settings allow. Raises ``SettingsError``."""
    named = frozenset(part.strip() for part in chosen.jwt_algorithms.split(","))
    if not named <= frozenset(ALGORITHMS):
        raise SettingsError(
            f"el ajuste 'jwt_algorithms' admite {', '.join(ALGORITHMS)}, con comas entre ellos"
        )
    return named


def highest(claimed: object) -> str | None:
    """The role of ours that may do most among a text or a list of them; ``None`` without one."""
    named = claimed if isinstance(claimed, list) else [claimed]
    return next((role for role in reversed(ROLES) if role in named), None)


def _marks(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file does; ``None`` where there is none that could be read."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
