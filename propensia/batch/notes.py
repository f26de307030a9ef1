"""The note of a run: what it is about, how far it is and what it found, durable after each block.

It holds no value of a row but what a source needs to go on from its place.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from propensia import files
from propensia.batch.blocks import Block, Piece, Place, Tally

FORM = 1
"""Of the file: a note of another form is of another program."""
FIRST = 10
"""Rows with faults that a note keeps, to be shown at the end."""
AGAIN = "; con --force, y sin --resume, se empieza de nuevo"
"""What every ``NoteError`` ends with."""


class NoteError(Exception):
    """A note cannot be read, or is of another run; the text, in Spanish, says what to do."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What has to be the same when a run goes on.

    ``program``: its version. ``contract``: its fingerprint. ``version`` and ``release`` of the
    model. ``entry``: the identity of the source. ``options``: those that change a result, as
    they are typed.
    """

    program: str
    contract: str
    version: str
    release: int
    entry: Mapping[str, Any]
    options: Mapping[str, Any]


@dataclass(slots=True)
class Note:
    """How far a run is.

    ``source``, ``sink``: their places, ``None`` before the first block; ``done``: the share that
    is behind, in [0, 1]. ``faults``: bytes of the file of faults. ``first``: the first rows with
    faults, as (line, faults). ``began``: ISO 8601; ``seconds``: the time spent so far, of all
    ``starts`` together. ``whole``: every block is kept; ``told``: the audit log says so.
    ``since``: the moment that «last» stood for as it began, ISO 8601; ``None``: all rows.
    """

    about: Terms
    began: str
    blocks: int = 0
    done: float = 0.0
    source: Place | None = None
    sink: Place | None = None
    faults: int = 0
    tally: Tally = field(default_factory=Tally)
    first: list[tuple[int, str]] = field(default_factory=list)
    seconds: float = 0.0
    starts: int = 1
    whole: bool = False
    told: bool = False
    since: str | None = None

    def add(self, block: Block, piece: Piece, sink: Place, faults: int) -> None:
        """One more block is kept, and these are the places of the sink and the faults after it."""
        self.blocks += 1
        self.done = block.done
        self.source, self.sink, self.faults = block.end, sink, faults
        self.tally.add(piece.tally)
        some = piece.faulty[: FIRST - len(self.first)]
        self.first += [(line, text) for line, _, text in some]

    def write(self, path: Path) -> None:
        """Durably, and whole for every reader. Raises ``OSError``."""
        table = {"form": FORM} | _table(self) | {"about": _table(self.about)}
        files.write_json(path, table | {"tally": _table(self.tally)}, private=True)


def read(path: Path) -> Note | None:
    """The note of an unfinished run; ``None`` where there is none.

    Raises ``NoteError`` or ``OSError``.
    """
    try:
        table = files.read_json(path)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise _damaged(path) from error
    try:
        if table.pop("form") != FORM:
            raise NoteError(f"{files.shown(path.name)} es de otra versión de Propensia{AGAIN}")
        table["about"] = Terms(**table["about"])
        table["tally"] = Tally(**table["tally"])
        for name in ("faults", "notes", "bands", "classes"):
            setattr(table["tally"], name, Counter(getattr(table["tally"], name)))
        table["first"] = [(line, text) for line, text in table["first"]]
        return Note(**table)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path) from error


def _table(row: Note | Terms | Tally) -> dict[str, Any]:
    """Its fields, as they are: ``asdict`` would count the items of a counter anew."""
    return {one.name: getattr(row, one.name) for one in fields(row)}


def _damaged(path: Path) -> NoteError:
    return NoteError(f"{files.shown(path.name)} está dañado{AGAIN}")


OTHERWISE = {
    "program": "la empezó otra versión de Propensia",
    "contract": "la empezó otro contrato",
    "version": "la empezó otra versión del modelo",
    "release": "la empezó otra publicación del modelo",
    "entry": "la entrada es otra, o ha cambiado desde entonces",
}


def refuse_another(begun: Terms, now: Terms) -> None:
    """Raise ``NoteError`` where a run that was begun cannot be gone on with, for all reasons."""
    before, after = _as_json(begun), _as_json(now)
    told = [text for name, text in OTHERWISE.items() if before[name] != after[name]]
    names = {**before["options"], **after["options"]}
    other = [name for name in names if before["options"].get(name) != after["options"].get(name)]
    if other:
        told.append(f"se empezó con otros valores de {', '.join(other)}")
    if told:
        raise NoteError(f"no se puede seguir la ejecución a medias: {'; '.join(told)}{AGAIN}")


def _as_json(terms: Terms) -> dict[str, Any]:
    """As a note gives it back: a tuple is a list then."""
    table: dict[str, Any] = json.loads(json.dumps(_table(terms)))
    return table
