"""The table of what can be read: every estimator family, and every name that may lie in a file.

A family is one function in one module; a name that is not here is refused, never looked up.
"""

from __future__ import annotations

from propensia.admission.families import keras, linear, pipelines, scalers, trees
from propensia.admission.families.remembered import NAMES as REMEMBERED

CLASSIFIERS = {
    **trees.CLASSIFIERS,
    **linear.CLASSIFIERS,
    **pipelines.CLASSIFIERS,
    **keras.CLASSIFIERS,
}
TRANSFORMERS = {**scalers.TRANSFORMERS}
# What stands for the estimator in one of its attributes, as a search does for its best one.
INSIDE = {**pipelines.INSIDE}
# Objects inside an estimator, none themselves, that its answers depend on: the comparison with
# the original library builds them too; those in FRESH without arguments, for what they
# hold does not count.
PARTS: frozenset[tuple[str, str]] = frozenset()
FRESH: frozenset[tuple[str, str]] = frozenset()
# Names inside the attributes of good models that no compilation looks at.
HELPERS = trees.HELPERS | keras.HELPERS | REMEMBERED | PARTS | FRESH
