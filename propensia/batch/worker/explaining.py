"""Why rows got their scores, many rows at once: the reasons that the route would give each.

It never changes a score; where the model fails for a mixture of rows, there are no reasons.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from propensia import reasons, sampling
from propensia.batch.worker.chances import Chances
from propensia.batch.worker.model import Model
from propensia.batch.worker.told import Mask, Told, about
from propensia.features import Features, Matrix
from propensia.scorer import ScorerError, Unreliable

SILENT = "motivos:motivos_no_disponibles"
"""What is told of a row without reasons, as the route does."""


class Explaining:
    """Explains rows by one model, against the typical row of its contract. For one thread."""

    def __init__(self, model: Model, chances: Chances) -> None:
        self._chances = chances
        self._names = [parameter.name for parameter in model.view.parameters]
        columns = list(enumerate(model.view.columns))
        self._groups = [
            [at for at, column in columns if column.source == name] for name in self._names
        ]
        self._base = np.array(Features(model.view).row(sampling.typical(model.contract)))

    def texts(self, matrix: Matrix, rows: Mask, wanted: int) -> tuple[pa.StringArray, Told]:
        """Of each of the ``rows`` its ``wanted`` largest effects, as ``Results.reasons``; and
        what is told of those that have none.

        ``matrix``: the model columns of all n rows, ``(n, k)``; other rows get no text.
        """
        texts = np.full(len(matrix), "", dtype=object)
        silent: dict[int, str] = {}
        waiting = [np.flatnonzero(rows)]
        while waiting:
            part = waiting.pop()
            try:
                found = reasons.effects_many(
                    self._chances.many, matrix[part], self._base, self._groups
                )
            except (Unreliable, ScorerError):
                if len(part) == 1:
                    silent[int(part[0])] = SILENT
                else:
                    waiting += np.array_split(part, 2)
                continue
            # Equal effects stay in the order of the contract, as in an answer.
            largest = np.argsort(-np.abs(found), axis=1, kind="stable")[:, :wanted]
            texts[part] = [
                self._text(effects[order], order)
                for effects, order in zip(found, largest, strict=True)
            ]
        return pa.array(texts, pa.string()), about(silent, len(matrix))

    def _text(self, effects: Matrix, order: Sequence[int]) -> str:
        return " ".join(
            f"{self._names[at]}:{effect:+.3f}"
            for at, effect in zip(order, effects.tolist(), strict=True)
            if effect != 0.0
        )
