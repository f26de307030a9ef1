"""Which column of a portfolio is which parameter, by its name or by a mapping file.

It never guesses: a column of almost the right name is named, and the person says whether it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from propensia import delimited
from propensia.batch.added import NAMES, REASONS
from propensia.contract import Contract, Parameter
from propensia.delimited import TableError
from propensia.files import shown
from propensia.likeness import LIKENESS, nearest, unclaimed

LONGEST_MAPPING = 1 << 20
ONLY_CASE = (
    "estas columnas solo se distinguen de las del contrato en las mayúsculas; cambie sus nombres, "
    "o dígalos con --columns:"
)


def resolve(
    heading: Sequence[str],
    contract: Contract,
    source: str,
    renamed: Mapping[str, str] | None = None,
) -> dict[str, int]:
    """The place in ``heading`` of each parameter's column, by short name.

    A column has the parameter's short name or its feature name; ``renamed`` gives the table's
    name by either. A parameter that the contract lets be absent may be missing: it was not sent.
    Raises ``TableError`` with everything that is wrong; ``source`` is the table's name for it.
    """
    look = _Look(heading, contract, renamed or {})
    places = {p.name: look.place(p) for p in contract.parameters}
    found = {name: place for name, place in places.items() if place is not None}
    if not found and not renamed and 2 * len(look.by_case) < len(places):  # values, it may be
        raise TableError(
            f"{shown(source)} no tiene ninguna columna del contrato {contract.name}; ¿falta la "
            "cabecera? Si las columnas tienen otros nombres, dígalos con --columns"
        )
    look.refuse_shared(found)
    look.refuse_scored()
    if look.faults and len(look.by_case) == len(look.faults):
        raise TableError("\n  ".join([f"{shown(source)}: {ONLY_CASE}", *look.by_case]))
    if look.faults:
        raise TableError("\n  ".join([f"{shown(source)}:", *look.faults]))
    return found


def read_mapping(path: Path, contract: Contract) -> dict[str, str]:
    """The table's names by the contract's, from a CSV of two columns; its heading is optional.

    Raises ``TableError`` with every name that the contract does not know, and ``OSError``.
    """
    heading, rows = delimited.read_table(path, LONGEST_MAPPING)
    if len(heading) != 2:
        raise TableError(
            f"{shown(path.name)}: debe tener dos columnas, el nombre del contrato y el del fichero"
        )
    known = [name for p in contract.parameters for name in _names(p)]
    lines = [[cell.strip() for cell in row] for row in (heading, *rows)]
    # Any heading will do; what is nearly a name of the contract is a line with a mistake in it.
    if nearest(lines[0][0], known, LIKENESS) is None:
        del lines[0]
    faults: list[str] = []
    renamed: dict[str, str] = {}
    for ours, theirs in lines:
        if ours not in known:
            near = nearest(ours, known, LIKENESS)
            hint = f"; ¿es {near}?" if near else ""
            faults.append(f"«{shown(ours)}» no es un nombre del contrato{hint}")
        elif ours in renamed:
            faults.append(f"{ours} está dos veces")
        elif not theirs:
            faults.append(f"{ours} no tiene nombre en el fichero")
        renamed[ours] = theirs
    if faults:
        raise TableError("\n  ".join([f"{shown(path.name)}:", *faults]))
    return renamed


def _names(parameter: Parameter) -> tuple[str, ...]:
    """What its column may be called, each once."""
    return tuple(dict.fromkeys((parameter.feature, parameter.name)))


class _Look:
    """A heading under inspection; ``faults`` grow as columns are looked for. ``by_case``: a line
    for each of those that are there but for upper and lower case."""

    def __init__(
        self, heading: Sequence[str], contract: Contract, renamed: Mapping[str, str]
    ) -> None:
        self._contract, self._renamed = contract, renamed
        own = [name for p in contract.parameters for name in _names(p)]
        self._heading, self._claimed = heading, {*own, *renamed.values()}
        self.faults: list[str] = []
        self.by_case: list[str] = []

    def place(self, parameter: Parameter) -> int | None:
        """Where its column is; a fault where there is none but has to be, or more than one."""
        names = _names(parameter)
        said = [self._renamed[name] for name in names if name in self._renamed]
        if len(said) > 1:
            self.faults.append(f"{' y '.join(names)} son lo mismo: dé nombre a uno solo")
        there = [name for name in said or names if name in self._heading]
        if len(there) > 1 and not said:
            self.faults.append(
                f"«{there[0]}» y «{there[1]}» son lo mismo: quite una, o diga cuál vale con "
                "--columns"
            )
        if there:
            return self._heading.index(there[0])
        if said:
            near = nearest(said[0], self._heading, LIKENESS)
            hint = f"; ¿es «{shown(near)}»?" if near else ""
            self.faults.append(
                f"falta «{shown(said[0])}», que según --columns es {names[0]}{hint}"
            )
        elif parameter.absent_as is None:
            self.faults.append(self._missing(names))
        return None

    def _missing(self, names: tuple[str, ...]) -> str:
        near, ours = self._but_for_case(names)
        if near is None:
            near = unclaimed(names[0], self._heading, self._claimed)
        else:
            self.by_case.append(f"«{shown(near)}» es {ours}")
        called = " o ".join(names)
        if near is None:
            return f"falta {called}; si tiene otro nombre, dígalo con --columns"
        return f"falta {called}; ¿es «{shown(near)}»? Dígalo con --columns"

    def _but_for_case(self, names: tuple[str, ...]) -> tuple[str | None, str]:
        """The column that has one of these names but for case, and which."""
        for ours in names:
            for column in self._heading:
                if column not in self._claimed and column.casefold() == ours.casefold():
                    return column, ours
        return None, ""

    def refuse_shared(self, found: Mapping[str, int]) -> None:
        """A fault for each column that would be two parameters."""
        for place in sorted(set(found.values())):
            names = [name for name, at in found.items() if at == place]
            if len(names) > 1:
                column = shown(self._heading[place])
                self.faults.append(f"«{column}» no puede ser {' y '.join(names)} a la vez")

    def refuse_scored(self) -> None:
        """A fault where the table has columns that the result adds: it is one already."""
        there = [name for name in (*NAMES, REASONS) if name in self._heading]
        if there:
            self.faults.append(
                f"ya tiene columnas que añade el resultado ({', '.join(there)}): puntúe el "
                "fichero original, o quite o renombre esas columnas"
            )
