"""The published and fitted figures of the collections table, read from ``figures.toml``.

Nothing here computes anything.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

Figures = Mapping[str, Any]


@cache
def load() -> Figures:
    """Every number of the generator, as the nested tables of the file."""
    data = (resources.files("propensia.synthetic") / "figures.toml").read_bytes()
    return tomllib.loads(data.decode("utf-8"))
