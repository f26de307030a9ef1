"""In which of equal steps from 0 to 1 a chance is: one rule wherever chances are counted.

It must never be copied: two rules differ where a step ends, at 0.15 or 0.3.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def places(chances: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.intp]:
    """The step, 0 to ``count`` - 1, of chances ``(n,)``: each holds its lower end, the last one
    1 as well; what is outside [0, 1] is in the nearest."""
    found: npt.NDArray[np.intp] = np.clip((chances * count).astype(np.intp), 0, count - 1)
    return found
