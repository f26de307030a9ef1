"""A fitted model as the bytes of a PKL.

It never reads one.
"""

from __future__ import annotations

import io
from typing import Any

import joblib

COMPRESSION = 3


def packed(model: Any) -> bytes:
    """What ``joblib.load`` gives ``model`` back from, with the libraries that made it."""
    stream = io.BytesIO()
    joblib.dump(model, stream, compress=COMPRESSION)
    return stream.getvalue()
