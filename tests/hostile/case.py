"""What one hostile file is: how it is made, and what a person must be told about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# How a name that no model needs may be refused: as such, or as a family that is not known.
NAMED = ("contenido_no_permitido", "familia_desconocida")


@dataclass(frozen=True, slots=True)
class Trap:
    """Where a file that runs would leave its mark: a file, and a port that is listened to."""

    marker: Path
    port: int

    @property
    def shell(self) -> str:
        """A line for a shell that makes the marker."""
        return f'echo x > "{self.marker}"'

    @property
    def python(self) -> str:
        """An expression in Python that makes the marker."""
        return f"open({str(self.marker)!r}, 'w')"

    @property
    def url(self) -> str:
        """An address that the test listens to."""
        return f"http://127.0.0.1:{self.port}/"


@dataclass(frozen=True, slots=True)
class Case:
    """A file, the codes that its refusal may have, and words that must be in its sentence.

    ``springs``: pickle, on Linux, makes the marker when it loads the file.
    """

    title: str
    build: Callable[[Trap], bytes]
    codes: tuple[str, ...] = NAMED
    says: str = ""
    springs: bool = False
