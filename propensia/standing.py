"""How an accepted or refused file stands beside the version that answers now, and why it waits.

It changes nothing, and suggests no command that a file name could make mean another thing.
"""

from __future__ import annotations

import re

from propensia import inbox
from propensia.registry import Registry

# Nothing in such a path means anything to a shell, between double quotes.
is_plain = re.compile(r"[\w .:/~+=@,()-]+").fullmatch

FOUR_EYES = "tiene que publicarla otra persona que quien la entregó (cuatro ojos)"
SERVED = "ya se sirvió, y con cuatro ojos no vuelve sola: la publica quien aprueba"
UNKNOWN_HAND = (
    "no consta quién la dejó (cuatro ojos). Entréguela otra vez por HTTP (POST /modelos) o con "
    "propensia admit, y que la publique otra persona"
)


def was_served(registry: Registry, sha256: str) -> bool:
    """Whether a content ever answered: by its whole digest, for a file can be made whose id, the
    first 12 digits, is that of another."""
    return any(release.sha256 == sha256 for release in registry.history())


def reason_to_wait(registry: Registry, name: str, sha256: str, four_eyes: bool) -> str | None:
    """Why a version is not published by itself; ``None`` if it may be.

    ``four_eyes``: nothing is, not even the first, nor what was served before: else whoever may
    hand files in would decide what answers.
    """
    current = registry.current()
    served = was_served(registry, sha256)
    if four_eyes:
        return SERVED if served else FOUR_EYES
    if current is None:
        return None
    return inbox.may_promote(name, current.model, current.pinned, served)


def of(
    registry: Registry, seen: inbox.Seen, sha256: str, four_eyes: bool, known: bool
) -> tuple[str, str]:
    """The word and the sentence that are left beside a file that was judged.

    ``known``: whether anybody is known who handed that content in.
    """
    verdict = registry.verdict(sha256) or {"accepted": True, "why": ""}
    current, version = registry.current(), sha256[:12]
    if not verdict["accepted"]:
        return "RECHAZADO", str(verdict["why"])
    if current is not None and current.version == version:
        return "ACEPTADO", f"Es la versión activa: {version} (publicación {current.number})."
    last = registry.last_of(version)
    if last is not None:
        text = f"La versión {version} estuvo activa (publicación {last.number})."
        back = f" Con cuatro ojos no vuelve sola: propensia activate {version}"
        return "ACEPTADO", text + (back if four_eyes else "")
    if four_eyes and not known:
        return "ACEPTADO", f"Queda como candidata ({version}): {UNKNOWN_HAND}."
    reason = reason_to_wait(registry, seen.name, sha256, four_eyes)
    reason = reason or "se publicó otra mientras se comprobaba"
    command = f"activate {version}"
    # Where a backslash is part of a name, it is still there.
    if not four_eyes and is_plain(seen.path.as_posix()):
        command = f'admit "{seen.path}"'
    return "ACEPTADO", (
        f"Queda como candidata ({version}): {reason}. Para publicarla: propensia {command}"
    )
