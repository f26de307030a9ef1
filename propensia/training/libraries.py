"""Which libraries are installed here, in which versions.

Nothing is imported to find out.
"""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

NAMES = (
    "scikit-learn",
    "lightgbm",
    "xgboost",
    "xgboost-cpu",
    "imbalanced-learn",
    "keras",
    "tensorflow",
    "numpy",
    "pandas",
)


def versions() -> dict[str, str]:
    """Python's version and those of the libraries that a model may need."""
    found = {"python": platform.python_version()}
    for name in NAMES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
