"""From texts to model columns: one reading of the contract, for one row and for many.

The scalar and the vectorised path give the same bits; a property test holds them together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from propensia.contract import Column, Contract, Parameter
from propensia.faults import BadRow, Fault, Note, looks_like

Value = str | float | None
Reader = Callable[[str | None], tuple[Value, Note | None]]
Converter = Callable[[str, float, float], tuple[Value, bool]]
Matrix = npt.NDArray[np.float64]

# The plain spellings that nearly every caller uses, and the whole grammar of a number.
PLAIN = {
    "number": re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?").fullmatch,
    "integer": re.compile(r"[0-9]{1,15}").fullmatch,
}
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]{1,4})?").fullmatch
# One to three digits, a comma, three digits: a thousand or a fraction, nobody knows which.
THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}").fullmatch
NOT_FINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE).fullmatch
BLANKS = " \t"
LONGEST = 400
FLOAT32_MAX = float(np.finfo(np.float32).max)


class Features:
    """The reader of one contract. Immutable after it is made; safe to share between threads."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self._parameters = contract.parameters
        place = {p.name: i for i, p in enumerate(contract.parameters)}
        self._columns = [
            (place[column.source], _column(column, contract.parameter(column.source)))
            for column in contract.columns
        ]
        self._readers: dict[str, Reader] = {}
        for i, parameter in enumerate(contract.parameters):
            own = [compute for place_of, compute in self._columns if place_of == i]
            self._readers[parameter.name] = _fitting(parameter, _reader(parameter, contract), own)

    def read(self, texts: Mapping[str, str]) -> tuple[list[Value], list[Note]]:
        """The values of one row, in the order of the contract's parameters, and what was assumed.

        ``texts`` holds a text per parameter name; other names are not looked at. Raises
        ``BadRow`` with every fault.
        """
        values: list[Value] = []
        notes: list[Note] = []
        faults: list[Fault] = []
        for name, read in self._readers.items():
            try:
                value, note = read(texts.get(name))
            except BadRow as bad:
                faults += bad.faults
                continue
            values.append(value)
            if note is not None:
                notes.append(note)
        if faults:
            raise BadRow(faults)
        return values, notes

    def row(self, values: Sequence[Value]) -> list[float]:
        """The model columns of one row of values, in order."""
        return [compute(values[place]) for place, compute in self._columns]

    def read_many(
        self, texts: Mapping[str, Sequence[str | None]]
    ) -> tuple[dict[str, npt.NDArray[Any]], list[tuple[int, Fault]]]:
        """The values of n rows: an array of n per parameter, and ``(row, fault)`` in order.

        ``None`` is a text that was not sent. Categories are object arrays of text, the rest
        float64 with NaN for no data; a value with a fault is NaN or ``None``. Each distinct text
        is read once, by the very reader that reads one row.
        """
        values: dict[str, npt.NDArray[Any]] = {}
        faults: list[tuple[int, Fault]] = []
        for parameter in self._parameters:
            read = self._readers[parameter.name]
            column = texts[parameter.name]
            known: dict[str | None, Value] = {}
            bad: dict[str | None, list[Fault]] = {}
            for text in set(column):
                try:
                    known[text] = read(text)[0]
                except BadRow as error:
                    bad[text] = error.faults
                    known[text] = None
            kind = object if parameter.is_category else np.float64
            values[parameter.name] = np.array([known[text] for text in column], dtype=kind)
            if bad:
                faults += [(i, f) for i, text in enumerate(column) for f in bad.get(text, ())]
        return values, sorted(faults, key=lambda item: item[0])

    def read_one(self, name: str, text: str | None) -> tuple[Value, Note | None]:
        """The value of a text of one parameter, and what was assumed. Raises ``BadRow``."""
        return self._readers[name](text)

    def matrix(self, values: Mapping[str, npt.NDArray[Any]]) -> Matrix:
        """The model columns of n rows, ``(n, k) float64``, from the arrays of ``read_many``."""
        columns = [column_many(column, values[column.source]) for column in self.contract.columns]
        return np.column_stack(columns)


def _fitting(
    parameter: Parameter, read: Reader, computes: Sequence[Callable[[Any], float]]
) -> Reader:
    """``read``, refusing what a column cannot hold as a 32-bit number of the model libraries.

    Only a parameter without limits can get there, so only such a one pays for the look.
    """
    if parameter.is_category:
        return read
    unlimited = parameter.kind.startswith("python_")  # min and max describe these, no more
    ends = (-math.inf, math.inf) if unlimited else (parameter.min, parameter.max)
    # Every step is monotonic or within 0..1: what fits at both ends fits between them.
    if all(_fits(compute(end)) for compute in computes for end in ends):
        return read

    def checked(text: str | None) -> tuple[Value, Note | None]:
        value, note = read(text)
        if not all(_fits(compute(value)) for compute in computes):
            raise BadRow([Fault(parameter.name, "numero_no_finito")])
        return value, note

    return checked


def _fits(number: float) -> bool:
    return -FLOAT32_MAX <= number <= FLOAT32_MAX  # false for NaN too


def _reader(parameter: Parameter, contract: Contract) -> Reader:
    exact: dict[str, Value] = dict(parameter.labels)
    forgiven: dict[str, Value] = {}
    if parameter.is_category:
        exact = {**{text: text for text in parameter.values}, **parameter.synonyms}
    if contract.forgive_case:
        forgiven = {text.upper(): value for text, value in exact.items()}
    nothing = {text.upper() if contract.forgive_case else text for text in contract.no_data}
    convert = CONVERT.get(parameter.kind) or partial(_category, {*map(str.upper, exact)})
    name, low, high = parameter.name, parameter.min, parameter.max
    plain = PLAIN.get(parameter.kind)
    otherwise = parameter.otherwise

    def fault(code: str) -> BadRow:
        return BadRow([Fault(name, code)])

    def no_data() -> tuple[Value, Note | None]:
        if parameter.fill is not None:
            fill = parameter.fill
            value = fill if isinstance(fill, str) else float(fill)
            return value, Note(name, "valor_supuesto", parameter.fill_shown or value)
        if parameter.optional:
            return None, None
        if otherwise is not None:
            return otherwise, None
        raise fault("sin_dato")

    def read(text: str | None) -> tuple[Value, Note | None]:
        if text is None:
            if parameter.absent_as is None:
                raise fault("parametro_ausente")
            text = parameter.absent_as
        if text in exact:
            return exact[text], None
        if plain is not None and plain(text):
            number = float(text)
            if low <= number <= high:
                return number, None
        return slowly(text)

    def slowly(text: str) -> tuple[Value, Note | None]:
        note = None
        if contract.forgive_case:
            if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text.strip(BLANKS)):
                raise fault("caracter_de_control")
            if len(text) > LONGEST:
                raise fault("texto_demasiado_largo")
            bare = text.strip(BLANKS)
            folded = bare.upper() if bare.isascii() else bare
            if folded in forgiven:
                value = forgiven[folded]
                used = value if parameter.is_category else folded
                return value, Note(name, "texto_normalizado", used)
            if folded in nothing:
                return no_data()
            if bare != text:
                note = "texto_normalizado"
            text = bare
        elif text in nothing:
            return no_data()
        try:
            value, comma = convert(text, low, high)
        except _Unreadable as error:
            if otherwise is not None:
                return otherwise, None
            keep = error.code in KEPT or parameter.fault is None
            raise fault(error.code if keep else str(parameter.fault)) from None
        note = "coma_decimal" if comma else note
        return value, None if note is None else Note(name, note, value)

    return read


# Codes that say more than a parameter's own fault sentence would.
KEPT = frozenset({"numero_no_finito", "caracter_parecido", "caracter_de_control"})


class _Unreadable(Exception):
    """A text that is not a value of its kind."""

    def __init__(self, code: str) -> None:
        self.code = code


def _number(text: str, low: float, high: float) -> tuple[float, bool]:
    if not text.isascii():
        raise _Unreadable("caracter_parecido" if _looks_like_number(text) else "numero_no_valido")
    if NOT_FINITE(text):
        raise _Unreadable("numero_no_finito")
    if not NUMBER(text) or THOUSANDS(text):
        raise _Unreadable("numero_no_valido")
    comma = "," in text
    number = float(text.replace(",", "."))
    if math.isinf(number):
        raise _Unreadable("numero_no_finito")
    if number < 0 <= low:
        raise _Unreadable("numero_negativo")
    if not low <= number <= high:
        raise _Unreadable("fuera_de_rango")
    return number + 0.0, comma  # adding zero turns -0.0 into 0.0


def _looks_like_number(text: str) -> bool:
    return any(character.isnumeric() and not character.isascii() for character in text)


def _integer(text: str, low: float, high: float) -> tuple[float, bool]:
    number, comma = _number(text, min(low, 0.0) if low < 0 else 0.0, math.inf)
    if not number.is_integer():
        raise _Unreadable("no_es_entero")
    if not low <= number <= high:
        raise _Unreadable("fuera_de_rango")
    return number, comma


def _month(text: str, low: float, high: float) -> tuple[float, bool]:
    try:
        number, comma = _integer(text, low, high)
    except _Unreadable as error:
        keep = error.code in KEPT
        raise _Unreadable(error.code if keep else "mes_no_valido") from None
    if comma or not 1 <= number % 100 <= 12:
        raise _Unreadable("mes_no_valido")
    return number, False


def _category(known: set[str], text: str, low: float, high: float) -> tuple[Value, bool]:
    similar = not text.isascii() and looks_like(text) in known
    raise _Unreadable("caracter_parecido" if similar else "categoria_desconocida")


def _python(
    kind: Callable[[str], float], text: str, low: float, high: float
) -> tuple[float, bool]:
    try:
        number = float(kind(text))
    except ValueError:
        raise _Unreadable("numero_no_valido") from None
    except OverflowError:  # an integer of more than 308 digits
        number = -math.inf if text.strip().startswith("-") else math.inf
    if math.isnan(number):
        raise _Unreadable("numero_no_finito")
    return number, False


CONVERT: dict[str, Converter] = {
    "number": _number,
    "integer": _integer,
    "month": _month,
    "python_float": partial(_python, float),
    "python_int": partial(_python, int),
}


def _column(column: Column, parameter: Parameter) -> Callable[[Any], float]:
    """One column from one value; the steps are folded into nested calls, first step innermost."""
    if parameter.is_category:
        (_, table), *rest = column.steps
        mapped = {text: _apply(rest, float(number)) for text, number in table.items()}
        return lambda value: mapped[value]
    steps = column.steps
    if [verb for verb, _ in steps] == ["clip", "divide"]:
        (low, high), divisor = steps[0][1], steps[1][1]
        first, last = low / divisor, high / divisor
        return lambda value: first if value < low else last if value > high else value / divisor
    return lambda value: _apply(steps, value)


def _apply(steps: Sequence[tuple[str, Any]], value: Any) -> float:
    for verb, argument in steps:
        if verb == "present":
            value = 0.0 if value is None else 1.0
        elif verb == "value":
            value = math.nan if value is None else value
        elif verb == "floor_divide":
            value = value // argument
        elif verb == "divide":
            value = value / argument
        elif verb == "clip":
            low, high = argument
            value = low if value < low else high if value > high else value
        elif verb == "band":
            value = 1.0 if argument[0] <= value <= argument[1] else 0.0
    return float(value)


def column_many(column: Column, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """One model column of n values, ``(n,)``, bit for bit as of one row; NaN where it has none."""
    for verb, argument in column.steps:
        if verb == "map":
            known = map(argument.get, values.tolist(), repeat(math.nan))
            values = np.fromiter(known, np.float64, len(values))
        elif verb == "present":
            values = np.where(np.isnan(values), 0.0, 1.0)
        elif verb == "floor_divide":
            values = np.floor_divide(values, argument)
        elif verb == "divide":
            values = values / argument
        elif verb == "clip":
            values = np.clip(values, *argument)
        elif verb == "band":
            values = np.where((values >= argument[0]) & (values <= argument[1]), 1.0, 0.0)
    return values.astype(np.float64)
