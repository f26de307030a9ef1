"""Making models: for now the demonstration model, in a process of its own.

It may write a PKL, and never reads one.
"""

from __future__ import annotations

import functools
import secrets

from propensia import files, processes
from propensia.settings import Settings

DEMONSTRATION = "demostracion"
TIMEOUT_S = 180.0


class TrainingError(Exception):
    """A model could not be made; the text says why."""


def make_demonstration(settings: Settings) -> tuple[bytes, bytes]:
    """The bytes of a small PKL, trained on the synthetic rows of the contract, and its sidecar.

    A copy stays in the state folder for who wants to look at it. Raises ``TrainingError``.
    """
    settings.state.mkdir(parents=True, exist_ok=True)
    made = tuple(settings.state / f"{DEMONSTRATION}{end}" for end in (".json", ".pkl"))
    mark = secrets.token_hex(4)
    sidecar, model = (path.with_name(f".{path.name}.{mark}.tmp") for path in made)
    finished = processes.run(
        "propensia.training.demonstration",
        settings.contract,
        str(model),
        str(sidecar),
        timeout_s=TIMEOUT_S,
    )
    if finished.code != 0:
        for temporary in (sidecar, model):
            temporary.unlink(missing_ok=True)
        reason = finished.errors.strip().splitlines()[-1:] or [f"código {finished.code}"]
        raise TrainingError(f"no se pudo entrenar el modelo de demostración: {reason[0]}")
    for temporary, path in zip((sidecar, model), made, strict=True):
        files.retry(functools.partial(temporary.replace, path))
    return files.read(made[1]), files.read(made[0])
