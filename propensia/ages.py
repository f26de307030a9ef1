"""When a version was made, as its manifest tells.

It never guesses: what nobody wrote down is ``None``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def made_at(manifest: Mapping[str, Any]) -> datetime | None:
    """When a version was trained, or where its file does not say so, admitted; in UTC."""
    training = manifest.get("told", {}).get("entrenamiento")
    trained = training.get("hecho") if isinstance(training, dict) else None
    for text in (trained, manifest.get("admitted")):
        try:
            made = datetime.fromisoformat(str(text))
        except ValueError:  # an analyst may write what they like
            continue
        return made if made.tzinfo else made.replace(tzinfo=UTC)
    return None
