"""The mixing function, against what others publish of it."""

from __future__ import annotations

import numpy as np

from propensia.mixing import mixed


def test_it_makes_the_published_numbers_of_splitmix64() -> None:
    """The generator steps by 0x9E3779B97F4A7C15 and finalizes. First numbers of the seed 1234567:
    Rosetta Code, "Pseudo-random numbers/Splitmix64"."""
    steps = np.arange(1, 6, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert mixed(steps + np.uint64(1_234_567)).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
