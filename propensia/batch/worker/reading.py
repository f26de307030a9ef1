"""From texts to model columns for a whole block, by distinct texts and by plain numbers.

It must never read a text in another way than ``Features.read_one``: what is read many at a time
are only such spellings of numbers as mean the same to both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from propensia.batch.worker.told import Mask, Told, about, joined
from propensia.contract import Column, Contract, Parameter
from propensia.faults import ASSUMED, BadRow
from propensia.features import FLOAT32_MAX, Features, Matrix, column_many

# Spellings that Arrow's cast and Python's float read alike, as both round correctly. By kind:
# those that the scalar reader takes without a word, and those that it takes as "coma_decimal".
DECIMAL = r"\A[0-9]{1,15}(?:\.[0-9]{1,15})?\z"
PLAIN = {
    "number": DECIMAL,
    "python_float": DECIMAL,
    "integer": r"\A[0-9]{1,15}(?:\.0{1,15})?\z",
    "python_int": r"\A[0-9]{1,15}\z",
}
COMMA = r"\A[0-9]{1,15},[0-9]{1,15}\z"
THOUSANDS = r"\A[1-9][0-9]{0,2},[0-9]{3}\z"
AMOUNTS = frozenset({"number", "python_float"})
"""Kinds of which nearly every row has another text: not worth looking for equal ones."""
UNLIMITED = frozenset({"python_float", "python_int"})
FEW = 64
"""Up to so many distinct texts it is as quick to read them one by one."""


@dataclass(frozen=True, slots=True)
class Values:
    """What was read in n rows.

    ``matrix``: the model columns, ``(n, k) float64``; those of a row with faults mean nothing.
    ``amount``: euros at stake, NaN where unknown, which an assumed value is too; ``None`` where
    the contract names none.
    ``notes`` and ``faults``: ``parameter:code`` in the order of the contract; as on the route,
    nothing is assumed for a row with faults.
    """

    matrix: Matrix
    amount: npt.NDArray[np.float64] | None
    notes: Told
    faults: Told


class Reading:
    """Reads blocks by one contract. Immutable after it is made."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._features = Features(contract)
        self._parameters = [_Parameter(p, contract, self._features) for p in contract.parameters]

    def read(self, texts: Mapping[str, pa.Array], broken: Mapping[int, str], count: int) -> Values:
        """The values of ``count`` rows; ``texts`` and ``broken`` as ``Rows`` has them."""
        matrix = np.empty((count, len(self._contract.columns)))
        amount = None
        whole = np.ones(count, dtype=bool)
        whole[list(broken)] = False
        notes: list[Told] = []
        faults = [about({place: f"fila:{code}" for place, code in broken.items()}, count)]
        for parameter in self._parameters:
            sent = texts.get(parameter.name)
            found = parameter.read(pa.nulls(count, pa.string()) if sent is None else sent)
            for at, column in parameter.columns:
                matrix[:, at] = found.of_rows(column_many(column, found.values))
            if parameter.name == self._contract.training.amount:
                amount = found.sent()
            if found.noted.any():
                notes.append(Told(found.of_rows(found.noted), found.said))
            if found.faulty.any():
                faults.append(Told(found.of_rows(found.faulty), found.said).where(whole))
        wrong = joined(faults, count)
        return Values(matrix, amount, joined(notes, count).where(~wrong.of()), wrong)


class _Parameter:
    """Reads the texts of one parameter. ``columns``: its model columns and their places."""

    def __init__(self, parameter: Parameter, contract: Contract, features: Features) -> None:
        self.name = parameter.name
        self.columns: list[tuple[int, Column]] = [
            item for item in enumerate(contract.columns) if item[1].source == parameter.name
        ]
        self._parameter, self._features = parameter, features
        # Texts with digits that may mean something else than that number.
        other = {*parameter.labels, *contract.no_data}
        self._special = pa.array([t for t in other if re.search("[0-9]", t)], pa.string())

    def read(self, texts: pa.Array) -> _Found:
        """What the texts of n rows are."""
        if pa.types.is_dictionary(texts.type) and texts.null_count:
            texts = texts.dictionary_decode()
        if pa.types.is_dictionary(texts.type):
            return self._distinct(texts)
        if self._parameter.kind not in AMOUNTS or len(texts) <= FEW:
            return self._distinct(texts.dictionary_encode("encode"))
        found = _Found(self._parameter, len(texts))
        left = self._at_once(texts, found)
        if len(left):
            rest = self._distinct(texts.take(pa.array(left)).dictionary_encode("encode"))
            found.put_rows(left, rest)
        return found

    def _distinct(self, encoded: pa.DictionaryArray) -> _Found:
        texts = encoded.dictionary
        found = _Found(self._parameter, len(texts), np.asarray(encoded.indices))
        if self._parameter.kind in PLAIN and len(texts) > FEW:
            left = self._at_once(texts, found)
            texts = texts.take(pa.array(left))
        else:
            left = np.arange(len(texts))
        for at, text in zip(left.tolist(), texts.to_pylist(), strict=True):
            found.put(at, self._features, text)
        return found

    def _at_once(self, texts: pa.Array, found: _Found) -> npt.NDArray[np.intp]:
        """Take the numbers in the usual spellings; the places of the texts that are left."""
        plain = self._usual(texts, PLAIN[self._parameter.kind])
        places, numbers = self._numbers(texts, plain)
        found.values[places] = numbers
        if len(places) == len(texts):
            return np.zeros(0, dtype=np.intp)
        left = np.delete(np.arange(len(texts)), places)
        if self._parameter.kind == "number":
            rest = texts.take(pa.array(left))
            comma = self._usual(rest, COMMA) & ~_matching(rest, THOUSANDS)
            places, numbers = self._numbers(pc.replace_substring(rest, ",", "."), comma)
            found.values[left[places]] = numbers
            found.noted[left[places]] = found.saying("coma_decimal")
            left = np.delete(left, places)
        return left

    def _usual(self, texts: pa.Array, pattern: str) -> Mask:
        """The texts of that form, but for those that mean something else in this contract."""
        if not len(self._special):
            return _matching(texts, pattern)
        return _matching(texts, pattern) & ~_mask(pc.is_in(texts, self._special))

    def _numbers(
        self, texts: pa.Array, chosen: Mask
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        """The places of the chosen texts that are within the limits, and their numbers."""
        places = np.flatnonzero(chosen)
        if len(places) < len(texts):
            texts = texts.take(pa.array(places))
        numbers = np.asarray(texts.cast(pa.float64()))
        fits = np.ones(len(numbers), dtype=bool)
        if self._parameter.kind not in UNLIMITED:
            fits = (numbers >= self._parameter.min) & (numbers <= self._parameter.max)
        with np.errstate(over="ignore"):  # what overflows does not fit
            for _, column in self.columns:
                fits &= np.abs(column_many(column, numbers)) <= FLOAT32_MAX
        return (places, numbers) if fits.all() else (places[fits], numbers[fits])


class _Found:
    """What m texts of one parameter were found to be, while they are read and after.

    ``values``: texts of categories as objects, else float64. ``noted`` and ``faulty``: what is
    told about each, as places in ``said``. ``places``: the text of each row; ``None`` where every
    row has one of its own.
    """

    def __init__(
        self, parameter: Parameter, size: int, places: npt.NDArray[np.integer[Any]] | None = None
    ) -> None:
        category = parameter.is_category
        self._name, self._nothing = parameter.name, None if category else np.nan
        self._places = places
        self.values: npt.NDArray[Any] = np.full(
            size, self._nothing, dtype=object if category else np.float64
        )
        self.noted = np.zeros(size, dtype=np.int64)
        self.faulty = np.zeros(size, dtype=np.int64)
        self.said = [""]

    def saying(self, *codes: str) -> int:
        """The place in ``said`` of these codes of the parameter."""
        return self._place(" ".join(f"{self._name}:{code}" for code in codes))

    def _place(self, text: str) -> int:
        if text not in self.said:  # a handful at most
            self.said.append(text)
        return self.said.index(text)

    def put(self, place: int, features: Features, text: str | None) -> None:
        """Read one text as one row is read."""
        try:
            value, note = features.read_one(self._name, text)
        except BadRow as bad:
            self.faulty[place] = self.saying(*(fault.code for fault in bad.faults))
            return
        self.values[place] = self._nothing if value is None else value
        if note is not None:
            self.noted[place] = self.saying(note.code)

    def put_rows(self, places: npt.NDArray[np.intp], other: _Found) -> None:
        """The texts at these places are those of the rows of another."""
        codes = np.array([self._place(text) for text in other.said])
        self.values[places] = other.of_rows(other.values)
        self.noted[places] = codes[other.of_rows(other.noted)]
        self.faulty[places] = codes[other.of_rows(other.faulty)]

    def sent(self) -> npt.NDArray[Any]:
        """The number of each row, NaN where it is one that was assumed."""
        assumed = self.noted == self.saying(ASSUMED)
        return self.of_rows(np.where(assumed, np.nan, self.values))

    def of_rows(self, of_texts: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """For each row what there is for its text."""
        return of_texts if self._places is None else of_texts.take(self._places)


def _matching(texts: pa.Array, pattern: str) -> Mask:
    return _mask(pc.match_substring_regex(texts, pattern))


def _mask(found: pa.BooleanArray) -> Mask:
    """True where it is true; a null is not."""
    mask: Mask = pc.fill_null(found, False).to_numpy(zero_copy_only=False)
    return mask
