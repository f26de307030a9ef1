"""What is wrong with an order to score a portfolio, whatever part of it finds that out.

It imports nothing, so that neither end of a run is loaded for its sake.
"""

from __future__ import annotations


class WrongUse(Exception):
    """What was typed cannot be meant; the text says which option, and what it takes."""
