"""An ordered list of checks, run until the first hard failure, each with its own sentence.

A check is a function whose docstring is what the analyst reads; it raises ``Refusal``, or
returns a remark, or returns nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from propensia.admission.refusal import Refusal

Case = TypeVar("Case")

# How a person sees each outcome on a console.
MARKS = {"bien": "✓", "aviso": "!", "fallo": "✗", "omitida": "·"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; ``outcome`` is a key of ``MARKS``."""

    name: str
    outcome: str
    sentence: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Remark:
    """What a check found worth telling: ``outcome`` is ``bien``, ``aviso`` or ``omitida``."""

    outcome: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Check(Generic[Case]):
    """A check under the short Spanish name that reports use."""

    name: str
    run: Callable[[Case], Remark | None]


def climb(checks: Sequence[Check[Case]], case: Case) -> tuple[list[Finding], Refusal | None]:
    """Run the checks in order; what each found, and the refusal that stopped them, if any."""
    found = []
    for check in checks:
        begin = time.perf_counter()
        refusal = None
        try:
            remark = check.run(case)
        except Refusal as error:
            refusal = error
        except MemoryError:
            refusal = Refusal("demasiada_memoria", f"en «{check.name}»", f"in “{check.name}”")
        if refusal is not None:
            remark = Remark("fallo", refusal.text("es"))
        remark = remark or Remark("bien", (check.run.__doc__ or "").strip())
        seconds = time.perf_counter() - begin
        found.append(Finding(check.name, remark.outcome, remark.sentence, seconds))
        if refusal is not None:
            return found, refusal
    return found, None
