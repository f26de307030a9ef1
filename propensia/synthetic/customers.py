"""Who the customers are: all of a customer follows from his number, so that he is the same person
in each of his rows.

No customer here is anybody: numbers go through a mixing function, nothing is looked up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from propensia.mixing import mixed
from propensia.synthetic import figures
from propensia.synthetic.accounts import accounts, bands

Vector = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Labels = npt.NDArray[np.object_]

# The file puts companies first and the people of one province last.
BUSINESS, PERSONAL, LAST = range(3)
LAST_PROVINCE = 48
PRIME = 999_999_937  # numbers of customers are distinct below this
NOTHING = ""


@dataclass(frozen=True, slots=True)
class Customers:
    """n customers: ``number`` ``(n,)``, ``postcode`` ``(n,)`` with NaN for none, ``band``
    ``(n,)``, and labels ``(n,)`` that are empty for none."""

    number: Codes
    band: Codes
    postcode: Vector
    segment: Labels
    age: Labels
    email: Labels
    document: Labels
    fund: Labels


def kind_shares() -> Vector:
    """The share of the rows of each kind: ``BUSINESS``, ``PERSONAL`` and ``LAST``."""
    business = figures.load()["account"]["business"]
    last = (1 - business) * _provinces()[1][LAST_PROVINCE - 1]
    return np.array([business, 1 - business - last, last])


def describe(kind: int, places: Codes, key: int) -> Customers:
    """The customers of a kind at ``places`` ``(n,)``: the same place and key, the same customer.

    Places of two kinds are never the same customer.
    """
    given = figures.load()["customer"]
    drawn = _Drawn(3 * places + kind, key)
    province = _province(kind, drawn.uniform(1))
    postcode = 1000.0 * province + _within(province, drawn.uniform(2), drawn.uniform(3))
    postcode[drawn.uniform(4) < given["postcode_missing"]] = np.nan
    business = kind == BUSINESS
    no_age = drawn.uniform(5) < (given["age_missing"] if business else 0.0)
    age = np.where(no_age, NOTHING, pick(given["ages"], drawn.uniform(6)))
    email = pick(given["emails"], drawn.uniform(7))
    email[drawn.uniform(8) < given["email_missing"]] = NOTHING
    person = np.where(drawn.uniform(9) < given["person"], "PER", "FU").astype(object)
    fund = np.where(drawn.uniform(10) < figures.load()["case"]["fund_covered"], "S", "N")
    return Customers(
        number=PRIME + ((drawn.numbers + 1) * (key % (PRIME - 1) + 1)) % PRIME,
        band=bands()[province - 1],
        postcode=postcode,
        segment=np.full(len(places), "EMP", dtype=object) if business else person,
        age=age,
        email=email,
        document=_document(no_age, drawn.uniform(11), drawn.uniform(12)),
        fund=fund.astype(object) if business else np.full(len(places), NOTHING, dtype=object),
    )


def pick(table: list[tuple[str, float]], uniform: Vector) -> Labels:
    """The label of ``table`` (labels and weights) at each of n numbers in [0, 1)."""
    labels = np.array([label for label, _ in table], dtype=object)
    weights = np.cumsum([weight for _, weight in table])
    picked: Labels = labels[np.searchsorted(weights / weights[-1], uniform, side="right")]
    return picked


class _Drawn:
    """Numbers in [0, 1) that follow from whole numbers and a key: SplitMix64 as a hash."""

    def __init__(self, numbers: Codes, key: int) -> None:
        self.numbers = numbers
        self._key = np.uint64(key)
        self._start = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)

    def uniform(self, field: int) -> Vector:
        """A number per place, its own for each field."""
        with np.errstate(over="ignore"):  # the arithmetic is modulo 2**64
            z = mixed(self._start + self._key * np.uint64(2 * field + 1))
        return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _provinces() -> tuple[Vector, Vector]:
    """The share of each province among companies and among people, each ``(52,)``."""
    weights = np.array(figures.load()["customer"]["provinces"])
    table, band = accounts(), bands()
    own = weights / np.bincount(band, weights)[band]
    shares = []
    for personal in (0, 1):
        rows = table.code("personal") == personal
        of_band = np.bincount(table.code("band")[rows], table.shares[rows])
        shares.append(own * (of_band / of_band.sum())[band])
    return shares[0], shares[1]


def _province(kind: int, uniform: Vector) -> Codes:
    shares = _provinces()[0 if kind == BUSINESS else 1].copy()
    last = LAST_PROVINCE - 1
    if kind == LAST:
        return np.full(len(uniform), LAST_PROVINCE, dtype=np.int64)
    if kind == PERSONAL:
        shares[last] = 0.0
    steps = np.cumsum(shares)
    return np.searchsorted(steps / steps[-1], uniform, side="right") + 1


def _within(province: Codes, where: Vector, which: Vector) -> Vector:
    """The last three figures of a post code: of the capital, or of the rest of the province."""
    given = figures.load()["customer"]
    codes: dict[str, Any] = given["capital_last"]
    last = np.array([codes.get(str(number), codes["other"]) for number in range(1, 53)])
    capital = 1 + np.floor(which * last[province - 1])
    rest = 100 + np.floor(which * 891)
    only_capital = province > 50  # Ceuta and Melilla are one town each
    return np.where((where < given["capital"]) | only_capital, capital, rest)


def _document(company: npt.NDArray[np.bool_], known: Vector, which: Vector) -> Labels:
    """CIF for some companies; of the others, the documents of people; empty for most."""
    given = figures.load()["customer"]
    rows, business = figures.load()["rows"], figures.load()["account"]["business"]
    companies = rows * business * given["age_missing"]
    people = sum(count for _, count in given["documents"])
    share = np.where(company, given["document_companies"] / companies, people / (rows - companies))
    labels = np.where(company, "CIF", pick(given["documents"], which))
    return np.where(known < share, labels, NOTHING).astype(object)
