"""One version of a model, with all that a worker needs to score by it, in one parcel.

A run takes it once and keeps it to its end, whatever is published meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from propensia.contract import Contract
from propensia.decision import Decision
from propensia.registry import Registry, RegistryError, Release, decision


@dataclass(frozen=True, slots=True)
class Model:
    """What scores a run; can be handed to another process.

    ``view`` is the contract as this version sees it (its columns), ``contract`` the whole.
    ``deciles``: the 9 inner limits of the chances of its training, ascending, as they are served;
    empty where its sidecar does not tell them.
    """

    release: Release
    contract: Contract
    view: Contract
    onnx: bytes
    digest: str
    decision: Decision
    deciles: tuple[float, ...]


def take(registry: Registry, contract: Contract, version: str | None = None) -> Model:
    """The active model, or a ``version`` by the beginning of its id, as the service would load it.

    Raises ``RegistryError``.
    """
    release = registry.current() if version is None else registry.last_of(registry.find(version))
    if release is None:
        raise RegistryError("aún no hay modelo publicado con el que puntuar")
    manifest = registry.manifest(release.version)
    view = contract.view(manifest["columns"])
    if view is None:
        raise RegistryError(
            f"la versión {release.version} es de otro contrato ({manifest['contract']})"
        )
    rule = decision(manifest, release, contract.threshold)
    return Model(
        release=release,
        contract=contract,
        view=view,
        onnx=registry.model(release.version),
        digest=manifest["onnx_sha256"],
        decision=rule,
        deciles=_deciles(manifest.get("told", {}), rule),
    )


def _deciles(told: Mapping[str, Any], rule: Decision) -> tuple[float, ...]:
    """The limits that a sidecar tells, moved as chances are; none where they are not 9 numbers."""
    try:
        limits = np.array(told["referencia"]["puntuacion"]["deciles"], dtype=np.float64)
    except (KeyError, TypeError, ValueError):
        return ()
    if limits.shape != (9,) or not np.all((limits >= 0) & (limits <= 1)):
        return ()
    return tuple(rule.probabilities(limits).tolist())
