"""The three files of a trained model: where they lie as a candidate, and how it gets published.

It overwrites nothing of somebody else's unless told to, and activates nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from propensia import files
from propensia.registry import Registry
from propensia.settings import Settings
from propensia.terminal import Parts
from propensia.training import card, sidecars
from propensia.training.packing import packed
from propensia.training.results import Trained

CANDIDATES = "candidates"


class NotPublished(Exception):
    """The candidate stays one; the text, in Spanish, says why and what to do."""


@dataclass(frozen=True, slots=True)
class Written:
    """The files of a candidate, side by side."""

    model: Path
    sidecar: Path
    card: Path

    @classmethod
    def beside(cls, model: Path) -> Written:
        """The files that belong to a PKL of that path."""
        return cls(
            model, model.with_name(f"{model.stem}.json"), model.with_name(f"{model.stem}.html")
        )


def place(settings: Settings, name: str) -> Written:
    """Where the files of a candidate of that name lie: in a folder that nobody polls."""
    return Written.beside(settings.models / CANDIDATES / f"{name}.pkl")


def candidate_in_the_way(written: Written) -> Path | None:
    """A file that ``write`` would overwrite."""
    ours = (written.model, written.sidecar, written.card)
    return next((path for path in ours if path.exists()), None)


def dropped_in_the_way(settings: Settings, written: Written) -> Path | None:
    """A file, that a person dropped, that ``publish`` would overwrite."""
    dropped = (_dropped(settings, written.model), _dropped(settings, written.sidecar))
    return next((path for path in dropped if path.exists()), None)


def _dropped(settings: Settings, path: Path) -> Path:
    """Where a file of a candidate lies once it is published."""
    return settings.models / path.name


def pinned(registry: Registry) -> str | None:
    """What to say where a version is pinned."""
    current = registry.current()
    if current is None or not current.pinned:
        return None
    return f"está fijada la versión {current.version} (propensia pin)"


def write(trained: Trained, written: Written) -> None:
    """The card and the sidecar before the model, each whole or not at all."""
    page = card.render(trained).encode("utf-8")
    told = sidecars.sidecar(trained)
    data = packed(trained.model)
    # All is made before the first is written: an end in between would leave a part of them.
    written.model.parent.mkdir(parents=True, exist_ok=True)
    files.write(written.card, page)
    files.write_json(written.sidecar, told)
    files.write(written.model, data)


def publish(parts: Parts, written: Written, *, force: bool) -> tuple[Path, int]:
    """Copy a candidate into the models folder, the sidecar first: the path of the PKL there, and
    the number of the release that was current then (0 where there is none).

    Looked at now is what was when the training began, perhaps hours ago: what is pinned stays,
    and so does what a person dropped, unless ``force``. Raises ``NotPublished`` and ``OSError``.
    """
    current = parts.registry.current()
    reason = pinned(parts.registry)
    there = dropped_in_the_way(parts.settings, written)
    if reason is None and there is not None and not force:
        reason = f"ya existe {there}"
    if reason is not None:
        raise NotPublished(
            f"No se publica: {reason}. El modelo queda en {written.model}; publíquelo con "
            f"«propensia admit {written.model}»"
        )
    for source in (written.sidecar, written.model):
        files.write(_dropped(parts.settings, source), files.read(source))
    return _dropped(parts.settings, written.model), current.number if current else 0
