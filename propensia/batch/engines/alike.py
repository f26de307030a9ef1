"""What has to be the same in every process of a cluster, so that a score is the same everywhere.

It must never let a cluster score that has another version of anything that makes a score.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distributed.versions import get_versions

from propensia.batch.errors import ClusterRefused

ALIKE = ("propensia", "onnxruntime", "numpy", "pyarrow", "llvmlite", "dask", "distributed")
"""With another one a score may be another, or no answer come at all."""


def own_versions() -> dict[str, str]:
    """Of this process: Python (3.11) and each of ``ALIKE``, by name; — is one that is missing."""
    return _versions(get_versions(ALIKE))


def refuse_others(own: Mapping[str, str], told: Mapping[str, Any]) -> None:
    """Raise ``ClusterRefused`` if the scheduler or a worker has another version of anything.
    ``told``: what ``get_versions`` of a client of Dask gives."""
    for address, found in {"scheduler": told["scheduler"], **told["workers"]}.items():
        refuse_other(own, _versions(found), address)


def refuse_other(own: Mapping[str, str], other: Mapping[str, str], whose: str) -> None:
    """Raise ``ClusterRefused``, with both versions of all that differs."""
    different = [
        f"{name} {version} aquí y {other[name]} allí"
        for name, version in own.items()
        if other[name] != version
    ]
    if different:
        raise ClusterRefused(
            f"el clúster no tiene las mismas versiones que esta máquina ({whose}): "
            f"{'; '.join(different)}. Instale en todas el mismo requirements.txt"
        )


def _versions(told: Mapping[str, Any]) -> dict[str, str]:
    """Of Python and of what matters, as Dask tells them of one process."""
    python = ".".join(told["host"]["python"].split(".")[:2])
    packages = told["packages"]
    return {"python": python} | {name: packages.get(name) or "—" for name in ALIKE}
