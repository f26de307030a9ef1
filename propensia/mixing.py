"""Whole numbers made random-looking: the same number, the same answer, on every machine.

It keeps no secret: who knows the answer can find the number.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.uint64]


def mixed(numbers: Numbers) -> Numbers:
    """The finalizer of SplitMix64, one to one, on n numbers ``(n,)``.

    Source: Steele, Lea and Flood (2014), "Fast splittable pseudorandom number generators",
    figure 17.
    """
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    last: Numbers = numbers ^ (numbers >> np.uint64(31))
    return last
