"""What one file may cost while it is read: instructions, repeated work, memory, hard keys.

It must never let a file spend more than its size justifies.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from propensia.admission.nodes import Global
from propensia.admission.refusal import Refusal

OPERATIONS_LIMIT = 4_000_000
# What small objects may take whatever the size of the file: Python's own headers outweigh what
# they hold. The values of a genuine model reach it only beside the limit of instructions.
SMALL_OBJECTS_BYTES = 192 << 20
# The unpacked bytes themselves, a copy of them as text and another as bytes: three in all.
_COPIES = 2
_HARD_KEYS_LIMIT = 2_000


@dataclass(slots=True)
class Budget:
    """What one file may still spend, nested streams included, and the names it has mentioned.

    ``operations`` are instructions, ``work`` bytes or elements looked at again, ``memory`` bytes
    held by values, ``hard_keys`` keys that could be made to collide.
    """

    operations: int
    work: int
    memory: int
    hard_keys: int = _HARD_KEYS_LIMIT
    names: dict[tuple[str, str], Global] = field(default_factory=dict)

    @classmethod
    def for_file(cls, size_bytes: int) -> Budget:
        """A budget linear in the size of the unpacked file, with a ceiling on instructions."""
        return cls(
            operations=OPERATIONS_LIMIT,
            work=100_000 + 4 * size_bytes,
            memory=SMALL_OBJECTS_BYTES + _COPIES * size_bytes,
        )

    def charge(self, amount: int) -> None:
        """Pay for looking again at ``amount`` bytes or elements that were read before."""
        self.work -= amount
        if self.work < 0:
            raise Refusal(
                "demasiado_grande",
                "los mismos datos se repiten demasiadas veces",
                "the same data are repeated too many times",
            )

    def hold(self, size_bytes: int) -> None:
        """Pay for a value that takes ``size_bytes`` of memory, before it is made."""
        self.memory -= size_bytes
        if self.memory < 0:
            raise Refusal(
                "demasiado_grande",
                "sus datos ocupan en memoria mucho más que el fichero",
                "its data take much more memory than the file",
            )

    def hard_key(self) -> None:
        """Pay for a key whose hash the file could have chosen."""
        self.hard_keys -= 1
        if self.hard_keys < 0:
            raise Refusal(
                "demasiado_grande",
                "tiene demasiadas claves compuestas",
                "it has too many compound keys",
            )
