"""Keras networks: one table of the ways in which a pickle may hold one.

Neither Keras nor TensorFlow is ever imported here.
"""

from __future__ import annotations

from propensia.admission.families.keras import network, wrappers

CLASSIFIERS = {**network.CLASSIFIERS, **wrappers.CLASSIFIERS}
TRAINING_ONLY = wrappers.TRAINING_ONLY
HELPERS = network.HELPERS | wrappers.HELPERS
