"""From a model's number to a decision: prior correction, then the threshold.

Nothing here knows a model or a request; these are formulas on plain numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # plain arithmetic: processes that never score must not pay for numpy
    import numpy as np
    import numpy.typing as npt

    Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Decision:
    """The rule of one release.

    ``threshold`` in [0, 1]; a row is positive when its probability is at least that.
    ``training_rate`` and ``real_rate``, both in (0, 1) or both ``None``: the share of positives
    in the table the model learned from and in the world it is used in.
    """

    threshold: float
    training_rate: float | None = None
    real_rate: float | None = None

    def probability(self, raw: float) -> float:
        """The model's probability moved from the training share to the real one, in [0, 1].

        With odds weights ``a = real / training`` and ``b = (1 - real) / (1 - training)``:
        ``a p / (a p + b (1 - p))``. Source: Saerens, Latinne and Decaestecker (2002), "Adjusting
        the outputs of a classifier to new a priori probabilities", eq. 2.4. Without both rates,
        or with two equal ones, the number is returned as it is, bit for bit.
        """
        return float(self._corrected(raw))

    def probabilities(self, raw: Vector) -> Vector:
        """The same for an array ``(n,)``, bit for bit what ``probability`` gives."""
        corrected: Vector = self._corrected(raw)
        return corrected

    def _corrected(self, raw: Any) -> Any:
        if self.training_rate is None or self.real_rate is None:
            return raw
        if self.training_rate == self.real_rate:  # the formula would round
            return raw
        positive = raw * self.real_rate / self.training_rate
        negative = (1 - raw) * (1 - self.real_rate) / (1 - self.training_rate)
        return positive / (positive + negative)

    def is_positive(self, probability: float) -> bool:
        """Whether a (corrected) probability reaches the threshold."""
        return probability >= self.threshold
