"""Why a portfolio is not scored, or not now, whatever part of it finds that out.

It imports nothing, so that neither end of a run is loaded for its sake.
"""

from __future__ import annotations


class WrongUse(Exception):
    """What was typed cannot be meant; the text says which option, and what it takes."""


class ClusterGone(Exception):
    """The cluster does not answer, or has no workers: a run goes on later. The text, in Spanish,
    says which."""


class ClusterRefused(Exception):
    """What would not give the results of this machine; the text, in Spanish, says why."""
