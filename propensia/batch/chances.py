"""The model's chances of many rows, where one row that it fails for spoils no other.

It never gives another number than the service would: where that gives none, there is none.
"""

from __future__ import annotations

import numpy as np

from propensia.batch.forests import fastest
from propensia.batch.model import Model
from propensia.features import Matrix
from propensia.scorer import Scorer, ScorerError, Unreliable

AT_ONCE = 1024
"""Rows that ONNX Runtime gets at a time: what a network makes of them stays in the cache."""
AT_ONCE_COMPILED = 16_384
"""Rows that compiled trees get, which cut them up as it suits them."""


class Chances:
    """Scores rows of model columns by one model. For one thread."""

    def __init__(self, model: Model) -> None:
        self._decision = model.decision
        self._scorer = fastest(model.onnx, model.digest)
        self._step = AT_ONCE if isinstance(self._scorer, Scorer) else AT_ONCE_COMPILED

    def known(self, rows: Matrix) -> Matrix:
        """The chances of n rows as they are served, ``(n,)`` in [0, 1]; NaN for a row that the
        model gives no probability for."""
        found = np.full(len(rows), np.nan)
        starts = range(0, len(rows), self._step)
        waiting = [slice(at, min(at + self._step, len(rows))) for at in starts]
        while waiting:
            part = waiting.pop()
            try:
                found[part] = self._scorer.many(rows[part])
            except (Unreliable, ScorerError):
                if part.stop - part.start > 1:
                    middle = (part.start + part.stop) // 2
                    waiting += [slice(part.start, middle), slice(middle, part.stop)]
        return self._decision.probabilities(found)

    def many(self, rows: Matrix) -> Matrix:
        """The same of rows that all have one. Raises ``Unreliable`` or ``ScorerError``."""
        starts = range(0, len(rows), self._step)
        found = np.concatenate([self._scorer.many(rows[at : at + self._step]) for at in starts])
        return self._decision.probabilities(found)
