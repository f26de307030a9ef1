"""In which rows something happens, said of the raw values: «VPT = S o sin dato».

A condition is told only if it holds exactly, and it names nothing but words and limits of the
contract: never a debtor's number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from propensia import spanish
from propensia.contract import Contract, Parameter
from propensia.features import BLANKS
from propensia.skewing.closeness import Mask
from propensia.skewing.pairing import Raw

NO_DATA, NUMBER, OTHER = "sin dato", "un número", "otro texto"
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, order=True)
class Form:
    """What a raw cell is: ``what`` it means, and how it is written where that may matter."""

    what: str
    written: str = ""


@dataclass(frozen=True, slots=True)
class Forms:
    """The forms of one parameter's n cells: ``code`` ``(n,)`` is the place in ``forms``.

    ``limits`` are the numbers that the contract names for the parameter, in order.
    """

    parameter: Parameter
    forms: tuple[Form, ...]
    code: npt.NDArray[np.intp]
    values: npt.NDArray[Any]
    limits: tuple[float, ...]

    def where(self, *whats: str) -> Mask:
        """The rows whose cell means one of these."""
        chosen = [place for place, form in enumerate(self.forms) if form.what in whats]
        return np.isin(self.code, chosen)


def forms(raw: Raw, parameter: Parameter) -> Forms:
    """What each cell of a parameter is; a cell is read as ``Features`` reads it."""
    texts, values = raw.texts[parameter.name], raw.values[parameter.name]
    distinct: dict[str, Form] = {}
    for text, value in zip(texts, values, strict=True):
        if text not in distinct:
            distinct[text] = _form(raw.contract, parameter, text, value)
    found = sorted(set(distinct.values()))
    place = {form: i for i, form in enumerate(found)}
    codes = {text: place[form] for text, form in distinct.items()}
    code = np.array([codes[text] for text in texts], dtype=np.intp)
    return Forms(parameter, tuple(found), code, values, _limits(raw.contract, parameter))


def _form(contract: Contract, parameter: Parameter, text: str, value: Any) -> Form:
    def fold(word: str) -> str:
        return word.strip(BLANKS).upper() if contract.forgive_case else word

    words = parameter.values if parameter.is_category else parameter.labels
    known = next((w for w in (*words, *parameter.synonyms) if fold(w) == fold(text)), None)
    if known is None and fold(text) in {fold(word) for word in contract.no_data}:
        return Form(NO_DATA, text.strip(BLANKS))
    if parameter.is_category:
        return Form(str(value), OTHER if known is None else text)
    if known is not None:
        return Form(known, text)
    if not any(letter.isdigit() for letter in text):
        return Form(OTHER)
    if "," in text:
        return Form(NUMBER, "con coma")
    if parameter.kind in ("number", "python_float"):
        return Form(NUMBER, "con punto o entero")
    return Form(NUMBER, "con decimales" if "." in text else "entero")


def _limits(contract: Contract, parameter: Parameter) -> tuple[float, ...]:
    limits = {*parameter.labels.values(), parameter.min, parameter.max}
    if isinstance(parameter.fill, int | float):
        limits.add(parameter.fill)
    for column in contract.columns:
        if column.source == parameter.name:
            for verb, argument in column.steps:
                limits.update(argument if verb in ("clip", "band") else ())
    return tuple(sorted(limit for limit in limits if np.isfinite(limit)))


def exactly(mask: Mask, found: Forms) -> str | None:
    """The condition on one parameter that holds in the rows of ``mask`` and in no other."""
    inside = np.bincount(found.code[mask], minlength=len(found.forms))
    total = np.bincount(found.code, minlength=len(found.forms))
    mixed = [form for form, a, n in zip(found.forms, inside, total, strict=True) if 0 < a < n]
    whole = [form for form, a, n in zip(found.forms, inside, total, strict=True) if a == n > 0]
    limits: str | None = ""
    if mixed:
        if any(form.what != NUMBER for form in mixed):
            return None
        numbers = found.where(NUMBER)
        limits = _range(mask[numbers], found.values[numbers], found.limits)
        if not limits:
            return None
        whole = [form for form in whole if form.what != NUMBER]
    return _said(found, whole, limits or "")


def cover(mask: Mask, all_forms: Sequence[Forms]) -> str | None:
    """Conditions on several parameters, few of them, of which one or more hold in the rows of
    ``mask`` and none in any other row."""
    left, said = mask.copy(), []
    while left.any():
        wholes = [_whole(mask, found) for found in all_forms]
        gains = [int((left & w).sum()) for w in wholes]
        best = int(np.argmax(gains))
        if gains[best] == 0:
            return None
        found, rows = all_forms[best], wholes[best]
        said.append(_said(found, [found.forms[place] for place in np.unique(found.code[rows])]))
        left &= ~rows
    return "; ".join(said)


def _whole(mask: Mask, found: Forms) -> Mask:
    """The rows of those forms that occur in ``mask`` only."""
    elsewhere = np.unique(found.code[~mask])
    return ~np.isin(found.code, elsewhere)


def _range(mask: Mask, values: Numbers, limits: Sequence[float]) -> str | None:
    """The range of values that is exactly ``mask``, if it ends at limits of the contract."""
    inside, outside = values[mask], values[~mask]
    low, high = inside.min(), inside.max()
    if ((outside >= low) & (outside <= high)).any():
        return None
    below, above = outside[outside < low], outside[outside > high]
    for limit in limits:
        if low == high == limit:
            return f"= {number(limit)}"
    start = _end(below.max(), low, limits, "≥", ">") if below.size else ""
    stop = _end(above.min(), high, limits, "≤", "<") if above.size else ""
    if start is None or stop is None:
        return None
    return " y ".join(part for part in (start, stop) if part)


def _end(outside: float, inside: float, limits: Sequence[float], at: str, past: str) -> str | None:
    """A limit between the last value outside and the first inside, with its sign."""
    for limit in limits:
        if limit == inside:
            return f"{at} {number(limit)}"
    for limit in limits:
        if min(outside, inside) <= limit <= max(outside, inside):
            return f"{past} {number(limit)}"
    return None


def _said(found: Forms, chosen: Sequence[Form], limits: str = "") -> str:
    """The words of a condition; a spelling is named only where another one is not meant."""
    parts = []
    for what in dict.fromkeys(form.what for form in chosen):
        own = [form for form in found.forms if form.what == what]
        some = [form for form in chosen if form.what == what]
        only = own[0].written if len(own) == 1 else what
        if len(own) == len(some):
            parts.append(what if what in (NO_DATA, NUMBER, OTHER, only) else _quoted(only))
        elif what == NO_DATA:
            parts.append(f"{NO_DATA} ({either([_quoted(form.written) for form in some])})")
        elif what == NUMBER:
            parts.append(f"{NUMBER} {either([form.written for form in some])}")
        else:
            parts += [_quoted(form.written) for form in some]
    name = found.parameter.feature
    parts.sort(key=lambda part: part.startswith(NO_DATA))
    if limits:
        return either([f"{name} {limits}", *parts])
    if parts == [NUMBER] and not found.parameter.labels:
        return f"{name} viene con dato"
    verb = "viene" if parts[0].startswith(NO_DATA) else "es" if NUMBER in parts[0] else "="
    return f"{name} {verb} {either(parts)}"


def _quoted(text: str) -> str:
    return f"«{text}»" if text else "vacío"


def either(parts: Sequence[str]) -> str:
    """Alternatives as one text: «A, B o C»."""
    *first, last = parts
    return f"{', '.join(first)} o {last}" if first else last


def number(value: float) -> str:
    """A number of a contract or a statistic, to six digits; nothing parts the thousands of a
    month, 202312, or of a limit that is to be found in the contract."""
    return "vacío" if np.isnan(value) else spanish.signs(f"{value:.6g}")
