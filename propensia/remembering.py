"""The file in which a reception keeps, across restarts, what each dropped file brought.

It never grows beyond what it can read back itself, and is not written where nothing changed.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from propensia import files, inbox

# Of one name some 7 kB at most, text and escapes included, so the file stays below 16 MiB.
MOST_NAMES = 2_000


class Notebook:
    """Where one memory is kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: dict[str, Any] | None = None

    def read(self) -> inbox.Memory | None:
        """The memory as it was written; ``None`` if it never was.

        Raises ``ValueError`` for a file that holds none, and another ``OSError`` for one that
        cannot be read now but may be later.
        """
        try:
            memory = inbox.recalled(files.read_json(self._path))
        except FileNotFoundError:
            return None
        except (files.FileTooLarge, files.NotRegular) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        trim(memory)
        return memory

    def write(self, memory: inbox.Memory) -> None:
        """Keep a memory, durably, unless that very one is kept already. Raises ``OSError``."""
        trim(memory)
        table = asdict(memory)
        if table != self._written:
            files.write_json(self._path, table)
            self._written = table


def room(memory: inbox.Memory) -> int:
    """How many further names of the folder of now can be remembered."""
    return MOST_NAMES - sum(known.here for known in memory.names.values())


def trim(memory: inbox.Memory, most: int | None = None) -> None:
    """Forget names until there are ``most``: of other folders first, oldest first, then those not
    seen in this folder, and of what lies in it only the newest to be remembered."""
    most = MOST_NAMES if most is None else most
    names = memory.names
    over = sum(map(len, memory.folders.values())) - most
    if over <= 0:
        return
    elsewhere = [folder for folder in memory.folders if folder != memory.folder]
    order = [(folder, name) for folder in elsewhere for name in memory.folders[folder]]
    order += [(memory.folder, name) for name, known in names.items() if not known.here]
    order += [(memory.folder, name) for name, known in reversed(names.items()) if known.here]
    for folder, name in order[:over]:
        del memory.folders[folder][name]
    for folder in elsewhere:
        if not memory.folders[folder]:
            del memory.folders[folder]
