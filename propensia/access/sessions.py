"""Sessions of browsers: a signed text that names a key, and which of them were ended.

It must never put a key or a right into that text: both are looked up again for every request.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from itsdangerous import BadData, TimestampSigner

from propensia import files, locks
from propensia.access.keys import Key

SECRET_BYTES = 32
LONGEST_TEXT = 256
PATIENCE_S = 10.0
REMEMBERED_S = 7 * 24 * 3600
"""How long the end of a session is remembered: longer than any can last, however it is set."""

EVERY = "every"
"""In place of a mark: every session that began until then is ended."""


@dataclass(frozen=True, slots=True)
class Session:
    """What the text of a session says: the id of the key that somebody logged in with, a random
    text that its pages send back with everything that changes something, and when it began, in
    seconds since 1970."""

    key: str
    nonce: str
    began: int

    def is_of(self, shown: str) -> bool:
        """Whether a page shows the random text of this session."""
        return secrets.compare_digest(self.nonce.encode(), shown.encode("utf-8", "replace"))

    @property
    def mark(self) -> str:
        """What is kept of it once it was ended: nothing that it could be made of again."""
        return f"{self.began}-{hashlib.sha256(self.nonce.encode()).hexdigest()[:32]}"


class Sessions:
    """The sessions of one installation. Safe for threads and for several processes.

    No session is good before the first ``refresh``.
    """

    def __init__(self, folder: Path, hours: float) -> None:
        self.lasts_s = round(hours * 3600)
        self._secret = folder / "secret"
        self._ended_folder = folder / "ended"
        self._marks: object = None
        self._signer: TimestampSigner | None = None
        self._ended: frozenset[str] = frozenset()
        self._ended_until = 0
        self._guard = threading.Lock()

    def refresh(self) -> None:
        """Take in the secret, made where there is none, and the sessions that were ended.

        Who deletes the secret ends all sessions. Raises ``OSError`` and ``locks.Busy``.
        """
        marks = _marks(self._secret)
        if marks is None:
            self._make_secret()
            marks = _marks(self._secret)
        if marks != self._marks:
            # RFC 2104 with SHA-256; the library's own choice is SHA-1.
            self._signer = TimestampSigner(
                files.read(self._secret, SECRET_BYTES),
                salt="propensia.session",
                key_derivation="hmac",
                digest_method=hashlib.sha256,
            )
            self._marks = marks
        with self._guard:
            self._look_at_ended()

    def begin(self, key: Key) -> str:
        """The text of a new session of that key."""
        assert self._signer is not None, "refresh first"
        return self._signer.sign(f"{key.id}.{secrets.token_urlsafe(24)}").decode()

    def read(self, text: str) -> Session | None:
        """The session of a text that is whole, not too old, and was not ended."""
        if self._signer is None or len(text) > LONGEST_TEXT:
            return None
        try:
            signed, at = self._signer.unsign(text, self.lasts_s, return_timestamp=True)
        except BadData:
            return None
        key, nonce = signed.decode().split(".")
        session = Session(key, nonce, round(at.timestamp()))
        ended = session.began <= self._ended_until or session.mark in self._ended
        return None if ended else session

    def end(self, session: Session) -> None:
        """End one session: here at once, in other processes when they refresh. Raises
        ``OSError``."""
        self._ended_folder.mkdir(exist_ok=True)
        files.write(self._ended_folder / session.mark, b"", private=True)
        with self._guard:
            self._ended |= {session.mark}

    def _make_secret(self) -> None:
        self._secret.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locks.Lock(self._secret.with_name("secret.lock"), PATIENCE_S):
            if _marks(self._secret) is None:  # nobody else made it meanwhile
                for mark in self._marks_of_ended():  # of sessions that are none any more
                    (self._ended_folder / mark).unlink(missing_ok=True)
                files.write(self._secret, secrets.token_bytes(SECRET_BYTES), private=True)

    def _look_at_ended(self) -> None:
        """Take in which sessions were ended, and forget those that are too old to matter.

        A clock that is wrong for a while must not bring back what is forgotten meanwhile: until
        when every session is ended is written down before, and stays.
        """
        ended = self._marks_of_ended()
        self._ended = frozenset(ended)
        self._ended_until = max([at for mark, at in ended.items() if _is_every(mark)], default=0)
        oldest = time.time() - REMEMBERED_S
        old = [at for at in ended.values() if self._ended_until < at < oldest]
        if old:
            self._ended_until = max(old)
            files.write(self._ended_folder / f"{self._ended_until}-{EVERY}", b"", private=True)
        for mark, at in ended.items():
            if at < self._ended_until or (at == self._ended_until and not _is_every(mark)):
                (self._ended_folder / mark).unlink(missing_ok=True)

    def _marks_of_ended(self) -> dict[str, int]:
        """Mark of each session that was ended -> when it began."""
        with contextlib.suppress(FileNotFoundError):
            names = [name.partition("-")[::2] for name in os.listdir(self._ended_folder)]
            return {f"{at}-{rest}": int(at) for at, rest in names if at.isdecimal()}
        return {}


def _is_every(mark: str) -> bool:
    return mark.endswith(f"-{EVERY}")


def _marks(path: Path) -> tuple[int, int] | None:
    """What changes when the secret does; ``None`` where there is none, or not a whole one."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return (status.st_mtime_ns, status.st_ino) if status.st_size == SECRET_BYTES else None
