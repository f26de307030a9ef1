"""Why a column differs: a closed list of plain reasons, tried in order.

A reason is told only if it was checked on every row that it speaks of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from propensia.contract import Column, Parameter
from propensia.skewing import scales, sheets
from propensia.skewing.closeness import Mask, close
from propensia.skewing.conditions import NO_DATA, Forms, either, exactly, forms, number
from propensia.skewing.pairing import Pairs

Numbers = npt.NDArray[np.float64]
# Of fewer rows, or fewer different values, a coincidence would be told as a reason.
FEWEST_ROWS, FEWEST_VALUES = 3, 10
# What pandas and others write into an empty cell.
NOTHING = {"", "NAN", "NA", "<NA>", "NULL", "NONE"}


@dataclass(frozen=True, slots=True)
class Case:
    """One column that differs in the rows of ``bad``, with all that a reason may look at."""

    pairs: Pairs
    place: int
    bad: Mask
    own: Forms

    @property
    def column(self) -> Column:
        return self.pairs.heading.view.columns[self.place]

    @property
    def parameter(self) -> Parameter:
        return self.own.parameter

    @property
    def want(self) -> Numbers:
        return self.pairs.want[:, self.place]

    @property
    def got(self) -> Numbers:
        return self.pairs.got[:, self.place]

    @property
    def tolerance(self) -> Numbers:
        return self.pairs.tolerance[:, self.place]

    @property
    def cells(self) -> npt.NDArray[Any]:
        return self.pairs.cells[self.column.name]

    @property
    def is_text(self) -> bool:
        """Whether the matrix holds texts there, of which ``want`` and ``got`` are the places."""
        return self.column.name in self.pairs.heading.texts

    def shown(self, value: float) -> str:
        """A number of ``want`` or ``got`` as it stands in a matrix."""
        if self.is_text and not np.isnan(value):
            return self.parameter.texts[int(value)]
        return number(value)

    def where(self) -> str:
        """In which rows it differs, said of the column's own parameter; empty if in all."""
        if self.bad.all():
            return ""
        condition = exactly(self.bad, self.own)
        return f"difiere exactamente cuando {condition}" if condition else ""


def why(case: Case) -> str:
    """The first reason that holds, in Spanish; there is always one, if only that none is known."""
    return next(said for reason in REASONS if (said := reason(case)))


# The reasons, in the order in which they are tried


def _not_a_number(case: Case) -> str | None:
    """Empty cells, or a text where a number or another text belongs."""
    if not np.isnan(case.got[case.bad]).all():
        return None
    cells = case.cells[case.bad]
    where = f"; {where}" if (where := case.where()) else ""
    if all(text.strip().upper() in NOTHING for text in cells):
        return f"vacía en la matriz{where}"
    if np.array_equal(cells, case.pairs.raw.texts[case.parameter.name][case.bad]):
        return f"trae el texto de la tabla tal cual, sin leerlo como el contrato{where}"
    if case.is_text:
        return f"trae textos que no son los del contrato{where}"
    return f"trae textos donde va un número{where}"


def _constant(case: Case) -> str | None:
    """One number in every row."""
    if np.isnan(case.got).any() or np.ptp(case.got) > 0:
        return None
    where = f"; {where}" if (where := case.where()) else ""
    return f"constante {case.shown(case.got[0])} en la matriz{where}"


def _exchanged(case: Case) -> str | None:
    """The values of another column, which has those of this one."""
    other = _same_values(case)
    back = [p for p in other if close(case.want, case.pairs.got[:, p], case.tolerance).all()]
    names = case.pairs.heading.view.column_names
    return f"columnas intercambiadas con {names[back[0]]}" if back else None


def _inverted(case: Case) -> str | None:
    """Zeros for ones, and ones for zeros."""
    binary = np.isin(case.got, (0.0, 1.0)).all() and np.isin(case.want, (0.0, 1.0)).all()
    return "0 y 1 invertidos" if binary and case.bad.all() and not case.is_text else None


def _copied(case: Case) -> str | None:
    """The values of another column."""
    names = case.pairs.heading.view.column_names
    other = _same_values(case)
    return f"trae los valores de {names[other[0]]}" if other else None


def _same_values(case: Case) -> list[int]:
    """The places of the other columns whose values the matrix holds here."""
    want = case.pairs.want
    return [
        place
        for place in range(want.shape[1])
        if place != case.place
        and np.ptp(want[:, place]) > 0
        and close(want[:, place], case.got, case.tolerance).all()
    ]


def _without_a_step(case: Case) -> str | None:
    """A step of the contract left out, or taken otherwise."""
    rows = ~case.own.where(NO_DATA)
    if not scales.is_scaled(case.column) or not (case.bad & rows).any():
        return None
    for words, steps in scales.variants(case.column):
        column = Column(case.column.name, case.column.source, steps)
        made = scales.made(case.pairs.heading.view, column, case.own.values)
        right = close(made, case.got, case.tolerance + 1e-6 * np.abs(made))
        if right[rows].all():
            also = ""
            if (case.bad & ~rows & ~right).any():
                also = f"; sin dato usa {_filled_in(case, column, ~rows)}"
            elif not right.all():
                also = "; sin dato no difiere"
            return f"la matriz trae el valor {words}{also}"
    return None


def _filled(case: Case) -> str | None:
    """Another value for no data."""
    nothing = case.own.where(NO_DATA)
    fill = case.parameter.fill
    if fill is None or (case.bad & ~nothing).any():
        return None
    where = "sin dato"
    if not (case.bad == nothing).all():
        where = f"cuando {exactly(case.bad, case.own) or 'falta el dato, no siempre'}"
    return f"difiere solo {where}: la matriz usa {_filled_in(case, case.column, case.bad)}"


def _filled_in(case: Case, column: Column, rows: Mask) -> str:
    """What the matrix and the contract put for no data, before the steps of ``column``."""
    got, fill, shown = case.got[rows], case.parameter.fill, case.parameter.fill_shown
    same = np.ptp(got) <= case.tolerance.max()
    theirs = _unmade(case, column, float(got[0])) if same else "varios valores"
    ours = shown or (number(fill) if isinstance(fill, int | float) else fill)
    return f"{theirs} y el contrato {ours}"


def _unmade(case: Case, column: Column, got: float) -> str:
    """The value before the steps of a column, as far as it can be told."""
    view, slack = case.pairs.heading.view, float(case.tolerance.max())
    if case.parameter.is_category:
        steps = dict(column.steps)["map"]
        words = [text for text, mapped in steps.items() if abs(mapped - got) <= slack]
        return either(words) if words else number(got)
    if not scales.is_scaled(column):
        return number(got)
    for other in view.parameters:
        # That two parameters are filled with the same small whole number says nothing.
        if isinstance(other.fill, float) and other != case.parameter:
            made = scales.made(view, column, np.array([other.fill]))
            if abs(made[0] - got) <= slack:
                return f"{number(other.fill)} (el de {other.feature})"
    scale = float(np.prod([by for verb, by in column.steps if verb == "divide"]))
    exact = (round(got * scale, places) for places in range(7))
    return number(next((x for x in exact if abs(x - got * scale) <= slack * scale), got * scale))


def _one_for_another(case: Case) -> str | None:
    """One number for another, in rows that the column's own parameter tells apart."""
    where = case.where()
    got, want = np.unique(case.got[case.bad]), np.unique(case.want[case.bad])
    if not where or len(got) > 1 or len(want) > 1:
        return None
    if case.bad.sum() < FEWEST_ROWS and not np.isin([*got, *want], (0.0, 1.0)).all():
        return None
    return f"{where}: la matriz trae {case.shown(got[0])} y el contrato da {case.shown(want[0])}"


def _coded(case: Case) -> str | None:
    """Another number, or another text, for each text of a category."""
    if not case.parameter.is_category:
        return None
    texts = sorted({form.what for form in case.own.forms if form.what != NO_DATA})
    numbers = [np.unique(case.got[case.own.where(text)]) for text in texts]
    if any(len(found) != 1 for found in numbers):
        return None
    codes = [f"{text} = {case.shown(n[0])}" for text, n in zip(texts, numbers, strict=True)]
    return f"otra codificación: {', '.join(codes)}"


def _rounded(case: Case) -> str | None:
    """The right number, but for its decimals."""
    places = sheets.decimals(case.cells)
    if not close(np.round(case.want, places), case.got, case.tolerance * 1e-3).all():
        return None
    what = "a un entero" if places == 0 else f"a {places} decimales"
    return f"redondeado {what} (con --tolerance {0.5 * 10**-places:g} no cuenta)"


def _rescaled(case: Case) -> str | None:
    """The value on another scale."""
    rows = ~case.own.where(NO_DATA) & np.isfinite(case.got)
    if not scales.is_scaled(case.column) or (case.bad & rows).sum() < FEWEST_ROWS:
        return None
    whole = tuple(step for step in case.column.steps if step[0] == "floor_divide")
    column = Column(case.column.name, case.column.source, whole)
    inner = scales.made(case.pairs.heading.view, column, case.own.values[rows])
    said = scales.rescaled(case.column, inner, case.got[rows], float(case.tolerance.max()))
    return f"la matriz trae el valor {said}" if said else None


def _moved(case: Case) -> str | None:
    """The right values in the wrong rows."""
    if len(np.unique(case.want)) < FEWEST_VALUES:
        return None
    same = close(np.sort(case.want), np.sort(case.got), case.tolerance).all()
    return "los mismos valores, en otras filas" if same else None


def _in_some_rows(case: Case) -> str | None:
    """Rows that the column's own parameter tells apart, or else another category."""
    if own := case.where():
        return own
    if case.bad.sum() < FEWEST_ROWS or case.bad.all():
        return None
    for parameter in case.pairs.heading.view.parameters:
        if parameter.is_category and parameter != case.parameter:
            condition = exactly(case.bad, forms(case.pairs.raw, parameter))
            if condition:
                return f"difiere exactamente cuando {condition}"
    return None


def _unknown(case: Case) -> str | None:
    """None of these."""
    return "no se reconoce una causa sencilla"


REASONS: tuple[Callable[[Case], str | None], ...] = (
    _not_a_number,
    _constant,
    _exchanged,
    _inverted,
    _copied,
    _without_a_step,
    _filled,
    _rounded,
    _rescaled,
    _one_for_another,
    _coded,
    _moved,
    _in_some_rows,
    _unknown,
)
