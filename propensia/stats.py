"""Small statistics on plain arrays.

Nothing here knows what the numbers mean.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]


def rank_correlation(first: Vector, second: Vector) -> float:
    """Spearman's rank correlation of two arrays of n, ties sharing their mean rank; 0.0 where
    one of them is constant. Source: Spearman (1904), as Pearson's r of the ranks."""
    a, b = _ranks(first), _ranks(second)
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0


def _ranks(values: Vector) -> Vector:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_ranks = last - (counts - 1) / 2
    ranks: Vector = mean_ranks[inverse].astype(np.float64)
    return ranks
