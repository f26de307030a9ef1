"""The kinds of account and how frequent each is: the table of greatest entropy with the published
margins and correlations.

It draws nothing and knows nothing of amounts, dates or payment.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from propensia.synthetic import figures

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

# What a kind of account is. Lines 0 is a closed account.
PARTS = ("personal", "lines", "ported", "leaving", "invoices", "terminal", "band")
SCORES = (
    "invoices",
    "personal",
    "ported",
    "terminal",
    "province",
    "lines",
    "active",
    "bank",
    "leaving",
)


@dataclass(frozen=True, slots=True)
class Accounts:
    """k kinds of account: ``codes`` ``(k, 7)`` in the order of ``PARTS``, ``scores`` ``(k, 9)``
    in the order of ``SCORES`` as the correlations were computed, ``shares`` ``(k,)``."""

    codes: Codes
    scores: Matrix
    shares: Vector

    def code(self, part: str) -> Codes:
        """That part of every kind, ``(k,)``."""
        return self.codes[:, PARTS.index(part)]

    def moved(self, leaving: float) -> Accounts:
        """The same kinds where the odds of a planned leaving are ``exp(leaving)`` times those."""
        shares = self.shares * np.exp(leaving * (self.code("leaving") == 1))
        return Accounts(self.codes, self.scores, shares / shares.sum())


@cache
def accounts() -> Accounts:
    """The kinds of account of the table.

    Among all tables with the given margins and correlations, the one of greatest entropy adds
    nothing that was not published: Jaynes (1957), Information theory and statistical mechanics.
    """
    given = figures.load()["account"]
    codes = _kinds()
    scores = _scores(codes)
    features, targets = _margins(codes)
    mean, spread = _moments()
    for row in given["correlations"]:
        for other, correlation in row["with"].items():
            a, b = SCORES.index(row["of"]), SCORES.index(other)
            features.append(scores[:, a] * scores[:, b])
            targets.append(correlation * spread[a] * spread[b] + mean[a] * mean[b])
    shares = greatest_entropy(np.column_stack(features), np.array(targets))
    return Accounts(codes, scores, shares)


def greatest_entropy(features: Matrix, targets: Vector) -> Vector:
    """The shares ``(k,)`` of k cells whose means of ``features`` ``(k, m)`` are ``targets``.

    Newton's method with step halving on the convex dual (Boyd and Vandenberghe, Convex
    Optimization, 2004, section 9.5). Rounded to 1e-12, so that systems agree. Raises
    ``ValueError`` where no such shares exist.
    """
    weights = np.zeros(features.shape[1])
    value, shares = _dual(weights, features, targets)
    for _ in range(100):
        means = shares @ features
        slope = means - targets
        if np.abs(slope).max() < 1e-12:
            return np.round(shares, 12)
        curve = (features * shares[:, None]).T @ features - np.outer(means, means)
        way = np.linalg.solve(curve + 1e-12 * np.eye(len(weights)), -slope)
        step = 1.0
        while step > 1e-6:
            value_there, shares_there = _dual(weights + step * way, features, targets)
            if value_there <= value:
                break
            step /= 2
        weights, value, shares = weights + step * way, value_there, shares_there
    raise ValueError("no table has these margins and correlations")


def _dual(weights: Vector, features: Matrix, targets: Vector) -> tuple[float, Vector]:
    powers = features @ weights
    top = powers.max()
    parts = np.exp(powers - top)
    return float(top + np.log(parts.sum()) - weights @ targets), parts / parts.sum()


def _kinds() -> Codes:
    """Every kind that the rules allow: only an active account that was not ported may be
    leaving; terminal is 0 for none, 1 for one, 2 for one that the bank covers."""
    bands = len(figures.load()["customer"]["bands"]) - 1
    every = itertools.product(
        range(2), range(4), range(2), range(2), range(4), range(3), range(bands)
    )
    allowed = [kind for kind in every if not kind[3] or (kind[1] > 0 and not kind[2])]
    return np.array(allowed, dtype=np.int64)


def _scores(codes: Codes) -> Matrix:
    given = figures.load()["account"]
    personal, lines, ported, leaving, invoices, terminal, band = codes.T
    return np.column_stack(
        [
            np.array(given["invoice_scores"])[invoices],
            personal,
            ported,
            terminal > 0,
            band_means()[band],
            np.array(given["line_scores"])[lines],
            lines > 0,
            terminal == 2,
            leaving,
        ]
    ).astype(np.float64)


def _margins(codes: Codes) -> tuple[list[Vector], list[float]]:
    """Indicator of each published label but the first of its kind, and its share."""
    given = figures.load()["account"]
    shares = {
        "personal": [given["business"], 1 - given["business"]],
        "lines": np.array(given["lines"]) / sum(given["lines"]),
        "ported": [1 - given["ported"], given["ported"]],
        "leaving": [1 - given["leaving"], given["leaving"]],
        "invoices": np.array(given["invoices"]) / sum(given["invoices"]),
        "terminal": [
            1 - given["terminal"],
            given["terminal"] - given["bank"],
            given["bank"],
        ],
        "band": band_shares(),
    }
    features, targets = [], []
    for part, values in shares.items():
        for code in range(1, len(values)):
            features.append((codes[:, PARTS.index(part)] == code).astype(np.float64))
            targets.append(float(values[code]))
    return features, targets


def _moments() -> tuple[Vector, Vector]:
    """Mean and standard deviation of each of ``SCORES`` in the table, from the figures alone."""
    given = figures.load()["account"]
    flags = {
        "personal": 1 - given["business"],
        "ported": given["ported"],
        "terminal": given["terminal"],
        "active": 1 - given["lines"][0] / sum(given["lines"]),
        "bank": given["bank"],
        "leaving": given["leaving"],
    }
    values = {
        "invoices": (given["invoice_scores"], given["invoices"]),
        "lines": (given["line_scores"], given["lines"]),
        "province": (np.arange(1, 53), figures.load()["customer"]["provinces"]),
        **{name: ([0, 1], [1 - share, share]) for name, share in flags.items()},
    }
    mean, spread = np.zeros(len(SCORES)), np.zeros(len(SCORES))
    for place, name in enumerate(SCORES):
        numbers, weights = (np.array(part, dtype=np.float64) for part in values[name])
        mean[place] = np.average(numbers, weights=weights)
        spread[place] = np.sqrt(np.average((numbers - mean[place]) ** 2, weights=weights))
    return mean, spread


def bands() -> Codes:
    """The band of each province, ``(52,)``."""
    edges = figures.load()["customer"]["bands"]
    found: Codes = np.searchsorted(edges, np.arange(1, 53), side="right") - 1
    return found


def band_shares() -> Vector:
    """The share of the rows in each band of provinces."""
    weights = np.array(figures.load()["customer"]["provinces"])
    shares: Vector = np.bincount(bands(), weights) / weights.sum()
    return shares


def band_means() -> Vector:
    """The mean province number of each band."""
    weights = np.array(figures.load()["customer"]["provinces"])
    of_band = np.bincount(bands(), weights)
    means: Vector = np.bincount(bands(), weights * np.arange(1, 53)) / of_band
    return means
