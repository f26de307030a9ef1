"""How long the forms may be that bring a file, for all who have to know before they read it.

It must never load Flask: the process that supervises workers asks too.
"""

from __future__ import annotations

from propensia.admission.sidecar import LIMIT_BYTES as SIDECAR_LIMIT_BYTES
from propensia.settings import Settings

SIGNATURE_LIMIT_BYTES = 8 << 10  # more than any; the reader of signatures knows how much
_FRAME_BYTES = 64 << 10


def limit_bytes(chosen: Settings) -> int:
    """The longest form with a model: a file, what goes with it, and what is between them."""
    return (chosen.max_file_mb << 20) + SIDECAR_LIMIT_BYTES + SIGNATURE_LIMIT_BYTES + _FRAME_BYTES


def portfolio_limit_bytes(chosen: Settings) -> int:
    """The longest form that may come with a portfolio."""
    return (chosen.max_portfolio_mb << 20) + _FRAME_BYTES
