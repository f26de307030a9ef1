"""What is owed: the amount of the reference invoice and the total debt of n accounts.

It never gives a debt below its invoice, nor another debt than the invoice where there is one.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from propensia.synthetic import figures
from propensia.synthetic.accounts import SCORES, Codes, Matrix, Vector, accounts

GRID = np.linspace(-14.0, 14.0, 2801)


def owed(kinds: Codes, invoices: Codes, uniform: Matrix, growth: float) -> tuple[Vector, Vector]:
    """Invoice amount and total debt in euros, each ``(n,)`` with whole cents.

    ``kinds`` ``(n,)`` are places in ``accounts()``, ``invoices`` ``(n,)`` their numbers;
    ``uniform`` ``(n, 3)`` in [0, 1); every amount is ``growth`` times what was published.
    """
    given = figures.load()["amounts"]
    scores = accounts().scores
    rank = (scores @ _effects(given["rank"]))[kinds] + _log_odds(uniform[:, 0])
    below = np.interp(rank, GRID, _mixture())
    shares, values = np.array(given["invoice"]).T
    invoice = np.interp(below, shares, values)
    level = (
        (scores @ _effects(given["rest"]["effects"]))[kinds]
        + given["rest"]["invoice"] * _log_odds(below)
        + _log_odds(uniform[:, 1])
    )
    rest = np.exp(np.interp(level, *np.array(given["rest"]["points"]).T))
    rest *= (invoices > 1) & ((invoices > 2) | (uniform[:, 2] >= given["rest"]["same"]))
    room = given["most"] - invoice + 0.01  # bends the rest so that no debt is above the most
    debt = invoice + rest * room / (rest + room)
    return np.round(invoice * growth, 2), np.round(debt * growth, 2)


def _effects(named: dict[str, float]) -> Vector:
    return np.array([named[name] for name in SCORES])


def _log_odds(share: Vector) -> Vector:
    """The log-odds of a share; of a uniform number, a logistic noise."""
    within = np.clip(share, 1e-9, 1 - 1e-9)
    odds: Vector = np.log(within / (1 - within))
    return odds


@cache
def _mixture() -> Vector:
    """The share of all accounts whose rank is at most each point of ``GRID``: what is below a
    rank is then uniform over the whole table, whatever the effects."""
    table = accounts()
    centres = table.scores @ _effects(figures.load()["amounts"]["rank"])
    shares: Vector = table.shares @ (1 / (1 + np.exp(centres[:, None] - GRID)))
    return shares
