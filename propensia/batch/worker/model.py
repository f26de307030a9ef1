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
    empty where its sidecar does not tell them. ``steady``: whether admission found that a row
    gets the same bits alone as among others.
    """

    release: Release
    contract: Contract
    view: Contract
    onnx: bytes
    digest: str
    decision: Decision
    deciles: tuple[float, ...]
    steady: bool


def take(
    registry: Registry,
    contract: Contract,
    version: str | None = None,
    release: int | None = None,
) -> Model:
    """The active model, as the service would load it; or that of a ``version``, by the beginning
    of its id and as it was published last; or that of a ``release``.

    Raises ``RegistryError``.
    """
    found = _release(registry, version, release)
    manifest = registry.manifest(found.version)
    view = contract.view(manifest["columns"])
    if view is None:
        raise RegistryError(
            f"la versión {found.version} es de otro contrato ({manifest['contract']})"
        )
    rule = decision(manifest, found, contract.threshold)
    return Model(
        release=found,
        contract=contract,
        view=view,
        onnx=registry.model(found.version),
        digest=manifest["onnx_sha256"],
        decision=rule,
        deciles=_deciles(manifest.get("told", {}), rule),
        steady=manifest.get("steady", True),  # of an older version ``Chances`` finds out
    )


def _release(registry: Registry, version: str | None, number: int | None) -> Release:
    if number is not None:
        try:
            return registry.release(number)
        except FileNotFoundError:
            raise RegistryError(f"ya no está la publicación {number}") from None
    if version is None:
        found = registry.current()
        if found is None:
            raise RegistryError("aún no hay modelo publicado con el que puntuar")
        return found
    whole = registry.find(version)
    found = registry.last_of(whole)
    if found is None:
        raise RegistryError(
            f"la versión {whole} no se ha publicado nunca; «propensia activate» la publica"
        )
    return found


def _deciles(told: Mapping[str, Any], rule: Decision) -> tuple[float, ...]:
    """The limits that a sidecar tells, moved as chances are; none where they are not 9 numbers."""
    try:
        limits = np.array(told["referencia"]["puntuacion"]["deciles"], dtype=np.float64)
    except (KeyError, TypeError, ValueError):
        return ()
    if limits.shape != (9,) or not np.all((limits >= 0) & (limits <= 1)):
        return ()
    return tuple(rule.probabilities(limits).tolist())
