"""Rows of a raw table beside the same rows of a feature matrix, as two matrices of numbers.

It never guesses which row is which: without a key or an index, both files have as many rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from propensia import files
from propensia.contract import Contract
from propensia.faults import Fault
from propensia.features import Features
from propensia.likeness import nearest
from propensia.skewing import repeats, sheets
from propensia.skewing.closeness import Mask, Matrix, Places
from propensia.skewing.sheets import Sheet, SkewError

DEFAULT_TOLERANCE = 1e-6
# A column of fewer decimals was not rounded for print: it is another number for the model.
FEWEST_DECIMALS = 3
# How alike two names are that may be meant for one, in [0, 1].
LIKENESS = 0.5
ALL_IN_DOUBT = (
    "la clave se repite y no se sabe qué fila es cuál: use una columna con un valor distinto por "
    "fila (--key)"
)
FLOAT32_EPSILON = float(np.finfo(np.float32).eps)


class OptionError(SkewError):
    """An option names what neither file has."""


@dataclass(frozen=True, slots=True)
class Raw:
    """n rows of the table that the contract can read.

    By short name of the parameter: ``texts`` as they stand in the file, ``(n,) object``, and
    ``values`` as ``Features.read_many`` gives them.
    """

    contract: Contract
    texts: Mapping[str, npt.NDArray[Any]]
    values: Mapping[str, npt.NDArray[Any]]

    def take(self, places: Places | Mask) -> Raw:
        """The rows at ``places``, in that order."""
        texts = {name: array[places] for name, array in self.texts.items()}
        return Raw(self.contract, texts, {n: array[places] for n, array in self.values.items()})


@dataclass(frozen=True, slots=True)
class Heading:
    """Which columns of a matrix are the model's.

    ``view`` is the contract whose columns it has: the contract itself, or its raw one.
    ``texts`` are those of its columns that hold the text of a category. ``missing`` and ``extra``
    are columns, each with the nearest name.
    """

    view: Contract
    texts: frozenset[str]
    missing: Mapping[str, str | None]
    extra: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Match:
    """Row ``left[i]`` of the table is row ``right[i]`` of the matrix, or one of the same group.

    ``groups`` are equal for rows of one key. ``by`` names the key, or is ``None`` where the place
    in the file says which row is which, as far as a row can be told from others of its key.
    """

    left: Places
    right: Places
    groups: Places
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Pairs:
    """The n readable rows that both files have, and what is to be told of the others.

    ``want`` and ``got`` ``(n, k) float64``: what the contract gives and what the matrix holds, in
    the order of ``heading.view``; a missing column is NaN in ``got``. ``cells`` are the texts of
    the matrix, ``(n,) object`` by column. ``tolerance`` ``(n, k)``: the largest difference that
    printing explains. ``everyone`` are all readable rows of the table, ``absent`` those of them
    that the matrix does not have. ``unread`` counts faults by ``(parameter, code)`` over the
    ``unread_rows``. ``unmatched`` rows of the matrix are none of the table's; of ``doubtful``
    readable rows with a repeated key it is not known which of the matrix they are.
    """

    heading: Heading
    raw: Raw
    want: Matrix
    got: Matrix
    cells: Mapping[str, npt.NDArray[Any]]
    tolerance: Matrix
    everyone: Raw
    absent: Mask
    unread: Mapping[tuple[str, str], int]
    unread_rows: int
    by: str | None
    unmatched: int
    doubtful: int


def pair(
    contract: Contract,
    table: Path,
    matrix: Path,
    key: str | None = None,
    tolerance: float | None = None,
) -> Pairs:
    """Read both files and bring their rows together.

    ``key`` is a column of both; ``tolerance`` replaces the one that the printed digits give.
    Raises ``SkewError`` (``OptionError`` for ``key``) and ``OSError``.
    """
    ours, theirs = sheets.read(table), sheets.read(matrix)
    everyone, faults = _read(contract, ours)
    readable = np.ones(ours.count, dtype=bool)
    readable[[row for row, _ in faults]] = False
    heading = _heading(contract, ours, theirs, key)
    match = _match(contract, ours, theirs, key)
    known = readable[match.left]
    if not known.any():
        raise SkewError(
            f"{ours.name} y {theirs.name} no tienen en común ninguna fila que el contrato "
            f"{contract.name} pueda leer"
        )
    names = [n for n in heading.view.column_names if n not in heading.missing]
    cells = {n: np.array(theirs.columns[n], dtype=object)[match.right] for n in names}
    raw = everyone.take(match.left)
    want = Features(heading.view).matrix(raw.values)
    got = _numbers(heading, cells, len(want))
    slack = _tolerance(heading.view, cells, want, tolerance)
    left, right = repeats.settle(match.groups, want, got, slack, known, match.by is None)
    if not len(left):
        raise SkewError(f"en {ours.name} y {theirs.name} {ALL_IN_DOUBT}")
    paired = np.zeros(ours.count, dtype=bool)
    paired[match.left] = True
    return Pairs(
        heading=heading,
        raw=raw.take(left),
        want=want[left],
        got=got[right],
        cells={name: column[right] for name, column in cells.items()},
        tolerance=slack[left],
        everyone=everyone.take(readable),
        absent=~paired[readable],
        unread=Counter((fault.parameter, fault.code) for _, fault in faults),
        unread_rows=int((~readable).sum()),
        by=match.by,
        unmatched=theirs.count - len(match.right),
        doubtful=int(known.sum()) - len(left),
    )


def _read(contract: Contract, table: Sheet) -> tuple[Raw, list[tuple[int, Fault]]]:
    """Every row of the table, and ``(row, fault)`` for those that cannot be read."""
    names = {p.name: p.name if p.name in table.columns else p.feature for p in contract.parameters}
    missing = [column for column in names.values() if column not in table.columns]
    if missing:
        raise SkewError(
            f"a {table.name} le faltan columnas: {_named(_nearest(missing, table.columns))}"
        )
    texts = {name: list(table.columns[column]) for name, column in names.items()}
    values, faults = Features(contract).read_many(texts)
    rows = {name: np.array(column, dtype=object) for name, column in texts.items()}
    return Raw(contract, rows, values), faults


def _heading(contract: Contract, table: Sheet, matrix: Sheet, key: str | None) -> Heading:
    raw = contract.raw()
    view = max(contract, raw, key=lambda v: len(matrix.columns.keys() & set(v.column_names)))
    texts = {p.feature for p in contract.parameters if p.is_category and view is raw}
    missing = [name for name in view.column_names if name not in matrix.columns]
    if len(missing) == len(view.columns):
        raise SkewError(
            f"{matrix.name} no tiene ninguna columna del contrato {contract.name}: "
            f"{', '.join(view.column_names)}"
        )
    more = {contract.label_column, contract.training.key, contract.training.date, key}
    known = {*view.column_names, *more}
    extra = [n for n in matrix.columns if n not in known and not sheets.INDEX(n)]
    others = [name for name in view.column_names if name in missing] or view.column_names
    return Heading(view, frozenset(texts), _nearest(missing, extra), _nearest(extra, others))


def _nearest(names: Sequence[str], others: Iterable[str]) -> dict[str, str | None]:
    others = list(others)
    return {name: nearest(name, others, LIKENESS) for name in names}


def _named(names: Mapping[str, str | None]) -> str:
    """Columns as a text, each with the nearest."""
    return ", ".join(
        files.shown(name) + (f" (¿es «{files.shown(near)}»?)" if near else "")
        for name, near in names.items()
    )


# Which row is which


def _match(contract: Contract, table: Sheet, matrix: Sheet, key: str | None) -> Match:
    sheets_ = (table, matrix)
    if key is not None:
        for sheet in sheets_:
            if key not in sheet.columns:
                near = _named(_nearest([key], sheet.columns))
                raise OptionError(f"--key: {sheet.name} no tiene la columna {near}")
    else:
        key = contract.training.key
    if key is not None and all(key in sheet.columns for sheet in sheets_):
        one, other = (sheets.as_keys(sheet.columns[key]) for sheet in sheets_)
        return _same_order(one, other) or _join(one, other, key)
    index = _by_index(table, matrix)
    if index is not None:
        return index
    if table.count != matrix.count:
        raise SkewError(
            f"{table.name} tiene {table.count} filas y {matrix.name}, {matrix.count}: no se sabe "
            "cuál es cuál. Si el cuaderno quitó o añadió filas (dropna, SMOTE), guarde la matriz "
            "antes de ese paso, o con una columna clave que esté en los dos ficheros (--key)"
        )
    places = np.arange(table.count)
    return Match(places, places, places)


def _by_index(table: Sheet, matrix: Sheet) -> Match | None:
    """By the row numbers that pandas writes; ``None`` where they say nothing of the table."""
    name = matrix.index()
    if name is None:
        return None
    numbers = sheets.as_keys(matrix.columns[name])
    if numbers == [str(row) for row in range(matrix.count)]:
        return None  # a fresh count of its rows, whichever they are
    own = table.index()
    rows = table.columns[own] if own is not None else map(str, range(table.count))
    one = sheets.as_keys(rows)
    if not set(numbers) <= set(one):
        return None
    return _same_order(one, numbers) or _join(one, numbers, "su índice")


def _same_order(one: list[str], other: list[str]) -> Match | None:
    if one != other:
        return None
    places = np.arange(len(one))
    return Match(places, places, np.unique(one, return_inverse=True)[1])


def _join(one: list[str], other: list[str], by: str) -> Match:
    """Rows of one key; a key that both have, but not equally often, joins nothing."""
    places: tuple[dict[str, list[int]], dict[str, list[int]]] = ({}, {})
    for found, keys in zip(places, (one, other), strict=True):
        for place, key in enumerate(keys):
            found.setdefault(key, []).append(place)
    ours, theirs = places
    both = [key for key in ours if len(ours[key]) == len(theirs.get(key, ()))]
    left = [place for key in both for place in ours[key]]
    right = [place for key in both for place in theirs[key]]
    groups = np.repeat(np.arange(len(both)), [len(ours[key]) for key in both])
    return Match(np.array(left, dtype=np.intp), np.array(right, dtype=np.intp), groups, by)


# What the cells mean


def _numbers(heading: Heading, cells: Mapping[str, npt.NDArray[Any]], count: int) -> Matrix:
    columns = []
    for column in heading.view.columns:
        texts = cells.get(column.name)
        if texts is None:
            columns.append(np.full(count, np.nan))
        elif column.name in heading.texts:
            # As the model gets it from the service: a text of another spelling is another text.
            values = heading.view.parameter(column.source).texts
            known = {text: float(place) for place, text in enumerate(values)}
            columns.append(np.array([known.get(text, np.nan) for text in texts]))
        else:
            columns.append(sheets.as_numbers(list(texts)))
    return np.column_stack(columns)


def _tolerance(
    view: Contract, cells: Mapping[str, npt.NDArray[Any]], want: Matrix, given: float | None
) -> Matrix:
    """Half a unit of the last printed digit, and never less than a 32-bit number is exact."""
    printed = []
    for name in view.column_names:
        places = sheets.decimals(cells.get(name, ()))
        half = 0.5 * 10.0**-places if places >= FEWEST_DECIMALS else 0.0
        printed.append(max(half, DEFAULT_TOLERANCE) if given is None else given)
    exact = FLOAT32_EPSILON * np.abs(np.nan_to_num(want))
    tolerance: Matrix = np.maximum(exact, np.array(printed)) * (1 + 1e-9)
    return tolerance
