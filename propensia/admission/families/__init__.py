"""The table of what can be read: every estimator family, and every name that may lie in a file.

A family is one function in one module; a name that is not here is refused, never looked up.
"""

from __future__ import annotations

from propensia.admission.families import (
    bagging,
    bayes,
    boosting,
    calibration,
    columns,
    encoders,
    histogram,
    imputers,
    keras,
    lightgbm,
    linear,
    mlp,
    pipelines,
    projections,
    scalers,
    selection,
    shapes,
    splines,
    trees,
    voting,
    xgboost,
)
from propensia.admission.families.remembered import NAMES as REMEMBERED
from propensia.admission.families.remembered import TRAINING_ONLY as SCORED_BY

CLASSIFIERS = {
    **trees.CLASSIFIERS,
    **boosting.CLASSIFIERS,
    **histogram.CLASSIFIERS,
    **bagging.CLASSIFIERS,
    **linear.CLASSIFIERS,
    **bayes.CLASSIFIERS,
    **mlp.CLASSIFIERS,
    **calibration.CLASSIFIERS,
    **voting.CLASSIFIERS,
    **pipelines.CLASSIFIERS,
    **xgboost.CLASSIFIERS,
    **lightgbm.CLASSIFIERS,
    **keras.CLASSIFIERS,
}
TRANSFORMERS = {
    **scalers.TRANSFORMERS,
    **columns.TRANSFORMERS,
    **imputers.TRANSFORMERS,
    **encoders.TRANSFORMERS,
    **shapes.TRANSFORMERS,
    **projections.TRANSFORMERS,
    **splines.TRANSFORMERS,
    **selection.TRANSFORMERS,
}
# What stands for the estimator in one of its attributes, as a search does for its best one.
INSIDE = {**pipelines.INSIDE}
# Objects inside an estimator, none themselves, that its answers depend on: the comparison with
# the original library builds them too; those in FRESH without arguments, for what they
# hold does not count.
PARTS: frozenset[tuple[str, str]] = (
    calibration.PARTS
    | linear.PARTS
    | voting.PARTS
    | selection.PARTS
    | trees.PARTS
    | boosting.PARTS
    | histogram.PARTS
)
FRESH: frozenset[tuple[str, str]] = boosting.FRESH
# Attributes that may name a function of the analyst's own, which only training calls.
TRAINING_ONLY = {
    **keras.TRAINING_ONLY,
    **pipelines.TRAINING_ONLY,
    **linear.TRAINING_ONLY,
    **xgboost.TRAINING_ONLY,
    **SCORED_BY,
}
# Names inside the attributes of good models that no compilation looks at.
HELPERS = (
    columns.HELPERS
    | selection.HELPERS
    | trees.HELPERS
    | boosting.HELPERS
    | histogram.HELPERS
    | linear.HELPERS
    | splines.HELPERS
    | keras.HELPERS
    | xgboost.HELPERS
    | lightgbm.HELPERS
    | REMEMBERED
    | PARTS
    | FRESH
)
