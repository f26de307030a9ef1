"""Where yes begins: rules that a person can state, and the threshold that each one leads to.

It never looks at a model, only at chances of rows that the model had not learnt from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propensia import spanish, stats
from propensia.training.results import Threshold
from propensia.training.rows import Chances, Labels

Euros = npt.NDArray[np.float64]
_RULE = re.compile(r"(f1)|(?:(top|cost) *= *)?(\d{1,9}(?:[.,]\d{1,18})?)")


class RuleError(ValueError):
    """A rule that cannot be read or used; the text says what it takes."""


@dataclass(frozen=True, slots=True)
class Rule:
    """``kind`` is ``"f1"``, ``"top"`` (``number``: the share of rows to select, in (0, 1]),
    ``"cost"`` (``number``: euros per call) or ``"fixed"`` (``number``: the threshold itself, in
    [0, 1])."""

    kind: str
    number: float = 0.0


def parse(text: str) -> Rule:
    """The rule of a text: ``f1``, ``top=0.20``, ``cost=2.50`` or a number from 0 to 1.

    A decimal comma is a point. Raises ``RuleError``.
    """
    found = _RULE.fullmatch(text.strip().lower())
    if found is None:
        raise RuleError(
            f"regla de umbral {text!r}: se admite f1, top=0.20 (parte de las filas que se llama), "
            "cost=2.50 (euros por llamada) o un número de 0 a 1"
        )
    if found[1]:
        return Rule("f1")
    rule = Rule(found[2] or "fixed", float(found[3].replace(",", ".")))
    if rule.kind == "top" and not 0 < rule.number <= 1:
        raise RuleError(f"regla de umbral {text!r}: la parte va de más de 0 a 1, como top=0.20")
    if rule.kind == "fixed" and rule.number > 1:
        raise RuleError(f"regla de umbral {text!r}: un umbral va de 0 a 1")
    return rule


def choose(
    rule: Rule,
    labels: Labels,
    chances: Chances,
    amounts: Euros | None = None,
    recovery: float = 1.0,
) -> Threshold:
    """The threshold that the rule leads to on n rows (at least one), and what it reaches there.

    ``amounts`` ``(n,)``: the euros at stake, used by ``cost`` alone, where what is not a number
    counts as 0; ``recovery`` in [0, 1]: the share of them that who pays does pay. A row is
    selected when its chance is at least the threshold, which lies midway between two distinct
    chances, so that a last digit moves nobody; of equally good ones it selects the fewest rows.
    Raises ``RuleError`` where amounts are needed and there are none.
    """
    if rule.kind == "fixed":
        said = {
            "es": f"umbral fijado en {spanish.number(rule.number, 4)}",
            "en": f"threshold set to {rule.number:.4f}",
        }
        return Threshold(rule.number, said)
    if rule.kind == "f1":
        return _best_f1(labels, chances)
    if rule.kind == "top":
        return _top(rule.number, chances)
    if amounts is None:
        raise RuleError(
            "la regla cost= necesita los euros de cada fila, y el contrato no dice en qué "
            "parámetro están ([training] amount): use f1, top= o un número"
        )
    return _most_euros(rule.number, labels, chances, amounts, recovery)


def net_euros(
    selected: npt.NDArray[np.bool_],
    labels: Labels,
    amounts: Euros,
    cost: float,
    recovery: float = 1.0,
) -> float:
    """What calling the ``selected`` rows brings in euros: of those who pay ``recovery`` times
    their amount, less ``cost`` for each row. Below 0 it is a loss."""
    return float(brought(labels, amounts, cost, recovery)[selected].sum())


def brought(labels: Labels, amounts: Euros, cost: float, recovery: float = 1.0) -> Euros:
    """What calling each row brings, ``(n,)`` in euros; an amount that is no number counts as 0."""
    known: Euros = np.where(np.isfinite(amounts), amounts, 0.0)
    return known * labels * recovery - cost


def _best_f1(labels: Labels, chances: Chances) -> Threshold:
    found = stats.cuts(labels, chances)
    f1 = 2 * found.sums / (found.rows + found.sums[-1])
    best = int(np.argmax(f1))
    reached = float(f1[best])
    said = {
        "es": f"máximo F1 ({spanish.number(reached, 3)} en las filas con que se eligió)",
        "en": f"highest F1 ({reached:.3f} on the rows that it was chosen on)",
    }
    return Threshold(_below(found.scores, best), said)


def _top(share: float, chances: Chances) -> Threshold:
    """The share that comes nearest, but never no row at all."""
    found = stats.cuts(np.ones(len(chances)), chances)
    shares = found.rows / len(chances)
    best = int(np.argmin(np.abs(shares - share)))
    reached = float(shares[best])
    said = {
        "es": f"el {spanish.percent(share, 1)} de mayor probabilidad "
        f"({spanish.percent(reached, 1)} de las filas con que se eligió)",
        "en": f"the {share:.1%} with the highest chances "
        f"({reached:.1%} of the rows that it was chosen on)",
    }
    return Threshold(_below(found.scores, best), said)


def _most_euros(
    cost: float, labels: Labels, chances: Chances, amounts: Euros, recovery: float
) -> Threshold:
    found = stats.cuts(brought(labels, amounts, cost, recovery), chances)
    best = int(np.argmax(found.sums))
    value, euros, rows = _below(found.scores, best), float(found.sums[best]), len(labels)
    if euros <= 0 and found.scores[0] < 1:  # no call pays; only below 1 is there room for none
        value, euros = (float(found.scores[0]) + 1) / 2, 0.0
    said = {
        "es": f"llamar cuando p ≥ {spanish.number(value, 4)}: {spanish.number(cost, 2)} € por "
        f"llamada, ganancia de {spanish.number(euros, 0)} € en las "
        f"{spanish.number(rows, 0)} filas con que se eligió",
        "en": f"call when p ≥ {value:.4f}: €{cost:,.2f} per call, "
        f"gain of €{euros:,.0f} on the {rows:,} rows that it was chosen on",
    }
    return Threshold(value, said)


def _below(scores: Chances, place: int) -> float:
    """Midway between the last selected score and the next lower one, or 0."""
    last = float(scores[place])
    following = float(scores[place + 1]) if place + 1 < len(scores) else 0.0
    middle = (last + following) / 2
    return middle if following < middle else last  # two neighbours in float64 have no middle
