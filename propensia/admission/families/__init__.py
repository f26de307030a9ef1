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
# Names inside the attributes of good models that no compilation looks at.
HELPERS = trees.HELPERS | keras.HELPERS | REMEMBERED
