"""When two numbers of two files are the same number.

It knows nothing about rows or columns.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]
Matrix = npt.NDArray[np.float64]


def close(want: Matrix, got: Matrix, tolerance: Matrix) -> Mask:
    """Where two arrays of one shape hold the same number, or none, within a tolerance."""
    with np.errstate(invalid="ignore"):  # inf - inf
        near = np.abs(got - want) <= tolerance
    same: Mask = near | (got == want) | (np.isnan(got) & np.isnan(want))
    return same
