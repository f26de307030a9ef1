"""How an accepted or refused file stands beside the version that answers now, and why it waits.

It changes nothing, and suggests no command that a file name could make mean another thing.
"""

from __future__ import annotations

import re

from propensia import inbox
from propensia.registry import Registry

# Nothing in such a path means anything to a shell, between double quotes.
is_plain = re.compile(r"[\w .:/~+=@,()-]+").fullmatch


def reason_to_wait(registry: Registry, name: str, sha256: str) -> str | None:
    """Why a version is not published by itself; ``None`` if it may be."""
    current = registry.current()
    if current is None:
        return None
    served = registry.last_of(sha256[:12]) is not None
    return inbox.may_promote(name, current.model, current.pinned, served)


def of(registry: Registry, seen: inbox.Seen, sha256: str) -> tuple[str, str]:
    """The word and the sentence that are left beside a file that was judged."""
    verdict = registry.verdict(sha256) or {"accepted": True, "why": ""}
    current, version = registry.current(), sha256[:12]
    if not verdict["accepted"]:
        return "RECHAZADO", str(verdict["why"])
    if current is not None and current.version == version:
        return "ACEPTADO", f"Es la versión activa: {version} (publicación {current.number})."
    last = registry.last_of(version)
    if last is not None:
        return "ACEPTADO", f"La versión {version} estuvo activa (publicación {last.number})."
    reason = reason_to_wait(registry, seen.name, sha256)
    reason = reason or "se publicó otra mientras se comprobaba"
    command = f"rollback {version}"
    if is_plain(seen.path.as_posix()):  # where a backslash is part of a name, it is still there
        command = f'admit "{seen.path}"'
    return "ACEPTADO", (
        f"Queda como candidata ({version}): {reason}. Para publicarla: propensia {command}"
    )
