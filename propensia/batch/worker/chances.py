"""The model's chances of many rows, where one row that it fails for spoils no other.

It never gives another number than the service would: where that gives none, there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from propensia import sampling
from propensia.batch.forests.engine import fastest
from propensia.batch.worker.model import Model
from propensia.contract import Contract
from propensia.features import Matrix
from propensia.scorer import Scorer, ScorerError, Unreliable

AT_ONCE = 1024
"""Rows that ONNX Runtime gets at a time: what a network makes of them stays in the cache."""
AT_ONCE_COMPILED = 16_384
"""Rows that compiled trees get, which cut them up as it suits them."""


TRIED_ROWS = 512
"""Rows that are scored alone and together before a run, to see that they get the same bits."""


class Chances:
    """Scores rows of model columns by one model. For one thread.

    A model that gives a row other bits among others than alone, as the service asks for it, is
    asked row by row: slower, and the same.
    """

    def __init__(self, model: Model) -> None:
        self._decision = model.decision
        self._scorer = fastest(model.onnx, model.digest)
        self._step = AT_ONCE if isinstance(self._scorer, Scorer) else AT_ONCE_COMPILED
        self._run = self._scorer.many
        whole = self._scorer if isinstance(self._scorer, Scorer) else None
        one_by_one = partial(_one_by_one, whole or Scorer(model.onnx, model.digest))
        if not (model.steady and self._gives(one_by_one, model.view)):
            self._run = one_by_one

    def _gives(self, one_by_one: Callable[[Matrix], Matrix], view: Contract) -> bool:
        """Whether rows have the same bits together as one by one."""
        rows = sampling.rows(view, TRIED_ROWS, seed=7)
        try:
            return np.array_equal(self._scorer.many(rows), one_by_one(rows))
        except (Unreliable, ScorerError):  # of a row that nobody sent; row by row tells which
            return False

    def known(self, rows: Matrix) -> Matrix:
        """The chances of n rows as they are served, ``(n,)`` in [0, 1]; NaN for a row that the
        model gives no probability for."""
        found = np.full(len(rows), np.nan)
        starts = range(0, len(rows), self._step)
        waiting = [slice(at, min(at + self._step, len(rows))) for at in starts]
        while waiting:
            part = waiting.pop()
            try:
                found[part] = self._run(rows[part])
            except (Unreliable, ScorerError):
                if part.stop - part.start > 1:
                    middle = (part.start + part.stop) // 2
                    waiting += [slice(part.start, middle), slice(middle, part.stop)]
        return self._decision.probabilities(found)

    def many(self, rows: Matrix) -> Matrix:
        """The same of rows that all have one. Raises ``Unreliable`` or ``ScorerError``."""
        starts = range(0, len(rows), self._step)
        found = np.concatenate([self._run(rows[at : at + self._step]) for at in starts])
        return self._decision.probabilities(found)


def _one_by_one(scorer: Scorer, rows: Matrix) -> Matrix:
    return np.array([scorer.one(row) for row in rows.tolist()])
