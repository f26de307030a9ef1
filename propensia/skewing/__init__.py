"""What a notebook's feature matrix holds, against what the contract makes of the raw rows.

It reads two files and compares numbers; it scores nothing and prints nothing.
"""

from propensia.skewing.differences import Difference, absence, differences, shuffled
from propensia.skewing.pairing import OptionError, Pairs, pair
from propensia.skewing.sheets import SkewError

__all__ = [
    "Difference",
    "OptionError",
    "Pairs",
    "SkewError",
    "absence",
    "differences",
    "pair",
    "shuffled",
]
