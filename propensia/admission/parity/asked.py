"""What the parts of the comparison share: its question, and which libraries can be asked.

It never imports one of those libraries.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

# Contract columns, double (n, k), to the probability of the positive class, double (n,).
Predict: TypeAlias = Callable[[np.ndarray], np.ndarray]


def installed(distribution: str) -> str:
    """The version of an installed distribution, or nothing."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def minor(version: str) -> tuple[int, ...]:
    """Major and minor number of a version."""
    parts = version.split(".")[:2]
    return tuple(int(part) for part in parts if part.isdecimal())
